"""bfloat16: every operation against itself in float32, layers, optimisers, casts, files; PyTorch's values, dtypes."""

from __future__ import annotations

import copy
import pickle
import sys

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import brainfloat, nn
from tensorgraph.tensor import Tensor
from tests.nn_cases import CASES
from tests.test_operations import SAMPLES, flat, tensors

ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed (extra `bfloat16`)")
BF = tg.bfloat16


def rounded(a: np.ndarray) -> np.ndarray:
    return a.astype(BF).astype(a.dtype) if a.dtype == np.float32 else a


def close(name: str, got, expected, tolerance: float) -> None:
    """Up to the rounding of a few operations, relative to the largest value; NaN and infinity in the same places."""
    got, expected = (np.asarray(a).astype(np.float32) for a in (got, expected))
    assert got.shape == expected.shape, name
    finite = np.abs(expected[np.isfinite(expected)]).max(initial=1e-3)
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * finite, err_msg=name)


def real(sample) -> bool:
    """Whether it is tested in half precision, with floating operands, none of them complex."""
    dtypes = [a.dtype for a in sample.arrays("float32")] if "float16" in sample.dtypes else []
    return np.dtype("float32") in dtypes and not any(dtype.kind == "c" for dtype in dtypes)


HALVES = [(id, s) for id, s in SAMPLES if real(s)]


@pytest.mark.parametrize("sample", [pytest.param(s, id=id) for id, s in HALVES])
def test_every_operation(sample):
    """The result is that in float32, rounded; where float32 gives float32, bfloat16 gives bfloat16."""
    arrays = [rounded(a) for a in sample.arrays("float32")]
    wide = flat(sample.call(tensors(sample, arrays)))
    narrow = [a.astype(BF) if a.dtype == np.float32 else a for a in arrays]
    got = flat(sample.call(tensors(sample, narrow)))
    assert len(got) == len(wide)
    for y, e in zip(got, wide, strict=True):
        if not isinstance(e, Tensor):
            continue
        if e.dtype.kind == "f" and "dtype" not in sample.kw:
            assert y.dtype == BF, y.dtype
            close(
                sample.name,
                y.detach().numpy(),
                e.detach().numpy(),
                (0.3 if sample.name == "grid_sample" else 0.03) * sample.tol,
            )
        else:
            assert y.dtype == e.dtype


ONCE = {s.name: (id, s) for id, s in HALVES if s.grad}
"""one sample of every operation; that gradients are right is tested elsewhere, here it is their precision"""

KINKS = {"fmod", "grid_sample", "remainder", "lp_pool2d", "poisson_nll_loss", "unwrap"}
"""where an operand that is rounded comes to lie on another side, or a small difference decides"""


@pytest.mark.parametrize("sample", [pytest.param(s, id=id) for id, s in ONCE.values() if s.name not in KINKS])
def test_every_gradient(sample):
    arrays = [rounded(a) for a in sample.arrays("float32")]

    def derivatives(dtype):
        values = tensors(sample, [a.astype(dtype) if a.dtype == np.float32 else a for a in arrays])
        for t, recipe in zip(values, sample.recipes, strict=True):
            if recipe.differentiable and t.dtype == dtype:
                t.requires_grad_()
        ys = [y for y in flat(sample.call(values)) if isinstance(y, Tensor) and y.node is not None]
        rng = np.random.default_rng(1)
        seeds = [Tensor(rng.choice([-1.0, 0.5, 1.0], y.shape).astype(y.dtype)) for y in ys]
        xs = [v for v in values if v.node is not None]
        return xs, tg.grad(ys, xs, seeds, allow_unused=True)

    _, expected = derivatives(np.dtype("float32"))
    xs, got = derivatives(BF)
    for x, g, e in zip(xs, got, expected, strict=True):
        assert (g is None) == (e is None)
        if g is not None:
            assert g.dtype == x.dtype == BF
            close(sample.name, g.numpy(), e.numpy(), 0.06 * sample.tol)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_sequences_that_compiled_kernels_take(name):
    """Large enough for the kernel of all steps, of which the one of an LSTM has two results."""
    layer, wide = getattr(nn, name)(3, 40, dtype=BF), getattr(nn, name)(3, 40)
    wide.load_state_dict({key: value.astype("float32") for key, value in layer.state_dict().items()})
    x = rounded(np.random.default_rng(0).standard_normal((7, 9, 3)).astype("f"))
    y, last = layer(tg.tensor(x).astype(BF))
    expected, _ = wide(tg.tensor(x))
    assert y.dtype == BF and {t.dtype for t in (last if name == "LSTM" else (last,))} == {BF}
    close(name, y.detach().numpy(), expected.detach().numpy(), 0.03)
    y.sum().backward()
    assert {p.grad.dtype for p in layer.parameters()} == {BF}


# ---- layers and training -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("case", [pytest.param(i, id=f"{name}-{i}") for i, (name, _, _) in enumerate(CASES)])
def test_every_layer(case):
    """Forward gives bfloat16 near the values of float32, backward gradients of the parameters' dtype."""

    def run(dtype):
        rng = np.random.default_rng(case)
        given = [
            rng.standard_normal(g).astype(np.float32) if isinstance(g, tuple) else np.asarray(g) for g in CASES[case][2]
        ]
        given = [tg.tensor(rounded(a.astype(np.float32) if a.dtype.kind == "f" else a)) for a in given]
        tg.manual_seed(case)
        module = CASES[case][1]()
        if nn.layers.lazy.__name__ == type(module).__module__:
            module(*given)
        module.to(BF).to(dtype)
        tg.manual_seed(case)
        found, results = module(*(t.to(dtype) if t.dtype.kind == "f" else t for t in given)), []

        def collect(value):
            if isinstance(value, Tensor):
                results.append(value)
            else:
                for part in value or ():
                    collect(part)

        collect(found)
        results = [y for y in results if y.dtype.kind in "fV"]
        if any(y.node is not None for y in results):
            sum(y.float().square().mean() for y in results).backward()
        return module, results

    module, got = run(BF)
    _, expected = run(tg.float32)
    for y, e in zip(got, expected, strict=True):
        assert y.dtype == BF
        if CASES[case][0] not in ("KLDivLoss",):  # which is the difference of nearly equal numbers here
            close(CASES[case][0], y.detach().numpy(), e.detach().numpy(), 0.06)
    for name, p in module.named_parameters():
        assert p.dtype == BF and (p.grad is None or p.grad.dtype == BF), name


OPTIMISERS = [
    name for name in nn.optim.__all__
    if isinstance(kind := getattr(nn.optim, name), type) and issubclass(kind, nn.optim.Optimizer)
    and name not in ("Optimizer", "LBFGS", "Adaptive")
]  # fmt: skip


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser(name):
    """A quadratic goes down about as in float32, and what is remembered is bfloat16 too."""

    def run(dtype):
        w = tg.tensor(np.linspace(-1, 1, 2500), dtype=dtype, requires_grad=True)
        optimizer = getattr(nn.optim, name)([w], lr=0.02)
        for _ in range(4):
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()
        assert all(v.dtype == dtype for v in optimizer.state[w].values() if isinstance(v, Tensor))
        return w

    got, expected = run(BF), run(tg.float32)
    assert got.dtype == BF
    away = np.abs(expected.detach().numpy()) > 0.1  # where a step does not pass over the minimum
    np.testing.assert_allclose(got.float().detach().numpy()[away], expected.detach().numpy()[away], atol=0.02)


def test_master_weights_stay_float32():
    """autocast: products in bfloat16, losses and gradients of the weights in float32, no scaler needed."""
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.LayerNorm(32), nn.Linear(32, 2))
    optimizer = nn.optim.Adam(model.parameters(), lr=0.01)
    x, t = tg.randn(64, 8), tg.arange(64) % 2
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        with tg.autocast("bfloat16"):
            y = model(x)
            loss = nn.functional.cross_entropy(y, t)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert y.dtype == BF and loss.dtype == np.float32
    assert all(p.dtype == p.grad.dtype == np.float32 for p in model.parameters())
    assert losses[-1] < 0.8 * losses[0]

    @tg.autocast(BF)
    def inside(a):
        return a @ a

    assert inside(tg.ones(2, 2)).dtype == BF
    with tg.autocast("bfloat16"), tg.autocast("bfloat16", enabled=False):
        assert (tg.ones(2, 2) @ tg.ones(2, 2)).dtype == np.float32


# ---- what it is ----------------------------------------------------------------------------------------------------
def test_casts_round_to_even_and_keep_what_is_special():
    values = [1 + 2**-8, 1 + 3 * 2**-8, 3.3e38, 3.4e38, 1e-40, float("inf"), float("-inf"), float("nan"), -0.0]
    x = tg.tensor(values, dtype=tg.bfloat16)
    expected = [1.0, 1 + 4 * 2**-8, 3.3e38, float("inf"), 1e-40, float("inf"), float("-inf"), float("nan"), -0.0]
    np.testing.assert_allclose(x.astype("float64").numpy(), expected, rtol=2**-8, atol=1e-41)
    assert x[0].item() == 1.0 and x[1].item() == 1 + 4 * 2**-8
    for dtype in (tg.float16, tg.float32, tg.float64, tg.complex64, tg.int32, tg.bool):
        assert tg.tensor([0.0, 1.5], dtype=BF).astype(dtype).astype(BF).dtype == BF
    x = tg.tensor(1e3, requires_grad=True)
    y = x.astype("bfloat16").astype(tg.float32) * 2
    y.backward()
    assert x.grad.dtype == np.float32 and x.grad.item() == 2
    assert (tg.tensor([60000.0], dtype=BF) * 2).item() == 119808  # beyond float16


def test_printing():
    x = tg.tensor([1.0, 2.5], dtype="bfloat16", requires_grad=True)
    assert repr(x) == "tensor([1. , 2.5], dtype=bfloat16, requires_grad=True)"
    assert f"{x[1]:.2f}" == "2.50" and x.tolist() == [1.0, 2.5] and float(x[0]) == 1.0
    with pytest.raises(tg.ShapeError, match=r"bf16\[2\]"):
        x.reshape(3)


def test_copies_files_and_writes(tmp_path):
    x = tg.tensor([[1.0, 2.5]], dtype=BF)
    for y in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), tg.tensor(x.numpy()), x.clone()):
        assert y.dtype == BF and y.tolist() == x.tolist()
    nn.save({"x": x}, tmp_path / "x.npz")
    loaded = nn.load(tmp_path / "x.npz")["x"]
    assert loaded.dtype == np.float32 and loaded.tolist() == x.tolist()
    model = nn.Linear(2, 1, bias=False).to(BF)
    model.load_state_dict({"weight": loaded})
    assert model.weight.dtype == BF and model.weight.tolist() == x.tolist()
    x[0, 0] = 7.3
    x += 1
    x *= 0.5
    assert x.dtype == BF and x.tolist() == [[4.15625, 1.75]]


def test_second_derivatives():
    w = tg.tensor([3.0], dtype=BF, requires_grad=True)
    (g,) = tg.grad((w**3).sum(), [w], create_graph=True)
    (h,) = tg.grad(g.sum(), [w])
    assert g.dtype == h.dtype == BF and (g.item(), h.item()) == (27, 18)


def test_random_numbers():
    tg.manual_seed(0)
    x = tg.rand(4000, dtype=BF)
    assert x.dtype == BF and x.min().item() >= 0 and x.max().item() < 1 and abs(x.float().mean().item() - 0.5) < 0.02
    assert tg.randn(3, dtype=BF).dtype == tg.nn.functional.dropout(tg.ones(3, dtype=BF), 0.5).dtype == BF
    limits = tg.finfo(BF)
    assert (limits.bits, limits.eps, limits.smallest_normal) == (16, 2.0**-7, 2.0**-126)
    assert tg.isdtype(BF, "real floating") and not tg.isdtype(BF, "integral")


def test_operations_that_are_made_later_and_looked_at():
    """An operation of a user, and one that runs while somebody observes."""

    @tg.op
    def cube(be, x: tg.Array):
        return x * x * x

    cube.vjp(x=lambda g, x: g * 3 * x * x)
    x = tg.tensor([1.5], dtype=BF, requires_grad=True)
    with tg.debug():
        y = cube(x) + tg.exp(x) * 0
    y.sum().backward()
    assert y.dtype == x.grad.dtype == BF and (y.item(), x.grad.item()) == (3.375, 6.75)


def test_the_front_of_pytorch():
    import tensorgraph.torch as torch

    assert torch.bfloat16 is BF and torch.ones(2).bfloat16().dtype == torch.bfloat16 == torch.zeros(1, dtype=BF).dtype
    with torch.autocast("cpu"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with pytest.raises(AttributeError, match=r"torch\.bfloat17"):
        torch.bfloat17


def test_without_the_package(monkeypatch):
    import tensorgraph.torch as torch

    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    monkeypatch.setattr(brainfloat, "_dtype", None)
    for ask in (lambda: tg.bfloat16, lambda: tg.autocast("bfloat16")):
        with pytest.raises(tg.MissingPackageError, match=r"ml_dtypes[\s\S]*tensorgraph\[bfloat16\]"):
            ask()
    stand_in = torch.bfloat16  # programs may name it
    with pytest.raises(tg.MissingPackageError, match="ml_dtypes"):
        torch.zeros(2, dtype=stand_in)
    with torch.autocast("cpu"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


# ---- PyTorch's -----------------------------------------------------------------------------------------------------
FUNCTIONS = {
    "times a number": lambda x, m: x * 2.5, "divided": lambda x, m: x / 3, "integers": lambda x, m: x + m.arange(6),
    "exp": lambda x, m: m.exp(x), "tanh": lambda x, m: m.tanh(x), "sigmoid": lambda x, m: m.sigmoid(x),
    "product": lambda x, m: x @ x.T, "sum": lambda x, m: x.sum(), "mean": lambda x, m: x.mean(),
    "largest": lambda x, m: x.max(), "cumsum": lambda x, m: m.cumsum(x, 0), "softmax": lambda x, m: m.softmax(x, 1),
    "indexed": lambda x, m: x[1:3, [0, 2]], "where": lambda x, m: m.where(x > 0, x, 0.0),
    "log_softmax": lambda x, m: m.nn.functional.log_softmax(x, 1),
    "layer_norm": lambda x, m: m.nn.functional.layer_norm(x, (6,)),
    "float16": lambda x, m: x + m.ones(6, dtype=m.float16), "float32": lambda x, m: x * m.ones(6),
    "float64": lambda x, m: x + m.ones(6, dtype=m.float64), "compared": lambda x, m: x > 0,
    "cross_entropy": lambda x, m: m.nn.functional.cross_entropy(x, m.tensor([0, 1, 2, 5])),
    "mse_loss": lambda x, m: m.nn.functional.mse_loss(x, m.zeros(4, 6, dtype=m.bfloat16)),
}  # fmt: skip


@pytest.mark.peers
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_dtypes_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    a = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    x = tg.tensor(a, dtype=BF, requires_grad=True)
    t = torch.tensor(a).bfloat16().requires_grad_()
    y, u = FUNCTIONS[name](x, tg), FUNCTIONS[name](t, torch)
    assert str(u.dtype) == f"torch.{y.dtype.name}"
    if y.dtype.kind == "b":
        np.testing.assert_array_equal(y.numpy(), u.numpy())
        return
    close(name, y.detach().numpy(), u.detach().float().numpy(), 2**-7)
    y.sum().backward()
    u.sum().backward()
    assert x.grad.dtype == BF
    np.testing.assert_allclose(x.grad.float().numpy(), t.grad.float().numpy(), rtol=2**-6, atol=2**-6)


@pytest.mark.peers
def test_a_network_trains_as_pytorchs():
    """Convolution, batch and layer norm, a loss and clipping, all in bfloat16: the losses of the first steps."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)

    def layers(m):
        yield from (m.Conv2d(1, 4, 3, padding=1), m.BatchNorm2d(4), m.ReLU(), m.MaxPool2d(2), m.Flatten())
        yield from (m.Linear(36, 8), m.LayerNorm(8), m.GELU(), m.Linear(8, 3))

    theirs, mine = torch.nn.Sequential(*layers(torch.nn)), nn.Sequential(*layers(nn))
    mine.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    mine.to(BF), theirs.to(torch.bfloat16)
    x, t = np.random.default_rng(0).standard_normal((8, 1, 6, 6)).astype(np.float32), np.arange(8) % 3
    losses = []
    for model, library in ((mine, tg), (theirs, torch)):
        optim, tools = (nn.optim, nn) if library is tg else (torch.optim, torch.nn.utils)
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
        losses.append([])
        for _ in range(4):
            optimizer.zero_grad()
            y = model(library.tensor(x).to(library.bfloat16))
            loss = library.nn.functional.cross_entropy(y, library.tensor(t))
            loss.backward()
            tools.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses[-1].append(loss.detach().item())
    np.testing.assert_allclose(*losses, rtol=2**-6)
