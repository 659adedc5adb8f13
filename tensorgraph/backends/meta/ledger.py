"""`Ledger`: who asked for how much memory and when it was let go, for arrays that have no memory of their own.

Inside `with ledger:` every block that an array without numbers would take is entered, in this thread or task only, and
crossed out when its last view dies. Imported by array.py beside it and by diagnostics/plan.py.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Self

__all__ = ["Block", "Entry", "Ledger", "block"]


class Entry:
    """One block of memory: its bytes, the moments between which it was in use, and what the ledger said of it."""

    __slots__ = ("born", "by", "bytes", "died")

    def __init__(self, size: int, born: int, by: Any):
        self.bytes = size
        self.born = born
        self.died: int | None = None
        self.by = by


class Ledger:
    """Bytes in use now (`live`) and at most (`peak`). What `who()` says is written beside every block that comes."""

    def __init__(self, who: Callable[[], Any] = lambda: None):
        self.live = self.peak = 0
        self.who = who
        self.by_at_peak: Any = None
        self._now = self._peak_at = 0
        self._entries: list[Entry] = []
        self._token: Any = None

    def __enter__(self) -> Self:
        self._token = _ledger.set(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        _ledger.reset(self._token)

    def start(self) -> None:
        """Forgets the peak so far: what is in use now is the first of it."""
        self.peak, self._peak_at, self.by_at_peak = self.live, self._now, self.who()

    def take(self, size: int) -> Entry:
        """Enters a block."""
        self._now += 1
        entry = Entry(size, self._now, self.who())
        self._entries.append(entry)
        self.live += size
        if self.live > self.peak:
            self.peak, self._peak_at, self.by_at_peak = self.live, self._now, entry.by
        return entry

    def give(self, entry: Entry) -> None:
        """Crosses a block out."""
        self._now += 1
        entry.died = self._now
        self.live -= entry.bytes

    def at_peak(self) -> list[Entry]:
        """The blocks that were in use when most memory was."""
        at = self._peak_at
        return [e for e in self._entries if e.born <= at and (e.died is None or e.died > at) and e.bytes]


class Block:
    """The memory of one array, which all its views hold on to."""

    __slots__ = ("_entry", "_ledger")

    def __init__(self, ledger: Ledger, size: int):
        self._ledger = ledger
        self._entry = ledger.take(size)

    def __del__(self) -> None:
        self._ledger.give(self._entry)


def block(size: int) -> Block | None:
    """Memory from the ledger of this thread or task; None where nobody counts."""
    ledger = _ledger.get()
    return None if ledger is None else Block(ledger, size)


_ledger: ContextVar[Ledger | None] = ContextVar("tensorgraph.ledger", default=None)
