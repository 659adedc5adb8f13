"""Where the time of a training step goes: milliseconds by kind of operation, tensorgraph beside PyTorch.

    python benchmarks/breakdown.py [--workloads mlp lenet] [--batches 1 32 128] [--threads 2]

Both are measured by their own profilers (`tg.profile`, `torch.profiler`: time of an operation without those inside it,
forward and backward), each in a process of its own, one after the other; `step` is without a profiler. What is left of
the step is Python: the program, the graph, the optimiser's loop. PyTorch takes the layout in which its step is shorter.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from engines import ENGINES  # noqa: E402
from engines.workloads import WORKLOADS  # noqa: E402

KINDS = {
    "convolution": ("correlate", "conv"),
    "pooling": ("pool", "max_put"),
    "batch norm": ("standardize", "batch_norm", "mean_and_variance"),
    "lstm": ("lstm", "mkldnn_rnn"),
    "products": ("matmul", "linear", "addmm", "::mm", "bmm"),
    "relu": ("relu", "rectified", "clamp_min", "threshold"),
    "loss": ("cross_entropy", "log_softmax", "nll_loss"),
    "dropout": ("dropout", "bernoulli"),
    "embedding": ("embedding", "index", "take"),
    "update": ("_foreach", "step", "addcdiv", "addcmul", "sqrt"),
}
"""kind -> what the names of its operations contain; the first that fits counts"""


def kind_of(name: str) -> str:
    """The kind of an operation of either engine."""
    return next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), "other operations")


def seconds(step: Callable[[], object], repeats: int) -> float:
    """The median time of a step."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return median(times)


def by_tensorgraph(step: Callable[[], object], repeats: int) -> dict[str, float]:
    """Name of an operation -> milliseconds a step."""
    import tensorgraph as tg

    with tg.profile() as profile:
        for _ in range(repeats):
            step()
    return {row.name: row.own_ms / repeats for row in profile.operations()}


def by_torch(step: Callable[[], object], repeats: int) -> dict[str, float]:
    """Name of an operation -> milliseconds a step."""
    import torch

    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(repeats):
            step()
    return {row.key: row.self_cpu_time_total / repeats / 1e3 for row in profile.key_averages()}


def measured(engine: str, workload: str, batch: int) -> dict[str, float] | None:
    """Kind -> milliseconds a step, and the step; None where the engine has no such step."""
    step = ENGINES[engine].prepare()(workload, batch)
    if step is None:
        return None
    for _ in range(5):
        step()
    repeats = max(5, min(200, int(1 / seconds(step, 3))))
    found: dict[str, float] = defaultdict(float, step=seconds(step, repeats) * 1e3)
    profiled = by_tensorgraph if engine == "tensorgraph" else by_torch
    for name, ms in profiled(step, repeats).items():
        found[kind_of(name)] += ms
    return found


def ask(engine: str, workload: str, batch: int, threads: int) -> dict[str, float] | None:
    """The same from a process of its own."""
    command = [sys.executable, __file__, "--one", engine, "--workloads", workload, "--batches", str(batch)]
    environment = os.environ | {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{engine}, {workload}, batch {batch}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Prints a table for every workload and batch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    networks = [name for name in WORKLOADS if name != "chain"]
    parser.add_argument("--workloads", nargs="+", default=networks, choices=networks)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32, 128])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--one", choices=("tensorgraph", "torch", "torch-nhwc"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(given.one, given.workloads[0], given.batches[0])))
        return
    peers = [name for name in ("torch", "torch-nhwc") if ENGINES[name].version()]
    print(f"{'workload':10}{'batch':>6}  {'milliseconds':18}{'tensorgraph':>12}{'PyTorch':>10}")
    for workload in given.workloads:
        for batch in given.batches:
            ours = ask("tensorgraph", workload, batch, given.threads) or {}
            found = [there for name in peers if (there := ask(name, workload, batch, given.threads))]
            theirs = min(found, key=lambda there: there["step"], default={})
            rest = {kind: max(ours.get(kind, 0), theirs.get(kind, 0)) for kind in {*ours, *theirs} - {"step"}}
            for kind in ["step", *sorted(rest, key=lambda kind: -rest[kind])]:
                if kind == "step" or rest[kind] > 0.02 * rest[max(rest, key=lambda kind: rest[kind])]:
                    cells = "".join(f"{there[kind]:{w}.2f}" if kind in there else f"{'-':>{w}}"
                                    for there, w in ((ours, 12), (theirs, 10)))  # fmt: skip
                    print(f"{workload:10}{batch:6}  {kind:18}{cells}", flush=True)


if __name__ == "__main__":
    main()
