"""The idx format of MNIST and its relatives: a magic number, the sizes of the axes, the elements. Plain or gzipped.

    byte 0-1  zero            byte 3    number of axes        then the elements, row by row,
    byte 2    element type    then one 32-bit size per axis   everything big-endian

Imported by sets.py; imports the errors only.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np

from tensorgraph.errors import CorruptDataError, MissingDataError

_ELEMENT = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"


def read_idx(path: str | Path, ndim: int | None = None) -> np.ndarray:
    """The array in an idx file, in the byte order of this machine; whether it is gzipped is seen from its content.

    `ndim`: the number of axes that the file must have.

    Raises MissingDataError when there is no such file, CorruptDataError when it is truncated or no idx file, has
    other axes, or bytes too few or too many.
    """
    path = Path(path)
    return parse(uncompressed(path), path, ndim)


def parse(content: bytes, path: Path, ndim: int | None) -> np.ndarray:
    """The array in the uncompressed content of the idx file `path`."""
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _ELEMENT:
        raise CorruptDataError(
            f"{path.name}: not an idx file; it starts with {content[:4].hex(' ') or 'nothing'}",
            operands=[str(path)],
            hint="an idx file starts with 00 00, the element type (08 for bytes) and the number of axes",
        )
    dtype, axes = np.dtype(_ELEMENT[content[2]]), content[3]
    if ndim is not None and axes != ndim:
        raise CorruptDataError(
            f"{path.name}: an idx file of {axes} axes where {ndim} are expected",
            operands=[str(path)],
            hint="images have 3 axes (magic 00 00 08 03), labels 1 (magic 00 00 08 01): were two files swapped?",
        )
    start = 4 + 4 * axes
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        raise CorruptDataError(
            f"{path.name}: {len(content):,} bytes, but its header announces {expected:,}: "
            + ("truncated" if len(content) < expected else "something follows the data"),
            operands=[str(path), f"axes of size {shape}"],
            hint="delete the file and fetch it again",
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def md5_of(content: bytes) -> str:
    """The md5 sum of some content; it tells damage, it does not protect."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def uncompressed(path: Path) -> bytes:
    """The content of a file, gzipped or not."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == _GZIP else content
    except FileNotFoundError:
        raise MissingDataError(f"{path.name}: there is no such file", operands=[str(path)]) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CorruptDataError(
            f"{path.name}: a truncated or damaged gzip file ({error})",
            operands=[str(path)],
            hint="delete the file and fetch it again",
        ) from None
