"""Where everything stands: from rows to coordinates, for what is folded now. Imported by svg.py; page.js does the same.

A box inside a row has an anchor; boxes of neighbouring rows want their arrows to be straight, boxes of one row must
not overlap, and the nearest such positions are found row by row.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tensorgraph.drawing.model import Cluster, Drawing, Vertex
from tensorgraph.drawing.rows import Rows, Slot, Wire

TITLE, NOTE, LABEL = 12.0, 10.0, 9.0  # sizes of type
SIDE_HEIGHT, SIDE_GAP = 17.0, 16.0
HEADER, PADDING, CARDS = 24.0, 10.0, 7.0
_GAP, _LABEL_GAP, _BORDER_GAP = 20.0, 27.0, 13.0
_BETWEEN, _PASSING = 16.0, 5.0
_SWEEPS = 8
MARGIN = 12.0  # around the picture

CONSTANTS = {
    "header": HEADER,
    "padding": PADDING,
    "cards": CARDS,
    "sideHeight": SIDE_HEIGHT,
    "sideGap": SIDE_GAP,
    "gap": _GAP,
    "labelGap": _LABEL_GAP,
    "borderGap": _BORDER_GAP,
    "between": _BETWEEN,
    "passing": _PASSING,
    "sweeps": _SWEEPS,
    "margin": MARGIN,
}
"""the same numbers for page.js"""

# Widths of Helvetica and Arial in thousandths of the size of type; what is not listed counts as a lower-case letter.
_WIDTHS = (
    dict.fromkeys("ijl.,:;'|!", 0.25) | dict.fromkeys("ftI()[]{}/\\ -`r", 0.33) | dict.fromkeys("mwMWO@%GQ∂✓", 0.84)
)
_WIDTHS |= dict.fromkeys("ABCDEFHJKLNPRSTUVXYZ&_=+<>", 0.66) | dict.fromkeys("cksvxyz", 0.5)


def text_width(text: str, size: float, bold: bool = False) -> float:
    """About how wide a text is."""
    return sum(_WIDTHS.get(c, 0.56) for c in text) * size * (1.07 if bold else 1.0)


@dataclass(slots=True)
class Box:
    """The room that a slot takes: `left` and `right` of its anchor, and `height`; where wires enter and leave."""

    left: float
    right: float
    height: float
    enters: dict[int, float] = field(default_factory=dict)
    leaves: dict[int, float] = field(default_factory=dict)
    xs: list[list[float]] = field(default_factory=list)  # of the slots inside
    tops: list[float] = field(default_factory=list)  # of the rows inside
    heights: list[float] = field(default_factory=list)
    ends: list[tuple[float, float]] = field(default_factory=list)  # per link: from the anchors of its two slots


class Placing:
    """Sizes and positions of all that is seen."""

    def __init__(self, drawing: Drawing, rows: dict[Cluster | None, Rows], wires: list[Wire]):
        self.drawing, self.rows, self.wires = drawing, rows, wires
        self.beside: dict[Vertex, list[Vertex]] = {}
        for vertex in drawing.vertices:
            if vertex.beside is not None:
                self.beside.setdefault(vertex.beside, []).append(vertex)
        self.boxes: dict[Vertex | Cluster, Box] = {}
        for cluster in reversed(list(drawing.shown_clusters())):
            self.boxes[cluster] = self._inside(cluster)
        self.picture = self._inside(None)

    def box(self, slot: Slot) -> Box:
        """The room of whatever stands in a row."""
        if isinstance(slot, int):
            return Box(_PASSING, _PASSING, 0.0)
        known = self.boxes.get(slot)
        if known is None:
            vertex = slot if isinstance(slot, Vertex) else slot.box
            width, height = box_size(vertex)
            sides = self.beside.get(vertex, ())
            column = max((side_width(side) + SIDE_GAP for side in sides), default=0.0)
            height = max(height, (SIDE_HEIGHT + 4) * len(sides) - 4)
            if times(vertex) > 1:
                height += 2 * CARDS  # the cards behind it
            known = self.boxes[slot] = Box(width / 2 + column, width / 2, height)
        return known

    def _inside(self, cluster: Cluster | None) -> Box:
        inside = self.rows[cluster]
        ends = self._ends(inside)
        rows = [[self.box(slot) for slot in row] for row in inside.rows]
        for (row, i, _, wire), (leaves, _) in zip(inside.links, ends, strict=True):
            label, box = self.wires[wire].label, rows[row][i]
            if label and self.begins(cluster, inside.rows[row][i]):  # room for the label of a wire
                right = max(box.right, leaves + text_width(label, LABEL) + (15 if self.wires[wire].gradient else 8))
                rows[row][i] = Box(box.left, right, box.height)
        xs = _positions(inside, rows, ends)
        left = min(
            (x - b.left for row, at in zip(rows, xs, strict=True) for b, x in zip(row, at, strict=True)), default=0
        )
        right = max(
            (x + b.right for row, at in zip(rows, xs, strict=True) for b, x in zip(row, at, strict=True)), default=0
        )
        if cluster is not None and not cluster.plain:
            left, right = left - PADDING, right + PADDING
            right = max(right, left + header_width(cluster) + 2 * PADDING)
        first = xs[0] if xs else [0.0]
        middle = sum(first) / max(len(first), 1)
        xs = [[x - middle for x in at] for at in xs]
        tops, heights, bottom = self._heights(inside, rows, xs, ends, cluster)
        made = Box(middle - left, right - middle, bottom, {}, {}, xs, tops, heights, ends)
        if inside.opens:
            made.enters = {w: x for w, x in zip(inside.rows[0], xs[0], strict=True) if isinstance(w, int)}
        if inside.closes:
            made.leaves = {w: x for w, x in zip(inside.rows[-1], xs[-1], strict=True) if isinstance(w, int)}
        return made

    def _open(self, slot: Slot) -> bool:
        return isinstance(slot, Cluster) and slot not in self.drawing.folded

    def _ends(self, inside: Rows) -> list[tuple[float, float]]:
        """For every link, where it leaves and where it enters, measured from the anchors of the slots."""
        incoming: dict[tuple[int, int], list[tuple[int, int]]] = {}
        outgoing: dict[tuple[int, int], list[int]] = {}
        for row, i, j, wire in inside.links:
            incoming.setdefault((row + 1, j), []).append((i, wire))
            if wire not in (wires := outgoing.setdefault((row, i), [])):
                wires.append(wire)
        ends = []
        for row, i, j, wire in inside.links:
            a, b = inside.rows[row][i], inside.rows[row + 1][j]
            if self._open(a):
                leaves = self.box(a).leaves.get(wire, 0.0)
            else:
                out = outgoing[row, i]
                leaves = 0.0 if isinstance(a, int) else _spread(self.box(a), out.index(wire), len(out))
            if self._open(b):
                enters = self.box(b).enters.get(wire, 0.0)
            else:
                come = sorted(incoming[row + 1, j])
                enters = 0.0 if isinstance(b, int) else _spread(self.box(b), come.index((i, wire)), len(come))
            ends.append((leaves, enters))
        return ends

    def begins(self, cluster: Cluster | None, slot: Slot) -> bool:
        """Whether wires that leave this slot are seen to begin here, so that their label stands here."""
        if isinstance(slot, int) or (cluster is not None and cluster.plain):
            return False
        return isinstance(slot, Vertex) or slot.plain or not self._open(slot)

    def _heights(
        self, inside: Rows, rows: list[list[Box]], xs: list[list[float]], ends: list, cluster: Cluster | None
    ) -> tuple[list[float], list[float], float]:
        """Top and height of every row, and where everything ends."""
        plain, framed = cluster is not None and cluster.plain, cluster is not None and not cluster.plain
        labelled = [False] * len(rows)
        widest = [0.0] * len(rows)
        for (row, i, j, wire), (leaves, enters) in zip(inside.links, ends, strict=True):
            labelled[row] |= bool(self.wires[wire].label) and self.begins(cluster, inside.rows[row][i])
            widest[row] = max(widest[row], abs(xs[row][i] + leaves - xs[row + 1][j] - enters))
        y = HEADER if framed and not inside.opens else 0.0
        tops, heights = [], []
        for row, boxes in enumerate(rows):
            height = max((box.height for box in boxes), default=0.0)
            tops.append(y)
            heights.append(height)
            y += height
            if row < len(rows) - 1 and not plain:
                gap = (_LABEL_GAP if labelled[row] else _GAP) + min(0.07 * widest[row], 40)
                if inside.closes and row == len(rows) - 2:
                    gap = _LABEL_GAP - 5 if labelled[row] else _BORDER_GAP
                if inside.opens and row == 0:
                    gap = HEADER + 3 if framed else _GAP
                y += gap
        return tops, heights, y + (PADDING if framed and not inside.closes else 0)


def _spread(box: Box, i: int, n: int) -> float:
    """Where the i-th of n arrows meets a box."""
    return (i - (n - 1) / 2) * min(16.0, 2 * box.right / (n + 1))


def box_size(vertex: Vertex) -> tuple[float, float]:
    """Width and height of a box with its text."""
    bold = vertex.kind == "module" or vertex.result
    lines = vertex.note.splitlines()
    width = max(text_width(vertex.title, TITLE, bold), *(text_width(line, NOTE) for line in lines), 20.0, 20.0)
    rounder = 10 if vertex.kind in ("leaf", "input") else 0
    return width + 20 + rounder, 26.0 + 12.5 * len(lines)


def times(vertex: Vertex) -> int:
    """How many equal things a box stands for."""
    return vertex.count if vertex.stands_for is None else vertex.stands_for.count


def side_text(vertex: Vertex) -> str:
    """What stands in the box of a parameter at the side of its operation, on one line."""
    many = [f"× {vertex.count}"] if vertex.count > 1 else []
    return "  ".join([vertex.title, *vertex.note.splitlines(), *many])


def side_width(vertex: Vertex) -> float:
    """Width of that box."""
    return text_width(side_text(vertex), NOTE) + 14 + (6 if vertex.kind == "input" else 0)


def header_text(cluster: Cluster) -> tuple[str, str]:
    """Title of a frame, and what stands behind it in smaller type."""
    return cluster.title, cluster.kind


def header_width(cluster: Cluster) -> float:
    """Room for both."""
    title, kind = header_text(cluster)
    badge = text_width(f"× {cluster.count}", TITLE, True) + 12 if cluster.count > 1 else 0
    return text_width(title, TITLE, True) + 6 + text_width(kind, NOTE) + badge


def _positions(inside: Rows, rows: list[list[Box]], ends: list[tuple[float, float]]) -> list[list[float]]:
    """The anchors of all slots."""
    xs = [_apart([0.0] * len(row), [1.0] * len(row), row) for row in rows]
    up: list[list[list]] = [[[] for _ in row] for row in rows]
    down: list[list[list]] = [[[] for _ in row] for row in rows]
    for (row, i, j, _), (leaves, enters) in zip(inside.links, ends, strict=True):
        passing = isinstance(inside.rows[row][i], int) + isinstance(inside.rows[row + 1][j], int)
        weight = (1.0, 2.0, 8.0)[passing]  # long wires are straight before short ones
        down[row][i].append((j, enters - leaves, weight))
        up[row + 1][j].append((i, leaves - enters, weight))
    heavy = [[[sum(weight for _, _, weight in near) for near in row] for row in way] for way in (up, down)]
    for sweep in range(_SWEEPS):
        above = sweep % 2 == 0
        for row in range(len(rows))[:: 1 if above else -1]:
            near, total, other = (up[row], heavy[0][row], row - 1) if above else (down[row], heavy[1][row], row + 1)
            if not 0 <= other < len(rows) or not rows[row]:
                continue
            there = xs[other]
            wanted = [
                sum((there[j] + d) * weight for j, d, weight in neighbours) / total[i] if neighbours else xs[row][i]
                for i, neighbours in enumerate(near)
            ]
            xs[row] = _apart(wanted, [weight or 0.1 for weight in total], rows[row])
    return xs


def _apart(wanted: list[float], weights: list[float], boxes: list[Box]) -> list[float]:
    """The positions nearest to the wanted ones in which no box overlaps the next (weighted isotonic regression)."""
    room = [0.0]
    for a, b in zip(boxes, boxes[1:], strict=False):
        thin = a.height == 0 and b.height == 0
        room.append(room[-1] + a.right + b.left + (2.0 if thin else _BETWEEN))
    blocks: list[list[float]] = []  # mean, weight, how many
    for x, weight, start in zip(wanted, weights, room, strict=False):
        blocks.append([x - start, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, total, n = blocks.pop()
            last = blocks[-1]
            last[0] = (last[0] * last[1] + mean * total) / (last[1] + total)
            last[1] += total
            last[2] += n
    found = [block[0] for block in blocks for _ in range(int(block[2]))]
    return [x + start for x, start in zip(found, room, strict=False)]
