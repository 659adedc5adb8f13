"""Pooling over one to three spatial axes: maximum, average, Lp norm, unpooling, adaptive and global forms.

Maximum pooling differentiates into the map that puts a gradient where the maxima are, and that into the one which
reads there: a closed family. Average pooling and its adjoint are another. Arguments are PyTorch's.
May import: the engine, and the files of ops before it.
"""

from __future__ import annotations

from typing import Any

from tensorgraph.errors import ArgumentError, DtypeError
from tensorgraph.operation import Array, op
from tensorgraph.ops import window
from tensorgraph.ops.conv import as_batch, first
from tensorgraph.ops.window import Pool

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]


# ---- maximum --------------------------------------------------------------------------------------------------------
@op
def _max_pool(be, input: Array, *, pool: Pool):
    """Largest pixel of every window.  input (N, C, *sizes) -> (N, C, *out)."""
    if input.dtype.kind == "c":
        raise DtypeError(f"{pool.how.name}: complex numbers have no order")
    return be.max_pool(input, *window.pooling(pool, input.shape))


@op
def _max_put(be, values: Array, image: Array, maxima: Array, *, pool: Pool):
    """Zeros in the shape of `image` with `values` added where its `maxima` are.  (N, C, *out) -> (N, C, *sizes)."""
    return be.max_put(values, image, maxima, *window.pooling(pool, image.shape))


@op
def _max_take(be, source: Array, image: Array, maxima: Array, *, pool: Pool):
    """The pixels of `source` where the `maxima` of `image` are.  (N, C, *sizes) -> (N, C, *out)."""
    return be.max_take(source, image, maxima, *window.pooling(pool, image.shape))


@op
def _max_indices(be, image: Array, maxima: Array, *, pool: Pool):
    """Where the `maxima` of `image` are: flat indices into the plane, int64 (N, C, *out).  Not differentiable."""
    return be.max_indices(image, maxima, *window.pooling(pool, image.shape))


_max_pool.vjp(input=lambda g, input, y, pool: _max_put(g, input, y, pool=pool))
_max_put.vjp(values=lambda g, image, maxima, pool: _max_take(g, image, maxima, pool=pool))
_max_take.vjp(source=lambda g, image, maxima, pool: _max_put(g, image, maxima, pool=pool))


def _max(name: str, axes: int, input: Any, kernel_size, stride, padding, dilation, ceil_mode, return_indices) -> Any:
    pool = Pool(window.how(name, axes, stride, padding, dilation), window.hashable(kernel_size), bool(ceil_mode))
    single = len(input.shape) == axes + 1
    if single:
        input = as_batch(input)
    y = _max_pool(input, pool=pool)
    if not return_indices:
        return first(y) if single else y
    where = _max_indices(input, y, pool=pool)
    return (first(y), first(where)) if single else (y, where)


def max_pool1d(
    input: Array, kernel_size, stride=None, padding=0, dilation=1, ceil_mode: bool = False, return_indices: bool = False
) -> Any:
    """Largest element of every window: `max_pool2d` with one axis less.  input (N, C, L) or (C, L) -> (N, C, L')."""
    return _max("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Array, kernel_size, stride=None, padding=0, dilation=1, ceil_mode: bool = False, return_indices: bool = False
) -> Any:
    """Largest pixel of every window.

    input (N, C, H, W) or (C, H, W) -> (N, C, H', W'). `stride` is the kernel's size unless given. Padding (at most
    half of the kernel) counts as -inf. `ceil_mode` keeps windows that reach over the end, as long as they begin inside.
    `return_indices` gives also the flat index of every maximum in its plane, int64.
    Where several pixels tie, the first one (row by row) has the index and the gradient. NaN wins; its window has no
    gradient.

    Raises ShapeError, ArgumentError, DtypeError (complex).
    """
    return _max("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Array, kernel_size, stride=None, padding=0, dilation=1, ceil_mode: bool = False, return_indices: bool = False
) -> Any:
    """Largest voxel of every window: `max_pool2d` with one axis more.  input (N, C, D, H, W) -> (N, C, D', H', W')."""
    return _max("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


# ---- average --------------------------------------------------------------------------------------------------------
@op
def _avg_pool(be, input: Array, *, pool: Pool, divisor: Any):
    """Sum of every window over `divisor` (a number, or numbers along every axis).  (N, C, *sizes) -> (N, C, *out)."""
    return _divided(be, be.sum_pool(input, *window.pooling(pool, input.shape)), divisor)


@op
def _avg_put(be, values: Array, *, pool: Pool, divisor: Any, sizes: tuple):
    """Adjoint of `_avg_pool`.  values (N, C, *out) -> (N, C, *sizes)."""
    kernel, geometry = window.pooling(pool, (1, 1, *sizes))
    return be.sum_put(_divided(be, values, divisor), kernel, sizes, geometry)


_avg_pool.vjp(input=lambda g, pool, divisor, input_shape: _avg_put(g, pool=pool, divisor=divisor, sizes=input_shape[2:]))
_avg_put.vjp(values=lambda g, pool, divisor: _avg_pool(g, pool=pool, divisor=divisor))


def _divided(be: Any, x: Any, divisor: Any) -> Any:
    if not isinstance(divisor, tuple):
        return x / divisor
    for i, along in enumerate(divisor):
        shape = [1] * len(divisor)
        shape[i] = len(along)
        x = x / be.asarray(along, dtype=x.real.dtype).reshape(shape)
    return x


def _avg(name: str, axes: int, input: Any, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor) -> Any:
    pool = Pool(window.how(name, axes, stride, padding, 1), window.hashable(kernel_size), bool(ceil_mode))
    single = len(input.shape) == axes + 1
    if single:
        input = as_batch(input)
    if divisor is None:
        divisor = window.counts(pool, tuple(input.shape), bool(count_include_pad))
    elif divisor == 0:
        raise ArgumentError(f"{name}: divisor_override must not be 0")
    y = _avg_pool(input, pool=pool, divisor=divisor)
    return first(y) if single else y


def avg_pool1d(input: Array, kernel_size, stride=None, padding=0, ceil_mode: bool = False, count_include_pad: bool = True) -> Any:
    """Mean of every window: `avg_pool2d` with one axis less.  input (N, C, L) or (C, L) -> (N, C, L')."""
    return _avg("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Array,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override=None,
) -> Any:
    """Mean of every window.

    input (N, C, H, W) or (C, H, W) -> (N, C, H', W'). `stride` is the kernel's size unless given. Zeros of the padding
    (at most half of the kernel) count as pixels unless `count_include_pad=False`; what `ceil_mode` adds behind the
    padding never counts. `divisor_override` divides by that number instead.

    Raises ShapeError, ArgumentError.
    """
    return _avg("avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    input: Array,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override=None,
) -> Any:
    """Mean of every window: `avg_pool2d` with one axis more.  input (N, C, D, H, W) -> (N, C, D', H', W')."""
    return _avg("avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
