"""Random numbers that belong to a sample: a function of (seed, epoch, index of the sample) and of nothing else.

So it does not matter which worker makes a sample, and in which batch. `SampleRandom` draws for many samples at once,
which is what augmentation needs; `sample_rng()` is an ordinary generator of NumPy for the one that is being loaded.
Imported by assemble.py and augment*.py.
Source of the mixing function: Steele, Lea & Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tensorgraph import generator as engine
from tensorgraph.data.dataset import whole_numbers
from tensorgraph.errors import ArgumentError

__all__ = [
    "SampleRandom",
    "current",
    "from_default",
    "key_of",
    "loading",
    "sample_rng",
    "start_streams",
    "streams_kept",
]

_STEP = np.uint64(0x9E3779B97F4A7C15)


def _mixed(words: np.ndarray) -> np.ndarray:
    """The finishing function of SplitMix64: 64 bits that look unrelated for neighbouring words."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


class SampleRandom:
    """Random numbers for the samples `indices`: row i of every draw depends on (seed, epoch, indices[i]) alone.

    Successive draws differ. `seed` and `epoch` are integers from 0 on, `indices` (N,) integers.

    >>> whole = SampleRandom(seed=1, epoch=0, indices=[5, 6, 7]).uniform()
    >>> bool(SampleRandom(seed=1, epoch=0, indices=[7]).uniform()[0] == whole[2])
    True
    """

    def __init__(self, seed: int, epoch: int, indices: Any):
        if seed < 0 or epoch < 0:
            raise ArgumentError(f"SampleRandom: seed and epoch are integers from 0 on, got {seed!r} and {epoch!r}")
        self.indices = whole_numbers(indices, "SampleRandom: indices")
        base = np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0]
        self._keys = _mixed(base + _STEP * self.indices.astype(np.uint64))
        self._drawn = 0

    def __len__(self) -> int:
        return len(self._keys)

    def one(self, row: int) -> SampleRandom:
        """The numbers of one of the samples; they are no continuation of those that were drawn for all."""
        found = SampleRandom.__new__(SampleRandom)
        found.indices, found._drawn = self.indices[row : row + 1], 0
        found._keys = _mixed(self._keys[row : row + 1] + np.uint64(1))
        return found

    def one_each(self) -> np.ndarray:
        """A word of 64 bits for each sample, uint64 (N,), that takes nothing from the draws."""
        return _mixed(self._keys + np.uint64(2))

    def bits(self, shape: tuple[int, ...] = ()) -> np.ndarray:
        """64 random bits, uint64 (N, *shape)."""
        count = int(np.prod(shape, dtype=int))
        at = np.arange(self._drawn + 1, self._drawn + count + 1, dtype=np.uint64)
        self._drawn += count
        return _mixed(self._keys[:, None] + _STEP * at).reshape(len(self), *shape)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, shape: tuple[int, ...] = ()) -> np.ndarray:
        """Evenly from `low` up to but without `high`, float64 (N, *shape)."""
        return low + (high - low) * ((self.bits(shape) >> np.uint64(11)) * 2.0**-53)

    def integers(self, low: Any, high: Any, shape: tuple[int, ...] = ()) -> np.ndarray:
        """Evenly from `low` up to but without `high`, int64 (N, *shape)."""
        return np.floor(self.uniform(low, high, shape)).astype(np.int64)

    def normal(self, mean: float = 0.0, std: float = 1.0, shape: tuple[int, ...] = ()) -> np.ndarray:
        """Normally distributed, float64 (N, *shape)."""
        u, v = self.uniform(shape=(2, *shape)).swapaxes(0, 1)  # Box and Muller, 1958
        return mean + std * np.sqrt(-2 * np.log1p(-u)) * np.cos(2 * np.pi * v)

    def chance(self, p: float) -> np.ndarray:
        """True with probability `p`, bool (N,)."""
        return self.uniform() < p

    def permutations(self, k: int) -> np.ndarray:
        """0 to k - 1 in random order for each sample, int64 (N, k)."""
        return np.argsort(self.uniform(shape=(k,)), axis=1)

    def generators(self) -> list[np.random.Generator]:
        """A generator of NumPy for each sample."""
        return [np.random.Generator(np.random.PCG64(int(word))) for word in self.bits()]


def key_of(state: dict[str, Any]) -> int:
    """A seed of 64 bits that stands for where a stream of random numbers is."""
    text = repr(sorted((name, str(value)) for name, value in state.items()))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


# ---- the sample that is being loaded -----------------------------------------------------------------------------
class _Here(threading.local):
    """Which samples this thread is loading, at which of them it is, and the generators made for that one."""

    samples: SampleRandom | None = None
    row: int | None = None
    sample: SampleRandom | None = None
    rng: np.random.Generator | None = None


_here = _Here()


def sample_rng() -> np.random.Generator:
    """The generator of the sample that is being loaded: to be called in a data set's `__getitem__`.

    A loader with a seed gives sample i the same numbers in epoch e whatever the number of workers is, processes and
    threads alike. Outside of a loader the generator is one that the default generator of tensorgraph starts.
    """
    found = current()
    if found is None:
        return from_default([0]).generators()[0]
    if _here.rng is None:
        _here.rng = found.generators()[0]
    return _here.rng


def current() -> SampleRandom | None:
    """The random numbers of the sample that this thread is loading, or of all of a batch that it loads at once."""
    if _here.sample is None and _here.samples is not None:
        _here.sample = _here.samples if _here.row is None else _here.samples.one(_here.row)
    return _here.sample


def from_default(indices: Any) -> SampleRandom:
    """Random numbers that the default generator starts."""
    stream = engine.default_generator("cpu").stream
    return SampleRandom(int(stream.numpy.integers(0, 2**63)), 0, indices)


@contextlib.contextmanager
def loading(samples: SampleRandom) -> Iterator[Callable[[int | None], None]]:
    """While it lasts, this thread loads those samples; gives a function that says at which of them it is."""
    before = _here.samples, _here.row, _here.sample, _here.rng

    def go_to(row: int | None) -> None:
        _here.row, _here.sample, _here.rng = row, None, None

    _here.samples = samples
    go_to(None)
    try:
        yield go_to
    finally:
        _here.samples, _here.row, _here.sample, _here.rng = before


def start_streams(word: int) -> None:
    """Starts the global streams of this process (random, numpy.random, tensorgraph's) anew from 64 random bits."""
    random.seed(word)
    np.random.seed(word % 2**32)
    state = {"kind": "PCG64", "state": word << 64 | word, "inc": 2 * word + 1, "has_uint32": 0, "uinteger": 0}
    engine.default_generator("cpu").stream.state = state


@contextlib.contextmanager
def streams_kept() -> Iterator[None]:
    """Afterwards the global streams stand where they stood before."""
    default = engine.default_generator("cpu").stream
    python, numpy, own = random.getstate(), np.random.get_state(), default.state
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        default.state = own
