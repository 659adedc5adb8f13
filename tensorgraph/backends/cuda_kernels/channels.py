"""Batch normalisation: of channels, (N, C, ...) with statistics over all axes but C.

Every channel is cut into pieces that blocks go through alone: the moments of each, which another kernel puts together,
and what follows from them. The sums have a fixed order. Kept are the input, mean and 1 / sqrt(var + eps) of every
channel, and with a rectifier behind it the result. Imported by the other files of this folder.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

from tensorgraph.backends.cuda_kernels.launch import EACH, TOTAL, WARP, Kernel, wide_dtype
from tensorgraph.backends.reduction import Reduction

__all__ = [
    "KERNELS",
    "FastStatistics",
    "batch",
    "channels_of",
    "layout",
    "of_parameters",
    "one_per_channel",
    "standardize_relu",
    "sums",
    "wide_parameter",
]

LAYOUT = "whole groups, whole inner, whole members, whole piece"
"""An array as (..., groups, inner): a group has so many members, and a block goes through a piece of them."""

PIECE = """
    whole tiles = (groups + TILE - 1) / TILE, p = blockIdx.x / tiles;
    whole k = blockIdx.x % tiles * TILE + threadIdx.x % TILE;
    whole first = p * piece + threadIdx.x / TILE, end = p * piece + piece;
    if (end > members) end = members;
    whole count = end - p * piece;
    if (k >= groups) end = first;
"""
"""TILE groups side by side, piece p of each: a thread has every LANES-th member from `first` on of group k."""

PLACE = """
/* Where member j of group k lies. */
__device__ whole place(whole j, whole k, whole groups, whole inner)
{
    return (j / inner * groups + k) * inner + j % inner;
}
#define LANES (THREADS / TILE)
"""

moments = Kernel(
    "moments",
    f"const real* x, wide* mean, wide* var, {LAYOUT}",
    PIECE
    + """
    wide m = 0, s = 0;
    for (whole j = first; j < end; j += LANES) m += get(x[place(j, k, groups, inner)]);
    m = total(m) / count;
    for (whole j = first; j < end; j += LANES) {
        wide away = get(x[place(j, k, groups, inner)]) - m;
        s += away * away;
    }
    s = total(s) / count;
    if (threadIdx.x < TILE && k < groups) {
        mean[p * groups + k] = m;
        var[p * groups + k] = s;
    }
""",
    before=TOTAL + PLACE,
)

merge = Kernel(
    "merge_moments",
    "const wide* means, const wide* vars, wide* mean, wide* var, whole members, whole piece, whole pieces, whole size",
    EACH
    + """
    wide m = 0, v = 0;
    for (whole p = 0; p < pieces; ++p) {
        wide share = (wide)(p + 1 < pieces ? piece : members - p * piece) / members;
        m += share * means[p * size + i];
    }
    for (whole p = 0; p < pieces; ++p) {
        wide share = (wide)(p + 1 < pieces ? piece : members - p * piece) / members;
        wide away = means[p * size + i] - m;
        v += share * (vars[p * size + i] + away * away);
    }
    mean[i] = m;
    var[i] = v;
""",
)

normalized = Kernel(
    "normalized",
    "const real* x, const real* residual, const wide* mean, const wide* var, const wide* weight, const wide* bias, "
    f"real* y, wide* scale, wide eps, int rectify, {LAYOUT}",
    PIECE
    + """
    if (k >= groups) return;
    wide m = mean[k], r = 1 / SQRT(var[k] + eps), w = weight ? weight[k] : 1, b = bias ? bias[k] : 0;
    for (whole j = first; j < end; j += LANES) {
        whole at = place(j, k, groups, inner);
        wide v = (get(x[at]) - m) * r * w + b;
        if (residual) v += get(residual[at]);
        if (rectify && v < 0) v = 0;
        y[at] = put(v);
    }
    if (p == 0 && threadIdx.x < TILE) scale[k] = r;
""",
    before=PLACE,
)

normalized_sums = Kernel(
    "normalized_sums",
    "const real* g, const real* x, const real* y, const wide* mean, const wide* scale, wide* plain, wide* along, "
    f"whole width, whole slices, {LAYOUT}",
    PIECE
    + """
    wide a = 0, b = 0;
    for (whole j = first; j < end; j += LANES) {
        whole at = place(j, k, groups, inner), s = at / width % slices;
        wide slope = y && !(get(y[at]) > 0) ? 0 : get(g[at]);
        a += slope;
        b += slope * ((get(x[at]) - mean[s]) * scale[s]);
    }
    a = total(a);
    b = total(b);
    if (threadIdx.x < TILE && k < groups) {
        plain[p * groups + k] = a;
        along[p * groups + k] = b;
    }
""",
    before=TOTAL + PLACE,
)

normalized_slope = Kernel(
    "normalized_slope",
    "const real* g, const real* x, const real* y, const wide* mean, const wide* scale, const wide* weight, "
    f"const wide* plain, const wide* along, real* gx, {LAYOUT}",
    PIECE
    + """
    if (k >= groups) return;
    wide m = mean[k], r = scale[k], w = weight ? weight[k] : 1, a = plain[k] / members, b = along[k] / members;
    for (whole j = first; j < end; j += LANES) {
        whole at = place(j, k, groups, inner);
        wide slope = y && !(get(y[at]) > 0) ? 0 : get(g[at]);
        gx[at] = put(r * w * (slope - a - (get(x[at]) - m) * r * b));
    }
""",
    before=PLACE,
)
running = Kernel(
    "move_towards",
    "real* average, const real* values, wide stays, wide comes, whole size",
    EACH + "    average[i] = put(stays * get(average[i]) + comes * get(values[i]));",
)

KERNELS = moments, merge, running, normalized, normalized_sums, normalized_slope


class Layout(NamedTuple):
    """How blocks go through (..., groups, inner): `numbers` are what `LAYOUT` names."""

    groups: int
    inner: int
    members: int
    piece: int
    pieces: int
    tile: int

    @property
    def numbers(self) -> tuple[int, ...]:
        return self[:4]

    @property
    def blocks(self) -> int:
        return -(-self.groups // self.tile) * self.pieces


MEMBERS, PIECES = 4096, 128
"""Members of a piece at least, and pieces of a group at most."""


def layout(size: int, groups: int, inner: int) -> Layout:
    """Groups whose members lie apart are taken side by side, so that threads read neighbours."""
    members, tile = size // groups, 1 if inner >= WARP else WARP
    piece = max(MEMBERS // tile, -(-members // PIECES))
    return Layout(groups, inner, members, piece, -(-members // piece), tile)


class FastStatistics(Reduction):
    """Overrides definitions."""

    takes: Callable[..., bool]

    def mean_and_variance(self, x: Any, axis: tuple[int, ...]) -> tuple[Any, Any, Any]:
        """Mean, None and mean square of x without it, of channels; kept axes, float32 at least."""
        plan = channels_of(x, axis) if self.takes(x) else None
        if plan is None:
            return super().mean_and_variance(x, axis)
        mean, var = _moments(self, self.xp.ascontiguousarray(x), plan)
        shape = [1 if i in axis else n for i, n in enumerate(x.shape)]
        return mean.reshape(shape), None, var.reshape(shape)

    def move_towards(self, average: Any, values: Any, rate: float, factor: float) -> None:
        """average = (1 - rate) average + rate factor values, in place: a running mean."""
        alike = average.dtype == values.dtype and average.shape == values.shape and average.flags.c_contiguous
        if not alike or not self.takes(average, values):
            super().move_towards(average, values, rate, factor)
            return
        values = self.xp.ascontiguousarray(values)
        running.over(self, average.size, average, values, 1 - rate, rate * factor, dtype=average.dtype)


def channels_of(x: Any, axis: tuple[int, ...]) -> Layout | None:
    """The layout for statistics of axis 1 of x, or None where `axis` is something else."""
    if x.ndim < 2 or not x.size or sorted(axis) != [0, *range(2, x.ndim)]:
        return None
    return layout(x.size, x.shape[1], prod(x.shape[2:]))


def one_per_channel(plan: Layout, weight: Any, bias: Any, x: Any, shape: tuple[int, ...] | None) -> bool:
    """Whether weight and bias hold one number for each channel."""
    if weight is None and bias is None:
        return True
    return shape == (1, plan.groups, *(1,) * (x.ndim - 2))


def wide_parameter(be: Any, p: Any, x: Any) -> Any:
    """A parameter as the kernels read it: without gaps, in the dtype that they compute in."""
    if p is None:
        return None
    return be.xp.ascontiguousarray(p.astype(wide_dtype(x), copy=False))


def _moments(be: Any, x: Any, plan: Layout) -> tuple[Any, Any]:
    """Mean and variance of every group of x, which has no gaps."""
    wide = wide_dtype(x)
    mean, var = (be.xp.empty((plan.pieces, plan.groups), dtype=wide) for _ in range(2))
    moments.blocks(be, plan.blocks, x, mean, var, *plan.numbers, dtype=x.dtype, TILE=plan.tile)
    if plan.pieces == 1:
        return mean[0], var[0]
    means, variances, (mean, var) = mean, var, (be.xp.empty(plan.groups, dtype=wide) for _ in range(2))
    merge.over(be, plan.groups, means, variances, mean, var, plan.members, plan.piece, plan.pieces, dtype=x.dtype)
    return mean, var


def sums(be: Any, g: Any, x: Any, y: Any, mean: Any, scale: Any, width: int, plan: Layout) -> tuple[Any, Any]:
    """Of every group, the sum of g and that of g times the normalised x; slices of x have `width` neighbours."""
    both = be.xp.empty((2, plan.pieces, plan.groups), dtype=wide_dtype(x))
    normalized_sums.blocks(
        be, plan.blocks, g, x, y, mean, scale, both[0], both[1], width, mean.size, *plan.numbers, dtype=x.dtype,
        TILE=plan.tile,
    )  # fmt: skip
    both = both[:, 0] if plan.pieces == 1 else both.sum(axis=1)
    return both[0], both[1]


def of_parameters(gw: Any, gb: Any, weight: Any, bias: Any, wanted: tuple) -> tuple[Any, Any]:
    """The gradients of weight and bias as these are, where they are wanted."""
    return (
        gw.reshape(weight.shape).astype(weight.dtype, copy=False) if wanted[1] else None,
        gb.reshape(bias.shape).astype(bias.dtype, copy=False) if wanted[2] else None,
    )


def batch(
    be: Any, input: Any, weight: Any, bias: Any, residual: Any, mean: Any, var: Any, wanted: tuple, plan: Layout,
    eps: float, rectify: bool,
) -> Any:  # fmt: skip
    """Value and pullback of normalised channels; mean and var are given where somebody has them already."""
    x, w = be.xp.ascontiguousarray(input), wide_parameter(be, weight, input)
    if mean is None or var is None:
        mean, var = _moments(be, x, plan)
    else:
        mean, var = (wide_parameter(be, p, x) for p in (mean, var))
    more = None if residual is None else be.xp.ascontiguousarray(residual)
    y, scale = be.xp.empty(x.shape, dtype=x.dtype), be.xp.empty(plan.groups, dtype=wide_dtype(x))
    how = dict(dtype=x.dtype, TILE=plan.tile)
    normalized.blocks(
        be,
        plan.blocks,
        x,
        more,
        mean,
        var,
        w,
        wide_parameter(be, bias, x),
        y,
        scale,
        eps,
        rectify,
        *plan.numbers,
        **how,
    )
    kept = y if rectify else None

    def pullback(g: Any) -> tuple:
        g = be.xp.ascontiguousarray(g, dtype=x.dtype)
        total, along = sums(be, g, x, kept, mean, scale, plan.inner, plan)
        gx = be.xp.empty(x.shape, dtype=x.dtype)
        normalized_slope.blocks(be, plan.blocks, g, x, kept, mean, scale, w, total, along, gx, *plan.numbers, **how)
        found = gx, *of_parameters(along, total, weight, bias, wanted)
        if not rectify:
            return *found, None, None, None
        return *found, be.relu_slope(g, y) if wanted[3] else None, None, None, None

    return y, pullback


def standardize_relu(
    be: Any, input: Any, weight: Any, bias: Any, residual: Any, mean: Any, centered: Any, var: Any, *,
    wanted: tuple, axis: tuple[int, ...], eps: float, shape: tuple[int, ...] | None,
) -> Any:  # fmt: skip
    """max((x - mean) / sqrt(var + eps) * weight + bias + residual, 0) of channels."""
    if any(wanted[4:]) or not be.takes(input) or (residual is not None and residual.dtype != input.dtype):
        return None
    plan = channels_of(input, axis)
    if plan is None or not one_per_channel(plan, weight, bias, input, shape):
        return None
    return batch(be, input, weight, bias, residual, mean, var, wanted, plan, eps, rectify=True)
