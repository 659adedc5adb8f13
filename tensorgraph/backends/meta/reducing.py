"""Sums, running results and products of arrays without numbers.

Imported by functions.py beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple
from numpy.lib.stride_tricks import as_strided

from tensorgraph.backends.meta.array import MetaArray, new
from tensorgraph.backends.meta.elementwise import Ufunc, broadcast
from tensorgraph.backends.meta.layout import as_numpy, k_strides
from tensorgraph.backends.meta.rules import RULES, like, rule, stand_in

__all__ = ["matmul"]


# ---- sums and the like ----------------------------------------------------------------------------------------------
def _reduction(name: str) -> Callable:
    function = getattr(np, name)
    kinds: dict[Any, np.dtype] = {}

    def run(x: MetaArray, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> MetaArray:
        if axis is None or (not x.ndim and axis in (0, -1)):
            axes = tuple(range(x.ndim))
        else:
            axes = normalize_axis_tuple(axis, x.ndim, allow_duplicate=True)
            if len(set(axes)) < len(axes):
                raise ValueError("duplicate value in 'axis'")
        if len(axes) == 1 and not x.shape[axes[0]] and name in ("max", "min", "argmax", "argmin"):
            function(as_numpy(x.shape, x.dtype), axis)
        kind = kinds.get((x.dtype, dtype))
        if kind is None:
            one = np.ones(1, x.dtype)
            kind = kinds[x.dtype, dtype] = np.asarray(
                function(one) if dtype is None else function(one, dtype=dtype)
            ).dtype
        shape = tuple([1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes])
        if out is not None:
            return out
        if x.flags.c_contiguous:
            return new(shape, kind)
        strides = tuple([0 if i in axes else s for i, s in enumerate(x.strides) if keepdims or i not in axes])
        return new(shape, kind, k_strides(shape, [as_strided(x.lay, shape, strides)], kind.itemsize))

    return run


for _name in ("all", "any", "argmax", "argmin", "count_nonzero", "max", "mean", "min", "prod", "std", "sum", "var"):
    RULES[_name] = _reduction(_name)


def _running(name: str) -> Callable:
    function = getattr(np, name)

    def run(x: MetaArray, axis: int | None = None, dtype: Any = None, out: Any = None) -> MetaArray:
        one = np.ones(1, x.dtype)
        kind = (function(one) if dtype is None else function(one, dtype=dtype)).dtype
        if axis is None:
            return new((x.size,), kind)
        normalize_axis_index(axis, x.ndim)
        return like(x, kind) if out is None else out

    return run


for _name in ("cumprod", "cumsum"):
    RULES[_name] = _running(_name)


@rule
def trace(x: MetaArray, offset: int = 0, axis1: int = 0, axis2: int = 1) -> MetaArray:
    return RULES["sum"](RULES["diagonal"](x, offset, axis1, axis2), axis=-1)


# ---- products -------------------------------------------------------------------------------------------------------
def _readable(x: MetaArray) -> bool:
    """Whether BLAS reads a matrix in place."""
    if x.ndim < 2:
        return True
    (down, right), size = x.strides[-2:], x.itemsize
    return right == size or down == size or 1 in x.shape[-2:]


@rule
def matmul(a: MetaArray, b: MetaArray, out: Any = None) -> MetaArray:
    if not a.ndim or not b.ndim or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        np.matmul(stand_in(a), stand_in(b))  # its own words
    lead = broadcast(np.matmul, (a, b), a.shape[:-2], b.shape[:-2])
    kind = np.result_type(a.dtype, b.dtype)
    return new((*lead, *a.shape[-2:-1], *(b.shape[-1:] if b.ndim > 1 else ())), kind) if out is None else out


@rule
def dot(a: MetaArray, b: MetaArray, out: Any = None) -> MetaArray:
    if not a.ndim or not b.ndim:
        return Ufunc(np.multiply)(a, b)
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        np.dot(stand_in(a), stand_in(b))
    copies = [new(x.shape, x.dtype) for x in (a, b) if not _readable(x)]  # which BLAS reads instead
    kind = np.result_type(a.dtype, b.dtype)
    y = new((*a.shape[:-1], *b.shape[:-2], *(b.shape[-1:] if b.ndim > 1 else ())), kind)
    del copies
    return y


@rule
def einsum(subscripts: str, *arrays: MetaArray) -> MetaArray:
    given, _, result = subscripts.partition("->")
    sizes: dict[str, int] = {}
    for letters, x in zip(given.split(","), arrays, strict=True):
        if len(letters) != x.ndim or any(sizes.setdefault(c, n) != n for c, n in zip(letters, x.shape, strict=True)):
            np.einsum(subscripts, *map(stand_in, arrays))
    return new([sizes[c] for c in result], np.result_type(*(x.dtype for x in arrays)))
