"""Writes in place: who wrote into which memory, when, and on which line.

Recording an operation costs nothing here. A write takes a serial number from the same clock as the nodes and is
remembered per block of memory; a backward pass that meets a node older than the newest write looks whether the
node's saved arrays were hit. In a training loop the newest write is older than every node, so nothing is looked up.
"""

from __future__ import annotations

import sys
import weakref
from sys import getrefcount
from types import SimpleNamespace
from typing import Any

from tensorgraph.backends import ARRAYS, backend_of, cpu
from tensorgraph.capturing import current
from tensorgraph.errors import GraphError, sig
from tensorgraph.mode import tick
from tensorgraph.node import Node
from tensorgraph.provenance import Birth, _place, birth, caller

latest = 0
"""Serial number of the newest write."""

_written: dict[int, tuple[Any, list[tuple[int, Any, Any, int]]]] = {}
_EVERYTHING = (0, sys.maxsize)  # the bounds of a write that fills a block of memory
_KEEP = 64  # writes remembered per block of memory; a loop over views would grow the list without end


def wrote(*arrays: Any) -> None:
    """Remembers that arrays were just written in place."""
    global latest
    latest = tick()
    capture = current()
    if capture is not None:
        capture.wrote(arrays)
    code, lasti = caller()
    everything = [(latest, _EVERYTHING, code, lasti)]
    for array in arrays:
        owner = _owner(array)
        key = id(owner)
        record = _written.get(key)
        if record is None:
            record = _written[key] = (weakref.ref(owner, lambda _, key=key: _written.pop(key, None)), [])
        events = record[1]
        if owner is array and array.size:
            events[:] = everything
            continue
        span = backend_of(array).byte_bounds(array)
        events[:] = [event for event in events[-_KEEP:] if event[1] != span]
        events.append((latest, span, code, lasti))


def check(node: Node, saved: tuple) -> None:
    """Raises GraphError when an array that `node` saved was written after `node` was made."""
    serial = node.serial
    for i, value in enumerate(saved):
        for array in value if type(value) is tuple else (value,):
            if type(array) not in ARRAYS:
                continue
            record = _written.get(id(_owner(array)))
            if record is None or record[1][-1][0] <= serial:  # as it is with nearly all: the newest write comes last
                continue
            place, name = written_since(serial, array), node.plan.names[i]
            if place is not None:
                made = birth(node)
                raise GraphError(
                    f"{node.name}: its saved {name} {sig(array)} was overwritten before the backward pass used it",
                    operands=(
                        f"saved by     {made.expression if made else node.name}   {made or ''}".rstrip(),
                        f"overwritten  {place.text}   {place}",
                    ),
                    hint="run backward() before the write, or write into a copy: t.clone()",
                )


def written_since(serial: int, array: Any) -> Birth | None:
    """The line that wrote into the memory of `array` after the tick `serial`; None if there is none."""
    record = _written.get(id(_owner(array))) if type(array) in ARRAYS else None
    if record is None:
        return None
    low, high = backend_of(array).byte_bounds(array)
    for when, (start, stop), code, lasti in reversed(record[1]):
        if when > serial and start < high and low < stop:
            return _place(code, lasti)
    return None


# ---- memory that is nobody else's ------------------------------------------------------------------------------------
def _held() -> tuple[int, int]:
    """What `getrefcount` says of the owner of a view, and of the array of a tensor, which nobody else holds."""
    held = SimpleNamespace(array=cpu.xp.empty(2)[::-1])
    array = held.array
    base = array.base
    return getrefcount(base), getrefcount(array)


def is_all(array: Any) -> bool:
    """Whether an array that nobody else holds is all there is of its memory: no view of what others hold or see."""
    if type(array) not in ARRAYS:
        return False
    base = array.base
    if base is not None and (type(base) is not type(array) or base.base is not None or base.size != array.size):
        return False
    return (base is None or getrefcount(base) == _OF_BASE) and getattr(array.flags, "writeable", True)


def is_alone(x: Any) -> bool:
    """Whether nobody else has the values of a tensor: no node has saved them, no array shares their memory."""
    array = x.array
    return getrefcount(array) == _OF_ARRAY and is_all(array)


_OF_BASE, _OF_ARRAY = _held()


def _owner(array: Any) -> Any:
    while type(base := array.base) in ARRAYS:
        array = base
    return array
