"""What a drawing is made of: vertices, edges and nested clusters. Every other file of this folder imports this one.

A drawing holds text and numbers only, no node and no array, so a picture keeps nothing alive. It always holds
everything; `folded` says which clusters are shown as one box.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Vertex:
    """A box. `kind` is `operation`, `parameter`, `leaf`, `input`, `failed` or `module` (a folded cluster)."""

    kind: str
    title: str
    note: str = ""
    record: dict[str, str] = field(default_factory=dict)  # what hovering shows
    cluster: Cluster | None = None
    values: dict[str, float] = field(default_factory=dict)  # what an overlay shows: bytes, params, macs, ...
    beside: Vertex | None = None  # the only operation that reads this parameter; it is drawn at its side
    key: str = ""
    result: bool = False
    count: int = 1  # how many equal ones this one stands for
    stands_for: Cluster | None = None  # the cluster that this box is the folded form of

    @property
    def tooltip(self) -> str:
        """The record as lines of text."""
        return "\n".join([self.title, *(f"{name}: {text}" for name, text in self.record.items() if text)])


@dataclass(slots=True, eq=False)
class Cluster:
    """One call of a module, or another frame. `title` is its name in the module that called it, `kind` its class."""

    title: str
    kind: str
    path: str
    parent: Cluster | None
    depth: int
    members: list[Vertex] = field(default_factory=list)
    children: list[Cluster] = field(default_factory=list)
    count: int = 1  # how many equal ones in a row this one stands for
    plain: bool = False  # one operation and its parameters: no frame is drawn around it
    key: str = ""
    box: Vertex = field(init=False)

    def __post_init__(self) -> None:
        self.box = Vertex("module", self.title, self.kind, stands_for=self)

    def within(self) -> Iterator[Vertex]:
        """All vertices inside, at any depth."""
        for cluster in walk([self]):
            yield from cluster.members


@dataclass(slots=True)
class Edge:
    """An arrow along which `label` (shape and dtype) flows; `gradient`: a gradient flows back along it."""

    source: Vertex
    target: Vertex
    label: str
    gradient: bool = False


@dataclass(slots=True)
class Legend:
    """What the colours of an overlay say: `title`, and the numbers at both ends of the scale."""

    show: str
    title: str
    low: str
    high: str


@dataclass(slots=True)
class Drawing:
    """All that a picture shows, and which clusters of it are folded."""

    vertices: list[Vertex]
    edges: list[Edge]
    clusters: list[Cluster]  # the outermost ones
    folded: set[Cluster] = field(default_factory=set)
    heat: dict[Vertex, str] = field(default_factory=dict)  # colours of an overlay
    legend: Legend | None = None
    note: str = ""

    def shown(self, vertex: Vertex) -> Vertex:
        """The box that a vertex is seen as: itself, or the outermost folded cluster around it."""
        seen, cluster = vertex, vertex.cluster
        while cluster is not None:
            if cluster in self.folded:
                seen = cluster.box
            cluster = cluster.parent
        return seen

    def shown_vertices(self) -> list[Vertex]:
        """Every box that is seen, in order."""
        return list(dict.fromkeys(map(self.shown, self.vertices)))

    def shown_edges(self) -> list[Edge]:
        """The arrows between boxes that are seen; what runs inside a folded cluster is left out."""
        found: dict[tuple, Edge] = {}
        for edge in self.edges:
            source, target = self.shown(edge.source), self.shown(edge.target)
            if source is target:
                continue
            folded = source.kind == "module" or target.kind == "module"
            key = (source, target, edge.label) if folded else (edge.source, edge.target, edge.label, id(edge))
            seen = found.setdefault(key, Edge(source, target, edge.label, edge.gradient))
            seen.gradient |= edge.gradient
        return list(found.values())

    def shown_clusters(self) -> Iterator[Cluster]:
        """Every frame that is seen, outermost first."""
        stack = list(reversed(self.clusters))
        while stack:
            cluster = stack.pop()
            if cluster not in self.folded:
                yield cluster
                stack.extend(reversed(cluster.children))

    def count(self, kind: str) -> int:
        """Number of boxes of a kind that are seen."""
        return sum(v.kind == kind for v in self.shown_vertices())


def walk(clusters: Iterable[Cluster]) -> Iterator[Cluster]:
    """These clusters and all inside them, outermost first, without recursion."""
    stack = list(clusters)[::-1]
    while stack:
        cluster = stack.pop()
        yield cluster
        stack.extend(reversed(cluster.children))
