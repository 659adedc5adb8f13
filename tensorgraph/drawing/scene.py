"""A laid-out drawing as shapes with coordinates: what svg.py writes as text and raster.py paints. Imported by both."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from tensorgraph.drawing import style
from tensorgraph.drawing.measure import heat, ink
from tensorgraph.drawing.model import Cluster, Drawing, Vertex
from tensorgraph.drawing.place import (
    LABEL,
    MARGIN,
    NOTE,
    SIDE_GAP,
    SIDE_HEIGHT,
    TITLE,
    Box,
    Placing,
    box_size,
    header_text,
    side_text,
    side_width,
    text_width,
    times,
)
from tensorgraph.drawing.rows import arrange

_ARROW = 6.0


class Rect(NamedTuple):
    """A box. `round` is the radius of its corners."""

    x: float
    y: float
    width: float
    height: float
    round: float
    fill: str
    line: str
    stroke: float = 1.0
    dashed: bool = False
    tooltip: str = ""


class Curve(NamedTuple):
    """A line through points; between the second and the third it is a curve with vertical ends."""

    points: tuple[tuple[float, float], ...]
    line: str
    stroke: float = 1.2
    dashed: bool = False


class Head(NamedTuple):
    """The head of an arrow at its tip; `way` is down, up, right or left."""

    x: float
    y: float
    way: str
    fill: str


class Text(NamedTuple):
    """A line of text. `anchor` is start, middle or end; `halo` keeps it readable on top of lines."""

    x: float
    y: float
    text: str
    size: float
    fill: str
    bold: bool = False
    anchor: str = "start"
    halo: str = ""


@dataclass(slots=True)
class Scene:
    """Everything that is painted, from back to front."""

    width: float = 0.0
    height: float = 0.0
    shapes: list[Rect | Curve | Head | Text] = field(default_factory=list)


def build(drawing: Drawing) -> Scene:
    """The shapes of a drawing."""
    return _Builder(drawing).scene


class _Builder:
    def __init__(self, drawing: Drawing):
        self.drawing = drawing
        rows, self.wires = arrange(drawing, set(drawing.shown_clusters()))
        self.placing = Placing(drawing, rows, self.wires)
        self.scene = Scene()
        self.flows = {edge.source for edge in drawing.edges if edge.gradient}
        self.put = self.scene.shapes.append
        box = self.placing.picture
        stack: list[tuple[Cluster | None, Box, float, float]] = [(None, box, MARGIN + box.left, MARGIN)]
        while stack:
            cluster, box, x, y = stack.pop()
            stack.extend(reversed(self._inside(cluster, box, x, y)))
        box = self.placing.picture
        self.scene.width, self.scene.height = box.left + box.right + 2 * MARGIN, box.height + 2 * MARGIN
        self._foot()

    def _inside(self, cluster: Cluster | None, box: Box, x: float, y: float) -> list[tuple]:
        """Paints a frame and what stands in it; returns the open frames inside, with their places."""
        framed = cluster if cluster is not None and not cluster.plain else None
        if framed is not None:
            self._frame(framed, box, x, y)
        inside = self.placing.rows[cluster]
        self._links(cluster, box, x, y)
        if framed is not None:
            self._header(framed, x - box.left, x + box.right, y)
        opened = []
        for row, slots in enumerate(inside.rows):
            for i, slot in enumerate(slots):
                if isinstance(slot, int):
                    continue
                room = self.placing.box(slot)
                at = x + box.xs[row][i], y + box.tops[row] + (box.heights[row] - room.height) / 2
                if isinstance(slot, Cluster) and slot not in self.drawing.folded:
                    opened.append((slot, room, *at))
                else:
                    self._box(slot if isinstance(slot, Vertex) else slot.box, room, *at)
        return opened

    def _frame(self, cluster: Cluster, box: Box, x: float, y: float) -> None:
        fill = style.FRAMES[cluster.depth % 2]
        left, width = x - box.left, box.left + box.right
        for behind in (6, 3) if cluster.count > 1 else ():
            self.put(Rect(left + behind, y + behind, width, box.height, 8, fill, style.FRAME_LINE))
        self.put(Rect(left, y, width, box.height, 8, fill, style.FRAME_LINE, 1.0, False, cluster.path))

    def _header(self, cluster: Cluster, left: float, right: float, y: float) -> None:
        title, kind = header_text(cluster)
        fill = style.FRAMES[cluster.depth % 2]
        at = left + 10
        self.put(Text(at, y + 16, title, TITLE, style.INK, True, halo=fill))
        at += text_width(title, TITLE, True) + 6
        self.put(Text(at, y + 16, kind, NOTE, style.GREY, halo=fill))
        if cluster.count > 1:
            self._times(cluster.count, right - 6, y + 4)

    def _times(self, count: int, right: float, y: float) -> None:
        """How many equal ones a frame or box stands for."""
        badge = f"× {count}"
        room = text_width(badge, NOTE + 1, True) + 12
        self.put(Rect(right - room, y, room, 16, 8, "#ffffff", "#5d6f88"))
        self.put(Text(right - room / 2, y + 12, badge, NOTE + 1, style.INK, True, "middle"))

    def _links(self, cluster: Cluster | None, box: Box, x: float, y: float) -> None:
        inside = self.placing.rows[cluster]
        labels: dict[tuple[int, int, str], Text] = {}
        for (row, i, j, number), (leaves, enters) in zip(inside.links, box.ends, strict=True):
            a, b = inside.rows[row][i], inside.rows[row + 1][j]
            start = x + box.xs[row][i] + leaves
            end = x + box.xs[row + 1][j] + enters
            bottom, top = y + box.tops[row] + box.heights[row], y + box.tops[row + 1]
            come, go = self._edge(box, row, a, y, below=True), self._edge(box, row + 1, b, y, below=False)
            points = ((start, come), (start, bottom), (end, top), (end, go))
            self._wire(number, points, isinstance(a, Vertex) or self._shut(a), isinstance(b, Vertex) or self._shut(b))
            wire = self.wires[number]
            if wire.label and self.placing.begins(cluster, a):
                beyond = 12 if wire.gradient else 5
                labels.setdefault(
                    (row, i, wire.label),
                    Text(start + beyond, bottom + 11, wire.label, LABEL, style.GREY, halo="#ffffff"),
                )
        for row, i, last, j, number in inside.jumps:
            a, b = inside.rows[row][i], inside.rows[last][j]
            start, end = x + box.xs[row][i], x + box.xs[last][j]
            come, go = self._edge(box, row, a, y, below=True), self._edge(box, last, b, y, below=False)
            points = ((start, come), (start, come), (end, go), (end, go))
            self._wire(number, points, True, isinstance(b, Vertex) or self._shut(b))
        self.scene.shapes.extend(labels.values())

    def _shut(self, slot: object) -> bool:
        return isinstance(slot, Cluster) and slot in self.drawing.folded

    def _edge(self, box: Box, row: int, slot: object, y: float, below: bool) -> float:
        """Where the wires of a slot begin (below it) or end (above it)."""
        top, height = y + box.tops[row], box.heights[row]
        if isinstance(slot, int):
            return top
        own = self.placing.box(slot).height  # pyright: ignore[reportArgumentType]
        if isinstance(slot, Vertex) or self._shut(slot):  # the parameters at its side may be higher than the box
            vertex = slot if isinstance(slot, Vertex) else slot.box  # pyright: ignore[reportAttributeAccessIssue]
            own = box_size(vertex)[1]
        return top + (height + own) / 2 if below else top + (height - own) / 2

    def _wire(self, number: int, points: tuple, begins: bool, ends: bool) -> None:
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = points
        tip = y3 - _ARROW + 1 if ends else y3
        if tip > y0:  # inside a module of one operation there is nothing but the head
            self.put(Curve(((x0, y0), (x1, y1), (x2, min(y2, tip)), (x3, tip)), style.LINE))
        if ends:
            self.put(Head(x3, y3, "down", style.LINE))
        if self.wires[number].gradient:
            by = 7.0
            start = y0 + _ARROW - 1 if begins else y0
            if y3 > start:
                points = ((x0 + by, start), (x1 + by, max(y1, start)), (x2 + by, y2), (x3 + by, y3))
                self.put(Curve(points, style.GRADIENT, 1.2, True))
            if begins:
                self.put(Head(x0 + by, y0, "up", style.GRADIENT))

    def _look(self, vertex: Vertex) -> tuple[style.Style, str, str]:
        """The style of a box, and the colours of its title and notes."""
        look = style.STYLES[vertex.kind]
        if vertex in self.drawing.heat:
            look = look._replace(fill=self.drawing.heat[vertex])
            return look, ink(look.fill), ink(look.fill)
        if self.drawing.legend is not None and vertex.kind in ("operation", "module"):
            look = look._replace(fill="#ffffff")
        elif vertex.result:
            return style.RESULT, "#ffffff", "#dbe6f1"
        return look, style.INK, style.GREY

    def _box(self, vertex: Vertex, room: Box, x: float, y: float) -> None:
        width, height = box_size(vertex)
        y += (room.height - height) / 2
        look, dark, grey = self._look(vertex)
        corner = (0.0, 6.0, height / 2)[look.round] if look.round < 2 or height < 45 else 16.0
        left = x - width / 2
        stroke = look.width + (1.2 if vertex.result else 0.0)
        count = times(vertex)
        for behind in (6, 3) if count > 1 else ():
            self.put(Rect(left + behind, y + behind, width, height, corner, look.fill, look.line))
        if look.double:
            self.put(Rect(left - 3, y - 3, width + 6, height + 6, corner + 3, "none", look.line))
        self.put(Rect(left, y, width, height, corner, look.fill, look.line, stroke, look.dashed, vertex.tooltip))
        at = y + 17.5
        self.put(Text(x, at, vertex.title, TITLE, dark, vertex.result or vertex.kind == "module", "middle"))
        for line in vertex.note.splitlines():
            at += 12.5
            self.put(Text(x, at, line, NOTE, grey, False, "middle"))
        if count > 1:
            self._times(count, left + width + 12, y - 7)
        sides = self.placing.beside.get(vertex, ())
        if sides:
            self._sides(sides, left, y + height / 2, height)

    def _sides(self, sides: list[Vertex] | tuple, edge: float, middle: float, height: float) -> None:
        step = SIDE_HEIGHT + 4
        y = middle - (step * len(sides) - 4) / 2
        for side in sides:
            look, dark, _ = self._look(side)
            width = side_width(side)
            right = edge - SIDE_GAP
            corner = (0.0, 5.0, SIDE_HEIGHT / 2)[look.round]
            self.put(
                Rect(
                    right - width, y, width, SIDE_HEIGHT, corner, look.fill, look.line, look.width, False, side.tooltip
                )
            )
            self.put(Text(right - width / 2, y + 12, side_text(side), NOTE, dark, False, "middle"))
            centre = y + SIDE_HEIGHT / 2
            target = min(max(centre, middle - height / 2 + 5), middle + height / 2 - 5)
            gradient = side in self.flows
            by = 2.5 if gradient else 0.0
            self.put(Curve(((right, centre - by), (edge - _ARROW + 1, target - by)), style.LINE))
            self.put(Head(edge, target - by, "right", style.LINE))
            if gradient:
                self.put(Curve(((right + _ARROW - 1, centre + 3), (edge, target + 3)), style.GRADIENT, 1.2, True))
                self.put(Head(right, centre + 3, "left", style.GRADIENT))
            y += step

    def _foot(self) -> None:
        """The legend of an overlay, and the note."""
        scene, legend = self.scene, self.drawing.legend
        if legend is not None:
            y, x, n = scene.height + 4, MARGIN, 24
            self.put(Text(x, y + 9, legend.title, NOTE, style.INK, True))
            for i in range(n):
                fill = heat(i / (n - 1))
                self.put(Rect(x + 7 * i, y + 15, 7.5, 10, 0, fill, "none"))
            self.put(Rect(x, y + 15, 7 * n + 0.5, 10, 0, "none", style.FRAME_LINE))
            self.put(Text(x, y + 36, legend.low, LABEL, style.GREY))
            self.put(Text(x + 7 * n, y + 36, legend.high, LABEL, style.GREY, False, "end"))
            scene.height, scene.width = (
                y + 40 + MARGIN,
                max(scene.width, 7 * n + 2 * MARGIN, text_width(legend.title, NOTE, True) + 2 * MARGIN),
            )
        for line in self.drawing.note.splitlines():
            self.put(Text(MARGIN, scene.height + 6, line, NOTE, style.GREY))
            scene.height += 18
            scene.width = max(scene.width, text_width(line, NOTE) + 2 * MARGIN)
