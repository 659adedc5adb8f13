"""Indexing: reading at an index, writing at one as a value, adding into one; in the meaning of NumPy's `x[index]`.

An index may hold integers, slices, None, Ellipsis, and arrays, tensors or lists of integers or booleans. One that
points outside is an error on every backend. Named forms (take, gather, scatter, ...) are in gathering.py.
May import: elementwise.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from tensorgraph.operation import Array, op
from tensorgraph.ops.elementwise import where
from tensorgraph.pieces import Pieces
from tensorgraph.tensor import Tensor

__all__ = ["getitem", "index_put", "put", "put_add"]

Index: TypeAlias = Any
"""Whatever may stand in the brackets of `x[...]`; a static argument, though tensors may be among its parts."""


@op
def getitem(be, x: Array, index: Index):
    """`x[index]`: basic, advanced, boolean and mixed indexing as in NumPy; a view where the index is basic.

    Where an element is read twice its gradients add up. Raises OutOfRangeError, AxisError (more indices than axes),
    ShapeError (index arrays that do not broadcast, a boolean index of the wrong shape), DtypeError (no index at all).
    """
    return be.getitem(x, index)


def _getitem_rule(g, index, x_shape):
    return put_add(g, index, x_shape) if isinstance(g, Tensor) else Pieces(g, index, x_shape)


getitem.vjp(x=_getitem_rule)


@op(broadcasts=True)
def put_add(be, values: Array, index: Index, shape: tuple[int, ...]):
    """Zeros of `shape` with `values` added at `index`: the adjoint of `x[index]`.  values -> shape.

    Values broadcast to the shape of `x[index]`; where an index occurs twice both values are added. Raises as getitem.
    """
    return be.put_add(be.asarray(values), index, shape)


put_add.vjp(values=lambda g, index: getitem(g, index))


@op(broadcasts=True, aux=("stays",))
def _put(be, x: Array, values: Array, index: Index):
    """x with `values` at `index`, and the mask of the values that are there to stay."""
    return be.put(x, index, values)


def _values_rule(g, index, stays, values_shape):
    gv = where(stays, getitem(g, index), 0)
    missing = len(values_shape) - gv.ndim  # NumPy lets values have leading axes of size 1 that x[index] lacks
    return gv.reshape((1,) * missing + gv.shape) if missing > 0 else gv


_put.vjp(x=lambda g, index: put(g, index, 0), values=_values_rule)


def put(x: Any, index: Index, values: Any) -> Any:
    """x with `x[index] = values` done to a copy: the way to write that stays in the graph.  x (...) -> (...).

    `values` broadcast to the shape of `x[index]`. Where an index occurs more than once its last value stays, and only
    that one gets a gradient. (NumPy's function `put` counts places in the flattened array: put(x.ravel(), i, v).)
    Raises as getitem, and ShapeError when the values do not fit.
    """
    return _put(x, values, index)[0]


def index_put(x: Any, indices: Index, values: Any, accumulate: bool = False) -> Any:
    """PyTorch's name for `put`; with `accumulate=True` the values are added to what is there."""
    return x + put_add(values, indices, x.shape) if accumulate else put(x, indices, values)
