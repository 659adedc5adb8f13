"""Captured steps: the same numbers as eager ones, bit for bit; and a reason wherever a step cannot be captured.

What a GPU does is played by tests/playback.py: work that is recorded is not computed before it is launched, and a
launch runs it again on the same memory. The calls to CuPy are checked in order by a module that plays CuPy.
"""

from __future__ import annotations

import copy
import re
from types import SimpleNamespace

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.backends.cuda_graphs import CudaGraphs
from tensorgraph.capturing import current
from tensorgraph.nn.optim import lr_scheduler
from tests import playback


@pytest.fixture
def device():
    with playback.installed() as playing:
        yield playing


def host(t: tg.Tensor) -> np.ndarray:
    return t.detach().to(device="cpu").numpy().copy()


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(16, 8),
        nn.LayerNorm(8),
        nn.Linear(8, 3),
    )


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 3 * 3, 3),
    )


SHAPES = {mlp: (5, 6), convolutional: (5, 1, 6, 6)}


def batches(shape, n: int = 7):
    rng = np.random.default_rng(1)
    for _ in range(n):
        yield (
            tg.tensor(rng.standard_normal(shape, dtype=np.float32)).to(device="fence"),
            tg.tensor(rng.integers(0, 3, shape[0])).to(device="fence"),
        )


def train(make, optimizer, *, captured: bool, schedule=None, clip=None, n: int = 7, half: bool = False):
    """Losses, parameters, buffers, gradients and what the optimiser remembers, after n steps on the device."""
    tg.manual_seed(3)
    model = make().to(device="fence")
    optimizer = optimizer(model.parameters())
    criterion = nn.CrossEntropyLoss()
    rates = schedule(optimizer) if schedule else None
    scaler = nn.optim.GradScaler(init_scale=2.0**40, growth_interval=2, enabled=half)

    def step(x, t):
        optimizer.zero_grad()
        with tg.autocast("float16", enabled=half):
            loss = criterion(model(x), t)
        scaler.scale(loss).backward()
        if clip:
            nn.clip_grad_norm_(model.parameters(), clip)
        scaler.step(optimizer)
        scaler.update()
        if rates is not None:
            rates.step()
        return loss

    run = tg.capture(step, strict=True) if captured else step
    losses = [run(x, t) for x, t in batches(SHAPES[make], n)]
    found = {f"loss {i}": host(loss) for i, loss in enumerate(losses)}
    found |= {name: host(t) for name, t in model.state_dict().items()}
    found |= {f"gradient of {name}": host(p.grad) for name, p in model.named_parameters()}
    for i, p in enumerate(model.parameters()):
        found |= {f"{k} {i}": host(v) if isinstance(v, tg.Tensor) else v for k, v in optimizer.state[p].items()}
    found |= {"scaler": scaler.state_dict(), "rates": [group["lr"] for group in optimizer.param_groups]}
    return found, run


def same(got: dict, expected: dict) -> None:
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, np.ndarray):
            assert got[name].dtype == value.dtype
            assert got[name].tobytes() == value.tobytes() and got[name].shape == value.shape, (name, got[name], value)
        else:
            assert got[name] == value, name


OPTIMISERS = {
    "SGD": lambda p: nn.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda p: nn.optim.Adam(p, lr=0.01, weight_decay=0.1),
    "RAdam": lambda p: nn.optim.RAdam(p, lr=0.01),
    "NAdam": lambda p: nn.optim.NAdam(p, lr=0.01),
    "RMSprop": lambda p: nn.optim.RMSprop(p, lr=0.01, centered=True),
    "Adagrad": lambda p: nn.optim.Adagrad(p, lr=0.1, lr_decay=0.1),
}


# ---- eager == replay ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("optimizer", OPTIMISERS.values(), ids=OPTIMISERS.keys())
def test_a_replay_is_an_eager_step_bit_for_bit(device, optimizer):
    """Dropout and its generator, running statistics, the step counts and what the optimiser remembers included."""
    expected, _ = train(mlp, optimizer, captured=False)
    got, step = train(mlp, optimizer, captured=True)
    same(got, expected)
    assert step.reason is None and "launched 5 times" in repr(step)
    assert len({value.tobytes() for name, value in got.items() if name.startswith("loss")}) == 7


def test_convolution_with_a_schedule_and_clipping(device):
    def schedule(optimizer):
        return lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10)

    options = dict(schedule=schedule, clip=0.5)
    expected, _ = train(convolutional, OPTIMISERS["SGD"], captured=False, **options)
    got, step = train(convolutional, OPTIMISERS["SGD"], captured=True, **options)
    same(got, expected)
    assert step.reason is None


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_mixed_precision_with_steps_that_are_skipped(device):
    """The scale starts too large, so the first steps overflow, are skipped, and the scale shrinks between replays."""
    expected, _ = train(mlp, OPTIMISERS["SGD"], captured=False, half=True, n=30)
    got, step = train(mlp, OPTIMISERS["SGD"], captured=True, half=True, n=30)
    same(got, expected)
    assert step.reason is None and expected["scaler"]["scale"] < 2.0**40
    assert np.isfinite(expected["loss 29"]) and (expected["6.weight"] != 0).all()


def test_the_cpu_runs_eagerly():
    def run(captured):
        tg.manual_seed(0)
        model = mlp()
        optimizer = nn.optim.SGD(model.parameters(), lr=0.1)

        def step(x, t, *, scale=1.0):
            """Doc."""
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), t) * scale
            loss.backward()
            optimizer.step()
            return loss

        step = tg.capture(step) if captured else step
        x, t = tg.ones(4, 6), tg.tensor([0, 1, 2, 0])
        return step, [host(step(x, t, scale=2.0)) for _ in range(5)], host(model[0].weight)

    step, *got = run(True)
    _, *expected = run(False)
    assert str(got) == str(expected)
    assert step.__name__ == "step" and step.__doc__ == "Doc." and step.reason == "on the CPU every call runs eagerly"


def test_gradients_accumulate_where_they_are(device):
    """Without zero_grad in the step: it adds to the gradient of the steps before, in place."""

    def run(captured):
        w = tg.tensor([1.0, 2.0]).to(device="fence").requires_grad_()

        def step(x):
            loss = (w * x).square().sum()
            loss.backward()
            return loss

        step = tg.capture(step) if captured else step
        seen = []
        for i in range(12):
            if i % 4 == 0:
                w.grad = None
            step(tg.tensor([1.0, float(i)]).to(device="fence"))
            seen.append(host(w.grad))
        return seen

    np.testing.assert_array_equal(run(True), run(False))


def test_a_replay_gives_gradients_back(device):
    """Also where somebody dropped them since; and drops them where the step does."""
    w = tg.ones(2).to(device="fence").requires_grad_()
    optimizer = nn.optim.SGD([w], lr=0.0)

    def step(x, keep):
        optimizer.zero_grad()
        (w * x).sum().backward()
        if not keep:
            optimizer.zero_grad()

    step = tg.capture(step)
    for keep in (True, False):
        for i in range(6):
            step(tg.full((2,), float(i)).to(device="fence"), keep)
            assert host(w.grad).tolist() == [i, i] if keep else w.grad is None
            if i % 2:
                w.grad = None
            elif not keep:
                w.grad = tg.ones(2).to(device="fence")
        assert step.reason is None


def test_a_seed_in_the_middle(device):
    """manual_seed between replays, and the state of the generator behind them."""

    def run(captured):
        tg.manual_seed(5)
        step = lambda x: nn.functional.dropout(x, 0.5)
        step = tg.capture(step) if captured else step
        x, seen, states = tg.ones(50).to(device="fence"), [], []
        for i in range(9):
            if i == 5:
                tg.manual_seed(6)
            if i == 7:
                tg.set_rng_state(states[4])
            states.append(tg.get_rng_state())
            seen.append(host(step(x)))
        return seen, tg.default_generator("fence").get_state()

    got, expected = run(True), run(False)
    np.testing.assert_array_equal(got[0], expected[0])
    assert got[1] == expected[1]
    assert (got[0][4] == got[0][7]).all() and (got[0][4] != got[0][5]).any()


def test_results_are_values(device):
    """Each call gives tensors of its own, in the structure of the step; what was there before is given as it is."""
    w = tg.ones(2).to(device="fence").requires_grad_()

    @tg.capture
    def step(x, *, more):
        y = w.detach() * x
        return {"y": y, "pair": (y + more[0], "text", 3), "same": x, "weight": w}

    kept = []
    for i in range(5):
        x, z = tg.full((2,), float(i)).to(device="fence"), tg.ones(2).to(device="fence")
        kept.append((step(x, more=[z]), x))
    assert step.reason is None
    for i, (result, x) in enumerate(kept):
        assert host(result["y"]).tolist() == [i, i] and host(result["pair"][0]).tolist() == [i + 1, i + 1]
        assert result["pair"][1:] == ("text", 3) and result["same"] is x and result["weight"] is w
        assert result["y"].node is None


def test_a_method(device):
    class Job:
        def __init__(self, factor):
            self.w = tg.full((1,), factor).to(device="fence")

        @tg.capture
        def step(self, x):
            return self.w * x

    jobs = Job(2.0), Job(3.0)
    for i in range(5):
        x = tg.full((1,), float(i)).to(device="fence")
        assert [host(job.step(x)).item() for job in jobs] == [2.0 * i, 3.0 * i]
    assert Job.step.reason is None and len(repr(Job.step).splitlines()) == 3


# ---- cases ----------------------------------------------------------------------------------------------------------
def test_every_shape_and_mode_has_its_graph(device):
    model = mlp().to(device="fence")
    step = tg.capture(lambda x, flag: model(x) if flag else -model(x), graphs=5)

    def call(n, flag=True, grad=False):
        with tg.set_grad_enabled(grad):
            return step(tg.ones(n, 6).to(device="fence"), flag)

    for n, flag in [(3, True), (4, True), (4, False)]:
        reasons = [(call(n, flag), step.reason)[1] for _ in range(4)]
        assert reasons == ["warm-up, call 1 of 2", "warm-up, call 2 of 2", None, None]
    model.eval()
    reasons = [(call(4), step.reason)[1] for _ in range(3)]
    assert reasons[0] == "warm-up, call 1 of 2" and reasons[2] is None
    np.testing.assert_array_equal(host(call(4)), host(model(tg.ones(4, 6).to(device="fence"))))
    model.train()
    launched = device.events.count("launch")
    call(4)
    assert step.reason is None and device.events.count("launch") == launched + 1  # the graph of before
    with tg.kernels(False):
        call(4)
        assert step.reason == "warm-up, call 1 of 2"
    call(9)
    assert step.reason == "there are 5 captured combinations of arguments already (graphs=5)"
    text = repr(step)
    assert "f32[3,6]" in text and "captured in 1 graphs, launched 2 times" in text and "1 eager calls" in text
    step.reset()
    call(9)
    assert step.reason == "warm-up, call 1 of 2"


def test_numbers_are_part_of_the_case(device):
    step = tg.capture(lambda x, factor: x * factor, warmup=1)
    x = tg.ones(1).to(device="fence")
    for factor in (2, 2.0, True, 3):
        for _ in range(3):
            y = step(x, factor)
            assert host(y).item() == factor
        assert step.reason is None


# ---- what makes a graph stale ----------------------------------------------------------------------------------------
def test_a_parameter_that_was_exchanged(device):
    model = nn.Linear(2, 1, bias=False).to(device="fence")
    step = tg.capture(lambda x: model(x).detach())
    x = tg.ones(1, 2).to(device="fence")
    for factor in (1.0, 2.0, 3.0, 4.0):
        model.weight.data = tg.full((1, 2), factor).to(device="fence")
        for _ in range(4):
            assert host(step(x)).item() == 2 * factor
        assert step.reason is None
    model.weight.data = tg.full((1, 2), 5.0).to(device="fence")
    assert host(step(x)).item() == 10
    assert "captured 4 times" in step.reason and "was given another array" in step.reason
    model.load_state_dict({"weight": tg.full((1, 2), 7.0)})  # writes in place
    assert host(step(x)).item() == 14


def test_loading_in_place_is_seen(device):
    model = nn.Linear(2, 1, bias=False).to(device="fence")
    step = tg.capture(lambda x: model(x).detach())
    x = tg.ones(1, 2).to(device="fence")
    for i in range(6):
        model.load_state_dict({"weight": tg.full((1, 2), float(i))})
        assert host(step(x)).item() == 2 * i
    assert step.reason is None


def test_a_backward_pass_notices_what_a_replay_wrote(device):
    w = tg.ones(2).to(device="fence")

    @tg.capture
    def step(x):
        with tg.no_grad():
            w.add_(x)

    x = tg.ones(2).to(device="fence")
    for _ in range(4):
        step(x)
    a = tg.ones(2).to(device="fence").requires_grad_()
    y = a * w
    step(x)
    with pytest.raises(tg.GraphError, match="overwritten"):
        y.sum().backward()


# ---- what cannot be captured ----------------------------------------------------------------------------------------
def parameters():
    w = tg.ones(3).to(device="fence").requires_grad_()
    return w, nn.optim.SGD([w], lr=0.5, momentum=0.5)


def sync_first(w, optimizer, x):
    scale = float(x.sum())
    optimizer.zero_grad()
    (w * x).sum().backward()
    optimizer.step()
    return w.detach() * scale


def sync_last(w, optimizer, x):
    optimizer.zero_grad()
    loss = (w * x).square().sum()
    loss.backward()
    optimizer.step()
    return loss.item()


def copies_up(w, optimizer, x):
    optimizer.zero_grad()
    (w * x * tg.tensor([1.0, 2.0, 3.0]).to(device="fence")).sum().backward()
    optimizer.step()
    return w.detach()


def wait(array):
    """What CUDA does with one who waits for the device during a capture."""
    if current() is not None:
        raise RuntimeError("cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing")


def array_library(w, optimizer, x):
    (w * x).sum().backward()
    wait(w.grad.array)  # past tensorgraph
    optimizer.step()
    w.grad = None
    return w.detach()


def product(w, optimizer, x):
    optimizer.zero_grad()
    (tg.dropout(w, 0.5).reshape(1, 3) @ x.reshape(3, 1)).sum().backward()
    optimizer.step()
    return w.detach()


def open_graph(w, optimizer, x):
    return (w * x).sum()


def closure(w, optimizer, x):
    def loss():
        optimizer.zero_grad()
        loss = (w * x).square().sum()
        loss.backward()
        return loss

    return optimizer.step(loss)


REFUSED = {
    sync_first: "reads values", sync_last: "reads values", copies_up: "copies values",
    array_library: "RuntimeError: cudaErrorStreamCapture", product: "NotImplementedError: .*cuBLAS",
    open_graph: "graph is still open", closure: "step returned a tensor",
}  # fmt: skip


@pytest.mark.parametrize("body", REFUSED, ids=lambda body: body.__name__)
def test_a_step_that_cannot_be_captured_runs_eagerly(device, body):
    """Every call gives what an eager one gives, the one that tried included; nothing is done twice."""

    def run(captured):
        tg.manual_seed(0)
        device.refused = ("matmul", "dot")
        w, optimizer = parameters()
        step = lambda x: body(w, optimizer, x)
        step = tg.capture(step) if captured else step
        seen = []
        for i in range(5):
            y = step(tg.tensor([0.1, 0.2, 0.3 * i]).to(device="fence"))
            seen.append(np.array(y if isinstance(y, float) else host(y)))
            seen.append(host(w))
        return step, seen, tg.default_generator("fence").get_state()

    step, *got = run(True)
    _, *expected = run(False)
    assert str(got) == str(expected)
    assert step.reason is not None and re.search(REFUSED[body], step.reason), step.reason


def test_strict(device):
    step = tg.capture(strict=True)(lambda x: float(x.sum()))
    x = tg.ones(3).to(device="fence")
    assert step(x) == step(x) == 3
    for _ in range(2):
        with pytest.raises(tg.BackendError, match=r"cannot be captured: it reads values[\s\S]*strict=False"):
            step(x)


def test_a_failure_behind_an_update(device):
    """Two updates in a step, and what cannot be captured between them: nothing may be made twice, so it is an error."""
    w, optimizer = parameters()

    @tg.capture
    def step(x):
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()
        wait(w.array)
        return w.detach()

    x = tg.ones(3).to(device="fence")
    step(x), step(x)
    before = host(w)
    with pytest.raises(RuntimeError, match="StreamCapture"):
        step(x)
    assert (host(w) != before).all() and current() is None
    again = copy.deepcopy(host(w))
    step(x)
    assert "RuntimeError" in step.reason and (host(w) < again).all()


def test_a_users_error_is_the_users(device):
    step = tg.capture(lambda x, n: x.reshape(n))
    x = tg.ones(6).to(device="fence")
    for _ in range(4):
        with pytest.raises(tg.ShapeError):
            step(x, 5)
    assert current() is None
    assert host(step(x, 6)).shape == (6,)


def test_arguments(device):
    x = tg.ones(3).to(device="fence")
    for bad in ({"warmup": 0}, {"graphs": 0}, {"warmup": 1.5}):
        with pytest.raises(tg.ArgumentError, match="from 1 on"):
            tg.capture(lambda x: x, **bad)
    with pytest.raises(TypeError, match="decorates a function"):
        tg.capture(3)
    step = tg.capture(lambda x, more=None: x * 2)
    step(x, np.ones(3))
    assert "cannot be compared" in step.reason
    step(x.clone().requires_grad_())
    assert "asks for a gradient" in step.reason
    inner = tg.capture(lambda x: x * 2)
    outer = tg.capture(lambda x: inner(x) + 1)
    for _ in range(5):
        assert host(outer(x)).tolist() == [3, 3, 3]
    assert outer.reason is None and "another captured step" not in str(outer)


# ---- the calls to CuPy ----------------------------------------------------------------------------------------------
class Fake:
    """A CuPy that writes down what is asked of it."""

    def __init__(self, broken: bool = False):
        self.events: list[str] = []
        self.broken = broken
        self.cuda = SimpleNamespace(
            MemoryPool=lambda: SimpleNamespace(malloc="the pool"),
            Stream=self.stream,
            using_allocator=lambda malloc: self.block(f"allocator {malloc}"),
        )

    def block(self, name):
        return SimpleBlock(self.events, name)

    def stream(self, non_blocking):
        assert non_blocking
        stream = self.block("stream")
        stream.begin_capture = lambda: self.events.append("begin_capture")
        stream.end_capture = self.end_capture
        stream.is_capturing = lambda: False
        return stream

    def end_capture(self):
        self.events.append("end_capture")
        if self.broken:
            raise RuntimeError("cudaErrorStreamCaptureInvalidated")
        return SimpleNamespace(launch=lambda: self.events.append("launch"))


class SimpleBlock:
    def __init__(self, events, name):
        self.events, self.name = events, name

    def __enter__(self):
        self.events.append(f"({self.name}")
        return self

    def __exit__(self, *exc_info):
        self.events.append(f"{self.name})")


def test_the_calls_to_cupy():
    cupy = Fake()
    graphs = CudaGraphs(cupy, cupy.block("device"))
    cupy.events.clear()
    inside, outside = (
        ["(device", "(stream", "(allocator the pool"], ["allocator the pool)", "stream)", "device)"]
    )  # fmt: skip
    graphs.begin()
    assert cupy.events == [*inside, "begin_capture"]
    cupy.events.clear()
    launch = graphs.end()
    assert cupy.events == ["end_capture", *outside]
    cupy.events.clear()
    launch(), launch()
    assert cupy.events == ["(device", "launch", "device)"] * 2
    graphs.begin()
    cupy.events.clear()
    graphs.abandon()
    assert cupy.events == ["end_capture", *outside]


def test_a_capture_that_cuda_broke_off():
    cupy = Fake(broken=True)
    graphs = CudaGraphs(cupy, cupy.block("device"))
    graphs.begin()
    cupy.events.clear()
    graphs.abandon()
    assert cupy.events == ["end_capture", "allocator the pool)", "stream)", "device)"]
    graphs.begin()
    with pytest.raises(RuntimeError, match="Invalidated"):
        graphs.end()
    assert cupy.events[-3:] == ["allocator the pool)", "stream)", "device)"]
