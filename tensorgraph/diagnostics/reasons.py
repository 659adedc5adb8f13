"""`why(t)`: why a gradient is None, zero, NaN, huge or tiny, in words, with the line that did it.

Reads the graph of a loss, what `detach()` noted (cuts.py), and what a debug() block saw (flow.py); changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tensorgraph.backward import RELEASED, grad
from tensorgraph.cuts import recent
from tensorgraph.diagnostics.causes import host
from tensorgraph.diagnostics.flow import Entry, Flow, Passed, Recorder, latest
from tensorgraph.errors import DtypeError, GraphError, sig
from tensorgraph.node import Node
from tensorgraph.provenance import birth, module_path
from tensorgraph.tensor import Tensor

__all__ = ["Words", "why"]

HUGE, TINY = 1e3, 1e-8
_BLOCK = (
    "run the step inside `with tensorgraph.debug():` and ask again: then every line is known, of no_grad blocks too"
)


class Words(str):
    """A text that shows itself without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def why(t: Tensor, loss: Tensor | None = None) -> Words:
    """Says in words why the gradient of `t` is None, zero, NaN, huge or tiny, and which line is to blame.

    t: a tensor; `loss`: the result whose graph to look at. With a loss whose graph still holds its arrays (before
    backward(), or after backward(retain_graph=True)) gradients are computed along the way to `t` and looked at; no
    `.grad` changes. Otherwise what the last `debug()` block saw is used, and without one what the graph itself and the
    last `detach()` calls tell: the answer then says what would tell more.

    Raises DtypeError for what is no tensor.

    >>> import tensorgraph as tg
    >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> y = x * 2
    >>> y.sum().backward()
    >>> tg.why(y)
    the gradient is None: only leaves keep theirs, and this f32[2] was made by multiply
      made   x * 2   ...
      hint   y.retain_grad() before backward() keeps it; tensorgraph.grad(loss, y) returns it
    """
    if not isinstance(t, Tensor):
        raise DtypeError(f"why: expected a tensor, got {sig(t)}")
    if loss is not None and not isinstance(loss, Tensor):
        raise DtypeError(f"why: the loss is {sig(loss)}, not a tensor")
    return Words("\n  ".join(_Inquiry(t, loss).answer()))


class _Inquiry:
    def __init__(self, t: Tensor, loss: Tensor | None):
        self.t, self.loss = t, loss
        self.graph = _below(loss.node) if loss is not None and loss.node is not None else {}
        self.released = any(node.saved is RELEASED for node in self.graph.values())
        self.flow = latest()
        if loss is not None and self.graph and not self.released and t.node is not None and t.node.serial in self.graph:
            self.flow = self._flow_of_loss() or self.flow

    def _flow_of_loss(self) -> Flow | None:
        loss: Any = self.loss
        seed = None if loss.array.size == 1 else Tensor(np.ones_like(host(loss.array)))
        with Recorder() as recorder:
            try:
                grad(loss, [self.t], seed, retain_graph=True, allow_unused=True)
            except GraphError:
                return None
        return recorder.flow

    def answer(self) -> Iterator[str]:
        t = self.t
        g = t.grad
        if g is None and t.node is None:
            yield from self._asks_for_none()
        elif g is None and not t.is_leaf:
            yield f"the gradient is None: only leaves keep theirs, and this {sig(t)} was made by {t.node.name}"  # pyright: ignore[reportOptionalMemberAccess]
            yield from _born(t.node)  # pyright: ignore[reportArgumentType]
            yield "hint   y.retain_grad() before backward() keeps it; tensorgraph.grad(loss, y) returns it"
            yield from self._sizes(quiet=True)
        elif g is None:
            yield from self._none()
        else:
            values = np.asarray(host(g.array))
            largest = float(np.abs(values).max(initial=0.0))
            if not np.isfinite(values).all():
                yield from self._not_finite(values)
            elif not values.any():
                yield from self._zero(values)
            elif largest > HUGE or largest < TINY:
                yield from self._extreme(largest)
            else:
                zeros = 1 - np.count_nonzero(values) / values.size
                yield (
                    f"the gradient of this {sig(t)} is there: largest {largest:.3g}, mean size "
                    f"{np.abs(values).mean():.3g}, {100 * zeros:.0f} % of it zero"
                )
                yield from self._sizes(quiet=True)

    # ---- None ------------------------------------------------------------------------------------------------------
    def _asks_for_none(self) -> Iterator[str]:
        t = self.t
        yield f"the gradient is None: this {sig(t)} takes part in no graph"
        if t.dtype.kind not in "fc":
            entry = self._entry()
            if entry is not None and entry.name:
                yield f"cast   {_line(entry)}: made by {entry.name}, whose result holds no floating numbers"
            yield "hint   only floating dtypes have gradients: keep the way to the loss in floats"
            return
        entry = self._entry()
        if entry is not None and entry.name:
            if entry.serial is not None:
                yield f"detached: the same numbers are the result of {entry.name}, which is in the graph"
                yield f"made   {_line(entry)}"
                yield from self._cut_of(entry.serial)
            elif not entry.recorded:
                yield f"no_grad: made by {entry.name} while nothing was recorded"
                yield f"made   {_line(entry)}"
                yield "hint   compute it outside no_grad()"
            else:
                yield f"made by {entry.name}, none of whose operands asks for a gradient"
                yield f"made   {_line(entry)}"
            return
        yield (
            "it was made without requires_grad=True, or from such tensors only, or under no_grad(), or by detach(), or "
            "it was frozen with requires_grad_(False)"
        )
        if recent:
            yield from self._recent_cuts()
        yield f"hint   tensor(..., requires_grad=True) for a leaf; {_BLOCK}"

    def _none(self) -> Iterator[str]:
        t, node = self.t, self.t.node
        assert node is not None
        if node.serial in self.graph:
            if self.released:
                yield f"the gradient of this {sig(t)} is None although a backward pass came here"
                yield from self._path()
                yield "so it was dropped afterwards, by zero_grad() or .grad = None; or the pass was grad()"
            else:
                yield f"the gradient is None: backward() has not run yet; the loss does depend on this {sig(t)}"
                yield from self._path()
            return
        flow = self.flow
        if flow is not None and node.serial in flow.arrivals and not self.graph:
            size = flow.arrivals[node.serial]
            largest = size.largest if size else 0.0
            yield f"the gradient is None although one arrived in the last backward pass, largest {largest:.3g}"
            yield "it was dropped afterwards: zero_grad(), or .grad = None, after backward()"
            return
        yield (
            f"the gradient is None: the loss does not depend on this {sig(t)}"
            if self.graph or flow
            else (f"the gradient of this leaf {sig(t)} is None: no backward pass has reached it")
        )
        yield from _born(node)
        found = list(self._cuts())
        yield from found
        same = self._look_alike()
        if same:
            yield same
        if not found and not same:
            number = self._number()
            if flow is not None and flow.finished == 0 and not self.graph:
                yield "no backward pass was seen"
            elif flow is not None and number is None:
                yield "no operation that was observed used it: is it the tensor that the model uses?"
            else:
                yield "it was not used, or what was computed from it was cut off or does not lead to the loss"
                yield (
                    f"hint   {_BLOCK}"
                    if flow is None
                    else "hint   tensorgraph.why(t, loss) looks into the graph of a loss"
                )

    def _look_alike(self) -> str:
        """A leaf of the graph of the same shape and birth: the tensor was replaced by another one."""
        mine: Any = birth(self.t.node)  # pyright: ignore[reportArgumentType]
        for node in self.graph.values():
            place = birth(node) if node.is_leaf else None
            if place and node.shape == self.t.shape and (place.file, place.line) == (mine and (mine.file, mine.line)):
                return (
                    "the loss was computed from another tensor that was made on the same line: this one was replaced "
                    "(a model made or loaded anew, a copy); an optimiser may still hold the old one"
                )
        return ""

    def _cuts(self) -> Iterator[str]:
        """The lines at which what was computed from t left the graph."""
        node: Any = self.t.node
        for cut in recent:
            source = cut.node()
            if source is not None and node.serial in _below(source):
                place = cut.place
                yield f"cut    {cut.how} in {place.text if place else '?'}   {place or ''}".rstrip()
        flow, start = self.flow, self._number()
        if flow is None or start is None:
            return
        seen, pending, dead_ends = {start}, [start], []
        while pending:
            number = pending.pop()
            source = flow.entries[number]
            used = False
            for entry, name in flow.uses(number):
                used = True
                if entry.serial is not None and (source.serial in entry.parents):
                    if entry.number not in seen:
                        seen.add(entry.number)
                        pending.append(entry.number)
                    continue
                yield from _cut_line(source, entry, name)
            if not used and source.name and source.serial not in flow.arrivals:
                dead_ends.append(source)
        for entry in dead_ends:
            yield f"unused {_line(entry)}: the result of this {entry.name} goes nowhere that was observed"

    def _cut_of(self, serial: int) -> Iterator[str]:
        for cut in recent:
            if cut.serial == serial:
                yield f"cut    {cut.how} in {cut.place.text if cut.place else '?'}   {cut.place or ''}".rstrip()

    def _recent_cuts(self) -> Iterator[str]:
        for cut in list(recent)[-3:]:
            yield f"recent {cut.how} in {cut.place.text if cut.place else '?'}   {cut.place or ''}".rstrip()

    # ---- zero, NaN, huge, tiny ---------------------------------------------------------------------------------------
    def _zero(self, values: np.ndarray) -> Iterator[str]:
        yield f"the gradient of this {sig(self.t)} is zero" + ("" if values.size else ": it has no elements")
        node = self.t.node
        size = self.flow.arrivals.get(node.serial) if self.flow and node is not None else None
        if size is not None and size.largest > 0 and size.finite:
            yield f"but {size.largest:.3g} arrived in the last backward pass: it was set to zero afterwards"
            return
        steps = [p for p in self._towards() if p.arrived is not None and p.arrived.largest > 0]
        stops = [p for p in steps if all(s is None or s.largest == 0 for s in self._sizes_to(p))]
        for p in stops[:5]:
            yield f"zero from {p.node} on   {_where(p)}" + (f": {p.note}" if p.note else "")
        if not stops:
            yield from self._unknown("every gradient on the way was zero already, or contributions cancel")

    def _not_finite(self, values: np.ndarray) -> Iterator[str]:
        word = "NaN" if np.isnan(values).any() else "infinite"
        share = 1 - np.isfinite(values).mean()
        yield f"the gradient of this {sig(self.t)} is {word} in {100 * share:.0f} % of its numbers"
        for p in self._towards():
            bad = any(s is not None and not s.finite for s in self._sizes_to(p))
            if bad and (p.arrived is None or p.arrived.finite):
                yield f"first in the backward pass of {p.node}   {_where(p)}"
                break
        else:
            yield from self._unknown("it came with the gradient that the pass started from, or from an earlier pass")
            return
        yield "hint   `with tensorgraph.debug():` around the step stops there, with operands and cause"

    def _extreme(self, largest: float) -> Iterator[str]:
        word = "huge" if largest > HUGE else "tiny"
        yield f"the gradient of this {sig(self.t)} is {word}: largest {largest:.3g}"
        yield from self._sizes(quiet=False, grows=largest > HUGE)

    def _sizes(self, quiet: bool, grows: bool = True) -> Iterator[str]:
        steps = []
        for p in self._towards():
            sizes = [s.largest for s in self._sizes_to(p) if s is not None]
            if p.arrived is not None and p.arrived.largest > 0 and sizes and max(sizes) > 0:
                steps.append((max(sizes) / p.arrived.largest, p, max(sizes)))
        steps.sort(key=lambda step: step[0], reverse=grows)
        strong = [s for s in steps if (s[0] >= 5 if grows else s[0] <= 0.2)]
        if quiet:
            return
        for factor, p, after in strong[:3]:
            change = f"times {factor:.3g}" if factor >= 1 else f"down by {1 / factor:.3g}"
            yield (
                f"{change} in {p.node}   {_where(p)}: "
                f"{p.arrived.largest:.3g} -> {after:.3g}" + (f"; {p.note}" if p.note else "")  # pyright: ignore[reportOptionalMemberAccess]
            )
        if not strong:
            if steps:
                yield f"no single step: {len(steps)} operations on the way, each by a little"
                yield "hint   is the loss a sum where a mean was meant?"
            else:
                yield from self._unknown("the sizes along the way are not known")

    def _unknown(self, otherwise: str) -> Iterator[str]:
        if self.flow is None:
            yield f"hint   {_BLOCK}; or why(t, loss) while the loss still holds its arrays"
        else:
            yield otherwise

    # ---- walking -----------------------------------------------------------------------------------------------------
    def _towards(self) -> list[Passed]:
        """The nodes of the newest pass that lie between the loss and t, in the order in which they ran."""
        flow, node = self.flow, self.t.node
        if flow is None or node is None:
            return []
        wanted = {node.serial}
        for serial in sorted(flow.passes):
            if wanted & flow.passes[serial].to.keys():
                wanted.add(serial)
        self._on_the_way = wanted
        return [flow.passes[s] for s in sorted(wanted & flow.passes.keys(), reverse=True)]

    def _sizes_to(self, p: Passed) -> list[Any]:
        return [size for serial, (_, size) in p.to.items() if serial in self._on_the_way]

    def _number(self) -> int | None:
        if self.flow is None:
            return None
        number = self.flow.by_serial.get(self.t.node.serial) if self.t.node is not None else None
        return self.flow.find(self.t.array) if number is None else number

    def _entry(self) -> Entry | None:
        number = self._number()
        return None if number is None else self.flow.entries.get(number)  # pyright: ignore[reportOptionalMemberAccess]

    def _path(self) -> Iterator[str]:
        """The operation next to t on the way to the loss."""
        node: Any = self.t.node
        user = next((n for s, n in sorted(self.graph.items()) if node in n.parents), None)
        if user is not None:
            place = birth(user)
            yield f"used by {user.name}   {place.expression if place else ''}   {place or ''}".rstrip()


def _cut_line(source: Entry, entry: Entry, name: str) -> Iterator[str]:
    if entry.serial is None and not entry.recorded:
        yield f"cut    {_line(entry)}: {entry.name} ran in a no_grad block"
    elif not entry.floats:
        what = "holds no floating numbers (a cast, a comparison, an index)"
        yield f"cut    {_line(entry)}: the result of {entry.name} {what}"
    elif source.serial is not None and entry.name:
        what = "outside the graph: detached before, or an input without a rule"
        yield f"cut    {_line(entry)}: {entry.name} took it as {name} {what}"


def _line(entry: Entry) -> str:
    place, path = entry.place, module_path(entry.scope)
    text = f"{place.expression or place.text}   {place}" if place else "(no line)"
    return text + (f"   in {path}" if path else "")


def _where(p: Passed) -> str:
    text = f"{p.place.expression or p.place.text}   {p.place}" if p.place else ""
    return text + (f"   in {p.path}" if p.path else "")


def _born(node: Node) -> Iterator[str]:
    place, path = birth(node), module_path(node.scope)
    if place is not None:
        yield f"made   {place.expression or place.text}   {place}" + (f"   in {path}" if path else "")


def _below(root: Node) -> dict[int, Node]:
    """All nodes that lead to one."""
    seen: dict[int, Node] = {}
    stack = [root]
    while stack:
        node = stack.pop()
        if node.serial not in seen:
            seen[node.serial] = node
            stack.extend(node.parents)
    return seen
