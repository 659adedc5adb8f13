"""`@fusable`: an operation that is defined by composition, and that a backend may compute in one go.

    @fusable
    def layer_norm(x, weight, bias, *, eps): ...          the definition, in tensor operations

A backend that knows better registers a kernel, `backend.add_kernel("layer_norm", kernel)`:

    kernel(be, *arrays, wanted, **static) -> (value, pullback) or None
    pullback(g) -> one gradient, or None, per array

A pullback with a second parameter, `pullback(g, own=None)`, gets g there too where it may write over it.

A definition of several results returns a tuple; so is the value of its kernels then, and `g.values` holds a gradient,
or None, for each result.

`wanted` says which arrays need a gradient (all False: no pullback is called for). A kernel that cannot take these
arrays returns None, and the definition runs. First derivatives use the pullback; a recorded backward pass
differentiates the definition instead, so derivatives of every order exist and nobody has to choose.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from tensorgraph import backends
from tensorgraph.autocast import CASTING, cast
from tensorgraph.mode import here, tick
from tensorgraph.node import Node, Plan
from tensorgraph.operation import count_macs, spread
from tensorgraph.provenance import caller, explain
from tensorgraph.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])

fusables: dict[str, Callable] = {}
"""Every fusable operation by name, for the tests that compare kernels with definitions."""


wrappers: list[Callable[[Any], Any]] = []
"""what kernels are wrapped in, as `operation.wrap` wraps operations"""


def fusable(definition: F) -> F:
    """Lets backends give `definition(*arrays, **static)` a fast kernel under its name.

    Arrays are passed by position (None where one is left out), everything else by keyword.
    """
    fused = Fused(definition)
    name, inputs = fused.name, fused.arrays

    @functools.wraps(definition)
    def call(*arrays: Any, **static: Any) -> Any:
        if CASTING:
            arrays = cast(name, arrays)
        be, tensor, raw, nodes = None, False, [], []
        for a in arrays:
            node = None
            if isinstance(a, Tensor):
                a, node, tensor = a.array, a.node, True
            raw.append(a)
            nodes.append(node)
            if be is None:
                be = backends.ARRAYS.get(type(a))
        kernel = None if be is None else be.kernel(name)
        if be is None or kernel is None:
            return definition(*arrays, **static)
        for wrapper in wrappers:
            kernel = wrapper(kernel)
        records, scope = here()
        parents = tuple([n for n in nodes if n is not None]) if records else ()
        wanted = tuple([n is not None for n in nodes]) if parents else (False,) * len(nodes)
        try:
            done = kernel(be, *raw, wanted=wanted, **static)
        except Exception as error:
            operands = tuple(zip(inputs, raw, nodes, strict=False))
            raise explain(name, error, operands, scope)
        if done is None:
            return definition(*arrays, **static)
        y, pullback = done
        if not tensor:
            return y
        many = type(y) is tuple
        y = tuple(map(be.asarray, y)) if many else be.asarray(y)
        if not parents:
            return tuple(map(Tensor, y)) if many else Tensor(y)
        code, lasti = caller()
        plan = _FusedPlan(fused, wanted, static, _has_two_parameters(pullback))
        if isinstance(y, tuple):
            return spread(Node(tick(), plan, parents, (pullback, *raw), code, lasti, scope, None, None), y)
        return Tensor(
            y,
            Node(tick(), plan, parents, (pullback, *raw), code, lasti, scope, y.shape, y.dtype),
        )

    def macs(rule: Callable[..., int]) -> F:
        fused.macs = rule
        return call  # pyright: ignore[reportReturnType]

    call.op, call.macs = fused, macs  # pyright: ignore[reportAttributeAccessIssue]
    fusables[name] = call
    return call  # pyright: ignore[reportReturnType]


def _has_two_parameters(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and code.co_argcount == 2


class Fused:
    """A fusable operation: its name, its arrays, its multiply-adds. `call.op` of the function, `fused` of a plan."""

    def __init__(self, definition: Callable):
        self.definition = definition
        self.name: str = definition.__name__.strip("_")
        self.arrays = definition.__code__.co_varnames[: definition.__code__.co_argcount]
        self.macs: Callable[..., int] | None = None

    def count_macs(self, known: dict[str, Any]) -> int | None:
        """Multiply-adds of one call, as `Operation.count_macs`; `.macs(rule)` of the function declares them."""
        return count_macs(self.macs, known)


class _FusedPlan(Plan):
    """Runs the pullback; a recorded backward pass runs the gradient of the definition."""

    __slots__ = ("fused", "definition", "wanted", "static")

    def __init__(self, fused: Fused, wanted: tuple[bool, ...], static: dict[str, Any], own: bool):
        arrays = fused.arrays[: len(wanted)]
        inputs = tuple(n for n, w in zip(arrays, wanted, strict=True) if w)

        def pull(g: Any, saved: tuple, own: Any = None) -> tuple:  # no method: a plan that holds itself is a cycle
            found = saved[0](g) if own is None else saved[0](g, own)
            return tuple([gx for gx, w in zip(found, wanted, strict=True) if w])

        super().__init__(fused.name, inputs, ("pullback", *arrays), (), pull)
        self.fused, self.definition, self.wanted, self.static = fused, fused.definition, wanted, static
        self.own = own

    def lift(self, node: Node, saved: tuple) -> tuple:
        def through_definition(g: Any) -> list:
            from tensorgraph.backward import grad

            parents = iter(node.parents)
            inputs = []
            for value, wanted in zip(saved[1:], self.wanted, strict=True):
                if wanted:
                    # a node of its own, so that an input that depends on another one is held fixed
                    parent = next(parents)
                    alias = Node(
                        tick(), _ALIAS, (parent,), (), node.code, node.lasti, node.scope, value.shape, value.dtype
                    )
                    inputs.append(Tensor(value, alias))
                else:
                    inputs.append(Tensor(value) if type(value) in backends.ARRAYS else value)
            y = self.definition(*inputs, **self.static)
            targets = [t for t, w in zip(inputs, self.wanted, strict=True) if w]
            if type(y) is tuple:
                y, g = zip(*((one, slope) for one, slope in zip(y, g.values, strict=True) if slope is not None))
            found = iter(grad(y, targets, g, create_graph=True, allow_unused=True))
            return [next(found) if w else None for w in self.wanted]

        return (through_definition,)


_ALIAS = Plan("alias", ("x",), (), (), lambda g, saved: (g,))
