"""Shape: the same elements under another shape, in another order of the axes, or repeated by broadcasting.

NumPy's and the array API's names and meaning. Where the array library can, results are views.
May import: elementwise, index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorgraph.creation import asarray
from tensorgraph.errors import ArgumentError, AxisError, ShapeError, sig
from tensorgraph.operation import Array, op
from tensorgraph.ops.axes import Axis, Shape, check_axes, check_axis
from tensorgraph.spelling import spelled

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_arrays", "broadcast_to", "expand_dims", "flatten",
    "matrix_transpose", "moveaxis", "permute_dims", "ravel", "reshape", "squeeze", "swapaxes", "transpose", "unflatten",
]  # fmt: skip


# ---- another shape --------------------------------------------------------------------------------------------------
@op
def reshape(be, x: Array, shape: Shape, copy: bool | None = None):
    """The same elements in row-major order under another shape.  x (...) -> shape, of which one size may be -1.

    `copy=True` never shares memory with x, `copy=False` insists on it. Raises ShapeError when the sizes do not fit.
    """
    y = x.reshape(shape)
    if copy is None:
        return y
    shares = be.shares_memory(x, y)
    if copy:
        return be.copy(y) if shares else y
    if not shares and y.size:
        raise ArgumentError(f"reshape: {sig(x)} cannot become {shape} without a copy", hint="copy=None allows one")
    return y


reshape.vjp(x=lambda g, x_shape: g.reshape(x_shape))


def ravel(x: Any) -> Any:
    """All elements in row-major order along one axis.  x (...) -> (N,)."""
    return reshape(x, (-1,)) if x.ndim != 1 else x


@spelled
def flatten(x: Any, start_axis: int = 0, end_axis: int = -1) -> Any:
    """The axes from `start_axis` to `end_axis`, both included, as one.  x (A, B, C, D), 1, 2 -> (A, B*C, D).

    A 0-d x becomes (1,).
    """
    if x.ndim == 0:
        return reshape(x, (1,))
    first, last = check_axis("flatten", start_axis, x.ndim), check_axis("flatten", end_axis, x.ndim)
    if first > last:
        raise AxisError(f"flatten: the first axis {start_axis} lies behind the last one {end_axis}")
    size = 1
    for n in x.shape[first : last + 1]:
        size *= n
    return reshape(x, (*x.shape[:first], size, *x.shape[last + 1 :]))


@spelled
def unflatten(x: Any, axis: int, sizes: Sequence[int]) -> Any:
    """One axis as several, of which one size may be -1.  x (A, B*C, D), 1, (B, C) -> (A, B, C, D).

    Raises ShapeError when the product of the sizes is not that of the axis.
    """
    at = check_axis("unflatten", axis, x.ndim)
    sizes, known = tuple(sizes), 1
    for n in sizes:
        known *= n if n != -1 else 1
    if sizes.count(-1) == 1 and known > 0 and x.shape[at] % known == 0:
        sizes = tuple([x.shape[at] // known if n == -1 else n for n in sizes])
    elif sizes.count(-1) or known != x.shape[at] or not sizes:
        raise ShapeError(f"unflatten: axis {axis} of {sig(x)} has size {x.shape[at]}, which is not {sizes}")
    return reshape(x, (*x.shape[:at], *sizes, *x.shape[at + 1 :]))


@spelled
def expand_dims(x: Any, axis: int | tuple[int, ...] | list[int] = 0) -> Any:
    """New axes of size 1; `axis` says where they are in the result.  x (A, B), 1 -> (A, 1, B)."""
    many = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = check_axes("expand_dims", many, x.ndim + len(many))
    sizes = iter(x.shape)
    return reshape(x, tuple([1 if i in axes else next(sizes) for i in range(x.ndim + len(axes))]))


@spelled
def squeeze(x: Any, axis: Axis = None) -> Any:
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


def _atleast(x: Any, n: int) -> Any:
    x = x if hasattr(x, "shape") else asarray(x)
    if x.ndim >= n:
        return x
    shape = x.shape
    if n == 3 and shape:  # NumPy puts the third axis last
        return reshape(x, (1, *shape, 1) if x.ndim == 1 else (*shape, 1))
    return reshape(x, (1,) * (n - x.ndim) + shape)


def atleast_1d(*arrays: Any) -> Any:
    """With at least one axis.  x () -> (1,).  Several arrays give a tuple."""
    return _atleast(arrays[0], 1) if len(arrays) == 1 else tuple([_atleast(x, 1) for x in arrays])


def atleast_2d(*arrays: Any) -> Any:
    """With at least two axes.  x (N,) -> (1, N).  Several arrays give a tuple."""
    return _atleast(arrays[0], 2) if len(arrays) == 1 else tuple([_atleast(x, 2) for x in arrays])


def atleast_3d(*arrays: Any) -> Any:
    """With at least three axes.  x (N,) -> (1, N, 1), x (M, N) -> (M, N, 1).  Several arrays give a tuple."""
    return _atleast(arrays[0], 3) if len(arrays) == 1 else tuple([_atleast(x, 3) for x in arrays])


# ---- another order of the axes --------------------------------------------------------------------------------------
@op
def permute_dims(be, x: Array, axes: Sequence[int]):
    """The axes in the order `axes`.  x (A, B, C), (2, 0, 1) -> (C, A, B).  A view.

    Raises AxisError unless every axis is named once.
    """
    try:
        return x.transpose(axes)
    except ValueError:
        raise AxisError(
            f"permute_dims: {tuple(axes)} does not name each axis of {sig(x)} once",
            hint="swapaxes(x, i, j) exchanges two axes and leaves the others",
        ) from None


permute_dims.vjp(x=lambda g, axes: permute_dims(g, _inverse(axes)))


def _inverse(axes: Sequence[int]) -> tuple[int, ...]:
    inverse = [0] * len(axes)
    for i, a in enumerate(axes):
        inverse[a] = i
    return tuple(inverse)


@spelled
def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """The axes in reverse order, or in the order `axes` (NumPy's meaning).  x (A, B, C) -> (C, B, A).

    To exchange two axes (PyTorch's transpose): `swapaxes(x, i, j)`.
    """
    return permute_dims(x, tuple(range(x.ndim - 1, -1, -1)) if axes is None else axes)


@spelled
def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Two axes exchanged.  x (A, B, C), 0, 2 -> (C, B, A)."""
    i, j = check_axis("swapaxes", axis1, x.ndim), check_axis("swapaxes", axis2, x.ndim)
    axes = list(range(x.ndim))
    axes[i], axes[j] = j, i
    return permute_dims(x, tuple(axes))


@spelled
def matrix_transpose(x: Any) -> Any:
    """The last two axes exchanged.  x (..., M, N) -> (..., N, M)."""
    if x.ndim < 2:
        raise ShapeError(f"matrix_transpose: {sig(x)} has fewer than two axes")
    return swapaxes(x, -1, -2)


@spelled
def moveaxis(x: Any, source: int | tuple[int, ...] | list[int], destination: int | tuple[int, ...] | list[int]) -> Any:
    """Axes moved to other positions, the rest in their order.  x (A, B, C), 0, -1 -> (B, C, A)."""
    sources = check_axes("moveaxis", source if isinstance(source, (tuple, list)) else (source,), x.ndim)
    places = check_axes("moveaxis", destination if isinstance(destination, (tuple, list)) else (destination,), x.ndim)
    if len(sources) != len(places):
        raise AxisError(f"moveaxis: {len(sources)} axes cannot move to {len(places)} places")
    axes = [a for a in range(x.ndim) if a not in sources]
    for place, a in sorted(zip(places, sources, strict=True)):
        axes.insert(place, a)
    return permute_dims(x, tuple(axes))


# ---- repeated by broadcasting ---------------------------------------------------------------------------------------
@op(broadcasts=True)
def broadcast_to(be, x: Array, shape: Shape):
    """x repeated to `shape` by NumPy's broadcasting rules: a view that cannot be written into."""
    try:
        return be.broadcast_to(x, shape)
    except ValueError:
        raise ShapeError(f"broadcast_to: {sig(x)} does not broadcast to the shape {shape}") from None


broadcast_to.vjp(x=lambda g: g)  # the engine sums over the axes that were broadcast


def merged(x: Any, axes: Sequence[int]) -> Any:
    """x with `axes`, counted from the front, merged into one that comes last."""
    if len(axes) == 1 and axes[0] == x.ndim - 1:
        return x
    others = [a for a in range(x.ndim) if a not in axes]
    size = 1
    for a in axes:
        size *= x.shape[a]
    return reshape(permute_dims(x, (*others, *axes)), (*[x.shape[a] for a in others], size))


def unmerged(y: Any, axes: Sequence[int], shape: tuple[int, ...]) -> Any:
    """Undoes `merged`: y with its last axis taken apart into `axes` of `shape`."""
    if len(axes) == 1 and axes[0] == len(shape) - 1:
        return y
    order = (*[a for a in range(len(shape)) if a not in axes], *axes)
    return permute_dims(reshape(y, [shape[a] for a in order]), _inverse(order))


def common_shape(op: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that arrays of `shapes` broadcast to. Raises ShapeError when there is none."""
    ndim = max(map(len, shapes), default=0)
    common = []
    for sizes in zip(*[(1,) * (ndim - len(shape)) + shape for shape in shapes], strict=True):
        others = {n for n in sizes if n != 1}
        if len(others) > 1:
            raise ShapeError(f"{op}: the shapes {', '.join(map(str, shapes))} do not broadcast")
        common.append(others.pop() if others else 1)
    return tuple(common)


def broadcast_arrays(*arrays: Any) -> list[Any]:
    """All arrays broadcast to their common shape. Raises ShapeError when they have none."""
    arrays = tuple([x if hasattr(x, "shape") else asarray(x) for x in arrays])
    shape = common_shape("broadcast_arrays", *[x.shape for x in arrays])
    return [x if x.shape == shape else broadcast_to(x, shape) for x in arrays]
