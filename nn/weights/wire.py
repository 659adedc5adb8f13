"""The wire format of protocol buffers, as far as reading needs it: fields with numbers, without a schema.

    tag = field number * 8 + kind      kind 0: varint   1: 8 bytes   2: length and bytes   5: 4 bytes

Imported by caffe.py; imports the errors only. Source: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tensorgraph.errors import CorruptDataError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def fields(message: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """(field number, kind, value) of every field, in order: an integer for a varint, bytes for the rest.

    Raises CorruptDataError where the bytes are no message.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise CorruptDataError(f"a field of the number {number}, which no message has")
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, kind, value
            continue
        if kind == BYTES:
            length, at = _varint(message, at)
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
        else:
            raise CorruptDataError(f"a field of the unknown kind {kind}")
        if length > len(message) - at:
            raise CorruptDataError(f"a field of {length:,} bytes where {len(message) - at:,} are left")
        yield number, kind, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number at a position, seven bits per byte, and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise CorruptDataError("it ends inside a number")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise CorruptDataError("a number of more than ten bytes")


def varints(kind: int, value: int | memoryview) -> list[int]:
    """The integers of one repeated field, packed or not."""
    if kind == VARINT and isinstance(value, int):
        return [value]
    if kind != BYTES or isinstance(value, int):
        raise CorruptDataError("integers are expected where there are none")
    numbers, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        numbers.append(number)
    return numbers


def floats(kind: int, value: int | memoryview, dtype: str) -> np.ndarray:
    """The floating numbers of one repeated field, packed or not; dtype "<f4" or "<f8"."""
    size = np.dtype(dtype).itemsize
    if isinstance(value, int) or kind not in (BYTES, FIXED32 if size == 4 else FIXED64) or len(value) % size:
        raise CorruptDataError("floating numbers are expected where there are none")
    return np.frombuffer(bytes(value), dtype)


def text(value: int | memoryview) -> str:
    """A string field."""
    if isinstance(value, int):
        raise CorruptDataError("text is expected where there is a number")
    return bytes(value).decode("utf-8", "replace")


def message(value: int | memoryview) -> memoryview:
    """A field that is itself a message."""
    if isinstance(value, int):
        raise CorruptDataError("a message is expected where there is a number")
    return value
