"""Linear systems: inverse, solve, determinant, powers and exponential of matrices.

May import: the engine, elementwise, shape, index, reduce, matmul. Matrices lie in the last two axes, all leading axes
are a batch. Half precision is computed in float32. The front door is `tensorgraph.linalg`.

Rules are written as for holomorphic functions, with plain transposes: the engine conjugates at the boundary.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

from tensorgraph.errors import DtypeError, ShapeError, sig
from tensorgraph.operation import Array, op
from tensorgraph.ops.diagonals import diagonal, tril, triu
from tensorgraph.ops.elementwise import log, where
from tensorgraph.ops.join import concat
from tensorgraph.ops.matmul import as_arrays, matmul, turned
from tensorgraph.ops.shape import moveaxis
from tensorgraph.spelling import spelled

__all__ = [
    "det",
    "expm",
    "inv",
    "logdet",
    "matrix_power",
    "slogdet",
    "solve",
    "solve_triangular",
    "tensorinv",
    "tensorsolve",
]


def check_square(what: str, x: Any) -> None:
    """Raises ShapeError unless x is a matrix, or a batch of matrices, with as many rows as columns."""
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{what}: x is {sig(x)}, needs square matrices (..., n, n)")


# ---- inverse and solve ---------------------------------------------------------------------------------------------
@op
def inv(be, x: Array):
    """Inverse of square matrices.  x (..., n, n) -> (..., n, n).

    To multiply with an inverse, `solve` is faster and more accurate. Raises ShapeError when x is not square,
    LinAlgError when a matrix is singular.
    """
    check_square("inv", x)
    return be.lapack("inv", x)


inv.vjp(x=lambda g, y: -matmul(matmul(turned(y), g), turned(y)))


@op(broadcasts=True)
def solve(be, a: Array, b: Array):
    """The x with a x = b.  a (..., n, n), b (n) or (..., n, k) -> (..., n) or (..., n, k); leading axes broadcast.

    As in NumPy, b is a vector when it has one axis, otherwise matrices. Raises ShapeError when a is not square or b
    does not have n rows, LinAlgError when a matrix is singular.
    """
    _check_system("solve", a, b)
    return be.lapack("solve", a, b)


def _check_system(what: str, a: Any, b: Any) -> None:
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(f"{what}: a is {sig(a)}, needs square matrices (..., n, n)")
    rows = b.shape[-2 if b.ndim > 1 else 0] if b.ndim else 0
    if rows != a.shape[-1]:
        raise ShapeError(f"{what}: a has {a.shape[-1]} rows, b has {rows}")


def _solve_transposed(g, a, b_shape):
    if len(b_shape) == 1:
        return solve(turned(a), g[..., None])[..., 0]
    return solve(turned(a), g)


def _solve_a(g, a, b_shape, y):
    gb = _solve_transposed(g, a, b_shape)
    if len(b_shape) == 1:
        return -gb[..., :, None] * y[..., None, :]
    return -matmul(gb, turned(y))


solve.vjp(a=_solve_a, b=_solve_transposed)


@op(broadcasts=True)
def _solve_triangular(be, a: Array, b: Array, upper: bool, unit: bool):
    """The x with a x = b, a (..., n, n) read in one triangle, with ones on its diagonal if `unit`; b (..., n, k)."""
    return be.lapack("solve_triangular", a, b, upper=upper, unit=unit)


def _solve_triangular_a(g, a, y, upper, unit):
    full = matmul(_solve_triangular(turned(a), g, not upper, unit), turned(y))
    return -(triu(full, int(unit)) if upper else tril(full, -int(unit)))


_solve_triangular.vjp(
    a=_solve_triangular_a, b=lambda g, a, upper, unit: _solve_triangular(turned(a), g, not upper, unit)
)


def solve_triangular(a: Any, b: Any, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    """The x with a x = b for a triangular a.  a (..., n, n), b (..., n, k) or (n) -> the shape of b.

    Only the named triangle of a is read, and with `unitriangular` its diagonal is taken as ones. left=False: the x
    with x a = b, b (..., k, n). Leading axes broadcast. Raises LinAlgError when there is a 0 on the diagonal.
    """
    a, b = as_arrays(a, b)
    if b.ndim == 1:
        y = solve_triangular(a, b[:, None] if left else b[None], upper=upper, left=left, unitriangular=unitriangular)
        return y[..., 0] if left else y[..., 0, :]
    _check_system("solve_triangular", a, b if left or b.ndim < 2 else turned(b))
    if left:
        return _solve_triangular(a, b, upper, unitriangular)
    return turned(_solve_triangular(turned(a), turned(b), not upper, unitriangular))


# ---- determinant ---------------------------------------------------------------------------------------------------
@op
def det(be, x: Array):
    """Determinant of square matrices.  x (..., n, n) -> (...).  1 for n = 0.

    The gradient is that of a polynomial: defined for singular matrices too, to second order. For large matrices, whose
    determinant leaves the range of the dtype, there is `slogdet`.
    """
    check_square("det", x)
    return be.lapack("det", x)


det.vjp(x=lambda g, x: g[..., None, None] * _cofactor(x))


@op
def _cofactor(be, x: Array):
    """Matrix of cofactors: the gradient of the determinant.  x (..., n, n) -> (..., n, n)."""
    return be.lapack("cofactor", x)


_cofactor.vjp(x=lambda g, x: _cofactor_slope(g, x))


@op
def _cofactor_slope(be, direction: Array, x: Array):
    """Gradient of sum(direction * cofactor(x)); symmetric in the direction and the g that it is multiplied with."""
    return be.lapack("cofactor_slope", direction, x)


def _third_slope(g, direction, x):
    """Of invertible matrices only; everything in terms of x^-1, so that all further orders follow."""
    inverse = inv(x)
    p, q = matmul(inverse, g), matmul(inverse, direction)
    trace_p, trace_q = _trace(p), _trace(q)
    pq = matmul(p, q)
    inside = pq + matmul(q, p) - trace_q * p - trace_p * q
    return det(x)[..., None, None] * turned(matmul(inside, inverse) + (trace_p * trace_q - _trace(pq)) * inverse)


def _trace(x):
    return diagonal(x, axis1=-2, axis2=-1).sum(axis=-1)[..., None, None]


_cofactor_slope.vjp(direction=lambda g, x: _cofactor_slope(g, x), x=_third_slope)


class SignLogDet(NamedTuple):
    """What `slogdet` returns."""

    sign: Any
    logabsdet: Any


@op(outputs=("sign", "logabsdet"))
def _slogdet(be, x: Array):
    """Sign of the determinant, and logarithm of its absolute value."""
    check_square("slogdet", x)
    sign, logabsdet = be.lapack("slogdet", x)
    return sign, logabsdet


def _slogdet_rule(gsign, glogabsdet, sign, x):
    g = 0 if glogabsdet is None else glogabsdet[..., None, None]
    if x.dtype.kind == "c" and gsign is not None:
        g = g + 1j * (gsign * sign).imag[..., None, None]
    elif glogabsdet is None:
        return None
    return g * turned(inv(x))


_slogdet.vjp(x=_slogdet_rule)


def slogdet(x: Any) -> SignLogDet:
    """Sign and logarithm of the absolute value of the determinant.  x (..., n, n) -> sign (...), logabsdet (...), real.

    A singular matrix gives 0 and -inf, and a LinAlgError in the backward pass. The sign of a complex matrix is a
    number of modulus 1, and differentiable; that of a real one has gradient 0.
    """
    return SignLogDet(*_slogdet(x))


def logdet(x: Any) -> Any:
    """Logarithm of the determinant.  x (..., n, n) -> (...).  -inf of a singular matrix.

    NaN where the determinant of a real x is negative; complex for a complex x. `slogdet` has the sign apart.
    """
    sign, logabsdet = slogdet(x)
    if sign.dtype.kind == "c":
        return log(sign) + logabsdet
    return where(sign < 0, float("nan"), logabsdet)


# ---- powers --------------------------------------------------------------------------------------------------------
def matrix_power(x: Any, n: int) -> Any:
    """x multiplied n times with itself; a negative n inverts, 0 gives the identity.  x (..., m, m) -> (..., m, m)."""
    (x,) = as_arrays(x)
    check_square("matrix_power", x)
    if not hasattr(n, "__index__"):
        raise DtypeError(f"matrix_power: n is an integer, got {sig(n)}")
    n = operator.index(n)
    if n == 0:
        return _identity_like(x)
    if n < 0:
        x, n = inv(x), -n
    y = None
    while True:  # square and multiply
        if n & 1:
            y = x if y is None else matmul(y, x)
        n >>= 1
        if not n:
            return y
        x = matmul(x, x)


@op
def _identity_like(be, x: Array):
    """The identity, for every matrix of the batch; no gradient."""
    return be.zeros_like(x) + be.eye(x.shape[-1], dtype=x.dtype)


@op
def expm(be, x: Array):
    """Exponential of square matrices, the sum of x^k / k!.  x (..., n, n) -> (..., n, n).

    Source: Higham, SIAM J. Matrix Anal. 2005. The gradient is a block of the exponential of a matrix of twice the size
    (Najfeld & Havel, Adv. Appl. Math. 1995).
    """
    check_square("expm", x)
    return be.lapack("expm", x)


def _expm_rule(g, x):
    n = x.shape[-1]
    t = turned(x)
    block = concat((concat((t, g), axis=-1), concat((t * 0, t), axis=-1)), axis=-2)
    return expm(block)[..., :n, n:]


expm.vjp(x=_expm_rule)


# ---- tensors as matrices -------------------------------------------------------------------------------------------
def tensorinv(x: Any, ind: int = 2) -> Any:
    """The inverse with respect to `tensordot` over the first `ind` axes.  x (A..., B...) -> (B..., A...).

    Raises ShapeError unless the first `ind` axes hold as many elements as the others.
    """
    (x,) = as_arrays(x)
    first, last = x.shape[:ind], x.shape[ind:]
    if not 0 < ind < x.ndim or math.prod(first) != math.prod(last):
        sizes = f"{math.prod(first)} elements, the others {math.prod(last)}"
        raise ShapeError(f"tensorinv: the first {ind} axes of {sig(x)} hold {sizes}")
    return inv(x.reshape((math.prod(first), math.prod(last)))).reshape(last + first)


@spelled
def tensorsolve(a: Any, b: Any, axes: Sequence[int] | None = None) -> Any:
    """The x with tensordot(a, x, x.ndim) = b.  a (B..., X...), b (B...) -> (X...).

    `axes` of a are moved to the end first. Raises ShapeError unless x has as many elements as b.
    """
    a, b = as_arrays(a, b)
    if axes is not None:
        a = moveaxis(a, tuple(axes), tuple(range(a.ndim - len(axes), a.ndim)))
    rest = a.shape[b.ndim :]
    if a.shape[: b.ndim] != b.shape or math.prod(rest) != math.prod(b.shape):
        raise ShapeError(f"tensorsolve: a is {sig(a)}, b {sig(b)}: a needs the axes of b, then as many elements")
    n = math.prod(rest)
    return solve(a.reshape((n, n)), b.reshape((n,))).reshape(rest)
