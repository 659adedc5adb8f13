"""Whole sequences of recurrent networks by compiled kernels, in float32; anything else as on every backend.

The weights are packed once for all steps, a step is one product and one pass of elementwise work, all steps are one
call, and threads share the samples, each from the first step to the last. Imported by numpy.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tensorgraph.backends import compiled, recurrence
from tensorgraph.backends.compiled import address
from tensorgraph.backends.compiled.packed import Packed
from tensorgraph.backends.numpy_kernels import blas
from tensorgraph.backends.numpy_kernels.threads import parallel
from tensorgraph.backends.recurrence import Lines, gradients

__all__ = ["gru", "lstm", "rnn"]

SINGLE = np.dtype("float32")
PACE = 50.0
"""Floating point operations a nanosecond: a guess, to tell what is worth a second thread."""
SHARED = 5e5
"""Nanoseconds from which threads share the samples."""
ENOUGH = 1 << 11
"""Numbers in the products of all steps from which compiled kernels are asked for."""


class _Operand(NamedTuple):
    """Rows that a kernel reads or writes: where the first is, and how many numbers lie between two of them.

    Each is a number, or an array with one for every step.
    """

    at: Any
    row: Any

    def rows(self, start: int) -> _Operand:
        """The rows from that one on."""
        return _Operand(self.at + 4 * start * self.row, self.row)

    def parts(self, size: int, count: int) -> list[_Operand]:
        """The parts of that size along the rows."""
        return [_Operand(self.at + 4 * size * i, self.row) for i in range(count)]


def _always(a: np.ndarray) -> _Operand:
    """The same rows in every step: a (N, size)."""
    return _Operand(address(a), a.strides[0] // 4)


class _Steps:
    """A sequence as its steps are computed: where each of them finds its own rows, and how threads share them."""

    def __init__(self, kernels: Any, lines: Lines, work: float):
        self.kernels, self.times, self.n = kernels, lines.times, lines.n
        self.order = np.array(lines.order)
        self.first, self.ago = lines.order[0], 1 if lines.reverse else -1
        self.cost = 2.0 * lines.times * lines.n * work / PACE
        self.shares = max(1, min(blas.threads(), self.n)) if self.cost > SHARED else 1

    def backwards(self) -> _Steps:
        """The same steps, the last first."""
        other = object.__new__(_Steps)
        other.__dict__.update(self.__dict__, order=self.order[::-1])
        return other

    def own(self, a: np.ndarray) -> _Operand:
        """a[t] in the step t: a (T, N, size)."""
        return _Operand(address(a) + a.strides[0] * self.order, a.strides[1] // 4)

    def before(self, a: np.ndarray, start: np.ndarray) -> _Operand:
        """What the step before has written to a, in the first step `start` (N, size)."""
        at, row = address(a) + a.strides[0] * (self.order + self.ago), np.full(self.times, a.strides[1] // 4)
        is_first = self.order == self.first
        at[is_first], row[is_first] = address(start), start.strides[0] // 4
        return _Operand(at, row)

    def product(self, w: np.ndarray, x: _Operand, y: _Operand, bias: Any = None, adds: bool = False) -> tuple:
        """y = bias + x @ w, or with `adds` y += x @ w."""
        packed = Packed(self.kernels, w, self.n // self.shares, bias)

        def arguments(start: int, count: int) -> Sequence[Any]:
            (to, to_row), (at, row) = y.rows(start), x.rows(start)
            return packed.product(to, at, count, to_row, row, adds)

        return packed.entry, arguments

    def cell(self, name: str, size: int, *operands: _Operand) -> tuple:
        """The elementwise kernel of a name on rows of so many numbers."""

        def arguments(start: int, count: int) -> Sequence[Any]:
            places, rows = zip(*(o.rows(start) for o in operands), strict=True)
            return *places, count, size, *rows

        return self.kernels.entry(name), arguments

    def run(self, *calls: tuple) -> None:
        """Does these one after the other in every step: (entry, its arguments for rows from `start`, `count` many)."""

        def task(share: int) -> None:
            start, stop = share * self.n // self.shares, (share + 1) * self.n // self.shares
            program, tables = np.empty((self.times, len(calls), 2), dtype=np.int64), []
            for i, (entry, arguments) in enumerate(calls):
                values = arguments(start, stop - start)
                table = np.empty((self.times, len(values)), dtype=np.int64)
                for column, value in enumerate(values):
                    table[:, column] = value
                program[:, i, 0] = entry
                program[:, i, 1] = address(table) + table.strides[0] * np.arange(self.times)
                tables.append(table)  # kept until the program has run
            self.kernels.run(program.reshape(-1, 2))

        parallel(task, self.shares, self.cost)


def _steps(x: Any, w_hh: Any, lines: Lines, *others: Any) -> _Steps | None:
    """The steps by compiled kernels, or None where they do not suit."""
    if x.dtype != SINGLE or x.shape[0] * x.shape[1] * len(w_hh) < ENOUGH or not recurrence.suits(x, w_hh, *others):
        return None
    kernels = compiled.kernels()
    return None if kernels is None else _Steps(kernels, lines, w_hh.size)


def _readable(g: Any, like: np.ndarray) -> np.ndarray:
    """A gradient as kernels read it; zeros where none arrived."""
    if g is None:
        return np.broadcast_to(np.zeros(like.shape[-1], dtype=SINGLE), like.shape)
    return g if g.strides[-1] == 4 or g.shape[-1] == 1 else np.ascontiguousarray(g)


# ---- long short-term memory ----------------------------------------------------------------------------------------
def lstm(
    be: Any, x: Any, w_ih: Any, w_hh: Any, b: Any, h: Any, c: Any, *, wanted: tuple, reverse: bool
) -> Any:  # fmt: skip
    """-> y and the last c: see backends/recurrence.py."""
    lines = Lines(be, x, reverse)
    steps = _steps(x, w_hh, lines, w_ih, b, h, c)
    if steps is None:
        return recurrence.lstm(be, x, w_ih, w_hh, b, h, c, wanted=wanted, reverse=reverse)
    size = h.shape[1]
    gates, y, memory = lines.inputs(w_ih, b), lines.empty(size), lines.empty(size)
    h, c = np.ascontiguousarray(h), np.ascontiguousarray(c)
    z = steps.own(gates)
    four = z.parts(size, 4)
    steps.run(
        steps.product(w_hh.T, steps.before(y, h), z, adds=True),
        steps.cell("lstm", size, *four, steps.before(memory, c), *four, steps.own(memory), steps.own(y)),
    )

    def pullback(g: Any) -> tuple:
        gy, gc = g.values
        into, back = lines.empty(4 * size), steps.backwards()
        gy, gh = _readable(gy, y), np.zeros((lines.n, size), dtype=SINGLE)
        gc = gh.copy() if gc is None else gc.copy(order="C")
        opened, to = back.own(gates).parts(size, 4), back.own(into)
        cells = back.before(memory, c), back.own(memory)
        reaching = back.own(gy), _always(gh), _always(gc)
        back.run(
            back.cell("lstm_back", size, *opened, *cells, *reaching, *to.parts(size, 4), _always(gc)),
            back.product(w_hh, to, _always(gh)),
        )
        found = gradients(lines, into, into, w_ih, lambda: lines.before(y, h), (*wanted[:4], False))
        return (*found[:4], gh, gc)

    return (y, memory[steps.order[-1]].copy()), pullback


# ---- gated recurrent unit ------------------------------------------------------------------------------------------
def gru(
    be: Any, x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, h: Any, *, wanted: tuple, reverse: bool
) -> Any:  # fmt: skip
    """-> y: see backends/recurrence.py."""
    lines = Lines(be, x, reverse)
    steps = _steps(x, w_hh, lines, w_ih, b_ih, b_hh, h)
    if steps is None:
        return recurrence.gru(be, x, w_ih, w_hh, b_ih, b_hh, h, wanted=wanted, reverse=reverse)
    size = h.shape[1]
    gates, y, memory = lines.inputs(w_ih, b_ih), lines.empty(size), lines.empty(size)
    h, inner = np.ascontiguousarray(h), np.empty((lines.n, 3 * size), dtype=SINGLE)
    three, states, of_state = steps.own(gates).parts(size, 3), steps.before(y, h), _always(inner)
    steps.run(
        steps.product(w_hh.T, states, of_state, b_hh),
        steps.cell("gru", size, *three, *of_state.parts(size, 3), states, *three, steps.own(memory), steps.own(y)),
    )

    def pullback(gy: Any) -> tuple:
        back, gy, gh = steps.backwards(), _readable(gy, y), np.zeros((lines.n, size), dtype=SINGLE)
        into = lines.empty(4 * size)  # what reaches n, r, z, and n of the state: the last three lie side by side, too
        to = back.own(into).parts(size, 4)
        opened = *back.own(gates).parts(size, 3), back.own(memory), back.before(y, h)
        back.run(
            back.cell("gru_back", size, *opened, back.own(gy), _always(gh), *to, _always(gh)),
            back.product(w_hh, to[1], _always(gh), adds=True),
        )
        at_input, at_state, turned = into[..., : 3 * size], into[..., size:], np.roll(w_ih, size, axis=0)
        needs = (*wanted[:3], False, False)
        gx, gw_ih, gw_hh, *_ = gradients(lines, at_input, at_state, turned, lambda: lines.before(y, h), needs)
        if wanted[1]:
            gw_ih = np.roll(gw_ih, -size, axis=0)
        gb_ih = gb_hh = None
        if wanted[3] or wanted[4]:
            gb = be.sum(lines.rows(into), axis=(0,))
            gb_ih, gb_hh = np.roll(gb[: 3 * size], -size), gb[size:].copy()
        return gx, gw_ih, gw_hh, gb_ih if wanted[3] else None, gb_hh if wanted[4] else None, gh

    return y, pullback


# ---- plain ---------------------------------------------------------------------------------------------------------
def rnn(
    be: Any, x: Any, w_ih: Any, w_hh: Any, b: Any, h: Any, *, wanted: tuple, reverse: bool, rectified: bool
) -> Any:  # fmt: skip
    """-> y: see backends/recurrence.py."""
    lines = Lines(be, x, reverse)
    steps = _steps(x, w_hh, lines, w_ih, b, h)
    if steps is None:
        return recurrence.rnn(be, x, w_ih, w_hh, b, h, wanted=wanted, reverse=reverse, rectified=rectified)
    name, size = "relu" if rectified else "tanh", h.shape[1]
    y, h = lines.inputs(w_ih, b), np.ascontiguousarray(h)
    own = steps.own(y)
    steps.run(steps.product(w_hh.T, steps.before(y, h), own, adds=True), steps.cell(name, size, own, own))

    def pullback(gy: Any) -> tuple:
        back, gy, gh = steps.backwards(), _readable(gy, y), np.zeros((lines.n, size), dtype=SINGLE)
        into = lines.empty(size)
        to = back.own(into)
        back.run(
            back.cell(f"rnn_{name}_back", size, back.own(y), back.own(gy), _always(gh), to),
            back.product(w_hh, to, _always(gh)),
        )
        found = gradients(lines, into, into, w_ih, lambda: lines.before(y, h), (*wanted[:4], False))
        return (*found[:4], gh)

    return y, pullback
