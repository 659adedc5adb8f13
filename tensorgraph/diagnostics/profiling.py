"""`profile()`: time, calls, bytes and multiply-adds per operation and per module, forward and backward; a trace file.

Built on observe.py. May import: the engine.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tensorgraph.backends import ARRAYS
from tensorgraph.costs import owner
from tensorgraph.diagnostics.memory import amount
from tensorgraph.diagnostics.observe import Call, Observer, arrays_in
from tensorgraph.errors import ArgumentError, GraphError
from tensorgraph.node import Node
from tensorgraph.provenance import _place, module_path, scopes

__all__ = ["Event", "Row", "profile"]


@dataclass(slots=True, eq=False)
class Event:
    """One call of an operation, or the rules of one node. Times in seconds from the start of the block."""

    name: str
    backward: bool
    start: float
    seconds: float
    own: float  # without the operations inside it
    nested: bool
    bytes: int
    macs: int
    scope: Any
    place: Any  # code object and instruction offset
    thread: int
    serial: int | None


@dataclass(slots=True)
class Row:
    """One line of a table: milliseconds (`own_ms` leaves out the operations inside), bytes of new arrays."""

    name: str
    calls: int = 0
    forward_ms: float = 0.0
    backward_ms: float = 0.0
    own_ms: float = 0.0
    bytes: int = 0
    macs: int = 0

    @property
    def ms(self) -> float:
        """Forward and backward."""
        return self.forward_ms + self.backward_ms


class profile(Observer):
    """`with tg.profile() as p:` measures every operation; `print(p)` shows the table, `p.trace(path)` writes a trace.

    The rows say where time goes: per operation (`p.operations()`), per module (`p.modules()`), per source line
    (`p.lines()`). Time is wall-clock time of the operations; what Python does between them is in `p.seconds` only.
    An operation that runs inside another one, or inside a backward rule, counts as a call of its own, and is left out
    of the other's own time. Multiply-adds: as operations declare them with `.macs`; a fused kernel's backward pass
    counts twice its forward pass. On a GPU every operation is waited for, so that its time is its own.

    Each observed operation costs some microseconds more, which `p.overhead` estimates and the times of operations
    do not contain. Covers the thread, or async task, of the block. The object keeps numbers and lines, no arrays.

    >>> import tensorgraph as tg
    >>> x = tg.ones(64, 64, requires_grad=True)
    >>> with tg.profile() as p:
    ...     (x @ x).sum().backward()
    >>> [row.name for row in p.operations() if row.macs]
    ['matmul']
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.seconds = 0.0
        self._started = 0.0
        self._inside: dict[Call, float] = {}  # a running call -> seconds of the calls in it
        self._last: dict[Call, Event] = {}
        self._serials: dict[tuple[int, bool], float] = {}

    def __enter__(self):
        super().__enter__()
        self._started = time.perf_counter()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.seconds += time.perf_counter() - self._started
        self._last.clear()
        super().__exit__(*exc_info)

    # ---- measuring ---------------------------------------------------------------------------------------------------
    def around(self, call: Call, run: Callable[[], Any]) -> Any:
        self._inside[call] = 0.0
        wait = _waiter(call.be)
        wait()
        start = time.perf_counter()
        try:
            result = run()
            wait()
        finally:
            seconds = time.perf_counter() - start
            inside = self._inside.pop(call)
        if call.parent in self._inside:
            self._inside[call.parent] += seconds  # pyright: ignore[reportArgumentType]
        if result is None and call.node is None:  # a kernel that declined: the definition runs instead
            return result
        serial = None if call.node is None else call.node.serial
        place, thread = (call.code, call.lasti), threading.get_ident()
        event = Event(
            call.name, _in_backward(call), start - self._started, seconds, seconds - inside, call.parent is not None,
            _new_bytes(call, result), _macs(call, result), call.scope, place, thread, serial,
        )  # fmt: skip
        self.events.append(event)
        if serial is not None:
            self._serials[serial, True] = self._serials.get((serial, True), 0.0) + seconds
        elif call.parent is None:
            self._last = {call: event}
        return result

    def recorded(self, call: Call, node: Node) -> None:
        event = self._last.get(call)
        if event is not None and event.serial is None:
            event.serial = node.serial
            self._serials[node.serial, False] = event.seconds

    # ---- reading -----------------------------------------------------------------------------------------------------
    def forward_ms(self, node: Node | int) -> float | None:
        """Milliseconds of the operation that made a node (or serial number); None if it was not seen."""
        return self._ms(node, False)

    def backward_ms(self, node: Node | int) -> float | None:
        """Milliseconds of the rules of a node (or serial number); None if they did not run in the block."""
        return self._ms(node, True)

    def _ms(self, node: Node | int, backward: bool) -> float | None:
        serial = node if isinstance(node, int) else node.serial
        seconds = self._serials.get((serial, backward))
        return None if seconds is None else seconds * 1e3

    @property
    def overhead(self) -> float:
        """Seconds that measuring itself took, about."""
        return len(self.events) * _cost_of_one()

    def operations(self) -> list[Row]:
        """One row per operation; the one that takes most time of its own first."""
        return self._rows(lambda e: [e.name], lambda e: e.own, False)

    def modules(self) -> list[Row]:
        """One row per module, each with everything that ran inside it; operations outside of all are not listed."""
        known: dict[int, list[str]] = {}
        keep = []  # ids stay taken

        def paths(event: Event) -> list[str]:
            if id(event.scope) not in known:
                keep.append(event.scope)
                known[id(event.scope)] = [module_path(s) for s in scopes(event.scope)]
            return known[id(event.scope)]

        return self._rows(paths, lambda e: e.own, True)

    def lines(self) -> list[Row]:
        """One row per source line, with all operations on it."""

        def line(event: Event) -> list[str]:
            code, lasti = event.place
            if code is None:
                return []
            place = _place(code, lasti)
            return [f"{place}   {place.text}"]

        return self._rows(line, lambda e: e.own, True)

    def _rows(self, keys: Callable[[Event], list[str]], own: Callable[[Event], float], outermost: bool) -> list[Row]:
        rows: dict[str, Row] = {}
        for event in self.events:
            for key in keys(event):
                row = rows.setdefault(key, Row(key))
                ms = own(event) * 1e3
                row.calls += 1
                row.own_ms += ms
                row.bytes += 0 if event.nested else event.bytes
                row.macs += event.macs
                if event.nested and outermost:
                    ms = own(event) * 1e3
                elif not outermost:
                    ms = event.seconds * 1e3
                if event.backward:
                    row.backward_ms += ms
                else:
                    row.forward_ms += ms
        return sorted(rows.values(), key=lambda row: -row.own_ms)

    def table(self, by: str = "operation", rows: int = 20) -> str:
        """The table as text, by "operation", "module" or "line"; the most expensive `rows` lines of it."""
        makers = {"operation": self.operations, "module": self.modules, "line": self.lines}
        if by not in makers:
            raise ArgumentError(f"profile: by is one of {', '.join(makers)}, got {by!r}")
        found = makers[by]()
        cells = [(by, "calls", "own ms", "forward ms", "backward ms", "new bytes", "multiply-adds")]
        for r in found[:rows]:
            cells.append((r.name[:70], str(r.calls), f"{r.own_ms:.3f}", f"{r.forward_ms:.3f}", f"{r.backward_ms:.3f}",
                          amount(r.bytes), f"{r.macs:,}" if r.macs else ""))  # fmt: skip
        width = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
        lines = [
            "  ".join([row[0].ljust(width[0]), *(c.rjust(w) for c, w in zip(row[1:], width[1:], strict=True))]).rstrip()
            for row in cells
        ]
        if len(found) > rows:
            lines.append(f"... and {len(found) - rows} more")
        return "\n".join(lines)

    def __str__(self) -> str:
        own = sum(e.own for e in self.events)
        head = (
            f"{self.seconds * 1e3:.3f} ms in the block, {own * 1e3:.3f} ms of it in {len(self.events)} operations; "
            f"measuring took about {self.overhead * 1e3:.3f} ms"
        )
        parts = [head, self.table()]
        if any(e.scope is not None for e in self.events):
            parts.append(self.table("module"))
        return "\n\n".join(parts)

    def __repr__(self) -> str:
        return f"<profile of {len(self.events)} operations, {self.seconds * 1e3:.3f} ms>"

    def trace(self, path: str) -> None:
        """Writes a trace file for chrome://tracing, Perfetto (ui.perfetto.dev) or speedscope: JSON, one event per call.

        Operations are nested as they ran, modules enclose the operations that ran in them.
        """
        if not self.events:
            raise GraphError("profile: nothing was measured", hint="run operations inside the `with` block first")
        threads = {ident: i for i, ident in enumerate(dict.fromkeys(e.thread for e in self.events), 1)}
        out: list[dict[str, Any]] = [
            {"name": "process_name", "ph": "M", "pid": 1, "tid": 0, "args": {"name": "tensorgraph"}}
        ]
        spans: dict[tuple[int, int, bool], list[Any]] = {}
        for e in self.events:
            for depth, scope in enumerate(scopes(e.scope)):
                span = spans.setdefault(
                    (id(scope), threads[e.thread], e.backward), [e.start, e.start + e.seconds, scope, depth]
                )
                span[0], span[1] = min(span[0], e.start), max(span[1], e.start + e.seconds)
            args = {"bytes": e.bytes, "macs": e.macs}
            if e.place[0] is not None:
                place = _place(*e.place)
                args |= {"line": str(place), "expression": place.expression}
            out.append(
                _event(
                    e.name + (" backward" if e.backward else ""),
                    "operation",
                    e.start,
                    e.seconds,
                    threads[e.thread],
                    args,
                )
            )
        for (_, thread, backward), (start, end, scope, _) in spans.items():
            if not backward:  # forward calls are intervals; in a backward pass modules may interleave
                out.append(_event(module_path(scope), "module", start, end - start, thread, {}))
        out.sort(key=lambda e: (e.get("ts", -1), -e.get("dur", 0)))
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": out, "displayTimeUnit": "ms"}, file)


def _event(name: str, kind: str, start: float, seconds: float, thread: int, args: dict) -> dict[str, Any]:
    return {"name": name, "cat": kind, "ph": "X", "ts": round(start * 1e6, 3), "dur": round(seconds * 1e6, 3),
            "pid": 1, "tid": thread, "args": args}  # fmt: skip


def _waiter(be: Any) -> Callable[[], Any]:
    """What waits for the device, on a GPU."""
    cuda = getattr(getattr(be, "xp", None), "cuda", None)
    stream = getattr(cuda, "get_current_stream", None)
    return (lambda: None) if stream is None else stream().synchronize


def _new_bytes(call: Call, result: Any) -> int:
    """Bytes of the arrays that came out and are no views of what went in."""
    values = result[0] if type(result) is tuple and len(result) == 2 and callable(result[1]) else result
    old = {id(owner(a)) for a in arrays_in(call.values)}
    return sum(a.nbytes for a in arrays_in(values) if id(owner(a)) not in old)


def _in_backward(call: Call) -> bool:
    """Whether rules run: those of a node, or an operation inside them."""
    outer: Call | None = call
    while outer is not None and outer.node is None:
        outer = outer.parent
    return outer is not None


def _macs(call: Call, result: Any) -> int:
    count = getattr(call.op, "count_macs", None)
    if count is None or call.op.macs is None:
        return 0
    if call.node is not None:  # operations inside a rule count themselves; a pullback is one piece
        if "pullback" not in call.inputs:
            return 0
        shapes = {f"{n}_shape": v.shape for n, v in call.operands.items() if type(v) in ARRAYS}
        return 2 * (count({"y_shape": call.node.shape, **shapes, **call.settings}) or 0)
    y = next(arrays_in(result), None)
    known = {"y_shape": None if y is None else y.shape, **call.settings}
    for name, value in call.operands.items():
        known[name] = value
        if type(value) in ARRAYS:
            known[f"{name}_shape"] = value.shape
    return count(known) or 0


_measured: list[float] = []


def _cost_of_one() -> float:
    """Seconds that observing one call takes, measured once."""
    if not _measured:
        import numpy as np

        from tensorgraph.operation import registry

        add = next(f for f in _functions() if f.op is registry["add"])
        a = np.zeros(1, np.float32)

        def run() -> float:
            start = time.perf_counter()
            for _ in range(200):
                add(a, a)
            return (time.perf_counter() - start) / 200

        plain = min(run() for _ in range(3))
        with profile():
            observed = min(run() for _ in range(3))
        _measured.append(max(observed - plain, 0.0))
    return _measured[0]


def _functions() -> list[Any]:
    from tensorgraph.operation import functions

    return list(functions)
