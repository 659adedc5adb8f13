"""Cases of ops/special.py, against SciPy."""

import numpy as np
from scipy import special

import tensorgraph as tg
from tests.samples import A, Complex, E, Given, Ints, Pos, S, Unit

NAN = float("nan")
REAL_ONLY = "erf erfc ndtr gammaln digamma i0 i0e i1 i1e".split()
EDGE = (Given([0.0, 0.0, 1.0, 0.0]), Given([0.0, NAN, 2.0, -1.0]))
TAILS = ("float64",)

SAMPLES = [
    *[S(name, A(2, 3), ref=getattr(special, name), tol=2) for name in REAL_ONLY],
    S("sigmoid", A(2, 3), ref=special.expit),
    S("sigmoid", Complex(3), ref=lambda z: 1 / (1 + np.exp(-z)), dtypes=("float32", "float64")),
    S("sigmoid", Ints(3, high=5, low=-5), ref=special.expit, grad=False),
    S("logit", Given([0.1, 0.4, 0.7]), ref=special.logit),
    S("logit", Given([-0.5, 0.02, 0.4, 1.5]), 0.1, ref=lambda x, eps: special.logit(np.clip(x, eps, 1 - eps))),
    S("logaddexp", A(2, 3), A(3), ref=np.logaddexp),
    S("logaddexp2", A(2, 3), A(3), ref=np.logaddexp2),
    S("xlogy", A(2, 3), Pos(3), ref=special.xlogy),
    S("xlogy", *EDGE, ref=special.xlogy, grad=False, why="the edge"),
    S("erf", A(), ref=special.erf),
    S("erf", A(0, 3), ref=special.erf),
    S("erf", Ints(3, high=5, low=-5), ref=special.erf, grad=False),
    S("erfinv", Unit(2, 3), ref=special.erfinv),
    S("polygamma", 0, Pos(4), ref=special.polygamma),
    S("polygamma", 1, A(2, 3), ref=special.polygamma, tol=4),
    S("polygamma", 2, Pos(4), ref=special.polygamma),
    # far out, where one formula takes over from another
    S("erf", Given([1e-8, 0.5, 3.9, 4.0, 5.9, -6.5]), ref=special.erf, dtypes=TAILS),
    S("erfc", Given([-3.0, 0.1, 4.0, 5.0]), ref=special.erfc, dtypes=TAILS),
    S("erfinv", Given([1e-7, 0.49, -0.51, 0.999]), ref=special.erfinv, dtypes=TAILS, tol=1e4),
    S("gammaln", Given([0.2, 0.6, 1.0, 2.0, 3.5, 7.9, 8.1, 99.0, -2.5]), ref=special.gammaln, dtypes=TAILS),
    S("digamma", Given([0.2, 1.5, 9.9, 10.1, 99.0, -2.5]), ref=special.digamma, dtypes=TAILS),
    S("i0", Given([0.0, 3.0, -9.0]), ref=special.i0, dtypes=TAILS),
    S("i0e", Given([0.5, 29.0, 31.0, -300.0]), ref=special.i0e, dtypes=TAILS),
    S("i1e", Given([0.5, 29.0, 31.0, -300.0]), ref=special.i1e, dtypes=TAILS),
    S("sigmoid", Given([-1000.0, -50.0, 0.0, 1000.0]), ref=special.expit, dtypes=TAILS),
]  # fmt: skip

ERRORS = [
    E("erf", Complex(3), error=tg.DtypeError, match="erf: this function takes real numbers only"),
    E("polygamma", -1, A(3), error=tg.ArgumentError, match="polygamma: the order is an integer >= 0, not -1"),
    E("logaddexp", A(2, 3), A(2), error=tg.ShapeError, match="logaddexp: shapes do not broadcast"),
]
