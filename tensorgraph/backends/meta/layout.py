"""How arrays would lie in memory: strides of new arrays, views without a copy, shapes of indexed ones.

Pure functions of shapes and strides; NumPy's rules, so that a copy is counted where NumPy makes one and only there.
Imported by the files beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

__all__ = ["Shape", "Spread", "as_numpy", "c_strides", "k_strides", "room", "shape_at", "without_copy"]

Shape = tuple[int, ...]

_CELLS: dict[np.dtype, np.ndarray] = {}
"""dtype -> the one element that all arrays of it are laid over"""


def room(shape: Shape, strides: Shape, dtype: np.dtype) -> np.ndarray:
    """A NumPy array that claims shape and strides over a single element: for views of it, never for its values."""
    cell = _CELLS.get(dtype)
    if cell is None:
        cell = _CELLS[dtype] = np.zeros(1, dtype)
    return as_strided(cell, shape, strides)


def as_numpy(shape: Shape, dtype: Any) -> np.ndarray:
    """A real array of zeros of a shape in the memory of one element, which NumPy may read."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def c_strides(shape: Sequence[int], itemsize: int) -> Shape:
    """Strides with the last axis fastest."""
    strides, step = [0] * len(shape), itemsize
    for i in range(len(shape) - 1, -1, -1):
        strides[i] = step
        step *= max(shape[i], 1)
    return tuple(strides)


def k_strides(shape: Shape, operands: Sequence[np.ndarray], itemsize: int) -> Shape:
    """Strides of a new result that keeps the order of its operands, which broadcast to its shape."""
    if len(shape) < 2 or all(a.flags.c_contiguous for a in operands):
        return c_strides(shape, itemsize)
    n = len(shape)
    given = []
    for a in operands:
        lead = n - a.ndim
        given.append([0 if i < lead or a.shape[i - lead] == 1 else abs(a.strides[i - lead]) for i in range(n)])
    order: list[int] = []  # axes from the fastest to the slowest, by insertion; C order where operands disagree
    for axis in range(n - 1, -1, -1):
        place = len(order)
        for at in range(len(order) - 1, -1, -1):
            known, swap = False, False
            for strides in given:
                mine, other = strides[axis], strides[order[at]]
                if mine and other:
                    swap = (swap or not known) and other > mine
                    known = True
            if known:
                if not swap:
                    break
                place = at
        order.insert(place, axis)
    strides, step = [0] * n, itemsize
    for axis in order:
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def without_copy(a: np.ndarray, shape: Shape) -> np.ndarray | None:
    """`a` in another shape of the same size, in the same memory; None where NumPy copies."""
    if a.flags.c_contiguous or not a.size:
        return as_strided(a, shape, c_strides(shape, a.itemsize))
    old = [(n, s) for n, s in zip(a.shape, a.strides, strict=True) if n != 1]
    strides: list[int] = []
    i = j = 0
    while i < len(old) and j < len(shape):
        count, stop, have, want = i, j + 1, old[i][0], shape[j]
        i += 1
        while have != want:
            if want < have:
                want *= shape[stop]
                stop += 1
            else:
                have *= old[i][0]
                i += 1
        for k in range(count, i - 1):  # the old axes must lie without gaps
            if old[k][1] != old[k + 1][0] * old[k + 1][1]:
                return None
        step, made = old[i - 1][1], []
        for k in range(stop - 1, j - 1, -1):
            made.append(step)
            step *= shape[k]
        strides += made[::-1]
        j = stop
    strides += [strides[-1] if strides else a.itemsize] * (len(shape) - len(strides))  # what is left has size 1
    return as_strided(a, shape, tuple(strides))


def shape_at(shape: Shape, parts: Sequence[Any]) -> Shape:
    """The shape of `x[parts]` where arrays of integers, given as their shapes in `Spread`, are among the parts."""
    used = sum(1 for part in parts if part is not None and part is not Ellipsis)
    if used > len(shape):
        raise IndexError(f"too many indices for array: array is {len(shape)}-dimensional, but {used} were indexed")
    full: list[Any] = []
    for part in parts:
        full += [slice(None)] * (len(shape) - used) if part is Ellipsis else [part]
    if not any(part is Ellipsis for part in parts):
        full += [slice(None)] * (len(shape) - used)
    places = [i for i, part in enumerate(full) if isinstance(part, (int, Spread))]
    try:
        spread = np.broadcast_shapes(*(full[i].shape for i in places if isinstance(full[i], Spread)))
    except ValueError:
        shapes = " ".join(str(full[i].shape) for i in places if isinstance(full[i], Spread))
        raise IndexError(
            f"shape mismatch: indexing arrays could not be broadcast together with shapes {shapes}"
        ) from None
    together = places[-1] - places[0] + 1 == len(places)
    out: list[int] = [] if together else list(spread)
    axis = 0
    for i, part in enumerate(full):
        if together and i == places[0]:
            out += spread
        if part is None:
            out.append(1)
            continue
        if isinstance(part, slice):
            out.append(len(range(*part.indices(shape[axis]))))
        elif isinstance(part, int) and not -shape[axis] <= part < shape[axis]:
            raise IndexError(f"index {part} is out of bounds for axis {axis} with size {shape[axis]}")
        axis += 1
    return tuple(out)


class Spread:
    """An array of integers in an index: what counts is its shape."""

    __slots__ = ("shape",)

    def __init__(self, shape: Shape):
        self.shape = shape
