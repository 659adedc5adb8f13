"""Convolution by compiled kernels: arrays in, one call for all images, shared by threads. Imported by convolution.py.

Arrays are channels-last, (N, H, W, C) and (N, OH, OW, K), weights (K, C, R, S), all float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph.backends.compiled import Kernels, address
from tensorgraph.backends.compiled.layer import Layer, Phase, View, layer, lines
from tensorgraph.backends.numpy_kernels import blas, threads

PACE = 100.0
"""Floating point operations a nanosecond: a guess, to tell what is worth a second thread."""
WORTH = 1 << 20
"""Products from which a kernel for just these numbers of channels is worth compiling."""
SHARE = 2e4
"""Work in nanoseconds that a piece has at least."""
EACH = 3
"""Pieces for every thread, where there is so much work: one that comes late leaves more to the others."""

Sizes = tuple[int, int]


def forward(
    kernels: Kernels, y: np.ndarray, x: np.ndarray, w: np.ndarray, bias: Any, stride: Sizes, before: Sizes,
    dilation: Sizes, floor: float = float("-inf"),
) -> None:  # fmt: skip
    """Writes the correlation of x and w into y, with bias, not below `floor`: 0 gives a relu."""
    group = _group(kernels, y, w.shape[3], stride, dilation)
    if group > 1:
        w, bias = _wide(w, group), None if bias is None else np.tile(bias, group)
        y = _beside(y, group)
    _sums(kernels, y, x, w, bias, [_window(y, w, dilation)], before, (stride[0], stride[1] * group), floor)


def backward(
    kernels: Kernels, x: np.ndarray, g: np.ndarray, w: np.ndarray, bias: Any, rows: list, columns: list
) -> None:
    """Writes the input gradient of slopes g into x; w (C, K, R, S). `rows`, `columns`: the phases of each axis.

    For each: the inputs and their taps of the kernel, as slices, the padding before, and the dilation.
    """
    top, left = (max(before for _, _, before, _ in axis) for axis in (rows, columns))
    _, _, along, across = (s // 4 for s in w.strides)
    phases = []
    for at_row, row_taps, above, row_step in rows:
        for at_column, column_taps, aside, column_step in columns:
            part = x[0, at_row, at_column]
            down, right = (
                tuple((most - before + i * step, tap * size) for i, tap in enumerate(range(count)[taps]))
                for most, before, step, taps, count, size in (
                    (top, above, row_step, row_taps, w.shape[2], along),
                    (left, aside, column_step, column_taps, w.shape[3], across),
                )
            )
            start = (at_row.start * x.strides[1] + at_column.start * x.strides[2]) // 4
            phases.append(Phase(start, part.shape[0], part.shape[1], down, right))
    if rows[0][0].step == columns[0][0].step == 1:
        step = columns[0][3]
        group = _group(kernels, x, w.shape[3], (1, 1), (1, step))
        if group > 1:
            wide = _wide(w[:, :, ::-1, ::-1], group)
            x = _beside(x, group)
            phase = _window(x, wide, (rows[0][3], step))
            _sums(kernels, x, g, wide, None if bias is None else np.tile(bias, group), [phase], (top, left), (1, group))
            return
    _sums(kernels, x[:, :: rows[0][0].step, :: columns[0][0].step], g, w, bias, phases, (top, left), (1, 1))


def weight(
    kernels: Kernels, g: np.ndarray, x: np.ndarray, kernel: Sizes, stride: Sizes, before: Sizes, dilation: Sizes
) -> np.ndarray:
    """The gradient (K, C, R, S) of the weight that correlates x to outputs with slopes g."""
    N, _, _, K = g.shape
    if not _lies(g):
        g = np.ascontiguousarray(g)
    x = _aligned(x)
    group = _group(kernels, g, kernel[1], stride, dilation)
    w = np.empty((group * K, x.shape[3], kernel[0], kernel[1] + group - 1), dtype=g.dtype)
    seen = _beside(g, group) if group > 1 else g
    phase = _window(seen, w, dilation)
    work = 2.0 * N * seen.shape[1] * seen.shape[2] * w.size
    how = _layer(kernels, False, x, seen, [phase], before, (stride[0], stride[1] * group), w, work)
    units, splits, height, size = _cut(N, how.rows, work, 1)
    pieces = -(-units // size)
    totals, rooms, room = np.zeros((pieces, how.packed), dtype=g.dtype), *_rooms(how, pieces)
    threads.share_pieces(
        how.kernel, 5, size, work / PACE,
        (address(rooms), address(totals), address(x), address(seen), 0, units, how.table, splits, height),
        (room, 4 * how.packed, 0, 0, size),
    )  # fmt: skip
    how.unpack(totals, w)
    if group == 1:
        return w
    S = kernel[1]
    return sum(w[p * K : p * K + K, :, :, p : p + S] for p in range(group))


def _sums(kernels, y, x, w, bias, phases, before, stride, floor=float("-inf")) -> None:
    N, x, w = len(y), _aligned(x), _aligned(w)
    work = 2.0 * N * w.shape[0] * w.shape[1] * sum(p.rows * p.columns * len(p.down) * len(p.right) for p in phases)
    how = _layer(kernels, True, x, y, phases, before, stride, w, work)
    units, splits, height, size = _cut(N, how.rows, work, EACH)
    rooms, room = _rooms(how, -(-units // size))
    packed, start = how.pack(w), np.zeros(how.blocks * how.size, dtype=y.dtype)
    if bias is not None:
        start[: len(bias)] = bias
    threads.share_pieces(
        how.kernel, 6, size, work / PACE,
        (*map(address, (rooms, y, x, packed, start)), 0, units, how.table, splits, height, floor),
        (room, 0, 0, 0, 0, size),
    )  # fmt: skip


def _layer(kernels, sums, x, y, phases, before, stride, w, work) -> Layer:
    of_x, of_y = (View(*a.shape[1:], a.strides) for a in (x, y))
    w_output, w_input = w.strides[0] // 4, w.strides[1] // 4
    return layer(kernels, sums, of_x, of_y, tuple(phases), before, stride, w_input, w_output, work > 2 * WORTH)


def _window(y: np.ndarray, w: np.ndarray, dilation: Sizes) -> Phase:
    """All outputs, each of which sees the whole kernel."""
    _, _, along, across = (s // 4 for s in w.strides)
    _, _, R, S = w.shape
    down, right = (
        tuple((i * d, i * size) for i in range(n)) for n, d, size in ((R, dilation[0], along), (S, dilation[1], across))
    )
    return Phase(0, y.shape[1], y.shape[2], down, right)


def _cut(N: int, rows: int, work: float, each: int) -> tuple[int, int, int, int]:
    """How images are shared: units of work, splits of an image, rows of a split, units of a piece."""
    most = max(1, min(each * blas.threads(), int(work / PACE / SHARE)))
    if blas.threads() == 1 or most == 1:
        return N, 1, rows, N
    if most <= N:
        return N, 1, rows, -(-N // most)
    height = -(-rows // -(-most // N))
    splits = -(-rows // height)
    return N * splits, splits, height, -(-N * splits // most)


def _rooms(how: Layer, pieces: int) -> tuple[np.ndarray, int]:
    """A room for each piece, and how many bytes one has."""
    size = how.together * how.room
    return lines(pieces * size), 4 * size


def _lies(y: np.ndarray) -> bool:
    """Whether kernels read and write its channels where they are."""
    return y.strides[3] == y.itemsize or y.shape[3] == 1


def _aligned(x: np.ndarray) -> np.ndarray:
    """The array in steps of whole elements, as the fields of a structure need not be."""
    return np.ascontiguousarray(x) if any(step % 4 for step in x.strides) else x


def _group(kernels: Kernels, y: np.ndarray, S: int, stride: Sizes, dilation: Sizes) -> int:
    """How many neighbouring outputs share a window, because their channels fill a register together."""
    _, _, columns, K = y.shape
    if S == 1 or stride[1] > 1 or dilation[1] > 1 or y.strides[2] != K * y.itemsize or not _lies(y):
        return 1
    group = max(1, min(4, kernels.width // K))
    while columns % group:
        group -= 1
    return group


def _beside(y: np.ndarray, group: int) -> np.ndarray:
    """The outputs as pixels of `group` times as many channels."""
    N, rows, columns, K = y.shape
    image, row, pixel, _ = y.strides
    shape = (N, rows, columns // group, K * group)
    return np.lib.stride_tricks.as_strided(y, shape, (image, row, pixel * group, y.itemsize))


def _wide(w: np.ndarray, group: int) -> np.ndarray:
    """The weights of `group` neighbouring outputs on the window that they share."""
    K, C, R, S = w.shape
    wide = np.zeros((group * K, C, R, S + group - 1), dtype=w.dtype)
    for p in range(group):
        wide[p * K : p * K + K, :, :, p : p + S] = w
    return wide
