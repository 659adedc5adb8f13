"""What runs in a worker process of a loader, and `get_worker_info`, by which a data set knows that it is in one.

A worker makes one batch after the other. A thread of it reads the tasks, so that the main process never waits to send
one, and ends the worker at once when the main process is gone. Imported by processes.py and threads.py.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import queue
import signal
import threading
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from tensorgraph import backends
from tensorgraph.data.assemble import Assembler

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

__all__ = ["DUMP", "Stopped", "Task", "WorkerInfo", "get_worker_info", "main", "working_as"]

DUMP = getattr(signal, "SIGUSR1", None) if hasattr(faulthandler, "register") else None
"""the signal on which a worker writes down where it is"""


class Stopped(BaseException):
    """The pool closes: the batch in hand is not wanted any more. No error that a data set could catch."""


class Task(NamedTuple):
    """A batch to be made."""

    number: int
    indices: Any
    seed: int
    epoch: int


class WorkerInfo(NamedTuple):
    """Which worker this is: its number from 0 on, of how many, and its copy of the data set."""

    id: int
    num_workers: int
    dataset: Any


_here = threading.local()


def get_worker_info() -> WorkerInfo | None:
    """In a worker of a loader (process or thread) which one it is, elsewhere None."""
    return getattr(_here, "info", None)


@contextlib.contextmanager
def working_as(info: WorkerInfo):
    """While it lasts, this thread is a worker."""
    _here.info = info
    try:
        yield
    finally:
        _here.info = None


def main(
    info: tuple[int, int],
    make: Assembler,
    init: Callable[[int], Any] | None,
    tasks: Connection,
    results: Connection,
    progress: Any,
    traces: str,
    foreign: list[Connection],
) -> None:
    """The life of a worker process. `foreign`: ends of connections that a fork has copied here."""
    from tensorgraph.data import transport  # needs multiprocessing, which is slow to import

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's, which then ends its workers
    for connection in foreign:
        connection.close()
    trace = open(traces, "w")  # noqa: SIM115 - open as long as the process lives
    faulthandler.enable(trace, all_threads=False)
    if DUMP is not None:
        faulthandler.register(DUMP, trace)
    backends.set_default_device("cpu")
    stop = threading.Event()
    pending: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(tasks, pending, stop), daemon=True).start()

    def report(index: int) -> None:
        if stop.is_set():
            raise Stopped
        progress[info[0]] = index

    with working_as(WorkerInfo(*info, make.dataset)), contextlib.suppress(Stopped, ConnectionError):
        try:
            if init is not None:
                init(info[0])
        except Exception as error:
            transport.send(results, ("failed", None, *_told(error)))
            return
        transport.send(results, ("ready", None))
        while (task := pending.get()) is not None:
            message = _done(task, make, report)
            progress[info[0]] = -1
            try:
                transport.send(results, message)
            except ConnectionError:
                return
            except Exception as error:  # what the data set returned cannot be pickled
                error.add_note("raised while the batch was sent to the main process")
                transport.send(results, ("failed", task.number, *_told(error)))
            del message  # the memory of this batch, before the next one is made


def _done(task: Task, make: Assembler, report: Callable[[int], None]) -> tuple:
    """The batch of a task, or what happened instead, as a message."""
    try:
        return "made", task.number, make(task.indices, task.seed, task.epoch, "started", report)
    except Exception as error:
        return "failed", task.number, *_told(error)


def _read(tasks: Connection, pending: queue.SimpleQueue, stop: threading.Event) -> None:
    try:
        while (task := tasks.recv()) is not None:
            pending.put(task)
    except (EOFError, OSError):
        os._exit(0)  # the main process is gone; whatever the worker is at, nobody waits for it
    stop.set()
    pending.put(None)


def _told(error: Exception) -> tuple[Exception | None, list[str], str]:
    """An error as it can be sent: itself when it survives that, its notes, its traceback as text."""
    text = "".join(traceback.format_exception(error)).rstrip()
    notes: list[str] = list(getattr(error, "__notes__", ()))
    bare: Exception | None = error
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        bare = None
    return bare, notes, text
