"""The name space of the array library for arrays without numbers: what each function gives, by shapes.

`functions` stands where NumPy stands on the CPU, and arrays get their methods here. A function without a rule is an
error that says so. Imported by backend.py and kernels.py beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorgraph.backends.meta import choosing, making, reducing  # noqa: F401 - choosing fills the table
from tensorgraph.backends.meta.array import MetaArray, new, refuse, view
from tensorgraph.backends.meta.decompositions import fft, linalg
from tensorgraph.backends.meta.elementwise import Ufunc, attach_operators
from tensorgraph.backends.meta.rules import RULES
from tensorgraph.errors import BackendError, sig

__all__ = ["functions"]

# ---- the name spaces ------------------------------------------------------------------------------------------------
_UNKNOWN = ("argwhere", "bincount", "histogram", "nonzero", "unique", "unwrap")
"""functions whose results have a shape that depends on numbers"""


class _Functions:
    """`functions.exp`, ...: a rule from here, one of NumPy's ufuncs, constants and types, or an error."""

    linalg, fft = linalg, fft

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found: Any = RULES.get(name)
        if found is None:
            there = getattr(np, name)
            if isinstance(there, np.ufunc):
                found = Ufunc(there)
            elif name in _UNKNOWN:
                found = _asking(name)
            elif isinstance(there, type) or not callable(there):
                found = there
            else:
                raise BackendError(f"the device 'meta' has no rule for the shape of {name}()")
        setattr(self, name, found)
        return found


def _asking(name: str) -> Callable:
    def run(x: Any, *_: Any, **__: Any) -> Any:
        refuse(f"{name}() wants the numbers of {sig(x)}")

    return run


functions = _Functions()


# ---- the methods of arrays ------------------------------------------------------------------------------------------
def _transpose(x: MetaArray, *axes: Any) -> MetaArray:
    return view(x, x.lay.transpose(*axes))


def _reshape(x: MetaArray, *shape: Any, order: str = "C") -> MetaArray:
    return making.reshape(x, shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)


def _view(x: MetaArray, dtype: Any) -> MetaArray:
    return view(x, x.lay.view(dtype))


def _fill(x: MetaArray, value: Any) -> None:
    """Writes nothing."""


def _copy(x: MetaArray, order: str = "C") -> MetaArray:
    return making.copy(x, order)


def _conj(x: MetaArray) -> MetaArray:
    return Ufunc(np.conjugate)(x) if x.dtype.kind == "c" else x


def _sort_in_place(x: MetaArray, *_: Any, **__: Any) -> None:
    """Moves nothing."""


_METHODS = (
    "all any argmax argmin argpartition argsort astype clip cumprod cumsum diagonal dot max mean min prod ravel repeat "
    "round searchsorted squeeze std sum swapaxes take trace var"
).split()
for _name in _METHODS:
    setattr(MetaArray, _name, RULES[_name])
for _name, _method in {
    "transpose": _transpose, "reshape": _reshape, "view": _view, "fill": _fill, "copy": _copy, "conj": _conj,
    "conjugate": _conj, "sort": _sort_in_place, "flatten": lambda x: new((x.size,), x.dtype),
    "__matmul__": lambda a, b: reducing.matmul(a, b), "__rmatmul__": lambda b, a: reducing.matmul(a, b),
}.items():  # fmt: skip
    setattr(MetaArray, _name, _method)
attach_operators()
