"""The threads that help with compiled kernels: daemon threads of Python that stay in machine code (sharing.py).

They need POSIX's semaphores in memory (Linux has them); elsewhere `start` gives 0 and pieces are for others to share.
Imported by __init__.py beside it.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from time import perf_counter_ns
from typing import Any

import numpy as np

from tensorgraph.backends.compiled.layout import PLACE, PROCESSORS, Block, Sleeper

__all__ = ["Team", "forever"]

SPIN = 100_000
"""Nanoseconds for which a thread looks for work before it sleeps: most operations of a training step follow faster."""
MOST = 63
"""Helpers at most."""


class Team:
    """Threads that take pieces of an order; `block` is the address of the memory that they share."""

    def __init__(self, help_: Any, spin: Any):
        self._help, self._spin = help_, spin
        self._anew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._anew)

    def _anew(self) -> None:
        """No helpers, as in a process that was just forked."""
        self.helpers = 0
        self._lock = threading.Lock()
        words = forever(np.zeros(Block.sleeper + PLACE * (MOST + 3), dtype=np.int64))
        self.block = -(-words.ctypes.data // (8 * PLACE)) * 8 * PLACE
        self._words = words[(self.block - words.ctypes.data) // 8 :]
        self._possible = self._prepare()

    def _prepare(self) -> bool:
        """Makes the semaphores; whether there are such."""
        try:
            system = ctypes.CDLL(None)
            init, wait, post = system.sem_init, system.sem_wait, system.sem_post
        except (TypeError, OSError, AttributeError):
            return False
        if sys.platform == "darwin":  # has the names only
            return False
        for i in range(MOST + 1):
            if init(ctypes.c_void_p(self.block + 8 * (Block.sleeper + i * PLACE + Sleeper.semaphore)), 0, 0):
                return False
        for place, function in ((Block.wait, wait), (Block.post, post)):
            self._words[place] = _address(function)
        return True

    def _look_around(self) -> None:
        """Notes which processors the process may use, where the system tells that and lets threads choose."""
        try:
            system, allowed = ctypes.CDLL(None), os.sched_getaffinity(0)
            which, move = _address(system.sched_getcpu), _address(system.sched_setaffinity)
        except (AttributeError, OSError):
            return
        bits = np.zeros(PROCESSORS, dtype=np.uint8)
        bits[[i for i in allowed if i < PROCESSORS]] = 1
        self._words[Block.allowed : Block.sleeper] = np.packbits(bits, bitorder="little").view(np.int64)
        self._words[Block.which], self._words[Block.move] = (which, move) if len(allowed) > 1 else (0, 0)

    def start(self, wanted: int) -> int:
        """Sees to it that there are so many helpers, where the system lets them be; how many of them there are."""
        if wanted > self.helpers and self._possible:
            with self._lock:
                self._add(min(wanted, MOST))
        return min(wanted, self.helpers)

    def _add(self, wanted: int) -> None:
        if not self._words[Block.limit]:
            self._words[Block.limit] = max(1, SPIN * 1000 // self._pauses(1000))
        self._look_around()
        while self.helpers < wanted:
            words = forever(np.array([self.block, self.helpers], dtype=np.int64))
            thread = threading.Thread(
                target=self._help,
                args=(words.ctypes.data, 1),
                name=f"tensorgraph-helper-{self.helpers + 1}",
                daemon=True,
            )
            try:
                thread.start()
            except RuntimeError:  # the interpreter is ending, or the system has no more threads
                self._possible = False
                return
            self.helpers += 1

    def _pauses(self, count: int) -> int:
        """Nanoseconds that so many looks take."""
        times = []
        for _ in range(3):
            start = perf_counter_ns()
            self._spin(None, count)
            times.append(perf_counter_ns() - start)
        return max(1, min(times))


def _address(function: Any) -> int | None:
    return ctypes.cast(function, ctypes.c_void_p).value


def forever(thing: Any) -> Any:
    """The object, never to be freed: helpers use it until the process ends, which is after the interpreter has."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
    return thing
