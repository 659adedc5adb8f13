"""What a Python array API namespace has beside its functions: constants, dtype questions, the inspection interface.

Standard 2024.12. `tensorgraph` itself is the namespace; the front door re-exports these names.
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorgraph import backends
from tensorgraph.errors import ArgumentError, DtypeError
from tensorgraph.tensor import Tensor

__array_api_version__ = "2024.12"

e, inf, nan, pi = float(np.e), float("inf"), float("nan"), float(np.pi)
newaxis = None

_KINDS = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "fV",  # V: bfloat16
    "complex floating": "c",
    "numeric": "iufcV",
}


def isdtype(dtype: Any, kind: Any) -> builtins.bool:
    """Whether a dtype is of a kind: a dtype, one of the standard's kind names, or a tuple of both."""
    if isinstance(kind, tuple):
        return any(isdtype(dtype, one) for one in kind)
    if isinstance(kind, str):
        if kind not in _KINDS:
            raise ArgumentError(f"isdtype: unknown kind {kind!r}", hint=f"kinds: {', '.join(_KINDS)}")
        return np.dtype(dtype).kind in _KINDS[kind]
    return np.dtype(dtype) == np.dtype(kind)


def _dtype(value: Any) -> Any:
    return value.dtype if isinstance(value, (Tensor, np.ndarray)) else value


def result_type(*arrays_and_dtypes: Any) -> np.dtype:
    """The dtype of a result of these operands. Python scalars do not count unless there is nothing else.

    Integers with floats give the float's dtype, as in every operation of tensorgraph.
    """
    strong = [np.dtype(_dtype(v)) for v in arrays_and_dtypes if not isinstance(v, (bool, int, float, complex))]
    weak = [v for v in arrays_and_dtypes if isinstance(v, (bool, int, float, complex))]
    if not strong:
        raise ArgumentError("result_type: needs at least one array or dtype")
    floats = [d for d in strong if d.kind in "fcV"]
    if len({d.kind for d in floats}) > 1:  # bfloat16 and another: what holds both
        floats = [np.dtype("float32") if d.kind == "V" else d for d in floats] + [np.dtype("float32")]
    found = np.result_type(*(floats or strong))
    for value in weak:
        if isinstance(value, complex) and found.kind != "c":
            found = np.dtype("complex128" if found == np.float64 else "complex64")
        elif isinstance(value, float) and found.kind not in "fcV":
            found = np.dtype("float32")
        elif isinstance(value, int) and not isinstance(value, bool) and found.kind == "b":
            found = np.dtype("int64")
    return found


def can_cast(from_: Any, to: Any, /) -> builtins.bool:
    """Whether a dtype (or the dtype of an array) can become another one without loss of kind."""
    return np.can_cast(np.dtype(_dtype(from_)), np.dtype(to))


@dataclass(frozen=True)
class finfo_object:
    """Limits of a floating dtype, as Python floats."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: np.dtype


@dataclass(frozen=True)
class iinfo_object:
    """Limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: np.dtype


def finfo(type: Any, /) -> finfo_object:
    """Limits of a floating or complex dtype, or of an array's."""
    dtype = np.dtype(_dtype(type))
    if dtype.name == "bfloat16":
        import ml_dtypes

        info: Any = ml_dtypes.finfo(dtype)
    elif dtype.kind in "fc":
        info = np.finfo(dtype)
    else:
        raise DtypeError(f"finfo: {dtype} is no floating dtype")
    return finfo_object(
        int(info.bits), float(info.eps), float(info.max), float(info.min), float(info.smallest_normal), info.dtype
    )


def iinfo(type: Any, /) -> iinfo_object:
    """Limits of an integer dtype, or of an array's."""
    dtype = np.dtype(_dtype(type))
    if dtype.kind not in "iu":
        raise DtypeError(f"iinfo: {dtype} is no integer dtype")
    info: Any = np.iinfo(dtype)
    return iinfo_object(int(info.bits), int(info.max), int(info.min), dtype)


class _Info:
    """Answers of the inspection interface."""

    def capabilities(self) -> dict[str, Any]:
        """What is possible: boolean masks and data-dependent shapes are."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """Where new tensors are made."""
        return backends.get_default_device()

    def default_dtypes(self, *, device: Any = None) -> dict[str, np.dtype]:
        """float32, complex64 and int64."""
        return {
            "real floating": np.dtype("float32"),
            "complex floating": np.dtype("complex64"),
            "integral": np.dtype("int64"),
            "indexing": np.dtype("int64"),
        }

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, np.dtype]:
        """The dtypes of the standard, by name; of one kind if asked."""
        names = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128".split()
        found = {name: np.dtype(name) for name in names}
        return {n: d for n, d in found.items() if kind is None or isdtype(d, kind)}

    def devices(self) -> list[str]:
        """The CPU, and the CUDA devices where there are any."""
        return backends.devices()


def __array_namespace_info__() -> _Info:
    """The inspection interface of the standard."""
    return _Info()


def array_namespace(self: Tensor, *, api_version: str | None = None) -> Any:
    """`t.__array_namespace__()`: the module tensorgraph."""
    if api_version is not None and api_version not in ("2021.12", "2022.12", "2023.12", "2024.12"):
        raise ArgumentError(f"__array_namespace__: unknown version {api_version!r} of the array API standard")
    import tensorgraph

    return tensorgraph
