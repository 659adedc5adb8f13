"""Cases of ops/elementwise.py."""

import numpy as np

from tests.samples import A, Bools, E, S

SAMPLES = [
    S("mul", A(2, 3), A(3), ref=np.multiply),
    S("where", Bools(2, 3), A(2, 3), A(3), ref=np.where),
]

ERRORS: list[E] = []
