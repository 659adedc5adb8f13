"""Cases of ops/logic.py: no result has a gradient."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, Bools, Complex, E, Given, Ints, S

NAN, INF = float("nan"), float("inf")
ODD = Given([0.0, -0.0, 1.5, -2.5, INF, -INF, NAN])
NEAR = Given([1.0, 1.0 + 1e-9, 1.1, NAN, INF])
FAR = Given([1.0, 1.0, 1.0, NAN, INF])


def unary(names, x):
    return [S(name, x, ref=getattr(np, name), grad=False) for name in names.split()]


def binary(names, a, b):
    return [S(name, a, b, ref=getattr(np, name), grad=False) for name in names.split()]


SAMPLES = [
    *binary("equal not_equal less less_equal greater greater_equal", Ints(3, 4, high=3), Ints(4, high=3)),
    *binary("equal less greater_equal", ODD, ODD),
    *binary("equal not_equal", Complex(3), Complex(3)),
    *binary("less", A(2, 3), 0.5),
    *binary("logical_and logical_or logical_xor", Bools(3, 4), Bools(4)),
    *binary("logical_and logical_or logical_xor", Ints(6, high=2), A(6)),
    *binary("bitwise_and bitwise_or bitwise_xor", Ints(3, 4, high=99), Ints(4, high=99)),
    *binary("bitwise_and bitwise_or bitwise_xor", Bools(4), Bools(4)),
    S("bitwise_left_shift", Ints(4, high=99), Ints(4, high=5), ref=np.left_shift, grad=False),
    S("bitwise_right_shift", Ints(4, high=99, low=-99), 2, ref=np.right_shift, grad=False),
    S("bitwise_invert", Ints(4, high=99), ref=np.invert, grad=False),
    S("bitwise_invert", Bools(4), ref=np.invert, grad=False),
    S("logical_not", Bools(4), ref=np.logical_not, grad=False),
    S("logical_not", ODD, ref=np.logical_not, grad=False),
    *unary("isnan isinf isfinite isposinf isneginf isreal signbit", ODD),
    *unary("isnan isinf isfinite", Ints(3, high=3)),
    S("isreal", Given([1 + 0j, 1j], differentiable=False), ref=np.isreal, grad=False),
    S("isclose", NEAR, FAR, ref=np.isclose, grad=False, dtypes=("float64",)),
    S("isclose", NEAR, FAR, kw=dict(rtol=0.2, atol=0.0, equal_nan=True), ref=np.isclose, grad=False),
    S("nextafter", A(3), A(3), ref=np.nextafter, grad=False, dtypes=("float64",)),
]  # fmt: skip

ERRORS = [
    E("equal", A(2, 3), A(2), error=tg.ShapeError, match="equal: shapes do not broadcast"),
    E("bitwise_and", A(3), A(3), error=tg.DtypeError, match="bitwise_and: "),
    E("bitwise_invert", A(3), error=tg.DtypeError, match="bitwise_invert: "),
    E("isposinf", Complex(3), error=tg.DtypeError, match="isposinf: "),
]
