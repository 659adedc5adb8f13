"""Convolution by compiled kernels: arrays in, one call for all images, shared by threads. Imported by convolution.py.

Arrays are channels-last, (N, H, W, C) and (N, OH, OW, K), weights (K, C, R, S), all float32. What can be known before
the numbers is a `Plan`, kept for the next call with arrays that lie alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import gcd
from typing import Any, NamedTuple

import numpy as np

from tensorgraph.backends.compiled import Kernels, address
from tensorgraph.backends.compiled.layer import Layer, Phase, View, lines
from tensorgraph.backends.numpy_kernels import blas, threads

__all__ = ["backward", "forward", "phases", "weight"]

PACE = 100.0
"""Floating point operations a nanosecond: a guess, to tell what is worth a second thread."""
WORTH = 1 << 20
"""Products from which a kernel for just these numbers of channels is worth compiling."""
SHARE = 2e4
"""Work in nanoseconds that a piece has at least."""
EACH = 3
"""Pieces for every thread, where there is so much work: one that comes late leaves more to the others."""

Sizes = tuple[int, ...]


class Lie(NamedTuple):
    """An array without its numbers."""

    shape: Sizes
    strides: Sizes


class Plan(NamedTuple):
    """A layer, how many neighbouring outputs share a window, and how images are shared by threads.

    There are so many units of work: images, or splits of `height` rows. A piece has `size` of them, and a room.
    """

    layer: Layer
    group: int
    cost: float
    units: int
    splits: int
    height: int
    size: int
    pieces: int
    room: int


def forward(
    kernels: Kernels, y: np.ndarray, x: np.ndarray, w: np.ndarray, bias: Any, stride: Sizes, before: Sizes,
    dilation: Sizes, floor: float = float("-inf"),
) -> None:  # fmt: skip
    """Writes the correlation of x and w into y, with bias, not below `floor`: 0 gives a relu."""
    x, w = _aligned(x), _aligned(w)
    lies = x.shape, x.strides, y.shape, y.strides, w.shape, w.strides
    how = _forward(kernels, *lies, stride, before, dilation, blas.threads())
    _sums(how, y, x, _wide(w, how.group), bias, floor)


def backward(
    kernels: Kernels, x: np.ndarray, g: np.ndarray, w: np.ndarray, bias: Any, stride: Sizes, before: Sizes,
    dilation: Sizes, floor: float = float("-inf"),
) -> None:  # fmt: skip
    """Writes the input gradient of slopes g into x, with bias, not below `floor`; w (C, K, R, S)."""
    g, w = _aligned(g), _aligned(w)
    lies = g.shape, g.strides, x.shape, x.strides, w.shape, w.strides
    how = _backward(kernels, *lies, stride, before, dilation, blas.threads())
    _sums(how, x, g, w if how.group == 1 else _wide(w[:, :, ::-1, ::-1], how.group), bias, floor)


def weight(
    kernels: Kernels, g: np.ndarray, x: np.ndarray, kernel: Sizes, stride: Sizes, before: Sizes, dilation: Sizes
) -> np.ndarray:
    """The gradient (K, C, R, S) of the weight that correlates x to outputs with slopes g."""
    x, g = _aligned(x), _aligned(g if _lies(g.shape, g.strides) else np.ascontiguousarray(g))
    lies = x.shape, x.strides, g.shape, g.strides
    how = _weight(kernels, *lies, kernel, stride, before, dilation, blas.threads())
    layer, group, K, S = how.layer, how.group, g.shape[3], kernel[1]
    w = np.empty((group * K, x.shape[3], kernel[0], S + group - 1), dtype=g.dtype)
    totals, rooms = np.zeros((how.pieces, layer.packed), dtype=g.dtype), lines(how.pieces * how.room)
    threads.share_pieces(
        layer.kernel, 5, how.size, how.cost,
        (*map(address, (rooms, totals, x, g)), 0, how.units, layer.table, how.splits, how.height),
        (4 * how.room, 4 * layer.packed, 0, 0, how.size),
    )  # fmt: skip
    layer.unpack(totals, w)
    if group == 1:
        return w
    return np.sum([w[p * K : p * K + K, :, :, p : p + S] for p in range(group)], axis=0)


def _sums(how: Plan, y: np.ndarray, x: np.ndarray, w: np.ndarray, bias: Any, floor: float) -> None:
    layer = how.layer
    start = np.zeros(layer.blocks * layer.size, dtype=y.dtype)
    if bias is not None:
        start[: layer.outputs].reshape(how.group, -1)[...] = bias
    packed, rooms = layer.pack(w), lines(how.pieces * how.room)
    threads.share_pieces(
        layer.kernel, 6, how.size, how.cost,
        (*map(address, (rooms, y, x, packed, start)), 0, how.units, layer.table, how.splits, how.height, floor),
        (4 * how.room, 0, 0, 0, 0, how.size),
    )  # fmt: skip


# ---- plans ----------------------------------------------------------------------------------------------------------
@lru_cache(maxsize=512)
def _forward(kernels, x, x_strides, y, y_strides, w, w_strides, stride, before, dilation, count) -> Plan:
    group = _group(kernels, y, y_strides, w[3], stride, dilation)
    of_y, of_w = _beside(y, y_strides, group), _widened(w, w_strides, group)
    return _plan(kernels, True, Lie(x, x_strides), of_y, of_w, [_window(of_y, of_w, dilation)], before,
                 (stride[0], stride[1] * group), group, count)  # fmt: skip


@lru_cache(maxsize=512)
def _weight(kernels, x, x_strides, g, g_strides, kernel, stride, before, dilation, count) -> Plan:
    group = _group(kernels, g, g_strides, kernel[1], stride, dilation)
    of_g, of_w = _beside(g, g_strides, group), _contiguous((group * g[3], x[3], kernel[0], kernel[1] + group - 1))
    return _plan(kernels, False, Lie(x, x_strides), of_g, of_w, [_window(of_g, of_w, dilation)], before,
                 (stride[0], stride[1] * group), group, count)  # fmt: skip


@lru_cache(maxsize=512)
def _backward(kernels, g, g_strides, x, x_strides, w, w_strides, stride, before, dilation, count) -> Plan:
    rows, columns = (list(phases(x[1 + i], w[2 + i], stride[i], before[i], dilation[i])) for i in (0, 1))
    around = tuple(max(before for _, _, before, _ in axis) for axis in (rows, columns))
    steps = rows[0][3], columns[0][3]
    group = _group(kernels, x, x_strides, w[3], (1, 1), steps) if stride == (1, 1) else 1
    if group > 1:  # the weights are turned
        of_x, of_w = _beside(x, x_strides, group), _widened(w, w_strides, group)
        found = [_window(of_x, of_w, steps)]
    else:
        step = x_strides[0], x_strides[1] * stride[0], x_strides[2] * stride[1], x_strides[3]
        of_x, of_w, found = Lie(x, step), Lie(w, w_strides), []
        for at_row, row_taps, above, row_step in rows:
            for at_column, column_taps, aside, column_step in columns:
                down, right = (
                    tuple((most - padding + i * step, tap * size // 4) for i, tap in enumerate(range(n)[taps]))
                    for most, padding, step, taps, n, size in (
                        (around[0], above, row_step, row_taps, w[2], w_strides[2]),
                        (around[1], aside, column_step, column_taps, w[3], w_strides[3]),
                    )
                )
                start = (at_row.start * x_strides[1] + at_column.start * x_strides[2]) // 4
                found.append(Phase(start, len(range(x[1])[at_row]), len(range(x[2])[at_column]), down, right))
    return _plan(kernels, True, Lie(g, g_strides), of_x, of_w, found, around, (1, group), group, count)


def phases(n: int, kernel: int, stride: int, before: int, dilation: int) -> Iterator[tuple[slice, slice, int, int]]:
    """The inputs p, p + stride, ... as correlations of stride 1 of the outputs.

    For each: where they are, which taps of the kernel reach them (in reverse), the padding before, the dilation.
    """
    common = gcd(stride, dilation)
    every, step = stride // common, dilation // common
    for p in range(min(stride, n)):
        first = next((t for t in range(min(every, kernel)) if (p + before - t * dilation) % stride == 0), None)
        if first is None:
            yield slice(p, None, stride), slice(0, 0), 0, 1
            continue
        count = (kernel - 1 - first) // every
        shift = (p + before - first * dilation) // stride
        last = first + count * every
        yield slice(p, None, stride), slice(last, first - 1 if first else None, -every), count * step - shift, step


def _plan(
    kernels: Kernels, is_sums: bool, x: Lie, y: Lie, w: Lie, found: list[Phase], before: Any, stride: Any, group: int,
    count: int,
) -> Plan:  # fmt: skip
    N = y.shape[0]
    of_x, of_y = (View(lie.shape[1], lie.shape[2], lie.shape[3], lie.strides) for lie in (x, y))
    products = w.shape[0] * w.shape[1] * sum(p.rows * p.columns * len(p.down) * len(p.right) for p in found) * N
    w_output, w_input = w.strides[0] // 4, w.strides[1] // 4
    layer = Layer(kernels, is_sums, of_x, of_y, tuple(found), before, stride, w_input, w_output, products > WORTH)
    cost, units, splits, height, size = 2 * products / PACE, N, 1, layer.rows, N
    most = min((EACH if is_sums else 1) * count, int(cost / SHARE))
    if count > 1 and most > 1:
        if most > N:
            height = -(-layer.rows // -(-most // N))
            splits = -(-layer.rows // height)
            units = N * splits
        size = -(-units // most)
    return Plan(layer, group, cost, units, splits, height, size, -(-units // size), layer.together * layer.room)


def _window(y: Lie, w: Lie, dilation: Sizes) -> Phase:
    """All outputs, each of which sees the whole kernel."""
    down, right = (tuple((i * dilation[a], i * w.strides[2 + a] // 4) for i in range(w.shape[2 + a])) for a in (0, 1))
    return Phase(0, y.shape[1], y.shape[2], down, right)


def _lies(shape: Sizes, strides: Sizes) -> bool:
    """Whether kernels read and write channels where they are."""
    return strides[3] == 4 or shape[3] == 1


def _aligned(x: np.ndarray) -> np.ndarray:
    """The array in steps of whole elements, as the fields of a structure need not be."""
    return np.ascontiguousarray(x) if any(step % 4 for step in x.strides) else x


# ---- outputs that share a window, because their channels fill a register together -----------------------------------
def _group(kernels: Kernels, y: Sizes, strides: Sizes, S: int, stride: Sizes, dilation: Sizes) -> int:
    if S == 1 or stride[1] > 1 or dilation[1] > 1 or strides[2] != y[3] * 4 or not _lies(y, strides):
        return 1
    group = max(1, min(4, kernels.width // y[3]))
    while y[2] % group:
        group -= 1
    return group


def _beside(y: Sizes, strides: Sizes, group: int) -> Lie:
    """Outputs as pixels of `group` times as many channels."""
    N, rows, columns, K = y
    return Lie((N, rows, columns // group, K * group), (*strides[:2], strides[2] * group, strides[3]))


def _contiguous(shape: Sizes) -> Lie:
    return Lie(shape, (4 * shape[1] * shape[2] * shape[3], 4 * shape[2] * shape[3], 4 * shape[3], 4))


def _widened(w: Sizes, strides: Sizes, group: int) -> Lie:
    """What `_wide` makes of a weight."""
    return Lie(w, strides) if group == 1 else _contiguous((group * w[0], *w[1:3], w[3] + group - 1))


def _wide(w: np.ndarray, group: int) -> np.ndarray:
    """The weights of `group` neighbouring outputs on the window that they share."""
    if group == 1:
        return w
    K, C, R, S = w.shape
    wide = np.zeros((group * K, C, R, S + group - 1), dtype=w.dtype)
    for p in range(group):
        wide[p * K : p * K + K, :, :, p : p + S] = w
    return wide
