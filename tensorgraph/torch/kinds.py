"""What PyTorch's programs call types: `torch.Tensor` and its kin, devices, sizes, element types.

Tensors themselves are tensorgraph's: `torch.Tensor` answers `isinstance` for them and has PyTorch's constructor.
"""

from __future__ import annotations

import builtins
import re
from typing import Any

import numpy as np

import tensorgraph as tg

__all__ = [
    "bool", "BoolTensor", "ByteTensor", "cdouble", "cfloat", "CharTensor", "complex128", "complex64",
    "device", "double", "DoubleTensor", "dtype", "float", "float16", "float32", "float64", "FloatTensor", "half",
    "HalfTensor", "int", "int16", "int32", "int64", "int8", "IntTensor", "long", "LongTensor", "short",
    "ShortTensor", "Size", "Tensor", "uint8",
]  # fmt: skip

from tensorgraph.dtypes import (
    bool,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)

dtype = np.dtype
half, float, double = float16, float32, float64
short, int, long = int16, int32, int64
cfloat, cdouble = complex64, complex128


class bfloat16:
    """`torch.bfloat16` where the package ml_dtypes is missing: programs may name it, to use it is an error."""


class Size(tuple):
    """The sizes of the axes, as `torch.Size`; a tuple."""

    def numel(self) -> Any:
        """How many elements they make."""
        return int64.type(np.prod(self, dtype=np.int64)).item()

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"


class device(str):
    """A device: `device("cpu")`, `device("cuda:0")`, `device("cuda", 0)`. A string, with `.type` and `.index`."""

    __slots__ = ()

    def __new__(cls, type: Any, index: Any = None) -> device:
        name = f"cuda:{type}" if isinstance(type, (np.integer, _int)) else str(type)
        return str.__new__(cls, name if index is None else f"{name}:{index}")

    @property
    def type(self) -> str:
        """The kind of device: "cpu" or "cuda"."""
        return str(self).partition(":")[0]

    @property
    def index(self) -> Any:
        """Which one of its kind; None when that is left open."""
        number = str(self).partition(":")[2]
        return _int(number) if number else None


_int = builtins.int  # `int` is an element type here


class _Kind(type):
    """Makes `isinstance(x, torch.Tensor)` true for every tensor and `torch.Tensor(...)` PyTorch's constructor."""

    kind: Any = None
    place: Any = None

    def __instancecheck__(cls, x: Any) -> Any:
        fits = isinstance(x, tg.Tensor) and (cls.kind is None or x.dtype == cls.kind)
        return fits and (cls.place is None or x.device.startswith(cls.place))

    def __subclasscheck__(cls, other: type) -> Any:
        return issubclass(other, tg.Tensor) if cls.kind is None else type.__subclasscheck__(cls, other)

    def __call__(cls, *data: Any, **place: Any) -> Any:
        kind = cls.kind or float32
        place = {"device": cls.place, **place} if cls.place else place
        if not data:
            return tg.zeros(0, dtype=kind, **place)
        if all(isinstance(n, (_int, np.integer)) for n in data) or isinstance(data[0], Size):
            return tg.empty(*data, dtype=kind, **place)
        values = data[0]
        return tg.tensor(values.detach() if isinstance(values, tg.Tensor) else values, dtype=kind, **place)


class Tensor(tg.Tensor, metaclass=_Kind):
    """`torch.Tensor`: every tensor is an instance. `Tensor(2, 3)` has room for values, `Tensor([1, 2])` is float32."""

    __slots__ = ()


def _typed(name: str, kind: Any) -> Any:
    return _Kind(name, (Tensor,), {"__slots__": (), "kind": kind, "__doc__": f"Tensors of dtype {kind}."})


FloatTensor, DoubleTensor, HalfTensor = (
    _typed("FloatTensor", float32),
    _typed("DoubleTensor", float64),
    _typed("HalfTensor", float16),
)
LongTensor, IntTensor, ShortTensor = (
    _typed("LongTensor", int64),
    _typed("IntTensor", int32),
    _typed("ShortTensor", int16),
)
CharTensor, ByteTensor, BoolTensor = _typed("CharTensor", int8), _typed("ByteTensor", uint8), _typed("BoolTensor", bool)

CUDA_TYPES = {
    f"{name}Tensor": _Kind(f"{name}Tensor", (Tensor,), {"__slots__": (), "kind": kind, "place": "cuda"})
    for name, kind in dict(Float=float32, Double=float64, Half=float16, Long=int64, Int=int32, Byte=uint8).items()
}
"""`torch.cuda.FloatTensor` and its kin"""

TYPE_NAMES: dict[Any, str] = {
    kind.kind: f"torch.{kind.__name__}"
    for kind in (
        FloatTensor, DoubleTensor, HalfTensor, LongTensor, IntTensor, ShortTensor, CharTensor, ByteTensor, BoolTensor
    )
}  # fmt: skip
"""dtype -> what `x.type()` answers"""


def dtype_named(name: Any) -> Any:
    """The dtype that `x.type(...)` means: a dtype, `torch.FloatTensor`, "torch.FloatTensor"."""
    if isinstance(name, _Kind):
        return name.kind or float32
    if isinstance(name, str):
        short_name = re.sub(r"^torch\.", "", name)
        return next((kind for kind, full in TYPE_NAMES.items() if full == f"torch.{short_name}"), short_name)
    return name
