"""Data sets: anything with `len()` and `[index]`. Arrays side by side, parts, several in a row.

A data set that also has `batch(indices)`, which returns the chosen samples already stacked, is asked for whole
batches: `ArrayDataset` does, and so costs one indexing per array. Imports the engine's tensors, nothing of this room.
"""

from __future__ import annotations

import bisect
import itertools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np

from tensorgraph import backends
from tensorgraph.creation import tensor
from tensorgraph.errors import ArgumentError, DtypeError, OutOfRangeError, ShapeError, sig
from tensorgraph.generator import Generator, generator_for
from tensorgraph.tensor import Tensor

__all__ = ["ArrayDataset", "ConcatDataset", "Dataset", "Samples", "Subset", "TensorDataset", "random_split"]

T_co = TypeVar("T_co", covariant=True)


@runtime_checkable
class Samples(Protocol[T_co]):
    """What a loader needs of a data set: a length, and a sample for every index from 0. A list is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> T_co: ...


class Dataset(Generic[T_co]):
    """The class to derive a data set from: write `__len__` and `__getitem__(index)`.

    Deriving is a courtesy, not a condition: whatever has the two is a data set. It brings `a + b`, which puts one
    behind the other (`ConcatDataset`).
    """

    def __getitem__(self, index: Any, /) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__(index)")

    def __add__(self, other: Samples[Any]) -> ConcatDataset:
        return ConcatDataset([self, other])  # pyright: ignore[reportArgumentType]


class ArrayDataset(Dataset[tuple]):
    """Arrays of equal length, side by side: sample i is the tuple of their i-th entries.

    arrays (N, ...) NumPy, CuPy or tensors; they are not copied.

    Raises ShapeError when their lengths differ, ArgumentError when there is none.
    """

    def __init__(self, *arrays: Any):
        who = type(self).__name__
        if not arrays:
            raise ArgumentError(f"{who}: no arrays given")
        self.arrays = tuple(raw(a, who) for a in arrays)
        scalar = next((i for i, a in enumerate(self.arrays) if a.ndim == 0), None)
        if scalar is not None:
            raise ShapeError(f"{who}: array {scalar} is {sig(self.arrays[scalar])}, a single number without samples")
        lengths = [len(a) for a in self.arrays]
        if len(set(lengths)) > 1:
            raise ShapeError(
                f"{who}: arrays of different lengths: {', '.join(map(str, lengths))}",
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
        return f"{type(self).__name__}({', '.join(map(sig, self.arrays))})"


class TensorDataset(ArrayDataset):
    """An `ArrayDataset` whose samples are tuples of tensors, as PyTorch's: `dataset[i]` and `dataset[a:b]` alike."""

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The whole arrays as tensors."""
        return tuple(map(Tensor, self.arrays))

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        index = index.array if isinstance(index, Tensor) else index
        return tuple(Tensor(backends.backend_of(a).asarray(a[index])) for a in self.arrays)


class Subset(Dataset[T_co]):
    """The samples of `dataset` at `indices`, in that order; an index may come twice.

    Raises OutOfRangeError for an index that the data set does not have, DtypeError for one that is no whole number.
    """

    def __init__(self, dataset: Samples[T_co], indices: Sequence[int] | np.ndarray):
        self.dataset = dataset
        self.indices = whole_numbers(indices, "Subset: indices")
        check_range(self.indices, len(dataset), "Subset")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        chosen = self.indices[index]
        return [self.dataset[int(i)] for i in chosen] if isinstance(chosen, np.ndarray) else self.dataset[int(chosen)]

    @property
    def batch(self) -> Callable[[np.ndarray], Any]:
        """The samples at some indices, stacked; where the whole data set can do that."""
        take = self.dataset.batch  # pyright: ignore[reportAttributeAccessIssue]
        return lambda indices: take(self.indices[indices])

    def __repr__(self) -> str:
        return f"Subset({len(self):,} of {self.dataset!r})"


class ConcatDataset(Dataset[T_co]):
    """Several data sets, one behind the other.

    Raises ArgumentError when there is none, DtypeError for something that is no data set.
    """

    def __init__(self, datasets: Iterable[Samples[T_co]]):
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError("ConcatDataset: no data sets given")
        for one in self.datasets:
            check_samples(one, "ConcatDataset")
        self.cumulative_sizes = list(itertools.accumulate(map(len, self.datasets)))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T_co:
        i = operator.index(index)
        i = i + len(self) if i < 0 else i
        if not 0 <= i < len(self):
            raise OutOfRangeError(f"ConcatDataset: there is no sample {index} of {len(self)}")
        which = bisect.bisect_right(self.cumulative_sizes, i)
        return self.datasets[which][i - (self.cumulative_sizes[which - 1] if which else 0)]

    def __repr__(self) -> str:
        return f"ConcatDataset({self.datasets!r})"


def random_split(
    dataset: Samples[T_co],
    lengths: Sequence[int] | Sequence[float],
    generator: Generator | None = None,
    seed: int | None = None,
) -> list[Subset[T_co]]:
    """Cuts a data set at random into parts without overlap.

    `lengths`: the number of samples of each part, or fractions that add up to 1 (what rounding leaves over goes to
    the first parts, one each). The same `seed` gives the same parts; without one `generator` decides, or the default
    generator that `tensorgraph.manual_seed` sets.

    Raises ArgumentError when the lengths do not add up to the data set's.

    >>> [len(part) for part in random_split(list("abcdefghij"), [0.75, 0.25], seed=0)]
    [8, 2]
    """
    check_samples(dataset, "random_split")
    if seed is not None and generator is not None:
        raise ArgumentError("random_split: a seed and a generator; one of them decides the parts")
    n, sizes = len(dataset), list(lengths)
    if any(isinstance(size, bool) or not isinstance(size, (int, float, np.number)) or size < 0 for size in sizes):
        raise ArgumentError(f"random_split: lengths must be whole numbers or fractions from 0 on, got {lengths!r}")
    if sizes and abs(sum(sizes) - 1) < 1e-6 and (n != 1 or not all(float(s).is_integer() for s in sizes)):
        exact = [int(n * share + 1e-9) for share in sizes]
        sizes = [size + (i < n - sum(exact)) for i, size in enumerate(exact)]
    if sum(sizes) != n or not all(float(size).is_integer() for size in sizes):
        raise ArgumentError(
            f"random_split: lengths {lengths!r} add up to {sum(lengths):g}, the data set has {n} samples",
            hint="counts that add up to its length, or fractions that add up to 1",
        )
    if seed is not None:
        order = np.random.default_rng(seed).permutation(n)
    else:
        order = generator_for(generator, "cpu", "random_split").stream.permutation(n)
    ends = itertools.accumulate(int(size) for size in sizes)
    return [Subset(dataset, order[end - int(size) : end]) for size, end in zip(sizes, ends)]


# ---- what the files of this room share -------------------------------------------------------------------------------
def raw(value: Any, who: str = "collate") -> Any:
    """The array of a tensor, an array as it is, anything else as an array."""
    if isinstance(value, Tensor):
        return value.array
    if type(value) in backends.ARRAYS:
        return value
    if isinstance(value, Iterable) and iter(value) is value:
        raise DtypeError(f"{who}: {type(value).__name__} can be gone through only once", hint="list(...) of it")
    return tensor(value, device="cpu").array


def check_samples(dataset: Any, who: str) -> None:
    """Refuses what is no data set."""
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        once = hasattr(dataset, "__next__")
        raise DtypeError(
            f"{who}: {type(dataset).__name__} is no data set; it needs len() and [index]",
            hint="it can be gone through only once: hand over list(...) of it"
            if once
            else "DataLoader(ArrayDataset(x, y), ...), or batches(x, y, ...)",
        )


def whole_numbers(values: Any, what: str) -> np.ndarray:
    """A list of indices as int64 (N,)."""
    if hasattr(values, "__next__"):
        raise DtypeError(f"{what}: {type(values).__name__} can be gone through only once", hint="list(...) of it")
    found = np.asarray(raw(values) if isinstance(values, Tensor) else list(values))
    if found.size == 0:
        return np.zeros(0, np.int64)
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise DtypeError(f"{what} must be a list of whole numbers, got {sig(found)}")
    return found.astype(np.int64)


def check_range(indices: np.ndarray, n: int, who: str) -> None:
    """Refuses indices outside a data set of `n` samples."""
    outside = (indices < -n) | (indices >= n)
    if outside.any():
        raise OutOfRangeError(f"{who}: there is no sample {indices[outside][0]} of {n}")
