"""`capture`: a training step as a graph of GPU work that is launched instead of run again. Eager on the CPU.

A graph replays kernels with the addresses they had, and no Python. capturing.py is what the rest of the project asks
while one is made; a backend's `graphs` records and launches (backends/cuda_graphs.py). May import: the engine.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from types import FunctionType, MethodType
from typing import Any, NamedTuple

import numpy as np

from tensorgraph import backends, writes
from tensorgraph.autocast import autocast_dtype
from tensorgraph.backward import RELEASED
from tensorgraph.capturing import CURRENT, current
from tensorgraph.errors import ArgumentError, BackendError, sig
from tensorgraph.mode import kernels_allowed, recording
from tensorgraph.tensor import Tensor

__all__ = ["Captured", "capture"]

NUMBERS = 1024
"""numbers that the host computes for one replay: draws of random numbers and scales of losses"""

AGAIN = 3
"""captures that may become stale before a step is left eager"""


def capture(step: Callable[..., Any] | None = None, *, warmup: int = 2, graphs: int = 8, strict: bool = False) -> Any:
    """Decorates a training step: on a GPU it is recorded once and then launched whole; on the CPU it runs as it is.

        @tg.capture
        def step(x, t):
            optimizer.zero_grad()
            loss = criterion(model(x), t)
            loss.backward()
            optimizer.step()
            return loss

    The first `warmup` calls with tensors of some shapes and dtypes run eagerly, the next one is captured while it is
    computed, and those that follow copy their tensors into the places of the captured ones and launch the work: the
    same kernels on the same memory, without Python. Optimisers, `GradScaler` and learning rate schedules run in between
    with their numbers of the day, and random numbers go on where their generators stand. Everything else on the host,
    such as `print` or a Python number that changes, is as it was when the step was captured.

    Results are copies, out of the graph. Gradients and parameters are written in place: `p.grad` is the same array
    after every replay. Values (labels, indices, ranges) are checked in eager calls only. Up to `graphs` combinations
    of shapes, dtypes, other arguments, modes of modules and blocks (`no_grad`, `autocast`) are kept.

    A step that cannot be captured runs eagerly, and `step.reason` says why; with `strict=True` it is an error. It is
    captured anew when a parameter was given another array, or gradients accumulate elsewhere. What waits for the
    device (`.item()`, `print(loss)`) belongs outside, and so does `backward()` of a result.

    Raises BackendError: with `strict`, a step that cannot be captured, with the reason.

    >>> import tensorgraph as tg
    >>> w = tg.ones(2, requires_grad=True)
    >>> @tg.capture
    ... def step(x):
    ...     loss = ((w * x) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> step(tg.tensor([1.0, 2.0])).item(), step.reason
    (5.0, 'on the CPU every call runs eagerly')
    """
    if step is None:
        return lambda function: capture(function, warmup=warmup, graphs=graphs, strict=strict)
    if not callable(step):
        raise TypeError(f"capture() decorates a function, got {step!r}")
    for name, value in (("warmup", warmup), ("graphs", graphs)):
        if not isinstance(value, int) or value < 1:
            raise ArgumentError(f"capture: {name} must be an integer from 1 on, got {value!r}")
    return Captured(step, warmup, graphs, strict)


class Captured:
    """A step behind `capture`. `reason`: why the last call ran eagerly, None when it was a replay or captured."""

    def __init__(self, function: Callable[..., Any], warmup: int, graphs: int, strict: bool):
        functools.update_wrapper(self, function)
        self.function = function
        self._warmup, self._limit, self._strict = warmup, graphs, strict
        self._cases: dict[Any, list[_Case]] = {}
        self.reason: str | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given: list[Tensor] = []
        form = _form((args, kwargs), given)
        device = next((t.device for t in given if t.device != "cpu"), backends.get_default_device())
        if current() is not None or not backends.get(device).captures:
            self.reason = "it ran inside another captured step" if current() else "on the CPU every call runs eagerly"
            return self.function(*args, **kwargs)
        case, self.reason = self._case_of(form, device, given, args, kwargs)
        if case is None:
            return self._eager(args, kwargs)
        if case.graph is not None:
            stale = case.graph.stale()
            if stale is None:
                case.replays += 1
                return case.graph.replay(given)
            case.graph, case.again = None, case.again + 1
            if case.again > AGAIN:
                case.reason = f"it was captured {case.again} times, and then {stale}"
        self.reason = case.reason
        if self.reason is None and case.calls < self._warmup:
            case.calls += 1
            self.reason = f"warm-up, call {case.calls} of {self._warmup}"
            return self.function(*args, **kwargs)
        return self._eager(args, kwargs) if self.reason else self._captured(case, device, given, args, kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def reset(self) -> None:
        """Forgets all graphs and gives their memory back; the next calls warm up again."""
        self._cases.clear()

    def __repr__(self) -> str:
        lines = [f"<captured {getattr(self.function, '__qualname__', self.function)}>"]
        for case in (case for cases in self._cases.values() for case in cases):
            told = case.reason and f"eager: {case.reason}"
            if not told and case.graph is not None:
                told = f"captured in {len(case.graph)} graphs, launched {case.replays + 1} times"
            lines.append(f"  {', '.join(map(sig, case.given)) or 'no tensors'}: {told or f'{case.calls} eager calls'}")
        return "\n".join(lines)

    # ---- which case ------------------------------------------------------------------------------------------------
    def _case_of(self, form: Any, device: str, given: list[Tensor], args: Any, kwargs: Any) -> tuple[Any, str | None]:
        """What is known of calls like this one; None, and why, where such calls are not captured."""
        key = form, device, recording(), kernels_allowed(), autocast_dtype()
        try:
            cases = self._cases.setdefault(key, [])
        except TypeError as error:
            return None, f"an argument that is no tensor cannot be compared ({error})"
        for case in cases:
            if all(module.training == mode for module, mode in case.modes):
                return case, None
        if any(t.node is not None for t in given):
            return None, "an argument asks for a gradient: only what the step holds itself may"
        if sum(map(len, self._cases.values())) >= self._limit:
            return None, f"there are {self._limit} captured combinations of arguments already (graphs={self._limit})"
        tensors, modules = _reached(self.function, args, kwargs)
        cases.append(_Case(given, tensors, modules))
        return cases[-1], None

    def _eager(self, args: Any, kwargs: Any) -> Any:
        if self._strict:
            raise BackendError(
                f"capture: {getattr(self.function, '__qualname__', self.function)} cannot be captured: {self.reason}",
                hint="strict=False runs it eagerly",
            )
        return self.function(*args, **kwargs)

    def _captured(self, case: _Case, device: str, given: list[Tensor], args: Any, kwargs: Any) -> Any:
        graph = Recording(device, given, case.tensors)
        inputs = iter(graph.inputs)
        mine, named = _with_tensors((args, kwargs), lambda t: next(inputs))
        try:
            graph.begin()
            graph.finish(self.function(*mine, **named))
        except BaseException as error:
            computed = graph.abandon()
            self.reason = case.reason = f"{type(error).__name__}: {_first_line(error)}"
            if computed or not isinstance(error, Exception):  # a part of the step was made: it cannot be begun again
                raise
            return self._eager(args, kwargs)
        self.reason = case.reason = graph.reason
        if graph.reason is None:
            case.graph = graph
        elif self._strict:
            return self._eager(args, kwargs)
        return graph.results(given)


class _Case:
    """Calls with tensors of the same shapes: how many, and what became of them."""

    def __init__(self, given: list[Tensor], tensors: list[Tensor], modules: list[Any]):
        self.given = [_Shape(t.shape, t.dtype) for t in given]
        self.tensors = tensors
        self.modes = [(module, module.training) for module in modules]
        self.calls = self.replays = self.again = 0
        self.graph: Recording | None = None
        self.reason: str | None = None


class _Shape(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype


class _Piece:
    """One graph, with what the host does for it: numbers before it is launched, gradients behind it."""

    def __init__(self, first: int):
        self.first = first  # where its numbers begin
        self.numbers: list[tuple[Callable[[], float], np.dtype]] = []
        self.written: list[Any] = []
        self.gradients: list[tuple[Tensor, Tensor | None]] = []
        self.launch: Callable[[], None] = lambda: None


class Recording:
    """A step while it is captured, and the graphs that it became."""

    def __init__(self, device: str, given: list[Tensor], tensors: list[Tensor]):
        self._be: Any = backends.get(device)
        self._device = device
        self._graphs = self._be.graphs(device)
        self._numbers = self._be.zeros(NUMBERS, dtype="uint64")
        self._first_numbers: list[Any] = []
        self._parts: list[_Piece | Callable[[], Any]] = []
        self._piece: _Piece | None = None  # the one that is being recorded
        self._undo: list[Callable[[], None]] = []
        self._before = [(t, t.array, t.grad) for t in tensors]
        self._touched: dict[int, tuple[Tensor, Tensor | None]] = {}  # leaves, and the gradient they had
        self._asked: list[tuple[Callable[[], Any], Any]] = []
        self._result: Any = None
        self._token: Any = None
        self.inputs = [Tensor(self._be.copy(t.array)) for t in given]
        self.reason: str | None = None

    def __len__(self) -> int:
        return sum(isinstance(part, _Piece) for part in self._parts)

    # ---- while it is captured --------------------------------------------------------------------------------------
    def begin(self) -> None:
        """From here on work is recorded."""
        self._piece = _Piece(sum(len(part.numbers) for part in self._parts if isinstance(part, _Piece)))
        self._first_numbers = []
        self._token = CURRENT.set(self)
        self._graphs.begin()

    def _close(self) -> None:
        """Ends the graph that is being recorded, and computes it."""
        piece = self._piece
        assert piece is not None
        CURRENT.reset(self._token)
        self._piece = None
        piece.launch = self._graphs.end()
        piece.gradients = [(t, t.grad) for t, _ in self._touched.values()]
        self._parts.append(piece)
        self._launch(piece, self._first_numbers)

    def finish(self, result: Any) -> None:
        """The step is through. What it returned is looked at and kept, to be given out after every replay."""
        self._result = result
        for t in _tensors(result) if self._piece is not None else ():
            if t.node is not None and not t.node.is_leaf and t.node.saved is not RELEASED:
                self.leave("it returns a tensor whose graph is still open: backward() belongs inside, or .detach() it")
                return
        if self._piece is not None:
            self._close()

    def leave(self, what: str) -> None:
        """Computes what was recorded, and lets the rest of the step run eagerly."""
        if self._piece is not None:
            self.reason = what
            self._close()

    def abandon(self) -> bool:
        """Forgets what was being recorded, after an error. Whether a part of the step had been computed before."""
        if self._piece is not None:
            CURRENT.reset(self._token)
            self._piece = None
            self._graphs.abandon()
        if self._parts:
            return True
        for undo in reversed(self._undo):
            undo()
        for tensor, gradient in self._touched.values():
            tensor.grad = gradient
        return False

    def between(self, function: Callable[[], Any]) -> Any:
        """Runs work of the host between two graphs, now and in every replay."""
        self._close()
        self._parts.append(function)
        result = function()
        if next(_tensors(result), None) is not None:
            self.reason = f"{_name(function)} returned a tensor, which would be another one every time"
        else:
            self.begin()
        return result

    def live(self, compute: Callable[[], float], dtype: Any, undo: Callable[[], None] | None) -> Any:
        """A place in the memory of the device for a number that the host computes for every replay."""
        piece = self._piece
        assert piece is not None
        place = piece.first + len(piece.numbers)
        if place == NUMBERS:
            self.leave(f"it draws random numbers more than {NUMBERS} times")
            return compute()
        piece.numbers.append((compute, np.dtype(dtype)))
        self._first_numbers.append(compute())
        if undo is not None:
            self._undo.append(undo)
        return self._numbers[place : place + 1].view(np.dtype(dtype))[:1].reshape(())

    def depends(self, ask: Callable[[], Any]) -> None:
        """Something that the graph cannot follow, should it change."""
        asked = ask, ask()
        if asked not in self._asked:
            self._asked.append(asked)

    def touch(self, leaf: Tensor) -> None:
        """A gradient arrives at a leaf."""
        self._touched.setdefault(id(leaf), (leaf, leaf.grad))

    def wrote(self, arrays: tuple) -> None:
        """Arrays are written in place."""
        if self._piece is not None:
            self._piece.written += arrays

    # ---- afterwards ------------------------------------------------------------------------------------------------
    def stale(self) -> str | None:
        """What stands in the way of a replay; None if nothing does."""
        known = {id(t): grad for t, _, grad in self._before}
        for tensor, array, _ in self._before:
            if tensor.array is not array:
                return f"a tensor {sig(tensor)} of the step was given another array"
        for key, (leaf, first) in self._touched.items():
            if key in known and known[key] is first and leaf.grad is not first:
                return f"the gradient of {sig(leaf)} that the step adds to was exchanged"
        if any(ask() != answer for ask, answer in self._asked):
            return "a setting or the seed of random numbers was another one"
        return None

    def replay(self, given: list[Tensor]) -> Any:
        """The step once more, with other values."""
        for mine, tensor in zip(self.inputs, given, strict=True):
            mine.array[...] = tensor.array
        for part in self._parts:
            if isinstance(part, _Piece):
                self._launch(part, [compute() for compute, _ in part.numbers])
            else:
                part()
        return self.results(given)

    def _launch(self, piece: _Piece, numbers: list[Any]) -> None:
        if numbers:
            host = np.zeros(len(numbers), np.uint64)
            for i, (number, (_, dtype)) in enumerate(zip(numbers, piece.numbers, strict=True)):
                host[i : i + 1].view(dtype)[0] = number
            self._numbers[piece.first : piece.first + len(host)] = self._be.from_host(host, self._device)
        piece.launch()
        for tensor, gradient in piece.gradients:
            tensor.grad = gradient
        if piece.written:
            writes.wrote(*piece.written)

    def results(self, given: list[Tensor]) -> Any:
        """What the step returned: tensors that it made as copies, those that were there before as they are."""
        if self.reason is not None:
            return self._result
        same = {id(mine): tensor for mine, tensor in zip(self.inputs, given, strict=True)}
        same |= {id(t): t for t, _, _ in self._before} | {key: leaf for key, (leaf, _) in self._touched.items()}
        return _with_tensors(self._result, lambda t: same[id(t)] if id(t) in same else Tensor(self._be.copy(t.array)))


# ---- arguments and results -----------------------------------------------------------------------------------------
def _form(value: Any, given: list[Tensor]) -> Any:
    """What two calls must have in common to share a graph; collects the tensors."""
    if isinstance(value, Tensor):
        given.append(value)
        return Tensor, value.shape, value.dtype, value.device
    if isinstance(value, (list, tuple)):
        return type(value), tuple([_form(part, given) for part in value])
    if isinstance(value, dict):
        return type(value), tuple([(key, _form(part, given)) for key, part in value.items()])
    return type(value), value


def _with_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same lists, tuples and dictionaries with other tensors in them."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, (list, tuple)):
        parts = [_with_tensors(part, change) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, dict):
        return {key: _with_tensors(part, change) for key, part in value.items()}
    return value


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)


def _reached(function: Any, args: Any, kwargs: Any) -> tuple[list[Tensor], list[Any]]:
    """Tensors and modules that a function finds in its closure, its globals, its object and its arguments.

    Functions of the same program that it names are looked into likewise.
    """
    tensors: dict[int, Tensor] = {}
    modules: dict[int, Any] = {}
    seen: set[int] = set()

    def visit(value: Any, deep: bool) -> None:
        if isinstance(value, (list, tuple, set, dict)):
            for part in value.values() if isinstance(value, dict) else value:
                visit(part, deep)
            return
        if id(value) in seen or isinstance(value, type):
            return
        seen.add(id(value))
        if isinstance(value, Tensor):
            tensors[id(value)] = value
        elif hasattr(value, "training") and hasattr(value, "named_buffers"):
            modules.update((id(module), module) for module in value.modules())
            for tensor in (*value.parameters(), *value.buffers()):
                tensors[id(tensor)] = tensor
        elif isinstance(value, functools.partial):
            visit((value.func, value.args, value.keywords), deep)
        elif isinstance(value, MethodType):
            visit((value.__self__, value.__func__), True)
        elif isinstance(value, FunctionType):
            if not value.__module__.startswith("tensorgraph"):
                names = value.__code__.co_names
                visit([value.__globals__[name] for name in names if name in value.__globals__], False)
                visit([cell.cell_contents for cell in value.__closure__ or () if _filled(cell)], True)
                visit((value.__defaults__, value.__kwdefaults__), False)
        elif deep and hasattr(value, "__dict__"):
            visit(dict(vars(value)), False)

    visit((function, args, kwargs), True)
    return list(tensors.values()), list(modules.values())


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents
    except ValueError:
        return False
    return True


def _name(function: Any) -> str:
    return getattr(getattr(function, "func", function), "__qualname__", repr(function))


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
