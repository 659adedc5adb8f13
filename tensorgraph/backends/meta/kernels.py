"""What the fused kernels of the CPU keep and make, and how its results lie in memory, for arrays without numbers.

Each kernel here follows the one of its name in numpy_kernels/ or in kernels.py: same results, same arrays kept for the
backward pass, same copies; only the arithmetic is left out. Imported by backend.py beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph.backends import compiled, kernels, recurrence
from tensorgraph.backends.meta.array import MetaArray, new, view
from tensorgraph.backends.meta.functions import functions
from tensorgraph.backends.numpy_kernels import convolution, elementwise
from tensorgraph.backends.numpy_kernels import recurrence as sequences
from tensorgraph.mode import kernels_allowed

__all__ = ["KERNELS", "Lie", "channels_last", "columns", "fits", "matrix", "pools", "single", "tiles"]

SINGLE = np.dtype("float32")


def fits(*arrays: MetaArray) -> bool:
    """Whether a compiled kernel takes arrays that lie alike."""
    first = arrays[0]
    alike = all(a.strides == first.strides and a.dtype == SINGLE and a.shape == first.shape for a in arrays)
    return alike and first.size >= elementwise.ENOUGH and kernels_allowed() and compiled.kernels() is not None


def matrix(x: MetaArray, axis: Any) -> Any:
    """x as (rows, columns) where compiled kernels go along the rows."""
    return elementwise.matrix(x, axis) if kernels_allowed() else None  # pyright: ignore[reportArgumentType]


def columns(x: MetaArray, axis: Any) -> Any:
    """x as (rows, columns) where compiled kernels sum the columns."""
    return elementwise.columns(x, axis) if kernels_allowed() else None  # pyright: ignore[reportArgumentType]


def single(*arrays: MetaArray) -> bool:
    """Whether compiled kernels take arrays of this dtype."""
    return all(a.dtype == SINGLE for a in arrays) and kernels_allowed() and compiled.kernels() is not None


def tiles(a: MetaArray, b: MetaArray) -> bool:
    """Whether the CPU convolves such arrays in tiles."""
    kinds = a.dtype.kind + b.dtype.kind
    return kernels_allowed() and a.ndim <= 5 and a.size > 0 < b.size and "f" in kinds and "c" not in kinds


def pools(x: MetaArray) -> bool:
    """Whether the CPU pools such an array in pieces."""
    return kernels_allowed() and x.ndim <= 4 and x.size > 0 and x.dtype.kind in "fc" and x.dtype.itemsize > 2


def channels_last(shape: tuple[int, ...], dtype: Any, *operands: MetaArray) -> MetaArray:
    """The result of a convolution of the CPU: (N, C, ...) with the channels fastest."""
    n, c, *sizes = shape
    wide = np.result_type(dtype, np.float32) if np.dtype(dtype).itemsize == 2 else np.dtype(dtype)
    copies = [new(a.shape, wide) for a in operands if a.dtype != wide]
    y = new((n, *sizes, c), wide)
    # volumes are summed up layer by layer, long signals cut into lines
    if len(sizes) == 3 or (len(sizes) == 1 and sizes[0] > convolution.LINE):
        copies.append(new(y.shape, wide))
    y = view(y, y.lay.transpose(0, y.ndim - 1, *range(1, y.ndim - 1)))
    del copies
    return y if wide == dtype else y.astype(dtype)


class Lie:
    """How pooling takes (N, C, *sizes): with the channels last, or as planes; results lie likewise."""

    def __init__(self, x: MetaArray):
        self.last = x.shape[1] > 1 and x.strides[1] == x.itemsize and x.strides[-1] != x.itemsize

    def seen(self, x: MetaArray) -> MetaArray:
        """x as the kernel reads it: itself, or a copy."""
        return x if self.last else x.reshape(-1, *x.shape[2:], 1)

    def room(self, shape: tuple[int, ...], dtype: Any) -> MetaArray:
        """A result of the shape (N, C, *sizes)."""
        if self.last:
            return channels_last(shape, dtype)
        y = new(shape, dtype)
        return view(y, y.lay[...])


def _activation(be: Any, x: Any, *, wanted: tuple) -> Any:
    if not fits(x):
        return None
    y = functions.empty_like(x)

    def pullback(g: Any) -> tuple:
        if g.strides != x.strides:
            g = functions.empty_like(x)
        return (functions.empty_like(g),)

    return y, pullback


def _standardize(
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
    parameters = [p for p in (weight, bias) if p is not None]
    alone = mean is None and var is None and shape is None and all(p.dtype == SINGLE for p in parameters)
    rows = matrix(input, axis) if alone and center and not any(wanted[3:]) else None
    if rows is not None and all(p.size == rows.shape[1] for p in parameters):
        y, stays = functions.empty_like(input), (new((len(rows),), SINGLE), new((len(rows),), SINGLE))
    else:
        x = None
        if center and not any(wanted[3:]) and all(shape is not None and p.dtype == SINGLE for p in parameters):
            x = columns(input, axis)
        if x is None or any(p.size != x.shape[1] for p in parameters):
            return kernels.standardize(
                be, input, weight, bias, mean, centered, var,
                wanted=wanted, axis=axis, eps=eps, center=center, shape=shape,
            )  # fmt: skip
        y, stays = functions.empty_like(input), ()

    def pullback(g: Any, own: Any = None) -> tuple:
        same = functions.empty_like(input) if g.strides != input.strides else g
        gx = same if own is same and not stays else functions.empty_like(input)
        del same
        gw = new(weight.shape, weight.dtype) if weight is not None and wanted[1] else None
        gb = new(bias.shape, bias.dtype) if bias is not None and wanted[2] else None
        return gx, gw, gb, None, None, None

    return y, pullback


def _standardize_relu(
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
    parameters = [p for p in (weight, bias) if p is not None]
    given = [*parameters, *([] if residual is None else [residual])]
    x = None if any(wanted[4:]) or (parameters and shape is None) else columns(input, axis)
    if x is None or any(p.size != x.shape[1] for p in parameters) or any(p.dtype != SINGLE for p in given):
        return None
    stays = residual if residual is None or residual.strides == input.strides else functions.empty_like(input)
    y = functions.empty_like(input)

    def pullback(g: Any, own: Any = None) -> tuple:
        same = functions.empty_like(input) if g.strides != input.strides else g
        place = same if own is same else functions.empty_like(input)
        gx, gr = (place, None) if stays is None else (functions.empty_like(input), place)
        del same
        gw = new(weight.shape, weight.dtype) if weight is not None and wanted[1] else None
        gb = new(bias.shape, bias.dtype) if bias is not None and wanted[2] else None
        return gx, gw, gb, gr, None, None, None

    return y, pullback


# ---- recurrent networks ----------------------------------------------------------------------------------------------
def _compiled(x: MetaArray, w_hh: MetaArray) -> bool:
    """Whether a compiled kernel takes all steps of a sequence."""
    enough = x.shape[0] * x.shape[1] * len(w_hh) >= sequences.ENOUGH
    return enough and x.dtype == SINGLE and kernels_allowed() and compiled.kernels() is not None


def _readable(g: Any) -> Any:
    """A gradient of all steps, copied where it does not lie row by row."""
    return g if g is None or g.strides[-1] == g.itemsize or g.shape[-1] == 1 else new(g.shape, g.dtype)


def _states(lines: recurrence.Lines, size: int) -> MetaArray:
    return new((lines.n, size), lines.x.dtype)


def _lstm(
    be: Any, x: Any, w_ih: Any, w_hh: Any, b: Any, h: Any, c: Any, *, wanted: tuple, reverse: bool
) -> Any:  # fmt: skip
    if not (recurrence.suits(x, w_ih, w_hh, b, h, c) and _compiled(x, w_hh)):
        return recurrence.lstm(be, x, w_ih, w_hh, b, h, c, wanted=wanted, reverse=reverse)
    lines, size = recurrence.Lines(be, x, reverse), h.shape[1]
    y, *kept = lines.empty(size), lines.inputs(w_ih, b), lines.empty(size)

    def pullback(g: Any, kept: Any = kept) -> tuple:
        gy = _readable(g.values[0])
        into, gh, gc = lines.empty(4 * size), _states(lines, size), _states(lines, size)
        found = recurrence.gradients(lines, into, into, w_ih, lambda: lines.before(y, h), (*wanted[:4], False))
        del gy
        return (*found[:4], gh, gc)

    return (y, _states(lines, size)), pullback


def _gru(
    be: Any, x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, h: Any, *, wanted: tuple, reverse: bool
) -> Any:  # fmt: skip
    if not (recurrence.suits(x, w_ih, w_hh, b_ih, b_hh, h) and _compiled(x, w_hh)):
        return recurrence.gru(be, x, w_ih, w_hh, b_ih, b_hh, h, wanted=wanted, reverse=reverse)
    lines, size = recurrence.Lines(be, x, reverse), h.shape[1]
    y, *kept = lines.empty(size), lines.inputs(w_ih, b_ih), lines.empty(size)

    def pullback(g: Any, kept: Any = kept) -> tuple:
        gy = _readable(g)
        into, gh = lines.empty(4 * size), _states(lines, size)
        at_input, at_state = into[..., : 3 * size], into[..., size:]
        gradients = recurrence.gradients(lines, at_input, at_state, w_ih, lambda: lines.before(y, h), wanted)
        del gy
        return (*gradients, gh)

    return y, pullback


def _rnn(
    be: Any, x: Any, w_ih: Any, w_hh: Any, b: Any, h: Any, *, wanted: tuple, reverse: bool, rectified: bool
) -> Any:  # fmt: skip
    if not (recurrence.suits(x, w_ih, w_hh, b, h) and _compiled(x, w_hh)):
        return recurrence.rnn(be, x, w_ih, w_hh, b, h, wanted=wanted, reverse=reverse, rectified=rectified)
    lines, size = recurrence.Lines(be, x, reverse), h.shape[1]
    y = lines.inputs(w_ih, b)

    def pullback(g: Any) -> tuple:
        gy = _readable(g)
        into, gh = lines.empty(size), _states(lines, size)
        found = recurrence.gradients(lines, into, into, w_ih, lambda: lines.before(y, h), (*wanted[:4], False))
        del gy
        return (*found[:4], gh)

    return y, pullback


KERNELS = {
    "gelu": _activation,
    "gru": _gru,
    "lstm": _lstm,
    "rnn": _rnn,
    "silu": _activation,
    "standardize": _standardize,
    "standardize_relu": _standardize_relu,
}
"""name of a fused operation -> its kernel"""
