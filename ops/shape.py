"""Shape: the same elements in another arrangement, several arrays as one, one array as several.

NumPy's names and meaning. Where the array library can, results are views. May import: elementwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorgraph.creation import asarray
from tensorgraph.errors import ArgumentError, AxisError, ShapeError, sig
from tensorgraph.operation import Array, op
from tensorgraph.ops.axes import Shape, check_axes, check_axis
from tensorgraph.ops.index import getitem
from tensorgraph.spelling import spelled

__all__ = [
    "broadcast_to",
    "concat",
    "expand_dims",
    "flatten",
    "permute_dims",
    "reshape",
    "squeeze",
    "stack",
    "transpose",
]


# ---- another shape --------------------------------------------------------------------------------------------------
@op
def reshape(be, x: Array, shape: Shape, copy: bool | None = None):
    """The same elements in row-major order in another shape.  x (...) -> shape, of which one size may be -1.

    `copy=True` never shares memory with x, `copy=False` insists on it. Raises ShapeError when the sizes do not fit.
    """
    y = x.reshape(shape)
    if copy is None:
        return y
    shares = be.shares_memory(x, y)
    if shares and copy:
        return be.copy(y)
    if not shares and copy is False and y.size:
        raise ArgumentError(f"reshape: {sig(x)} cannot become {shape} without a copy", hint="copy=None allows one")
    return y


reshape.vjp(x=lambda g, x_shape: g.reshape(x_shape))


def flatten(x: Any, start_axis: int = 0, end_axis: int = -1) -> Any:
    """The axes from `start_axis` to `end_axis`, both included, as one.  x (A, B, C, D), 1, 2 -> (A, B*C, D).

    A 0-d x becomes (1,).
    """
    if x.ndim == 0:
        return reshape(x, (1,))
    first, last = check_axis("flatten", start_axis, x.ndim), check_axis("flatten", end_axis, x.ndim)
    if first > last:
        raise AxisError(f"flatten: the first axis {start_axis} lies behind the last one {end_axis}")
    shape = x.shape
    size = 1
    for n in shape[first : last + 1]:
        size *= n
    return reshape(x, (*shape[:first], size, *shape[last + 1 :]))


def expand_dims(x: Any, axis: int | Sequence[int] = 0) -> Any:
    """New axes of size 1; `axis` says where they are in the result.  x (A, B), 1 -> (A, 1, B)."""
    if isinstance(axis, int) and -x.ndim - 1 <= axis <= x.ndim:
        at = axis if axis >= 0 else axis + x.ndim + 1
        return reshape(x, (*x.shape[:at], 1, *x.shape[at:]))
    many = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = check_axes("expand_dims", many, x.ndim + len(many))
    sizes = iter(x.shape)
    return reshape(x, tuple([1 if i in axes else next(sizes) for i in range(x.ndim + len(axes))]))


@spelled
def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Any:
    """Without axes of size 1: all of them, or those named.  x (1, A, 1, B) -> (A, B).

    Raises ShapeError when a named axis has another size.
    """
    if axis is None:
        return reshape(x, tuple([n for n in x.shape if n != 1]))
    axes = check_axes("squeeze", axis, x.ndim)
    for a in axes:
        if x.shape[a] != 1:
            raise ShapeError(f"squeeze: axis {a} of {sig(x)} has size {x.shape[a]}, not 1")
    return reshape(x, tuple([n for i, n in enumerate(x.shape) if i not in axes]))


# ---- another order of the axes --------------------------------------------------------------------------------------
@op
def permute_dims(be, x: Array, axes: Sequence[int]):
    """The axes in the order `axes`.  x (A, B, C), (2, 0, 1) -> (C, A, B).  A view."""
    if len(axes) != x.ndim:
        raise AxisError(f"permute_dims: {sig(x)} has {x.ndim} axes, {len(axes)} are named", hint="name every axis once")
    try:
        return x.transpose(axes)
    except ValueError as error:
        if type(error).__name__ == "AxisError":
            raise
        raise AxisError(f"permute_dims: axes {tuple(axes)} name an axis twice") from None


permute_dims.vjp(x=lambda g, axes: permute_dims(g, _inverse(axes)))


def _inverse(axes: Sequence[int]) -> tuple[int, ...]:
    n = len(axes)
    inverse = [0] * n
    for i, a in enumerate(axes):
        inverse[a] = i
    return tuple(inverse)


def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """The axes in reverse order, or in the order `axes` (NumPy's meaning).  x (A, B, C) -> (C, B, A).

    To exchange two axes (PyTorch's transpose): `swapaxes(x, i, j)`.
    """
    return permute_dims(x, tuple(range(x.ndim - 1, -1, -1)) if axes is None else tuple(axes))


@op(broadcasts=True)
def broadcast_to(be, x: Array, shape: Shape):
    """x repeated to `shape` by NumPy's broadcasting rules; a view that cannot be written into."""
    return be.broadcast_to(x, shape)


broadcast_to.vjp(x=lambda g: g)  # the engine sums over the axes that were broadcast


# ---- several arrays as one ------------------------------------------------------------------------------------------
@op
def _concat(be, *arrays: Array, axis: int = 0):
    """The arrays one behind the other along `axis` (counted from the front)."""
    try:
        return be.concatenate(arrays, axis)
    except ValueError as error:
        if type(error).__name__ == "AxisError":
            raise
        raise ShapeError(f"concat: {error}") from None


def _slices(g, arrays_shape, axis):
    before = (slice(None),) * axis
    parts, start = [], 0
    for shape in arrays_shape:
        stop = start + shape[axis]
        parts.append(getitem(g, (*before, slice(start, stop))))
        start = stop
    return parts


_concat.vjp(arrays=_slices)


@spelled
def concat(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """The arrays one behind the other along `axis`; with axis=None all of them flattened first.

    arrays: a sequence of (..., N_i, ...), equal in the other axes -> (..., sum N_i, ...). Dtypes are promoted.
    """
    arrays = _several("concat", arrays)
    if axis is None:
        return _concat(*[reshape(a, (-1,)) for a in arrays], axis=0)
    ndim = arrays[0].ndim
    if ndim == 0:
        raise ShapeError("concat: arrays[0] has no axes", hint="stack(arrays) makes a new axis")
    return _concat(*arrays, axis=check_axis("concat", axis, ndim))


@op
def _stack(be, *arrays: Array, axis: int = 0):
    """The arrays side by side along a new axis (counted from the front)."""
    first = arrays[0].shape
    for i, a in enumerate(arrays):
        if a.shape != first:
            raise ShapeError(f"stack: arrays[{i}] is {sig(a)}, arrays[0] is {sig(arrays[0])}")
    return be.stack(arrays, axis)


def _layers(g, arrays_shape, axis):
    before = (slice(None),) * axis
    return [getitem(g, (*before, i)) for i in range(len(arrays_shape))]


_stack.vjp(arrays=_layers)


@spelled
def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """The arrays side by side along a new axis.  N arrays (A, B), 0 -> (N, A, B).  Dtypes are promoted."""
    arrays = _several("stack", arrays)
    return _stack(*arrays, axis=check_axis("stack", axis, arrays[0].ndim + 1))


def _several(name: str, arrays: Sequence[Any]) -> Sequence[Any]:
    """The operands of an operation on a sequence, each of them an array or a tensor."""
    if not isinstance(arrays, (list, tuple)):
        if hasattr(arrays, "shape") and not arrays.shape:
            raise ShapeError(f"{name}: expected a sequence of arrays, got {sig(arrays)}")
        arrays = list(arrays)
    if not arrays:
        raise ArgumentError(f"{name}: no arrays were given")
    for a in arrays:
        if not hasattr(a, "shape"):
            return [a if hasattr(a, "shape") else asarray(a) for a in arrays]
    return arrays
