"""Cases of ops/reduce.py."""

import warnings

import numpy as np

import tensorgraph as tg
from tests.samples import A, Bools, Complex, E, Given, Ints, S

NAN, INF = float("nan"), float("inf")
AXES = (None, 1, -1, (0, 2), (), (-2,))


def logsumexp(x, axis=None, keepdims=False):
    with np.errstate(divide="ignore"):
        return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def norm(x, ord=2, axis=None, keepdims=False):
    m = np.abs(x)
    if ord == 0:
        return np.sum(x != 0, axis=axis, keepdims=keepdims).astype(m.dtype)
    if np.isinf(ord):
        return (np.max if ord > 0 else np.min)(m, axis=axis, keepdims=keepdims)
    return np.sum(m**ord, axis=axis, keepdims=keepdims) ** (1 / ord)


def quiet(f):
    def call(*args, **kw):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return f(*args, **kw)

    return call


SAMPLES = [
    *[
        S(name, A(2, 3, 4), kw=dict(axis=axis), ref=ref)
        for axis in AXES
        for name, ref in (
            ("sum", np.sum),
            ("mean", np.mean),
            ("max", np.max),
            ("logsumexp", logsumexp),
            ("vector_norm", norm),
        )
        if axis != () or name in ("sum", "mean")
    ],
    # sums
    S("sum", A(2, 3), kw=dict(axis=0, keepdims=True), ref=np.sum),
    S("sum", A(2, 3), kw=dict(dim=0, keepdim=True), ref=lambda x, dim, keepdim: np.sum(x, dim, keepdims=keepdim)),
    S("sum", A(2, 3, 4), kw=dict(axis=[0, 2]), ref=lambda x, axis: x.sum((0, 2))),
    S("sum", A(), ref=np.sum),
    *[
        S(n, A(), kw=dict(axis=(-1,), keepdims=True), ref=lambda x, **kw: x)
        for n in ("sum", "mean", "max", "logsumexp")
    ],
    S("sum", A(0, 3), kw=dict(axis=0), ref=np.sum),
    S("sum", A(3), kw=dict(dtype="float64"), ref=np.sum),
    S("sum", Ints(2, 3, high=9), kw=dict(axis=1), ref=np.sum, grad=False),
    S("sum", Bools(2, 3), ref=np.sum, grad=False),
    S("sum", Complex(2, 3), kw=dict(axis=1), ref=np.sum, dtypes=("float32", "float64")),
    S("mean", A(2, 3), kw=dict(axis=(0, 1), keepdims=True), ref=np.mean),
    S("mean", A(0, 3), ref=quiet(np.mean)),
    S("mean", Ints(2, 3, high=9), kw=dict(axis=1), ref=np.mean, grad=False),
    S("mean", Complex(2, 3), ref=np.mean, dtypes=("float32", "float64")),
    S("allclose", A(2, 3), A(3), ref=np.allclose, grad=False),
    S("allclose", np.array([1.0, 2.0]), np.array([1.0, 2.1]), 0.1, ref=np.allclose, grad=False),
    S(
        "allclose",
        Given([1.0, NAN]),
        Given([1.01, NAN]),
        kw=dict(rtol=0.1, equal_nan=True),
        ref=np.allclose,
        grad=False,
    ),
    S("array_equal", A(2, 3), A(3), ref=np.array_equal, grad=False),
    S("array_equal", np.array([1, 2]), np.array([1, 2]), ref=np.array_equal, grad=False),
    S("nansum", Given([[1.0, NAN], [3.0, 4.0]]), kw=dict(axis=0), ref=np.nansum),
    S(
        "nanmean",
        Given([[1.0, NAN, NAN], [3.0, 4.0, NAN]]),
        kw=dict(dim=0),
        ref=lambda x, dim: quiet(np.nanmean)(x, dim),
    ),
    S("nanmean", A(2, 3), kw=dict(axis=-1, keepdims=True), ref=np.nanmean),
    # spread
    S("var", A(2, 3), ref=np.var),
    S(
        "var",
        A(2, 3, 4),
        kw=dict(axis=(0, -1), correction=1, keepdims=True),
        ref=lambda x, axis, correction, keepdims: np.var(x, axis, ddof=correction, keepdims=keepdims),
    ),
    S(
        "var",
        A(3, 1),
        kw=dict(axis=1, correction=1),
        ref=lambda x, axis, correction: np.full(3, NAN),
        grad=False,
        why="NaN everywhere",
    ),
    S("var", Given([2.0, 2.0, 2.0]), ref=np.var),
    S("var", Complex(2, 3), kw=dict(axis=1), ref=np.var, dtypes=("float32", "float64")),
    S("std", A(2, 3), ref=np.std),
    S(
        "std",
        A(2, 3),
        kw=dict(dim=0, correction=1, keepdim=True),
        ref=lambda x, dim, correction, keepdim: np.std(x, dim, ddof=correction, keepdims=keepdim),
    ),
    S("std", Complex(2, 3), kw=dict(axis=1), ref=np.std, dtypes=("float32", "float64")),
    # extremes
    S("max", A(2, 3), kw=dict(axis=0, keepdims=True), ref=np.max),
    S("max", A(0, 3), kw=dict(axis=1), ref=np.max),
    S("max", Given([1.0, NAN, 3.0]), ref=np.max, grad=False, why="NaN has no derivative"),
    S("max", Ints(2, 3, high=9), kw=dict(axis=1), ref=np.max, grad=False),
    S("min", A(2, 3, 4), kw=dict(axis=(0, 2)), ref=np.min),
    S("min", A(2, 3), kw=dict(dim=1, keepdim=True), ref=lambda x, dim, keepdim: np.min(x, dim, keepdims=keepdim)),
    S("amax", A(2, 3), kw=dict(axis=1), ref=np.amax),
    S("amin", A(2, 3), kw=dict(axis=1), ref=np.amin),
    S("logsumexp", A(2, 3), kw=dict(axis=0, keepdims=True), ref=logsumexp),
    S(
        "logsumexp",
        Given([[-INF, 1.0, -INF], [-INF, 2.0, 3.0]]),
        kw=dict(axis=0),
        ref=logsumexp,
        grad=False,
        why="differences of -inf",
    ),
    S("logsumexp", A(0, 2), kw=dict(axis=0), ref=logsumexp),
    S("logsumexp", Ints(3, high=4), ref=logsumexp, grad=False),
    # norms
    *[S("vector_norm", A(2, 3), kw=dict(ord=ord, axis=1), ref=norm) for ord in (INF, -INF, 1, 3, 0.5, -1.5)],
    S("vector_norm", A(2, 3), kw=dict(ord=0), ref=norm, grad=False, why="a count"),
    S(
        "vector_norm",
        A(2, 3),
        kw=dict(ord=3, dim=(0, 1), keepdim=True),
        ref=lambda x, ord, dim, keepdim: norm(x, ord, dim, keepdim),
    ),
    S("vector_norm", Given([0.0, 3.0, -4.0]), kw=dict(ord=3), ref=norm),
    S("vector_norm", Complex(2, 3), kw=dict(axis=0), ref=norm, dtypes=("float32", "float64")),
    S("vector_norm", Complex(2, 3), kw=dict(ord=3), ref=norm, dtypes=("float32", "float64")),
    S("vector_norm", Ints(3, high=9), ref=norm, grad=False),
    # truth
    S("any", Given([[0.0, 1.0], [0.0, 0.0]]), kw=dict(axis=1), ref=np.any, grad=False),
    S("any", Bools(2, 3, 4), kw=dict(axis=(0, 2), keepdims=True), ref=np.any, grad=False),
    S("any", A(0), ref=np.any, grad=False),
    S("all", Given([[0.0, 1.0], [2.0, 3.0]]), kw=dict(axis=1), ref=np.all, grad=False),
    S(
        "all",
        Bools(2, 3),
        kw=dict(dim=0, keepdim=True),
        ref=lambda x, dim, keepdim: np.all(x, dim, keepdims=keepdim),
        grad=False,
    ),
    S("count_nonzero", Given([[0.0, 1.0], [2.0, 3.0]]), kw=dict(axis=0), ref=np.count_nonzero, grad=False),
    S("count_nonzero", Bools(2, 3), kw=dict(keepdims=True), ref=np.count_nonzero, grad=False),
]

ERRORS = [
    E("sum", A(2, 3), 2, error=tg.AxisError, match="sum: axis 2 is out of bounds"),
    E("sum", A(2, 3), (0, -2), error=tg.AxisError, match="sum: duplicate value in 'axis'"),
    E("sum", A(2, 3), 0.5, error=tg.DtypeError, match="sum: "),
    E("sum", A(2, 3), kw=dict(dtype="text"), error=tg.DtypeError, match="sum: unknown dtype 'text'"),
    E("sum", A(), 1, error=tg.AxisError, match="sum: axis 1 is out of bounds"),
    E("max", A(2), A(2), error=tg.DtypeError, match=r"(?s)max: an axis is an integer.*maximum\(a, b\)"),
    E("sum", 2.0, error=tg.DtypeError, match="sum: x is a Python number"),
    E("mean", A(2, 3), -3, error=tg.AxisError, match="mean: axis -3 is out of bounds"),
    E("var", A(2, 3), 2, error=tg.AxisError, match="var: axis 2"),
    E(
        "max",
        A(2, 0),
        1,
        error=tg.ShapeError,
        match=r"max: f32\[2,0\] has no elements along axis 1, and there is no max of nothing",
    ),
    E("min", A(0), error=tg.ShapeError, match="min: f32.0. has no elements"),
    E("max", A(2), (0, 0), error=tg.AxisError, match="max: duplicate"),
    E("vector_norm", A(0), INF, error=tg.ShapeError, match="vector_norm: .* no elements"),
    E(
        "vector_norm",
        A(2, 2),
        "nuc",
        error=tg.ArgumentError,
        match="(?s)vector_norm: ord 'nuc' is no number.*matrix_norm",
    ),
    E("any", A(2, 3), 2, error=tg.AxisError, match="any: axis 2"),
]
