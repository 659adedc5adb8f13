"""`draw` and `Graph`: the picture of a recorded graph as users meet it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorgraph.costs import count
from tensorgraph.drawing import dot, raster, render, scene, svg
from tensorgraph.drawing.measure import OVERLAYS, paint
from tensorgraph.drawing.model import Drawing, walk
from tensorgraph.drawing.names import identity
from tensorgraph.drawing.repeat import roll_up
from tensorgraph.drawing.walk import Failure, Walk, upwards
from tensorgraph.errors import ArgumentError, DtypeError, GraphError, sig
from tensorgraph.tensor import Tensor

FORMATS = ("svg", "png", "pdf")
_ROLL, _MANY, _FEW = 60, 600, 300  # boxes: above the first repetitions are rolled up, above the second modules fold


def draw(
    roots: Tensor | Sequence[Tensor],
    depth: int | None = None,
    names: Mapping[str, Any] | None = None,
    *,
    backward: bool = False,
    show: str | None = None,
    repeats: bool | None = None,
    profile: Any = None,
    grads: Mapping[Tensor, Any] | None = None,
) -> Graph:
    """The graph of everything that led to a tensor (or to several), as a picture.

    Operations are grouped by the module that ran them, with the parameters at their side; arrows carry shape and
    dtype. `depth=1` opens the outermost modules only and shows every module inside them as one box; by itself a
    graph of more than 600 boxes is folded, and a note in the picture says so. Blocks and steps of loops that follow
    one another and are built alike are drawn once, with their number: `repeats=True` always, `repeats=False` never,
    otherwise in graphs of more than 60 boxes.

    `names` (`names=locals()` will do) names tensors that are no parameters; `tensorgraph.name` does so where a tensor
    is made. `backward=True` adds the way of the gradients: arrows back, and on each operation the inputs for which
    its rules give one (with a tick once they have run).

    `show` colours the boxes by a number and writes it on them: "bytes" kept alive for the backward pass, "params",
    "macs" (multiply-adds of products and convolutions), "ms" (needs `profile`, of `tensorgraph.profile`), "grad" (the
    norm of the gradient of parameters and of results with `retain_grad()`, or from `grads`, tensor -> gradient).

    Call it before `backward()` to see inputs that need no gradient, such as images and labels, and the bytes kept
    alive: they are known only as long as the graph keeps them. Everything else can be drawn later just as well.

    Raises GraphError when there is no graph: nothing needed a gradient, or recording was off.
    """
    tensors = [roots] if isinstance(roots, Tensor) else list(roots)
    if not tensors:
        raise ArgumentError("draw: no tensor given")
    nodes = []
    for root in tensors:
        if not isinstance(root, Tensor):
            raise DtypeError(f"draw: {sig(root)} is no tensor")
        if root.node is None:
            raise GraphError(
                f"draw: {sig(root)} takes part in no graph",
                hint="nothing before it asked for a gradient (requires_grad=True), or no_grad() was on",
            )
        nodes.append(root.node)
    if depth is not None and depth < 0:
        raise ArgumentError(f"draw: depth must be at least 0, got {depth}")
    if show is not None and show not in OVERLAYS:
        raise ArgumentError(f"draw: unknown overlay show={show!r}", hint=f"one of {', '.join(OVERLAYS)}")
    if show == "ms" and profile is None:
        raise ArgumentError(
            "draw: show='ms' needs a measurement",
            hint="with tensorgraph.profile() as p: ...; then draw(..., profile=p)",
        )
    for tensor in grads or ():
        if not isinstance(tensor, Tensor):
            raise DtypeError(f"draw: grads maps tensors to gradients; {sig(tensor)} is no tensor")
    known: dict[Any, str] = {}
    for name, value in (names or {}).items():
        if isinstance(value, Tensor) and not name.startswith("_"):
            known.setdefault(identity(value), name)
    walked = Walk(nodes, known, backward=backward, show=show, profile=profile, grads=grads).drawing()
    return Graph(_finish(walked, depth, show, repeats))


def draw_failure(name: str, operands: tuple, scope: Any, message: str) -> Graph:
    """The graph that led to an operation that raised, with that operation marked: see `TensorgraphError.graph`."""
    nodes = [node for _, _, node in operands if node is not None]
    drawing = _finish(Walk(nodes, {}).drawing(Failure(name, operands, scope, message)), None, None, None)
    if len(drawing.vertices) > _ROLL:  # everything folds but what the failure is in
        failed = next(vertex for vertex in drawing.vertices if vertex.kind == "failed")
        drawing.folded = set(walk(drawing.clusters)) - set(upwards(failed.cluster))
    return Graph(drawing)


def _finish(drawing: Drawing, depth: int | None, show: str | None, repeats: bool | None) -> Drawing:
    """Rolls up, folds and colours."""
    if repeats or (repeats is None and len(drawing.vertices) > _ROLL):
        drawing = roll_up(drawing)
    if depth is not None:
        _fold(drawing, depth)
    elif len(drawing.vertices) > _MANY:
        for deepest in range(max((c.depth for c in walk(drawing.clusters)), default=-1), -1, -1):
            _fold(drawing, deepest)
            if len(drawing.shown_vertices()) <= _FEW:
                break
        if drawing.folded:
            drawing.note = (
                f"{len(drawing.vertices):,} boxes: folded to depth={deepest}; draw(..., depth=...) opens more"
            )
    for cluster in walk(drawing.clusters):
        parameters = cluster.box.values.get("params")
        lines = [cluster.kind] + ([f"{count(parameters)} parameters"] if parameters else [])
        cluster.box.note = "\n".join(filter(None, lines))
        operations = sum(vertex.kind == "operation" for vertex in cluster.within())
        cluster.box.result = any(vertex.result for vertex in cluster.within())
        cluster.box.record = {
            "module": cluster.path,
            "holds": f"{operations} operation{'s' * (operations != 1)}"
            + (f", {parameters:,.0f} parameters" if parameters else ""),
            "keeps": count(cluster.box.values.get("bytes", 0), "bytes") + " for the backward pass",
        }
        if cluster.box.values.get("macs"):
            cluster.box.record["multiply-adds"] = count(cluster.box.values["macs"])
    if show is not None:
        paint(drawing, show)
    return drawing


def _fold(drawing: Drawing, depth: int) -> None:
    drawing.folded = {cluster for cluster in walk(drawing.clusters) if cluster.depth >= depth}


class Graph:
    """A picture of a graph. It shows itself in a notebook; `save` writes it; `str(graph)` is its DOT text.

    It holds text only: the tensors of the graph may go. The same program gives the same text, byte for byte.
    """

    def __init__(self, drawing: Drawing):
        self._drawing = drawing
        self._dot: str | None = None
        self._svg: str | None = None

    @property
    def dot(self) -> str:
        """The picture in the DOT language of Graphviz."""
        if self._dot is None:
            self._dot = dot.write(self._drawing)
        return self._dot

    @property
    def svg(self) -> str:
        """The picture as SVG, laid out without Graphviz."""
        if self._svg is None:
            self._svg = svg.write(scene.build(self._drawing))
        return self._svg

    @property
    def html(self) -> str:
        """One page that needs nothing else: modules fold and unfold, hovering shows the record, search finds a node."""
        from tensorgraph.drawing import page

        return page.write(self._drawing)

    def __str__(self) -> str:
        return self.dot

    def __repr__(self) -> str:
        kinds = ("operation", "module", "parameter", "leaf", "input")
        counts = [(self._drawing.count(kind), kind) for kind in kinds]
        parts = [f"{n} {kind}" if n == 1 else f"{n} {kind}s".replace("leafs", "leaves") for n, kind in counts if n]
        return f"<graph: {', '.join(parts)}>"

    def render(self, format: str = "svg", engine: str | None = None) -> bytes:
        """The picture as bytes: `format` is svg, png or pdf.

        SVG needs nothing, PNG and PDF are painted by matplotlib, where it is missing by Graphviz. `engine="dot"` asks
        for Graphviz and its layout in any case: the program `dot`, else pygraphviz. Raises MissingPackageError when
        what is needed is not there.
        """
        if format not in FORMATS:
            raise ArgumentError(f"draw: unknown format {format!r}", hint=f"one of {', '.join(FORMATS)}")
        if engine not in (None, "dot"):
            raise ArgumentError(f"draw: unknown engine {engine!r}", hint="'dot' is Graphviz; None needs no Graphviz")
        if engine == "dot":
            return render.render(self.dot, format)
        if format == "svg":
            return self.svg.encode()
        if raster.available():
            return raster.paint(scene.build(self._drawing), format)
        return render.render(self.dot, format)

    def save(self, path: str | os.PathLike, engine: str | None = None) -> Path:
        """Writes the picture to a file whose ending says the format: .svg, .png, .pdf, .html, or .dot for the text.

        `engine` as for `render`. Returns the path. The file appears complete or not at all. Raises
        MissingPackageError when a PNG or PDF is asked for and there is neither matplotlib nor Graphviz,
        ArgumentError for another ending.
        """
        path = Path(path)
        format = path.suffix[1:].lower()
        if format in ("dot", "gv"):
            content = self.dot.encode()
        elif format in ("html", "htm"):
            content = self.html.encode()
        elif format in FORMATS:
            content = self.render(format, engine)
        else:
            raise ArgumentError(
                f"draw: cannot save as {path.name!r}", hint="the name ends in .svg, .png, .pdf, .html or .dot"
            )
        _write(path, content)
        return path

    def graphviz(self) -> Any:
        """The same as a `graphviz.Source` of the graphviz package."""
        try:
            import graphviz
        except ImportError as error:
            from tensorgraph.errors import MissingPackageError

            raise MissingPackageError(
                "draw: the graphviz package is not installed", hint="pip install 'tensorgraph[viz]'"
            ) from error
        return graphviz.Source(self.dot)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows: the SVG, or the text with what went wrong. Never raises."""
        try:
            return {"image/svg+xml": self.svg, "text/plain": repr(self)}
        except Exception as error:
            return {"text/plain": f"{error}\n\n{self.dot}"}


def _write(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
