"""Reverse-mode differentiation: `grad` and what stands behind `Tensor.backward`.

The order of creation is a topological order, so the scheduler is a heap on serial numbers: take the youngest node
whose gradient is complete, run its rules, add what comes out to the gradients of its parents. There is no recursion.
Rules get raw arrays; with `create_graph=True` they get tensors, and are recorded like anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from heapq import heappop, heappush
from math import prod
from sys import getrefcount
from typing import Any, TypeAlias, overload

from tensorgraph import backends, writes
from tensorgraph.capturing import current
from tensorgraph.errors import GraphError, ShapeError, sig, sig_of
from tensorgraph.mode import set_grad_enabled
from tensorgraph.node import LEAF, Node
from tensorgraph.operation import F32
from tensorgraph.pieces import Pieces
from tensorgraph.provenance import birth, explain
from tensorgraph.tensor import Retain, Tensor


class _Released:
    """Stands where the saved arrays of a node were."""

    def __repr__(self) -> str:
        return "<released>"


RELEASED = _Released()


def _count_of_one_local() -> int:
    g = object()
    return getrefcount(g)


_SOLE = _count_of_one_local()
"""What `getrefcount(g)` says of a local variable that holds the only reference (it differs between Pythons)."""


def _count_in_loop() -> int:
    for _, gx in zip((None,), (object(),), strict=True):
        return getrefcount(gx)
    return 0


_IN_LOOP = _count_in_loop()
"""Likewise of a gradient in the loop over those that a rule returned: the tuple and zip hold it too."""


LARGE = 1 << 12
"""Elements from which it pays to ask whether a gradient may be added to in place."""

Watch: TypeAlias = Callable[[Node, Any, Callable | None], Callable | None]
"""Gets a node, the gradient that arrived there and the pull that is to run (None for a leaf); returns what runs."""

widen: Callable[[Any, Any, tuple], tuple[Any, tuple]] | None = None
"""makes of a plan, a gradient and saved values what its rules compute with; for bfloat16 (brainfloat.py)"""

watch: Watch | None = None
"""Set by diagnostics/observe.py as long as somebody observes; asked once per pass."""

noted: ContextVar[Callable[[Node], None] | None] = ContextVar("tensorgraph.noted", default=None)
"""Called with each node before its rules run, which do as they do unobserved; for diagnostics/plan.py."""


def backward(
    y: Tensor, gradient: Tensor | None = None, *, retain_graph: bool | None = None, create_graph: bool = False
) -> None:
    """See `Tensor.backward`."""
    seed = _seed(y, gradient, "backward")
    keep = create_graph if retain_graph is None else retain_graph
    with set_grad_enabled(create_graph):
        for _ in steps([(y, seed)], None, create_graph, keep, {}):
            pass


@overload
def grad(
    y: Tensor | Sequence[Tensor],
    xs: Tensor,
    grad_outputs: Any = None,
    *,
    create_graph: bool = False,
    retain_graph: bool | None = None,
    allow_unused: bool = False,
) -> Tensor: ...
@overload
def grad(
    y: Tensor | Sequence[Tensor],
    xs: Sequence[Tensor],
    grad_outputs: Any = None,
    *,
    create_graph: bool = False,
    retain_graph: bool | None = None,
    allow_unused: bool = False,
) -> tuple[Tensor, ...]: ...
def grad(y, xs, grad_outputs=None, *, create_graph=False, retain_graph=None, allow_unused=False):
    """Gradient of `y` with respect to `xs`; nothing is added to any `.grad`.

    y (a scalar tensor, or any tensor or sequence of tensors with `grad_outputs` of the same shapes), xs (a tensor or
    a sequence; leaves or intermediate results) -> one tensor, or a tuple, each with the shape and dtype of its x.
    Only what lies between `xs` and `y` is computed.

    `create_graph=True` records the gradients, so that they can be differentiated again. The saved arrays on the way
    are released unless `retain_graph=True` (default: `create_graph`). `allow_unused=True` gives None for an x that
    `y` does not depend on.

    Complex results follow the convention of gradient descent: the gradient is the conjugate of dy/dz.

    Raises GraphError: no graph, no scalar and no `grad_outputs`, an x that is not used, a second backward, an
    overwritten saved array.
    """
    single = isinstance(xs, Tensor)
    targets = (xs,) if single else tuple(xs)
    ys = (y,) if isinstance(y, Tensor) else tuple(y)
    if grad_outputs is None or isinstance(y, Tensor):
        grad_outputs = (grad_outputs,) * len(ys) if grad_outputs is None else (grad_outputs,)
    if len(grad_outputs) != len(ys):
        raise GraphError(f"grad: {len(ys)} outputs but {len(grad_outputs)} grad_outputs")
    for i, x in enumerate(targets):
        if not isinstance(x, Tensor):
            raise GraphError(f"grad: xs[{i}] is {sig(x)}, not a tensor")
        if x.node is None:
            raise GraphError(
                f"grad: xs[{i}] {sig(x)} takes part in no graph",
                hint="make it with requires_grad=True before it is used",
            )
    seeds = [(one, _seed(one, g, "grad")) for one, g in zip(ys, grad_outputs, strict=True)]
    keep = create_graph if retain_graph is None else retain_graph
    found: dict[int, Tensor] = {}
    with set_grad_enabled(create_graph):
        for _ in steps(seeds, targets, create_graph, keep, found):
            pass
    results = []
    for i, x in enumerate(targets):
        node: Any = x.node
        g = found.get(node.serial)
        if g is None and not allow_unused:
            raise GraphError(
                f"grad: the output does not depend on xs[{i}] {sig(x)}",
                operands=_born(node),
                hint="allow_unused=True gives None for it",
            )
        results.append(g)
    return results[0] if single else tuple(results)


def _seed(y: Tensor, gradient: Any, what: str) -> Any:
    """The gradient that a pass starts from, as a tensor or an array."""
    if not isinstance(y, Tensor):
        raise GraphError(f"{what}: expected a tensor, got {sig(y)}")
    if y.node is None:
        raise GraphError(
            f"{what}: {sig(y)} takes part in no graph: nothing it was computed from asks for a gradient",
            hint="make inputs with requires_grad=True, and compute outside no_grad() and without detach()",
        )
    be = backends.backend_of(y.array)
    if gradient is None:
        if y.array.size != 1:
            raise GraphError(
                f"{what}: {sig(y)} is no scalar",
                operands=_born(y.node),
                hint="reduce it (.sum(), .mean()), or pass the gradient of a scalar with respect to it",
            )
        return be.ones_like(y.array)
    if not isinstance(gradient, Tensor):
        gradient = Tensor(be.asarray(gradient, dtype=y.dtype))
    if gradient.shape != y.shape:
        raise ShapeError(f"{what}: the gradient is {sig(gradient)}, the output is {sig(y)}")
    if gradient.dtype != y.dtype:
        gradient = gradient.astype(y.dtype)
    return gradient.conj() if y.dtype.kind == "c" else gradient


def steps(
    seeds: list,
    targets: tuple[Tensor, ...] | None,
    create_graph: bool,
    keep: bool,
    found: dict[int, Tensor],
    step: Watch | None = None,
) -> Iterator[None]:
    """One pass from `seeds`. Without targets every leaf gets its gradient added; with targets it is put into `found`.

    A generator, so that diagnostics/stepping.py can walk through it: with `step` it pauses before every node. Without
    it runs through at once.
    """
    watching = watch
    grads: dict[int, Any] = {}
    nodes: dict[int, Node] = {}
    heap: list[int] = []
    for y, seed in seeds:
        if create_graph and not isinstance(seed, Tensor):
            seed = Tensor(seed)
        elif not create_graph and isinstance(seed, Tensor):
            seed = seed.array
        serial = y.node.serial
        if serial in grads:
            grads[serial] = grads[serial] + seed
        else:
            grads[serial], nodes[serial] = seed, y.node
            heappush(heap, -serial)
    del seeds, seed
    wanted = None if targets is None else {x.node.serial for x in targets}  # pyright: ignore[reportOptionalMemberAccess]
    needed = None if wanted is None else _leading_to(wanted, list(nodes.values()))
    plain = wanted is None and watching is None and step is None
    note = noted.get()
    special = not plain or note is not None
    while heap:
        serial = -heappop(heap)
        node = nodes.pop(serial)
        g = grads.pop(serial)
        if g.__class__ is Pieces:
            g = g.dense()
        if node.hooks is not None:
            g = _call_hooks(node, g, create_graph, retain=wanted is None)
        plan = node.plan
        pull = plan.pull
        if special:  # one test for all that an ordinary backward pass has nothing to do with
            if note is not None:
                note(node)
            if step is not None:
                yield
            if needed is not None and plan.op is not None and serial in needed:
                leading = tuple(
                    n
                    for n, p in zip(plan.inputs, node.parents, strict=True)
                    if p.serial in needed or p.serial in wanted  # pyright: ignore[reportOperatorIssue]
                )
                if len(leading) < len(plan.inputs):
                    pull = plan.op.narrow(plan, leading)
            for observer in (step, watching):
                if observer is not None:
                    pull = observer(node, g, pull)
            if wanted is not None:
                if serial in wanted:
                    shared = getrefcount(g) > _SOLE  # asked before g is the argument of a call, which would count
                    found[serial] = _give_out(g, shared or serial in needed)  # pyright: ignore[reportOperatorIssue]
                if serial not in needed:  # pyright: ignore[reportOperatorIssue]
                    continue
        if plan is LEAF:
            if wanted is None:
                shared = getrefcount(g) > _SOLE
                _accumulate(node, g, shared)
            continue
        saved = node.saved
        if saved.__class__ is not tuple:
            saved = _recover(node)
        if writes.latest > serial:
            writes.check(node, saved)
        if widen is not None and not create_graph:
            g, saved = widen(plan, g, saved)
        try:
            if (
                plan.own
                and plain
                and not create_graph
                and g.size >= LARGE
                and getrefcount(g) == _SOLE
                and writes.is_all(g)
            ):
                gradients = pull(g, saved, g)  # pyright: ignore[reportOptionalCall]
            else:
                gradients = pull(g, plan.lift(node, saved) if create_graph else saved)  # pyright: ignore[reportOptionalCall]
        except Exception as error:
            raise explain(f"backward of {plan.name}", error, (("g", g, node),), node.scope)
        del saved
        if not keep:
            node.saved = RELEASED
        for parent, gx in zip(node.parents, gradients, strict=True):
            if gx is None:
                continue
            try:
                if gx.shape != parent.shape or gx.dtype is not parent.dtype:
                    gx = _fit(node, parent, gx)
            except AttributeError:
                raise _misfit(node, parent, gx) from None
            other = parent.serial
            if needed is not None and other not in needed and other not in wanted:  # pyright: ignore[reportOperatorIssue]
                continue
            if other in grads:
                if gx.__class__ is Pieces:
                    total = grads.pop(other)
                    grads[other] = gx.add_to(total, getrefcount(total) == _SOLE and writes.is_all(total))
                    del total
                elif create_graph or gx.size < LARGE:
                    grads[other] = grads[other] + gx
                else:
                    total = grads.pop(other)
                    if total.__class__ is Pieces:
                        grads[other] = total.add_to(gx, getrefcount(gx) <= _IN_LOOP and writes.is_all(gx))
                    elif getrefcount(total) == _SOLE and writes.is_all(total):
                        grads[other] = backends.ARRAYS[type(total)].add_into(total, gx)
                    elif getrefcount(gx) <= _IN_LOOP and writes.is_all(gx):
                        grads[other] = backends.ARRAYS[type(gx)].add_into(gx, total)
                    else:
                        grads[other] = total + gx
                    del total
            else:
                grads[other] = gx
                nodes[other] = parent
                heappush(heap, -other)
        del gradients
        gx = None
    return found


def _leading_to(wanted: set[int], roots: list[Node]) -> set[int]:
    """Serials of the nodes from which a wanted node can be reached downwards."""
    lowest = min(wanted, default=0)
    seen: dict[int, Node] = {}
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node.serial in seen or node.serial < lowest:
            continue
        seen[node.serial] = node
        stack.extend(node.parents)
    needed: set[int] = set()
    for serial in sorted(seen):
        if any(p.serial in needed or p.serial in wanted for p in seen[serial].parents):
            needed.add(serial)
    return needed


def _call_hooks(node: Node, g: Any, create_graph: bool, retain: bool) -> Any:
    tensor = g if isinstance(g, Tensor) else Tensor(g)
    if node.dtype.kind == "c":
        tensor = tensor.conj()
    for hook in list(node.hooks or ()):
        if type(hook) is Retain and not retain:  # grad() adds nothing to any .grad
            continue
        changed = hook(tensor)
        if changed is None:
            continue
        if not isinstance(changed, Tensor) or changed.shape != node.shape:
            raise GraphError(
                f"a hook on {node.name} returned {sig(changed)} for a gradient of {sig_of(node.shape, node.dtype)}",
                operands=_born(node),
                hint="return None to leave the gradient as it is, or a tensor of the same shape",
            )
        tensor = changed
    if node.dtype.kind == "c":
        tensor = tensor.conj()
    return tensor if create_graph else tensor.array


def _recover(node: Node) -> tuple:
    """The saved arrays of a node that does not hold them: recomputed for a checkpoint, gone after a backward."""
    if node.saved is RELEASED:
        raise GraphError(
            f"a second backward through {node.name}: its saved arrays were released by the first",
            operands=_born(node),
            hint="retain_graph=True in the first call keeps them; or run the forward pass again",
        )
    return node.saved.recompute(node)


def _fit(node: Node, parent: Node, gx: Any) -> Any:
    """A gradient in the shape and dtype of its input: broadcasting undone where the operation declares it."""
    if gx.shape != parent.shape:
        if not node.plan.broadcasts or gx.ndim < len(parent.shape):
            raise _misfit(node, parent, gx)
        gx = _sum_to(gx, parent.shape)
        if gx.shape != parent.shape:
            raise _misfit(node, parent, gx)
    if gx.dtype != parent.dtype:
        if gx.dtype.kind == "c" and parent.dtype.kind != "c":
            gx = gx.real
        gx = gx.astype(parent.dtype)
    return gx


def _sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    """Sums over the axes along which an input of `shape` was broadcast."""
    if prod(g.shape) == prod(shape):  # they were of size 1
        return g.reshape(shape)
    extra = g.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(i + extra for i, n in enumerate(shape) if n == 1 and g.shape[i + extra] != 1)
    if g.dtype.itemsize == 2:
        return g.astype(F32).sum(axis=axes).reshape(shape).astype(g.dtype)
    return g.sum(axis=axes).reshape(shape)


def _misfit(node: Node, parent: Node, gx: Any) -> GraphError:
    i = node.parents.index(parent)
    return GraphError(
        f"{node.name}: the rule for {node.plan.inputs[i]!r} returned {sig(gx)}, "
        f"the input is {sig_of(parent.shape, parent.dtype)}",
        operands=_born(node),
        hint="a rule returns the gradient in the shape of its input; only an operation that is declared with "
        "broadcasts=True has broadcasting undone for it",
    )


def _born(node: Node) -> tuple[str, ...]:
    place = birth(node)
    return (f"{place.expression}   {place}",) if place else ()


def _give_out(g: Any, shared: bool) -> Tensor:
    """A gradient as its receiver gets it: memory that nobody else can see, and conjugated if it is complex."""
    if isinstance(g, Tensor):
        g = Tensor(backends.backend_of(g.array).copy(g.array), g.node)
    else:
        be = backends.backend_of(g)
        if type(g) not in backends.ARRAYS:
            g = be.asarray(g)
        elif shared or g.base is not None:
            g = be.copy(g)
        g = Tensor(g)
    return g.conj() if g.dtype.kind == "c" else g


def _accumulate(leaf: Node, g: Any, shared: bool) -> None:
    tensor = leaf.tensor()
    if tensor is None:  # nobody holds the leaf any more: nobody can ask for its gradient
        return
    capture = current()
    if capture is not None:
        capture.touch(tensor)
    if tensor.grad is None:
        tensor.grad = _give_out(g, shared)
    elif capture is not None and tensor.grad.node is None and not isinstance(g, Tensor):
        array = tensor.grad.array  # a replay adds where it added before
        array += _give_out(g, False).array
        writes.wrote(array)
    else:
        tensor.grad = tensor.grad + _give_out(g, False)
