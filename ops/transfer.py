"""Copies: to another device, in memory of their own, out of the graph.

May import: the engine.
"""

from __future__ import annotations

from typing import Any

from tensorgraph import backends
from tensorgraph.operation import Array, op
from tensorgraph.tensor import Tensor

__all__ = ["clone", "stop_gradient", "to_device"]


@op
def clone(be, x: Array):
    """A copy in memory of its own, in the graph.  x (...) -> (...)."""
    return be.copy(x)


clone.vjp(x=lambda g: g)


@op
def _transfer(be, x: Array, source: str, target: str):
    """The values of x, which lives on `source`, on the device `target`."""
    return backends.get(target).from_host(be.to_host(x), target)


_transfer.vjp(x=lambda g, source, target: _transfer(g, target, source))


def to_device(x: Tensor, device: str) -> Tensor:
    """x on another device; x itself when it is there already. Differentiable: the gradient comes back to x's device.

    Raises BackendError when the device does not exist.
    """
    backends.get(device)
    target = "cuda:0" if device == "cuda" else str(device)
    return x if x.device == target else _transfer(x, x.device, target)


def stop_gradient(x: Any) -> Any:
    """The same values, through which no gradient flows; `x.detach()` as a function."""
    return x.detach() if isinstance(x, Tensor) else x
