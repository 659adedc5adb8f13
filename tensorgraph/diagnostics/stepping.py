"""The backward pass, one node at a time: `loss.backward_steps()` walks it, `loss.explain()` prints it with formulae.

The engine of backward.py itself runs and pauses before every node, so order, sums and the gradients at the end are
those of `backward()`. Imported by tensor.py when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tensorgraph.backward import _fit, _seed, steps
from tensorgraph.diagnostics.causes import host
from tensorgraph.diagnostics.formula import formulae
from tensorgraph.errors import sig, sig_of
from tensorgraph.mode import set_grad_enabled
from tensorgraph.node import Node
from tensorgraph.pieces import Pieces
from tensorgraph.provenance import Birth, birth, module_path
from tensorgraph.tensor import Tensor

__all__ = ["Step", "backward_steps", "explain"]


class Step:
    """What happened at one node.

    `name`, `place` (the user's line), `module` (its path), `node`: where. `gradient`: what arrived, the sum over all
    uses of the result. `rules`: input -> formula. `gradients`: input -> what its rule made of it, in the shape of the
    input, None where a rule gave none. `inputs`: input -> the step number or name that it goes to. A leaf has no rules:
    its gradient was added to `.grad`.
    """

    def __init__(self, number: int, node: Node, g: Any):
        self.number, self.node = number, node
        self.name = node.name
        self.place: Birth | None = birth(node)
        self.module = module_path(node.scope)
        self.gradient = _tensor(g)
        self.rules: dict[str, str] = {} if node.is_leaf else formulae(node)
        self.gradients: dict[str, Any] = {}

    @property
    def is_leaf(self) -> bool:
        """Whether the gradient goes into the `.grad` of a tensor."""
        return self.node.is_leaf

    @property
    def source(self) -> str:
        """Where the rules are written: file and line of the first; empty for kernels, `Function`s and leaves."""
        for rule in (getattr(self.node.plan.op, "rules", None) or {}).values():
            return f"{rule.__code__.co_filename}:{rule.__code__.co_firstlineno}"
        return ""

    def __repr__(self) -> str:
        place = f"   {self.place.expression}   {self.place}" if self.place else ""
        lines = [f"step {self.number}: {self.name} {_sig(self.node)}{place}", f"  g = {_short(self.gradient)}"]
        if self.is_leaf:
            lines.append("  .grad += g")
        for name, rule in self.rules.items():
            lines.append(f"  d/d{name}: {rule}  =  {_short(self.gradients.get(name))}")
        return "\n".join(lines)


def backward_steps(loss: Tensor, gradient: Tensor | None = None, *, retain_graph: bool = False) -> Iterator[Step]:
    """See `Tensor.backward_steps`."""
    seed = _seed(loss, gradient, "backward_steps")
    pending: list[Step] = []
    count = 0

    def step(node: Node, g: Any, pull: Callable | None) -> Callable | None:
        nonlocal count
        count += 1
        made = Step(count, node, g)
        pending.append(made)
        if pull is None:
            return None

        def told(g: Any, saved: tuple) -> Any:
            results = pull(g, saved)
            for name, parent, gx in zip(node.plan.inputs, node.parents, results, strict=True):
                if hasattr(gx, "shape") and parent.shape is not None:
                    gx = gx.dense() if gx.__class__ is Pieces else gx
                    gx = gx if gx.shape == parent.shape and gx.dtype is parent.dtype else _fit(node, parent, gx)
                made.gradients[name] = _tensor(gx)
            return results

        return told

    engine = steps([(loss, seed)], None, False, retain_graph, {}, step)
    del seed
    while True:
        with set_grad_enabled(False):  # not while the caller's loop runs
            ended = next(engine, pending) is pending
        if pending:
            yield pending.pop()
        if ended:
            return


def explain(loss: Tensor) -> None:
    """See `Tensor.explain`."""
    _seed(loss, None, "explain")
    nodes: dict[int, Node] = {}
    stack: list[Any] = [loss.node]
    while stack:
        node = stack.pop()
        if node.serial not in nodes:
            nodes[node.serial] = node
            stack.extend(node.parents)
    order = {serial: i for i, serial in enumerate(sorted(nodes, reverse=True), 1)}
    width = len(str(len(order)))
    print(f"backward from {_sig(loss.node)}: {len(order)} steps, g starts as 1")  # pyright: ignore[reportArgumentType]
    for serial, i in order.items():
        node = nodes[serial]
        place, path = birth(node), module_path(node.scope)
        where = f"   {place.expression}   {place}" if place else ""
        print(f"{i:>{width}}  {node.name} {_sig(node)}{where}" + (f"   in {path}" if path else ""))
        margin = " " * (width + 2)
        if node.is_leaf:
            print(f"{margin}.grad += g")
        for parent, (name, rule) in zip(node.parents, formulae(node).items(), strict=True):
            print(f"{margin}d/d{name}: {rule}   -> step {order[parent.serial]}, {parent.name}")


def _tensor(g: Any) -> Any:
    if g is None or isinstance(g, Tensor):
        return g
    if hasattr(g, "values") and isinstance(g.values, tuple):  # of an operation with several results
        return tuple(map(_tensor, g.values))
    return Tensor(g)


def _sig(node: Node) -> str:
    return "" if node.shape is None else sig_of(node.shape, node.dtype)


def _short(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, tuple):
        return f"({', '.join(map(_short, value))})"
    if value.array.size > 4:
        return sig(value)
    text = np.array2string(np.asarray(host(value.array)), precision=6, separator=", ")
    return " ".join(text.split())
