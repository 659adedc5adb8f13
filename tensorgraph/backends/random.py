"""Streams of random numbers: the few draws on which every distribution in ops/random.py stands.

`HostStream` draws with NumPy's PCG64 on the host and serves every backend that has nothing better of its own; the
numbers then are the same on each of them. Mixed into `Backend` through `stream`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorgraph.errors import ArgumentError

Shape = tuple[int, ...]


class HostStream:
    """PCG64 on the host. `place` puts an array where the backend wants it."""

    kind = "PCG64"

    def __init__(self, seed: int, place: Callable[[np.ndarray], Any]):
        self._source = np.random.PCG64(seed)
        self._draw = np.random.Generator(self._source)
        self._place = place

    @property
    def numpy(self) -> np.random.Generator:
        """What it draws with, for code of the host that needs other distributions (samplers of data)."""
        return self._draw

    def uniform(self, shape: Shape, dtype: np.dtype) -> Any:
        """Evenly between 0 (possible) and 1 (impossible), every value that the dtype's precision allows there."""
        if dtype.itemsize == 2:
            return self._place((self._draw.integers(0, 2048, shape, dtype=np.uint16) / np.float32(2048)).astype(dtype))
        return self._place(self._draw.random(shape, dtype=dtype))

    def normal(self, shape: Shape, dtype: np.dtype) -> Any:
        """Mean 0, standard deviation 1."""
        wide = np.dtype("float32") if dtype.itemsize == 2 else dtype
        return self._place(self._draw.standard_normal(shape, dtype=wide).astype(dtype, copy=False))

    def exponential(self, shape: Shape, dtype: np.dtype) -> Any:
        """Mean 1; greater than 0."""
        wide = np.dtype("float32") if dtype.itemsize == 2 else dtype
        drawn = self._draw.standard_exponential(shape, dtype=wide).astype(dtype, copy=False)
        return self._place(np.maximum(drawn, np.finfo(dtype).tiny))

    def integers(self, low: int, high: int, shape: Shape, dtype: np.dtype) -> Any:
        """Evenly from `low` up to but without `high`."""
        return self._place(self._draw.integers(low, high, shape, dtype=dtype))

    def permutation(self, n: int) -> Any:
        """0 to n - 1 in random order, int64."""
        return self._place(self._draw.permutation(n).astype(np.int64, copy=False))

    def mask(self, shape: Shape, keep: float, dtype: np.dtype) -> Any:
        """1 / keep with probability `keep`, else 0: what inverted dropout multiplies by. 0 < keep < 1."""
        if keep == 0.5:  # one random bit an element
            n = int(np.prod(shape))
            bits = self._source.random_raw(-(-n // 64)).view(np.uint8)
            kept = np.unpackbits(bits, count=n).reshape(shape)
        else:
            kept = self._draw.integers(0, 2**32, shape, dtype=np.uint32) < round(keep * 2**32)
        mask = kept.astype(dtype)
        mask *= 1 / keep
        return self._place(mask)

    @property
    def state(self) -> dict[str, Any]:
        """Where the stream stands, in plain Python numbers."""
        now = self._source.state
        return {"kind": self.kind, **now["state"], "has_uint32": now["has_uint32"], "uinteger": now["uinteger"]}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        if state.get("kind") != self.kind or not {"state", "inc", "has_uint32", "uinteger"} <= state.keys():
            raise ArgumentError(f"set_state: not the state of a {self.kind} stream: {state}")
        self._source.state = {
            "bit_generator": self.kind,
            "state": {"state": int(state["state"]), "inc": int(state["inc"])},
            "has_uint32": int(state["has_uint32"]),
            "uinteger": int(state["uinteger"]),
        }


class Random:
    """How a backend opens a stream."""

    from_host: Callable[[np.ndarray, str], Any]

    def stream(self, seed: int, device: str) -> Any:
        """A new stream of random numbers on `device`."""
        return HostStream(seed, lambda array: self.from_host(array, device))
