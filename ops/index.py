"""Indexing: reading at an index and adding into one, in the meaning of NumPy's `x[index]`.

An index may hold integers, slices, None, Ellipsis, and arrays, tensors or lists of integers or booleans. An index
that points outside is an error on every backend. May import: elementwise.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from tensorgraph.operation import Array, op
from tensorgraph.tensor import Tensor

__all__ = ["getitem", "put_add"]

Index: TypeAlias = Any
"""Whatever may stand in the brackets of `x[...]`; a static argument, though tensors may be among its parts."""


@op
def getitem(be, x: Array, index: Index):
    """`x[index]`: basic, advanced, boolean and mixed indexing as in NumPy; a view where the index is basic.

    Where the same element is read twice its gradients add up. Raises OutOfRangeError.
    """
    return be.getitem(x, index)


getitem.vjp(x=lambda g, index, x_shape: put_add(g, index, x_shape))


@op(broadcasts=True)
def put_add(be, values: Array, index: Index, shape: tuple[int, ...]):
    """Zeros of `shape` with `values` added at `index`: the adjoint of `x[index]`.  Repeated indices add up."""
    return be.put_add(values, index, shape)


put_add.vjp(values=lambda g, index: getitem(g, index))


def raw_index(index: Any) -> Any:
    """`index` with arrays in place of tensors."""
    if isinstance(index, tuple):
        return tuple([part.array if isinstance(part, Tensor) else part for part in index])
    return index.array if isinstance(index, Tensor) else index
