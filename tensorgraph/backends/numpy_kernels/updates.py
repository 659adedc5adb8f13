"""Steps of optimisers in one pass over memory by compiled kernels, for contiguous vectors of float32."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from tensorgraph.backends import compiled
from tensorgraph.backends.compiled import address
from tensorgraph.backends.numpy_kernels.threads import LINES, share
from tensorgraph.backends.updates import Updates
from tensorgraph.mode import kernels_allowed

__all__ = ["FastUpdates"]

SINGLE = np.dtype("float32")
ENOUGH = 1 << 12
"""Elements from which compiled kernels are asked for."""
REMEMBERED = {"sgd": (0, 1), "rmsprop": (1,), "adam": (2,)}
"""step -> how many arrays beside the parameters its kernels know"""
COST = 0.3
"""Nanoseconds an element of an array: a guess, to tell what is worth a second thread."""


class FastUpdates(Updates):
    """Overrides the definitions on arrays of NumPy."""

    def in_one_pass(self, step: str, p: Any, remembered: int) -> bool:
        """Whether a compiled kernel takes the step, and in its plain form."""
        return remembered in REMEMBERED.get(step, ()) and _suits((p,)) is not None

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


def _suits(arrays: tuple) -> Any:
    if arrays[0].size < ENOUGH or not kernels_allowed():
        return None
    suits = all(a.dtype == SINGLE and a.flags.c_contiguous for a in arrays)
    return compiled.kernels() if suits else None


def _sign(how: dict[str, Any]) -> float:
    return -1.0 if how["maximize"] else 1.0


def _run(kernel: Any, inputs: tuple, outputs: tuple, numbers: tuple) -> None:
    places = [address(a) for a in (*inputs, *outputs)]
    n, size = len(places), inputs[0].size
    share(kernel, n + 1, size * n * COST, (*places, 1, size, *(0,) * n, *numbers), (4,) * n, LINES)
