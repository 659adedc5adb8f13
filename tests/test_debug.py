"""`debug()`: the first NaN or Inf stops, with the line, the cause and a file; what is meant is left alone."""

import inspect
import json
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import backends, nn, operation
from tensorgraph.fused import fusable
from tensorgraph.operation import registry

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def caught(f) -> tg.NonFiniteError:
    with pytest.raises(tg.NonFiniteError) as info, tg.debug():
        f()
    return info.value


def leaf(*values, dtype="float32"):
    return tg.tensor(np.array(values, dtype), requires_grad=True)


# ---- forward ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "f, index, cause, hint",
    [
        (lambda: tg.log(leaf(1, 0)), (1,), "logarithm of 0", "clip"),
        (lambda: tg.log(leaf(1, 2, -0.5)), (2,), "logarithm of a negative number does not exist: x = -0.5", "clip"),
        (lambda: tg.log1p(leaf(-1)), (0,), "logarithm of 0", None),
        (lambda: tg.sqrt(leaf(4, -1)), (1,), "square root of a negative", "clip"),
        (lambda: leaf(0, 1) / leaf(0, 1), (0,), "0 / 0", "where"),
        (lambda: leaf(3, 1) / leaf(0, 1), (0,), "division by zero: 3 / 0", "divisor"),
        (lambda: leaf(1e30) / leaf(1e-30), (0,), "tiny number overflows", "divisor"),
        (lambda: tg.exp(leaf(1, 200)), (1,), "e^200 overflows", "softmax"),
        (lambda: leaf(-2) ** 0.5, (0,), "power that is no integer", None),
        (lambda: leaf(0.0) ** -1.0, (0,), "0 to a negative power", None),
        (lambda: tg.asin(leaf(1.5)), (0,), "lives on [-1, 1]", "clip"),
        (lambda: leaf(np.inf) - leaf(np.inf), (0,), "infinities of both signs", None),
        (lambda: leaf(0) * leaf(np.inf), (0,), "0 times infinity", "where"),
        (lambda: tg.softmax(tg.full((2, 3), -np.inf), -1), (0, 0), "everything is -inf", None),
        (lambda: tg.var(leaf(1), correction=1), (), "the var of 1 value", "larger batch"),
        (lambda: tg.mean(tg.zeros(0)), (), "mean of nothing", None),
        (lambda: leaf(60000, dtype="float16") * 2, (0,), "overflows float16", "float32"),
        (lambda: tg.full((2,), 3e38) @ tg.full((2,), 3.0), (), "overflows float32", None),
        (lambda: leaf(1, np.nan) * 2, (1,), "NaN was in a[1] when it came in", "data"),
        (lambda: nn.functional.normalize(leaf(0, 0), dim=0, eps=0), (0,), "0 / 0", None),
    ],
)  # fmt: skip
def test_causes_forward(f, index, cause, hint):
    error = caught(f)
    assert error.index == index
    assert cause in str(error)
    assert hint is None or hint in str(error)


def test_the_report():
    class Net(nn.Module):
        def forward(self, x):
            return tg.log(x - 1)

    net, x = Net(), leaf(3, 1)
    error = caught(lambda: net(x))
    line = inspect.getsourcelines(Net.forward)[1] + 1
    assert str(error).splitlines() == [
        "log: -inf at [1], out of finite operands",
        f"  x  f32[2]  x - 1  test_debug.py:{line}  in Net",
        f"  line     tg.log(x - 1)   test_debug.py:{line}   in Net",
        "  values   x  min 0  max 2  mean 1  1 zero of 2  0 there",
        "  cause    the logarithm of 0 is minus infinity: x = 0",
        "  file     nan-log-1.npz   run it again: tensorgraph.debug.replay('nan-log-1.npz')",
        "  hint: keep it away from 0: log(x.clip(1e-12)); after a softmax use log_softmax, in a loss cross_entropy",
    ]
    twin = pickle.loads(pickle.dumps(error))
    assert str(twin) == str(error) and twin.index == (1,) and twin.path == error.path
    assert isinstance(error, FloatingPointError)


# ---- backward --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "f, name, cause",
    [
        (lambda x: tg.sqrt(x).sum(), "sqrt", "square root at 0 is infinite"),
        (lambda x: tg.where(x > 0, tg.sqrt(x), 0).sum(), "sqrt", "took the other branch"),
        (lambda x: (x**0.5).sum(), "pow", "a power below 1 at 0"),
        (lambda x: (x * 0 * 1e30 * 1e30).sum(), "multiply", "overflows float32"),
    ],
)  # fmt: skip
def test_causes_backward(f, name, cause):
    x = leaf(0, 4)
    error = caught(lambda: f(x).backward())
    assert str(error).startswith(f"backward of {name}: ")
    assert cause in str(error) and "rule     " in str(error)
    assert "test_debug.py" in str(error)


def test_a_sum_of_gradients_that_overflows():
    x = leaf(1, dtype="float16")

    def f():
        y = x * 1
        (y * 40000 + y * 40000).backward(tg.tensor(np.ones(1, np.float16)))

    with pytest.raises(tg.NonFiniteError, match=r"arrives at multiply(?s:.)*add up to it"), tg.debug(folder=None):
        with pytest.raises(tg.NonFiniteError, match="overflows float16"):  # the sum of the results, forward
            f()
        with tg.no_grad():
            x.fill_(0.5)
        f()


# ---- what is meant ---------------------------------------------------------------------------------------------------
def test_masks_pass():
    x = leaf(1, 2, 3)
    mask = tg.tensor([True, False, True])
    with tg.debug():
        scores = tg.where(mask, x, -np.inf)
        y = tg.softmax(scores, -1) + tg.softmax(x + tg.tensor([0.0, -np.inf, 0.0]), -1)
        y = y + tg.softmax(tg.masked_fill(x, ~mask, -np.inf), -1)
        q = tg.ones(2, 3, 4, requires_grad=True)
        a = nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True)
        pool = nn.functional.max_pool2d(tg.ones(1, 1, 3, 3, requires_grad=True), 2, padding=1)
        (y.sum() + a.sum() + pool.sum()).backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_nan_functions_take_nan():
    x = tg.tensor([[1.0, np.nan], [3.0, 4.0]], requires_grad=True)
    with tg.debug():
        tg.nanmean(x)
        tg.nanmedian(x, axis=0)
        tg.nan_to_num(x).sum().backward()
        assert tg.isnan(x).tolist() == [[False, True], [False, False]]


def test_what_happens_inside_an_operation_counts_only_if_its_result_goes_wrong():
    @tg.op
    def safe_log(be, x):
        return be.where(x > 0, tg.log(x), 0)

    safe_log.vjp(x=lambda g, x: tg.where(x > 0, g / x, 0))
    x = leaf(0, 1)
    with tg.debug():
        safe_log(x).sum().backward()
    assert x.grad.tolist() == [0, 1]


def test_only_one_of_the_two():
    with tg.debug(inf=False, folder=None):
        assert tg.log(leaf(0)).tolist() == [-np.inf]
    with tg.debug(nan=False, folder=None):
        assert np.isnan(tg.log(leaf(-1)).detach().numpy()).all()


# ---- what is covered -------------------------------------------------------------------------------------------------
def test_operations_defined_and_first_called_inside():
    with pytest.raises(tg.NonFiniteError, match=r"^inside: inf"), tg.debug():

        @tg.op
        def inside(be, x):
            return x / 0

        inside(leaf(1))

    @tg.op
    def before(be, x):
        return x / 0

    assert caught(lambda: before(leaf(1))).message.startswith("before: inf")
    assert np.isinf(before(leaf(1)).detach().numpy()).all(), "outside the block nothing stops"


def test_variadic_operations_and_functions():
    class Broken(tg.Function):
        @staticmethod
        def forward(ctx, x):
            return tg.tensor(x.numpy() / 0)

        @staticmethod
        def backward(ctx, g):
            return g * np.inf

    assert caught(lambda: Broken.apply(leaf(1))).message.startswith("Broken: inf")
    assert "NaN was in arrays[1][0]" in str(caught(lambda: tg.concat([leaf(1), leaf(np.nan)])))


def test_fused_kernels():
    @fusable
    def fused_for_debug(x, *, scale=1.0):
        return x * scale

    def kernel(be, x, *, wanted, scale=1.0):
        return x / (x - 1), lambda g: (g * scale / (x - 1),)

    backends.cpu.add_kernel("fused_for_debug", kernel)
    try:
        error = caught(lambda: fused_for_debug(leaf(2, 1)))
        assert error.message.startswith("fused_for_debug: inf at [1]")
        assert np.isinf(tg.debug.replay(error.path).results[0]).tolist() == [False, True]
        backends.cpu.add_kernel("fused_for_debug", lambda be, x, *, wanted, scale: (x, lambda g: (g / (x - 1),)))
        error = caught(lambda: fused_for_debug(leaf(2, 1), scale=2.0).sum().backward())
        assert error.message.startswith("backward of fused_for_debug: inf at [1]")
        again = tg.debug.replay(error.path)
        assert again.settings == {"scale": 2.0} and np.isinf(again.results[0]).tolist() == [False, True]
    finally:
        backends.cpu._kernels.pop("fused_for_debug")


def test_checkpointed_parts_and_recorded_backward_passes():
    x = leaf(0, 4)
    assert "backward of sqrt" in str(caught(lambda: tg.checkpoint(tg.sqrt, x).sum().backward()))
    with tg.debug():
        y = tg.grad((leaf(2) ** 3).sum(), x, create_graph=True, allow_unused=True)
        assert y is None
        z = leaf(2)
        g = tg.grad((z**3).sum(), z, create_graph=True)
        assert tg.grad(g.sum(), z).tolist() == [12]


def test_everything_is_put_back():
    table, kernels, apply = operation.functions, backends.cpu._kernels, tg.Function.apply.__func__
    with tg.debug(), tg.profile():
        pass
    assert backends.cpu._kernels is kernels and operation.on_new == operation.functions.add
    assert tg.Function.apply.__func__ is apply
    for function in table:
        space = function if function.op.variadic else function.__globals__
        found = space.forward if function.op.variadic else space["forward"]
        assert found is function.op.forward
    from tensorgraph import backward

    assert backward.watch is None and operation.Node is type(leaf(1).node)


def test_after_an_error_and_twice():
    block = tg.debug()
    with block, pytest.raises(tg.GraphError, match="already on"):
        block.__enter__()
    with block:
        pass
    with pytest.raises(ZeroDivisionError), block:
        1 / 0
    assert registry["log"].forward is tg.log.__globals__["forward"]


def test_other_threads_are_not_concerned():
    results = []
    with tg.debug():
        thread = threading.Thread(target=lambda: results.append(tg.log(leaf(0)).tolist()))
        thread.start()
        thread.join()
    assert results == [[-np.inf]]


def test_decorator():
    @tg.debug(folder=None)
    def f(x):
        """Its text."""
        return tg.log(x)

    assert f.__doc__ == "Its text." and f(leaf(1)).tolist() == [0]
    with pytest.raises(tg.NonFiniteError):
        f(leaf(0))
    with pytest.raises(tg.DtypeError, match="decorates a function"):
        tg.debug()(3)


def test_environment_variable(tmp_path):
    code = "import tensorgraph as tg; tg.log(tg.tensor([0.0]))"
    for value, expected in (("1", 1), ("0", 0)):
        env = os.environ | {"TENSORGRAPH_DEBUG": value, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == expected and ("NonFiniteError: log: -inf at [0]" in done.stderr) == (value == "1")


# ---- the file --------------------------------------------------------------------------------------------------------
def test_replay_forward_and_backward():
    error = caught(lambda: tg.log(leaf(1, 0)))
    again = tg.debug.replay(error.path)
    assert again.name == "log" and not again.backward and again.operands["x"].tolist() == [1, 0]
    assert again.results[0].tolist() == [0, -np.inf]
    assert "-inf at [1]" in str(again)
    x = leaf(0, 4)
    error = caught(lambda: tg.sqrt(x).sum().backward())
    again = tg.debug.replay(error.path)
    assert again.backward and again.results[0].tolist() == [np.inf, 0.25]
    with np.load(error.path, allow_pickle=False) as file:
        assert json.loads(str(file["call"]))["name"] == "sqrt"


def test_settings_of_every_kind_survive():
    error = caught(lambda: tg.softmax(tg.full((2, 3), -np.inf), axis=1))
    assert tg.debug.replay(error.path).settings == {"axis": 1}
    x = tg.tensor([[1.0, np.nan, 2.0]])
    error = caught(lambda: x[..., 1:3, None])
    again = tg.debug.replay(error.path)
    assert again.settings["index"] == (Ellipsis, slice(1, 3, None), None)
    assert np.isnan(again.results[0]).reshape(-1).tolist() == [True, False]
    error = caught(lambda: tg.astype(tg.tensor([1e30]), "float16"))
    assert tg.debug.replay(error.path).results[0].dtype == np.float16
    with tg.debug(), pytest.raises(tg.NonFiniteError) as info:
        tg.concat([tg.ones(2), tg.tensor([np.nan])])
    assert tg.debug.replay(info.value.path).results[0].shape == (3,)


def test_large_operands_are_cut_down_when_the_part_goes_wrong_too():
    x = np.ones((600, 600), np.float32)
    x[7, 11] = 0
    error = caught(lambda: tg.log(tg.tensor(x)))
    assert error.index == (7, 11)
    again = tg.debug.replay(error.path)
    assert again.operands["x"].shape == (1, 1) and np.isneginf(again.results[0]).all()
    x[7] = -np.inf
    error = caught(lambda: tg.softmax(tg.tensor(x), -1))
    assert tg.debug.replay(error.path).operands["x"].shape == (1, 1)  # a row of its own
    assert Path(error.path).stat().st_size < 10_000


def test_files_are_never_overwritten_and_trouble_is_told():
    paths = [caught(lambda: tg.log(leaf(0))).path for _ in range(2)]
    assert paths == ["nan-log-1.npz", "nan-log-2.npz"]
    with pytest.raises(tg.NonFiniteError, match="could not be written") as info, tg.debug(folder="not/there"):
        tg.log(leaf(0))
    assert info.value.path is None
    with pytest.raises(tg.NonFiniteError, match="none was asked for"), tg.debug(folder=None):
        tg.log(leaf(0))
    Path("other.npz").write_bytes(b"something else")
    with pytest.raises(tg.CorruptDataError, match="no file that debug"):
        tg.debug.replay("other.npz")
    with pytest.raises(FileNotFoundError):
        tg.debug.replay("missing.npz")


def test_an_operation_that_cannot_be_found_again():
    @tg.op
    def local(be, x):
        return x / 0

    error = caught(lambda: local(leaf(1)))
    with pytest.raises(tg.GraphError, match="replay: there is no operation"):
        tg.debug.replay(error.path)


# ---- other devices ---------------------------------------------------------------------------------------------------
def test_on_arrays_that_are_not_numpys(fence):
    def on_fence(*values):
        return tg.Tensor(fence.from_host(np.array(values, np.float32), "fence")).requires_grad_()

    error = caught(lambda: tg.log(on_fence(1, 0)))
    assert error.index == (1,) and "logarithm of 0" in str(error)
    assert tg.debug.replay(error.path).results[0].tolist() == [0, -np.inf]
    x = on_fence(0, 4)
    assert "took the other branch" in str(caught(lambda: tg.where(x > 0, tg.sqrt(x), 0).sum().backward()))
    with tg.debug(), tg.profile() as p:
        y = (x * x).sum()
        y.backward()
    assert {row.name for row in p.operations()} >= {"multiply", "sum"}
    x.grad = None
    z = tg.relu(x - 10).sum()
    z.backward(retain_graph=True)
    assert "dead" in tg.why(x, z)
    assert any(row.device == x.device for row in tg.memory_report().rows)


def test_healthy_models_pass():
    tg.manual_seed(0)
    image = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.5), nn.GELU(),
        nn.Flatten(), nn.Linear(64, 5), nn.LogSoftmax(1),
    )  # fmt: skip
    sequence, attention = nn.LSTM(3, 4, num_layers=2), nn.MultiheadAttention(4, 2)
    norm, table = nn.LayerNorm(4), nn.Embedding(7, 3)
    parts = (image, sequence, attention, norm, table)
    optimizer = nn.optim.Adam([p for part in parts for p in part.parameters()], lr=1e-2)
    causal = tg.tensor(np.triu(np.full((5, 5), -np.inf, np.float32), 1))
    with tg.debug(folder=None):
        for _ in range(2):
            optimizer.zero_grad()
            loss = nn.functional.nll_loss(image(tg.randn(6, 3, 8, 8)), tg.tensor([0, 1, 2, 3, 4, 0]))
            h, _ = sequence(table(tg.randint(0, 7, size=(5, 2))))
            a, _ = attention(norm(h), h, h, attn_mask=causal)
            loss = loss + nn.functional.binary_cross_entropy_with_logits(a, tg.ones_like(a.detach()))
            loss = loss + nn.functional.kl_div(tg.log_softmax(h, -1), tg.softmax(h, -1)) + tg.norm(a)
            loss = loss + nn.functional.ctc_loss(tg.log_softmax(h, -1), tg.tensor([[1], [2]]), (5, 5), (1, 1))
            loss.backward()
            nn.clip_grad_norm_(image.parameters(), 1.0)
            optimizer.step()
    assert np.isfinite(loss.item())
