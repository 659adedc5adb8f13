"""`torch.amp`, also as `torch.cuda.amp`: mixed precision, by `tensorgraph.autocast` and `nn.optim.GradScaler`."""

from __future__ import annotations

import warnings
from typing import Any

import tensorgraph as tg
from tensorgraph import backends
from tensorgraph.nn import optim
from tensorgraph.torch.doorway import doorway

__all__ = ["GradScaler", "autocast"]


def _usable(what: str, device_type: Any, enabled: bool) -> bool:
    """As in PyTorch, what is meant for a GPU is switched off, with a warning, where there is none."""
    on_gpu = str(device_type).partition(":")[0] == "cuda"
    if enabled and on_gpu and len(backends.devices()) == 1:
        warnings.warn(f"{what}: there is no CUDA device, so it is switched off", stacklevel=3)
        return False
    return enabled


class autocast(tg.autocast):
    """Products in half precision: float16 on a GPU unless said, bfloat16 on the CPU, where ml_dtypes is installed."""

    def __init__(self, device_type: Any = "cuda", dtype: Any = None, enabled: bool = True, cache_enabled: Any = None):
        if isinstance(device_type, bool):  # torch.cuda.amp.autocast(enabled)
            device_type, enabled = "cuda", device_type
        enabled = _usable("autocast", device_type, enabled)
        if dtype is None:
            dtype = "float16"
            if enabled and str(device_type) == "cpu":
                try:
                    dtype = tg.bfloat16
                except tg.MissingPackageError:
                    enabled = False
        super().__init__(dtype, enabled)


class GradScaler(optim.GradScaler):
    """`nn.optim.GradScaler`, switched off where the GPU that it is for is not there."""

    def __init__(self, device: Any = "cuda", *settings: Any, enabled: bool = True, **named: Any):
        if not isinstance(device, str):  # torch.cuda.amp.GradScaler(init_scale, ...)
            device, settings = "cuda", (device, *settings)
        super().__init__(*settings, enabled=_usable("GradScaler", device, enabled), **named)


__getattr__ = doorway(__name__)
