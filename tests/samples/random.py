"""Random draws, from the same bits that NumPy's PCG64 gives for the seed; their distributions: tests/test_random.py."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, E, Given, Pos, S


def draw(name, *args, **kw):
    """The function `name` with a generator of its own, on the device of its first tensor."""

    def call(*values):
        device = next((v.device for v in values if isinstance(v, tg.Tensor)), None)
        return getattr(tg, name)(*values, *args, generator=tg.Generator(7, device), **kw)

    return call


def bits():
    return np.random.Generator(np.random.PCG64(7))


def mask(shape, keep):
    return (bits().integers(0, 2**32, shape, dtype=np.uint32) < keep * 2**32) / keep


def inverted(weights, u):
    """The index whose share of the weights `u` falls into."""
    return np.searchsorted(np.cumsum(weights) / weights.sum(), u, side="right")


def alpha_dropout(x, noise, p):
    """With the constants of the paper: mean and variance stay."""
    limit = -1.7580993408473766
    scale = ((1 - p) * (1 + p * limit**2)) ** -0.5
    return scale * np.where(noise > 0, x, limit) - scale * p * limit


F64 = dict(dtypes=("float64",))

SAMPLES = [
    S("rand", f=draw("rand", 2, 3), ref=lambda: bits().random((2, 3), dtype=np.float32), grad=False),
    S("randn", f=draw("randn", (2, 3)), ref=lambda: bits().standard_normal((2, 3), dtype=np.float32), grad=False),
    S("rand_like", A(2, 3), f=draw("rand_like"), ref=lambda x: bits().random(x.shape), grad=False, **F64),
    S("randn_like", A(2, 3), f=draw("randn_like"), ref=lambda x: bits().standard_normal(x.shape), grad=False, **F64),
    S("uniform", A(3), Pos(2, 1), f=draw("uniform"), ref=lambda a, b: a + bits().random((2, 3)) * (b - a), **F64),
    S("normal", A(3), Pos(2, 1), f=draw("normal"), ref=lambda a, b: a + bits().standard_normal((2, 3)) * b, **F64),
    S("normal", A(), f=draw("normal", 2.0, size=(4,)), ref=lambda a: a + bits().standard_normal(4) * 2, **F64),
    S("exponential", Pos(3), f=draw("exponential"), ref=lambda a: a * bits().standard_exponential(3), **F64),
    S("gumbel", A(3), Pos(3), f=draw("gumbel"), ref=lambda a, b: a - b * np.log(bits().standard_exponential(3)), **F64),
    S("bernoulli", Given([0.0, 0.5, 1.0, 0.3]), f=draw("bernoulli"), ref=lambda p: (bits().random(4) < p) * 1.0,
      grad=False, **F64),
    S("randint", f=draw("randint", 2, 9, (5,)), ref=lambda: bits().integers(2, 9, 5), grad=False),
    S("permutation", f=draw("permutation", 5), ref=lambda: bits().permutation(5), grad=False),
    S("permutation", A(4, 2), f=draw("permutation"), ref=lambda x: x[bits().permutation(4)]),
    S("multinomial", np.array([0.0, 1.0, 3.0, 0.5]), f=draw("multinomial", 6, True), grad=False,
      ref=lambda w: inverted(w, bits().random(6))),
    S("multinomial", np.array([[0.0, 1.0, 3.0], [2.0, 1.0, 0.0]]), f=draw("multinomial", 4, replacement=True),
      grad=False, ref=lambda w: np.stack([inverted(a, u) for a, u in zip(w, bits().random((2, 4)))])),
    S("multinomial", np.array([0.0, 1.0, 3.0, 0.5]), f=draw("multinomial", 3), grad=False,
      ref=lambda w: np.argsort(bits().standard_exponential(4) / np.where(w > 0, w, 1e-300))[:3]),
    S("choice", A(4, 2), f=draw("choice", (3,)), ref=lambda x: x[bits().integers(0, 4, 3)]),
    S("choice", A(4), f=draw("choice", 3, False), ref=lambda x: x[bits().permutation(4)[:3]]),
    S("choice", f=draw("choice", 5, (2, 2)), ref=lambda: bits().integers(0, 5, 4).reshape(2, 2), grad=False),
    S("choice", f=draw("choice", 3, 4, p=[0.2, 0.0, 0.8]), grad=False,
      ref=lambda: inverted(np.array([0.2, 0.0, 0.8]), bits().random(4))),
    S("dropout", A(4, 5), f=draw("dropout", 0.3), ref=lambda x: x * mask((4, 5), 0.7)),
    S("dropout", A(4, 5), 1.0, f=lambda x, p: tg.dropout(x, p), ref=lambda x, p: x * 0, grad=False,
      why="zeros whatever x is"),
    S("dropout", A(4, 5), 0.3, f=lambda x, p: tg.dropout(x, p, training=False), ref=lambda x, p: x),
    S("dropout1d", A(4, 5, 2), f=draw("dropout1d", 0.3), ref=lambda x: x * mask((4, 5, 1), 0.7)),
    S("dropout2d", A(2, 3, 2, 2), f=draw("dropout2d", 0.3), ref=lambda x: x * mask((2, 3, 1, 1), 0.7)),
    S("dropout3d", A(3, 2, 1, 2), f=draw("dropout3d", 0.3), ref=lambda x: x * mask((3, 1, 1, 1), 0.7)),
    S("alpha_dropout", A(4, 5), f=draw("alpha_dropout", 0.3), ref=lambda x: alpha_dropout(x, mask((4, 5), 0.7), 0.3)),
    S("feature_alpha_dropout", A(2, 3, 4), f=draw("feature_alpha_dropout", 0.3),
      ref=lambda x: alpha_dropout(x, mask((2, 3, 1), 0.7), 0.3)),
]  # fmt: skip

ERRORS = [
    E("rand", -1, error=tg.ShapeError, match="a shape with a negative size"),
    E("randn", 2.5, error=tg.DtypeError, match="a shape is made of integers"),
    E("rand", 2, kw=dict(dtype="int64"), error=tg.DtypeError, match="needs a floating dtype, got int64"),
    E("rand", 2, kw=dict(generator=3), error=tg.ArgumentError, match="(?s)generator is int 3.*Generator"),
    E("uniform", A(2), A(3), error=tg.ShapeError, match="do not broadcast"),
    E("randint", 3, 3, error=tg.ArgumentError, match="no integer from 3 up to but without 3"),
    E("randint", 300, kw=dict(dtype="uint8", size=3), error=tg.ArgumentError, match="300 does not fit into uint8"),
    E("permutation", -1, error=tg.ArgumentError, match="of -1 things"),
    E("bernoulli", Given([0.5, 1.5]), error=tg.ArgumentError, match="between 0 and 1"),
    E("bernoulli", Given([0.5, np.nan]), error=tg.ArgumentError, match="between 0 and 1"),
    E("multinomial", Given([1.0, -1.0]), 1, error=tg.ArgumentError, match="finite and not negative"),
    E("multinomial", Given([1.0, 0.0]), 2, error=tg.ArgumentError,
      match="(?s)fewer than 2 positive weights.*replacement=True"),
    E("multinomial", Given([0.0, 0.0]), 1, True, error=tg.ArgumentError, match="fewer than 1 positive weights"),
    E("multinomial", Pos(2, 2, 2), 1, error=tg.ShapeError, match="weights has 3 axes"),
    E("choice", 3, 4, False, error=tg.ArgumentError, match="4 draws without replacement from 3 things"),
    E("choice", 0, error=tg.ArgumentError, match="from 0 things"),
    E("choice", 3, kw=dict(p=[0.5, 0.5]), error=tg.ShapeError, match="3 things to draw from"),
    E("dropout", A(3), 1.5, error=tg.ArgumentError, match="p is a probability between 0 and 1, got 1.5"),
    E("dropout", np.arange(3), error=tg.DtypeError, match="x is int64, needs a floating dtype"),
    E("dropout2d", A(3, 4), error=tg.ShapeError, match=r"x has 2 axes, expected \(N, C, 2 more\)"),
    E("feature_alpha_dropout", A(3), error=tg.ShapeError, match="x has 1 axes"),
]  # fmt: skip
