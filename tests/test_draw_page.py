"""The page of a graph, in a real browser: it draws, folds, searches, tells, and asks the network for nothing."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.drawing import page
from tensorgraph.drawing.model import walk
from tensorgraph.drawing.place import Placing
from tensorgraph.drawing.rows import arrange

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome is installed")


def loss():
    model = nn.Sequential(*(nn.TransformerEncoderLayer(8, 2, 8) for _ in range(3)), nn.Flatten(), nn.Linear(24, 2))
    return nn.functional.cross_entropy(model(tg.randn(2, 3, 8)), tg.tensor([0, 1]))


def in_browser(graph: tg.Graph, script: str, hash: str = "") -> dict:
    """What `script`, an expression, gives in the page of a graph, and what went wrong there under "errors"."""
    early = "<script>window.wrong=[];addEventListener('error',e=>wrong.push(String(e.message)))</script>"
    late = (
        f"<script>{{const out=document.createElement('pre');out.id='out';let value=null;"
        f"try{{value=(()=>{{{script}}})()}}catch(e){{wrong.push(String(e.stack))}}"
        "out.textContent=JSON.stringify({value,errors:wrong});document.body.append(out)}</script>"
    )
    # a profile of its own for each run; what the browser still writes there while it goes is no failure of the test
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, "graph.html")
        text = graph.html.replace("<head>", "<head>" + early, 1).replace("</body>", late + "</body>", 1)
        path.write_text(text, encoding="utf-8")
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        command += [f"--user-data-dir={folder}/profile", "--window-size=1200,800", "--dump-dom", path.as_uri() + hash]
        done = subprocess.run(command, capture_output=True, timeout=120)  # pyright: ignore[reportArgumentType]
    found = re.search(r'<pre id="out">(.*?)</pre>', done.stdout.decode(), re.DOTALL)
    assert found, done.stderr.decode()[-2000:]
    said = json.loads(html.unescape(found[1]))
    assert said["errors"] == []
    return said["value"]


def test_the_page_needs_nothing_else(tmp_path):
    x = tg.tensor(1.0, requires_grad=True)
    graph = (x * 2).graph(names={"</script><b>&": x})
    text = graph.save(tmp_path / "graph.html").read_text(encoding="utf-8")
    assert "connect-src" not in text and "default-src 'none'" in text
    assert not re.findall(r"(?:src|href)\s*=", text) and "@import" not in text and "url(" not in text
    assert "fetch(" not in text and "XMLHttpRequest" not in text
    assert text.count("</script>") == 2  # the name did not close one
    data = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text)[1])
    assert [v["title"] for v in data["vertices"]] == ["</script><b>&", "multiply"]
    assert "{{" not in text


def test_a_large_graph_opens_folded():
    graph = loss().graph(repeats=False)
    assert not graph._drawing.folded and page.at_first(graph._drawing)
    small = nn.Linear(3, 2)(tg.ones(1, 3)).sum().graph()
    assert not page.at_first(small._drawing)


@needs_chromium
@pytest.mark.parametrize("fold", ["nothing", "some", "all"])
def test_the_browser_places_boxes_where_python_does(fold):
    graph = loss().graph(repeats=False, backward=True)
    drawing = graph._drawing
    clusters = list(walk(drawing.clusters))
    keep = {"nothing": [], "some": [c for c in clusters if c.title in ("1", "self_attn")], "all": clusters}[fold]
    drawing.folded = set(keep)
    rows, wires = arrange(drawing)
    placing = Placing(drawing, rows, wires)
    # the page opens in its own way; folding is told to it
    numbers = [clusters.index(c) for c in keep]
    script = (
        f"graph.foldTo(99); for (const c of {numbers}) graph.folded[c] = true; graph.toggle('c0'); graph.toggle('c0');"
        "return [...graph.places()].map(([slot, at]) => [slot, ...at]);"
    )
    seen = {slot: at for slot, *at in in_browser(graph, script)}
    expected = {}
    stack = [(None, placing.picture, 12 + placing.picture.left, 12.0)]
    while stack:
        cluster, box, x, y = stack.pop()
        if cluster is not None and not cluster.plain:
            expected[f"c{clusters.index(cluster)}"] = (x - box.left, y, box.left + box.right, box.height)
        for r, row in enumerate(rows[cluster].rows):
            for i, slot in enumerate(row):
                if isinstance(slot, int):
                    continue
                room = placing.box(slot)
                top = y + box.tops[r] + (box.heights[r] - room.height) / 2
                if slot in clusters and slot not in drawing.folded:
                    stack.append((slot, room, x + box.xs[r][i], top))
                else:
                    name = f"c{clusters.index(slot)}" if slot in clusters else f"v{drawing.vertices.index(slot)}"
                    expected[name] = (x + box.xs[r][i], top, room.height)
    assert set(expected) <= set(seen)
    for name, (x, y, *size) in expected.items():
        left, top, width, height = seen[name]
        if len(size) == 2:
            assert (left, top, width, height) == pytest.approx((x, y, *size), abs=0.5)
        else:  # a box is anchored in its middle, and as high as its text
            assert left + width / 2 == pytest.approx(x, abs=0.5)
            assert top + height / 2 == pytest.approx(y + size[0] / 2, abs=0.5)


@needs_chromium
def test_modules_fold_and_unfold_by_pointer_and_keyboard():
    script = """
      const count = () => document.querySelectorAll(".box").length;
      const slot = path => "c" + graph.clusters.findIndex(c => c.path === path);
      const at = path => document.querySelector(`[data-slot="${slot(path)}"]`);
      const click = path => {
        const box = at(path).getBoundingClientRect();
        const where = {bubbles: true, clientX: box.left + 5, clientY: box.top + 5, pointerId: 1};
        at(path).dispatchEvent(new PointerEvent("pointerdown", where));
        at(path).dispatchEvent(new PointerEvent("pointerup", where));
      };
      const key = (path, key) => at(path).dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
      const press = key => document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
      graph.foldTo(1);
      const said = {folded: count(), expanded: at("Sequential.0").getAttribute("aria-expanded")};
      const before = at("Sequential.0").getBoundingClientRect();
      click("Sequential.0");
      const after = at("Sequential.0").getBoundingClientRect();
      said.open = count(); said.nowExpanded = at("Sequential.0").getAttribute("aria-expanded");
      said.stays = Math.abs(before.top - after.top) < 2;
      click("Sequential.0");
      said.again = count();
      key("Sequential.1", "Enter"); said.byKey = count();
      press("["); press("["); said.all = count();
      press("]"); said.first = count();
      for (let i = 0; i < 9; i++) document.getElementById("deeper").click();
      said.most = count();
      return said;
    """
    graph = loss().graph(repeats=False)
    said = in_browser(graph, script)
    assert (
        said["folded"] == said["again"] == said["first"] == 5 + 3
    )  # three blocks, flatten, linear; input, labels, loss
    assert said["open"] > 10 and said["byKey"] == said["open"]
    assert (said["expanded"], said["nowExpanded"], said["stays"]) == ("false", "true", True)
    assert said["all"] == 4 and said["most"] == len(graph._drawing.vertices)


@needs_chromium
def test_search_opens_what_hides_it_and_hovering_shows_the_record():
    script = """
      const field = document.getElementById("find");
      field.value = "softmax nothing"; field.dispatchEvent(new Event("input"));
      const none = document.getElementById("found").textContent;
      field.value = "2.linear2 bias"; field.dispatchEvent(new Event("input"));
      const list = document.querySelectorAll("#hits li").length;
      field.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", bubbles: true}));
      const marked = document.querySelector(".marked"), box = marked.getBoundingClientRect();
      marked.dispatchEvent(new PointerEvent("pointermove", {bubbles: true, clientX: box.left + 3,
                                                              clientY: box.top + 3}));
      const record = document.getElementById("record");
      const inView = box.top > 0 && box.bottom < innerHeight && box.left > 0 && box.right < innerWidth;
      return {none, list, found: document.getElementById("found").textContent, inView,
              record: record.hidden ? "" : record.innerText};
    """
    said = in_browser(loss().graph(depth=0, repeats=False), script)
    assert said["none"] == "0 found" and said["list"] == 1 and said["found"] == "1 of 1" and said["inView"]
    for part in ("parameter", "2.linear2.bias", "f32[8]", "8"):
        assert part in said["record"]


@needs_chromium
def test_the_address_says_depth_and_what_to_find():
    said = in_browser(
        loss().graph(repeats=False),
        "return [document.getElementById('find').value, document.querySelector('.marked .title').textContent,"
        " graph.clusters.filter((c, i) => c.depth === 0 && graph.folded[i]).length]",
        "#depth=0&find=relu",
    )
    assert said == ["relu", "relu", 0]


@needs_chromium
def test_light_dark_zoom_and_print():
    said = in_browser(
        loss().graph(),
        """
        const colour = () => getComputedStyle(document.body).backgroundColor;
        const box = () => document.getElementById("picture").getAttribute("viewBox").split(" ").map(Number);
        const light = colour(); document.getElementById("theme").click(); const dark = colour();
        const before = box(); document.getElementById("larger").click(); const closer = box();
        dispatchEvent(new Event("beforeprint")); const printed = box(), paper = colour();
        dispatchEvent(new Event("afterprint"));
        return {light, dark, before, closer, printed, paper, back: colour(), after: box()};
        """,
    )
    assert said["light"] != said["dark"] == said["back"] and said["paper"] == said["light"]
    assert said["closer"][2] < said["before"][2] and said["after"] == said["closer"]
    assert said["printed"][:2] == [0, 0]


@needs_chromium
@pytest.mark.slow
def test_thousands_of_nodes():
    x = tg.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(1200):
        y = tg.sin(y) * tg.cos(y)
    said = in_browser(y.graph(repeats=False), "return document.querySelectorAll('.box').length")
    assert said == 3601


@needs_chromium
def test_colours_follow_what_is_folded():
    x = tg.randn(2, 4)
    model = nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 4)))
    script = """
      const now = () => [...document.querySelectorAll(".box.module")].map(box => [
        box.querySelector(".title").textContent, box.querySelector(".main").style.fill,
        document.getElementById("high").textContent]);
      graph.foldTo(1);
      const first = now();
      graph.foldTo(0);
      return [first, now()];
    """
    first, second = in_browser(model(x).sum().graph(show="macs", backward=True), script)
    dark = "rgb(0, 34, 78)"
    assert [row[0] for row in first] == ["0", "1"] and first[1][1] == dark != first[0][1]
    assert first[0][2] == str(2 * (8 * 16 + 16 * 4))
    assert second == [["Sequential", dark, "448"]]
