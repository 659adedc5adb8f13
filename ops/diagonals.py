"""Diagonals and triangles of matrices.  NumPy's names and meaning, `diag_embed` from PyTorch.

May import: elementwise, index, shape, reduce.
"""

from __future__ import annotations

from typing import Any

from tensorgraph.errors import AxisError, ShapeError, sig
from tensorgraph.operation import Array, op
from tensorgraph.ops.axes import check_axes
from tensorgraph.ops.reduce import sum
from tensorgraph.spelling import named, spelled

__all__ = ["diag", "diag_embed", "diagonal", "trace", "tril", "triu"]


@op
def diagonal(be, x: Array, offset: int = 0, axis1: int = 0, axis2: int = 1):
    """A diagonal of the matrices along two axes, as a new last axis.  x (M, N, ...) -> (..., min(M, N)).  A view.

    `offset` counts diagonals upwards. Raises AxisError when the two axes are the same or do not exist.
    """
    check_axes("diagonal", (axis1, axis2), x.ndim)
    return be.diagonal(x, offset, axis1, axis2)


diagonal.vjp(x=lambda g, x_shape, offset, axis1, axis2: _diagonal_put(g, x_shape, offset, axis1, axis2))


@op
def _diagonal_put(be, values: Array, shape: tuple[int, ...], offset: int, axis1: int, axis2: int):
    """Zeros of `shape` with the last axis of `values` on a diagonal: the adjoint of `diagonal`."""
    return be.diagonal_put(values, shape, offset, axis1, axis2)


_diagonal_put.vjp(values=lambda g, offset, axis1, axis2: diagonal(g, offset, axis1, axis2))


@spelled
def diag_embed(x: Any, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Any:
    """Matrices with the last axis of x on a diagonal, zeros elsewhere.  x (..., N) -> (..., M, M), M = N + |offset|."""
    if x.ndim == 0:
        raise ShapeError(f"diag_embed: {sig(x)} has no axes")
    axis1, axis2 = check_axes("diag_embed", (axis1, axis2), x.ndim + 1)
    n = x.shape[-1] + abs(offset)
    sizes = iter(x.shape[:-1])
    shape = tuple([n if a in (axis1, axis2) else next(sizes) for a in range(x.ndim + 1)])
    return _diagonal_put(x, shape, offset, axis1, axis2)


@spelled
def diag(x: Any, k: int = 0) -> Any:
    """A matrix with the vector x on its k-th diagonal, or that diagonal of a matrix x.

    x (N,) -> (N + |k|, N + |k|);  x (M, N) -> (min(M, N),), less with k.
    """
    if x.ndim not in (1, 2):
        raise ShapeError(
            f"diag: {sig(x)} is neither a vector nor a matrix", hint="diagonal and diag_embed work on batches"
        )
    return diagonal(x, k) if x.ndim == 2 else diag_embed(x, k)


@named
def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    """Sum along a diagonal of the matrices along two axes.  x (M, N, ...) -> (...)."""
    return sum(diagonal(x, offset, axis1, axis2), -1, dtype=dtype)


def _matrices(name: str, x: Any) -> Any:
    if x.ndim < 2:
        raise AxisError(f"{name}: {sig(x)} has fewer than two axes, a matrix is needed")
    return x


@op
def tril(be, x: Array, k: int = 0):
    """Matrices with zeros above the k-th diagonal.  x (..., M, N) -> (..., M, N)."""
    return be.tril(_matrices("tril", x), k)


tril.vjp(x=lambda g, k: tril(g, k))


@op
def triu(be, x: Array, k: int = 0):
    """Matrices with zeros below the k-th diagonal.  x (..., M, N) -> (..., M, N)."""
    return be.triu(_matrices("triu", x), k)


triu.vjp(x=lambda g, k: triu(g, k))
