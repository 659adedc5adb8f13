"""What the operations ask of the array library exists in CuPy, with the same arguments. Needs CuPy, but no GPU.

All samples of operations, all layers, losses and networks, all optimisers and random streams run on the fence
backend, which runs the same definitions as the CuPy backend and notes every function and every method of an array that
it is asked for. What happens inside a method that the CuPy backend overrides does not count; the names in that file
are looked up one by one.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import sys
from pathlib import Path

import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.operation import registry
from tests import fence as fences
from tests import host_cuda, host_cudnn
from tests import test_fence_nn as layers
from tests.fence import FenceArray
from tests.nn_cases import CASES
from tests.test_operations import SAMPLES, gradients, tensors

cupy = pytest.importorskip("cupy", reason="CuPy is not installed (extra `gpu-check`)")
pytestmark = pytest.mark.peers

UFUNC_KEYWORDS = {"out", "dtype", "casting"}
SCATTERING = {"add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"}  # have .at in CuPy


@pytest.fixture
def calls(fence, monkeypatch) -> set:
    """(name, number of arguments, keywords, method of the backend) for everything that the samples ask for."""
    monkeypatch.setattr(fence, "calls", set())
    for _, sample in SAMPLES:
        values = tensors(sample, sample.arrays(sample.dtypes[-1]), grad=True, make=FenceArray)
        if sample.grad:
            gradients(sample, values, FenceArray)
        else:
            sample.call(values)
    for case in range(len(CASES)):
        layers.run(case, "fence")
    for kind in layers.OPTIMIZERS:
        layers.trained("fence", kind, "StepLR", steps=2)
    layers.draws(fence.xp)
    return fence.calls


def test_every_call_is_understood_by_cupy(calls):
    assert len(registry) > 0 and len(calls) > 50 and any(name.startswith("ndarray.") for name, *_ in calls)
    check(calls)


def test_every_call_around_the_kernels_is_understood_by_cupy(monkeypatch):
    """Layers, losses and optimisers once more, with the kernels of the backend run on the host."""
    if host_cuda.compiler() is None:
        pytest.skip("no C compiler that knows _Float16 and ucontext.h")
    host, calls = host_cuda.HostCuda(), set()
    monkeypatch.setattr(fences.fence, "calls", calls)  # that of the methods of arrays
    monkeypatch.setattr(host, "calls", calls)
    with host_cuda.installed(host):
        for case in range(len(CASES)):
            layers.run(case, "fence")
        for kind in layers.OPTIMIZERS:
            layers.trained("fence", kind, "StepLR", steps=1)
    assert any(name == "ascontiguousarray" for name, *_ in calls)
    check(calls)


def test_every_call_around_cudnn_is_understood_by_cupy(monkeypatch):
    """Convolutions of every kind, with what plays cuDNN."""
    library = host_cudnn.HostLibrary()
    library.room = lambda graph: 100
    monkeypatch.setitem(sys.modules, "cudnn", library)
    host, calls = host_cudnn.HostCudnn(), set()
    monkeypatch.setattr(fences.fence, "calls", calls)
    monkeypatch.setattr(host, "calls", calls)
    with fences.installed(host):
        for make in (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d):
            for dtype in ("float32", "float16"):
                layer = make(2, 3, 3).to(device="fence", dtype=dtype)
                axes = 2 if "2d" in make.__name__ else int(make.__name__[-2])
                x = tg.ones((1, 2, *(5,) * axes), dtype=dtype, device="fence", requires_grad=True)
                nn.functional.relu(layer(x)).sum().backward()
        tg.conv2d(tg.ones((1, 2, 5, 5), device="fence"), tg.ones((3, 2, 3, 3), device="fence"), activation="relu")
    assert {"moveaxis", "ascontiguousarray", "maximum"} <= {name for name, *_ in calls}
    assert library.launches == 4 * 2 * 3 + 1
    check(calls)


def check(calls: set) -> None:
    """Fails where CuPy would refuse one of the calls."""
    from tensorgraph.backends.cupy import CupyBackend

    overridden = {name for cls in CupyBackend.__mro__[:-1] if cls.__module__.endswith("cupy") for name in vars(cls)}
    wrong = {}
    for name, arguments, keywords, method in sorted(calls):
        if method not in overridden and name not in overridden:
            why = misfit(name, arguments, keywords)
            if why:
                wrong[f"{name}({arguments} arguments, {', '.join(keywords)})" + f" in be.{method}" * bool(method)] = why
    assert not wrong, "\n".join(f"{call}: {why}" for call, why in wrong.items())


def misfit(name: str, arguments: int, keywords: tuple[str, ...]) -> str:
    """Why CuPy would refuse the call; empty when it would not."""
    found = cupy
    for part in name.split("."):
        found = getattr(found, part, None)
        if found is None:
            return f"CuPy has no {name}"
    owner, _, method = name.rpartition(".")
    if owner == "ndarray":
        return misfit_of_method(found, arguments, keywords)
    if method == "at" and owner not in SCATTERING:
        return f"CuPy has no {name}"
    if isinstance(found, cupy.ufunc):
        extra = set(keywords) - UFUNC_KEYWORDS
        return f"a ufunc of CuPy takes no {', '.join(extra)}" if extra else ""
    try:
        signature = inspect.signature(found)
    except ValueError:
        return ""  # compiled without a signature
    try:
        signature.bind(*(None,) * arguments, **dict.fromkeys(keywords))
    except TypeError as error:
        return str(error)
    return ""


def misfit_of_method(method, arguments: int, keywords: tuple[str, ...]) -> str:
    """The same for a method of an array, whose arguments only the first line of its docstring tells."""
    listed = re.match(r"_ndarray_base\.\w+\(self(?:, )?(.*?)\)(?: ->|$)", (method.__doc__ or "").partition("\n")[0])
    if listed is None:
        return ""
    declared = [part.partition("=")[0].split()[-1] for part in re.split(r", (?![^()]*\))", listed[1]) if part]
    several = any(name.startswith("*") for name in declared)
    if arguments > len(declared) and not several:
        return f"takes {len(declared)} arguments"
    unknown = set(keywords) - set(declared if several else declared[arguments:])
    return f"takes no {', '.join(unknown)}" if unknown else ""


def test_names_in_the_backend_exist():
    """`self.xp.` and `cupyx.` in the file of the CuPy backend, which no test can run here."""
    import cupyx

    from tensorgraph.backends import cupy as file

    asked = set()
    for node in ast.walk(ast.parse(Path(file.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and "." in ast.unparse(node):
            text = ast.unparse(node).replace("self.xp.", "cupy.")
            if text.startswith(("cupy.", "cupyx.")) and text.replace(".", "").isidentifier():
                asked.add(text)
    assert len(asked) > 5
    for text in asked:
        found = {"cupy": cupy, "cupyx": cupyx}[text.partition(".")[0]]
        for part in text.split(".")[1:]:
            assert hasattr(found, part), f"CuPy has no {text}"
            found = getattr(found, part)
    assert importlib.util.find_spec(file.CUBLAS)


def test_the_check_itself_notices():
    assert misfit("ndarray.sum", 0, ("axis", "keepdims")) == ""
    assert "takes no where" in misfit("ndarray.sum", 0, ("where",))
    assert "takes 3 arguments" in misfit("ndarray.max", 4, ())
    assert "has no ndarray.setfield" in misfit("ndarray.setfield", 0, ())
    assert misfit("ndarray.reshape", 3, ()) == misfit("ndarray.astype", 1, ("copy",)) == ""
    assert misfit("sum", 1, ("axis", "keepdims")) == ""
    assert "no nansumm" in misfit("nansumm", 1, ())
    assert "where" in misfit("add", 2, ("where",))
    assert "initial" in misfit("max", 1, ("initial",))
    assert "multiply.at" in misfit("multiply.at", 3, ())
