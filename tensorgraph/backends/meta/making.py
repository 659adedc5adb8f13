"""New arrays, views and joins of arrays without numbers.

Imported by functions.py beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from tensorgraph.backends.meta.array import MetaArray, new, refuse, view
from tensorgraph.backends.meta.layout import as_numpy, k_strides, without_copy
from tensorgraph.backends.meta.rules import RULES, like, rule, shape_of, stand_in
from tensorgraph.errors import sig

__all__ = ["copy", "reshape"]


# ---- new arrays -----------------------------------------------------------------------------------------------------
@rule
def asarray(x: Any, dtype: Any = None, **_: Any) -> MetaArray:
    if type(x) is MetaArray:
        return x if dtype is None or x.dtype == dtype else like(x, dtype)
    host = np.asarray(x, dtype=dtype)
    return new(host.shape, host.dtype)


@rule
def zeros(shape: Any, dtype: Any = float) -> MetaArray:
    return new(shape_of(shape), dtype)


@rule
def full(shape: Any, fill_value: Any, dtype: Any = None) -> MetaArray:
    return new(shape_of(shape), np.asarray(fill_value).dtype if dtype is None else dtype)


@rule
def zeros_like(x: MetaArray, dtype: Any = None, shape: Any = None) -> MetaArray:
    return like(x, dtype, shape)


@rule
def full_like(x: MetaArray, fill_value: Any, dtype: Any = None, shape: Any = None) -> MetaArray:
    return like(x, dtype, shape)


@rule
def arange(*args: Any, dtype: Any = None) -> MetaArray:
    host = np.arange(*args[:3], dtype=dtype) if prod(map(abs, args)) < 1024 else None
    if host is None:
        start, stop, step = (0, *args, 1) if len(args) == 1 else (*args, 1)[:3]
        kind = np.result_type(*(np.asarray(a).dtype for a in args)) if dtype is None else dtype
        return new((max(0, -int(-((stop - start) / step) // 1)),), kind)
    return new(host.shape, host.dtype)


@rule
def eye(n: int, m: int | None = None, k: int = 0, dtype: Any = float) -> MetaArray:
    return new((n, n if m is None else m), dtype)


RULES |= {"array": asarray, "ones": zeros, "empty": zeros, "ones_like": zeros_like, "empty_like": zeros_like}


# ---- shapes ---------------------------------------------------------------------------------------------------------
def _looks(name: str) -> Callable:
    """A function that gives views, which NumPy makes of the array laid over one element."""
    function = getattr(np, name)

    def run(x: MetaArray, *args: Any, **kwargs: Any) -> MetaArray:
        return view(x, function(x.lay, *args, **kwargs))

    return run


for _name in ("broadcast_to", "diagonal", "expand_dims", "flip", "moveaxis", "squeeze", "swapaxes", "transpose"):
    RULES[_name] = _looks(_name)


@rule
def reshape(x: MetaArray, shape: Any, order: str = "C") -> MetaArray:
    target = as_numpy(x.shape, np.int8).size
    shape = shape_of(shape)
    if shape.count(-1) == 1 and (rest := prod(n for n in shape if n != -1)) and not target % rest:
        shape = tuple(target // rest if n == -1 else n for n in shape)
    if prod(shape) != target or min(shape, default=0) < 0:
        if -1 in shape and shape.count(-1) > 1:
            raise ValueError("can only specify one unknown dimension")
        raise ValueError(f"cannot reshape array of size {target} into shape {_tuple(shape)}")
    if shape == x.shape:
        return view(x, x.lay[...])
    lay = without_copy(x.lay, shape)
    return new(shape, x.dtype) if lay is None else view(x, lay)


def _tuple(shape: tuple[int, ...]) -> str:
    return "(" + ",".join(map(str, shape)) + (",)" if len(shape) == 1 else ")")


@rule
def ravel(x: MetaArray) -> MetaArray:
    return reshape(x, (x.size,))


@rule
def copy(x: MetaArray, order: str = "K") -> MetaArray:
    return like(x) if order == "K" else new(x.shape, x.dtype)


@rule
def ascontiguousarray(x: MetaArray) -> MetaArray:
    return x if x.flags.c_contiguous else new(x.shape, x.dtype)


@rule
def astype(x: MetaArray, dtype: Any, order: str = "K", copy: bool = True) -> MetaArray:
    return x if not copy and x.dtype == dtype else like(x, dtype)


@rule
def concatenate(arrays: Sequence[MetaArray], axis: int | None = 0, out: Any = None, dtype: Any = None) -> MetaArray:
    if axis is None:
        arrays, axis = [ravel(a) for a in arrays], 0
    kinds = [a.dtype for a in arrays]
    first, axis = arrays[0], normalize_axis_index(axis, arrays[0].ndim) if arrays else 0
    rest = {a.shape[:axis] + a.shape[axis + 1 :] for a in arrays}
    if len(rest) != 1 or len({a.ndim for a in arrays}) != 1:
        np.concatenate([stand_in(a) for a in arrays], axis)  # its own words
    if out is not None:
        return out
    shape = (*first.shape[:axis], sum(a.shape[axis] for a in arrays), *first.shape[axis + 1 :])
    kind = np.dtype(dtype or np.result_type(*kinds))
    return new(shape, kind, k_strides(shape, [a.lay for a in arrays], kind.itemsize))


@rule
def stack(arrays: Sequence[MetaArray], axis: int = 0) -> MetaArray:
    if len({a.shape for a in arrays}) != 1:
        np.stack([stand_in(a) for a in arrays], axis)
    return concatenate([RULES["expand_dims"](a, axis) for a in arrays], normalize_axis_index(axis, arrays[0].ndim + 1))


@rule
def repeat(x: MetaArray, repeats: Any, axis: int | None = None) -> MetaArray:
    if type(repeats) is MetaArray:
        refuse(f"repeat() wants the numbers of {sig(repeats)}")
    shape = list(x.shape) if axis is not None else [x.size]
    axis = 0 if axis is None else normalize_axis_index(axis, x.ndim)
    shape[axis] = (
        shape[axis] * repeats if isinstance(repeats, int) else int(np.sum(np.broadcast_to(repeats, shape[axis])))
    )
    return new(shape, x.dtype)


@rule
def tile(x: MetaArray, reps: Any) -> MetaArray:
    reps = shape_of(reps)
    n = max(len(reps), x.ndim)
    wide = zip((1,) * (n - len(reps)) + reps, (1,) * (n - x.ndim) + x.shape, strict=True)
    return new([a * b for a, b in wide], x.dtype)


@rule
def meshgrid(*arrays: MetaArray, indexing: str = "xy") -> tuple[MetaArray, ...]:
    sizes = [a.size for a in arrays]
    if indexing == "xy" and len(sizes) > 1:
        sizes[:2] = sizes[1::-1]
    return tuple(new(sizes, a.dtype) for a in arrays)
