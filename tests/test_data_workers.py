"""Workers that fail: what is said, and that nothing is left behind. Nothing here measures time."""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from pathlib import Path

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import data

ROOT = Path(__file__).resolve().parents[1]
posix = pytest.mark.skipif(os.name == "nt", reason="signals and fork are POSIX's")


class Breaks(data.Dataset):
    """Twelve numbers; at sample 7 something happens."""

    def __init__(self, happens):
        self.happens = happens

    def __len__(self):
        return 12

    def __getitem__(self, i):
        if i == 7:
            self.happens()
        return i


class OwnError(Exception):
    """Cannot be made again from its pickle."""

    def __init__(self, one, two):
        super().__init__(one)


def raises():
    raise KeyError("no such picture")


def raises_own():
    raise OwnError(1, 2)


def exits():
    os._exit(3)


def leaves():
    sys.exit(4)


def kills():
    os.kill(os.getpid(), signal.SIGKILL)


def segfaults():
    faulthandler._sigsegv()


def hangs():
    while True:
        time.sleep(0.01)


def nothing():
    pass


def leftovers(pids):
    """Which of these processes are still there, a zombie included."""
    left = []
    for pid in pids:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            continue
        left.append(pid)
    return left


def gone(pids):
    """Whether these processes end, given time."""
    for _ in range(600):
        if not leftovers(pids):
            return True
        time.sleep(0.05)
    return False


@pytest.fixture(autouse=True)
def no_worker_stays():
    yield
    gc.collect()
    assert not multiprocessing.active_children()


def first_batches(loader):
    """What came before the error, and the error."""
    got = []
    try:
        for batch in loader:
            got.append(batch.tolist())
    except Exception as error:
        return got, error
    raise AssertionError("no error")


# ---- what is said ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("workers", ["processes", "threads"])
@pytest.mark.parametrize("num_workers", [1, 3])
def test_an_exception_keeps_its_type_and_names_the_sample(workers, num_workers):
    got, error = first_batches(data.DataLoader(Breaks(raises), 3, num_workers=num_workers, workers=workers))
    assert got == [[0, 1, 2], [3, 4, 5]]  # what comes before it is handed out
    assert type(error) is KeyError and error.args == ("no such picture",)
    shown = "".join(traceback.format_exception(error))
    assert "raised by sample 7 of Breaks" in shown and "DataLoader" in shown
    assert "in raises" in shown and "test_data_workers.py" in shown  # the worker's own lines


def test_an_exception_that_cannot_be_pickled():
    _, error = first_batches(data.DataLoader(Breaks(raises_own), 3, num_workers=1))
    assert isinstance(error, tg.WorkerError) and isinstance(error, RuntimeError)
    assert "sample 7 of Breaks" in str(error) and "OwnError: 1" in str(error)
    assert "in raises_own" in "".join(traceback.format_exception(error))


@posix
@pytest.mark.parametrize(
    ("happens", "says"),
    [
        (exits, "ended with exit code 3 while loading sample 7 of Breaks"),
        (leaves, "ended with exit code 4 while loading sample 7 of Breaks"),
        (kills, "was killed by SIGKILL while loading sample 7 of Breaks"),
        (segfaults, "was killed by SIGSEGV while loading sample 7 of Breaks"),
    ],
)
@pytest.mark.parametrize("persistent", [False, True])
def test_a_worker_that_dies(happens, says, persistent):
    loader = data.DataLoader(Breaks(happens), 3, num_workers=2, persistent_workers=persistent)
    got, error = first_batches(loader)
    assert got == [[0, 1, 2], [3, 4, 5]] and isinstance(error, tg.WorkerError) and says in str(error)
    if happens is segfaults:
        assert "in segfaults" in "".join(traceback.format_exception(error))
    assert first_batches(loader)[0] == got  # the next epoch has new workers


@posix
def test_a_worker_that_hangs():
    got, error = first_batches(data.DataLoader(Breaks(hangs), 3, num_workers=2, timeout=3))
    assert got == [[0, 1, 2], [3, 4, 5]] and isinstance(error, tg.WorkerError)
    assert "no batch came within 3 s; worker process" in str(error) and "loading sample 7 of Breaks" in str(error)
    assert "in hangs" in "".join(traceback.format_exception(error))


def test_a_thread_that_hangs():
    free = threading.Event()
    _, error = first_batches(data.DataLoader(Breaks(free.wait), 3, num_workers=1, workers="threads", timeout=1))
    free.set()
    assert "no batch came within 1 s; a worker thread is at sample 7 of Breaks" in str(error)
    assert "in __getitem__" in str(error.__cause__)


def test_a_thread_that_leaves():
    _, error = first_batches(data.DataLoader(Breaks(leaves), 3, num_workers=2, workers="threads"))
    assert isinstance(error, tg.WorkerError) and "ended by SystemExit(4)" in str(error)


class Unsendable(Breaks):
    def __getitem__(self, i):
        return threading.Lock() if i == 7 else i


def test_a_batch_that_cannot_be_sent():
    got, error = first_batches(data.DataLoader(Unsendable(nothing), 3, collate_fn=np.array, num_workers=1))
    assert len(got) == 2 and isinstance(error, TypeError)
    assert "while the batch was sent to the main process" in "".join(traceback.format_exception(error))


def bad_start(number):
    raise ValueError(f"worker {number} has no licence")


@pytest.mark.parametrize("workers", ["processes", "threads"])
def test_worker_init_fn_that_fails(workers):
    loader = data.DataLoader(Breaks(nothing), 3, num_workers=1, workers=workers, worker_init_fn=bad_start)
    with pytest.raises(ValueError, match="worker 0 has no licence"):
        list(loader)


# ---- what a worker knows ---------------------------------------------------------------------------------------------
class Whereabouts(data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        info = data.get_worker_info()
        return info.id, info.num_workers, len(info.dataset), os.getpid(), STARTED.get(threading.get_ident(), -1)


STARTED: dict[int, int] = {}


def note_start(number):
    STARTED[threading.get_ident()] = number


@pytest.mark.parametrize("workers", ["processes", "threads"])
def test_workers_know_that_they_are_workers(workers):
    loader = data.DataLoader(Whereabouts(), 1, num_workers=2, workers=workers, worker_init_fn=note_start)
    rows = [[int(t.item()) for t in batch] for batch in loader]
    assert {row[0] for row in rows} <= {0, 1} and all(row[1:3] == [2, 8] and row[4] == row[0] for row in rows)
    assert all((row[3] == os.getpid()) == (workers == "threads") for row in rows)
    assert data.get_worker_info() is None


def test_persistent_workers_stay():
    def pids(loader):
        return {int(batch[3].item()) for batch in loader}

    loader = data.DataLoader(Whereabouts(), 1, num_workers=1, persistent_workers=True, worker_init_fn=note_start)
    first = pids(loader)
    for _ in loader:  # left early: what was made ahead must not appear in the next epoch
        break
    rows = [int(batch[0].item()) for batch in loader]
    assert len(rows) == 8 and pids(loader) == first
    assert len(multiprocessing.active_children()) == 1
    assert pickle.loads(pickle.dumps(loader)).num_workers == 1  # the workers stay here
    del loader
    assert gone(first)


# ---- nothing is left behind ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("end", ["break", "drop", "error", "never begun"])
def test_workers_end_with_the_loop(end):
    loader = data.DataLoader(Breaks(nothing), 1, num_workers=2)
    running = iter(loader)
    children = [child.pid for child in multiprocessing.active_children()]
    assert len(children) == 2
    if end == "break":
        del running
        for _ in loader:
            break
    elif end == "error":
        del running
        with pytest.raises(ZeroDivisionError):
            for _ in loader:
                1 / 0
    elif end == "drop":
        next(running)
        del running
    else:
        del running
    assert gone(children) and not multiprocessing.active_children()


@posix
def test_a_worker_that_does_not_end_is_ended():
    loader = data.DataLoader(Breaks(hangs), 3, num_workers=1)
    running = iter(loader)
    next(running), next(running)
    children = [child.pid for child in multiprocessing.active_children()]
    del running
    assert gone(children)


def script(code, tmp_path, *arguments):
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(code))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, str(path), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )


ENDLESS = """
import multiprocessing, os, time
from tensorgraph import data

class Slow:
    def __len__(self): return 10**6
    def __getitem__(self, i):
        time.sleep(0.01)
        return i

for batch in data.DataLoader(Slow(), 2, num_workers=2):
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
"""


@posix
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
def test_workers_end_with_the_program(how, tmp_path):
    process = script(ENDLESS, tmp_path)
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 2
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    assert gone(pids)
    if how == signal.SIGINT:
        assert errors.count("Traceback") == 1 and "KeyboardInterrupt" in errors  # the workers say nothing


def test_a_program_that_ends_in_the_middle_of_an_epoch_ends(tmp_path):
    code = ENDLESS.split("for batch")[0] + "running = iter(data.DataLoader(Slow(), 2, num_workers=2))\nnext(running)\n"
    process = script(code, tmp_path)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and (output, errors) == ("", "")


# ---- other start methods ---------------------------------------------------------------------------------------------
def test_spawned_workers(tmp_path):
    loader = data.DataLoader(range(8), 2, True, seed=1, num_workers=2, multiprocessing_context="spawn")
    got = [batch.tolist() for batch in loader]
    assert got == [batch.tolist() for batch in data.DataLoader(range(8), 2, True, seed=1)]


def test_what_cannot_be_sent_to_a_spawned_worker_says_so():
    class Local(Breaks):
        pass

    loader = data.DataLoader(Local(nothing), 2, num_workers=1, multiprocessing_context="spawn")
    with pytest.raises(tg.ArgumentError, match=r"Local .* cannot be sent to worker processes by 'spawn'") as caught:
        list(loader)
    assert 'workers="threads"' in str(caught.value)
    assert len(list(data.DataLoader(Local(nothing), 2, num_workers=1, workers="threads"))) == 6


def test_a_spawned_worker_that_cannot_start_says_so(tmp_path):
    code = """
    from tensorgraph import data
    list(data.DataLoader([1, 2], num_workers=1, multiprocessing_context="spawn"))
    """
    process = script(code, tmp_path)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "before its first sample" in errors and '__name__ == "__main__"' in errors
