"""Linear systems, determinants, powers."""

import numpy as np

import tensorgraph as tg
from tensorgraph.ops import systems
from tests.samples import A, Complex, E, Given, S


class Solid(A):
    """Square matrices far from singular."""

    def values(self, rng):
        return super().values(rng) / 2 + 2 * np.eye(self.shape[-1])


class SolidComplex(Complex):
    """The same, complex."""

    def values(self, rng):
        return super().values(rng) / 2 + 2 * np.eye(self.shape[-1])


class Singular(A):
    """Square matrices of rank n - `lost`: a row is twice another one."""

    def __init__(self, *shape, lost=1):
        super().__init__(*shape)
        self.lost = lost

    def values(self, rng):
        x = super().values(rng)
        for i in range(self.lost):
            x[..., i, :] = 2 * x[..., -1, :]
        return x


def solve(a, b):
    """Whatever broadcasts, by the inverse."""
    return np.linalg.inv(a) @ b


def solve_triangular(a, b, upper, left=True, unitriangular=False):
    t = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        t = t - t * np.eye(t.shape[-1]) + np.eye(t.shape[-1])
    return np.linalg.inv(t) @ b if left else b @ np.linalg.inv(t)


def taylor(x):
    """The exponential as its series."""
    term = y = np.zeros_like(x) + np.eye(x.shape[-1])
    for k in range(1, 60):
        term = term @ x / k
        y = y + term
    return y


def cofactors(x):
    """Signed minors, one by one."""
    y = np.empty_like(x)
    n = x.shape[-1]
    for i, j in np.ndindex(n, n):
        rows, columns = np.delete(np.arange(n), i), np.delete(np.arange(n), j)
        y[..., i, j] = (-1) ** (i + j) * np.linalg.det(x[..., rows[:, None], columns])
    return y


def logdet(x):
    """NaN where the determinant is negative."""
    with np.errstate(invalid="ignore"):
        return np.log(np.linalg.det(x))


def power(x, n):
    return np.linalg.matrix_power(x, n)


SAMPLES = [
    S("linalg.inv", Solid(3, 3), ref=np.linalg.inv),
    S("linalg.inv", Solid(2, 1, 4, 4), ref=np.linalg.inv),
    S("linalg.inv", SolidComplex(3, 3), ref=np.linalg.inv),
    S("linalg.inv", A(0, 0), ref=np.linalg.inv),
    S("linalg.inv", np.array([[2, 1], [0, 4]]), ref=np.linalg.inv, grad=False),
    S("linalg.solve", Solid(3, 3), A(3), ref=solve),
    S("linalg.solve", Solid(3, 3), A(3, 2), ref=solve),
    S("linalg.solve", Solid(2, 3, 3), A(3), ref=solve),
    S("linalg.solve", Solid(2, 1, 3, 3), A(4, 3, 2), ref=solve),
    S("linalg.solve", SolidComplex(3, 3), SolidComplex(3, 3), ref=solve),
    S("linalg.solve_triangular", Solid(3, 3), A(3, 2), kw=dict(upper=True), ref=solve_triangular),
    S("linalg.solve_triangular", Solid(3, 3), A(2, 3, 2), kw=dict(upper=False), ref=solve_triangular),
    S("linalg.solve_triangular", Solid(3, 3), A(3, 2), kw=dict(upper=True, unitriangular=True), ref=solve_triangular),
    S("linalg.solve_triangular", Solid(3, 3), A(2, 3), kw=dict(upper=False, left=False), ref=solve_triangular),
    S("linalg.solve_triangular", Solid(3, 3), A(3), kw=dict(upper=True), ref=solve_triangular),
    S("linalg.solve_triangular", SolidComplex(3, 3), Complex(3, 1), kw=dict(upper=False, unitriangular=True),
      ref=solve_triangular),
    S("linalg.solve_triangular", Solid(3, 3), A(3), kw=dict(upper=False, left=False), ref=solve_triangular),
    S("linalg.det", A(3, 3), ref=np.linalg.det),
    S("linalg.det", A(2, 2, 2), ref=np.linalg.det),
    S("linalg.det", A(1, 1), ref=np.linalg.det),
    S("linalg.det", Complex(3, 3), ref=np.linalg.det),
    S("linalg.det", Singular(3, 3), ref=np.linalg.det),
    S("linalg.det", Singular(4, 4, lost=2), ref=np.linalg.det),
    S("linalg.det", Given(np.diag([1.0, 0.0, 2.0])), ref=np.linalg.det),
    S("linalg.det", A(3, 3), f=lambda x: systems._cofactor(x), ref=cofactors),
    S("linalg.det", Given([[1.0, 2.0], [2.0, 4.0]]), f=lambda x: systems._cofactor(x), ref=cofactors, second=False,
      why="the third derivative of the determinant is written for invertible matrices"),
    S("linalg.det", A(3, 3), A(3, 3), f=lambda g, x: systems._cofactor_slope(g, x),
      ref=lambda g, x: cofactors(x + g) - cofactors(x) - cofactors(g)),
    S("linalg.slogdet", A(3, 3), ref=np.linalg.slogdet),
    S("linalg.slogdet", A(2, 2, 2), ref=np.linalg.slogdet),
    S("linalg.slogdet", SolidComplex(3, 3), ref=np.linalg.slogdet),
    S("linalg.slogdet", np.ones((2, 2)), ref=np.linalg.slogdet, grad=False),
    S("linalg.logdet", Solid(3, 3), ref=logdet),
    S("linalg.logdet", SolidComplex(2, 2, 2), ref=lambda x: np.log(np.linalg.det(x))),
    S("linalg.logdet", np.stack([np.ones((2, 2)), np.eye(2)[::-1]]), ref=lambda x: np.array([-np.inf, np.nan]),
      grad=False),
    S("linalg.matrix_power", A(3, 3), 1, ref=power),
    S("linalg.matrix_power", A(2, 3, 3), 5, ref=power),
    S("linalg.matrix_power", Solid(3, 3), -2, ref=power),
    S("linalg.matrix_power", A(2, 3, 3), 0, ref=power, grad=False),
    S("linalg.expm", A(3, 3), ref=taylor),
    S("linalg.expm", A(2, 2, 2), f=lambda x: tg.linalg.expm(x * 4), ref=lambda x: taylor(x * 4), tol=10),
    S("linalg.expm", Complex(2, 2), ref=taylor),
    S("linalg.expm", A(0, 0), ref=taylor),
    S("linalg.tensorinv", A(4, 2, 2), kw=dict(ind=1), ref=np.linalg.tensorinv),
    S("linalg.tensorsolve", A(2, 2, 4), A(2, 2), ref=np.linalg.tensorsolve),
    S("linalg.tensorsolve", A(4, 2, 2), A(2, 2), kw=dict(axes=(0,)), ref=np.linalg.tensorsolve),
]  # fmt: skip

ERRORS = [
    E("linalg.inv", A(2, 3), error=tg.ShapeError, match=r"x is f32\[2,3\], needs square matrices"),
    E("linalg.inv", A(3), error=tg.ShapeError, match="needs square matrices"),
    E("linalg.inv", Given([[1.0, 2.0], [2.0, 4.0]]), error=tg.LinAlgError, match="a matrix is singular"),
    E("linalg.inv", Given([[[1.0]], [[0.0]]]), error=np.linalg.LinAlgError, match="a matrix is singular"),
    E("linalg.solve", A(2, 3), A(2), error=tg.ShapeError, match="needs square matrices"),
    E("linalg.solve", A(3, 3), A(2), error=tg.ShapeError, match="a has 3 rows, b has 2"),
    E("linalg.solve", A(2, 3, 3), A(4, 3, 1), error=tg.ShapeError, match="solve: .*broadcast"),
    E("linalg.solve", Given(np.zeros((2, 2))), A(2), error=tg.LinAlgError, match="a matrix is singular"),
    E("linalg.solve_triangular", A(3, 3), A(2, 1), kw=dict(upper=True), error=tg.ShapeError,
      match="a has 3 rows, b has 2"),
    E("linalg.solve_triangular", A(3, 2), A(3), kw=dict(upper=True), error=tg.ShapeError, match="needs square"),
    E("linalg.solve_triangular", Given(np.diag([1.0, 0.0])), A(2), kw=dict(upper=True), error=tg.LinAlgError,
      match="singular"),
    E("linalg.det", A(2, 3), error=tg.ShapeError, match="needs square matrices"),
    E("linalg.slogdet", A(2, 3), error=tg.ShapeError, match="needs square matrices"),
    E("linalg.matrix_power", A(2, 3), 2, error=tg.ShapeError, match="needs square matrices"),
    E("linalg.matrix_power", A(2, 2), 0.5, error=tg.DtypeError, match="n is an integer"),
    E("linalg.expm", A(2, 3), error=tg.ShapeError, match="needs square matrices"),
    E("linalg.tensorinv", A(2, 3, 4), error=tg.ShapeError, match="the first 2 axes of"),
    E("linalg.tensorsolve", A(2, 3), A(2), error=tg.ShapeError, match="a needs the axes of b"),
]  # fmt: skip
