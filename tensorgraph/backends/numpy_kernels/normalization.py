"""Normalisation along the rows of (rows, columns) by compiled kernels: batch normalisation, channels last.

Two passes over the input forwards and two backwards, and the input itself is all that is kept. Everything else is left
to the kernel of backends/kernels.py. Imported by numpy.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph.backends import kernels
from tensorgraph.backends.numpy_kernels.elementwise import column_sums, columns, on_columns

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
        total, along = column_sums("normalized_sums", (slopes, x), m).astype(SINGLE)
        gx = np.empty_like(input)
        parameters = (m, scale, -scale * r * r * along / n, -scale * total / n)
        on_columns("normalized_slope", (slopes, x), parameters, columns(gx, axis))
        gw = (along * r).reshape(weight.shape) if weight is not None and wanted[1] else None
        gb = total.reshape(bias.shape) if bias is not None and wanted[2] else None
        return gx, gw, gb, None, None, None

    return y, pullback
