"""Adding rows into a table at an index, where rows may come more than once: the gradient of an embedding.

The index is sorted and cut into pieces. One thread for each number of a row goes through a piece and adds up the rows
of each place in their order; a run that goes on in the next pieces leaves its sums there, which a second kernel adds.
So the result is the same in every run, which adding by atomic operations would not give. Imported by
`cuda_kernels/__init__.py` only.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from tensorgraph.backends.cuda_kernels.launch import EACH, Kernel, wide_dtype
from tensorgraph.backends.indexing import Indexing
from tensorgraph.capturing import current as capturing

__all__ = ["KERNELS", "FastRows"]

PIECE = 32
"""Rows of a piece."""
FIRST = (
    f"    whole q = i / columns, c = i % columns, first = q * {PIECE}, end = first + {PIECE};\n"
    + """
    if (end > number) end = number;
"""
)
"""Number c of a row; piece q, from `first` up to `end`."""

add_rows = Kernel(
    "add_rows",
    "const long long* order, const long long* places, const real* values, wide* later, real* out, whole number, "
    "whole columns, whole size",
    EACH
    + FIRST
    + """
    for (whole p = first; p < end;) {
        long long place = places[p];
        int goes_on = p == first && p > 0 && places[p - 1] == place;
        wide sum = 0;
        for (; p < end && places[p] == place; ++p) sum += get(values[order[p] * columns + c]);
        if (goes_on) later[i] = sum;
        else out[place * columns + c] = put(get(out[place * columns + c]) + sum);
    }
""",
)

add_later = Kernel(
    "add_later",
    "const long long* places, const wide* later, real* out, whole number, whole columns, whole size",
    EACH
    + FIRST
    + f"""
    long long place = places[end - 1];
    if (end == number || places[end] != place) return;  /* nothing goes on behind this piece */
    if (first > 0 && places[first - 1] == place) return;  /* what goes on began before it */
    wide sum = get(out[place * columns + c]);
    for (; end < number && places[end] == place; end += {PIECE}) sum += later[end / {PIECE} * columns + c];
    out[place * columns + c] = put(sum);
""",
)

rank = Kernel(
    "rank",
    "const long long* places, long long* order, whole size",
    EACH
    + """
    long long mine = places[i];
    whole before = 0;
    for (whole q = 0; q < size; ++q) before += places[q] < mine || (places[q] == mine && q < i);
    order[before] = i;
""",
)

KERNELS = add_rows, add_later, rank
FEW = 4096
"""Indices up to which each looks for its rank among all others, which is less work than to begin a sort."""


class FastRows(Indexing):
    """Overrides a definition."""

    takes: Callable[..., bool]

    def add_at(self, out: Any, index: Any, values: Any) -> None:
        """`out[index] += values` in place, counting every occurrence."""
        rows: Any = index[0] if type(index) is tuple and len(index) == 1 else index
        fits = type(rows) is self.array_type and rows.dtype.kind in "iu" and rows.size > 0 and out.ndim > 0
        if not fits or not self._whole_rows(out, rows, values):
            super().add_at(out, index, values)
            return
        places = rows.reshape(-1).astype(np.int64, copy=False) % out.shape[0]  # those counted from behind, too
        order = self._sorted(places)
        columns, pieces = prod(out.shape[1:]), -(-rows.size // PIECE)
        places, later = places[order], self.xp.empty((pieces, columns), dtype=wide_dtype(out))
        given = self.xp.ascontiguousarray(values), later, out, rows.size, columns
        add_rows.over(self, later.size, order, places, *given, dtype=out.dtype)
        if pieces > 1:
            add_later.over(self, later.size, places, *given[1:], dtype=out.dtype)

    def _sorted(self, places: Any) -> Any:
        """The order of a stable sort. That of CuPy waits for its end, which a captured step must not."""
        if places.size > FEW and capturing() is None:
            return self.xp.argsort(places, kind="stable")
        order = self.xp.empty(places.size, dtype=np.int64)
        rank.over(self, places.size, places, order)
        return order

    def _whole_rows(self, out: Any, rows: Any, values: Any) -> bool:
        """Whether there is a row of values for every one that is named."""
        if getattr(values, "shape", None) != rows.shape + out.shape[1:] or values.dtype != out.dtype:
            return False
        return out.flags.c_contiguous and self.takes(out, values)
