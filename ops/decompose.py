"""Factorisations: Cholesky, QR, eigenvalues, singular values.

May import: the engine, elementwise, shape, reduce, matmul, systems. Matrices lie in the last two axes, all leading axes
are a batch. Half precision is computed in float32. The front door is `tensorgraph.linalg`.

The factors are no holomorphic functions of a complex matrix, and their rules are known for gradients in the
conjugated sense. So a rule here conjugates what comes in, and what it returns; for real matrices that does nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tensorgraph.errors import ArgumentError, GraphError, ShapeError, sig
from tensorgraph.operation import Array, op
from tensorgraph.ops.diagonals import diagonal, tril, triu
from tensorgraph.ops.elementwise import where
from tensorgraph.ops.join import concat
from tensorgraph.ops.matmul import as_arrays, matmul, turned
from tensorgraph.ops.systems import check_square, solve, solve_triangular

__all__ = ["cholesky", "eig", "eigh", "eigvals", "eigvalsh", "qr", "svd", "svdvals"]


def conjugate(x: Any) -> Any:
    """Complex x conjugated, real x and None as they are."""
    return x.conj() if x is not None and x.dtype.kind == "c" else x


def adjoint(x: Any) -> Any:
    """The conjugate transpose."""
    return conjugate(turned(x))


def _check_matrix(what: str, x: Any) -> None:
    if x.ndim < 2:
        raise ShapeError(f"{what}: x is {sig(x)}, needs matrices (..., n, m)")


# ---- Cholesky ------------------------------------------------------------------------------------------------------
@op
def _cholesky(be, x: Array):
    """Lower triangular factor of Hermitian positive definite matrices, of which the lower triangle is read."""
    check_square("cholesky", x)
    return be.lapack("cholesky", x)


def _cholesky_rule(g, y):
    back = adjoint(y)
    inside = tril(matmul(back, conjugate(g)))
    inside = (inside + tril(inside, -1)) * 0.5
    half = adjoint(solve_triangular(back, inside, upper=True))
    s = solve_triangular(back, half, upper=True)
    return conjugate((s + adjoint(s)) * 0.5)


_cholesky.vjp(x=_cholesky_rule)


def cholesky(x: Any, *, upper: bool = False) -> Any:
    """Triangular factor L with L L^H = x; with `upper` U with U^H U = x.  x (..., n, n) Hermitian -> (..., n, n).

    Only the named triangle of x is read. The gradient is Hermitian: that of a function of Hermitian matrices. Raises
    LinAlgError when a matrix is not positive definite. Source: Murray, arXiv:1602.07527.
    """
    return adjoint(_cholesky(adjoint(x))) if upper else _cholesky(x)


# ---- QR ------------------------------------------------------------------------------------------------------------
class QR(NamedTuple):
    """What `qr` returns."""

    Q: Any
    R: Any


@op(outputs=("q", "r"))
def _qr(be, x: Array):
    """Reduced factors of matrices with at least as many rows as columns."""
    q, r = be.lapack("qr", x)
    return q, r


def _qr_rule(gq, gr, q, r):
    gq, gr = conjugate(gq), conjugate(gr)
    inside = 0
    if gr is not None:
        inside = matmul(gr, adjoint(r))
    if gq is not None:
        inside = inside - matmul(adjoint(q), gq)
    half = (triu(inside) + triu(inside, 1)) * 0.5
    gx = matmul(q, half + adjoint(half))
    if gq is not None:
        gx = gx + gq
    return conjugate(adjoint(solve_triangular(r, adjoint(gx), upper=True)))


_qr.vjp(x=_qr_rule)


def qr(x: Any, mode: str = "reduced") -> Any:
    """Orthonormal columns Q and upper triangular R with Q R = x.  x (..., n, m) -> Q (..., n, k), R (..., k, m).

    `mode`: "reduced", k = min(n, m); "complete" gives Q (..., n, n), R (..., n, m); "r" only R. The columns that
    "complete" adds to a tall matrix are not determined by x, so there it has no derivative. The derivative needs the
    first k columns to be independent. Source: Walter & Lehmann, arXiv:1009.6112.
    """
    (x,) = as_arrays(x)
    _check_matrix("qr", x)
    n, m = x.shape[-2:]
    if mode not in ("reduced", "complete", "r"):
        raise ArgumentError(f"qr: unknown mode {mode!r}", hint='"reduced", "complete" or "r"')
    if mode == "complete" and n > m:
        if getattr(x, "requires_grad", False):
            raise GraphError(
                f"qr: the last {n - m} columns of a complete Q are not determined by x, and have no derivative",
                hint='mode="reduced", or x.detach()',
            )
        return QR(*_complete_qr(x))
    if n >= m:
        q, r = _qr(x)
    else:  # the rest of a wide matrix follows from Q
        q, r = _qr(x[..., :n])
        r = concat((r, matmul(adjoint(q), x[..., n:])), axis=-1)
    return r if mode == "r" else QR(q, r)


@op(outputs=("q", "r"))
def _complete_qr(be, x: Array):
    """All n columns of Q; not differentiable."""
    q, r = be.lapack("qr", x, mode="complete")
    return q, r


# ---- eigenvalues ---------------------------------------------------------------------------------------------------
class Eigen(NamedTuple):
    """What `eig` and `eigh` return."""

    eigenvalues: Any
    eigenvectors: Any


@op(outputs=("w", "v"))
def _eigh(be, x: Array, lower: bool):
    """Eigenvalues in ascending order, eigenvectors in columns."""
    w, v = be.lapack("eigh", x, UPLO="L" if lower else "U")
    return w, v


def _eigh_rule(gw, gv, w, v):
    if gv is None:
        return conjugate(matmul(v * gw[..., None, :], adjoint(v)))
    inside = matmul(adjoint(v), conjugate(gv)) * _reciprocal_gaps(w)
    y = matmul(v, inside)
    if gw is not None:
        y = y + v * gw[..., None, :]
    return conjugate(matmul(y, adjoint(v)))


def _reciprocal_gaps(w):
    """1 / (w_j - w_i), and 0 where both are equal: there only what turns no vector into the other has a gradient."""
    gaps = w[..., None, :] - w[..., :, None]
    return where(gaps == 0, 0, 1 / where(gaps == 0, 1, gaps))


_eigh.vjp(x=_eigh_rule)


def eigh(x: Any, UPLO: str = "L") -> Eigen:
    """Eigenvalues in ascending order, orthonormal eigenvectors in columns.  x (..., n, n) -> (..., n), (..., n, n).

    x is Hermitian, and only its lower triangle is read (`UPLO="U"`: the upper). Vectors are determined up to a sign
    (complex: a phase), so only what does not depend on it has a derivative; the same holds for the vectors of equal
    eigenvalues, between which no gradient flows. Source: Giles, Collected Matrix Derivative Results, 2008.
    """
    (x,) = as_arrays(x)
    check_square("eigh", x)
    if UPLO not in ("L", "U"):
        raise ArgumentError(f"eigh: unknown UPLO {UPLO!r}", hint='"L" reads the lower triangle, "U" the upper')
    return Eigen(*_eigh(x, UPLO == "L"))


def eigvalsh(x: Any, UPLO: str = "L") -> Any:
    """The eigenvalues of `eigh`; their gradient is finite for equal ones too.  x (..., n, n) Hermitian -> (..., n)."""
    return eigh(x, UPLO).eigenvalues


@op(outputs=("w", "v"))
def _eig(be, x: Array):
    """Eigenvalues and eigenvectors, complex."""
    w, v = be.lapack("eig", x)
    return w + 0j, v + 0j


def _eig_rule(gw, gv, w, v):
    gw, gv, vh = conjugate(gw), conjugate(gv), adjoint(v)
    y = 0 if gw is None else gw[..., :, None] * vh
    if gv is not None:
        inside = matmul(vh, gv)
        length = diagonal(inside, axis1=-2, axis2=-1).real  # of unit vectors it stays
        inside = (inside - matmul(vh, v) * length[..., None, :]) * conjugate(_reciprocal_gaps(w))
        y = y + matmul(inside, vh)
    return conjugate(solve(vh, y))


_eig.vjp(x=_eig_rule)


def eig(x: Any) -> Eigen:
    """Eigenvalues and eigenvectors of length 1 in columns, always complex.  x (..., n, n) -> (..., n), (..., n, n).

    In no particular order. Only what does not depend on the phase of a vector has a derivative, and only where all
    eigenvalues differ. Raises LinAlgError when x holds a NaN. Source: Boeddeker et al., arXiv:1701.00392.
    """
    (x,) = as_arrays(x)
    check_square("eig", x)
    return Eigen(*_eig(x))


def eigvals(x: Any) -> Any:
    """The eigenvalues of `eig`.  x (..., n, n) -> (..., n) complex."""
    (x,) = as_arrays(x)
    check_square("eigvals", x)
    return _eig(x)[0]


# ---- singular values -----------------------------------------------------------------------------------------------
class SVD(NamedTuple):
    """What `svd` returns."""

    U: Any
    S: Any
    Vh: Any


@op(outputs=("u", "s", "vh"))
def _svd(be, x: Array, full_matrices: bool):
    """Singular vectors and values, x = u[..., :k] diag(s) vh[..., :k, :]."""
    u, s, vh = be.lapack("svd", x, full_matrices=full_matrices)
    return u, s, vh


def _svd_rule(gu, gs, gvh, u, s, vh):
    k = s.shape[-1]
    gu, gvh = conjugate(gu), conjugate(gvh)
    u, vh = u[..., :, :k], vh[..., :k, :]
    if gu is None and gvh is None:
        return conjugate(matmul(u * gs[..., None, :], vh))
    squares = s * s
    gaps = _reciprocal_gaps(squares)
    inverse = where(s > 0, 1 / where(s > 0, s, 1), 0)
    inside, beside, below = 0, 0, 0
    if gu is not None:
        gu = gu[..., :, :k]
        turn = matmul(adjoint(u), gu)
        turn = turn - adjoint(turn)
        inside = turn * gaps * s[..., None, :]
        if u.dtype.kind == "c":  # the phase that u and v share
            phase = diagonal(turn, axis1=-2, axis2=-1) * inverse * 0.5
            beside = u * phase[..., None, :]
        if u.shape[-2] > k:
            scaled = gu * inverse[..., None, :]
            beside = beside + scaled - matmul(u, matmul(adjoint(u), scaled))
    if gvh is not None:
        gvh = gvh[..., :k, :]
        turn = matmul(vh, adjoint(gvh))
        inside = inside + s[..., :, None] * (turn - adjoint(turn)) * gaps
        if vh.shape[-1] > k:
            scaled = inverse[..., :, None] * gvh
            below = matmul(u, scaled - matmul(matmul(scaled, adjoint(vh)), vh))
    left = matmul(u, inside) + beside
    if gs is not None:
        left = left + u * gs[..., None, :]
    return conjugate(matmul(left, vh) + below)


_svd.vjp(x=_svd_rule)


def svd(x: Any, full_matrices: bool = True) -> SVD:
    """Singular values in descending order and orthonormal singular vectors with U diag(S) Vh = x.

    x (..., n, m), k = min(n, m) -> U (..., n, n), S (..., k), Vh (..., m, m); with full_matrices=False U (..., n, k),
    Vh (..., k, m). The vectors that the full form adds are not determined by x: no gradient flows from them. A pair of
    vectors is determined up to a common sign (complex: phase), and only what does not depend on it has a derivative;
    between vectors of equal singular values no gradient flows. Raises LinAlgError when x holds a NaN.
    Source: Townsend, Differentiating the Singular Value Decomposition, 2016.
    """
    (x,) = as_arrays(x)
    _check_matrix("svd", x)
    return SVD(*_svd(x, full_matrices))


def svdvals(x: Any) -> Any:
    """Singular values, descending.  x (..., n, m) -> (..., min(n, m)).  The gradient is finite for equal ones too."""
    (x,) = as_arrays(x)
    _check_matrix("svdvals", x)
    return _svd(x, False)[1]
