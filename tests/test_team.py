"""Threads that share the pieces of compiled kernels: every piece once, whoever calls, forks, sleeps or ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph.backends import compiled
from tensorgraph.backends.compiled import address
from tensorgraph.backends.numpy_kernels import blas, threads

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(compiled.kernels() is None, reason=f"no compiled kernels: {compiled.why_not()}")


@pytest.fixture(autouse=True)
def four_threads(monkeypatch):
    """More of them than some machines have processors."""
    monkeypatch.setattr(blas, "_THREADS", 4)
    monkeypatch.setattr(threads, "PIECE", 0.1)


def relu(x, pieces=7):
    """relu of a vector, in so many pieces."""
    y = np.full_like(x, np.nan)
    size = -(-x.size // pieces)
    words = address(x), address(y), 1, x.size, 0, 0
    threads.share_pieces(compiled.kernels()["relu"], 3, size, 1e9, words, (4 * size, 4 * size))
    return y


@pytest.fixture
def helpers():
    """That there are some, on a system where there may be."""
    relu(np.ones(100, np.float32))
    if not compiled.kernels().team.helpers:
        pytest.skip("this system has no semaphores in memory")


# ---- pieces ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 1000, 4099])
@pytest.mark.parametrize("pieces", [1, 2, 3, 64, 1000])
def test_every_piece_is_done(size, pieces):
    x = np.random.default_rng(size).standard_normal(size).astype("f")
    for _ in range(20):
        np.testing.assert_array_equal(relu(x, pieces), np.maximum(x, 0))


def test_every_piece_is_done_once(helpers):
    """An update in place would show a piece that was done twice."""
    kernel, p, g = compiled.kernels()["sgd"], np.zeros(4096, np.float32), np.ones(4096, np.float32)
    words = address(p), address(g), address(p), 1, p.size, 0, 0, 0, 1.0, 0.0, -1.0
    for pieces in [2, 5, 64] * 300:
        size = p.size // pieces
        threads.share_pieces(kernel, 4, size, 1e9, words, (4 * size,) * 3)
    np.testing.assert_array_equal(p, np.full_like(p, 900))


def test_helpers_that_sleep_are_woken(helpers):
    x = np.random.default_rng(0).standard_normal(50000).astype("f")
    for pause in (0, 1e-5, 1e-4, 2e-4, 1e-3, 1e-2) * 5:
        time.sleep(pause)
        np.testing.assert_array_equal(relu(x), np.maximum(x, 0))


def test_programs_are_shared_by_calls(helpers):
    kernels = compiled.kernels()
    x = np.random.default_rng(0).standard_normal((9, 50)).astype("f")
    y = np.empty_like(x)
    rows = np.zeros((9, 6), dtype=np.int64)
    rows[:] = address(x), address(y), 1, 50, 0, 0
    rows[:, :2] += np.arange(9)[:, None] * 200
    table = np.empty((9, 2), dtype=np.int64)
    table[:, 0], table[:, 1] = kernels.entry("relu"), address(rows) + 48 * np.arange(9)
    threads.share_pieces(kernels["sequence"], 1, 2, 1e9, (address(table), len(table)), (32,))
    np.testing.assert_array_equal(y, np.maximum(x, 0))


def test_small_work_stays_on_one_thread(monkeypatch):
    shared = []
    monkeypatch.setattr(threads, "share_pieces", lambda *a: shared.append(a))
    monkeypatch.setattr(threads, "PIECE", 6e3)
    x = np.ones(4096, np.float32)
    words, kernel = (address(x), address(x), 1, x.size, 0, 0), compiled.kernels()["relu"]
    threads.share(kernel, 3, 1e4, words, (4, 4))
    assert not shared
    threads.share(kernel, 3, 1e5, words, (4, 4))
    assert shared
    monkeypatch.setattr(blas, "_THREADS", 1)
    threads.share(kernel, 3, 1e5, words, (4, 4))
    assert len(shared) == 1


def test_no_more_helpers_than_threads(helpers, monkeypatch):
    team = compiled.kernels().team
    assert team.helpers == 3 == sum(t.name.startswith("tensorgraph-helper") for t in threading.enumerate())
    monkeypatch.setattr(blas, "_THREADS", 2)
    assert team.start(1) == 1 and team.start(0) == 0


def test_without_semaphores_threads_of_python_share(monkeypatch):
    team = compiled.kernels().team
    monkeypatch.setattr(team, "helpers", 0)
    monkeypatch.setattr(team, "_possible", False)
    x = np.random.default_rng(0).standard_normal(10000).astype("f")
    np.testing.assert_array_equal(relu(x), np.maximum(x, 0))


# ---- callers --------------------------------------------------------------------------------------------------------
def test_many_threads_call_at_once(helpers):
    xs = [np.random.default_rng(i).standard_normal(3000 + i).astype("f") for i in range(6)]
    wrong = []

    def work(x):
        for _ in range(300):
            if not np.array_equal(relu(x), np.maximum(x, 0)):
                wrong.append(x.size)

    workers = [threading.Thread(target=work, args=(x,)) for x in xs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def _child(queue):
    x = np.linspace(-1, 1, 30000, dtype=np.float32)
    same = all(np.array_equal(relu(x), np.maximum(x, 0)) for _ in range(20))
    queue.put((same, compiled.kernels().team.helpers))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_helpers_of_its_own(helpers):
    x, ending = np.ones(100000, np.float32), threading.Event()

    def work():
        while not ending.is_set():
            relu(x)

    busy = threading.Thread(target=work)  # an order may be on its way when the process forks
    busy.start()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    try:
        for _ in range(3):
            child = context.Process(target=_child, args=(queue,))
            child.start()
            assert queue.get(timeout=60) == (True, 3)
            child.join()
            assert child.exitcode == 0
    finally:
        ending.set()
        busy.join()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
def test_signals_do_no_harm(helpers):
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    signal.setitimer(signal.ITIMER_REAL, 1e-3, 1e-3)
    try:
        x = np.random.default_rng(0).standard_normal(200000).astype("f")
        while len(seen) < 20:
            np.testing.assert_array_equal(relu(x), np.maximum(x, 0))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_helpers_take_no_processor_when_there_is_no_work(helpers):
    x = np.ones(100000, np.float32)
    relu(x)
    time.sleep(0.05)
    start = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - start < 0.1  # three that went on looking would take 1.5


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2, reason="no choice of processors"
)
def test_helpers_leave_the_caller_its_processor(helpers):
    allowed = os.sched_getaffinity(0)
    here = {min(allowed)}
    names = [t.native_id for t in threading.enumerate() if t.name.startswith("tensorgraph-helper")]
    x = np.ones(200000, np.float32)

    def share_here():
        """From a thread that stays where the helpers are."""
        os.sched_setaffinity(0, here)
        until = time.monotonic() + 20
        while any(os.sched_getaffinity(i) != allowed for i in names) and time.monotonic() < until:
            relu(x, 64)
            time.sleep(1e-3)

    for i in names:
        os.sched_setaffinity(i, here)
    caller = threading.Thread(target=share_here)
    caller.start()
    caller.join()
    assert all(os.sched_getaffinity(i) == allowed for i in names)  # who went may go everywhere again


# ---- the end of the process -----------------------------------------------------------------------------------------
ENDS = {
    "while helpers look for work": "work()",
    "while they sleep": "work(); time.sleep(0.05)",
    "while a daemon thread computes": (
        "threading.Thread(target=lambda: [work() for _ in range(10**9)], daemon=True).start(); time.sleep(0.05)"
    ),
    "while a thread still computes": "threading.Thread(target=lambda: [work() for _ in range(200)]).start()",
    "after a first computation at exit": "atexit.register(work)",
    "by an error": "work(); raise SystemExit(0)",
    "without a farewell": "work(); os._exit(0)",
    "after a fork": "work(); pid = os.fork() if hasattr(os, 'fork') else 0; work(); pid and os.waitpid(pid, 0)",
}


@pytest.mark.parametrize("how", ENDS)
def test_the_process_ends(how):
    program = f"""
import atexit, os, threading, time
import tensorgraph as tg
x = tg.ones(400, 1000)
def work():
    assert float(tg.relu(x).sum()) == x.size
{ENDS[how]}
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_training_step_is_the_same_on_any_number_of_threads(monkeypatch):
    def step():
        tg.manual_seed(0)
        model = tg.nn.Sequential(tg.nn.Conv2d(3, 16, 3), tg.nn.BatchNorm2d(16), tg.nn.ReLU(), tg.nn.MaxPool2d(2))
        model(tg.randn(8, 3, 20, 20)).sum().backward()
        return [p.grad.numpy() for p in model.parameters()]

    several = step()
    monkeypatch.setattr(blas, "_THREADS", 1)
    for a, b in zip(several, step(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_the_number_of_threads_can_be_set():
    import tensorgraph.torch as torch

    before = tg.get_num_threads()
    try:
        tg.set_num_threads(2)
        assert tg.get_num_threads() == torch.get_num_threads() == blas.threads() == 2
        torch.set_num_threads(np.int64(1))
        assert tg.get_num_threads() == 1
        for wrong in (0, -1, 1.5, "2", True, None):
            with pytest.raises(tg.errors.ArgumentError, match="no number of threads"):
                tg.set_num_threads(wrong)
        assert tg.get_num_threads() == 1
    finally:
        tg.set_num_threads(before)
