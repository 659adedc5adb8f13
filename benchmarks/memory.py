"""The memory of training steps: what `tg.plan` says without arithmetic, and what NumPy reports of real steps.

    python benchmarks/memory.py [--workloads mlp lenet] [--batches 32 128]

A step is forward, loss, backward and an update by Adam. Measured is the peak of `tracemalloc`, which NumPy tells of
every array, over a second step, with the parameters, the batch and what Adam remembers; buffers that the kernels keep
from earlier steps are not in it.
"""

from __future__ import annotations

import argparse
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

import tensorgraph as tg  # noqa: E402
from tensorgraph import nn  # noqa: E402

from engines import layers  # noqa: E402

LETTERS, TIME = 65, 128


class Transformer(nn.Module):
    """Two encoder layers over 64 tokens, and what comes next at every place."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(LETTERS, 128)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(128, 4, 512, batch_first=True), 2)
        self.linear = nn.Linear(128, LETTERS)

    def forward(self, text: Any) -> Any:
        """text (N, T) -> (N T, letters)."""
        return self.linear(self.encoder(self.embedding(text))).reshape(-1, LETTERS)


def images(*shape: int) -> Callable[[int], Any]:
    return lambda n: tg.zeros(n, *shape)


def text(time: int) -> Callable[[int], Any]:
    return lambda n: tg.zeros(n, time, dtype="int64")


WORKLOADS: dict[str, tuple[Callable[[], Any], Callable[[int], Any]]] = {
    "mlp": (lambda: layers.build("mlp", nn), images(784)),
    "lenet": (lambda: layers.build("lenet", nn), images(1, 28, 28)),
    "cnn3": (lambda: layers.build("cnn3", nn), images(1, 28, 28)),
    "resnet20": (lambda: layers.build("resnet20", nn), images(3, 32, 32)),
    "charlstm": (lambda: layers.build("charlstm", nn), text(TIME)),
    "transformer": (Transformer, text(64)),
}


def loss(y: Any) -> Any:
    """Cross-entropy with labels of class 0."""
    return nn.functional.cross_entropy(y, tg.zeros(len(y), dtype="int64"))


def measured(build: Callable[[], Any], make: Callable[[int], Any], n: int) -> int:
    """Peak of the second step."""
    for counted in (False, True):
        if counted:
            tracemalloc.start()
        model = build()
        optimizer = nn.optim.Adam(model.parameters())
        for _ in range(2):
            optimizer.zero_grad()
            tracemalloc.reset_peak()
            x = make(n)
            y = model(x)
            total = loss(y)
            total.backward()
            optimizer.step()
            del x, y, total
        del optimizer, model
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", nargs="+", default=list(WORKLOADS), choices=WORKLOADS)
    parser.add_argument("--batches", nargs="+", type=int, default=[32, 128])
    asked = parser.parse_args()
    print(f"NumPy {np.__version__}\n{'':12} {'batch':>5}  {'planned':>10}  {'measured':>10}")
    for name in asked.workloads:
        build, make = WORKLOADS[name]
        plan = tg.plan(build(), make, loss=loss, optimizer=nn.optim.Adam)
        for n in asked.batches:
            here, there = plan.peak(n), measured(build, make, n)
            print(
                f"{name:12} {n:5}  {here / 2**20:6.1f} MiB  {there / 2**20:6.1f} MiB  {here / there - 1:+7.1%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
