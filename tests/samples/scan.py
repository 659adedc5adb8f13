"""Cases of ops/scan.py."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, Bools, E, Given, Ints, S

ZEROS = Given([[2.0, 0.0, -3.0, 0.5], [0.0, 1.5, 0.0, 2.0], [-1.0, 2.0, 3.0, 0.0]])


def latest(x, axis, better):
    """Running extreme and its last place, one line at a time."""
    y, places = np.moveaxis(x.copy(), axis, -1), np.moveaxis(np.zeros(x.shape, int), axis, -1)
    for line in np.ndindex(*y.shape[:-1]):
        best = 0
        values = y[line].copy()
        for i, v in enumerate(values):
            if (not np.isnan(values[best]) and (np.isnan(v) or better(v, values[best]))) or np.isnan(v):
                best = i
            y[line][i], places[line][i] = values[best], best
    return np.moveaxis(y, -1, axis), np.moveaxis(places, -1, axis)


def cummax(x, axis=-1):
    return latest(x, axis, np.greater_equal)


def cummin(x, axis=-1):
    return latest(x, axis, np.less_equal)


def recurrence(a, b, axis=-1):
    h = np.moveaxis(np.zeros(b.shape), axis, 0)
    a, b = np.moveaxis(a, axis, 0), np.moveaxis(b, axis, 0)
    for i in range(len(b)):
        h[i] = b[i] + (a[i] * h[i - 1] if i else 0)
    return np.moveaxis(h, 0, axis)


def logcumsumexp(x, axis=-1):
    return np.logaddexp.accumulate(x, axis)


SAMPLES = [
    S("cumsum", A(2, 3), ref=np.cumsum),
    S("cumsum", A(2, 3), -1, ref=np.cumsum),
    S("cumsum", A(2, 0), kw=dict(dim=1), ref=lambda x, dim: np.cumsum(x, dim)),
    S("cumsum", Ints(2, 3, high=9), 0, ref=np.cumsum, grad=False),
    S("cumsum", A(3), kw=dict(dtype="float64"), ref=np.cumsum),
    S("cumsum", A(), 0, ref=lambda x, axis: x),
    S("cumprod", A(2, 3), ref=np.cumprod),
    S("cumprod", A(3, 2), 0, ref=np.cumprod),
    S("cumprod", ZEROS, 1, ref=np.cumprod),
    S("cumprod", A(0, 2), 0, ref=np.cumprod),
    S("logcumsumexp", A(2, 5), ref=logcumsumexp),
    S("logcumsumexp", A(5, 2), 0, ref=logcumsumexp),
    S("logcumsumexp", Given([-900.0, 0.5, -np.inf, 900.0, 899.0]), ref=logcumsumexp, dtypes=("float32", "float64")),
    S(
        "logcumsumexp",
        Given([-np.inf, -np.inf, -1e4, -1e4]),
        kw=dict(dim=0),
        ref=lambda x, dim: logcumsumexp(x),
        dtypes=("float64",),
    ),
    S("logcumsumexp", A(), ref=lambda x: x),
    S("logcumsumexp", A(2, 0), ref=logcumsumexp),
    S("logcumsumexp", Ints(4, high=9), ref=logcumsumexp, grad=False, dtypes=("float32",)),
    S("trapezoid", A(5), ref=np.trapezoid),
    S("trapezoid", A(3, 4), kw=dict(dx=0.25, axis=0), ref=np.trapezoid),
    S("trapezoid", A(3, 4, 2), A(4), kw=dict(axis=1), ref=np.trapezoid),
    S("trapezoid", A(3, 4), A(3, 4), kw=dict(dim=-1), ref=lambda y, x, dim: np.trapezoid(y, x, axis=dim)),
    S("trapezoid", A(2, 1), ref=np.trapezoid),
    S("prod", A(2, 3), ref=np.prod),
    S("prod", A(2, 3, 2), kw=dict(axis=(0, 2)), ref=np.prod),
    S("prod", A(2, 3), kw=dict(dim=1, keepdim=True), ref=lambda x, dim, keepdim: np.prod(x, dim, keepdims=keepdim)),
    S("prod", ZEROS, kw=dict(axis=1), ref=np.prod),
    S("prod", ZEROS, kw=dict(axis=0), ref=np.prod),
    S("prod", A(0, 2), kw=dict(axis=0), ref=np.prod),
    S("prod", A(2), kw=dict(axis=()), ref=np.prod),
    S("prod", A(), kw=dict(axis=-1), ref=lambda x, axis: x),
    S("prod", Ints(2, 3, high=4), ref=np.prod, grad=False),
    S("linear_recurrence", A(2, 5), A(2, 5), ref=recurrence),
    S("linear_recurrence", A(3, 2), A(3, 2), kw=dict(axis=0), ref=recurrence),
    S("linear_recurrence", A(0), A(0), ref=recurrence),
    S("cumulative_sum", A(4), ref=np.cumulative_sum),
    S("cumulative_sum", A(2, 3), kw=dict(axis=1, include_initial=True), ref=np.cumulative_sum),
    S("cumulative_prod", A(2, 3), kw=dict(axis=0), ref=np.cumulative_prod),
    S("cumulative_prod", A(3), kw=dict(include_initial=True), ref=np.cumulative_prod),
    S("cummax", A(2, 5), ref=cummax),
    S(
        "cummax",
        Given([[1.0, 3.0, 3.0, 2.0], [2.0, float("nan"), 5.0, 1.0]]),
        ref=cummax,
        grad=False,
        why="ties and NaN",
    ),
    S("cummin", A(4, 2), kw=dict(dim=0), ref=lambda x, dim: cummin(x, dim)),
    S("cummin", Ints(6, high=4), ref=cummin, grad=False),
    S("diff", A(2, 5), ref=np.diff),
    S("diff", A(5, 2), kw=dict(n=2, axis=0), ref=np.diff),
    S("diff", A(2, 3), kw=dict(n=0, prepend=1), ref=np.diff),
    S("diff", A(2), kw=dict(n=3), ref=np.diff),
    S("diff", A(2, 3), kw=dict(prepend=0.5, append=A(2, 2)), ref=np.diff),
    S("diff", A(2, 3), kw=dict(axis=0, prepend=A(), append=2), ref=np.diff),
    S("diff", Bools(5), ref=np.diff, grad=False),
]

ERRORS = [
    E("logcumsumexp", A(2, 3), 2, error=tg.AxisError, match="logcumsumexp: axis 2 is out of range"),
    E("trapezoid", A(2, 3), A(2), error=tg.ShapeError, match="trapezoid: x is f32.2., axis -1 of f32.2,3. has 3"),
    E("cumsum", A(2, 3), 2, error=tg.AxisError, match="cumsum: axis 2 is out of range"),
    E("cumprod", A(2, 3), -3, error=tg.AxisError, match="cumprod: axis -3 is out of range"),
    E("prod", A(2, 3), 2, error=tg.AxisError, match="prod: axis 2"),
    E("prod", A(2, 3), (1, 1), error=tg.AxisError, match="prod: duplicate"),
    E("linear_recurrence", A(2), A(3), error=tg.ShapeError, match="linear_recurrence: a is f32.2., b is f32.3."),
    E(
        "cumulative_sum",
        A(2, 3),
        error=tg.AxisError,
        match="cumulative_sum: f32.2,3. has 2 axes, so the axis must be named",
    ),
    E("cummax", A(), 1, error=tg.AxisError, match="cummax: axis 1 is out of range"),
    E("diff", A(3), -1, error=tg.ArgumentError, match="diff: -1 times"),
    E("diff", A(2, 3), kw=dict(append=A(3)), error=tg.ShapeError, match="diff: arrays.1. is f32.3."),
]
