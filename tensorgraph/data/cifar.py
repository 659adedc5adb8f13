"""CIFAR-10 in its two published formats: the binary one, and pickles of Python, which are read and never executed.

    binary   one record per image: a byte for the label, then 32x32 bytes each of red, green and blue
    python   a dictionary with "data" (N, 3072) and "labels"

Imported by the front door of the room; finds files as sets.py does.
"""

from __future__ import annotations

import gzip
import io
import os
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tensorgraph.data.idx import md5_of, uncompressed
from tensorgraph.data.pickles import read_pickle
from tensorgraph.data.sets import data_folder
from tensorgraph.errors import ArgumentError, CorruptDataError, MissingDataError

_MIRRORS = ("https://www.cs.toronto.edu/~kriz",)
_ARCHIVE, _ARCHIVE_MD5 = "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d13530"
_FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py")
_PIXELS = 3 * 32 * 32
_IMAGES = 10_000  # in each published file

_MD5 = {
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
"""sums of the unpacked files; of the binary ones published is that of their archive, which downloads are checked by"""


def cifar10(
    root: str | Path | None = None,
    train: bool = True,
    download: bool = False,
    verify: bool = True,
    files: Sequence[str] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """CIFAR-10's photographs of ten kinds of things, 32x32 in colour: 50,000 to train with, 10,000 to test with.

    -> images float32 (N, 3, 32, 32) between 0 and 1 (red, green, blue), labels int64 (N,).

    The files (`data_batch_1.bin` to 5 and `test_batch.bin`, else the pickles of the same names without `.bin`) are
    looked for in `<root>/cifar-10-batches-bin`, `<root>/cifar-10-batches-py` and in `root` itself; without `root` as
    in `mnist`. `files` names others in their place, in whatever number: `files=["data_batch_1.bin"]` reads one fifth.
    `download=True` fetches the binary archive when files are missing. `verify=False` takes files with another content
    than the published ones.

    Raises MissingDataError (what, where it was looked for, how to get it), CorruptDataError.
    Source: Krizhevsky, Learning multiple layers of features from tiny images, 2009.
    """
    if isinstance(files, (str, os.PathLike)) or (files is not None and not files):
        raise ArgumentError(f"cifar10: files must be a list of file names, got {files!r}")
    folder = data_folder(root)
    names = list(files or ([f"data_batch_{i}.bin" for i in range(1, 6)] if train else ["test_batch.bin"]))
    places = (*(folder / name for name in _FOLDERS), folder)
    paths = _find(names, places, or_pickles=files is None)
    if download and None in paths:
        _download(folder, [name for name, path in zip(names, paths) if path is None])
        paths = _find(names, places, or_pickles=files is None)
    missing = [name for name, path in zip(names, paths) if path is None]
    if missing:
        raise MissingDataError(
            f"CIFAR-10: {', '.join(missing)} not found",
            operands=[f"looked in {place}{'' if place.is_dir() else ' (no such folder)'}" for place in places],
            hint="download=True fetches them, root= names the folder that holds cifar-10-batches-bin, the environment "
            "variable TENSORGRAPH_DATA the default of root, and files= reads only some",
        )
    parts = [_read(path, verify) for path in paths if path is not None]
    images = np.concatenate([pixels for pixels, _ in parts]).astype(np.float32)
    images /= 255
    return images.reshape(-1, 3, 32, 32), np.concatenate([labels for _, labels in parts])


def _find(names: Sequence[str], places: Sequence[Path], or_pickles: bool) -> list[Path | None]:
    """Each file in the first place that has it, binary before pickled."""
    found: list[Path | None] = []
    for name in names:
        spellings = (name, name.removesuffix(".bin")) if or_pickles else (name,)
        candidates = (place / spelling for spelling in spellings for place in places)
        found.append(next((path for path in candidates if path.is_file()), None))
    return found


def _read(path: Path, verify: bool) -> tuple[np.ndarray, np.ndarray]:
    """(pixels uint8 (N, 3072), labels int64 (N,)) of one file; what it is shows its beginning."""
    content = uncompressed(path)
    pixels, labels = _parse_pickle(content, path) if content[:1] == b"\x80" else _parse_binary(content, path)
    if len(labels) and not (labels.min() >= 0 and labels.max() <= 9):
        raise CorruptDataError(
            f"{path.name}: a label {labels.max() if labels.max() > 9 else labels.min()}, where there are only 0 to 9",
            operands=[str(path)],
            hint="delete the file and fetch it again, if it is CIFAR-10 (CIFAR-100 has two labels per image)",
        )
    published = path.name.removesuffix(".bin") in _MD5
    if verify and published and len(labels) != _IMAGES:
        raise CorruptDataError(
            f"{path.name}: {len(labels):,} images, but the published file has {_IMAGES:,}",
            operands=[str(path)],
            hint="delete the file and fetch it again, or verify=False if the file is your own",
        )
    if verify and path.name in _MD5 and md5_of(content) != _MD5[path.name]:
        raise CorruptDataError(
            f"{path.name}: a file of CIFAR-10's format, but not the published one",
            operands=[str(path), f"its content has md5 {md5_of(content)}, published is {_MD5[path.name]}"],
            hint="delete it and fetch it again, or verify=False if the file is your own",
        )
    return pixels, labels


def _parse_binary(content: bytes, path: Path) -> tuple[np.ndarray, np.ndarray]:
    if not content or len(content) % (1 + _PIXELS):
        raise CorruptDataError(
            f"{path.name}: {len(content):,} bytes, which is no multiple of {1 + _PIXELS:,} (a label and 3x32x32 "
            "pixels): truncated or no file of CIFAR-10",
            operands=[str(path)],
            hint="delete the file and fetch it again",
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + _PIXELS)
    return records[:, 1:], records[:, 0].astype(np.int64)


# ---- the python format -----------------------------------------------------------------------------------------------
class _Array:
    """An array of the pickle before its state is set."""


def _set_state(target: Any, state: Any) -> Any:
    if isinstance(target, str):  # a dtype
        return target
    _, shape, dtype, fortran, content = state
    if not isinstance(target, _Array) or dtype != "u1":
        raise ValueError("an array that is not of bytes")
    return np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")


_CALLS = {
    "numpy.core.multiarray._reconstruct": lambda *_: _Array(),
    "numpy._core.multiarray._reconstruct": lambda *_: _Array(),
    "numpy.dtype": lambda code, *_: code.decode() if isinstance(code, bytes) else code,
    "_codecs.encode": lambda text, _: text.encode("latin-1"),  # how Python 3 writes bytes in old protocols
}


def _parse_pickle(content: bytes, path: Path) -> tuple[np.ndarray, np.ndarray]:
    found = read_pickle(io.BytesIO(content), path.name, _CALLS, _set_state)
    found = {key.decode("latin-1") if isinstance(key, bytes) else key: value for key, value in _dictionary(found)}
    pixels, labels = found.get("data"), found.get("labels")
    if not isinstance(pixels, np.ndarray) or not isinstance(labels, list) or pixels.shape != (len(labels), _PIXELS):
        raise CorruptDataError(
            f"{path.name}: a pickle without data (N, {_PIXELS}) and as many labels: no file of CIFAR-10",
            operands=[str(path)],
        )
    if not all(type(label) is int for label in labels):
        raise CorruptDataError(f"{path.name}: labels that are no whole numbers", operands=[str(path)])
    return pixels, np.array(labels, np.int64).reshape(-1)


def _dictionary(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


# ---- download --------------------------------------------------------------------------------------------------------
def _download(root: Path, names: Sequence[str]) -> None:
    """Fetches the archive and takes the named files out of it, each moved into place when it is complete."""
    import tarfile  # this and urllib take longer to import than all of tensorgraph.data

    from tensorgraph.data.fetch import fetch

    archive = root / _ARCHIVE
    if not archive.is_file():
        fetch(_MIRRORS, archive, _ARCHIVE_MD5, packed=True)
    folder = root / _FOLDERS[0]
    folder.mkdir(exist_ok=True)
    try:
        with tarfile.open(archive) as members:
            for name in names:
                member = members.extractfile(f"{_FOLDERS[0]}/{name}")
                if member is None:
                    raise KeyError(name)
                handle, part = tempfile.mkstemp(prefix=f".{name}.", suffix=".part", dir=folder)
                try:
                    with os.fdopen(handle, "wb") as out:
                        out.write(member.read())
                    os.chmod(part, 0o644)
                    os.replace(part, folder / name)
                finally:
                    Path(part).unlink(missing_ok=True)
    except (tarfile.TarError, KeyError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CorruptDataError(
            f"{archive.name}: truncated, damaged or without the files of CIFAR-10 ({error})",
            operands=[str(archive)],
            hint="delete it and fetch it again",
        ) from None
