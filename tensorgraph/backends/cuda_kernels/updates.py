"""Steps of optimisers, one thread for each number: everything is read and written once.

For vectors of float32 and float64; half precision, whose eps would vanish, is left to the definitions
(backends/updates.py). Imported by `cuda_kernels/__init__.py` only.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

from tensorgraph.backends.cuda_kernels.launch import EACH, Kernel
from tensorgraph.backends.updates import Updates

__all__ = ["KERNELS", "FastUpdates"]

DESCENT = """
    wide g = sign * slope[i];
    if (decay != 0) g += decay * p[i];
"""

sgd = Kernel(
    "sgd",
    "real* p, const real* slope, real* buffer, wide lr, wide decay, wide sign, wide momentum, wide fresh, "
    "int nesterov, whole size",
    EACH
    + DESCENT
    + """
    if (buffer) {
        wide b = momentum * buffer[i] + fresh * g;
        buffer[i] = b;
        g = nesterov ? g + momentum * b : b;
    }
    p[i] -= lr * g;
""",
)

rmsprop = Kernel(
    "rmsprop",
    "real* p, const real* slope, real* squares, real* means, real* buffer, wide lr, wide decay, wide sign, "
    "wide alpha, wide fresh, wide eps, wide momentum, whole size",
    EACH
    + DESCENT
    + """
    wide s = alpha * squares[i] + fresh * (g * g);
    squares[i] = s;
    if (means) {
        wide m = alpha * means[i] + fresh * g;
        means[i] = m;
        s -= m * m;
    }
    g /= SQRT(s) + eps;
    if (buffer) {
        g += momentum * buffer[i];
        buffer[i] = g;
    }
    p[i] -= lr * g;
""",
)

adam = Kernel(
    "adam",
    "real* p, const real* slope, real* means, real* squares, real* largest, wide rate, wide decay, wide sign, "
    "wide shrink, wide b1, wide fresh1, wide b2, wide fresh2, wide eps, whole size",
    EACH
    + """
    p[i] *= shrink;
"""
    + DESCENT
    + """
    wide m = b1 * means[i] + fresh1 * g, v = b2 * squares[i] + fresh2 * (g * g);
    means[i] = m;
    squares[i] = v;
    if (largest) {
        if (largest[i] > v || largest[i] != largest[i]) v = largest[i];
        largest[i] = v;
    }
    p[i] -= rate * (m / (SQRT(v) + eps));
""",
)

moments = Kernel(
    "adam_moments",
    "real* p, const real* slope, real* taken, real* means, real* squares, wide decay, wide sign, wide shrink, wide b1, "
    "wide fresh1, wide b2, wide fresh2, whole size",
    EACH
    + """
    p[i] *= shrink;
"""
    + DESCENT
    + """
    means[i] = b1 * means[i] + fresh1 * g;
    squares[i] = b2 * squares[i] + fresh2 * (g * g);
    if (taken) taken[i] = g;
""",
)

KERNELS = sgd, rmsprop, adam, moments


class FastUpdates(Updates):
    """Overrides the definitions."""

    takes: Callable[..., bool]

    def in_one_pass(self, step: str, p: Any, remembered: int) -> bool:
        """Whether a kernel takes the step."""
        return step in ("sgd", "rmsprop", "adam") and self._takes_all(p)

    def sgd_update(self, p: Any, g: Any, momentum_buffer: Any, room: tuple[Any, Any], **how: Any) -> None:
        """b = momentum b + (1 - dampening) g;  p -= lr b, or with `nesterov` lr (g + momentum b)."""
        arrays = p, g, momentum_buffer
        if not self._takes_all(*arrays):
            super().sgd_update(*arrays, room, **how)
            return
        numbers = how["momentum"], 1 - how["dampening"], how["nesterov"]
        sgd.over(self, p.size, *arrays, how["lr"], how["weight_decay"], _sign(how), *numbers, dtype=p.dtype)

    def rmsprop_update(
        self, p: Any, g: Any, square_avg: Any, grad_avg: Any, momentum_buffer: Any, room: tuple[Any, Any], **how: Any
    ) -> None:
        """s = alpha s + (1 - alpha) g^2;  p -= lr g / (sqrt(s) + eps), or lr b with b = momentum b + that quotient."""
        arrays = p, g, square_avg, grad_avg, momentum_buffer
        if not self._takes_all(*arrays):
            super().rmsprop_update(*arrays, room, **how)
            return
        numbers = how["alpha"], 1 - how["alpha"], how["eps"], how["momentum"]
        rmsprop.over(self, p.size, *arrays, how["lr"], how["weight_decay"], _sign(how), *numbers, dtype=p.dtype)

    def adam_update(
        self, p: Any, g: Any, exp_avg: Any, exp_avg_sq: Any, max_exp_avg_sq: Any, room: tuple[Any, Any], **how: Any
    ) -> None:
        """m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)."""
        arrays = p, g, exp_avg, exp_avg_sq, max_exp_avg_sq
        if not self._takes_all(*arrays):
            super().adam_update(*arrays, room, **how)
            return
        (b1, b2), lr, decay = how["betas"], how["lr"], how["weight_decay"]
        wide = sqrt(1 - b2 ** how["step"])
        rate = lr * wide / (1 - b1 ** how["step"])
        shrink, decay = (1 - lr * decay, 0) if how["decoupled"] else (1, decay)
        numbers = rate, decay, _sign(how), shrink, b1, 1 - b1, b2, 1 - b2, how["eps"] * wide
        adam.over(self, p.size, *arrays, *numbers, dtype=p.dtype)

    def moments(
        self, p: Any, g: Any, exp_avg: Any, exp_avg_sq: Any, room: tuple[Any, Any], lr: float,
        betas: tuple[float, float], weight_decay: float, decoupled: bool, maximize: bool,
    ) -> Any:  # fmt: skip
        """The first half of Adam and its kin: the running means of g and of g^2. Returns the g that they took in."""
        if not self._takes_all(p, g, exp_avg, exp_avg_sq, room[1]):
            return super().moments(p, g, exp_avg, exp_avg_sq, room, lr, betas, weight_decay, decoupled, maximize)
        (b1, b2), shrink, decay = betas, 1, weight_decay
        if decoupled:
            shrink, decay = 1 - lr * weight_decay, 0
        taken = room[1] if decay or maximize else None
        numbers = decay, -1 if maximize else 1, shrink, b1, 1 - b1, b2, 1 - b2
        moments.over(self, p.size, p, g, taken, exp_avg, exp_avg_sq, *numbers, dtype=p.dtype)
        return g if taken is None else taken

    def _takes_all(self, *arrays: Any) -> bool:
        given = [a for a in arrays if a is not None]
        kind = given[0].dtype
        fits = kind.itemsize > 2 and self.takes(*given)
        return fits and all(a.dtype == kind and a.flags.c_contiguous for a in given)


def _sign(how: dict[str, Any]) -> int:
    return -1 if how["maximize"] else 1
