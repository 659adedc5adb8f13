"""Activation functions that act on each number by itself; names, arguments and defaults as in torch.nn.functional.

`sigmoid` is in special.py, `tanh` and `atan` (arctan) in trig.py, `binary_step` in rounding.py; those that look along
an axis (softmax, glu, maxout) are in softmax.py. May import: the elementwise files, special, random.
"""

from __future__ import annotations

import math
from typing import Any

from tensorgraph.creation import asarray
from tensorgraph.errors import ArgumentError, ShapeError, sig
from tensorgraph.fused import fusable
from tensorgraph.operation import Array, op
from tensorgraph.ops.elementwise import abs, minimum, multiply, square, where
from tensorgraph.ops.random import uniform
from tensorgraph.ops.special import ndtr, sigmoid
from tensorgraph.ops.trig import tanh

__all__ = [
    "celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "identity", "leaky_relu",
    "logsigmoid", "mish", "prelu", "relu", "relu6", "rrelu", "selu", "silu", "softplus", "softshrink",
    "softsign", "swish", "tanhshrink", "threshold",
]  # fmt: skip


def identity(x: Any) -> Any:
    """x itself."""
    return x


def check_activation(name: str, activation: Any) -> None:
    """Raises ArgumentError for what the operation `name` does not know as its `activation=`."""
    if activation is not None and activation != "relu":
        raise ArgumentError(
            f'{name}: activation is "relu" or None, got {activation!r}',
            hint="all other activations are operations and layers of their own, called on the result",
        )


# ---- rectifiers ----------------------------------------------------------------------------------------------------
@op
def relu(be, x: Array):
    """Rectifier max(x, 0); NaN passes through.  x (...) -> (...).  The gradient at exactly 0 is 0.

    Source: Nair & Hinton, ICML 2010.
    """
    return be.relu(x)


@op
def rectified(be, slope: Array, result: Array, over: object = None):
    """The slope where the result of relu is positive, else 0: the rule of relu, and of itself.

    `over`: the slope's own array, where it may be written over.
    """
    return be.relu_slope(slope, result, over)


rectified.vjp(slope=lambda g, result, own: rectified(g, result, own))
relu.vjp(x=lambda g, y, own: rectified(g, y, own))


@op
def hardtanh(be, x: Array, min_val: float = -1.0, max_val: float = 1.0):
    """x limited to [min_val, max_val]; NaN passes through.  x (...) -> (...).  The gradient on the bounds is 0.

    (`clip` passes the gradient there.)
    """
    if min_val > max_val:
        raise ArgumentError(f"hardtanh: min_val {min_val} lies above max_val {max_val}")
    return be.clip(x, min_val, max_val)


hardtanh.vjp(x=lambda g, y, min_val, max_val: where((y > min_val) & (y < max_val), g, 0))


def relu6(x: Any):
    """min(max(x, 0), 6); NaN passes through.  x (...) -> (...).  The gradient at 0 and 6 is 0.

    Source: Krizhevsky, Convolutional Deep Belief Networks on CIFAR-10, 2010.
    """
    return hardtanh(x, 0, 6)


@op
def leaky_relu(be, x: Array, negative_slope: float = 0.01):
    """x above 0, negative_slope * x below.  x (...) -> (...).  The gradient at 0 is the one of the negative side.

    Source: Maas, Hannun & Ng, ICML 2013.
    """
    if not negative_slope:
        return be.maximum(x, 0)
    return be.maximum(x, x * negative_slope) if negative_slope <= 1 else be.minimum(x, x * negative_slope)


leaky_relu.vjp(x=lambda g, x, negative_slope: where(x > 0, g, g * negative_slope))


@op(broadcasts=True)
def _prelu(be, x: Array, weight: Array):
    return be.where(be.greater(x, 0), x, be.multiply(x, weight))


_prelu.vjp(x=lambda g, x, weight: where(x > 0, g, g * weight), weight=lambda g, x: where(x > 0, 0, g * x))


def prelu(x: Any, weight: Any):
    """x above 0, weight * x below.  x (N, C, ...), weight (C,) or (1,) -> as x.  The gradient at 0 is the one below.

    Raises ShapeError: the weights are neither one nor as many as the channels (axis 1).
    Source: He et al. 2015, arXiv:1502.01852.
    """
    channels = x.shape[1:2] if x.ndim > 1 else (1,)
    if weight.shape not in ((), (1,), channels):
        raise ShapeError(
            f"prelu: {sig(weight)} are no weights for {sig(x)}", hint="one weight, or one for each channel (axis 1)"
        )
    return _prelu(x, weight.reshape((-1,) + (1,) * (x.ndim - 2) if x.ndim > 1 else (1,) * x.ndim))


def rrelu(x: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, *, generator: Any = None):
    """Leaky relu with a slope drawn evenly from [lower, upper] for each number while training, else their mean.

    Source: Xu et al. 2015, arXiv:1505.00853.
    """
    if lower > upper:
        raise ArgumentError(f"rrelu: lower {lower} lies above upper {upper}")
    if not training:
        return leaky_relu(x, (lower + upper) / 2)
    x = asarray(x)
    return _prelu(x, uniform(lower, upper, size=x.shape, dtype=x.dtype, device=x.device, generator=generator))


@op
def threshold(be, x: Array, threshold: float, value: float):
    """x where it lies above `threshold`, else `value`; NaN passes through.  x (...) -> (...).  Gradient there: 0."""
    return be.where(be.less_equal(x, threshold), value, x)


threshold.vjp(x=lambda g, x, threshold: where(x > threshold, g, 0))


# ---- exponential below 0 -------------------------------------------------------------------------------------------
@op
def _elu(be, x: Array, *, alpha: float, scale: float, rate: float):
    x = be.floating(x)
    y = be.expm1(be.minimum(x, 0) * rate) * (alpha * scale)
    y += be.maximum(x, 0) * scale if scale != 1 else be.maximum(x, 0)
    return y


def _elu_rule(g, x, y, alpha, scale, rate):
    above = g * scale if scale != 1 else g
    return where(x > 0, above, (y + alpha * scale) * g if rate == 1 else (y + alpha * scale) * g * rate)


_elu.vjp(x=_elu_rule)


def elu(x: Any, alpha: float = 1.0):
    """x above 0, alpha (e^x - 1) below.  x (...) -> (...).  The gradient at 0 is the one below, alpha.

    Source: Clevert et al. 2015, arXiv:1511.07289.
    """
    return _elu(x, alpha=alpha, scale=1, rate=1)


def selu(x: Any):
    """1.0507 elu(x, alpha=1.6733): keeps mean 0 and variance 1 from layer to layer.  x (...) -> (...).

    Source: Klambauer et al. 2017, arXiv:1706.02515.
    """
    return _elu(x, alpha=1.6732632423543772848170429916717, scale=1.0507009873554804934193349852946, rate=1)


def celu(x: Any, alpha: float = 1.0):
    """x above 0, alpha (e^(x / alpha) - 1) below: differentiable at 0 for every alpha.  x (...) -> (...).

    Source: Barron 2017, arXiv:1704.07483.
    """
    if not alpha:
        raise ArgumentError("celu: alpha is 0, by which x is divided")
    return _elu(x, alpha=alpha, scale=1, rate=1 / alpha)


# ---- smooth --------------------------------------------------------------------------------------------------------
@op
def softplus(be, x: Array, beta: float = 1.0, threshold: float = 20.0):
    """log(1 + exp(beta x)) / beta without overflow, and x itself where beta x > threshold.  x (...) -> (...).

    Source: Dugas et al., NIPS 2000.
    """
    if beta == 1:
        return be.where(be.greater(x, threshold), x, be.softplus(x))
    return be.where(be.greater(x * beta, threshold), x, be.softplus(x * beta) / beta)


softplus.vjp(x=lambda g, x, beta, threshold: where(x * beta > threshold, g, g * sigmoid(x * beta)))


@op
def logsigmoid(be, x: Array):
    """log(sigmoid(x)), finite for every finite x.  x (...) -> (...)."""
    return be.negative(be.softplus(be.negative(x)))


logsigmoid.vjp(x=lambda g, x: g * sigmoid(-x))


@fusable
def _silu(x):
    return multiply(x, sigmoid(x))


def silu(x: Any):
    """x sigmoid(x), also called swish.  x (...) -> (...).  Source: Hendrycks & Gimpel 2016, arXiv:1606.08415."""
    return _silu(x)


def mish(x: Any):
    """x tanh(softplus(x)).  x (...) -> (...).  Source: Misra 2019, arXiv:1908.08681."""
    return multiply(x, tanh(softplus(x)))


@fusable
def _gelu(x):
    return multiply(x, ndtr(x))


def gelu(x: Any, approximate: str = "none"):
    """x times the probability that a standard normal variable lies below x.  x (...) -> (...).

    `approximate="tanh"` computes x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2.
    Source: Hendrycks & Gimpel 2016, arXiv:1606.08415.
    """
    if approximate == "none":
        return _gelu(x)
    if approximate != "tanh":
        raise ArgumentError(f"gelu: unknown approximation {approximate!r}", hint='"none" or "tanh"')
    return multiply(x, sigmoid(_gelu_cubic(x)))  # (1 + tanh(u)) / 2 is sigmoid(2 u)


_A = 2 * math.sqrt(2 / math.pi)
_B = _A * 0.044715


@op
def _gelu_cubic(be, x: Array):
    z = be.clip(x, -25, 25)  # beyond it the sigmoid is 0 or 1; the cube of what lies far beyond would be infinite
    return z * (_A + _B * be.square(z))


_gelu_cubic.vjp(x=lambda g, x: g * (_A + 3 * _B * square(minimum(abs(x), 25))))


@op
def softsign(be, x: Array):
    """x / (1 + |x|).  x (...) -> (...).  Source: Bergstra et al. 2009."""
    return x / (1 + be.abs(x))


softsign.vjp(x=lambda g, x: g / square(1 + abs(x)))


@op
def tanhshrink(be, x: Array):
    """x - tanh(x).  x (...) -> (...)."""
    return be.subtract(x, be.tanh(x))


tanhshrink.vjp(x=lambda g, x: g * square(tanh(x)))


# ---- in straight pieces --------------------------------------------------------------------------------------------
@op
def hardsigmoid(be, x: Array):
    """min(max(x + 3, 0), 6) / 6.  x (...) -> (...).  The gradient at -3 and 3 is 0.

    Source: Howard et al. 2019, arXiv:1905.02244.
    """
    return be.clip(x + 3, 0, 6) / 6


hardsigmoid.vjp(x=lambda g, y: where((y > 0) & (y < 1), g / 6, 0))


def hardswish(x: Any):
    """x hardsigmoid(x).  x (...) -> (...).  The gradient is 0 at -3 and 1 at 3.

    Source: Howard et al. 2019, arXiv:1905.02244.
    """
    return multiply(x, hardsigmoid(x))


@op
def softshrink(be, x: Array, lambd: float = 0.5):
    """x moved towards 0 by `lambd`, and 0 where |x| <= lambd.  x (...) -> (...).  The gradient is 0 there, else 1.

    Source: Donoho 1995, "De-noising by soft-thresholding".
    """
    if lambd < 0:
        raise ArgumentError(f"softshrink: lambd {lambd} is negative")
    return x - be.clip(x, -lambd, lambd)


@op
def hardshrink(be, x: Array, lambd: float = 0.5):
    """x, and 0 where |x| <= lambd.  x (...) -> (...).  The gradient is 0 there, else 1."""
    return be.where(be.less_equal(be.abs(x), lambd), 0, x)


softshrink.vjp(x=lambda g, y: where(y == 0, 0, g))
hardshrink.vjp(x=lambda g, y: where(y == 0, 0, g))

swish = silu
