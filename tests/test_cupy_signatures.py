"""What the operations ask of the array library exists in CuPy, with the same arguments. Needs CuPy, but no GPU.

All samples run forward and backward on the fence backend, which runs the same definitions as the CuPy backend and
notes every function it is asked for. What happens inside a method that the CuPy backend overrides does not count.
"""

from __future__ import annotations

import inspect

import pytest

from tensorgraph.operation import registry
from tests.fence import FenceArray
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
    return fence.calls


def test_every_call_is_understood_by_cupy(calls):
    from tensorgraph.backends.cupy import CupyBackend

    overridden = {name for cls in CupyBackend.__mro__[:-1] if cls.__module__.endswith("cupy") for name in vars(cls)}
    assert len(registry) > 0 and len(calls) > 50
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


def test_the_check_itself_notices():
    assert misfit("sum", 1, ("axis", "keepdims")) == ""
    assert "no nansumm" in misfit("nansumm", 1, ())
    assert "where" in misfit("add", 2, ("where",))
    assert "initial" in misfit("max", 1, ("initial",))
    assert "multiply.at" in misfit("multiply.at", 3, ())
