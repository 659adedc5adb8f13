"""A drawing as one HTML page that needs nothing else: no network, no package, no Graphviz. Imported by graph.py.

Python measures the text and decides in which row and order everything stands (rows.py), which does not depend on what
is folded; page.js computes the coordinates whenever somebody folds or unfolds, in the way of place.py.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from tensorgraph.drawing import place, style, svg
from tensorgraph.drawing.measure import amount, heat, ink
from tensorgraph.drawing.model import Cluster, Drawing, Vertex, walk
from tensorgraph.drawing.rows import Slot, arrange

_AT_FIRST = 60  # boxes: a larger graph opens folded


def write(drawing: Drawing) -> str:
    """The page."""
    folder = resources.files("tensorgraph.drawing")
    read = {name: folder.joinpath(f"page.{name}").read_text(encoding="utf-8") for name in ("html", "css", "js")}
    data = json.dumps(_data(drawing), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    title = drawing.clusters[0].title if drawing.clusters else "graph"
    page = read["html"].replace("{{title}}", svg.escaped(title))
    for name, text in (("css", read["css"]), ("js", read["js"]), ("data", data)):
        page = page.replace(f"{{{{{name}}}}}", text)
    return page


def at_first(drawing: Drawing) -> set[Cluster]:
    """What is folded when the page opens."""
    if drawing.folded or len(drawing.vertices) <= _AT_FIRST:
        return drawing.folded
    clusters = list(walk(drawing.clusters))
    best: set[Cluster] = set()
    for depth in range(max((c.depth for c in clusters), default=0), -1, -1):
        best = {c for c in clusters if c.depth >= depth}
        shown = Drawing(drawing.vertices, [], drawing.clusters, best)
        if len(shown.shown_vertices()) <= _AT_FIRST:
            break
    return best


def _data(drawing: Drawing) -> dict[str, Any]:
    rows, wires = arrange(drawing)
    clusters = list(walk(drawing.clusters))
    number: dict[Vertex | Cluster, int] = {v: i for i, v in enumerate(drawing.vertices)}
    number |= {c: i for i, c in enumerate(clusters)}
    boxes = [_box(v, drawing) for v in drawing.vertices]
    flows = {edge.source for edge in drawing.edges if edge.gradient}
    for made, vertex in zip(boxes, drawing.vertices, strict=True):
        made["cluster"] = -1 if vertex.cluster is None else number[vertex.cluster]
        if vertex.beside is not None:
            made |= {"beside": number[vertex.beside], "line": place.side_text(vertex)}
            made["sideWidth"] = round(place.side_width(vertex), 2)
            if vertex in flows:
                made["gradient"] = True

    def name(slot: Slot) -> str:
        kind = "w" if isinstance(slot, int) else "c" if isinstance(slot, Cluster) else "v"
        return f"{kind}{slot if isinstance(slot, int) else number[slot]}"

    folded = at_first(drawing)
    legend = drawing.legend
    return {
        "vertices": boxes,
        "clusters": [
            {
                "title": c.title,
                "kind": c.kind,
                "path": c.path,
                "parent": -1 if c.parent is None else number[c.parent],
                "depth": c.depth,
                "count": c.count,
                "plain": c.plain,
                "folded": c in folded,
                "header": round(place.header_width(c), 2),
                "titleWidth": round(place.text_width(c.title, place.TITLE, True), 2),
                "box": _box(c.box, drawing),
            }
            for c in clusters
        ],
        "rows": {
            str(-1 if c is None else number[c]): {
                "rows": [[name(slot) for slot in row] for row in inside.rows],
                "links": inside.links,
                "jumps": inside.jumps,
                "opens": inside.opens,
                "closes": inside.closes,
            }
            for c, inside in rows.items()
        },
        "wires": [{"label": w.label, "gradient": w.gradient, "source": number[w.source]} for w in wires],
        "legend": None
        if legend is None
        else {
            "title": legend.title,
            "logarithmic": legend.show == "grad",
            "colours": [[heat(i / 32), ink(heat(i / 32))] for i in range(33)],
        },
        "note": drawing.note,
        "labelWidths": {w.label: round(place.text_width(w.label, place.LABEL), 2) for w in wires},
        "rounds": {kind: look.round for kind, look in style.STYLES.items()},
        "sizes": place.CONSTANTS,
    }


def _box(vertex: Vertex, drawing: Drawing) -> dict[str, Any]:
    width, height = place.box_size(vertex)
    made = {
        "kind": vertex.kind,
        "title": vertex.title,
        "notes": vertex.note.splitlines(),
        "record": {name: text for name, text in vertex.record.items() if text},
        "width": round(width, 2),
        "height": height,
        "count": place.times(vertex),
        "result": vertex.result,
    }
    if vertex in drawing.heat and drawing.legend is not None:  # the page colours anew whenever something folds
        show = drawing.legend.show
        made |= {"value": vertex.values[show], "amount": amount(vertex.values[show], show)}
    elif drawing.legend is not None and vertex.kind in ("operation", "module"):
        made |= {"heat": "#ffffff", "ink": style.INK}
    return made
