"""The examples run, and the short one stays short and on the public API; the table for PyTorch's people is complete."""

from __future__ import annotations

import ast
import importlib
import os
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from tensorgraph import nn, spelling

ROOT = Path(__file__).resolve().parents[1]
LENET = ROOT / "examples" / "lenet.py"
DATA = Path(os.environ.get("TENSORGRAPH_DATA") or ROOT.parent / "shared" / "data")
with_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder with data sets is not here (TENSORGRAPH_DATA)")


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


# ---- the larger ones, on little data ---------------------------------------------------------------------------------
def example(name):
    if name == "sklearn_search":
        pytest.importorskip("sklearn", reason="the example searches with scikit-learn")
    pytest.importorskip("matplotlib", reason="the examples draw with matplotlib")
    return importlib.import_module(f"examples.{name}")


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["sklearn_search", "char_rnn", "cifar_resnet20", "fine_tune", "three_convolutions"])
def test_examples_explain_themselves(name, capsys):
    with pytest.raises(SystemExit) as end:
        example(name).main(["--help"])
    said = capsys.readouterr().out
    assert end.value.code == 0 and f"python3 -m examples.{name}" in said
    assert all(option in said for option in ("--seed", "--epochs", "--out"))
    with pytest.raises(SystemExit) as end:
        example(name).main(["--epochs", "0"])
    assert end.value.code == 2 and "--epochs is a whole number from 1 on" in capsys.readouterr().err


def test_sklearn_search_finds_a_good_network(tmp_path):
    few = ["--samples", "200", "--epochs", "8", "--draws", "2", "--folds", "2", "--verbose", "0"]
    assert example("sklearn_search").main([*few, "--out", str(tmp_path)]) > 0.8
    assert files(tmp_path) == {"sklearn_search.md", "sklearn_search.png"}
    report = (tmp_path / "sklearn_search.md").read_text(encoding="utf-8")
    assert report.count("| 1 |") >= 2 and "(128, 128)" in report


def test_char_rnn_learns_a_rhyme_and_writes_it(tmp_path, capsys):
    text = tmp_path / "rhyme.txt"
    text.write_text("one, two, buckle my shoe; three, four, knock at the door;\n" * 60)
    out = tmp_path / "out"
    small = ["--hidden", "32", "--streams", "4", "--length", "16", "--lr", "0.02", "--prompt", "one"]
    settings = [*small, "--text", str(text), "--write", "40", "--temperature", "0", "--out", str(out)]
    assert example("char_rnn").main([*settings, "--epochs", "4"]) < 0.5  # of log(24 characters) = 3.2
    assert files(out) == {"char_rnn.npz", "char_rnn.png", "char_rnn.txt"}
    written = (out / "char_rnn.txt").read_text()
    assert written.startswith("one, two, buckle my shoe; three")
    (out / "char_rnn.txt").unlink()
    assert example("char_rnn").main([*settings, "--load", str(out / "char_rnn.npz")]) is None
    assert (out / "char_rnn.txt").read_text() == written


@with_data
def test_cifar_goes_on_after_an_interrupt_as_if_there_was_none(tmp_path, monkeypatch, capsys):
    few = ["--root", str(DATA), "--images", "48", "--test", "20", "--epochs", "2", "--batch-size", "16"]

    def interrupted(*_):
        raise KeyboardInterrupt

    example("cifar_resnet20").main([*few, "--out", str(tmp_path / "whole")])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(nn.train.Trainer, "_validate", _after(1, nn.train.Trainer._validate, interrupted))
        example("cifar_resnet20").main([*few, "--out", str(tmp_path / "parts")])
    example("cifar_resnet20").main([*few, "--out", str(tmp_path / "parts"), "--resume"])
    whole, parts = (nn.load(tmp_path / name / "cifar_resnet20.npz") for name in ("whole", "parts"))
    assert all(np.array_equal(whole[name].numpy(), parts[name].numpy()) for name in whole)
    assert {"cifar_resnet20.csv", "cifar_resnet20.png", "cifar_resnet20.npz"} < files(tmp_path / "parts")
    assert "of 20 test images" in capsys.readouterr().out


@pytest.mark.slow
@with_data
def test_three_convolutions_go_on_from_the_checkpoint_of_any_epoch(tmp_path, capsys):
    few = ["--root", str(DATA), "--images", "20", "--test", "10", "--batch-size", "10"]
    run = example("three_convolutions").main
    run([*few, "--epochs", "3", "--out", str(tmp_path / "whole")])
    run([*few, "--epochs", "1", "--out", str(tmp_path / "parts")])
    run([*few, "--epochs", "2", "--out", str(tmp_path / "parts"), "--resume"])
    second = tmp_path / "parts" / "three_convolutions" / "epoch_0002.npz"
    run([*few, "--epochs", "3", "--out", str(tmp_path / "parts"), "--resume", str(second)])
    tables = [(tmp_path / name / "three_convolutions.csv").read_text().splitlines() for name in ("whole", "parts")]
    assert len(tables[0]) == 4
    assert [row.rpartition(",")[0] for row in tables[0]] == [row.rpartition(",")[0] for row in tables[1]]  # no seconds
    checkpoints = [f"three_convolutions/{name}.npz" for name in ("best", "last", *(f"epoch_000{i}" for i in (1, 2, 3)))]
    results = [f"three_convolutions{suffix}" for suffix in (".csv", ".npz", ".png")]
    assert files(tmp_path / "parts") == files(tmp_path / "whole") == {*checkpoints, *results}
    assert "20 images to learn from, 10 held out; 1,379,557 parameters" in capsys.readouterr().out


def _after(calls, function, then):
    """The function for so many calls, and then the other."""
    counted = iter(range(calls))
    return lambda *arguments: (then if next(counted, None) is None else function)(*arguments)


@with_data
def test_cifar_tries_published_weights(tmp_path):
    found = example("cifar_resnet20").main(
        ["--root", str(DATA), "--test", "200", "--pretrained", "--out", str(tmp_path)]
    )
    assert found > 0.85  # 91.5 % of all 1,000, which tests/test_weights.py looks at
    assert files(tmp_path) == set()


@with_data
def test_fine_tune_compares_three_ways(tmp_path):
    few = ["--root", str(DATA), "--per-class", "2", "--test", "50", "--epochs", "1"]
    found = example("fine_tune").main([*few, "--out", str(tmp_path)])
    assert list(found) == ["from scratch", "head alone", "two learning rates"]
    assert files(tmp_path) == {"fine_tune.md", "fine_tune.npz", "fine_tune.png"}
    table = (tmp_path / "fine_tune.md").read_text(encoding="utf-8")
    assert "| head alone | 650 |" in table and "| two learning rates | 269,722 |" in table


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
