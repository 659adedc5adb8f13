"""A matrix that is packed once for many products with few rows, as the steps of a recurrent network are.

Imported by numpy_kernels/recurrence.py.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from tensorgraph.backends.compiled import Kernels, address
from tensorgraph.backends.compiled.table import PANELS, fits

__all__ = ["Packed"]


@lru_cache(maxsize=512)
def choose(kernels: Kernels, columns: int, rows: int) -> tuple[int, int]:
    """Rows and vectors of the kernel that needs the fewest cycles for so many columns and rows."""
    wanted = -(-columns // kernels.width)

    def cycles(p: int, v: int) -> float:
        issue = (p * v + p * (v > 1) + p / 4 + v + 4) / 4  # products, loads, addresses
        step = max(p * v / 2, (p + v) / 2, issue, 4)
        return -(-wanted // v) * -(-rows // p) * step

    suits = [(p, v) for p, v in PANELS if p <= rows and fits(p, v, kernels.registers)]
    return min(suits, key=lambda pv: cycles(*pv))


class Packed:
    """w (terms, K) and bias (K,) or None as the kernel reads them that suits so many rows."""

    def __init__(self, kernels: Kernels, w: np.ndarray, rows: int, bias: Any = None):
        terms, self.K = w.shape
        height, vectors = choose(kernels, self.K, rows)
        size = vectors * kernels.width
        self.blocks = -(-self.K // size)
        self.bias = np.zeros(self.blocks * size, dtype=w.dtype)
        if bias is not None:
            self.bias[: self.K] = bias
        self.w = np.zeros((self.blocks, terms, size), dtype=w.dtype)
        for block in range(self.blocks):
            part = w[:, block * size : (block + 1) * size]
            self.w[block, :, : part.shape[1]] = part
        self.entry = kernels.entry(f"panels_{height}_{vectors}")
        self._places = address(self.w), address(self.bias)

    def product(self, y: Any, x: Any, rows: int, y_row: Any, x_row: Any, adds: bool) -> tuple[Any, ...]:
        """What the entry wants for y = bias + x @ w, or y += x @ w: matrices at these addresses.

        `y_row` and `x_row` are numbers between two of their rows.
        """
        return y, x, *self._places, self.K, self.blocks, rows, self.w.shape[1], y_row, x_row, int(adds)
