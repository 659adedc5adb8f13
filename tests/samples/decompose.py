"""Factorisations. What is determined up to a sign or phase is tested through what does not depend on it."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, Complex, E, Given, S


def mT(x):
    return np.swapaxes(x, -1, -2)


def H(x):
    """Conjugate transpose of a tensor."""
    return tg.matrix_transpose(x).conj()


def hermitian(x):
    return x + H(x)


def positive(x):
    """Hermitian and positive definite."""
    return tg.matmul(x, H(x)) + tg.eye(x.shape[-1], device=x.device).astype(x.dtype)


def ref_cholesky(x):
    return np.linalg.cholesky(x @ mT(x).conj() + np.eye(x.shape[-1]))


def gram_schmidt(x):
    """Q and R, with the diagonal of R positive."""
    q = np.zeros_like(x)
    for i in range(x.shape[-1]):
        v = x[..., i] - (q * (mT(q).conj() @ x[..., i : i + 1])[..., None, :, 0]).sum(-1)
        q[..., i] = v / np.linalg.norm(v, axis=-1, keepdims=True)
    return q, mT(q).conj() @ x


def signs(r):
    """The diagonal of R as factors of modulus 1."""
    d = tg.linalg.diagonal(r)
    return d / abs(d)


def qr(x):
    """`linalg.qr` with the diagonal of R made positive."""
    q, r = tg.linalg.qr(x)
    sign = signs(r)
    return q * sign[..., None, :], r * sign.conj()[..., :, None]


def wide_qr(x):
    q, _ = gram_schmidt(x[..., : x.shape[-2]])
    return q, mT(q).conj() @ x


def eigh(x, **kw):
    """Eigenvalues, and per eigenvalue the projection onto its vector."""
    w, v = tg.linalg.eigh(hermitian(x), **kw)
    return w, tg.einsum("...ik,...jk->...kij", v, v.conj())


def ref_eigh(x, **kw):
    w, v = np.linalg.eigh(x + mT(x).conj())
    return w, np.einsum("...ik,...jk->...kij", v, v.conj())


def cubed(x):
    """The third power by way of eigenvalues, whose order and phases it does not depend on."""
    w, v = tg.linalg.eig(x)
    return tg.matmul(v * (w**3)[..., None, :], tg.linalg.inv(v))


def svd(x, full_matrices=False):
    """Singular values, and per value the product of its two vectors, and the projections onto them."""
    u, s, vh = tg.linalg.svd(x, full_matrices)
    k = s.shape[-1]
    u, vh = u[..., :k], vh[..., :k, :]
    return (
        s,
        tg.einsum("...ik,...kj->...kij", u, vh),
        tg.einsum("...ik,...jk->...kij", u, u.conj()),
        tg.einsum("...ki,...kj->...kij", vh, vh.conj()),
    )


def ref_svd(x, full_matrices=False):
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    return (
        s,
        np.einsum("...ik,...kj->...kij", u, vh),
        np.einsum("...ik,...jk->...kij", u, u.conj()),
        np.einsum("...ki,...kj->...kij", vh, vh.conj()),
    )


def singular_values(x):
    x = x if x.shape[-2] <= x.shape[-1] else mT(x)
    return np.sqrt(np.linalg.eigvalsh(x @ mT(x).conj())[..., ::-1])


SAMPLES = [
    S("linalg.cholesky", A(3, 3), f=lambda x: tg.linalg.cholesky(positive(x)), ref=ref_cholesky),
    S("linalg.cholesky", A(2, 2, 2), f=lambda x: tg.linalg.cholesky(positive(x), upper=True),
      ref=lambda x: mT(ref_cholesky(x))),
    S("linalg.cholesky", Complex(3, 3), f=lambda x: tg.linalg.cholesky(positive(x)), ref=ref_cholesky),
    S("linalg.cholesky", Complex(2, 2), f=lambda x: tg.linalg.cholesky(positive(x), upper=True),
      ref=lambda x: mT(ref_cholesky(x)).conj()),
    S("linalg.cholesky", Given([[4.0, 9.0], [2.0, 5.0]], differentiable=False), ref=np.linalg.cholesky, grad=False),
    S("linalg.cholesky", Given([[4.0, 2.0], [9.0, 5.0]], differentiable=False), kw=dict(upper=True),
      ref=lambda x, upper: mT(np.linalg.cholesky(mT(x))), grad=False),
    S("linalg.cholesky", A(0, 0), ref=np.linalg.cholesky),
    S("linalg.qr", A(3, 3), f=qr, ref=gram_schmidt, tol=2),
    S("linalg.qr", A(2, 4, 2), f=qr, ref=gram_schmidt, tol=2),
    S("linalg.qr", A(2, 4), f=qr, ref=wide_qr, tol=2),
    S("linalg.qr", Complex(3, 2), f=qr, ref=gram_schmidt),
    S("linalg.qr", A(3, 2), f=lambda x: abs(tg.linalg.qr(x, mode="r")), ref=lambda x: abs(gram_schmidt(x)[1]), tol=2),
    S("linalg.qr", A(3, 2), f=lambda x: tg.matmul(*tg.linalg.qr(x.detach(), mode="complete")), ref=np.array,
      grad=False),
    S("linalg.eigh", A(3, 3), f=eigh, ref=ref_eigh),
    S("linalg.eigh", A(2, 2, 2), kw=dict(UPLO="U"), f=eigh, ref=ref_eigh),
    S("linalg.eigh", Complex(3, 3), f=eigh, ref=ref_eigh),
    S("linalg.eigvalsh", A(3, 3), f=lambda x: tg.linalg.eigvalsh(hermitian(x)),
      ref=lambda x: np.linalg.eigvalsh(x + mT(x))),
    S("linalg.eigvalsh", Given([[1.0, 7.0], [2.0, 3.0]], differentiable=False), ref=np.linalg.eigvalsh, grad=False),
    S("linalg.eigvalsh", Given([[1.0, 2.0], [7.0, 3.0]], differentiable=False), "U", ref=np.linalg.eigvalsh,
      grad=False),
    S("linalg.eig", A(3, 3), f=cubed, ref=lambda x: x @ x @ x + 0j, tol=10),
    S("linalg.eig", Complex(2, 2, 2), f=cubed, ref=lambda x: x @ x @ x, tol=10),
    S("linalg.eig", A(3, 3), f=lambda x: tg.linalg.norm(tg.linalg.eig(x).eigenvectors, axis=-2),
      ref=lambda x: np.ones(3),
      grad=False, why="the length is 1 whatever x is", dtypes=("float32", "float64")),
    S("linalg.eigvals", A(3, 3), f=lambda x: (tg.linalg.eigvals(x) ** 3).sum(),
      ref=lambda x: np.trace(x @ x @ x) + 0j, tol=10),
    S("linalg.svd", A(3, 3), f=svd, ref=ref_svd),
    S("linalg.svd", A(2, 4, 2), f=svd, ref=ref_svd),
    S("linalg.svd", A(2, 3), f=svd, ref=ref_svd),
    S("linalg.svd", A(4, 2), kw=dict(full_matrices=True), f=svd, ref=ref_svd),
    S("linalg.svd", A(2, 3), kw=dict(full_matrices=True), f=svd, ref=ref_svd),
    S("linalg.svd", Complex(3, 2), f=svd, ref=ref_svd),
    S("linalg.svd", A(2, 3), f=lambda x: abs(tg.linalg.svd(x).U), ref=lambda x: abs(np.linalg.svd(x)[0])),
    S("linalg.svd", A(3, 2), f=lambda x: abs(tg.linalg.svd(x, full_matrices=False).Vh),
      ref=lambda x: abs(np.linalg.svd(x)[2])),
    S("linalg.svdvals", A(3, 2), ref=singular_values, tol=10),
    S("linalg.svdvals", Complex(2, 2, 3), ref=singular_values, tol=10),
    S("linalg.svdvals", Given(np.eye(3)), f=lambda x: tg.linalg.svdvals(x).sum(),
      ref=lambda x: np.array(3.0), second=False,
      why="the sum of equal singular values is smooth, but between their vectors no gradient flows"),
]  # fmt: skip

ERRORS = [
    E("linalg.cholesky", A(2, 3), error=tg.ShapeError, match="needs square matrices"),
    E("linalg.cholesky", Given([[1.0, 2.0], [2.0, 1.0]]), error=tg.LinAlgError,
      match="a matrix is not positive definite"),
    E("linalg.qr", A(3), error=tg.ShapeError, match=r"needs matrices \(..., n, m\)"),
    E("linalg.qr", A(3, 2), "full", error=tg.ArgumentError, match="(?s)unknown mode 'full'.*reduced"),
    E("linalg.qr", A(3, 2), "complete", f=lambda x, mode: tg.linalg.qr(x.requires_grad_(), mode), error=tg.GraphError,
      match="have no derivative"),
    E("linalg.eigh", A(2, 3), error=tg.ShapeError, match="needs square matrices"),
    E("linalg.eigh", A(2, 2), "X", error=tg.ArgumentError, match="unknown UPLO 'X'"),
    E("linalg.eig", A(2, 3), error=tg.ShapeError, match="needs square matrices"),
    E("linalg.eig", Given(np.full((2, 2), np.nan)), error=tg.LinAlgError, match="(?s)eig: "),
    E("linalg.eigvals", A(2), error=tg.ShapeError, match="needs square matrices"),
    E("linalg.svd", A(3), error=tg.ShapeError, match="needs matrices"),
    E("linalg.svd", Given(np.full((2, 2), np.nan)), error=tg.LinAlgError, match="(?s)no convergence.*NaN"),
    E("linalg.svdvals", A(), error=tg.ShapeError, match="needs matrices"),
]  # fmt: skip
