"""Norms, rank, condition, pseudo-inverse, least squares."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, Complex, E, S


def matrix_norm(x, ord="fro", axis=(-2, -1), keepdims=False):
    return np.linalg.norm(x, ord, axis, keepdims)


def norm(x, ord=None, axis=None, keepdims=False):
    return np.linalg.norm(x, ord, axis, keepdims)


def pinv(x, rtol=1e-15):
    return np.linalg.pinv(x, rtol)


def lstsq(a, b):
    """By the normal equations; `a` has independent columns."""
    h = a.conj().swapaxes(-1, -2)
    return np.linalg.inv(h @ a) @ (h @ b)


class Normal(A):
    """Normally distributed: sums of rows and columns all differ."""

    def values(self, rng):
        return rng.standard_normal(self.shape)


RANKS = (
    (dict(atol=0.3), [3, 2]),
    (dict(atol=0.3, rtol=0.5, hermitian=True), [1, 1]),
    (dict(atol=0.0, hermitian=True), [3, 3]),
    (dict(rtol=np.array([0.2, 0.01]), hermitian=True), [2, 3]),
    (dict(atol=np.array([3.0, 0.0])), [1, 3]),
)
"""keywords -> the ranks of two diagonal matrices"""

ORDERS = ("fro", "nuc", 2, -2, 1, -1, np.inf, -np.inf)

SAMPLES = [
    *(S("linalg.matrix_norm", Normal(3, 2), ord, ref=matrix_norm) for ord in ORDERS),
    *(
        S("linalg.matrix_norm", Normal(2, 3, 2), ord, kw=dict(axis=(0, -1), keepdims=True), ref=matrix_norm)
        for ord in ("fro", 2, 1, np.inf)
    ),
    S("linalg.matrix_norm", Complex(3, 2), "nuc", ref=matrix_norm),
    S("linalg.matrix_norm", A(3, 3), kw=dict(keepdims=True), ref=matrix_norm),
    S("linalg.norm", A(2, 3, 2), ref=norm),
    S("linalg.norm", A(4), 3, ref=norm),
    S("linalg.norm", Normal(3, 2), 1, ref=norm),
    S("linalg.norm", A(2, 3, 2), kw=dict(axis=1), ref=norm),
    S("linalg.norm", A(2, 3, 2), kw=dict(axis=(0, 1), keepdims=True), ref=norm),
    S("linalg.norm", A(2, 3), "nuc", ref=norm),
    S("linalg.cond", A(3, 2), ref=np.linalg.cond, tol=2),
    S("linalg.cond", A(2, 2, 2), -2, ref=np.linalg.cond, tol=5),
    S("linalg.cond", Normal(2, 2), 1, ref=np.linalg.cond, tol=5),
    S("linalg.cond", np.diag([1.0, 0.0]), ref=np.linalg.cond, grad=False),
    S("linalg.matrix_rank", np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 1.0, 0.0]]), ref=np.linalg.matrix_rank,
      grad=False),
    S("linalg.matrix_rank", np.stack([np.eye(3), np.ones((3, 3)), np.zeros((3, 3))]), ref=np.linalg.matrix_rank,
      grad=False),
    S("linalg.matrix_rank", np.diag([1.0, 0.1, 0.001]), kw=dict(rtol=0.01), ref=lambda x, rtol: np.array(2),
      grad=False),
    *(S("linalg.matrix_rank", np.stack([np.diag([4.0, -2.0, 0.5]), np.diag([1.0, 0.5, -0.1])]), kw=kw,
        ref=lambda x, ranks=ranks, **_: np.array(ranks), grad=False)
      for kw, ranks in RANKS),
    S("linalg.matrix_rank", np.array([0.0, 2.0]), ref=np.linalg.matrix_rank, grad=False),
    S("linalg.matrix_rank", np.zeros((0, 3)), ref=lambda x: np.array(0), grad=False),
    S("linalg.pinv", A(3, 2), ref=pinv),
    S("linalg.pinv", A(2, 2, 3), ref=pinv),
    S("linalg.pinv", Complex(3, 2), ref=pinv),
    S("linalg.pinv", np.array([[2.0, 4.0], [1.0, 2.0]]), ref=np.linalg.pinv, grad=False),
    S("linalg.pinv", np.diag([1.0, 0.1]), kw=dict(rtol=0.5), ref=pinv, grad=False),
    S("linalg.pinv", np.diag([3.0, 0.1]), kw=dict(atol=0.5), ref=lambda x, atol: np.diag([1 / 3, 0.0]), grad=False),
    S("linalg.pinv", np.stack([np.diag([3.0, 1.0])] * 2), kw=dict(rtol=np.array([0.5, 0.1])), ref=pinv, grad=False),
    S("linalg.pinv", Normal(3, 3), kw=dict(hermitian=True), ref=lambda x, hermitian: pinv((x + x.T) / 2), tol=5),
    S("linalg.pinv", Complex(2, 2, 2), kw=dict(hermitian=True),
      ref=lambda x, hermitian: pinv((x + x.conj().swapaxes(1, 2)) / 2), tol=5),
    S("linalg.pinv", A(2, 0, 3), ref=pinv),
    S("linalg.lstsq", A(4, 2), A(4), f=lambda a, b: tg.linalg.lstsq(a, b).solution, ref=lstsq),
    S("linalg.lstsq", A(2, 4, 2), A(2, 4, 3), f=lambda a, b: tg.linalg.lstsq(a, b).solution, ref=lstsq),
    S("linalg.lstsq", A(2, 4), A(2), f=lambda a, b: tg.linalg.lstsq(a, b).solution,
      ref=lambda a, b: np.linalg.pinv(a) @ b),
    S("linalg.lstsq", A(4, 2), A(4, 3), f=lambda a, b: tuple(tg.linalg.lstsq(a, b)),
      ref=lambda a, b: np.linalg.lstsq(a, b)),
    S("linalg.lstsq", A(2, 3), A(2), f=lambda a, b: tg.linalg.lstsq(a, b).residuals, ref=lambda a, b: np.zeros(0),
      grad=False, why="it is empty"),
]  # fmt: skip

ERRORS = [
    E("linalg.matrix_norm", A(2, 2), "max", error=tg.ArgumentError, match="(?s)unknown ord 'max'.*nuc"),
    E("linalg.matrix_norm", A(3), error=tg.AxisError, match="axis -2 is out of range"),
    E("linalg.matrix_norm", A(2, 2), kw=dict(axis=0), error=tg.ShapeError, match="a matrix has two axes"),
    E("linalg.norm", A(2, 2, 2), 2, error=tg.ShapeError, match="neither a vector nor a matrix"),
    E("linalg.norm", A(2, 2), "nuc", kw=dict(axis=0), error=tg.ArgumentError, match="norm of matrices"),
    E("linalg.norm", A(2, 2, 2), kw=dict(axis=(0, 1, 2)), error=tg.ShapeError, match="two are a matrix"),
    E("linalg.cond", A(2, 3), 1, error=tg.ShapeError, match="needs square matrices"),
    E("linalg.cond", A(0, 0), error=tg.ShapeError, match="is empty"),
    E("linalg.matrix_rank", A(2, 3), kw=dict(hermitian=True), error=tg.ShapeError, match="matrix_rank: .*needs square"),
    E("linalg.pinv", A(2, 3), kw=dict(hermitian=True), error=tg.ShapeError, match="pinv: .*needs square"),
    E("linalg.pinv", A(3), error=tg.ShapeError, match="needs matrices"),
    E("linalg.lstsq", A(3, 2), A(2), error=tg.ShapeError, match=r"needs \(..., n, m\) and \(n\)"),
]  # fmt: skip
