"""Elements moved along their axes: flip, roll, rot90, and pad.  NumPy's names and meaning.

May import: elementwise, index, shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorgraph.errors import ArgumentError, ShapeError, sig
from tensorgraph.operation import Array, op
from tensorgraph.ops.axes import Axis, check_axes
from tensorgraph.ops.index import getitem
from tensorgraph.ops.shape import swapaxes
from tensorgraph.spelling import named, spelled

__all__ = ["flip", "fliplr", "flipud", "pad", "roll", "rot90"]


@op
def flip(be, x: Array, axis: Axis = None):
    """The elements in reverse order along one axis, several, or all of them.  x (...) -> (...).  A view."""
    axes = check_axes("flip", axis, x.ndim)
    return x[tuple([slice(None, None, -1) if a in axes else slice(None) for a in range(x.ndim)])]


flip.vjp(x=lambda g, axis: flip(g, axis))


@named
def flipud(x: Any) -> Any:
    """Upside down: reversed along the first axis."""
    return flip(x, 0)


@named
def fliplr(x: Any) -> Any:
    """Left to right: reversed along the second axis."""
    return flip(x, 1)


@op
def roll(be, x: Array, shift: int | Sequence[int], axis: Axis = None):
    """The elements moved on by `shift` places; what leaves at the end comes in at the front.  x (...) -> (...).

    axis=None moves through the flattened array. One shift for every axis, or as many shifts as axes.
    """
    return be.roll(x, shift, axis)


roll.vjp(x=lambda g, shift, axis: roll(g, -shift if isinstance(shift, int) else tuple([-s for s in shift]), axis))


@spelled
def rot90(x: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Any:
    """x turned by 90 degrees k times, from the first of the two axes towards the second.  x (M, N) -> (N, M)."""
    if len(axes) != 2:
        raise ArgumentError(f"rot90: a plane has two axes, got {tuple(axes)}")
    first, second = check_axes("rot90", tuple(axes), x.ndim)
    turns = k % 4
    if turns == 0:
        return x
    if turns == 2:
        return flip(x, (first, second))
    if turns == 1:
        return swapaxes(flip(x, second), first, second)
    return flip(swapaxes(x, first, second), second)


# ---- pad ------------------------------------------------------------------------------------------------------------
MODES = {"constant": "constant", "edge": "edge", "reflect": "reflect", "symmetric": "symmetric", "wrap": "wrap"}
MODES |= {"replicate": "edge", "circular": "wrap"}  # PyTorch's names


@op
def _pad_constant(be, x: Array, widths: Sequence[Sequence[int]], value: float):
    """x in the middle of `value`; no width is negative. In memory the axes stay in x's order."""
    out = be.full_like(x, value, shape=[b + n + a for n, (b, a) in zip(x.shape, widths, strict=True)])
    out[_inside(x.shape, widths)] = x
    return out


def _inside(shape, widths):
    return tuple([slice(b, b + n) for n, (b, _) in zip(shape, widths, strict=True)])


_pad_constant.vjp(x=lambda g, x_shape, widths: getitem(g, _inside(x_shape, widths)))


@op
def _extend(be, x: Array, widths: Sequence[Sequence[int]], mode: str):
    """x continued beyond its ends by its own elements."""
    return be.extend(x, widths, mode)


_extend.vjp(x=lambda g, x_shape, widths, mode: _fold_in(g, x_shape, widths, mode))


@op
def _fold_in(be, values: Array, shape: tuple[int, ...], widths: Sequence[Sequence[int]], mode: str):
    """The adjoint of `_extend`: what lies outside is added to where it came from."""
    return be.fold_in(values, shape, widths, mode)


_fold_in.vjp(values=lambda g, widths, mode: _extend(g, widths, mode))


@spelled
def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: float = 0) -> Any:
    """x with more elements before and behind along its axes.  x (N, ...), ((b, a), ...) -> (b + N + a, ...).

    `pad_width` is NumPy's: a number for every side, (before, after) for every axis, or a pair per axis; a negative
    width cuts off. Modes: "constant"; "edge" or "replicate" (the outermost element); "reflect" and "symmetric" (a
    mirror on, or behind, the outermost element); "wrap" or "circular" (the other end again). Raises ArgumentError for
    an unknown mode, ShapeError where the widths eat the array or there is nothing to repeat.
    """
    known = MODES.get(mode)
    if known is None:
        raise ArgumentError(f"pad: unknown mode {mode!r}", hint=f"one of {', '.join(MODES)}")
    widths = _pairs(pad_width, x)
    if any(b < 0 or a < 0 for b, a in widths):
        for axis, (n, (b, a)) in enumerate(zip(x.shape, widths, strict=True)):
            if n + min(b, 0) + min(a, 0) < 0:
                raise ShapeError(f"pad: widths {(b, a)} cut more from axis {axis} of {sig(x)} than there is")
        x = getitem(x, tuple([slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(x.shape, widths, strict=True)]))
        widths = [(max(b, 0), max(a, 0)) for b, a in widths]
    if known == "constant":
        return _pad_constant(x, tuple(widths), constant_values)
    for axis, n in enumerate(x.shape):
        if n == 0 and sum(widths[axis]):
            raise ShapeError(f"pad: axis {axis} of {sig(x)} is empty, mode {mode!r} has nothing to repeat")
    return _extend(x, tuple(widths), known)


def _pairs(pad_width: Any, x: Any) -> list[tuple[int, int]]:
    """One (before, after) per axis."""
    if isinstance(pad_width, int):
        return [(pad_width, pad_width)] * x.ndim
    entries = [tuple(w) if isinstance(w, (tuple, list)) else w for w in pad_width]
    if len(entries) == 2 and all(isinstance(w, int) for w in entries):
        return [(entries[0], entries[1])] * x.ndim
    entries = [(w, w) if isinstance(w, int) else w * 2 if len(w) == 1 else w for w in entries]
    if len(entries) == 1:
        entries *= x.ndim
    if len(entries) != x.ndim or any(len(w) != 2 for w in entries):
        raise ShapeError(
            f"pad: pad_width {pad_width} does not give a pair for each axis of {sig(x)}",
            hint="PyTorch's order, from the last axis backwards, is that of nn.functional.pad",
        )
    return entries
