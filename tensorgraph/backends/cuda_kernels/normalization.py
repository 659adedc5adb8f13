"""Normalisation of rows that lie together (layer, group, instance, RMS): a block for each, one kernel forwards and one
backwards; and which kernels `standardize` takes. Kept are the input, and mean and 1 / sqrt(var + eps) of every row.

Imported by `cuda_kernels/__init__.py` only.
"""

from __future__ import annotations

from math import prod
from typing import Any

from tensorgraph.backends import kernels
from tensorgraph.backends.cuda_kernels.channels import (
    batch,
    channels_of,
    layout,
    of_parameters,
    one_per_channel,
    sums,
    wide_parameter,
)
from tensorgraph.backends.cuda_kernels.launch import TOTAL, Kernel, threads_for, wide_dtype

__all__ = ["KERNELS", "standardize"]

rows = Kernel(
    "standardize_rows",
    "const real* x, const wide* weight, const wide* bias, real* y, wide* mean, wide* scale, whole width, whole inner, "
    "whole channels, wide eps, int center",
    """
    whole start = (whole)blockIdx.x * width;
    int t = threadIdx.x;
    wide m = 0, s = 0;
    if (center) {
        for (whole j = t; j < width; j += THREADS) m += get(x[start + j]);
        m = total(m) / width;
    }
    for (whole j = t; j < width; j += THREADS) {
        wide away = get(x[start + j]) - m;
        s += away * away;
    }
    wide r = 1 / SQRT(total(s) / width + eps);
    for (whole j = t; j < width; j += THREADS) {
        whole c = (start + j) / inner % channels;
        wide v = (get(x[start + j]) - m) * r;
        if (weight) v *= weight[c];
        if (bias) v += bias[c];
        y[start + j] = put(v);
    }
    if (t == 0) {
        mean[blockIdx.x] = m;
        scale[blockIdx.x] = r;
    }
""",
    before=TOTAL,
)

rows_slope = Kernel(
    "standardize_rows_slope",
    "const real* g, const real* x, const wide* weight, const wide* mean, const wide* scale, real* gx, whole width, "
    "whole inner, whole channels, int center",
    """
    whole start = (whole)blockIdx.x * width;
    int t = threadIdx.x;
    wide m = mean[blockIdx.x], r = scale[blockIdx.x], a = 0, b = 0;
    for (whole j = t; j < width; j += THREADS) {
        wide slope = get(g[start + j]);
        if (weight) slope *= weight[(start + j) / inner % channels];
        a += slope;
        b += slope * ((get(x[start + j]) - m) * r);
    }
    a = total(a) / width;
    b = total(b) / width;
    if (!center) a = 0;
    for (whole j = t; j < width; j += THREADS) {
        wide slope = get(g[start + j]);
        if (weight) slope *= weight[(start + j) / inner % channels];
        gx[start + j] = put(r * (slope - a - (get(x[start + j]) - m) * r * b));
    }
""",
    before=TOTAL,
)

KERNELS = rows, rows_slope


def standardize(
    be: Any, input: Any, weight: Any, bias: Any, mean: Any, centered: Any, var: Any, *,
    wanted: tuple, axis: tuple[int, ...], eps: float, center: bool, shape: tuple[int, ...] | None,
) -> Any:  # fmt: skip
    """(x - mean) / sqrt(var + eps) * weight + bias."""
    if be.takes(input) and not any(wanted[3:]):
        plan = channels_of(input, axis) if center else None
        if plan is not None and one_per_channel(plan, weight, bias, input, shape):
            return batch(be, input, weight, bias, None, mean, var, wanted, plan, eps, rectify=False)
        spread = _spread(input.shape, shape, weight, bias)
        if spread is not None and sorted(axis) == list(range(min(axis), input.ndim)):
            return _rows(be, input, weight, bias, wanted, axis, spread, eps, center)
    how: dict[str, Any] = dict(wanted=wanted, axis=axis, eps=eps, center=center, shape=shape)
    return kernels.standardize(be, input, weight, bias, mean, centered, var, **how)


def _spread(sizes: tuple[int, ...], shape: tuple[int, ...] | None, *given: Any) -> tuple[int, int] | None:
    """(inner, channels): number e of an array of `sizes` meets parameter e / inner % channels. None if it is not so."""
    shapes = {p.shape if shape is None else tuple(shape) for p in given if p is not None}
    if not shapes:
        return 1, 1
    if len(shapes) > 1:
        return None
    (found,) = shapes
    found = (1,) * (len(sizes) - len(found)) + found
    used = [i for i, n in enumerate(found) if n != 1]
    if not used:
        return prod(sizes), 1
    first, last = used[0], used[-1] + 1
    return (prod(sizes[last:]), prod(found)) if found[first:last] == sizes[first:last] else None


def _rows(
    be: Any, input: Any, weight: Any, bias: Any, wanted: tuple, axis: tuple[int, ...], spread: tuple[int, int],
    eps: float, center: bool,
) -> Any:  # fmt: skip
    x, w, b = be.xp.ascontiguousarray(input), wide_parameter(be, weight, input), wide_parameter(be, bias, input)
    width = prod(x.shape[min(axis) :])
    number, threads = x.size // width, threads_for(width)
    y = be.xp.empty(x.shape, dtype=x.dtype)
    mean, scale = (be.xp.empty(number, dtype=wide_dtype(x)) for _ in range(2))
    how = dict(dtype=x.dtype, THREADS=threads, TILE=1)
    rows.blocks(be, number, x, w, b, y, mean, scale, width, *spread, eps, center, **how)

    def pullback(g: Any) -> tuple:
        g = be.xp.ascontiguousarray(g, dtype=x.dtype)
        gx, gw, gb = be.xp.empty(x.shape, dtype=x.dtype), None, None
        rows_slope.blocks(be, number, g, x, w, mean, scale, gx, width, *spread, center, **how)
        if wanted[1] or wanted[2]:
            inner, channels = spread
            total, along = sums(be, g, x, None, mean, scale, width, layout(x.size, channels, inner))
            gw, gb = of_parameters(along, total, weight, bias, wanted)
        return gx, gw, gb, None, None, None

    return y, pullback
