"""Whole training steps, every installed engine in a process of its own, taking turns.

    python benchmarks/training.py [--workloads mlp lenet] [--batches 1 32 128] [--engines tensorgraph torch]
    python benchmarks/training.py --device cuda [--tf32]

A step is: zero the gradients, forward, backward, update. In every round each engine steps for `--seconds` while the
others wait; what counts is the median step of a round, and of the rounds the median. Ratios are to PyTorch's better
layout in the same round. Machines differ and are shared: read the ratios and their spread. All engines start from the
same weights; an engine whose first losses are not the others' is an error. Results go to out/training.json and .png.

On a GPU the engines are tensorgraph, eager and captured, and PyTorch, eager, channels last, as a CUDA graph and (if
named) compiled; `--tf32` allows it to both, else neither has it, for convolutions too. Clocks are read behind a wait.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from engines import ENGINES, ON_GPU, engines_of, installed, on_gpu
from engines.workloads import WORKLOADS

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))  # a checkout is tensorgraph without installing it
LAYOUTS = ("torch", "torch-nhwc")
COLORS = dict(
    zip(
        [*ENGINES, "tensorgraph-captured", "torch-graphs"],
        "#0072b2 #d55e00 #e69f00 #cc79a7 #009e73 #56b4e9 #999999 #000000 #f0e442".split(),
    )
)


class Worker:
    """An engine in its process."""

    def __init__(self, engine: str, threads: int, device: str = "cpu", tf32: bool = False):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, str(threads)) | {"BENCHMARK_TF32": str(int(tf32))}
        if threads == 1:
            environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        self.engine = engine
        self.process = subprocess.Popen(
            [sys.executable, HERE / "engines" / "worker.py", engine, device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, *order: object) -> dict[str, Any]:
        """Sends one order and waits for the answer."""
        assert self.process.stdin and self.process.stdout
        print(*order, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.engine} ended with status {self.process.wait()} at: {' '.join(map(str, order))}")
        return json.loads(answer)

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@contextmanager
def workers(
    engines: Sequence[str], options: argparse.Namespace, workload: str, batch: int
) -> Iterator[dict[str, Worker]]:
    """The engines that can do the workload, ready to step."""
    with ExitStack() as stack:
        ready, losses = {}, {}
        for engine in engines:
            worker = Worker(engine, options.threads, options.device, options.tf32)
            stack.callback(worker.close)
            found = worker.ask("prepare", workload, batch)
            if "absent" not in found:
                ready[engine], losses[engine] = worker, (found["loss"], found["second"])
        if not WORKLOADS[workload].random:
            agree(workload, losses)
        yield ready


def agree(workload: str, losses: Mapping[str, tuple[float, float]]) -> None:
    """Raises when two engines do not do the same work."""
    first = next(iter(losses.values()), None)
    for found in losses.values():
        if first and not all(math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-5) for a, b in zip(first, found)):
            raise RuntimeError(f"{workload}: the engines disagree on the loss of the first two steps: {losses}")


def measure(engines: Sequence[str], workload: str, batch: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One result per engine: median milliseconds a step in each round, peak memory, ratio to PyTorch."""
    rounds: dict[str, list[float]] = {}
    peaks = {}
    with workers(engines, options, workload, batch) as ready:
        for _ in range(options.rounds):
            for engine, worker in ready.items():
                answer = worker.ask("run", options.seconds)
                rounds.setdefault(engine, []).append(1e3 * median(answer["times"]))
                peaks[engine] = answer["peak"]
    reference = [min(pair) for pair in zip(*(rounds[name] for name in LAYOUTS if name in rounds))]
    results = []
    for engine, times in rounds.items():
        ratios = sorted(t / r for t, r in zip(times, reference))
        results.append(
            {
                "workload": workload,
                "batch": batch,
                "engine": engine,
                "ms": median(times),
                "ms_range": [min(times), max(times)],
                "ratio": median(ratios) if ratios else None,
                "ratio_range": [ratios[0], ratios[-1]] if ratios else None,
                "peak_mib": peaks[engine],
            }
        )
    return results


def line(result: Mapping[str, Any]) -> str:
    """A result as a line of the table."""
    low, high = result["ms_range"]
    text = (
        f"{result['workload']:9} {result['batch']:5} {result['engine']:14} {result['ms']:9.2f} {low:9.2f} {high:9.2f}"
    )
    if result["ratio"] is not None:
        text += f" {result['ratio']:7.2f} {result['ratio_range'][0]:7.2f} {result['ratio_range'][1]:7.2f}"
    else:
        text += f" {'-':>7} {'-':>7} {'-':>7}"
    return f"{text} {result['peak_mib']:8.0f}"


def plot(results: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Ratios to PyTorch as dots on a logarithmic axis, one row a workload and batch."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = list(dict.fromkeys((r["workload"], r["batch"]) for r in results))
    titles = {name: engine.title for name, engine in (ENGINES | ON_GPU).items()}
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.34 * len(rows)), layout="constrained")
    for engine in dict.fromkeys(r["engine"] for r in results):
        mine = [r for r in results if r["engine"] == engine and r["ratio"] is not None]
        axes.plot(
            [r["ratio"] for r in mine],
            [rows.index((r["workload"], r["batch"])) for r in mine],
            "o",
            color=COLORS[engine],
            markersize=9 if engine == "tensorgraph" else 6,
            label=titles[engine],
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.axvline(1, color="0.4", linewidth=1)
    axes.set_yticks(range(len(rows)), [f"{name}, batch {n}" if name != "chain" else name for name, n in rows])
    axes.invert_yaxis()
    axes.grid(axis="x", which="both", color="0.9")
    axes.set_xlabel("time of a training step, PyTorch eager (better layout) = 1; further left is faster")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def about(engines: Sequence[str], options: argparse.Namespace) -> dict[str, Any]:
    """What the figures hang on."""
    known = engines_of(options.device)
    return {
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": options.threads,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "device": options.device,
        "tf32": options.tf32,
        "versions": {known[name].package: known[name].version() for name in engines},
    }


def checked(parser: argparse.ArgumentParser, options: argparse.Namespace) -> list[str]:
    """The engines to compare; what cannot work ends the program with one clear line, before anything starts."""
    known = engines_of(options.device)
    unknown = [name for name in options.engines or () if name not in known]
    if unknown:
        parser.error(f"--device {options.device} has no engine {unknown[0]!r}: choose from {', '.join(known)}")
    if options.tf32 and options.device == "cpu":
        parser.error("--tf32 is for --device cuda")
    engines = options.engines or installed(options.device)
    if options.device == "cuda":
        lacking = {name: why for name in engines if (why := on_gpu.missing(name))}
        if lacking:
            parser.error("\n".join(f"{name}: {why}" for name, why in lacking.items()))
    return engines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32, 128])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--tf32", action="store_true", help="allow it to all engines; on a GPU only")
    names = list(ENGINES | ON_GPU)
    parser.add_argument("--engines", nargs="+", choices=names, help="all that are installed; torch.compile if named")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each engine in each round; 0: one step")
    parser.add_argument(
        "--out", type=Path, default=HERE.parent / "out", help="folder of training.json and training.png"
    )
    options = parser.parse_args()
    engines = checked(parser, options)
    facts = about(engines, options)
    print("#", json.dumps(facts))
    print(f"{'workload':9} {'batch':>5} {'engine':14} {'ms':>9} {'least':>9} {'most':>9}", end=" ")
    print(f"{'ratio':>7} {'least':>7} {'most':>7} {'MiB':>8}")
    results = []
    for workload in options.workloads:
        for batch in options.batches if workload != "chain" else options.batches[:1]:
            for result in measure(engines, workload, batch, options):
                results.append(result)
                print(line(result), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "training.json").write_text(json.dumps(facts | {"results": results}, indent=1) + "\n")
    if any(r["ratio"] is not None for r in results):
        plot(results, options.out / "training.png")


if __name__ == "__main__":
    main()
