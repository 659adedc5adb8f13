"""`linalg` and `fft` for arrays without numbers: NumPy is asked what it gives for a stack of no matrices.

An array with an axis of size 0 costs neither memory nor time, and NumPy checks its shapes and dtypes like any other.
Imported by backend.py beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorgraph.backends.meta.array import MetaArray, new
from tensorgraph.errors import BackendError

__all__ = ["fft", "linalg"]


def _of_matrices(function: Callable) -> Callable:
    """A function of matrices in the last two axes."""

    def run(*arrays: Any, **options: Any) -> Any:
        lead = np.broadcast_shapes(*(a.shape[:-2] for a in arrays))
        found: Any = function(*(np.empty((0, *a.shape[-2:]), a.dtype) for a in arrays), **options)
        if not isinstance(found, tuple):
            return new((*lead, *found.shape[1:]), found.dtype)
        parts: list[Any] = [new((*lead, *part.shape[1:]), part.dtype) for part in found]
        return type(found)(*parts) if hasattr(found, "_fields") else tuple(parts)

    return run


def _of_lines(function: Callable, several: bool) -> Callable:
    """A Fourier transform along one axis, or several."""

    def run(x: MetaArray, n: Any = None, axis: Any = -1, norm: Any = None) -> MetaArray:
        axes = (axis,) if isinstance(axis, int) else tuple(range(x.ndim)) if axis is None else tuple(axis)
        moved = tuple(a % x.ndim + 1 for a in axes)
        sizes = [size if i + 1 in moved else 0 for i, size in enumerate(x.shape)]
        found = function(np.empty((0, *sizes), x.dtype), n, moved if several else moved[0], norm)
        shape = [found.shape[i + 1] if i + 1 in moved else size for i, size in enumerate(x.shape)]
        return new(shape, found.dtype)

    return run


def _shifted(x: MetaArray, axes: Any = None) -> MetaArray:
    return new(x.shape, x.dtype)


class _Space:
    def __init__(self, name: str, module: Any, make: Callable[[str, Callable], Callable]):
        self._name, self._module, self._make = name, module, make

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        if not callable(found):
            raise BackendError(f"the device 'meta' has no rule for {self._name}.{name}")
        made = self._make(name, found)
        setattr(self, name, made)
        return made


linalg = _Space("linalg", np.linalg, lambda name, function: _of_matrices(function))
fft = _Space(
    "fft", np.fft, lambda name, function: _shifted if "shift" in name else _of_lines(function, name[-1] in "n2")
)
