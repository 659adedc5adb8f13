"""`draw` and `Graph`: the picture of a recorded graph as users meet it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorgraph.drawing import dot, render
from tensorgraph.drawing.walk import Drawing, identity, lay_out
from tensorgraph.errors import ArgumentError, DtypeError, GraphError, sig
from tensorgraph.tensor import Tensor

_NOTEBOOK_SECONDS = 30.0


def draw(roots: Tensor | Sequence[Tensor], depth: int | None = None, names: Mapping[str, Any] | None = None) -> Graph:
    """The graph of everything that led to a tensor (or to several), as a picture.

    Operations are grouped by the module that ran them, with the parameters beside them; arrows carry shape and
    dtype; the tooltip of an operation is its source line. `depth=1` opens the outermost modules only and shows every
    module inside them as one box. `names` (`names=locals()` will do) names tensors that are no parameters.

    Call it before `backward()` to see inputs that need no gradient, such as images and labels: they are known only
    as long as the graph keeps them for the backward pass. Everything else can be drawn later just as well.

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
    known: dict[Any, str] = {}
    for name, value in (names or {}).items():
        if isinstance(value, Tensor) and not name.startswith("_"):
            known.setdefault(identity(value), name)
    return Graph(lay_out(nodes, depth, known))


class Graph:
    """A picture of a graph. It shows itself in a notebook; `save` writes it; `str(graph)` is its DOT text.

    It holds text only: the tensors of the graph may go. The same program gives the same text, byte for byte.
    """

    def __init__(self, drawing: Drawing):
        self._drawing = drawing
        self._dot: str | None = None

    @property
    def dot(self) -> str:
        """The picture in the DOT language of Graphviz."""
        if self._dot is None:
            self._dot = dot.write(self._drawing)
        return self._dot

    def __str__(self) -> str:
        return self.dot

    def __repr__(self) -> str:
        kinds = ("operation", "module", "parameter", "leaf", "input")
        counts = [(self._drawing.count(kind), kind) for kind in kinds]
        parts = [f"{n} {kind}" if n == 1 else f"{n} {kind}s".replace("leafs", "leaves") for n, kind in counts if n]
        return f"<graph: {', '.join(parts)}>"

    def render(self, format: str = "svg") -> bytes:
        """The picture as bytes: `format` is svg, png or pdf.

        Uses the program `dot`, else pygraphviz. Raises MissingPackageError when neither is there.
        """
        if format not in render.FORMATS:
            raise ArgumentError(f"draw: unknown format {format!r}", hint=f"one of {', '.join(render.FORMATS)}")
        return render.render(self.dot, format)

    def save(self, path: str | os.PathLike) -> Path:
        """Writes the picture to a file whose ending says the format: .svg, .png, .pdf, or .dot for the text.

        Returns the path. The file appears complete or not at all. Raises MissingPackageError when a picture is
        asked for and there is no Graphviz, ArgumentError for another ending.
        """
        path = Path(path)
        format = path.suffix[1:].lower()
        if format in ("dot", "gv"):
            content = self.dot.encode()
        elif format in render.FORMATS:
            content = self.render(format)
        else:
            raise ArgumentError(f"draw: cannot save as {path.name!r}", hint="the name ends in .svg, .png, .pdf or .dot")
        _write(path, content)
        return path

    def graphviz(self) -> Any:
        """The same as a `graphviz.Source` of the graphviz package."""
        import graphviz

        return graphviz.Source(self.dot)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows: the SVG, or the text with a hint. Never raises, whatever is missing."""
        try:
            picture = render.render(self.dot, "svg", timeout=_NOTEBOOK_SECONDS).decode()
            return {"image/svg+xml": picture, "text/plain": repr(self)}
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
