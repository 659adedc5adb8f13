"""Pooling in pieces that stay in the cache, shared by threads: along the rows first, then along the columns.

An array is taken as it lies in memory: channels-last as (N, H, W, C), planes as (N*C, H, W, 1), and the result lies
the same way. One axis is taken as two; three are left to the definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from math import prod
from typing import Any

import numpy as np

from tensorgraph.backends import compiled
from tensorgraph.backends.convolution import Geometry, Sizes
from tensorgraph.backends.numpy_kernels.threads import parallel, share
from tensorgraph.backends.numpy_kernels.tiles import scratch
from tensorgraph.backends.pooling import Pooling, first_inside, lowest
from tensorgraph.mode import kernels_allowed

ROOM = 1 << 16
"""Elements of the image in one piece."""
SINGLE = np.dtype("float32")
AT_ONCE = 512
"""Pixels of an image up to which they are summed as a product: longer sums in float32 lose digits."""
ENOUGH = 1 << 12
"""Elements from which compiled kernels are asked for."""
COST = 3.0
"""Nanoseconds an element: a guess, to tell what is worth a second thread."""


class FastPooling(Pooling):
    """Overrides the definitions on arrays of NumPy."""

    def max_pool(self, x: Any, kernel: Sizes, geometry: Geometry) -> tuple[Any, Any]:
        """Largest pixel of every window, and its tap.  x (N, C, *sizes) -> (N, C, *out) twice."""
        if not _suits(x):
            return super().max_pool(x, kernel, geometry)
        out = geometry.output(x.shape[2:], kernel)
        first = first_inside(x.shape[2:], kernel, out, geometry)
        height, width = (*out, 1)[:2]
        first = first.reshape(first.shape + (1,) * (3 - first.ndim))
        kernel, geometry = _two_axes(kernel, geometry)
        lies = _Lies(x)
        images = lies.seen(x)
        y = np.empty((len(images), height, width, images.shape[3]), dtype=x.dtype)
        taps = np.empty(y.shape, dtype=first.dtype)
        halves = _halves(kernel, geometry)
        kernels = _compiled(images, taps)

        if kernels is not None:
            _run(kernels["max_pool"], images, y, taps, kernel, geometry)
            return lies.back(y), lies.back(taps)

        def task(piece: slice) -> None:
            if halves:
                _max_halves(y[piece], taps[piece], images[piece])
            else:
                _max_any(y[piece], taps[piece], images[piece], first, kernel, geometry)

        _pieces(images, task)
        return lies.back(y), lies.back(taps)

    def max_put(self, g: Any, taps: Any, sizes: Sizes, kernel: Sizes, geometry: Geometry) -> Any:
        """Zeros (N, C, *sizes) with g (N, C, *out) added at the tap of every window."""
        if not _suits(g):
            return super().max_put(g, taps, sizes, kernel, geometry)
        kernel, geometry = _two_axes(kernel, geometry)
        lies = _Lies(taps)
        values, places = lies.seen(g), lies.seen(taps)
        put = np.empty((len(values), sizes[0], (*sizes, 1)[1], values.shape[3]), dtype=g.dtype)
        apart = all(s > d * (k - 1) for s, d, k in zip(geometry.stride, geometry.dilation, kernel, strict=True))
        tiled = _unpadded(geometry) and all(
            s == k and n == k * m for s, k, n, m in zip(geometry.stride, kernel, put.shape[1:], values.shape[1:])
        )

        kernels = _compiled(put, places) if values.flags.c_contiguous else None
        if kernels is not None:
            if not tiled:
                put[...] = 0
            _run(kernels["max_put_apart" if apart else "max_put"], put, values, places, kernel, geometry)
            return lies.back(put)

        def task(piece: slice) -> None:
            room, inside = _room(put[piece], geometry)
            if not tiled:
                room[...] = 0
            value, place = values[piece], places[piece]
            hit, share = scratch("hit", value.shape, np.dtype(bool)), scratch("share", value.shape, g.dtype)
            for t, (rows, columns) in enumerate(_taps(kernel, geometry, values.shape[1:3])):
                np.equal(place, t, out=hit)
                if apart:
                    np.multiply(value, hit, out=room[:, rows, columns])
                else:
                    np.multiply(value, hit, out=share)
                    room[:, rows, columns] += share
            if room is not inside:
                put[piece] = inside

        _pieces(put, task)
        return lies.back(put)

    def sum_pool(self, x: Any, kernel: Sizes, geometry: Geometry) -> Any:
        """Sum over every window, where padding counts as 0.  x (N, C, *sizes) -> (N, C, *out)."""
        if not _suits(x):
            return super().sum_pool(x, kernel, geometry)
        out = geometry.output(x.shape[2:], kernel)
        whole = _is_whole(kernel, x.shape[2:], geometry)
        kernel, geometry = _two_axes(kernel, geometry)
        lies = _Lies(x)
        images = lies.seen(x)
        if whole and images.flags.c_contiguous:
            ones = np.ones(prod(kernel), dtype=x.dtype)
            lines = images.reshape(len(images), ones.size, -1)
            y = np.matmul(lines[..., 0], ones) if lines.shape[2] == 1 else np.matmul(ones, lines)
            return lies.back(y.reshape(len(images), 1, 1, -1))
        y = np.empty((len(images), out[0], (*out, 1)[1], images.shape[3]), dtype=x.dtype)
        rows, columns = _cuts(0, kernel, geometry, y.shape[1]), _cuts(1, kernel, geometry, y.shape[2])

        def task(piece: slice) -> None:
            image = _padded(images[piece], geometry, 0)
            lines = scratch("lines", image[:, rows[0]].shape, x.dtype)
            _add_up([image[:, cut] for cut in rows], lines)
            _add_up([lines[:, :, cut] for cut in columns], y[piece])

        _pieces(images, task)
        return lies.back(y)

    def sum_put(self, g: Any, kernel: Sizes, sizes: Sizes, geometry: Geometry) -> Any:
        """Adjoint of `sum_pool`: adds g (N, C, *out) to every pixel of its window -> (N, C, *sizes)."""
        if not _suits(g):
            return super().sum_put(g, kernel, sizes, geometry)
        if _is_whole(kernel, sizes, geometry):
            return np.repeat(g.reshape(-1), prod(sizes)).reshape(*g.shape[:2], *sizes)
        kernel, geometry = _two_axes(kernel, geometry)
        lies = _Lies(g)
        values = lies.seen(g)
        put = np.empty((len(values), sizes[0], (*sizes, 1)[1], values.shape[3]), dtype=g.dtype)

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


def _compiled(images: np.ndarray, taps: np.ndarray) -> Any:
    """The compiled kernels where they suit: several channels of float32, taps in bytes."""
    suits = images.dtype == SINGLE and images.shape[3] > 2 and images.size > ENOUGH and taps.dtype == np.uint8
    return compiled.kernels() if suits and images.flags.c_contiguous and taps.flags.c_contiguous else None


def _run(kernel: Any, images: np.ndarray, values: np.ndarray, taps: np.ndarray, sizes: Sizes, geometry: Geometry):
    (top, _), (left, _) = geometry.padding
    places = [compiled.address(a) for a in (images, values, taps)]
    words = (*places, *images.shape, *values.shape[1:3], *sizes, *geometry.stride, *geometry.dilation, top, left)
    share(kernel, 3, images.size * COST, words, (images.strides[0], values.strides[0], taps.strides[0]))


def _is_whole(kernel: Sizes, sizes: Sizes, geometry: Geometry) -> bool:
    """Whether there is one window, the image, of so few pixels that they can be summed at once."""
    return tuple(kernel) == tuple(sizes) and prod(sizes) <= AT_ONCE and not any(map(any, geometry.padding))


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


def _unpadded(geometry: Geometry) -> bool:
    return not any(map(any, geometry.padding))


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
    if _unpadded(geometry):
        return images, images
    (top, bottom), (left, right) = geometry.padding
    n, height, width, channels = images.shape
    room = scratch(name, (n, height + top + bottom, width + left + right, channels), images.dtype)
    return room, room[:, top : top + height, left : left + width]


def _padded(images: np.ndarray, geometry: Geometry, value: Any) -> np.ndarray:
    room, inside = _room(images, geometry, "padded")
    if room is not inside:
        room[...] = value
        inside[...] = images
    return room


def _add_up(parts: list[np.ndarray], out: np.ndarray) -> None:
    if len(parts) == 1:
        out[...] = parts[0]
        return
    np.add(parts[0], parts[1], out=out)
    for part in parts[2:]:
        np.add(out, part, out=out)


def _taps(kernel: Sizes, geometry: Geometry, out: Sizes) -> Iterator[tuple[slice, slice]]:
    return product(_cuts(0, kernel, geometry, out[0]), _cuts(1, kernel, geometry, out[1]))


def _halves(kernel: Sizes, geometry: Geometry) -> bool:
    """Whether windows are 2x2, side by side, without padding."""
    return kernel == geometry.stride == (2, 2) and geometry.dilation == (1, 1) and _unpadded(geometry)


def _max_halves(y: np.ndarray, taps: np.ndarray, x: np.ndarray) -> None:
    """2x2 windows side by side: the maxima of both rows, then of these. A tie takes the first."""
    height, width = y.shape[1:3]
    quarters = [x[:, i : 2 * height : 2, j : 2 * width : 2] for i in (0, 1) for j in (0, 1)]
    above, below = scratch("above", y.shape, x.dtype), scratch("below", y.shape, x.dtype)
    right, other, lower = (scratch(name, y.shape, np.dtype(bool)) for name in ("right", "other", "lower"))
    np.maximum(quarters[0], quarters[1], out=above)
    np.maximum(quarters[2], quarters[3], out=below)
    np.maximum(above, below, out=y)
    np.greater(quarters[1], quarters[0], out=right)
    np.greater(quarters[3], quarters[2], out=other)
    np.greater(below, above, out=lower)
    # lower ? 2 + other : right, in bytes
    np.logical_xor(right, other, out=other)
    np.logical_and(other, lower, out=other)
    np.logical_xor(right, other, out=right)
    np.add(lower.view(np.uint8), lower.view(np.uint8), out=taps)
    np.add(taps, right.view(np.uint8), out=taps)
    if np.isnan(y).any():
        _find_nan(taps, quarters)


def _max_any(y, taps, x, first: np.ndarray, kernel: Sizes, geometry: Geometry) -> None:
    """Any windows: tap by tap, each takes what is larger than all before it."""
    image = _padded(x, geometry, lowest(x.dtype))
    better, number = scratch("hit", y.shape, np.dtype(bool)), scratch("number", y.shape, taps.dtype)
    y[...] = lowest(x.dtype)
    taps[...] = first
    parts = [image[:, rows, columns] for rows, columns in _taps(kernel, geometry, y.shape[1:3])]
    for t, part in enumerate(parts):
        np.greater(part, y, out=better)
        np.maximum(part, y, out=y)
        np.multiply(better, taps.dtype.type(t), out=number)  # later taps have larger numbers
        np.maximum(taps, number, out=taps)
    if np.isnan(y).any():
        _find_nan(taps, parts)


def _find_nan(taps: np.ndarray, parts: list[np.ndarray]) -> None:
    for t, part in reversed(list(enumerate(parts))):
        taps[np.isnan(part)] = t
