"""One engine in one process: `python worker.py ENGINE [DEVICE]`, orders on standard input, an answer in JSON for each.

prepare WORKLOAD BATCH      -> {"loss": ..., "second": ..., "version": ...}, or {"absent": true}
run SECONDS                 -> {"times": [seconds of each step], "peak": MiB of the process so far}

On a GPU steps are queued ten at a time and waited for together; times are a tenth of that, the peak is the device's.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

QUEUED = 10  # steps between two readings of the clock, where work is queued

sys.path[:0] = [str(Path(__file__).resolve().parents[i]) for i in (1, 2)]

from engines import engines_of  # noqa: E402 - found through the line above


def peak_memory() -> float:
    """MiB that this process ever held."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def measured(step: Any, seconds: float) -> list[float]:
    """How long steps take, for so many seconds, at least one."""
    times, until = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < until:
        if hasattr(step, "launch"):
            step.wait()
            start = time.perf_counter()
            for _ in range(QUEUED):
                step.launch()
            step.wait()
            times.append((time.perf_counter() - start) / QUEUED)
        else:
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
    return times


def main() -> None:
    engine = engines_of(sys.argv[2] if len(sys.argv) > 2 else "cpu")[sys.argv[1]]
    answers, sys.stdout = sys.stdout, sys.stderr  # what an engine prints is no answer
    step = None
    for line in sys.stdin:
        order, *arguments = line.split()
        if order == "prepare":
            step = engine.prepare()(arguments[0], int(arguments[1]))
            answer = {"absent": True} if step is None else {"loss": step(), "second": step()}
        else:
            assert step is not None
            times = measured(step, float(arguments[0]))
            answer = {"times": times, "peak": step.peak() if hasattr(step, "peak") else peak_memory()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
