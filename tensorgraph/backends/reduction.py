"""Reductions as the operations need them: half precision accumulated in float32, extremes of nothing refused.

A part of `Backend`; imported by `backends/array.py` only. The methods of the arrays are called, not the functions of
the library: they do the same with less on the way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph.errors import ShapeError, sig

FLOAT = np.dtype("float32")
HALF = np.dtype("float16")
DOUBLE = np.dtype("float64")


class Reduction:
    """Reductions in terms of the array's own methods."""

    xp: Any

    def sum(self, x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
        """Sum; half precision is accumulated in float32."""
        if x.dtype is HALF and dtype is None:
            return x.sum(axis=axis, dtype=FLOAT, keepdims=keepdims).astype(HALF)
        return x.sum(axis=axis, dtype=dtype, keepdims=keepdims)

    def max(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        """Largest element; NaN wins."""
        if x.size == 0:
            self._refuse_nothing("max", x, axis)
        return x.max(axis=axis, keepdims=keepdims)

    def min(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        """Smallest element; NaN wins."""
        if x.size == 0:
            self._refuse_nothing("min", x, axis)
        return x.min(axis=axis, keepdims=keepdims)

    def mean(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        """Mean; half precision is accumulated in float32, integers in float64. The mean of nothing is NaN."""
        dtype = x.dtype
        kind = dtype.kind
        total = x.sum(axis=axis, dtype=FLOAT if dtype is HALF else None if kind in "fc" else DOUBLE, keepdims=keepdims)
        n = x.size // total.size if total.size else 0
        if not n:
            return (total + float("nan")).astype(total.dtype)
        return (total / n).astype(HALF) if dtype is HALF else total / n

    def _refuse_nothing(self, op: str, x: Any, axis: Any) -> None:
        """Raises ShapeError when an extreme of no elements is asked for."""
        if x.sum(axis=axis).size or axis is None:  # an extreme for every one of no rows is fine
            raise ShapeError(f"{op}: {sig(x)} has no elements along axis {axis}, and nothing has no {op}imum")
