"""What rests on singular values: matrix norms, rank, condition, pseudo-inverse, least squares.

May import: the engine, elementwise, reduce, shape, matmul, systems, decompose. Matrices lie in the last two axes unless
`axis` says otherwise. The front door is `tensorgraph.linalg`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tensorgraph.errors import ArgumentError, ShapeError, sig
from tensorgraph.operation import Array, op
from tensorgraph.ops.axes import Axis, check_axes
from tensorgraph.ops.decompose import adjoint, conjugate, eigvalsh, svdvals
from tensorgraph.ops.elementwise import abs as abs_
from tensorgraph.ops.elementwise import where
from tensorgraph.ops.matmul import as_arrays, matmul
from tensorgraph.ops.reduce import count_nonzero, vector_norm
from tensorgraph.ops.reduce import max as max_
from tensorgraph.ops.reduce import min as min_
from tensorgraph.ops.reduce import sum as sum_
from tensorgraph.ops.shape import expand_dims, moveaxis
from tensorgraph.ops.systems import check_square, inv
from tensorgraph.spelling import spelled

__all__ = ["cond", "lstsq", "matrix_norm", "matrix_rank", "norm", "pinv"]


# ---- norms ---------------------------------------------------------------------------------------------------------
@spelled
def norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    """NumPy's norm: of vectors when `axis` is one axis, of matrices when it is two.  x (...) -> without these axes.

    Without `axis` and `ord`: the 2-norm of all elements. Without `axis`, `ord` given: x must have one axis or two.
    """
    (x,) = as_arrays(x)
    if axis is None:
        if ord is None:
            return vector_norm(x, 2, None, keepdims)
        if x.ndim not in (1, 2):
            raise ShapeError(
                f"norm: ord={ord!r} of {sig(x)}, which is neither a vector nor a matrix", hint="name the axis, or two"
            )
    axes = check_axes("norm", axis, x.ndim)
    if len(axes) == 1:
        if isinstance(ord, str):
            raise ArgumentError(f"norm: ord={ord!r} is a norm of matrices, axis={axis!r} names vectors")
        return vector_norm(x, 2 if ord is None else ord, axes[0], keepdims)
    if len(axes) != 2:
        raise ShapeError(f"norm: axis={axis!r}: one axis is a vector, two are a matrix")
    return matrix_norm(x, "fro" if ord is None else ord, axes, keepdims)


@spelled
def matrix_norm(x: Any, ord: Any = "fro", axis: Axis = (-2, -1), keepdims: bool = False) -> Any:
    """Norm of matrices.  x (..., n, m) -> (...); `axis` says which two axes hold rows and columns.

    `ord`: "fro" root of the sum of squares; "nuc" sum of the singular values; 2, -2 largest, smallest singular value;
    1, -1 largest, smallest column sum of absolute values; inf, -inf row sum. Ties share the gradient evenly.
    """
    (x,) = as_arrays(x)
    axes = check_axes("matrix_norm", axis, x.ndim)
    if len(axes) != 2:
        raise ShapeError(f"matrix_norm: axis={axis!r} of {sig(x)}: a matrix has two axes")
    if ord == "fro":
        return vector_norm(x, 2, axes, keepdims)
    x = moveaxis(x, axes, (-2, -1))
    if ord == "nuc":
        y = sum_(svdvals(x), axis=-1)
    elif ord in (2, -2):
        y = (max_ if ord > 0 else min_)(svdvals(x), axis=-1)
    elif ord in (1, -1):
        y = (max_ if ord > 0 else min_)(sum_(abs_(x), axis=-2), axis=-1)
    elif ord in (np.inf, -np.inf):
        y = (max_ if ord > 0 else min_)(sum_(abs_(x), axis=-1), axis=-1)
    else:
        raise ArgumentError(f"matrix_norm: unknown ord {ord!r}", hint='"fro", "nuc", 1, -1, 2, -2, inf or -inf')
    return expand_dims(y, axes) if keepdims else y


def cond(x: Any, p: Any = None) -> Any:
    """Condition number norm(x, p) * norm(x^-1, p); p as in `matrix_norm`.  x (..., n, n) -> (...).

    With p None, 2 or -2 x need not be square, and a singular one gives inf. Otherwise it raises LinAlgError.
    """
    (x,) = as_arrays(x)
    if p in (None, 2, -2):
        s = svdvals(x)
        if not s.shape[-1]:
            raise ShapeError(f"cond: {sig(x)} is empty")
        large, small = (s[..., -1], s[..., 0]) if p == -2 else (s[..., 0], s[..., -1])
        return where(small == 0, np.inf, large / where(small == 0, 1, small))
    check_square("cond", x)
    return matrix_norm(x, p) * matrix_norm(inv(x), p)


def _tolerances(x: Any, rtol: Any, atol: Any) -> tuple[Any, Any]:
    """Singular values up to `atol`, and up to the share `rtol` of the largest one, count as 0."""
    if rtol is None:
        if atol is not None and (hasattr(atol, "shape") or atol > 0):
            return 0.0, atol
        rtol = max(x.shape[-2:]) * float(np.finfo(x.dtype).eps if x.dtype.kind in "fc" else np.finfo("float32").eps)
    return rtol, 0.0 if atol is None else atol


def matrix_rank(x: Any, *, rtol: Any = None, atol: Any = None, hermitian: bool = False) -> Any:
    """How many singular values exceed both `rtol` times the largest and `atol`.  x (..., n, m) -> (...) int64.

    rtol, atol: numbers, or (...) one for each matrix; unless said max(n, m) times the precision of the dtype, and 0
    (with an `atol` alone, rtol is 0). `hermitian`: x equals its conjugate transpose, which is faster. A vector or a
    number has rank 1, or 0 when it is all zeros.
    """
    (x,) = as_arrays(x)
    if x.ndim < 2:
        x = x.reshape((1, math.prod(x.shape)))
    elif hermitian:
        check_square("matrix_rank", x)
    s = abs_(eigvalsh(x)) if hermitian and x.shape[-2] == x.shape[-1] else svdvals(x)
    if not s.shape[-1]:
        return count_nonzero(s, axis=-1)
    rtol, atol = (t[..., None] if getattr(t, "ndim", 0) else t for t in _tolerances(x, rtol, atol))
    return count_nonzero((s > max_(s, axis=-1, keepdims=True) * rtol) & (s > atol), axis=-1)


# ---- pseudo-inverse ------------------------------------------------------------------------------------------------
@op
def _pinv(be, x: Array, rtol: Array, atol: Array, hermitian: bool):
    """Moore-Penrose inverse; singular values up to atol or rtol times the largest count as 0."""
    return be.lapack("pinv", x, rtol=rtol, atol=atol, hermitian=hermitian)


def _pinv_rule(g, x, y):
    gh, yh = adjoint(conjugate(g)), adjoint(y)
    if x.shape[-2] <= x.shape[-1]:
        k = matmul(gh, y)
        kyh = matmul(k, yh)
        gx = kyh - adjoint(matmul(y, k)) - matmul(matmul(x, y), kyh) + matmul(matmul(yh, y), gh - matmul(k, x))
    else:
        k = matmul(y, gh)
        yhk = matmul(yh, k)
        gx = yhk - adjoint(matmul(k, y)) + matmul(matmul(gh - matmul(x, k), y), yh) - matmul(matmul(yhk, y), x)
    return conjugate(gx)


_pinv.vjp(x=_pinv_rule)


def pinv(x: Any, rtol: Any = None, *, atol: Any = None, hermitian: bool = False) -> Any:
    """Moore-Penrose pseudo-inverse.  x (..., n, m) -> (..., m, n).

    Singular values up to `rtol` times the largest, or up to `atol`, count as 0; both as in `matrix_rank`. With
    `hermitian` x stands for the mean of itself and its conjugate transpose, which is faster. The derivative is that
    within the matrices of the same rank. Source: Golub & Pereyra, SIAM J. Numer. Anal. 1973.
    """
    (x,) = as_arrays(x)
    if x.ndim < 2:
        raise ShapeError(f"pinv: x is {sig(x)}, needs matrices (..., n, m)")
    if hermitian:
        check_square("pinv", x)
        x = (x + adjoint(x)) * 0.5
    return _pinv(x, *_tolerances(x, rtol, atol), hermitian)


class LeastSquares(NamedTuple):
    """What `lstsq` returns."""

    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


def lstsq(a: Any, b: Any, rcond: float | None = None) -> LeastSquares:
    """The x with the smallest |a x - b|, the shortest one of several.  a (..., n, m), b (..., n, k) -> x (..., m, k).

    b may be a vector (n), then x is (..., m). Returns (solution, residuals, rank, singular_values): sums of squares of
    a x - b per column (none, as in NumPy, unless n > m), the rank of a, its singular values. `rcond` is the `rtol` of
    `pinv`.
    """
    a, b = as_arrays(a, b)
    vector = b.ndim == 1
    columns = b[:, None] if vector else b
    if a.ndim < 2 or columns.ndim < 2 or a.shape[-2] != columns.shape[-2]:
        raise ShapeError(f"lstsq: a is {sig(a)}, b {sig(b)}: needs (..., n, m) and (n) or (..., n, k)")
    x = matmul(pinv(a, rcond), columns)
    residuals = sum_(abs_(matmul(a, x) - columns) ** 2, axis=-2)
    if a.shape[-2] <= a.shape[-1]:
        residuals = residuals[..., :0]
    return LeastSquares(x[..., 0] if vector else x, residuals, matrix_rank(a, rtol=rcond), svdvals(a))
