"""Whole sequences of recurrent networks, for kernels.py: what all backends run.

All steps of the input are multiplied at once, a step is one product and elementwise work in arrays that are made
before the loop, and the gradients of the weights are products behind it.
Each takes x (T, N, I), w_ih (k H, I), w_hh (k H, H), biases (k H) or None and states (N, H) -> y (T, N, H); with
`reverse` the steps go from T - 1 to 0. What is computed is said in ops/recurrent.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Lines", "gradients", "gru", "lstm", "rnn", "suits"]


def suits(*arrays: Any) -> bool:
    """Whether these arrays (or None) are of one dtype, float32 or wider, and the first is not empty."""
    first = arrays[0]
    if first.dtype.kind != "f" or first.dtype.itemsize < 4 or not first.size:
        return False
    return all(a is None or a.dtype == first.dtype for a in arrays)


class Lines:
    """How the arrays (T, N, features) of a sequence lie in memory: as x does, time within sample or sample within time.

    So rows of all of them can be told apart by one number, and nothing is copied for a product over all rows.
    """

    def __init__(self, be: Any, x: Any, reverse: bool):
        self.be, self.x, self.reverse = be, x, reverse
        self.times, self.n = x.shape[:2]
        self.turned = x.strides[0] < x.strides[1] and self.times > 1 and self.n > 1
        self.order = range(self.times)[::-1] if reverse else range(self.times)

    def empty(self, size: int) -> Any:
        """Room for (T, N, size)."""
        return self.shaped(self.be.empty((self.times * self.n, size), dtype=self.x.dtype))

    def rows(self, a: Any) -> Any:
        """(T, N, size) as (T N, size), in the order of memory."""
        return (a.swapaxes(0, 1) if self.turned else a).reshape(-1, a.shape[2])

    def shaped(self, rows: Any) -> Any:
        """The inverse of `rows`."""
        if self.turned:
            return rows.reshape(self.n, self.times, -1).swapaxes(0, 1)
        return rows.reshape(self.times, self.n, -1)

    def inputs(self, w: Any, b: Any) -> Any:
        """x @ w.T + b, in memory of its own."""
        rows = self.rows(self.x)
        return self.shaped(self.be.matmul(rows, w.T) if b is None else self.be.affine(rows, w.T, b))

    def earlier(self, y: Any, h: Any, t: int) -> Any:
        """What the step before t has left in y; h before the first."""
        return h if t == self.order[0] else y[t + 1 if self.reverse else t - 1]

    def before(self, y: Any, h: Any) -> Any:
        """The states that the steps start from: y, one step later in the order of the steps."""
        found = self.empty(y.shape[2])
        if self.reverse:
            found[-1], found[:-1] = h, y[1:]
        else:
            found[0], found[1:] = h, y[:-1]
        return found


def gradients(
    lines: Lines, into: Any, at_state: Any, w_ih: Any, before: Callable[[], Any], wanted: tuple
) -> tuple:  # fmt: skip
    """Of x, w_ih, w_hh, and the biases at the input and at the state.

    `into` (T, N, k H) is what reaches the products with x, `at_state` what reaches those with the states `before()`.
    """
    be, rows = lines.be, lines.rows(into)
    gx = lines.shaped(be.matmul(rows, w_ih)) if wanted[0] else None
    gw_ih = be.matmul(rows.T, lines.rows(lines.x)) if wanted[1] else None
    of_state = rows if at_state is into else lines.rows(at_state)
    gw_hh = be.matmul(of_state.T, lines.rows(before())) if wanted[2] else None
    gb_ih, gb_hh = (be.sum(a, axis=(0,)) if w else None for a, w in zip((rows, of_state), wanted[3:5], strict=True))
    return gx, gw_ih, gw_hh, gb_ih, gb_hh


def _parts(a: Any, k: int) -> list[Any]:
    n = a.shape[-1] // k
    return [a[..., i * n : (i + 1) * n] for i in range(k)]


# ---- long short-term memory ----------------------------------------------------------------------------------------
def lstm(
    be: Any, x: Any, w_ih: Any, w_hh: Any, b: Any, h: Any, c: Any, *, wanted: tuple, reverse: bool
) -> Any:  # fmt: skip
    """-> y and the last c."""
    if not suits(x, w_ih, w_hh, b, h, c):
        return None
    lines = Lines(be, x, reverse)
    gates, y, memory = lines.inputs(w_ih, b), lines.empty(h.shape[1]), lines.empty(h.shape[1])
    state, cell = h, c
    for t in lines.order:
        now = gates[t]
        now += be.matmul(state, w_hh.T)
        i, f, g, o = _parts(now, 4)
        proposal = be.tanh(g)
        now[...] = be.sigmoid(now)
        g[...] = proposal
        be.multiply(f, cell, out=memory[t])
        memory[t] += i * g
        be.multiply(o, be.tanh(memory[t]), out=y[t])
        state, cell = y[t], memory[t]

    def pullback(g: Any) -> tuple:
        gy, gc = g.values
        gh, into = 0, lines.empty(gates.shape[2])
        gc = be.zeros_like(c) if gc is None else gc.copy()
        for t in reversed(lines.order):
            gh = gh if gy is None else gh + gy[t]
            i, f, proposal, o = _parts(gates[t], 4)
            gi, gf, gg, go = _parts(into[t], 4)
            open_ = be.tanh(memory[t])
            go[...] = gh * open_ * (o * (1 - o))
            gc += gh * o * (1 - open_ * open_)
            gi[...] = gc * proposal * (i * (1 - i))
            gf[...] = gc * lines.earlier(memory, c, t) * (f * (1 - f))
            gg[...] = gc * i * (1 - proposal * proposal)
            gc *= f
            gh = be.matmul(into[t], w_hh)
        found = gradients(lines, into, into, w_ih, lambda: lines.before(y, h), (*wanted[:4], False))
        return (*found[:4], gh, gc)

    return (y, cell.copy()), pullback


# ---- gated recurrent unit ------------------------------------------------------------------------------------------
def gru(
    be: Any, x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, h: Any, *, wanted: tuple, reverse: bool
) -> Any:  # fmt: skip
    """-> y."""
    if not suits(x, w_ih, w_hh, b_ih, b_hh, h):
        return None
    lines = Lines(be, x, reverse)
    size = h.shape[1]
    gates, y, memory = lines.inputs(w_ih, b_ih), lines.empty(size), lines.empty(size)
    state = h
    for t in lines.order:
        inner = be.matmul(state, w_hh.T) if b_hh is None else be.affine(state, w_hh.T, b_hh)
        both = gates[t][:, : 2 * size]
        both[...] = be.sigmoid(both + inner[:, : 2 * size])
        reset, update, new = _parts(gates[t], 3)
        memory[t] = inner[:, 2 * size :]
        new += reset * memory[t]
        be.tanh(new, out=new)
        y[t] = new + update * (state - new)
        state = y[t]

    def pullback(gy: Any) -> tuple:
        gh, states = 0, lines.before(y, h)
        into, at_state = lines.empty(3 * size), lines.empty(3 * size)
        for t in reversed(lines.order):
            gh = gh + gy[t]
            reset, update, new = _parts(gates[t], 3)
            at_reset, at_update, at_new = _parts(into[t], 3)
            at_new[...] = gh * (1 - update) * (1 - new * new)
            at_update[...] = gh * (states[t] - new) * (update * (1 - update))
            at_reset[...] = at_new * memory[t] * (reset * (1 - reset))
            at_state[t] = into[t]
            at_state[t][:, 2 * size :] *= reset
            gh = gh * update + be.matmul(at_state[t], w_hh)
        return (*gradients(lines, into, at_state, w_ih, lambda: states, wanted), gh)

    return y, pullback


# ---- plain ---------------------------------------------------------------------------------------------------------
def rnn(
    be: Any, x: Any, w_ih: Any, w_hh: Any, b: Any, h: Any, *, wanted: tuple, reverse: bool, rectified: bool
) -> Any:  # fmt: skip
    """-> y."""
    if not suits(x, w_ih, w_hh, b, h):
        return None
    lines = Lines(be, x, reverse)
    y, state = lines.inputs(w_ih, b), h
    for t in lines.order:
        y[t] += be.matmul(state, w_hh.T)
        y[t] = be.relu(y[t]) if rectified else be.tanh(y[t])
        state = y[t]

    def pullback(gy: Any) -> tuple:
        gh, into = 0, lines.empty(y.shape[2])
        for t in reversed(lines.order):
            gh = gh + gy[t]
            into[t] = be.relu_slope(gh, y[t]) if rectified else gh * (1 - y[t] * y[t])
            gh = be.matmul(into[t], w_hh)
        found = gradients(lines, into, into, w_ih, lambda: lines.before(y, h), (*wanted[:4], False))
        return (*found[:4], gh)

    return y, pullback
