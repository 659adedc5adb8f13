"""Whole programs, from the start of Python to its end: importing, one epoch of MNIST, the demo.

    python benchmarks/programs.py [--repeats 5] [--root FOLDER_OF_MNIST]

Importing is compared with importing NumPy; the epoch is LeNet-5 with SGD and batches of 128, read from the published
files, trained for one epoch and tested on all 10,000 images, by tensorgraph and by PyTorch in turn. The shortest wall
time of each counts. Without MNIST's files that part says so and is left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

EPOCH = """
import sys, numpy as np
sys.path[:0] = [{root!r}, {here!r}]
from tensorgraph.data import mnist
(x, y), (tx, ty) = (mnist({data!r}, train=train) for train in (True, False))
from engines import layers
{engine}
order = np.random.default_rng(0).permutation(len(x))
for i in range(0, len(x), 128):
    chosen = order[i : i + 128]
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(tensor(x[chosen])), tensor(y[chosen]))
    loss.backward()
    optimizer.step()
right = 0
with no_grad():
    for i in range(0, len(tx), 1000):
        right += int((model(tensor(tx[i : i + 1000])).argmax(1) == tensor(ty[i : i + 1000])).sum())
print(f"{{right / len(tx):.2%}}")
"""

OURS = """
import tensorgraph as tg
from tensorgraph import nn
tg.manual_seed(0)
tensor, no_grad, model = tg.tensor, tg.no_grad, layers.build("lenet", nn)
optimizer = nn.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
"""

THEIRS = """
import torch
from torch import nn
torch.manual_seed(0)
tensor, no_grad, model = torch.from_numpy, torch.no_grad, layers.build("lenet", nn)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
"""


def shortest(commands: Mapping[str, Sequence[str]], repeats: int) -> None:
    """Prints the shortest wall time of each command; they take turns."""
    times: dict[str, list[float]] = {}
    said = {}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(repeats):
        for name, command in commands.items():
            start = time.perf_counter()
            done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            times.setdefault(name, []).append(time.perf_counter() - start)
            said[name] = done.stdout.strip().splitlines()[-1:]
    for name, taken in times.items():
        print(f"{name:34} {min(taken):8.3f} s  {' '.join(said[name])}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("TENSORGRAPH_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--root", type=Path, default=data, help="folder that holds MNIST/raw")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch = importlib.util.find_spec("torch") is not None
    imports = {"import numpy": "numpy", "import tensorgraph": "tensorgraph", "and tensorgraph.nn": "tensorgraph.nn"}
    if torch:
        imports["import torch"] = "torch"
    shortest({name: (sys.executable, "-c", f"import {module}") for name, module in imports.items()}, options.repeats)
    if (options.root / "MNIST").is_dir():
        facts = {"root": str(ROOT), "here": str(ROOT / "benchmarks"), "data": str(options.root)}
        epochs = {"an epoch of MNIST": OURS} | ({"the same, PyTorch": THEIRS} if torch else {})
        programs = {name: (sys.executable, "-c", EPOCH.format(engine=e, **facts)) for name, e in epochs.items()}
        shortest(programs, max(1, options.repeats // 2))
    else:
        print(f"# no MNIST below {options.root}: give --root to time an epoch of it")
    if importlib.util.find_spec("sklearn") and importlib.util.find_spec("matplotlib"):
        shortest({"examples/demo.py": (sys.executable, "examples/demo.py")}, 1)
    else:
        print("# scikit-learn or matplotlib is missing: the demo is left out")


if __name__ == "__main__":
    main()
