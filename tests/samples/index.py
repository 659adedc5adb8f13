"""Cases of ops/index.py."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, Bools, Complex, E, Given, Ints, S


def read(x, index):
    return x[index]


def write(x, index, values):
    y = x.copy()
    y[index] = values
    return y


def add_into_zeros(values, index, shape):
    y = np.zeros(shape)
    np.add.at(y, index, values)
    return y


TWICE = np.array([2, 0, 2])
MASK = np.array([True, False, True])
GRID = np.array([[True, False, True, False], [False, False, True, False], [False, True, False, True]])
ALL = slice(None)

SAMPLES = [
    # basic
    S("getitem", A(3, 4), 1, ref=read),
    S("getitem", A(3, 4), (-1, 2), ref=read),
    S("getitem", A(5), slice(4, 0, -2), ref=read),
    S("getitem", A(3, 4), (..., None, slice(1, 3)), ref=read),
    S("getitem", A(3, 4), (), ref=read),
    S("getitem", A(3, 0), (slice(1, 2),), ref=read),
    # advanced
    S("getitem", A(3, 4), TWICE, ref=read),
    S("getitem", A(3, 4), [0, -1], ref=lambda x, i: x[[0, -1]]),
    S("getitem", A(3, 4), np.array(2), ref=read),
    S("getitem", A(3, 4), np.zeros((0,), np.int64), ref=read),
    S("getitem", A(3, 4), (TWICE, np.array([1, 1, 1])), ref=read),
    S("getitem", A(3, 4), (ALL, np.array([[0, 3], [3, 1]])), ref=read),
    S("getitem", A(3, 2, 4), (TWICE, ALL, np.array([1, 0, 1])), ref=read),
    S("getitem", A(3, 2, 4), (..., np.array([[1], [0]]), np.array([0, 3])), ref=read),
    S("getitem", A(2, 3, 4), (0, ALL, np.array([1, 1])), ref=read),
    S("getitem", A(2, 3, 4), (None, 1, TWICE), ref=read),
    # boolean and mixed
    S("getitem", A(3, 4), MASK, ref=read),
    S("getitem", A(3, 4), GRID, ref=read),
    S("getitem", A(3, 4), (MASK, slice(1, 3)), ref=read),
    S(
        "getitem",
        A(3, 3),
        (TWICE, MASK),
        ref=lambda x, i: x[i[0][:2], i[1]],
        f=lambda x, i: tg.getitem(x, (i[0][:2], i[1])),
    ),
    S("getitem", A(3, 4), True, ref=read),
    S("getitem", Complex(3, 4), TWICE, ref=read, dtypes=("float32", "float64")),
    S("getitem", Ints(3, 4, high=9), TWICE, ref=read, grad=False),
    S("getitem", A(3, 4), (1, 2), ref=read, f=lambda x, i: x[1][2]),
    # its adjoint
    S("put_add", A(3, 2), TWICE, (4, 2), ref=add_into_zeros),
    S("put_add", A(2), (slice(1, 3), np.array([0, 0])), (3, 3), ref=add_into_zeros),
    S("put_add", A(2), MASK, (3,), ref=add_into_zeros),
    S("put_add", A(), slice(0, 2), (3, 2), ref=add_into_zeros),
    # writing as a value
    S("put", A(3, 4), 1, A(4), ref=write),
    S("put", A(3, 4), (slice(None), slice(0, 2)), A(3, 1), ref=write),
    S("put", A(3, 4), (..., 0), A(1, 3), ref=write),
    S("put", A(3, 4), TWICE, A(3, 4), ref=write),
    S("put", A(3, 4), (TWICE, np.array([1, 0, 1])), A(3), ref=write),
    S("put", A(3, 4), GRID, A(5), ref=write),
    S("put", A(3, 4), np.array([0, 2]), 0.5, ref=write),
    S("put", A(3), np.array([1, 1]), A(), ref=write),
    S("index_put", A(3, 4), (TWICE,), A(3, 4), ref=lambda x, i, v: write(x, (i[0],), v)),
    S(
        "index_put",
        A(3, 4),
        (TWICE,),
        A(3, 4),
        kw=dict(accumulate=True),
        ref=lambda x, i, v, accumulate: x + add_into_zeros(v, i, x.shape),
    ),
]

ERRORS = [
    E(
        "getitem",
        A(3, 4),
        3,
        error=tg.OutOfRangeError,
        match="getitem: index 3 is out of bounds for axis 0 with size 3",
    ),
    E(
        "getitem",
        A(3, 4),
        np.array([0, 3]),
        error=tg.OutOfRangeError,
        match="index 3 is out of bounds for axis 0 with size 3",
    ),
    E(
        "getitem",
        A(3, 4),
        (slice(None), np.array([-5, 0])),
        error=tg.OutOfRangeError,
        match="index -5 is out of bounds for axis 1",
    ),
    E("getitem", A(3, 4), (0, 0, 0), error=tg.AxisError, match="too many indices"),
    E("getitem", A(3, 4), np.array([True, False]), error=tg.ShapeError, match="boolean"),
    E("getitem", A(3, 4), (TWICE, np.array([0, 1])), error=tg.ShapeError, match="broadcast"),
    E("getitem", A(3, 4), 1.0, error=tg.DtypeError, match="float 1.0 is no index"),
    E("getitem", A(3, 4), Given([0.0, 1.0]), error=tg.DtypeError, match="f32.2. is no index"),
    E("getitem", A(3, 4), "rows", error=tg.DtypeError, match="is no index"),
    E("put_add", A(2), np.array([0, 9]), (3,), error=tg.OutOfRangeError, match="put_add: index 9"),
    E(
        "put_add",
        A(5),
        np.array([0, 1]),
        (3,),
        error=tg.ShapeError,
        match=r"values f32\[5\] do not fit into the place of shape \(2,\)",
    ),
    E("put", A(3, 4), 1, A(3), error=tg.ShapeError, match=r"values f32\[3\] do not fit into the place of shape \(4,\)"),
    E("put", A(3, 4), TWICE, A(2, 4), error=tg.ShapeError, match="do not fit"),
    E("put", A(3, 4), np.array([7, 1]), 0.0, error=tg.OutOfRangeError, match="put: index 7"),
    E("put", A(3, 4), Bools(2), 0.0, error=tg.ShapeError, match="boolean"),
]
