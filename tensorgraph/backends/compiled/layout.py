"""Where things lie in the memory that the threads of a team share, and in an order: words of 8 bytes.

What different threads write lies 128 bytes apart, as processors fetch two lines of 64 bytes at once.
Imported by sharing.py, which writes the code, team.py, which makes the memory, and calls.py, which gives orders.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["PIECES", "PLACE", "PROCESSORS", "WIDEST", "Block", "Order", "Sleeper"]

PLACE = 16
"""Words that a thread writes alone."""
PIECES = 20
"""Bits for each end of the pieces in the ticket; the rest is the number of the order."""
PROCESSORS = 1024
"""of a machine that are told apart"""
WIDEST = 40
"""Arguments that a kernel has at most."""


class Block(IntEnum):
    """The memory of a team."""

    ticket = 0
    """which pieces of which order nobody has taken yet"""
    left = PLACE
    """how many pieces are not finished"""
    busy = 2 * PLACE
    """1 while a caller has the helpers"""
    order = 3 * PLACE
    """the address of its order"""
    helpers = order + 1
    """how many helpers it asks for"""
    limit = order + 2
    """how often a thread looks for work before it sleeps"""
    wait = order + 3
    """the addresses of the system's sem_wait and sem_post"""
    post = order + 4
    processor = order + 5
    """the one that the caller runs on"""
    which = order + 6
    """the addresses of the system's sched_getcpu and sched_setaffinity, or 0"""
    move = order + 7
    allowed = 4 * PLACE
    """a bit for each processor that the process may use"""
    sleeper = allowed + PROCESSORS // 64
    """the caller's place for sleeping; behind it lie those of the helpers"""


class Sleeper(IntEnum):
    """A thread's place for sleeping."""

    asleep = 0
    """1 from when it says so until somebody else, or itself, takes that back"""
    semaphore = 4
    """what it sleeps on: 32 bytes on Linux"""


class Order(IntEnum):
    """The words at the head of an order; then come the arguments of the kernel, then the steps of the first of them.

    In piece i, `moving` arguments from the first are i times their step larger. The argument at `place` says how many
    units of work there are: a piece gets `size` of them, the last one what is left.
    """

    block = 0
    helpers = 1
    pieces = 2
    size = 3
    entry = 4
    words = 5
    place = 6
    moving = 7
