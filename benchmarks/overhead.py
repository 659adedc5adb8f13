"""What one operation costs beyond its arithmetic: a chain of 400 operations on 4 floats, forward and backward.

    python benchmarks/overhead.py [--repeats 30]

Compares with bare NumPy, and with PyTorch where it is installed, in one run, and times what a node pays for knowing
the line that it was born on: alone, and as the ratio of the operations as they are to the same operations written out
without it. Machines differ and are shared: read the ratios.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import sys
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from statistics import median
from sys import _getframe

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.operation import op
from tensorgraph.provenance import internal

OPERATIONS = 400


def chain(x, w, tanh):
    """400 operations: two products, a sum and a tanh, a hundred times over."""
    y = x
    for _ in range(OPERATIONS // 4):
        y = y * w
        y = y + w
        y = tanh(y)
        y = y * x
    return y


def contenders() -> dict[str, Callable[[], object]]:
    """Name -> one run of the chain."""
    a, b = np.ones(4, np.float32), np.full(4, 0.999, np.float32)
    x, w = tg.ones(4, requires_grad=True), tg.full((4,), 0.999)

    def backward():
        x.grad = None
        chain(x, w, tg.tanh).sum().backward()

    def unrecorded():
        with tg.no_grad():
            chain(x, w, tg.tanh)

    found: dict[str, Callable[[], object]] = {
        "numpy, forward": lambda: chain(a, b, np.tanh),
        "tensorgraph, no_grad": unrecorded,
        "tensorgraph, forward": lambda: chain(x, w, tg.tanh),
        "tensorgraph, forward and backward": backward,
    }
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
        tx, tw = torch.ones(4, requires_grad=True), torch.full((4,), 0.999)

        def torch_backward():
            tx.grad = None
            chain(tx, tw, torch.tanh).sum().backward()

        found[f"torch {torch.__version__}, forward"] = lambda: chain(tx, tw, torch.tanh)
        found[f"torch {torch.__version__}, forward and backward"] = torch_backward
    return found


def provenance_cost(repeats: int) -> float:
    """Microseconds that a node pays for its birth line: the statements of the generated wrapper, alone."""

    def bare():
        return None

    def with_line():
        frame = _getframe(1)
        code = frame.f_code
        while internal[code.co_filename] and (outer := frame.f_back):
            frame = outer
            code = frame.f_code
        return code, frame.f_lasti

    pairs = [(timeit.timeit(with_line, number=20000), timeit.timeit(bare, number=20000)) for _ in range(repeats)]
    return median(a - b for a, b in pairs) / 20000 * 1e6


def without_birth_line(function):
    """The same operation, its wrapper written out without the lines that look for the user's frame."""
    operation = function.op
    twin = op(broadcasts=operation.broadcasts)(operation.forward).vjp(**operation.rules)

    def lines_of(frames):
        node = type(operation)._node

        def _node(chosen, indent):
            frame, made = node(twin.op, chosen, indent)
            return (frame, made) if frames else ([], made.replace("code, frame.f_lasti, scope", "None, 0, None"))

        return _node

    twin.op._node = lines_of(frames=False)
    return twin


def provenance_ratios(repeats: int) -> dict[str, tuple[float, float, float]]:
    """Operation -> microseconds with birth line and module, without them, and the median of their ratios.

    Recorded operations on tensors of 4 floats, in short turns of processor time, so that other programs disturb less.
    """
    x, w = tg.ones(4, requires_grad=True), tg.full((4,), 0.999)
    found = {}
    for on, arguments in ((tg.multiply, (x, w)), (tg.add, (x, x)), (tg.tanh, (x,)), (tg.matmul, (x, w))):
        off = without_birth_line(on)
        assert on(*arguments).node.code is not None and off(*arguments).node.code is None
        turns: dict[object, list[float]] = {on: [], off: []}
        for i in range(20 * repeats):
            for f in (on, off) if i % 2 else (off, on):
                start = time.process_time()
                for _ in range(300):
                    f(*arguments)
                turns[f].append((time.process_time() - start) / 300 * 1e6)
        ratio = median(a / b for a, b in zip(turns[on], turns[off], strict=True))
        found[on.__name__] = median(turns[on]), median(turns[off]), ratio
    return found


def module_call_cost(repeats: int) -> float:
    """Microseconds that calling a module costs beyond calling its forward."""

    class Nothing(nn.Module):
        def forward(self, x):
            return x

    module = Nothing()
    forward = module.forward
    pairs = [
        (timeit.timeit(lambda: module(1), number=5000), timeit.timeit(lambda: forward(1), number=5000))
        for _ in range(repeats)
    ]
    return median(a - b for a, b in pairs) / 5000 * 1e6


def main() -> None:
    """Runs the contenders in turn, several times, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30, help="rounds of all contenders (default 30)")
    repeats = parser.parse_args().repeats
    runs = contenders()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(repeats):  # interleaved, so that a slow minute of the machine hits all of them
        for name, run in runs.items():
            times[name].append(timeit.timeit(run, number=2) / 2 / OPERATIONS * 1e6)
    print(f"Python {platform.python_version()}, NumPy {np.__version__}; microseconds per operation, {repeats} rounds")
    print(f"{'':42}{'median':>8}{'best':>8}")
    for name, values in times.items():
        print(f"{name:42}{median(values):8.2f}{min(values):8.2f}")
    ours = times["tensorgraph, forward and backward"]
    for name, values in times.items():
        if name.startswith("torch") and name.endswith("backward"):
            ratio = median(a / b for a, b in zip(ours, values, strict=True))
            print(f"tensorgraph / torch, forward and backward: {ratio:.2f} (median of the rounds)")
    print(f"birth line of a node: {provenance_cost(repeats):.2f} microseconds")
    for name, (with_line, without, ratio) in provenance_ratios(repeats).items():
        print(f"{name} with its birth {with_line:.2f}, without {without:.2f} microseconds: ratio {ratio:.3f}")
    print(f"call of a module: {module_call_cost(repeats):.2f} microseconds")


if __name__ == "__main__":
    main()
