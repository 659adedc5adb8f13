"""Continuing an array beyond its ends by its own elements, and the adjoint: folding what lies outside back in.

A part of `Backend`; imported by `backends/array.py` only. Both run through the same list of copies, one forwards and
one backwards, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Widths = tuple[tuple[int, int], ...]


def _copies(shape: tuple[int, ...], widths: Widths, mode: str) -> Iterator[tuple[tuple, tuple]]:
    """(to, from): slices of the padded array, in the order in which they can be copied."""
    for axis, (n, (before, after)) in enumerate(zip(shape, widths, strict=True)):
        lead = (slice(None),) * axis
        low, high = before, before + n
        if mode == "edge" or (mode == "reflect" and n == 1):
            if before:
                yield (*lead, slice(0, low)), (*lead, slice(low, low + 1))
            if after:
                yield (*lead, slice(high, high + after)), (*lead, slice(high - 1, high))
            continue
        skip = 1 if mode == "reflect" else 0
        while low > 0:
            k = min(low, n - skip)
            start = low + n - k if mode == "wrap" else low + skip
            yield (*lead, slice(low - k, low)), (*lead, _run(start, k, mode))
            low -= k
        while high < before + n + after:
            k = min(before + n + after - high, n - skip)
            start = high - n if mode == "wrap" else high - skip - k
            yield (*lead, slice(high, high + k)), (*lead, _run(start, k, mode))
            high += k


def _run(start: int, k: int, mode: str) -> slice:
    """k places from `start` on; from the last to the first where the mode is a mirror."""
    return slice(start, start + k) if mode == "wrap" else slice(start + k - 1, start - 1 if start else None, -1)


def _inside(shape: tuple[int, ...], widths: Widths) -> tuple[slice, ...]:
    return tuple([slice(before, before + n) for n, (before, _) in zip(shape, widths, strict=True)])


class Padding:
    """Padding in terms of `xp`. No width is negative; an axis that is widened is not empty."""

    xp: Any

    def extend(self, x: Any, widths: Widths, mode: str) -> Any:
        """x in the middle, continued by "edge", "reflect", "symmetric" or "wrap"."""
        out = self.xp.empty_like(x, shape=[b + n + a for n, (b, a) in zip(x.shape, widths, strict=True)])
        out[_inside(x.shape, widths)] = x
        for to, source in _copies(x.shape, widths, mode):
            out[to] = out[source]
        return out

    def fold_in(self, g: Any, shape: tuple[int, ...], widths: Widths, mode: str) -> Any:
        """The adjoint of `extend` for an array of `shape`."""
        g = g.copy()
        for to, source in reversed(list(_copies(shape, widths, mode))):
            part = g[to]
            axis = len(to) - 1
            if mode == "edge" or (mode == "reflect" and shape[axis] == 1):
                part = self.sum(part, axis, True)  # pyright: ignore[reportAttributeAccessIssue]
            g[source] += part
        return self.xp.ascontiguousarray(g[_inside(shape, widths)])
