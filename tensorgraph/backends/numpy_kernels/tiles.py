"""Tiles of a convolution: how the images are cut into pieces, and the rows of pixels that a piece multiplies.

Everything is channels-last here: x (N, H, W, C). A tile is a few whole images, or some rows of one. Its pixels are
copied once per kernel column, `rows[row, image, column] = (S, C) pixels to the right`, so that the product with kernel
row r reads one contiguous block of them: S times the image in the cache instead of the R*S times of im2col.
Plans are cached on the geometry. Imported by convolution.py beside it.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

ROOM = 1 << 18
"""Elements of the rows of one tile: a second-level cache."""
WIDE = 400
"""Pixels of output that a tile has at least, where there are so many: below, BLAS spends its time on the weights."""

FEW = 4
"""Channels up to which columns beat rows."""

_local = threading.local()


def scratch(name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array of this thread that the next call with the same name overwrites."""
    size = prod(shape)
    block = getattr(_local, name, None)
    if block is None or block.nbytes < size * dtype.itemsize:
        block = np.empty(size * dtype.itemsize, dtype=np.uint8)
        setattr(_local, name, block)
    return np.ndarray(shape, dtype, block)


class Tile(NamedTuple):
    """Images `image` to `image + images`, output rows `row` to `row + rows`."""

    image: int
    images: int
    row: int
    rows: int


class Plan:
    """One correlation over two axes: its sizes and its tiles. `top` and `left` may be negative, which crops."""

    def __init__(self, shape, kernel, out, stride, before, dilation):
        self.N, self.H, self.W, self.C = shape
        self.R, self.S = kernel
        self.OH, self.OW = out
        self.stride, self.dilation = stride, dilation
        self.top, self.left = before
        self.taps = self.S * self.C
        self.width = (self.OW - 1) * stride[1] + (self.S - 1) * dilation[1] + 1
        # kernel row r reads the image rows r*dilation + stride*i: they are stored by their remainder modulo the stride
        reach = [divmod(r * dilation[0], stride[0]) for r in range(self.R)]
        self.phases = sorted({phase for _, phase in reach})
        halo = [max(q for q, p in reach if p == phase) for phase in self.phases]
        self.starts = [sum(halo[:i]) for i in range(len(halo))]
        self.halo = halo
        self.offsets = [(self.phases.index(p), self.starts[self.phases.index(p)] + q) for q, p in reach]
        self.tiles = self._cut()
        self.work = 2.0 * self.N * self.OH * self.OW * self.R * self.taps

    def _cut(self) -> list[Tile]:
        taps = self.taps * (self.R if self.C <= FEW else 1)  # columns hold all taps, rows those of one kernel row
        wanted = max(ROOM, WIDE * taps) // (self.OW * taps)
        rows_of_image = len(self.phases) * self.OH + sum(self.halo)
        if wanted >= rows_of_image:
            n = max(1, min(self.N, wanted // rows_of_image))
            return [Tile(i, min(n, self.N - i), 0, self.OH) for i in range(0, self.N, n)]
        most = max(1, (wanted - sum(self.halo)) // len(self.phases))
        pieces = -(-self.OH // most)
        step = -(-self.OH // pieces)
        return [Tile(i, 1, row, min(step, self.OH - row)) for i in range(self.N) for row in range(0, self.OH, step)]

    def window(self, x: np.ndarray, tile: Tile, planar: bool = False) -> np.ndarray:
        """What a tile sees of the padded images: (images, rows, width, C), a view of x where nothing is padded.

        A copy is channels-last in memory too, or a plane per channel if `planar`.
        """
        first = tile.row * self.stride[0] - self.top
        rows = (tile.rows - 1) * self.stride[0] + (self.R - 1) * self.dilation[0] + 1
        images = slice(tile.image, tile.image + tile.images)
        low, high = max(0, -first), min(rows, self.H - first)
        left, right = max(0, self.left), min(self.width, self.W + self.left)
        whole = low == 0 and high == rows and left == 0 and right == self.width
        if whole and (planar or self.C == 1 or x.strides[3] == x.itemsize):
            return x[images, first : first + rows, -self.left : self.width - self.left]
        if planar:
            out = scratch("window", (tile.images, self.C, rows, self.width), x.dtype).transpose(0, 2, 3, 1)
        else:
            out = scratch("window", (tile.images, rows, self.width, self.C), x.dtype)
        border = (self, tile.images, low, high, planar, x.dtype, id(_local.window))
        if getattr(_local, "border", None) != border:  # otherwise the zeros of the last tile are still there
            out[...] = 0
            _local.border = border
        if low < high and left < right:
            out[:, low:high, left:right] = x[images, first + low : first + high, left - self.left : right - self.left]
        return out

    def rows(self, x: np.ndarray, tile: Tile) -> tuple[np.ndarray, list[int]]:
        """The rows of a tile, (all rows, images * OW, S*C), and where the block of every kernel row begins."""
        window = self.window(x, tile)
        image, row, column, channel = window.strides
        if self.R == self.S == tile.images == 1 and self.stride == (1, 1) and window.flags.c_contiguous:
            return window[0], [0]
        if self.C == 1:
            channel = x.itemsize
        shape = (tile.images, self.OW, self.S, self.C)
        out = scratch("rows", (len(self.phases) * tile.rows + sum(self.halo), *shape), x.dtype)
        for i, (phase, halo, start) in enumerate(zip(self.phases, self.halo, self.starts, strict=True)):
            begin = i * tile.rows + start
            block = out[begin : begin + tile.rows + halo]
            strides = (row * self.stride[0], image, column * self.stride[1], column * self.dilation[1], channel)
            np.copyto(block, as_strided(window[:, phase:], block.shape, strides))
        return out.reshape(len(out), tile.images * self.OW, self.taps), [i * tile.rows + q for i, q in self.offsets]

    def columns(self, x: np.ndarray, tile: Tile, ones: bool = False) -> np.ndarray:
        """The transposed im2col of a tile, (C*R*S, images*rows*OW), for few channels: what is contiguous are pixels.

        `ones`: with a last row of ones, which multiplies a bias.
        """
        window = self.window(x, tile, planar=True)
        image, row, column, channel = window.strides
        pixels = (tile.images, tile.rows, self.OW)
        all_ = scratch("columns", (self.C * self.R * self.S + ones, prod(pixels)), x.dtype)
        if ones:
            all_[-1] = 1
        out = all_[: len(all_) - ones].reshape(self.C, self.R, self.S, *pixels)
        down, right = row * self.dilation[0], column * self.dilation[1]
        if self.stride[0] == 1 and self.R > 1:  # one strided copy per kernel column, then whole blocks of rows
            shape = (self.C, self.S, tile.images, window.shape[1], self.OW)
            shifted = scratch("shifted", shape, x.dtype)
            np.copyto(shifted, as_strided(window, shape, (channel, right, image, row, column * self.stride[1])))
            channel, right, image, row, column = shifted.strides
            down = row * self.dilation[0]
            np.copyto(out, as_strided(shifted, out.shape, (channel, down, right, image, row, column)))
        else:
            strides = (channel, down, right, image, row * self.stride[0], column * self.stride[1])
            np.copyto(out, as_strided(window, out.shape, strides))
        return all_

    def pixels(self, y: np.ndarray, tile: Tile) -> np.ndarray:
        """The part of the output (N, OH, OW, K) that a tile computes."""
        return y[tile.image : tile.image + tile.images, tile.row : tile.row + tile.rows]


@lru_cache(maxsize=512)
def plan(shape, kernel, out, stride, before, dilation) -> Plan:
    """The plan of a correlation: x (N, H, W, C), kernel (R, S), `before` = (top, left)."""
    return Plan(shape, kernel, out, stride, before, dilation)
