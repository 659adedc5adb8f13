"""Operators and methods of `Tensor`: the operations themselves, attached to the class.

An operation is a plain function, so attaching is all it takes: `Tensor.exp = exp` makes `x.exp()`.
Imported by `tensorgraph/__init__.py` after all of ops.
"""

from __future__ import annotations

from tensorgraph.ops import elementwise
from tensorgraph.tensor import Tensor

OPERATORS = {"__add__": elementwise.add, "__mul__": elementwise.mul}


def attach() -> None:
    """Puts operators and methods on `Tensor`."""
    for name, function in OPERATORS.items():
        setattr(Tensor, name, function)
