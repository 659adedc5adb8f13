"""Elementwise arithmetic: sums to powers, exponentials and logarithms, absolute value, larger and smaller, casts.

NumPy's and the array API's names and broadcasting; second names that NumPy or PyTorch use are plain assignments.
Neighbours: logic.py (comparisons), rounding.py (steps), trig.py, special.py, activation.py.
May import: the engine, transfer. Imported by every other file of ops.
"""

from __future__ import annotations

import cmath
import math
from typing import Any

from tensorgraph.backends import check_dtype
from tensorgraph.operation import Array, op
from tensorgraph.ops.transfer import to_device

__all__ = [
    "abs", "absolute", "add", "addcdiv", "addcmul", "astype", "cbrt", "clamp", "clip", "copysign", "div",
    "divide", "exp", "exp2", "expm1", "float_power", "fmax", "fmin", "lerp", "log", "log10", "log1p", "log2",
    "maximum", "minimum", "mul", "multiply", "nan_to_num", "neg", "negative", "positive", "pow", "power",
    "reciprocal", "rsqrt", "sgn", "sign", "sqrt", "square", "sub", "subtract", "true_divide", "where",
]  # fmt: skip


# ---- sums and products ---------------------------------------------------------------------------------------------
@op(broadcasts=True)
def add(be, a: Array, b: Array):
    """Sum a + b.  a (...), b (...) -> broadcast shape."""
    return be.add(a, b)


add.vjp(a=lambda g: g, b=lambda g: g)


@op(broadcasts=True)
def subtract(be, a: Array, b: Array):
    """Difference a - b.  a (...), b (...) -> broadcast shape."""
    return be.subtract(a, b)


subtract.vjp(a=lambda g: g, b=lambda g: -g)


@op(broadcasts=True)
def multiply(be, a: Array, b: Array):
    """Product a * b.  a (...), b (...) -> broadcast shape."""
    return be.multiply(a, b)


multiply.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a)


@op(broadcasts=True)
def divide(be, a: Array, b: Array):
    """Quotient a / b, floating also for integers.  a (...), b (...) -> broadcast shape."""
    return be.true_divide(a, b)


divide.vjp(a=lambda g, b: g / b, b=lambda g, b, y: g * y / -b)


@op
def negative(be, x: Array):
    """-x.  x (...) -> (...)."""
    return be.negative(x)


negative.vjp(x=lambda g: -g)


@op
def positive(be, x: Array):
    """A copy of x.  x (...) -> (...)."""
    return be.positive(x)


positive.vjp(x=lambda g: g)


@op
def reciprocal(be, x: Array):
    """1 / x, floating also for integers.  x (...) -> (...)."""
    return be.true_divide(1, x)


reciprocal.vjp(x=lambda g, y: -g * y * y)


@op(broadcasts=True)
def lerp(be, start: Array, end: Array, weight: Array):
    """Linear interpolation start + weight * (end - start), exactly `end` at weight 1.  All broadcast."""
    return start * (1 - weight) + end * weight


lerp.vjp(
    start=lambda g, weight: g * (1 - weight),
    end=lambda g, weight: g * weight,
    weight=lambda g, start, end: g * (end - start),
)


def addcmul(x, a, b, *, value=1):
    """x + value * a * b.  All broadcast."""
    return add(x, multiply(a, b) if value == 1 else multiply(multiply(a, b), value))


def addcdiv(x, a, b, *, value=1):
    """x + value * a / b.  All broadcast."""
    return add(x, divide(a, b) if value == 1 else multiply(divide(a, b), value))


# ---- powers and roots ----------------------------------------------------------------------------------------------
@op(broadcasts=True)
def pow(be, a: Array, b: Array):
    """Power a ** b.  a (...), b (...) -> broadcast shape; 0 ** 0 is 1.

    The gradient to `a` is 0 where b is 0. The gradient to `b` is 0 where a is 0 and b >= 0, and NaN where a is
    negative: there no neighbouring exponent gives a real number. Integers to a negative integer power are an
    ArgumentError (`float_power` computes them).
    """
    if type(b) in (int, float) and b in _POWERS and be.asarray(a).dtype.kind in "fc":
        return _POWERS[b](be, a)
    return a**b


_POWERS = {
    3: lambda be, a: a * a * a,
    4: lambda be, a: be.square(a * a),
    -2: lambda be, a: 1 / be.square(a),
    -0.5: lambda be, a: 1 / be.sqrt(a),
    1.5: lambda be, a: a * be.sqrt(a),
}
"""Powers for which NumPy's general one takes ten to a hundred times as long; -1, 0, 0.5, 1 and 2 it knows itself."""


def _pow_base(g, a, b):
    if isinstance(b, (int, float, complex)):
        return g * (b * pow(a, b - 1)) if b else g * 0
    return g * (b * where((a == 0) & (b == 0), 1, a) ** (b - 1))


def _pow_exponent(g, a, b, y):
    if isinstance(a, complex):
        return g * y * cmath.log(a)
    if isinstance(a, (int, float)) and a != 0:
        return g * y * (math.log(a) if a > 0 else math.nan)
    return g * (y * log(where((a == 0) & (b >= 0), 1, a)))


pow.vjp(a=_pow_base, b=_pow_exponent)


@op(broadcasts=True)
def float_power(be, a: Array, b: Array):
    """Power a ** b computed in floating point, so that integers may be raised to negative powers. Gradients: `pow`."""
    return be.float_power(a, b)


float_power.vjp(a=_pow_base, b=_pow_exponent)


@op
def square(be, x: Array):
    """x * x.  x (...) -> (...)."""
    return be.square(x)


square.vjp(x=lambda g, x: g * (2 * x))


@op
def sqrt(be, x: Array):
    """Square root; NaN for negative numbers.  x (...) -> (...).  The gradient at 0 is infinite, as its limit is."""
    return be.sqrt(x)


sqrt.vjp(x=lambda g, y: g / (2 * y))


@op
def rsqrt(be, x: Array):
    """1 / sqrt(x).  x (...) -> (...)."""
    return be.true_divide(1, be.sqrt(x))


rsqrt.vjp(x=lambda g, y: -0.5 * g * y * y * y)


@op
def cbrt(be, x: Array):
    """Cube root, negative for negative numbers.  x (...) real -> (...).  The gradient at 0 is infinite."""
    return be.cbrt(x)


cbrt.vjp(x=lambda g, y: g / (3 * y * y))


# ---- exponentials and logarithms -----------------------------------------------------------------------------------
@op
def exp(be, x: Array):
    """Exponential e^x.  x (...) -> (...)."""
    return be.exp(x)


exp.vjp(x=lambda g, y: g * y)


@op
def exp2(be, x: Array):
    """2^x.  x (...) -> (...)."""
    return be.exp2(x)


exp2.vjp(x=lambda g, y: g * (y * math.log(2)))


@op
def expm1(be, x: Array):
    """e^x - 1, accurate near 0.  x (...) -> (...)."""
    return be.expm1(x)


expm1.vjp(x=lambda g, y: g * (y + 1))


@op
def log(be, x: Array):
    """Natural logarithm; -inf at 0, NaN for negative numbers.  x (...) -> (...)."""
    return be.log(x)


log.vjp(x=lambda g, x: g / x)


@op
def log2(be, x: Array):
    """Logarithm to base 2.  x (...) -> (...)."""
    return be.log2(x)


log2.vjp(x=lambda g, x: g / (x * math.log(2)))


@op
def log10(be, x: Array):
    """Logarithm to base 10.  x (...) -> (...)."""
    return be.log10(x)


log10.vjp(x=lambda g, x: g / (x * math.log(10)))


@op
def log1p(be, x: Array):
    """log(1 + x), accurate near 0.  x (...) -> (...)."""
    return be.log1p(x)


log1p.vjp(x=lambda g, x: g / (1 + x))


# ---- size and sign ---------------------------------------------------------------------------------------------------
@op
def abs(be, x: Array):
    """Absolute value; the modulus of complex numbers.  x (...) -> (...), real.  The gradient at 0 is 0."""
    return be.abs(x)


abs.vjp(x=lambda g, x: g * sign(x).conj())


@op
def sign(be, x: Array):
    """-1, 0 or 1; x / |x| of complex numbers, 0 at 0; NaN of NaN.  x (...) -> (...).

    The gradient is 0 for real numbers. A complex number's sign turns with its angle and has the gradient of that.
    """
    return be.sign(x)


def _sign_rule(g, x, y):
    if x.dtype.kind != "c":
        return g * 0
    return where(x == 0, 0, g - (g * y).real * y.conj()) / abs(where(x == 0, 1, x))


sign.vjp(x=_sign_rule)


@op(broadcasts=True)
def copysign(be, a: Array, b: Array):
    """|a| with the sign of b, that of -0 and of NaN included.  a (...), b (...) -> broadcast shape.

    Gradient: to `a` +1 or -1, and 0 where a is 0; none to `b`.
    """
    return be.copysign(a, b)


copysign.vjp(a=lambda g, a, y: g * (sign(a) * sign(y)), b=lambda g: g * 0)


# ---- choices -------------------------------------------------------------------------------------------------------
@op(broadcasts=True)
def where(be, condition: Array, a: Array, b: Array):
    """a where `condition` holds, else b.  condition (...) bool, a (...), b (...) -> broadcast shape.

    The gradient goes to the operand that was taken; the other one gets exactly 0 there, even where its value is
    infinite or NaN. `condition` has no gradient.
    """
    return be.where(condition, a, b)


where.vjp(a=lambda g, condition: where(condition, g, 0), b=lambda g, condition: where(condition, 0, g))


@op(broadcasts=True)
def maximum(be, a: Array, b: Array):
    """The larger of a and b; NaN if either is.  a (...), b (...) -> broadcast shape.

    Ties share the gradient evenly.
    """
    return be.maximum(a, b)


maximum.vjp(
    a=lambda g, a, b: where(a < b, 0, where(a == b, 0.5 * g, g)),
    b=lambda g, a, b: where(a > b, 0, where(a == b, 0.5 * g, g)),
)


@op(broadcasts=True)
def minimum(be, a: Array, b: Array):
    """The smaller of a and b; NaN if either is.  a (...), b (...) -> broadcast shape.

    Ties share the gradient evenly.
    """
    return be.minimum(a, b)


minimum.vjp(
    a=lambda g, a, b: where(a > b, 0, where(a == b, 0.5 * g, g)),
    b=lambda g, a, b: where(a < b, 0, where(a == b, 0.5 * g, g)),
)


@op(broadcasts=True)
def fmax(be, a: Array, b: Array):
    """The larger of a and b, the other one where one is NaN.  Ties share the gradient evenly."""
    return be.fmax(a, b)


@op(broadcasts=True)
def fmin(be, a: Array, b: Array):
    """The smaller of a and b, the other one where one is NaN.  Ties share the gradient evenly."""
    return be.fmin(a, b)


# The result equals the operand that was taken; a NaN equals nothing.
fmax.vjp(
    a=lambda g, a, b, y: where(a == y, where(a == b, 0.5 * g, g), 0),
    b=lambda g, a, b, y: where(b == y, where(a == b, 0.5 * g, g), 0),
)
fmin.vjp(
    a=lambda g, a, b, y: where(a == y, where(a == b, 0.5 * g, g), 0),
    b=lambda g, a, b, y: where(b == y, where(a == b, 0.5 * g, g), 0),
)


@op(broadcasts=True)
def clip(be, x: Array, min: Array = None, max: Array = None):
    """x limited to [min, max]; None is no limit; `max` wins where min > max.  All broadcast.

    The gradient goes to `x` where it lies inside or on the bounds, and to the bound that was taken elsewhere.
    """
    return be.clip(x, min, max)


clip.vjp(
    x=lambda g, x, y: where(x == y, g, 0),
    min=lambda g, x, y, min: where((x < min) & (y == min), g, 0),
    max=lambda g, x, min, max: where(x > max if min is None else (x > max) | (min > max), g, 0),
)


@op
def nan_to_num(be, x: Array, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None):
    """x with NaN and infinities replaced; infinities by the largest finite numbers unless given.  x (...) -> (...).

    The gradient is 0 where a value was replaced.
    """
    return be.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


nan_to_num.vjp(x=lambda g, x, y: where(x == y, g, 0))


# ---- casts ---------------------------------------------------------------------------------------------------------
@op
def _astype(be, x: Array, *, dtype: object, copy: bool = True):
    wanted = check_dtype(dtype)
    x = be.asarray(x)
    return x if not copy and x.dtype == wanted else be.astype(x, wanted)


_astype.vjp(x=lambda g: g)


def astype(x: Any, dtype: Any, *, copy: bool = True, device: str | None = None):
    """x in another dtype, and on another device if asked; complex to real takes the real part.  x (...) -> (...).

    `copy=False` gives x itself where nothing changes. The gradient comes back in the dtype of x; an integer or
    boolean result has none.
    """
    y = _astype(x, dtype=dtype, copy=copy)
    return y if device is None else to_device(y, device)


sub, mul, neg = subtract, multiply, negative
div = true_divide = divide
power = pow
absolute = abs
clamp = clip
sgn = sign
