"""Convolution in tiles: each is copied in rows that stay in the cache, multiplied by BLAS, and shared by threads.

Results are channels-last in memory behind the logical (N, C, H, W): that makes the copies of the next layer, pooling
and sums over channels contiguous. Channels that do not mix (depthwise) have loops of their own. The adjoint in the
input is itself a correlation with the flipped kernel, for a stride of s one per remainder modulo s. One axis is taken
as two, in overlapping lines where it is long; three are a sum over the taps of the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tensorgraph.backends import compiled
from tensorgraph.backends.convolution import Convolution, Geometry, Sizes, accumulator, result_dtype
from tensorgraph.backends.numpy_kernels import blas, direct
from tensorgraph.backends.numpy_kernels.blas import add_blocks, add_blocks_transposed
from tensorgraph.backends.numpy_kernels.direct import phases
from tensorgraph.backends.numpy_kernels.elementwise import flat
from tensorgraph.backends.numpy_kernels.threads import parallel
from tensorgraph.backends.numpy_kernels.tiles import Plan, Tile, plan, scratch
from tensorgraph.mode import kernels_allowed

PACE = 100.0
"""Floating point operations a nanosecond: a guess, to tell what is worth a second thread."""
APIECE = 32
"""How much longer than in a matrix product an operation takes where channels do not mix."""
SINGLE = np.dtype("float32")
"""What compiled kernels compute in."""
ENOUGH = 1 << 17
"""Products of numbers from which compiled kernels are asked for."""
BROAD = 1 << 16
"""Pairs of channels from which products of matrices give gradients of weights faster: they keep more sums at once."""
LINE = 256
"""Outputs in one line of a long signal."""


class FastConvolution(Convolution):
    """Overrides the definitions on arrays of NumPy."""

    def correlate(self, x: Any, w: Any, geometry: Geometry, bias: Any = None, relu: bool = False) -> Any:
        """x (N, C, *sizes), w (K, C/groups, *kernel), bias (K,) or None -> (N, K, *out), rectified if wanted."""
        if not _suits(x, w):
            return super().correlate(x, w, geometry, bias, relu)
        dtype, result = _dtypes(x, w)
        out = geometry.output(x.shape[2:], w.shape[2:])
        x, w = _channels_last(x.astype(dtype, copy=False)), w.astype(dtype, copy=False)
        if len(out) == 3:
            y = np.zeros((len(x), *out, len(w)), dtype=dtype)
            y += 0 if bias is None else bias
            for q, of_y, of_x in _layers(geometry, x.shape[1], w.shape[2], out[0]):
                part = y[:, of_y]
                images = x[:, of_x].reshape(-1, *x.shape[2:])
                part += _correlate(images, w[:, :, q], out[1:], _plane(geometry), None).reshape(part.shape)
            if relu:
                np.maximum(y, 0, out=y)
        elif len(out) == 1:
            y = _correlate(x[:, None], w[:, :, None], (1, *out), _line(geometry), bias, relu)[:, 0]
        else:
            y = _correlate(x, w, out, geometry, bias, relu)
        return _channels_second(y).astype(result, copy=False)

    def correlate_input(self, g: Any, w: Any, sizes: Sizes, geometry: Geometry, bias: Any = None) -> Any:
        """g (N, K, *out), w (K, C/groups, *kernel), bias (C,) or None -> (N, C, *sizes)."""
        if not _suits(g, w):
            return super().correlate_input(g, w, sizes, geometry, bias)
        dtype, result = _dtypes(g, w)
        g, w = _channels_last(g.astype(dtype, copy=False)), w.astype(dtype, copy=False)
        if len(sizes) == 3:
            x = np.zeros((len(g), *sizes, w.shape[1] * geometry.groups), dtype=dtype)
            x += 0 if bias is None else bias
            for q, of_g, of_x in _layers(geometry, sizes[0], w.shape[2], g.shape[1]):
                part = x[:, of_x]
                images = g[:, of_g].reshape(-1, *g.shape[2:])
                part += _correlate_input(images, w[:, :, q], sizes[1:], _plane(geometry), None).reshape(part.shape)
        elif len(sizes) == 1:
            x = _correlate_input(g[:, None], w[:, :, None], (1, *sizes), _line(geometry), bias)[:, 0]
        else:
            x = _correlate_input(g, w, sizes, geometry, bias)
        return _channels_second(x).astype(result, copy=False)

    def correlate_weight(self, g: Any, x: Any, kernel: Sizes, geometry: Geometry) -> Any:
        """g (N, K, *out), x (N, C, *sizes) -> (K, C/groups, *kernel)."""
        if not _suits(g, x):
            return super().correlate_weight(g, x, kernel, geometry)
        dtype, result = _dtypes(g, x)
        g, x = _channels_last(g.astype(dtype, copy=False)), _channels_last(x.astype(dtype, copy=False))
        if len(kernel) == 3:
            w = np.zeros((g.shape[-1], x.shape[-1] // geometry.groups, *kernel), dtype=dtype)
            for q, of_g, of_x in _layers(geometry, x.shape[1], kernel[0], g.shape[1]):
                planes, images = g[:, of_g].reshape(-1, *g.shape[2:]), x[:, of_x].reshape(-1, *x.shape[2:])
                w[:, :, q] = _correlate_weight(planes, images, kernel[1:], _plane(geometry))
        elif len(kernel) == 1:
            w = _correlate_weight(g[:, None], x[:, None], (1, *kernel), _line(geometry))[:, :, 0]
        else:
            w = _correlate_weight(g, x, kernel, geometry)
        return w.astype(result, copy=False)


def _suits(a: np.ndarray, b: np.ndarray) -> bool:
    kinds = a.dtype.kind + b.dtype.kind
    return kernels_allowed() and a.ndim <= 5 and a.size > 0 < b.size and "f" in kinds and "c" not in kinds


def _dtypes(a: np.ndarray, b: np.ndarray) -> tuple[np.dtype, np.dtype]:
    """In which dtype to compute, and that of the result."""
    if a.dtype is b.dtype and a.itemsize > 2:
        return a.dtype, a.dtype
    return accumulator(a.dtype, b.dtype), result_dtype(a.dtype, b.dtype)


def _channels_last(x: np.ndarray) -> np.ndarray:
    return x.transpose(0, *range(2, x.ndim), 1)


def _channels_second(x: np.ndarray) -> np.ndarray:
    return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def _line(geometry: Geometry) -> Geometry:
    """A geometry of one axis as one of two, of which the first has size 1."""
    stride, padding, dilation, groups = geometry
    return Geometry((1, *stride), ((0, 0), *padding), (1, *dilation), groups)


def _plane(geometry: Geometry) -> Geometry:
    """A geometry of three axes without the first."""
    stride, padding, dilation, groups = geometry
    return Geometry(stride[1:], padding[1:], dilation[1:], groups)


def _layers(geometry: Geometry, size: int, kernel: int, out: int) -> Iterator[tuple[int, slice, slice]]:
    """For every tap along the first axis: where its outputs are, and the inputs that they see."""
    s, d, (before, _) = geometry.stride[0], geometry.dilation[0], geometry.padding[0]
    for q in range(kernel):
        shift = q * d - before
        low, high = max(0, -(shift // s)), min(out, (size - 1 - shift) // s + 1)
        if low < high:
            yield q, slice(low, high), slice(low * s + shift, (high - 1) * s + shift + 1, s)


# ---- two axes, channels last ----------------------------------------------------------------------------------------
def _correlate(
    x: np.ndarray, w: np.ndarray, out: Sizes, geometry: Geometry, bias: Any, relu: bool = False
) -> np.ndarray:
    y = np.empty((len(x), *out, len(w)), dtype=x.dtype)
    before = (geometry.padding[0][0], geometry.padding[1][0])
    _into(y, x, w, bias, geometry.stride, before, geometry.dilation, geometry.groups, relu)
    return y


def _correlate_input(g: np.ndarray, w: np.ndarray, sizes: Sizes, geometry: Geometry, bias: Any) -> np.ndarray:
    groups = geometry.groups
    x = np.empty((len(g), *sizes, w.shape[1] * groups), dtype=g.dtype)
    # the weight with input and output channels exchanged, group by group
    w = w.reshape(groups, -1, *w.shape[1:]).swapaxes(1, 2).reshape(x.shape[3], -1, *w.shape[2:])
    stride, before, dilation = geometry.stride, tuple(first for first, _ in geometry.padding), geometry.dilation
    kernels = _compiled(len(g) * prod(g.shape[1:3]), w.shape, g.dtype) if groups == 1 else None
    if kernels is not None:
        direct.backward(kernels, x, g, w, bias, stride, before, dilation)
        return x
    rows, columns = (list(phases(*axis)) for axis in zip(sizes, w.shape[2:], stride, before, dilation, strict=True))
    for at_row, row_taps, top, row_step in rows:
        for at_column, column_taps, left, column_step in columns:
            part, taps = x[:, at_row, at_column], w[:, :, row_taps, column_taps]
            if taps.size:
                _into(part, g, taps, bias, (1, 1), (top, left), (row_step, column_step), groups)
            else:
                part[...] = 0 if bias is None else bias
    return x


def _correlate_weight(g: np.ndarray, x: np.ndarray, kernel: Sizes, geometry: Geometry) -> np.ndarray:
    groups, K, C = geometry.groups, g.shape[3] // geometry.groups, x.shape[3] // geometry.groups
    stride, dilation, before = geometry.stride, geometry.dilation, (geometry.padding[0][0], geometry.padding[1][0])
    if _is_long(g, x, kernel, before):
        x, out = _lines(x, kernel[1], g.shape[2], stride[1], before[1], dilation[1])
        whole = np.zeros((len(g), *out, g.shape[3]), dtype=g.dtype)
        whole.reshape(len(g), 1, -1, g.shape[3])[:, :, : g.shape[2]] = g
        g, before, stride = whole, (0, 0), (1, stride[1])
    if C == 1 and groups > 1:
        how = plan(x.shape, groups, kernel, g.shape[1:3], stride, before, dilation)
        parts = [_depthwise_weight(g[..., i::K], x, how) for i in range(K)]
        return np.stack(parts, axis=1).reshape(groups * K, 1, *kernel)
    if _is_pointwise(g, x, kernel, stride, before):
        g, x = g.reshape(1, -1, *g.shape[2:]), x.reshape(1, -1, *x.shape[2:])
    kernels = _compiled(len(g) * prod(g.shape[1:3]), (K, C, *kernel), g.dtype) if C * K < BROAD else None
    if kernels is not None:
        each = [(g[..., i * K : i * K + K], x[..., i * C : i * C + C]) for i in range(groups)]
        parts = [direct.weight(kernels, *pair, kernel, stride, before, dilation) for pair in each]
        return np.concatenate(parts) if groups > 1 else parts[0]
    how = plan((*x.shape[:3], C), K, kernel, g.shape[1:3], stride, before, dilation)
    parts = [_rows_weight(g[..., i * K : i * K + K], x[..., i * C : i * C + C], how) for i in range(groups)]
    return np.concatenate(parts) if groups > 1 else parts[0]


def _into(
    y: np.ndarray, x: np.ndarray, w: np.ndarray, bias: Any, stride, before, dilation, groups: int, relu: bool = False
) -> None:
    """The correlation of x (N, H, W, C) with w (K, C/groups, R, S), written into y (N, OH, OW, K), rectified or not."""
    kernel, C, K = w.shape[2:], w.shape[1], len(w) // groups
    if _is_long(y, x, kernel, before):
        lines, out = _lines(x, kernel[1], y.shape[2], stride[1], before[1], dilation[1])
        whole = np.empty((len(y), *out, len(w)), dtype=y.dtype)
        _into(whole, lines, w, bias, (1, stride[1]), (0, 0), dilation, groups, relu)
        y[...] = whole.reshape(len(y), 1, -1, len(w))[:, :, : y.shape[2]]
        return
    if C == 1 and groups > 1:
        how = plan(x.shape, groups, kernel, y.shape[1:3], stride, before, dilation)
        for i in range(K):
            _depthwise(y[..., i::K], x, w[i::K, 0], bias if bias is None else bias[i::K], how)
    else:
        if _is_pointwise(y, x, kernel, stride, before):
            y, x = y.reshape(1, -1, *y.shape[2:]), x.reshape(1, -1, *x.shape[2:])
        kernels = _compiled(y.size // y.shape[3], (K, C, *kernel), y.dtype)
        how = plan((*x.shape[:3], C), K, kernel, y.shape[1:3], stride, before, dilation) if kernels is None else None
        for i in range(groups):
            of = slice(i * K, i * K + K)
            arrays = y[..., of], x[..., i * C : i * C + C], w[of], bias if bias is None else bias[of]
            if kernels is not None:
                direct.forward(kernels, *arrays, stride, before, dilation, 0.0 if relu else -inf)
            else:
                _rows(*arrays, how)  # pyright: ignore[reportArgumentType]
        if how is None:
            return  # where the kernels rectified what they wrote
    if relu and flat("relu", (y,), into=(y,)) is None:
        np.maximum(y, 0, out=y)


def _compiled(outputs: int, weight: Sizes, dtype: np.dtype) -> Any:
    """Compiled kernels where there are any and BLAS is not better, for so many outputs and a weight of this shape."""
    _, _, *kernel = weight
    suits = dtype == SINGLE and outputs * prod(weight) > ENOUGH and kernel != [1, 1]
    return compiled.kernels() if suits else None


def _is_pointwise(y: np.ndarray, x: np.ndarray, kernel: Sizes, stride: Sizes, before: Sizes) -> bool:
    """Whether each output sees one input, the one in its place, so that all images are as one."""
    flat = y.flags.c_contiguous and x.flags.c_contiguous
    return flat and kernel == stride == (1, 1) and before == (0, 0) and y.shape[:3] == x.shape[:3]


def _is_long(y: np.ndarray, x: np.ndarray, kernel: Sizes, before: Sizes) -> bool:
    """Whether this is a signal over one axis that is better cut into lines."""
    return y.shape[1] == x.shape[1] == kernel[0] == 1 and before[0] == 0 and y.shape[2] > LINE


def _lines(x: np.ndarray, taps: int, out: int, stride: int, left: int, dilation: int) -> tuple[np.ndarray, Sizes]:
    """A long signal (N, 1, W, C) as lines that overlap, (N, lines, width, C), and what they give: (lines, LINE)."""
    N, _, W, C = x.shape
    lines, step = -(-out // LINE), LINE * stride
    width = (LINE - 1) * stride + (taps - 1) * dilation + 1
    padded = np.zeros((N, (lines - 1) * step + width, C), dtype=x.dtype)
    first, last = max(0, left), min(padded.shape[1], W + left)
    padded[:, first:last] = x[:, 0, first - left : last - left]
    image, pixel, channel = padded.strides
    return as_strided(padded, (N, lines, width, C), (image, step * pixel, pixel, channel)), (lines, LINE)


def _tiles(how: Plan, work: float, task: Any) -> None:
    parallel(lambda i: task(how.tiles[i]), len(how.tiles), work / PACE)


def _sum_of_tiles(how: Plan, totals: np.ndarray, work: float, task: Any) -> np.ndarray:
    """The sum of what `task(tile, total)` adds to its total: one total a thread, always from the same tiles."""
    n = len(totals)

    def share(i: int) -> None:
        for tile in how.tiles[i * len(how.tiles) // n : (i + 1) * len(how.tiles) // n]:
            task(tile, totals[i])

    parallel(share, n, work / PACE)
    for total in totals[1:]:
        totals[0] += total
    return totals[0]


def _shares(how: Plan) -> int:
    return min(len(how.tiles), blas.threads())


# ---- channels that mix ----------------------------------------------------------------------------------------------
def _rows(y: np.ndarray, x: np.ndarray, w: np.ndarray, bias: Any, how: Plan) -> None:
    weights = how.weights(w)
    start = 0 if bias is None else np.tile(bias, how.group)

    def task(tile: Tile) -> None:
        rows, begins = how.rows(x, tile)
        part = tile.of(y)
        products, outputs, theirs = how.lines(part)
        products[...] = start
        for block, total in zip(rows, products, strict=True):
            add_blocks(block, begins, tile.rows, weights, total)
        if not theirs:
            part[...] = outputs[:, :, : how.OW]

    _tiles(how, how.work, task)


def _rows_weight(g: np.ndarray, x: np.ndarray, how: Plan) -> np.ndarray:
    def task(tile: Tile, total: np.ndarray) -> None:
        rows, begins = how.rows(x, tile)
        part = tile.of(g)
        products, outputs, theirs = how.lines(part)
        if not theirs:
            outputs[:, :, : how.OW] = part
            outputs[:, :, how.OW :] = 0
        for block, product in zip(rows, products, strict=True):
            add_blocks_transposed(block, begins, tile.rows, product, total)

    return how.unweighted(_sum_of_tiles(how, how.totals(_shares(how), g.dtype), how.work, task))


# ---- depthwise: every channel by itself -----------------------------------------------------------------------------
def _cuts(how: Plan, window: np.ndarray, tile: Tile) -> Iterator[tuple[int, int, np.ndarray]]:
    """For every tap of the kernel, the pixel that it sees of every window: (images, rows, OW, C)."""
    (down, right), (below, beside) = how.stride, how.dilation
    for r in range(how.R):
        lines = window[:, r * below : r * below + (tile.rows - 1) * down + 1 : down]
        for s in range(how.S):
            yield r, s, lines[:, :, s * beside : s * beside + (how.OW - 1) * right + 1 : right]


def _depthwise(y: np.ndarray, x: np.ndarray, w: np.ndarray, bias: Any, how: Plan) -> None:
    weights = np.ascontiguousarray(w.transpose(1, 2, 0))

    def task(tile: Tile) -> None:
        shape = (tile.images, tile.rows, how.OW, how.C)
        total, product = scratch("total", shape, y.dtype), scratch("product", shape, y.dtype)
        for r, s, pixels in _cuts(how, how.window(x, tile), tile):
            np.multiply(pixels, weights[r, s], out=product if r or s else total)
            if r or s:
                np.add(total, product, out=total)
        if bias is not None:
            np.add(total, bias, out=total)
        tile.of(y)[...] = total

    _tiles(how, how.work * APIECE / how.K, task)


def _depthwise_weight(g: np.ndarray, x: np.ndarray, how: Plan) -> np.ndarray:
    def task(tile: Tile, total: np.ndarray) -> None:
        part = tile.of(g)
        product = scratch("product", part.shape, g.dtype)
        for r, s, pixels in _cuts(how, how.window(x, tile), tile):
            np.multiply(pixels, part, out=product)
            total[r, s] += product.reshape(-1, how.C).sum(axis=0)

    totals = np.zeros((_shares(how), how.R, how.S, how.C), dtype=g.dtype)
    return _sum_of_tiles(how, totals, how.work * APIECE / how.K, task).transpose(2, 0, 1)
