"""Adding rows into a table at an index, where rows may come more than once: the gradient of an embedding.

The index is sorted, and one thread for each number of a row adds up all rows that go to the same place, in their order:
the result is the same in every run, which adding by atomic operations would not give. Imported by
`cuda_kernels/__init__.py` only.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from tensorgraph.backends.cuda_kernels.launch import EACH, Kernel
from tensorgraph.backends.indexing import Indexing

__all__ = ["KERNELS", "FastRows"]

add_rows = Kernel(
    "add_rows",
    "const long long* order, const long long* places, const real* values, real* out, whole number, whole columns, "
    "whole size",
    EACH
    + """
    whole p = i / columns, c = i % columns;
    long long place = places[p];
    if (p > 0 && places[p - 1] == place) return;
    wide sum = get(out[place * columns + c]);
    for (; p < number && places[p] == place; ++p) sum += get(values[order[p] * columns + c]);
    out[place * columns + c] = put(sum);
""",
)

KERNELS = (add_rows,)


class FastRows(Indexing):
    """Overrides a definition."""

    takes: Callable[..., bool]

    def add_at(self, out: Any, index: Any, values: Any) -> None:
        """`out[index] += values` in place, counting every occurrence."""
        rows = index[0] if type(index) is tuple and len(index) == 1 else index
        fits = type(rows) is self.array_type and rows.dtype.kind in "iu" and rows.size > 0 and out.ndim > 0
        if not fits or not self._whole_rows(out, rows, values):
            super().add_at(out, index, values)
            return
        places = rows.reshape(-1).astype(np.int64, copy=False) % out.shape[0]  # those counted from behind, too
        order = self.xp.argsort(places, kind="stable")
        columns = prod(out.shape[1:])
        add_rows.over(
            self, values.size, order, places[order], self.xp.ascontiguousarray(values), out, rows.size, columns,
            dtype=out.dtype,
        )  # fmt: skip

    def _whole_rows(self, out: Any, rows: Any, values: Any) -> bool:
        """Whether there is a row of values for every one that is named."""
        if getattr(values, "shape", None) != rows.shape + out.shape[1:] or values.dtype != out.dtype:
            return False
        return out.flags.c_contiguous and self.takes(out, values)
