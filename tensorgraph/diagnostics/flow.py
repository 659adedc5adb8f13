"""`Flow`: what ran and how large the gradients were, as numbers and lines; no array is kept alive.

Forward: which result was computed from which, by array identity, so that it is also known where nothing was recorded.
Backward: size of what arrived at every node of the newest pass and of what its rules passed on.
Imported by debugging.py, reasons.py and the doctor.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tensorgraph.backends import ARRAYS
from tensorgraph.diagnostics.causes import host
from tensorgraph.diagnostics.observe import Call, Observer, arrays_in
from tensorgraph.mode import recording
from tensorgraph.node import Node
from tensorgraph.provenance import Birth, _place, module_path

__all__ = ["RECTIFIED", "Entry", "Flow", "Passed", "Recorder", "Size", "keep", "latest"]

RECTIFIED = ("relu", "relu_in_place", "correlate_relu", "linear_relu", "standardize_relu")
"""operations whose result is that of a rectifier"""
_MOST = 50_000  # entries; a training loop inside debug() must not grow without end


@dataclass(slots=True)
class Size:
    """How large the numbers of a gradient are."""

    largest: float
    zeros: float  # share
    finite: bool

    @classmethod
    def of(cls, g: Any) -> Size | None:
        """None for what is no array."""
        parts = [np.asarray(host(a)) for a in arrays_in(g)]
        parts = [a for a in parts if a.dtype.kind in "fcV"]
        if not parts:
            return None
        n = sum(a.size for a in parts)
        with np.errstate(all="ignore"):
            largest = max((float(np.abs(a).max()) for a in parts if a.size), default=0.0)
        zeros = 1 - sum(int(np.count_nonzero(a)) for a in parts) / n if n else 1.0
        return cls(largest, zeros, bool(np.isfinite(largest)))


@dataclass(slots=True)
class Entry:
    """One operation that ran outside every other, or an array that came from outside."""

    number: int
    name: str
    inputs: tuple[tuple[str, int], ...]
    code: Any
    lasti: int
    scope: Any
    recorded: bool  # was the graph being recorded
    floats: bool  # is the result of a floating dtype
    serial: int | None = None
    parents: frozenset[int] = frozenset()

    @property
    def place(self) -> Birth | None:
        """The user's line."""
        return None if self.code is None else _place(self.code, self.lasti)


@dataclass(slots=True)
class Passed:
    """What the rules of a node made of the gradient that arrived."""

    node: str
    place: Birth | None
    path: str
    arrived: Size | None
    to: dict[int, tuple[str, Size | None]]  # serial of a parent -> input, size
    note: str


class Flow:
    """See the top of the file."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.by_serial: dict[int, int] = {}
        self.arrivals: dict[int, Size | None] = {}
        self.passes: dict[int, Passed] = {}
        self.finished = 0  # backward passes
        self._by_array: dict[int, tuple[Any, int]] = {}
        self._of_call: weakref.WeakKeyDictionary[Call, int] = weakref.WeakKeyDictionary()
        self._early: weakref.WeakKeyDictionary[Call, tuple] = weakref.WeakKeyDictionary()
        self._counter = 0
        self._lowest: int | None = None

    # ---- forward -----------------------------------------------------------------------------------------------------
    def ran(self, call: Call, result: Any) -> None:
        """A call outside every other returned."""
        values = result[0] if type(result) is tuple and len(result) == 2 and callable(result[1]) else result
        outputs = list(arrays_in(values))
        if not outputs:
            return
        inputs = tuple(
            (name, self._known(array))
            for name, value in zip(call.inputs, call.values, strict=True)
            for array in arrays_in(value)
        )
        made = Entry(
            self._next(), call.name, inputs, call.code, call.lasti, call.scope,
            recording(), any(a.dtype.kind in "fc" for a in outputs),
        )  # fmt: skip
        self.entries[made.number] = made
        self._of_call[call] = made.number
        for array in outputs:
            self._remember(array, made.number)
        if call in self._early:
            self._take(made, *self._early.pop(call))
        if len(self.entries) > _MOST:
            for number in list(self.entries)[: _MOST // 2]:
                gone = self.entries.pop(number)
                self.by_serial.pop(gone.serial or -1, None)

    def recorded(self, call: Call, node: Node) -> None:
        """A call got a node."""
        for parent in node.parents:
            tensor = parent.tensor()
            if tensor is not None:
                number = self._known(tensor.array)
                self.entries[number].serial = parent.serial
                self.by_serial[parent.serial] = number
        facts = node.serial, frozenset(p.serial for p in node.parents)
        number = self._of_call.get(call)
        if number is None or number not in self.entries:
            self._early[call] = facts
        else:
            self._take(self.entries[number], *facts)

    def _take(self, entry: Entry, serial: int, parents: frozenset[int]) -> None:
        entry.serial, entry.parents = serial, parents
        self.by_serial[serial] = entry.number

    def _next(self) -> int:
        self._counter += 1
        return self._counter

    def find(self, array: Any) -> int | None:
        """The number of the entry whose result an array is."""
        ref, number = self._by_array.get(id(array), (None, None))
        return number if ref is not None and ref() is array and number in self.entries else None

    def _known(self, array: Any) -> int:
        number = self.find(array)
        if number is None:
            number = self._next()
            self.entries[number] = Entry(number, "", (), None, 0, None, True, array.dtype.kind in "fc")
            self._remember(array, number)
        return number

    def _remember(self, array: Any, number: int) -> None:
        key = id(array)
        self._by_array[key] = (weakref.ref(array, lambda _: self._by_array.pop(key, None)), number)

    def uses(self, number: int) -> Iterator[tuple[Entry, str]]:
        """The entries that an entry went into, with the name of the input."""
        for entry in self.entries.values():
            for name, source in entry.inputs:
                if source == number:
                    yield entry, name

    # ---- backward ----------------------------------------------------------------------------------------------------
    def arrived(self, node: Node, g: Any) -> None:
        """A gradient is complete. Passes run from young nodes to old ones: one that turns back is a new pass."""
        if self._lowest is None or node.serial >= self._lowest:
            self.arrivals.clear()
            self.passes.clear()
            self.finished += 1
        self._lowest = node.serial
        self.arrivals[node.serial] = Size.of(g)

    def pulled(self, call: Call, gradients: Any) -> None:
        """The rules of a node were run."""
        node: Any = call.node
        to = {
            parent.serial: (name, Size.of(gx))
            for parent, name, gx in zip(node.parents, node.plan.inputs, gradients, strict=False)
        }
        arrived = self.arrivals.get(node.serial)
        self.passes[node.serial] = Passed(node.name, call.place, module_path(call.scope), arrived, to, saturation(call))

    def knows_bad(self, node: Node) -> bool:
        """Whether numbers that are not finite were already passed on to a node."""
        return any(
            size is not None and not size.finite
            for p in self.passes.values()
            for s, (_, size) in p.to.items()
            if s == node.serial
        )

    def passed(self, node: Node) -> bool:
        """Whether anything was passed on to a node in this pass."""
        return any(node.serial in p.to for p in self.passes.values())


def saturation(call: Call) -> str:
    """What an activation did to its gradient, from what it saved: `98 % of the units are dead`."""
    known = {name: np.asarray(host(v)) for name, v in call.operands.items() if type(v) in ARRAYS and v.size}
    y, x = known.get("y"), known.get("x")
    if call.name in (*RECTIFIED, "threshold") and y is not None:
        return f"{_share(y <= 0)} of its numbers are 0: dead there"
    if call.name in ("leaky_relu", "elu", "softplus") and x is not None:
        return f"{_share(x <= 0)} of its inputs lie below 0"
    if call.name == "sigmoid" and y is not None:
        return f"saturated: {_share((y < 0.01) | (y > 0.99))} of its numbers are within 0.01 of 0 or 1"
    if call.name == "tanh" and y is not None:
        return f"saturated: {_share(np.abs(y) > 0.99)} of its numbers are within 0.01 of -1 or 1"
    if call.name in ("hardtanh", "clip", "hardsigmoid"):
        return "no gradient passes outside its bounds"
    if call.name == "where" and "condition" in known:
        return f"the condition holds for {_share(known['condition'] != 0)}; the rest of this branch is masked"
    if call.name in ("multiply", "matmul", "linear", "dropout"):
        factors = {name: v for name, v in call.operands.items() if name != "g" and isinstance(v, (int, float))} | known
        zero = [name for name, v in factors.items() if name != "g" and not np.any(v)]
        return f"the saved {zero[0]} is 0 everywhere" if zero else ""
    if call.name in ("floor", "ceil", "round", "trunc", "sign", "heaviside", "binary_step"):
        return "a step function: its slope is 0"
    if call.name in ("max", "min", "max_put", "max_pool", "maximum", "minimum", "sort", "topk"):
        return "only what was chosen gets a gradient"
    return ""


def _share(mask: Any) -> str:
    share = float(np.mean(mask))
    return f"{100 * share:.0f} %" if share in (0, 1) or 0.01 <= share <= 0.99 else f"{100 * share:.2g} %"


@dataclass
class Recorder(Observer):
    """Fills a flow and does nothing else."""

    flow: Flow = field(default_factory=Flow)

    def around(self, call: Call, run: Any) -> Any:
        result = run()
        if call.parent is None:
            if call.node is not None:
                self.flow.pulled(call, result)
            else:
                if isinstance(result, np.generic):
                    result = call.be.asarray(result)  # an object that can be recognised again
                self.flow.ran(call, result)
        return result

    def recorded(self, call: Call, node: Node) -> None:
        self.flow.recorded(call, node)

    def arrived(self, node: Node, g: Any) -> None:
        self.flow.arrived(node, g)


_latest: Flow | None = None


def keep(flow: Flow) -> None:
    """Makes a flow the one that `why` asks."""
    global _latest
    _latest = flow


def latest() -> Flow | None:
    """The flow of the newest debug() block."""
    return _latest
