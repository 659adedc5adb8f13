"""Activation functions that look along an axis: softmax and its kin, gated and maximal units.

May import: the elementwise files, special, index, reduce, random.
"""

from __future__ import annotations

from typing import Any

from tensorgraph.creation import asarray
from tensorgraph.errors import ArgumentError, ShapeError, sig
from tensorgraph.operation import Array, op
from tensorgraph.ops.axes import check_axis
from tensorgraph.ops.elementwise import exp, negative
from tensorgraph.ops.random import gumbel
from tensorgraph.ops.reduce import max, sum
from tensorgraph.ops.special import sigmoid
from tensorgraph.spelling import spelled

__all__ = ["glu", "gumbel_softmax", "log_softmax", "maxout", "softmax", "softmin"]


def _check_axis(name, x, axis):
    if not -x.ndim <= axis < x.ndim and (x.ndim or axis not in (0, -1)):
        check_axis(name, axis, x.ndim)


@op
def softmax(be, x: Array, axis: int = -1):
    """exp(x) / sum(exp(x)) along an axis, without overflow.  x (...) -> (...).  NaN where all of x is -inf."""
    _check_axis("softmax", x, axis)
    return be.softmax(be.floating(x), axis)


@op
def _softmax_slope(be, slope: Array, result: Array, axis: int):
    """The gradient in x from the one in softmax(x), which is the result."""
    return be.softmax_slope(slope, result, axis)


softmax.vjp(x=lambda g, y, axis: _softmax_slope(g, y, axis))
_softmax_slope.vjp(
    slope=lambda g, result, axis: _softmax_slope(g, result, axis),
    result=lambda g, slope, result, axis: (
        g * (slope - sum(slope * result, axis, True)) - slope * sum(g * result, axis, True)
    ),
)


@op
def log_softmax(be, x: Array, axis: int = -1):
    """Logarithm of `softmax`, finite also where that is too small for its dtype.  x (...) -> (...)."""
    _check_axis("log_softmax", x, axis)
    y = be.shifted(be.floating(x), axis)
    y -= be.log(be.sum(be.exp(y), axis, True))
    return y


log_softmax.vjp(x=lambda g, y, axis: g - exp(y) * sum(g, axis, True))


@spelled
def softmin(x: Any, axis: int = -1):
    """softmax(-x): the smallest gets most.  x (...) -> (...)."""
    return softmax(negative(x), axis)


@op
def _harden(be, x: Array, axis: int):
    places = be.arange(x.shape[axis]).reshape((-1,) + (1,) * (x.ndim - 1 - axis % x.ndim))
    return (be.expand_dims(be.argmax(x, axis), axis) == places).astype(x.dtype)


_harden.vjp(x=lambda g: g)  # straight through: the gradient of what was hardened


@spelled
def gumbel_softmax(logits: Any, tau: float = 1.0, hard: bool = False, axis: int = -1, *, generator: Any = None):
    """A differentiable draw from the distribution softmax(logits) along an axis; nearer to one-hot the smaller tau is.

    `hard=True` gives exact one-hot vectors, with the gradient of the soft ones.
    Sources: Jang et al. 2016, arXiv:1611.01144; Maddison et al. 2016, arXiv:1611.00712.
    """
    if not tau > 0:
        raise ArgumentError(f"gumbel_softmax: the temperature tau is positive, not {tau}")
    logits = asarray(logits)
    noise = gumbel(size=logits.shape, dtype=logits.dtype, device=logits.device, generator=generator)
    y = softmax((logits + noise) / tau, axis)
    return _harden(y, axis) if hard else y


@spelled
def glu(x: Any, axis: int = -1):
    """a sigmoid(b) for the halves a and b of x.  x (..., 2 N, ...) -> (..., N, ...).

    Raises ShapeError: the size of the axis is odd. Source: Dauphin et al. 2016, arXiv:1612.08083.
    """
    axis = check_axis("glu", axis, x.ndim)
    n, odd = divmod(x.shape[axis], 2)
    if odd:
        raise ShapeError(f"glu: axis {axis} of {sig(x)} has the odd size {x.shape[axis]}, so it has no halves")
    before = (slice(None),) * axis
    return x[(*before, slice(0, n))] * sigmoid(x[(*before, slice(n, None))])


@spelled
def maxout(x: Any, pool_size: int, axis: int = 1):
    """The largest of each `pool_size` neighbours along an axis.  x (N, C, ...) -> (N, C / pool_size, ...).

    Ties share the gradient evenly. Raises ShapeError: the axis is no multiple of pool_size.
    Source: Goodfellow et al. 2013, arXiv:1302.4389.
    """
    axis = check_axis("maxout", axis, x.ndim)
    if pool_size < 1 or x.shape[axis] % pool_size:
        raise ShapeError(f"maxout: axis {axis} of {sig(x)} does not fall into groups of {pool_size}")
    groups = x.reshape((*x.shape[:axis], x.shape[axis] // pool_size, pool_size, *x.shape[axis + 1 :]))
    return max(groups, axis + 1)
