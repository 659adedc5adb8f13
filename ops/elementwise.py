"""Elementwise operations on numbers: arithmetic, comparison, exponentials, rounding. NumPy's names and broadcasting.

May import: the engine. Imported by every other file of ops.
"""

from __future__ import annotations

from tensorgraph.operation import Array, op


@op(broadcasts=True)
def add(be, a: Array, b: Array):
    """Sum a + b.  a (...), b (...) -> broadcast shape."""
    return be.add(a, b)


add.vjp(a=lambda g: g, b=lambda g: g)


@op(broadcasts=True)
def mul(be, a: Array, b: Array):
    """Product a * b.  a (...), b (...) -> broadcast shape."""
    return be.multiply(a, b)


mul.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a)


@op
def exp(be, x: Array):
    """Exponential e^x.  x (...) -> (...)."""
    return be.exp(x)


exp.vjp(x=lambda g, y: g * y)


@op(broadcasts=True)
def where(be, condition: Array, a: Array, b: Array):
    """a where `condition` holds, else b.  condition (...) bool, a (...), b (...) -> broadcast shape.

    The gradient goes to the operand that was taken; the other one gets exactly 0 there, even where its value is
    infinite or NaN. `condition` has no gradient.
    """
    return be.where(condition, a, b)


where.vjp(a=lambda g, condition: where(condition, g, 0), b=lambda g, condition: where(condition, 0, g))
