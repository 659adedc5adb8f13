"""Samplers: in which order, and how often, the samples of a data set come.

A sampler is anything that can be iterated anew in each epoch and gives indices. Those of this file also draw an epoch
from numbers that they are handed (`draw`), and so a `DataLoader` makes them a function of its seed and the epoch.
Imported by loader.py.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tensorgraph.data.dataset import whole_numbers
from tensorgraph.errors import ArgumentError, DtypeError
from tensorgraph.generator import Generator, generator_for

__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]


class Sampler:
    """What the samplers here have in common. Your own: derive, write `draw(numbers)` and `__len__`.

    `generator` draws when the sampler is iterated by itself (None: the default generator).
    """

    generator: Generator | None = None

    def draw(self, numbers: np.random.Generator) -> np.ndarray:
        """The indices of one epoch, int64 (n,); all that is random about them comes from `numbers`."""
        raise NotImplementedError(f"{type(self).__name__} has no draw(numbers)")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} has no len()")

    def __iter__(self) -> Iterator[Any]:
        generator = generator_for(self.generator, "cpu", type(self).__name__)
        return iter(self.draw(generator.stream.numpy).tolist())


class SequentialSampler(Sampler):
    """0, 1, 2, ... as many as `data_source` has samples."""

    def __init__(self, data_source: Any):
        self.data_source = data_source

    def draw(self, numbers: np.random.Generator) -> np.ndarray:
        return np.arange(len(self))

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """Every sample once, in random order; with `replacement=True` `num_samples` draws of any.

    `num_samples`: how many an epoch has (all); without replacement more than there are means several orders in a row.
    """

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ):
        self.data_source = data_source
        self.replacement = replacement
        self.num_samples = None if num_samples is None else positive(num_samples, "RandomSampler", "num_samples")
        self.generator = None if generator is None else generator_for(generator, "cpu", "RandomSampler")

    def draw(self, numbers: np.random.Generator) -> np.ndarray:
        n, wanted = len(self.data_source), len(self)
        if n == 0:
            raise ArgumentError("RandomSampler: the data set is empty")
        if self.replacement:
            return numbers.integers(0, n, wanted)
        orders = [numbers.permutation(n) for _ in range(-(-wanted // n))]
        return orders[0][:wanted] if len(orders) == 1 else np.concatenate(orders)[:wanted]

    def __len__(self) -> int:
        return len(self.data_source) if self.num_samples is None else self.num_samples


class SubsetRandomSampler(Sampler):
    """The samples at `indices`, each once, in random order."""

    def __init__(self, indices: Sequence[int] | np.ndarray, generator: Generator | None = None):
        self.indices = whole_numbers(indices, "SubsetRandomSampler: indices")
        self.generator = None if generator is None else generator_for(generator, "cpu", "SubsetRandomSampler")

    def draw(self, numbers: np.random.Generator) -> np.ndarray:
        return self.indices[numbers.permutation(len(self.indices))]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """`num_samples` draws in which sample i comes with a probability proportional to `weights[i]`.

    weights (N,) from 0 on, in any unit. With rare classes: the inverse of the frequency of each sample's class.
    Without `replacement` each sample comes once at most.

    Raises ArgumentError for weights that are negative, not finite or all zero, or fewer of them above zero than
    draws without replacement.
    """

    def __init__(
        self,
        weights: Sequence[float] | np.ndarray,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ):
        who = "WeightedRandomSampler"
        self.weights = np.asarray(weights, np.float64)
        if self.weights.ndim != 1 or not np.isfinite(self.weights).all() or (self.weights < 0).any():
            raise ArgumentError(f"{who}: weights must be a list of finite numbers from 0 on, got {weights!r}")
        if not self.weights.sum() > 0:
            raise ArgumentError(f"{who}: all weights are 0")
        self.num_samples = positive(num_samples, who, "num_samples")
        self.replacement = replacement
        self.generator = None if generator is None else generator_for(generator, "cpu", who)
        drawable = np.count_nonzero(self.weights)
        if not replacement and self.num_samples > drawable:
            raise ArgumentError(
                f"{who}: {self.num_samples} draws without replacement, but only {drawable} weights above 0"
            )

    def draw(self, numbers: np.random.Generator) -> np.ndarray:
        shares = self.weights / self.weights.sum()
        return numbers.choice(len(shares), self.num_samples, self.replacement, shares)

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler:
    """Lists of `batch_size` indices from a sampler; the last is shorter, or left out with `drop_last=True`."""

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool = False):
        self.sampler = sampler
        self.batch_size = positive(batch_size, "BatchSampler", "batch_size")
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        return self.cut(self.sampler)

    def cut(self, indices: Iterable[int]) -> Iterator[list[int]]:
        """The batches of these indices."""
        batch: list[int] = []
        for index in indices:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        n = len(self.sampler)  # pyright: ignore[reportArgumentType]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


def positive(value: Any, who: str, name: str) -> int:
    """A whole number from 1 on."""
    number = whole(value, who, name)
    if number < 1:
        raise ArgumentError(f"{who}: {name} must be at least 1, got {value}")
    return number


def whole(value: Any, who: str, name: str) -> int:
    """A whole number."""
    try:
        return operator.index(value)
    except TypeError:
        raise DtypeError(f"{who}: {name} must be a whole number, got {value!r}") from None
