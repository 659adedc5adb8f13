"""PyTorch's `.pt`, `.pth` and `.th` files, the zip format and the one before it, without torch and without pickle.

Both hold a pickle that says how tensors are put together from storages (runs of numbers). In the zip format every
storage is a member of the archive; in the format before, the storages follow the pickle in the file. The pickle is
read by tensorgraph.data.pickles, which executes nothing: the table `calls` below is all that a file can ask for.
Imported by the front door of the room and by nn.serialize.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np

from tensorgraph.data.pickles import Global, read_pickle
from tensorgraph.errors import CorruptDataError, MissingDataError

__all__ = ["read_torch"]

LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
"""how a file of the format before zip begins: the pickle of a magic number"""

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_BFLOAT16 = "bfloat16"
_ORDERS: dict[bytes, Literal["<", ">"]] = {b"little": "<", b"big": ">"}
_UNFINISHED = object()
_DTYPES = {
    "DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2", "BFloat16Storage": _BFLOAT16,
    "LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1",
    "BoolStorage": "?", "ComplexFloatStorage": "c8", "ComplexDoubleStorage": "c16",
}  # fmt: skip


class _Storage:
    """A run of numbers; `values` come when the pickle is read."""

    def __init__(self, kind: str, key: str, size: int):
        self.kind, self.key, self.size = kind, key, size
        self.values: np.ndarray | None = None

    def fill(self, data: bytes, order: Literal["<", ">"]) -> None:
        """Gives the storage its numbers, which come in a byte order."""
        bfloat16 = _DTYPES[self.kind] == _BFLOAT16
        dtype = np.dtype("u2" if bfloat16 else _DTYPES[self.kind]).newbyteorder(order)
        if len(data) != self.size * dtype.itemsize:
            raise CorruptDataError(f"storage {self.key!r} has {len(data):,} bytes for {self.size:,} numbers of {dtype}")
        values = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False)
        self.values = (values.astype(np.uint32) << 16).view(np.float32) if bfloat16 else values


class _View(NamedTuple):
    """A tensor: where it lies in its storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        values = self.storage.values
        if values is None:
            raise CorruptDataError(f"storage {self.storage.key!r} is missing")
        strides = tuple(n * values.itemsize for n in self.strides)
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides, writeable=False).copy()


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _View:
    """What stands in for torch._utils._rebuild_tensor_v2; checks that the tensor lies inside its storage."""
    if not isinstance(storage, _Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise ValueError("a tensor without storage, shape or strides")
    if len(shape) != len(strides) or len(shape) > 32:
        raise ValueError(f"a tensor of the shape {shape} with the strides {strides}")
    if not all(type(n) is int and n >= 0 for n in (offset, *shape, *strides)):
        raise ValueError(f"a tensor of the shape {shape} with the strides {strides} at {offset}")
    count = math.prod(shape)
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides)) if count else offset
    # more elements than the storage has: an expanded tensor, with which a small file would fill the memory
    if count > storage.size or last >= storage.size + (count == 0):
        raise ValueError(f"a tensor of the shape {shape} at {offset} in a storage of {storage.size:,} numbers")
    return _View(storage, offset, shape, strides)


_CALLS = {
    "collections.OrderedDict": lambda items=(): dict(items),
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch.Size": lambda items=(): tuple(items),
    "torch.device": lambda *names: ":".join(map(str, names)),
}
_HINT = (
    "files of weights are read: torch.save(model.state_dict(), path); in a whole pickled model only its own program "
    "can find the weights"
)


def read_torch(path: str | os.PathLike[str]) -> Any:
    """What a PyTorch file holds, usually a state dict: dictionaries, lists and plain values, with arrays for tensors.

    Tensors may share a storage and be strided; every one comes as an array of its own. bfloat16 comes as float32.

    Raises MissingDataError: no such file; CorruptDataError: truncated, damaged or of another format, or a pickle that
    asks for more than tensors and plain values. Nothing in the file is executed.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"read_torch: there is no file {str(path)!r}")
    what = f"load: {str(path)!r}"
    with path.open("rb") as file:
        zipped = zipfile.is_zipfile(file)
        file.seek(0)
        try:
            return _arrays(_read_zip(file, what) if zipped else _read_legacy(file, what), {})
        except CorruptDataError as error:
            if error.message.startswith(what):
                raise
            why, hint = error.message, error.hint
        except Exception as error:  # BadZipFile, struct.error and whatever else damaged bytes provoke
            why, hint = str(error) or repr(error), None
    raise CorruptDataError(f"{what} is truncated, damaged or of another format: {why}", hint=hint)


def _read_zip(file: IO[bytes], what: str) -> Any:
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in members if name.endswith("data.pkl")]
        if len(pickles) != 1:
            raise CorruptDataError(f"a zip file with {len(pickles)} members data.pkl, where PyTorch's have one")
        folder = pickles[0].removesuffix("data.pkl")

        def read(name: str) -> bytes:
            info = members.get(folder + name)
            if info is None:
                raise CorruptDataError(f"its member {name!r} is missing")
            if info.compress_type != zipfile.ZIP_STORED:
                raise CorruptDataError(f"its member {name!r} is compressed, which PyTorch never does")
            return archive.read(info)

        order: Literal["<", ">"] | None = "<"
        if folder + "byteorder" in members:
            order = _ORDERS.get(read("byteorder").strip())
            if order is None:
                raise CorruptDataError("its byte order is neither little nor big")
        storages: dict[str, _Storage] = {}
        value = read_pickle(
            io.BytesIO(read("data.pkl")), what, _CALLS, _ignore_state, lambda pid: _storage(pid, storages), _HINT
        )
        for storage in storages.values():
            storage.fill(read(f"data/{storage.key}"), order)
    return value


def _read_legacy(file: IO[bytes], what: str) -> Any:
    size = os.fstat(file.fileno()).st_size
    storages: dict[str, _Storage] = {}

    def plain() -> Any:
        return read_pickle(file, what, {})

    if plain() != _MAGIC:
        raise CorruptDataError("it does not begin like a PyTorch file")
    if (protocol := plain()) != _PROTOCOL:
        raise CorruptDataError(f"it is of the unknown version {protocol}")
    system = plain()
    order: Literal["<", ">"] = "<" if not isinstance(system, dict) or system.get("little_endian", True) else ">"
    value = read_pickle(file, what, _CALLS, _ignore_state, lambda pid: _storage(pid, storages), _HINT)
    keys = plain()
    if not isinstance(keys, list) or set(map(str, keys)) != set(storages):
        raise CorruptDataError("its list of storages is not that of its tensors")
    for key in keys:
        storage = storages[str(key)]
        count = int.from_bytes(file.read(8), "little" if order == "<" else "big")
        itemsize = 2 if _DTYPES[storage.kind] == _BFLOAT16 else np.dtype(_DTYPES[storage.kind]).itemsize
        if count != storage.size or count * itemsize > size - file.tell():
            raise CorruptDataError(f"storage {key!r} of {storage.size:,} numbers is not complete")
        storage.fill(file.read(count * itemsize), order)
    return value


def _storage(pid: Any, storages: dict[str, _Storage]) -> _Storage:
    """The storage with a persistent id ("storage", class, key, device, size[, view])."""
    if isinstance(pid, tuple) and pid[:1] == ("module",):
        raise CorruptDataError("it holds a whole module with its program", hint=_HINT)
    if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] not in ("storage", b"storage"):
        raise ValueError("an object outside the pickle that is no storage")
    kind, key, size = pid[1], pid[2], pid[4]
    if not isinstance(kind, Global) or kind.module != "torch" or kind.name not in _DTYPES:
        raise ValueError(f"a storage of the unknown kind {kind}")
    if len(pid) == 6 and pid[5] is not None:
        raise ValueError("a storage that is a part of another one")
    if type(size) is not int or size < 0 or not isinstance(key, str):
        raise ValueError(f"a storage {key!r} of the size {size!r}")
    storage = storages.setdefault(key, _Storage(kind.name, key, size))
    if (storage.kind, storage.size) != (kind.name, size):
        raise ValueError(f"the storage {key!r} in two sizes or kinds")
    return storage


def _ignore_state(target: Any, state: Any) -> Any:
    """A state dict carries its version as an attribute, which nothing here needs."""
    if not isinstance(target, dict):
        raise ValueError(f"the state of a {type(target).__name__}")
    return target


def _arrays(value: Any, known: dict[int, Any]) -> Any:
    """`value` with arrays for tensors. What is mentioned twice is made once, whatever the nesting."""
    if id(value) in known:
        if known[id(value)] is _UNFINISHED:
            raise CorruptDataError("something in it contains itself")
        return known[id(value)]
    known[id(value)] = _UNFINISHED
    result = value
    if isinstance(value, _View):
        result = value.array()
    elif isinstance(value, _Storage):
        raise CorruptDataError("it holds a storage that belongs to no tensor")
    elif isinstance(value, Global):  # a dtype; a class is of no use without its program
        result = str(value)
    elif isinstance(value, dict):
        result = {key: _arrays(item, known) for key, item in value.items()}
    elif isinstance(value, (list, tuple)):
        result = type(value)(_arrays(item, known) for item in value)
    known[id(value)] = result
    return result
