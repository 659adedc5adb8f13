"""Batches: `batches(x, y, ...)` over arrays, `DataLoader` over any `Dataset`, `collate` in between.

A data set is anything with `len()` and `[index]`. One that also has `batch(indices)`, which returns the chosen
samples already stacked, is asked for whole batches: `ArrayDataset` does, and so costs one indexing per array.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from tensorgraph import backends
from tensorgraph.creation import tensor
from tensorgraph.errors import ArgumentError, DtypeError, ShapeError, sig
from tensorgraph.generator import Generator, default_generator, generator_for
from tensorgraph.tensor import Tensor

T_co = TypeVar("T_co", covariant=True)


@runtime_checkable
class Dataset(Protocol[T_co]):
    """What a data set has: a length, and a sample for every index from 0."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> T_co: ...


class ArrayDataset:
    """Arrays of equal length, side by side: sample i is the tuple of their i-th entries.

    arrays (N, ...) NumPy, CuPy or tensors; they are not copied.

    Raises ShapeError when their lengths differ, ArgumentError when there is none.
    """

    def __init__(self, *arrays: Any):
        if not arrays:
            raise ArgumentError("ArrayDataset: no arrays given")
        self.arrays = tuple(map(_raw, arrays))
        lengths = [len(a) for a in self.arrays]
        if len(set(lengths)) > 1:
            raise ShapeError(
                f"ArrayDataset: arrays of different lengths: {', '.join(map(str, lengths))}",
                operands=[f"array {i}  {sig(a)}" for i, a in enumerate(self.arrays)],
                hint="entry i of every array belongs to sample i",
            )

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> tuple:
        return tuple(a[index] for a in self.arrays)

    def batch(self, indices: np.ndarray) -> tuple[Tensor, ...]:
        """The samples at `indices`, stacked."""
        return tuple(Tensor(a[backends.backend_of(a).asarray(indices)]) for a in self.arrays)

    def __repr__(self) -> str:
        return f"ArrayDataset({', '.join(map(sig, self.arrays))})"


class DataLoader:
    """Cuts a data set into batches. Each `for` loop over it is one epoch; `len()` is the number of batches.

    dataset: a `Dataset`. The last batch is smaller when the samples do not divide evenly, or left out with
    `drop_last=True`. `collate_fn(samples)` makes one batch of a list of samples (`collate` unless said). `device`:
    where the batches go.

    `shuffle=True` draws a new order in every epoch. With a `seed` (an integer) the order of epoch k depends on the two
    alone, whatever is drawn elsewhere; `epoch` counts the loops begun and may be set to continue. Without one the
    orders come from `generator`, or from the default generator that `tensorgraph.manual_seed` sets.

    Raises ArgumentError for an empty data set, a batch size below 1, or when `drop_last` leaves no batch.

    >>> import numpy as np
    >>> from tensorgraph.data import ArrayDataset, DataLoader
    >>> loader = DataLoader(ArrayDataset(np.arange(5.0), np.arange(5)), batch_size=2)
    >>> [labels.tolist() for values, labels in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        seed: int | None = None,
        generator: Generator | None = None,
        drop_last: bool = False,
        collate_fn: Callable[[list], Any] | None = None,
        device: str | None = None,
    ):
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise DtypeError(
                f"DataLoader: {type(dataset).__name__} is no data set; it needs len() and [index]",
                hint="DataLoader(ArrayDataset(x, y), ...), or batches(x, y, ...)",
            )
        size = _whole("batch_size", batch_size)
        if size < 1:
            raise ArgumentError(f"DataLoader: batch_size must be at least 1, got {batch_size}")
        if len(dataset) == 0:
            raise ArgumentError("DataLoader: the data set is empty")
        if drop_last and len(dataset) < size:
            raise ArgumentError(
                f"DataLoader: drop_last=True leaves no batch: {len(dataset)} samples, batches of {size}",
                hint="a smaller batch_size, or drop_last=False",
            )
        if seed is not None and generator is not None:
            raise ArgumentError("DataLoader: a seed and a generator; one of them decides the order")
        if device is not None:
            backends.get(device)  # an unknown or missing device is an error here, not in the first epoch
        self.dataset = dataset
        self.batch_size = size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.collate_fn = collate_fn
        self.device = device
        self.seed = None if seed is None else _whole("seed", seed)
        self.generator = None if generator is None else generator_for(generator, "cpu", "DataLoader")
        self.epoch = 0

    def __len__(self) -> int:
        n = len(self.dataset)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        order = self._order(len(self.dataset))
        self.epoch += 1
        for i in range(len(self)):
            yield self._batch(order[i * self.batch_size : (i + 1) * self.batch_size])

    def _order(self, n: int) -> np.ndarray:
        if not self.shuffle:
            return np.arange(n)
        if self.seed is None:
            return (self.generator or default_generator("cpu")).stream.permutation(n)
        return np.random.default_rng((self.seed, self.epoch)).permutation(n)

    def _batch(self, indices: np.ndarray) -> Any:
        take = getattr(self.dataset, "batch", None)
        if take is not None and self.collate_fn is None:
            made = take(indices)
        else:
            made = (self.collate_fn or collate)([self._sample(int(i)) for i in indices])
        return made if self.device is None else _moved(made, self.device)

    def _sample(self, i: int) -> Any:
        try:
            return self.dataset[i]
        except Exception as error:
            error.add_note(f"raised by sample {i} of {type(self.dataset).__name__}")
            raise


def batches(
    *arrays: Any,
    batch_size: int,
    shuffle: bool = False,
    seed: int | None = None,
    generator: Generator | None = None,
    drop_last: bool = False,
) -> DataLoader:
    """Batches of tensors from arrays of equal length: a `DataLoader` over an `ArrayDataset`.

    >>> import numpy as np
    >>> import tensorgraph as tg
    >>> for x, y in tg.data.batches(np.ones((5, 2)), np.arange(5), batch_size=3):
    ...     print(x.shape, y.shape)
    (3, 2) (3,)
    (2, 2) (2,)
    """
    return DataLoader(ArrayDataset(*arrays), batch_size, shuffle, seed=seed, generator=generator, drop_last=drop_last)


def collate(samples: Sequence[Any]) -> Any:
    """One batch of a list of samples: arrays, tensors, numbers are stacked, tuples, lists, mappings entry by entry.

    Python floats become float32 and integers int64, arrays keep their dtype; strings and anything else stay a list.

    Raises ShapeError when samples differ in shape or in their number of entries.
    """
    first = samples[0]
    if isinstance(first, (Tensor, np.ndarray)) or type(first) in backends.ARRAYS:
        raw = list(map(_raw, samples))
        odd = next((i for i, a in enumerate(raw) if a.shape != raw[0].shape), None)
        if odd is not None:
            raise ShapeError(
                f"collate: samples of one batch have different shapes: {sig(raw[0])} and {sig(raw[odd])}",
                hint="bring them to one size in the data set, or write a collate_fn that pads",
            )
        return Tensor(backends.backend_of(raw[0]).stack(raw))
    if isinstance(first, (bool, int, float, complex)):
        return tensor(list(samples))
    if isinstance(first, np.generic):
        return Tensor(np.stack(samples))
    if isinstance(first, Mapping):
        return {key: collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        if len({len(sample) for sample in samples}) > 1:
            raise ShapeError("collate: samples of one batch have different numbers of entries")
        columns = [collate(column) for column in zip(*samples, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else type(first)(columns)
    return list(samples)


def _raw(value: Any) -> Any:
    """The array of a tensor, an array as it is, anything else as an array."""
    if isinstance(value, Tensor):
        return value.array
    return value if type(value) in backends.ARRAYS else tensor(value).array


def _moved(value: Any, device: str) -> Any:
    """Every tensor of a batch on `device`."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: _moved(entry, device) for key, entry in value.items()}
    if isinstance(value, (tuple, list)):
        moved = [_moved(entry, device) for entry in value]
        return type(value)(*moved) if hasattr(value, "_fields") else type(value)(moved)
    return value


def _whole(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise DtypeError(f"DataLoader: {name} must be a whole number, got {value!r}") from None
