"""A few threads that share the work of one computation.

`share(kernel, ...)` runs a compiled kernel in pieces that threads of its own take in machine code, which pays from some
ten microseconds. `parallel(task, n, cost)` calls `task(i)` for every i below n on threads of Python, which hand the
interpreter lock to each other; NumPy and BLAS release it while they work. BLAS runs with one thread inside, because a
tile per thread is faster than a tile for all. Imported by the kernels beside it.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

from tensorgraph.backends.compiled.calls import Kernel
from tensorgraph.backends.numpy_kernels import blas

HOP = 3e5
"""Work in nanoseconds below which waking another thread of Python does not pay."""
PIECE = 6e3
"""Work in nanoseconds that a piece of a compiled kernel has at least."""
LINES = 1 << 10
"""Elements of which a piece of a vector has a multiple: whole lines of the cache, and no masks but in the last."""
EACH = 3
"""Pieces for every thread, where there is so much work: one that comes late leaves more to the others."""


class _Job:
    """Tiles that are still to be taken, and what went wrong in one of them."""

    def __init__(self, task: Callable[[int], Any], n: int):
        self.task = task
        self.tiles = deque(range(n))
        self.error: BaseException | None = None
        self.done: SimpleQueue[None] = SimpleQueue()

    def take(self) -> int | None:
        """A tile that nobody has taken yet."""
        try:
            return self.tiles.popleft()
        except IndexError:
            return None

    def work(self) -> None:
        """Takes tiles until none is left; after an error nobody finds one any more."""
        while (i := self.take()) is not None:
            try:
                self.task(i)
            except BaseException as error:
                self.error = error
                self.tiles.clear()


class _Pool:
    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.free = threading.Lock()
        self.helpers = 0

    def _help(self) -> None:
        while True:
            job = self.jobs.get()
            job.work()
            job.done.put(None)
            del job

    def run(self, task: Callable[[int], Any], n: int, helpers: int) -> None:
        while self.helpers < helpers:
            self.helpers += 1
            threading.Thread(target=self._help, name=f"tensorgraph-{self.helpers}", daemon=True).start()
        job = _Job(task, n)
        for _ in range(helpers):
            self.jobs.put(job)
        job.work()
        for _ in range(helpers):
            job.done.get()
        if job.error is not None:
            raise job.error


_pool = _Pool()


def _forked() -> None:
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def parallel(task: Callable[[int], Any], n: int, cost: float) -> None:
    """`task(i)` for all i below n, in any order, on any thread. `cost` is a guess of the whole work in nanoseconds."""
    threads = blas.threads()
    if threads == 1:
        for i in range(n):
            task(i)
        return
    blas.set_threads(1)
    try:
        if n > 1 and cost > HOP and _pool.free.acquire(blocking=False):
            try:
                _pool.run(task, n, min(n, threads) - 1)
            finally:
                _pool.free.release()
        else:
            for i in range(n):
                task(i)
    finally:
        blas.set_threads(threads)


def share(
    kernel: Kernel, place: int, cost: float, words: Sequence[Any], steps: Sequence[int], multiple: int = 1
) -> None:
    """`kernel(*words)`, shared by all threads: `words[place]` counts units, each moves the first words by `steps`.

    `cost` is a guess of the whole work in nanoseconds. A piece has a multiple of so many units.
    """
    if cost < 2 * PIECE or (threads := blas.threads()) == 1:
        kernel(*words)
        return
    units = words[place]
    size = -(-units // min(int(cost / PIECE), EACH * threads))
    size = -(-size // multiple) * multiple
    if size < units:
        share_pieces(kernel, place, size, cost, words, [size * step for step in steps])
    else:
        kernel(*words)


def share_pieces(
    kernel: Kernel, place: int, size: int, cost: float, words: Sequence[Any], steps: Sequence[int]
) -> None:
    """Runs a kernel in pieces of `size` of the units that `words[place]` counts; `steps` is how far a piece moves."""
    wanted = blas.threads() - 1 if cost >= 2 * PIECE else 0
    helpers = kernel.team.start(wanted)
    if helpers or cost < HOP or not wanted:
        kernel.share(helpers, size, place, words, steps)
    else:
        parallel(lambda i: kernel.piece(i, size, place, words, steps), -(-words[place] // size), cost)
