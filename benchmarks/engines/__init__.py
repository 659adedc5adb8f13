"""The engines that benchmarks/training.py compares, each run in a process of its own (worker.py).

An engine is a function `prepare(workload, batch) -> step`, where `step()` does one whole training step (zero the
gradients, forward, backward, update), waits until it is done and returns the loss. All start from the same weights and
see the same batch (workloads.py), so their losses can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

__all__ = ["ENGINES", "ON_GPU", "Engine", "engines_of", "installed"]


class Engine(NamedTuple):
    """Where an engine lives, and the package that it measures."""

    module: str
    function: str
    package: str
    title: str

    def prepare(self) -> Callable:
        """The function that makes a step of a workload and a batch size."""
        return getattr(import_module(f"engines.{self.module}"), self.function)

    def version(self) -> str | None:
        """Version of the package, None when it is not installed. A checkout is tensorgraph without installing it."""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return "checkout" if self.package == "tensorgraph" else None


ENGINES = {
    "tensorgraph": Engine("layers", "tensorgraph", "tensorgraph", "tensorgraph"),
    "torch": Engine("layers", "torch_contiguous", "torch", "PyTorch eager, NCHW"),
    "torch-nhwc": Engine("layers", "torch_channels_last", "torch", "PyTorch eager, channels last"),
    "torch-compile": Engine("layers", "torch_compiled", "torch", "torch.compile"),
    "jax": Engine("with_jax", "prepare", "jax", "JAX jit"),
    "mygrad": Engine("with_mygrad", "prepare", "mygrad", "MyGrad"),
    "autograd": Engine("with_autograd", "prepare", "autograd", "HIPS autograd"),
}


ON_GPU = {
    "tensorgraph": Engine("on_gpu", "eager", "tensorgraph", "tensorgraph eager"),
    "tensorgraph-captured": Engine("on_gpu", "captured", "tensorgraph", "tensorgraph captured"),
    "torch": Engine("on_gpu", "torch_eager", "torch", "PyTorch eager, NCHW"),
    "torch-nhwc": Engine("on_gpu", "torch_channels_last", "torch", "PyTorch eager, channels last"),
    "torch-graphs": Engine("on_gpu", "torch_graphs", "torch", "PyTorch, CUDA graph"),
    "torch-compile": Engine("on_gpu", "torch_compiled", "torch", "torch.compile"),
}
"""those of `--device cuda`"""


def engines_of(device: str) -> dict[str, Engine]:
    """The engines that a device has."""
    return ON_GPU if device == "cuda" else ENGINES


def installed(device: str = "cpu") -> list[str]:
    """The engines that are there, torch.compile left out: it needs a C++ compiler and minutes."""
    return [name for name, engine in engines_of(device).items() if engine.version() and name != "torch-compile"]
