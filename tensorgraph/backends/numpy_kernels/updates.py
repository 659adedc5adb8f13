"""Steps of optimisers in one pass over memory by compiled kernels, for contiguous vectors of float32."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np

from tensorgraph.backends import compiled
from tensorgraph.backends.compiled import address
from tensorgraph.backends.compiled.calls import Kernel
from tensorgraph.backends.numpy_kernels.threads import LINES, share
from tensorgraph.backends.updates import Several, Updates
from tensorgraph.mode import kernels_allowed

__all__ = ["FastUpdates"]

SINGLE = np.dtype("float32")
ENOUGH = 1 << 12
"""Elements from which compiled kernels are asked for."""
REMEMBERED = {"sgd": (0, 1), "rmsprop": (1,), "adam": (2,)}
"""step -> how many arrays beside the parameters its kernels know"""
PIECE = 1 << 15
"""Elements of one of several arrays that are updated at once."""
COST = 0.3
"""Nanoseconds an element of an array: a guess, to tell what is worth a second thread."""


class FastUpdates(Updates):
    """Overrides the definitions on arrays of NumPy."""

    def in_one_pass(self, step: str, p: Any, remembered: int) -> bool:
        """Whether a compiled kernel takes the step, and in its plain form."""
        return remembered in REMEMBERED.get(step, ()) and _suits((p,)) is not None

    def takes_several(self, step: str, arrays: Sequence[Any], remembered: int) -> bool:
        """Whether a compiled kernel takes the step, and these arrays as they lie."""
        return remembered in REMEMBERED.get(step, ()) and _suits(arrays, sum([a.size for a in arrays])) is not None

    def sgd_update(self, p, g, momentum_buffer, room, **how: Any) -> None:
        """b = momentum b + (1 - dampening) g;  p -= lr b, or with `nesterov` lr (g + momentum b)."""
        b = momentum_buffer
        arrays = (p, g) if b is None else (p, g, b)
        kernels = _suits(arrays)
        if kernels is None:
            super().sgd_update(p, g, momentum_buffer, room, **how)
            return
        numbers = how["lr"], how["weight_decay"], _sign(how)
        if b is None:
            _run(kernels["sgd"], arrays, (p,), numbers)
        else:
            more = how["momentum"], 1 - how["dampening"], float(how["nesterov"])
            _run(kernels["sgd_momentum"], arrays, (p, b), numbers + more)

    def rmsprop_update(self, p, g, square_avg, grad_avg, momentum_buffer, room, **how: Any) -> None:
        """s = alpha s + (1 - alpha) g^2;  p -= lr g / (sqrt(s) + eps)."""
        arrays = (p, g, square_avg)
        kernels = _suits(arrays) if grad_avg is None and momentum_buffer is None else None
        if kernels is None:
            super().rmsprop_update(p, g, square_avg, grad_avg, momentum_buffer, room, **how)
            return
        alpha = how["alpha"]
        numbers = how["lr"], how["weight_decay"], _sign(how), alpha, 1 - alpha, how["eps"]
        _run(kernels["rmsprop"], arrays, (p, square_avg), numbers)

    def adam_update(self, p, g, exp_avg, exp_avg_sq, max_exp_avg_sq, room, **how: Any) -> None:
        """m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)."""
        arrays = (p, g, exp_avg, exp_avg_sq)
        kernels = _suits(arrays) if max_exp_avg_sq is None else None
        if kernels is None:
            super().adam_update(p, g, exp_avg, exp_avg_sq, max_exp_avg_sq, room, **how)
            return
        (b1, b2), lr, decay = how["betas"], how["lr"], how["weight_decay"]
        wide = sqrt(1 - b2 ** how["step"])
        rate = lr * wide / (1 - b1 ** how["step"])
        shrink, decay = (1 - lr * decay, 0.0) if how["decoupled"] else (1.0, decay)
        numbers = rate, decay, _sign(how), b1, 1 - b1, b2, 1 - b2, how["eps"] * wide, shrink
        _run(kernels["adam"], arrays, (p, exp_avg, exp_avg_sq), numbers)


def _suits(arrays: Sequence[Any], size: int | None = None) -> Any:
    first = arrays[0]
    if (first.size if size is None else size) < ENOUGH or not kernels_allowed():
        return None
    suits = type(first) is Several or all(a.dtype == SINGLE and a.flags.c_contiguous for a in arrays)
    return compiled.kernels() if suits else None


def _sign(how: dict[str, Any]) -> float:
    return -1.0 if how["maximize"] else 1.0


def _run(kernel: Kernel, inputs: tuple, outputs: tuple, numbers: tuple) -> None:
    if type(inputs[0]) is Several:
        _run_several(kernel, *inputs, numbers)
        return
    places = [address(a) for a in (*inputs, *outputs)]
    n, size = len(places), inputs[0].size
    share(kernel, n + 1, size * n * COST, (*places, 1, size, *(0,) * n, *numbers), (4,) * n, LINES)


def _run_several(kernel: Kernel, p: Several, g: Several, *parts: Any) -> None:
    """The kernel on each of several arrays: a row of words a piece, in which gradients and numbers change."""
    *remembered, numbers = parts
    plan = p.plan
    if plan is None or plan.kernel is not kernel:
        plan = p.plan = _Rows(kernel, p, remembered, len(numbers))
    slopes = [a if a.dtype == SINGLE and a.flags.c_contiguous else np.ascontiguousarray(a, SINGLE) for a in g.arrays]
    plan.words[:, 1] = np.array([address(a) for a in slopes])[plan.array] + plan.start
    plan.numbers[:] = numbers
    table = plan.table
    cost = p.size * COST * 2 * (1 + len(remembered))
    sequence = compiled.kernels()["sequence"]  # pyright: ignore[reportOptionalSubscript]
    share(sequence, 1, cost, (address(table), len(table)), (table.strides[0],))


class _Rows:
    """The words of a kernel for every piece of several arrays: inputs p, g and the remembered, outputs without g.

    `array` and `start` say which array each piece belongs to, and where it begins there, in bytes.
    """

    def __init__(self, kernel: Kernel, p: Several, remembered: Sequence[np.ndarray], numbers: int):
        pieces = [
            (i, start, min(PIECE, a.size - start)) for i, a in enumerate(p.arrays) for start in range(0, a.size, PIECE)
        ]
        self.kernel = kernel
        self.array, start, size = np.array(pieces, dtype=np.int64).T
        self.start = 4 * start
        begins = np.cumsum([0, *(a.size for a in p.arrays)])
        known = [np.array([address(a) for a in p.arrays])[self.array] + self.start]
        known += [address(v) + 4 * begins[self.array] + self.start for v in remembered]
        n = 2 * len(known) + 1
        self.words = np.zeros((len(pieces), 2 * n + 2 + numbers), dtype=np.int64)
        for i, column in enumerate([known[0], self.start, *known[1:], *known]):
            self.words[:, i] = column
        self.words[:, n], self.words[:, n + 1] = 1, size
        self.numbers = self.words.view(np.float64)[:, 2 * n + 2 :]
        self.table = np.empty((len(pieces), 2), dtype=np.int64)
        self.table[:, 0] = kernel.entry
        self.table[:, 1] = address(self.words) + self.words.strides[0] * np.arange(len(pieces))
        self.held = p.arrays, remembered  # whose addresses these are
