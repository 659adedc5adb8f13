"""Devices and the backends that own their arrays. Everything above asks here; operations never name NumPy or CuPy.

A backend is found by the type of an array (`ARRAYS`, one dictionary lookup) or by the name of a device (`get`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from tensorgraph.backends import cuda
from tensorgraph.backends.array import Backend
from tensorgraph.backends.numpy import NumpyBackend
from tensorgraph.errors import BackendError, DtypeError, sig

cpu = NumpyBackend()

ARRAYS: dict[type, Backend] = {np.ndarray: cpu}
"""type of an array -> its backend"""

PLAIN: set[type] = {np.ndarray, float, int, bool, complex, type(None)}
"""types that an operation takes as they are"""

_default = "cpu"
_here: ContextVar[str | None] = ContextVar("tensorgraph.device", default=None)


def register(array_type: type, backend: Backend) -> None:
    """Makes arrays of a type known to every operation."""
    ARRAYS[array_type] = backend
    PLAIN.add(array_type)


def get(device: str | None = None) -> Backend:
    """The backend of a device: `"cpu"`, `"cuda"`, `"cuda:1"`, `"meta"`; None is the default device.

    Raises BackendError for an unknown device, or when there is no CUDA device (at once, with the way out).
    """
    name = str(get_default_device() if device is None else device)
    if name == "cpu":
        return cpu
    if name == "meta":
        from tensorgraph.backends import meta

        return meta.get()
    if not re.fullmatch(r"cuda(:\d+)?", name):
        raise BackendError(
            f"unknown device {name!r}", hint='devices are "cpu", "cuda" ("cuda:0", "cuda:1", ...) and "meta"'
        )
    from tensorgraph.backends import cupy

    return cupy.get(name)


def set_default_device(device: str) -> None:
    """Where new tensors are made when no device is named; `"cpu"` at the start.

    Of several GPUs it becomes the one on which this thread computes.
    """
    global _default
    get(device).use(str(device))
    _default = str(device)


def get_default_device() -> str:
    """The device of new tensors."""
    return _here.get() or _default


@contextmanager
def default_device(device: str) -> Iterator[None]:
    """The default device inside the block, in this thread or task only."""
    get(device)
    token = _here.set(str(device))
    try:
        yield
    finally:
        _here.reset(token)


def devices() -> list[str]:
    """The devices that can be used now: `"cpu"`, and `"cuda:0"`, ... where CuPy finds them."""
    found = ["cpu"]
    try:
        gpus = get("cuda")
    except BackendError:
        return found
    return found + [f"cuda:{i}" for i in range(gpus.xp.cuda.runtime.getDeviceCount())]


def backend_of(array: Any) -> Backend:
    """The backend that owns `array`."""
    backend = ARRAYS.get(type(array))
    if backend is None:
        if isinstance(array, (np.ndarray, np.generic)):
            return cpu
        raise DtypeError(f"{sig(array)} is no array of a known backend", hint="tensorgraph.asarray(x) makes a tensor")
    return backend


def device_of(value: Any) -> str | None:
    """The device of an array, None for anything else."""
    backend = ARRAYS.get(type(value))
    return None if backend is None else backend.device_of(value)


def backend_for(values: tuple, tensor: bool) -> tuple[Backend, bool]:
    """The backend of the first array among `values`; the default device, and a tensor as result, if there is none."""
    for value in values:
        backend = ARRAYS.get(type(value))
        if backend is not None:
            return backend, tensor
    for value in values:
        if isinstance(value, np.generic):
            return cpu, tensor
    return get(), True


def admit(value: Any, tensor: bool, op: str, operand: str) -> tuple[Any, bool]:
    """Turns an operand of an unfamiliar type into one that operations take, or says why it is none."""
    if isinstance(value, np.generic):
        PLAIN.add(type(value))
        return value, tensor
    if isinstance(value, (list, tuple, range)):
        return get().asarray_default(value), True
    if isinstance(value, np.ndarray):
        return np.asarray(value), tensor
    if hasattr(value, "array") and hasattr(value, "node"):
        return value.array, True
    raise DtypeError(
        f"{op}: {operand} is {sig(value)}, which cannot be an operand",
        hint="tensorgraph.asarray(x) takes anything with DLPack or the buffer protocol",
    )


def bfloat16() -> np.dtype:
    """The dtype, which needs the package ml_dtypes. Raises MissingPackageError."""
    from tensorgraph.brainfloat import bfloat16

    return bfloat16()


def check_dtype(dtype: Any) -> np.dtype | None:
    """A dtype from whatever names one: a NumPy dtype or type, Python's float/int/bool/complex, a string.

    Python's `float` and `complex` mean the defaults float32 and complex64.
    """
    if dtype is None:
        return None
    if dtype is float:
        return np.dtype("float32")
    if dtype is complex:
        return np.dtype("complex64")
    try:
        found = np.dtype(dtype)
    except TypeError:
        if dtype == "bfloat16":
            return bfloat16()
        hint = "tensorgraph.float32, .float64, .int64, .bool, ..."
        if isinstance(dtype, str):
            hint += '; a device is "cpu", "cuda", "cuda:1" or "meta"'
        raise DtypeError(f"unknown dtype {dtype!r}", hint=hint) from None
    if found.kind not in "fciub":
        if "bfloat16" in (found.name, getattr(dtype, "__name__", "")):
            return bfloat16()
        raise DtypeError(f"dtype {found} holds no numbers")
    return found


__all__ = [
    "ARRAYS",
    "PLAIN",
    "Backend",
    "admit",
    "backend_for",
    "backend_of",
    "check_dtype",
    "cpu",
    "cuda",
    "default_device",
    "device_of",
    "devices",
    "get",
    "get_default_device",
    "register",
    "set_default_device",
]
