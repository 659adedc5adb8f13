"""Matrix products: by compiled kernels in float32, otherwise by BLAS at one thread in each of the threads.

BLAS has threads of its own, but they wait for their next product by spinning: for tens of milliseconds after each one
they take a processor from whatever else runs (measured: 40 to 90 ms of processor time in a pause of 100 ms).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph.backends import compiled
from tensorgraph.backends.compiled import address, products
from tensorgraph.backends.linear import Linear
from tensorgraph.backends.numpy_kernels import blas, threads
from tensorgraph.mode import kernels_allowed

ENOUGH = 1 << 15
"""Products of numbers from which compiled kernels are asked for."""
SMALL = 2.5e5
"""Products of numbers up to which BLAS uses one thread of its own accord."""
SINGLE = np.dtype("float32")
PACE = 100.0
"""Floating point operations a nanosecond: a guess, to tell what is worth a second thread."""


class FastLinear(Linear):
    """Overrides the definition on arrays of NumPy."""

    def matmul(self, a: Any, b: Any) -> Any:
        """Product of a (..., n, k) and b (..., k, m); operands of one axis as in NumPy. Raises ValueError."""
        y = _product(a, b, None) if b.ndim == 2 <= a.ndim and a.size * b.shape[1] >= ENOUGH else None
        return super().matmul(a, b) if y is None else y

    def affine(self, a: Any, b: Any, bias: Any, rectify: bool = False) -> Any:
        """a @ b + bias for b (k, m) and bias (m): the sums start from the bias. With `rectify` relu of that."""
        if a.ndim >= 2 and a.size * b.shape[1] >= ENOUGH and bias.dtype is b.dtype:
            y = _product(a, b, bias)
            if y is not None:
                return self.relu(y, out=y) if rectify else y  # pyright: ignore[reportAttributeAccessIssue]
        return super().affine(a, b, bias, rectify)


def _product(a: np.ndarray, b: np.ndarray, start: np.ndarray | None) -> np.ndarray | None:
    """a @ b, or with `start` (columns) that much more in every row; None where NumPy is as good or better."""
    k, columns = b.shape
    if a.dtype is not b.dtype or a.shape[-1] != k or not kernels_allowed() or (a.size == k and b.size <= SMALL):
        return None
    matrix = a if a.ndim == 2 else a.reshape(-1, k)
    if start is not None and not start.flags.c_contiguous:
        start = np.ascontiguousarray(start)
    y = _compiled(matrix, b, start) if b.dtype is SINGLE else None
    if y is None:
        y = _by_blas(matrix, b, start)
    return y if y is None or a.ndim == 2 else y.reshape(*a.shape[:-1], columns)


def _compiled(a: np.ndarray, b: np.ndarray, start: np.ndarray | None) -> np.ndarray | None:
    kernels = compiled.kernels()
    if kernels is None:
        return None
    shape = len(a), b.shape[1]
    cost = 2.0 * a.size * shape[1] / PACE
    most, start_row = int(cost / threads.PIECE), None if start is None else 0
    way = products.way(a.shape, a.strides, b.shape, b.strides, min(blas.threads(), most) if most > 1 else 1, start_row)
    if way is None:
        return None
    y = np.empty(shape, SINGLE)
    left, right = (b, a) if way.swaps else (a, b)
    begin, room = 0 if start is None else address(start), products.scratch(way.pieces)
    words = address(y), begin, address(left), address(right), room, *way.words
    if way.pieces == 1:
        kernels["product"](*words)
    else:
        threads.share_pieces(kernels["product"], way.place, way.size, cost, words, way.steps)
    return y


def _by_blas(a: np.ndarray, b: np.ndarray, start: np.ndarray | None) -> np.ndarray | None:
    (rows, k), columns = a.shape, b.shape[1]
    if a.size * columns <= SMALL or (start is None and blas.threads() == 1) or not blas.multiplies(a, b):
        return None
    y = np.empty((rows, columns), dtype=b.dtype)
    cost = 2.0 * rows * columns * k / PACE
    pieces = blas.threads() if cost > threads.HOP else 1
    tall = rows >= columns

    def task(i: int) -> None:
        cut = slice(i * max(y.shape) // pieces, (i + 1) * max(y.shape) // pieces)
        part = y[cut] if tall else y[:, cut]
        if start is not None:
            part[...] = start if tall else start[cut]
        blas.add_product(a[cut] if tall else a, b if tall else b[:, cut], part, 0.0 if start is None else 1.0)

    threads.parallel(task, pieces, cost)
    return y
