"""How exactly GPUs compute: `tensorgraph.backends.cuda.allow_tf32` and `deterministic`.

Imported by backends/__init__.py, cupy.py and cudnn.py.

What asks for a GPU's memory or waits for it is in `tensorgraph.cuda`.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

__all__ = ["allow_tf32", "deterministic"]

_allowed = os.environ.get("CUPY_TF32", "0") not in ("", "0")
_deterministic = True
_cupy: Any = None
"""CuPy, once a GPU is in use"""


def allow_tf32(allow: bool | None = None) -> bool:
    """Whether products and convolutions of float32 may round their operands to TF32; with an argument, sets it.

    TF32 has the range of float32 and 10 bits behind the point instead of 23: products on GPUs from compute capability
    8.0 on are several times as fast, and off by about one part in a thousand. False at the start, unless the
    environment variable `CUPY_TF32=1` says otherwise; float64, half precision and the CPU are as they are. Returns what
    holds from now on.

    >>> import tensorgraph as tg
    >>> tg.backends.cuda.allow_tf32()
    False
    """
    global _allowed
    if allow is not None:
        _allowed = bool(allow)
        if _cupy is not None:
            use(_cupy)
    return _allowed


def deterministic(demand: bool | None = None) -> bool:
    """Whether convolutions on GPUs have the same bits in every run; with an argument, sets it.

    True at the start: engines of cuDNN that add in whatever order threads arrive are not chosen. False lets cuDNN take
    them where it expects them to be faster. Nothing else depends on it. Returns what holds from now on.

    >>> import tensorgraph as tg
    >>> tg.backends.cuda.deterministic()
    True
    """
    global _deterministic
    if demand is not None:
        _deterministic = bool(demand)
    return _deterministic


def use(cupy: Any) -> None:
    """Tells CuPy, which must not be asked before there is a device."""
    global _cupy
    before, _cupy = _cupy, cupy
    if before is None and not _allowed:  # CuPy begins so by itself
        return
    linalg = cupy._core._routines_linalg
    kind = linalg.COMPUTE_TYPE_TF32 if _allowed else linalg.COMPUTE_TYPE_DEFAULT
    cupy._core.set_compute_type(np.float32, kind)
