"""The numbers of a picture: bytes kept alive, parameters, multiply-adds, milliseconds, norms of gradients.

Imported by walk.py, which asks node by node, and by graph.py, which turns the numbers into colours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tensorgraph.backends import backend_of
from tensorgraph.costs import count, multiply_adds, owner, saved_arrays
from tensorgraph.drawing.model import Drawing, Legend, Vertex, walk
from tensorgraph.errors import ArgumentError
from tensorgraph.node import Node
from tensorgraph.tensor import Retain

OVERLAYS = {
    "bytes": "bytes kept alive",
    "params": "parameters",
    "macs": "multiply-adds",
    "ms": "milliseconds",
    "grad": "norm of the gradient",
}


class Measures:
    """Numbers of nodes. An array that several nodes keep counts for the first that is asked about."""

    def __init__(self, nodes: list[Node], show: str | None, profile: Any, grads: Mapping[Any, Any] | None):
        self.show, self.profile = show, profile
        self.counted = {id(owner(t.array)) for node in nodes if (t := node.tensor()) is not None}
        self.grads = {t.node.serial: g for t, g in (grads or {}).items() if t.node is not None}

    def of(self, node: Node) -> dict[str, float]:
        """The numbers of one node that are known."""
        values: dict[str, float] = {}
        if node.is_leaf:
            values["params"] = math.prod(node.shape)
        else:
            values["bytes"] = self._kept(node)
            macs = multiply_adds(node)
            if macs is not None:
                values["macs"] = macs
        if self.show == "ms" and not node.is_leaf:
            forward, backward = self.profile.forward_ms(node), self.profile.backward_ms(node)
            if forward is not None or backward is not None:
                values["forward ms"], values["backward ms"] = forward or 0.0, backward or 0.0
                values["ms"] = values["forward ms"] + values["backward ms"]
        if self.show == "grad":
            g = self._gradient(node)
            if g is not None:
                values["grad"] = g
        return values

    def _kept(self, node: Node) -> int:
        total = 0
        for array in saved_arrays(node.saved):
            whole = owner(array)
            if id(whole) not in self.counted:
                self.counted.add(id(whole))
                total += whole.nbytes
        return total

    def _gradient(self, node: Node) -> float | None:
        g = self.grads.get(node.serial)
        if g is None and node.is_leaf:
            tensor = node.tensor()
            g = None if tensor is None else tensor.grad
        for hook in node.hooks or ():
            if g is None and type(hook) is Retain and (kept := hook.tensor()) is not None:
                g = kept.grad
        if g is None:
            return None
        array = getattr(g, "array", g)
        be = backend_of(array)
        return float(be.to_host(be.sqrt(be.sum(be.square(be.abs(array.astype("float64")))))))


def add(total: dict[str, float], values: Mapping[str, float]) -> None:
    """Adds numbers to a total; norms add as lengths of vectors do."""
    for name, value in values.items():
        total[name] = math.hypot(total.get(name, 0.0), value) if name == "grad" else total.get(name, 0) + value


def total_up(drawing: Drawing) -> None:
    """Gives every cluster's box the sum of what is inside it."""
    for cluster in reversed(list(walk(drawing.clusters))):
        for inside in (*cluster.members, *(child.box for child in cluster.children)):
            add(cluster.box.values, inside.values)


def paint(drawing: Drawing, show: str) -> None:
    """Colours the boxes by a number, writes the number on them and adds the legend."""
    if show not in OVERLAYS:
        raise ArgumentError(f"draw: unknown overlay show={show!r}", hint=f"one of {', '.join(OVERLAYS)}")
    boxes = [*drawing.vertices, *(cluster.box for cluster in walk(drawing.clusters))]
    for cluster in walk(drawing.clusters):  # an operation carries the parameters at its side, so that it shows them
        for vertex in cluster.members:
            if show == "params" and vertex.beside is not None:
                add(vertex.beside.values, {"params": vertex.values.get("params", 0)})
    known = [v for v in boxes if v.kind != "input" and v.values.get(show)]
    seen = [v.values[show] for v in drawing.shown_vertices() if v in set(known)]
    top, bottom = max(seen, default=0.0), min(seen, default=0.0)
    for vertex in known:
        value = vertex.values[show]
        if not math.isfinite(value):
            share = 1.0
        elif show == "grad":  # norms differ by orders of magnitude
            share = 0.5 if top <= bottom else math.log(value / bottom) / math.log(top / bottom)
        else:
            share = value / top if top else 0.0
        drawing.heat[vertex] = heat(share)
        _write_on(vertex, show, value)
    low = amount(bottom, show) if show == "grad" else "0"
    title = OVERLAYS[show] + (", logarithmic" if show == "grad" else "")
    drawing.legend = Legend(show, title, low, amount(top, show))


def amount(value: float, show: str) -> str:
    """A number of an overlay with its unit."""
    return count(value, show if show in ("bytes", "ms", "grad") else "")


def _write_on(vertex: Vertex, show: str, value: float) -> None:
    text = amount(value, show)
    if show == "ms":
        v = vertex.values
        text = f"{count(v['forward ms'], 'ms')} forward, {count(v['backward ms'], 'ms')} backward"
    elif show == "grad":
        text = f"|grad| {text}"
    elif show != "bytes":
        text = f"{text} {OVERLAYS[show]}"
    lines = [line for line in vertex.note.splitlines() if not (show == "params" and line.endswith(" parameters"))]
    vertex.note = "\n".join([*lines, text])


# Cividis, which people with every kind of colour vision see as growing brightness.  Source: Nuñez, Anderton & Renslow,
# PLoS ONE 2018.  Turned round: what costs nothing is light, what costs most is dark.
_SCALE = ("#fff0a8", "#ead15c", "#c6b46a", "#a59c74", "#868378", "#6b6c72", "#4d556c", "#2a3f6d", "#00224e")


def heat(share: float) -> str:
    """The colour of a share of the largest number, 0 light to 1 dark."""
    at = min(max(share, 0.0), 1.0) * (len(_SCALE) - 1)
    i = min(int(at), len(_SCALE) - 2)
    low, high = (tuple(int(_SCALE[j][k : k + 2], 16) for k in (1, 3, 5)) for j in (i, i + 1))
    return "#" + "".join(f"{round(a + (b - a) * (at - i)):02x}" for a, b in zip(low, high, strict=True))


def ink(fill: str) -> str:
    """Black or white, whichever has more contrast on a colour.  Source: WCAG 2, relative luminance."""
    r, g, b = (int(fill[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return "#ffffff" if 0.2126 * r**2.2 + 0.7152 * g**2.2 + 0.0722 * b**2.2 < 0.22 else "#1d2733"
