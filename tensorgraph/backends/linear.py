"""Products of matrices, and the decompositions in which array libraries differ.

NumPy has no half-precision BLAS and multiplies matrices of half precision a hundred times slower than those of single
precision: here half precision is computed in float32, and rounded once. Mixed into `Backend`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

HALF, FLOAT = np.dtype("float16"), np.dtype("float32")


class Linear:
    """Matrix products of every rank."""

    xp: Any

    def matmul(self, a: Any, b: Any) -> Any:
        """Product of a (..., n, k) and b (..., k, m); operands of one axis as in NumPy. Raises ValueError."""
        if a.dtype == HALF and b.dtype == HALF:
            return self.matmul(a.astype(FLOAT), b.astype(FLOAT)).astype(HALF)
        if b.ndim <= 2:
            if 0 < a.ndim <= 2 and b.ndim:
                return self.xp.dot(a, b)  # cheaper to call than matmul
            if a.ndim > 2 and b.ndim == 2 and a.size:  # one large product instead of many small ones
                return self.xp.dot(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[-1])
        return self.xp.matmul(a, b)
