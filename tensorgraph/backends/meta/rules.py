"""The table of rules: what each function of the array library gives for arrays without numbers, by shapes.

The files beside it fill `RULES`; functions.py makes the name space of it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tensorgraph.backends.meta.array import MetaArray, new
from tensorgraph.backends.meta.layout import as_numpy, c_strides, k_strides

__all__ = ["RULES", "like", "rule", "shape_of", "stand_in"]

RULES: dict[str, Callable] = {}
"""name of a function -> its rule"""


def rule(function: Callable) -> Callable:
    """Enters a function in the table."""
    RULES[function.__name__] = function
    return function


def like(x: MetaArray, dtype: Any = None, shape: Any = None) -> MetaArray:
    """A new array of the shape of x, or of another with as many axes, in its order in memory."""
    dtype = x.dtype if dtype is None else np.dtype(dtype)
    if shape is None:
        return new(x.shape, dtype, k_strides(x.shape, [x.lay], dtype.itemsize))
    shape = shape_of(shape)
    if len(shape) != x.ndim or x.flags.c_contiguous:
        return new(shape, dtype)
    order = sorted(range(x.ndim), key=lambda i: -i if x.flags.f_contiguous else -abs(x.strides[i]))
    steps = c_strides([shape[i] for i in order], dtype.itemsize)
    return new(shape, dtype, tuple([steps[order.index(i)] for i in range(x.ndim)]))


def shape_of(shape: Any) -> tuple[int, ...]:
    """A shape from a number or several."""
    return tuple(map(operator.index, shape)) if isinstance(shape, (tuple, list)) else (operator.index(shape),)


def stand_in(value: Any) -> Any:
    """Zeros in the place of an array, given to NumPy where it is to raise its own error."""
    return as_numpy(value.shape, value.dtype) if type(value) is MetaArray else value
