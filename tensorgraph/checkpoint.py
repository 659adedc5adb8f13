"""`checkpoint`: compute a part of the model twice and keep none of its intermediate arrays in between.

The part is recorded as usual, then what its nodes saved is dropped. When the backward pass comes to the first of
them, the part runs again, and the nodes of the second run, made in the same order, hand over what they saved. So
parameters that the function closes over get their gradients, and every kind of derivative works.
Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorgraph.errors import GraphError, sig
from tensorgraph.generator import default_generator, get_rng_state, set_rng_state
from tensorgraph.mode import enable_grad, recording, tick
from tensorgraph.node import Node
from tensorgraph.tensor import Tensor
from tensorgraph.writes import written_since


def checkpoint(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`function(*args, **kwargs)`, keeping only its arguments for the backward pass, which computes it again.

    The random state is put back for the second run, so dropout masks agree. `function` must otherwise do the same
    the second time; GraphError if it records something else.
    """
    default_generator()  # it may not have drawn yet; its state must exist to be put back
    state = get_rng_state()
    start = tick()
    results = function(*args, **kwargs)
    if recording():
        nodes = _recorded_since(start, results)
        if nodes:
            record = _Recompute(function, args, kwargs, state, nodes)
            for node in nodes:
                node.saved = record
    return results


def _recorded_since(start: int, results: Any) -> list[Node]:
    """Nodes younger than `start` that the results depend on, oldest first."""
    found: dict[int, Node] = {}
    stack = [t.node for t in _tensors(results) if t.node is not None]
    while stack:
        node = stack.pop()
        if node.serial > start and node.serial not in found and not node.is_leaf:
            found[node.serial] = node
            stack.extend(node.parents)
    return [found[serial] for serial in sorted(found)]


def _tensors(value: Any):
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)


class _Recompute:
    """What a checkpointed node holds in place of its saved arrays. One object for all nodes of the part."""

    def __init__(self, function, args, kwargs, state, nodes: list[Node]):
        self.function, self.args, self.kwargs, self.state = function, args, kwargs, state
        self.recorded = nodes[0].serial
        self.names = [node.name for node in nodes]
        self.serials = {node.serial: i for i, node in enumerate(nodes)}
        self.again: list[Node] | None = None

    def recompute(self, node: Node) -> tuple:
        """The saved arrays of `node`; the first call runs the function again."""
        if self.again is None:
            self._check_arguments()
            now = get_rng_state()
            set_rng_state(self.state)
            try:
                with enable_grad():
                    start = tick()
                    again = _recorded_since(start, self.function(*self.args, **self.kwargs))
            finally:
                set_rng_state(now)
            if [n.name for n in again] != self.names:
                raise GraphError(
                    "checkpoint: the function recorded other operations when it ran again: "
                    f"{len(self.names)} then, {len(again)} now",
                    hint="it must do the same both times: no outside state, no randomness of another generator",
                )
            self.again = again
        twin = self.again[self.serials[node.serial]]
        if isinstance(twin.saved, tuple):
            return twin.saved
        return twin.saved.recompute(twin)  # a checkpoint inside this one

    def _check_arguments(self) -> None:
        for t in _tensors((self.args, self.kwargs)):
            place = written_since(self.recorded, t.array)
            if place is not None:
                raise GraphError(
                    f"checkpoint: its argument {sig(t)} was overwritten before the function ran again",
                    operands=(f"overwritten  {place.text}   {place}",),
                    hint="run backward() before the write, or write into a copy: t.clone()",
                )
