"""`LMDBDataset`: samples in an LMDB database, and `write_lmdb`, which makes one. Needs lmdb (extra `data`).

The layout is plain, so that other programs can read and write it:

    key   index of the sample, 8 bytes, big-endian      value   its arrays, one after the other, each as in a .npy file
    key   b"tensorgraph"                                value   JSON: {"format": 1, "samples": N, "arrays": k}

Databases of Caffe are read too: under each key a `Datum`, the message of a protocol buffer. Imported by the front door.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tensorgraph.data.dataset import Dataset, Samples, check_samples, raw
from tensorgraph.errors import (
    ArgumentError,
    CorruptDataError,
    DtypeError,
    MissingDataError,
    MissingPackageError,
    OutOfRangeError,
    sig,
)

__all__ = ["LMDBDataset", "write_lmdb"]

_ABOUT = b"tensorgraph"
_IN_ONE_GO = 1000  # samples of a transaction
_FIRST_SIZE = 1 << 24
_DATUM = {1: "channels", 2: "height", 3: "width", 4: "data", 5: "label", 6: "floats", 7: "encoded"}


class LMDBDataset(Dataset[tuple]):
    """The samples of an LMDB database: what `write_lmdb` wrote, or a database of Caffe.

    Sample i is a tuple of arrays; of Caffe's databases (image uint8 or float32 (C, H, W), label int), in the order of
    the keys, colours as stored (Caffe's tools store blue, green, red; images that are files in themselves come as red,
    green, blue). `path`: the folder that holds data.mdb, or a single file. Each worker opens it for itself.

    Raises MissingDataError, CorruptDataError (another format, truncated, damaged), MissingPackageError without lmdb.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path).expanduser()
        self._environment: _Environment | None = None
        about = self._get(_ABOUT)
        self._keys: list[bytes] | None = None
        if about is None:
            with self._environment_here().begin() as transaction, transaction.cursor() as cursor:
                self._keys = list(cursor.iternext(values=False))
            self._length = len(self._keys)
            if self._length:
                self[0]  # is it Caffe's?
            return
        try:
            found = json.loads(about)
            self._length, self._arrays, layout = int(found["samples"]), int(found["arrays"]), found["format"]
        except (ValueError, KeyError, TypeError):
            raise self._corrupt(f"its description is {about[:40]!r}") from None
        if layout != 1:
            raise self._corrupt(f"its format is {layout!r}; this version reads 1")

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> tuple:
        if not -len(self) <= index < len(self):
            raise OutOfRangeError(f"LMDBDataset: there is no sample {index} of {len(self)}")
        i = int(index) % len(self)
        value = self._get(i.to_bytes(8, "big") if self._keys is None else self._keys[i])
        if value is None:
            raise self._corrupt(f"sample {i} of {len(self)} is missing")
        try:
            return tuple(_arrays(value, self._arrays)) if self._keys is None else _datum(value)
        except MissingPackageError:
            raise
        except Exception as error:  # every kind that damaged bytes provoke
            kind = "sample" if self._keys is None else "sample (taken for a Datum of Caffe)"
            raise self._corrupt(f"{kind} {i} is damaged or of another format ({error})") from None

    def close(self) -> None:
        """Closes the database for this data set; reading opens it again."""
        self._environment = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_environment": None}

    def __repr__(self) -> str:
        return f"LMDBDataset({str(self.path)!r}: {len(self):,} samples)"

    def _get(self, key: bytes) -> bytes | None:
        with self._environment_here().begin() as transaction:
            return transaction.get(key)

    def _environment_here(self) -> Any:
        if self._environment is None:
            file = Path(os.path.realpath(self.path / "data.mdb" if self.path.is_dir() else self.path))
            self._environment = _environments.get(file) or _Environment(file)
            _environments[file] = self._environment
        return self._environment.here()

    def _corrupt(self, what: str) -> CorruptDataError:
        return CorruptDataError(f"{self.path.name}: {what}", operands=[str(self.path)])


class _Environment:
    """An open database: LMDB allows one of each in a process, and a fork must open its own."""

    def __init__(self, file: Path):
        self.file = file
        self.process, self.opened = -1, None

    def here(self) -> Any:
        if self.process != os.getpid():
            if self.opened is not None:
                self.opened.close()
            self.opened, self.process = _opened(self.file), os.getpid()
        return self.opened

    def __del__(self) -> None:
        if self.opened is not None:
            self.opened.close()


_environments: weakref.WeakValueDictionary[Path, _Environment] = weakref.WeakValueDictionary()


def _opened(file: Path) -> Any:
    lmdb = _lmdb("LMDBDataset")
    if not file.is_file():
        raise MissingDataError(
            f"LMDBDataset: no database at {file}",
            hint="the folder that holds data.mdb, or a single file; write_lmdb(path, dataset) makes one",
        )
    try:
        return lmdb.open(str(file), subdir=False, readonly=True, lock=False, readahead=False)
    except lmdb.Error as error:
        raise CorruptDataError(f"{file.name}: no LMDB database, or damaged ({error})", operands=[str(file)]) from None


def write_lmdb(path: str | os.PathLike, dataset: Samples[Any]) -> None:
    """Writes the samples of a data set into a new database, the folder `path`; it appears when it is complete.

    A sample is a tuple of arrays, tensors or numbers, or one of them; every sample has as many.

    Raises ArgumentError when `path` exists, the data set is empty or samples differ in their number of entries,
    DtypeError for what is no array; MissingPackageError without lmdb.
    """
    lmdb = _lmdb("write_lmdb")
    check_samples(dataset, "write_lmdb")
    path = Path(path).expanduser()
    if path.exists():
        raise ArgumentError(f"write_lmdb: {path} exists", hint="remove it first, or choose another name")
    if not len(dataset):
        raise ArgumentError("write_lmdb: the data set is empty")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with lmdb.open(part, map_size=_FIRST_SIZE, sync=False) as environment:
            count = None
            for first in range(0, len(dataset), _IN_ONE_GO):
                pairs = []
                for i in range(first, min(first + _IN_ONE_GO, len(dataset))):
                    value, entries = _value(dataset[i], i)
                    if count not in (None, entries):
                        raise ArgumentError(f"write_lmdb: sample {i} has {entries} entries, those before have {count}")
                    count = entries
                    pairs.append((i.to_bytes(8, "big"), value))
                _put(lmdb, environment, pairs)
            about = {"format": 1, "samples": len(dataset), "arrays": count}
            _put(lmdb, environment, [(_ABOUT, json.dumps(about).encode())])
            environment.sync(True)
        Path(part, "lock.mdb").unlink(missing_ok=True)
        os.chmod(part, 0o755)
        os.rename(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _put(lmdb: Any, environment: Any, pairs: list[tuple[bytes, bytes]]) -> None:
    """Writes pairs; a database that is full is made larger."""
    while True:
        try:
            with environment.begin(write=True) as transaction:
                for key, value in pairs:
                    transaction.put(key, value)
            return
        except lmdb.MapFullError:
            environment.set_mapsize(2 * environment.info()["map_size"])


def _value(sample: Any, i: int) -> tuple[bytes, int]:
    """A sample as bytes, and its number of entries."""
    entries = sample if isinstance(sample, (tuple, list)) else (sample,)
    out = io.BytesIO()
    for entry in entries:
        try:
            array = np.asarray(raw(entry))
        except Exception:
            array = np.asarray(None)
        if array.dtype.kind not in "fciub":
            raise DtypeError(f"write_lmdb: sample {i} holds {sig(entry)}, which is no array of numbers")
        np.lib.format.write_array(out, array, allow_pickle=False)
    return out.getvalue(), len(entries)


def _arrays(value: bytes, count: int) -> Iterator[np.ndarray]:
    """The arrays of a sample; nothing but numbers is read."""
    file = io.BytesIO(value)
    for _ in range(count):
        yield np.lib.format.read_array(file, allow_pickle=False)
    if file.read(1):
        raise ValueError("something follows the arrays")


# ---- Caffe's -----------------------------------------------------------------------------------------------------
def _datum(value: bytes) -> tuple[np.ndarray, int]:
    """(image, label) of a message of the type `caffe.Datum`."""
    found: dict[str, Any] = {"floats": []}
    for field, content in _fields(value):
        name = _DATUM.get(field)
        if name == "floats":
            found["floats"].append(content)
        elif name is not None:
            found[name] = content
    label = int(found.get("label", 0))
    label = label - (1 << 64) if label >= 1 << 63 else label
    if found.get("encoded"):
        from tensorgraph.data.folder import read_image

        return read_image(io.BytesIO(found["data"])), label
    shape = tuple(int(found[name]) for name in ("channels", "height", "width"))
    if found.get("data"):
        return np.frombuffer(found["data"], np.uint8).reshape(shape).copy(), label
    return np.frombuffer(b"".join(found["floats"]), "<f4").reshape(shape).astype(np.float32), label


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """(number, content) of each field of a protocol buffer: an integer, or bytes."""
    at = 0

    def varint() -> int:
        nonlocal at
        number = shift = 0
        while True:
            byte = message[at]
            at += 1
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number
            if shift > 63:
                raise ValueError("a number that is too long")

    while at < len(message):
        tag = varint()
        kind = tag & 7
        if kind == 0:
            yield tag >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(kind)
        if kind == 2:
            size = varint()
        if size is None or at + size > len(message):
            raise ValueError("no protocol buffer, or truncated")
        yield tag >> 3, message[at : at + size]
        at += size


def _lmdb(who: str) -> Any:
    try:
        import lmdb
    except ImportError:
        raise MissingPackageError(
            f"{who}: LMDB databases need the package lmdb, which is not installed",
            hint='pip install "tensorgraph[data]", or pip install lmdb',
        ) from None
    return lmdb
