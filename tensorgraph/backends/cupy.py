"""The CUDA backend: CuPy arrays. Imported only when a CUDA device is asked for.

CuPy imports without a GPU, so the device is asked for at once, and its absence is one clear error.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tensorgraph.backends import cuda
from tensorgraph.backends.array import Backend
from tensorgraph.backends.cuda_copies import CudaCopies
from tensorgraph.backends.cuda_graphs import CudaGraphs
from tensorgraph.backends.cuda_kernels import CudaKernels
from tensorgraph.backends.cudnn import FastConvolution
from tensorgraph.capturing import leave
from tensorgraph.errors import BackendError

_backend: CupyBackend | None = None
CUBLAS = "cupy_backends.cuda.libs.cublas"
_count = 0
"""devices, counted when the backend is opened"""


class CupyBackend(FastConvolution, CudaKernels, Backend):
    """Arrays of CuPy in the memory of a GPU."""

    name = "cuda"
    half_products = captures = True

    def __init__(self, cupy: Any):
        super().__init__()
        self.xp = cupy
        self.array_type = cupy.ndarray
        cuda.use(cupy)

    def device_of(self, array: Any) -> str:
        return f"cuda:{array.device.id}"

    def graphs(self, device: str) -> CudaGraphs:
        return CudaGraphs(self.xp, self.on(device))

    def copies(self, device: str) -> CudaCopies:
        return CudaCopies(self.xp, self.on(device))

    def to_host(self, array: Any) -> np.ndarray:
        leave("it reads values of the device (.item(), float(), print, a check of values)")
        return self.xp.asnumpy(array)

    def from_host(self, array: np.ndarray, device: str = "cuda") -> Any:
        """The copy is queued: CuPy puts the values into page-locked memory first, and keeps that until they are up."""
        leave("it copies values to the device (tg.tensor, .to(device), NumPy arrays as operands)")
        with self.on(device):
            return self.xp.asarray(array, order="C")

    def on(self, device: str) -> Any:
        """A block in which this thread computes on a device."""
        return self.xp.cuda.Device(number_of(device))

    def use(self, device: str) -> None:
        """Makes a device the one on which this thread computes."""
        self.on(device).use()

    def byte_bounds(self, array: Any) -> tuple[int, int]:
        return self.xp.byte_bounds(array)

    def lapack(self, name: str, *arrays: Any, **options: Any) -> Any:
        import cupyx

        with cupyx.errstate(linalg="raise"):  # CuPy otherwise returns NaN for a singular matrix
            return super().lapack(name, *arrays, **options)

    def is_here(self, array: Any) -> bool:
        return array.device.id == self.xp.cuda.runtime.getDevice()

    def address(self, array: Any) -> int:
        return array.data.ptr

    def queue(self) -> tuple[int, int]:
        return self.xp.cuda.runtime.getDevice(), self.xp.cuda.get_current_stream().ptr


def number_of(device: str) -> int:
    """Which GPU a name means; "cuda" is "cuda:0"."""
    return int(device.partition(":")[2] or 0)


def get(device: str) -> Backend:
    """The CUDA backend.

    Raises BackendError, at once and naming the way out, when CuPy, the driver, the libraries or the device is missing.
    """
    global _backend, _count
    if _backend is None:
        made, _count = _open(device)
        from tensorgraph import backends

        _backend = made
        backends.register(made.array_type, made)
        if _count > 1:
            from tensorgraph import placement

            placement.watch(made)
    if number_of(device) >= _count:
        there = ", ".join(f"cuda:{i}" for i in range(_count))
        raise BackendError(f"device {device!r} does not exist", hint=f"CUDA devices here: {there}")
    return _backend


def _open(device: str) -> tuple[CupyBackend, int]:
    """The backend and how many devices it has."""

    def no(what: str, way_out: str) -> BackendError:
        return BackendError(f"device {device!r}: {what}", hint=f'{way_out}; device="cpu" always works')

    install = 'pip install "tensorgraph[cuda]" for CUDA 13, "pip install cupy-cuda12x" for CUDA 12'
    try:
        import cupy
    except ModuleNotFoundError:
        raise no("CuPy is not installed", f"{install}, beside an NVIDIA driver") from None
    except Exception as error:  # an installation that is damaged, or two of them in each other's way
        raise no(
            f"CuPy is installed but cannot be imported ({_first_line(error)})",
            f"uninstall every package whose name begins with cupy, then {install}",
        ) from None
    runtime = cupy.cuda.runtime
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        driver, built = _version(runtime.driverGetVersion), _version(runtime.runtimeGetVersion)
        if driver and built and driver[0] < built[0]:
            raise no(
                f"CuPy is built for CUDA {built[0]}, the driver goes up to CUDA {driver[0]}.{driver[1]}",
                f"a newer NVIDIA driver, or the CuPy for this one: pip uninstall cupy-cuda{built[0]}x, "
                f"pip install cupy-cuda{driver[0]}x",
            ) from None
        raise no(
            f"there is no usable CUDA device ({_first_line(error)})", "nvidia-smi shows whether the driver sees a GPU"
        ) from None
    if not count:
        raise no("there is no CUDA device", "nvidia-smi shows the GPUs, CUDA_VISIBLE_DEVICES hides them")
    try:  # loaded when they are first used: better to miss them now than in the middle of a training
        cupy.cuda.nvrtc.getVersion()
        importlib.import_module(CUBLAS)
    except Exception as error:
        raise no(
            f"CuPy does not find the libraries of CUDA ({_first_line(error)})",
            'pip install "cupy-cuda13x[ctk]" (12x likewise) brings them, or set CUDA_PATH to an installed toolkit',
        ) from None
    return CupyBackend(cupy), count


def _version(ask: Callable[[], int]) -> tuple[int, int] | None:
    """Major and minor version; None where there is nothing to ask."""
    try:
        number = ask()
    except Exception:
        return None
    return (number // 1000, number % 1000 // 10) if number else None


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
