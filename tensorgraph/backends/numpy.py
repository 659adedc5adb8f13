"""The CPU backend: NumPy arrays. Imported by `backends/__init__.py` only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from tensorgraph.backends.array import Backend


class NumpyBackend(Backend):
    """Arrays of NumPy in the memory of the host."""

    xp = np
    array_type = np.ndarray
    name = "cpu"
    checks_bounds = True

    def device_of(self, array: Any) -> str:
        return "cpu"

    def to_host(self, array: Any) -> np.ndarray:
        return array

    def from_host(self, array: np.ndarray, device: str = "cpu") -> np.ndarray:
        return array

    def byte_bounds(self, array: Any) -> tuple[int, int]:
        return byte_bounds(array)

    def broadcast_to(self, x: Any, shape: Any) -> Any:
        """`numpy.broadcast_to`; where x holds one number, several times faster."""
        if x.size != 1 or -1 in shape:
            return np.broadcast_to(x, shape)
        if x.ndim > len(shape) or not x.flags.c_contiguous:
            return np.broadcast_to(x, shape)
        y = np.ndarray(shape, x.dtype, x, 0, (0,) * len(shape))
        y.flags.writeable = False
        return y

    def add_at(self, out: np.ndarray, index: Any, values: Any) -> None:
        """`out[index] += values`: by one flat list of places, for which alone `ufunc.at` is fast."""
        places = self.places(index, out.shape)
        values = values if values.shape == places.shape else np.broadcast_to(values, places.shape)
        np.add.at(out.reshape(-1), places.reshape(-1), values.reshape(-1))
