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


def _result(y: Any, x: Any) -> Any:
    """y in the dtype that a floating result for x has: half precision again, float32 for integers."""
    kind = x.dtype.kind
    return y.astype(HALF) if x.dtype is HALF else y if kind in "fc" else y.astype(FLOAT)


def _wide(x: Any) -> Any:
    """x in a dtype that it is safe to accumulate in: half precision as float32, integers as float64."""
    if x.dtype is HALF:
        return x.astype(FLOAT)
    return x if x.dtype.kind in "fc" else x.astype(DOUBLE)


class Reduction:
    """Reductions in terms of `xp` and the array's own methods. `axis` is an integer, a tuple or None."""

    xp: Any

    def add_into(self, total: Any, x: Any) -> Any:
        """total + x, written into total (which has the common shape), or a new array where it has no place for it."""
        return self.xp.add(total, x, out=total) if total.dtype == x.dtype else total + x

    def sum(self, x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
        """Sum of the elements."""
        if x.dtype is HALF and dtype is None:
            return x.sum(axis=axis, dtype=FLOAT, keepdims=keepdims).astype(HALF)
        return x.sum(axis=axis, dtype=dtype, keepdims=keepdims)

    def mean(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        """Arithmetic mean; NaN of nothing."""
        dtype = x.dtype
        wide = FLOAT if dtype is HALF else None if dtype.kind in "fc" else DOUBLE
        total = x.sum(axis=axis, dtype=wide, keepdims=keepdims)
        mean = total / (x.size // total.size) if x.size else total + float("nan")
        return mean if wide is None else _result(mean, x)

    def var(self, x: Any, axis: Any, correction: float, keepdims: bool) -> Any:
        """Mean of |x - mean|^2 with N - correction in the place of N; NaN where that is not positive."""
        wide = _wide(x)
        mean = self.mean(wide, axis, True)
        deviation = wide - mean
        squares = deviation * deviation if x.dtype.kind != "c" else deviation.real**2 + deviation.imag**2
        total = squares.sum(axis=axis, keepdims=keepdims)
        n = (x.size // mean.size if mean.size else 0) - correction
        var = total / n if n > 0 else total + float("nan")
        return _result(var, x)

    def mean_and_variance(self, x: Any, axis: tuple[int, ...]) -> tuple[Any, Any, Any]:
        """Mean, x without it (or None, if it was not needed), and mean square of that; kept axes, float32 at least."""
        wide = _wide(x)
        mean = self.mean(wide, axis, True)
        centered = wide - mean
        squares = self.dot_along(centered, centered, axis)  # pyright: ignore[reportAttributeAccessIssue]
        return mean, centered, squares / (x.size // mean.size)

    def move_towards(self, average: Any, values: Any, rate: float, factor: float) -> None:
        """average = (1 - rate) average + rate factor values, in place: a running mean."""
        average *= 1 - rate
        average += (rate * factor * values).astype(average.dtype, copy=False)

    def max(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        """Largest element; NaN wins."""
        if x.size == 0:
            self.refuse_nothing("max", x, axis)
        return x.max(axis=axis, keepdims=keepdims)

    def min(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        """Smallest element; NaN wins."""
        if x.size == 0:
            self.refuse_nothing("min", x, axis)
        return x.min(axis=axis, keepdims=keepdims)

    def logsumexp(self, x: Any, axis: Any, keepdims: bool) -> Any:
        """log(sum(exp(x))), shifted by the largest element where that is finite; -inf of nothing."""
        xp, wide = self.xp, _wide(x)
        if not x.size:
            return _result(wide.sum(axis=axis, keepdims=keepdims) - float("inf"), x)
        top = wide.max(axis=axis, keepdims=True)
        top = xp.where(xp.isfinite(top), top, 0)
        total = xp.exp(wide - top).sum(axis=axis, keepdims=keepdims)
        nothing = total == 0
        return _result(
            xp.where(nothing, -float("inf"), xp.log(xp.where(nothing, 1, total)) + top.reshape(total.shape)), x
        )

    def shifted(self, x: Any, axis: int) -> Any:
        """x minus its maximum along the axis, in memory of its own: exp of it cannot overflow."""
        return self.xp.asarray(x - self.max(x, axis, True)) if x.size else x.copy()

    def softmax(self, x: Any, axis: int) -> Any:
        """exp(x) / sum(exp(x)) along an axis, without overflow."""
        y = self.shifted(x, axis)
        self.xp.exp(y, out=y)
        y /= self.sum(y, axis, True)
        return y

    def softmax_slope(self, g: Any, y: Any, axis: int) -> Any:
        """(g - sum(g y)) y, the gradient in x where y is softmax(x)."""
        return (g - self.sum(g * y, axis, True)) * y

    def exp_rows(self, x: Any) -> tuple[Any, Any, Any]:
        """exp(x - top), top and the sums of the first, of the rows of x (rows, columns); top is the largest."""
        top = self.max(x, 1)
        e = x - top[:, None]
        self.xp.exp(e, out=e)
        return e, top, self.sum(e, 1)

    def label_slope(self, e: Any, up: Any, labels: Any, down: Any) -> Any:
        """e (rows, columns) times up (rows), less down (rows) in the column that `labels` (rows) names."""
        d = e * up.reshape(-1, 1)
        d[self.xp.arange(len(d)), labels] -= down
        return d

    def norm2(self, x: Any, axis: Any, keepdims: bool) -> Any:
        """Root of the sum of |x|^2."""
        wide = _wide(x)
        squares = wide * wide if x.dtype.kind != "c" else wide.real**2 + wide.imag**2
        return _result(self.xp.sqrt(squares.sum(axis=axis, keepdims=keepdims)), x)

    def power_norm(self, x: Any, ord: float, axis: Any, keepdims: bool) -> Any:
        """(sum x^ord)^(1/ord) of non-negative x, 0 where a zero has a negative power."""
        xp, wide = self.xp, _wide(x)
        zero = wide == 0
        powers = xp.where(zero, 0 if ord > 0 else float("inf"), xp.where(zero, 1, wide) ** ord)
        total = powers.astype(wide.dtype).sum(axis=axis, keepdims=keepdims)
        empty = (total == 0) | (total == float("inf"))
        edge = total if ord > 0 else xp.where(total == 0, float("inf"), 0).astype(wide.dtype)
        return _result(xp.where(empty, edge, xp.where(empty, 1, total) ** (1 / ord)), x)

    def dot_along(self, a: Any, b: Any, axis: tuple[int, ...]) -> Any:
        """Sum of a * b (of one shape) over some axes, which stay with size 1; the products are not written out."""
        letters = "abcdefghijklmnopqrstuvwxyz"[: a.ndim]
        kept = "".join([c for i, c in enumerate(letters) if i not in axis])
        shape = [1 if i in axis else n for i, n in enumerate(a.shape)]
        return self.xp.einsum(f"{letters},{letters}->{kept}", a, b).reshape(shape)

    def refuse_nothing(self, op: str, x: Any, axis: Any) -> None:
        """Raises ShapeError when a result would have to be chosen from no elements."""
        if x.any(axis=axis).size:
            raise ShapeError(f"{op}: {sig(x)} has no elements along axis {axis}, and there is no {op} of nothing")
