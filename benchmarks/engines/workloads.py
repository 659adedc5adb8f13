"""What is trained: six networks as lists of parameters, a batch for each, and the settings of the optimisers.

Nothing but NumPy here: the weights are drawn from a seed and handed to every engine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

__all__ = ["STEPS", "WORKLOADS", "Workload", "batch_of", "weights_of"]

STEPS, LETTERS, HIDDEN = 64, 65, 128
"""charlstm: characters in a sequence, kinds of characters, size of the memory"""


class Workload(NamedTuple):
    """One network: the shapes of its parameters by state-dict name, and how it is trained."""

    name: str
    shapes: dict[str, tuple[int, ...]]
    optimizer: str
    settings: dict[str, Any]
    image: tuple[int, ...] = ()
    random: bool = False  # has dropout, so that losses of two engines differ


def _linear(*sizes: int, at: list[int]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for i, n, m in zip(at, sizes, sizes[1:]):
        shapes |= {f"{i}.weight": (m, n), f"{i}.bias": (m,)}
    return shapes


def _resnet20() -> Iterator[tuple[str, tuple[int, ...]]]:
    def norm(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{name}.weight", (channels,)
        yield f"{name}.bias", (channels,)

    yield "conv1.weight", (16, 3, 3, 3)
    yield from norm("bn1", 16)
    inner = 16
    for stage, outer in enumerate((16, 32, 64), 1):
        for block in range(3):
            at = f"layer{stage}.{block}"
            yield f"{at}.conv1.weight", (outer, inner, 3, 3)
            yield from norm(f"{at}.bn1", outer)
            yield f"{at}.conv2.weight", (outer, outer, 3, 3)
            yield from norm(f"{at}.bn2", outer)
            inner = outer
    yield "linear.weight", (10, 64)
    yield "linear.bias", (10,)


SGD = {"lr": 1e-3, "momentum": 0.9}
WORKLOADS = {
    w.name: w
    for w in (
        Workload("mlp", _linear(784, 256, 128, 10, at=[1, 3, 5]), "SGD", SGD, (1, 28, 28)),
        Workload(
            "lenet",
            {"0.weight": (6, 1, 5, 5), "0.bias": (6,), "3.weight": (16, 6, 5, 5), "3.bias": (16,)}
            | _linear(400, 120, 84, 10, at=[7, 9, 11]),
            "SGD",
            SGD,
            (1, 28, 28),
        ),
        Workload(
            "cnn3",
            {"0.weight": (32, 1, 3, 3), "0.bias": (32,), "4.weight": (64, 32, 3, 3), "4.bias": (64,)}
            | {"8.weight": (128, 64, 3, 3), "8.bias": (128,)}
            | _linear(1152, 625, at=[13])
            | _linear(625, 10, at=[16]),
            "RMSprop",
            {"lr": 1e-3},
            (1, 28, 28),
            random=True,
        ),
        Workload("resnet20", dict(_resnet20()), "SGD", SGD, (3, 32, 32)),
        Workload(
            "charlstm",
            {
                "embedding.weight": (LETTERS, HIDDEN),
                "lstm.weight_ih_l0": (4 * HIDDEN, HIDDEN),
                "lstm.weight_hh_l0": (4 * HIDDEN, HIDDEN),
                "lstm.bias_ih_l0": (4 * HIDDEN,),
                "lstm.bias_hh_l0": (4 * HIDDEN,),
                "linear.weight": (LETTERS, HIDDEN),
                "linear.bias": (LETTERS,),
            },
            "Adam",
            {"lr": 2e-3},
        ),
        Workload("chain", {}, "", {}),
    )
}


def weights_of(workload: Workload) -> dict[str, np.ndarray]:
    """float32 weights: He's deviation for what multiplies, ones for the scale of a normalisation, zeros for shifts."""
    rng = np.random.default_rng(0)
    made = {}
    for name, shape in workload.shapes.items():
        if len(shape) > 1:
            values = rng.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))
        else:
            values = np.ones(shape) if ".bn" in f".{name}" and name.endswith("weight") else np.zeros(shape)
        made[name] = values.astype(np.float32)
    return made


def batch_of(workload: Workload, n: int) -> tuple[np.ndarray, np.ndarray]:
    """n samples and their labels: images float32 (n, C, H, W) and int64 (n,), or characters int64 (n, STEPS), twice."""
    rng = np.random.default_rng(1)
    if workload.image:
        return rng.standard_normal((n, *workload.image), dtype=np.float32), rng.integers(0, 10, n)
    text = rng.integers(0, LETTERS, (n, STEPS + 1))
    return np.ascontiguousarray(text[:, :-1]), np.ascontiguousarray(text[:, 1:])
