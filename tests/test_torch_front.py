"""Small programs written as for PyTorch run with their imports changed; nothing changes for anybody else."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tensorgraph as tg
import tensorgraph.torch as torch
import tensorgraph.torch.backends.cudnn as cudnn
import tensorgraph.torch.nn as nn
import tensorgraph.torch.nn.functional as F
import tensorgraph.torch.optim as optim
from tensorgraph.torch.autograd import Variable
from tensorgraph.torch.optim.lr_scheduler import StepLR
from tensorgraph.torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
from tensorgraph.torch.utils.data.sampler import SubsetRandomSampler

ROOT = Path(__file__).resolve().parents[1]


# ---- whose meaning holds --------------------------------------------------------------------------------------------
PLAIN = """
values = x.max(1)
spread = x.std()
turned = y.transpose(2, 0, 1)
ordered = x.sort()
parts = x.split(2, axis=1)
"""


def test_in_a_file_that_imports_the_front_methods_mean_what_pytorch_means():
    x = torch.tensor([[3.0, 1.0, 2.0, 0.0], [0.0, 5.0, 5.0, 4.0]])
    values, indices = x.max(1)
    assert values.tolist() == [3, 5] and indices.tolist() == [0, 1]
    assert x.max(1, keepdim=True)[1].shape == (2, 1)
    assert x.max().item() == 5 and x.max(torch.ones_like(x) * 2).min().item() == 2
    assert x.min(dim=0).indices.tolist() == [1, 0, 0, 0]
    np.testing.assert_allclose(x.std().item(), np.std(x.numpy(), ddof=1), rtol=1e-6)
    np.testing.assert_allclose(x.var(1, unbiased=False).numpy(), np.var(x.numpy(), 1), rtol=1e-6)
    assert x.sort(descending=True)[0][0].tolist() == [3, 2, 1, 0] and x.sort(1).indices[0].tolist() == [3, 1, 2, 0]
    assert x[0].median().item() == 1 and x.median(1).values.tolist() == [1, 4]
    assert x.transpose(0, 1).shape == (4, 2) and torch.ones(2, 3, 4).transpose(1, 2).shape == (2, 4, 3)
    assert [part.shape[1] for part in x.split(3, dim=1)] == [3, 1] and x.repeat(2, 1).shape == (4, 4)
    assert x.squeeze(0) is x and x.nonzero().shape == (6, 2) and x.t().shape == (4, 2)
    assert x.equal(x.clone()) is True and x.flip(0, 1)[0, 0].item() == 4


def test_in_every_other_file_the_same_tensors_have_numpys_meaning():
    x, y = torch.tensor([[3.0, 1.0, 2.0, 0.0], [0.0, 5.0, 5.0, 4.0]]), torch.ones(2, 3, 4)
    here = {"x": x, "y": y, "tg": tg}
    exec(PLAIN, here)
    assert here["values"].tolist() == [3, 5] and here["turned"].shape == (4, 2, 3)
    np.testing.assert_allclose(here["spread"].item(), np.std(x.numpy()), rtol=1e-6)
    assert here["ordered"].tolist() == [[0, 1, 2, 3], [0, 4, 5, 5]]
    assert [part.shape for part in here["parts"]] == [(2, 2), (2, 2)]
    layer = tg.nn.LayerNorm(4)  # the library's own files are other files too
    np.testing.assert_allclose(layer(x).std(dim=1, correction=0).detach().numpy(), [1, 1], rtol=1e-3)


@pytest.mark.parametrize(
    "line",
    [
        "import tensorgraph.torch as t",
        "from tensorgraph.torch import nn",
        "from tensorgraph.torch import tensor",
        "import tensorgraph.torch.nn.functional as F",
    ],
)
def test_any_import_of_the_front_makes_a_file_speak_pytorch(line):
    here = {"x": tg.tensor([[1.0, 2.0]])}
    exec(f"{line}\nfound = x.max(1)", here)
    assert isinstance(here["found"], tuple)


def test_tensorgraph_does_not_load_the_front():
    code = "import sys, tensorgraph, tensorgraph.nn; print(any(n.startswith('tensorgraph.torch') for n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


# ---- what is not there ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["compile", "distributed", "hub", "multiprocessing", "onnx", "no_such_name"])
def test_what_is_not_there_says_so_by_name(name):
    with pytest.raises(AttributeError, match=rf"no torch\.{name}"):
        getattr(torch, name)
    assert not hasattr(torch, name)


def test_what_is_not_there_names_a_way_out():
    with pytest.raises(AttributeError, match="leave it out"):
        torch.compile(nn.Linear(2, 2))
    with pytest.raises(AttributeError, match=r"torch\.jit\.script"):
        torch.jit.script
    with pytest.raises(ImportError, match="DistributedDataParallel"):
        from tensorgraph.torch.nn.parallel import DistributedDataParallel  # noqa: F401
    with pytest.raises(ImportError):
        import tensorgraph.torch.distributed  # noqa: F401


def test_a_device_that_is_not_there_is_an_error_that_names_it():
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    assert torch.ones(2, device=device).to(device).device == device and device.type in ("cpu", "cuda")
    if not torch.cuda.is_available():
        with pytest.raises(tg.BackendError):
            torch.ones(2).cuda()
        with pytest.raises(tg.BackendError):
            nn.Linear(2, 2).to(torch.device("cuda"))
    assert torch.cuda.device_count() >= 0 and not torch.backends.mps.is_available()
    cudnn.benchmark = True
    assert torch.backends.cudnn.benchmark is True
    torch.cuda.manual_seed_all(0)


# ---- tensors --------------------------------------------------------------------------------------------------------
def test_dtypes_of_new_tensors():
    assert torch.tensor([1, 2]).dtype == torch.int64 and torch.tensor([1.0, 2]).dtype == torch.float32
    assert torch.arange(3).dtype == torch.long and torch.arange(0, 1, 0.25).dtype == torch.float
    assert torch.randint(0, 10, (3,)).dtype == torch.int64 and torch.randint(4, (2, 2)).max().item() < 4
    assert torch.linspace(-1, 1, steps=5).tolist() == [-1, -0.5, 0, 0.5, 1]
    assert torch.from_numpy(np.ones(2)).dtype == torch.float64 and torch.randperm(5).sum().item() == 10
    assert torch.zeros(2, 3).size() == (2, 3) == torch.empty(size=(2, 3)).shape
    assert torch.full((2,), 1.5).tolist() == [1.5, 1.5] and torch.eye(2).tolist() == [[1, 0], [0, 1]]
    assert torch.ones(2, dtype=torch.long).type() == "torch.LongTensor"
    assert torch.ones(2).type(torch.LongTensor).dtype == torch.ones(2).long().dtype == torch.int64
    assert (torch.tensor([1, 2]) / 2).tolist() == [0.5, 1.0] and torch.Tensor([1, 2]).dtype == torch.float32


def test_what_a_tensor_is():
    x = torch.randn(4, 3)
    assert isinstance(x, torch.Tensor) and isinstance(x, torch.FloatTensor) and not isinstance(x, torch.LongTensor)
    assert not isinstance(x, torch.cuda.FloatTensor) and isinstance(nn.Parameter(x), torch.Tensor)
    assert not isinstance(np.ones(2), torch.Tensor) and torch.is_tensor(x)
    assert len(x) == 4 and x.size(0) == 4 and x.size(-1) == 3 and x.numel() == x.nelement() == 12 and x.dim() == 2
    assert [row.shape for row in x] == [(3,)] * 4 and x.T.shape == (3, 4) and x.view(-1, 6).shape == (2, 6)
    assert x.view_as(torch.ones(12)).shape == (12,) and x[:1].expand_as(x).shape == (4, 3)
    assert x.is_contiguous() and x.stride() == (3, 1) and not x.is_cuda and x.data.requires_grad is False
    assert x.new_zeros(2).sum().item() == 0 and x.new_tensor([1, 2]).dtype == torch.float32
    assert torch.arange(150.0).unfold(0, 100, 1).mean(1)[0].item() == 49.5


def test_tensors_in_strings():
    loss = torch.tensor(1.23456)
    assert f"{loss:.4f} {loss.item():>9f}" == "1.2346  1.234560" and "%.2f" % loss == "1.23"  # noqa: UP031
    assert f"{torch.tensor([1.0, 2.0]).sum():5.1f}" == "  3.0" and f"{torch.ones(1):.1f}" == "1.0"


def test_keywords_and_out():
    x, y, result = torch.ones(2), torch.arange(2.0), torch.empty(2)
    torch.add(x, y, out=result)
    assert result.tolist() == [1, 2] and torch.add(x, y, alpha=2).tolist() == [1, 3]
    assert torch.sum(input=x).item() == 2 and torch.max(input=y, dim=0).indices.item() == 1
    assert torch.cat(tensors=[x, y], dim=0).shape == (4,) and F.relu(input=-x, inplace=True).tolist() == [0, 0]
    assert torch.equal(x, x) is True and torch.where(y > 0)[0].tolist() == [1]
    assert torch.std(y, axis=0).item() == pytest.approx(math.sqrt(0.5))


# ---- writing in place -----------------------------------------------------------------------------------------------
def test_values_are_written_through_data():
    p = nn.Parameter(torch.zeros(3))
    p.data.add_(torch.ones(3), alpha=2)
    p.data -= 0.5
    p.data.mul_(2).sub_(1).clamp_(max=1.5)
    assert p.tolist() == [1.5, 1.5, 1.5] and p.requires_grad
    p.data = torch.arange(3.0)
    assert p.data.tolist() == [0, 1, 2]
    torch.manual_seed(0)
    for fill in ("normal_", "uniform_"):
        getattr(p.data, fill)()
        assert len(set(p.tolist())) == 3
    assert p.data.uniform_(-1, 1).abs().max().item() <= 1 and p.data.normal_(mean=5.0, std=0.1).mean().item() > 4
    assert p.data.fill_(2).tolist() == [2, 2, 2] and p.data.zero_().tolist() == [0, 0, 0]


def test_a_hand_written_step():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    for reset in (lambda: setattr(w, "grad", None), lambda: w.grad.zero_()):
        before = w.tolist()
        (w * w).sum().backward()
        with torch.no_grad():
            w -= 0.1 * w.grad
        assert w.tolist() == pytest.approx([0.8 * v for v in before])
        reset()
    assert w.grad.tolist() == [0, 0] and w.is_leaf and w.requires_grad


def test_in_place_on_a_recorded_tensor_keeps_the_gradient_right():
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = x * 2
    kept = y.exp()
    y.mul_(3).clamp_(min=0)
    y.add_(1)
    (y.sum() + kept.sum()).backward()
    expected = np.array([6.0, 0.0, 6.0]) + 2 * np.exp([2.0, -4.0, 6.0])
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)
    with pytest.raises(tg.GraphError, match="leaf"):
        x.add_(1)
    with pytest.raises(tg.GraphError, match="part of"):
        (x * 2)[:2].add_(1)


def test_in_place_on_a_recorded_tensor_in_another_shape():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = (x * 2).reshape(-1)
    y[torch.tensor([True, False, False, True])] = 0
    y.view(2, 2).pow(2).sum().backward()
    assert x.grad.tolist() == [[0, 16], [24, 0]]
    z = x * 2
    with pytest.raises(tg.GraphError, match="for this line alone"):
        z.view(-1)[0] = 0


def test_recorded_values_are_written_into_rows():
    w = torch.tensor([2.0, 3.0], requires_grad=True)
    outputs = torch.zeros(3, 2)
    for t in range(3):
        outputs[t] = w * t
    (outputs * outputs).sum().backward()
    assert w.grad.tolist() == [20, 30]
    part = torch.zeros(4, 2)[1]
    with pytest.raises(tg.GraphError, match="part of another"):
        part[0] = w[0]


def test_plus_equals_inside_a_model():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3, padding=1, bias=False)
            self.shortcut = nn.Sequential()

        def forward(self, x):
            out = F.relu(self.conv(x))
            out += self.shortcut(x)
            return out

    x = torch.randn(1, 2, 4, 4, requires_grad=True)
    block = Block()
    block(x).sum().backward()
    y = torch.randn(1, 2, 4, 4)
    y.data = x.data
    y.requires_grad_()
    (F.relu(block.conv(y)) + y).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.grad.numpy())


# ---- the graph ------------------------------------------------------------------------------------------------------
def test_the_graph_is_walked_by_grad_fn():
    w = torch.ones(2, 2, requires_grad=True)
    loss = F.mse_loss(torch.mm(torch.ones(2, 2), w).relu(), torch.zeros(2, 2))
    seen, step = [], loss.grad_fn
    while step.next_functions:
        seen.append(step.name())
        step = step.next_functions[0][0]
    assert step.name() == "AccumulateGrad" and step.variable is w and w.grad_fn is None
    assert "ReluBackward0" in seen and "Backward0" in repr(loss.grad_fn)


def test_autograd_functions():
    class Clipped(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, limit):
            ctx.save_for_backward(x)
            ctx.limit = limit
            assert ctx.needs_input_grad == (True, False)
            return x.clamp(max=limit)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            g = g.clone()
            g[x > ctx.limit] = 0
            return g, None

    x = torch.tensor([1.0, 3.0], requires_grad=True)
    y = Clipped.apply(x, 2.0)
    y.backward(gradient=torch.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [1, 0]
    (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), [x])
    assert g.tolist() == [3, 27] and h.tolist() == [6, 18]
    v = Variable(torch.ones(2), requires_grad=True)
    assert isinstance(v, Variable) and v.requires_grad and torch.autograd.functional.jacobian(lambda a: a * a, x).shape


def test_switches_as_blocks_and_decorators():
    x = torch.ones(1, requires_grad=True)

    @torch.no_grad()
    def twice(v):
        return v * 2

    with torch.inference_mode():
        assert not (x * 2).requires_grad
    with torch.set_grad_enabled(False), torch.autocast("cpu"):
        assert not (x * 2).requires_grad
    assert not twice(x).requires_grad and (x * 2).requires_grad


# ---- modules, optimisers, files -------------------------------------------------------------------------------------
class Net(nn.Module):
    def __init__(self, hidden=16):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(4, hidden), nn.BatchNorm1d(hidden), nn.ReLU(True), nn.Dropout(0.1))
        self.head = nn.Linear(hidden, 3)

    def forward(self, x):
        x = self.features(x)
        return F.log_softmax(self.head(x.view(x.size(0), -1)), dim=1)


def weights_init(m):
    if m.__class__.__name__.find("Linear") != -1:
        m.weight.data.normal_(0.0, 0.5)
        nn.init.zeros_(m.bias)


class Blobs(Dataset):
    """Three clouds of points."""

    def __init__(self, n=90):
        rng = np.random.default_rng(0)
        self.y = torch.from_numpy(np.arange(n) % 3)
        self.x = torch.from_numpy(rng.normal(size=(n, 4)) * 0.3).float()
        self.x += F.one_hot(self.y, 4).float() * 2

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


def test_a_whole_training_program(tmp_path):
    torch.manual_seed(1)
    device = torch.device("cpu")
    train, test = torch.utils.data.random_split(Blobs(), [60, 30])
    loader = DataLoader(train, 16, shuffle=True, num_workers=0, pin_memory=False, drop_last=True)
    model = Net().to(device)
    model.apply(weights_init)
    optimizer = optim.SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=1e-4)
    scheduler = StepLR(optimizer, step_size=4, gamma=0.5)
    for _epoch in range(8):
        model.train()
        for data, target in loader:
            data, target = data.to(device, non_blocking=True), target.to(device)
            optimizer.zero_grad()
            loss = F.nll_loss(model(data), target)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
        scheduler.step()
    model.eval()
    correct = total = 0
    with torch.no_grad():
        for data, target in DataLoader(test, batch_size=10):
            _, predicted = torch.max(model(data).data, 1)
            total += target.size(0)
            correct += predicted.eq(target.view_as(predicted)).sum().item()
    assert total == 30 and correct >= 28 and scheduler.get_last_lr() == [0.05]

    path = tmp_path / "checkpoint.pth"
    torch.save({"epoch": 8, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    saved = torch.load(path, map_location=device, weights_only=True)
    other = Net()
    other.load_state_dict(saved["model"])
    other.eval()
    assert saved["epoch"] == 8 and torch.equal(other(data), model(data))
    optim.SGD(other.parameters(), lr=1.0).load_state_dict(saved["optimizer"])
    assert list(tmp_path.iterdir()) == [path]


def test_a_whole_module_is_not_pickled(tmp_path):
    with pytest.raises(tg.ArgumentError, match="state_dict"):
        torch.save(Net(), tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())
    with (tmp_path / "open.pt").open("wb") as file:
        torch.save(torch.arange(3), file)
    with (tmp_path / "open.pt").open("rb") as file:
        assert torch.load(file).tolist() == [0, 1, 2]


def test_modules_print_and_are_taken_apart():
    model = nn.DataParallel(Net())
    assert "(head): Linear(in_features=16, out_features=3, bias=True)" in str(model)
    assert next(name for name, _ in model.named_parameters()) == "module.features.0.weight"
    assert list(model.module._modules) == ["features", "head"] and isinstance(model.module.features[0], nn.Linear)
    assert model(torch.ones(2, 4)).shape == (2, 3)
    vector = nn.utils.parameters_to_vector(model.parameters())
    nn.utils.vector_to_parameters(torch.zeros_like(vector), model.parameters())
    assert all(p.abs().sum().item() == 0 for p in model.parameters())
    assert nn.MSELoss(size_average=False)(torch.ones(3), torch.zeros(3)).item() == 3
    assert F.l1_loss(torch.ones(3), torch.zeros(3), reduce=False).shape == (3,)


def test_an_optimiser_of_ones_own():
    class SignSGD(torch.optim.Optimizer):
        def __init__(self, params, lr=0.1):
            super().__init__(params, dict(lr=lr))

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    state = self.state[p]
                    state["step"] = state.get("step", 0) + 1
                    p.add_(p.grad.sign(), alpha=-group["lr"])

    w = nn.Parameter(torch.tensor([1.0, -1.0]))
    optimizer = SignSGD([w])
    (w * w).sum().backward()
    optimizer.step()
    assert w.tolist() == pytest.approx([0.9, -0.9]) and optimizer.state[w]["step"] == 1


# ---- data -----------------------------------------------------------------------------------------------------------
def test_loaders():
    pairs = TensorDataset(torch.arange(10.0).view(10, 1), torch.arange(10))
    x, y = pairs[3]
    assert x.item() == 3 == y.item() and len(pairs) == 10
    assert [len(b) for b, _ in DataLoader(pairs, 4)] == [4, 4, 2]
    chosen = DataLoader(pairs, batch_size=2, sampler=SubsetRandomSampler([1, 3, 5]))
    assert sorted(v for _, y in chosen for v in y.tolist()) == [1, 3, 5]
    both = pairs + torch.utils.data.Subset(pairs, [0, 1])
    assert len(both) == 12 and len(DataLoader(both, batch_size=5)) == 3

    class Count(IterableDataset):
        def __iter__(self):
            return iter(range(5))

    assert [batch.tolist() for batch in DataLoader(Count(), batch_size=2)] == [[0, 1], [2, 3], [4]]
    assert next(iter(DataLoader(pairs, batch_size=3)))[1].tolist() == [0, 1, 2]


def test_sequences_of_different_lengths():
    rows = [torch.ones(2), torch.ones(3) * 2]
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    assert padded.tolist() == [[1, 1, 0], [2, 2, 2]] and nn.utils.rnn.pad_sequence(rows).shape == (3, 2)


def test_distributions():
    torch.manual_seed(0)
    probs = torch.tensor([[0.1, 0.9], [0.5, 0.5]], requires_grad=True)
    m = torch.distributions.Categorical(probs)
    action = m.sample()
    assert action.shape == (2,) and not action.requires_grad
    np.testing.assert_allclose(m.log_prob(torch.tensor([1, 0])).detach().numpy(), np.log([0.9, 0.5]), rtol=1e-5)
    np.testing.assert_allclose(m.entropy()[1].item(), np.log(2), rtol=1e-5)
    assert m.sample((2000,)).float().mean(0)[0].item() == pytest.approx(0.9, abs=0.03)
    normal = torch.distributions.Normal(torch.zeros(2), torch.ones(2))
    np.testing.assert_allclose(normal.log_prob(torch.zeros(2)).numpy(), [-0.9189385] * 2, rtol=1e-6)
    other = torch.distributions.Normal(1.0, 2.0)
    expected = math.log(2) + (1 + 1) / 8 - 0.5
    assert torch.distributions.kl_divergence(normal, other)[0].item() == pytest.approx(expected)
