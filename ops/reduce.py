"""Reductions: many elements to one along one axis, several, or all of them (`axis=None`).

The dtype stays; integers and booleans are summed as integers, half precision is accumulated in float32. Products are
in product.py, orders (median, argmax, ...) in order.py. May import: elementwise, logic, index, shape.
"""

from __future__ import annotations

import builtins
from typing import Any

from tensorgraph.backends import check_dtype
from tensorgraph.creation import asarray
from tensorgraph.errors import ArgumentError
from tensorgraph.operation import Array, op
from tensorgraph.ops import elementwise
from tensorgraph.ops.axes import Axis, count_along, kept_shape, native_axis
from tensorgraph.ops.elementwise import astype, where
from tensorgraph.ops.logic import isclose, isnan
from tensorgraph.ops.shape import broadcast_to
from tensorgraph.spelling import named, spelled

__all__ = [
    "all", "allclose", "amax", "amin", "any", "array_equal", "count_nonzero", "logsumexp", "max", "mean", "min",
    "nanmean", "nansum", "std", "sum", "var", "vector_norm",
]  # fmt: skip


def restore(y: Any, shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Any:
    """The result of a reduction of an array of `shape`, in a shape that broadcasts against that array."""
    return y if keepdims or axis is None else y.reshape(kept_shape(shape, axis))


# ---- sums -----------------------------------------------------------------------------------------------------------
@op
def sum(be, x: Array, axis: Axis = None, keepdims: bool = False, dtype: object = None):
    """Sum of the elements.  x (...) -> without the reduced axes (size 1 with keepdims).  The sum of nothing is 0."""
    return be.sum(x, native_axis(axis, x), keepdims, dtype if dtype is None else check_dtype(dtype))


sum.vjp(x=lambda g, x_shape, axis, keepdims: broadcast_to(restore(g, x_shape, axis, keepdims), x_shape))


@op
def mean(be, x: Array, axis: Axis = None, keepdims: bool = False):
    """Arithmetic mean.  x (...) -> without the reduced axes; integers give float32.  The mean of nothing is NaN."""
    return be.mean(x, native_axis(axis, x), keepdims)


def _mean_rule(g, x_shape, axis, keepdims):
    return broadcast_to(restore(g / (count_along(x_shape, axis) or 1), x_shape, axis, keepdims), x_shape)


mean.vjp(x=_mean_rule)


@spelled
def nansum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Sum of the elements that are not NaN; the others get gradient 0.  x (...) -> without the reduced axes."""
    return sum(where(isnan(x), 0, x), axis, keepdims)


@spelled
def nanmean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Mean of the elements that are not NaN, NaN where there is none.  x (...) -> without the reduced axes."""
    missing = isnan(x)
    n = sum(~missing, axis, keepdims)
    total = sum(where(missing, 0, x), axis, keepdims)
    return where(n == 0, float("nan"), total / where(n == 0, 1, n).astype(total.dtype))


# ---- spread ---------------------------------------------------------------------------------------------------------
def _deviation(x, axis, correction):
    """x minus its mean, and what the squares are divided by; 0 where there is nothing to divide by."""
    return x - mean(x, axis, True), builtins.max(count_along(x.shape, axis) - correction, 0)


@op
def var(be, x: Array, axis: Axis = None, correction: float = 0, keepdims: bool = False):
    """Variance: mean of |x - mean|^2, with N - correction in the place of N.  x (...) -> without the reduced axes.

    correction=0 as in NumPy (PyTorch's default is 1). NaN where N - correction is not positive. The gradient at a
    constant x is 0.
    """
    return be.var(x, native_axis(axis, x), correction, keepdims)


def _var_rule(g, x, axis, correction, keepdims):
    deviation, n = _deviation(x, axis, correction)
    return restore(g, x.shape, axis, keepdims) * (2 / n if n else float("nan")) * deviation.conj()


var.vjp(x=_var_rule)


@op
def std(be, x: Array, axis: Axis = None, correction: float = 0, keepdims: bool = False):
    """Standard deviation, the root of `var`.  x (...) -> without the reduced axes.

    At a constant x, where the root has no derivative, the gradient is 0.
    """
    return be.sqrt(be.var(x, native_axis(axis, x), correction, keepdims))


def _std_rule(g, x, y, axis, correction, keepdims):
    deviation, n = _deviation(x, axis, correction)
    safe = restore(g / where(y == 0, 1, y), x.shape, axis, keepdims)
    return safe * (1 / n if n else float("nan")) * deviation.conj()


std.vjp(x=_std_rule)


# ---- extremes -------------------------------------------------------------------------------------------------------
def _extreme_rule(g, x, y, axis, keepdims):
    ties = x == restore(y, x.shape, axis, keepdims)
    n = ties.astype(g.dtype).sum(axis=axis if x.ndim else None, keepdims=True)
    return where(ties, restore(g, x.shape, axis, keepdims) / (n + (n == 0)), 0)


@op
def max(be, x: Array, axis: Axis = None, keepdims: bool = False):
    """Largest element; NaN wins.  x (...) -> without the reduced axes.

    Elements that tie for the maximum share the gradient evenly; a NaN gets none. Along an axis only values come
    back, as in NumPy; `argmax` has the indices. Raises ShapeError where there is nothing to choose from.
    """
    return be.max(x, native_axis(axis, x), keepdims)


max.vjp(x=_extreme_rule)


@op
def min(be, x: Array, axis: Axis = None, keepdims: bool = False):
    """Smallest element; NaN wins.  x (...) -> without the reduced axes.  Ties and empty input as in `max`."""
    return be.min(x, native_axis(axis, x), keepdims)


min.vjp(x=_extreme_rule)

amax, amin = max, min


@op
def logsumexp(be, x: Array, axis: Axis = None, keepdims: bool = False):
    """log(sum(exp(x))) without overflow.  x (...) -> without the reduced axes.

    -inf among the elements counts as nothing; of nothing but -inf (or no elements at all) the result is -inf, with
    gradient 0.
    """
    return be.logsumexp(x, native_axis(axis, x), keepdims)


def _logsumexp_rule(g, x, y, axis, keepdims):
    safe = where(y == -float("inf"), 0, y)
    p = elementwise.exp(x - restore(safe, x.shape, axis, keepdims))
    total = sum(p, axis, True)  # 1 but for the rounding of y, which is coarse where y is large
    return restore(g, x.shape, axis, keepdims) * (p / where(total == 0, 1, total))


logsumexp.vjp(x=_logsumexp_rule)


# ---- norms ----------------------------------------------------------------------------------------------------------
@op
def _norm2(be, x: Array, axis: Axis = None, keepdims: bool = False):
    """Root of the sum of squares; the gradient at 0 is 0."""
    return be.norm2(x, native_axis(axis, x), keepdims)


def _norm2_rule(g, x, y, axis, keepdims):
    return restore(g / where(y == 0, 1, y), x.shape, axis, keepdims) * x.conj()


_norm2.vjp(x=_norm2_rule)


@named
def vector_norm(x: Any, ord: float = 2, axis: Axis = None, keepdims: bool = False) -> Any:
    """(sum |x|^ord)^(1/ord) of the elements along the axes.  x (...) -> without the reduced axes, real.

    ord=inf and -inf: the largest and the smallest magnitude; ord=0: the number of elements that are not 0 (no
    gradient). Where the norm or an element is 0 and has no derivative there, the gradient is 0. Raises ShapeError for
    the largest or smallest of nothing.
    """
    if x.dtype.kind in "iub":
        x = astype(x, "float32")
    if ord == 2:
        return _norm2(x, axis, keepdims)
    magnitude = elementwise.abs(x)
    if ord == 1:
        return sum(magnitude, axis, keepdims)
    if ord == float("inf"):
        return max(magnitude, axis, keepdims)
    if ord == -float("inf"):
        return min(magnitude, axis, keepdims)
    if ord == 0:
        return astype(count_nonzero(x, axis, keepdims), magnitude.dtype)
    if not isinstance(ord, (int, float)):
        raise ArgumentError(f"vector_norm: ord {ord!r} is no number", hint="matrix norms: linalg.matrix_norm")
    return _power_norm(magnitude, ord, axis, keepdims)


@op
def _power_norm(be, x: Array, ord: float, axis: Axis = None, keepdims: bool = False):
    """(sum x^ord)^(1/ord) of non-negative x."""
    return be.power_norm(x, ord, native_axis(axis, x), keepdims)


def _power_norm_rule(g, x, y, ord, axis, keepdims):
    ratio = x / restore(where(y == 0, 1, y), x.shape, axis, keepdims)
    slope = where(ratio == 0, 1, ratio) ** (ord - 1)
    return where(ratio == 0, 0, restore(where(y == 0, 0, g), x.shape, axis, keepdims) * slope)


_power_norm.vjp(x=_power_norm_rule)


# ---- truth ----------------------------------------------------------------------------------------------------------
@op
def any(be, x: Array, axis: Axis = None, keepdims: bool = False):
    """Whether an element is true (not 0; NaN is true).  x (...) -> bool.  False of nothing."""
    return be.any(x, axis=native_axis(axis, x), keepdims=keepdims)


@op
def all(be, x: Array, axis: Axis = None, keepdims: bool = False):
    """Whether every element is true (not 0; NaN is true).  x (...) -> bool.  True of nothing."""
    return be.all(x, axis=native_axis(axis, x), keepdims=keepdims)


@op
def count_nonzero(be, x: Array, axis: Axis = None, keepdims: bool = False):
    """How many elements are not 0.  x (...) -> int64."""
    return (x != 0).sum(axis=native_axis(axis, x), keepdims=keepdims)


@named
def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether `isclose` holds everywhere, as a Python bool.  a (...), b (...), broadcast together."""
    return bool(all(isclose(a, b, rtol, atol, equal_nan)))


@named
def array_equal(a: Any, b: Any) -> bool:
    """Whether shapes and all elements agree, as a Python bool (PyTorch's `equal`).  NaN equals nothing."""
    a, b = (x if hasattr(x, "shape") else asarray(x) for x in (a, b))
    return a.shape == b.shape and bool(all(a == b))
