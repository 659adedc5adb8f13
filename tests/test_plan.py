"""`tg.plan`: agrees with what real steps take, computes nothing, and leaves everything as it was."""

from __future__ import annotations

import threading
import tracemalloc

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.errors import ArgumentError, BackendError, GraphError, ShapeError


# ---- how much --------------------------------------------------------------------------------------------------------
def measured(build, make, loss, optimizer, n: int) -> int:
    """Peak of a second training step as tracemalloc sees it, of steps whose kernels have their buffers already."""
    for counted in (False, True):
        if counted:
            tracemalloc.start()
        try:
            model = build()
            updates = optimizer(model.parameters())
            for _ in range(2):
                updates.zero_grad()
                if counted:
                    tracemalloc.reset_peak()
                x = make(n)
                y = model(x)
                total = loss(y)
                total.backward()
                updates.step()
                del x, y, total
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    return peak


class Letters(nn.Module):
    def __init__(self, middle: nn.Module):
        super().__init__()
        self.embedding = nn.Embedding(50, 32)
        self.middle = middle
        self.linear = nn.Linear(32, 50)

    def forward(self, text):
        y = self.middle(self.embedding(text))
        return self.linear(y[0] if isinstance(y, tuple) else y).reshape(-1, 50)


def text(n: int):
    return tg.zeros(n, 40, dtype="int64")


def image(n: int):
    return tg.zeros(n, 3, 32, 32)


def block(channels: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU())


NETWORKS = {
    "perceptron": (lambda: nn.Sequential(nn.Linear(300, 400), nn.GELU(), nn.Dropout(0.1), nn.Linear(400, 50)),
                   lambda n: tg.zeros(16 * n, 300)),
    "images": (lambda: nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.MaxPool2d(2), block(16), nn.Conv2d(16, 32, 3),
                                     nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 50)), image),
    "lstm": (lambda: Letters(nn.LSTM(32, 32, batch_first=True)), text),
    "gru": (lambda: Letters(nn.GRU(32, 32, batch_first=True)), text),
    "plain recurrent": (lambda: Letters(nn.RNN(32, 32)), text),
    "transformer": (lambda: Letters(nn.TransformerEncoderLayer(32, 2, 64, batch_first=True)), text),
}  # fmt: skip


def of_class_0(y):
    return nn.functional.cross_entropy(y, tg.zeros(len(y), dtype="int64"))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_plan_agrees_with_what_real_steps_take(name):
    build, make = NETWORKS[name]
    found = tg.plan(build(), make, loss=of_class_0, optimizer=nn.optim.Adam)
    for n in (24, 64):
        assert found.peak(n) == pytest.approx(measured(build, make, of_class_0, nn.optim.Adam, n), rel=0.06)


def test_the_parts_and_the_largest_batch():
    model = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(32 * 12 * 12, 200), nn.ReLU(), nn.Linear(200, 10)),
    )
    found = tg.plan(model, (1, 28, 28), optimizer=nn.optim.Adam)
    assert found.parts["optimiser"] == 2 * found.parts["parameters"] == 8 * sum(p.size for p in model.parameters())
    for memory in (100 << 20, 500 << 20, 3 << 30):
        most = found.largest_batch(memory)
        assert found.peak(most) <= memory < found.peak(most + 1)
    assert found.largest_batch(1 << 20) == 0
    assert found.largest_batch(found.peak(1)) == 1
    assert found.at_peak(1000).name.startswith("backward of ")


def test_a_program_that_compares_samples_is_planned_rightly():
    """Where memory grows with the square of the batch, no line through two points tells it."""
    model, size = nn.Linear(4, 4), 4 * 4096**2

    def distances(y):
        return (y @ y.T).sum()

    found = tg.plan(model, (4,), loss=distances)
    assert size < found.peak(4096) < 3 * size
    most = found.largest_batch(1 << 30)
    assert found.peak(most) <= 1 << 30 < found.peak(most + 1)


def test_who_holds_it_at_the_peak():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(100, 200)

        def forward(self, x):
            return (self.fc(x).exp() * 2).tanh()

    held = tg.plan(Model(), (100,)).at_peak(500).held
    exp = next(row for row in held.rows if row.name == "exp")
    assert (exp.bytes, exp.module, exp.kind) == (4 * 500 * 200, "Model", "made forwards")
    assert exp.place.startswith("test_plan.py:") and exp.expression == "self.fc(x).exp()"
    assert next(row for row in held.rows if row.kind == "parameters").bytes == 4 * (100 * 200 + 200)
    assert next(row for row in held.rows if row.kind == "input").bytes == 4 * 500 * 100
    assert held.total == tg.plan(Model(), (100,)).peak(500)
    assert "self.fc(x).exp()" in str(held)


def test_layers_of_the_library_are_named_by_their_modules():
    found = tg.plan(nn.Sequential(nn.Linear(10, 100), nn.ReLU()), (10,))
    assert found.at_peak(100).name == "backward of relu, Sequential.1"
    assert all("test_plan.py" not in row.place for row in found.at_peak(100).held.rows if row.module)


# ---- no arithmetic ---------------------------------------------------------------------------------------------------
def test_a_million_images_take_no_memory():
    with nn.init.skip():
        model = nn.models.resnet50()
    tracemalloc.start()
    try:
        found = tg.plan(model, (3, 224, 224), optimizer=nn.optim.SGD)
        peak = found.peak(1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
    assert 50 << 40 < peak < 200 << 40  # bytes: dozens of TiB
    assert found.peak(1_000_000) - found.peak(999_999) == pytest.approx(peak / 1e6, rel=0.01)


def test_a_gpt_of_a_billion_parameters_on_the_device_meta():
    tracemalloc.start()
    try:
        with tg.backends.default_device("meta"):
            layers = [nn.TransformerEncoderLayer(4096, 32, 16384, batch_first=True) for _ in range(5)]
        model = nn.Sequential(*layers)
        found = tg.plan(model, (1024, 4096), optimizer=nn.optim.AdamW)
        assert found.peak(1) > 4 * found.parts["parameters"]
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
    assert next(model.parameters()).device == "meta"
    assert found.parts["optimiser"] == 2 * found.parts["parameters"] > 2 * 4 * 10**9


# ---- nothing is touched ----------------------------------------------------------------------------------------------
class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.5)
        self.scale = tg.ones(4)  # no buffer, but copied with the module
        self.ask = False

    def forward(self, x):
        y = self.drop(self.norm(self.fc(x))) * self.scale
        if self.ask and y.sum() > 0:
            y = -y
        return y


@pytest.mark.parametrize("ask", [False, True])
def test_everything_is_as_it_was(ask):
    tg.manual_seed(3)
    model = Broken().eval()
    model.norm.train()
    model(tg.ones(8, 4)).sum().backward()
    model.ask = ask
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    gradients = [p.grad.numpy().copy() for p in model.parameters()]
    modes = [m.training for m in model.modules()]
    state = tg.get_rng_state()
    generator = tg.Generator(5)
    stands = generator.get_state()

    def noise(n):
        return tg.rand(n, 4, generator=generator)

    if ask:
        with pytest.raises(BackendError):
            tg.plan(model, noise, optimizer=nn.optim.Adam)
    else:
        found = tg.plan(model, noise, loss=lambda y: (y * y).mean(), optimizer=nn.optim.Adam)
        assert "batch of 128" in repr(found) and found.peak(2) > found.parts["parameters"]
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    for p, g in zip(model.parameters(), gradients, strict=True):
        assert p.device == "cpu"
        np.testing.assert_array_equal(p.grad.numpy(), g)
    assert [m.training for m in model.modules()] == modes
    assert tg.get_rng_state() == state and generator.get_state() == stands
    assert tg.get_default_device() == tg.zeros(1).device == "cpu"
    assert not tracemalloc.is_tracing()


def test_other_threads_go_on_computing():
    devices = []

    def make(n):
        other = threading.Thread(target=lambda: devices.append(tg.zeros(1).device))
        other.start()
        other.join()
        return tg.ones(n, 4)

    tg.plan(nn.Linear(4, 4), make)
    assert set(devices) == {"cpu"}


def test_what_the_model_is_called_with():
    """Arrays and tensors of the CPU, integers, several inputs; `loss` sees the model's results."""
    both = nn.Bilinear(3, 4, 5)
    assert tg.plan(both, lambda n: (np.ones((n, 3), np.float32), tg.ones(n, 4, device="cpu"))).peak(10) > 0

    class Two(nn.Module):
        def forward(self, x, n):
            return {"y": x * n, "n": n}

    found = tg.plan(Two(), lambda n: (tg.ones(n, 8), 3), loss=lambda y: y["y"].sum())
    assert found.parts["parameters"] == 0 and found.peak(100) >= 2 * 4 * 100 * 8


# ---- errors ----------------------------------------------------------------------------------------------------------
def test_a_program_that_asks_for_numbers_is_told_where():
    class Moody(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 2)

        def forward(self, x):
            y = self.fc(x)
            return y.exp() if y.max() > 1 else y

    with pytest.raises(BackendError) as caught:
        tg.plan(Moody(), (2,))
    text = str(caught.value)
    assert "the numbers of bool[] are asked for, but arrays on the device 'meta' have shapes and no numbers" in text
    assert "return y.exp() if y.max() > 1 else y   test_plan.py:" in text
    assert 'if t.device != "meta"' in text


def test_wrong_shapes_are_the_errors_of_the_model():
    def errors(run):
        with pytest.raises(ShapeError) as caught:
            run()
        return type(caught.value), caught.value.message, caught.value.hint

    cases = [
        (nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(6, 2)), (4,)),
        (nn.Conv2d(3, 4, 3), (4, 8, 8)),
        (nn.Conv2d(3, 4, 9), (3, 5, 5)),
        (nn.Sequential(nn.Unflatten(1, (3, 5))), (16,)),
    ]
    for model, shape in cases:
        planned, real = errors(lambda: tg.plan(model, shape)), errors(lambda: model(tg.zeros(2, *shape)))
        assert planned == real


def test_what_cannot_be_answered(monkeypatch):
    found = tg.plan(nn.Linear(2, 2), (2,))
    with pytest.raises(ArgumentError, match="at least one sample, got 0"):
        found.peak(0)
    with pytest.raises(GraphError, match="with any batch"):
        tg.plan(nn.Linear(2, 2), lambda n: tg.zeros(3, 2)).largest_batch(1 << 30)
    norm = tg.plan(nn.BatchNorm1d(4), (4,))
    with pytest.raises(ArgumentError, match="one"):
        norm.peak(1)
    assert "batch of 1 " not in repr(norm) and norm.largest_batch(norm.peak(1000)) >= 1000
    assert norm.largest_batch(100) == 0
    monkeypatch.setattr("tensorgraph.diagnostics.plan.Path.read_text", lambda self: "nothing")
    with pytest.raises(BackendError, match="how much memory is free"):
        found.largest_batch()
    assert "are free" not in repr(found)


def test_the_last_plan_holds_nothing_of_the_model():
    import gc
    import weakref

    model = nn.Linear(2, 2)
    gone = weakref.ref(model)
    tg.plan(model, (2,))
    del model
    gc.collect()
    assert gone() is None
