"""Which row everything stands in, and in which order: the part of a layout that does not depend on what is folded.

Imported by place.py, svg.py and page.py. Every cluster is laid out by itself, as a stack of rows; a cluster inside it
is one item there, open or folded. What flows from one vertex to others is a wire; where a wire passes through a row,
or through the border of a cluster, it gets a slot of its own, so arrows never cross a box.
Source: Sugiyama, Tagawa & Toda, IEEE Transactions on Systems, Man, and Cybernetics, 1981 (rows, and their order).
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Any, TypeAlias

from tensorgraph.drawing.model import Cluster, Drawing, Vertex, walk

Item: TypeAlias = Vertex | Cluster
Slot: TypeAlias = Vertex | Cluster | int
"""what stands in a row; a number is a wire that passes"""

_MOST_BENDS = 10_000  # slots for passing wires in one cluster; the longest wires go without beyond that
_IN, _OUT = "in", "out"


@dataclass(slots=True)
class Wire:
    """What flows from one vertex: its shape and dtype, and whether a gradient comes back."""

    source: Vertex
    label: str
    number: int
    gradient: bool = False


@dataclass(slots=True)
class Rows:
    """The inside of a cluster. A link (row, i, j, wire) leads from slot i of a row to slot j of the next one."""

    rows: list[list[Slot]] = field(default_factory=list)
    links: list[tuple[int, int, int, int]] = field(default_factory=list)
    jumps: list[tuple[int, int, int, int, int]] = field(default_factory=list)  # row, i, row, j, wire
    opens: bool = False  # the first row holds the wires that come in
    closes: bool = False  # the last row holds the wires that go out


def arrange(drawing: Drawing, only: set[Cluster] | None = None) -> tuple[dict[Cluster | None, Rows], list[Wire]]:
    """The rows of every cluster (or of some), and under None those of the picture."""
    wires: dict[tuple[Vertex, str], Wire] = {}
    spans: dict[Cluster | None, dict[tuple[Any, Any, int], None]] = {c: {} for c in walk(drawing.clusters)}
    spans[None] = {}
    chains: dict[Cluster | None, list[Cluster]] = {None: []}
    for cluster in walk(drawing.clusters):
        chains[cluster] = [*chains[cluster.parent], cluster]
    twice: dict[tuple[Vertex, Vertex, str], int] = {}
    for edge in drawing.edges:
        if edge.source.beside is not None:
            continue
        source, target = edge.source, edge.target
        label = edge.label
        n = twice[source, target, label] = twice.get((source, target, label), -1) + 1
        wire = wires.setdefault((source, label + "\0" * n), Wire(source, label, len(wires)))  # x * x: two wires
        wire.gradient |= edge.gradient
        down, up = [*chains[source.cluster], source], [*chains[target.cluster], target]
        shared = next(i for i, (a, b) in enumerate(zip(down, up, strict=False)) if a is not b)
        meeting = down[shared - 1] if shared else None
        spans[meeting][down[shared], up[shared], wire.number] = None  # pyright: ignore[reportArgumentType]
        for outer, inner in zip(down[shared:], down[shared + 1 :], strict=False):
            spans[outer][inner, _OUT, wire.number] = None  # pyright: ignore[reportArgumentType]
        for outer, inner in zip(up[shared:], up[shared + 1 :], strict=False):
            spans[outer][_IN, inner, wire.number] = None  # pyright: ignore[reportArgumentType]
    age: dict[Item, int] = {v: i for i, v in enumerate(drawing.vertices)}
    for cluster in reversed(list(walk(drawing.clusters))):
        age[cluster] = min((age[x] for x in (*cluster.members, *cluster.children)), default=0)  # pyright: ignore
    found: dict[Cluster | None, Rows] = {}
    loose = [v for v in drawing.vertices if v.cluster is None]
    for cluster, links in spans.items():
        if only is not None and cluster is not None and cluster not in only:
            continue
        inside = (loose, drawing.clusters) if cluster is None else (cluster.members, cluster.children)
        items = sorted((x for part in inside for x in part if getattr(x, "beside", None) is None), key=age.__getitem__)
        found[cluster] = _stack(items, list(links))
    return found, list(wires.values())


def _stack(items: list[Item], links: list[tuple[Any, Any, int]]) -> Rows:
    made = Rows(opens=any(a == _IN for a, _, _ in links), closes=any(b == _OUT for _, b, _ in links))
    rank = _ranks(items, [(a, b) for a, b, _ in links if a != _IN and b != _OUT])
    shift = int(made.opens)
    height = max(rank.values(), default=-1) + 1 + shift
    rows: list[list[Slot]] = [[] for _ in range(height + made.closes)]
    at: dict[Any, int] = {}  # an item -> its row; its place in the row follows from the order below
    for item in items:
        at[item] = rank[item] + shift
        rows[at[item]].append(item)
    at[_IN], at[_OUT] = 0, height
    wires: dict[int, tuple[Any, list[Any]]] = {}
    for a, b, wire in links:
        wires.setdefault(wire, (a, []))[1].append(b)
    longest = _longest(at[b] - at[a] for a, b, _ in links)
    segments: list[tuple[int, Slot, Slot, int]] = []
    jumps = []
    for wire, (a, ends) in wires.items():
        here: Slot = a
        row = at[a]
        if a == _IN:
            here = wire
            rows[0].append(wire)
        near = [b for b in ends if 0 < at[b] - row <= longest]
        jumps += [(here, b, wire) for b in ends if b not in near]
        for below in range(row + 1, max((at[b] for b in near), default=row) + 1):
            segments += [(below - 1, here, b, wire) for b in near if at[b] == below and b != _OUT]
            passes = any(at[b] > below for b in near)
            ends_here = _OUT in near and below == height
            if passes or ends_here:
                rows[below].append(wire)
                segments.append((below - 1, here, wire, wire))
                here = wire
    _order(rows, segments)
    place = [{slot: i for i, slot in enumerate(row)} for row in rows]
    made.rows = rows
    made.links = [(row, place[row][a], place[row + 1][b], wire) for row, a, b, wire in segments]
    for a, b, wire in jumps:
        row = 0 if a == wire else at[a]
        if b == _OUT:  # even the longest wire has its place in the border
            rows[height].append(wire)
            place[height][wire] = len(rows[height]) - 1
            made.jumps.append((row, place[row][a], height, place[height][wire], wire))
        else:
            made.jumps.append((row, place[row][a], at[b], place[at[b]][b], wire))
    return made


def _longest(spans: Iterable[int]) -> int:
    """How many rows a wire may pass so that all wires together pass no more than `_MOST_BENDS`."""
    total, longest = 0, 0
    for span in sorted(spans):
        total += span
        if total > _MOST_BENDS:
            return max(longest, 1)
        longest = span
    return max(longest, 1)


def _ranks(items: list[Item], links: list[tuple[Item, Item]]) -> dict[Item, int]:
    """The row of every item: below all that it depends on; what depends on nothing stands right above its reader."""
    after: dict[Item, list[Item]] = {item: [] for item in items}
    before: dict[Item, list[Item]] = {item: [] for item in items}
    for a, b in dict.fromkeys(links):
        after[a].append(b)
        before[b].append(a)
    age = {item: i for i, item in enumerate(items)}
    waiting = {item: len(before[item]) for item in items}
    ready = [age[item] for item in items if not waiting[item]]
    heapify(ready)
    rank: dict[Item, int] = {}
    left = iter(items)
    while len(rank) < len(items):
        if not ready:  # a cycle, as a call that is left and entered again can make one
            ready.append(age[next(item for item in left if item not in rank)])
        item = items[heappop(ready)]
        if item in rank:
            continue
        rank[item] = max((rank[b] + 1 for b in before[item] if b in rank), default=0)
        for b in after[item]:
            waiting[b] -= 1
            if not waiting[b]:
                heappush(ready, age[b])
    free: set[Item] = set()  # what depends on no other thing than free things: inputs, parameters, states
    for item in rank:
        if all(b in free for b in before[item]) and after[item] and isinstance(item, Vertex):
            free.add(item)
    main = max(len(free), 1)
    for item in list(rank)[::-1]:
        if item in free and len(items) > main:
            below = min((rank[b] for b in after[item]), default=rank[item] + 1)
            rank[item] = max(rank[item], below - 1)
    lowest = min(rank.values(), default=0)
    return {item: r - lowest for item, r in rank.items()}


def _order(rows: list[list[Slot]], segments: list[tuple[int, Slot, Slot, int]]) -> None:
    """Sorts the slots of every row by where their neighbours stand, so that few arrows cross."""
    if all(len(row) < 2 for row in rows):
        return
    up: list[dict[Slot, list[Slot]]] = [{} for _ in rows]
    down: list[dict[Slot, list[Slot]]] = [{} for _ in rows]
    for row, a, b, _ in segments:
        down[row].setdefault(a, []).append(b)
        up[row + 1].setdefault(b, []).append(a)
    best, fewest = [list(row) for row in rows], _crossings(rows, down)
    for turn in range(6):
        if not fewest:
            break
        neighbours, step = (up, -1) if turn % 2 == 0 else (down, 1)
        for i in range(len(rows))[::-step]:
            if len(rows[i]) > 1 and 0 <= i + step < len(rows):
                _sort(rows, i, neighbours[i], rows[i + step])
        now = _crossings(rows, down)
        if now < fewest:
            best, fewest = [list(row) for row in rows], now
    rows[:] = best


def _sort(rows: list[list[Slot]], i: int, neighbours: dict[Slot, list[Slot]], other: list[Slot]) -> None:
    where = {slot: k for k, slot in enumerate(other)}
    middle, width = (len(other) - 1) / 2, len(rows[i])

    def key(at: tuple[int, Slot]) -> float:
        near = [where[n] for n in neighbours.get(at[1], ()) if n in where]
        return sum(near) / len(near) - middle if near else at[0] - (width - 1) / 2

    rows[i] = [slot for _, slot in sorted(enumerate(rows[i]), key=key)]


def _crossings(rows: list[list[Slot]], down: list[dict[Slot, list[Slot]]]) -> int:
    total = 0
    for i in range(len(rows) - 1):
        if len(rows[i]) < 2 or len(rows[i + 1]) < 2:
            continue
        where = {slot: k for k, slot in enumerate(rows[i + 1])}
        seen: list[int] = []
        for a in rows[i]:
            ends = sorted(where[b] for b in down[i].get(a, ()))
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total
