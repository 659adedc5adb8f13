"""Cases of ops/sets.py."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, Bools, E, Given, Ints, S

TIES = Ints(2, 6, high=4)
NANS = Given([2.0, float("nan"), 1.0, float("nan")])


def everything(x, **kw):
    return np.unique(x, return_index=True, return_inverse=True, return_counts=True, equal_nan=False, **kw)


def parts(*which):
    return lambda x: tuple(everything(x)[i] for i in which)


def along(x, dim, **kw):
    return np.unique(x, axis=dim, **kw)


SAMPLES = [
    S("unique", TIES, ref=np.unique, grad=False),
    S("unique", A(2, 3), kw=dict(return_index=True, return_counts=True), ref=np.unique),
    S("unique", NANS, ref=np.unique, grad=False, why="NaN has no derivative"),
    S("unique", Ints(6, 2, high=1), kw=dict(axis=0), ref=np.unique, grad=False),
    S("unique", A(2, 4), kw=dict(axis=-1), ref=np.unique),
    S("unique", A(2, 1, 3), kw=dict(return_index=True, return_counts=True, dim=2), ref=along),
    S(
        "unique",
        Ints(2, 6, high=1),
        kw=dict(axis=1, return_inverse=True),
        ref=lambda x, axis, return_inverse: (
            np.unique(x, axis=1),
            np.unique(x, axis=1, return_inverse=True)[1].ravel(),
        ),
        grad=False,
    ),
    S("unique", A(0, 2), kw=dict(axis=0), ref=np.unique),
    S("unique", A(3, 0), kw=dict(axis=0), ref=np.unique),
    S("unique_all", TIES, ref=everything, grad=False),
    S("unique_all", A(2, 3), ref=everything),
    S("unique_counts", TIES, ref=parts(0, 3), grad=False),
    S("unique_inverse", TIES, ref=parts(0, 2), grad=False),
    S("unique_values", NANS, ref=lambda x: everything(x)[0], grad=False, why="NaN has no derivative"),
    S("unique_values", A(0), ref=np.unique),
    S("isin", Ints(3, 4, high=9), np.array([[2, 5], [5, 7]]), ref=np.isin, grad=False),
    S("isin", NANS, np.array([1.0, 5.0]), kw=dict(invert=True), ref=np.isin, grad=False),
    S("isin", np.array([3, 1, 2]), np.array([2, 4]), kw=dict(assume_unique=True), ref=np.isin, grad=False),
    S("isin", np.array(3), np.array([2, 3]), ref=np.isin, grad=False),
    S("argwhere", Bools(3, 4), ref=np.argwhere, grad=False),
    S("nonzero", Given([[0.0, 1.0], [2.0, 0.0]]), ref=np.nonzero, grad=False),
    S("bincount", np.array([3, 0, 3]), ref=np.bincount, grad=False),
    S("bincount", np.array([3, 0, 3]), kw=dict(minlength=6), ref=np.bincount, grad=False),
    S("bincount", np.array([3, 0, 3]), A(3), ref=np.bincount),
    S("bincount", np.zeros(0, np.int64), kw=dict(minlength=2), ref=np.bincount, grad=False),
    S("histogram", A(3, 4), ref=np.histogram, grad=False, dtypes=("float64",)),
    S(
        "histogram",
        A(20),
        kw=dict(bins=3, range=(-1.0, 1.0), density=True),
        ref=np.histogram,
        grad=False,
        dtypes=("float64",),
    ),
    S(
        "histogram",
        A(4),
        kw=dict(bins=np.array([-2.0, 0.0, 2.0]), weights=np.array([1.0, 2.0, 3.0, 4.0])),
        ref=np.histogram,
        grad=False,
        dtypes=("float64",),
    ),
]

ERRORS = [
    E("nonzero", A(), error=tg.ShapeError, match="nonzero: f32.. has no axes"),
    E("bincount", A(2), error=tg.DtypeError, match="bincount: integers are counted, got f32.2."),
    E("bincount", np.array([0, -2]), error=tg.OutOfRangeError, match="bincount: -2 is negative"),
    E("bincount", np.array([0, 2]), A(3), error=tg.ShapeError, match="bincount: x has one axis"),
    E("histogram", A(2), 0, error=tg.ArgumentError, match="histogram: 0 bins"),
]
