"""`Node`: one entry of the graph. Only operation.py, function.py, checkpoint.py and tensor.py create them.

Edges point from a result to the nodes of its inputs, never back, and a node holds raw arrays, never its own tensor:
so there is no reference cycle, and dropping the last result frees the whole graph by reference counting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tensorgraph.errors import sig_of

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor


class Plan:
    """How gradients flow through one kind of node: which inputs get one, what is saved, and the rules to run.

    `pull(g, saved)` returns one gradient (or None) per entry of `inputs`, from the saved values in the order of
    `names`. `roles` has one function per saved value, `role(value, node)`, that connects the value to the graph for
    a backward pass that is itself recorded. With `own`, pull takes g once more as `own`, where nobody else holds it and
    it may be written over.
    """

    __slots__ = ("name", "inputs", "names", "roles", "pull", "broadcasts", "op", "own")

    def __init__(self, name, inputs, names, roles, pull, broadcasts=False, op=None):
        self.name: str = name
        self.inputs: tuple[str, ...] = inputs
        self.names: tuple[str, ...] = names
        self.roles: tuple[Callable[[Any, Node], Any], ...] = roles
        self.pull: Any = pull
        self.broadcasts: bool = broadcasts
        self.op = op
        self.own = False

    def lift(self, node: Node, saved: tuple) -> tuple:
        """The saved values of `node` as tensors that are connected to the graph."""
        return tuple(role(value, node) for role, value in zip(self.roles, saved, strict=True))


LEAF = Plan("leaf", (), (), (), None)


class Node:
    """One recorded operation, or one leaf.

    `serial` numbers nodes in order of creation, which is a topological order. `saved` holds what the rules asked for
    (for a leaf: a weak reference to its tensor). `code`, `lasti` and `scope` say where it was born (provenance.py).
    """

    __slots__ = (
        *("serial", "plan", "parents", "saved", "code", "lasti", "scope", "shape", "dtype", "hooks"),
        "__weakref__",  # names that users give (drawing/names.py) and lines that cut (cuts.py) must not keep a node
    )

    def __init__(self, serial, plan, parents, saved, code, lasti, scope, shape, dtype):
        self.serial: int = serial
        self.plan: Plan = plan
        self.parents: tuple[Node, ...] = parents
        self.saved: Any = saved
        self.code: Any = code
        self.lasti: int = lasti
        self.scope: Any = scope
        self.shape: Any = shape
        self.dtype: Any = dtype
        self.hooks: list | None = None

    @property
    def name(self) -> str:
        """Name of the operation, `leaf` for a leaf."""
        return self.plan.name

    @property
    def is_leaf(self) -> bool:
        """Whether this is a tensor that asks for a gradient and that no recorded operation made."""
        return self.plan is LEAF

    def tensor(self) -> Tensor | None:
        """The tensor of a leaf, while somebody holds it."""
        return self.saved() if self.plan is LEAF else None

    def __repr__(self) -> str:
        shape = "" if self.shape is None else " " + sig_of(self.shape, self.dtype)
        return f"<node {self.serial} {self.name}{shape}>"
