"""Named forms of indexing: take, gather, scatter, masks, one-hot vectors and embeddings.

All of them are `x[index]`, `put` and `put_add` (index.py) with an index that is built here, so they differentiate to
every order. Nothing writes into its operands. PyTorch's functions have PyTorch's argument order.
May import: elementwise, logic, index, shape, join, reduce, scan, order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from tensorgraph.backends import check_dtype
from tensorgraph.backends.indexing import Along
from tensorgraph.creation import asarray
from tensorgraph.errors import ArgumentError, DtypeError, OutOfRangeError, ShapeError, sig
from tensorgraph.operation import Array, op
from tensorgraph.ops.axes import check_axis
from tensorgraph.ops.elementwise import negative, where
from tensorgraph.ops.index import getitem, put, put_add
from tensorgraph.ops.join import concat
from tensorgraph.ops.logic import bitwise_invert
from tensorgraph.ops.order import argsort
from tensorgraph.ops.reduce import count_nonzero
from tensorgraph.ops.scan import cumsum, diff, linear_recurrence
from tensorgraph.ops.shape import broadcast_to, common_shape, expand_dims, reshape
from tensorgraph.spelling import named, spelled
from tensorgraph.tensor import raw

__all__ = [
    "embedding", "gather", "index_add", "index_copy", "index_fill", "index_select", "masked_fill", "masked_scatter",
    "masked_select", "one_hot", "put_along_axis", "scatter", "scatter_add", "scatter_reduce",
    "take", "take_along_axis",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


def _integers(name: str, indices: Any) -> Any:
    """Indices as an array or tensor of integers."""
    if not hasattr(indices, "dtype"):
        indices = (
            asarray(indices, dtype=None if indices else "int64") if isinstance(indices, list) else asarray(indices)
        )
    if indices.dtype.kind not in "iu":
        raise DtypeError(f"{name}: indices are integers, got {sig(indices)}")
    return indices


def _at(axis: int, index: Any) -> Any:
    return (*(slice(None),) * axis, index) if axis else index


def _scalars_too(function: F) -> F:
    """PyTorch's functions take a 0-d x as a vector of one element; the result is 0-d (of gather: as the index is)."""

    @functools.wraps(function)
    def call(x, *args, **kwargs):
        if x.ndim or len(args) < 2:
            return function(x, *args, **kwargs)
        axis, index, *rest = args
        index = _integers(function.__name__, index)
        rest = [reshape(a, (1,)) if getattr(a, "shape", None) == () else a for a in rest]
        y = function(reshape(x, (1,)), axis, reshape(index, (-1,)), *rest, **kwargs)
        return reshape(y, index.shape if function.__name__ == "gather" else ())

    return call  # pyright: ignore[reportReturnType]


# ---- the same index for everything along an axis --------------------------------------------------------------------
@named
def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Elements at `indices` along an axis, of the flattened array for axis=None.

    x (A, N, B), indices (I, J), 1 -> (A, I, J, B).
    """
    indices = _integers("take", indices)
    if axis is None:
        return getitem(reshape(x, (-1,)), indices)
    return getitem(x, _at(check_axis("take", axis, x.ndim), indices))


@_scalars_too
@named
def index_select(x: Any, axis: int, index: Any) -> Any:
    """PyTorch's name for `take` with one list of indices.  x (A, N, B), 1, index (I,) -> (A, I, B)."""
    index = _integers("index_select", index)
    if index.ndim > 1:
        raise ShapeError(f"index_select: the index is {sig(index)}, it may have one axis", hint="take accepts several")
    at = check_axis("index_select", axis, x.ndim)
    return getitem(x, _at(at, reshape(index, (-1,))))


@_scalars_too
@named
def index_add(x: Any, axis: int, index: Any, source: Any, alpha: float = 1) -> Any:
    """x with `alpha * source` added at `index` along an axis.

    x (A, N, B), 1, index (I,), source (A, I, B) -> (A, N, B). Where an index occurs twice both are added.
    """
    at = check_axis("index_add", axis, x.ndim)
    return x + put_add(source if alpha == 1 else source * alpha, _at(at, _integers("index_add", index)), x.shape)


@_scalars_too
@named
def index_copy(x: Any, axis: int, index: Any, source: Any) -> Any:
    """x with `source` in the place of what is at `index` along an axis.  Shapes as in `index_add`; the last stays."""
    return put(x, _at(check_axis("index_copy", axis, x.ndim), _integers("index_copy", index)), source)


@_scalars_too
@named
def index_fill(x: Any, axis: int, index: Any, value: Any) -> Any:
    """x with one value everywhere at `index` along an axis.  x (A, N, B), 1, index (I,) -> (A, N, B)."""
    return put(x, _at(check_axis("index_fill", axis, x.ndim), _integers("index_fill", index)), value)


# ---- an index of its own for every element --------------------------------------------------------------------------
@named
def take_along_axis(x: Any, indices: Any, axis: int = -1) -> Any:
    """For each line along an axis the elements at its own indices.  x (A, N), indices (A, I), 1 -> (A, I).

    The other axes broadcast, as in NumPy.
    """
    return getitem(x, Along(_integers("take_along_axis", indices), check_axis("take_along_axis", axis, x.ndim)))


@named
def put_along_axis(x: Any, indices: Any, values: Any, axis: int) -> Any:
    """x with `values` where `take_along_axis` would read.  x (A, N), indices (A, I), values (A, I) -> (A, N)."""
    return put(x, Along(_integers("put_along_axis", indices), check_axis("put_along_axis", axis, x.ndim)), values)


def _window(name: str, x: Any, index: Any, axis: int) -> tuple[slice, ...] | None:
    """The part of x that PyTorch's gather and scatter look at: of the other axes as much as the index has."""
    if index.ndim != x.ndim:
        raise ShapeError(f"{name}: the index is {sig(index)}, it needs as many axes as {sig(x)}")
    for d, (n, m) in enumerate(zip(x.shape, index.shape, strict=True)):
        if m > n and d != axis:
            raise ShapeError(f"{name}: the index {sig(index)} is larger than {sig(x)} along axis {d}")
    if all(n == m or d == axis for d, (n, m) in enumerate(zip(x.shape, index.shape, strict=True))):
        return None
    return tuple([slice(None) if d == axis else slice(m) for d, m in enumerate(index.shape)])


@_scalars_too
@named
def gather(x: Any, axis: int, index: Any) -> Any:
    """PyTorch's gather: y[i, j] = x[index[i, j], j] for axis 0.  x (N, B), index (I, J) with J <= B -> (I, J)."""
    index, axis = _integers("gather", index), check_axis("gather", axis, x.ndim)
    if 0 in index.shape:  # PyTorch lets an empty index have any shape
        return getitem(reshape(x, (-1,)), index)
    window = _window("gather", x, index, axis)
    return getitem(x if window is None else getitem(x, window), Along(index, axis))


def _source(name: str, index: Any, source: Any) -> Any:
    """The part of `source` that belongs to the index, which may be smaller."""
    if getattr(source, "shape", ()) in ((), index.shape):
        return source
    if source.ndim != index.ndim or any(n < m for n, m in zip(source.shape, index.shape, strict=True)):
        raise ShapeError(f"{name}: the source {sig(source)} is smaller than the index {sig(index)}")
    return getitem(source, tuple([slice(m) for m in index.shape]))


@_scalars_too
@named
def scatter(x: Any, axis: int, index: Any, source: Any) -> Any:
    """PyTorch's scatter: a copy y of x with y[index[i, j], j] = source[i, j] for axis 0.

    x (N, B), index (I, J), source (I, J) or larger, or a number -> (N, B).
    Where an index occurs more than once the last value stays, and only that one gets a gradient.
    """
    index, axis = _integers("scatter", index), check_axis("scatter", axis, x.ndim)
    window = _window("scatter", x, index, axis)
    source = _source("scatter", index, source)
    if window is None:
        return put(x, Along(index, axis), source)
    return put(x, window, put(getitem(x, window), Along(index, axis), source))


@_scalars_too
@named
def scatter_add(x: Any, axis: int, index: Any, source: Any) -> Any:
    """PyTorch's scatter_add: as `scatter`, but adding; where an index occurs twice both are added."""
    index, axis = _integers("scatter_add", index), check_axis("scatter_add", axis, x.ndim)
    window = _window("scatter_add", x, index, axis)
    source = _source("scatter_add", index, source)
    if window is None:
        return x + put_add(source, Along(index, axis), x.shape)
    shape = (*index.shape[:axis], x.shape[axis], *index.shape[axis + 1 :])
    return x + put_add(put_add(source, Along(index, axis), shape), window, x.shape)


# ---- everything that arrives at a place, as one ---------------------------------------------------------------------
@op
def _scatter_max(be, x: Array, source: Array, index: Along, include_self: bool):
    """The largest of what arrives at a place, and of what was there; x where nothing arrives."""
    order = be.order(source, index.axis, False)
    in_order = Along(be.take_along_axis(index.indices, order, index.axis), index.axis)
    y, _ = be.put(x, in_order, be.take_along_axis(source, order, index.axis))  # of several the last one stays
    return be.maximum(x, y) if include_self else y


def _sharing(x, source, y, index, include_self):
    """Which elements of x and of the source are the result, and how many of them there are at every place."""
    own = (x == y) & (include_self or _arrivals(index, x.shape) == 0)
    arrived = source == getitem(y, index)
    n = own.astype(y.dtype) + put_add(arrived.astype(y.dtype), index, x.shape)
    return own, arrived, n + (n == 0)


def _scatter_max_rule(g, x, source, y, index, include_self):
    own, _, n = _sharing(x, source, y, index, include_self)
    return where(own, g / n, 0)


def _scatter_max_source_rule(g, x, source, y, index, include_self):
    _, arrived, n = _sharing(x, source, y, index, include_self)
    return where(arrived, getitem(g / n, index), 0)


_scatter_max.vjp(x=_scatter_max_rule, source=_scatter_max_source_rule)


def _arrivals(index: Along, shape: tuple[int, ...]) -> Any:
    """How often every place of an array is named."""
    return put_add(index.indices * 0 + 1, index, shape)


def _scatter_prod(x: Any, source: Any, index: Along) -> Any:
    """Products by a recurrence along the sorted places that starts anew at every one of them: exact at zeros."""
    axis = index.axis
    counted = cumsum(_arrivals(index, x.shape) + 1, axis)  # one for x itself
    own = broadcast_to(cumsum(counted * 0 + 1, axis) - 1, x.shape)
    places = concat([own, index.indices], axis)
    order = Along(argsort(places, axis), axis)
    line, places = getitem(concat([x, source], axis), order), getitem(places, order)
    first = diff(places, axis=axis, prepend=-1) != 0
    y = linear_recurrence(where(first, 0, line), where(first, line, 0), axis)
    return getitem(y, Along(counted - 1, axis))


@_scalars_too
@named
def scatter_reduce(x: Any, axis: int, index: Any, source: Any, reduce: str, include_self: bool = True) -> Any:
    """x with what `scatter` would write combined, place by place.  Shapes as in `scatter`.

    reduce: "sum", "prod", "mean", "amax", "amin"; what was in x counts too unless `include_self=False`. Elements that
    tie for an extreme share the gradient evenly, NaN wins; the gradient of products is exact at zeros.
    """
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise ArgumentError(f"scatter_reduce: unknown reduce {reduce!r}", hint='"sum", "prod", "mean", "amax", "amin"')
    index, axis = raw(_integers("scatter_reduce", index)), check_axis("scatter_reduce", axis, x.ndim)
    window = _window("scatter_reduce", x, index, axis)
    if window is not None:
        return put(x, window, scatter_reduce(getitem(x, window), axis, index, source, reduce, include_self))
    source = _source("scatter_reduce", index, source)
    source = broadcast_to(source if hasattr(source, "dtype") else asarray(source, dtype=x.dtype), index.shape)
    arrivals = _arrivals(Along(index, axis), x.shape)  # raises for an index that is out of range
    to = Along(index % max(x.shape[axis], 1), axis)
    if reduce == "amax":
        return _scatter_max(x, source, to, include_self)
    if reduce == "amin":
        turn = bitwise_invert if x.dtype.kind in "iub" else negative
        return turn(_scatter_max(turn(x), turn(source), to, include_self))
    start = x if include_self else where(arrivals == 0, x, 1 if reduce == "prod" else 0)
    if reduce == "prod":
        return _scatter_prod(start, source, to)
    y = start + put_add(source, to, x.shape)
    if reduce == "sum":
        return y
    return y / (arrivals + 1 if include_self else where(arrivals == 0, 1, arrivals)).astype(y.dtype)


# ---- masks ----------------------------------------------------------------------------------------------------------
@named
def masked_fill(x: Any, mask: Any, value: Any) -> Any:
    """x with `value` where the mask holds.  x (...), mask (...), broadcast together.  The gradient of x is 0 there."""
    return where(mask, value, x)


@named
def masked_select(x: Any, mask: Any) -> Any:
    """The elements where the mask holds, in row-major order.  x (...), mask (...), broadcast together -> (K,)."""
    shape = common_shape("masked_select", x.shape, mask.shape)
    return getitem(*[a if a.shape == shape else broadcast_to(a, shape) for a in (x, mask)])


@named
def masked_scatter(x: Any, mask: Any, source: Any) -> Any:
    """x with the first elements of `source` where the mask holds, in row-major order.

    x (...), mask (...), broadcast together. Raises ShapeError when `source` has too few elements.
    """
    shape, flat = common_shape("masked_scatter", x.shape, mask.shape), reshape(source, (-1,))
    x, mask = [a if a.shape == shape else broadcast_to(a, shape) for a in (x, mask)]
    n = int(count_nonzero(mask))
    if flat.shape[0] < n:
        raise ShapeError(f"masked_scatter: the mask holds {n} times, the source {sig(source)} has fewer elements")
    return put(x, mask, getitem(flat, slice(n)))


# ---- one-hot and embeddings -----------------------------------------------------------------------------------------
@op
def one_hot(be, x: Array, num_classes: int = -1, dtype: object = "int64"):
    """1 at the position of the class, 0 elsewhere.  x (...) integer -> (..., num_classes), int64 unless said.

    `num_classes=-1` counts the classes itself. Raises OutOfRangeError for a class outside, DtypeError for floats.
    """
    x = be.asarray(x)
    if x.dtype.kind not in "iu":
        raise DtypeError(f"one_hot: classes are integers, got {sig(x)}")
    if x.size == 0 and num_classes == -1:
        raise ShapeError(f"one_hot: {sig(x)} holds no class to count", hint="one_hot(x, num_classes)")
    n = num_classes
    if n == -1 or be.has_values:
        low, high = be.range_of(x)
        n = high + 1 if n == -1 else n
        if low < 0 or high >= n:
            raise OutOfRangeError(
                f"one_hot: class {low if low < 0 else high} is none of {n}", hint="classes are counted from 0"
            )
    return (x.reshape((*x.shape, 1)) == be.arange(n)).astype(check_dtype(dtype))


@op
def _embedding(be, indices: Array, weight: Array, padding_idx: int | None):
    """Rows of `weight`; the row `padding_idx`, counted from the front, gets no gradient."""
    return be.getitem(weight, indices, "embedding")


def _embedding_rule(g, indices, weight_shape, padding_idx):
    if padding_idx is not None:
        g = where(expand_dims(indices != padding_idx, -1), g, 0)
    return put_add(g, indices, weight_shape)


_embedding.vjp(weight=_embedding_rule)


@spelled
def embedding(indices: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """Rows of a table: a dense vector for each index.  indices (...) integer, weight (N, D) -> (..., D).

    The row `padding_idx` gets no gradient. Raises OutOfRangeError for an index that is no row, DtypeError for floats.
    """
    indices = _integers("embedding", indices)
    if weight.ndim != 2:
        raise ShapeError(f"embedding: the weight is {sig(weight)}, it needs two axes (rows, features)")
    if padding_idx is not None:
        if not -weight.shape[0] <= padding_idx < weight.shape[0]:
            raise OutOfRangeError(f"embedding: padding_idx {padding_idx} is none of the {weight.shape[0]} rows")
        padding_idx %= weight.shape[0]
    return _embedding(indices, weight, padding_idx)
