"""The demo: what it prints, what it leaves, and what happens when something is missing or someone interrupts."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tensorgraph as tg
from tensorgraph import nn

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
pytest.importorskip("matplotlib", reason="the demo draws its curve with matplotlib")
pytest.importorskip("tqdm", reason="the demo shows its progress with tqdm")

DEMO = Path(__file__).resolve().parents[1] / "examples" / "demo.py"


@pytest.fixture(scope="module")
def demo():
    spec = importlib.util.spec_from_file_location("demo", DEMO)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["demo"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["demo"]


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, DEMO, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


def test_a_short_run(demo, tmp_path):
    done = run("--epochs", 3, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = re.search(r"held-out accuracy (\d+\.\d+)% \(\d+ of 360\) after 3 epochs, [\d.]+ s", done.stdout)
    assert found and float(found[1]) > 88  # 98.9 after all 15 epochs
    assert "38,282 parameters" in done.stdout and "epoch 3/3" in done.stderr
    assert files(tmp_path / "out") == {"weights.npz", "curve.png", "graph.html", "graph.svg"}
    assert (tmp_path / "out" / "curve.png").read_bytes().startswith(b"\x89PNG")
    graph = (tmp_path / "out" / "graph.svg").read_text(encoding="utf-8")
    assert "SmallLeNet" in graph and "images" in graph and "loss" in graph
    model = demo.SmallLeNet()
    model.load_state_dict(nn.load(tmp_path / "out" / "weights.npz"))
    assert demo.accuracy(model, *tg.data.load_digits(train=False)) == pytest.approx(float(found[1]) / 100, abs=1e-4)


def test_an_interrupt_leaves_nothing(demo, tmp_path, monkeypatch):
    steps = iter(range(3))
    monkeypatch.setattr(nn.optim.SGD, "step", lambda self: next(steps, None) is None and _interrupt())
    with pytest.raises(KeyboardInterrupt):
        demo.main(["--epochs", "1", "--out", str(tmp_path)])
    monkeypatch.undo()
    monkeypatch.setattr(demo, "draw_curve", lambda *_: _interrupt())
    with pytest.raises(KeyboardInterrupt):
        demo.write_results(tmp_path, demo.SmallLeNet(), demo.Trained(_tiny_graph(), [1.0], [1.0], 1.0))
    assert files(tmp_path) == set()


def _interrupt() -> None:
    raise KeyboardInterrupt


def _tiny_graph() -> tg.Graph:
    return tg.draw(tg.tensor(1.0, requires_grad=True) * 2)


def test_what_is_missing_is_said_in_one_breath(tmp_path):
    done = run("--data", "mnist", "--root", tmp_path / "nowhere", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("demo: MNIST: train-images-idx3-ubyte.gz") and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["--epochs", "0"], ["--seed", "-1"], ["--data", "cifar"], ["--epochs", "two"]])
def test_bad_arguments(demo, arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        demo.main(arguments)
    assert caught.value.code == 2 and arguments[0] in capsys.readouterr().err


def test_help_and_lenet5(demo, capsys):
    with pytest.raises(SystemExit):
        demo.main(["--help"])
    said = capsys.readouterr().out
    assert all(option in said for option in ("--data", "--root", "--download", "--epochs", "--seed", "--out"))
    model = demo.LeNet5()
    assert model(tg.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert sum(p.array.size for p in model.parameters()) == 61_706  # as published, with a full second convolution
