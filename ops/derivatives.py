"""Derivatives of functions: `value_and_grad`, `vjp`, `jvp`, `jacobian`, `hessian`, `hvp`, `per_example_grad`.

All of them stand on `grad`. A function takes tensors (or a list, tuple or dict of them) and returns a tensor; the
transforms differentiate with respect to the arguments that `argnums` names, whether these ask for gradients or not.

May import: the engine and ops/shape.py.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from tensorgraph import backends
from tensorgraph.backward import grad
from tensorgraph.creation import asarray
from tensorgraph.errors import ArgumentError, DtypeError, GraphError, ShapeError, sig
from tensorgraph.mode import enable_grad
from tensorgraph.ops.join import stack
from tensorgraph.tensor import Tensor

__all__ = ["grad_of", "hessian", "hvp", "jacobian", "jvp", "per_example_grad", "value_and_grad", "vjp"]


def value_and_grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, *, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns `(value, gradient)` of the scalar function `function`.

    The gradient has the structure of the argument (tensor, list, tuple, dict); with several `argnums` it is a tuple.
    `has_aux=True`: `function` returns `(value, aux)`, and the result is `((value, aux), gradient)`. The value and
    the gradient are outside the graph unless the caller is recording and the arguments take part in a graph.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        args, leaves, rebuild, outer = _open(args, argnums)
        with enable_grad():
            result = function(*args, **kwargs)
        value, aux = result if has_aux else (result, None)
        if not isinstance(value, Tensor) or value.array.size != 1:
            raise ShapeError(f"value_and_grad: the function returned {sig(value)}, not a scalar tensor")
        found = _grad(value, leaves, None, outer)
        value = value if outer else value.detach()
        return ((value, aux) if has_aux else value), rebuild(found)

    return call


def grad_of(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns the gradient of the scalar function `function`; nest it for higher orders."""
    both = value_and_grad(function, argnums)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return call


def vjp(function: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
    """`(y, pullback)`: the value, and the function v -> v^T J, which may be called many times.

    `pullback(v)` takes a tensor of y's shape and returns one gradient for one argument, a tuple for several.
    """
    args, leaves, rebuild, outer = _open(primals, tuple(range(len(primals))))
    with enable_grad():
        y = function(*args)

    def pullback(v: Any) -> Any:
        found = rebuild(_grad(y, leaves, v, outer, retain=True))
        return found[0] if len(primals) == 1 else found

    return (y if outer else y.detach()), pullback


def jvp(function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """`(y, J t)`: the value, and the derivative of `function` at `primals` in the direction `tangents`.

    Computed by differentiating the pullback, which is linear in its argument (the double-backward construction, J.
    Townsend, 2017): it works for every operation and costs about three evaluations.
    """
    primals, tangents = tuple(primals), tuple(tangents)
    if len(primals) != len(tangents):
        raise ArgumentError(f"jvp: {len(primals)} primals but {len(tangents)} tangents")
    args, leaves, _, outer = _open(primals, tuple(range(len(primals))))
    directions = [asarray(t) for t in _leaves(tangents)]
    for leaf, direction in zip(leaves, directions, strict=True):
        if leaf.shape != direction.shape:
            raise ShapeError(f"jvp: a primal is {sig(leaf)} but its tangent is {sig(direction)}")
    with enable_grad():
        y = function(*args)
        if y.node is None:
            return y, y * 0
        v = (y.detach() * 0).requires_grad_()
        pulled = _each(grad(y, leaves, v, create_graph=True, allow_unused=True))
        used = [(g, t) for g, t in zip(pulled, directions, strict=True) if g is not None and g.node is not None]
        if not used:
            return (y if outer else y.detach()), y.detach() * 0
        forward = grad([g for g, _ in used], v, [t for _, t in used], create_graph=outer, allow_unused=True)
    tangent = forward if forward is not None else y.detach() * 0
    return (y, tangent) if outer else (y.detach(), tangent.detach())


def jacobian(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns the Jacobian: y (*Y), x (*X) -> (*Y, *X), one backward pass per element of y."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        args, leaves, rebuild, outer = _open(args, argnums)
        with enable_grad():
            y = function(*args, **kwargs)
        rows: list[list[Tensor]] = []
        for i in range(y.array.size):
            rows.append(_grad(y, leaves, _unit(y, i), outer, retain=True))
        columns = [_stack([row[j] for row in rows], y.shape, leaf) for j, leaf in enumerate(leaves)]
        return rebuild(columns)

    return call


def hessian(function: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """A function that returns the matrix of second derivatives of a scalar function: x (*X) -> (*X, *X)."""
    return jacobian(grad_of(function, argnums), argnums)


def hvp(function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Hessian of the scalar `function` at `primals` times `tangents`, without the Hessian.

    One argument: one tensor; several: a tuple. Costs about two gradients (Pearlmutter, 1994; here as the gradient of
    the inner product of gradient and tangent).
    """
    primals = tuple(primals)
    args, leaves, rebuild, outer = _open(primals, tuple(range(len(primals))))
    directions = [asarray(t) for t in _leaves(tuple(tangents))]
    with enable_grad():
        y = function(*args)
        first = _each(grad(y, leaves, create_graph=True, allow_unused=True))
        terms = [(g * t).sum() for g, t in zip(first, directions, strict=True) if g is not None and g.node is not None]
    if not terms:
        found = [leaf.detach() * 0 for leaf in leaves]
    else:
        total = terms[0]
        with enable_grad():
            for term in terms[1:]:
                total = total + term
        found = _grad(total, leaves, None, outer)
    result = rebuild(found)
    return result[0] if len(primals) == 1 else result


def per_example_grad(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """Gradients of every example on its own: `function(params, *batch)` is the scalar loss of a batch.

    The other arguments are sliced along their first axis into batches of one; the results are stacked, so a
    parameter of shape (*P) and a batch of N give (N, *P). One backward pass per example.
    """
    one = grad_of(function, argnums)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        chosen = {argnums} if isinstance(argnums, int) else set(argnums)
        batched = [i for i in range(len(args)) if i not in chosen]
        if not batched:
            raise ArgumentError("per_example_grad: there is no argument besides the differentiated ones to slice")
        sizes = {len(args[i]) for i in batched}
        if len(sizes) != 1:
            raise ShapeError(f"per_example_grad: batches of different lengths {sorted(sizes)}")
        results = []
        for n in range(sizes.pop()):
            results.append(one(*(a[n : n + 1] if i in batched else a for i, a in enumerate(args)), **kwargs))
        parts = [_leaves(r) for r in results]
        stacked = [_stack([p[j] for p in parts], (len(parts),), parts[0][j]) for j in range(len(parts[0]))]
        return _rebuild(results[0], iter(stacked))

    return call


# ---- arguments ---------------------------------------------------------------------------------------------------
def _open(args: Sequence[Any], argnums: int | Sequence[int]):
    """Arguments with fresh leaves in place of the chosen ones; the leaves; how to rebuild their structure; and
    whether the caller is itself being differentiated (then the leaves stay connected to its graph)."""
    chosen = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    opened = list(args)
    leaves: list[Tensor] = []
    outer = False
    for position in chosen:
        if not -len(opened) <= position < len(opened):
            raise ArgumentError(f"argnums names argument {position}, but there are {len(opened)}")

        def fresh(value: Any) -> Tensor:
            nonlocal outer
            tensor = asarray(value)
            if tensor.dtype.kind not in "fcV":
                raise DtypeError(f"cannot differentiate with respect to {sig(tensor)}: not of a floating dtype")
            if tensor.node is not None:
                outer = True
                tensor = tensor.clone()
            else:
                tensor = tensor.detach().requires_grad_()
            leaves.append(tensor)
            return tensor

        with enable_grad():
            opened[position] = _map(opened[position], fresh)
    structure = tuple(opened[p] for p in chosen)

    def rebuild(gradients: Sequence[Any]) -> Any:
        built = _rebuild(structure, iter(gradients))
        return built[0] if isinstance(argnums, int) else built

    return tuple(opened), leaves, rebuild, outer


def _map(value: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _map(part, function) for key, part in value.items()}
    if isinstance(value, (list, tuple)) and any(isinstance(part, (Tensor, dict, list, tuple)) for part in value):
        parts = [_map(part, function) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return function(value)


def _leaves(value: Any) -> list[Any]:
    found: list[Any] = []
    _map(value, found.append)
    return found


def _rebuild(structure: Any, values: Any) -> Any:
    return _map(structure, lambda _: next(values))


def _each(found: Any) -> tuple:
    return (found,) if isinstance(found, Tensor) or found is None else tuple(found)


def _grad(y: Tensor, leaves: list[Tensor], v: Any, create_graph: bool, retain: bool = False) -> list[Tensor]:
    """Gradients with zeros for arguments that y does not depend on."""
    if not isinstance(y, Tensor):
        raise GraphError(f"the function returned {sig(y)}, not a tensor")
    if y.node is None:
        return [leaf.detach() * 0 for leaf in leaves]
    found = grad(y, leaves, v, create_graph=create_graph, retain_graph=retain or create_graph, allow_unused=True)
    return [leaf.detach() * 0 if g is None else g for leaf, g in zip(leaves, found, strict=True)]


def _unit(y: Tensor, i: int) -> Tensor:
    be = backends.backend_of(y.array)
    v = be.zeros(y.array.size, dtype=y.dtype)
    v[i] = 1
    return Tensor(v.reshape(y.shape))


def _stack(rows: list[Tensor], shape: tuple[int, ...], leaf: Tensor) -> Tensor:
    if not rows:
        return Tensor(backends.backend_of(leaf.array).zeros((*shape, *leaf.shape), dtype=leaf.dtype))
    return stack(rows).reshape((*shape, *leaf.shape))
