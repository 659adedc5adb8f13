"""Tiles of a convolution: how the images are cut into pieces, and the rows of pixels that a piece multiplies.

Everything is channels-last here: x (N, H, W, C). A tile is a few whole images, or some rows of one. Its pixels are
copied once per kernel column, `rows[row, column] = (S, C) pixels to the right`, so that the product with kernel row r
reads one contiguous block of them: S times the image in the cache, instead of the R*S times of im2col. Small images
lie side by side, `rows[row, image, column]`, for fewer and larger products.
Where there are few channels, `group` neighbouring outputs share one wider window, (S + group - 1, C): BLAS then gets
longer and wider matrices, and zeros in the weights are a small price. Plans are cached on the geometry.
Imported by convolution.py beside it.
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

SMALL = 192
"""Outputs up to which images are multiplied side by side: below, BLAS has little to do at a time ..."""
CALL = 6000
"""... and outputs that can be copied in the time that calling it once more takes."""

HEAVY = 1 << 16
"""Weights above which it matters that they are transposed cheaply, more than how BLAS likes them best."""

_local = threading.local()


def scratch(name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array of this thread that the next call with the same name overwrites."""
    size = prod(shape) * dtype.itemsize
    block = getattr(_local, name, None)
    if block is None or block.nbytes < size:
        block = np.empty(size, dtype=np.uint8)
        setattr(_local, name, block)
    return np.ndarray(shape, dtype, block)


class Tile(NamedTuple):
    """Images `image` to `image + images`, output rows `row` to `row + rows`."""

    image: int
    images: int
    row: int
    rows: int

    def of(self, y: np.ndarray) -> np.ndarray:
        """The part of the output (N, OH, OW, K) that the tile computes."""
        return y[self.image : self.image + self.images, self.row : self.row + self.rows]


class Plan:
    """One correlation over two axes: its sizes and its tiles. `top` and `left` may be negative, which crops."""

    def __init__(self, shape, K, kernel, out, stride, before, dilation):
        self.N, self.H, self.W, self.C = shape
        self.R, self.S = kernel
        self.OH, self.OW = out
        self.K, self.stride, self.dilation = K, stride, dilation
        self.top, self.left = before
        self.group = _group(self.C, K, self.S, stride[1], dilation[1])
        self.heavy = self.group == 1 and self.R * self.S * self.C * K > HEAVY
        self.columns = -(-self.OW // self.group)
        self.window_taps = self.S + self.group - 1
        self.taps = self.window_taps * self.C
        self.width = (self.columns * self.group - 1) * stride[1] + (self.S - 1) * dilation[1] + 1
        # kernel row r reads the image rows r*dilation + stride*i: they are stored by their remainder modulo the stride
        reach = [divmod(r * dilation[0], stride[0]) for r in range(self.R)]
        self.phases = sorted({phase for _, phase in reach})
        self.halo = [max(q for q, p in reach if p == phase) for phase in self.phases]
        self.starts = [sum(self.halo[:i]) for i in range(len(self.halo))]
        at = self.phases.index
        self.offsets = [(at(phase), self.starts[at(phase)] + q) for q, phase in reach]
        self.apart = self.OH * self.columns >= SMALL and self.OH * self.OW * K >= CALL * self.R
        self.tiles = self._cut()
        self.work = 2.0 * self.N * self.OH * self.columns * self.group * self.R * self.S * self.C * K

    def _cut(self) -> list[Tile]:
        wanted = max(ROOM, WIDE // self.group * self.taps) // (self.columns * self.taps)
        all_rows = len(self.phases) * self.OH + sum(self.halo)
        if wanted >= all_rows:
            n = max(1, min(self.N, wanted // all_rows))
            return [Tile(i, min(n, self.N - i), 0, self.OH) for i in range(0, self.N, n)]
        # at least as many rows as the halo has, which every tile copies again
        most = max(1, max(wanted - sum(self.halo), sum(self.halo)) // len(self.phases))
        step = -(-self.OH // -(-self.OH // most))
        return [Tile(i, 1, row, min(step, self.OH - row)) for i in range(self.N) for row in range(0, self.OH, step)]

    def window(self, x: np.ndarray, tile: Tile) -> np.ndarray:
        """What a tile sees of the padded images: (images, rows, width, C), a view of x where nothing is padded."""
        first = tile.row * self.stride[0] - self.top
        rows = (tile.rows - 1) * self.stride[0] + (self.R - 1) * self.dilation[0] + 1
        images = slice(tile.image, tile.image + tile.images)
        low, high = max(0, -first), min(rows, self.H - first)
        left, right = max(0, self.left), min(self.width, self.W + self.left)
        whole = low == 0 and high == rows and left == 0 and right == self.width
        if whole and (self.C == 1 or x.strides[3] == x.itemsize):
            return x[images, first : first + rows, -self.left : self.width - self.left]
        out = scratch("window", (tile.images, rows, self.width, self.C), x.dtype)
        border = (self, tile.images, rows, low, high, x.dtype, id(_local.window))
        if getattr(_local, "border", None) != border:  # otherwise the zeros of the last tile are still there
            out[...] = 0
            _local.border = border
        if low < high and left < right:
            out[:, low:high, left:right] = x[images, first + low : first + high, left - self.left : right - self.left]
        return out

    def rows(self, x: np.ndarray, tile: Tile) -> tuple[np.ndarray, list[int]]:
        """The rows of a tile, and where the block of every kernel row begins.

        (images, all rows, columns, taps) if images are kept apart, otherwise (1, all rows, images * columns, taps).
        """
        window = self.window(x, tile)
        if self.R == self.S == 1 and self.stride == (1, 1) and self.apart and window.flags.c_contiguous:
            return window, [0]
        image, row, column, channel = window.strides
        if self.C == 1:
            channel = x.itemsize
        all_rows = len(self.phases) * tile.rows + sum(self.halo)
        shape = (self.columns, self.window_taps, self.C)
        if self.apart:
            room = seen = scratch("rows", (tile.images, all_rows, *shape), x.dtype)
        else:
            room = scratch("rows", (all_rows, tile.images, *shape), x.dtype)
            seen = room.swapaxes(0, 1)
        right = column * self.stride[1] * self.group
        strides = (image, row * self.stride[0], right, column * self.dilation[1], channel)
        for i, (phase, halo, start) in enumerate(zip(self.phases, self.halo, self.starts, strict=True)):
            begin = i * tile.rows + start
            block = seen[:, begin : begin + tile.rows + halo]
            np.copyto(block, as_strided(window[:, phase:], block.shape, strides))
        begins = [i * tile.rows + q for i, q in self.offsets]
        return room.reshape(tile.images if self.apart else 1, all_rows, -1, self.taps), begins

    def lines(self, part: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
        """Room for the outputs of a tile: as products make them, as (images, rows, columns * group, K), and whose.

        `part` (images, rows, OW, K) are the outputs themselves, which are the room (True) where they lie in memory as
        products want them.
        """
        images, rows = part.shape[:2]
        width = self.columns * self.group
        if self.apart and width == self.OW and part.flags.c_contiguous:
            return part.reshape(images, -1, self.group * self.K), part, True
        if self.apart:
            room = seen = scratch("lines", (images, rows, width, self.K), part.dtype)
        else:
            room = scratch("lines", (rows, images, width, self.K), part.dtype)
            seen = room.swapaxes(0, 1)
        return room.reshape(images if self.apart else 1, -1, self.group * self.K), seen, False

    def weights(self, w: np.ndarray) -> np.ndarray:
        """w (K, C, R, S) as it multiplies the rows: (R, taps, group * K), each matrix or its transpose contiguous."""
        if self.heavy and w.strides[1] < w.strides[0]:
            return np.ascontiguousarray(w.transpose(2, 0, 3, 1)).reshape(self.R, self.K, self.taps).swapaxes(1, 2)
        w = w.transpose(2, 3, 1, 0)
        if self.group == 1:
            return np.ascontiguousarray(w).reshape(self.R, self.taps, self.K)
        out = np.zeros((self.R, self.window_taps, self.C, self.group, self.K), dtype=w.dtype)
        for p in range(self.group):
            out[:, p : p + self.S, :, p] = w
        return out.reshape(self.R, self.taps, self.group * self.K)

    def totals(self, n: int, dtype: Any) -> np.ndarray:
        """Room for `n` sums in the form of `weights`, zeros."""
        if self.heavy:
            return np.zeros((n, self.R, self.K, self.taps), dtype=dtype).swapaxes(2, 3)
        return np.zeros((n, self.R, self.taps, self.group * self.K), dtype=dtype)

    def unweighted(self, total: np.ndarray) -> np.ndarray:
        """The adjoint of `weights`."""
        if self.heavy:
            w = total.swapaxes(1, 2).reshape(self.R, self.K, self.S, self.C).transpose(1, 3, 0, 2)
            return np.ascontiguousarray(w)
        total = total.reshape(self.R, self.window_taps, self.C, self.group, self.K)
        w = total[:, : self.S, :, 0]
        for p in range(1, self.group):
            w = w + total[:, p : p + self.S, :, p]
        return np.ascontiguousarray(w.transpose(3, 2, 0, 1))


def _group(C: int, K: int, S: int, stride: int, dilation: int) -> int:
    """How many neighbouring outputs share a window. Measured on a processor with AVX-512."""
    if S == 1 or stride > 1 or dilation > 1:
        return 1
    if C * K <= 8:
        return 4
    return 2 if K <= 16 or C <= 4 else 1


@lru_cache(maxsize=512)
def plan(shape, K, kernel, out, stride, before, dilation) -> Plan:
    """The plan of a correlation: x (N, H, W, C), kernel (R, S), `before` = (top, left)."""
    return Plan(shape, K, kernel, out, stride, before, dilation)
