"""Who holds memory: `memory_report()` at will, and the same table in the error when an allocation fails.

Nothing is counted while programs run: the report looks at the objects that are alive (Python's garbage collector knows
them) and at the arrays they hold. May import: the engine.
"""

from __future__ import annotations

import gc
from typing import Any, NamedTuple

from tensorgraph.backends import ARRAYS, device_of
from tensorgraph.costs import owner, saved_arrays
from tensorgraph.node import Node
from tensorgraph.provenance import birth, module_path, scopes
from tensorgraph.tensor import Tensor

__all__ = ["Held", "MemoryReport", "memory_report"]


class Held(NamedTuple):
    """One line of the report.

    `kind`: saved for backward, parameter, leaf, gradient, optimiser state, buffer, tensor.
    """

    kind: str
    bytes: int
    arrays: int
    name: str  # of the operation, parameter, optimiser
    module: str
    place: str  # file:line
    expression: str
    device: str


class MemoryReport:
    """The rows, largest first; printing it shows the table. `total` counts every block of memory once."""

    def __init__(self, rows: list[Held], rows_shown: int = 20):
        self.rows = sorted(rows, key=lambda row: -row.bytes)
        self.total = sum(row.bytes for row in rows)
        self.shown = rows_shown

    def of(self, kind: str) -> int:
        """Bytes of one kind."""
        return sum(row.bytes for row in self.rows if row.kind == kind)

    def lines(self, shown: int | None = None) -> tuple[str, ...]:
        """The table as lines."""
        from tensorgraph.provenance import table

        shown = self.shown if shown is None else shown
        kinds = dict.fromkeys(row.kind for row in self.rows)
        parts = ", ".join(f"{kind} {amount(self.of(kind))}" for kind in kinds)
        devices = {row.device for row in self.rows}
        cells = [
            (amount(r.bytes), r.kind, f"{r.arrays} x {r.name}" if r.arrays > 1 else r.name, r.expression[:60], r.place,
             f"in {r.module}" if r.module else "", r.device if len(devices) > 1 else "")
            for r in self.rows[:shown]
        ]  # fmt: skip
        rest = self.rows[shown:]
        more = [f"{amount(sum(r.bytes for r in rest))} in {len(rest)} more places"] if rest else []
        return (
            f"{amount(self.total)} are held by live tensors and graphs" + (f": {parts}" if parts else ""),
            *table(cells),
            *more,
        )

    def __str__(self) -> str:
        return "\n".join(self.lines())

    __repr__ = __str__


def memory_report(rows: int = 20) -> MemoryReport:
    """Which live arrays hold how much memory, by kind, operation, module and source line.

    Counted: what graphs saved for their backward passes, parameters and other leaves, gradients, the state of
    optimisers, buffers, other tensors; views count as the block that they keep alive, and each block once. `rows`: how
    many lines are printed. Arrays outside tensors, such as a data set in NumPy, are not seen.
    """
    return MemoryReport(_Count().rows(), rows)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory: MemoryError, or CuPy's, which need not be imported for that."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


class _Count:
    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.found: dict[tuple, list[int]] = {}

    def rows(self) -> list[Held]:
        objects = gc.get_objects()
        nodes = sorted((o for o in objects if type(o) is Node), key=lambda node: node.serial)
        tensors = [o for o in objects if isinstance(o, Tensor)]
        states = [o for o in objects if _is_optimizer(o)]
        modules = [o for o in objects if _has_parameters(o)]
        del objects
        modules += [s.module for node in nodes for s in scopes(node.scope)]
        names = _names(modules)
        for tensor in tensors:
            if tensor.node is not None and tensor.node.is_leaf:
                kind, name = names.get(id(tensor), ("leaf", "leaf"))
                self._add(
                    "leaf" if kind == "buffer" else kind,
                    name,
                    tensor.array,
                    None if kind == "parameter" else tensor.node,
                )
        for tensor in tensors:
            if tensor.grad is not None:
                self._add("gradient", "of " + names.get(id(tensor), ("", "a leaf"))[1], tensor.grad.array)
        for optimizer in states:
            for state in optimizer.state.values():
                for value in state.values() if isinstance(state, dict) else ():
                    if isinstance(value, Tensor):
                        self._add("optimiser state", type(optimizer).__name__, value.array)
        for tensor in tensors:
            kind, name = names.get(id(tensor), ("", ""))
            if kind:
                self._add(kind, name, tensor.array)
        for node in nodes:
            if not node.is_leaf:
                for array in saved_arrays(node.saved):
                    self._add("saved for backward", node.name, array, node)
        for tensor in tensors:
            self._add(
                "tensor", "made by " + tensor.node.name if tensor.node else "outside graphs", tensor.array, tensor.node
            )
        return [Held(kind, size, n, name, module, place, text, device)
                for (kind, name, module, place, text, device), (size, n) in self.found.items()]  # fmt: skip

    def _add(self, kind: str, name: str, array: Any, node: Node | None = None) -> None:
        if type(array) not in ARRAYS:
            return
        block = owner(array)
        if id(block) in self.seen or not block.nbytes:
            return
        self.seen.add(id(block))
        place = birth(node) if node is not None else None
        key = (kind, name, module_path(node.scope) if node else "", str(place) if place else "",
               place.expression if place else "", device_of(array) or "")  # fmt: skip
        entry = self.found.setdefault(key, [0, 0])
        entry[0] += block.nbytes
        entry[1] += 1


def _is_optimizer(thing: Any) -> bool:
    try:
        fields = object.__getattribute__(thing, "__dict__")  # asks no __getattr__ of strangers
    except (AttributeError, TypeError):
        return False
    return isinstance(fields, dict) and "param_groups" in fields and isinstance(fields.get("state"), dict)


def _has_parameters(thing: Any) -> bool:
    methods = ("named_parameters", "named_buffers", "register_parameter")
    return all(hasattr(type(thing), name) for name in methods)


def _names(modules: list[Any]) -> dict[int, tuple[str, str]]:
    """id of a tensor -> kind and dotted name, by the largest module that holds it."""
    unique = {id(m): m for m in modules}
    inner = {id(child) for m in unique.values() for child in m.children()}
    found: dict[int, tuple[str, str]] = {}
    for m in sorted(unique.values(), key=lambda m: id(m) in inner):
        title = type(m).__name__
        for name, tensor in m.named_parameters():
            found.setdefault(id(tensor), ("parameter", f"{title}.{name}"))
        for name, tensor in m.named_buffers():
            found.setdefault(id(tensor), ("buffer", f"{title}.{name}"))
    return found


def amount(n: float) -> str:
    """A number of bytes as people write it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n < 1024:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.1f} TiB"
