"""`Node`: one entry of the graph. Only operation.py, function.py, checkpoint.py and tensor.py create them.

Edges point from a result to the nodes of its inputs, never back, and a node holds raw arrays, never its own tensor:
so there is no reference cycle, and dropping the last result frees the whole graph by reference counting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor


class Plan:
    """How gradients flow through one kind of node: which inputs get one, what is saved, and the rules to run.

    `pull(g, saved)` returns one gradient (or None) per entry of `inputs`, from the saved values in the order of
    `names`. `roles` says what each saved value is when the backward pass is recorded: the position of its node
    among the parents, `OUTPUT`, or `PLAIN`.
    """

    __slots__ = ("name", "inputs", "names", "roles", "pull", "broadcasts", "op")

    OUTPUT = -1
    PLAIN = -2

    def __init__(self, name, inputs, names, roles, pull, broadcasts=False, op=None):
        self.name: str = name
        self.inputs: tuple[str, ...] = inputs
        self.names: tuple[str, ...] = names
        self.roles: tuple[int, ...] = roles
        self.pull = pull
        self.broadcasts: bool = broadcasts
        self.op = op

    def lift(self, node: Node) -> tuple:
        """The saved values of `node` as tensors that are connected to the graph, for a recorded backward pass."""
        from tensorgraph.backends import ARRAYS
        from tensorgraph.tensor import Tensor

        def tensor(value: Any, role: int) -> Any:
            if isinstance(value, tuple) and role == Plan.PLAIN:
                return tuple(tensor(v, role) for v in value)
            if type(value) not in ARRAYS:
                return value
            if role == Plan.PLAIN:
                return Tensor(value)
            return Tensor(value, node if role == Plan.OUTPUT else node.parents[role])

        return tuple(map(tensor, node.saved, self.roles))


LEAF = Plan("leaf", (), (), (), None)


class Node:
    """One recorded operation, or one leaf.

    `serial` numbers nodes in order of creation, which is a topological order. `saved` holds what the rules asked for
    (for a leaf: a weak reference to its tensor). `code`, `lasti` and `scope` say where it was born (provenance.py).
    """

    __slots__ = ("serial", "plan", "parents", "saved", "code", "lasti", "scope", "shape", "dtype", "hooks")

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
        from tensorgraph.errors import sig_of

        shape = "" if self.shape is None else " " + sig_of(self.shape, self.dtype)
        return f"<node {self.serial} {self.name}{shape}>"
