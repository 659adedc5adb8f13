"""A whole sequence of a recurrent network by compiled kernels, in float32; anything else as on every backend.

The weights are packed once for all steps, a step is one product added to the gates and one pass that opens them, and
threads share the batch, each from the first step to the last. Imported by numpy.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph.backends import compiled, recurrence
from tensorgraph.backends.compiled import address
from tensorgraph.backends.compiled.convolution import Packed
from tensorgraph.backends.numpy_kernels import blas
from tensorgraph.backends.numpy_kernels.threads import parallel

__all__ = ["lstm"]

SINGLE = np.dtype("float32")
PACE = 50.0
"""Floating point operations a nanosecond: a guess, to tell what is worth a second thread."""
ENOUGH = 1 << 11
"""Numbers in z from which compiled kernels are asked for."""


def lstm(be: Any, z: Any, w: Any, h: Any, c: Any, *, wanted: tuple, reverse: bool) -> Any:
    """z (T, N, 4 H), w (4 H, H), h and c (N, H) -> (T + 1, N, H): see backends/recurrence.py."""
    single = all(a.dtype == SINGLE for a in (z, w, h, c))
    kernels = compiled.kernels() if single and z.size >= ENOUGH else None
    if kernels is None:
        return recurrence.lstm(be, z, w, h, c, wanted=wanted, reverse=reverse)
    run = recurrence.Sequence(be, z if z.flags.c_contiguous else np.ascontiguousarray(z), h, c, reverse)
    gates, memory, ago = run.gates, run.memory, run.ago
    n, size = h.shape
    shares = max(1, min(blas.threads(), n))
    if 8.0 * z.size * size / PACE < 5e5:
        shares = 1
    cuts = [(i * n // shares, (i + 1) * n // shares) for i in range(shares)]
    row = quarter = 4 * size  # bytes of a row of the states, and of a gate in a row of the gates
    step, four = n * row, (4 * size,) * 4
    work = 16.0 * z.size * size / PACE

    def forward(share: int) -> None:
        first, stop = cuts[share]
        rows = stop - first
        at_gates, at_memory, at_states = (
            address(a) + first * b for a, b in ((gates, 4 * row), (memory, row), (run.states, row))
        )
        t = np.array(run.order)
        g = at_gates + t * 4 * step
        parts = g, g + quarter, g + 2 * quarter, g + 3 * quarter
        before, after = at_memory + (t + ago) * step, at_memory + (t + 1 - ago) * step
        adds = packed.add(g, at_states + (t + 2 * ago) * step, rows, 4 * size, size)
        opens = (
            *parts, before, *parts, after, at_states + (t + 1) * step, rows, size, *four, size, *four, size, size
        )  # fmt: skip
        _run(kernels, (packed.entry, adds), (kernels.entry("lstm"), opens), len(t))

    packed = Packed(kernels, np.ascontiguousarray(w.T)[None], n // shares)
    parallel(forward, shares, work)
    y = run.result()

    def pullback(g: Any) -> tuple:
        into, g = np.empty_like(gates), g.copy(order="C")
        gc = g[run.last]

        def backward(share: int) -> None:
            first, stop = cuts[share]
            rows = stop - first
            at_gates, at_into = (address(a) + first * 4 * row for a in (gates, into))
            at_memory, at_g, at_gc = (address(a) + first * row for a in (memory, g, gc))
            t = np.array(run.order[::-1])
            gh, to, o = at_g + (t + ago) * step, at_into + t * 4 * step, at_gates + t * 4 * step
            before, after = at_memory + (t + ago) * step, at_memory + (t + 1 - ago) * step
            adds = packed.add(gh, at_into + (t + 1 - 2 * ago) * 4 * step, rows, size, 4 * size)
            closes = (
                o, o + quarter, o + 2 * quarter, o + 3 * quarter, before, after, gh, at_gc,
                to, to + quarter, to + 2 * quarter, to + 3 * quarter, at_gc, rows, size,
                *four, size, size, size, size, *four, size,
            )  # fmt: skip
            _run(kernels, (packed.entry, adds), (kernels.entry("lstm_back"), closes), len(t), skip=1)

        packed = Packed(kernels, np.ascontiguousarray(w)[None], n // shares)
        parallel(backward, shares, work)
        return run.gradients(be, into, gc, w, wanted)

    return y, pullback


def _run(kernels: Any, first: tuple, second: tuple, steps: int, skip: int = 0) -> None:
    """Runs two kernels in turn, step by step: (entry, arguments), each a number or one for every step.

    `skip`: how many calls are left out at the start.
    """
    program, tables = np.empty((steps, 2, 2), dtype=np.int64), []
    for i, (entry, arguments) in enumerate((first, second)):
        table = np.empty((steps, len(arguments)), dtype=np.int64)
        for column, values in enumerate(arguments):
            table[:, column] = values
        program[:, i, 0], program[:, i, 1] = entry, address(table) + table.strides[0] * np.arange(steps)
        tables.append(table)  # kept until the program has run
    kernels.run(program.reshape(-1, 2)[skip:])
