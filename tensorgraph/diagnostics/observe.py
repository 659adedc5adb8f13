"""`Observer`: sees every operation run, forward and backward. debug, profile, doctor and why are built on it.

While somebody observes, the `forward` that the wrapper of an operation looks up in its globals is a function that
tells the observers first, and so are the kernels of fused operations, `Function.apply`, and the `Node` that wrappers
create; the backward pass asks `backward.watch`. When the last observer leaves, everything is put back: nothing that
runs without one knows of this file.

Who observes is a context variable, as in mode.py: a `with` block concerns its own thread or async task (and the tasks
and `asyncio.to_thread` calls started inside it), and two threads may observe different things at the same time.
May import: the engine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any, Self

import numpy as np

from tensorgraph import backends, backward, function, fused, operation
from tensorgraph.backends import ARRAYS
from tensorgraph.errors import GraphError
from tensorgraph.mode import current_scope
from tensorgraph.node import LEAF, Node
from tensorgraph.operation import Operation, Parts
from tensorgraph.provenance import Birth, _place, caller
from tensorgraph.tensor import Tensor

__all__ = ["Call", "Observer", "arrays_in", "everywhere"]


class Call:
    """One operation at work: forward (`node` is None) or one node of a backward pass.

    `values` are raw arrays and numbers under the names `inputs`; in a backward pass the gradient `g` and what was
    saved. `settings` are the static arguments. `parent` is the call that this one happened inside: an operation used
    by a rule or by another operation.
    """

    __slots__ = (
        "__weakref__",
        "be",
        "code",
        "inputs",
        "lasti",
        "name",
        "node",
        "op",
        "parent",
        "scope",
        "settings",
        "values",
    )

    def __init__(self, name, op, be, inputs, values, settings, node=None):
        self.name: str = name
        self.op: Any = op  # Operation, Fused, a Function class, or None
        self.be: Any = be
        self.inputs: tuple[str, ...] = inputs
        self.values: tuple = values
        self.settings: dict[str, Any] = settings
        self.node: Node | None = node
        self.parent: Call | None = None
        if node is None:
            self.code, self.lasti = caller()
            self.scope = current_scope()
        else:
            self.code, self.lasti, self.scope = node.code, node.lasti, node.scope

    @property
    def place(self) -> Birth | None:
        """The user's line."""
        return None if self.code is None else _place(self.code, self.lasti)

    @property
    def operands(self) -> dict[str, Any]:
        """Values by name."""
        return dict(zip(self.inputs, self.values, strict=True))


class Observer:
    """What can be overridden, and the `with` block during which it is called. One object may be entered once."""

    _token: Any = None

    def around(self, call: Call, run: Callable[[], Any]) -> Any:
        """Runs an operation, or the rules of one node; must return what `run()` returns."""
        return run()

    def recorded(self, call: Call, node: Node) -> None:
        """A node was made for a call that just ended (that of a `Function`: is about to end)."""

    def arrived(self, node: Node, g: Any) -> None:
        """The gradient of a node is complete; also called for leaves."""

    def __enter__(self) -> Self:
        if self._token is not None:
            raise GraphError(f"{type(self).__name__}: already on", hint="make a second one, or end the first block")
        _install()
        self._token = _observers.set((*_observers.get(), self))
        return self

    def __exit__(self, *exc_info: object) -> None:
        token, self._token = self._token, None
        _observers.reset(token)
        _ended.set(None)  # it would keep arrays alive
        _remove()


_observers: ContextVar[tuple[Observer, ...]] = ContextVar("tensorgraph.observers", default=())
_running: ContextVar[Call | None] = ContextVar("tensorgraph.running", default=None)
_ended: ContextVar[Call | None] = ContextVar("tensorgraph.ended", default=None)
_process_wide: tuple[Observer, ...] = ()


def everywhere(observer: Observer) -> None:
    """Lets an observer see all threads until the program ends; for the environment variable of debug()."""
    global _process_wide
    _install()
    _process_wide = (*_process_wide, observer)


def _present() -> tuple[Observer, ...]:
    return _process_wide + _observers.get()


def _tell(observers: tuple[Observer, ...], call: Call, run: Callable[[], Any]) -> Any:
    call.parent = _running.get()
    for observer in observers:
        run = partial(observer.around, call, run)
    token = _running.set(call)
    try:
        return run()
    finally:
        _running.reset(token)
        _ended.set(call)
        call.inputs, call.values, call.settings = (), (), {}  # nothing is kept alive for having been looked at


# ---- what takes the place of what ------------------------------------------------------------------------------------
_lock = threading.RLock()
_count = 0
_kernels: dict[Any, dict[str, Callable]] = {}  # backend -> its kernels as they were


def _install() -> None:
    global _count
    with _lock:
        _count += 1
        if _count > 1:
            return
        for made in list(operation.functions):
            _swap(made)
        operation.on_new = _welcome
        for backend in set(ARRAYS.values()):
            _kernels[backend] = backend._kernels
            backend._kernels = _Kernels(backend._kernels)
        operation.Node = fused.Node = _node
        function.Node = _node_of_function
        function.Function.apply = classmethod(_apply)  # pyright: ignore[reportAttributeAccessIssue]
        backward.watch = _watch


def _remove() -> None:
    global _count
    with _lock:
        _count -= 1
        if _count:
            return
        for made in list(operation.functions):
            _put_back(made)
        operation.on_new = operation.functions.add
        for backend, kernels in _kernels.items():
            backend._kernels = kernels
        _kernels.clear()
        operation.Node = fused.Node = function.Node = Node
        function.Function.apply = classmethod(_plain_apply)  # pyright: ignore[reportAttributeAccessIssue]
        backward.watch = None


def _welcome(made: Any) -> None:
    operation.functions.add(made)
    _swap(made)


def _swap(made: Any) -> None:
    told = _forward(made.op)
    if made.op.variadic:
        made.forward = told
    else:
        made.__globals__["forward"] = told
        made.__globals__["Node"] = _node


def _put_back(made: Any) -> None:
    if made.op.variadic:
        made.forward = made.op.forward
    else:
        made.__globals__["forward"] = made.op.forward
        made.__globals__["Node"] = Node


def _forward(op: Operation) -> Callable:
    plain = op.forward

    def forward(be: Any, *args: Any, **kwargs: Any) -> Any:
        observers = _present()
        if not observers:
            return plain(be, *args, **kwargs)
        if op.variadic:
            inputs, values, settings = tuple(f"{op.variadic}[{i}]" for i in range(len(args))), args, kwargs
        else:
            given = dict(zip(op.positional, args, strict=False)) | kwargs
            inputs = op.arrays
            values = tuple(given[name] for name in inputs)
            settings = {name: given[name] for name in op.static}
        return _tell(observers, Call(op.name, op, be, inputs, values, settings), partial(plain, be, *args, **kwargs))

    return forward


class _Kernels(dict):
    """The kernels of a backend, which tell the observers; one that is added meanwhile goes into the real table too."""

    def __init__(self, plain: dict[str, Callable]):
        super().__init__(plain)
        self.plain = plain

    def __setitem__(self, name: str, kernel: Callable) -> None:
        super().__setitem__(name, kernel)
        self.plain[name] = kernel

    def pop(self, name: str, *default: Any) -> Any:
        self.plain.pop(name, None)
        return super().pop(name, *default)

    def get(self, name: str, default: Any = None) -> Any:
        kernel = super().get(name, default)
        observers = _present()
        return kernel if kernel is None or not observers else partial(self._run, observers, name, kernel)

    def _run(self, observers: tuple, name: str, kernel: Callable, be: Any, *arrays: Any, wanted: tuple, **static: Any):
        made = fused.fusables.get(name)
        op = getattr(made, "op", None)
        inputs = op.arrays[: len(arrays)] if op else tuple(f"array {i}" for i in range(len(arrays)))
        call = Call(name, op, be, inputs, arrays, static)
        return _tell(observers, call, partial(kernel, be, *arrays, wanted=wanted, **static))


_plain_apply = function.Function.__dict__["apply"].__func__


def _apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
    observers = _present()
    if not observers:
        return _plain_apply(cls, *args, **kwargs)
    values = tuple(a.array if isinstance(a, Tensor) else a for a in args)
    be = next((ARRAYS[type(v)] for v in values if type(v) in ARRAYS), backends.cpu)
    inputs = tuple(f"argument {i}" for i in range(len(args)))
    call = Call(cls.__name__, cls, be, inputs, values, kwargs)
    return _tell(observers, call, partial(_plain_apply, cls, *args, **kwargs))


def _node(*fields: Any) -> Node:
    """Stands for `Node` in the wrappers."""
    return _made(_ended.get(), Node(*fields))


def _node_of_function(*fields: Any) -> Node:
    return _made(_running.get(), Node(*fields))


def _made(call: Call | None, node: Node) -> Node:
    if call is not None and node.plan.inputs != ("bundle",):  # not one of several results
        for observer in _present():
            observer.recorded(call, node)
    return node


def _watch(node: Node, g: Any, pull: Callable | None) -> Callable | None:
    """Stands at every node of a backward pass."""
    observers = _present()
    if not observers:
        return pull
    for observer in observers:
        observer.arrived(node, g)
    if node.plan is LEAF or pull is None:
        return None

    def told(g: Any, saved: tuple) -> Any:
        values = (g, *saved)
        settings = getattr(node.plan, "static", {})  # of a fused operation
        be = next((ARRAYS[type(v)] for v in map(_raw, values) if type(v) in ARRAYS), backends.cpu)
        names = ("g", *node.plan.names)[: len(values)]  # a recorded backward pass has other values
        call = Call(
            node.name,
            node.plan.op or getattr(node.plan, "fused", None),
            be,
            names,
            tuple(map(_raw, values)),
            settings,
            node,
        )
        return _tell(observers, call, partial(pull, g, saved))

    return told


# ---- reading results -------------------------------------------------------------------------------------------------
def _raw(value: Any) -> Any:
    return value.array if isinstance(value, Tensor) else value


def arrays_in(value: Any) -> Iterator[Any]:
    """The raw arrays in what an operation returned, or took: an array, several, the parts of a gradient."""
    if isinstance(value, Tensor):
        value = value.array
    if type(value) in ARRAYS:
        yield value
    elif isinstance(value, np.generic):
        yield np.asarray(value)
    elif isinstance(value, Parts):
        yield from arrays_in(value.values)
    elif hasattr(value, "pieces"):  # a gradient in pieces
        for values, _ in value.pieces:
            yield from arrays_in(values)
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from arrays_in(part)
