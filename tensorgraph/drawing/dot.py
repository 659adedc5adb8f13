"""A drawing as DOT text: colours, fonts, escaping. Imported by graph.py.

Colours carry no meaning alone: parameters are square boxes, inputs ellipses, operations rounded, the result dark.
"""

from __future__ import annotations

import html
from collections.abc import Iterator

from tensorgraph.drawing.walk import Cluster, Drawing, Edge, Vertex

_FONT = "Helvetica,Arial,sans-serif"
_HEAD = f"""digraph tensorgraph {{
  graph [rankdir=TB, nodesep=0.25, ranksep=0.35, pad=0.2, fontname="{_FONT}", fontsize=11, fontcolor="#3d4a5c"]
  node [shape=box, style="rounded,filled", fillcolor="#ffffff", color="#8d99a8", fontname="{_FONT}", fontsize=11, \
fontcolor="#1d2733", height=0.3, margin="0.11,0.05"]
  edge [color="#7a8694", arrowsize=0.6, fontname="{_FONT}", fontsize=9, fontcolor="#5f6b7a"]"""

_STYLE = {
    "operation": "",
    "module": ', style="rounded,filled,bold", fillcolor="#e9eef5", color="#5d6f88"',
    "parameter": ', style=filled, fillcolor="#fdefd3", color="#c98f1d"',
    "leaf": ', shape=ellipse, fillcolor="#fdefd3", color="#c98f1d"',
    "input": ', shape=ellipse, fillcolor="#ddebf7", color="#4a86b8"',
}
_RESULT = ', fillcolor="#1f4e79", color="#1f4e79", fontcolor="#ffffff"'
_LARGE = 500  # vertices
_FRAMES = ("#f6f8fa", "#eef2f6")  # the fill of clusters, by turns


def write(drawing: Drawing) -> str:
    """The DOT text; the same drawing gives the same bytes."""
    return "\n".join(_lines(drawing)) + "\n"


def _lines(drawing: Drawing) -> Iterator[str]:
    yield _HEAD
    if len(drawing.vertices) > _LARGE:
        yield "  graph [nslimit=0.5, nslimit1=0.5, mclimit=0.1]"  # Graphviz stops improving the layout early
    for vertex in drawing.vertices:
        if vertex.cluster is None:
            yield _vertex(vertex, "  ")
    number = 0
    stack: list[Cluster | str] = list(reversed(drawing.clusters))  # a string closes the cluster above it
    while stack:
        cluster = stack.pop()
        if isinstance(cluster, str):
            yield cluster
            continue
        indent = "  " * (cluster.depth + 1)
        yield f"{indent}subgraph cluster_{number} {{"
        yield f"{indent}  graph [{_frame(cluster)}]"
        number += 1
        for vertex in cluster.members:
            yield _vertex(vertex, indent + "  ")
        stack.append(indent + "}")
        stack.extend(reversed(cluster.children))
    for edge in drawing.edges:
        yield f"  {edge.source.key} -> {edge.target.key}{_arrow(edge)}"
    yield "}"


def _vertex(vertex: Vertex, indent: str) -> str:
    title = _html(vertex.title)
    if vertex.result:
        title = f"<b>{title}</b>"
    grey = "#c9d8e8" if vertex.result else "#5f6b7a"
    lines = map(_html, vertex.note.splitlines())
    notes = "".join(f'<br/><font point-size="9" color="{grey}">{line}</font>' for line in lines)
    style = _STYLE[vertex.kind] + (_RESULT if vertex.result else "")
    return f'{indent}{vertex.key} [label=<{title}{notes}>, tooltip="{_quoted(vertex.tooltip)}"{style}]'


def _arrow(edge: Edge) -> str:
    """The way through the graph is drawn straighter than what comes in from the side."""
    if edge.source.kind == "parameter":
        return ""
    attributes = [f'label=" {_quoted(edge.label)}"'] if edge.label else []
    attributes.append("weight=8")
    if edge.span > 1:
        attributes.append(f"minlen={edge.span}")
    return f" [{', '.join(attributes)}]"


def _frame(cluster: Cluster) -> str:
    kind = f'  <font point-size="9" color="#5f6b7a">{_html(cluster.kind)}</font>' if cluster.kind else ""
    fill = _FRAMES[cluster.depth % len(_FRAMES)]
    return (
        f'label=<<b>{_html(cluster.title)}</b>{kind}>, labeljust=l, style="rounded,filled", fillcolor="{fill}", '
        f'color="#c3ccd7", tooltip="{_quoted(cluster.path)}"'
    )


def _html(text: str) -> str:
    return html.escape(_printable(text))


def _quoted(text: str) -> str:
    """Inside double quotes: there DOT reads entities and backslashes."""
    return html.escape(_printable(text), quote=True).replace("\\", "\\\\").replace("\n", "\\n")


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)
