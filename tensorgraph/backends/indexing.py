"""Reading at an index and adding into one. What NumPy checks and CuPy does not (it wraps around) is checked here.

A part of `Backend`; imported by `backends/array.py` only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph.errors import DtypeError, OutOfRangeError, ShapeError, sig

_BASIC = {int, slice, type(None), type(Ellipsis)}


class Indexing:
    """Index handling in terms of `xp`; an index is whatever NumPy takes, with tensors among its parts."""

    xp: Any
    checks_bounds = False
    """whether the library itself raises IndexError for an integer array that points outside"""

    def getitem(self, x: Any, index: Any) -> Any:
        """`x[index]`; raises OutOfRangeError."""
        index, _ = self.as_index(index, x.shape)
        try:
            return x[index]
        except IndexError as error:
            raise _clear(error, x.shape) from None

    def put(self, x: Any, index: Any, values: Any) -> Any:
        """A copy of x with `values` written at `index`."""
        index, _ = self.as_index(index, x.shape)
        out = x.copy()
        try:
            out[index] = values
        except IndexError as error:
            raise _clear(error, x.shape) from None
        return out

    def put_add(self, values: Any, index: Any, shape: tuple[int, ...]) -> Any:
        """Zeros of `shape` with `values` added at `index`; what comes to the same place twice is added twice."""
        out = self.xp.zeros(shape, dtype=values.dtype)
        index, unique = self.as_index(index, shape)
        try:
            if unique:
                out[index] = values
            else:
                self.add_at(out, index, values)
        except IndexError as error:
            raise _clear(error, shape) from None
        return out

    def add_at(self, out: Any, index: Any, values: Any) -> None:
        """`out[index] += values` in place, counting every occurrence. `index` comes from `as_index`."""
        self.xp.add.at(out, index, values)

    # ---- what an index is ----------------------------------------------------------------------------------------
    def as_index(self, index: Any, shape: tuple[int, ...]) -> tuple[Any, bool]:
        """`index` as the library takes it, and whether it meets every element at most once."""
        if type(index) in _BASIC:
            return index, True
        many = type(index) is tuple
        parts = index if many else (index,)
        for part in parts:
            if type(part) not in _BASIC:
                break
        else:
            return index, True
        parts = tuple([part if type(part) in _BASIC else self._part(part) for part in parts])
        arrays = [part for part in parts if type(part) not in _BASIC]
        if not self.checks_bounds:
            self._check_bounds(parts, shape)
        unique = not arrays or (len(arrays) == 1 and (arrays[0].dtype.kind == "b" or arrays[0].size < 2))
        return (parts if many else parts[0]), unique

    def _part(self, part: Any) -> Any:
        """One part of an index: a tensor or list as an array, NumPy's scalars as Python's."""
        part = getattr(part, "array", part)  # a tensor
        if isinstance(part, slice):
            return part
        if isinstance(part, np.bool_):
            part = bool(part)
        if isinstance(part, np.integer):
            return int(part)
        if isinstance(part, (bool, list, tuple, range, np.ndarray)):
            part = np.asarray(part)
            part = self.asarray(part if part.size or part.dtype.kind in "iub" else part.astype(np.int64))  # pyright: ignore[reportAttributeAccessIssue]
        kind = getattr(getattr(part, "dtype", None), "kind", None)
        if kind is None and hasattr(part, "__index__"):
            return part.__index__()
        if kind not in ("i", "u", "b"):
            raise DtypeError(f"{sig(part)} is no index", hint="an index holds integers, booleans, slices, None or ...")
        return part

    def _check_bounds(self, parts: tuple, shape: tuple[int, ...]) -> None:
        """Raises OutOfRangeError when an array among the parts points outside of `shape`."""
        used = [0 if p is None else p.ndim if p.__class__ not in _BASIC and p.dtype.kind == "b" else 1 for p in parts]
        axis = 0
        for part, axes in zip(parts, used, strict=True):
            if part is Ellipsis:
                axis += len(shape) - (sum(used) - 1)
                continue
            if type(part) not in _BASIC and axis + axes <= len(shape):
                if part.dtype.kind == "b":
                    if part.shape != shape[axis : axis + axes]:
                        raise ShapeError(
                            f"a boolean index {sig(part)} stands at axis {axis} of {shape}", hint="their sizes must agree"
                        )
                else:
                    self.check_range(part, shape[axis], axis)
            axis += axes

    def check_range(self, index: Any, size: int, axis: int) -> None:
        """Raises OutOfRangeError when an integer of `index` does not point into an axis of `size`."""
        if not index.size:
            return
        low, high = self.to_host(index.min()), self.to_host(index.max())  # pyright: ignore[reportAttributeAccessIssue]
        if low < -size or high >= size:
            worst = int(high) if high >= size else int(low)
            raise OutOfRangeError(f"index {worst} is out of bounds for axis {axis} with size {size}")


def _clear(error: IndexError, shape: tuple[int, ...]) -> Exception:
    text = str(error)
    if "boolean" in text or "broadcast" in text:
        return ShapeError(text)
    if "too many" in text:
        return ShapeError(text, hint=f"the shape is {shape}")
    if "valid indices" in text or "arrays used as indices" in text:
        return DtypeError(text)
    return OutOfRangeError(text)
