"""Batches: `DataLoader` over any data set, `batches(x, y, ...)` over arrays; where an epoch stands, and going on there.

A loader decides the order of an epoch; assemble.py makes the batches, in this process or in the workers of pool.py.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tensorgraph import backends
from tensorgraph.data.assemble import Assembler
from tensorgraph.data.collate import mapped
from tensorgraph.data.dataset import ArrayDataset, Samples, check_samples
from tensorgraph.data.randomness import key_of
from tensorgraph.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, positive, whole
from tensorgraph.data.worker import Task
from tensorgraph.errors import ArgumentError, DtypeError, StateDictError, WorkerError
from tensorgraph.generator import Generator, default_generator, generator_for
from tensorgraph.tensor import Tensor

__all__ = ["DataLoader", "batches"]

_STATE = {"epoch", "batch", "samples", "batch_size", "stream", "order", "generator"}


class DataLoader:
    """Cuts a data set into batches. Each `for` loop over it is one epoch; `len()` is the number of batches.

    dataset: whatever has `len()` and `[index]`. The last batch is smaller when the samples do not divide evenly, or
    left out with `drop_last=True`; `batch_size=None` hands out single samples. `collate_fn(samples)` makes one batch
    of a list of samples (`collate` unless said). `transform(*entries)` then changes the batch, on NumPy arrays: the
    augmentations of this package, or a function; when it has a parameter `rng`, it gets the `SampleRandom` of the
    batch. `device`: where the batches go. With `pin_memory=True` the next batch is made and copied to a GPU while this
    one is computed with: from page-locked memory, on a stream of its own. On the CPU it changes nothing.

    Order: `shuffle=True`, or a `sampler` (indices), or a `batch_sampler` (lists of indices). With a `seed` (an
    integer) order and random augmentation of epoch k depend on the two alone, whatever is drawn elsewhere and however
    many workers there are: sample i meets the same random numbers, those of `random`, `numpy.random` and tensorgraph
    included (in threads: those of `sample_rng()` only). `epoch` counts the loops begun and may be set to continue.
    Without a seed the orders come from `generator`, or from the default generator that `tensorgraph.manual_seed` sets.

    Workers: `num_workers` of them make batches ahead, `prefetch_factor` (2) each; `workers="processes"` or
    `"threads"`. Processes are for data sets that compute in Python, threads for those that read and decode, and for
    data sets that cannot be pickled. `worker_init_fn(id)` runs first in each. `persistent_workers=True` keeps them
    from one loop to the next. `timeout`: seconds after which a batch that does not come is an error (0: never).
    `multiprocessing_context`: "fork", "spawn", "forkserver", or a context. Leaving a loop early, an error, Ctrl-C and
    the end of the program end the workers.

    Raises ArgumentError for an empty data set, a batch size below 1, or when `drop_last` leaves no batch. While
    looping: what the data set raises, with the sample's index and the worker's traceback; WorkerError, with the
    index, when a worker died or hangs.

    >>> import numpy as np
    >>> from tensorgraph.data import ArrayDataset, DataLoader
    >>> loader = DataLoader(ArrayDataset(np.arange(5.0), np.arange(5)), batch_size=2)
    >>> [labels.tolist() for values, labels in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Samples[Any],
        batch_size: int | None = 1,
        shuffle: bool = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        *,
        seed: int | None = None,
        generator: Generator | None = None,
        drop_last: bool = False,
        collate_fn: Callable[[list], Any] | None = None,
        transform: Callable[..., Any] | None = None,
        device: str | None = None,
        pin_memory: bool = False,
        num_workers: int = 0,
        workers: str = "processes",
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
    ):
        check_samples(dataset, "DataLoader")
        if len(dataset) == 0:
            raise ArgumentError("DataLoader: the data set is empty")
        self.dataset = dataset
        self.batch_size = None if batch_size is None else positive(batch_size, "DataLoader", "batch_size")
        self.drop_last = drop_last
        self.sampler, self.batch_sampler = _samplers(
            dataset, self.batch_size, shuffle, sampler, batch_sampler, drop_last
        )
        if self.batch_sampler is not None:
            self.batch_size = None
        self.shuffle = shuffle
        if drop_last and self.batch_size and isinstance(self.sampler, Sampler) and len(self.sampler) < self.batch_size:
            raise ArgumentError(
                f"DataLoader: drop_last=True leaves no batch: {len(self.sampler)} samples, batches of {batch_size}",
                hint="a smaller batch_size, or drop_last=False",
            )
        self.seed = None if seed is None else whole(seed, "DataLoader", "seed")
        if self.seed is not None and self.seed < 0:
            raise ArgumentError(f"DataLoader: a seed is an integer from 0 on, got {seed}")
        own = getattr(self.sampler, "generator", None) if isinstance(self.sampler, Sampler) else None
        if seed is not None and (generator is not None or own is not None):
            raise ArgumentError("DataLoader: a seed and a generator; one of them decides the order")
        self.generator = own if generator is None else generator_for(generator, "cpu", "DataLoader")
        if device is not None:
            backends.get(device)  # an unknown or missing device is an error here, not in the first epoch
        self.device = device
        self.collate_fn, self.transform = collate_fn, transform
        self.pin_memory = pin_memory
        self.num_workers = whole(num_workers, "DataLoader", "num_workers")
        self.workers, self.persistent_workers, self.worker_init_fn = workers, persistent_workers, worker_init_fn
        self.timeout = float(timeout)
        self._check_workers(prefetch_factor)
        self.prefetch_factor = (
            2 if prefetch_factor is None else positive(prefetch_factor, "DataLoader", "prefetch_factor")
        )
        self.multiprocessing_context = multiprocessing_context
        if isinstance(multiprocessing_context, str):
            self.multiprocessing_context = _context(multiprocessing_context)
        self._pool: Any = None  # an idle one, with persistent_workers
        self._tasks = 0  # given to workers, in all epochs
        self._epoch = 0
        self._running: _Plan | None = None  # the epoch begun last; None before the first and when one has ended
        self._resumed: dict[str, Any] | None = None  # the state to go on from in the next loop

    # ---- where it stands -----------------------------------------------------------------------------------------
    @property
    def epoch(self) -> int:
        """How many loops were begun: the number of the next epoch. May be set, which ends a running one."""
        return self._epoch

    @epoch.setter
    def epoch(self, value: int) -> None:
        number = whole(value, "DataLoader", "epoch")
        if number < 0:
            raise ArgumentError(f"DataLoader: epoch is an integer from 0 on, got {value}")
        self._epoch, self._running, self._resumed = number, None, None

    def set_epoch(self, epoch: int) -> None:
        """The same as `loader.epoch = epoch`, as PyTorch's distributed samplers spell it."""
        self.epoch = epoch

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands, in numbers, strings, lists and dictionaries (fit for JSON).

        "epoch" is the number of the running epoch and "batch" how many of its batches were handed out (batches that
        workers have made ahead do not count); between two loops, the number of the next epoch and 0. An epoch left by
        `break` or an exception counts as running, until the next loop begins or `epoch` is set.
        """
        if self._resumed is not None:
            return dict(self._resumed)
        state: dict[str, Any] = {"epoch": self._epoch, "batch": 0, "stream": None, "order": None}
        plan = self._running
        if plan is not None:
            state |= {"epoch": plan.epoch, "batch": plan.handed_out, "stream": plan.stream, "order": plan.order}
        state |= {"samples": len(self.dataset), "batch_size": self.batch_size}
        return state | {"generator": None if self.generator is None else self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Stands where `state_dict()` was called: the next loop hands out the rest of the epoch that ran then.

        Order and random augmentation are those of the interrupted epoch, and of those that follow. The number of
        workers may be another one. When all batches of the epoch had been handed out the next loop is empty.

        Raises StateDictError for something else, or the state of a loader over another number of samples or with
        another batch size.
        """
        if not isinstance(state, dict) or not state.keys() >= _STATE:
            missing = sorted(_STATE - state.keys()) if isinstance(state, dict) else type(state).__name__
            raise StateDictError(f"DataLoader: not what state_dict() gave: {missing} missing")
        epoch, batch = (whole(state[name], "DataLoader", name) for name in ("epoch", "batch"))
        running = bool(batch or state["stream"] or state["order"])
        here = {"samples": len(self.dataset), "batch_size": self.batch_size}
        wrong = [f"{name} {state[name]} there, {here[name]} here" for name in here if state[name] != here[name]]
        if epoch < 0 or not 0 <= batch <= len(self):
            wrong.append(f"epoch {epoch}, batch {batch} of {len(self)}")
        if running and wrong:
            raise StateDictError(f"DataLoader: the state is that of another loader: {', '.join(wrong)}")
        if self.generator is not None and state["generator"] is not None:
            self.generator.set_state(state["generator"])
        self.epoch = epoch
        self._resumed = dict(state) if running else None

    # ---- epochs ------------------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        """The number of batches of a whole epoch."""
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # pyright: ignore[reportArgumentType]
        n = len(self.sampler)  # pyright: ignore[reportArgumentType]
        if self.batch_size is None:
            return n
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        plan = self._begin()
        make = Assembler(
            self.dataset, self.collate_fn, self.transform, self.batch_size is not None or self.batch_sampler is not None
        )
        made = self._from_pool(plan, make) if self.num_workers else self._in_process(plan, make)
        copies = backends.get(self.device).copies(self.device) if self.device and self.pin_memory else None
        return self._handed_out(plan, made) if copies is None else self._copied_ahead(plan, made, copies)

    def _handed_out(self, plan: _Plan, made: Iterator[Any]) -> Iterator[Any]:
        for batch in made:
            placed = batch if self.device is None else mapped(lambda t: t.to(device=self.device), batch)
            plan.handed_out += 1
            yield placed
        self._ended(plan)

    def _copied_ahead(self, plan: _Plan, made: Iterator[Any], copies: Any) -> Iterator[Any]:
        """While one batch is computed with, the next one is copied. An error of the next one waits for its turn."""
        failed: Exception | None = None

        def begin() -> tuple[Any, Any] | None:
            nonlocal failed
            try:
                batch = next(made)
            except StopIteration:
                return None
            except Exception as error:
                failed = error
                return None
            moved = mapped(
                lambda t: Tensor(copies.copy(t.array)) if t.device == "cpu" else t.to(device=self.device), batch
            )
            return moved, copies.mark()

        following = begin()
        while following is not None:
            (batch, mark), following = following, begin()
            copies.wait(mark)
            plan.handed_out += 1
            yield batch
        if failed is not None:
            raise failed
        self._ended(plan)

    def _in_process(self, plan: _Plan, make: Assembler) -> Iterator[Any]:
        streams = "untouched" if self.seed is None else "kept"
        for indices in plan.rest():
            yield make(indices, plan.seed, plan.epoch, streams)

    def _from_pool(self, plan: _Plan, make: Assembler) -> Iterator[Any]:
        """The workers begin at once, not when the first batch is asked for."""
        pool, self._pool = self._pool, None
        if pool is None or not pool.whole:
            pool = self._new_pool(make)
        rest = plan.rest()
        sent: deque[int] = deque()

        def fill() -> None:
            for indices in itertools.islice(rest, self.num_workers * self.prefetch_factor - len(sent)):
                self._tasks += 1
                pool.submit(Task(self._tasks, indices, plan.seed, plan.epoch))
                sent.append(self._tasks)

        fill()
        return self._taken(pool, sent, fill)

    def _taken(self, pool: Any, sent: deque[int], fill: Callable[[], None]) -> Iterator[Any]:
        try:
            while sent:
                batch = pool.take(sent[0])
                sent.popleft()
                fill()
                yield batch
        except WorkerError:
            pool.close()
            raise
        finally:
            if self.persistent_workers and self._pool is None and pool.close.alive:
                pool.forget()
                self._pool = pool
            else:
                pool.close()

    def _new_pool(self, make: Assembler) -> Any:
        if self.workers == "threads":
            from tensorgraph.data.threads import ThreadPool

            return ThreadPool(self.num_workers, make, self.worker_init_fn, self.timeout)
        from tensorgraph.data.processes import ProcessPool

        context = self.multiprocessing_context or _context(None)
        return ProcessPool(self.num_workers, make, self.worker_init_fn, context, self.timeout)

    def _check_workers(self, prefetch_factor: int | None) -> None:
        if self.num_workers < 0:
            raise ArgumentError(f"DataLoader: num_workers must be 0 or more, got {self.num_workers}")
        if self.workers not in ("processes", "threads"):
            raise ArgumentError(f'DataLoader: workers must be "processes" or "threads", got {self.workers!r}')
        if not 0 <= self.timeout < math.inf:
            raise ArgumentError(f"DataLoader: timeout is in seconds from 0 on, got {self.timeout}")
        idle = {
            "prefetch_factor": prefetch_factor,
            "persistent_workers": self.persistent_workers,
            "timeout": self.timeout,
        }
        unused = [name for name, value in idle.items() if value]
        if not self.num_workers and unused:
            raise ArgumentError(f"DataLoader: {unused[0]}={idle[unused[0]]!r} without workers", hint="num_workers=2")
        on_device = isinstance(self.dataset, ArrayDataset) and any(
            type(a) is not np.ndarray for a in self.dataset.arrays
        )
        if self.num_workers and self.workers == "processes" and on_device:
            raise ArgumentError(
                "DataLoader: arrays on a GPU cannot be used in worker processes",
                hint="num_workers=0, which is fastest for arrays on a device",
            )

    def __getstate__(self) -> dict[str, Any]:
        """Without workers, which stay with this loader."""
        return self.__dict__ | {"_pool": None, "_running": None}

    def _begin(self) -> _Plan:
        """Begins an epoch: the next one, or the one that a state tells of."""
        state, self._resumed = self._resumed, None
        epoch, self._epoch = self._epoch, self._epoch + 1
        if state is not None:
            plan = self._plan(epoch, state["stream"], state["order"])
            plan.handed_out = state["batch"]
        else:
            plan = self._plan(epoch, None, None)
        self._running = plan
        return plan

    def _ended(self, plan: _Plan) -> None:
        if self._running is plan:
            self._running = None

    def _plan(self, epoch: int, stream: dict[str, Any] | None, order: list | None) -> _Plan:
        """The order of an epoch. `stream` and `order` are those of an interrupted one."""
        if self.seed is not None:
            seed, numbers = self.seed, np.random.default_rng((self.seed, epoch))
        else:
            source = self.generator or default_generator("cpu")
            if stream is not None:
                source = Generator(0, "cpu")
                source.set_state(stream)
            here: dict[str, Any] = source.get_state()
            stream, seed, numbers = here, key_of(here), source.stream.numpy
        if order is not None:
            chosen: Any = order
        elif isinstance(self.batch_sampler, BatchSampler) and isinstance(self.batch_sampler.sampler, Sampler):
            chosen = list(self.batch_sampler.cut(self.batch_sampler.sampler.draw(numbers).tolist()))
        elif self.batch_sampler is not None:
            chosen = order = [list(map(int, batch)) for batch in self.batch_sampler]
        elif isinstance(self.sampler, Sampler):
            chosen = self.sampler.draw(numbers)
        else:
            chosen = order = list(map(int, self.sampler))
        if self.batch_sampler is None and self.batch_size is not None:
            last = len(chosen) - len(chosen) % self.batch_size if self.drop_last else len(chosen)
            chosen = [chosen[i : min(i + self.batch_size, last)] for i in range(0, last, self.batch_size)]
        return _Plan(epoch, seed, stream, order, chosen)


class _Plan:
    """One epoch: what each batch consists of, and how many were handed out.

    `stream` is where the generator stood before the order was drawn, `order` what a sampler gave that is not ours.
    """

    def __init__(self, epoch: int, seed: int, stream: dict[str, Any] | None, order: list | None, batches: Sequence):
        self.epoch, self.seed, self.stream, self.order, self.batches = epoch, seed, stream, order, batches
        self.handed_out = 0

    def rest(self) -> Iterator[Any]:
        """The indices of every batch that was not handed out yet."""
        return iter(self.batches[self.handed_out :])


def _samplers(
    dataset: Any, batch_size: int | None, shuffle: bool, sampler: Any, batch_sampler: Any, drop_last: bool
) -> tuple[Any, Any]:
    """The sampler and the batch sampler that a loader uses; one of them is None."""
    for name, one in (("sampler", sampler), ("batch_sampler", batch_sampler)):
        if one is not None and (not hasattr(one, "__iter__") or hasattr(one, "__next__")):
            raise DtypeError(
                f"DataLoader: {name} is a {type(one).__name__}, which cannot be gone through anew in every epoch",
                hint="list(...) of it, or one of the samplers of tensorgraph.data",
            )
    if batch_sampler is not None:
        if batch_size not in (None, 1) or shuffle or sampler is not None or drop_last:
            raise ArgumentError("DataLoader: a batch_sampler decides alone; no batch_size, shuffle, sampler, drop_last")
        return None, batch_sampler
    if sampler is not None:
        if shuffle:
            raise ArgumentError("DataLoader: shuffle=True and a sampler; one of them decides the order")
        return sampler, None
    if batch_size is None and drop_last:
        raise ArgumentError("DataLoader: drop_last=True without batches (batch_size=None)")
    return (RandomSampler if shuffle else SequentialSampler)(dataset), None


def _context(method: str | None) -> Any:
    """How processes are started."""
    import multiprocessing  # with all that it imports, it takes longer than the rest of tensorgraph.data

    try:
        return multiprocessing.get_context(method)
    except ValueError:
        raise ArgumentError(
            f"DataLoader: unknown multiprocessing_context {method!r}",
            hint=f"here: {', '.join(multiprocessing.get_all_start_methods())}",
        ) from None


def batches(
    *arrays: Any,
    batch_size: int,
    shuffle: bool = False,
    seed: int | None = None,
    generator: Generator | None = None,
    drop_last: bool = False,
    transform: Callable[..., Any] | None = None,
) -> DataLoader:
    """Batches of tensors from arrays of equal length: a `DataLoader` over an `ArrayDataset`.

    >>> import numpy as np
    >>> import tensorgraph as tg
    >>> for x, y in tg.data.batches(np.ones((5, 2)), np.arange(5), batch_size=3):
    ...     print(x.shape, y.shape)
    (3, 2) (3,)
    (2, 2) (2,)
    """
    return DataLoader(
        ArrayDataset(*arrays),
        batch_size,
        shuffle,
        seed=seed,
        generator=generator,
        drop_last=drop_last,
        transform=transform,
    )
