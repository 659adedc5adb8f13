"""Comparisons, logic, bits and tests of single numbers: results without gradients.

May import: the engine, elementwise.
"""

from __future__ import annotations

from tensorgraph.operation import Array, op

__all__ = [
    "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift",
    "bitwise_xor", "eq", "equal", "ge", "greater", "greater_equal", "gt", "invert", "isclose", "isfinite",
    "isinf", "isnan", "isneginf", "isposinf", "isreal", "le", "left_shift", "less", "less_equal", "logical_and",
    "logical_not", "logical_or", "logical_xor", "lt", "ne", "nextafter", "not_equal", "right_shift", "signbit",
]  # fmt: skip


# ---- comparisons ---------------------------------------------------------------------------------------------------
@op(broadcasts=True)
def equal(be, a: Array, b: Array):
    """a == b; NaN equals nothing.  a (...), b (...) -> broadcast shape, bool."""
    return be.equal(a, b)


@op(broadcasts=True)
def not_equal(be, a: Array, b: Array):
    """a != b; NaN differs from everything.  a (...), b (...) -> broadcast shape, bool."""
    return be.not_equal(a, b)


@op(broadcasts=True)
def less(be, a: Array, b: Array):
    """a < b.  a (...), b (...) -> broadcast shape, bool."""
    return be.less(a, b)


@op(broadcasts=True)
def less_equal(be, a: Array, b: Array):
    """a <= b.  a (...), b (...) -> broadcast shape, bool."""
    return be.less_equal(a, b)


@op(broadcasts=True)
def greater(be, a: Array, b: Array):
    """a > b.  a (...), b (...) -> broadcast shape, bool."""
    return be.greater(a, b)


@op(broadcasts=True)
def greater_equal(be, a: Array, b: Array):
    """a >= b.  a (...), b (...) -> broadcast shape, bool."""
    return be.greater_equal(a, b)


@op(broadcasts=True)
def isclose(be, a: Array, b: Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False):
    """|a - b| <= atol + rtol * |b|.  a (...), b (...) -> broadcast shape, bool."""
    return be.isclose(a, b, rtol, atol, equal_nan)


# ---- truth values --------------------------------------------------------------------------------------------------
@op(broadcasts=True)
def logical_and(be, a: Array, b: Array):
    """Both are true, where every number but 0 is.  a (...), b (...) -> broadcast shape, bool."""
    return be.logical_and(a, b)


@op(broadcasts=True)
def logical_or(be, a: Array, b: Array):
    """At least one is true, where every number but 0 is.  a (...), b (...) -> broadcast shape, bool."""
    return be.logical_or(a, b)


@op(broadcasts=True)
def logical_xor(be, a: Array, b: Array):
    """Exactly one is true, where every number but 0 is.  a (...), b (...) -> broadcast shape, bool."""
    return be.logical_xor(a, b)


@op
def logical_not(be, x: Array):
    """x is 0 or False.  x (...) -> (...), bool."""
    return be.logical_not(x)


# ---- bits ----------------------------------------------------------------------------------------------------------
@op(broadcasts=True)
def bitwise_and(be, a: Array, b: Array):
    """Bits that are set in both.  a (...), b (...) integer or bool -> broadcast shape."""
    return be.bitwise_and(a, b)


@op(broadcasts=True)
def bitwise_or(be, a: Array, b: Array):
    """Bits that are set in either.  a (...), b (...) integer or bool -> broadcast shape."""
    return be.bitwise_or(a, b)


@op(broadcasts=True)
def bitwise_xor(be, a: Array, b: Array):
    """Bits that are set in exactly one.  a (...), b (...) integer or bool -> broadcast shape."""
    return be.bitwise_xor(a, b)


@op
def bitwise_invert(be, x: Array):
    """All bits flipped; logical not of bool.  x (...) integer or bool -> (...)."""
    return be.invert(x)


@op(broadcasts=True)
def bitwise_left_shift(be, a: Array, b: Array):
    """Bits moved b places up.  a (...), b (...) integer -> broadcast shape."""
    return be.left_shift(a, b)


@op(broadcasts=True)
def bitwise_right_shift(be, a: Array, b: Array):
    """Bits moved b places down; the sign is kept.  a (...), b (...) integer -> broadcast shape."""
    return be.right_shift(a, b)


# ---- one number ----------------------------------------------------------------------------------------------------
@op
def isnan(be, x: Array):
    """x is NaN.  x (...) -> (...), bool."""
    return be.isnan(x)


@op
def isinf(be, x: Array):
    """x is infinite, of either sign.  x (...) -> (...), bool."""
    return be.isinf(x)


@op
def isfinite(be, x: Array):
    """x is neither infinite nor NaN.  x (...) -> (...), bool."""
    return be.isfinite(x)


@op
def isposinf(be, x: Array):
    """x is +inf.  x (...) real -> (...), bool."""
    return be.isposinf(x)


@op
def isneginf(be, x: Array):
    """x is -inf.  x (...) real -> (...), bool."""
    return be.isneginf(x)


@op
def isreal(be, x: Array):
    """The imaginary part is 0.  x (...) -> (...), bool."""
    return be.equal(be.imag(x), 0)


@op
def signbit(be, x: Array):
    """The sign bit is set: negative numbers, -0 and some NaN.  x (...) real -> (...), bool."""
    return be.signbit(x)


@op(broadcasts=True)
def nextafter(be, a: Array, b: Array):
    """The next floating-point number from a towards b.  a (...), b (...) float -> broadcast shape.  No gradient."""
    return be.nextafter(a, b)


eq, ne, lt, le, gt, ge = equal, not_equal, less, less_equal, greater, greater_equal
invert = bitwise_not = bitwise_invert
left_shift, right_shift = bitwise_left_shift, bitwise_right_shift
