"""From nodes to a drawing: what is a vertex, an edge or a cluster, in which order, under which name.

Imported by graph.py. Vertices are numbered in the order in which their nodes were made, so the same program gives the
same drawing in every run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tensorgraph.backends import ARRAYS
from tensorgraph.costs import count
from tensorgraph.drawing.measure import Measures, total_up
from tensorgraph.drawing.model import Cluster, Drawing, Edge, Vertex
from tensorgraph.drawing.names import identity, name_of
from tensorgraph.errors import sig_of
from tensorgraph.node import Node
from tensorgraph.provenance import Birth, Scope, birth, scopes


class Failure(NamedTuple):
    """An operation that raised: its name, what it was given, the module that was running, and what it said."""

    name: str
    operands: tuple[tuple[str, str, Node | None], ...]  # name, signature, node
    scope: Scope | None
    message: str


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


class Walk:
    """Makes the drawing of everything that leads to `roots`. `names` names tensors by their `identity`."""

    def __init__(
        self,
        roots: list[Node],
        names: Mapping[tuple[str, int], str],
        *,
        backward: bool = False,
        show: str | None = None,
        profile: Any = None,
        grads: Mapping[Any, Any] | None = None,
    ):
        self.nodes = reachable(roots)
        self.roots = {node.serial for node in roots}
        self.names = names
        self.backward = backward
        self.measures = Measures(self.nodes, show, profile, grads)
        self.clusters: dict[Any, Cluster] = {}
        self.outermost: list[Cluster] = []
        self.children: dict[int, dict[int, str]] = {}  # id of a module -> id of a module in it -> its name there
        self.places: dict[tuple[Any, int], Birth | None] = {}
        self.vertices: list[Vertex] = []
        self.by_node: dict[int, Vertex] = {}
        self.by_array: dict[int, Vertex] = {}
        self.edges: list[Edge] = []

    def drawing(self, failure: Failure | None = None) -> Drawing:
        if failure is not None:
            self.roots = set()  # nothing came out
        parameters = self._parameter_names(None if failure is None else failure.scope)
        for node in self.nodes:
            if node.is_leaf:
                self._leaf(node, parameters)
            elif not _is_pick(node) or node.serial in self.roots:
                self._operation(node)
        for node in self.nodes:
            if not node.is_leaf and node.serial in self.by_node:
                self._arrows(node)
        if failure is not None:
            self._failure(failure)
        self._place_parameters()
        for vertex in self.vertices:
            if vertex.cluster is not None:
                vertex.cluster.members.append(vertex)
        self.outermost = [cluster for cluster in self.outermost if _tidy(cluster)]
        for i, vertex in enumerate(self.vertices):
            vertex.key = f"n{i}"
        drawing = Drawing(self.vertices, self.edges, self.outermost)
        total_up(drawing)
        return drawing

    # ---- vertices ------------------------------------------------------------------------------------------------
    def _add(self, vertex: Vertex) -> Vertex:
        self.vertices.append(vertex)
        return vertex

    def _leaf(self, node: Node, parameters: Mapping[int, str]) -> None:
        name = parameters.get(node.serial)
        shape = sig_of(node.shape, node.dtype)
        values = self.measures.of(node)
        record = {"is": shape, "numbers": f"{math.prod(node.shape):,}"}
        if name is not None:
            made = Vertex("parameter", name, shape, {"parameter": name, **record}, values=values)
        else:
            title = self._name(node) or "leaf"
            made = Vertex("leaf", title, shape, {"a leaf": "asks for a gradient", **record}, values=values)
            made.record |= self._born(node)
        made.result = node.serial in self.roots
        self.by_node[node.serial] = self._add(made)

    def _operation(self, node: Node) -> None:
        values = self.measures.of(node)
        cluster = self._home(node)
        made = Vertex("operation", node.name, self._name(node), {}, cluster, values)
        made.record["gives"] = "" if node.shape is None else sig_of(node.shape, node.dtype)
        made.record["module"] = "" if cluster is None else cluster.path
        made.record |= self._born(node)
        if values.get("bytes"):
            made.record["keeps"] = count(values["bytes"], "bytes") + " for the backward pass"
        if values.get("macs"):
            made.record["multiply-adds"] = count(values["macs"])
        if values.get("ms"):
            made.record["takes"] = f"{values['forward ms']:.3g} ms forward, {values['backward ms']:.3g} ms backward"
        if self.backward:
            self._rules(made, node)
        made.result = node.serial in self.roots
        self.by_node[node.serial] = self._add(made)

    def _rules(self, made: Vertex, node: Node) -> None:
        """What the backward pass does at a node: a gradient for which inputs, by which rule, and whether it ran."""
        inputs = ", ".join(dict.fromkeys(name.partition("[")[0] for name in node.plan.inputs))
        ran = node.saved.__class__ is not tuple and not hasattr(node.saved, "recompute")
        made.note = "\n".join(filter(None, (made.note, f"{'✓ ' if ran else ''}∂ {inputs}")))
        made.record["backward"] = "has run" if ran else "has not run, or its arrays were kept"
        if node.plan.names:
            made.record["its rule uses"] = ", ".join(node.plan.names)
        from tensorgraph.diagnostics.formula import formulae

        made.record |= {f"gradient of {name}": rule for name, rule in formulae(node).items()}

    def _failure(self, failure: Failure) -> None:
        cluster = None if failure.scope is None else self._call(failure.scope)
        said = failure.message.splitlines()[0] if failure.message else ""
        failed = Vertex("failed", failure.name, "failed here", {"error": said}, cluster)
        failed.record["module"] = "" if cluster is None else cluster.path
        for name, signature, node in failure.operands:
            if node is not None and node.serial not in self.by_node:
                node = node.parents[0]  # a result of an operation with several
            if node is not None:
                self.edges.append(Edge(self.by_node[node.serial], failed, signature))
            elif "[" in signature:
                given = self._add(Vertex("input", name, signature, {"is": signature}))
                self.edges.append(Edge(given, failed, ""))
        self._add(failed)

    def _place_parameters(self) -> None:
        """A parameter stands in the innermost module that all of its readers are in, at the side of its only one."""
        readers: dict[Vertex, list[Edge]] = {}
        others: dict[Vertex, int] = {}
        for edge in self.edges:
            if edge.source.kind in ("parameter", "leaf", "input"):
                readers.setdefault(edge.source, []).append(edge)
            if edge.source.kind != "parameter":
                others[edge.target] = others.get(edge.target, 0) + 1
        for vertex, edges in readers.items():
            reader = edges[0].target
            if vertex.kind == "parameter":
                vertex.cluster = _common([edge.target.cluster for edge in edges])
                if vertex.cluster is not None:
                    within = vertex.cluster.path.partition(".")[2]
                    vertex.title = vertex.title.removeprefix(f"{within}.") if within else vertex.title
                if len(edges) == 1:
                    vertex.beside = reader
            elif vertex.kind == "input" and len(edges) == 1 and others[reader] > 1:
                if not (set(readers) - {vertex}) & {e.source for e in self.edges if e.target is reader}:
                    vertex.beside, vertex.cluster = reader, reader.cluster  # labels at the side of a loss

    # ---- edges ---------------------------------------------------------------------------------------------------
    def _arrows(self, node: Node) -> None:
        target = self.by_node[node.serial]
        for parent in node.parents:
            label = "" if parent.shape is None else sig_of(parent.shape, parent.dtype)
            while _is_pick(parent) and parent.serial not in self.by_node:
                (parent,) = parent.parents
            source = self.by_node[parent.serial]
            if source is not target:
                self._arrow(source, target, label, self.backward)
        also = []
        for name, array in _arrays_outside(node):
            shape = sig_of(array.shape, array.dtype)
            known = self.names.get(identity(array)) or name_of(array)
            source = self.by_array.get(id(array))
            if source is None and known is None and self._is_internal(node, array):
                also.append(f"{name} {shape}")  # the layer's own: a mask, what it computed before
                continue
            if source is None:
                source = self._add(Vertex("input", known or name, shape, {"is": shape, "gradient": "none asked for"}))
                self.by_array[id(array)] = source
            self._arrow(source, target, "", False)
        if also:
            target.record["also given"] = ", ".join(also)

    def _is_internal(self, node: Node, array: Any) -> bool:
        """Whether an array without a name is a module's own (a mask, a statistic), and not what it was called with."""
        if node.scope is None or array.dtype.kind in "iu":
            return False
        if any(
            parent.serial in self.by_node and self.by_node[parent.serial].kind != "parameter" for parent in node.parents
        ):
            return True  # what the module works on comes from another operation
        return all(parent.shape == node.shape for parent in node.parents) and node.plan.broadcasts

    def _arrow(self, source: Vertex, target: Vertex, label: str, gradient: bool) -> None:
        if source.kind in ("parameter", "leaf", "input"):
            label = ""  # it stands in the box already
        self.edges.append(Edge(source, target, label, gradient))

    # ---- names and places ----------------------------------------------------------------------------------------
    def _name(self, node: Node) -> str:
        return self.names.get(identity(node)) or name_of(node) or ""

    def _home(self, node: Node) -> Cluster | None:
        """The cluster of an operation: the module call, or in it the call of `grad` that recorded it."""
        outer = None if node.scope is None else self._call(node.scope)
        place = self._place(node)
        if place is None or not _DIFFERENTIATES(place.expression):
            return outer
        key = (outer, node.code, node.lasti)
        made = self.clusters.get(key)
        if made is None:
            made = self.clusters[key] = self._cluster("gradient", str(place), outer)
        return made

    def _call(self, scope: Scope) -> Cluster:
        made = self.clusters.get(scope)
        if made is not None:
            return made
        chain = list(scopes(scope))[::-1]
        parent: Cluster | None = None
        for depth, call in enumerate(chain):
            made = self.clusters.get(call)
            if made is None:
                kind = type(call.module).__name__.lstrip("_")
                name = self._name_within(chain[depth - 1].module, call.module) if depth else ""
                made = self.clusters[call] = self._cluster(name or kind, kind if name else "", parent)
            parent = made
        assert parent is not None
        return parent

    def _cluster(self, title: str, kind: str, parent: Cluster | None) -> Cluster:
        if parent is None:
            made = Cluster(title, kind, title, None, 0)
            self.outermost.append(made)
        else:
            made = Cluster(title, kind, f"{parent.path}.{title}", parent, parent.depth + 1)
            parent.children.append(made)
        return made

    def _name_within(self, outer: Any, inner: Any) -> str:
        names = self.children.get(id(outer))
        if names is None:
            names = self.children[id(outer)] = {}
            for name, module in outer.named_modules():
                names.setdefault(id(module), name)
        return names.get(id(inner), "")

    def _parameter_names(self, running: Scope | None) -> dict[int, str]:
        """Serial number of a leaf -> its name in the outermost module that ran and has it."""
        modules: dict[int, Any] = {}
        for scope in (*(node.scope for node in self.nodes), running):
            if scope is not None:
                *_, outermost = scopes(scope)
                modules.setdefault(id(outermost.module), outermost.module)
        found: dict[int, str] = {}
        owners = [m for m in modules.values() if next(iter(m.named_parameters()), None) is not None]
        for module in owners:
            prefix = f"{type(module).__name__}." if len(owners) > 1 else ""
            for name, parameter in module.named_parameters():
                if parameter.node is not None:
                    found.setdefault(parameter.node.serial, prefix + name)
        return found

    def _place(self, node: Node) -> Birth | None:
        key = node.code, node.lasti
        if key not in self.places:
            self.places[key] = birth(node)
        return self.places[key]

    def _born(self, node: Node) -> dict[str, str]:
        place = self._place(node)
        return {} if place is None else {"line": where(place), "expression": place.expression}


_DIFFERENTIATES = re.compile(r"(\w+\.)*(grad|backward|hessian|jacobian|hvp|vjp|jvp|value_and_grad)\(").match


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
        above = set(upwards(other))
        while common is not None and common not in above:
            common = common.parent
    return common


def upwards(cluster: Cluster | None) -> Iterator[Cluster]:
    """A cluster and all around it."""
    while cluster is not None:
        yield cluster
        cluster = cluster.parent


def _tidy(top: Cluster) -> bool:
    """Drops empty clusters, and the frames of modules that ran one operation: its box tells the module instead."""
    stack, order = [top], []
    while stack:
        cluster = stack.pop()
        order.append(cluster)
        stack.extend(cluster.children)
    for cluster in reversed(order):
        cluster.children = [child for child in cluster.children if child.members or child.children]
        main = [vertex for vertex in cluster.members if vertex.beside is None]
        if not cluster.children and len(main) == 1 and main[0].kind == "operation":
            cluster.plain = True
            told = ": ".join(filter(None, (cluster.title, cluster.kind)))
            main[0].note = "\n".join(filter(None, (told, main[0].note)))
    return bool(top.members or top.children)
