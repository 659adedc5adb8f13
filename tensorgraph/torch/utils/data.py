"""`torch.utils.data`: tensorgraph.data with PyTorch's order of arguments, and data sets that are only iterated."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from tensorgraph import data
from tensorgraph.data import (
    BatchSampler,
    ConcatDataset,
    Dataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    collate,
    random_split,
)
from tensorgraph.errors import ArgumentError
from tensorgraph.torch.doorway import doorway, inner

__all__ = [
    "BatchSampler", "ChainDataset", "ConcatDataset", "DataLoader", "Dataset", "IterableDataset", "RandomSampler",
    "Sampler", "SequentialSampler", "Subset", "SubsetRandomSampler", "TensorDataset", "WeightedRandomSampler",
    "default_collate", "get_worker_info", "random_split",
]  # fmt: skip

T = TypeVar("T")
default_collate = collate


class Sampler(Generic[T]):
    """The class to derive a sampler from: write `__iter__`, which gives indices, and `__len__`."""

    def __init__(self, data_source: Any = None):
        pass

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__()")


class IterableDataset(Generic[T]):
    """The class to derive a data set from that is only iterated: write `__iter__`."""

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__()")

    def __add__(self, other: IterableDataset) -> ChainDataset:
        return ChainDataset([self, other])


class ChainDataset(IterableDataset):
    """Several data sets that are only iterated, one behind the other."""

    def __init__(self, datasets: Any):
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[Any]:
        return itertools.chain.from_iterable(self.datasets)


def get_worker_info() -> None:
    """None: an iterable data set is read in the main process."""


_WITHOUT_EFFECT = {
    "pin_memory", "timeout", "worker_init_fn", "multiprocessing_context", "prefetch_factor", "persistent_workers",
    "pin_memory_device", "in_order",
}  # fmt: skip
"""settings that say how batches are made ahead, not what is in them"""


class DataLoader(data.DataLoader):
    """tensorgraph's `DataLoader` with PyTorch's arguments. Each `for` loop over it is one epoch.

    An `IterableDataset` is cut into batches as it comes. Settings of workers and pinned memory that tensorgraph's
    loader does not have are accepted: they change nothing about the batches.
    """

    def __new__(cls, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        chosen: Any = _IterableLoader if cls is DataLoader and _only_iterated(dataset) else cls
        return super().__new__(chosen)

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[list], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Any = None,
        **settings: Any,
    ):
        given = {"pin_memory": pin_memory, "timeout": timeout, "worker_init_fn": worker_init_fn, **settings}
        given = {name: value for name, value in given.items() if value or name in settings}
        given |= {"num_workers": num_workers} if num_workers else {}
        known = inspect.signature(data.DataLoader.__init__).parameters
        rest = {name: value for name, value in given.items() if name in known}
        unknown = given.keys() - known - _WITHOUT_EFFECT - {"num_workers"}
        if unknown:
            raise TypeError(f"DataLoader got an unexpected keyword argument {min(unknown)!r}")
        super().__init__(
            dataset, batch_size, bool(shuffle), sampler=sampler, batch_sampler=batch_sampler, collate_fn=collate_fn,
            drop_last=drop_last, **rest,
        )  # fmt: skip


def _only_iterated(dataset: Any) -> bool:
    return isinstance(dataset, IterableDataset) or (
        hasattr(dataset, "__iter__") and not hasattr(dataset, "__getitem__")
    )


class _IterableLoader(DataLoader):
    """Batches of a data set that is only iterated."""

    def __init__(self, dataset: Any, batch_size: int | None = 1, shuffle: Any = None, **settings: Any):
        if shuffle or settings.get("sampler") is not None:
            raise ArgumentError("DataLoader: an iterable data set comes in its own order; it cannot be shuffled")
        self.dataset, self.batch_size = dataset, batch_size
        self.drop_last = settings.get("drop_last", False)
        self.collate_fn = settings.get("collate_fn") or collate

    def __len__(self) -> int:
        n, size = len(self.dataset), self.batch_size or 1
        return n // size if self.drop_last else -(-n // size)

    def __iter__(self) -> Iterator[Any]:
        samples = iter(self.dataset)
        if self.batch_size is None:
            yield from samples
            return
        while chunk := list(itertools.islice(samples, self.batch_size)):
            if len(chunk) == self.batch_size or not self.drop_last:
                yield self.collate_fn(chunk)


dataset = inner(
    __name__, "dataset", Dataset=Dataset, IterableDataset=IterableDataset, TensorDataset=TensorDataset, Subset=Subset,
    ConcatDataset=ConcatDataset, random_split=random_split,
)  # fmt: skip
sampler = inner(
    __name__, "sampler", Sampler=Sampler, SequentialSampler=SequentialSampler, RandomSampler=RandomSampler,
    SubsetRandomSampler=SubsetRandomSampler, WeightedRandomSampler=WeightedRandomSampler, BatchSampler=BatchSampler,
)  # fmt: skip
dataloader = inner(__name__, "dataloader", DataLoader=DataLoader, default_collate=default_collate)

__getattr__ = doorway(__name__, {"distributed": "one process trains; leave DistributedSampler out"})
