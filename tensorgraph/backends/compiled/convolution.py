"""Convolution by compiled kernels: which of them suits, and where everything lies. Imported by numpy_kernels/."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from tensorgraph.backends.compiled import Kernels, address
from tensorgraph.backends.compiled.table import CORRELATE, fits

__all__ = ["Packed"]

NEAR = 1 << 12
"""Weights of one step that stay in the nearest cache."""


@lru_cache(maxsize=512)
def choose(kernels: Kernels, channels: int, columns: int) -> tuple[int, int]:
    """Pixels and vectors of the kernel that needs the fewest cycles for so many channels and columns."""
    vectors = -(-channels // kernels.width)

    def cycles(p: int, v: int) -> float:
        issue = (p * v + p * (v > 1) + p / 4 + v + 4) / 4  # products, loads, addresses
        step = max(p * v / 2, (p + v) / 2, issue, 4)
        return -(-vectors // v) * -(-columns // p) * step

    suits = [(p, v) for p, v in CORRELATE if p <= columns and fits(p, v, kernels.registers)]
    return min(suits, key=lambda pv: cycles(*pv))


class Packed:
    """w (R, taps, K) and bias (K,) or None as the kernel reads them that suits rows of so many columns."""

    def __init__(self, kernels: Kernels, w: np.ndarray, columns: int, bias: Any = None, parts: bool = False):
        R, taps, K = w.shape
        pixels, vectors = choose(kernels, K, columns)
        size = vectors * kernels.width
        self.K, self.blocks = K, -(-K // size)
        self.bias = np.zeros(self.blocks * size, dtype=w.dtype)
        if bias is not None:
            self.bias[:K] = bias
        self.sums = R if parts and R * taps * size > NEAR else 1
        if self.blocks * size > K:
            whole = np.zeros((R, taps, self.blocks * size), dtype=w.dtype)
            whole[:, :, :K] = w
            w = whole
        self.w = np.ascontiguousarray(w.reshape(R, taps, self.blocks, size).transpose(2, 0, 1, 3))
        name = f"correlate_{pixels}_{vectors}"
        self._kernel, self.entry = kernels[name], kernels.entry(name)
        self._places = address(self.w), address(self.bias)

    def correlate(self, y: np.ndarray, x: np.ndarray, how: Any) -> None:
        """Writes y (images, rows, columns * group, K), from a window x (images, height, width, C)."""
        images, rows = y.shape[:2]
        group, sums = how.group, self.sums
        y_image, y_row, y_pixel = (s // 4 for s in y.strides[:3])
        x_image, x_row, x_pixel = (s // 4 for s in x.strides[:3])
        S, C = how.window_taps, how.C
        beside, below = x_pixel * how.dilation[1], x_row * how.dilation[0]
        if beside == C:
            S, C = 1, S * C
        self._kernel(
            address(y), address(x), *self._places, self.K, self.blocks, sums, images, rows, how.columns, how.R // sums,
            S, C, y_image, y_row, y_pixel * group, x_image, x_row * how.stride[0], x_pixel * how.stride[1] * group,
            below, below, beside, 0,
        )  # fmt: skip

    def product(self, y: Any, x: Any, rows: int, y_step: Any, x_step: Any, adds: bool) -> tuple[Any, ...]:
        """What the entry wants for y = bias + x @ w, or y += x @ w: matrices at these addresses, one kernel row.

        The steps are numbers between two of their rows.
        """
        taps, first = self.w.shape[2], -1 if adds else 0
        return (
            *(y, x, *self._places, self.K, self.blocks, 1, 1, 1, rows, 1, 1, taps),
            *(0, 0, y_step, 0, 0, x_step, 0, 0, 0, first),
        )
