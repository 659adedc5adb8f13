"""Cases of ops/trig.py."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, Above1, Complex, E, Given, Ints, S, Unit

WIDE = ("float32", "float64")
NAMES = {
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "sinc": np.sinc,
}  # fmt: skip
RECIPES = {"asin": Unit(2, 3), "acos": Unit(2, 3), "atanh": Unit(2, 3), "acosh": Above1(2, 3), "tan": Unit(2, 3)}

SAMPLES = [
    *[S(name, RECIPES.get(name, A(2, 3)), ref=ref, tol=2) for name, ref in NAMES.items()],
    *[S(name, Complex(3), ref=ref, dtypes=WIDE, tol=2) for name, ref in NAMES.items()],
    S("sin", A(), ref=np.sin),
    S("sin", Ints(3, high=5), ref=np.sin, grad=False),
    S("tanh", A(0, 3), ref=np.tanh),
    S("sinc", Given([0.0, 1e-4, -1e-4, 0.5, 1.0, 2.5, -7.25]), ref=np.sinc, tol=4),
    S("atan2", A(2, 3), A(3), ref=np.arctan2),
    S("atan2", A(3), 1, ref=np.arctan2),
    S("hypot", A(2, 3), A(3), ref=np.hypot),
    S("deg2rad", A(3), ref=np.deg2rad),
    S("rad2deg", A(3), ref=np.rad2deg),
]

ERRORS = [
    E("atan2", Complex(3), A(3), error=tg.DtypeError, match="atan2: "),
    E("hypot", A(2, 3), A(2), error=tg.ShapeError, match="hypot: shapes do not broadcast"),
]
