"""Elementwise work, normalisation, pooling and updates by compiled kernels, or None where they do not suit.

Arrays of float32 only, large enough to pay. Imported by numpy_kernels/ and numpy.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from tensorgraph.backends import compiled
from tensorgraph.backends.compiled import address
from tensorgraph.backends.numpy_kernels import blas
from tensorgraph.backends.numpy_kernels.threads import LINES, share, share_pieces
from tensorgraph.mode import kernels_allowed

__all__ = [
    "ENOUGH",
    "RUN",
    "SHARE",
    "add_rows",
    "alike",
    "column_sums",
    "columns",
    "exp_rows",
    "flat",
    "label_slope",
    "matrix",
    "on_columns",
    "product_of_rows",
    "running",
    "softmax",
    "softmax_slope",
    "unary",
    "unit",
]

SINGLE = np.dtype("float32")
ENOUGH = 1 << 11
"""Elements from which compiled kernels are asked for."""
MANY = 1 << 16
"""Likewise where NumPy has loops in vector registers of its own, so that only a second thread helps."""
SHARE = 1 << 15
"""Elements whose sums are worth a thread of their own."""
LINE = 16
"""Columns of which a thread takes a multiple, so that no two write into one line of the cache."""
BLOCK = 1 << 14
"""Elements whose columns are summed before the next ones: they stay in the nearest cache."""
RUN = 128
"""Rows that are summed at once at most, in all sums of columns: longer sums in float32 lose digits."""
COST = 0.3
"""Nanoseconds an element: a guess, to tell what is worth a second thread."""


@lru_cache(maxsize=1024)
def _lies(shape: tuple[int, ...], strides: tuple[int, ...], size: int) -> bool:
    """Whether an array lies in memory without gaps, in any order of its axes."""
    step = size
    for stride, n in sorted(zip(strides, shape)):
        if n != 1:
            if stride != step:
                return False
            step *= n
    return True


def flat(name: str, arrays: Sequence[np.ndarray], outputs: int = 1, into: Sequence[Any] = (), numbers: Any = ()) -> Any:
    """The elementwise kernel of a name on arrays of one shape that lie alike: its results, or None."""
    first = arrays[0]
    size = first.size
    if size < ENOUGH or first.dtype != SINGLE:
        return None
    kernels = compiled.kernels()
    if kernels is None:
        return None
    shape, strides = first.shape, first.strides
    for other in arrays[1:]:
        if other.strides != strides or other.dtype != SINGLE or other.shape != shape:
            return None
    if not _lies(shape, strides, 4):
        return None
    found = into or [np.empty_like(first) for _ in range(outputs)]
    places = [address(a) for a in (*arrays, *found)]
    n = len(places)
    share(kernels[name], n + 1, size * n * COST, (*places, 1, size, *(0,) * n, *numbers), (4,) * n, LINES)
    return found[0] if len(found) == 1 else found


def unary(name: str, x: Any, out: Any = None) -> Any:
    """The elementwise kernel of a name, or NumPy's function of that name where it does not suit."""
    if type(x) is np.ndarray and x.size >= MANY and x.dtype == SINGLE and kernels_allowed():
        fits = out is None or (out.strides == x.strides and out.dtype == SINGLE and out.shape == x.shape)
        y = flat(name, (x,), into=() if out is None else (out,)) if fits else None
        if y is not None:
            return y
    return getattr(np, name)(x, out=out)


def running(name: str, x: np.ndarray, axis: int) -> Any:
    """Running sums or products along the last axis, or None."""
    rows = matrix(x, (axis,))
    if rows is None:
        return None
    y = np.empty_like(x)
    _along_rows(name, (rows,), (y.reshape(rows.shape),))
    return y


def product_of_rows(x: np.ndarray, axis: Any, keepdims: bool) -> Any:
    """The products along the last axes, or None."""
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    rows = matrix(x, axes) if x.ndim and all(-x.ndim <= a < x.ndim for a in axes) else None
    if rows is None:
        return None
    y = np.empty(len(rows), dtype=SINGLE)
    _along_rows("product_of_rows", (rows,), (y,))
    away = {a % x.ndim for a in axes}
    kept = [1 if i in away else n for i, n in enumerate(x.shape) if keepdims or i not in away]
    return y.reshape(kept)


def add_rows(out: np.ndarray, index: Any, values: np.ndarray) -> bool:
    """`out[index] += values` for an array of integers, an index as often as it occurs; False where it does not suit."""
    rows, lies = len(out), out.flags.c_contiguous and out.dtype == SINGLE == values.dtype
    if type(index) is not np.ndarray or index.dtype.kind != "i" or not lies or values.size < ENOUGH:
        return False
    width = out.size // max(rows, 1)
    kernels = compiled.kernels() if width > 3 and values.size == index.size * width else None
    if kernels is None or not values.flags.c_contiguous:
        return False
    low, high = index.min(), index.max()
    if low < -rows or high >= rows:
        return False  # an error, which NumPy words
    index = np.ascontiguousarray(index, dtype=np.int64)
    if low < 0:
        index = np.where(index < 0, index + rows, index)
    words = address(out), address(values), address(index), width, index.size, width, width
    share(kernels["add_rows"], 3, values.size * COST * 2, words, (4, 4), LINE)
    return True


def label_slope(e: np.ndarray, up: np.ndarray, labels: np.ndarray, down: np.ndarray) -> Any:
    """e (rows, columns) times up (rows), less down (rows) at labels (rows), or None."""
    if labels.dtype.kind not in "iu" or matrix(e, (1,)) is None:
        return None
    rows, classes = e.shape
    up, down = (np.ascontiguousarray(np.broadcast_to(a, rows), dtype=SINGLE) for a in (up, down))
    labels = np.ascontiguousarray(labels, dtype=np.int64)
    if labels.min() < -classes or labels.max() >= classes:
        return None
    labels = np.where(labels < 0, labels + classes, labels) if labels.min() < 0 else labels
    d = np.empty_like(e)
    words = *map(address, (e, up, down, labels, d)), rows, classes
    row = 4 * classes
    share(compiled.kernels()["label_slope"], 5, e.size * COST * 2, words, (row, 4, 4, 8, row))  # pyright: ignore[reportOptionalSubscript]
    return d


def alike(x: np.ndarray, model: np.ndarray) -> np.ndarray:
    """x, or where it lies in memory otherwise than a model of its shape, a copy that lies as that."""
    if x.strides == model.strides:
        return x
    same = np.empty_like(model, dtype=x.dtype)
    same[...] = x
    return same


def unit(name: str) -> Any:
    """The kernel of a fused operation on one array, whose slope is computed from that array again."""

    def kernel(be: Any, x: Any, *, wanted: tuple) -> Any:
        y = flat(name, (x,))
        if y is None:
            return None

        def pullback(g: Any) -> tuple:
            return (flat(f"{name}_slope", (alike(g, x), x)),)

        return y, pullback

    return kernel


def columns(x: np.ndarray, axis: Sequence[int]) -> Any:
    """x as (rows, columns) with `axis` as the rows, where it lies so and compiled kernels pay; otherwise None."""
    if x.size < ENOUGH or x.dtype != SINGLE or compiled.kernels() is None:
        return None
    found = _as_columns(x.shape, x.strides, axis)
    return None if found is None else x.transpose(found[0]).reshape(found[1])


@lru_cache(maxsize=1024)
def _as_columns(shape: tuple, strides: tuple, axis: tuple[int, ...]) -> tuple[tuple, tuple] | None:
    """The order of axes, and the shape after it, in which an array of float32 is a matrix without gaps."""
    away = sorted({a % len(shape) for a in axis}, key=lambda a: -strides[a])
    stays = [a for a in range(len(shape)) if a not in away]
    order, step = (*away, *stays), SINGLE.itemsize
    for a in reversed(order):
        if shape[a] != 1 and strides[a] != step:
            return None
        step *= shape[a]
    width = prod([shape[a] for a in stays])
    return (order, (prod(shape) // width, width)) if width > 3 else None


def column_sums(
    name: str, inputs: Sequence[np.ndarray], parameters: Sequence[np.ndarray], outputs: Sequence[np.ndarray] = ()
) -> np.ndarray:
    """(shares, 2, sums, columns): each share's sums over rows of inputs (rows, columns), and what rounding took from
    them, to be added up by a kernel of compiled/statistics.py. Outputs (rows, columns) are written on the way."""
    kernel = compiled.kernels()[name]  # pyright: ignore[reportOptionalSubscript]
    rows, width = inputs[0].shape
    places, fixed = [address(a) for a in (*inputs, *outputs)], [address(p) for p in parameters]
    cost = rows * width * COST * len(places)
    shares = min(blas.threads(), max(1, rows * width // SHARE))
    sums = np.zeros((shares, 2, 2, width), dtype=SINGLE)
    block = min(RUN, max(RUN // 4, BLOCK // width))
    words = (*places, *fixed, address(sums), rows, width, block, *(width,) * len(places))
    if shares == 1:
        kernel(*words)
    else:
        size = -(-rows // shares)
        steps = (*(4 * width * size,) * len(places), *(0,) * len(fixed), sums.strides[0])
        share_pieces(kernel, len(places) + len(fixed) + 1, size, cost, words, steps)
    return sums


def on_columns(name: str, inputs: Sequence[np.ndarray], parameters: Sequence[np.ndarray], y: np.ndarray) -> None:
    """Writes y (rows, columns): the kernel of a name on inputs (rows, columns) and parameters (columns)."""
    kernel = compiled.kernels()[name]  # pyright: ignore[reportOptionalSubscript]
    rows, width = y.shape
    n, fixed = len(inputs), len(parameters)
    places = [address(a) for a in (*inputs, *parameters, y)]
    strides = (*(width,) * n, *(0,) * fixed, width)
    step = 4 * width
    steps = (*(step,) * n, *(0,) * fixed, step)
    share(kernel, n + fixed + 1, rows * width * COST * n, (*places, rows, width, *strides), steps)


# ---- along rows -----------------------------------------------------------------------------------------------------
def matrix(x: np.ndarray, axis: Sequence[int]) -> Any:
    """x as (rows, columns) with `axis` as the columns, where it lies so and compiled kernels pay; otherwise None."""
    if x.size < ENOUGH or x.dtype != SINGLE or not x.flags.c_contiguous or compiled.kernels() is None:
        return None
    first = x.ndim - len(axis)
    if sorted(a % x.ndim for a in axis) != list(range(first, x.ndim)):
        return None
    width = 1
    for n in x.shape[first:]:
        width *= n
    return x.reshape(-1, width) if width > 3 else None


def _along_rows(name: str, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
    """Runs the kernel of a name on matrices of one shape, and outputs with one number for each row after them."""
    kernel = compiled.kernels()[name]  # pyright: ignore[reportOptionalSubscript]
    rows, width = inputs[0].shape
    arrays = [*inputs, *outputs]
    steps = [4 * a.size // rows for a in arrays]
    share(kernel, len(arrays), rows * width * COST * 3, (*map(address, arrays), rows, width), steps)


def softmax(x: np.ndarray, axis: int) -> Any:
    """exp(x) / sum(exp(x)) along the last axis, or None."""
    rows = matrix(x, (axis,))
    if rows is None:
        return None
    y = np.empty_like(x)
    _along_rows("softmax", (rows,), (y.reshape(rows.shape),))
    return y


def softmax_slope(g: np.ndarray, y: np.ndarray, axis: int) -> Any:
    """(g - sum(g y)) y along the last axis, or None."""
    results, slopes = matrix(y, (axis,)), matrix(g, (axis,))
    if results is None or slopes is None or g.shape != y.shape:
        return None
    gx = np.empty_like(y)
    _along_rows("softmax_slope", (slopes, results), (gx.reshape(results.shape),))
    return gx


def exp_rows(x: np.ndarray) -> Any:
    """exp(x - top), top and the sums, of the rows of x (rows, columns), or None."""
    rows = matrix(x, (1,))
    if rows is None:
        return None
    found = np.empty_like(x), np.empty(len(x), dtype=SINGLE), np.empty(len(x), dtype=SINGLE)
    _along_rows("exp_rows", (rows,), found)
    return found
