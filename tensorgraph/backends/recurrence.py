"""A whole sequence of a recurrent network at once, for kernels.py: what all backends run.

The steps are products and elementwise work on arrays that are made before the loop, and the gradient of the weights is
one product behind it.
"""

from __future__ import annotations

from typing import Any

__all__ = ["lstm"]


def lstm(be: Any, z: Any, w: Any, h: Any, c: Any, *, wanted: tuple, reverse: bool) -> Any:
    """z (T, N, 4 H), w (4 H, H), h and c (N, H) -> (T + 1, N, H): all h, and the last c behind the last h.

    With `reverse` the steps go from T - 1 to 0, and the last c stands in front.
    """
    if z.dtype.kind != "f" or z.dtype.itemsize < 4 or not z.size or not z.dtype == w.dtype == h.dtype == c.dtype:
        return None
    run = Sequence(be, z, h, c, reverse)
    for t in run.order:
        gates = run.gates[t]
        gates += be.matmul(run.h_before(t), w.T)
        _open(be, gates, run.memory[t + run.ago], run.memory[t + 1 - run.ago], run.h_after(t))
    y = run.result()

    def pullback(g: Any) -> tuple:
        into, g = be.empty_like(run.gates), g.copy()
        gc = g[run.last]
        for i, t in enumerate(reversed(run.order)):
            gh = g[t + run.ago]
            if i:
                gh += be.matmul(into[t + 1 - 2 * run.ago], w)
            _close(be, run.gates[t], run.memory[t + run.ago], run.memory[t + 1 - run.ago], gh, gc, into[t])
        return run.gradients(be, into, gc, w, wanted)

    return y, pullback


class Sequence:
    """The arrays of a sequence, and where each step finds its own.

    `states` holds h before the first step, all h, and the last c, in the order of time; `memory` all c.
    """

    def __init__(self, be: Any, z: Any, h: Any, c: Any, reverse: bool):
        times, n, size = len(z), *h.shape
        self.order = range(times)[::-1] if reverse else range(times)
        self.reverse, self.ago, self.last = reverse, int(reverse), 0 if reverse else -1
        self.gates = z.copy()
        self.states = be.empty((times + 2, n, size), dtype=z.dtype)
        self.memory = be.empty((times + 1, n, size), dtype=z.dtype)
        self.states[-1 if reverse else 0], self.memory[-1 if reverse else 0] = h, c

    def h_before(self, t: int) -> Any:
        return self.states[t + 2 * self.ago]

    def h_after(self, t: int) -> Any:
        return self.states[t + 1]

    def result(self) -> Any:
        """All h and the last c."""
        self.states[self.last] = self.memory[self.last]
        return self.states[:-1] if self.reverse else self.states[1:]

    def gradients(self, be: Any, into: Any, gc: Any, w: Any, wanted: tuple) -> tuple:
        """Of z, w, h and c, from what reaches the gates before they open, and the first c."""
        gw = gh = None
        if wanted[1]:
            before = self.states[2:] if self.reverse else self.states[:-2]
            gw = be.matmul(into.reshape(-1, into.shape[2]).T, before.reshape(-1, before.shape[2]))
        if wanted[2]:
            gh = be.matmul(into[self.order[0]], w)
        return into, gw, gh, gc


def _parts(gates: Any) -> list[Any]:
    n = gates.shape[-1] // 4
    return [gates[:, k * n : (k + 1) * n] for k in range(4)]


def _open(be: Any, gates: Any, c: Any, c_new: Any, h: Any) -> None:
    """Opens the gates i, f, g, o (N, 4 H) in place; c_new = f c + i g and h = o tanh(c_new) are written (N, H)."""
    i, f, g, o = _parts(gates)
    proposal = be.tanh(g)
    gates[...] = be.sigmoid(gates)
    g[...] = proposal
    be.multiply(f, c, out=c_new)
    c_new += i * g
    be.tanh(c_new, out=h)
    h *= o


def _close(be: Any, gates: Any, c: Any, c_new: Any, gh: Any, gc: Any, into: Any) -> None:
    """The adjoint: `into` (N, 4 H) is what reaches the gates before they open; gc (N, H) goes from c_new to c."""
    i, f, g, o = _parts(gates)
    gi, gf, gg, go = _parts(into)
    t = be.tanh(c_new)
    go[...] = gh * t * (o * (1 - o))
    gc += gh * o * (1 - t * t)
    gi[...] = gc * g * (i * (1 - i))
    gf[...] = gc * c * (f * (1 - f))
    gg[...] = gc * i * (1 - g * g)
    gc *= f
