"""Worker threads: `ThreadPool` does what `ProcessPool` does without other processes.

They share the data set and its memory, start at once and need no pickling; they run at the same time only where Python
lets go of its lock: while files are read, images decoded, large arrays computed. Imported by loader.py.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from typing import Any

from tensorgraph.data.assemble import Assembler
from tensorgraph.data.worker import Stopped, Task, WorkerInfo, working_as
from tensorgraph.errors import WorkerError

__all__ = ["ThreadPool"]

_GRACE = 2.0  # seconds for threads to end; one that hangs cannot be ended


class _Shared:
    """What the threads and the main one share; it holds no pool, so that a forgotten pool ends its threads."""

    def __init__(self) -> None:
        self.tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self.news = threading.Condition()
        self.done: dict[int | None, tuple[Any, Exception | None]] = {}
        self.wanted: set[int] = set()
        self.at: dict[int, tuple[int, int]] = {}  # task -> thread, sample
        self.stop = False


class ThreadPool:
    """`count` worker threads that make batches."""

    kind = "thread"

    def __init__(self, count: int, make: Assembler, init: Callable[[int], Any] | None, timeout: float = 0.0):
        self.timeout = timeout
        self.name = type(make.dataset).__name__
        self._shared = _Shared()
        self._threads = [
            threading.Thread(
                target=_work,
                args=(WorkerInfo(i, count, make.dataset), make, init, self._shared),
                name=f"DataLoader worker {i}",
                daemon=True,
            )
            for i in range(count)
        ]
        self.close = weakref.finalize(self, _close, self._shared, self._threads)
        for thread in self._threads:
            thread.start()

    @property
    def whole(self) -> bool:
        """Whether no worker has died."""
        return all(thread.is_alive() for thread in self._threads)

    def submit(self, task: Task) -> None:
        """Puts a task in line."""
        with self._shared.news:
            self._shared.wanted.add(task.number)
        self._shared.tasks.put(task)

    def take(self, number: int) -> Any:
        """The batch of a task, when it has come.

        Raises what the data set raised, or WorkerError when it took longer than `timeout`.
        """
        shared = self._shared
        with shared.news:
            came = shared.news.wait_for(lambda: number in shared.done or None in shared.done, self.timeout or None)
            if not came:
                raise self._hangs(number)
            batch, error = shared.done.pop(number if number in shared.done else None)
            shared.wanted.discard(number)
        if error is not None:
            raise error
        return batch

    def forget(self) -> None:
        """Drops what was made for an epoch that nobody goes on with."""
        with self._shared.news:
            self._shared.wanted.clear()
            self._shared.done.clear()

    def _hangs(self, number: int) -> WorkerError:
        thread, sample = self._shared.at.get(number, (None, None))
        where = "no worker has begun with it" if thread is None else f"a worker thread is at sample {sample}"
        error = WorkerError(
            f"DataLoader: no batch came within {self.timeout:g} s; {where} of {self.name}",
            hint="a larger timeout=, or num_workers=0 to see where it waits",
        )
        frame = sys._current_frames().get(thread) if thread is not None else None
        if frame is not None:
            error.__cause__ = RuntimeError("the worker is here:\n\n" + "".join(traceback.format_stack(frame)))
        return error


def _work(info: WorkerInfo, make: Assembler, init: Callable[[int], Any] | None, shared: _Shared) -> None:
    with working_as(info):
        if init is not None:
            try:
                init(info.id)
            except Exception as error:
                _tell(shared, None, None, error)
                return
        while (task := shared.tasks.get()) is not None:
            if task.number not in shared.wanted:
                continue

            def report(index: int, number: int = task.number) -> None:
                if shared.stop:
                    raise Stopped
                shared.at[number] = threading.get_ident(), index

            try:
                _tell(shared, task.number, make(task.indices, task.seed, task.epoch, "untouched", report), None)
            except Stopped:
                return
            except Exception as error:
                error.add_note(f"in worker thread {info.id} of the DataLoader")
                _tell(shared, task.number, None, error)
            except BaseException as error:  # SystemExit: the thread ends, and is not waited for in vain
                ended = WorkerError(f"DataLoader: worker thread {info.id} ended by {error!r}")
                ended.__cause__ = error
                _tell(shared, task.number, None, ended)
                return
            shared.at.pop(task.number, None)


def _tell(shared: _Shared, number: int | None, batch: Any, error: Exception | None) -> None:
    with shared.news:
        if number is None or number in shared.wanted:
            shared.done[number] = batch, error
            shared.news.notify_all()


def _close(shared: _Shared, threads: list[threading.Thread]) -> None:
    shared.stop = True
    for _ in threads:
        shared.tasks.put(None)
    end = time.monotonic() + _GRACE
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(max(0.0, end - time.monotonic()))
