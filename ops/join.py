"""Several arrays as one, and one as several: concat, stack, split, tile, repeat, meshgrid and their relatives.

NumPy's names and meaning, `chunk` from PyTorch. May import: elementwise, index, shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorgraph.creation import asarray
from tensorgraph.errors import ArgumentError, AxisError, ShapeError, sig
from tensorgraph.operation import Array, op
from tensorgraph.ops.axes import check_axis
from tensorgraph.ops.index import getitem
from tensorgraph.ops.shape import atleast_1d, atleast_2d, atleast_3d, broadcast_to, reshape
from tensorgraph.spelling import named, spelled

__all__ = [
    "array_split", "chunk", "column_stack", "concat", "dstack", "hstack", "meshgrid", "repeat", "split", "stack",
    "tile", "unstack", "vstack",
]  # fmt: skip


def _several(op: str, arrays: Any) -> list[Any]:
    """The operands of a function on a sequence, each of them an array or a tensor."""
    if getattr(arrays, "shape", None) == ():
        raise ShapeError(f"{op}: expected a sequence of arrays, got {sig(arrays)}")
    found = [a if hasattr(a, "shape") else asarray(a) for a in arrays]
    if not found:
        raise ArgumentError(f"{op}: no arrays were given")
    return found


# ---- several as one -------------------------------------------------------------------------------------------------
@op
def _concat(be, *arrays: Array, axis: int):
    """The arrays one behind the other along `axis`, counted from the front."""
    try:
        return be.concatenate(arrays, axis)
    except ValueError:
        first = arrays[0]
        rest = first.shape[:axis] + first.shape[axis + 1 :]
        for i, a in enumerate(arrays):
            if a.ndim != first.ndim or a.shape[:axis] + a.shape[axis + 1 :] != rest:
                raise ShapeError(
                    f"concat: arrays[{i}] is {sig(a)}, arrays[0] is {sig(first)}: only axis {axis} may differ",
                    hint=_fitting_axis(first.shape, a.shape),
                ) from None
        raise


def _fitting_axis(a, b):
    """The axis along which two shapes could be joined, as a hint."""
    if len(a) != len(b):
        return "all must have the same number of axes: x[None] adds one in front" if abs(len(a) - len(b)) == 1 else None
    differ = [i for i, (m, n) in enumerate(zip(a, b, strict=True)) if m != n]
    return f"axis={differ[0]} would fit" if len(differ) == 1 else None


def _stretches(g, arrays_shape, axis):
    before = (slice(None),) * axis
    parts, start = [], 0
    for shape in arrays_shape:
        stop = start + shape[axis]
        parts.append(getitem(g, (*before, slice(start, stop))))
        start = stop
    return parts


_concat.vjp(arrays=_stretches)


@spelled
def concat(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """The arrays one behind the other along `axis`; with axis=None all of them flattened first.

    arrays: a sequence of (..., N_i, ...) that agree in the other axes -> (..., sum of N_i, ...). Dtypes are promoted.
    """
    arrays = _several("concat", arrays)
    if axis is None:
        return _concat(*[reshape(a, (-1,)) for a in arrays], axis=0)
    if arrays[0].ndim == 0:
        raise ShapeError("concat: arrays[0] has no axes", hint="stack(arrays) makes a new one")
    return _concat(*arrays, axis=check_axis("concat", axis, arrays[0].ndim))


@op
def _stack(be, *arrays: Array, axis: int):
    """The arrays side by side along a new axis, counted from the front."""
    first = arrays[0].shape
    for i, a in enumerate(arrays):
        if a.shape != first:
            raise ShapeError(f"stack: arrays[{i}] is {sig(a)}, arrays[0] is {sig(arrays[0])}")
    return be.stack(arrays, axis)


def _layers(g, arrays_shape, axis):
    before = (slice(None),) * axis
    return [getitem(g, (*before, i)) for i in range(len(arrays_shape))]


_stack.vjp(arrays=_layers)


@spelled
def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """The arrays side by side along a new axis.  N arrays (A, B), 0 -> (N, A, B).  Dtypes are promoted."""
    arrays = _several("stack", arrays)
    return _stack(*arrays, axis=check_axis("stack", axis, arrays[0].ndim + 1))


@named
def hstack(arrays: Sequence[Any]) -> Any:
    """Side by side: along the second axis, vectors along their only one."""
    arrays = [atleast_1d(a) for a in _several("hstack", arrays)]
    return concat(arrays, 0 if arrays[0].ndim == 1 else 1)


@named
def vstack(arrays: Sequence[Any]) -> Any:
    """One below the other: along the first axis, vectors as rows."""
    return concat([atleast_2d(a) for a in _several("vstack", arrays)], 0)


@named
def dstack(arrays: Sequence[Any]) -> Any:
    """One behind the other: along the third axis, after NumPy's atleast_3d."""
    return concat([atleast_3d(a) for a in _several("dstack", arrays)], 2)


@named
def column_stack(arrays: Sequence[Any]) -> Any:
    """Vectors as the columns of a matrix; matrices side by side.  N vectors (M,) -> (M, N)."""
    arrays = [reshape(a, (-1, 1)) if a.ndim < 2 else a for a in _several("column_stack", arrays)]
    return concat(arrays, 1)


# ---- one as several -------------------------------------------------------------------------------------------------
@spelled
def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    """The slices along an axis, without it.  x (N, A, B), 0 -> N arrays (A, B)."""
    if x.ndim == 0:
        raise ShapeError(f"unstack: {sig(x)} has no axes")
    at = check_axis("unstack", axis, x.ndim)
    before = (slice(None),) * at
    return tuple([getitem(x, (*before, i)) for i in range(x.shape[at])])


def _cut(x: Any, cuts: Sequence[int], axis: int) -> tuple[Any, ...]:
    before = (slice(None),) * axis
    ends = [*cuts, x.shape[axis]]
    return tuple([getitem(x, (*before, slice(a, b))) for a, b in zip([0, *cuts], ends, strict=True)])


@spelled
def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Any, ...]:
    """An integer: so many equal parts. A sequence: cuts before these positions. NumPy's meaning in both.

    x (6, A), 3 -> three (2, A);  x (6, A), (1, 4) -> (1, A), (3, A), (2, A). Raises ShapeError when the parts are not
    equal (`array_split` and `chunk` allow that). PyTorch's split names the size of the parts instead.
    """
    at = check_axis("split", axis, x.ndim)
    if not isinstance(indices_or_sections, int):
        return _cut(x, [int(i) for i in indices_or_sections], at)
    n = indices_or_sections
    if n <= 0:
        raise ArgumentError(f"split: into {n} parts")
    if x.shape[at] % n:
        raise ShapeError(
            f"split: axis {axis} of {sig(x)} has size {x.shape[at]}, it does not fall into {n} equal parts",
            hint=f"split(x, {n}) means {n} parts, as in NumPy; parts of size {n}: split(x, range({n}, size, {n}))",
        )
    size = x.shape[at] // n
    return _cut(x, range(size, size * n, size) if size else [0] * (n - 1), at)


@spelled
def array_split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Any, ...]:
    """As `split`, but the first parts may be longer by one.  x (7,), 3 -> (3,), (2,), (2,)."""
    at = check_axis("array_split", axis, x.ndim)
    if not isinstance(indices_or_sections, int):
        return _cut(x, [int(i) for i in indices_or_sections], at)
    n = indices_or_sections
    if n <= 0:
        raise ArgumentError(f"array_split: into {n} parts")
    size, longer = divmod(x.shape[at], n)
    return _cut(x, [i * size + min(i, longer) for i in range(1, n)], at)


@spelled
def chunk(x: Any, chunks: int, axis: int = 0) -> tuple[Any, ...]:
    """At most `chunks` parts of one size; the last may be shorter (as in PyTorch).  x (7,), 3 -> (3,), (3,), (1,)."""
    at = check_axis("chunk", axis, x.ndim)
    if chunks <= 0:
        raise ArgumentError(f"chunk: into {chunks} parts")
    n = x.shape[at]
    size = -(-n // chunks)
    return _cut(x, range(size, n, size) if size else [0] * (chunks - 1), at)


# ---- the same several times -----------------------------------------------------------------------------------------
@spelled
def tile(x: Any, repetitions: int | tuple[int, ...] | list[int]) -> Any:
    """x laid side by side `repetitions` times along each axis.  x (A, B), (2, 3) -> (2*A, 3*B)."""
    times = tuple(repetitions) if isinstance(repetitions, (tuple, list)) else (repetitions,)
    if any(n < 0 for n in times):
        raise ArgumentError(f"tile: {times} repetitions")
    ndim = max(x.ndim, len(times))
    times = (1,) * (ndim - len(times)) + times
    shape = (1,) * (ndim - x.ndim) + x.shape
    apart = [part for n in shape for part in (1, n)]
    spread = [part for t, n in zip(times, shape, strict=True) for part in (t, n)]
    return reshape(broadcast_to(reshape(x, apart), spread), [t * n for t, n in zip(times, shape, strict=True)])


@spelled
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element several times in a row (NumPy's meaning).  x (A, B), 2, 1 -> (A, 2*B).

    `repeats` is an integer, or one integer for every element of the axis; axis=None flattens x first. PyTorch's
    method x.repeat is `tile` here, its repeat_interleave is this function. Raises ShapeError when the numbers of
    repeats and elements differ.
    """
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    try:
        at = check_axis("repeat", axis, x.ndim)
    except AxisError as error:
        error.hint = "PyTorch's x.repeat(2, 3) is tile(x, (2, 3)); repeat(x, n, axis) repeats each element"
        raise
    if not isinstance(repeats, int):
        times = asarray(repeats).tolist()
        if not isinstance(times, list):
            repeats = times
        elif len(times) == 1:
            repeats = times[0]
        else:
            if len(times) != x.shape[at]:
                raise ShapeError(
                    f"repeat: {len(times)} numbers of repeats for the {x.shape[at]} elements along axis {axis}",
                    hint="PyTorch's x.repeat is tile",
                )
            chosen = [i for i, n in enumerate(times) for _ in range(n)]
            return getitem(x, (*(slice(None),) * at, chosen))
    if repeats < 0:
        raise ArgumentError(f"repeat: {repeats} times")
    shape = x.shape
    spread = broadcast_to(
        reshape(x, (*shape[: at + 1], 1, *shape[at + 1 :])), (*shape[: at + 1], repeats, *shape[at + 1 :])
    )
    return reshape(spread, (*shape[:at], shape[at] * repeats, *shape[at + 1 :]))


def meshgrid(*arrays: Any, indexing: str = "xy") -> list[Any]:
    """Coordinates of a grid from those along its axes.  x (N,), y (M,) -> two (M, N); with "ij" two (N, M)."""
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid: indexing {indexing!r}", hint='"xy" (NumPy) or "ij" (matrix order)')
    arrays = tuple([a if hasattr(a, "shape") else asarray(a) for a in arrays])
    for i, a in enumerate(arrays):
        if a.ndim > 1:
            raise ShapeError(f"meshgrid: arrays[{i}] is {sig(a)}, coordinates have one axis")
    order = [1, 0, *range(2, len(arrays))] if indexing == "xy" and len(arrays) > 1 else range(len(arrays))
    sizes = [a.shape[0] if a.ndim else 1 for a in arrays]
    shape = tuple([sizes[i] for i in order])
    found = []
    for i, a in enumerate(arrays):
        places = [1] * len(arrays)
        places[order[i]] = sizes[i]
        found.append(broadcast_to(reshape(a, places), shape))
    return found
