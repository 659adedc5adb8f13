"""Cases of ops/activation.py, against the formulas as their papers give them."""

import math

import numpy as np
from scipy import special

import tensorgraph as tg
from tests.samples import A, E, Given, Ints, S

WIDE = Given([-4.1, -2.9, -1.3, -0.7, -0.2, 0.3, 0.6, 1.4, 2.7, 3.3, 6.4])  # on all sides of every kink


def leaky(x, slope=0.01):
    return np.where(x > 0, x, slope * x)


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def softplus(x, beta=1.0, threshold=20.0):
    return np.where(beta * x > threshold, x, np.log1p(np.exp(np.minimum(beta * x, threshold))) / beta)


def normal_cdf(x):
    return np.vectorize(lambda v: 0.5 * math.erfc(-v / math.sqrt(2)), otypes=[float])(x)


def gelu_tanh(x, approximate):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def selu(x):
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


def celu(x, alpha=1.0):
    return np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha))


def prelu(x, w):
    return leaky(x, w.reshape(-1, *(1,) * (x.ndim - 2)))


def hardtanh(x, low=-1.0, high=1.0):
    return np.minimum(np.maximum(x, low), high)


def softshrink(x, lambd=0.5):
    return np.sign(x) * np.maximum(np.abs(x) - lambd, 0)


SAMPLES = [
    S("identity", A(3), ref=lambda x: x),
    *[S(name, WIDE, ref=ref) for name, ref in {
        "relu": lambda x: np.maximum(x, 0),
        "relu6": lambda x: np.clip(x, 0, 6),
        "hardtanh": hardtanh,
        "leaky_relu": leaky,
        "elu": elu,
        "selu": selu,
        "celu": celu,
        "softplus": softplus,
        "logsigmoid": special.log_expit,
        "silu": lambda x: x * special.expit(x),
        "mish": lambda x: x * np.tanh(softplus(x)),
        "gelu": lambda x: x * normal_cdf(x),
        "softsign": lambda x: x / (1 + np.abs(x)),
        "tanhshrink": lambda x: x - np.tanh(x),
        "hardsigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
        "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
        "softshrink": softshrink,
        "hardshrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    }.items()],
    S("relu", A(), ref=lambda x: np.maximum(x, 0)),
    S("relu", A(2, 0), ref=lambda x: np.maximum(x, 0)),
    S("relu", A(2, 9000), ref=lambda x: np.maximum(x, 0)),
    S("relu", Ints(5, high=5, low=-5), ref=lambda x: np.maximum(x, 0), grad=False),
    S("hardtanh", WIDE, -2, 0.5, ref=hardtanh),
    *[S("leaky_relu", WIDE, slope, ref=leaky) for slope in (0, 0.3, 1.5, -0.2)],
    S("prelu", A(2, 3, 2), Given([0.1, -0.4, 1.7]), ref=prelu),
    S("prelu", A(4), Given([0.3]), ref=lambda x, w: leaky(x, w)),
    S("prelu", A(), Given([0.3]), ref=lambda x, w: leaky(x, w[0])),
    S("rrelu", WIDE, ref=lambda x: leaky(x, 11 / 48)),
    S("rrelu", WIDE, ref=lambda x: leaky(x, 0.2), f=lambda x: tg.rrelu(x, 0.2, 0.2, training=True)),
    S("threshold", WIDE, 0.5, -7.0, ref=lambda x, t, value: np.where(x > t, x, value)),
    S("elu", WIDE, 2.5, ref=elu),
    S("celu", WIDE, 2.5, ref=celu),
    S("softplus", WIDE, 2, ref=softplus),
    S("softplus", WIDE, 1.5, 2.0, ref=softplus),
    S("gelu", WIDE, kw=dict(approximate="tanh"), ref=gelu_tanh),
    S("softshrink", WIDE, 1.5, ref=softshrink),
    S("hardshrink", WIDE, 1.5, ref=lambda x, lambd: np.where(np.abs(x) > lambd, x, 0)),
]  # fmt: skip

ERRORS = [
    E("hardtanh", A(3), 1, -1, error=tg.ArgumentError, match="hardtanh: min_val 1 lies above max_val -1"),
    E("prelu", A(2, 3), A(2), error=tg.ShapeError, match=r"prelu: f32\[2\] are no weights for f32\[2,3\]"),
    E("prelu", A(3), A(3), error=tg.ShapeError, match="prelu: "),
    E("rrelu", A(3), 0.5, 0.1, error=tg.ArgumentError, match="rrelu: lower 0.5 lies above upper 0.1"),
    E("celu", A(3), 0, error=tg.ArgumentError, match="celu: alpha is 0"),
    E("gelu", A(3), "sigmoid", error=tg.ArgumentError, match="gelu: unknown approximation 'sigmoid'"),
    E("softshrink", A(3), -1, error=tg.ArgumentError, match="softshrink: lambd -1 is negative"),
]
