"""Reading at an index, writing at one, adding into one. What NumPy checks and CuPy does not (it wraps) is checked here.

An index is whatever NumPy takes in `x[...]`, with tensors and lists among its parts. A part of `Backend`; imported by
`backends/array.py` only.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tensorgraph.capturing import current as capturing
from tensorgraph.errors import AxisError, BackendError, DtypeError, OutOfRangeError, ShapeError, sig

FLOAT, HALF = np.dtype("float32"), np.dtype("float16")

_BASIC = {int, slice, type(None), type(Ellipsis)}


class Along:
    """The index that `take_along_axis` stands for: `indices` at `axis`, every position along the other axes."""

    __slots__ = ("indices", "axis")

    def __init__(self, indices: Any, axis: int):
        self.indices, self.axis = indices, axis


class Indexing:
    """Index handling in terms of `xp`. `op` is the operation whose name an error carries."""

    xp: Any
    array_type: type
    checks_bounds = False
    """whether the library itself raises IndexError for an integer array that points outside"""

    def getitem(self, x: Any, index: Any, op: str = "getitem") -> Any:
        """`x[index]`."""
        index, _ = self.as_index(index, x.shape, op)
        try:
            if type(index) is self.array_type and index.dtype.kind == "i" and x.ndim and x.flags.c_contiguous:
                return x.take(index, axis=0)  # the same, faster
            return x[index]
        except IndexError as error:
            raise _clear(op, error, x.shape) from None

    def put(self, x: Any, index: Any, values: Any, op: str = "put") -> tuple[Any, Any]:
        """A copy of x with `values` written at `index`, and which values are in it: a mask, or True for all of them.

        Where an index occurs more than once its last value stays, on every backend.
        """
        index, unique = self.as_index(index, x.shape, op)
        out = x.copy()
        try:
            if unique:
                out[index] = values
                return out, self.xp.asarray(True)
            places = self.places(index, x.shape)
        except IndexError as error:
            raise _clear(op, error, x.shape) from None
        except ValueError:
            raise _unfit(op, values, x[index].shape) from None
        order = self.xp.arange(1, places.size + 1, dtype=np.uint64)  # the only 64 bits that CuPy's maximum.at takes
        latest = self.xp.zeros(x.size, dtype=np.uint64)
        self.xp.maximum.at(latest, places.reshape(-1), order)
        stays = latest[places] == order.reshape(places.shape)
        try:
            values = self.xp.broadcast_to(values, places.shape)
        except ValueError:
            raise _unfit(op, values, places.shape) from None
        out.reshape(-1)[places[stays]] = values[stays]
        return out, stays

    def assign(self, x: Any, index: Any, values: Any, op: str) -> None:
        """`x[index] = values`, in place."""
        index, _ = self.as_index(index, x.shape, op)
        try:
            x[index] = values
        except IndexError as error:
            raise _clear(op, error, x.shape) from None
        except ValueError as error:
            if "read-only" in str(error):
                raise
            raise _unfit(op, values, x[index].shape) from None

    def put_add(self, values: Any, index: Any, shape: tuple[int, ...], op: str = "put_add") -> Any:
        """Zeros of `shape` with `values` added at `index`; what comes to the same place twice is added twice."""
        return self.lay([(values, index)], self.xp.zeros(shape, dtype=values.dtype), empty=True, op=op)

    def lay(self, pieces: list[tuple[Any, Any]], out: Any, empty: bool, op: str = "put_add") -> Any:
        """`out` after the values of every (values, index) were added to it in place; `empty`: it holds zeros only."""
        for values, place in pieces:
            index, unique = self.as_index(place, out.shape, op)
            try:
                if not unique:
                    self._add_up(out, index, values)
                elif empty:
                    out[index] = values
                else:
                    out[index] += values
            except IndexError as error:
                raise _clear(op, error, out.shape) from None
            except ValueError:
                raise _unfit(op, values, out[index].shape) from None
            empty = False
        return out

    def _add_up(self, out: Any, index: Any, values: Any) -> None:
        if out.dtype != HALF:
            self.add_at(out, index, values)
            return
        wide = out.astype(FLOAT)
        self.add_at(wide, index, values.astype(FLOAT))
        out[...] = wide

    def add_at(self, out: Any, index: Any, values: Any) -> None:
        """`out[index] += values` in place, counting every occurrence. `index` comes from `as_index`."""
        self.xp.add.at(out, index, values)

    def places(self, index: Any, shape: tuple[int, ...]) -> Any:
        """Where `x[index]` finds its elements in a flat x of `shape`: integers of the shape of `x[index]`."""
        k = _axes_used(index, len(shape))
        lead, n, inner = shape[:k], 1, 1
        for size in lead:
            n *= size
        for size in shape[k:]:
            inner *= size
        rows = self.xp.arange(n).reshape(lead)[index]
        if k == len(shape):
            return rows
        offsets = self.xp.arange(inner).reshape(shape[k:])
        return rows.reshape(rows.shape + (1,) * (len(shape) - k)) * inner + offsets

    def diagonal_put(self, values: Any, shape: tuple[int, ...], offset: int, axis1: int, axis2: int) -> Any:
        """Zeros of `shape` with the last axis of `values` on a diagonal of the two axes."""
        n, axis1, axis2 = len(shape), axis1 % len(shape), axis2 % len(shape)
        rest = [a for a in range(n) if a not in (axis1, axis2)]
        rows, columns = shape[axis1], shape[axis2]
        out = self.xp.zeros([shape[a] for a in rest] + [rows * columns], dtype=values.dtype)
        start = offset if offset >= 0 else -offset * columns
        count = values.shape[-1]
        if count:
            out[..., start : start + (count - 1) * (columns + 1) + 1 : columns + 1] = values
        order = sorted(range(n), key=[*rest, axis1, axis2].__getitem__)
        return out.reshape([shape[a] for a in rest] + [rows, columns]).transpose(order)

    # ---- what an index is ----------------------------------------------------------------------------------------
    def as_index(self, index: Any, shape: tuple[int, ...], op: str) -> tuple[Any, bool]:
        """`index` as the library takes it, and whether it meets every element at most once."""
        if type(index) in _BASIC:
            return index, True
        if type(index) is Along:
            index = self._along(index, shape, op)
        many = type(index) is tuple
        parts = index if many else (index,)
        for part in parts:
            if type(part) not in _BASIC:
                break
        else:
            return index, True
        parts = tuple([part if type(part) in _BASIC else self._part(part, op) for part in parts])
        arrays = [part for part in parts if type(part) not in _BASIC]
        if not self.checks_bounds:
            self._check_bounds(parts, shape, op)
            if len(arrays) > 1:  # CuPy takes a mask only by itself
                parts = tuple([one for part in parts for one in self._without_mask(part)])
        unique = not arrays or (len(arrays) == 1 and (arrays[0].dtype.kind == "b" or arrays[0].size < 2))
        return (parts if many else parts[0]), unique

    def _along(self, index: Along, shape: tuple[int, ...], op: str) -> tuple:
        indices, n = getattr(index.indices, "array", index.indices), len(shape)
        if indices.ndim != n or indices.dtype.kind not in "iu":
            raise ShapeError(f"{op}: {sig(indices)} must hold integers and have as many axes as the shape {shape}")
        grid = [self.xp.arange(size).reshape((-1,) + (1,) * (n - 1 - d)) for d, size in enumerate(shape)]
        grid[index.axis] = indices
        return tuple(grid)

    def _part(self, part: Any, op: str) -> Any:
        """One part of an index: a tensor or list as an array, NumPy's integers as Python's."""
        part = getattr(part, "array", part)  # a tensor
        if isinstance(part, np.integer):
            return int(part)
        if isinstance(part, (bool, list, tuple, range, np.bool_)):
            part = np.asarray(part) if not isinstance(part, list) or part else np.zeros(0, np.int64)
            part = self.asarray(part)  # pyright: ignore[reportAttributeAccessIssue]
        elif isinstance(part, np.ndarray) and self.array_type is not np.ndarray:
            part = self.asarray(part)  # pyright: ignore[reportAttributeAccessIssue]
        kind = getattr(getattr(part, "dtype", None), "kind", None)
        if kind is None and hasattr(part, "__index__"):
            return part.__index__()
        if kind not in ("i", "u", "b"):
            raise DtypeError(
                f"{op}: {sig(part)} is no index", hint="an index holds integers, booleans, slices, None, ..."
            )
        if type(part) is not self.array_type and not isinstance(part, np.ndarray):
            raise BackendError(
                f"{op}: the index {sig(part)} lives on another device", hint="move it with .to(x.device)"
            )
        return part

    def _check_bounds(self, parts: tuple, shape: tuple[int, ...], op: str) -> None:
        """Raises OutOfRangeError when an array among the parts points outside of `shape`."""
        used = [_axes_of(part) for part in parts]
        axis = 0
        for part, axes in zip(parts, used, strict=True):
            if part is Ellipsis:
                axis += len(shape) - sum(used)
            elif type(part) not in _BASIC and axis + axes <= len(shape):
                if part.dtype.kind == "b":
                    if part.shape != shape[axis : axis + axes]:
                        raise ShapeError(
                            f"{op}: a boolean index {sig(part)} stands at axis {axis} of the shape {shape}"
                        )
                else:
                    self.check_range(part, shape[axis], axis, op)
            axis += axes

    def _without_mask(self, part: Any) -> tuple:
        if type(part) in _BASIC or part.dtype.kind != "b" or not part.ndim:
            return (part,)
        return self.xp.nonzero(part)

    def check_range(self, index: Any, size: int, axis: int, op: str) -> None:
        """Raises OutOfRangeError when an integer of `index` does not point into an axis of `size`.

        In a captured step, which cannot look, it lets all pass.
        """
        if capturing() is not None:
            return
        low, high = self.range_of(index)
        if low < -size or high >= size:
            wrong = high if high >= size else low
            raise OutOfRangeError(
                f"{op}: index {wrong} is out of bounds for axis {axis} with size {size}",
                hint=f"indices are 0 to {size - 1}, or from behind -{size} to -1" if size else "the axis is empty",
            )

    def range_of(self, integers: Any) -> tuple[int, int]:
        """Smallest and largest element, on the host; (0, -1) of nothing."""
        if not integers.size:
            return 0, -1
        return int(self.to_host(integers.min())), int(self.to_host(integers.max()))  # pyright: ignore[reportAttributeAccessIssue]


def _axes_of(part: Any) -> int:
    """How many axes of the array one part of an index stands for; Ellipsis, which takes the rest, counts 0."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if type(part) not in _BASIC and part.dtype.kind == "b" else 1


def _axes_used(index: Any, ndim: int) -> int:
    """The number of leading axes that `index` mentions."""
    parts = index if type(index) is tuple else (index,)
    return ndim if any(part is Ellipsis for part in parts) else sum(map(_axes_of, parts))


def _clear(op: str, error: IndexError, shape: tuple[int, ...]) -> Exception:
    text = str(error)
    if "too many" in text:
        return AxisError(f"{op}: {text}", hint=f"the shape is {shape}")
    if "boolean" in text or "broadcast" in text:
        return ShapeError(f"{op}: {text}")
    if "valid indices" in text or "arrays used as indices" in text:
        return DtypeError(f"{op}: {text}")
    size = re.search(r"for axis \d+ with size ([1-9]\d*)", text)
    hint = f"indices are 0 to {int(size[1]) - 1}, or from behind -{size[1]} to -1" if size else None
    return OutOfRangeError(f"{op}: {text}", hint=hint)


def _unfit(op: str, values: Any, shape: tuple[int, ...]) -> ShapeError:
    return ShapeError(f"{op}: values {sig(values)} do not fit into the place of shape {shape} that the index names")
