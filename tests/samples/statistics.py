"""Statistics without NaN, covariances and correlations."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, Complex, E, Given, Ints, S
from tests.samples.reduce import quiet

NAN = float("nan")
HOLES = Given([[1.0, NAN, 0.5, -2.0], [NAN, 4.0, 1.5, 3.0], [0.3, -0.7, NAN, NAN]])
NOTHING = Given([[1.0, NAN, NAN], [2.0, 5.0, NAN]])


def ddof(function):
    """NumPy's function, with its keyword for the correction."""
    return quiet(
        lambda x, axis=None, correction=0, keepdims=False: function(x, axis, ddof=correction, keepdims=keepdims)
    )


def cov(x, y=None, rowvar=True, correction=1):
    return quiet(np.cov)(x, y, rowvar, ddof=correction)


SAMPLES = [
    S("nanvar", HOLES, ref=ddof(np.nanvar)),
    S("nanvar", HOLES, kw=dict(axis=1, correction=1, keepdims=True), ref=ddof(np.nanvar)),
    S("nanvar", NOTHING, kw=dict(axis=0, correction=1), ref=ddof(np.nanvar), grad=False, why="NaN has no derivative"),
    S("nanvar", Complex(2, 3), kw=dict(axis=0), ref=ddof(np.nanvar)),
    S("nanvar", Ints(5, high=9), ref=ddof(np.nanvar), grad=False),
    S("nanstd", HOLES, kw=dict(axis=(0, 1)), ref=ddof(np.nanstd)),
    S("nanstd", A(3, 2), kw=dict(axis=-1), ref=ddof(np.nanstd)),
    S("nanmedian", HOLES, ref=np.nanmedian),
    S("nanmedian", HOLES, kw=dict(axis=0, keepdims=True), ref=np.nanmedian),
    S("nanmedian", NOTHING, kw=dict(dim=0), ref=lambda x, dim: quiet(np.nanmedian)(x, dim), grad=False,
      why="NaN has no derivative"),
    S("nanmedian", A(), ref=np.nanmedian),
    S("nanquantile", HOLES, 0.3, ref=np.nanquantile),
    S("nanquantile", HOLES, [0.0, 0.4, 1.0], kw=dict(axis=1, keepdims=True), ref=np.nanquantile),
    *(S("nanquantile", HOLES, 0.3, kw=dict(axis=1, method=m), ref=np.nanquantile)
      for m in ("lower", "higher", "nearest", "midpoint")),
    S("nanquantile", HOLES, Given([0.3, 0.8]), kw=dict(axis=1), ref=np.nanquantile, tol=3),
    S("nanquantile", Ints(5, high=9), 0.3, ref=np.nanquantile, grad=False),
    S("cov", A(3, 5), ref=cov),
    S("cov", A(5), ref=cov),
    S("cov", A(5, 2), A(5), kw=dict(rowvar=False, correction=0), ref=cov),
    S("cov", Complex(2, 4), ref=cov),
    S("cov", A(2, 1), ref=cov, grad=False, why="it is NaN"),
    S("cov", Ints(2, 4, high=9), ref=cov, grad=False),
    S("corrcoef", A(3, 5), ref=np.corrcoef),
    S("corrcoef", A(5, 2), A(5, 1), kw=dict(rowvar=False), ref=np.corrcoef),
    S("corrcoef", A(4), ref=np.corrcoef),
    S("corrcoef", Complex(2, 4), ref=np.corrcoef),
    S("corrcoef", np.array([[0.1, 0.2, 0.3], [0.3, 0.6, 0.9]]), f=lambda x: abs(tg.corrcoef(x)) <= 1,
      ref=lambda x: np.ones((2, 2), bool), grad=False),
]  # fmt: skip

ERRORS = [
    E("nanquantile", A(3), -0.5, error=tg.OutOfRangeError, match="nanquantile: q = -0.5 does not lie between 0 and 1"),
    E("nanquantile", A(3), 0.5, kw=dict(method="cubic"), error=tg.ArgumentError, match="nanquantile: unknown method"),
    E("nanmedian", A(2, 0), 1, error=tg.ShapeError, match="nanmedian: f32.2,0. has no elements"),
    E("nanvar", A(2, 3), 2, error=tg.AxisError, match="nanvar: axis 2 is out of"),
    E("cov", A(2, 2, 2), error=tg.ShapeError, match="cov: x is f32.2,2,2."),
    E("cov", A(2, 3), A(4), error=tg.ShapeError, match="cov: "),
    E("corrcoef", A(1, 2, 2), error=tg.ShapeError, match="corrcoef: x is f32.1,2,2."),
]
