"""`plan`: the memory that a training step will take at any batch size, and the largest batch that fits.

Imported by the front door. Knows no layer: a model is anything that can be called, copied and asked for `parameters()`.
"""

from __future__ import annotations

import copy
import math
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from tensorgraph.creation import zeros
from tensorgraph.diagnostics.observe import Call, Observer
from tensorgraph.drawing.measure import count
from tensorgraph.errors import ArgumentError, BackendError, GraphError, sig
from tensorgraph.generator import get_rng_state, set_rng_state
from tensorgraph.mode import enable_grad
from tensorgraph.tensor import Tensor

__all__ = ["MemoryPlan", "Moment", "plan"]

_SMALL = 32 << 20
"""bytes up to which a step counts as small: the working memory of kernels has its full size in larger ones only"""


class Moment(NamedTuple):
    """The memory in use while one operation ran, forward or backward: `fixed` bytes and some for each sample."""

    name: str
    fixed: float
    per_sample: float

    def bytes(self, batch: int) -> int:
        """In use with a batch of this size."""
        return max(0, math.ceil(self.fixed + self.per_sample * batch))


class MemoryPlan:
    """What `plan` found, parameters and all. `moments`: one for every operation of a training step, in order."""

    def __init__(self, title: str, moments: list[Moment], parts: dict[str, int]):
        self.title = title
        self.moments = moments
        self.parts = parts

    def at_peak(self, batch: int) -> Moment:
        """The moment of a step when most memory is in use."""
        if batch < 1:
            raise ArgumentError(f"plan: a batch has at least one sample, got {batch}")
        return max(self.moments, key=lambda moment: moment.bytes(batch))

    def peak(self, batch: int) -> int:
        """Bytes in use at that moment."""
        return self.at_peak(batch).bytes(batch)

    def largest_batch(self, memory: int | None = None) -> int:
        """The largest batch whose step fits into `memory` bytes; 0 when not even one sample does.

        Without `memory`: into what is free on this machine now. Raises BackendError where that cannot be told.
        """
        memory = _free() if memory is None else memory
        rooms = ((memory - m.fixed) / m.per_sample for m in self.moments if m.per_sample > 0)
        most = max(0, math.floor(min(rooms, default=0)))
        return most if most and self.peak(most) <= memory else max(0, most - 1)

    def __repr__(self) -> str:
        lines = [self.title, *(f"  {name:18} {count(size, 'bytes')}" for name, size in self.parts.items())]
        for n in (1, 32, 128):
            moment = self.at_peak(n)
            lines.append(f"  batch of {n:<9} {count(moment.bytes(n), 'bytes'):9} in {moment.name}")
        try:
            free = _free()
        except BackendError:
            return "\n".join(lines)
        return "\n".join(
            [*lines, f"  {count(free, 'bytes')} are free: batches of up to {self.largest_batch(free):,} fit"]
        )


class _Peaks(Observer):
    """Notes the most memory that was in use during every operation, and between it and the one before."""

    def __init__(self) -> None:
        self.found: list[tuple[str, int]] = []

    def around(self, call: Call, run: Callable[[], Any]) -> Any:
        if call.parent is not None:
            return run()
        self.note("between operations")
        try:
            return run()
        finally:
            way = "" if call.node is None else "backward of "
            self.note(f"{way}{call.name}{f', {call.place}' if call.place else ''}")

    def note(self, name: str) -> None:
        self.found.append((name, tracemalloc.get_traced_memory()[1]))
        tracemalloc.reset_peak()


def plan(
    model: Any,
    shape: Sequence[int] | Callable[[int], Any],
    *,
    loss: Callable[[Any], Tensor] | None = None,
    optimizer: Callable[[Any], Any] | None = None,
) -> MemoryPlan:
    """The memory of a training step of `model` at any batch size, without running it at that size.

    shape: of one float32 sample, without the batch axis; or a function that makes the model's input (a tensor or a
    tuple of them) for a batch of n. `loss(output)` gives the number to differentiate (the sum of all results unless
    given), `optimizer(parameters)` an optimiser whose memory is to count: `optimizer=nn.optim.Adam`.

    Nothing is computed at the size that is asked about: a copy of the model takes a few small steps (up to 8 samples,
    or 64 where they are small), and NumPy's allocations are counted during every operation. Each of these counts grows
    with the batch along a straight line, and the largest of all lines is the peak. Working memory of the kernels is
    part of it. A program that compares samples with each other is planned wrongly. The model, its buffers and the
    random state are not touched.

    Raises BackendError for a model that is not on the CPU, GraphError for one that runs other operations for another
    batch.
    """
    parameters = list(model.parameters())
    away = next((p for p in parameters if p.device != "cpu"), None)
    if away is not None:
        raise BackendError(
            f"plan: a parameter {sig(away)} is on {away.device}; allocations are counted on the CPU only",
            hint='copy.deepcopy(model).to("cpu")',
        )
    make = shape if callable(shape) else lambda n: zeros((n, *shape))
    size = sum(p.nbytes for p in parameters)
    with _counting(), _random_state(), enable_grad():
        n = 2  # batch norm takes no batch of one
        many, state = _steps(model, make, n, loss, optimizer)
        while True:
            few, n = many, 2 * n
            many, state = _steps(model, make, n, loss, optimizer)
            if [name for name, _ in few] != [name for name, _ in many]:
                raise GraphError(f"plan: the model runs other operations for a batch of {n // 2} than for one of {n}")
            if n >= 64 or (n >= 8 and max(size for _, size in many) - 4 * size > _SMALL):
                break
    parts = {"parameters": size, "their gradients": sum(p.nbytes for p in parameters if p.requires_grad)}
    if optimizer is not None:
        parts["optimiser"] = state
    what = "" if callable(shape) else f" on samples of {'x'.join(map(str, shape))}"
    moments = []
    for (name, low), (_, high) in zip(few, many, strict=True):
        slope = 2 * (high - low) / n
        moments.append(Moment(name, high - slope * n, slope))
    return MemoryPlan(f"{type(model).__name__}{what}", moments, parts)


def _steps(model: Any, make: Callable, n: int, loss: Any, optimizer: Any) -> tuple[list[tuple[str, int]], int]:
    """The bytes in use during the second training step of a copy, and how many of them are the optimiser's."""
    before = tracemalloc.get_traced_memory()[0]
    mine = copy.deepcopy(model)
    parameters = [p for p in mine.parameters() if p.requires_grad]
    updates = optimizer(parameters) if optimizer is not None and parameters else None
    peaks = _Peaks()
    for again in (False, True):  # the first one makes what is made once: tables, the state of the optimiser
        for p in parameters:
            p.grad = None
        with peaks if again else nullcontext():
            tracemalloc.reset_peak()
            inputs = make(n)
            y = mine(*inputs) if isinstance(inputs, tuple) else mine(inputs)
            total = _sum(y) if loss is None else loss(y)
            if total.requires_grad:
                total.backward()
            del y, total
            peaks.note("between operations")
        if updates is not None:
            updates.step()
    peaks.note("the update")
    state = 0 if updates is None else sum(t.nbytes for t in _tensors(updates.state_dict()))
    return [(name, size - before) for name, size in peaks.found[1:]], state


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


@contextmanager
def _counting() -> Iterator[None]:
    """NumPy tells tracemalloc of every array that it makes."""
    on = tracemalloc.is_tracing()
    if not on:
        tracemalloc.start()
    try:
        yield
    finally:
        if not on:
            tracemalloc.stop()


@contextmanager
def _random_state() -> Iterator[None]:
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)


def _free() -> int:
    """Bytes that the system can give to this process."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        raise BackendError(
            "plan: this system does not say how much memory is free", hint="largest_batch(memory=8 * 2**30)"
        ) from None
