"""Cases of ops/softmax.py."""

import numpy as np
from scipy import special

import tensorgraph as tg
from tests.samples import A, E, Given, Ints, S


def gumbel_softmax(logits, tau=1.0, hard=False, axis=-1):
    """With noise from a generator of its own, the same at every call."""
    return tg.gumbel_softmax(logits, tau, hard, axis, generator=tg.Generator(3, logits.device))


def gumbel_reference(x, tau=1.0, hard=False, axis=-1):
    noise = tg.ops.random.gumbel(size=x.shape, dtype=x.dtype, generator=tg.Generator(3)).numpy()
    return special.softmax((x + noise) / tau, axis=axis)


def hard_reference(x, hard):
    return np.eye(x.shape[-1])[gumbel_reference(x).argmax(-1)]


def glu(x, axis=-1):
    a, b = np.split(x, 2, axis)
    return a * special.expit(b)


LARGE = Given([[1e4, -1e4, 9999.0]])
GUMBEL = dict(f=gumbel_softmax, dtypes=("float64",))

SAMPLES = [
    # one number alone is certain, whatever it is: the gradient is exactly 0
    S("softmax", A(), kw=dict(axis=0), ref=lambda x, axis: np.ones_like(x)),
    S("log_softmax", A(), ref=lambda x: np.zeros_like(x)),
    *[S(name, A(2, 3, 4), kw=dict(axis=axis), ref=ref) for axis in (-1, 1, 0) for name, ref in {
        "softmax": special.softmax,
        "log_softmax": special.log_softmax,
        "softmin": lambda x, axis: special.softmax(-x, axis),
    }.items()],
    S("softmax", A(3, 4), ref=lambda x: special.softmax(x, -1)),
    S("softmax", A(3, 4), kw=dict(dim=0), ref=lambda x, dim: special.softmax(x, dim)),
    S("softmin", A(3, 4), kw=dict(dim=0), ref=lambda x, dim: special.softmax(-x, dim)),
    S("softmax", A(2, 0), ref=lambda x: x),
    S("softmax", LARGE, ref=lambda x: special.softmax(x, -1), dtypes=("float32", "float64")),
    S("softmax", Ints(2, 3, high=5), ref=lambda x: special.softmax(x * 1.0, -1), grad=False),
    S("log_softmax", LARGE, ref=lambda x: special.log_softmax(x, -1), dtypes=("float32", "float64")),
    S("log_softmax", Ints(2, 3, high=5), ref=lambda x: special.log_softmax(x * 1.0, -1), grad=False),
    S("gumbel_softmax", A(3, 4), ref=gumbel_reference, **GUMBEL),
    S("gumbel_softmax", A(3, 4), 0.5, kw=dict(axis=0), ref=gumbel_reference, **GUMBEL),
    S("gumbel_softmax", A(3, 4), kw=dict(hard=True), ref=hard_reference, **GUMBEL, grad=False, why="straight through"),
    S("glu", A(3, 4), ref=glu),
    S("glu", A(2, 6, 3), kw=dict(axis=1), ref=glu),
    S("glu", A(4, 3), kw=dict(dim=0), ref=lambda x, dim: glu(x, dim)),
    S("maxout", A(2, 6, 3), 3, ref=lambda x, n: x.reshape(2, 2, 3, 3).max(2)),
    S("maxout", A(2, 6), 2, kw=dict(axis=-1), ref=lambda x, n, axis: x.reshape(2, 3, 2).max(-1)),
]  # fmt: skip

ERRORS = [
    E("softmax", A(), kw=dict(axis=1), error=tg.AxisError, match="softmax: axis 1"),
    E("softmax", A(2, 3), kw=dict(axis=2), error=tg.AxisError, match="softmax: axis 2"),
    E("log_softmax", A(2, 3), kw=dict(axis=-3), error=tg.AxisError, match="log_softmax: axis -3"),
    E("glu", A(2, 3), error=tg.ShapeError, match="glu: axis 1 of .* has the odd size 3"),
    E("glu", A(2, 4), kw=dict(axis=2), error=tg.AxisError, match="glu: axis 2"),
    E("maxout", A(2, 5), 2, error=tg.ShapeError, match="maxout: axis 1 of .* does not fall into groups of 2"),
    E("gumbel_softmax", A(2, 3), 0, error=tg.ArgumentError, match="gumbel_softmax: the temperature"),
]
