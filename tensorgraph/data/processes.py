"""Worker processes: `ProcessPool` hands out tasks, keeps what comes back, and says what became of a worker that died.

Each worker has connections of its own, so a worker that is killed in the middle of something blocks nobody else.
Imported by loader.py when processes are asked for; worker.py is the other side.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import tempfile
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensorgraph.data import transport, worker
from tensorgraph.data.assemble import Assembler
from tensorgraph.data.worker import Task
from tensorgraph.errors import ArgumentError, WorkerError

__all__ = ["ProcessPool"]

_GRACE = 2.0  # seconds for workers to end by themselves
_DUMP_TIME = 1.0  # seconds for a worker that hangs to write down where


class _WorkerTraceback(Exception):
    """The traceback of a worker, shown above the error that the main process raises."""

    def __init__(self, text: str):
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n\n{self.text}\n"


class _Worker:
    """A worker process as the main one sees it."""

    def __init__(self, number: int, process: Any, tasks: Any, results: Any, traces: Path):
        self.number, self.process, self.tasks, self.results, self.traces = number, process, tasks, results, traces
        self.trace_file = traces.open("rb")
        self.waiting: dict[int, Task] = {}
        self.ready = False
        self.open = True  # messages may come

    def trace(self) -> str:
        """What faulthandler wrote."""
        self.trace_file.seek(0)
        return self.trace_file.read().decode(errors="replace").rstrip()

    def forget_file(self) -> None:
        with contextlib.suppress(OSError):  # Windows keeps open files
            self.traces.unlink(missing_ok=True)


class ProcessPool:
    """`count` worker processes that make batches.

    Raises ArgumentError when the data set cannot be sent to processes of that start method.
    """

    kind = "process"

    def __init__(
        self, count: int, make: Assembler, init: Callable[[int], Any] | None, context: Any, timeout: float = 0.0
    ):
        self.timeout = timeout
        self.make = make
        self.name = type(make.dataset).__name__
        self._made: dict[int | None, Any] = {}
        self._failed: dict[int | None, tuple[int, Any]] = {}
        self._workers: list[_Worker] = []
        self._forked = context.get_start_method() == "fork"
        self._progress = context.RawArray("q", [-1] * count)
        self.close = weakref.finalize(self, _close, self._workers, os.getpid())
        try:
            for number in range(count):
                self._workers.append(self._start(number, count, init, context))
        except BaseException:
            self.close()
            raise

    def _start(self, number: int, count: int, init: Any, context: Any) -> _Worker:
        tasks_there, tasks_here = context.Pipe(duplex=False)
        results_here, results_there = context.Pipe(duplex=True)
        handle, traces = tempfile.mkstemp(prefix="tensorgraph-worker-", suffix=".trace")
        os.close(handle)
        foreign = []
        if self._forked:
            foreign = [end for one in self._workers for end in (one.tasks, one.results)] + [tasks_here, results_here]
        process = context.Process(
            target=worker.main,
            args=((number, count), self.make, init, tasks_there, results_there, self._progress, traces, foreign),
            name=f"DataLoader worker {number}",
            daemon=True,
        )
        try:
            process.start()
        except Exception as error:
            os.unlink(traces)
            for end in (tasks_there, tasks_here, results_here, results_there):
                end.close()
            if isinstance(error, OSError) or "bootstrapping" in str(error):
                raise
            method = context.get_start_method()
            raise ArgumentError(
                f"DataLoader: {self.name} (or collate_fn, transform, worker_init_fn) cannot be sent to worker "
                f"processes by {method!r}: {type(error).__name__}: {error}",
                hint="define classes and functions at the top of a module and open files in __getitem__, not in "
                '__init__; or workers="threads"; or, on Linux, multiprocessing_context="fork"',
            ) from error
        tasks_there.close()
        results_there.close()
        return _Worker(number, process, tasks_here, results_here, Path(traces))

    def submit(self, task: Task) -> None:
        """Gives a task to the worker that has the fewest."""
        chosen = min((one for one in self._workers), key=lambda one: (not one.open, len(one.waiting)))
        chosen.waiting[task.number] = task
        with contextlib.suppress(OSError):  # it died; whoever takes the batch hears of it
            chosen.tasks.send(task)

    def take(self, number: int) -> Any:
        """The batch of a task, when it has come.

        Raises what the data set raised, or WorkerError when the worker died or took longer than `timeout`.
        """
        deadline = time.monotonic() + self.timeout if self.timeout else None
        while number not in self._made:
            if number in self._failed or None in self._failed:
                self._raise(self._failed.pop(number if number in self._failed else None))
            owner = next(one for one in self._workers if number in one.waiting)
            if not owner.open:
                raise self._died(owner, number)
            self._listen(None if deadline is None else deadline - time.monotonic(), owner, number)
        return self._made.pop(number)

    @property
    def whole(self) -> bool:
        """Whether no worker has died."""
        return bool(self._workers) and all(one.open and one.process.is_alive() for one in self._workers)

    def forget(self) -> None:
        """Drops what was made for an epoch that nobody goes on with; what still comes is dropped on arrival."""
        self._made.clear()
        self._failed.clear()
        for one in self._workers:
            one.waiting.clear()

    def _listen(self, seconds: float | None, owner: _Worker, number: int) -> None:
        """Waits for messages and for the end of workers."""
        if seconds is not None and seconds <= 0:
            raise self._hangs(owner, number)
        sources = {}
        for one in self._workers:
            if one.open:
                sources |= {one.results: one, one.process.sentinel: one}
        for one in {id(sources[s]): sources[s] for s in multiprocessing.connection.wait(sources, seconds)}.values():
            dead = not one.process.is_alive()
            try:
                while one.results.poll():
                    self._hear(one, transport.receive(one.results))
            except (EOFError, OSError):
                one.process.join(_GRACE)
                dead = True
            one.open = not dead

    def _hear(self, one: _Worker, message: tuple) -> None:
        what: str = message[0]
        number: int | None = message[1]
        rest = message[2:]
        if what == "ready":
            one.ready = True
            one.forget_file()
        elif number is None or number in one.waiting:  # anything else belongs to an epoch that was given up
            if number is not None:
                del one.waiting[number]
            if what == "made":
                self._made[number] = rest[0]
            else:
                self._failed[number] = one.number, rest

    # ---- what went wrong ---------------------------------------------------------------------------------------------
    def _raise(self, failure: tuple[int, Any]) -> None:
        who, (error, notes, text) = failure
        said = f"in worker process {who} of the DataLoader"
        if error is None:
            last = text.splitlines()[-1] if not notes else next(
                (line for line in reversed(text.splitlines()) if line not in notes), ""
            )  # fmt: skip
            error = WorkerError(
                f"DataLoader: {'; '.join([*notes, said])}: {last}", hint="the worker's traceback stands above"
            )
            notes = []
        error.__notes__ = [*notes, said]
        raise error from _WorkerTraceback(text)

    def _where(self, one: _Worker, number: int) -> str:
        """What a worker was at."""
        index = self._progress[one.number]
        if index < 0:
            return f"making a batch of samples {_few(one.waiting[number].indices)} of {self.name}"
        if self.make.whole:
            return f"loading the batch of {self.name} that begins with sample {index}"
        return f"loading sample {index} of {self.name}"

    def _died(self, one: _Worker, number: int) -> WorkerError:
        one.process.join(_GRACE)
        code = one.process.exitcode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                code = signal.Signals(-code).name
            how = f"was killed by {code}"
        else:
            how = f"ended with exit code {code}"
        hints = {
            "SIGKILL": "often the system's answer to too little memory: fewer workers, or smaller batches",
            "SIGSEGV": "a fault in compiled code that the data set uses; num_workers=0 shows it in a debugger",
        }
        if not one.ready:
            error = WorkerError(
                f"DataLoader: worker process {one.number} {how} before its first sample",
                hint='what it said is on stderr; with "spawn", code that starts a loader stands under '
                'if __name__ == "__main__":, and the data set\'s class in a module that can be imported',
            )
        else:
            error = WorkerError(
                f"DataLoader: worker process {one.number} {how} while {self._where(one, number)}",
                hint=hints.get(str(code), "num_workers=0 loads the sample in the main process, where it can be seen"),
            )
        return _with_trace(error, one.trace())

    def _hangs(self, one: _Worker, number: int) -> WorkerError:
        where = self._where(one, number)
        if worker.DUMP is not None and one.ready:
            with contextlib.suppress(OSError):
                os.kill(one.process.pid, worker.DUMP)
            end, before, trace = time.monotonic() + _DUMP_TIME, None, ""
            while time.monotonic() < end and (not trace or trace != before):
                before = trace
                time.sleep(0.05)
                trace = one.trace()
        error = WorkerError(
            f"DataLoader: no batch came within {self.timeout:g} s; worker process {one.number} is {where}",
            hint="a larger timeout=, or num_workers=0 to see where it waits",
        )
        return _with_trace(error, one.trace())


def _with_trace(error: WorkerError, trace: str) -> WorkerError:
    if trace:
        error.__cause__ = _WorkerTraceback(trace)
    return error


def _few(indices: Any) -> str:
    shown = [str(i) for i in list(indices)[:4]]
    return ", ".join(shown) + (", ..." if len(indices) > 4 else "")


def _close(workers: list[_Worker], home: int) -> None:
    """Ends the workers: asks, then terminates, then kills; none is left behind."""
    if os.getpid() != home:  # a copy that a fork has made
        return
    for one in workers:
        with contextlib.suppress(OSError, ValueError):
            one.tasks.send(None)
        one.results.close()  # a worker that is sending stops there
    end = time.monotonic() + _GRACE
    for one in workers:
        one.process.join(max(0.0, end - time.monotonic()))
    for harder in ("terminate", "kill"):
        left = [one for one in workers if one.process.is_alive()]
        for one in left:
            getattr(one.process, harder)()
        for one in left:
            one.process.join(_GRACE)
    for one in workers:
        one.tasks.close()
        one.trace_file.close()
        one.forget_file()
        one.process.close()
    workers.clear()
