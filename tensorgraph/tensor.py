"""`Tensor`: an array, the node that made it, and its gradient. No arithmetic lives here.

Operators and methods are the operations themselves, attached to the class by `ops/methods.py`. The rest of the
engine may import this file; it imports the node record and the backends.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorgraph import backends, cuts
from tensorgraph.errors import ArgumentError, DtypeError, GraphError, ShapeError, sig
from tensorgraph.mode import tick
from tensorgraph.node import LEAF, Node
from tensorgraph.provenance import caller

if TYPE_CHECKING:
    from tensorgraph.diagnostics.stepping import Step
    from tensorgraph.drawing import Graph
    from tensorgraph.methods import TensorMethods as _Methods
else:
    _Methods = object


class Tensor(_Methods):
    """An n-dimensional array that remembers how it was computed.

    `array` is the raw array of the backend (NumPy or CuPy), `grad` the accumulated gradient (a Tensor or None),
    `node` the entry in the graph (None when no gradient is needed). Make one with `tensorgraph.tensor`.
    """

    __slots__ = ("array", "node", "grad", "__weakref__")
    __array_priority__ = 1000  # array on the left, tensor on the right: the tensor's operator runs

    array: Any
    node: Node | None
    grad: Tensor | None

    def __init__(self, array: Any, node: Node | None = None):
        self.array = array
        self.node = node
        self.grad = None

    # ---- what it is ----------------------------------------------------------------------------------------------
    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        """Element type, a NumPy dtype on every backend."""
        return self.array.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.array.ndim

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.array.nbytes

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.array.dtype.itemsize

    @property
    def device(self) -> str:
        """`"cpu"`, `"cuda:0"`, ..."""
        return backends.backend_of(self.array).device_of(self.array)

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient flows through this tensor. May be set on leaves."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    @property
    def is_leaf(self) -> bool:
        """True unless a recorded operation made this tensor."""
        return self.node is None or self.node.is_leaf

    def __len__(self) -> int:
        if self.ndim == 0:
            raise ShapeError("len() of a tensor without axes", hint="a 0-d tensor holds one number: .item()")
        return self.shape[0]

    def __repr__(self) -> str:
        be = backends.backend_of(self.array)
        if be.has_values:
            host = be.to_host(self.array)
            if host.dtype.kind == "V":  # bfloat16, of which NumPy does not know that it is a float
                host = host.astype(np.float32)
            values = np.array2string(host, separator=", ", prefix="tensor(", threshold=200)
        else:
            values = f"..., shape={self.shape}"
        parts = [values, f"dtype={self.dtype}"]
        if self.device != "cpu":
            parts.append(f"device={self.device!r}")
        if self.node is not None:
            parts.append("requires_grad=True" if self.node.is_leaf else f"made_by={self.node.name}")
        return f"tensor({', '.join(parts)})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and self.array.size == 1 else format(str(self), spec)

    __hash__ = object.__hash__  # `==` compares elements; tensors are dictionary keys by identity

    # ---- out of the graph ----------------------------------------------------------------------------------------
    def item(self) -> Any:
        """The only element as a Python number."""
        if self.array.size != 1:
            raise ShapeError(f"item: {sig(self)} holds {self.array.size} elements, not one")
        return backends.backend_of(self.array).to_host(self.array).item()

    def tolist(self) -> Any:
        """The elements as (nested lists of) Python numbers."""
        return backends.backend_of(self.array).to_host(self.array).tolist()

    def numpy(self) -> np.ndarray:
        """The elements as a NumPy array: shared memory on the CPU, a copy from another device.

        Raises GraphError when the tensor takes part in a graph (`.detach().numpy()` says that you mean it).
        """
        if self.node is not None:
            raise GraphError(
                f"numpy: {sig(self)} takes part in a graph, and NumPy does not record",
                hint="t.detach().numpy() leaves the graph",
            )
        return backends.backend_of(self.array).to_host(self.array)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self.ndim:
            raise DtypeError(f"{sig(self)} cannot be an index: an index is an integer without axes")
        return self.item()

    def __bool__(self) -> bool:
        if self.array.size != 1:
            raise ArgumentError(
                f"the truth of {sig(self)} with {self.array.size} elements is ambiguous",
                hint="t.any() or t.all()",
            )
        return bool(self.item())

    def detach(self) -> Tensor:
        """The same values outside the graph; the memory is shared."""
        if self.node is not None:
            cuts.note("detach()", self.node)
        return Tensor(self.array)

    @property
    def data(self) -> Tensor:
        """The same values outside the graph, sharing memory; assigning replaces the values of a leaf."""
        if self.node is not None:
            cuts.note(".data", self.node)
        return Tensor(self.array)

    @data.setter
    def data(self, value: Any) -> None:
        array = value.array if isinstance(value, Tensor) else backends.backend_of(self.array).asarray(value)
        if self.node is not None:
            if not self.node.is_leaf:
                raise GraphError(f"data: {sig(self)} was made by {self.node.name}; only leaves can be given new values")
            self.node.shape, self.node.dtype = array.shape, array.dtype
        self.array = array

    # ---- gradients -----------------------------------------------------------------------------------------------
    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Makes this leaf ask for a gradient (or stop asking). Returns the tensor itself."""
        if not requires_grad:
            if not self.is_leaf:
                raise GraphError(
                    f"requires_grad: {sig(self)} was made by {self.node.name}, which needs its gradient",  # pyright: ignore[reportOptionalMemberAccess]
                    hint="t.detach() gives the values without the graph",
                )
            self.node = None
        elif self.node is None:
            self.node = leaf_node(self)
        return self

    def backward(
        self, gradient: Tensor | None = None, retain_graph: bool | None = None, create_graph: bool = False
    ) -> None:
        """Adds the gradient of this scalar to `.grad` of every leaf that it depends on.

        A tensor that is no scalar needs `gradient`, of its own shape: the gradient of some scalar with respect to
        it. The graph's saved arrays are released unless `retain_graph=True` (the default is `create_graph`); with
        `create_graph=True` the gradients are themselves recorded.

        Raises GraphError: no graph, no scalar, a second backward, an overwritten array.
        """
        from tensorgraph.backward import backward

        backward(self, gradient, retain_graph=retain_graph, create_graph=create_graph)

    def backward_steps(self, gradient: Tensor | None = None, *, retain_graph: bool = False) -> Iterator[Step]:
        """`backward()`, one node at a time, to look on: `for step in loss.backward_steps(): print(step)`.

        Each step shows the node, the gradient that arrived, the rules as formulae and what they made of it. At the end
        every `.grad` is what `backward()` gives; a loop that is left early leaves the rest undone.

        Raises GraphError, at the first step: as `backward`.
        """
        from tensorgraph.diagnostics.stepping import backward_steps

        return backward_steps(self, gradient, retain_graph=retain_graph)

    def explain(self) -> None:
        """Prints the steps of the backward pass of this scalar with their formulae; computes nothing.

        Raises GraphError: as `backward`.
        """
        from tensorgraph.diagnostics.stepping import explain

        explain(self)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Callable[[], None]:
        """Calls `hook(gradient)` in every backward pass that comes here; what it returns replaces the gradient.

        Returns a function that removes the hook.
        """
        if self.node is None:
            raise GraphError(f"register_hook: {sig(self)} needs no gradient, the hook would never run")
        hooks = self.node.hooks = [] if self.node.hooks is None else self.node.hooks
        place = next((i for i, other in enumerate(hooks) if type(other) is Retain), len(hooks))
        hooks.insert(place, hook)

        def remove() -> None:
            if hook in hooks:
                hooks.remove(hook)

        return remove

    def retain_grad(self) -> Tensor:
        """Keeps the gradient of this intermediate result in `.grad` too. Returns the tensor itself."""
        if self.node is None:
            raise GraphError(f"retain_grad: {sig(self)} needs no gradient")
        hooks = self.node.hooks = [] if self.node.hooks is None else self.node.hooks
        if not self.node.is_leaf and not any(type(hook) is Retain and hook.tensor() is self for hook in hooks):
            hooks.append(Retain(self))
        return self

    def graph(self, depth: int | None = None, names: Mapping[str, Any] | None = None, **options: Any) -> Graph:
        """The picture of everything that led to this tensor: see `tensorgraph.draw`, which takes the same options."""
        from tensorgraph.drawing import draw

        return draw(self, depth, names, **options)

    # ---- copies --------------------------------------------------------------------------------------------------
    def __deepcopy__(self, memo: dict) -> Tensor:
        if not self.is_leaf:
            raise GraphError(
                f"deepcopy: {sig(self)} was made by {self.node.name}; a copy would need the whole graph",  # pyright: ignore[reportOptionalMemberAccess]
                hint="t.detach() or t.clone()",
            )
        if id(self) in memo:
            return memo[id(self)]
        copy = type(self).__new__(type(self))
        memo[id(self)] = copy
        copied = memo.get("copy of an array", backends.backend_of(self.array).copy)  # diagnostics/plan.py has its own
        self._fill(copy, copied(self.array))
        copy.grad = self.grad.__deepcopy__(memo) if self.grad is not None and self.grad.is_leaf else None
        return copy

    def __reduce__(self):
        if not self.is_leaf:
            raise GraphError(f"pickle: {sig(self)} was made by {self.node.name}", hint="t.detach()")  # pyright: ignore[reportOptionalMemberAccess]
        return _unpickle, (
            type(self),
            backends.backend_of(self.array).to_host(self.array),
            self.device,
            self.requires_grad,
        )

    def _fill(self, copy: Tensor, array: Any) -> None:
        Tensor.__init__(copy, array)
        if self.requires_grad:
            copy.node = leaf_node(copy)


class Retain:
    """The hook behind `retain_grad`: the last of its node, so that it sees what the others made of the gradient."""

    def __init__(self, tensor: Tensor):
        self.tensor = weakref.ref(tensor)

    def __call__(self, g: Tensor) -> None:
        tensor = self.tensor()
        if tensor is not None:  # a copy: the same array may flow on into other gradients
            g = Tensor(backends.backend_of(g.array).copy(g.array), g.node)
            tensor.grad = g if tensor.grad is None else tensor.grad + g


def _unpickle(kind: type[Tensor], host: np.ndarray, device: str, requires_grad: bool) -> Tensor:
    tensor = kind.__new__(kind)
    Tensor.__init__(tensor, backends.get(device).from_host(host, device))
    if requires_grad:
        tensor.node = leaf_node(tensor)
    return tensor


def leaf_node(tensor: Tensor) -> Node:
    """A node for a tensor that asks for a gradient and was made by no recorded operation."""
    array = tensor.array
    if array.dtype.kind not in "fcV":
        raise GraphError(
            f"requires_grad: {sig(array)} is not of a floating dtype; only those have gradients",
            hint="t.astype(tensorgraph.float32), or write 1.0 instead of 1",
        )
    code, lasti = caller()
    return Node(tick(), LEAF, (), weakref.ref(tensor), code, lasti, None, array.shape, array.dtype)


def raw(value: Any) -> Any:
    """The array of a tensor; anything else as it is."""
    return value.array if isinstance(value, Tensor) else value
