"""Pooling over one to three spatial axes: maximum, average, Lp norm, unpooling, adaptive and global forms.

Maximum pooling differentiates into the map that puts a gradient where the maxima are, and that into the one which
reads there: a closed family. Average pooling and its adjoint are another. Arguments are PyTorch's.
May import: the engine, and the files of ops before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from operator import floordiv
from typing import Any

from tensorgraph.backends import backend_of
from tensorgraph.errors import ArgumentError, DtypeError, ShapeError
from tensorgraph.operation import Array, op
from tensorgraph.ops import window
from tensorgraph.ops.conv import as_batch, first
from tensorgraph.ops.elementwise import where
from tensorgraph.ops.gathering import put_along_axis, take_along_axis
from tensorgraph.ops.reduce import amax, mean
from tensorgraph.ops.window import SIZES, Ints, Padding, Pool
from tensorgraph.tensor import Tensor

__all__ = [
    "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "global_avg_pool", "global_max_pool", "local_response_norm", "lp_pool1d", "lp_pool2d", "lp_pool3d", "max_pool1d",
    "max_pool2d", "max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d",
]  # fmt: skip


# ---- maximum --------------------------------------------------------------------------------------------------------
@op(aux=("taps",))
def _max_pool(be, input: Array, *, pool: Pool):
    """Largest pixel of every window, and its number in the window.  input (N, C, *sizes) -> (N, C, *out) twice."""
    if input.dtype.kind == "c":
        raise DtypeError(f"{pool.how.name}: complex numbers have no order")
    return be.max_pool(input, *window.pooling(pool, input.shape))


@op
def _max_put(be, input: Array, taps: Array, *, sizes: tuple, pool: Pool):
    """Zeros with `input` added at the tap of every window.  input, taps (N, C, *out) -> (N, C, *sizes)."""
    return be.max_put(input, taps, sizes, *window.pooling(pool, (1, 1, *sizes)))


@op
def _max_take(be, input: Array, taps: Array, *, pool: Pool):
    """The pixels at the tap of every window.  input (N, C, *sizes), taps (N, C, *out) -> (N, C, *out)."""
    return be.max_take(input, taps, *window.pooling(pool, input.shape))


@op
def _max_indices(be, taps: Array, *, sizes: tuple, pool: Pool):
    """Taps as flat indices into the plane: (N, C, *out) -> int64 (N, C, *out).  Not differentiable."""
    return be.max_indices(taps, sizes, *window.pooling(pool, (1, 1, *sizes)))


_max_pool.vjp(input=lambda g, taps, input_shape, pool: _max_put(g, taps, sizes=input_shape[2:], pool=pool))
_max_put.vjp(input=lambda g, taps, pool: _max_take(g, taps, pool=pool))
_max_take.vjp(input=lambda g, taps, input_shape, pool: _max_put(g, taps, sizes=input_shape[2:], pool=pool))


def _max(name: str, axes: int, input: Any, kernel_size, stride, padding, dilation, ceil_mode, return_indices) -> Any:
    pool = Pool(window.how(name, axes, stride, padding, dilation), window.hashable(kernel_size), bool(ceil_mode))
    single = len(input.shape) == axes + 1
    if single:
        input = as_batch(input)
    y, taps = _max_pool(input, pool=pool)
    if not return_indices:
        return first(y) if single else y
    indices = _max_indices(taps, sizes=tuple(input.shape[2:]), pool=pool)
    return (first(y), first(indices)) if single else (y, indices)


def max_pool1d(
    input: Array,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Padding = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest element of every window: `max_pool2d` with one axis less.  input (N, C, L) or (C, L) -> (N, C, L')."""
    return _max("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Array,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Padding = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest pixel of every window.

    input (N, C, H, W) or (C, H, W) -> (N, C, H', W'). `stride` is the kernel's size unless given. Padding (less
    than the kernel reaches over) counts as -inf. `ceil_mode` keeps windows that reach over the end, as long as they
    begin inside. `return_indices` gives also the flat index of every maximum in its plane, int64.
    Where several pixels tie, the first one (row by row) has the index and the gradient; NaN wins over all numbers.

    Raises ShapeError, ArgumentError, DtypeError (complex).
    """
    return _max("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Array,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Padding = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
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


_avg_pool.vjp(
    input=lambda g, pool, divisor, input_shape: _avg_put(g, pool=pool, divisor=divisor, sizes=input_shape[2:])
)
_avg_put.vjp(values=lambda g, pool, divisor: _avg_pool(g, pool=pool, divisor=divisor))


def _divided(be: Any, x: Any, divisor: Any) -> Any:
    if not isinstance(divisor, tuple):
        return x / divisor
    for i, along in enumerate(divisor):
        shape = [1] * len(divisor)
        shape[i] = len(along)
        x = x / be.asarray(along, dtype=x.real.dtype).reshape(shape)
    return x


def _avg(
    name: str, axes: int, input: Any, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor, dilation
) -> Any:
    pool = Pool(window.how(name, axes, stride, padding, dilation), window.hashable(kernel_size), bool(ceil_mode))
    single = len(input.shape) == axes + 1
    if single:
        input = as_batch(input)
    if divisor is None:
        divisor = window.counts(pool, tuple(input.shape), bool(count_include_pad))
    elif divisor == 0:
        raise ArgumentError(f"{name}: divisor_override must not be 0")
    y = _avg_pool(input, pool=pool, divisor=divisor)
    return first(y) if single else y


def avg_pool1d(
    input: Array,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    dilation: Ints = 1,
) -> Any:
    """Mean of every window: `avg_pool2d` with one axis less.  input (N, C, L) or (C, L) -> (N, C, L')."""
    return _avg("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None, dilation)


def avg_pool2d(
    input: Array,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: float | None = None,
    dilation: Ints = 1,
) -> Any:
    """Mean of every window.

    input (N, C, H, W) or (C, H, W) -> (N, C, H', W'). `stride` is the kernel's size unless given. Zeros of the padding
    (less than the kernel reaches over) count as pixels unless `count_include_pad=False`; what `ceil_mode` adds behind
    the padding never counts. `divisor_override` divides by that number instead. `dilation` takes every so many pixels.

    Raises ShapeError, ArgumentError.
    """
    return _avg(
        "avg_pool2d",
        2,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        dilation,
    )


def avg_pool3d(
    input: Array,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: float | None = None,
    dilation: Ints = 1,
) -> Any:
    """Mean of every window: `avg_pool2d` with one axis more.  input (N, C, D, H, W) -> (N, C, D', H', W')."""
    return _avg(
        "avg_pool3d",
        3,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        dilation,
    )


# ---- unpooling ------------------------------------------------------------------------------------------------------
def max_unpool1d(
    input: Array,
    indices: Array,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Padding = 0,
    output_size: Sequence[int] | None = None,
) -> Any:
    """Puts maxima back where they were: `max_unpool2d` with one axis less.  input, indices (N, C, L) -> (N, C, L')."""
    return _unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Array,
    indices: Array,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Padding = 0,
    output_size: Sequence[int] | None = None,
) -> Any:
    """Zeros, with maxima put back where they were.

    input (N, C, H, W) or (C, H, W), indices (the same shape, flat indices as `max_pool2d(..., return_indices=True)`
    gives them) -> (N, C, H', W') with H' = (H - 1)*stride - 2*padding + kernel, or `output_size` (spatial
    sizes or the whole shape). Where windows overlap and an index occurs twice, its last value stays, and has the
    gradient.

    Raises ShapeError, OutOfRangeError.
    """
    return _unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Array,
    indices: Array,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Padding = 0,
    output_size: Sequence[int] | None = None,
) -> Any:
    """Puts maxima back where they were: `max_unpool2d` with one axis more.  input, indices (N, C, D, H, W)."""
    return _unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)


def _unpool(name: str, axes: int, input: Any, indices: Any, kernel_size, stride, padding, output_size) -> Any:
    shape = tuple(input.shape)
    if len(shape) not in (axes + 1, axes + 2) or tuple(indices.shape) != shape:
        raise ShapeError(
            f"{name}: input is {shape}, indices are {tuple(indices.shape)}, "
            f"expected (N, C, {SIZES[axes]}) or (C, {SIZES[axes]}) twice"
        )
    lead, sizes = shape[: len(shape) - axes], shape[len(shape) - axes :]
    kernel = window.per_axis(name, "kernel_size", window.hashable(kernel_size), axes)
    steps = kernel if stride is None else window.per_axis(name, "stride", window.hashable(stride), axes)
    pads = window.per_axis(name, "padding", window.hashable(padding), axes, least=0)
    out = tuple((n - 1) * s - 2 * p + k for n, s, p, k in zip(sizes, steps, pads, kernel, strict=True))
    if output_size is not None:
        asked = tuple(output_size)[-axes:]
        if len(asked) != axes or any(abs(m - n) >= s for m, n, s in zip(asked, out, steps, strict=True)):
            raise ShapeError(
                f"{name}: output_size={tuple(output_size)}, expected {out} give or take less than the stride {steps}"
            )
        out = asked
    raw = input.array if isinstance(input, Tensor) else input
    plane = backend_of(raw).zeros((*lead, prod(out)), dtype=input.dtype)
    flat = put_along_axis(plane, indices.reshape((*lead, -1)), input.reshape((*lead, -1)), len(lead))
    return flat.reshape((*lead, *out))


# ---- adaptive maximum -----------------------------------------------------------------------------------------------
@op
def _adaptive_indices(be, input: Array, *, out: tuple):
    """Where the maxima of the spans are: flat indices into the plane, int64 (N, C, *out).  Not differentiable."""
    sizes = input.shape[2:]
    windows = be.zeros((1,) * (2 * len(out)), dtype=be.int64)  # (*out, *elements of the span): flat indices
    for axis, (n, m) in enumerate(zip(sizes, out, strict=True)):
        spans = window.spans(n, m)
        longest = max(map(len, spans))
        at = be.asarray(
            [[min(span.start + t, span.stop - 1) for t in range(longest)] for span in spans], dtype=be.int64
        )
        shape = [1] * (2 * len(out))
        shape[axis], shape[len(out) + axis] = m, longest
        windows = windows + at.reshape(shape) * prod(sizes[axis + 1 :])
    windows = windows.reshape(prod(out), -1)
    best = be.argmax(input.reshape(-1, prod(sizes))[:, windows], axis=-1)
    return windows[be.arange(prod(out)), best].reshape(*input.shape[:2], *out)


def adaptive_max_pool1d(input: Array, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of spans that cover the input: `adaptive_max_pool2d` with one axis less.  input (N, C, L)."""
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Array, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of spans that cover the image, so that the output has the size asked for.

    input (N, C, H, W) or (C, H, W) -> (N, C, *output_size); spans and sizes as in `adaptive_avg_pool2d`. Ties take the
    first pixel. `return_indices` gives also the flat index of every maximum in its plane.

    Raises ShapeError, ArgumentError.
    """
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Array, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of spans that cover the volume: `adaptive_max_pool2d` with one axis more.  input (N, C, D, H, W)."""
    return _adaptive_max("adaptive_max_pool3d", 3, input, output_size, return_indices)


def _adaptive_max(name: str, axes: int, input: Any, output_size: Any, return_indices: bool) -> Any:
    out = window.adaptive_sizes(name, axes, input.shape, output_size)
    if len(input.shape) == axes + 1:
        both = _adaptive_max(name, axes, as_batch(input), out, return_indices)
        return tuple(map(first, both)) if return_indices else first(both)
    sizes = tuple(input.shape[2:])
    if all(n % m == 0 for n, m in zip(sizes, out, strict=True)):
        return _max(name, axes, input, tuple(map(floordiv, sizes, out)), None, 0, 1, False, return_indices)
    where = _adaptive_indices(input, out=out)
    lead = tuple(input.shape[:2])
    y = take_along_axis(input.reshape((*lead, -1)), where.reshape((*lead, -1)), 2).reshape((*lead, *out))
    return (y, where) if return_indices else y


# ---- Lp norm, global, across channels -------------------------------------------------------------------------------
def lp_pool1d(
    input: Array,
    norm_type: float,
    kernel_size: Ints,
    stride: Ints | None = None,
    ceil_mode: bool = False,
    padding: Padding = 0,
    dilation: Ints = 1,
) -> Any:
    """Lp norm of every window: `lp_pool2d` with one axis less.  input (N, C, L) or (C, L) -> (N, C, L')."""
    return _lp(avg_pool1d, 1, input, norm_type, kernel_size, stride, ceil_mode, padding, dilation)


def lp_pool2d(
    input: Array,
    norm_type: float,
    kernel_size: Ints,
    stride: Ints | None = None,
    ceil_mode: bool = False,
    padding: Padding = 0,
    dilation: Ints = 1,
) -> Any:
    """Lp norm of every window: (sum of x^p)^(1/p).

    input (N, C, H, W) or (C, H, W) -> (N, C, H', W'). As in PyTorch no absolute value is taken: for an odd p, or one
    that is not whole, pool `abs(x)`. Padding counts as 0. A window that reaches over the end (`ceil_mode`) counts as if
    it went on with the mean of what is there. The gradient of a window of zeros is 0. Raises ShapeError, ArgumentError.
    """
    return _lp(avg_pool2d, 2, input, norm_type, kernel_size, stride, ceil_mode, padding, dilation)


def lp_pool3d(
    input: Array,
    norm_type: float,
    kernel_size: Ints,
    stride: Ints | None = None,
    ceil_mode: bool = False,
    padding: Padding = 0,
    dilation: Ints = 1,
) -> Any:
    """Lp norm of every window: `lp_pool2d` with one axis more.  input (N, C, D, H, W) -> (N, C, D', H', W')."""
    return _lp(avg_pool3d, 3, input, norm_type, kernel_size, stride, ceil_mode, padding, dilation)


def _lp(pool: Any, axes: int, input: Any, p: float, kernel_size, stride, ceil_mode, padding, dilation) -> Any:
    size = prod(window.per_axis(f"lp_pool{axes}d", "kernel_size", window.hashable(kernel_size), axes))
    total = pool(input**p, kernel_size, stride, padding, ceil_mode, dilation=dilation) * size
    zero = total == 0
    return where(zero, 0, where(zero, 1, total) ** (1 / p))


def global_avg_pool(input: Array) -> Any:
    """Mean over all spatial axes.  input (N, C, ...) -> (N, C, 1, ...)."""
    return mean(input, axis=tuple(range(2, len(input.shape))), keepdims=True)


def global_max_pool(input: Array) -> Any:
    """Maximum over all spatial axes; ties share the gradient.  input (N, C, ...) -> (N, C, 1, ...)."""
    return amax(input, axis=tuple(range(2, len(input.shape))), keepdims=True)


def local_response_norm(input: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """x / (k + alpha * m)^beta, where m is the mean of x^2 over `size` neighbouring channels (zeros beyond the ends).

    input (N, C, ...) -> (N, C, ...). Raises ShapeError, ArgumentError. Source: Krizhevsky et al., NeurIPS 2012.
    """
    shape = tuple(input.shape)
    if len(shape) < 3:
        raise ShapeError(f"local_response_norm: input has {len(shape)} axes {shape}, expected (N, C, ...)")
    squares = (input * input).reshape((shape[0], 1, shape[1], prod(shape[2:])))
    m = avg_pool2d(squares, (size, 1), 1, ((size // 2, (size - 1) // 2), (0, 0))).reshape(shape)
    return input / (m * alpha + k) ** beta
