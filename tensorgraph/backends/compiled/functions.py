"""What the elementwise kernels compute, written on vectors in registers (`Value`). Imported by table.py."""

from __future__ import annotations

import math
from typing import Any

from tensorgraph.backends.compiled.emit import where
from tensorgraph.backends.compiled.maths import exp, log, log1p_of_fraction, ndtr, sigmoid, tanh

__all__ = [
    "adam",
    "add",
    "exp",
    "gelu",
    "gelu_slope",
    "gru",
    "gru_back",
    "log",
    "lstm",
    "lstm_back",
    "rnn_relu_back",
    "rnn_tanh_back",
    "moments",
    "ndtr",
    "normalized",
    "normalized_add_relu",
    "normalized_add_relu_sums",
    "normalized_relu",
    "normalized_relu_slope",
    "normalized_relu_sums",
    "normalized_slope",
    "normalized_sums",
    "relu",
    "relu_slope",
    "rmsprop",
    "sgd",
    "sgd_momentum",
    "sigmoid",
    "sigmoid_slope",
    "silu",
    "silu_slope",
    "softplus",
    "tanh",
    "tanh_slope",
]


# ---- sums of gradients ----------------------------------------------------------------------------------------------
def add(a: Any, b: Any) -> Any:
    return a + b


# ---- rectifier ------------------------------------------------------------------------------------------------------
def relu(x: Any) -> Any:
    return where(x < 0.0, 0.0, x)


def relu_slope(g: Any, y: Any) -> Any:
    return where(y > 0.0, g, 0.0)


# ---- smooth units ---------------------------------------------------------------------------------------------------
def gelu(x: Any) -> Any:
    return x * ndtr(x)


def gelu_slope(g: Any, x: Any) -> Any:
    return g * (x * exp(x * x * -0.5)).times_plus(1 / math.sqrt(2 * math.pi), ndtr(x))


def silu(x: Any) -> Any:
    return x * sigmoid(x)


def silu_slope(g: Any, x: Any) -> Any:
    y = sigmoid(x)
    return g * (x * (y - y * y) + y)


def softplus(x: Any) -> Any:
    return where(x < 0.0, 0.0, x) + log1p_of_fraction(exp(-abs(x)))


def sigmoid_slope(g: Any, y: Any) -> Any:
    return g * (y * (1.0 - y))


def tanh_slope(g: Any, y: Any) -> Any:
    return g * (1.0 - y * y)


# ---- normalisation along the rows -----------------------------------------------------------------------------------
def moments(x: Any, near: Any) -> tuple:
    """Sums of x - near and of its square; `near` is a value of the column, so that no digits are lost."""
    d = x - near
    return d, d * d


def normalized(x: Any, mean: Any, scale: Any, bias: Any) -> Any:
    return (x - mean).times_plus(scale, bias)


def normalized_sums(g: Any, x: Any, mean: Any) -> tuple:
    return g, g * (x - mean)


def normalized_slope(g: Any, x: Any, mean: Any, scale: Any, along: Any, level: Any) -> Any:
    return g.times_plus(scale, level) + (x - mean) * along


# with a rectifier behind it, whose mask comes from the same arithmetic on the same numbers once more: so nothing but x
# has to be read and kept for it
def normalized_relu(x: Any, mean: Any, scale: Any, bias: Any) -> Any:
    return relu(normalized(x, mean, scale, bias))


def normalized_relu_sums(g: Any, x: Any, mean: Any, scale: Any, bias: Any) -> tuple:
    return normalized_sums(relu_slope(g, normalized(x, mean, scale, bias)), x, mean)


def normalized_relu_slope(g: Any, x: Any, mean: Any, scale: Any, bias: Any, along: Any, level: Any) -> Any:
    return normalized_slope(relu_slope(g, normalized(x, mean, scale, bias)), x, mean, scale, along, level)


def normalized_add_relu(x: Any, more: Any, mean: Any, scale: Any, bias: Any) -> Any:
    return relu(normalized(x, mean, scale, bias) + more)


def normalized_add_relu_sums(g: Any, x: Any, more: Any, mean: Any, scale: Any, bias: Any) -> tuple:
    """Two sums, and the gradient of what was added."""
    g = relu_slope(g, normalized(x, mean, scale, bias) + more)
    return *normalized_sums(g, x, mean), g


# ---- optimisers -----------------------------------------------------------------------------------------------------
def sgd(p: Any, g: Any, lr: Any, decay: Any, sign: Any) -> Any:
    return p - (g * sign + p * decay) * lr


def sgd_momentum(p: Any, g: Any, b: Any, lr: Any, decay: Any, sign: Any, momentum: Any, share: Any, ahead: Any) -> Any:
    """`ahead`: 1 for Nesterov's look-ahead, otherwise 0."""
    g = g * sign + p * decay
    b = b * momentum + g * share
    return p - (b + ahead * (g + b * momentum - b)) * lr, b


def rmsprop(p: Any, g: Any, s: Any, lr: Any, decay: Any, sign: Any, alpha: Any, share: Any, eps: Any) -> Any:
    g = g * sign + p * decay
    s = s * alpha + g * g * share
    return p - g / (s.sqrt() + eps) * lr, s


def adam(p, g, m, v, lr, decay, sign, b1, share1, b2, share2, eps, shrink) -> Any:
    p = p * shrink
    g = g * sign + p * decay
    m = m * b1 + g * share1
    v = v * b2 + g * g * share2
    return p - m / (v.sqrt() + eps) * lr, m, v


# ---- recurrent steps ------------------------------------------------------------------------------------------------
def lstm(i, f, g, o, c) -> Any:
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
    c = f * c + i * g
    return i, f, g, o, c, o * tanh(c)


def lstm_back(i, f, g, o, c, c_new, gy, gh, gc) -> Any:
    t, gh = tanh(c_new), gy + gh
    gc = gc + gh * o * (1.0 - t * t)
    return gc * g * (i - i * i), gc * c * (f - f * f), gc * i * (1.0 - g * g), gh * t * (o - o * o), gc * f


def gru(r, z, n, of_r, of_z, of_n, h) -> Any:
    """`of_`: what the state brings. The last but one result is kept for the way back."""
    r, z = sigmoid(r + of_r), sigmoid(z + of_z)
    n = tanh(r.times_plus(of_n, n))
    return r, z, n, of_n, z.times_plus(h - n, n)


def gru_back(r, z, n, of_n, h, gy, gh) -> Any:
    gh = gy + gh
    at_n = gh * (1.0 - z) * (1.0 - n * n)
    return at_n, at_n * of_n * (r - r * r), gh * (h - n) * (z - z * z), at_n * r, gh * z


def rnn_tanh_back(y, gy, gh) -> Any:
    return (gy + gh) * (1.0 - y * y)


def rnn_relu_back(y, gy, gh) -> Any:
    return where(y > 0.0, gy + gh, 0.0)
