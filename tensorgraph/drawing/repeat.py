"""Equal things in a row are drawn once, with a count: the blocks of a network, the steps of a loop.

Imported by graph.py. In the order in which things ran, a stretch of operations and modules that comes again at once,
built alike, born on the same lines and reading what the one before gave, becomes one frame that stands for all of them.
So do operations that take the same thing apart (the 64 steps of a sequence), and the inputs of what was merged.
"""

from __future__ import annotations

import math
from itertools import pairwise

from tensorgraph.drawing.measure import add, total_up
from tensorgraph.drawing.model import Cluster, Drawing, Edge, Vertex, walk

_LONGEST = 150  # operations and modules in one step of a loop
_ALIKE = 4  # operations side by side from which on they become one box
_CHAIN = 16  # and one after the other: a short chain says more drawn out


def roll_up(drawing: Drawing) -> Drawing:
    """The drawing with repeated stretches replaced by their first, whose numbers are the sums over all."""
    twins: dict[Vertex, Vertex] = {}
    ages = {v: i for i, v in enumerate(drawing.vertices)}
    sources: dict[Vertex, list[Edge]] = {}
    for edge in drawing.edges:
        sources.setdefault(edge.target, []).append(edge)
    sides: dict[Vertex, list[Vertex]] = {}
    for vertex in drawing.vertices:
        if vertex.beside is not None:
            sides.setdefault(vertex.beside, []).append(vertex)
    forms: dict[tuple, int] = {}  # what a thing is built like -> a number
    form: dict[Vertex | Cluster, int] = {}
    for vertex in drawing.vertices:
        if vertex.beside is None:
            about = tuple((s.kind, s.title, s.note) for s in sides.get(vertex, ()))
            line = vertex.record.get("line", "")
            key = (vertex.kind, vertex.title, vertex.result, vertex.count, line, vertex.record.get("gives"), about)
            form[vertex] = forms.setdefault(key, len(forms))
    for cluster in [*list(walk(drawing.clusters))[::-1], None]:
        items = _items(cluster, drawing, ages)
        runs = _runs([form[item] for item in items])
        for start, period, times in reversed(runs):
            _merge(drawing, cluster, [items[start + i * period :][:period] for i in range(times)], twins, sources, ages)
        if cluster is not None:
            items = _items(cluster, drawing, ages)
            key = (cluster.kind or cluster.title, cluster.count, *(form[item] for item in items if item in form))
            form[cluster] = forms.setdefault(key, len(forms))
    drawing.vertices = [v for v in drawing.vertices if v not in twins]
    found: dict[tuple, Edge] = {}
    for edge in drawing.edges:
        source, target = twins.get(edge.source, edge.source), twins.get(edge.target, edge.target)
        same = source is edge.source and target is edge.target
        if not same and source.kind == "operation" and ages[source] >= ages[target]:
            continue  # from one repetition to the next
        if same:
            found[(source, target, id(edge))] = edge
        else:
            found.setdefault((source, target), Edge(source, target, edge.label, edge.gradient))
    whole = {(s, t) for s, t, *rest in found if rest}
    edges = [e for key, e in found.items() if len(key) == 3 or key not in whole]
    merged = _merge_inputs(edges, {twins[v] for v in twins})
    drawing.edges = [e for e in edges if e.source not in merged]
    drawing.vertices = [v for v in drawing.vertices if v not in merged]
    _stand_beside(drawing)
    for i, vertex in enumerate(drawing.vertices):
        vertex.key = f"n{i}"
    for cluster in walk(drawing.clusters):
        cluster.box.values.clear()
    total_up(drawing)
    return drawing


def _stand_beside(drawing: Drawing) -> None:
    """Moves a parameter that every repetition reads to the side of the one reader that is left."""
    readers: dict[Vertex, list[Vertex]] = {}
    for edge in drawing.edges:
        if edge.source.kind == "parameter" and edge.source.beside is None:
            readers.setdefault(edge.source, []).append(edge.target)
    for vertex, targets in readers.items():
        if len(targets) == 1:
            vertex.beside, home = targets[0], targets[0].cluster
            if vertex.cluster is not None:
                vertex.cluster.members.remove(vertex)
            if home is not None:
                home.members.append(vertex)
                vertex.title = vertex.title.rpartition(".")[2]
            vertex.cluster = home


def _merge_inputs(edges: list[Edge], repeated: set[Vertex]) -> set[Vertex]:
    """The inputs that are no longer drawn because an equal one goes where they went."""
    readers: dict[Vertex, list[Vertex]] = {}
    for edge in edges:
        if edge.source.kind == "input":
            readers.setdefault(edge.source, []).append(edge.target)
    firsts: dict[tuple, Vertex] = {}
    gone: set[Vertex] = set()
    for vertex, targets in readers.items():
        if repeated.issuperset(targets):
            first = firsts.setdefault((vertex.title, vertex.note, *targets), vertex)
            if first is not vertex:
                first.count += 1
                gone.add(vertex)
    for cluster in {v.cluster for v in gone if v.cluster is not None}:
        cluster.members = [v for v in cluster.members if v not in gone]
    return gone


def _items(cluster: Cluster | None, drawing: Drawing, ages: dict[Vertex, int]) -> list[Vertex | Cluster]:
    """What stands in a cluster, in the order in which it ran; what only flows in is left out."""
    members = [v for v in drawing.vertices if v.cluster is None] if cluster is None else cluster.members
    children = drawing.clusters if cluster is None else cluster.children
    items: list[tuple[int, Vertex | Cluster]] = [
        (ages[v], v) for v in members if v.beside is None and v.kind in ("operation", "failed")
    ]
    for child in children:
        ran = [ages[v] for v in child.within() if v.kind == "operation" or v.kind == "failed"]
        if ran:
            items.append((min(ran), child))
    return [item for _, item in sorted(items, key=lambda pair: pair[0])]


def _runs(forms: list[int]) -> list[tuple[int, int, int]]:
    """(start, period, times) of stretches that come at least twice in a row; the longest run at every place."""
    places: dict[int, list[int]] = {}
    for i, f in enumerate(forms):
        places.setdefault(f, []).append(i)
    found, i = [], 0
    while i < len(forms):
        best = (0, 0, 0)
        later = places[forms[i]]
        for j in later[later.index(i) + 1 : later.index(i) + 9] if len(later) < 5000 else []:
            period = j - i
            if period > _LONGEST:
                break
            times = 1
            while forms[i + times * period : i + (times + 1) * period] == forms[i : i + period]:
                times += 1
            if times > 1 and times * period > best[0]:
                best = (times * period, period, times)
        covered, period, times = best
        if times > 1:
            found.append((i, period, times))
            i += covered
        else:
            i += 1
    return found


def _merge(
    drawing: Drawing,
    cluster: Cluster | None,
    repetitions: list[list[Vertex | Cluster]],
    twins: dict[Vertex, Vertex],
    sources: dict[Vertex, list[Edge]],
    ages: dict[Vertex, int],
) -> None:
    first = repetitions[0]
    if len(first) == 1 and isinstance(first[0], Vertex):
        alike = [items[0] for items in repetitions]
        if len(alike) >= (_ALIKE if _side_by_side(alike, sources) else _CHAIN if _chain(alike, sources) else math.inf):
            _one_box(cluster, alike, twins)
        return
    if not all(_reads(later, earlier, sources, twins) for earlier, later in pairwise(repetitions)):
        return
    pairs: dict[Vertex, Vertex] = {}
    for other in repetitions[1:]:
        for mine, its in zip(_flat(first, drawing, ages), _flat(other, drawing, ages), strict=False):
            pairs[its] = mine
            if mine.kind != its.kind:
                return
    for its, mine in pairs.items():
        twins[its] = mine
        add(mine.values, its.values)
    for vertex, twin in list(twins.items()):  # something merged before inside a repetition that goes now
        twins[vertex] = twins.get(twin, twin)
    gone = {item for other in repetitions[1:] for item in other}
    holder = drawing if cluster is None else cluster
    names = [item.title for other in repetitions for item in other if isinstance(item, Cluster)]
    if len(first) == 1 and isinstance(first[0], Cluster):
        stands = first[0]
        stands.count *= len(repetitions)
        stands.title = _range(list(dict.fromkeys(names)))
        stands.box.title = stands.title
    else:
        depth = 0 if cluster is None else cluster.depth + 1
        title = _range(list(dict.fromkeys(names))) if len(set(names)) > 1 else "repeated"
        path = title if cluster is None else f"{cluster.path}.{title}"
        stands = Cluster(title, "", path, cluster, depth, count=len(repetitions))
        for item in first:
            if isinstance(item, Cluster):
                _sink(item, stands)
                stands.children.append(item)
                (drawing.clusters if cluster is None else cluster.children).remove(item)
            else:
                item.cluster = stands
                stands.members.append(item)
                if cluster is not None:
                    cluster.members.remove(item)
        moved = set(stands.members)
        for vertex in [v for v in drawing.vertices if v.beside in moved]:
            if vertex.cluster is not None:
                vertex.cluster.members.remove(vertex)
            vertex.cluster = stands
            stands.members.append(vertex)
        (drawing.clusters if cluster is None else cluster.children).append(stands)
    if isinstance(holder, Drawing):
        holder.clusters = [c for c in holder.clusters if c not in gone]
    else:
        holder.children = [c for c in holder.children if c not in gone]
        holder.members = [v for v in holder.members if v not in gone and v.beside not in gone]


def _side_by_side(items: list, sources: dict[Vertex, list[Edge]]) -> bool:
    return len({tuple(edge.source for edge in sources.get(item, ())) for item in items}) == 1


def _chain(items: list, sources: dict[Vertex, list[Edge]]) -> bool:
    """Whether every operation works on what the one before gave, and on no other result."""
    return all(
        {edge.source for edge in sources[later] if edge.source.kind == "operation"} == {earlier}
        for earlier, later in pairwise(items)
    )


def _one_box(cluster: Cluster | None, items: list, twins: dict[Vertex, Vertex]) -> None:
    first, *others = items
    first.count = len(items)
    for vertex in others:
        twins[vertex] = first
        add(first.values, vertex.values)
    if cluster is not None:
        cluster.members = [vertex for vertex in cluster.members if vertex not in twins]


def _reads(later: list, earlier: list, sources: dict[Vertex, list[Edge]], twins: dict[Vertex, Vertex]) -> bool:
    """Whether something in one stretch reads what something in another gave, itself or what it stands for by now."""
    given = {v for item in earlier for v in ([item] if isinstance(item, Vertex) else item.within())}
    own = [v for item in later for v in ([item] if isinstance(item, Vertex) else item.within())]
    reads = (twins.get(edge.source, edge.source) for v in own for edge in sources.get(v, ()))
    return any(source in given and source.kind == "operation" for source in reads)


def _sink(cluster: Cluster, into: Cluster) -> None:
    cluster.parent = into
    for inner in walk([cluster]):
        inner.depth += 1


def _flat(items: list[Vertex | Cluster], drawing: Drawing, ages: dict[Vertex, int]) -> list[Vertex]:
    """All vertices of a repetition, those that correspond at the same place; parameters behind their operations."""
    found = []
    for item in items:
        inside = [item] if isinstance(item, Vertex) else list(item.within())
        found += sorted((v for v in inside if v.kind == "operation"), key=ages.__getitem__)
        found += sorted((v for v in inside if v.kind == "parameter"), key=ages.__getitem__)
        found += sorted((v for v in inside if v.kind not in ("operation", "parameter")), key=ages.__getitem__)
    own = {v for v in found if v.kind == "operation"}
    known = set(found)
    found += [v for v in drawing.vertices if v.beside in own and v not in known]
    return found


def _range(names: list[str]) -> str:
    """`1 … 5` for names that differ."""
    return names[0] if len(names) == 1 else ", ".join(names) if len(names) == 2 else f"{names[0]} … {names[-1]}"
