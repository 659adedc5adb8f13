"""Steps of optimisers, on vectors: a part of every backend, and the place where a compiled kernel may replace them.

`p` holds parameters and is written; `g` their gradients, which are only read; the arrays behind them are what the
optimiser remembers, and are written too. `room` is two vectors like p whose contents do not matter. All are of one
floating dtype and one length; no two share memory. Numbers are Python's.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any


class Several:
    """Arrays of one dtype that count as one vector: those of the first, then those of the second, ...

    `plan` is for what a backend wants to remember of them.
    """

    __slots__ = ("arrays", "dtype", "plan", "shape", "size")

    def __init__(self, arrays: Sequence[Any]):
        self.arrays, self.dtype = arrays, arrays[0].dtype
        self.plan: Any = None
        self.size = sum([a.size for a in arrays])
        self.shape = (self.size,)


class Updates:
    """The definitions: `be.sgd_update`, `be.rmsprop_update`, `be.adam_update`. Formulae: nn/optim."""

    xp: Any

    def in_one_pass(self, step: str, p: Any, remembered: int) -> bool:
        """Whether a step ("sgd", "rmsprop", "adam") on p and so many arrays beside it reads and writes them once.

        Then it is best given whole arrays; otherwise pieces that stay in the cache from one pass to the next.
        """
        return False

    def takes_several(self, step: str, arrays: Sequence[Any], remembered: int) -> bool:
        """Whether `p` and `g` of a step may be `Several` arrays, updated where they lie; else they must be vectors."""
        return False

    def descent(self, p: Any, g: Any, decay: float, maximize: bool, out: Any) -> Any:
        """What is descended along: g, turned round where something is maximised, plus decay * p; g itself or `out`."""
        if decay:
            self.xp.multiply(p, decay, out=out)
            return self.xp.subtract(out, g, out=out) if maximize else self.xp.add(out, g, out=out)
        return self.xp.negative(g, out=out) if maximize else g

    def sgd_update(
        self,
        p: Any,
        g: Any,
        momentum_buffer: Any,
        room: tuple[Any, Any],
        *,
        lr: float,
        momentum: float,
        dampening: float,
        weight_decay: float,
        nesterov: bool,
        maximize: bool,
    ) -> None:
        """b = momentum b + (1 - dampening) g;  p -= lr b, or with `nesterov` lr (g + momentum b).

        `momentum_buffer` is None where momentum is 0.
        """
        xp, (t, s), rate = self.xp, room, lr
        g = self.descent(p, g, weight_decay, maximize, s)
        if momentum_buffer is not None:
            b = momentum_buffer
            b *= momentum
            b += xp.multiply(g, 1 - dampening, out=t) if dampening else g
            if nesterov:
                p -= xp.multiply(g, rate, out=t)
                rate *= momentum
            g = b
        p -= xp.multiply(g, rate, out=t)

    def rmsprop_update(
        self,
        p: Any,
        g: Any,
        square_avg: Any,
        grad_avg: Any,
        momentum_buffer: Any,
        room: tuple[Any, Any],
        *,
        lr: float,
        alpha: float,
        eps: float,
        weight_decay: float,
        momentum: float,
        maximize: bool,
    ) -> None:
        """s = alpha s + (1 - alpha) g^2;  p -= lr g / (sqrt(s) + eps), or lr b with b = momentum b + that quotient.

        `grad_avg` (None: not centered) is the running mean of g, whose square is taken from s;
        `momentum_buffer` is None where momentum is 0.
        """
        xp, (t, s) = self.xp, room
        g = self.descent(p, g, weight_decay, maximize, s)
        self._average(square_avg, xp.multiply(g, g, out=t), alpha, t)
        root = square_avg
        if grad_avg is not None:
            self._average(grad_avg, g, alpha, t)
            xp.multiply(grad_avg, grad_avg, out=t)
            root = xp.subtract(square_avg, t, out=t)
        xp.sqrt(root, out=t)
        t += eps
        xp.divide(g, t, out=t)
        if momentum_buffer is not None:
            momentum_buffer *= momentum
            momentum_buffer += t
            xp.multiply(momentum_buffer, lr, out=t)
        else:
            t *= lr
        p -= t

    def adam_update(
        self,
        p: Any,
        g: Any,
        exp_avg: Any,
        exp_avg_sq: Any,
        max_exp_avg_sq: Any,
        room: tuple[Any, Any],
        *,
        step: int,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        decoupled: bool,
        maximize: bool,
    ) -> None:
        """m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps).

        `step` is t, from 1; `max_exp_avg_sq` (None: not AMSGrad) keeps the largest v, which then takes its place;
        `decoupled` weight decay shrinks p, the other one adds to g.
        """
        xp, t, (b1, b2) = self.xp, room[0], betas
        self.moments(p, g, exp_avg, exp_avg_sq, room, lr, betas, weight_decay, decoupled, maximize)
        squares = exp_avg_sq
        if max_exp_avg_sq is not None:
            squares = xp.maximum(max_exp_avg_sq, squares, out=max_exp_avg_sq)
        wide = sqrt(1 - b2**step)  # sqrt(v) / wide + eps is (sqrt(v) + eps wide) / wide: one pass less
        xp.sqrt(squares, out=t)
        t += eps * wide
        xp.divide(exp_avg, t, out=t)
        t *= lr * wide / (1 - b1**step)
        p -= t

    def moments(
        self,
        p: Any,
        g: Any,
        exp_avg: Any,
        exp_avg_sq: Any,
        room: tuple[Any, Any],
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
        decoupled: bool,
        maximize: bool,
    ) -> Any:
        """The first half of Adam and its kin: the running means of g and of g^2. Returns the g that they took in."""
        t, s = room
        if decoupled:
            if weight_decay:
                p *= 1 - lr * weight_decay
            weight_decay = 0
        g = self.descent(p, g, weight_decay, maximize, s)
        self._average(exp_avg, g, betas[0], t)
        self._average(exp_avg_sq, self.xp.multiply(g, g, out=t), betas[1], t)
        return g

    def _average(self, average: Any, values: Any, share: float, t: Any) -> None:
        """average = share average + (1 - share) values; overwrites t, which may be the values."""
        average *= share
        average += self.xp.multiply(values, 1 - share, out=t)
