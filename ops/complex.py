"""Parts of complex numbers. Real numbers are complex numbers with imaginary part 0.

Gradients of complex numbers follow the convention of gradient descent: what `grad` returns is the conjugate of the
derivative, so that a step against it makes a real result smaller. May import: the engine, elementwise.
"""

from __future__ import annotations

from tensorgraph.operation import Array, op
from tensorgraph.ops.elementwise import where

__all__ = ["angle", "conj", "conjugate", "imag", "real"]


@op
def real(be, x: Array):
    """Real part.  x (...) -> (...), real."""
    return be.real(x)


real.vjp(x=lambda g: g)


@op
def imag(be, x: Array):
    """Imaginary part, 0 of real numbers.  x (...) -> (...), real."""
    return be.imag(x)


imag.vjp(x=lambda g: g * -1j)


@op
def conj(be, x: Array):
    """Complex conjugate; real numbers as they are.  x (...) -> (...)."""
    return be.conj(x) if be.iscomplexobj(x) else x


conj.vjp(x=lambda g: g.conj())


@op
def angle(be, x: Array):
    """Angle of a complex number in radians, in (-pi, pi]; 0 or pi of real numbers.  The gradient at 0 is 0."""
    return be.angle(x)


angle.vjp(x=lambda g, x: where(x == 0, 0, g) / where(x == 0, 1, x) * -1j)


conjugate = conj
