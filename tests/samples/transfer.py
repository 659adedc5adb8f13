"""Cases of ops/transfer.py. Moving between devices is tested in tests/test_engine.py."""

import numpy as np

from tests.samples import A, E, Ints, S

SAMPLES = [
    S("clone", A(2, 3), ref=np.array),
    S("clone", A(), ref=np.array),
    S("clone", Ints(3, high=5), ref=np.array, grad=False),
    S("stop_gradient", A(2, 3), ref=np.array, grad=False),
]

ERRORS: list[E] = []
