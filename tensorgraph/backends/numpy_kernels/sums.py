"""Sums over all but the last axes in memory, by BLAS: a row of ones times a matrix.

This is the gradient of every bias, and what batch normalisation sums. NumPy adds row after row to a result that it
reads and writes every time (measured: 3.2 against 0.8 ms for 100,000 rows of 32).
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tensorgraph.backends import compiled
from tensorgraph.backends.compiled import address
from tensorgraph.backends.numpy_kernels.elementwise import RUN, alike, column_sums, columns, flat
from tensorgraph.backends.numpy_kernels.threads import parallel
from tensorgraph.backends.reduction import Reduction
from tensorgraph.mode import kernels_allowed

LARGE = 1 << 14
"""Elements from which it pays."""
PIECE = 1 << 20
"""Elements that a thread sums at once."""
LONG = 1 << 13
"""Products of neighbours that are added in runs too, from this many."""
NEAR = 16
"""Rows whose mean is taken from all before their squares are summed."""
COST = 0.3
"""Nanoseconds an element: a guess, to tell what is worth a second thread."""

SINGLE = np.dtype("float32")
_ONES = {np.dtype(name): np.ones(RUN, dtype=name) for name in ("float32", "float64")}


class FastReduction(Reduction):
    """Overrides the definition on arrays of NumPy."""

    def add_into(self, total: Any, x: Any) -> Any:
        """total + x, written into total (which has the common shape), or a new array where it has no place for it."""
        same = total.shape == x.shape and kernels_allowed()
        y = flat("add", (total, alike(x, total)), into=(total,)) if same else None
        return super().add_into(total, x) if y is None else y

    def sum(self, x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
        """Sum of the elements."""
        if x.size >= LARGE and dtype is None and axis is not None:
            rows = _rows(x, axis)
            if rows is not None:
                return _sum_of_rows(rows).reshape(_kept(x, axis, keepdims))
        return super().sum(x, axis, keepdims, dtype)

    def mean(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        """Arithmetic mean; NaN of nothing."""
        rows = None if axis is None else _rows(x, axis)
        if rows is None:
            return super().mean(x, axis, keepdims)
        return (_sum_of_rows(rows) / x.dtype.type(len(rows))).reshape(_kept(x, axis, keepdims))

    def dot_along(self, a: Any, b: Any, axis: tuple[int, ...]) -> Any:
        """Sum of a * b (of one shape) over some axes, which stay with size 1; the products are not written out."""
        rows: Any = _rows(a, axis)
        others: Any = _rows(b, axis)
        if a.dtype != b.dtype or (rows is None and others is None):
            return self._dot_of_planes(a, b, axis)
        if rows is None:
            rows = _rows(_like(a, b), axis)
        elif others is None:
            others = _rows(_like(b, a), axis)
        y = _in_runs(lambda p, q: np.einsum("nrc,nrc->nc", p, q), rows, others)
        return y.reshape(_kept(a, axis, True))

    def _dot_of_planes(self, a: np.ndarray, b: np.ndarray, axis: tuple[int, ...]) -> Any:
        """`dot_along` where the last axes in memory are long, in runs."""
        inner, first = 1, a.ndim
        while first and first - 1 in axis:
            first -= 1
            inner *= a.shape[first]
        whole = inner // RUN * RUN
        alike = a.dtype == b.dtype in _ONES and a.flags.c_contiguous and b.flags.c_contiguous
        if whole < LONG or not alike or not kernels_allowed():
            return super().dot_along(a, b, axis)
        a_lines, b_lines = a.reshape(-1, inner), b.reshape(-1, inner)
        runs = [x[:, :whole].reshape(len(x), -1, RUN) for x in (a_lines, b_lines)]
        y = np.einsum("abr,abr->ab", *runs).sum(axis=1, dtype=np.float64)
        y += np.einsum("ab,ab->a", a_lines[:, whole:], b_lines[:, whole:])
        y = y.reshape(*a.shape[:first], *[1] * (a.ndim - first))
        return y.sum(axis=tuple([i for i in axis if i < first]), keepdims=True).astype(a.dtype)

    def mean_and_variance(self, x: Any, axis: tuple[int, ...]) -> tuple[Any, Any, Any]:
        """Mean, x without it (or None, if it was not needed), and mean square of that; kept axes, float32 at least."""
        rows = columns(x, axis) if kernels_allowed() else None
        if rows is None:
            return super().mean_and_variance(x, axis)
        n, width = rows.shape
        near, mean, var = np.empty((3, *_kept(x, axis, True)), dtype=SINGLE)
        kernels: Any = compiled.kernels()
        step = -(-n // NEAR)
        few = -(-n // step)
        kernels["mean_of_rows"](address(rows), address(near), few, width, step * width, 1 / few)
        sums = column_sums("moments", (rows,), (near,))
        kernels["settle_moments"](*map(address, (sums, near, mean, var)), width, len(sums), 1 / n)
        return mean, None, var


def _rows(x: np.ndarray, axis: Any) -> np.ndarray | None:
    """x as (rows, columns), where sums over `axis` are sums of rows that lie so in memory, and many."""
    if x.size < LARGE or x.dtype not in _ONES or not kernels_allowed():
        return None
    axes = axis if isinstance(axis, tuple) else (axis,)
    away = {a % x.ndim for a in axes if -x.ndim <= a < x.ndim}
    stays = [a for a in range(x.ndim) if a not in away]
    rows = x.transpose(*sorted(away), *stays)
    width = prod([x.shape[a] for a in stays])
    return rows.reshape(-1, width) if len(away) == len(axes) and width > 1 and rows.flags.c_contiguous else None


def _kept(x: np.ndarray, axis: Any, keepdims: bool) -> list[int]:
    """The shape of a sum over some axes."""
    away = {a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))}
    return [1 if a in away else n for a, n in enumerate(x.shape) if keepdims or a not in away]


def _like(x: np.ndarray, model: np.ndarray) -> np.ndarray:
    """x in an order in memory as that of a model."""
    y = np.empty_like(model)
    y[...] = x
    return y


def _sum_of_rows(x: np.ndarray) -> np.ndarray:
    ones = _ONES[x.dtype]
    return _in_runs(lambda runs: np.matmul(ones[: runs.shape[1]], runs), x)


def _in_runs(sums: Any, *arrays: np.ndarray) -> np.ndarray:
    """Sums over the rows of arrays (rows, columns): `sums` of (runs, RUN, columns), which are added in runs again."""
    x = arrays[0]
    if len(x) <= RUN:
        return sums(*(a[None] for a in arrays))[0]
    whole, (n, width) = len(x) // RUN, x.shape
    each = max(1, PIECE // (RUN * width))
    pieces = -(-whole // each)
    parts = np.empty((whole + (n % RUN > 0), width), dtype=x.dtype)

    def task(i: int) -> None:
        if i < pieces:
            runs = slice(i * each, min((i + 1) * each, whole))
            rows = slice(runs.start * RUN, runs.stop * RUN)
            parts[runs] = sums(*(a[rows].reshape(-1, RUN, width) for a in arrays))
        else:
            parts[whole:] = sums(*(a[None, whole * RUN :] for a in arrays))

    parallel(task, pieces + (len(parts) > whole), x.size * COST * len(arrays))
    return _sum_of_rows(parts)
