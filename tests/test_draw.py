"""Pictures of graphs: the DOT text is compared, never the picture (fonts differ); drawn where there is a Graphviz."""

from __future__ import annotations

import gc
import importlib.util
import shutil
import sys
import types
import weakref

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.drawing import raster, render, walk
from tensorgraph.provenance import Birth

CAN_RENDER = shutil.which("dot") is not None or importlib.util.find_spec("pygraphviz") is not None
needs_graphviz = pytest.mark.skipif(not CAN_RENDER, reason="neither the program `dot` nor pygraphviz is installed")


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(np.full(shape, 0.1, np.float32))


class Dense(nn.Module):
    def __init__(self, n: int, m: int):
        super().__init__()
        self.weight, self.bias = parameter(n, m), parameter(m)

    def forward(self, x):
        return x @ self.weight + self.bias


class Tanh(nn.Module):
    def forward(self, x):
        return tg.tanh(x)


class Block(nn.Module):
    def __init__(self, n: int):
        super().__init__()
        self.dense, self.act = Dense(n, n), Tanh()

    def forward(self, x):
        return self.act(self.dense(x))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = Block(4), Block(4), Dense(4, 2)

    def forward(self, x):
        return self.head(self.second(self.first(x)))


def step():
    images = tg.tensor(np.ones((3, 4), np.float32))
    logits = Net()(images)
    return images, logits, (logits * logits).mean()


def kinds(graph):
    return {kind: graph._drawing.count(kind) for kind in ("operation", "module", "parameter", "leaf", "input")}


def edges(graph):
    return [(e.source.title, e.target.title, e.label) for e in graph._drawing.shown_edges()]


def clusters(graph):
    found, stack = [], list(reversed(graph._drawing.clusters))
    while stack:
        cluster = stack.pop()
        found.append(cluster)
        stack.extend(reversed(cluster.children))
    return {c.path: [v.title for v in c.members] for c in found}


def test_the_text_of_a_small_graph():
    line = sys._getframe().f_lineno
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    lines = str(tg.draw((x * x).sum(), names={"x": x})).splitlines()
    first, second = (f"test_draw.py:{line + i} in test_the_text_of_a_small_graph" for i in (1, 2))
    assert lines[0] == "digraph tensorgraph {" and lines[-1] == "}"
    leaf = "a leaf: asks for a gradient\\nis: f32[2]\\nnumbers: 2"
    assert lines[4:-1] == [
        '  n0 [label=<x<br/><font point-size="9" color="#5f6b7a">f32[2]</font>>, '
        f'tooltip="x\\n{leaf}\\nline: {first}\\nexpression: tg.tensor([1.0, 2.0], requires_grad=True)", '
        'shape=ellipse, peripheries=2, style="filled", fillcolor="#fdefd3", color="#c98f1d"]',
        f'  n1 [label=<multiply>, tooltip="multiply\\ngives: f32[2]\\nline: {second}\\nexpression: x * x"]',
        f'  n2 [label=<<b>sum</b>>, tooltip="sum\\ngives: f32[]\\nline: {second}\\nexpression: (x * x).sum()", '
        'fillcolor="#1f4e79", color="#1f4e79", fontcolor="#ffffff"]',
        "  n0 -> n1 [weight=8]",
        "  n0 -> n1 [weight=8]",
        '  n1 -> n2 [label=" f32[2]", weight=8]',
    ]


def test_modules_are_clusters_and_parameters_have_names():
    graph = step()[-1].graph()
    assert clusters(graph) == {
        "Net": [],
        "Net.first": [],
        "Net.first.dense": ["weight", "bias", "matmul", "add"],
        "Net.first.act": ["tanh"],
        "Net.second": [],
        "Net.second.dense": ["weight", "bias", "matmul", "add"],
        "Net.second.act": ["tanh"],
        "Net.head": ["weight", "bias", "matmul", "add"],
    }
    text = graph.dot
    assert (
        text.count("subgraph") == 6
        and 'label=<<b>first</b>  <font point-size="9" color="#5f6b7a">Block</font>>' in text
    )
    assert 'tanh<br/><font point-size="9" color="#5f6b7a">act: Tanh</font>' in text  # no frame around one box
    assert "parameter: second.dense.bias\\nis: f32[4]\\nnumbers: 4" in text
    assert kinds(graph) == {"operation": 10, "module": 0, "parameter": 6, "leaf": 0, "input": 1}
    assert repr(graph) == "<graph: 10 operations, 6 parameters, 1 input>"


def test_the_same_program_gives_the_same_bytes():
    def text():
        return step()[-1].graph().dot

    first = text()
    _noise = [tg.tensor(1.0, requires_grad=True) * 2 for _ in range(7)]
    assert text() == first


@pytest.mark.parametrize(
    ("depth", "shown", "edge"),
    [
        (0, {"operation": 2, "module": 1, "parameter": 0}, ("Net", "multiply", "f32[3,2]")),
        (1, {"operation": 2, "module": 3, "parameter": 0}, ("first", "second", "f32[3,4]")),
        (2, {"operation": 4, "module": 4, "parameter": 2}, ("dense", "act", "f32[3,4]")),
        (9, {"operation": 10, "module": 0, "parameter": 6}, ("add", "tanh", "f32[3,4]")),
    ],
)
def test_folding(depth, shown, edge):
    graph = tg.draw(step()[-1], depth=depth)
    assert {kind: n for kind, n in kinds(graph).items() if kind in shown} == shown
    assert edge in edges(graph)
    if depth == 1:
        assert "module: Net.first\\nholds: 3 operations, 20 parameters" in graph.dot and "Block" in graph.dot


def test_inputs_are_seen_until_backward_releases_them():
    images, logits, loss = step()
    graph = loss.graph(names=dict(locals()))
    assert ("images", "matmul", "") in edges(graph)
    assert (
        "images\\nis: f32[3,4]\\ngradient: none asked for" in graph.dot
        and ">logits<" in graph.dot
        and ">loss<" in graph.dot
    )
    loss.backward()
    after = loss.graph()
    assert kinds(after)["input"] == 0
    assert kinds(after)["operation"] == kinds(graph)["operation"]


def test_a_shared_module_is_drawn_per_call_and_a_shared_parameter_once():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = Dense(4, 4)

        def forward(self, x):
            return self.layer(self.layer(x))

    graph = Twice()(tg.ones(1, 4)).sum().graph()
    assert kinds(graph)["parameter"] == 2
    (outer,) = graph._drawing.clusters
    assert [v.title for v in outer.members] == ["layer.weight", "layer.bias"]
    assert [c.title for c in outer.children] == ["layer", "layer"]


def test_several_results_several_roots_and_second_order():
    @tg.op(outputs=("s", "d"))
    def both(be, a, b):
        return a + b, a - b

    both.vjp(a=lambda gs, gd: gs if gd is None else gd if gs is None else gs + gd, b=lambda gs, gd: gs)
    a, b = (tg.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    s, d = both(a, b)
    assert edges(tg.draw((s * d).sum()))[2:4] == [("both", "multiply", "f32[2]")] * 2
    assert sum(v.result for v in tg.draw([s.sum(), d.sum()])._drawing.vertices) == 2
    y = (a * a * a).sum()
    g = tg.grad(y, a, create_graph=True)
    assert len(tg.draw((g * g).sum())._drawing.vertices) > len(tg.draw(y)._drawing.vertices)
    assert tg.draw(a).dot.count("->") == 0  # a leaf alone


def test_odd_names_are_escaped():
    x = tg.tensor(1.0, requires_grad=True)
    text = tg.draw(x, names={'a"b\\<c>&{|}\x00': x}).dot
    assert "label=<<b>a&quot;b\\&lt;c&gt;&amp;{|} </b><br/>" in text
    y = x * len('"\\')  # the source line has quotes and a backslash
    assert 'x * len(&#x27;&quot;\\\\\\\\&#x27;)"' in tg.draw(y).dot
    if CAN_RENDER:
        assert b"<svg" in tg.draw(y, names={'a"b\\<c>&{|}': y}).render("svg")


def test_cells_of_a_notebook_are_named_as_ipython_names_them(monkeypatch):
    class Shell:
        class compile:
            format_code_name = staticmethod({"/somewhere/ipykernel_12/345.py": ("Cell", "In[3]")}.get)

    ipython = types.ModuleType("IPython")
    ipython.get_ipython = Shell  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert walk.where(Birth("/somewhere/ipykernel_12/345.py", 4, "x * x", "x * x", "<module>")) == "In[3]:4"
    assert walk.where(Birth("/home/me/net.py", 4, "x * x", "x * x", "Net.forward")) == "net.py:4 in forward"
    monkeypatch.setattr(ipython, "get_ipython", lambda: None)
    assert walk.where(Birth("/home/me/net.py", 4, "x * x", "x * x", "Net.<lambda>")) == "net.py:4 in <lambda>"


def test_a_picture_keeps_no_tensor_alive():
    images, _, loss = step()
    gone = weakref.ref(images.array), weakref.ref(loss)
    gc.disable()
    try:
        graph = loss.graph()
        del images, loss, _
        assert [ref() for ref in gone] == [None, None]
    finally:
        gc.enable()
    assert "matmul" in graph.dot


def test_five_thousand_nodes_and_no_recursion():
    x = tg.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(5000):
        y = y * 1.0
    graph = tg.draw(y, repeats=False)
    assert graph.dot.count("->") == 5000 and graph.svg.count(">multiply<") == 5000


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: tg.draw(tg.tensor(1.0)), tg.GraphError, r"f32\[\] takes part in no graph"),
        (lambda: tg.draw([]), tg.ArgumentError, "no tensor given"),
        (lambda: tg.draw([1.0]), tg.DtypeError, "float 1.0 is no tensor"),  # pyright: ignore
        (lambda: step()[-1].graph(depth=-1), tg.ArgumentError, "depth must be at least 0"),
        (lambda: step()[-1].graph().render("gif"), tg.ArgumentError, "unknown format 'gif'"),
        (lambda: step()[-1].graph().save("x.jpg"), tg.ArgumentError, r"\.svg, \.png, \.pdf, \.html or \.dot"),
        (lambda: step()[-1].graph().render("svg", engine="neato"), tg.ArgumentError, "unknown engine 'neato'"),
        (lambda: step()[-1].graph(show="heat"), tg.ArgumentError, r"show='heat'(?s:.*)bytes, params, macs, ms, grad"),
        (lambda: step()[-1].graph(show="ms"), tg.ArgumentError, "needs a measurement"),
        (lambda: step()[-1].graph(show="grad", grads={"w": 1.0}), tg.DtypeError, "grads maps tensors"),
        (lambda: tg.name(1.0, "x"), tg.DtypeError, "float 1.0 is no tensor"),  # pyright: ignore
        (lambda: tg.name(tg.ones(1), " "), tg.ArgumentError, "a name is a text, got ' '"),
    ],
)
def test_bad_input(call, error, says):
    with pytest.raises(error) as caught:
        call()
    assert caught.match(says)


# ---- rendering -------------------------------------------------------------------------------------------------------
MAGIC = {"svg": (b"<svg", b"<?xml"), "png": (b"\x89PNG",) * 2, "pdf": (b"%PDF",) * 2}


@pytest.mark.parametrize("ending", MAGIC)
def test_save(tmp_path, ending):
    if ending != "svg":
        pytest.importorskip("matplotlib", reason="matplotlib, which paints PNG and PDF, is not installed")
    path = step()[-1].graph(depth=1).save(tmp_path / f"graph.{ending}")
    content = path.read_bytes()
    assert content.startswith(MAGIC[ending][0]) and [p.name for p in tmp_path.iterdir()] == [path.name]
    assert content == step()[-1].graph(depth=1).render(ending)  # no dates, no names of machines
    if ending == "svg":
        assert b"</svg>" in content and b"Block" in content and b"20 parameters" in content


@needs_graphviz
@pytest.mark.parametrize("ending", MAGIC)
def test_graphviz_draws_too(tmp_path, ending):
    path = step()[-1].graph(depth=1).save(tmp_path / f"graph.{ending}", engine="dot")
    assert path.read_bytes().startswith(MAGIC[ending][1])


def test_a_notebook_shows_the_picture(monkeypatch):
    graph = step()[-1].graph()
    bundle = graph._repr_mimebundle_()
    assert bundle["image/svg+xml"].startswith("<svg") and bundle["text/plain"].startswith("<graph: ")
    monkeypatch.setattr(type(graph), "svg", property(lambda self: 1 / 0))
    assert graph.dot in graph._repr_mimebundle_()["text/plain"]


def test_without_matplotlib_and_graphviz(monkeypatch, tmp_path):
    monkeypatch.setattr(render, "_commands", lambda format: iter(()))
    monkeypatch.setattr(raster, "available", lambda: False)
    graph = step()[-1].graph()
    with pytest.raises(
        tg.MissingPackageError, match=r"tensorgraph\[viz\](?s:.*)apt install graphviz.*pip install pygraphviz"
    ):
        graph.save(tmp_path / "graph.png")
    assert list(tmp_path.iterdir()) == []
    assert graph.save(tmp_path / "graph.dot").read_text(encoding="utf-8") == graph.dot
    assert graph.save(tmp_path / "graph.svg").read_text(encoding="utf-8") == graph.svg
    assert "image/svg+xml" in graph._repr_mimebundle_()


def test_a_graphviz_that_fails(monkeypatch):
    graph = step()[-1].graph()
    broken = ["python3", "-c", "import sys; sys.exit('out of ink')"]
    monkeypatch.setattr(render, "_commands", lambda format: iter([["/nowhere/dot"], broken]))
    with pytest.raises(tg.GraphError, match="out of ink"):
        graph.render("svg", engine="dot")
    monkeypatch.setattr(render, "_commands", lambda format: iter([["python3", "-c", "import time; time.sleep(9)"]]))
    with pytest.raises(tg.GraphError, match=r"did not finish within 0\.1 seconds"):
        render.render(graph.dot, "svg", timeout=0.1)


def test_the_graphviz_package_takes_the_text():
    pytest.importorskip("graphviz", reason="the graphviz package is not installed")
    graph = step()[-1].graph()
    assert graph.graphviz().source.strip() == graph.dot.strip()
