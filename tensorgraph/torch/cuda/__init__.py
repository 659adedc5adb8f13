"""`torch.cuda`: what programs ask before they choose a device. A GPU is used through CuPy where there is one."""

from __future__ import annotations

from typing import Any

import tensorgraph as tg
import tensorgraph.cuda as gpu
from tensorgraph import backends
from tensorgraph.cuda import device, device_count, is_available
from tensorgraph.torch.cuda import amp
from tensorgraph.torch.doorway import doorway
from tensorgraph.torch.kinds import CUDA_TYPES

__all__ = [
    "amp", "current_device", "device", "device_count", "empty_cache", "is_available", "manual_seed", "manual_seed_all",
    "memory_allocated", "memory_reserved", "seed_all", "set_device", "synchronize",
]  # fmt: skip


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
    tg.set_default_device(_name(device))


def empty_cache() -> None:
    """Gives what no array uses back to the driver; nothing to give without a CUDA device."""
    if is_available():
        gpu.empty_cache(_name(None))


def synchronize(device: Any = None) -> None:
    """Waits until the GPU is done; nothing to wait for without one."""
    if is_available():
        gpu.synchronize(_name(device))


def memory_allocated(device: Any = None) -> int:
    """Bytes that arrays hold on a CUDA device; 0 without one."""
    return gpu.memory_allocated(_name(device)) if is_available() else 0


def memory_reserved(device: Any = None) -> int:
    """Bytes that were taken from the driver of a CUDA device; 0 without one."""
    return gpu.memory_reserved(_name(device)) if is_available() else 0


def _name(device: Any) -> str:
    device = current_device() if device is None else device
    return f"cuda:{device}" if isinstance(device, int) else str(device)


globals().update(CUDA_TYPES)

__getattr__ = doorway(__name__, {"memory_summary": "tensorgraph.cuda.memory_report()"})
