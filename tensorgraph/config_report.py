"""`show_config`: what is installed, which kernels run, and what would make them faster. Imports the engine only."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from tensorgraph import backends
from tensorgraph.backends import compiled
from tensorgraph.backends.numpy_kernels import blas
from tensorgraph.errors import BackendError
from tensorgraph.mode import kernels_allowed

__all__ = ["show_config"]


def show_config() -> None:
    """Prints versions, devices, BLAS and its threads, which kernels are active, and how to get those that are missing.

    The first call may compile the kernels of the extra `fast`, as the first large operation would.
    """
    rows = _rows()
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:{width}}  {text}")


def _rows() -> list[tuple[str, str]]:
    found = compiled.kernels()
    fast = compiled.why_not() or ""
    if found is not None:
        fast = f"by llvmlite {_version('llvmlite')} for {found.cpu}, {32 * found.width}-bit vectors"
        fast += f"; kept in {compiled.cache_folder()}"
    return [
        ("tensorgraph", f"{_version('tensorgraph')} on Python {platform.python_version()}, {sys.platform}"),
        ("numpy", np.__version__),
        ("BLAS", blas.describe()),
        ("threads", f"{blas.threads()} (OMP_NUM_THREADS, tg.set_num_threads)"),
        ("kernels", "allowed" if kernels_allowed() else "switched off here by kernels(False): definitions run"),
        ("compiled kernels", fast),
        ("cupy", _cupy()),
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed: run from a checkout)"


def _cupy() -> str:
    try:
        cuda: Any = backends.get("cuda")
    except BackendError as error:
        return f"no CUDA device: {error}".splitlines()[0]
    return f"{cuda.xp.__version__}, devices {', '.join(backends.devices()[1:])}; convolutions {cuda.convolutions()}"
