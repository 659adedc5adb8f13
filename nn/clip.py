"""Limits on gradients and weights, applied to a list of parameters between backward() and step().

Imports the engine only. Names with an underscore at the end write in place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tensorgraph import backends, writes
from tensorgraph.errors import ArgumentError, GraphError
from tensorgraph.nn import arguments as check
from tensorgraph.tensor import Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_weight_norm_"]


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Any]:
    """The gradient arrays that there are."""
    tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p.grad.array for p in tensors if p.grad is not None]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scales all gradients together so that their common norm is at most `max_norm`. Returns the norm before that.

    Raises ArgumentError for a norm that is infinite or NaN with `error_if_nonfinite`.
    Source: Pascanu et al., On the difficulty of training recurrent neural networks, ICML 2013.
    """
    check.number("clip_grad_norm_", 0, max_norm=max_norm)
    order = check.number("clip_grad_norm_", above=0, norm_type=norm_type)
    gradients = _gradients(parameters)
    if not gradients:
        return Tensor(backends.get().asarray(0.0, dtype="float32"))
    be = backends.backend_of(gradients[0])
    if math.isinf(order):
        total = be.max(be.stack([be.max(be.abs(g)) for g in gradients if g.size]))
    else:
        total = sum(be.sum(be.abs(g.astype("float32") if g.dtype.itemsize == 2 else g) ** order) for g in gradients)
        total = be.asarray(total ** (1 / order))
    if error_if_nonfinite and not math.isfinite(be.to_host(total)):
        raise ArgumentError(f"clip_grad_norm_: the norm of the gradients is {be.to_host(total)}")
    scale = be.minimum(max_norm / (total + 1e-6), 1.0)
    for g in gradients:
        g *= scale.astype(g.real.dtype)
        writes.wrote(g)
    return Tensor(total)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limits every component of every gradient to [-clip_value, clip_value]."""
    check.number("clip_grad_value_", 0, clip_value=clip_value)
    for g in _gradients(parameters):
        be = backends.backend_of(g)
        be.minimum(be.maximum(g, -clip_value, out=g), clip_value, out=g)
        writes.wrote(g)


def clip_weight_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float) -> None:
    """The max-norm constraint, after a step: every output unit (index of axis 0) has weights of at most that norm.

    Biases and other vectors are left alone. Source: Srivastava et al., Dropout, JMLR 2014.
    """
    check.number("clip_weight_norm_", above=0, max_norm=max_norm)
    for p in [parameters] if isinstance(parameters, Tensor) else list(parameters):
        if not p.is_leaf:
            raise GraphError("clip_weight_norm_: a result of an operation cannot be written")
        if p.ndim > 1:
            be = backends.backend_of(p.array)
            axes = tuple(range(1, p.ndim))
            norm = be.sqrt(be.sum(be.square(be.abs(p.array)), axis=axes, keepdims=True))
            p.array[...] *= be.minimum(max_norm / be.maximum(norm, 1e-12), 1.0).astype(p.array.real.dtype)
            writes.wrote(p.array)
