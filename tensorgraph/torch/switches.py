"""`torch.backends`, `torch.accelerator`, `torch.version`, `torch.mps`: what programs ask, and switches they set."""

from __future__ import annotations

from typing import Any

from tensorgraph.torch import cuda as _cuda
from tensorgraph.torch.doorway import inner
from tensorgraph.torch.kinds import device

__all__ = ["accelerator", "backends", "mps", "version", "xpu"]


_ROOT = "tensorgraph.torch"


def _no() -> bool:
    return False


class accelerator:
    """`torch.accelerator`: the GPU, where there is one."""

    is_available = staticmethod(_cuda.is_available)
    device_count = staticmethod(_cuda.device_count)

    @staticmethod
    def current_accelerator(check_available: bool = False) -> Any:
        """The kind of accelerator; None without one."""
        return device("cuda") if _cuda.is_available() else None


# modules, so that `import torch.backends.cudnn as cudnn` works; what is set on them is kept and changes nothing
backends = inner(_ROOT, "backends")
_NAMED = {
    "cudnn": dict(
        benchmark=False, deterministic=True, enabled=True, allow_tf32=False, is_available=_no, version=lambda: None
    ),
    "mps": dict(is_available=_no, is_built=_no),
    "cuda": dict(matmul=inner(f"{_ROOT}.backends.cuda", "matmul", allow_tf32=False), is_built=_no),
    "mkldnn": dict(enabled=False, is_available=_no),
}
vars(backends).update({name: inner(f"{_ROOT}.backends", name, **settings) for name, settings in _NAMED.items()})
mps = inner(_ROOT, "mps", is_available=_no, device_count=lambda: 0)
xpu = inner(_ROOT, "xpu", is_available=_no, device_count=lambda: 0)
version = inner(_ROOT, "version", cuda=None, hip=None, __version__="2.13.0+tensorgraph")
