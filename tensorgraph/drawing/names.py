"""`tg.name`: a name for a tensor, shown in pictures. Kept beside the graph, weakly: nothing lives longer for it."""

from __future__ import annotations

import weakref
from typing import Any

from tensorgraph.errors import ArgumentError, DtypeError, sig
from tensorgraph.node import Node
from tensorgraph.tensor import Tensor

_names: dict[int, tuple[weakref.ref, str]] = {}


def name(tensor: Tensor, name: str) -> Tensor:
    """Gives a tensor a name for pictures, and returns it: `h = tg.name(h, "hidden")`.

    The name belongs to the result in the graph (outside the graph: to the array) and goes when that goes, so it may
    be given inside a `forward` whose local variables are gone when the graph is drawn. A second name replaces the
    first. Raises DtypeError for anything but a tensor, ArgumentError for a name that is no text or is empty.

    >>> import tensorgraph as tg
    >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> y = tg.name(x * x, "squares")
    >>> "squares" in y.sum().graph().dot
    True
    """
    if not isinstance(tensor, Tensor):
        raise DtypeError(f"name: {sig(tensor)} is no tensor")
    if not isinstance(name, str) or not name.strip():
        raise ArgumentError(f"name: a name is a text, got {name!r}")
    named = tensor.array if tensor.node is None else tensor.node
    key = id(named)
    _names[key] = weakref.ref(named, lambda _: _names.pop(key, None)), name
    return tensor


def name_of(named: Any) -> str | None:
    """The name that was given to a node or an array."""
    known = _names.get(id(named))
    return known[1] if known is not None and known[0]() is named else None


def identity(value: Any) -> tuple[str, int]:
    """What a drawing knows a tensor by: its node, or outside the graph the array that operations saw."""
    if isinstance(value, Node):
        return "node", value.serial
    if isinstance(value, Tensor):
        return identity(value.array if value.node is None else value.node)
    return "array", id(value)
