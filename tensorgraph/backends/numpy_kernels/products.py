"""Matrix products by the threads of the other kernels, with BLAS at one thread in each.

BLAS has threads of its own, but they wait for their next product by spinning: for tens of milliseconds after each one
they take a processor from whatever else runs (measured: 40 to 90 ms of processor time in a pause of 100 ms).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph.backends.linear import Linear
from tensorgraph.backends.numpy_kernels import blas
from tensorgraph.backends.numpy_kernels.threads import parallel
from tensorgraph.mode import kernels_allowed

SMALL = 2.5e5
"""Products of numbers up to which BLAS uses one thread of its own accord."""
PACE = 100.0
"""Floating point operations a nanosecond: a guess, to tell what is worth a second thread."""


class FastLinear(Linear):
    """Overrides the definition on arrays of NumPy."""

    def matmul(self, a: Any, b: Any) -> Any:
        """Product of a (..., n, k) and b (..., k, m); operands of one axis as in NumPy. Raises ValueError."""
        if b.ndim == 2 and a.ndim >= 2 and a.size * b.shape[1] > SMALL and kernels_allowed():
            matrix = a if a.ndim == 2 else a.reshape(-1, a.shape[-1])
            if matrix.shape[1] == len(b) and a.dtype is b.dtype and blas.multiplies(matrix, b):
                y = _product(matrix, b)
                return y if a.ndim == 2 else y.reshape(*a.shape[:-1], b.shape[1])
        return super().matmul(a, b)


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    (rows, k), columns = a.shape, b.shape[1]
    y = np.empty((rows, columns), dtype=a.dtype)
    pieces = blas.threads()
    tall = rows >= columns

    def task(i: int) -> None:
        cut = slice(i * max(y.shape) // pieces, (i + 1) * max(y.shape) // pieces)
        part = y[cut] if tall else y[:, cut]
        part[...] = 0
        blas.add_product(a[cut] if tall else a, b if tall else b[:, cut], part)

    parallel(task, pieces, 2.0 * rows * columns * k / PACE)
    return y
