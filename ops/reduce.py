"""Reductions: many elements to one, along one axis, several, or all. `axis` is an integer, a tuple or None (all).

The dtype stays, integers and booleans are summed as int64, half precision is accumulated in float32.
May import: elementwise, shape.
"""

from __future__ import annotations

from typing import Any

from tensorgraph.errors import ShapeError
from tensorgraph.operation import Array, op
from tensorgraph.ops.axes import Axis, count_along, kept_shape
from tensorgraph.ops.elementwise import where
from tensorgraph.ops.shape import broadcast_to

__all__ = ["amax", "amin", "max", "mean", "min", "sum"]


def restore(y: Any, shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Any:
    """The result of a reduction of an array of `shape`, in a shape that broadcasts against that array."""
    return y if keepdims or axis is None else y.reshape(kept_shape(shape, axis))


@op
def sum(be, x: Array, axis: Axis = None, keepdims: bool = False, dtype: object = None):
    """Sum of the elements.  x (...) -> without the reduced axes (size 1 with keepdims).  The sum of nothing is 0."""
    return be.sum(x, axis, keepdims, dtype)


sum.vjp(x=lambda g, x_shape, axis, keepdims: broadcast_to(restore(g, x_shape, axis, keepdims), x_shape))


@op
def mean(be, x: Array, axis: Axis = None, keepdims: bool = False):
    """Arithmetic mean.  x (...) -> without the reduced axes; integers give float32. The mean of nothing is NaN."""
    return be.mean(x, axis, keepdims)


def _mean_rule(g, x_shape, axis, keepdims):
    n = count_along(x_shape, axis) or 1
    return broadcast_to(restore(g / n, x_shape, axis, keepdims), x_shape)


mean.vjp(x=_mean_rule)


def _extreme_rule(g, x, y, axis, keepdims):
    ties = x == restore(y, x.shape, axis, keepdims)
    n = ties.astype(g.dtype).sum(axis=axis, keepdims=True)
    return where(ties, restore(g, x.shape, axis, keepdims) / (n + (n == 0)), 0)


@op
def max(be, x: Array, axis: Axis = None, keepdims: bool = False):
    """Largest element; NaN wins.  x (...) -> without the reduced axes.

    Elements that tie for the maximum share the gradient evenly; a NaN gets none. Raises ShapeError where there is
    nothing to choose from.
    """
    return be.max(x, axis, keepdims)


max.vjp(x=_extreme_rule)


@op
def min(be, x: Array, axis: Axis = None, keepdims: bool = False):
    """Smallest element; NaN wins.  x (...) -> without the reduced axes.  Ties and empty input as in `max`."""
    return be.min(x, axis, keepdims)


min.vjp(x=_extreme_rule)

amax, amin = max, min
