"""Writing into a tensor: `x[i] = v`, `x += y`, `x.copy_(y)`, `x.zero_()`, `x.fill_(v)`.

Tensors behave as values. What no graph can see is written in place: a tensor that needs no gradient, or a leaf under
`no_grad()`. `x += y` on anything else means `x = x + y`, as it does for Python's numbers, so the graph stays right;
`x[i] = v` has no such reading and is an error that names the way out. Every write is remembered (writes.py): a
backward pass that still needs the old values says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorgraph import backends, writes
from tensorgraph.errors import GraphError, ShapeError, TensorgraphError, sig
from tensorgraph.mode import recording
from tensorgraph.operation import Array, Operation, op
from tensorgraph.ops import elementwise, rounding
from tensorgraph.ops.activation import rectified, relu
from tensorgraph.provenance import explain
from tensorgraph.tensor import Tensor


def _raw(value: Any) -> Any:
    return value.array if isinstance(value, Tensor) else value


def _refuse_write(x: Tensor, what: str) -> None:
    """Raises GraphError when writing into x would change a graph behind its back."""
    if x.node is None or (x.node.is_leaf and not recording()):
        return
    kind = "asks for a gradient" if x.node.is_leaf else f"was made by {x.node.name}"
    raise GraphError(
        f"{what}: {sig(x)} {kind}, so writing into it would make its gradient wrong",
        hint="tensorgraph.where(mask, v, x) or tensorgraph.put(x, index, v) make a new tensor"
        + ("; no_grad() allows writing into a leaf" if x.node.is_leaf else ""),
    )


def _setitem(x: Tensor, index: Any, value: Any) -> None:
    """x[index] = value, in place; see the top of this file for when that is allowed."""
    _refuse_write(x, "x[i] = v")
    if isinstance(value, Tensor) and value.node is not None and recording():
        raise GraphError(
            f"x[i] = v: v is {sig(value)}, which takes part in a graph; written into x its gradient would be lost",
            hint="tensorgraph.put(x, index, v) makes a new tensor in the graph; v.detach() drops the gradient",
        )
    try:
        backends.backend_of(x.array).assign(x.array, index, _raw(value), "x[i] = v")
    except (TensorgraphError, ValueError, TypeError) as error:
        raise explain("x[i] = v", error, (("x", x.array, x.node), ("v", _raw(value), None)), None) from None
    writes.wrote(x.array)


def _in_place(function: Any) -> Callable[[Tensor, Any], Tensor]:
    """`x += y` from `add`."""
    operation: Operation = function.op

    def method(x: Tensor, y: Any) -> Tensor:
        in_graph = x.node is not None or (isinstance(y, Tensor) and y.node is not None)
        if in_graph and recording():
            if x.node is not None and x.node.is_leaf:
                _refuse_write(x, f"in-place {operation.name}")
            return function(x, y)
        result = function(x.array, _raw(y))
        if result.shape != x.shape:
            raise ShapeError(
                f"in-place {operation.name}: the result is {sig(result)}, it does not fit into {sig(x)}",
                hint="x = x op y makes a new tensor",
            )
        x.array[...] = result.astype(x.dtype)
        writes.wrote(x.array)
        return x

    method.__name__ = f"__i{operation.name}__"
    method.__doc__ = f"In-place {operation.name}: writes into x where no graph can see it, else `x = x op y`."
    return method


@op
def _relu_in_place(be, x: Array):
    """relu, written over x; for `relu_in_place` alone, which knows that nobody needs x."""
    return be.relu(x, out=x)


_relu_in_place.vjp(x=lambda g, y, own: rectified(g, y, own))


def relu_in_place(x: Any) -> Any:
    """`relu` of an intermediate result, which becomes x itself, in the memory of x where no graph has kept its values.

    Anything else stays as it is: a leaf, what needs no gradient, an array.
    """
    if not isinstance(x, Tensor) or x.node is None or x.node.is_leaf or not recording():
        return relu(x)
    y = _relu_in_place(x) if writes.is_alone(x) else relu(x)
    x.array, x.node = y.array, y.node
    return x


def copy_(x: Tensor, values: Any) -> Tensor:
    """Writes `values` (broadcast to x's shape, cast to its dtype, moved to its device) into x. Returns x."""
    _refuse_write(x, "copy_")
    values = values.to(x.device) if isinstance(values, Tensor) else values
    array = backends.backend_of(x.array).asarray(_raw(values))
    try:
        x.array[...] = array.astype(x.dtype)
    except ValueError:
        raise ShapeError(f"copy_: {sig(array)} does not fit into {sig(x)}") from None
    writes.wrote(x.array)
    return x


def fill_(x: Tensor, value: float) -> Tensor:
    """Writes one number everywhere. Returns x."""
    _refuse_write(x, "fill_")
    x.array[...] = _raw(value)
    writes.wrote(x.array)
    return x


def zero_(x: Tensor) -> Tensor:
    """Writes 0 everywhere. Returns x."""
    return fill_(x, 0)


def _spelled_in_place(function: Any, name: str) -> Callable[..., Tensor]:
    """`x.add_(y)` from `add`; `alpha=` scales y as in PyTorch."""

    def method(x: Tensor, y: Any, *, alpha: float = 1) -> Tensor:
        _refuse_write(x, name)
        x.array[...] = function(x.array, _raw(y) if alpha == 1 else _raw(y) * alpha)
        writes.wrote(x.array)
        return x

    method.__name__ = name
    method.__doc__ = f"Writes the result of {function.op.name} into x. Returns x."
    return method


def methods() -> dict[str, Callable]:
    """What `ops/methods.py` attaches to Tensor."""
    table: dict[str, Callable] = {"__setitem__": _setitem, "copy_": copy_, "fill_": fill_, "zero_": zero_}
    for symbol, function in {
        "add": elementwise.add,
        "sub": elementwise.subtract,
        "mul": elementwise.multiply,
        "truediv": elementwise.divide,
        "floordiv": rounding.floor_divide,
        "mod": rounding.remainder,
        "pow": elementwise.pow,
    }.items():
        table[f"__i{symbol}__"] = _in_place(function)
    for name, function in {
        "add_": elementwise.add,
        "sub_": elementwise.subtract,
        "mul_": elementwise.multiply,
        "div_": elementwise.divide,
    }.items():
        table[name] = _spelled_in_place(function, name)
    return table
