"""Pooling in pieces that stay in the cache, shared by threads: along the rows first, then along the columns.

An array is taken as it lies in memory: channels-last as (N, H, W, C), planes as (N*C, H, W, 1), and the result lies
the same way. One axis is taken as two; three are left to the definitions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorgraph.backends.convolution import Geometry, Sizes
from tensorgraph.backends.numpy_kernels.threads import parallel
from tensorgraph.backends.numpy_kernels.tiles import scratch
from tensorgraph.backends.pooling import Pooling, lowest
from tensorgraph.mode import kernels_allowed

ROOM = 1 << 16
"""Elements of the image in one piece."""
COST = 3.0
"""Nanoseconds an element: a guess, to tell what is worth a second thread."""


class FastPooling(Pooling):
    """Overrides the definitions on arrays of NumPy."""

    def max_pool(self, x: Any, kernel: Sizes, geometry: Geometry) -> Any:
        """Largest pixel of every window; NaN wins.  x (N, C, *sizes) -> (N, C, *out)."""
        if not _suits(x):
            return super().max_pool(x, kernel, geometry)
        return _reduce(np.maximum, x, lowest(x.dtype), kernel, geometry)

    def sum_pool(self, x: Any, kernel: Sizes, geometry: Geometry) -> Any:
        """Sum over every window, where padding counts as 0.  x (N, C, *sizes) -> (N, C, *out)."""
        if not _suits(x):
            return super().sum_pool(x, kernel, geometry)
        return _reduce(np.add, x, 0, kernel, geometry)

    def max_put(self, g: Any, x: Any, y: Any, kernel: Sizes, geometry: Geometry) -> Any:
        """Zeros in the shape of x, with g (N, C, *out) added where y, the maxima of x, were found first."""
        if not _suits(x):
            return super().max_put(g, x, y, kernel, geometry)
        kernel, geometry = _two_axes(kernel, geometry)
        lies = _Lies(x)
        images, maxima, values = lies.seen(x), lies.seen(y), lies.seen(g)
        put = np.empty(images.shape, dtype=g.dtype)
        halves = kernel == geometry.stride == (2, 2) and images.shape[1:3] == (2 * y.shape[2], 2 * maxima.shape[2])
        unpadded = not any(map(any, geometry.padding))

        def task(piece: slice) -> None:
            if halves and unpadded:
                _put_halves(put[piece], values[piece], images[piece])
            else:
                _put_first(put[piece], values[piece], images[piece], maxima[piece], kernel, geometry)

        _pieces(images, task)
        return lies.back(put)

    def sum_put(self, g: Any, kernel: Sizes, sizes: Sizes, geometry: Geometry) -> Any:
        """Adjoint of `sum_pool`: adds g (N, C, *out) to every pixel of its window -> (N, C, *sizes)."""
        if not _suits(g):
            return super().sum_put(g, kernel, sizes, geometry)
        kernel, geometry = _two_axes(kernel, geometry)
        lies = _Lies(g)
        values = lies.seen(g)
        put = np.empty((len(values), sizes[0], sizes[1] if len(sizes) == 2 else 1, values.shape[3]), dtype=g.dtype)

        def task(piece: slice) -> None:
            image, inside = _room(put[piece], geometry)
            image[...] = 0
            lines = scratch("lines", (len(image), values.shape[1], *image.shape[2:]), g.dtype)
            lines[...] = 0
            for cut in _cuts(1, kernel, geometry, values.shape[2]):
                lines[:, :, cut] += values[piece]
            for cut in _cuts(0, kernel, geometry, values.shape[1]):
                image[:, cut] += lines
            if image is not inside:
                put[piece] = inside

        _pieces(put, task)
        return lies.back(put)


def _suits(x: np.ndarray) -> bool:
    return kernels_allowed() and x.ndim <= 4 and x.size > 0 and x.dtype.kind in "fc" and x.dtype.itemsize > 2


class _Lies:
    """How (N, C, H, W) lies in memory: channels last, or as planes."""

    def __init__(self, x: np.ndarray):
        self.channels = x.shape[1]
        self.line = x.ndim == 3
        self.last = x.shape[1] > 1 and x.strides[1] == x.itemsize and x.strides[-1] != x.itemsize

    def seen(self, x: np.ndarray) -> np.ndarray:
        """(N, H, W, C) or (N*C, H, W, 1)."""
        if self.line:
            x = x[..., None]
        return x.transpose(0, 2, 3, 1) if self.last else x.reshape(-1, *x.shape[2:], 1)

    def back(self, y: np.ndarray) -> np.ndarray:
        """The inverse of `seen`."""
        y = y.transpose(0, 3, 1, 2) if self.last else y.reshape(-1, self.channels, *y.shape[1:3])
        return y[..., 0] if self.line else y


def _two_axes(kernel: Sizes, geometry: Geometry) -> tuple[Sizes, Geometry]:
    if len(kernel) == 2:
        return kernel, geometry
    stride, padding, dilation, groups = geometry
    return (*kernel, 1), Geometry((*stride, 1), (*padding, (0, 0)), (*dilation, 1), groups)


def _pieces(images: np.ndarray, task: Callable[[slice], None]) -> None:
    each = max(1, ROOM * len(images) // images.size)
    n = -(-len(images) // each)
    parallel(lambda i: task(slice(i * each, (i + 1) * each)), n, images.size * COST)


def _cuts(axis: int, kernel: Sizes, geometry: Geometry, out: int) -> list[slice]:
    """For every tap along an axis, the pixels that it sees."""
    s, d = geometry.stride[axis], geometry.dilation[axis]
    return [slice(t * d, t * d + s * (out - 1) + 1, s) for t in range(kernel[axis])]


def _room(images: np.ndarray, geometry: Geometry, name: str = "image") -> tuple[np.ndarray, np.ndarray]:
    """An image with padding, and the part of it without: both are `images` itself where nothing is padded."""
    (top, bottom), (left, right) = geometry.padding
    if not (top or bottom or left or right):
        return images, images
    n, height, width, channels = images.shape
    room = scratch(name, (n, height + top + bottom, width + left + right, channels), images.dtype)
    return room, room[:, top : top + height, left : left + width]


def _padded(images: np.ndarray, geometry: Geometry, value: Any) -> np.ndarray:
    room, inside = _room(images, geometry, "padded")
    if room is not inside:
        room[...] = value
        inside[...] = images
    return room


def _reduce(combine: Any, x: np.ndarray, padding: Any, kernel: Sizes, geometry: Geometry) -> np.ndarray:
    """`combine` (maximum or add) over every window."""
    out = geometry.output(x.shape[2:], kernel)
    kernel, geometry = _two_axes(kernel, geometry)
    lies = _Lies(x)
    images = lies.seen(x)
    y = np.empty((len(images), out[0], out[1] if len(out) == 2 else 1, images.shape[3]), dtype=x.dtype)
    rows, columns = _cuts(0, kernel, geometry, y.shape[1]), _cuts(1, kernel, geometry, y.shape[2])

    def task(piece: slice) -> None:
        image = _padded(images[piece], geometry, padding)
        lines = [image[:, cut] for cut in rows]
        if len(rows) > 1:
            first = scratch("lines", lines[0].shape, x.dtype)
            _fold(combine, lines, first)
            lines[0] = first
        _fold(combine, [lines[0][:, :, cut] for cut in columns], y[piece])

    _pieces(images, task)
    return lies.back(y)


def _fold(combine: Any, parts: list[np.ndarray], out: np.ndarray) -> None:
    if len(parts) == 1:
        out[...] = parts[0]
        return
    combine(parts[0], parts[1], out=out)
    for part in parts[2:]:
        combine(out, part, out=out)


def _put_halves(put: np.ndarray, g: np.ndarray, x: np.ndarray) -> None:
    """2x2 windows side by side: first the row of the maximum is chosen, then the column. A tie takes the first."""
    quarters = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    above, below, hit = (
        scratch("above", g.shape, x.dtype),
        scratch("below", g.shape, x.dtype),
        scratch("hit", g.shape, np.dtype(bool)),
    )
    np.maximum(quarters[0], quarters[1], out=above)
    np.maximum(quarters[2], quarters[3], out=below)
    np.greater_equal(above, below, out=hit)
    above = scratch("above", g.shape, g.dtype)
    below = scratch("below", g.shape, g.dtype)
    np.multiply(g, hit, out=above)
    np.subtract(g, above, out=below)
    for i, share in enumerate((above, below)):
        left, right = quarters[2 * i : 2 * i + 2]
        np.greater_equal(left, right, out=hit)
        np.multiply(share, hit, out=put[:, i::2, ::2])
        np.subtract(share, put[:, i::2, ::2], out=put[:, i::2, 1::2])


def _put_first(put, g, x, y, kernel: Sizes, geometry: Geometry) -> None:
    """Any windows: tap by tap, each takes what no tap before it took."""
    image = _padded(x, geometry, np.nan)
    room, inside = _room(put, geometry)
    room[...] = 0
    hit, free = scratch("hit", g.shape, np.dtype(bool)), scratch("free", g.shape, np.dtype(bool))
    share = scratch("share", g.shape, g.dtype)
    free[...] = True
    for rows in _cuts(0, kernel, geometry, g.shape[1]):
        for columns in _cuts(1, kernel, geometry, g.shape[2]):
            np.equal(image[:, rows, columns], y, out=hit)
            np.logical_and(hit, free, out=hit)
            np.logical_xor(free, hit, out=free)
            np.multiply(g, hit, out=share)
            room[:, rows, columns] += share
    if room is not inside:
        put[...] = inside
