"""Everything above the operations on a device that gives nothing away: layers, losses, networks, training, storing.

A case that passes here neither converts nor waits for an array of the device, and computes what the CPU computes.
"""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import backends, data, generator, nn
from tensorgraph.backends.philox import PhiloxStream, philox
from tensorgraph.nn import train
from tensorgraph.nn.optim import lr_scheduler
from tensorgraph.tensor import Tensor
from tests.fence import FenceArray
from tests.nn_cases import CASES

NUMBERED = [pytest.param(i, id=f"{name}-{i}") for i, (name, _, _) in enumerate(CASES)]


def inputs_of(case: int) -> list[np.ndarray]:
    rng = np.random.default_rng(case)
    return [rng.standard_normal(given) if isinstance(given, tuple) else given for given in CASES[case][2]]


def outputs(value) -> list[Tensor]:
    """The floating tensors in what a module returned."""
    if isinstance(value, Tensor):
        return [value] if value.dtype.kind == "f" else []
    return [tensor for part in value or () for tensor in outputs(part)]


def run(case: int, device: str) -> tuple[nn.Module, dict[str, Tensor]]:
    """One step forward and backward in float64 on a device, from the same weights and random numbers everywhere."""
    tg.manual_seed(case)
    module = CASES[case][1]().double()
    given = [tg.tensor(a) for a in inputs_of(case)]
    if nn.layers.lazy.__name__ == type(module).__module__:
        module(*given)  # the shapes of the weights are found out
        module.double()
    module.to(device=device)
    given = [tensor.to(device=device) for tensor in given]
    for tensor in given:
        if tensor.dtype.kind == "f":
            tensor.requires_grad_()
    tg.manual_seed(case)
    found = outputs(module(*given))
    assert found
    loss = sum((y * y).mean() for y in found)
    loss.backward()
    results = {f"output {i}": y for i, y in enumerate(found)}
    results |= {f"gradient of input {i}": x.grad for i, x in enumerate(given) if x.grad is not None}
    results |= {f"gradient of {name}": p.grad for name, p in module.named_parameters() if p.grad is not None}
    results |= {f"buffer {name}": b for name, b in module.named_buffers()}
    return module, results


@pytest.mark.parametrize("case", NUMBERED)
def test_forward_and_backward(case, fence):
    _, expected = run(case, "cpu")
    _, got = run(case, "fence")
    assert got.keys() == expected.keys()
    for name, value in got.items():
        assert type(value.array) is FenceArray, f"{name} left the device"
        np.testing.assert_allclose(
            fence.to_host(value.array), expected[name].detach().numpy(), rtol=1e-9, atol=1e-11, err_msg=name
        )


LOOKS_AT_VALUES = {
    "AdaptiveMaxPool1d", "AdaptiveMaxPool3d", "BCELoss", "CTCLoss", "CharRNN", "CrossEntropyLoss", "Embedding",
    "GaussianNLLLoss", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d", "MultiLabelMarginLoss", "MultiMarginLoss",
    "NLLLoss",
}  # fmt: skip
"""what waits for the device in a step, to check indices, labels or a range of values; docs/gpu.md says so"""


def test_most_steps_never_wait_for_the_device(fence, monkeypatch):
    waits: list[int] = []
    real = type(fence).to_host
    monkeypatch.setattr(type(fence), "to_host", lambda self, array: waits.append(array.size) or real(self, array))
    waiting = set()
    for case, (name, _, _) in enumerate(CASES):
        run(case, "fence")
        waiting |= {name} if waits else set()
        waits.clear()
    assert waiting <= LOOKS_AT_VALUES
    model, (images, labels) = network().to(device="fence"), (tg.tensor(a).to(device="fence") for a in pictures())
    optimizer = nn.optim.AdamW(model.parameters())
    loss = nn.CrossEntropyLoss()(model(images), labels)
    loss.backward()
    nn.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    assert len(waits) == 2  # the labels' range


def test_every_layer_and_loss_has_a_case():
    covered = {name for name, _, _ in CASES}
    assert {*nn.layers.__all__, *nn.losses.__all__} - covered == set()


# ---- training ------------------------------------------------------------------------------------------------------
def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(48, 3)
    )


def pictures() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((8, 1, 6, 6)).astype(np.float32), rng.integers(0, 3, 8)


SCHEDULES = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 1, 0.5),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, 5),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 3),
}


def trained(device: str, kind: str, schedule: str, steps: int = 3) -> dict[str, np.ndarray]:
    """A network after a few steps with clipping, a schedule and a running mean, and that mean."""
    tg.manual_seed(1)
    model = network().double().to(device=device)
    images, labels = (tg.tensor(a).to(device=device) for a in pictures())
    images = images.astype(tg.float64)
    tg.manual_seed(1)  # the weights were drawn on the CPU, what dropout leaves out is drawn on the device
    optimizer = getattr(nn.optim, kind)(model.parameters(), lr=0.05)
    rates = SCHEDULES[schedule](optimizer)
    mean = nn.ExponentialMovingAverage(model, 0.9, warmup=True)
    for _ in range(steps):

        def closure():
            optimizer.zero_grad()
            loss = nn.CrossEntropyLoss()(model(images), labels)
            loss.backward()
            nn.clip_grad_norm_(model.parameters(), 0.5)
            nn.clip_grad_value_(model.parameters(), 0.3)
            return loss

        loss = optimizer.step(closure)
        nn.clip_weight_norm_(model.parameters(), 2.0)
        mean.update()
        rates.step(*[loss] * (schedule == "ReduceLROnPlateau"))
    with mean.swapped():
        averaged = {f"mean {name}": t.clone() for name, t in model.state_dict().items()}
    return {name: t.to("cpu").numpy() for name, t in {**model.state_dict(), **averaged}.items()}


OPTIMIZERS = [name for name in nn.optim.__all__ if name not in ("Optimizer", "lr_scheduler", "GradScaler")]


@pytest.mark.parametrize("kind, schedule", list(zip(OPTIMIZERS, 3 * list(SCHEDULES), strict=False)))
def test_training(kind, schedule, fence):
    expected, got = trained("cpu", kind, schedule), trained("fence", kind, schedule)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-7, atol=1e-9, err_msg=name)


def test_a_whole_training_with_a_loader(fence, tmp_path):
    images, labels = pictures()
    model = network().to(device="fence")
    optimizer = nn.optim.AdamW(model.parameters())
    batches = data.DataLoader(data.ArrayDataset(images, labels), 3, shuffle=True, device="fence", pin_memory=True)
    assert [type(x.array) for x, _ in batches] == [FenceArray] * 3
    trainer = train.Trainer(model, nn.CrossEntropyLoss(), optimizer, progress=False)
    trainer.fit(batches, 2, validation=batches)
    assert len(trainer.history["loss"]) == 2


# ---- storing -------------------------------------------------------------------------------------------------------
def stepped(device: str) -> tuple[nn.Module, nn.optim.Optimizer]:
    tg.manual_seed(2)
    model = network().to(device=device)
    optimizer = nn.optim.Adam(model.parameters())
    images, labels = (tg.tensor(a).to(device=device) for a in pictures())
    nn.CrossEntropyLoss()(model(images), labels).backward()
    optimizer.step()
    return model, optimizer


@pytest.mark.parametrize("there, here", [("fence", "cpu"), ("cpu", "fence"), ("fence", "fence")])
@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_a_checkpoint_moves_between_devices(there, here, suffix, fence, tmp_path):
    model, optimizer = stepped(there)
    mean = nn.ExponentialMovingAverage(model)
    path = tmp_path / f"checkpoint.{suffix}"
    train.save_checkpoint(path, model=model, optimizer=optimizer, mean=mean)
    tg.manual_seed(5)
    other = network().to(device=here)
    adam, average = nn.optim.Adam(other.parameters()), nn.ExponentialMovingAverage(other)
    train.load_checkpoint(path, model=other, optimizer=adam, mean=average)
    for name, value in other.state_dict().items():
        assert value.device == here
        np.testing.assert_array_equal(value.to("cpu").numpy(), model.state_dict()[name].to("cpu").numpy())
    for mine, theirs in zip(other.parameters(), model.parameters(), strict=True):
        moment = adam.state[mine]["exp_avg"]
        assert moment.device == here
        np.testing.assert_array_equal(moment.to("cpu").numpy(), optimizer.state[theirs]["exp_avg"].to("cpu").numpy())
    assert {t.device for t in average.average.values()} == {here}


def test_a_state_dict_moves_between_devices(fence, tmp_path):
    model, _ = stepped("fence")
    nn.save(model, tmp_path / "weights.npz")
    assert {t.device for t in nn.load(tmp_path / "weights.npz").values()} == {"cpu"}
    assert {t.device for t in nn.load(tmp_path / "weights.npz", device="fence").values()} == {"fence"}
    network().load_state_dict(model.state_dict())  # from one device to another without a file


def test_copies_of_a_model_stay_on_the_device(fence):
    model, _ = stepped("fence")
    for name, value in copy.deepcopy(model).state_dict().items():
        assert value.device == "fence", name


# ---- random numbers --------------------------------------------------------------------------------------------------
def test_the_generator_of_a_device_is_saved_and_restored(fence, tmp_path):
    generator = tg.Generator(3, device="fence")
    tg.rand(5, device="fence", generator=generator)
    train.save_checkpoint(tmp_path / "state.npz", generator=generator)
    default = tg.rand(4, device="fence").to("cpu").numpy()
    own = tg.randn(4, device="fence", generator=generator).to("cpu").numpy()
    fresh = tg.Generator(8, device="fence")
    train.load_checkpoint(tmp_path / "state.npz", generator=fresh)
    np.testing.assert_array_equal(tg.randn(4, device="fence", generator=fresh).to("cpu").numpy(), own)
    np.testing.assert_array_equal(tg.rand(4, device="fence").to("cpu").numpy(), default)  # that of the device too


def draws(xp) -> list:
    """Everything that the stream of a GPU draws, on another array library."""
    stream = PhiloxStream(11, xp, partial(philox, xp))
    kinds = [np.dtype(name) for name in ("float16", "float32", "float64")]
    drawn = [getattr(stream, name)((3, 5), kind) for name in ("uniform", "normal", "exponential") for kind in kinds]
    drawn += [stream.mask((7,), 0.3, kind) for kind in kinds]
    drawn += [stream.integers(-3, 9, (4,), np.dtype("int64")), stream.permutation(6)]
    return drawn


def test_the_stream_of_a_gpu_never_leaves_its_device(fence):
    for got, expected in zip(draws(fence.xp), draws(np), strict=True):
        assert type(got) is FenceArray and got.dtype == expected.dtype
        np.testing.assert_array_equal(fence.to_host(got), expected)


def test_a_checkpoint_of_a_device_that_is_not_here(fence, tmp_path, monkeypatch):
    """Its weights are loaded; its generator is left out, with a warning."""
    tg.rand(1, device="fence")
    model, _ = stepped("fence")
    path = tmp_path / "state.npz"
    train.save_checkpoint(path, model=model)
    monkeypatch.delitem(generator._defaults, "fence")

    def get(device=None):
        if device in (None, "cpu"):
            return backends.cpu
        raise tg.BackendError(f"device {device!r}: there is no usable CUDA device")

    other = network()
    with monkeypatch.context() as patch:  # taken back before the device is: it replaces the same function
        patch.setattr(backends, "get", get)
        with pytest.warns(UserWarning, match="fence is not here; its generator is left out"):
            train.load_checkpoint(path, model=other)
