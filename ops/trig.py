"""Trigonometric and hyperbolic functions, their inverses, and what goes with angles. Radians throughout.

May import: the engine, elementwise.
"""

from __future__ import annotations

import math
from typing import Any

from tensorgraph.operation import Array, op
from tensorgraph.ops.elementwise import sqrt, where

__all__ = [
    "acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "asin", "asinh",
    "atan", "atan2", "atanh", "cos", "cosh", "deg2rad", "degrees", "hypot", "rad2deg", "radians", "sin", "sinc", "sinh",
    "tan", "tanh",
]  # fmt: skip


@op
def sin(be, x: Array):
    """Sine.  x (...) -> (...)."""
    return be.sin(x)


@op
def cos(be, x: Array):
    """Cosine.  x (...) -> (...)."""
    return be.cos(x)


@op
def tan(be, x: Array):
    """Tangent.  x (...) -> (...)."""
    return be.tan(x)


sin.vjp(x=lambda g, x: g * cos(x))
cos.vjp(x=lambda g, x: -g * sin(x))
tan.vjp(x=lambda g, y: g * (1 + y * y))


@op
def asin(be, x: Array):
    """Arc sine, NaN outside [-1, 1].  x (...) -> (...).  The gradient at -1 and 1 is infinite."""
    return be.arcsin(x)


@op
def acos(be, x: Array):
    """Arc cosine, NaN outside [-1, 1].  x (...) -> (...).  The gradient at -1 and 1 is infinite."""
    return be.arccos(x)


@op
def atan(be, x: Array):
    """Arc tangent.  x (...) -> (...)."""
    return be.arctan(x)


# (1 - x)(1 + x) keeps the digits that 1 - x^2 loses near 1
asin.vjp(x=lambda g, x: g / sqrt((1 - x) * (1 + x)))
acos.vjp(x=lambda g, x: -g / sqrt((1 - x) * (1 + x)))
atan.vjp(x=lambda g, x: g / (1 + x * x))


@op(broadcasts=True)
def atan2(be, a: Array, b: Array):
    """Angle of the point (b, a) in (-pi, pi].  a, b (...) real -> broadcast shape.  The gradient at (0, 0) is 0."""
    return be.arctan2(a, b)


def _over_square(g, a, b):
    """g / (a^2 + b^2), and 0 at the origin."""
    r = a * a + b * b
    return where(r == 0, 0, g) / where(r == 0, 1, r)


atan2.vjp(a=lambda g, a, b: _over_square(g, a, b) * b, b=lambda g, a, b: -_over_square(g, a, b) * a)


@op(broadcasts=True)
def hypot(be, a: Array, b: Array):
    """sqrt(a^2 + b^2) without overflow.  a (...), b (...) real -> broadcast shape.  The gradient at (0, 0) is 0."""
    return be.hypot(a, b)


hypot.vjp(a=lambda g, a, y: g * (a / where(y == 0, 1, y)), b=lambda g, b, y: g * (b / where(y == 0, 1, y)))


@op
def sinh(be, x: Array):
    """Hyperbolic sine.  x (...) -> (...)."""
    return be.sinh(x)


@op
def cosh(be, x: Array):
    """Hyperbolic cosine.  x (...) -> (...)."""
    return be.cosh(x)


@op
def tanh(be, x: Array):
    """Hyperbolic tangent.  x (...) -> (...)."""
    return be.tanh(x)


sinh.vjp(x=lambda g, x: g * cosh(x))
cosh.vjp(x=lambda g, x: g * sinh(x))


@op
def _tanh_slope(be, slope: Array, result: Array):
    return be.tanh_slope(slope, result)


_tanh_slope.vjp(
    slope=lambda g, result: _tanh_slope(g, result),
    result=lambda g, slope, result: g * slope * (-2 * result),
)
tanh.vjp(x=lambda g, y: _tanh_slope(g, y))


@op
def asinh(be, x: Array):
    """Inverse hyperbolic sine.  x (...) -> (...)."""
    return be.arcsinh(x)


@op
def acosh(be, x: Array):
    """Inverse hyperbolic cosine, NaN below 1.  x (...) -> (...).  The gradient at 1 is infinite."""
    return be.arccosh(x)


@op
def atanh(be, x: Array):
    """Inverse hyperbolic tangent, NaN outside [-1, 1].  x (...) -> (...)."""
    return be.arctanh(x)


asinh.vjp(x=lambda g, x: g / sqrt(1 + x * x))
acosh.vjp(x=lambda g, x: g / (sqrt(x - 1) * sqrt(x + 1)))
atanh.vjp(x=lambda g, x: g / ((1 - x) * (1 + x)))


@op
def deg2rad(be, x: Array):
    """Degrees to radians.  x (...) real -> (...)."""
    return be.multiply(x, math.pi / 180)


@op
def rad2deg(be, x: Array):
    """Radians to degrees.  x (...) real -> (...)."""
    return be.multiply(x, 180 / math.pi)


deg2rad.vjp(x=lambda g: g * (math.pi / 180))
rad2deg.vjp(x=lambda g: g * (180 / math.pi))


@op
def _sinc(be, x: Array, *, order: int = 0):
    return be.sinc(x, order)


def _sinc_rule(g, x, y, order):
    if x.dtype.kind != "c":
        return g * _sinc(x, order=order + 1)
    return where(x == 0, 0, g) * (cos(math.pi * x) - y) / where(x == 0, 1, x)


_sinc.vjp(x=_sinc_rule)


def sinc(x: Any):
    """sin(pi x) / (pi x), 1 at 0.  x (...) -> (...)."""
    return _sinc(x)


radians, degrees = deg2rad, rad2deg
arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2
arcsinh, arccosh, arctanh = asinh, acosh, atanh
