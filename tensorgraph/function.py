"""`Function`: the class form of a custom operation, with `forward(ctx, ...)` and `backward(ctx, ...)`.

For those whose hands know PyTorch. `@tensorgraph.op` is the shorter form, and its rules give derivatives of every
order from one expression; here `backward` is recorded when `create_graph=True`, so it must use tensor operations too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorgraph.errors import GraphError, sig
from tensorgraph.mode import current_scope, no_grad, recording, tick
from tensorgraph.node import Node, Plan
from tensorgraph.operation import Parts, from_input, from_node, from_nowhere, from_output, pick
from tensorgraph.provenance import caller
from tensorgraph.tensor import Tensor


class Context:
    """What `forward` hands to `backward`. Any attribute may be set on it."""

    needs_input_grad: tuple[bool, ...]

    def __init__(self, needs_input_grad: tuple[bool, ...]):
        self.needs_input_grad = needs_input_grad
        self._saved: tuple = ()
        self._restored: tuple | None = None
        self._no_grad: tuple[int, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keeps tensors until the backward pass; inputs and outputs stay connected to the graph."""
        self._saved = tensors

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """These outputs carry no gradient."""
        self._no_grad = tuple(id(y) for y in outputs)

    @property
    def saved_tensors(self) -> tuple:
        """What `save_for_backward` kept.

        Raises GraphError in `forward`, where nothing has been saved for good.
        """
        if self._restored is None:
            raise GraphError("saved_tensors: available in backward(ctx, ...) only")
        return self._restored


class Function:
    """Base class of custom operations with an explicit backward.

    >>> import tensorgraph as tg
    >>> class Cube(tg.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return g * 3 * x * x
    >>> x = tg.tensor(2.0, requires_grad=True)
    >>> tg.grad(Cube.apply(x), x)
    tensor(12., dtype=float32)

    `forward` runs without recording and returns one tensor or a tuple; `backward` gets one gradient per output (None
    for one that nobody used) and returns one gradient or None per argument of `forward`, each in the shape of that
    argument: any other shape is a GraphError.
    """

    @staticmethod
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        """Computes the outputs; to be written by the subclass."""
        raise GraphError("Function: the subclass has no forward(ctx, ...)")

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Computes the gradients of the arguments; to be written by the subclass."""
        raise GraphError("Function: the subclass has no backward(ctx, ...)")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Runs the operation on tensors and records it."""
        nodes = tuple(a.node if isinstance(a, Tensor) else None for a in args)
        record = recording() and any(node is not None for node in nodes)
        ctx = Context(tuple(node is not None for node in nodes) if record else (False,) * len(args))
        with no_grad():
            inputs = tuple(Tensor(a.array) if isinstance(a, Tensor) else a for a in args)
            results = cls.forward(ctx, *inputs, **kwargs)
        several = isinstance(results, (tuple, list))
        outputs = tuple(results) if several else (results,)
        for i, y in enumerate(outputs):
            if not isinstance(y, Tensor):
                raise GraphError(f"{cls.__name__}.forward: result {i} is {sig(y)}, not a tensor")
        if not record:
            return results
        made = _record(cls, ctx, args, inputs, nodes, outputs)
        return made if several else made[0]


def _record(cls, ctx: Context, args, inputs, nodes, outputs) -> tuple[Tensor, ...]:
    wanted = tuple(i for i, node in enumerate(nodes) if node is not None)
    saved = tuple(v.array if isinstance(v, Tensor) else v for v in ctx._saved)
    origin = {id(t): ("input", i) for i, t in enumerate(inputs) if isinstance(t, Tensor)}
    origin |= {id(t): ("output", i) for i, t in enumerate(outputs)}
    roles = tuple(_role(origin.get(id(v)), wanted, len(outputs)) for v in ctx._saved)
    several, n_args = len(outputs) > 1, len(args)
    ctx._saved = ()  # the context must not keep the tensors alive: the node does

    def pull(g: Any, values: tuple) -> tuple:
        recorded = isinstance(g, Tensor) or (isinstance(g, Parts) and any(isinstance(v, Tensor) for v in g.values))
        gradients = tuple(
            Tensor(v) if v is not None and not isinstance(v, Tensor) else v
            for v in (g.values if isinstance(g, Parts) else (g,))
        )
        ctx._restored = tuple(v if isinstance(v, Tensor) else from_nowhere(v, None) for v in values)
        try:
            if recorded:
                results = cls.backward(ctx, *gradients)
            else:
                with no_grad():
                    results = cls.backward(ctx, *gradients)
        finally:
            ctx._restored = None
        results = tuple(results) if isinstance(results, (tuple, list)) else (results,)
        if len(results) < n_args or any(r is not None for r in results[n_args:]):
            raise GraphError(
                f"{cls.__name__}.backward returned {len(results)} gradients for {n_args} arguments of forward",
                hint="return one gradient or None per argument, in order",
            )
        for i in wanted:
            if results[i] is not None and not isinstance(results[i], Tensor):
                raise GraphError(f"{cls.__name__}.backward: gradient {i} is {sig(results[i])}, not a tensor or None")
        return tuple(results[i] if recorded or results[i] is None else results[i].array for i in wanted)

    names = tuple(f"saved tensor {i}" for i in range(len(saved)))
    plan = Plan(cls.__name__, tuple(f"argument {i}" for i in wanted), names, roles, pull)
    code, lasti = caller()
    parents = tuple(nodes[i] for i in wanted)
    shape, dtype = (None, None) if several else (outputs[0].shape, outputs[0].dtype)
    node = Node(tick(), plan, parents, saved, code, lasti, current_scope(), shape, dtype)
    arrays = [y.array for y in outputs]
    if not several:
        return (outputs[0] if id(outputs[0]) in ctx._no_grad else Tensor(arrays[0], node),)
    return tuple(
        Tensor(a) if id(y) in ctx._no_grad or y.dtype.kind not in "fcV" else pick(node, i, len(arrays), a)
        for i, (a, y) in enumerate(zip(arrays, outputs, strict=True))
    )


def _role(origin: tuple[str, int] | None, wanted: tuple[int, ...], outputs: int) -> Callable:
    """How a saved tensor hangs in the graph: it was an input, an output, or neither."""
    if origin is None or (origin[0] == "input" and origin[1] not in wanted):
        return from_nowhere
    kind, i = origin
    if kind == "input":
        return from_input(wanted.index(i))
    return from_node if outputs == 1 else from_output(i, outputs)


__all__ = ["Context", "Function"]
