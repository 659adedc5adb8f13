"""Cases of ops/rounding.py. Straight-through and surrogate gradients are tested in tests/test_extremes.py."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, E, Given, Ints, S

NAN = float("nan")
BETWEEN = Given([-2.7, -1.2, -0.4, 0.3, 0.8, 2.6])  # away from the jumps
WHOLE = Given([-2.5, -1.5, -0.5, 0.5, 1.5, 3.0, NAN])
TO_WHOLE = ("floor", "ceil", "trunc", "round")
DIVISIONS = ("floor_divide", "remainder", "fmod")
a, b = Given([[7.3], [-7.3]]), Given([2.1, -2.1, 0.7])

SAMPLES = [
    *[S(name, BETWEEN, ref=getattr(np, name)) for name in TO_WHOLE],
    *[S(name, WHOLE, ref=getattr(np, name), grad=False, why="jumps") for name in TO_WHOLE],
    *[S(name, Ints(3, high=9), ref=lambda x: x, grad=False) for name in TO_WHOLE],
    S("round", A(5), 1, ref=np.round),
    S("round", Ints(5, high=99), -1, ref=np.round, grad=False),
    *[S(name, a, b, ref=getattr(np, name)) for name in DIVISIONS],
    *[S(name, Ints(6, high=9, low=-9), 4, ref=getattr(np, name), grad=False) for name in DIVISIONS],
    S("remainder", BETWEEN, 1.1, ref=np.remainder),
    S("frac", BETWEEN, ref=lambda x: x - np.trunc(x)),
    S("heaviside", BETWEEN, A(6), ref=np.heaviside),
    S("heaviside", Given([0.0, -1.0, NAN]), Given([0.5]), ref=np.heaviside, grad=False, why="a jump"),
    S("heaviside", Given([0.0, 0.0, -1.0], differentiable=False), A(3), ref=np.heaviside, dtypes=("float64",)),
    S("binary_step", BETWEEN, ref=lambda x: np.where(x >= 0, 1.0, 0.0)),
    S("binary_step", Given([0.0, -1.0]), ref=lambda x: np.array([1.0, 0.0]), grad=False, why="a jump"),
    S("binary_step", Ints(4, high=5, low=-4), ref=lambda x: np.where(x >= 0, 1.0, 0.0), grad=False),
]  # fmt: skip

ERRORS = [
    E("binary_step", A(3), kw=dict(surrogate="x"), error=tg.ArgumentError, match="binary_step: unknown surrogate 'x'"),
    E("heaviside", A(3), 0.5, kw=dict(surrogate="x"), error=tg.ArgumentError, match="heaviside: unknown surrogate"),
    E("floor_divide", A(2, 3), A(2), error=tg.ShapeError, match="floor_divide: shapes do not broadcast"),
    E("floor", Given([1j], differentiable=False), error=tg.DtypeError, match="floor: "),
]
