"""Running results along an axis (sums, products, extremes, linear recurrences) and ordering.

A part of `Backend`; imported by `backends/array.py` only. Where the array library has no running form, log2(n) steps
over whole arrays do it: after the step of width d every place holds the result of the 2d places that end there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

FLOAT = np.dtype("float32")
HALF = np.dtype("float16")


def _steps(ndim: int, axis: int, n: int):
    """(places from d on, places d before them) for d = 1, 2, 4, ..."""
    before, d = (slice(None),) * axis, 1
    while d < n:
        yield (*before, slice(d, None)), (*before, slice(None, -d))
        d *= 2


class Scanning:
    """Running results in terms of `xp`. `axis` is counted from the front."""

    xp: Any

    def cumsum(self, x: Any, axis: int, dtype: Any = None) -> Any:
        """Running sum; half precision is accumulated in float32."""
        if x.dtype is HALF and dtype is None:
            return x.cumsum(axis=axis, dtype=FLOAT).astype(HALF)
        return x.cumsum(axis=axis, dtype=dtype)

    def cumprod(self, x: Any, axis: int, dtype: Any = None) -> Any:
        """Running product; half precision is accumulated in float32."""
        if x.dtype is HALF and dtype is None:
            return x.cumprod(axis=axis, dtype=FLOAT).astype(HALF)
        return x.cumprod(axis=axis, dtype=dtype)

    def prod(self, x: Any, axis: Any, keepdims: bool, dtype: Any = None) -> Any:
        """Product; half precision is accumulated in float32."""
        if x.dtype is HALF and dtype is None:
            return x.prod(axis=axis, dtype=FLOAT, keepdims=keepdims).astype(HALF)
        return x.prod(axis=axis, dtype=dtype, keepdims=keepdims)

    def running(self, combine: Callable, x: Any, axis: int) -> Any:
        """Running result of an associative function of two arrays."""
        y = x.copy()
        for here, earlier in _steps(x.ndim, axis, x.shape[axis]):
            y[here] = combine(y[here], y[earlier])
        return y

    def running_extreme(self, x: Any, axis: int, largest: bool) -> tuple[Any, Any]:
        """The largest (or smallest) so far, NaN from the first NaN on, and the last place where it was met."""
        xp = self.xp
        y = self.running(xp.maximum if largest else xp.minimum, x, axis)
        places = xp.arange(x.shape[axis]).reshape((-1,) + (1,) * (x.ndim - 1 - axis))
        met = xp.where((x == y) | (x != x), places, 0)
        return y, self.running(xp.maximum, met, axis)

    def logcumsumexp(self, x: Any, axis: int) -> Any:
        """log of the running sum of exp(x); half precision is accumulated in float32."""
        if x.dtype is HALF:
            return self.running(self.xp.logaddexp, x.astype(FLOAT), axis).astype(HALF)
        return self.running(self.xp.logaddexp, x, axis)

    def recurrence(self, a: Any, b: Any, axis: int) -> Any:
        """h with h[i] = a[i] * h[i-1] + b[i] and h[-1] = 0."""
        a, b = a.copy(), b.copy()
        for here, earlier in _steps(b.ndim, axis, b.shape[axis]):
            b[here] = b[here] + a[here] * b[earlier]
            a[here] = a[here] * a[earlier]
        return b

    def order(self, x: Any, axis: int, descending: bool) -> Any:
        """The indices that sort x along an axis; equal elements stay in order. NaN is larger than every number."""
        if not descending:
            return self.xp.argsort(x, axis=axis, kind="stable")
        back = (*(slice(None),) * axis, slice(None, None, -1))
        return x.shape[axis] - 1 - self.xp.argsort(x[back], axis=axis, kind="stable")[back]

    def top(self, x: Any, k: int, axis: int, largest: bool) -> Any:
        """The indices of the k largest (or smallest) elements along an axis, outermost first; equal ones in order."""
        return self.order(x, axis, largest)[(*(slice(None),) * axis, slice(k))]
