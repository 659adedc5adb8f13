"""Convolution by cuDNN without a GPU: what is asked of it, and what becomes of its answers.

The package is played by tests/host_cudnn.py, which computes by the definitions; the real one makes its plans for a
described GPU in test_cudnn_plans.py.
"""

from __future__ import annotations

import sys
import threading
import warnings
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import backends, config_report, nn
from tensorgraph.backends import cudnn
from tensorgraph.backends.convolution import Geometry
from tensorgraph.tensor import Tensor
from tests import fence, playback
from tests import test_capture as steps
from tests.host_cudnn import HostCudnn, HostCudnnPlayback, HostLibrary, Note, Type

CLOSE = {"float16": 4e-3, "float32": 2e-5, "float64": 1e-11}


@pytest.fixture
def library(monkeypatch):
    """The package, played; a policy that a test sets is taken back."""
    made = HostLibrary()
    monkeypatch.setitem(sys.modules, "cudnn", made)
    monkeypatch.setattr(backends.cuda, "_allowed", False)
    monkeypatch.setattr(backends.cuda, "_deterministic", True)
    monkeypatch.setattr(backends.cuda, "_cupy", None)
    monkeypatch.setattr(HostCudnn, "place", (0, 7))
    return made


@pytest.fixture
def device(library):
    with fence.installed(HostCudnn()) as backend:
        yield backend


# ---- values and gradients --------------------------------------------------------------------------------------------
CASES = {
    "1d": (tg.conv1d, (3, 4, 11), (6, 4, 3), dict(padding=1, stride=2)),
    "2d": (tg.conv2d, (2, 3, 7, 8), (5, 3, 3, 3), dict(padding=1)),
    "1x1": (tg.conv2d, (2, 3, 4, 5), (4, 3, 1, 1), {}),
    "2d, uneven": (tg.conv2d, (2, 3, 9, 8), (4, 3, 3, 2), dict(stride=(2, 1), dilation=(1, 3), padding=(2, 0))),
    "pixels that no window sees": (tg.conv2d, (1, 2, 8, 9), (3, 2, 2, 3), dict(stride=3)),
    "groups": (tg.conv2d, (2, 6, 5, 5), (4, 3, 3, 3), dict(groups=2, padding=1)),
    "depthwise": (tg.conv2d, (2, 4, 6, 5), (8, 1, 3, 3), dict(groups=4, stride=2, padding=1)),
    "asymmetric": (tg.conv2d, (2, 3, 6, 7), (4, 3, 3, 3), dict(padding=((0, 1), (2, 1)), stride=2)),
    "same": (tg.conv2d, (2, 3, 6, 7), (4, 3, 4, 2), dict(padding="same")),
    "3d": (tg.conv3d, (2, 2, 4, 5, 6), (3, 2, 2, 3, 3), dict(padding=1, stride=(1, 2, 2))),
    "one image": (tg.conv2d, (3, 6, 6), (4, 3, 3, 3), dict(padding=1)),
    "transposed 1d": (tg.conv_transpose1d, (2, 4, 5), (4, 3, 3), dict(stride=2, output_padding=1)),
    "transposed 2d": (tg.conv_transpose2d, (2, 4, 4, 5), (4, 3, 3, 3), dict(stride=2, padding=1, output_padding=1)),
    "transposed, groups": (tg.conv_transpose2d, (2, 4, 4, 5), (4, 3, 3, 2), dict(groups=2, dilation=2)),
    "transposed 3d": (tg.conv_transpose3d, (1, 2, 3, 3, 4), (2, 3, 2, 2, 2), dict(stride=2)),
}
KINDS = {"float64": False, "float32": False, "float32, tf32": True, "float16": True}
"""a dtype and whether channels come last"""


def computed(case: str, dtype: str, where: str, bias: bool) -> list[np.ndarray]:
    """The output and the gradients of all operands, for a gradient that is no constant."""
    function, x, w, settings = CASES[case]
    channels = w[1] * settings.get("groups", 1) if "transposed" in case else w[0]
    rng = np.random.default_rng(0)
    draw = lambda shape: tg.tensor(rng.standard_normal(shape).astype(dtype)).to(device=where).requires_grad_()
    operands = [draw(shape) for shape in (x, w, *([(channels,)] if bias else []))]
    y = function(*operands, **settings)
    y.backward(tg.tensor(rng.standard_normal(y.shape).astype(dtype)).to(device=where))
    return [steps.host(t) for t in (y, *(t.grad for t in operands))]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(case, kind, bias, device, library):
    dtype = kind.partition(",")[0]
    backends.cuda.allow_tf32(kind.endswith("tf32"))
    got = computed(case, dtype, "fence", bias)
    assert sorted(graph.kind for graph in library.graphs) == ["dgrad", "fprop", "wgrad"] and library.launches == 3
    assert [g.bias_node is not None for g in library.graphs if g.kind == "fprop"] == [bias and "transp" not in case]
    for graph in library.graphs:
        assert graph.channels_last == KINDS[kind] or {False, True} == graph.result.layouts()
    for a, b in zip(got, computed(case, dtype, "cpu", bias), strict=True):
        assert a.dtype == b.dtype == dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=CLOSE[dtype], atol=CLOSE[dtype] * max(1, float(np.abs(b).max())))


def test_a_rectified_convolution_keeps_nan(device, library, rng):
    x, w, b = rng.standard_normal((2, 3, 5, 5)), rng.standard_normal((4, 3, 3, 3)), rng.standard_normal(4)
    x[0, 0, 0, 0] = np.nan
    here, there = ([tg.tensor(a).to(device=where) for a in (x, w, b)] for where in ("fence", "cpu"))
    got, expected = (tg.conv2d(*place, padding=1, activation="relu") for place in (here, there))
    assert np.isnan(steps.host(got)).any() and library.launches == 1
    np.testing.assert_allclose(steps.host(got), steps.host(expected), rtol=1e-12)


def test_second_derivatives(device, library, rng):
    x, w = (Tensor(device.from_host(rng.standard_normal(s))).requires_grad_() for s in ((1, 2, 4, 4), (2, 2, 3, 3)))
    assert tg.gradgradcheck(lambda x, w: tg.conv2d(x, w, stride=2, padding=1), [x, w])
    assert {graph.kind for graph in library.graphs} == {"fprop", "dgrad", "wgrad"}


def test_operands_that_lie_otherwise(device, library, rng):
    """Transposed, with gaps, channels-last already, or at an odd address."""
    x, w = rng.standard_normal((2, 7, 6, 3)), rng.standard_normal((3, 3, 3, 4))
    for dtype in (np.float64, np.float16):
        a, b = device.from_host(x.astype(dtype)), device.from_host(w.astype(dtype))
        got = device.correlate(a.transpose(0, 3, 1, 2), b.transpose(3, 0, 1, 2), PLAIN)
        expected = computed_by_cpu(x.astype(dtype).transpose(0, 3, 1, 2), w.astype(dtype).transpose(3, 0, 1, 2))
        np.testing.assert_allclose(device.to_host(got), expected, rtol=4e-3, atol=4e-3)
        assert got.flags.c_contiguous
    flat = device.from_host(np.arange(1 + 2 * 3 * 5 * 5, dtype=np.float32))
    odd = flat[1:].reshape(2, 3, 5, 5)
    assert device.address(odd) % 16 == 4
    w = rng.standard_normal((2, 3, 3, 3)).astype(np.float32)
    expected = computed_by_cpu(device.to_host(odd), w)
    np.testing.assert_allclose(device.to_host(device.correlate(odd, device.from_host(w), PLAIN)), expected, rtol=1e-4)


PLAIN = Geometry((1, 1), ((0, 0), (0, 0)), (1, 1))


def computed_by_cpu(x, w):
    return backends.get("cpu").correlate(np.ascontiguousarray(x), np.ascontiguousarray(w), PLAIN)


# ---- plans -----------------------------------------------------------------------------------------------------------
def convolve(shape=(2, 3, 5, 5), dtype="float32", **settings):
    x, w = tg.ones(shape, dtype=dtype, device="fence"), tg.ones((2, 3, 3, 3), dtype=dtype, device="fence")
    return tg.conv2d(x, w, **settings)


def test_plans_are_made_once(device, library):
    for _ in range(3):
        convolve()
    assert len(library.graphs) == 1 and library.launches == 3
    changes = [
        lambda: convolve((3, 3, 5, 5)),
        lambda: convolve(dtype="float64"),
        lambda: convolve(stride=2),
        lambda: convolve(padding=1),
        lambda: convolve(padding=((1, 0), (0, 0))),
        lambda: convolve(dilation=2),
    ]
    for made, change in enumerate(changes, start=2):
        change(), change()
        assert len(library.graphs) == made
    backends.cuda.allow_tf32(True)
    convolve(), convolve(), convolve(dtype="float64")
    assert len(library.graphs) == made + 1
    backends.cuda.deterministic(False)
    convolve(), convolve()
    assert len(library.graphs) == made + 2
    HostCudnn.place = (1, 7)
    convolve(), convolve()
    assert len(library.graphs) == made + 3
    HostCudnn.place = (0, 7)
    backends.cuda.allow_tf32(False), backends.cuda.deterministic(True)
    convolve()
    assert len(library.graphs) == made + 3


def test_what_engines_may_do(device, library):
    always = {Note.DOWN_CONVERT_INPUTS, Note.REDUCED_PRECISION_REDUCTION}
    asked = [
        ("float32", False, True, always | {Note.TENSOR_CORE, Note.NONDETERMINISTIC}),
        ("float32", False, False, always | {Note.TENSOR_CORE}),
        ("float32", True, True, always | {Note.NONDETERMINISTIC}),
        ("float64", True, False, always),
        ("float16", False, True, always | {Note.NONDETERMINISTIC}),
    ]
    for dtype, tf32, deterministic, refused in asked:
        backends.cuda.allow_tf32(tf32), backends.cuda.deterministic(deterministic)
        convolve(dtype=dtype)
        graph = library.graphs.pop()
        assert graph.refused == refused and graph.limit == 1 << 30
        assert graph.result.type == Type[{"float16": "HALF", "float32": "FLOAT", "float64": "DOUBLE"}[dtype]]
        device._plans.clear()


def test_a_setting_that_changes_after_a_capture(library):
    """The step is captured anew: its graphs hold the engines that were allowed."""
    with playback.installed(HostCudnnPlayback):
        w = tg.ones((2, 3, 3, 3), device="fence")
        run = tg.capture(lambda x: tg.conv2d(x, w) * 1.0)
        x = tg.ones((1, 3, 5, 5), device="fence")
        for _ in range(4):
            run(x)
        made = len(library.graphs)
        backends.cuda.allow_tf32(True)
        for _ in range(3):
            assert float(run(x).sum()) == 27 * 18
        assert made == 1 and len(library.graphs) == 2 and library.graphs[1].channels_last


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("tf32", [False, True])
def test_captured_steps(kind, tf32, library):
    """Convolutions in a graph of work, workspace and all: the same as one after the other, bit for bit."""
    library.room = lambda graph: 4096
    backends.cuda.allow_tf32(tf32)
    with playback.installed(HostCudnnPlayback):
        eager, _ = steps.train(steps.convolutional, steps.OPTIMISERS[kind], captured=False)
        assert library.launches
        got, run = steps.train(steps.convolutional, steps.OPTIMISERS[kind], captured=True)
    assert run.reason is None
    steps.same(got, eager)


def test_the_workspace_of_a_captured_step(library):
    """A graph keeps addresses: it does not work in the memory that eager convolutions exchange for a larger one."""
    library.room = lambda graph: 4096
    with playback.installed(HostCudnnPlayback) as backend:
        run = tg.capture(lambda x, w: tg.conv2d(x, w) * 1.0)
        x, w = tg.ones((1, 3, 5, 5), device="fence"), tg.ones((2, 3, 3, 3), device="fence")
        for _ in range(4):
            run(x, w)
        (eager,) = backend._here.rooms.values()
        assert library.rooms[0] == backend.address(eager) != library.rooms[-1]


# ---- memory, streams, threads ----------------------------------------------------------------------------------------
def test_the_workspace_is_used_again(device, library):
    sizes = {1: 1000, 2: 3000, 4: 0}
    library.room = lambda graph: sizes[graph.operands[0].dim[0]]
    run = lambda n: convolve((n, 3, 5, 5))
    run(2), run(1), run(2), run(4)
    assert library.rooms[0] == library.rooms[1] == library.rooms[2] != 0 and library.rooms[3] == 0
    assert [room.size for room in device._here.rooms.values()] == [3000]
    HostCudnn.place = (0, 8)
    run(1)
    assert library.rooms[-1] != library.rooms[0] and len(device._here.rooms) == 2
    run(2)
    assert sorted(room.size for room in device._here.rooms.values()) == [3000, 3000]
    before = library.rooms[-1]
    thread = threading.Thread(target=run, args=(2,))
    thread.start(), thread.join()
    assert library.rooms[-1] != before and len(device._here.rooms) == 2


def test_a_stream_is_told_once(device, library):
    convolve(), convolve((1, 3, 4, 4))
    assert library.told == [(0, 7)]
    HostCudnn.place = (0, 9)
    convolve(), convolve()
    assert library.told == [(0, 7), (0, 9)]
    HostCudnn.place = (1, 9)
    convolve()
    assert library.told[2:] == [(1, 9)]
    thread = threading.Thread(target=convolve)
    thread.start(), thread.join()
    assert library.told[3:] == [(2, 9)]  # a handle of its own
    assert library.launches == 6


# ---- what is left to the definitions ---------------------------------------------------------------------------------
def test_what_cudnn_does_not_take(device, library, rng):
    x, w = device.from_host(rng.standard_normal((2, 3, 5, 5))), device.from_host(rng.standard_normal((2, 3, 3, 3)))
    for dtype in ("int32", "complex64"):
        device.correlate(x.astype(dtype), w.astype(dtype), PLAIN)
    device.correlate(x.astype("float32"), w, PLAIN)
    device.correlate(x, w, Geometry((1, 1), ((-1, 0), (1, 1)), (1, 1)))
    assert device.correlate(x[:0], w, PLAIN).shape == (0, 2, 3, 3)
    with tg.kernels(False):
        device.correlate(x, w, PLAIN)
        device.correlate_input(device.correlate(x, w, PLAIN), w, (5, 5), PLAIN)
        device.correlate_weight(device.correlate(x, w, PLAIN), x, (3, 3), PLAIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HostCudnn, "is_here", lambda self, array: False)
        device.correlate(x, w, PLAIN)
    assert library.launches == 0


@pytest.mark.parametrize("what", ["package", "library", "old"])
def test_without_cudnn(what, library, monkeypatch):
    if what == "package":
        monkeypatch.setitem(sys.modules, "cudnn", None)
    elif what == "library":
        broken = ModuleType("cudnn")
        monkeypatch.setitem(sys.modules, "cudnn", broken)

        def version():
            raise RuntimeError("Unable to dlopen libcudnn\nand more")

        broken.backend_version = version
    else:
        library.version = 8907
    with fence.installed(HostCudnn()) as backend, warnings.catch_warnings():
        warnings.simplefilter("error")
        got = computed("asymmetric", "float64", "fence", True)
        text = backend.convolutions()
    for a, b in zip(got, computed("asymmetric", "float64", "cpu", True), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    assert library.launches == 0 and text.startswith("by the definitions, which is slower: ")
    expected = {
        "package": "nvidia-cudnn-frontend is not installed",
        "library": "nvidia-cudnn-frontend does not find a usable cuDNN (Unable to dlopen libcudnn)",
        "old": "cuDNN 0.89.7 is too old",
    }
    assert expected[what] in text and 'pip install "tensorgraph[cuda]"' in text


def test_show_config_says_which(device, library, monkeypatch):
    device.xp.__version__ = "14.2"
    with monkeypatch.context() as patch:  # taken back before the device is: it replaces the same function
        patch.setattr(config_report.backends, "get", lambda name=None: device)
        patch.setattr(config_report.backends, "devices", lambda: ["cpu", "cuda:0"])
        text = dict(config_report._rows())["cupy"]
    assert text == "14.2, devices cuda:0; convolutions by cuDNN 9.28.0 (nvidia-cudnn-frontend 1.26.0)"


def test_without_a_plan(device, library):
    """Values all the same; said once, and not tried again."""
    tried = []
    library.refuses = lambda graph: tried.append(graph.kind) or True
    with pytest.warns(
        UserWarning, match=r"cuDNN has no plan for a convolution \(fprop, float64, \(2, 3, 7, 8\)"
    ) as said:
        got = computed("2d", "float64", "fence", False)
        computed("2d", "float64", "fence", False)
    assert len(said) == 1 and "No valid engine configs)" in str(said[0].message)
    for a, b in zip(got, computed("2d", "float64", "cpu", False), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    assert tried.count("fprop") == tried.count("dgrad") == tried.count("wgrad") == 1 and library.launches == 0


@pytest.mark.parametrize("case", ["1d", "2d", "3d"])
def test_a_bias_beside_the_graph(case, device, library):
    """Where the sum has no plan and the convolution alone has one."""
    library.refuses = lambda graph: graph.bias_node is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = computed(case, "float64", "fence", True)
    for a, b in zip(got, computed(case, "float64", "cpu", True), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    assert library.launches == 3


# ---- CuPy's side -----------------------------------------------------------------------------------------------------
def test_what_the_cuda_backend_asks_of_cupy():
    from tensorgraph.backends.cupy import CupyBackend

    runtime = SimpleNamespace(getDevice=lambda: 1)
    stream = SimpleNamespace(ptr=99)
    xp = SimpleNamespace(ndarray=object, cuda=SimpleNamespace(runtime=runtime, get_current_stream=lambda: stream))
    backend = CupyBackend.__new__(CupyBackend)
    backend.xp = xp
    assert backend.queue() == (1, 99)
    assert backend.address(SimpleNamespace(data=SimpleNamespace(ptr=512))) == 512
    order = [kind.__name__ for kind in CupyBackend.__mro__]
    assert order.index("FastConvolution") < order.index("Convolution") and cudnn.FastConvolution in CupyBackend.__mro__


def test_a_training(device, library):
    """A network with convolutions learns as on the CPU."""

    def trained(where: str) -> list[float]:
        tg.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding="same"), nn.ReLU(), nn.ConvTranspose2d(4, 3, 2, stride=2), nn.Flatten()
        ).to(device=where, dtype="float64")
        optimizer = nn.optim.SGD(model.parameters(), lr=0.05)
        x = tg.tensor(np.random.default_rng(0).standard_normal((4, 1, 5, 5))).to(device=where)
        losses = []
        for _ in range(5):
            optimizer.zero_grad()
            loss = (model(x) ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach().to(device="cpu").item())
        return losses

    got = trained("fence")
    np.testing.assert_allclose(got, trained("cpu"), rtol=1e-10)
    assert got[-1] < got[0] and library.launches == 5 * 5 and len(library.graphs) == 5
