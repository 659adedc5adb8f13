"""`torch.cuda`: what programs ask before they choose a device. A GPU is used through CuPy where there is one."""

from __future__ import annotations

from typing import Any

import tensorgraph as tg
from tensorgraph import backends
from tensorgraph.torch.cuda import amp
from tensorgraph.torch.doorway import doorway
from tensorgraph.torch.kinds import CUDA_TYPES

__all__ = [
    "amp", "current_device", "device_count", "empty_cache", "is_available", "manual_seed", "manual_seed_all",
    "seed_all", "set_device", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Whether a CUDA device can be used."""
    return device_count() > 0


def device_count() -> int:
    """How many CUDA devices can be used."""
    return len(backends.devices()) - 1


def manual_seed(seed: int) -> None:
    """Starts the random numbers of all devices from `seed`, where there is a CUDA device."""
    if is_available():
        tg.manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Starts the random numbers of all devices from `seed`, where there is a CUDA device."""
    manual_seed(seed)


def seed_all() -> None:
    """Accepted: without a seed the random numbers start from noise."""


def current_device() -> int:
    """The number of the CUDA device that new tensors are made on, 0 unless another was chosen."""
    return int(backends.get_default_device().partition(":")[2] or 0)


def set_device(device: Any) -> None:
    """Makes new tensors on a CUDA device. Raises BackendError where it does not exist."""
    tg.set_default_device(f"cuda:{device}" if isinstance(device, int) else str(device))


def empty_cache() -> None:
    """Accepted; CuPy's memory pool gives back what it needs to."""


def synchronize(device: Any = None) -> None:
    """Waits until the GPU is done; nothing to wait for without one."""
    if is_available():
        backends.get("cuda").xp.cuda.Device().synchronize()


globals().update(CUDA_TYPES)

__getattr__ = doorway(
    __name__,
    {
        "memory_allocated": "CuPy's memory pool counts: cupy.get_default_memory_pool().used_bytes()",
    },
)
