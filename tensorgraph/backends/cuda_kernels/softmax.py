"""Softmax along any axis, and the part of attention between its two products: a block for a row, or for 32 rows whose
numbers lie apart. Numbers are read again instead of kept, as a row stays in the cache. Imported by
`cuda_kernels/__init__.py` only.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from tensorgraph.backends import kernels
from tensorgraph.backends.cuda_kernels.launch import LARGEST, TOTAL, WARP, Kernel, threads_for, wide_dtype
from tensorgraph.backends.reduction import Reduction

__all__ = ["KERNELS", "FastSoftmax", "attention"]

ROW = """
    whole row = (whole)blockIdx.x * TILE + threadIdx.x % TILE;
    whole start = row / inner * width * inner + row % inner, end = row < rows ? width : 0;
    whole first = threadIdx.x / TILE, step = THREADS / TILE;
"""

softmax = Kernel(
    "softmax",
    "const real* x, real* y, whole rows, whole width, whole inner, wide factor, int masked",
    ROW
    + """
    wide top = end ? factor * get(x[start]) : 0, sum = 0;
    for (whole j = first; j < end; j += step) {
        wide v = factor * get(x[start + j * inner]);
        if (v > top) top = v;
    }
    top = largest(top);
    if (masked && top - top != 0) top = 0;  /* a row of -inf */
    for (whole j = first; j < end; j += step) sum += EXP(factor * get(x[start + j * inner]) - top);
    sum = total(sum);
    if (masked && sum == 0) sum = 1;
    for (whole j = first; j < end; j += step) {
        whole at = start + j * inner;
        y[at] = put(EXP(factor * get(x[at]) - top) / sum);
    }
""",
    before=TOTAL + LARGEST,
)

softmax_slope = Kernel(
    "softmax_slope",
    "const real* g, const real* y, real* gx, whole rows, whole width, whole inner, wide factor",
    ROW
    + """
    wide along = 0;
    for (whole j = first; j < end; j += step) along += get(g[start + j * inner]) * get(y[start + j * inner]);
    along = total(along);
    for (whole j = first; j < end; j += step) {
        whole at = start + j * inner;
        gx[at] = put(factor * ((get(g[at]) - along) * get(y[at])));
    }
""",
    before=TOTAL,
)

KERNELS = softmax, softmax_slope


class FastSoftmax(Reduction):
    """Overrides definitions."""

    takes: Callable[..., bool]

    def softmax(self, x: Any, axis: int) -> Any:
        """exp(x) / sum(exp(x)) along an axis, without overflow."""
        if not self.takes(x) or not x.ndim:
            return super().softmax(x, axis)
        y = self.xp.empty(x.shape, dtype=x.dtype)
        _launch(self, softmax, (self.xp.ascontiguousarray(x), y), axis, 1, 0)
        return y

    def softmax_slope(self, g: Any, y: Any, axis: int) -> Any:
        """(g - sum(g y)) y, the gradient in x where y is softmax(x)."""
        if not self.takes(g, y) or g.dtype != y.dtype or g.shape != y.shape or not y.ndim:
            return super().softmax_slope(g, y, axis)
        gx = self.xp.empty(y.shape, dtype=y.dtype)
        _launch(self, softmax_slope, (self.xp.ascontiguousarray(g), self.xp.ascontiguousarray(y), gx), axis, 1)
        return gx


def attention(be: Any, query: Any, key: Any, value: Any, mask: Any, *, wanted: tuple, scale: float) -> Any:
    """softmax(scale q k^T + mask) v, with one array of scores, overwritten where it lies."""
    fits = query.shape[:-2] == key.shape[:-2] == value.shape[:-2] and query.dtype == key.dtype == value.dtype
    if wanted[3] or not fits or not be.takes(query, key, value):
        return kernels.attention(be, query, key, value, mask, wanted=wanted, scale=scale)
    wide = wide_dtype(query)
    q, k, v = (x.astype(wide, copy=False) for x in (query, key, value))
    p, factor = be.matmul(q, k.swapaxes(-1, -2)), scale
    if mask is not None:
        p *= scale
        factor = 1
        p = be.where(mask, p, -float("inf")) if mask.dtype.kind == "b" else (p + mask).astype(wide, copy=False)
    p = be.xp.ascontiguousarray(p)
    _launch(be, softmax, (p, p), -1, factor, mask is not None)

    def pullback(g: Any) -> tuple:
        g = g.astype(wide, copy=False)
        s = be.xp.ascontiguousarray(be.matmul(g, v.swapaxes(-1, -2)))
        _launch(be, softmax_slope, (s, p, s), -1, scale)
        found = (be.matmul(s, k), be.matmul(s.swapaxes(-1, -2), q), be.matmul(p.swapaxes(-1, -2), g))
        return (*(gx.astype(query.dtype, copy=False) for gx in found), None)

    return be.matmul(p, v).astype(query.dtype, copy=False), pullback


def _launch(be: Any, kernel: Kernel, arrays: tuple, axis: int, *numbers: float) -> None:
    """The kernel on the rows along an axis of arrays of one shape, without gaps."""
    x = arrays[0]
    width, inner = x.shape[axis], prod(x.shape[axis % x.ndim + 1 :])
    rows, tile = x.size // width, 1 if inner == 1 else WARP
    threads = threads_for(width) if tile == 1 else 256
    kernel.blocks(
        be, -(-rows // tile), *arrays, rows, width, inner, *numbers, dtype=x.dtype, TILE=tile, THREADS=threads
    )
