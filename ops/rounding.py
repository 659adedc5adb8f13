"""Rounding, remainders and steps: functions that are constant between jumps.

Their gradient is 0 wherever it exists. For training through a jump, `round` and its kin know the straight-through
estimator, and the steps a choice of surrogate gradients. May import: the engine, elementwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tensorgraph.errors import ArgumentError
from tensorgraph.operation import Array, op
from tensorgraph.ops.elementwise import abs, exp, maximum, where

__all__ = [
    "binary_step", "ceil", "fix", "floor", "floor_divide", "fmod", "frac", "heaviside", "mod", "remainder",
    "rint", "round", "trunc",
]  # fmt: skip


# ---- to whole numbers ----------------------------------------------------------------------------------------------
@op
def floor(be, x: Array, *, straight_through: bool = False):
    """The largest whole number <= x; integers as they are.  x (...) real -> (...), same dtype.

    The gradient is 0; with `straight_through=True` it passes unchanged (Bengio et al. 2013, arXiv:1308.3432).
    """
    return _whole(be, be.floor, x)


@op
def ceil(be, x: Array, *, straight_through: bool = False):
    """The smallest whole number >= x.  x (...) real -> (...), same dtype.  Gradient: see `floor`."""
    return _whole(be, be.ceil, x)


@op
def trunc(be, x: Array, *, straight_through: bool = False):
    """x without its fraction: the nearest whole number towards 0.  x (...) real -> (...).  Gradient: see `floor`."""
    return _whole(be, be.trunc, x)


@op
def round(be, x: Array, decimals: int = 0, *, straight_through: bool = False):
    """x rounded to `decimals` places, halves to the even neighbour.  x (...) -> (...).  Gradient: see `floor`."""
    return be.round(x, decimals)


def _whole(be, function, x):
    """Integers are whole already; not every array library leaves them alone."""
    x = be.asarray(x)
    return be.copy(x) if x.dtype.kind in "iub" else function(x)


def _step_rule(g, straight_through):
    return g if straight_through else g * 0


floor.vjp(x=_step_rule)
ceil.vjp(x=_step_rule)
trunc.vjp(x=_step_rule)
round.vjp(x=_step_rule)


# ---- division with a remainder -------------------------------------------------------------------------------------
@op(broadcasts=True)
def floor_divide(be, a: Array, b: Array):
    """Largest whole number <= a / b.  a (...), b (...) -> broadcast shape.  The gradient is 0."""
    return be.floor_divide(a, b)


floor_divide.vjp(a=lambda g: g * 0, b=lambda g: g * 0)


@op(broadcasts=True)
def remainder(be, a: Array, b: Array):
    """a - b * floor(a / b): what is left of a, with the sign of b, as Python's %.  a, b (...) -> broadcast shape."""
    return be.remainder(a, b)


remainder.vjp(a=lambda g: g, b=lambda g, a, b: g * -floor_divide(a, b))


@op(broadcasts=True)
def fmod(be, a: Array, b: Array):
    """a - b * trunc(a / b): what is left of a, with the sign of a, as C's fmod.  a, b (...) -> broadcast shape."""
    return be.fmod(a, b)


fmod.vjp(a=lambda g: g, b=lambda g, a, b: g * -trunc(a / b))


@op
def frac(be, x: Array):
    """The fraction x - trunc(x), with the sign of x.  x (...) real -> (...)."""
    return be.subtract(x, be.trunc(x))


frac.vjp(x=lambda g: g)


# ---- steps ---------------------------------------------------------------------------------------------------------
_SURROGATES: dict[str, Callable[[Any], Any]] = {
    "straight_through": lambda x: (abs(x) <= 1).astype(x.dtype),
    "triangle": lambda x: maximum(1 - abs(x), 0),
    "sigmoid": lambda x: _bell(exp(-abs(x))),
    "arctan": lambda x: 1 / (1 + (math.pi * x) ** 2),
    "fast_sigmoid": lambda x: 1 / (1 + abs(x)) ** 2,
}


def _bell(e):
    return e / (1 + e) ** 2


def _slope(x, surrogate):
    if surrogate is None:
        return 0
    return surrogate(x) if callable(surrogate) else _SURROGATES[surrogate](x)


def check_surrogate(name: str, surrogate: Any) -> None:
    if surrogate is not None and not callable(surrogate) and surrogate not in _SURROGATES:
        raise ArgumentError(
            f"{name}: unknown surrogate {surrogate!r}", hint=f"one of {', '.join(_SURROGATES)}, or a function of x"
        )


@op(broadcasts=True)
def heaviside(be, x: Array, value: Array, *, surrogate: Any = None):
    """The unit step: 0 below 0, `value` at 0, 1 above; NaN of NaN.  x (...), value (...) -> broadcast shape.

    The gradient to `x` is 0; `surrogate`: see `binary_step`. The gradient to `value` passes where x is 0.
    """
    check_surrogate("heaviside", surrogate)
    return be.heaviside(x, value)


heaviside.vjp(x=lambda g, x, surrogate: g * _slope(x, surrogate), value=lambda g, x: where(x == 0, g, 0))


@op
def binary_step(be, x: Array, *, surrogate: Any = None):
    """1 where x >= 0, else 0.  x (...) real -> (...) float.

    The gradient is 0. `surrogate` replaces the slope in the backward pass, so that spiking and binary networks can
    be trained: "straight_through" (1 for |x| <= 1), "triangle" max(0, 1 - |x|), "sigmoid" s(x)(1 - s(x)),
    "arctan" 1/(1 + (pi x)^2), "fast_sigmoid" 1/(1 + |x|)^2, or a function of x.
    Source: Neftci, Mostafa & Zenke, IEEE Signal Processing Magazine 2019.
    """
    check_surrogate("binary_step", surrogate)
    x = be.floating(x)
    return be.greater_equal(x, 0).astype(x.dtype)


binary_step.vjp(x=lambda g, x, surrogate: g * _slope(x, surrogate))


fix = trunc
rint = round
mod = remainder
