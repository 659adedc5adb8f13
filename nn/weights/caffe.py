"""Caffe's `.caffemodel`: a protocol buffer with the trained arrays of every layer, in the old (V1) and new (V2) form.

    NetParameter    name 1, layers (V1) 2, layer (V2) 100
    layer           name 1, type 2, blobs 7          V1: name 4, type 5, blobs 6
    blob            data 5, double_data 8, shape 7 (dim 1); before there were shapes: num, channels, height, width 1-4

Imported by the front door of the room and by nn.serialize. Source: caffe.proto of BVLC/caffe.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tensorgraph.errors import CorruptDataError, MissingDataError
from tensorgraph.nn.weights import wire

__all__ = ["read_caffemodel"]

_LAYER = {100: (1, 2, 7), 2: (4, 5, 6)}
"""by the field of a layer in the net: the fields of its name, type and blobs"""

_V1_TYPES = {4: "Convolution", 14: "InnerProduct", 39: "Deconvolution"}
"""those V1 types whose arrays get their shape here"""

_NAMES = {"BatchNorm": ("running_mean", "running_var", "factor"), "PReLU": ("weight",)}
"""names of the arrays of a layer, where they are not weight and bias"""


class _Blob(NamedTuple):
    array: np.ndarray
    has_shape: bool  # else the shape is the four numbers of old files


def read_caffemodel(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of a `.caffemodel` by name: `{"conv1.weight": ..., "conv1.bias": ...}`.

    Layers that hold nothing (data, pooling, losses) are left out. Fully-connected weights come as (out, in) and biases
    as (n,) whatever the age of the file. BatchNorm gives running_mean and running_var, already divided by Caffe's
    moving-average factor; a third and later array of any other layer is called blob2, blob3, ...

    Raises MissingDataError, CorruptDataError: no such file; truncated, damaged or of another format.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"read_caffemodel: there is no file {str(path)!r}")
    try:
        return _net(memoryview(path.read_bytes()))
    except (ValueError, OverflowError) as error:  # CorruptDataError is a ValueError; the others are impossible shapes
        why = error.message if isinstance(error, CorruptDataError) else str(error)
        raise CorruptDataError(f"load: {str(path)!r} is truncated, damaged or of another format: {why}") from None


def _net(content: memoryview) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    layers = 0
    for number, _, value in wire.fields(content):
        if number in _LAYER:
            layers += 1
            for name, array in _layer(wire.message(value), *_LAYER[number]).items():
                if name in arrays:
                    raise CorruptDataError(f"two layers give the array {name!r}")
                arrays[name] = array
    if not layers:
        raise CorruptDataError("it has no layers")
    return arrays


def _layer(content: memoryview, name_field: int, type_field: int, blobs_field: int) -> dict[str, np.ndarray]:
    name, kind = "", ""
    blobs: list[_Blob] = []
    for number, _, value in wire.fields(content):
        if number == name_field:
            name = wire.text(value)
        elif number == type_field:
            kind = _V1_TYPES.get(value, "") if isinstance(value, int) else wire.text(value)
        elif number == blobs_field:
            blobs.append(_blob(wire.message(value)))
    names = _NAMES.get(kind, ("weight", "bias"))
    arrays = {names[i] if i < len(names) else f"blob{i}": _in_shape(blob, kind, i) for i, blob in enumerate(blobs)}
    if kind == "BatchNorm" and "factor" in arrays:
        factor = arrays.pop("factor")
        if factor.size != 1:
            raise CorruptDataError(f"the factor of {name!r} is {factor.size} numbers")
        scale = 1 / factor.item() if factor.item() else 0.0  # Caffe's own rule for a network never trained
        arrays = {key: array * np.float32(scale) for key, array in arrays.items()}
    return {f"{name}.{key}": array for key, array in arrays.items()}


def _in_shape(blob: _Blob, kind: str, i: int) -> np.ndarray:
    """The array in the shape that layers of today have; old files give everything four axes."""
    if blob.has_shape or kind not in _V1_TYPES.values():
        return blob.array
    if i == 1:
        return blob.array.reshape(-1)
    matrix = kind == "InnerProduct" and blob.array.ndim == 4 and blob.array.shape[:2] == (1, 1)
    return blob.array[0, 0] if matrix else blob.array


def _blob(content: memoryview) -> _Blob:
    shape: list[int] | None = None
    old: dict[int, int] = {}
    parts: list[np.ndarray] = []
    for number, kind, value in wire.fields(content):
        if number in (5, 8):
            parts.append(wire.floats(kind, value, "<f4" if number == 5 else "<f8"))
        elif number == 7:
            shape = [n for f, k, v in wire.fields(wire.message(value)) if f == 1 for n in wire.varints(k, v)]
        elif number <= 4 and isinstance(value, int):
            old[number] = value
    data = np.concatenate(parts) if parts else np.empty(0, np.float32)
    has_shape = shape is not None
    if shape is None:
        shape = [old.get(number, 0) for number in (1, 2, 3, 4)] if old else [data.size]
    if math.prod(shape) != data.size:
        raise CorruptDataError(f"an array of {data.size:,} numbers has the shape {shape}")
    return _Blob(data.astype(data.dtype.newbyteorder("=")).reshape(shape), has_shape)
