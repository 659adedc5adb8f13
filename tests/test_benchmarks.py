"""The benchmarks run, at the smallest size, and notice when two engines do not do the same work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import tensorgraph as tg
from tensorgraph import backends
from tests import playback

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


# ---- on a GPU, as far as it goes without one -------------------------------------------------------------------------
def refused(*arguments):
    command = [sys.executable, BENCHMARKS / "training.py", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    return done.stderr


def test_no_gpu_is_one_clear_error():
    if len(backends.devices()) > 1:
        pytest.skip("there is a GPU")
    said = refused("--device", "cuda", "--engines", "tensorgraph")
    assert "tensorgraph: device 'cuda': " in said and "hint: " in said
    said = refused("--device", "cuda", "--engines", "jax")
    assert "has no engine 'jax': choose from tensorgraph, tensorgraph-captured, torch" in said
    assert "has no engine 'torch-graphs'" in refused("--engines", "torch-graphs")
    assert "--tf32 is for --device cuda" in refused("--tf32")


@pytest.fixture
def on_gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from engines import on_gpu  # pyright: ignore[reportMissingImports]

    yield on_gpu
    tg.backends.cuda.allow_tf32(False)


@pytest.mark.parametrize("workload", ["mlp", "lenet", "resnet20"])
def test_our_steps_on_a_device_that_is_played(on_gpu, monkeypatch, workload):
    """Eager and captured train alike; the device is that of tests/playback.py."""
    monkeypatch.setattr(on_gpu, "DEVICE", "fence")
    monkeypatch.setenv("BENCHMARK_TF32", "1")
    losses = []
    for make in (on_gpu.eager, on_gpu.captured):
        with playback.installed() as device:
            step = make(workload, 2)
            losses.append([step() for _ in range(4)])
            launches = device.events.count("launch")
    assert losses[0] == losses[1] and len(set(losses[0])) == 4 and launches > 0
    assert tg.backends.cuda.allow_tf32() and on_gpu.eager("chain", 1) is None


@pytest.mark.peers
def test_pytorchs_steps(on_gpu, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(on_gpu, "DEVICE", "cpu")
    for make in (on_gpu.torch_eager, on_gpu.torch_channels_last):
        step = make("lenet", 2)
        first, second = step(), step()
        assert first != second and torch.backends.cuda.matmul.allow_tf32 is torch.backends.cudnn.allow_tf32 is False
    assert on_gpu.torch_channels_last("mlp", 2) is None and on_gpu.torch_eager("chain", 2) is None
    assert "finds no CUDA device" in (on_gpu.missing("torch") or "finds no CUDA device")


def test_the_clock_is_read_behind_a_wait(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from engines import worker  # pyright: ignore[reportMissingImports]

    class Step:
        events = []

        def launch(self):
            self.events.append("launch")

        def wait(self):
            self.events.append("wait")

    assert len(worker.measured(Step(), 0)) == 1
    assert Step.events == ["wait", *["launch"] * worker.QUEUED, "wait"]


@pytest.mark.slow
@pytest.mark.peers
def test_where_the_time_goes():
    pytest.importorskip("torch", reason="PyTorch is what this compares with")
    said = run("breakdown.py", "--workloads", "lenet", "--batches", 2, "--threads", 1)
    rows = {line[18:36].strip(): line[36:].split() for line in said.splitlines()[1:]}
    assert rows.keys() >= {"step", "convolution", "pooling", "products", "loss"}
    for kind in ("step", "convolution", "products"):
        ours, theirs = map(float, rows[kind])
        assert ours > 0 and theirs > 0
