"""Softmax cross-entropy of class indices: forwards a block for a row, or for 32 rows whose classes lie apart;
backwards a thread for each number. Kept of a row are its largest number and the sum of the exponentials. A label that
is no class gives NaN: where it cannot be looked at before, in a captured step.

Imported by `cuda_kernels/__init__.py` only.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tensorgraph.backends.cuda_kernels.launch import EACH, LARGEST, TOTAL, WARP, Kernel, threads_for, wide_dtype

__all__ = ["KERNELS", "cross_entropy"]

forward = Kernel(
    "cross_entropy",
    "const real* x, const long long* labels, const wide* weight, const wide* weights, wide* loss, wide* shares, "
    "wide* tops, wide* sums, whole rows, whole classes, whole inner, long long ignored, wide smoothing",
    """
    whole row = (whole)blockIdx.x * TILE + threadIdx.x % TILE;
    whole start = row / inner * classes * inner + row % inner, end = row < rows ? classes : 0;
    whole first = threadIdx.x / TILE, step = THREADS / TILE;
    wide top = end ? get(x[start]) : 0, sum = 0, all = 0;
    for (whole c = first; c < end; c += step) {
        wide v = get(x[start + c * inner]);
        if (v > top) top = v;
    }
    top = largest(top);
    for (whole c = first; c < end; c += step) {
        wide v = get(x[start + c * inner]) - top;
        sum += EXP(v);
        if (smoothing != 0) all += weight ? weight[c] * v : v;
    }
    sum = total(sum);
    all = total(all);
    if (threadIdx.x >= TILE || row >= rows) return;
    tops[row] = top;
    sums[row] = sum;
    loss[row] = shares[row] = 0;
    long long label = labels[row];
    if (label == ignored) return;
    if (label < 0 || label >= classes) {
        loss[row] = LOG((wide)-1);
        return;
    }
    wide share = weight ? weight[label] : 1, value = share * (LOG(sum) - (get(x[start + label * inner]) - top));
    if (smoothing != 0) {
        wide even = ((weight ? *weights : (wide)classes) * LOG(sum) - all) / classes;
        value = (1 - smoothing) * value + smoothing * even;
    }
    loss[row] = value;
    shares[row] = share;
""",
    before=TOTAL + LARGEST,
)

slope = Kernel(
    "cross_entropy_slope",
    "const wide* g, const real* x, const long long* labels, const wide* weight, const wide* weights, const wide* tops, "
    "const wide* sums, real* gx, int each, whole classes, whole inner, long long ignored, wide smoothing, whole size",
    EACH
    + """
    whole c = i / inner % classes, row = i / inner / classes * inner + i % inner;
    long long label = labels[row];
    if (label == ignored) {
        gx[i] = put(0);
        return;
    }
    if (label < 0 || label >= classes) {
        gx[i] = put(LOG((wide)-1));
        return;
    }
    wide p = EXP(get(x[i]) - tops[row]) / sums[row];
    wide down = (1 - smoothing) * (weight ? weight[label] : 1), up = down;
    if (smoothing != 0) up += smoothing / classes * (weight ? *weights : (wide)classes);
    wide d = p * up;
    if (c == label) d -= down;
    if (smoothing != 0) d -= smoothing / classes * (weight ? weight[c] : 1);
    gx[i] = put(g[each ? row : 0] * d);
""",
)

KERNELS = forward, slope


def cross_entropy(
    be: Any, input: Any, target: Any, weight: Any, *,
    wanted: tuple, ignore_index: int, reduction: str, label_smoothing: float, count: int,
) -> Any:  # fmt: skip
    """Loss of class indices; what `kernels.cross_entropy` says of the arguments."""
    if wanted[2] or not be.takes(input):
        return None
    dtype, wide = input.dtype, wide_dtype(input)
    classes, inner = (input.shape[0], 1) if input.ndim == 1 else (input.shape[1], prod(input.shape[2:]))
    x, number = be.xp.ascontiguousarray(input), input.size // classes
    labels = be.xp.ascontiguousarray(target.astype(np.int64, copy=False))
    w = None if weight is None else be.xp.ascontiguousarray(weight.astype(wide, copy=False))
    weights = None if w is None or not label_smoothing else be.sum(w)
    rows = be.xp.empty((4, number), dtype=wide)
    loss, shares, tops, sums = (rows[k] for k in range(4))
    tile = 1 if inner == 1 else WARP
    numbers = classes, inner, ignore_index, label_smoothing
    forward.blocks(
        be, -(-number // tile), x, labels, w, weights, loss, shares, tops, sums, number, *numbers,
        dtype=dtype, TILE=tile, THREADS=threads_for(classes) if tile == 1 else 256,
    )  # fmt: skip
    total = count if weight is None else be.sum(shares) if reduction == "mean" else 1
    value = loss.reshape(target.shape) if reduction == "none" else be.sum(loss)
    if reduction == "mean":
        value = value / total

    def pullback(g: Any) -> tuple:
        g = be.xp.ascontiguousarray(g.astype(wide, copy=False))
        g = g / total if reduction == "mean" else g
        gx = be.xp.empty(x.shape, dtype=dtype)
        slope.over(
            be, x.size, g, x, labels, w, weights, tops, sums, gx, reduction == "none", *numbers,
            dtype=dtype,
        )  # fmt: skip
        return gx, None, None

    return value.astype(dtype, copy=False), pullback
