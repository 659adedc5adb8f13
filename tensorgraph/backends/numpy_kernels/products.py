"""Matrix products by the threads of the other kernels, with BLAS at one thread in each.

BLAS has threads of its own, but they wait for their next product by spinning: for tens of milliseconds after each one
they take a processor from whatever else runs (measured: 40 to 90 ms of processor time in a pause of 100 ms).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph.backends.linear import Linear
from tensorgraph.backends.numpy_kernels import blas, threads
from tensorgraph.mode import kernels_allowed

SMALL = 2.5e5
"""Products of numbers up to which BLAS uses one thread of its own accord."""
BROAD = {np.dtype("float32"), np.dtype("float64")}
PACE = 100.0
"""Floating point operations a nanosecond: a guess, to tell what is worth a second thread."""


class FastLinear(Linear):
    """Overrides the definition on arrays of NumPy."""

    def matmul(self, a: Any, b: Any) -> Any:
        """Product of a (..., n, k) and b (..., k, m); operands of one axis as in NumPy. Raises ValueError."""
        if b.ndim == 2 and a.ndim >= 2 and a.size * b.shape[1] > SMALL and blas.threads() > 1 and kernels_allowed():
            matrix = a if a.ndim == 2 else a.reshape(-1, a.shape[-1])
            if matrix.shape[1] == len(b) and a.dtype is b.dtype and blas.multiplies(matrix, b):
                y = _product(matrix, b)
                return y if a.ndim == 2 else y.reshape(*a.shape[:-1], b.shape[1])
        if b.ndim == 2 == a.ndim and a.shape[1] == len(b) == 1 and a.dtype is b.dtype and a.dtype in BROAD:
            return np.multiply(a, b)  # which BLAS takes several times as long for
        return super().matmul(a, b)

    def affine(self, a: Any, b: Any, bias: Any) -> Any:
        """a @ b + bias for b (k, m) and bias (m): the sums start from the bias."""
        if a.ndim >= 2 and a.size * b.shape[1] > SMALL and a.dtype is b.dtype and bias.dtype is b.dtype:
            matrix = a if a.ndim == 2 else a.reshape(-1, a.shape[-1])
            if matrix.shape[1] == len(b) and blas.multiplies(matrix, b) and kernels_allowed():
                y = _product(matrix, b, bias)
                return y if a.ndim == 2 else y.reshape(*a.shape[:-1], b.shape[1])
        return super().affine(a, b, bias)


def _product(a: np.ndarray, b: np.ndarray, start: Any = None) -> np.ndarray:
    """a @ b, or with `start` (columns) that much more in every row."""
    (rows, k), columns = a.shape, b.shape[1]
    y = np.empty((rows, columns), dtype=a.dtype)
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
