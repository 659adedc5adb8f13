"""Normalisation by compiled kernels: of the columns of (rows, columns), which is batch normalisation of images that lie
channels last, and of the rows, which is layer normalisation.

The first takes two passes over the input forwards and two backwards, and the input itself is all that is kept; the
second goes over each row while it is in the cache. Everything else is left to the kernel of backends/kernels.py.
Imported by numpy.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph.backends import compiled, kernels
from tensorgraph.backends.compiled import address
from tensorgraph.backends.numpy_kernels.elementwise import (
    COST,
    RUN,
    SHARE,
    column_sums,
    columns,
    matrix,
    on_columns,
)
from tensorgraph.backends.numpy_kernels.threads import share, share_pieces

__all__ = ["standardize"]

SINGLE = np.dtype("float32")


def standardize(
    be: Any,
    input: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    centered: Any,
    var: Any,
    *,
    wanted: tuple,
    axis: tuple[int, ...],
    eps: float,
    center: bool,
    shape: tuple[int, ...] | None,
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias."""
    x = None
    if shape is None and center and mean is None and var is None and not any(wanted[3:]):
        rows = matrix(input, axis)
        size = 0 if rows is None else rows.shape[1]
        fit = all(p is None or (p.dtype == SINGLE and p.size == size and p.flags.c_contiguous) for p in (weight, bias))
        if rows is not None and size and fit:
            return _layer_norm(input, rows, weight, bias, wanted, eps)
    if (
        not any(wanted[3:])
        and center
        and all(p is None or (shape is not None and p.dtype == SINGLE) for p in (weight, bias))
    ):
        x = columns(input, axis)
    if x is None or any(p is not None and p.size != x.shape[1] for p in (weight, bias)):
        return kernels.standardize(
            be, input, weight, bias, mean, centered, var, wanted=wanted, axis=axis, eps=eps, center=center, shape=shape
        )
    if mean is None or var is None:
        mean, _, var = be.mean_and_variance(input, axis)
    n = len(x)
    m = mean.reshape(-1)
    r = 1 / np.sqrt(var.reshape(-1) + eps)
    scale = r if weight is None else r * weight
    shift = np.zeros_like(r) if bias is None else np.ascontiguousarray(bias)
    y = np.empty_like(input)
    on_columns("normalized", (x,), (m, scale, shift), columns(y, axis))

    def pullback(g: Any) -> tuple:
        slopes = columns(g, axis)
        if slopes is None or g.strides != input.strides:
            same = np.empty_like(input)
            same[...] = g
            slopes = columns(same, axis)
        sums = column_sums("normalized_sums", (slopes, x), m)
        gw, gb, along, level = np.empty((4, x.shape[1]), dtype=SINGLE)
        places = [address(a) for a in (sums, r, scale, gw, gb, along, level)]
        compiled.kernels()["settle_slopes"](*places, x.shape[1], len(sums), 1 / n)  # pyright: ignore[reportOptionalSubscript]
        gx = np.empty_like(input)
        on_columns("normalized_slope", (slopes, x), (m, scale, along, level), columns(gx, axis))
        gw = gw.reshape(weight.shape) if weight is not None and wanted[1] else None
        gb = gb.reshape(bias.shape) if bias is not None and wanted[2] else None
        return gx, gw, gb, None, None, None

    return y, pullback


def _layer_norm(input: Any, x: np.ndarray, weight: Any, bias: Any, wanted: tuple, eps: float) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias along the rows of x (rows, columns), which is the input."""
    forward, backward = (compiled.kernels()[name] for name in ("layer_norm", "layer_norm_slope"))  # pyright: ignore[reportOptionalSubscript]
    rows, width = x.shape
    y, mean, r = np.empty_like(x), np.empty(rows, dtype=SINGLE), np.empty(rows, dtype=SINGLE)
    w = np.ones(width, dtype=SINGLE) if weight is None else weight
    b = np.zeros(width, dtype=SINGLE) if bias is None else bias
    step = max(1, min(RUN, SHARE // width))  # the gradients of weight and bias are sums of so many rows, added up

    across = 4 * width
    words = *map(address, (x, w, b, y, mean, r)), rows, width, 1 / width, eps
    share(forward, 6, 4 * x.size * COST, words, (across, 0, 0, across, 4, 4))

    def pullback(g: Any) -> tuple:
        slopes = np.ascontiguousarray(g).reshape(rows, width)
        gx = np.empty_like(x)
        sums = np.zeros((-(-rows // step), 2, width), dtype=SINGLE)

        words = *map(address, (slopes, x, w, mean, r, gx, sums)), address(sums) + across, rows, width, 1 / width
        steps = [step * s for s in (across, across, 0, 4, 4, across)]
        share_pieces(backward, 8, step, 6 * x.size * COST, words, (*steps, 2 * across, 2 * across))
        gw, gb = sums.sum(axis=0, dtype=np.float64 if len(sums) > RUN else SINGLE).astype(SINGLE, copy=False)
        gw = gw.reshape(weight.shape) if weight is not None and wanted[1] else None
        gb = gb.reshape(bias.shape) if bias is not None and wanted[2] else None
        return gx.reshape(input.shape), gw, gb, None, None, None

    return y.reshape(input.shape), pullback
