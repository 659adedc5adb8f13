"""Special functions: logistic, error, gamma and Bessel functions, and logarithms that stay finite.

The values come from the backend (backends/special.py); here are names and derivatives, closed under differentiation,
so that every order exists. May import: the engine and the elementwise files.
"""

from __future__ import annotations

import math
from typing import Any

from tensorgraph.errors import ArgumentError
from tensorgraph.operation import Array, op
from tensorgraph.ops.elementwise import clip, log, sign, where
from tensorgraph.ops.logic import isinf

__all__ = [
    "digamma", "erf", "erfc", "erfinv", "expit", "gammaln", "i0", "i0e", "i1", "i1e", "lgamma", "logaddexp",
    "logaddexp2", "logit", "ndtr", "polygamma", "sigmoid", "xlogy",
]  # fmt: skip


# ---- logistic ------------------------------------------------------------------------------------------------------
@op
def sigmoid(be, x: Array):
    """Logistic function 1 / (1 + exp(-x)), without overflow and accurate on both sides.  x (...) -> (...)."""
    return be.sigmoid(x)


@op
def _sigmoid_slope(be, slope: Array, result: Array):
    return be.sigmoid_slope(slope, result)


_sigmoid_slope.vjp(
    slope=lambda g, result: _sigmoid_slope(g, result),
    result=lambda g, slope, result: g * slope * (1 - 2 * result),
)
sigmoid.vjp(x=lambda g, y: _sigmoid_slope(g, y))


@op
def _logit(be, x: Array):
    return be.log(be.true_divide(x, be.subtract(1, x)))


_logit.vjp(x=lambda g, x: g / (x * (1 - x)))


def logit(x: Any, eps: float | None = None):
    """log(x / (1 - x)), the inverse of `sigmoid`; NaN outside [0, 1] unless `eps` limits x to [eps, 1 - eps]."""
    return _logit(x if eps is None else clip(x, eps, 1 - eps))


@op(broadcasts=True)
def logaddexp(be, a: Array, b: Array):
    """log(exp(a) + exp(b)) without overflow.  a (...), b (...) -> broadcast shape.

    Operands that are infinite and equal share the gradient evenly.
    """
    return be.logaddexp(a, b)


@op(broadcasts=True)
def logaddexp2(be, a: Array, b: Array):
    """log2(2^a + 2^b) without overflow.  a (...), b (...) -> broadcast shape.  Gradient: see `logaddexp`."""
    return be.logaddexp2(a, b)


def _gap(a, b):
    """a - b, and 0 for equal infinities."""
    same = isinf(a) & (a == b)
    return where(same, 0, a) - where(same, 0, b)


logaddexp.vjp(a=lambda g, a, b: g * sigmoid(_gap(a, b)), b=lambda g, a, b: g * sigmoid(_gap(b, a)))
logaddexp2.vjp(
    a=lambda g, a, b: g * sigmoid(_gap(a, b) * math.log(2)), b=lambda g, a, b: g * sigmoid(_gap(b, a) * math.log(2))
)


@op(broadcasts=True)
def xlogy(be, a: Array, b: Array):
    """a log(b), and 0 where a is 0 (unless b is NaN).  a (...), b (...) -> broadcast shape.

    The gradient to `a` is 0 where a is 0 and b <= 0, that to `b` where both are 0.
    """
    return be.multiply(a, be.log(be.where(be.equal(a, 0) & ~be.isnan(b), 1, b)))


xlogy.vjp(
    a=lambda g, a, b: g * log(where((a == 0) & (b <= 0), 1, b)),
    b=lambda g, a, b: g * (a / where((a == 0) & (b == 0), 1, b)),
)


# ---- error functions -----------------------------------------------------------------------------------------------
@op
def erf(be, x: Array):
    """Error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x.  x (...) real -> (...)."""
    return be.erf(x)


@op
def erfc(be, x: Array):
    """1 - erf(x), accurate where that is tiny.  x (...) real -> (...)."""
    return be.erfc(x)


@op
def erfinv(be, x: Array):
    """Inverse of `erf`: infinite at -1 and 1, NaN beyond.  x (...) real -> (...)."""
    return be.erfinv(x)


@op
def ndtr(be, x: Array):
    """Probability that a standard normal variable lies below x.  x (...) real -> (...)."""
    return be.ndtr(x)


@op
def _gaussian(be, x: Array, *, rate: float, height: float):
    """height * exp(-rate * x^2)"""
    return be.gaussian(x, rate, height)


_gaussian.vjp(x=lambda g, x, y, rate: g * (y * x) * (-2 * rate))

erf.vjp(x=lambda g, x: g * _gaussian(x, rate=1, height=2 / math.sqrt(math.pi)))
erfc.vjp(x=lambda g, x: g * _gaussian(x, rate=1, height=-2 / math.sqrt(math.pi)))
erfinv.vjp(x=lambda g, y: g * _gaussian(y, rate=-1, height=0.5 * math.sqrt(math.pi)))
ndtr.vjp(x=lambda g, x: g * _gaussian(x, rate=0.5, height=1 / math.sqrt(2 * math.pi)))


# ---- gamma functions -----------------------------------------------------------------------------------------------
@op
def gammaln(be, x: Array):
    """log |gamma(x)|, infinite at 0, -1, -2, ...  x (...) real -> (...)."""
    return be.gammaln(x)


@op
def polygamma(be, n: int, x: Array):
    """The (n+1)-th derivative of `gammaln`.  n an integer >= 0, x (...) real -> (...)."""
    if type(n) is not int or n < 0:
        raise ArgumentError(f"polygamma: the order is an integer >= 0, not {n!r}")
    return be.polygamma(n, x)


gammaln.vjp(x=lambda g, x: g * polygamma(0, x))
polygamma.vjp(x=lambda g, n, x: g * polygamma(n + 1, x))


def digamma(x: Any):
    """Derivative of `gammaln`: -inf at 0, NaN at -1, -2, ...  x (...) real -> (...)."""
    return polygamma(0, x)


# ---- modified Bessel functions of the first kind -------------------------------------------------------------------
@op
def _bessel_i(be, x: Array, *, order: int, scaled: bool):
    return be.bessel_i(x, order, scaled)


def _bessel_i_rule(g, x, y, order, scaled):
    """2 I_n' = I_(n-1) + I_(n+1)"""
    above = _bessel_i(x, order=order + 1, scaled=scaled)
    slope = 0.5 * (above + _bessel_i(x, order=order - 1, scaled=scaled)) if order else above
    return g * (slope - sign(x) * y) if scaled else g * slope


_bessel_i.vjp(x=_bessel_i_rule)


def i0(x: Any):
    """Modified Bessel function of the first kind and order 0.  x (...) real -> (...)."""
    return _bessel_i(x, order=0, scaled=False)


def i0e(x: Any):
    """exp(-|x|) i0(x), which does not overflow.  x (...) real -> (...).  The gradient at 0, a kink, is 0."""
    return _bessel_i(x, order=0, scaled=True)


def i1(x: Any):
    """Modified Bessel function of the first kind and order 1.  x (...) real -> (...)."""
    return _bessel_i(x, order=1, scaled=False)


def i1e(x: Any):
    """exp(-|x|) i1(x), which does not overflow.  x (...) real -> (...)."""
    return _bessel_i(x, order=1, scaled=True)


expit = sigmoid
lgamma = gammaln
