"""The front's functions and methods give what PyTorch gives, called in the same way."""

import numpy as np
import pytest

import tensorgraph.torch as front

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
V = np.array([3, 1, 2, 1, 3, 3], np.int64)

CALLS = """
T.max(x, 1); T.min(x, 0, keepdim=True); T.max(x); x.max(dim=1); x.min(-1)[1]; T.aminmax(x, dim=1)
T.sort(x, 1, descending=True); x.sort(); T.topk(x, 2); x.topk(2, dim=0); T.kthvalue(x, 2); x.median(); x.median(1)
T.mode(v); x.std(); x.std(0); x.std(1, unbiased=False); x.std(False); x.var(dim=1, keepdim=True)
T.var_mean(x, dim=0); T.norm(x); x.norm(2, 1); x.norm(1); x.norm(p=float("inf"), dim=0); T.dist(x, x + 1)
T.logsumexp(x, 1); x.transpose(0, 1); x.t(); T.transpose(x.unsqueeze(0), 1, 2); x.split(3, dim=1)
T.split(x, [1, 3], 1); x.chunk(2, dim=1); x.repeat(2, 1); x.repeat(2, 1, 1); T.repeat_interleave(v, 2)
x.repeat_interleave(2, dim=1); T.tile(x, (2, 1)); x.squeeze(0); x[:1].squeeze(0); x.flip(0); x.flip(0, 1)
T.flip(x, [1]); x.narrow(1, 1, 2); x.select(1, 2); x.roll(1, 0); T.meshgrid(v, v); T.meshgrid(v, v, indexing="xy")
T.nonzero(x > 0); (x > 0).nonzero(as_tuple=True); T.where(x > 0); T.where(x > 0, x, T.zeros_like(x)); T.diag(v)
T.diag(x); T.tril(x); T.triu(x, diagonal=1); x.tril(-1); T.unique(v)
T.unique(v, return_inverse=True, return_counts=True); T.unique_consecutive(v); T.bincount(v); T.cumsum(x, 1)
x.cumprod(dim=0); T.cummax(x, 1); x.logcumsumexp(1); T.searchsorted(T.arange(5), v); T.histc(x, 4, -2, 2)
T.add(x, x, alpha=3); T.sub(x, 1); T.rsub(x, 1); T.div(v, 2); T.div(v, 2, rounding_mode="floor"); v // 2; v % 2
-v % 2; T.div(-v, 2, rounding_mode="trunc"); T.clamp(x, min=0); x.clamp(-1, 1); T.clamp_min(x, 0)
T.round(x, decimals=1); T.addmm(x, x, x.t() @ x, beta=0.5, alpha=2)
T.baddbmm(T.ones(1, 3, 3), x[None], x.t()[None]); T.addr(x, x[:, 0], x[0]); T.ger(v, v); T.outer(v, v)
T.mm(x, x.t()); T.einsum("ij,kj->ik", x, x); T.cdist(x, x); T.cross(x[:, :3], x[:, :3] + 1, dim=1)
T.gather(x, 1, T.tensor([[0], [1], [2]])); x.index_select(1, T.tensor([0, 2])); x.masked_select(x > 0)
x.masked_fill(x > 0, 0); T.zeros(3, 4).scatter_(1, T.tensor([[0], [1], [2]]), 1)
T.zeros(4).scatter_(0, T.tensor(2), value=1); T.zeros(3, 4).scatter_add_(0, T.tensor([[0, 1, 2, 0]]), x[:1])
x.softmax(-1); T.softmax(x, dim=1); T.log_softmax(x, 1); x.sum(1, True); x.mean((0, 1)); x.mean(dim=[0]); x.prod(1)
x.argmax(); x.argmax(dim=1, keepdim=True); (x > 0).any(1); (x > 0).all(); x.unfold(1, 2, 1); x.expand(2, 3, 4)
x.view(2, -1); x.flatten(); x.unsqueeze(-1); x.permute(1, 0); T.stack([x, x], dim=1); T.hstack([x, x])
T.cat([x, x], 1); T.full((2,), 3); T.arange(1, 4); T.arange(5, 0, -2); T.linspace(0, 1, 5); T.eye(2, 3)
T.logspace(0, 2, 3); T.ones_like(v); T.tril_indices(3, 3); T.triu_indices(3, 3, 1); T.zeros(2, dtype=T.long)
T.tensor([True]); T.lerp(x, x + 1, 0.3); T.atan2(x, x + 1); T.sign(x); x.abs().sqrt(); x.pow(2); 2 ** x; x.erf()
T.expm1(x); T.remainder(x, 1); x.type(T.float64); x.long(); x.int(); x.double(); x.T; x.numel(); x.size(1); x.dim()
len(x); T.cosine_similarity(x, x + 1, dim=1); T.cov(x); T.corrcoef(x); T.trace(x[:, :3]); T.nn.functional.one_hot(v)
T.nn.functional.pad(x, (1, 2)); T.nn.functional.normalize(x, dim=1); T.numel(x); T.isclose(x, x); T.equal(x, x)
T.allclose(x, x); T.isin(v, T.tensor([1, 2])); T.bucketize(x, T.tensor([-1.0, 0.0, 1.0])); T.diff(v)
T.quantile(x, 0.3); T.block_diag(x, x); T.cartesian_prod(v, v); T.broadcast_tensors(x, x[0])[1]; T.linalg.norm(x)
T.linalg.inv(x[:, :3]); T.det(x[:, :3]); T.argsort(x, dim=1, descending=True); x.argsort(); T.count_nonzero(v)
T.kron(x, x); T.rot90(x); T.nan_to_num(x / 0); T.fmod(x, 1); x.bool()
""".replace("\n", "; ").split("; ")


def flat(value):
    if isinstance(value, (tuple, list)):
        return [part for one in value for part in flat(one)]
    return [value.detach().numpy() if hasattr(value, "detach") else np.asarray(value)]


@pytest.mark.parametrize("call", [call for call in CALLS if call])
def test_calls_give_what_they_give_in_pytorch(call):
    def run(T):
        return eval(call, {"T": T, "x": T.tensor(X), "v": T.tensor(V), "front": front})

    ours, theirs = flat(run(front)), flat(run(torch))
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert a.shape == b.shape and (a.dtype == b.dtype or a.dtype.kind not in "f"), (a, b)
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


def test_max_along_an_axis_sends_the_gradient_where_pytorch_sends_it():
    def run(T):
        x = T.tensor([[1.0, 1.0], [2.0, 0.0]], requires_grad=True)
        (x.max(1)[0] * T.tensor([1.0, 10.0])).sum().backward()
        return x.grad.numpy()

    np.testing.assert_array_equal(run(front), run(torch))


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "RMSprop", "Adadelta"])
def test_the_first_losses_of_a_program_are_pytorchs(optimizer):
    weight, bias = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32), np.zeros(5, np.float32)
    target = np.array([0, 4, 2])

    def run(T):
        model = T.nn.Sequential(T.nn.Linear(4, 5), T.nn.ReLU(inplace=True), T.nn.Linear(5, 5))
        with T.no_grad():
            for layer, w in ((model[0], weight), (model[2], np.eye(5, dtype=np.float32))):
                layer.weight.copy_(T.from_numpy(w))
                layer.bias.data = T.from_numpy(bias.copy())
        steps = getattr(T.optim, optimizer)(model.parameters(), lr=0.05)
        losses = []
        for _ in range(5):
            out = model(T.tensor(X))
            out += T.tensor(X).mean(1, keepdim=True)
            loss = T.nn.functional.cross_entropy(out, T.tensor(target))
            steps.zero_grad()
            loss.backward()
            steps.step()
            losses.append(loss.item())
        return losses

    np.testing.assert_allclose(run(front), run(torch), rtol=1e-5)


def test_pytorchs_own_files_are_read(tmp_path):
    path = tmp_path / "state.pt"
    torch.save(torch.nn.Linear(3, 2).state_dict(), path)
    layer = front.nn.Linear(3, 2)
    layer.load_state_dict(front.load(path, weights_only=True))
    expected = torch.load(path)["weight"].numpy()
    np.testing.assert_array_equal(layer.weight.detach().numpy(), expected)
