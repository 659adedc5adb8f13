"""Cases of ops/complex.py."""

import numpy as np

from tests.samples import A, Complex, E, S

NAMES = ("real", "imag", "conj", "angle")

SAMPLES = [
    *[S(name, Complex(2, 3), ref=getattr(np, name), dtypes=("float32", "float64")) for name in NAMES],
    *[S(name, A(4), ref=getattr(np, name)) for name in NAMES],
]

ERRORS: list[E] = []
