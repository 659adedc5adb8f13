"""Kernels of the CUDA backend in CUDA C: one for each operation and direction that is bound by memory.

Every kernel overrides a definition of `backends/`, or is that of a fused operation, and agrees with it: inside
`kernels(False)`, or for arrays that it does not take, the definition runs. A class can be taken out of the bases of
`CudaKernels`, or a name out of its table, and nothing else changes. Imported by `backends/cupy.py` only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorgraph.backends.cuda_kernels import (
    channels,
    cross_entropy,
    elementwise,
    embedding,
    normalization,
    pooling,
    random,
    softmax,
    updates,
)
from tensorgraph.backends.cuda_kernels.channels import FastStatistics
from tensorgraph.backends.cuda_kernels.elementwise import FastBias, FastRectifier, unit
from tensorgraph.backends.cuda_kernels.embedding import FastRows
from tensorgraph.backends.cuda_kernels.launch import REALS, Kernel
from tensorgraph.backends.cuda_kernels.pooling import FastPooling
from tensorgraph.backends.cuda_kernels.random import DeviceStream
from tensorgraph.backends.cuda_kernels.softmax import FastSoftmax
from tensorgraph.backends.cuda_kernels.updates import FastUpdates
from tensorgraph.mode import kernels_allowed

__all__ = ["KERNELS", "CudaKernels"]

KERNELS: dict[str, Kernel] = {
    kernel.name: kernel
    for part in (channels, cross_entropy, elementwise, embedding, normalization, pooling, random, softmax, updates)
    for kernel in part.KERNELS
}
"""All of them by name, for the tests."""

FUSED: dict[str, Callable] = {
    "attention": softmax.attention,
    "gelu": unit(elementwise.gelu, elementwise.gelu_slope),
    "silu": unit(elementwise.silu, elementwise.silu_slope),
    "softmax_cross_entropy": cross_entropy.cross_entropy,
    "standardize": normalization.standardize,
    "standardize_relu": channels.standardize_relu,
}
"""name of a fused operation -> its kernel"""


class CudaKernels(FastPooling, FastRows, FastBias, FastSoftmax, FastStatistics, FastRectifier, FastUpdates):
    """What is put before `Backend`, on an array library that has CuPy's `RawKernel`."""

    xp: Any
    add_kernel: Callable[[str, Callable], None]

    def __init__(self) -> None:
        super().__init__()
        self.ready: dict[Any, Any] = {}  # kernels in the forms that were launched
        for name, kernel in FUSED.items():
            self.add_kernel(name, kernel)

    def takes(self, *arrays: Any) -> bool:
        """Whether kernels may run on these arrays: of a floating dtype, not empty, on the device that computes now."""
        if not kernels_allowed():
            return False
        return all(a.dtype in REALS and a.size > 0 and self.is_here(a) for a in arrays)

    def is_here(self, array: Any) -> bool:
        """Whether an array lies on the device on which this thread computes: others are out of a kernel's reach."""
        return True

    def stream(self, seed: int, device: str) -> Any:
        """A new stream of random numbers on `device`."""
        return DeviceStream(seed, self, device)
