"""The benchmarks run, at the smallest size, and notice when two engines do not do the same work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def run(name, *arguments):
    command = [sys.executable, BENCHMARKS / name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_every_workload_takes_a_step(tmp_path):
    size = ("--rounds", 1, "--seconds", 0, "--batches", 2, "--threads", 1)
    said = run("training.py", *size, "--engines", "tensorgraph", "--out", tmp_path)
    found = json.loads((tmp_path / "training.json").read_text())
    assert [r["workload"] for r in found["results"]] == ["mlp", "lenet", "cnn3", "resnet20", "charlstm", "chain"]
    assert all(r["ms"] > 0 and r["peak_mib"] > 10 and r["ratio"] is None for r in found["results"])
    assert found["versions"].keys() == {"tensorgraph"}
    assert len(said.splitlines()) == 2 + 6


@pytest.mark.slow
@pytest.mark.peers
def test_pytorch_does_the_same_work(tmp_path):
    pytest.importorskip("torch", reason="PyTorch is what this compares with")
    size = ("--rounds", 1, "--seconds", 0, "--batches", 2, "--threads", 1)
    run("training.py", *size, "--engines", "tensorgraph", "torch", "--out", tmp_path)  # compares the losses
    results = json.loads((tmp_path / "training.json").read_text())["results"]
    assert all(r["ratio"] == 1 for r in results if r["engine"] == "torch")
    assert all(r["ratio"] > 0 for r in results if r["engine"] == "tensorgraph")
    assert (tmp_path / "training.png").stat().st_size > 1000


def test_engines_that_disagree_are_an_error(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import training  # pyright: ignore[reportMissingImports]

    training.agree("mlp", {"one": (2.3, 2.2), "two": (2.3001, 2.2)})
    with pytest.raises(RuntimeError, match="disagree on the loss"):
        training.agree("mlp", {"one": (2.3, 2.2), "two": (2.3, 2.3)})
    with pytest.raises(RuntimeError, match="disagree on the loss"):
        training.agree("mlp", {"one": (2.3, 2.2), "two": (float("nan"), 2.2)})


def test_what_a_node_costs(tmp_path):
    assert "forward and backward" in run("overhead.py", "--repeats", 1)
