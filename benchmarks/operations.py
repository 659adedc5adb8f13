"""Single operations against PyTorch: pooling, losses, products, normalisation, activations, forward and backward.

    python benchmarks/operations.py [--threads 2] [--repeats 20] [--only pool] [--out out]

Both engines in one process, taking turns; the shortest time of each counts, and the last column divides ours by
PyTorch's. Convolutions have benchmarks/convolution.py to themselves. Figures also go to out/operations.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from convolution import shortest


class Case(NamedTuple):
    """An operation on arrays of these shapes, all but integers differentiated: `run(F)(*arrays)`."""

    name: str
    shapes: tuple[tuple[int, ...], ...]
    run: Callable[..., Any]
    classes: int = 0  # of integer labels, which are the last argument then


def cases() -> Iterator[Case]:
    """What is measured; `F` is nn.functional, `m` the module of array functions."""
    for shape in ((128, 6, 28, 28), (128, 32, 28, 28), (32, 64, 112, 112), (32, 192, 28, 28)):
        yield Case("max_pool2d 2/2", (shape,), lambda F, m, x: F.max_pool2d(x, 2))
    yield Case("max_pool2d 3/2 pad 1", ((32, 64, 112, 112),), lambda F, m, x: F.max_pool2d(x, 3, 2, 1))
    yield Case("avg_pool2d 2/2", ((128, 32, 28, 28),), lambda F, m, x: F.avg_pool2d(x, 2))
    yield Case("adaptive_avg_pool2d 1", ((128, 512, 7, 7),), lambda F, m, x: F.adaptive_avg_pool2d(x, 1))
    for n, classes in ((32, 10), (128, 10), (128, 1000), (4096, 1000)):
        yield Case("cross_entropy", ((n, classes),), lambda F, m, x, t: F.cross_entropy(x, t), classes)
    yield Case("softmax", ((4096, 1000),), lambda F, m, x: F.softmax(x, -1))
    yield Case("mse_loss", ((1024, 1024), (1024, 1024)), lambda F, m, x, y: F.mse_loss(x, y))
    for n, k, j in ((128, 784, 256), (128, 1152, 625), (512, 512, 512), (1024, 1024, 1024)):
        yield Case("matmul", ((n, k), (k, j)), lambda F, m, a, b: m.matmul(a, b))
    yield Case("linear", ((128, 784), (256, 784), (256,)), lambda F, m, x, w, b: F.linear(x, w, b))
    yield Case("batched matmul", ((64, 128, 64), (64, 64, 128)), lambda F, m, a, b: m.matmul(a, b))
    norm = ((128, 16, 32, 32), (16,), (16,))
    yield Case("batch_norm", norm, lambda F, m, x, w, b: F.batch_norm(x, None, None, w, b, training=True))
    yield Case("layer_norm", ((4096, 512), (512,), (512,)), lambda F, m, x, w, b: F.layer_norm(x, (512,), w, b))
    for name in ("relu", "gelu", "silu", "softplus", "sigmoid", "tanh"):
        yield Case(name, ((1024, 1024),), lambda F, m, x, name=name: getattr(F, name)(x))
    for name in ("exp", "sum", "cumsum", "prod", "tril", "sort"):
        runs = {
            "cumsum": lambda F, m, x: m.cumsum(x, 1),
            "prod": lambda F, m, x: m.prod(x, 1),
            "sort": lambda F, m, x: _values(m.sort(x, -1)),
        }
        yield Case(name, ((1024, 1024),), runs.get(name, lambda F, m, x, name=name: getattr(m, name)(x)))
    yield Case("add, broadcast", ((128, 64, 28, 28), (64, 1, 1)), lambda F, m, x, b: x + b)
    yield Case("transpose and copy", ((64, 128, 32, 32),), lambda F, m, x: m.swapaxes(x, 1, 3) + 0)
    yield Case("embedding", ((10000, 128),), lambda F, m, w, t: F.embedding(t, w), 10000)


def _values(found: Any) -> Any:
    return found if hasattr(found, "backward") else found[0]


def forward_and_backward(F: Any, m: Any, tensor: Callable, case: Case, arrays: list[np.ndarray]) -> list[Callable]:
    """Two functions: the operation, and the gradients of all its inputs from a gradient of ones."""
    inputs = [tensor(a) for a in arrays]
    wanted = [x for x in inputs if x.dtype == m.float32]
    for x in wanted:
        x.requires_grad_()
    ones: list[Any] = []

    def forward() -> Any:
        return case.run(F, m, *inputs)

    def both() -> None:
        for x in wanted:
            x.grad = None
        y = forward()
        if not ones:
            ones.append(tensor(np.ones(tuple(y.shape), np.float32)))
        y.backward(ones[0])

    return [forward, both]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--only", default="", help="operations whose name has this in it")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "out")
    options = parser.parse_args()
    if os.environ.get("OPENBLAS_NUM_THREADS") != str(options.threads):  # it counts before NumPy is imported
        os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(options.threads)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    try:
        import torch
    except ImportError:
        sys.exit("PyTorch is what this compares with: pip install torch")
    import tensorgraph as tg
    from tensorgraph import nn

    torch.set_num_threads(options.threads)
    rng = np.random.default_rng(0)
    print(f"# milliseconds, {options.threads} threads, shortest of {options.repeats}; torch {torch.__version__}")
    print(f"{'operation':22} {'on':38} {'':9} {'PyTorch':>9} {'ours':>9} {'ratio':>6}")
    results = []
    for case in cases():
        if options.only not in case.name:
            continue
        arrays: list[np.ndarray] = [rng.standard_normal(shape, dtype=np.float32) for shape in case.shapes]
        if case.classes:
            arrays.append(rng.integers(0, case.classes, 8192 if case.name == "embedding" else len(arrays[0])))
        theirs = forward_and_backward(torch.nn.functional, torch, lambda a: torch.from_numpy(a.copy()), case, arrays)
        ours = forward_and_backward(nn.functional, tg, tg.tensor, case, arrays)
        on = " ".join("x".join(map(str, shape)) for shape in case.shapes)
        for what, pair in zip(("forward", "and back"), zip(theirs, ours, strict=True), strict=True):
            before, after = shortest(list(pair), options.repeats, time.perf_counter)
            results.append({"operation": case.name, "on": on, "what": what, "torch": before, "ours": after})
            name, where = (case.name, on) if what == "forward" else ("", "")
            print(f"{name:22} {where:38} {what:9} {before:9.3f} {after:9.3f} {after / before:6.2f}", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "operations.json").write_text(json.dumps(results, indent=1) + "\n")
    ratios = np.array([r["ours"] / r["torch"] for r in results])
    mean = np.exp(np.log(ratios).mean())
    print(f"# ratio: median {np.median(ratios):.2f}, geometric mean {mean:.2f}, most {ratios.max():.2f}")


if __name__ == "__main__":
    main()
