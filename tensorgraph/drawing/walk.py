"""From nodes to a drawing: what is shown as vertex, edge or cluster, in which order, under which name.

Imported by graph.py. The result holds text only, no node and no array: a picture keeps nothing alive. Vertices are
numbered in the order in which their nodes were made, so the same program gives the same drawing in every run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tensorgraph.backends import ARRAYS
from tensorgraph.errors import sig_of
from tensorgraph.node import Node
from tensorgraph.provenance import Birth, Scope, birth, scopes
from tensorgraph.tensor import Tensor


@dataclass(slots=True, eq=False)
class Cluster:
    """One call of a module. `title` is its name in the module that called it, `kind` its class."""

    title: str
    kind: str
    path: str
    parent: Cluster | None
    depth: int
    members: list[Vertex] = field(default_factory=list)
    children: list[Cluster] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Vertex:
    """A box. `kind` is `operation`, `parameter`, `leaf`, `input` or `module` (a folded one)."""

    kind: str
    title: str
    note: str
    tooltip: str
    cluster: Cluster | None = None
    key: str = ""
    result: bool = False


@dataclass(slots=True)
class Edge:
    """An arrow along which `label` (shape and dtype) flows. `span`: how many rows down its target is at least."""

    source: Vertex
    target: Vertex
    label: str
    span: int = 1


@dataclass(slots=True)
class Drawing:
    """All that a picture shows."""

    vertices: list[Vertex]
    edges: list[Edge]
    clusters: list[Cluster]  # the outermost ones

    def count(self, kind: str) -> int:
        """Number of vertices of a kind."""
        return sum(v.kind == kind for v in self.vertices)


def reachable(roots: Iterable[Node]) -> list[Node]:
    """The nodes that lead to `roots`, oldest first."""
    seen: dict[int, Node] = {}
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node.serial not in seen:
            seen[node.serial] = node
            stack.extend(node.parents)
    return [seen[serial] for serial in sorted(seen)]


def identity(value: Any) -> tuple[str, int]:
    """What a drawing knows a tensor by: its node, or outside the graph the array that operations saw."""
    if isinstance(value, Node):
        return "node", value.serial
    if isinstance(value, Tensor):
        return identity(value.array if value.node is None else value.node)
    return "array", id(value)


def lay_out(roots: list[Node], depth: int | None, names: Mapping[tuple[str, int], str]) -> Drawing:
    """The drawing of everything that leads to `roots`.

    Modules nested deeper than `depth` are folded into one vertex each. `names` names tensors by their `identity`.
    """
    return _Layout(roots, depth, names).drawing()


class _Layout:
    def __init__(self, roots: list[Node], depth: int | None, names: Mapping[tuple[str, int], str]):
        self.nodes = reachable(roots)
        self.roots = {node.serial for node in roots}
        self.depth = math.inf if depth is None else depth
        self.names = names
        self.clusters: dict[Scope, Cluster] = {}
        self.outermost: dict[Scope, Cluster] = {}
        self.children: dict[int, dict[int, str]] = {}  # id of a module -> id of a module in it -> its name there
        self.places: dict[tuple[Any, int], str] = {}
        self.vertices: list[Vertex] = []
        self.by_node: dict[int, Vertex] = {}
        self.by_array: dict[int, Vertex] = {}
        self.folded: dict[Cluster, Vertex] = {}
        self.inside: dict[Vertex, list[Node]] = {}  # what a folded module hides
        self.edges: dict[tuple[Vertex, Vertex, str, int], Edge] = {}

    def drawing(self) -> Drawing:
        parameters = self._parameter_names()
        for node in self.nodes:
            if node.is_leaf:
                self._leaf(node, parameters)
            elif not _is_pick(node) or node.serial in self.roots:
                self._operation(node)
        for node in self.nodes:
            if not node.is_leaf and node.serial in self.by_node:
                self._arrows(node)
        self._place_parameters()
        self._describe_folded()
        self._stack_clusters()
        for vertex in self.vertices:
            if vertex.cluster is not None:
                vertex.cluster.members.append(vertex)
        top = list(self.outermost.values())
        for cluster in top:
            _drop_trivial_frames(cluster)
        for i, vertex in enumerate(self.vertices):
            vertex.key = f"n{i}"
        return Drawing(self.vertices, list(self.edges.values()), [c for c in top if c.members or c.children])

    # ---- vertices ------------------------------------------------------------------------------------------------
    def _add(self, vertex: Vertex) -> Vertex:
        self.vertices.append(vertex)
        return vertex

    def _leaf(self, node: Node, parameters: Mapping[int, str]) -> None:
        name = parameters.get(node.serial)
        shape = sig_of(node.shape, node.dtype)
        if name is not None:
            n = math.prod(node.shape)
            made = Vertex("parameter", name, shape, f"{name}\n{shape}: {n:,} number{'s' * (n != 1)}")
        else:
            made = Vertex("leaf", self.names.get(identity(node), "leaf"), shape, self._born(node))
        made.result = node.serial in self.roots
        self.by_node[node.serial] = self._add(made)

    def _operation(self, node: Node) -> None:
        cluster = None if node.scope is None else self._cluster(node.scope)
        while cluster is not None and cluster.depth > self.depth:
            cluster = cluster.parent
        if cluster is not None and cluster.depth == self.depth:
            made = self.folded.get(cluster)
            if made is None:
                made = self._add(Vertex("module", cluster.title, cluster.kind, "", cluster.parent))
                self.folded[cluster] = made
                self.inside[made] = []
            self.inside[made].append(node)
        else:
            name = self.names.get(identity(node), "")
            made = self._add(Vertex("operation", node.name, name, self._born(node), cluster))
        made.result |= node.serial in self.roots
        self.by_node[node.serial] = made

    def _place_parameters(self) -> None:
        """A parameter stands in the innermost module that all of its readers are in; a folded module swallows it."""
        readers: dict[Vertex, list[Vertex]] = {}
        for edge in self.edges.values():
            if edge.source.kind == "parameter":
                readers.setdefault(edge.source, []).append(edge.target)
        swallowed: dict[Vertex, Vertex] = {}
        for vertex, targets in readers.items():
            if targets[0].kind == "module" and all(target is targets[0] for target in targets):
                swallowed[vertex] = targets[0]
            else:
                vertex.cluster = _common([target.cluster for target in targets])
                if vertex.cluster is not None:
                    within = vertex.cluster.path.partition(".")[2]
                    vertex.title = vertex.title.removeprefix(f"{within}.") if within else vertex.title
        for node in self.nodes:
            vertex = self.by_node.get(node.serial)
            if vertex in swallowed:
                self.inside[swallowed[vertex]].append(node)
        self.vertices = [v for v in self.vertices if v not in swallowed]
        self.edges = {key: edge for key, edge in self.edges.items() if edge.source not in swallowed}

    def _describe_folded(self) -> None:
        for vertex, nodes in self.inside.items():
            operations = sum(not node.is_leaf for node in nodes)
            numbers = sum(math.prod(node.shape) for node in nodes if node.is_leaf)
            lines = [f"{operations} operation{'s' * (operations != 1)}"]
            if numbers:
                lines.append(f"{numbers:,} parameters")
            vertex.tooltip = "\n".join([vertex.title, *lines])
            vertex.note = "\n".join([vertex.note, *lines[1:]])

    def _stack_clusters(self) -> None:
        """Makes room above a module for its parameters, so that modules stand below each other, not side by side."""
        height = {v: 1 for v in self.vertices if v.kind == "parameter"}  # rows of what depends on parameters alone
        incoming: dict[Vertex, list[Edge]] = {}
        for edge in self.edges.values():
            incoming.setdefault(edge.target, []).append(edge)
        for target, edges in incoming.items():  # in the order in which the operations ran
            rows = [height.get(edge.source, 0) for edge in edges]
            if all(rows):
                height[target] = max(rows) + 1
            for edge in edges:
                if edge.source not in height and edge.source.cluster is not target.cluster:
                    edge.span = max(rows) + 1

    # ---- edges ---------------------------------------------------------------------------------------------------
    def _arrows(self, node: Node) -> None:
        target = self.by_node[node.serial]
        for parent in node.parents:
            label = "" if parent.shape is None else sig_of(parent.shape, parent.dtype)
            while _is_pick(parent) and parent.serial not in self.by_node:
                (parent,) = parent.parents
            self._arrow(self.by_node[parent.serial], target, label)
        for name, array in _arrays_outside(node):
            source = self.by_array.get(id(array))
            if source is None:
                shape = sig_of(array.shape, array.dtype)
                title = self.names.get(identity(array), name)
                source = self._add(Vertex("input", title, shape, f"{title}\n{shape}, no gradient"))
                self.by_array[id(array)] = source
            self._arrow(source, target, source.note)

    def _arrow(self, source: Vertex, target: Vertex, label: str) -> None:
        if source is target:
            return
        if source.kind in ("parameter", "leaf", "input"):
            label = ""  # it stands in the box already
        twice = 0
        if target.kind != "module" and source.kind != "module":
            while (source, target, label, twice) in self.edges:  # x * x: two arrows
                twice += 1
        self.edges[source, target, label, twice] = Edge(source, target, label)

    # ---- names and places ----------------------------------------------------------------------------------------
    def _cluster(self, scope: Scope) -> Cluster:
        made = self.clusters.get(scope)
        if made is not None:
            return made
        chain = list(scopes(scope))[::-1]
        parent: Cluster | None = None
        for depth, call in enumerate(chain):
            made = self.clusters.get(call)
            if made is None:
                kind = type(call.module).__name__
                if parent is None:
                    made = self.outermost[call] = Cluster(kind, "", kind, None, 0)
                else:
                    name = self._name_within(chain[depth - 1].module, call.module)
                    made = Cluster(name or kind, kind if name else "", f"{parent.path}.{name or kind}", parent, depth)
                    parent.children.append(made)
                self.clusters[call] = made
            parent = made
        assert made is not None
        return made

    def _name_within(self, outer: Any, inner: Any) -> str:
        names = self.children.get(id(outer))
        if names is None:
            names = self.children[id(outer)] = {}
            for name, module in outer.named_modules():
                names.setdefault(id(module), name)
        return names.get(id(inner), "")

    def _parameter_names(self) -> dict[int, str]:
        """Serial number of a leaf -> its name in the outermost module that ran and has it."""
        modules: dict[int, Any] = {}
        for node in self.nodes:
            if node.scope is not None:
                *_, outermost = scopes(node.scope)
                modules.setdefault(id(outermost.module), outermost.module)
        found: dict[int, str] = {}
        owners = [m for m in modules.values() if next(iter(m.named_parameters()), None) is not None]
        for module in owners:
            prefix = f"{type(module).__name__}." if len(owners) > 1 else ""
            for name, parameter in module.named_parameters():
                if parameter.node is not None:
                    found.setdefault(parameter.node.serial, prefix + name)
        return found

    def _born(self, node: Node) -> str:
        key = node.code, node.lasti
        text = self.places.get(key)
        if text is None:
            place = birth(node)
            text = self.places[key] = "" if place is None else f"{where(place)}\n{place.expression}"
        return f"{node.name}\n{text}"


def where(place: Birth) -> str:
    """`model.py:31 in forward`."""
    return f"{place}" if place.function == "<module>" else f"{place} in {place.function.rpartition('.')[2]}"


def _is_pick(node: Node) -> bool:
    """Whether this is one result of an operation that has several; the operation is drawn, its results are not."""
    return node.plan.op is None and node.plan.inputs == ("bundle",)


def _arrays_outside(node: Node) -> Iterator[tuple[str, Any]]:
    """Arrays that went into an operation and need no gradient, as far as a rule asked for them: images, labels, masks.

    Once a backward pass has released what was saved there is nothing to see.
    """
    plan = node.plan
    if node.saved.__class__ is not tuple:
        return
    if plan.op is not None:
        arrays, several = plan.op.arrays, plan.op.variadic
    else:  # a fused operation keeps all its arrays, behind its pullback; a Function has no names for what it keeps
        arrays, several = plan.names[1:] if plan.names[:1] == ("pullback",) else (), ""
    for name, value in zip(plan.names, node.saved, strict=False):
        if name not in arrays or name in plan.inputs:
            continue
        for i, array in enumerate(value if name == several else (value,)):
            if type(array) in ARRAYS and array.ndim and f"{name}[{i}]" not in plan.inputs:
                yield name, array


def _common(clusters: list[Cluster | None]) -> Cluster | None:
    """The innermost cluster that holds all of these."""
    common = clusters[0]
    for other in clusters[1:]:
        above = set(_upwards(other))
        while common is not None and common not in above:
            common = common.parent
    return common


def _upwards(cluster: Cluster | None) -> Iterator[Cluster]:
    while cluster is not None:
        yield cluster
        cluster = cluster.parent


def _drop_trivial_frames(top: Cluster) -> None:
    """A module that ran one operation and nothing else becomes a note on that operation, not a frame around it."""
    stack, order = [top], []
    while stack:
        cluster = stack.pop()
        order.append(cluster)
        stack.extend(cluster.children)
    for cluster in reversed(order):
        cluster.children = [child for child in cluster.children if child.members or child.children]
        if cluster.children or len(cluster.members) != 1 or cluster.members[0].kind != "operation":
            continue
        only = cluster.members.pop()
        only.cluster = cluster.parent
        only.note = only.note or ": ".join(filter(None, (cluster.title, cluster.kind)))
        if cluster.parent is not None:
            cluster.parent.members.append(only)
