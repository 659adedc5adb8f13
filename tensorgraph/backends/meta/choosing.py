"""Choosing and ordering elements of arrays without numbers, and what leaves their shape as it is.

Imported by functions.py beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from tensorgraph.backends.meta.array import MetaArray, new, refuse
from tensorgraph.backends.meta.elementwise import Ufunc, broadcast
from tensorgraph.backends.meta.layout import k_strides
from tensorgraph.backends.meta.rules import RULES, like, rule
from tensorgraph.errors import sig

__all__ = ["where"]


# ---- choosing -------------------------------------------------------------------------------------------------------
@rule
def where(condition: Any, *values: Any) -> MetaArray:
    if not values:
        refuse(f"where() wants the numbers of {sig(condition)}")
    a, b = values
    arrays = [v for v in (condition, a, b) if type(v) is MetaArray]
    shape = broadcast(np.where, (condition, a, b), *(v.shape for v in arrays))
    kind = np.result_type(*(v.dtype if hasattr(v, "dtype") else v for v in (a, b)))
    return new(shape, kind, k_strides(shape, [v.lay for v in arrays], kind.itemsize))


@rule
def take(x: MetaArray, indices: Any, axis: int | None = None, **_: Any) -> MetaArray:
    shape = getattr(indices, "shape", None)
    if axis is None:
        return new(np.shape(indices) if shape is None else shape, x.dtype)
    axis = normalize_axis_index(axis, x.ndim)
    return new((*x.shape[:axis], *(np.shape(indices) if shape is None else shape), *x.shape[axis + 1 :]), x.dtype)


@rule
def take_along_axis(x: MetaArray, indices: MetaArray, axis: int) -> MetaArray:
    axis = normalize_axis_index(axis, x.ndim)
    if indices.ndim != x.ndim:
        raise ValueError("`indices` and `arr` must have the same number of dimensions")
    shape = [n if i == axis else max(n, m) for i, (n, m) in enumerate(zip(indices.shape, x.shape, strict=True))]
    for i, (n, m) in enumerate(zip(indices.shape, x.shape, strict=True)):
        if i != axis and n != m and 1 not in (n, m):
            raise IndexError(
                f"shape mismatch: indexing arrays could not be broadcast together with shapes {indices.shape} {x.shape}"
            )
    return new(shape, x.dtype)


@rule
def searchsorted(x: MetaArray, v: Any, side: str = "left", sorter: Any = None) -> MetaArray:
    return new(getattr(v, "shape", ()), np.int64)


@rule
def clip(x: MetaArray, low: Any = None, high: Any = None, out: Any = None) -> MetaArray:
    bounds = [b for b in (low, high) if b is not None]
    y = Ufunc(np.maximum)(x, bounds[0], out=out) if bounds else like(x)
    return y if len(bounds) < 2 else Ufunc(np.minimum)(y, bounds[1], out=y) if type(bounds[1]) is not MetaArray else (
        Ufunc(np.minimum)(y, bounds[1]))  # fmt: skip


# ---- arrays of the same shape ----------------------------------------------------------------------------------------
def _alike(name: str) -> Callable:
    """A function of one array whose result has its shape; the dtype is found on one element."""
    function, kinds = getattr(np, name), {}

    def run(x: MetaArray, *args: Any, **kwargs: Any) -> MetaArray:
        kind = kinds.get(x.dtype)
        if kind is None:
            kind = kinds[x.dtype] = np.asarray(function(np.ones((1, 1), x.dtype))).dtype
        axis = kwargs.get("axis")
        if isinstance(axis, int):
            normalize_axis_index(axis, x.ndim)
        return like(x, kind)

    return run


for _name in (
    "angle",
    "argsort",
    "isneginf",
    "isposinf",
    "nan_to_num",
    "real_if_close",
    "round",
    "sinc",
    "sort",
    "tril",
    "triu",
):
    RULES[_name] = _alike(_name)


@rule
def roll(x: MetaArray, shift: Any, axis: Any = None) -> MetaArray:
    if axis is not None:
        np.broadcast(shift, normalize_axis_tuple(axis, x.ndim, allow_duplicate=True))
    return like(x)


@rule
def argpartition(x: MetaArray, kth: Any, axis: int = -1) -> MetaArray:
    return like(x, np.int64)


@rule
def lexsort(keys: Any, axis: int = -1) -> MetaArray:
    first = keys[0]
    return new(first.shape, np.int64)


@rule
def isclose(a: Any, b: Any, rtol: float = 0, atol: float = 0, equal_nan: bool = False) -> MetaArray:
    return Ufunc(np.equal)(a, b)


@rule
def isin(x: MetaArray, *_: Any, **__: Any) -> MetaArray:
    return like(x, bool)


@rule
def cross(a: MetaArray, b: MetaArray, axis: int = -1) -> MetaArray:
    return Ufunc(np.multiply)(a, b)


@rule
def iscomplexobj(x: Any) -> bool:
    return getattr(x, "dtype", np.asarray(0).dtype).kind == "c"


@rule
def real(x: MetaArray) -> MetaArray:
    return x.real


@rule
def imag(x: MetaArray) -> MetaArray:
    return x.imag


@rule
def shares_memory(a: MetaArray, b: MetaArray, **_: Any) -> bool:
    owners = [x if x.base is None else x.base for x in (a, b)]
    return owners[0] is owners[1] and np.may_share_memory(a.lay, b.lay)
