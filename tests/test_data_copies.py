"""Batches that are copied to a GPU while the one before is computed with. A module plays CuPy, late and on purpose:

a copy happens when somebody waits for it, memory that was let go too early is overwritten before that, and what is
queued keeps its order. So a missing wait or a buffer that is not kept shows in the values.
"""

from __future__ import annotations

import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from tensorgraph import backends, data
from tests.test_devices import Array, Device, cupy  # noqa: F401  # a fixture

POISON = 77


class Event:
    def __init__(self, disable_timing):
        assert disable_timing
        self.done = False


class Stream:
    """What is queued runs when somebody waits for an event behind it."""

    current = None
    log: list[str] = []

    def __init__(self, non_blocking=False, name="side"):
        self.name, self.queue = name, []

    def record(self, event):
        self.queue.append(lambda: setattr(event, "done", True))
        event.stream = self
        return event

    def wait_event(self, event):
        Stream.log.append(f"{self.name} waits")
        if self.name == "main":  # the program uses the arrays from here on
            while not event.done:
                event.stream.queue.pop(0)()

    def copy(self, target, source):
        Stream.log.append("copy")
        late = weakref.ref(source)
        self.queue.append(lambda: target.__setitem__(..., POISON if late() is None else late()))


@pytest.fixture
def gpu(cupy):  # noqa: F811
    main = Stream(name="main")
    Stream.log = []
    cuda = cupy.cuda
    cuda.Stream, cuda.Event, cuda.get_current_stream = Stream, Event, lambda: main
    cuda.alloc_pinned_memory = lambda n: memoryview(bytearray(n))

    class GpuArray(Array):
        def set(self, staged, stream):
            stream.copy(self, staged)

    def empty(shape, dtype):
        made = np.full(shape, POISON, dtype).view(GpuArray)
        made.number = Device.current
        return made

    cupy.ndarray, cupy.empty = GpuArray, empty
    backends.get("cuda")
    yield SimpleNamespace(cupy=cupy, log=Stream.log)
    backends.ARRAYS.pop(GpuArray, None)
    backends.PLAIN.discard(GpuArray)


X, Y = np.arange(20.0, dtype=np.float32).reshape(10, 2), np.arange(10)


def loader(**settings):
    dataset = data.ArrayDataset(X, Y)
    return data.DataLoader(dataset, 4, device="cuda:1", pin_memory=True, **settings)


def host(t):
    return np.asarray(t.array)


def test_the_next_batch_is_copied_before_this_one_is_handed_out(gpu):
    seen = []
    for x, y in loader():
        gpu.log.append("batch")
        assert x.device == y.device == "cuda:1" and Device.current == 0
        seen.append((host(x).copy(), host(y).copy()))
    one = ["side waits", "copy"] * 2
    assert gpu.log == [*one, *one, "main waits", "batch", *one, "main waits", "batch", "main waits", "batch"]
    np.testing.assert_array_equal(np.concatenate([x for x, _ in seen]), X)
    np.testing.assert_array_equal(np.concatenate([y for _, y in seen]), Y)


def test_page_locked_memory_is_kept_until_the_copy_is_done(gpu):
    copies = backends.get("cuda").copies("cuda")
    first = copies.copy(X)
    mark = copies.mark()
    others = [(copies.copy(X + i), copies.mark()) for i in range(1, 4)]
    assert len(copies._held) == 4 and (np.asarray(first) == POISON).all()
    copies.wait(mark)
    np.testing.assert_array_equal(np.asarray(first), X)
    copies.mark()
    assert len(copies._held) == 4  # the first one was let go
    for i, (array, mark) in enumerate(others, 1):
        copies.wait(mark)
        np.testing.assert_array_equal(np.asarray(array), X + i)


def test_an_array_may_be_empty_or_strided(gpu):
    copies = backends.get("cuda").copies("cuda")
    given = [np.zeros((0, 3), np.float32), X[::-1, ::-1], np.asfortranarray(X), np.float32(3) * np.ones(())]
    made = [copies.copy(a) for a in given]
    copies.wait(copies.mark())
    for got, expected in zip(made, given, strict=True):
        np.testing.assert_array_equal(np.asarray(got), expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_what_a_loader_counts(gpu, workers):
    """A batch that was copied ahead was not handed out yet; the rest of an epoch comes after a restart."""
    settings = dict(shuffle=True, seed=3, num_workers=workers)
    if workers:
        settings["workers"] = "threads"
    first, second = loader(**settings), loader(**settings)
    expected = [host(y).copy() for _, y in loader(**settings)]
    running = iter(first)
    got = [host(next(running)[1]).copy()]
    state = first.state_dict()
    assert state["batch"] == 1 and state["epoch"] == 0
    second.load_state_dict(state)
    got += [host(y).copy() for _, y in second]
    np.testing.assert_array_equal(np.concatenate(got), np.concatenate(expected))
    assert second.state_dict()["epoch"] == 1 and second.state_dict()["batch"] == 0


def test_an_error_waits_for_its_turn(gpu):
    class Broken:
        def __len__(self):
            return 10

        def __getitem__(self, i):
            if i >= 4:
                raise OSError(f"sample {i} is damaged")
            return X[i]

    got = []
    with pytest.raises(OSError, match="damaged"):
        for x in data.DataLoader(Broken(), 2, device="cuda", pin_memory=True):
            got.append(host(x).copy())
    np.testing.assert_array_equal(np.concatenate(got), X[:4])


def test_what_is_no_array_stays(gpu):
    dataset = [{"x": x, "name": f"n{i}"} for i, x in enumerate(X)]
    batch = next(iter(data.DataLoader(dataset, 3, device="cuda", pin_memory=True)))
    assert batch["name"] == ["n0", "n1", "n2"] and batch["x"].device == "cuda:0"
    np.testing.assert_array_equal(host(batch["x"]), X[:3])


def test_the_cpu_copies_nothing():
    assert backends.cpu.copies("cpu") is None
    for settings in ({}, {"device": "cpu"}):
        got = data.DataLoader(data.ArrayDataset(X, Y), 4, pin_memory=True, **settings)
        np.testing.assert_array_equal(np.concatenate([host(x) for x, _ in got]), X)
