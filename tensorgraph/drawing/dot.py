"""A drawing as DOT text: outlines, colours, escaping. Imported by graph.py."""

from __future__ import annotations

import html
from collections.abc import Iterator

from tensorgraph.drawing import style
from tensorgraph.drawing.measure import heat, ink
from tensorgraph.drawing.model import Cluster, Drawing, Edge, Vertex
from tensorgraph.drawing.place import times

_HEAD = f"""digraph tensorgraph {{
  graph [rankdir=TB, nodesep=0.25, ranksep=0.35, pad=0.2, fontname="{style.FONT}", fontsize=11, fontcolor="#3d4a5c"]
  node [shape=box, style="rounded,filled", fillcolor="#ffffff", color="#8d99a8", fontname="{style.FONT}", fontsize=11, \
fontcolor="{style.INK}", height=0.3, margin="0.11,0.05"]
  edge [color="{style.LINE}", arrowsize=0.6, fontname="{style.FONT}", fontsize=9, fontcolor="{style.GREY}"]"""

_LARGE = 300  # boxes


def write(drawing: Drawing) -> str:
    """The DOT text; the same drawing gives the same bytes."""
    return "\n".join(_Writer(drawing).lines()) + "\n"


class _Writer:
    def __init__(self, drawing: Drawing):
        self.drawing = drawing
        self.vertices = drawing.shown_vertices()
        self.keys = {vertex: f"n{i}" for i, vertex in enumerate(self.vertices)}

    def lines(self) -> Iterator[str]:
        drawing = self.drawing
        yield _HEAD
        if len(self.vertices) > _LARGE:  # Graphviz stops improving the layout early
            yield "  graph [nslimit=0.2, nslimit1=0.2, mclimit=0.05, splines=line]"
        for cluster, indent, opens in self._order():
            if not opens:
                yield f"{indent}}}"
                continue
            if cluster is not None and not cluster.plain:
                yield f"{indent}subgraph cluster_{cluster.key} {{"
                indent += "  "
                yield f"{indent}graph [{_frame(cluster)}]"
            yield from (self._vertex(v, indent) for v in self._inside(cluster))
        edges = drawing.shown_edges()
        for edge in edges:
            yield f"  {self.keys[edge.source]} -> {self.keys[edge.target]}{_arrow(edge)}"
        for edge in edges:
            if edge.gradient:
                way = f'dir=back, style=dashed, color="{style.GRADIENT}", constraint=false, tooltip="gradient"'
                yield f"  {self.keys[edge.source]} -> {self.keys[edge.target]} [{way}]"
        yield from self._foot()
        yield "}"

    def _order(self) -> Iterator[tuple[Cluster | None, str, bool]]:
        """Clusters as they open and close, with the indentation of their line."""
        yield None, "  ", True
        number = 0
        stack = [(cluster, "  ", True) for cluster in reversed(self.drawing.clusters)]
        while stack:
            cluster, indent, opens = stack.pop()
            if cluster in self.drawing.folded:
                continue
            if opens:
                deeper = indent
                if not cluster.plain:
                    cluster.key = str(number)
                    number += 1
                    stack.append((cluster, indent, False))
                    deeper += "  "
                stack.extend((child, deeper, True) for child in reversed(cluster.children))
            yield cluster, indent, opens

    def _inside(self, cluster: Cluster | None) -> list[Vertex]:
        """The boxes right inside a cluster, folded clusters among them, in order."""
        drawing = self.drawing
        if cluster is None:
            members, children = [v for v in drawing.vertices if v.cluster is None], drawing.clusters
        else:
            members, children = cluster.members, cluster.children
        return sorted(
            [*members, *(c.box for c in children if c in drawing.folded)], key=lambda v: int(self.keys[v][1:])
        )

    def _vertex(self, vertex: Vertex, indent: str) -> str:
        look = style.STYLES[vertex.kind]
        attributes, dark, grey = [], style.INK, style.GREY
        if vertex in self.drawing.heat:
            look = look._replace(fill=self.drawing.heat[vertex])
            dark = grey = ink(look.fill)
        elif self.drawing.legend is not None and vertex.kind in ("operation", "module"):
            look = look._replace(fill="#ffffff")
        elif vertex.result:
            look, dark, grey = style.RESULT._replace(round=look.round, double=look.double), "#ffffff", "#dbe6f1"
        if look.round == 2:
            attributes.append("shape=ellipse")
        if look.double:
            attributes.append("peripheries=2")
        words = ["rounded"] * (look.round == 1) + ["filled"] + ["bold"] * (look.width > 1) + ["dashed"] * look.dashed
        plain = style.STYLES["operation"]
        if words != ["rounded", "filled"]:
            attributes.append(f'style="{",".join(words)}"')
        if look.fill != plain.fill:
            attributes.append(f'fillcolor="{look.fill}"')
        if look.line != plain.line:
            attributes.append(f'color="{look.line}"')
        if dark != style.INK:
            attributes.append(f'fontcolor="{dark}"')
        title = f"<b>{_html(vertex.title)}</b>" if vertex.result else _html(vertex.title)
        lines = map(_html, vertex.note.splitlines())
        if times(vertex) > 1:
            title += f" × {times(vertex)}"
        notes = "".join(f'<br/><font point-size="9" color="{grey}">{line}</font>' for line in lines)
        look_of_it = "".join(f", {attribute}" for attribute in attributes)
        return f'{indent}{self.keys[vertex]} [label=<{title}{notes}>, tooltip="{_quoted(vertex.tooltip)}"{look_of_it}]'

    def _foot(self) -> Iterator[str]:
        drawing = self.drawing
        rows = []
        if drawing.legend is not None:
            legend = drawing.legend
            cells = "".join(f'<td bgcolor="{heat(i / 11)}" width="14" height="10"></td>' for i in range(12))
            rows = [
                f'<tr><td colspan="14" align="left"><b>{_html(legend.title)}</b></td></tr>',
                f"<tr><td>{_html(legend.low)}</td>{cells}<td>{_html(legend.high)}</td></tr>",
            ]
        rows += [f'<tr><td colspan="14" align="left">{_html(line)}</td></tr>' for line in drawing.note.splitlines()]
        if rows:
            table = f'<table border="0" cellborder="0" cellspacing="0">{"".join(rows)}</table>'
            yield f"  graph [labelloc=b, labeljust=l, label=<{table}>]"


def _arrow(edge: Edge) -> str:
    """The way through the graph is drawn straighter than what comes in from the side."""
    if edge.source.kind == "parameter":
        return ""
    attributes = [f'label=" {_quoted(edge.label)}"'] if edge.label else []
    attributes.append("weight=8")
    return f" [{', '.join(attributes)}]"


def _frame(cluster: Cluster) -> str:
    times = f" × {cluster.count}" if cluster.count > 1 else ""
    kind = f'  <font point-size="9" color="{style.GREY}">{_html(cluster.kind)}</font>' if cluster.kind else ""
    fill = style.FRAMES[cluster.depth % len(style.FRAMES)]
    return (
        f'label=<<b>{_html(cluster.title)}{times}</b>{kind}>, labeljust=l, style="rounded,filled", fillcolor="{fill}", '
        f'color="{style.FRAME_LINE}", tooltip="{_quoted(cluster.path)}"'
    )


def _html(text: str) -> str:
    return html.escape(_printable(text))


def _quoted(text: str) -> str:
    """Inside double quotes: there DOT reads entities and backslashes."""
    return html.escape(_printable(text), quote=True).replace("\\", "\\\\").replace("\n", "\\n")


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)
