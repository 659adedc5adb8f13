"""Devices that are not there, or not usable: one clear error each, with the way out. No test here needs a GPU.

What a machine with a GPU answers is played by a module in the place of CuPy.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import time
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import backends, generator, nn
from tensorgraph.backends import cupy as backend

NO_DEVICE, OLD_DRIVER = "cudaErrorNoDevice: no CUDA-capable device is detected", "cudaErrorInsufficientDriver: CUDA ..."


class Refusal(RuntimeError):
    """Stands for cupy.cuda.runtime.CUDARuntimeError."""


def raising(error):
    def function(*args, **kwargs):
        raise error

    return function


class Device:
    """Stands for cupy.cuda.Device, and notes which one is the current one."""

    current = 0

    def __init__(self, number=None):
        self.id = Device.current if number is None else number

    def use(self):
        Device.current = self.id

    def synchronize(self):
        Device.waited = self.id

    def __enter__(self):
        self.before, Device.current = Device.current, self.id

    def __exit__(self, *exc_info):
        Device.current = self.before


class Array(np.ndarray):
    """Stands for cupy.ndarray."""

    @property
    def device(self):
        return Device(self.number)


def asarray(array, order):
    made = np.array(array, order=order).view(Array)
    made.number = Device.current
    return made


@pytest.fixture
def cupy(monkeypatch):
    """A CuPy with two GPUs, of which a test may break a part."""
    with contextlib.suppress(ImportError):
        import cupyx  # noqa: F401  # a real one, if any, must not meet the other in its first import
    fake = ModuleType("cupy")
    runtime = SimpleNamespace(
        CUDARuntimeError=Refusal, getDeviceCount=lambda: 2, driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 13000,
    )  # fmt: skip
    fake.cuda = SimpleNamespace(runtime=runtime, Device=Device, nvrtc=SimpleNamespace(getVersion=lambda: (13, 0)))
    fake.ndarray, fake.asarray, fake.asnumpy, fake.__version__ = Array, asarray, np.asarray, "14.0"
    monkeypatch.setitem(sys.modules, "cupy", fake)
    monkeypatch.setitem(sys.modules, backend.CUBLAS, ModuleType(backend.CUBLAS))
    monkeypatch.setattr(backend, "_backend", None)
    monkeypatch.setattr(tg.backends.cuda, "_cupy", None)
    monkeypatch.setattr(Device, "current", 0)
    yield fake
    tg.set_default_device("cpu")
    for name in [name for name in generator._defaults if name.startswith("cuda")]:
        del generator._defaults[name]  # they draw with the module that is taken away
    backends.ARRAYS.pop(Array, None)
    backends.PLAIN.discard(Array)


def refusal(make=lambda: tg.zeros(2, device="cuda")) -> str:
    """The text of the error, which must come at once."""
    start = time.perf_counter()
    with pytest.raises(tg.BackendError) as caught:
        make()
    assert time.perf_counter() - start < 1
    return str(caught.value)


# ---- without a GPU -------------------------------------------------------------------------------------------------
WAYS = {
    "a new tensor": lambda: tg.tensor([1.0], device="cuda"),
    "a tensor moves": lambda: tg.ones(2).to("cuda"),
    "cuda()": lambda: tg.ones(2).cuda(),
    "a model moves": lambda: nn.Linear(2, 2).to("cuda"),
    "a layer is made": lambda: nn.Linear(2, 2, device="cuda"),
    "the default": lambda: tg.set_default_device("cuda"),
    "a generator": lambda: tg.Generator(0, device="cuda"),
    "a number": lambda: tg.zeros(2, device="cuda:7"),
}


@pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS.keys())
def test_cuda_without_cupy(ask, monkeypatch):
    monkeypatch.setattr(backend, "_backend", None)
    monkeypatch.setitem(sys.modules, "cupy", None)
    text = refusal(ask)
    assert "CuPy is not installed" in text
    assert 'pip install "tensorgraph[cuda]"' in text and 'device="cpu" always works' in text
    assert tg.get_default_device() == "cpu"


@pytest.mark.peers
def test_cuda_on_this_machine():
    """With the real CuPy: either there is a GPU, or the error says that there is none."""
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("CuPy is not installed (extra `gpu-check`)")
    if len(backends.devices()) > 1:
        assert tg.zeros(2, device="cuda").device == "cuda:0"
    else:
        text = refusal()
        assert "device 'cuda': " in text and "hint: " in text
    assert "cuda:99" in refusal(lambda: tg.zeros(2, device="cuda:99"))


def test_a_refused_move_leaves_the_model_whole(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(backend, "_backend", None)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    refusal(lambda: model.to("cuda"))
    assert {t.device for t in model.state_dict().values()} == {"cpu"}
    assert model(tg.ones(4, 2)).shape == (4, 3)


# ---- what may be wrong with an installation ------------------------------------------------------------------------
def test_no_gpu(cupy):
    cupy.cuda.runtime.getDeviceCount = raising(Refusal(NO_DEVICE))
    text = refusal()
    assert "no usable CUDA device (cudaErrorNoDevice" in text and "nvidia-smi" in text


def test_hidden_gpus(cupy):
    cupy.cuda.runtime.getDeviceCount = lambda: 0
    assert "there is no CUDA device" in (text := refusal()) and "CUDA_VISIBLE_DEVICES" in text


def test_a_driver_older_than_cupy(cupy):
    cupy.cuda.runtime.getDeviceCount = raising(Refusal(OLD_DRIVER))
    cupy.cuda.runtime.driverGetVersion = lambda: 12040
    text = refusal()
    assert "CuPy is built for CUDA 13, the driver goes up to CUDA 12.4" in text
    assert "pip install cupy-cuda12x" in text


def test_no_driver(cupy):
    cupy.cuda.runtime.getDeviceCount = raising(Refusal(OLD_DRIVER))
    cupy.cuda.runtime.driverGetVersion = lambda: 0
    assert "no usable CUDA device (cudaErrorInsufficientDriver" in refusal()


def test_a_damaged_cupy(monkeypatch):
    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == "cupy":
                raise ImportError("CuPy is not correctly installed.\nIf you are using wheel ...")

    monkeypatch.setattr(backend, "_backend", None)
    for name in [n for n in sys.modules if n.partition(".")[0] == "cupy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    text = refusal()
    assert "cannot be imported (CuPy is not correctly installed.)" in text and "uninstall every package" in text


@pytest.mark.parametrize("part", ["nvrtc", "cublas"])
def test_libraries_that_are_missing(part, cupy, monkeypatch):
    if part == "nvrtc":
        cupy.cuda.nvrtc.getVersion = raising(RuntimeError("CuPy failed to load libnvrtc.so.13: OSError"))
    else:
        monkeypatch.setitem(sys.modules, backend.CUBLAS, None)
    text = refusal()
    assert "CuPy does not find the libraries of CUDA (" in text and part in text and "[ctk]" in text


def test_a_failure_is_not_remembered(cupy):
    cupy.cuda.runtime.getDeviceCount = raising(Refusal(NO_DEVICE))
    refusal()
    cupy.cuda.runtime.getDeviceCount = lambda: 1
    assert tg.backends.devices() == ["cpu", "cuda:0"]


# ---- with GPUs, played --------------------------------------------------------------------------------------------
def test_a_number_that_is_not_there(cupy):
    text = refusal(lambda: tg.zeros(2, device="cuda:7"))
    assert "device 'cuda:7' does not exist" in text and "CUDA devices here: cuda:0, cuda:1" in text
    assert tg.backends.devices() == ["cpu", "cuda:0", "cuda:1"]


def test_tensors_go_where_they_are_sent(cupy):
    assert tg.zeros(2, device="cuda").device == "cuda:0"
    assert tg.zeros(2, device="cuda:1").device == tg.ones(2).to("cuda:1").device == "cuda:1"
    assert Device.current == 0
    tg.set_default_device("cuda:1")
    assert Device.current == 1 and tg.zeros(2).device == "cuda:1"
    assert tg.zeros(2, device="cuda").device == "cuda:0"


def test_the_memory_and_the_queue_of_a_device(cupy):
    asked = []
    pool = SimpleNamespace(
        used_bytes=lambda: 100 + Device.current, total_bytes=lambda: 200 + Device.current,
        free_all_blocks=lambda: asked.append(("freed", Device.current)),
    )  # fmt: skip
    cupy.get_default_memory_pool = lambda: pool
    cupy.cuda.runtime.deviceSynchronize = lambda: asked.append(("waited", Device.current))
    assert tg.cuda.is_available() and tg.cuda.device_count() == 2
    assert (tg.cuda.memory_allocated(), tg.cuda.memory_allocated("cuda:1")) == (100, 101)
    assert tg.cuda.memory_reserved("cuda:1") == 201
    tg.cuda.synchronize("cuda:1")
    tg.cuda.empty_cache()
    assert asked == [("waited", 1), ("freed", 0)] and Device.current == 0
    here, there = tg.ones(1000), tg.ones(1000, device="cuda:1")
    report = tg.cuda.memory_report()
    assert {row.device for row in report.rows} == {"cuda:1"} and report.total >= there.nbytes == here.nbytes


def test_without_a_gpu_there_is_nothing_to_ask(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(backend, "_backend", None)
    assert not tg.cuda.is_available() and tg.cuda.device_count() == 0
    assert tg.cuda.memory_report().total == 0
    for ask in (tg.cuda.synchronize, tg.cuda.memory_allocated, tg.cuda.memory_reserved, tg.cuda.empty_cache):
        assert "CuPy is not installed" in refusal(ask)


def test_operands_of_several_devices(cupy):
    """One clear error, also for those of a device that is not the current one; and where they come from."""
    cupy.cuda.runtime.getDevice = lambda: Device.current
    cupy.exp = np.exp
    a, b, c = tg.ones(2, 2, device="cuda:0"), tg.ones(2, 2, device="cuda:1"), tg.ones(2, 2)
    for compute in (lambda: a + b, lambda: tg.matmul(a, b), lambda: tg.concat([a, b], 0), lambda: tg.where(a, a, b)):
        text = refusal(compute)
        assert "operands live on different devices" in text and "on cuda:0" in text and "on cuda:1" in text
        assert "hint: move one: .to(" in text and "f32[2,2]" in text
    assert "on cpu" in refusal(lambda: a * c)
    text = refusal(lambda: tg.exp(b))
    assert "the operands are on cuda:1, this thread computes on cuda:0" in text
    assert "with tensorgraph.cuda.device(1)" in text
    with tg.cuda.device(1):
        assert tg.exp(b).shape == (2, 2)
        assert "this thread computes on cuda:1" in refusal(lambda: tg.exp(a))
    assert (c + c).tolist() == [[2, 2], [2, 2]]


def test_a_block_for_a_device(cupy):
    for before in ("cpu", "cuda:0", "cuda:1"):
        tg.set_default_device(before)
        current, here = Device.current, tg.zeros(1).device
        with tg.cuda.device(1) as block:
            assert block.name == "cuda:1" and tg.zeros(2).device == "cuda:1" and Device.current == 1
            assert tg.get_default_device() == "cuda:1"
            with tg.cuda.device("cuda:0"):
                assert tg.zeros(2).device == "cuda:0" and Device.current == 0
            assert tg.zeros(2).device == "cuda:1" and Device.current == 1
        assert (tg.get_default_device(), Device.current, tg.zeros(1).device) == (before, current, here)
        with pytest.raises(ZeroDivisionError), tg.cuda.device(1):
            1 / 0
        assert (tg.get_default_device(), Device.current) == (before, current)
    assert "'cuda:5' does not exist" in refusal(lambda: tg.cuda.device(5).__enter__())
    assert tg.get_default_device() == "cuda:1"


def test_tf32(cupy, monkeypatch):
    """Off at the start; CuPy is told when there is a device, and whenever it changes."""
    policy, told = tg.backends.cuda, []
    monkeypatch.setattr(policy, "_cupy", None)
    monkeypatch.setattr(policy, "_allowed", False)
    names = SimpleNamespace(COMPUTE_TYPE_TF32="tf32", COMPUTE_TYPE_DEFAULT="default")
    cupy._core = SimpleNamespace(_routines_linalg=names, set_compute_type=lambda *given: told.append(given))
    assert policy.allow_tf32() is False and policy.allow_tf32(True) is True and told == []
    tg.zeros(2, device="cuda")
    assert told == [(np.float32, "tf32")]
    assert policy.allow_tf32(False) is False and told[1:] == [(np.float32, "default")]
    assert policy.allow_tf32(True) is policy.allow_tf32() is True and told[2:] == [(np.float32, "tf32")]


@pytest.mark.peers
def test_cupy_has_what_tf32_needs():
    linalg = pytest.importorskip("cupy")._core._routines_linalg
    assert linalg.compute_type_to_str(linalg.COMPUTE_TYPE_TF32) == "COMPUTE_TYPE_TF32"
    linalg.set_compute_type(np.float32, linalg.COMPUTE_TYPE_DEFAULT)
    assert linalg.get_compute_type(np.float32) == linalg.COMPUTE_TYPE_DEFAULT


def test_a_generator_for_each_device(cupy):
    """Streams of their own, from one seed; saved and restored by name."""
    tg.manual_seed(3)
    first, second = tg.default_generator("cuda:0"), tg.default_generator("cuda:1")
    assert first is not second and tg.default_generator("cuda") is first
    assert (first.device, second.device) == ("cuda:0", "cuda:1") and first.initial_seed == second.initial_seed == 3
    state = tg.get_rng_state()
    assert {"cuda:0", "cuda:1"} <= state.keys()
    second.stream._position = 9
    assert first.get_state()["position"] == 0 and tg.get_rng_state()["cuda:1"]["position"] == 9
    tg.set_rng_state(state)
    assert second.get_state()["position"] == 0
    with tg.cuda.device(1):
        assert tg.default_generator() is second
    with pytest.raises(tg.BackendError, match="the generator draws on cuda:1, the result belongs on cuda:0"):
        tg.rand(2, device="cuda:0", generator=second)


def test_the_front_asks_the_same(cupy):
    import tensorgraph.torch as torch

    cupy.get_default_memory_pool = lambda: SimpleNamespace(used_bytes=lambda: 100 + Device.current)
    assert torch.cuda.device_count() == 2 and torch.cuda.memory_allocated(1) == 101
    with torch.cuda.device(torch.device("cuda:1")):
        assert torch.cuda.current_device() == 1
    assert torch.cuda.current_device() == 0
    torch.cuda.set_device(1)
    assert torch.cuda.current_device() == 1 and torch.cuda.memory_allocated() == 101


def test_an_unknown_device():
    for name in ("gpu", "cuda:", "cuda:x", "mps"):
        assert f"unknown device {name!r}" in refusal(lambda name=name: tg.zeros(2, device=name))
    for move in (tg.ones(2).to, nn.Linear(1, 1).to):
        with pytest.raises(
            tg.DtypeError, match=r'unknown dtype \'gpu\'[\s\S]*a device is "cpu", "cuda", "cuda:1" or "meta"'
        ):
            move("gpu")
