"""One engine in one process: `python worker.py ENGINE`, orders on standard input, an answer in JSON for each.

prepare WORKLOAD BATCH      -> {"loss": ..., "second": ..., "version": ...}, or {"absent": true}
run SECONDS                 -> {"times": [seconds of each step], "peak": MiB of the process so far}
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[i]) for i in (1, 2)]

from engines import ENGINES  # noqa: E402 - found through the line above


def peak_memory() -> float:
    """MiB that this process ever held."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    engine = ENGINES[sys.argv[1]]
    answers, sys.stdout = sys.stdout, sys.stderr  # what an engine prints is no answer
    step = None
    for line in sys.stdin:
        order, *arguments = line.split()
        if order == "prepare":
            step = engine.prepare()(arguments[0], int(arguments[1]))
            answer = {"absent": True} if step is None else {"loss": step(), "second": step()}
        else:
            assert step is not None
            times, until = [], time.perf_counter() + float(arguments[0])
            while not times or time.perf_counter() < until:
                start = time.perf_counter()
                step()
                times.append(time.perf_counter() - start)
            answer = {"times": times, "peak": peak_memory()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
