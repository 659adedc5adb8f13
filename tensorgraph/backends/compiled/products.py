"""Matrix products by compiled kernels: how the factors are read, and where everything lies. Imported by numpy_kernels/.

A product whose right factor would have to be transposed, and whose left one has few rows, is computed as the transpose
of the product the other way round: then it is the small factor, and the result, that are transposed on the way.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tensorgraph.backends.compiled import address
from tensorgraph.backends.compiled.table import AREA, DEEP, ROW

__all__ = ["Way", "scratch", "way"]

SCRATCH = 4 * (16 * DEEP + 14 * ROW + AREA)
"""Bytes that a kernel wants to itself."""
MANY = 160
"""Rows of the left factor above which it pays to pack the right one, or to transpose it."""
FEW = 20
"""Rows of the left factor up to which transposing it instead would fill too little of a vector."""
PERIOD = 1 << 10
"""Numbers after which addresses fall on the same lines of the first cache."""
WORTH, TRANSPOSED, OUTER = 1 << 20, 1 << 18, 1 << 15
"""Products of numbers from which a kernel beats BLAS: on one thread, with a transposed right factor, of two vectors."""
ROWS, COLUMNS = 4, 32
"""Of which a piece has a multiple: panels are as wide as two of the widest vectors."""

_local = threading.local()


class Way(NamedTuple):
    """How a product is computed; `words` are what the kernel takes behind the addresses.

    With several pieces, each has `size` of the units that the word number `place` counts, and moves the addresses and
    the scratch by `steps`.
    """

    swaps: bool
    words: tuple[int, ...]
    pieces: int
    place: int
    size: int
    steps: tuple[int, ...]


@lru_cache(maxsize=4096)
def way(
    a: tuple,
    a_strides: tuple,
    b: tuple,
    b_strides: tuple,
    pieces: int = 1,
    start_row: int | None = None,
    out_row: int = 0,
) -> Way | None:
    """How a (m, k) @ b (k, n) of float32 is written to rows `out_row` numbers apart (0: without gaps).

    The sums start from 0, or from a matrix whose rows are start_row apart: 0 where there is one for all. It may be the
    result.

    None where it cannot be done, since neither axis of a matrix has unit stride, and where BLAS is as fast: for
    vectors, for few rows with a transposed right factor, and for small products.
    """
    (m, k), n = a, b[1]
    a_turned, a_row = _lies(a, a_strides)
    b_turned, b_row = _lies(b, b_strides)
    if not (a_row and b_row and k) or m < 2 or n < 2 or (b_turned and not a_turned and m <= 4):
        return None
    if m * n * k < (OUTER if k == 1 else TRANSPOSED if b_turned else WORTH if pieces == 1 else TRANSPOSED):
        return None
    out_row = out_row or n
    turned = b_turned and not a_turned and FEW < m <= MANY
    if turned:
        m, n, a_row, b_row = n, m, b_row, a_row
    left = 1 if a_turned else 2 if a_row % PERIOD == 0 and n >= 2 * COLUMNS else 0
    right = 2 if b_turned else 1 if m > MANY else 0
    words = m, n, k, out_row, start_row or 0, a_row, b_row, left, right, int(turned)
    down, across = (1, out_row) if turned else (out_row, 1)
    start_down, start_across = (1, start_row) if turned else (start_row, 1)
    if start_row is None:
        start_down = start_across = 0
    if m >= n:
        place, units, multiple, moves = 5, m, ROWS, (down, start_down, 1 if left == 1 else a_row, 0)
    else:
        place, units, multiple, moves = 6, n, COLUMNS, (across, start_across, 0, b_row if right == 2 else 1)
    size = -(-units // (pieces * multiple)) * multiple
    return Way(turned, words, -(-units // size), place, size, (*(4 * size * move for move in moves), SCRATCH))


def _lies(shape: tuple, strides: tuple) -> tuple[bool, int]:
    """Whether a matrix lies transposed, and how far its rows, or then its columns, are apart; 0 if it is neither."""
    (rows, columns), (down, right) = shape, strides
    if (right == 4 or columns == 1) and ((down % 4 == 0 and down >= 4 * columns) or rows == 1):
        return False, max(down // 4, columns)
    if (down == 4 or rows == 1) and ((right % 4 == 0 and right >= 4 * rows) or columns == 1):
        return True, max(right // 4, rows)
    return False, 0


def scratch(pieces: int) -> int:
    """The address of memory for so many kernels at once, of this thread, where a line of the cache begins."""
    found = getattr(_local, "found", (0, 0))
    if found[0] < pieces:
        _local.room = np.zeros(pieces * SCRATCH + 64, dtype=np.uint8)  # zeros: lanes that nobody reads shall be fast
        found = _local.found = pieces, -(-address(_local.room) // 64) * 64
    return found[1]
