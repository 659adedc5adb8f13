"""`summary`: the table of a model's modules, with shapes, parameters, multiply-adds, memory and receptive fields.

One forward pass is recorded, and everything is read off its graph: which module an operation ran in, the multiply-adds
that it declares, the arrays that it keeps for the backward pass. Imports module.py and receptive.py.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tensorgraph import backends
from tensorgraph.costs import count, multiply_adds, owner, saved_arrays
from tensorgraph.creation import zeros
from tensorgraph.drawing.walk import reachable
from tensorgraph.errors import ArgumentError, DtypeError, sig
from tensorgraph.generator import get_rng_state, set_rng_state
from tensorgraph.mode import enable_grad
from tensorgraph.nn.module import Module
from tensorgraph.nn.receptive import WHOLE, Field, receptive_fields
from tensorgraph.node import Node
from tensorgraph.provenance import scopes
from tensorgraph.tensor import Tensor

__all__ = ["Row", "Summary", "summary"]


@dataclass(slots=True)
class Row:
    """One module. Numbers hold for it and everything in it, for all of its calls together."""

    path: str
    kind: str
    depth: int
    shapes: list[tuple[int, ...]] = field(default_factory=list)  # of what its first call returned
    calls: int = 0
    parameters: int = 0
    multiply_adds: int = 0
    kept: int = 0  # bytes that its operations keep for the backward pass
    gradients: int = 0  # bytes of all gradients that its backward pass makes: of results and of parameters
    field: Field | None = None  # None: not known, as for results that are no images

    @property
    def name(self) -> str:
        """Its name in the module that holds it; the kind for the model itself."""
        return self.path.rpartition(".")[2] or self.kind


class Summary:
    """The table. `print` shows it, a notebook shows it as HTML; `rows` and `total` hold the numbers.

    `total` is the row of the model itself; `trainable` counts the parameters that ask for a gradient,
    `parameter_bytes`, `input_bytes` what their names say.
    """

    def __init__(self, rows: list[Row], trainable: int, parameter_bytes: int, input_bytes: int, depth: int | None):
        self.rows = rows
        self.total = rows[0]
        self.trainable = trainable
        self.parameter_bytes = parameter_bytes
        self.input_bytes = input_bytes
        self._depth = math.inf if depth is None else depth

    TITLES = ("module", "output", "parameters", "multiply-adds", "kept", "gradients", "sees")

    def _cells(self) -> Iterator[tuple[str, ...]]:
        for row in self.rows:
            if row.depth > self._depth:
                continue
            title = row.kind if not row.depth else f"{row.name}: {row.kind}"
            if row.calls > 1:
                title += f" ({row.calls} calls)"
            if not row.calls:
                title += " (not called)"
            shapes = ", ".join("x".join(map(str, shape)) or "number" for shape in row.shapes)
            numbers = (f"{row.parameters:,}" if row.parameters else "", count(row.multiply_adds) if row.calls else "")
            memory = (count(n, "bytes") if row.calls else "" for n in (row.kept, row.gradients))
            yield "  " * row.depth + title, shapes, *numbers, *memory, _sees(row.field)

    def _totals(self) -> Iterator[str]:
        total, gradients = self.total, self.total.gradients
        frozen = total.parameters - self.trainable
        yield f"parameters      {total.parameters:,}" + (f", {frozen:,} of them frozen" if frozen else "")
        yield f"multiply-adds   {count(total.multiply_adds)} in the forward pass"
        kept, weights = count(total.kept, "bytes"), count(self.parameter_bytes, "bytes")
        yield f"memory          {weights} parameters, {count(self.input_bytes, 'bytes')} input"
        yield f"                {kept} kept for the backward pass, which makes {count(gradients, 'bytes')} of gradients"

    def __str__(self) -> str:
        table = [self.TITLES, *self._cells()]
        widths = [max(len(row[i]) for row in table) for i in range(len(self.TITLES))]

        def one(row: tuple[str, ...]) -> str:
            left, right = row[:2], row[2:]
            cells = [c.ljust(w) for c, w in zip(left, widths)] + [c.rjust(w) for c, w in zip(right, widths[2:])]
            return "  ".join(cells).rstrip()

        rule = "-" * (sum(widths) + 2 * len(widths) - 2)
        return "\n".join([one(self.TITLES), rule, *map(one, table[1:]), rule, *self._totals()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def line(tag: str, row: tuple[str, ...]) -> str:
            cells = []
            for i, cell in enumerate(row):
                indent = len(cell) - len(cell.lstrip())
                style = f"text-align:left;padding-left:{0.5 + 0.6 * indent}em" if i < 2 else "text-align:right"
                cells.append(f'<{tag} style="{style}">{html.escape(cell.strip())}</{tag}>')
            return f"<tr>{''.join(cells)}</tr>"

        rows = "".join(line("td", row) for row in self._cells())
        totals = html.escape("\n".join(self._totals()))
        return f"<table>{line('th', self.TITLES)}{rows}</table><pre>{totals}</pre>"


def _sees(seen: Field | None) -> str:
    if seen is None:
        return ""
    return "all" if seen is WHOLE else "x".join(map(str, seen.size))


def summary(model: Module, input: Any, depth: int | None = None) -> Summary:
    """The table of the modules of `model` for one `input`.

    input: a tensor, a tuple of the tensors that the model is called with, or the shape of one float32 tensor with its
    batch axis, `(1, 3, 224, 224)`, made where the model is. `depth=1` shows the children of the model only; their
    numbers include what is in them.

    Columns: shapes of what the module returned (first call); parameters; multiply-adds of the forward pass (those of
    matrix products and convolutions, as is usual); bytes kept for the backward pass (an array kept twice counts
    once, parameters and the input do not count); bytes of the gradients that the backward pass makes, all added up;
    and how many pixels of the input an entry of the result sees (receptive field; convolutions and pooling are
    followed, batch statistics are not counted).

    The model is called once in the mode it is in. Its buffers, the random state and its `requires_grad` are as they
    were afterwards. On the device "meta" that takes no arithmetic: `summary(copy.deepcopy(model).to("meta"), shape)`.
    Raises what the model raises; DtypeError for something that is no module.
    """
    if not isinstance(model, Module):
        raise DtypeError(f"summary: expected a module, got {sig(model)}")
    inputs = _inputs(input, next((p.device for p in model.parameters()), None))
    calls: list[tuple[Module, Any]] = []
    with _unchanged(model), enable_grad():
        alike = [_recorded(x) for x in inputs]
        if not any(isinstance(x, Tensor) and x.node is not None for x in alike):
            model.requires_grad_()  # nothing but integers goes in: otherwise a frozen model would record nothing
        handles = [m.register_forward_hook(lambda m, _, y: calls.append((m, y))) for m in model.modules()]
        try:
            model(*alike)
        finally:
            for handle in handles:
                handle.remove()
    rows = _Rows(model, calls, [x.node for x in alike if isinstance(x, Tensor) and x.node is not None])
    parameters = list(model.parameters())
    return Summary(
        list(rows.rows.values()),
        trainable=sum(p.size for p in parameters if p.requires_grad),
        parameter_bytes=sum(p.nbytes for p in parameters),
        input_bytes=sum(x.nbytes for x in inputs if isinstance(x, Tensor)),
        depth=depth,
    )


def _inputs(input: Any, device: str | None) -> tuple[Any, ...]:
    if isinstance(input, Tensor):
        return (input,)
    if isinstance(input, (tuple, list)) and input and all(type(n) is int for n in input):
        if min(input) < 1:
            raise ArgumentError(f"summary: a shape has no axis below 1, got {tuple(input)}")
        return (zeros(tuple(input), device=device),)
    if isinstance(input, (tuple, list)) and any(isinstance(x, Tensor) for x in input):
        return tuple(input)
    raise DtypeError(f"summary: input is a tensor, a tuple of tensors or a shape, got {sig(input)}")


def _recorded(x: Any) -> Any:
    """The same values as a leaf, so that all of the forward pass is recorded, whatever is frozen."""
    return x.detach().requires_grad_() if isinstance(x, Tensor) and x.dtype.kind in "fcV" else x


@contextmanager
def _unchanged(model: Module) -> Iterator[None]:
    buffers = [(b, backends.backend_of(b.array).copy(b.array)) for b in model.buffers()]
    asked = [(p, p.requires_grad) for p in model.parameters()]
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)
        for buffer, values in buffers:
            buffer.array[...] = values
        for parameter, before in asked:
            parameter.requires_grad_(before)


class _Rows:
    """Fills the rows from the recorded graph."""

    def __init__(self, model: Module, calls: list[tuple[Module, Any]], inputs: list[Node]):
        self.rows: dict[int, Row] = {}
        for path, module in model.named_modules():
            row = Row(path, type(module).__name__, path.count(".") + 1 if path else 0)
            row.parameters = sum(p.size for p in module.parameters())
            self.rows[id(module)] = row
        results = [(module, list(_tensors(y))) for module, y in calls]
        nodes = reachable(t.node for _, found in results for t in found if t.node is not None)
        fields = receptive_fields(nodes, inputs)
        for module, found in results:
            self._called(self.rows[id(module)], found, fields)
        counted = {id(owner(t.array)) for t in (*model.parameters(), *model.buffers())}
        counted |= {id(owner(t.array)) for node in inputs if (t := node.tensor()) is not None}
        trained = self._trained(nodes, inputs)
        for node in nodes:
            if not node.is_leaf and node.shape is not None:
                self._ran(node, counted, node.serial in trained)
        for module in model.modules():
            size = sum(p.nbytes for p in module.parameters() if p.requires_grad)
            self.rows[id(module)].gradients += size

    def _called(self, row: Row, found: list[Tensor], fields: dict[int, Field]) -> None:
        row.calls += 1
        if row.calls > 1:
            return
        row.shapes = [tuple(t.shape) for t in found]
        seen = [fields[t.node.serial] for t in found if t.node is not None and t.node.serial in fields]
        images = [f for f in seen if f is WHOLE or f.size]
        row.field = images[0] if images else None

    @staticmethod
    def _trained(nodes: list[Node], inputs: list[Node]) -> set[int]:
        """The nodes that a training step records: those that a parameter leads to, not the input alone."""
        found: set[int] = set()
        outside = {node.serial for node in inputs}
        for node in nodes:
            leaf = node.is_leaf and node.serial not in outside
            if leaf or any(parent.serial in found for parent in node.parents):
                found.add(node.serial)
        return found

    def _ran(self, node: Node, counted: set[int], trained: bool) -> None:
        kept = 0
        for array in saved_arrays(node.saved) if trained else ():
            base = owner(array)
            if id(base) not in counted:
                counted.add(id(base))
                kept += base.nbytes
        work = multiply_adds(node) or 0
        made = math.prod(node.shape) * node.dtype.itemsize if trained else 0
        for module in {id(scope.module) for scope in scopes(node.scope)}:
            if (row := self.rows.get(module)) is not None:
                row.multiply_adds += work
                row.kept += kept
                row.gradients += made


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _tensors(entry)
    elif isinstance(value, (tuple, list)):
        for entry in value:
            yield from _tensors(entry)
