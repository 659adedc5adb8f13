"""`plan`: the memory that a training step will take at any batch size, and the largest batch that fits.

A step is run on arrays that have shapes but no numbers (backends/meta), and a ledger counts the memory that each of
them would take. Imported by the front door. Knows no layer: a model is anything that can be called, copied and asked
for `parameters()`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from sys import _getframe
from typing import TYPE_CHECKING, Any, NamedTuple

from tensorgraph import backends, fused
from tensorgraph.backward import noted
from tensorgraph.creation import zeros
from tensorgraph.diagnostics.memory import Held, MemoryReport, amount
from tensorgraph.errors import ArgumentError, BackendError, GraphError, TensorgraphError
from tensorgraph.mode import current_scope, enable_grad
from tensorgraph.node import Node
from tensorgraph.provenance import GENERATED, _place, caller, internal, module_path
from tensorgraph.tensor import Tensor

if TYPE_CHECKING:
    from tensorgraph.backends.meta import Entry, Ledger

__all__ = ["MemoryPlan", "Moment", "plan"]


class _Maker(NamedTuple):
    """Who asked for memory: the part of the step, the operation, its line and its module."""

    kind: str
    name: str
    code: Any = None
    lasti: int = 0
    scope: Any = None

    @property
    def place(self) -> Any:
        return None if self.code is None else _place(self.code, self.lasti)


class Moment:
    """The moment of a step when most memory is in use: `name` is what was running then, `bytes` how much it is."""

    def __init__(self, maker: _Maker, ledger: Ledger):
        self.bytes = ledger.peak
        self.name = f"{'backward of ' if maker.kind == BACKWARD else ''}{maker.name}"
        where = maker.place or module_path(maker.scope)
        if where:
            self.name += f", {where}"
        self._entries: list[Entry] = ledger.at_peak()

    @property
    def held(self) -> MemoryReport:
        """Who holds how much of it then, by operation, module and line."""
        found: dict[_Maker, list[int]] = {}
        for entry in self._entries:
            counts = found.setdefault(entry.by, [0, 0])
            counts[0] += entry.bytes
            counts[1] += 1
        rows = []
        for maker, (size, n) in found.items():
            place = maker.place
            rows.append(
                Held(maker.kind, size, n, maker.name, module_path(maker.scope), str(place or ""),
                     place.expression if place else "", "cpu")
            )  # fmt: skip
        return MemoryReport(rows)

    def __repr__(self) -> str:
        return f"<{amount(self.bytes)} in {self.name}>"


FORWARD, BACKWARD = "made forwards", "made backwards"


class MemoryPlan:
    """What `plan` found. `parts`: bytes of the parameters, of their gradients, of the optimiser's state.

    Every batch size that is asked about is a step of its own, without arithmetic; what is known is not run again.
    """

    def __init__(self, title: str, step: Callable[[int], tuple[Moment, dict[str, int]]], parts: dict[str, int]):
        self.title = title
        self.parts = parts
        self._step = step
        self._moments: dict[int, Moment] = {}

    def at_peak(self, batch: int) -> Moment:
        """The moment of a step when most memory is in use. Raises what the model raises for a batch of this size."""
        if batch < 1:
            raise ArgumentError(f"plan: a batch has at least one sample, got {batch}")
        if batch not in self._moments:
            self._moments[batch] = self._step(batch)[0]
        return self._moments[batch]

    def peak(self, batch: int) -> int:
        """Bytes in use at that moment, parameters and all."""
        return self.at_peak(batch).bytes

    def largest_batch(self, memory: int | None = None) -> int:
        """The largest batch whose step fits into `memory` bytes; 0 when not even one sample does.

        Without `memory`: into what is free on this machine now. Raises BackendError where that cannot be told,
        GraphError where the batch makes no difference.
        """
        memory = _free() if memory is None else memory
        low, high = 0, 0  # the largest that is known to fit, the smallest that is known not to (0: none)
        guess, before = 32, (8, self.peak(8))
        while True:
            if guess == 1:
                try:
                    here = self.peak(1)
                except TensorgraphError:  # as batch normalisation does of a batch of one
                    return 0
            else:
                here = self.peak(guess)
            low, high = (guess, high) if here <= memory else (low, guess)
            if high and high - low <= 1:
                return low
            slope = (here - before[1]) / (guess - before[0]) if guess != before[0] else 0
            if slope <= 0 and not high:
                if guess > 1 << 40:
                    raise GraphError(f"plan: a step takes {amount(here)} with any batch")
                ahead = guess
            else:
                ahead = int((memory - here) // slope) if slope > 0 else 0
            before = (guess, here)
            guess += ahead if ahead else 1 if here <= memory else -1
            if high:
                guess = guess if low < guess < high else (low + high) // 2
            guess = max(guess, low + 1)

    def __repr__(self) -> str:
        lines = [self.title, *(f"  {name:18} {amount(size)}" for name, size in self.parts.items())]
        for n in (1, 32, 128):
            try:
                moment = self.at_peak(n)
            except TensorgraphError:  # not a batch for this model
                continue
            lines.append(f"  batch of {n:<9} {amount(moment.bytes):9} in {moment.name}")
        try:
            free = _free()
        except BackendError:
            return "\n".join(lines)
        return "\n".join([*lines, f"  {amount(free)} are free: batches of up to {self.largest_batch(free):,} fit"])


class _Makers:
    """Says who is asking for memory. It looks at the stack and nothing else: an observer would keep what it sees."""

    def __init__(self) -> None:
        self.outside = caller()
        """the line that asked for the plan, where layers of the library have no line of the user's"""
        self.now: _Maker | None = None

    def __call__(self) -> _Maker:
        return self._on_the_stack() if self.now is None else self.now

    def backwards(self, node: Node) -> None:
        """What is made from now on is made by the rules of a node."""
        self.now = _Maker(BACKWARD, node.name, *self._line(node.code, node.lasti), node.scope)

    def _on_the_stack(self) -> _Maker:
        """The outermost operation that is running, and the user's line."""
        frame, inner, name = _getframe(2), "", "between operations"
        while frame.f_back is not None and internal[(code := frame.f_code).co_filename]:
            if code.co_filename.startswith(GENERATED):
                name = code.co_name
            elif code.co_filename == fused.__file__ and code.co_name == "call":
                name = inner.strip("_")  # of the kernel
            frame, inner = frame.f_back, code.co_name
        return _Maker(FORWARD, name, *self._line(frame.f_code, frame.f_lasti), current_scope())

    def _line(self, code: Any, lasti: int) -> tuple[Any, int]:
        return (None, 0) if (code, lasti) == self.outside else (code, lasti)


def plan(
    model: Any,
    shape: Sequence[int] | Callable[[int], Any],
    *,
    loss: Callable[[Any], Tensor] | None = None,
    optimizer: Callable[[Any], Any] | None = None,
) -> MemoryPlan:
    """The memory of a training step of `model` at any batch size, without its arithmetic.

    shape: of one float32 sample, without the batch axis; or a function that makes the model's input (a tensor or a
    tuple of them) for a batch of n. `loss(output)` gives the number to differentiate (the sum of all results unless
    given), `optimizer(parameters)` an optimiser whose memory is to count: `optimizer=nn.optim.Adam`.

    A copy of the model takes a step on the device "meta", whose arrays have shapes, dtypes and lifetimes but no
    numbers: forward, loss, backward, update, in the order of the program, so that what is alive at once is what would
    be. New tensors are made there while it runs. Counted are arrays as the kernels of the CPU make them, to within a
    few per cent of what NumPy reports; not counted are Python's own objects, and the buffers of a few MiB that
    kernels keep. The model, its gradients and buffers and the random state are not touched.

    Raises BackendError, naming the line, where the program asks for a number (`if loss > 1`, `.item()`), and whatever
    the model raises.
    """
    make = shape if callable(shape) else lambda n: zeros((n, *shape))

    def step(n: int) -> tuple[Moment, dict[str, int]]:
        return _step(model, make, n, loss, optimizer)

    what = "" if callable(shape) else f" on samples of {'x'.join(map(str, shape))}"
    _, parts = step(2)  # batch norm takes no batch of one
    return MemoryPlan(f"{type(model).__name__}{what}", step, parts)


def _step(model: Any, make: Callable, n: int, loss: Any, optimizer: Any) -> tuple[Moment, dict[str, int]]:
    """The peak of a training step of a copy with a batch of n, and the bytes of what stays from step to step."""
    from tensorgraph.backends.meta import Ledger  # late, so that who plans nothing does not load it

    meta, who = backends.get("meta"), _Makers()
    ledger = Ledger(who)
    with backends.default_device("meta"), enable_grad(), ledger, _noting(who):
        who.now = _Maker("parameters", type(model).__name__)
        memo: Any = {"copy of an array": lambda array: meta.from_host(array, "meta")}
        mine = copy.deepcopy(model, memo)
        parameters = list(mine.parameters())
        trained = [p for p in parameters if p.requires_grad]
        for p in parameters:
            p.grad = None
        updates = optimizer(trained) if optimizer is not None and trained else None
        ledger.start()
        for _ in range(1 if updates is None else 2):  # the first makes what the optimiser remembers
            for p in parameters:
                p.grad = None
            who.now = _Maker("input", "the batch")
            inputs = make(n)
            inputs = tuple(map(_moved, inputs if isinstance(inputs, tuple) else (inputs,)))
            who.now = None  # look at the stack
            y = mine(*inputs)
            total = _sum(y) if loss is None else loss(y)
            who.now = _Maker(BACKWARD, "the gradients")
            if total.requires_grad:
                total.backward()
            if updates is not None:
                who.now = _Maker("optimiser", f"{type(updates).__name__}.step()")
                updates.step()
            del inputs, y, total
    parts = {"parameters": sum(p.nbytes for p in parameters), "their gradients": sum(p.nbytes for p in trained)}
    if optimizer is not None:
        parts["optimiser"] = 0 if updates is None else sum(t.nbytes for t in _tensors(updates.state_dict()))
    return Moment(ledger.by_at_peak, ledger), parts


@contextmanager
def _noting(who: _Makers) -> Iterator[None]:
    token = noted.set(who.backwards)
    try:
        yield
    finally:
        noted.reset(token)


def _moved(x: Any) -> Any:
    array = x.array if isinstance(x, Tensor) else x
    there = type(array) in backends.ARRAYS and backends.device_of(array) != "meta"
    return Tensor(backends.get("meta").from_host(array, "meta")) if there else x


def _sum(y: Any) -> Tensor:
    results = [t for t in _tensors(y) if t.requires_grad]
    if not results:
        return zeros(())
    total = results[0].sum()
    for t in results[1:]:
        total = total + t.sum()
    return total


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _tensors(entry)


def _free() -> int:
    """Bytes that the system can give to this process."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        raise BackendError(
            "plan: this system does not say how much memory is free", hint="largest_batch(memory=8 * 2**30)"
        ) from None
