"""What pictures say beyond the bare graph: repetitions, gradients, numbers, names, failures; and how it is laid out."""

from __future__ import annotations

import gc
import itertools
import math
import re
import weakref

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import costs, nn
from tensorgraph.drawing import measure, names, page, repeat
from tensorgraph.drawing.place import Placing, box_size
from tensorgraph.drawing.rows import arrange
from tensorgraph.drawing.scene import Curve, Rect, Text, build


class Residual(nn.Module):
    def __init__(self, n: int):
        super().__init__()
        self.a, self.b = nn.Linear(n, n), nn.Linear(n, n)

    def forward(self, x):
        return x + self.b(tg.relu(self.a(x)))


class Deep(nn.Module):
    def __init__(self, blocks: int, n: int = 4):
        super().__init__()
        self.stem = nn.Linear(3, n)
        self.body = nn.Sequential(*(Residual(n) for _ in range(blocks)))
        self.head = nn.Linear(n, 2)

    def forward(self, x):
        return self.head(self.body(self.stem(x)))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(3, 4)

    def forward(self, x):
        h = tg.zeros(2, 4)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        return h


def loss_of(model, *shape: int):
    return nn.functional.cross_entropy(model(tg.randn(2, *shape)), tg.tensor([0, 1]))


def vertex(graph, title):
    (found,) = [v for v in graph._drawing.shown_vertices() if v.title == title]
    return found


# ---- repetitions -----------------------------------------------------------------------------------------------------
def test_equal_blocks_in_a_row_are_drawn_once_with_their_number():
    loss = loss_of(Deep(16), 3)
    rolled, full = loss.graph(), loss.graph(repeats=False)
    assert "0 … 15 × 16" in rolled.dot and ">× 16<" in rolled.svg
    assert full.svg.count(">relu<") == 16 and rolled.svg.count(">relu<") == 1
    assert "×" not in full.dot
    folded = loss.graph(depth=2)
    assert "0 … 15 × 16" in folded.dot and "640 parameters" in folded.dot  # of all 16, not of the first
    assert "×" not in loss_of(Deep(2), 3).graph().dot  # a small graph is shown as it is
    assert "0, 1 × 2" in loss_of(Deep(2), 3).graph(repeats=True).dot


def test_repetitions_inside_repetitions():
    model = nn.Sequential(*(nn.Sequential(*(Residual(4) for _ in range(5))) for _ in range(6)))
    graph = model(tg.randn(2, 4, requires_grad=True)).sum().graph()
    frames = [(c.title, c.count) for c in graph._drawing.shown_clusters() if c.count > 1]
    assert frames == [("0 … 5", 6), ("0 … 4", 5)]
    assert graph._drawing.clusters[0].box.values["params"] == sum(p.array.size for p in model.parameters())


def test_blocks_that_differ_or_are_no_chain_stay_apart():
    model = Deep(3)
    model.body[1].a = nn.Linear(4, 4, bias=False)
    assert "×" not in loss_of(model, 3).graph(repeats=True).dot
    tree = [tg.tensor(1.0, requires_grad=True)]
    for i in range(60):
        tree.append(tree[-1] * tree[i // 2])  # each reads another one too
    assert "×" not in tree[-1].graph().dot
    blocks = [nn.Linear(3, 3) for _ in range(3)]
    x = tg.randn(2, 3)
    assert "×" not in tg.concat([tg.exp(block(x)) for block in blocks]).sum().graph(repeats=True).dot


def test_steps_of_a_loop_are_drawn_once():
    graph = Recurrent()(tg.randn(2, 30, 3)).sum().graph()
    assert "cell × 30" in graph.dot or "cell × 29" in graph.dot  # the first step has no state with a gradient
    assert len(graph._drawing.vertices) < 30
    assert re.search(r"label=<x × \d\d<br/>", graph.dot)  # the slices of the sequence too

    x = w = tg.tensor([0.5, 0.5], requires_grad=True)
    for _ in range(40):
        x = tg.tanh(x * w)
    text = x.sum().graph().dot
    assert text.count("label=<tanh>") == 1 and "<b>repeated × 40</b>" in text

    for _ in range(100):
        w = tg.tanh(w)
    assert "label=<tanh × 99>" in w.graph().dot and "×" not in w.graph(repeats=False).dot


def test_what_is_rolled_up_is_a_graph_of_the_same_operations():
    loss = loss_of(Deep(5), 3)
    rolled = loss.graph(repeats=True)._drawing
    assert all(rolled.vertices.count(end) for edge in rolled.edges for end in (edge.source, edge.target))
    everything = [v for v in rolled.vertices if v.cluster is None] + [v for c in rolled.clusters for v in c.within()]
    assert sorted(map(id, everything)) == sorted(map(id, rolled.vertices))
    total = sum(v.values.get("params", 0) for v in rolled.vertices if v.kind == "parameter")
    assert total == sum(p.array.size for p in Deep(5).parameters())


@pytest.mark.parametrize(
    ("forms", "runs"),
    [
        ([1, 1, 1], [(0, 1, 3)]),
        ([0, 1, 2, 1, 2, 1, 2, 3], [(1, 2, 3)]),
        ([1, 2, 3], []),
        ([1, 1, 2, 1, 1, 2, 5, 5], [(0, 3, 2), (6, 1, 2)]),
    ],
)
def test_runs(forms, runs):
    assert repeat._runs(forms) == runs


# ---- gradients -------------------------------------------------------------------------------------------------------
def test_the_way_of_the_gradients():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    c = tg.tensor([3.0, 4.0])
    loss = (tg.sin(x) * c).sum()
    before = loss.graph(backward=True)
    assert vertex(before, "multiply").note == "∂ a" and "has not run" in vertex(before, "sin").record["backward"]
    assert vertex(before, "sin").record["gradient of x"] == "g * cos(x)"
    back = [line for line in before.dot.splitlines() if "dir=back" in line]
    assert len(back) == 3  # to x, to sin, to the product; none to c
    assert "#b5482a" in before.svg and "#b5482a" not in loss.graph().svg
    loss.backward()
    after = loss.graph(backward=True)
    assert vertex(after, "multiply").note == "✓ ∂ a" and vertex(after, "sin").record["backward"] == "has run"


def test_second_order_operations_stand_in_a_frame_of_their_own():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = tg.sin(x).sum()
    g = tg.grad(y, x, create_graph=True)
    graph = (g * g).sum().graph()
    (frame,) = graph._drawing.clusters
    assert frame.title == "gradient" and frame.kind.startswith("test_draw_graph.py:")
    assert "cos" in [v.title for v in frame.members] and "sin" not in [v.title for v in frame.members]
    assert "gradient" not in [c.title for c in y.graph()._drawing.clusters]


def test_a_whole_training_step_has_several_roots():
    model = nn.Linear(3, 2)
    loss = loss_of(model, 3)
    penalty = 0.1 * (model.weight**2).sum()
    graph = tg.draw([loss, penalty], names={"loss": loss, "penalty": penalty})
    assert {v.note for v in graph._drawing.vertices if v.result} == {"loss", "penalty"}
    assert graph._drawing.count("parameter") == 2  # the weight, which both read, once


# ---- numbers ---------------------------------------------------------------------------------------------------------
def test_parameters_and_multiply_adds_against_arithmetic():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 6, 5))
    y = model(tg.randn(2, 3, 6, 6)).sum()
    top = tg.draw(y, depth=0, show="params")._drawing.clusters[0].box.values
    assert top["params"] == (3 * 9 * 8 + 8) + (288 * 5 + 5)
    assert top["macs"] == 2 * 6 * 6 * 8 * 27 + 2 * 288 * 5
    graph = tg.draw(y, show="macs")
    assert "multiply-adds" in graph.svg and "multiply-adds" in graph.dot and graph._drawing.legend.high == "15,552"
    darkest = min(graph._drawing.heat.items(), key=lambda item: int(item[1][1:3], 16))[0]
    assert darkest.title == "correlate"


def test_bytes_are_counted_once():
    x = tg.tensor(np.ones(1000), requires_grad=True)
    y = tg.exp(x)
    z = (tg.exp(y) * y).sum()
    kept = [(v.title, v.values["bytes"]) for v in z.graph(show="bytes")._drawing.vertices if v.kind == "operation"]
    # both exponentials keep their results, the product keeps the same two arrays again
    assert kept == [("exp", 8000), ("exp", 8000), ("multiply", 0), ("sum", 0)]


def test_norms_of_gradients():
    x = tg.tensor([3.0, 4.0], requires_grad=True)
    y = (x * x).retain_grad()
    z = y.sum()
    z.backward()
    graph = z.graph(show="grad", names={"x": x})
    assert vertex(graph, "x").values["grad"] == pytest.approx(10.0)
    assert vertex(graph, "multiply").values["grad"] == pytest.approx(math.sqrt(2))
    assert "|grad| 10" in graph.svg and "logarithmic" in graph.svg
    given = z.graph(show="grad", grads={z: tg.tensor(7.0)})
    assert vertex(given, "sum").values["grad"] == 7.0


def test_milliseconds_come_from_a_profile():
    class Profile:
        def forward_ms(self, node):
            return 2.0 if node.name == "exp" else None

        def backward_ms(self, node):
            return 3.0 if node.name == "exp" else None

    y = tg.exp(tg.tensor([1.0], requires_grad=True)).sum()
    graph = y.graph(show="ms", profile=Profile())
    assert vertex(graph, "exp").note == "2 ms forward, 3 ms backward" and graph._drawing.legend.high == "5 ms"
    with tg.profile() as measured:
        z = tg.exp(tg.tensor([1.0], requires_grad=True)).sum()
    assert "ms forward" in vertex(z.graph(show="ms", profile=measured), "exp").note


def test_an_overlay_without_numbers_is_a_picture_all_the_same():
    y = tg.exp(tg.tensor([1.0], requires_grad=True))
    for show in ("grad", "params", "macs", "bytes"):
        assert y.graph(show=show).svg.startswith("<svg") and y.graph(show=show).dot


def test_the_scale_can_be_read_without_colours():
    def lightness(colour):
        r, g, b = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
        return 0.2126 * r**2.2 + 0.7152 * g**2.2 + 0.0722 * b**2.2

    scale = [lightness(measure.heat(i / 20)) for i in range(21)]
    assert all(a > b for a, b in itertools.pairwise(scale))
    for i in range(21):
        fill = measure.heat(i / 20)
        light, dark = sorted((lightness(fill), lightness(measure.ink(fill))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) > 3.8


@pytest.mark.parametrize(
    ("n", "unit", "text"),
    [
        (9408, "", "9,408"),
        (25_557_032, "", "25.6 M"),
        (4.1e9, "", "4.1 G"),
        (1536, "bytes", "1.5 KiB"),
        (0.25, "ms", "0.25 ms"),
    ],
)
def test_numbers_as_people_write_them(n, unit, text):
    assert costs.count(n, unit) == text


# ---- names -----------------------------------------------------------------------------------------------------------
def test_a_name_belongs_to_the_result_and_goes_with_it():
    def forward(x):
        hidden = tg.name(tg.exp(x), "hidden")
        return (hidden * hidden).sum()

    x = tg.tensor([1.0], requires_grad=True)
    known = len(names._names)
    y = forward(x)
    assert tg.name(x, "here") is x and ">hidden<" in y.graph().svg and ">here<" in y.graph().svg
    assert ">other<" in y.graph(names={"other": x}).svg  # what is said at the picture comes first
    images = tg.name(tg.ones(2, 1), "images")
    assert ">images<" in (images @ nn.Parameter(np.ones((1, 1), np.float32))).graph().svg
    gc.disable()
    try:
        del y, x, images
        assert len(names._names) == known
    finally:
        gc.enable()


# ---- failures --------------------------------------------------------------------------------------------------------
class Wrong(nn.Module):
    def __init__(self):
        super().__init__()
        self.features, self.fc = nn.Sequential(nn.Linear(3, 8), nn.ReLU()), nn.Linear(9, 2)

    def forward(self, x):
        return self.fc(self.features(x))


def test_an_error_shows_the_graph_that_led_to_it():
    with pytest.raises(tg.ShapeError) as caught:
        Wrong()(tg.ones(2, 3))
    graph = caught.value.graph
    failed = next(v for v in graph._drawing.vertices if v.kind == "failed")
    assert failed.title == "linear" and failed.record["error"] == caught.value.message
    assert failed.cluster.path == "Wrong.fc"
    read = {e.source.title: e.label for e in graph._drawing.edges if e.target is failed}
    assert read == {"relu": "f32[2,8]", "weight": "f32[2,9]", "bias": "f32[2]"}
    assert "failed here" in graph.svg and 'style="rounded,filled,bold,dashed"' in graph.dot
    with pytest.raises(tg.ShapeError) as caught:
        tg.ones(3) + tg.ones(4)  # without any gradient
    assert [v.note for v in caught.value.graph._drawing.vertices if v.kind == "input"] == ["f32[3]", "f32[4]"]
    assert tg.GraphError("nothing ran").graph is None


def test_a_failure_at_the_end_of_a_deep_network_folds_the_rest():
    model = Deep(40)
    model.head = nn.Linear(5, 2)
    model.body.append(nn.Linear(4, 4))
    with pytest.raises(tg.ShapeError) as caught:
        model(tg.ones(2, 3))
    graph = caught.value.graph
    assert "failed here" in graph.svg and len(graph._drawing.shown_vertices()) < 20


def test_an_error_keeps_arrays_no_longer_than_it_lives():
    x = tg.tensor(np.ones(5), requires_grad=True)
    y = tg.exp(x)
    gone = weakref.ref(y.array)
    try:
        y + tg.ones(4)
    except tg.ShapeError as error:
        kept = error.with_traceback(None)
    kept.__context__ = None
    graph = kept.graph
    del y
    gc.disable()
    try:
        assert gone() is not None
        del kept
        assert gone() is None
    finally:
        gc.enable()
    assert "exp" in graph.dot


def test_a_notebook_shows_the_graph_above_the_traceback(monkeypatch):
    interactive = pytest.importorskip("IPython.core.interactiveshell", reason="IPython is not installed")
    shell = interactive.InteractiveShell()
    shell.kernel = object()
    shown = []
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setattr("IPython.display.display", shown.append)
    try:
        tg.ones(3) + tg.ones(4)
    except tg.ShapeError as error:
        lines = error._render_traceback_()
        assert "shapes do not broadcast" in "\n".join(lines) and [type(g) for g in shown] == [tg.Graph]
        monkeypatch.setattr("IPython.display.display", lambda graph: 1 / 0)
        assert "shapes do not broadcast" in "\n".join(error._render_traceback_())


# ---- the layout ------------------------------------------------------------------------------------------------------
def random_loss(seed: int):
    rng = np.random.default_rng(seed)
    made = [tg.tensor(np.ones(int(rng.integers(1, 5)), np.float32), requires_grad=True).sum() for _ in range(3)]
    for _ in range(60):
        a, b = (made[-1 - int(rng.integers(0, min(12, len(made))))] for _ in range(2))
        made.append(a * b if rng.random() < 0.5 else tg.sin(a))
    return sum(made[-5:], tg.tensor(0.0))


MODELS = {
    "lenet": lambda: loss_of(nn.models.LeNet5(), 1, 28, 28),
    "residual": lambda: loss_of(Deep(3), 3),
    "transformer": lambda: nn.TransformerEncoderLayer(8, 2, 16)(tg.randn(2, 5, 8)).sum(),
    "recurrent": lambda: nn.LSTM(3, 4)(tg.randn(6, 2, 3))[0].sum(),
    "random": lambda: random_loss(0),
    "random too": lambda: random_loss(1),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("depth", [None, 1])
def test_boxes_stand_apart_inside_their_frames_and_arrows_lead_down(name, depth):
    drawing = MODELS[name]().graph(depth=depth, repeats=False)._drawing
    scene = build(drawing)
    boxes = [r for r in scene.shapes if isinstance(r, Rect) and r.tooltip]
    for a, b in itertools.combinations(boxes, 2):
        apart = a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y
        within = a.x <= b.x and a.y <= b.y and b.x + b.width <= a.x + a.width and b.y + b.height <= a.y + a.height
        assert apart or within, (a, b)
    for box in boxes:
        assert box.x >= 0 and box.y >= 0 and box.x + box.width <= scene.width and box.y + box.height <= scene.height
    for text in (t for t in scene.shapes if isinstance(t, Text)):
        assert 0 <= text.x <= scene.width and 0 <= text.y <= scene.height
    curves = [c.points for c in scene.shapes if isinstance(c, Curve) and len(c.points) == 4]
    assert curves and all(a[1] <= d[1] + 0.01 for a, _, _, d in curves)
    shown = {v for v in drawing.shown_vertices() if v.beside is None or v.kind == "module"}
    assert len([b for b in boxes if b.tooltip.count("\n")]) >= len(shown)


@pytest.mark.parametrize("name", MODELS)
def test_wires_pass_between_boxes(name):
    drawing = MODELS[name]().graph(repeats=False)._drawing
    rows, wires = arrange(drawing)
    placing = Placing(drawing, rows, wires)
    for cluster, inside in rows.items():
        box = placing.picture if cluster is None else placing.boxes[cluster]
        for row, slots in enumerate(inside.rows):
            at = [
                (box.xs[row][i] - placing.box(s).left, box.xs[row][i] + placing.box(s).right)
                for i, s in enumerate(slots)
            ]
            assert all(a[1] <= b[0] + 1e-6 for a, b in itertools.pairwise(at))
        ends = {(row + 1, j) for row, _, j, _ in inside.links} | {(row, i) for row, i, _, _ in inside.links}
        if len(drawing.vertices) > 1:
            assert ends == {(r, i) for r, row in enumerate(inside.rows) for i, _ in enumerate(row)} or len(ends) == 0


def test_the_same_program_gives_the_same_picture():
    assert MODELS["transformer"]().graph().svg == MODELS["transformer"]().graph().svg
    assert MODELS["random"]().graph().html == MODELS["random"]().graph().html


def test_a_large_graph_folds_by_itself_and_says_so():
    model = nn.Sequential(
        *(nn.Sequential(*(nn.Linear(4, 4, bias=(i + j) % 3 > 0) for i in range(30))) for j in range(12))
    )
    graph = model(tg.randn(1, 4)).sum().graph(repeats=False)
    assert "folded to depth=1; draw(..., depth=...) opens more" in graph.svg
    assert len(graph._drawing.shown_vertices()) < 20
    assert len(page.at_first(graph._drawing)) == len(graph._drawing.folded)
    assert "folded to depth" not in model(tg.randn(1, 4)).sum().graph(depth=2, repeats=False).svg


def test_thousands_of_crossing_wires_end():
    x = tg.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(150):
        y = tg.sin(y)
    g = tg.grad(y, x, create_graph=True)
    graph = g.graph(depth=9, repeats=False)
    assert graph.svg.count(">cos<") == 150


def test_text_fits_its_box():
    image_font = pytest.importorskip(
        "matplotlib.font_manager", reason="matplotlib, which knows fonts, is not installed"
    )
    from matplotlib.textpath import TextPath

    here = {font.name for font in image_font.fontManager.ttflist}
    family = next((f for f in ("Helvetica", "Arial", "Liberation Sans") if f in here), None)
    if family is None:
        pytest.skip("no font of Helvetica's widths is installed")
    properties = image_font.FontProperties(family=family)
    for v in MODELS["lenet"]().graph(show="macs")._drawing.vertices:
        for text, size in [(v.title, 12), *((line, 10) for line in v.note.splitlines())]:
            path = TextPath((0, 0), text, size=size, prop=properties)
            assert path.get_extents().width <= box_size(v)[0] - 6, text
