"""Cases of ops/elementwise.py."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, Bools, Complex, E, Given, Ints, Make, Pos, S

NAN, INF = float("nan"), float("inf")
ODD = Given([NAN, INF, -INF, 1.5])
WIDE = ("float32", "float64")  # half precision has no complex numbers


def negatives(n):
    """Numbers below 0 in the dtype of the case."""
    return Make(lambda rng: -rng.uniform(0.5, 2.0, n))


UNARY = {
    "negative": np.negative,
    "positive": np.positive,
    "reciprocal": np.reciprocal,
    "square": np.square,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "abs": np.abs,
    "sign": np.sign,
}
POSITIVE_ONLY = ("sqrt", "rsqrt", "log", "log2", "log10", "log1p")
BINARY = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "fmax": np.fmax,
    "fmin": np.fmin,
    "copysign": np.copysign,
}

SAMPLES = [
    *[S(name, Pos(2, 3) if name in POSITIVE_ONLY else A(2, 3), ref=ref) for name, ref in UNARY.items()],
    *[S(name, Complex(3), ref=ref, dtypes=WIDE) for name, ref in UNARY.items()],
    *[S(name, A(2, 3), A(3), ref=ref) for name, ref in BINARY.items()],
    *[S(name, Complex(2, 3), Complex(3), ref=ref, dtypes=WIDE) for name, ref in list(BINARY.items())[:4]],
    *[S("exp", A(*shape), ref=np.exp) for shape in ((), (0, 3))],
    *[S(name, Ints(4, high=5, low=1), ref=UNARY[name], grad=False) for name in ("exp", "square", "abs")],
    S("reciprocal", Ints(4, high=5, low=1), ref=lambda x: 1.0 / x, grad=False),
    S("cbrt", A(2, 3), ref=np.cbrt),
    # sums and products
    S("add", A(), A(2, 1, 3), ref=np.add),
    S("multiply", A(2, 1), A(1, 3), ref=np.multiply),
    S("multiply", A(0, 3), A(3), ref=np.multiply),
    S("subtract", A(3), 0.5, ref=np.subtract),
    S("divide", 2, A(3), ref=np.divide),
    S("divide", Ints(4, high=9), Ints(4, high=5, low=1), ref=np.divide, grad=False),
    S("divide", A(3), Complex(3), ref=np.divide, dtypes=WIDE),
    S("multiply", A(2, 3), Ints(3, high=5), ref=np.multiply),
    S("lerp", A(2, 3), A(3), A(2, 1), ref=lambda a, b, w: a + w * (b - a)),
    S("lerp", A(3), A(3), 1, ref=lambda a, b, w: b),
    S("addcmul", A(2, 3), A(3), A(2, 1), ref=lambda x, a, b: x + a * b),
    S("addcmul", A(3), A(3), A(3), kw=dict(value=2.5), ref=lambda x, a, b, value: x + value * a * b),
    S("addcdiv", A(2, 3), A(3), A(2, 1), ref=lambda x, a, b: x + a / b),
    S("addcdiv", A(3), A(3), A(3), kw=dict(value=2.5), ref=lambda x, a, b, value: x + value * a / b),
    # powers
    *[S("pow", A(5), b, ref=np.power, tol=2) for b in (0, 1, 2, 3, 4, 5, -1, -2, -3)],
    *[S("pow", Pos(5), b, ref=np.power, tol=2) for b in (-0.5, 0.5, 1.5, 2.5, 0.3)],
    S("pow", Given([0.0, 1.0, 2.0]), Given([0.0, 0.0, 0.0]), ref=np.power, grad=False, why="the edge"),
    S("pow", Pos(2, 3), A(3), ref=np.power, tol=2),
    S("pow", 2, A(3), ref=np.power),
    S("pow", 1 + 2j, A(3), ref=np.power, dtypes=WIDE),
    S("pow", negatives(4), Ints(4, high=4), ref=np.power, tol=2),
    S("pow", Ints(4, high=5), Ints(4, high=3), ref=np.power, grad=False),
    S("pow", Ints(4, high=5), 3, ref=np.power, grad=False),
    S("pow", Complex(3), Complex(3), ref=np.power, dtypes=WIDE, tol=2),
    S("pow", Complex(3), 3, ref=np.power, dtypes=WIDE),
    S("float_power", Pos(3), A(3), ref=np.float_power),
    S("float_power", A(3), -2, ref=np.float_power),
    S("float_power", Ints(3, high=5, low=1), -2, ref=np.float_power, grad=False),
    S("copysign", A(3), -1, ref=np.copysign),
    # choices
    S("where", Bools(2, 3), A(2, 3), A(3), ref=np.where),
    S("where", Bools(3), A(), 0, ref=np.where),
    S("where", Bools(100, 100), A(100, 100), 0, ref=np.where),
    S("where", Bools(100, 100), 0, A(100, 100), ref=np.where),
    S("where", Bools(100, 100), A(100, 100), A(100, 100), ref=np.where),
    S("where", Bools(100, 100), A(100, 100), 1.5, ref=np.where),
    S("maximum", A(2, 3), 0.5, ref=np.maximum),
    S("fmax", Given([NAN, 1.0, 2.0, NAN]), Given([1.0, NAN, 3.0, NAN]), ref=np.fmax, grad=False, why="NaN"),
    S("clip", A(2, 6), -0.5, 1, ref=np.clip),
    S("clip", A(5), kw=dict(min=-0.5), ref=lambda x, min: np.maximum(x, min)),
    S("clip", A(5), kw=dict(max=0.5), ref=lambda x, max: np.minimum(x, max)),
    S("clip", A(3, 4), Given([-1.1, -0.3, 0.1, 0.7]), Given([[0.9], [1.3], [0.75]]), ref=np.clip),
    S("clip", A(5), None, A(5), ref=lambda x, low, high: np.minimum(x, high)),
    S("clip", A(4), 1.5, 0.3, ref=lambda x, low, high: np.full_like(x, high)),
    S("clip", Ints(5, high=9), 2, 5, ref=np.clip, grad=False),
    S("nan_to_num", ODD, kw=dict(nan=2.0, posinf=3.0, neginf=-4.0), ref=np.nan_to_num, grad=False, why="infinities"),
    S("nan_to_num", A(4), ref=np.nan_to_num),
    # casts
    S("astype", A(2, 3), kw=dict(dtype="float64"), ref=lambda x, dtype: x),
    S("astype", Complex(3), "float64", kw=dict(copy=False), ref=lambda z, dtype, copy: z.real, dtypes=("float64",)),
    S("astype", A(3), "complex128", ref=lambda x, dtype: x + 0j, dtypes=("float64",)),
    S("astype", A(3), "int64", ref=lambda x, dtype: x.astype(dtype), grad=False),
]  # fmt: skip

ERRORS = [
    E("add", A(2, 3), A(2), error=tg.ShapeError, match=r"add: shapes do not broadcast: a f32\[2,3\] and b f32\[2\]"),
    E("subtract", Bools(3), Bools(3), error=tg.DtypeError, match="subtract: "),
    E("pow", Ints(3, high=3), -1, error=tg.ArgumentError, match="pow: Integers to negative integer powers"),
    E("astype", A(3), "text", error=tg.DtypeError, match="astype: unknown dtype 'text'"),
    E("cbrt", Complex(3), error=tg.DtypeError, match="cbrt: "),
]
