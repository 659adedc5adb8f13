"""The CUDA backend: CuPy arrays. Imported only when a CUDA device is asked for.

CuPy imports without a GPU, so the device is asked for at once, and its absence is one clear error.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tensorgraph.backends.array import Backend
from tensorgraph.backends.philox import KERNEL, PhiloxStream
from tensorgraph.errors import BackendError

_backend: CupyBackend | None = None


class CupyBackend(Backend):
    """Arrays of CuPy in the memory of a GPU."""

    name = "cuda"

    def __init__(self, cupy: Any):
        super().__init__()
        self.xp = cupy
        self.array_type = cupy.ndarray

    def device_of(self, array: Any) -> str:
        return f"cuda:{array.device.id}"

    def to_host(self, array: Any) -> np.ndarray:
        return self.xp.asnumpy(array)

    def from_host(self, array: np.ndarray, device: str = "cuda") -> Any:
        _, _, number = device.partition(":")
        with self.xp.cuda.Device(int(number) if number else None):
            return self.xp.asarray(array)

    def pinned(self, array: np.ndarray) -> np.ndarray:
        import cupyx

        y = cupyx.empty_like_pinned(array)
        y[...] = array
        return y

    def byte_bounds(self, array: Any) -> tuple[int, int]:
        return self.xp.byte_bounds(array)

    def lapack(self, name: str, *arrays: Any, **options: Any) -> Any:
        import cupyx

        with cupyx.errstate(linalg="raise"):  # CuPy otherwise returns NaN for a singular matrix
            return super().lapack(name, *arrays, **options)

    def stream(self, seed: int, device: str) -> Any:
        _, _, number = device.partition(":")
        return PhiloxStream(seed, self.xp, partial(self._philox, int(number or 0)))

    def _philox(self, device: int, key: int, start: int, blocks: int) -> Any:
        """`philox` in one kernel."""
        with self.xp.cuda.Device(device):
            y = self.xp.empty(4 * blocks, dtype=np.uint32)
            if blocks:
                kernel = self.xp.RawKernel(KERNEL, "philox")  # CuPy keeps what it has compiled
                kernel((-(-blocks // 256),), (256,), (np.uint64(key), np.uint64(start), np.uint64(blocks), y))
            return y

    def add_at(self, out: Any, index: Any, values: Any) -> None:
        import cupyx

        cupyx.scatter_add(out, index, values)


def get(device: str) -> Backend:
    """The CUDA backend.

    Raises BackendError, at once and naming the way out, when CuPy, the driver or the device is missing.
    """
    global _backend
    way_out = (
        'device="cpu" always works; for a GPU: pip install "tensorgraph[cuda]" beside an NVIDIA driver for CUDA 13'
    )
    try:
        import cupy
    except ImportError as error:
        raise BackendError(f"device {device!r}: CuPy is not installed ({error})", hint=way_out) from None
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise BackendError(f"device {device!r}: there is no usable CUDA device ({error})", hint=way_out) from None
    _, _, number = device.partition(":")
    if number and int(number) >= count:
        there = ", ".join(f"cuda:{i}" for i in range(count)) or "none"
        raise BackendError(f"device {device!r} does not exist", hint=f"CUDA devices here: {there}")
    if _backend is None:
        from tensorgraph import backends

        _backend = CupyBackend(cupy)
        backends.register(cupy.ndarray, _backend)
    return _backend
