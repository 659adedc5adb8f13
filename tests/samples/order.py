"""Cases of ops/order.py."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, E, Given, Ints, S

NAN = float("nan")
WITH_NAN = Given([[3.0, NAN, 1.0], [2.0, 2.0, 1.0]])


def descending(x, axis=-1, **_):
    return np.flip(np.sort(x, axis), axis)


def stable(x, axis=-1, descending=False):
    return np.argsort(-x if descending else x, axis, kind="stable")


def topk(x, k, axis=-1, largest=True):
    order = np.take(np.argsort(-x if largest else x, axis, kind="stable"), range(k), axis)
    return np.take_along_axis(x, order, axis), order


SAMPLES = [
    S("sort", A(2, 5), ref=np.sort),
    S("sort", A(3, 2), kw=dict(axis=0, descending=True), ref=descending),
    S("sort", A(3, 2), None, ref=np.sort),
    S("sort", WITH_NAN, ref=np.sort, grad=False, why="NaN has no derivative"),
    S("sort", Ints(6, high=3), kw=dict(dim=0), ref=lambda x, dim: np.sort(x, dim), grad=False),
    S("sort", A(2, 0), ref=np.sort),
    S("argsort", A(2, 5), ref=np.argsort, grad=False),
    S("argsort", Ints(3, 8, high=3), kw=dict(axis=1), ref=stable, grad=False),
    S("argsort", Ints(8, 3, high=3), kw=dict(axis=0, descending=True), ref=stable, grad=False),
    S("argsort", A(2, 3), None, ref=np.argsort, grad=False),
    S("topk", A(2, 6), 2, ref=topk),
    S("topk", A(6, 2), 3, kw=dict(dim=0, largest=False), ref=lambda x, k, dim, largest: topk(x, k, dim, largest)),
    S("topk", A(4), 4, ref=topk),
    S("topk", A(2, 3), 0, ref=topk),
    S("topk", Ints(3, 9, high=3), 4, ref=topk, grad=False),
    S("topk", Ints(9, 2, high=2), 5, kw=dict(axis=0, largest=False), ref=topk, grad=False),
    S(
        "topk",
        Given([NAN, 1.0, NAN, NAN, 2.0]),
        2,
        ref=lambda x, k: (x[[0, 2]], np.array([0, 2])),
        grad=False,
        why="NaN has no derivative",
    ),
    S("argmax", A(2, 3), ref=np.argmax, grad=False),
    S("argmax", Ints(3, 8, high=3), kw=dict(axis=1, keepdims=True), ref=np.argmax, grad=False),
    S(
        "argmax",
        WITH_NAN,
        kw=dict(dim=1, keepdim=True),
        ref=lambda x, dim, keepdim: np.argmax(x, dim, keepdims=True),
        grad=False,
    ),
    S("argmax", A(), kw=dict(axis=0), ref=np.argmax, grad=False),
    S("argsort", A(), ref=lambda x: np.zeros((), int), grad=False),
    S("sort", A(), ref=lambda x: x),
    S("median", A(), kw=dict(axis=0), ref=lambda x, axis: x),
    S("argmin", A(2, 3), kw=dict(axis=0), ref=np.argmin, grad=False),
    S("argmin", A(2, 3), kw=dict(keepdims=True), ref=np.argmin, grad=False),
    S("median", A(5), ref=np.median),
    S("median", A(2, 4), kw=dict(axis=1), ref=np.median),
    S("median", A(2, 3, 4), kw=dict(axis=(0, 2), keepdims=True), ref=np.median),
    S(
        "median",
        WITH_NAN,
        kw=dict(dim=1),
        ref=lambda x, dim: np.median(x, dim),
        grad=False,
        why="NaN has no derivative",
    ),
    S("median", Ints(4, high=9), ref=np.median, grad=False),
    S("quantile", A(7), 0.3, ref=np.quantile),
    S("quantile", A(2, 3, 4), [0.0, 0.25, 1.0], kw=dict(axis=(0, -1)), ref=np.quantile),
    S("quantile", A(3, 4), np.array(0.6), kw=dict(axis=0, keepdims=True), ref=np.quantile, dtypes=("float64",)),
    *[
        S("quantile", A(2, 4), 0.4, kw=dict(axis=1, method=m), ref=np.quantile)
        for m in ("lower", "higher", "nearest", "midpoint")
    ],
    S(
        "quantile",
        A(4),
        0.4,
        kw=dict(dim=0, interpolation="lower"),
        ref=lambda x, q, dim, interpolation: np.quantile(x, q, dim, method=interpolation),
    ),
    S("quantile", A(5, 2), Given([0.3, 0.8]), kw=dict(axis=0), ref=np.quantile, tol=3),
    S("searchsorted", np.array([1.0, 2.0, 2.0, 4.0]), A(2, 3), ref=np.searchsorted, grad=False, dtypes=("float64",)),
    S(
        "searchsorted",
        np.array([1, 2, 2, 4]),
        np.array([2, 5, 0]),
        kw=dict(side="right"),
        ref=np.searchsorted,
        grad=False,
    ),
    S(
        "searchsorted",
        np.array([1, 2, 2, 4]),
        np.array(2),
        kw=dict(right=True),
        ref=lambda a, v, right: np.searchsorted(a, v, "right"),
        grad=False,
    ),
    S(
        "searchsorted",
        np.array([4, 1, 2]),
        np.array([2, 3]),
        kw=dict(sorter=np.array([1, 2, 0])),
        ref=np.searchsorted,
        grad=False,
    ),
]

ERRORS = [
    E("sort", A(2, 3), 2, error=tg.AxisError, match="sort: axis 2 is out of range"),
    E("argsort", A(), 1, error=tg.AxisError, match="argsort: axis 1 is out of range"),
    E("topk", A(2, 3), 4, error=tg.ShapeError, match="topk: k = 4, but axis -1 of f32.2,3. has 3 elements"),
    E("argmax", A(2, 0), 1, error=tg.ShapeError, match="argmax: f32.2,0. has no elements along axis 1"),
    E("argmin", A(0), error=tg.ShapeError, match="argmin: f32.0. has no elements"),
    E("argmax", A(2, 3), 2, error=tg.AxisError, match="argmax: axis 2 is out of range"),
    E("median", A(2, 0), 1, error=tg.ShapeError, match="median: f32.2,0. has no elements"),
    E("median", A(2, 3), (0, 0), error=tg.AxisError, match="median: .*twice"),
    E("quantile", A(3), 1.5, error=tg.OutOfRangeError, match="quantile: q = 1.5 does not lie between 0 and 1"),
    E("quantile", A(3), [[0.5]], error=tg.ShapeError, match="quantile: q is .* may have one axis"),
    E(
        "quantile",
        A(3),
        0.5,
        kw=dict(method="cubic"),
        error=tg.ArgumentError,
        match="(?s)unknown method 'cubic'.*midpoint",
    ),
    E("quantile", A(0), 0.5, error=tg.ShapeError, match="quantile: .* no elements"),
    E("searchsorted", A(2, 2), A(2), error=tg.ShapeError, match="searchsorted: x1 is f32.2,2."),
    E("searchsorted", A(2), A(2), kw=dict(side="middle"), error=tg.ArgumentError, match="searchsorted: side 'middle'"),
]
