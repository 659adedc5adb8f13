"""Random numbers made on the device: Philox4x32-10, which computes the n-th number from n and a key.

A stream is its key and a position, so its state is two integers and nothing has to be kept in the memory of the
device. Imported by the CuPy backend; the definition runs on every array library.
Source: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tensorgraph.capturing import depends, live
from tensorgraph.errors import ArgumentError

MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
LOW = 0xFFFFFFFF


def philox(xp: Any, key: int, start: Any, blocks: int) -> Any:
    """The definition: 4 words of 32 random bits for each counter from `start` on.  -> (4 * blocks) uint32.

    start: an integer, or an array with one, of uint64.
    """
    low, shift = xp.uint64(LOW), xp.uint64(32)
    counter = xp.arange(blocks, dtype=xp.uint64) + (start if hasattr(start, "dtype") else xp.uint64(start))
    words = [counter & low, counter >> shift, xp.zeros_like(counter), xp.zeros_like(counter)]
    for i in range(10):
        k0, k1 = (
            xp.uint64((half + i * step) & LOW) for half, step in zip((key & LOW, key >> 32), KEY_STEPS, strict=True)
        )
        p0, p1 = words[0] * xp.uint64(MULTIPLIERS[0]), words[2] * xp.uint64(MULTIPLIERS[1])
        words = [(p1 >> shift) ^ words[1] ^ k0, p1 & low, (p0 >> shift) ^ words[3] ^ k1, p0 & low]
    return xp.stack(words, axis=1).astype(xp.uint32).ravel()


class PhiloxStream:
    """A stream of random numbers. `words(key, start, blocks)` is the definition or something faster."""

    kind = "Philox4x32-10"

    def __init__(self, seed: int, xp: Any, words: Callable[[int, Any, int], Any]):
        self._xp, self._words = xp, words
        self._key, self._position = seed % 2**64, 0

    def _bits(self, shape: tuple[int, ...]) -> Any:
        """32 random bits an element."""
        n = math.prod(shape)
        blocks = -(-n // 4)
        words = self._words(self._key, self._taken(blocks), blocks)
        return words[:n].reshape(shape)

    def _taken(self, blocks: int) -> Any:
        """The first of the next so many counters, which then are used up; in a captured step an array with it."""
        before = self._position
        depends(lambda: self._key)

        def start() -> int:
            position = self._position
            self._position += blocks
            return position

        def undo() -> None:
            self._position = before

        return live(start, np.uint64, undo)

    def _long_bits(self, shape: tuple[int, ...]) -> Any:
        """64 random bits an element."""
        halves = self._bits((2, *shape)).astype(self._xp.uint64)
        return halves[0] << self._xp.uint64(32) | halves[1]

    def uniform(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Evenly between 0 (possible) and 1 (impossible), every value that the dtype's precision allows there."""
        digits = np.finfo(dtype).nmant + 1
        if dtype.itemsize == 8:
            return (self._long_bits(shape) >> self._xp.uint64(64 - digits)).astype(dtype) * 2.0**-digits
        return (self._bits(shape) >> self._xp.uint32(32 - digits)).astype(dtype) * 2.0**-digits

    def normal(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Mean 0, standard deviation 1: pairs of Box & Muller, Ann. Math. Stat. 1958."""
        wide = np.dtype("float32") if dtype.itemsize == 2 else dtype
        n = math.prod(shape)
        radius = self._xp.sqrt(2 * self.exponential((-(-n // 2),), wide))
        angle = self.uniform(radius.shape, wide) * (2 * math.pi)
        both = self._xp.concatenate((radius * self._xp.cos(angle), radius * self._xp.sin(angle)))
        return both[:n].reshape(shape).astype(dtype, copy=False)

    def exponential(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Mean 1; greater than 0."""
        wide = np.dtype("float32") if dtype.itemsize == 2 else dtype
        drawn = -self._xp.log1p(-self.uniform(shape, wide)).astype(dtype, copy=False)
        return self._xp.maximum(drawn, float(np.finfo(dtype).tiny))

    def integers(self, low: int, high: int, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Evenly from `low` up to but without `high`, up to one part in 2^64 / (high - low)."""
        drawn = self._long_bits(shape)
        if high - low < 2**64:
            drawn = drawn % self._xp.uint64(high - low)
        return (drawn + self._xp.uint64(low % 2**64)).astype(dtype)

    def permutation(self, n: int) -> Any:
        """0 to n - 1 in random order, int64."""
        return self._xp.argsort(self._long_bits((n,))).astype(np.int64, copy=False)

    def mask(self, shape: tuple[int, ...], keep: float, dtype: np.dtype) -> Any:
        """1 / keep with probability `keep`, else 0: what inverted dropout multiplies by. 0 < keep < 1."""
        kept = self._bits(shape) < self._xp.uint32(min(round(keep * 2**32), LOW))
        return kept.astype(dtype) * (1 / keep)

    @property
    def state(self) -> dict[str, Any]:
        """Where the stream stands, in plain Python numbers."""
        return {"kind": self.kind, "key": self._key, "position": self._position}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        if state.get("kind") != self.kind or not {"key", "position"} <= state.keys():
            raise ArgumentError(f"set_state: not the state of a {self.kind} stream: {state}")
        self._key, self._position = int(state["key"]), int(state["position"])
