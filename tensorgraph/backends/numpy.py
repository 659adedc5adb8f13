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

    def device_of(self, array: Any) -> str:
        return "cpu"

    def to_host(self, array: Any) -> np.ndarray:
        return array

    def from_host(self, array: np.ndarray, device: str = "cpu") -> np.ndarray:
        return array

    def byte_bounds(self, array: Any) -> tuple[int, int]:
        return byte_bounds(array)
