"""Order: sort, the largest k, arg-extremes, median and quantiles, search in sorted values.

NumPy's and the array API's meaning: `sort` gives values (PyTorch's gives a pair), `median` the mean of the two middle
elements. NaN counts as larger than every number. May import: elementwise, logic, index, shape, join, reduce.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tensorgraph.backends.indexing import Along
from tensorgraph.creation import asarray
from tensorgraph.errors import ArgumentError, OutOfRangeError, ShapeError, sig
from tensorgraph.operation import Array, op
from tensorgraph.ops.axes import Axis, check_axes, check_axis, kept_shape, native_axis, scalars_too
from tensorgraph.ops.elementwise import astype, where
from tensorgraph.ops.index import getitem, put_add
from tensorgraph.ops.join import stack
from tensorgraph.ops.logic import isnan
from tensorgraph.ops.shape import merged, reshape
from tensorgraph.spelling import spelled
from tensorgraph.tensor import Tensor

__all__ = ["argmax", "argmin", "argsort", "median", "quantile", "searchsorted", "sort", "topk"]


# ---- sorted ---------------------------------------------------------------------------------------------------------
@op(aux=("indices",))
def _sort(be, x: Array, axis: int, descending: bool):
    indices = be.order(x, axis, descending)
    return be.take_along_axis(x, indices, axis), indices


_sort.vjp(x=lambda g, indices, axis, x_shape: put_add(g, Along(indices, axis), x_shape))


@scalars_too
@spelled
def sort(x: Any, axis: int | None = -1, descending: bool = False, stable: bool = True) -> Any:
    """The elements in order along an axis; axis=None flattens x first.  x (...) -> (...).

    Equal elements keep their order, whatever `stable` says. Only the values come back; `argsort` has the indices.
    """
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    return _sort(x, check_axis("sort", axis, x.ndim), descending)[0]


@op
def argsort(be, x: Array, axis: int | None = -1, descending: bool = False, stable: bool = True):
    """The indices that sort x along an axis; axis=None flattens x first.  x (...) -> (...) int64.

    Equal elements keep their order, whatever `stable` says.
    """
    shape = x.shape
    if axis is None or not shape:
        x, axis = x.reshape(-1), 0 if axis is None else axis
    y = be.order(x, check_axis("argsort", axis, x.ndim), descending)
    return y if shape else y.reshape(())


@op(aux=("indices",))
def _topk(be, x: Array, k: int, axis: int, largest: bool):
    indices = be.top(x, k, axis, largest)
    return be.take_along_axis(x, indices, axis), indices


_topk.vjp(x=lambda g, indices, axis, x_shape: put_add(g, Along(indices, axis), x_shape))


@scalars_too
@spelled
def topk(x: Any, k: int, axis: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Any, Any]:
    """The k largest (or smallest) elements along an axis, the outermost first, and their indices.

    x (..., N) -> (..., k), (..., k) int64. They are in order whatever `sorted` says, and of equal elements the first
    ones are taken.
    Raises ShapeError when k is larger than the axis.
    """
    at = check_axis("topk", axis, x.ndim)
    if not 0 <= k <= x.shape[at]:
        raise ShapeError(f"topk: k = {k}, but axis {axis} of {sig(x)} has {x.shape[at]} elements")
    return _topk(x, k, at, largest)


# ---- which one ------------------------------------------------------------------------------------------------------
def _arg(name: str, x: Any, axis: int | None, keepdims: bool) -> Any:
    if axis is not None:
        check_axis(name, axis, x.ndim or 1)
    if not x.ndim:
        axis = None
    y = getattr(x, name)(axis=axis)
    return y.reshape(kept_shape(x.shape, axis)) if keepdims else y


@op
def argmax(be, x: Array, axis: int | None = None, keepdims: bool = False):
    """The index of the largest element along an axis, of the flattened array for axis=None.  x (...) -> int64.

    The first one of several; the first NaN if there is any. Raises ShapeError where there is nothing to choose from.
    """
    if x.size == 0:
        be.refuse_nothing("argmax", x, axis)
    return _arg("argmax", x, axis, keepdims)


@op
def argmin(be, x: Array, axis: int | None = None, keepdims: bool = False):
    """The index of the smallest element along an axis.  Ties, NaN and empty input as in `argmax`."""
    if x.size == 0:
        be.refuse_nothing("argmin", x, axis)
    return _arg("argmin", x, axis, keepdims)


# ---- in the middle --------------------------------------------------------------------------------------------------
METHODS = ("linear", "lower", "higher", "nearest", "midpoint")


def _ranks(n: int, q: float, method: str) -> tuple[int, int, float]:
    """Two neighbouring places among n sorted elements, and how far the quantile is from the first to the second."""
    place = q * (n - 1)
    low, high = math.floor(place), math.ceil(place)
    if method == "lower" or low == high:
        return low, low, 0
    if method == "higher":
        return high, high, 0
    if method == "nearest":
        near = round(place)  # half to even, as NumPy does
        return near, near, 0
    if method == "midpoint":
        return low, high, 0.5
    return low, high, place - low


def check_places(name: str, q: Any, method: str) -> tuple[Any, Any]:
    """q as a number or a tensor, and as a number or a list; raises what the docstring of `quantile` says."""
    if method not in METHODS:
        raise ArgumentError(f"{name}: unknown method {method!r}", hint=f"one of {', '.join(METHODS)}")
    if not isinstance(q, (int, float, Tensor)):
        q = asarray(q, dtype="float64")
    places = q if isinstance(q, (int, float)) else q.tolist()
    if getattr(q, "ndim", 0) > 1:
        raise ShapeError(f"{name}: q is {sig(q)}, it may have one axis")
    for one in places if isinstance(places, list) else [places]:
        if not 0 <= one <= 1:
            raise OutOfRangeError(f"{name}: q = {one} does not lie between 0 and 1")
    return q, places


def sorted_line(name: str, x: Any, axis: Axis) -> tuple[Any, tuple[int, ...]]:
    """x sorted along one last axis into which the reduced axes were merged, and those axes."""
    axes = check_axes(name, axis, x.ndim) if x.ndim or native_axis(axis, x) is not None else ()
    if x.dtype.kind in "iub":
        x = astype(x, "float32")
    line = merged(x, axes) if x.ndim else reshape(x, (1,))
    if line.shape[-1:] == (0,):
        raise ShapeError(f"{name}: {sig(x)} has no elements along axis {axis}, and there is no {name} of nothing")
    return sort(line, -1), axes


def _between(line: Any, low: int, high: int, part: Any) -> Any:
    """The value at a place of sorted lines; NaN where a line holds one."""
    y = getitem(line, (..., low))
    if high != low:
        y = y + (getitem(line, (..., high)) - y) * part
    last = getitem(line, (..., -1))
    return where(isnan(last), last, y)


@spelled
def median(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The middle element in order, of an even number the mean of the two in the middle (as in NumPy).

    x (...) -> without the reduced axes; integers give float32. NaN if there is any. The gradient goes to the
    middle elements.
    """
    line, axes = sorted_line("median", x, axis)
    n = line.shape[-1]
    y = _between(line, (n - 1) // 2, n // 2, 0.5)
    return reshape(y, kept_shape(x.shape, axes)) if keepdims else y


@spelled
def quantile(x: Any, q: Any, axis: Axis = None, keepdims: bool = False, method: str = "linear") -> Any:
    """The value below which the part q of the elements lies; NaN if there is any.  x (...) -> without the reduced axes.

    q is a number, or a vector of Q numbers, which gives a first axis (Q, ...). Between two elements `method` decides:
    "linear", "lower", "higher", "nearest", "midpoint"; with "linear" a tensor q gets a gradient too. Raises
    OutOfRangeError for q outside 0..1.
    """
    q, places = check_places("quantile", q, method)
    line, axes = sorted_line("quantile", x, axis)
    n = line.shape[-1]
    slopes = isinstance(q, Tensor) and q.requires_grad and method == "linear"

    def value(one: float, index: Any) -> Any:
        low, high, part = _ranks(n, one, method)
        y = _between(line, low, high, getitem(q, index) * (n - 1) - low if slopes else part)
        return reshape(y, kept_shape(x.shape, axes)) if keepdims else y

    return stack([value(one, i) for i, one in enumerate(places)]) if isinstance(places, list) else value(places, ())


# ---- search ---------------------------------------------------------------------------------------------------------
@op
def searchsorted(
    be, x1: Array, x2: Array, side: str = "left", sorter: Sequence[int] | None = None, right: bool = False
):
    """Where the elements of x2 belong in the sorted vector x1.  x1 (N,), x2 (...) -> (...) int64, from 0 to N.

    side="left": in front of equal elements, "right" (or PyTorch's `right=True`): behind them. `sorter` are the indices
    that sort x1, when it is not sorted itself.
    """
    if side not in ("left", "right"):
        raise ArgumentError(f"searchsorted: side {side!r}", hint='"left" or "right"')
    if x1.ndim != 1:
        raise ShapeError(f"searchsorted: x1 is {sig(x1)}, it must have one axis")
    if sorter is not None:
        x1 = be.getitem(x1, sorter, "searchsorted")
    return be.searchsorted(x1, be.asarray(x2), side="right" if right else side)
