"""Normalisation by compiled kernels: of the columns of (rows, columns), which is batch normalisation of images that lie
channels last, and of the rows, which is layer normalisation.

The first takes two passes over the input forwards and two backwards, also with a rectifier behind it, and the input
itself is all that is kept; the second goes over each row while it is in the cache. Everything else is left to the
kernel of backends/kernels.py. Imported by numpy.py.
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
    alike,
    column_sums,
    columns,
    matrix,
    on_columns,
)
from tensorgraph.backends.numpy_kernels.threads import share, share_pieces

__all__ = ["standardize", "standardize_relu"]

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
    if shape is None and center and mean is None and var is None and not any(wanted[3:]):
        rows = matrix(input, axis)
        size = 0 if rows is None else rows.shape[1]
        fit = all(p is None or (p.dtype == SINGLE and p.size == size and p.flags.c_contiguous) for p in (weight, bias))
        if rows is not None and size and fit:
            return _layer_norm(input, rows, weight, bias, wanted, eps)
    x = _columns(input, weight, bias, axis, shape) if center and not any(wanted[3:]) else None
    if x is None:
        return kernels.standardize(
            be, input, weight, bias, mean, centered, var, wanted=wanted, axis=axis, eps=eps, center=center, shape=shape
        )
    m, r, scale, shift = _per_column(be, input, weight, bias, mean, var, axis, eps)
    y = np.empty_like(input)
    on_columns("normalized", (x,), (m, scale, shift), columns(y, axis))

    def pullback(g: Any, own: Any = None) -> tuple:
        g = alike(g, input)
        slopes = columns(g, axis)
        sums = column_sums("normalized_sums", (slopes, x), (m,))
        gw, gb, *slope = _settled(sums, r, scale, len(x))
        gx = g if g is own else np.empty_like(input)
        on_columns("normalized_slope", (slopes, x), (m, scale, *slope), columns(gx, axis))
        return gx, *_of_parameters(gw, gb, weight, bias, wanted), None, None, None

    return y, pullback


def standardize_relu(
    be: Any,
    input: Any,
    weight: Any,
    bias: Any,
    residual: Any,
    mean: Any,
    centered: Any,
    var: Any,
    *,
    wanted: tuple,
    axis: tuple[int, ...],
    eps: float,
    shape: tuple[int, ...] | None,
) -> Any:
    """max((x - mean) / sqrt(var + eps) * weight + bias + residual, 0)."""
    x = None if any(wanted[4:]) else _columns(input, weight, bias, axis, shape)
    if x is None or (residual is not None and residual.dtype != SINGLE):
        return None
    m, r, scale, shift = _per_column(be, input, weight, bias, mean, var, axis, eps)
    fixed = m, scale, shift
    y = np.empty_like(input)
    if residual is None:
        on_columns("normalized_relu", (x,), fixed, columns(y, axis))
    else:
        more = columns(alike(residual, input), axis)
        on_columns("normalized_add_relu", (x, more), fixed, columns(y, axis))

    def pullback(g: Any, own: Any = None) -> tuple:
        g = alike(g, input)
        slopes, place, of_residual = columns(g, axis), g if g is own else np.empty_like(input), None
        if residual is None:
            gx = place
            gw, gb, *slope = _settled(column_sums("normalized_relu_sums", (slopes, x), fixed), r, scale, len(x))
            on_columns("normalized_relu_slope", (slopes, x), (*fixed, *slope), columns(gx, axis))
        else:
            gx, of_residual = np.empty_like(input), place
            masked = columns(of_residual, axis)
            sums = column_sums("normalized_add_relu_sums", (slopes, x, more), fixed, (masked,))
            gw, gb, *slope = _settled(sums, r, scale, len(x))
            on_columns("normalized_slope", (masked, x), (m, scale, *slope), columns(gx, axis))
        return gx, *_of_parameters(gw, gb, weight, bias, wanted), of_residual, None, None, None

    return y, pullback


def _columns(input: Any, weight: Any, bias: Any, axis: tuple[int, ...], shape: tuple[int, ...] | None) -> Any:
    """The input as (rows, columns) with one number of weight and bias for each column, or None."""
    if any(p is not None and (shape is None or p.dtype != SINGLE) for p in (weight, bias)):
        return None
    x = columns(input, axis)
    return None if x is None or any(p is not None and p.size != x.shape[1] for p in (weight, bias)) else x


def _per_column(be: Any, input: Any, weight: Any, bias: Any, mean: Any, var: Any, axis: tuple, eps: float) -> tuple:
    """Mean, 1 / sqrt(var + eps), that times the weight, and bias."""
    if mean is None or var is None:
        mean, _, var = be.mean_and_variance(input, axis)
    r = 1 / np.sqrt(var.reshape(-1) + eps)
    shift = np.zeros_like(r) if bias is None else np.ascontiguousarray(bias)
    return mean.reshape(-1), r, r if weight is None else r * weight, shift


def _settled(sums: np.ndarray, r: np.ndarray, scale: np.ndarray, rows: int) -> np.ndarray:
    """The gradients of weight and bias, and the factors of x and 1 in that of x."""
    found = np.empty((4, len(r)), dtype=SINGLE)
    places = [address(a) for a in (sums, r, scale, *found)]
    compiled.kernels()["settle_slopes"](*places, len(r), len(sums), 1 / rows)  # pyright: ignore[reportOptionalSubscript]
    return found


def _of_parameters(gw: Any, gb: Any, weight: Any, bias: Any, wanted: tuple) -> tuple:
    return (
        gw.reshape(weight.shape) if weight is not None and wanted[1] else None,
        gb.reshape(bias.shape) if bias is not None and wanted[2] else None,
    )


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
