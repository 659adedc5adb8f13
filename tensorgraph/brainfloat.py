"""bfloat16, float32 with 8 bits of precision: tensors hold it, operations compute in float32 and round their results.

NumPy knows the type through the package ml_dtypes, as kind "V" beside its own floats "f". When a program first asks for
it, `bfloat16()` wraps what every operation runs; until then nothing knows of this file. So a rule, a kernel and a
definition see float32, a result is rounded once, and the dtypes are PyTorch's: with float16 or float32 it becomes
float32, with integers and numbers it stays. May import: the engine. The backends import it when they are asked.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from tensorgraph import backends, backward, fused, operation
from tensorgraph.autocast import NARROW
from tensorgraph.errors import MissingPackageError

__all__ = ["bfloat16"]

F32, F64 = np.dtype("float32"), np.dtype("float64")

_lock = threading.Lock()
_dtype: np.dtype | None = None


def bfloat16() -> np.dtype:
    """The dtype. Raises MissingPackageError: ml_dtypes is not installed."""
    global _dtype
    if _dtype is None:
        try:
            import ml_dtypes
        except ImportError:
            raise MissingPackageError(
                "bfloat16: NumPy has it through the package ml_dtypes, which is not installed",
                hint='pip install "tensorgraph[bfloat16]"; float16 needs nothing',
            ) from None
        with _lock:
            if _dtype is None:
                _dtype = np.dtype(ml_dtypes.bfloat16)
                _install()
    return _dtype


def _install() -> None:
    operation.wrap(_rounded)
    fused.wrappers.append(_rounded_kernel)
    backward.widen = _wide_gradient


def _is(value: Any) -> bool:
    return type(value) in backends.ARRAYS and value.dtype == _dtype


def _widen(value: Any) -> Any:
    """float32 in the place of bfloat16; also inside a tuple of arrays."""
    if _is(value):
        return value.astype(F32)
    return tuple(map(_widen, value)) if type(value) is tuple and any(map(_is, value)) else value


def _rounds(values: tuple) -> bool:
    """Whether results are bfloat16: no array among the operands is of another floating dtype."""
    return not any(type(v) in backends.ARRAYS and v.dtype.kind in "fc" for v in values)


def _narrow(y: Any) -> Any:
    if type(y) is tuple:
        return tuple(map(_narrow, y))
    wide = isinstance(y, np.generic) or type(y) in backends.ARRAYS
    return y.astype(_dtype) if wide and y.dtype in (F32, F64) else y


def _rounded(op: Any) -> Callable[..., Any]:
    plain = op.forward
    place = op.positional.index("dtype") if "dtype" in op.positional else None
    product = op.name in NARROW

    @functools.wraps(plain)
    def forward(be: Any, *args: Any, **settings: Any) -> Any:
        if not any(map(_is, args)) or (product and be.half_products):
            return plain(be, *args, **settings)
        y = plain(be, *map(_widen, args), **settings)
        asked = settings.get("dtype") if place is None else args[place]
        return _narrow(y) if asked is None and _rounds(args) else y

    return forward


def _rounded_kernel(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel of a fused operation on float32; its result has the dtype of its first operand, as with float16."""

    def run(be: Any, *arrays: Any, **static: Any) -> Any:
        if not any(map(_is, arrays)):
            return kernel(be, *arrays, **static)
        done = kernel(be, *map(_widen, arrays), **static)
        if done is None or not _is(arrays[0]):
            return done
        y, pullback = done
        return _narrow(tuple(map(be.asarray, y)) if type(y) is tuple else be.asarray(y)), pullback

    return run


def _wide_gradient(plan: Any, g: Any, saved: tuple) -> tuple[Any, tuple]:
    """What a rule is given; the backward pass rounds what it returns to the dtype of the input."""
    be = backends.ARRAYS.get(type(g))
    if be is not None and be.half_products and plan.name in NARROW:
        return g, saved
    if isinstance(g, operation.Parts):
        g = operation.Parts(tuple(map(_widen, g.values)))
    return _widen(g), tuple(map(_widen, saved))
