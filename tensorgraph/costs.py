"""What a node of the graph costs, memory that it keeps and multiply-adds, and numbers as people write them.

Imported by pictures, summaries and the reports of diagnostics/. May import: backends, node.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tensorgraph.backends import ARRAYS
from tensorgraph.node import Node

__all__ = ["count", "multiply_adds", "owner", "saved_arrays"]


def multiply_adds(node: Node) -> int | None:
    """Multiply-adds of the call that made `node`; None where a shape is no longer known."""
    plan = node.plan
    op = plan.op or getattr(plan, "fused", None)
    if op is None or op.macs is None:
        return 0
    known: dict[str, Any] = {"y_shape": node.shape}
    if node.saved.__class__ is tuple:
        for name, value in zip(plan.names, node.saved, strict=False):
            known[name] = value
            if type(value) in ARRAYS:
                known.setdefault(f"{name}_shape", value.shape)
    for name, parent in zip(plan.inputs, node.parents, strict=False):
        known[f"{name}_shape"] = parent.shape
    return op.count_macs(known)


def saved_arrays(saved: Any, depth: int = 0) -> Iterator[Any]:
    """The arrays in what a node saved, also those that a pullback closes over."""
    if type(saved) in ARRAYS:
        yield saved
    elif isinstance(saved, (tuple, list)):
        for value in saved:
            yield from saved_arrays(value, depth)
    elif depth < 3 and getattr(saved, "__closure__", None):
        for cell in saved.__closure__:
            try:
                yield from saved_arrays(cell.cell_contents, depth + 1)
            except ValueError:  # an empty cell
                continue


def owner(array: Any) -> Any:
    """The array whose memory this one reads: itself, or what it is a view of."""
    while type(getattr(array, "base", None)) in ARRAYS:
        array = array.base
    return array


def count(n: float, unit: str = "") -> str:
    """A number as people write it: 9,408, 25.6 M, 4.1 G."""
    if unit == "bytes":
        for name in ("B", "KiB", "MiB", "GiB", "TiB"):
            if n < 1024 or name == "TiB":
                return f"{n:.0f} {name}" if name == "B" or n >= 100 else f"{n:.1f} {name}"
            n /= 1024
    if unit == "ms":
        return f"{n:.3g} ms"
    if unit == "grad":
        return f"{n:.3g}"
    if n < 100_000:
        return f"{n:,.0f}"
    power = 1 if n < 999_500 else 2 if n < 999.5e6 else 3 if n < 999.5e9 else 4
    return f"{n / 1000**power:.3g} {' kMGT'[power]}"
