"""The examples run, and the short one stays short and on the public API; the table for PyTorch's people is complete."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest

from tensorgraph import spelling

ROOT = Path(__file__).resolve().parents[1]
LENET = ROOT / "examples" / "lenet.py"


def test_lenet_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    pytest.importorskip("matplotlib", reason="the example draws its curve with matplotlib").use("Agg")
    monkeypatch.chdir(tmp_path)
    short = tmp_path / "short.py"
    text = LENET.read_text()
    assert "EPOCHS, LR = 15, 0.05" in text
    short.write_text(text.replace("EPOCHS, LR = 15, 0.05", "EPOCHS, LR = 3, 0.05"))
    runpy.run_path(str(short), run_name="__main__")
    said = capsys.readouterr().out
    found = re.search(r"held-out accuracy: (\d+\.\d)%", said)
    assert found and float(found[1]) > 88, said  # 98 % after all 15 epochs
    names = {path.suffix for path in (tmp_path / "out").iterdir()}
    assert names in ({".npz", ".png", ".svg"}, {".npz", ".png", ".dot"})


def test_lenet_is_a_page_of_public_api():
    text = LENET.read_text()
    assert len(text.splitlines()) <= 60
    tree = ast.parse(text)
    modules = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    modules |= {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    assert modules == {"pathlib", "matplotlib.pyplot", "tensorgraph", "tensorgraph.data"}
    assert not [n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr.startswith("_")]


def test_the_page_for_pytorchs_people_names_every_translated_spelling():
    page = (ROOT / "docs" / "coming-from-pytorch.md").read_text(encoding="utf-8")
    rows = "\n".join(line for line in page.splitlines() if line.startswith("|"))
    quoted = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", rows))))
    spelled = {*spelling.aliases(spelling.KEYWORDS), *spelling.METHODS, *spelling.FUNCTIONS}
    assert not sorted(spelled - quoted)


@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_stored_notebooks_name_no_machine(notebook):
    text = notebook.read_text(encoding="utf-8")
    traces = ("/home/", "/Users/", "/tmp/", "ipykernel_", str(ROOT), "language_info", " at 0x")
    found = [trace for trace in traces if trace in text]
    assert not found, f"{found}: write it with `python3 dev.py notebooks`"
