"""PyTorch's spelling of what NumPy and the array API call otherwise, where both mean the same. One table, here.

`KEYWORDS` are understood by every operation that has the NumPy keyword; `METHODS` and `FUNCTIONS` are second names
that `ops/methods.py` and the front door attach. Where the two differ in meaning nothing is translated; see
docs/coming-from-pytorch.md.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from tensorgraph.errors import TensorgraphError
from tensorgraph.provenance import name_operands, parameters

KEYWORDS = {
    "axis": ("dim",),
    "axis1": ("dim1",),
    "axis2": ("dim2",),
    "start_axis": ("start_dim",),
    "end_axis": ("end_dim",),
    "axes": ("dims", "dim"),  # the second one in Fourier transforms
    "keepdims": ("keepdim",),
    "method": ("interpolation",),
}

METHODS = {
    "unsqueeze": "expand_dims",
    "movedim": "moveaxis",
    "sub": "subtract",
    "mul": "multiply",
    "div": "divide",
    "neg": "negative",
    "clamp": "clip",
    "arctan": "atan",
    "arcsin": "asin",
    "arccos": "acos",
    "unbind": "unstack",
    "mm": "matmul",
    "eq": "__eq__",
    "ne": "__ne__",
    "lt": "__lt__",
    "le": "__le__",
    "gt": "__gt__",
    "ge": "__ge__",
}

FUNCTIONS = {
    "cat": "concat",
    "concatenate": "concat",
    "unsqueeze": "expand_dims",
    "movedim": "moveaxis",
    "permute": "permute_dims",
    "clamp": "clip",
    "unbind": "unstack",
    "mm": "matmul",
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}

F = TypeVar("F", bound=Callable[..., Any])


def aliases(names: Iterable[str]) -> dict[str, str]:
    """PyTorch's keyword -> ours, for a function with parameters of these names."""
    return {theirs: name for name in names for theirs in KEYWORDS.get(name, ())}


class _Unset:
    def __repr__(self) -> str:
        return "<unset>"


UNSET: Any = _Unset()


def spelled(function: F) -> F:
    """Lets a composite function understand PyTorch's keywords, and its errors show its operands, as operations do."""
    names = parameters(function)
    translate = aliases(names)

    @functools.wraps(function)
    def call(*args, **kwargs):
        if kwargs and not translate.keys().isdisjoint(kwargs):
            kwargs = {translate.get(name, name): value for name, value in kwargs.items()}
        try:
            return function(*args, **kwargs)
        except TensorgraphError as error:
            name_operands(error, names, args, kwargs)
            raise

    return call  # pyright: ignore[reportReturnType]


def named(function: F) -> F:
    """`spelled`, and an error of the operations inside a composite carries the name of the composite."""
    inner, name = spelled(function), function.__name__

    @functools.wraps(function)
    def call(*args, **kwargs):
        try:
            return inner(*args, **kwargs)
        except TensorgraphError as error:
            said, _, what = error.message.partition(": ")
            error.message = f"{name}: {what or said}"
            raise

    return call  # pyright: ignore[reportReturnType]
