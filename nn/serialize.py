"""`save` and `load`: state dicts and whole training states in one file, without pickle, written atomically.

Two formats are written, by the suffix of the file: `.npz` (NumPy reads it too) and `.safetensors` (everybody else
does). A state dict is stored as it is, one entry per tensor. Anything nested (an optimiser's state, a dictionary of
several things) gets its structure as JSON beside the arrays. `load` sees from the content what a file is, and reads
those of PyTorch and Caffe too (nn/weights). Imports the engine, nn/module.py and nn/weights.

Nothing that is read is ever executed: files hold arrays of numbers and JSON, and every size in them is checked against
the size of the file before memory is taken.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tensorgraph import backends
from tensorgraph.creation import tensor
from tensorgraph.errors import ArgumentError, CorruptDataError, DtypeError, MissingDataError, sig
from tensorgraph.nn.module import Module
from tensorgraph.nn.weights.caffe import read_caffemodel
from tensorgraph.nn.weights.torch_file import LEGACY, read_torch
from tensorgraph.tensor import Tensor

__all__ = ["load", "save"]

STRUCTURE = "__structure__"
CHECKSUM = "__crc32__"


def save(obj: Any, path: str | os.PathLike[str]) -> None:
    """Writes a module's state dict, a state dict, or nested dictionaries and lists of tensors and plain values.

    The file appears whole or not at all: a crash at any instant leaves an earlier one as it was.

    Raises ArgumentError: another suffix than .npz and .safetensors; DtypeError: something that is no array, number,
    string, None, list or dictionary; MissingDataError: the folder is not there.
    """
    if isinstance(obj, (str, os.PathLike)):
        raise DtypeError(f"save: what to save comes first, then the path; got {sig(obj)}, {sig(path)}")
    if Path(path).suffix not in _FORMATS:
        raise ArgumentError(
            f"save: {str(path)!r} ends in {Path(path).suffix or 'no suffix'!r}; the suffix names the format",
            hint=f"{Path(path).stem}.npz or {Path(path).stem}.safetensors",
        )
    write = _FORMATS[Path(path).suffix][0]
    value = obj.state_dict() if isinstance(obj, Module) else obj
    arrays: dict[str, np.ndarray] = {}
    structure: str | None = None
    if isinstance(value, Mapping) and all(isinstance(k, str) and _is_array(v) for k, v in value.items()):
        arrays = {name: _host(a) for name, a in value.items()}
    else:
        structure = json.dumps(_flatten(value, "", arrays))
    atomically(Path(path), lambda file: write(file, arrays, structure))


def load(path: str | os.PathLike[str], device: str | None = None) -> Any:
    """What `save` wrote: a dictionary of tensors, or the same nesting. So does every .npz and .safetensors file.

    Files of PyTorch (.pt, .pth, .th; see `weights.read_torch`) and Caffe (.caffemodel; see
    `weights.read_caffemodel`) load too. The content decides, whatever the name of the file; the suffix is asked where
    the content could be anything.

    Raises MissingDataError: no such file; CorruptDataError: truncated, damaged, or of another format.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"load: there is no file {str(path)!r}")
    with path.open("rb") as file:
        kind = _kind(file, path)
        if kind == "torch":
            return _tensors(read_torch(path), device, {})
        if kind == "caffe":
            return _tensors(read_caffemodel(path), device, {})
        arrays, structure = _FORMATS[kind][1](file, path)
    tensors = {name: tensor(array, device=device) for name, array in arrays.items()}
    if structure is None:
        return tensors
    try:
        return _rebuild(json.loads(structure), tensors)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _corrupt(path, f"its structure cannot be read ({error!r})") from None


_SUFFIXES = {
    ".npz": ".npz", ".safetensors": ".safetensors", ".pt": "torch", ".pth": "torch", ".th": "torch",
    ".caffemodel": "caffe",
}  # fmt: skip


def _kind(file: BinaryIO, path: Path) -> str:
    """The format that the content shows, else the one that the suffix names. Leaves the file at its beginning."""
    start = file.read(16)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if start[:4] == b"PK\x03\x04":
        try:
            with zipfile.ZipFile(file) as archive:
                torch = any(name.endswith("/data.pkl") for name in archive.namelist())
        except Exception:  # damaged; what is wrong says the reader
            return "torch" if _SUFFIXES.get(path.suffix) == "torch" else ".npz"
        finally:
            file.seek(0)
        return "torch" if torch else ".npz"
    if start.startswith(LEGACY):
        return "torch"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size - 8:
        return ".safetensors"
    if path.suffix not in _SUFFIXES:
        raise CorruptDataError(
            f"load: {str(path)!r} is of no known format; it begins with {start[:8].hex(' ') or 'nothing'}",
            hint=f"the suffixes {', '.join(_SUFFIXES)} name formats that cannot be told from the content",
        )
    return _SUFFIXES[path.suffix]


def _tensors(value: Any, device: str | None, known: dict[int, Any]) -> Any:
    """`value` with tensors for arrays; what is mentioned twice is made once."""
    if id(value) not in known:
        if isinstance(value, np.ndarray):
            known[id(value)] = tensor(value, device=device)
        elif isinstance(value, dict):
            known[id(value)] = {key: _tensors(item, device, known) for key, item in value.items()}
        elif isinstance(value, (list, tuple)):
            known[id(value)] = type(value)(_tensors(item, device, known) for item in value)
        else:
            return value
    return known[id(value)]


def _corrupt(path: Path, why: str) -> CorruptDataError:
    return CorruptDataError(f"load: {str(path)!r} is truncated, damaged or of another format: {why}")


def atomically(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Writes beside the file and moves it into place when it is complete and on the disk."""
    if not path.parent.is_dir():
        raise MissingDataError(f"save: there is no folder {str(path.parent)!r}")
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)  # mkstemp makes it private
        os.replace(name, path)
        _sync_folder(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Puts the new name on the disk too, where a folder can be opened."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # some network file systems cannot
                os.fsync(handle)
        finally:
            os.close(handle)


# ---- nesting -------------------------------------------------------------------------------------------------------
def _is_array(value: Any) -> bool:
    return isinstance(value, (Tensor, np.ndarray)) or type(value) in backends.ARRAYS


def _host(value: Any) -> np.ndarray:
    array = value.array if isinstance(value, Tensor) else value
    host = np.asarray(backends.backend_of(array).to_host(array))
    if host.dtype.name == "bfloat16":  # which no format of NumPy's knows; float32 holds the same values
        return host.astype(np.float32)
    if host.dtype.kind not in "biufc":
        raise DtypeError(f"save: {sig(host)} holds no numbers")
    return host


def _flatten(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """JSON for `value`, with its arrays taken out into `arrays`. Keys that begin with $ are ours."""
    if _is_array(value):
        name = path or "value"
        while name in arrays:
            name += "_"
        arrays[name] = _host(value)
        return {"$array": name}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    dot = f"{path}." if path else ""
    if isinstance(value, (list, tuple)):
        items = [_flatten(item, f"{dot}{i}", arrays) for i, item in enumerate(value)]
        return {"$tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _flatten(item, dot + key, arrays) for key, item in value.items()}
        if all(isinstance(key, (str, int, float, bool)) for key in value):
            return {"$items": [[key, _flatten(item, f"{dot}{key}", arrays)] for key, item in value.items()]}
    raise DtypeError(
        f"save: {path or 'the object'} is {sig(value)}",
        hint="a file holds arrays, numbers, strings, None, lists and dictionaries; pass a state_dict()",
    )


def _rebuild(value: Any, arrays: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_rebuild(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if "$array" in value:
        return arrays[value["$array"]]
    if "$tuple" in value:
        return tuple(_rebuild(item, arrays) for item in value["$tuple"])
    if "$items" in value:
        return {key: _rebuild(item, arrays) for key, item in value["$items"]}
    return {key: _rebuild(item, arrays) for key, item in value.items()}


# ---- npz -----------------------------------------------------------------------------------------------------------
def _write_npz(file: BinaryIO, arrays: Mapping[str, np.ndarray], structure: str | None) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array, order="C"), allow_pickle=False)
        if structure is not None:
            archive.writestr(f"{STRUCTURE}.json", structure)


def _read_npz(file: BinaryIO, path: Path) -> tuple[dict[str, np.ndarray], str | None]:
    arrays: dict[str, np.ndarray] = {}
    structure = None
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if sum(info.compress_size for info in members) > file.seek(0, io.SEEK_END):
                raise _corrupt(path, "its members overlap")
            for info in members:
                if info.filename == f"{STRUCTURE}.json":
                    if info.compress_type != zipfile.ZIP_STORED:  # ours is not; a small file could unpack to anything
                        raise _corrupt(path, f"{info.filename!r} is compressed")
                    structure = archive.read(info).decode()
                elif info.filename.endswith(".npy"):
                    with archive.open(info) as member:
                        arrays[info.filename[:-4]] = _read_npy(member, info, path)
                else:
                    raise _corrupt(path, f"it holds {info.filename!r}, which is no array")
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, struct.error, zipfile.LargeZipFile) as error:
        raise error if isinstance(error, CorruptDataError) else _corrupt(path, str(error) or repr(error)) from None
    except Exception as error:  # zlib.error and whatever else damaged bytes provoke
        raise _corrupt(path, repr(error)) from None
    return arrays, structure


def _read_npy(member: Any, info: zipfile.ZipInfo, path: Path) -> np.ndarray:
    version = np.lib.format.read_magic(member)
    if version not in ((1, 0), (2, 0)):
        raise _corrupt(path, f"{info.filename!r} has the unknown version {version}")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(member)
    if dtype.kind not in "biufc":
        raise _corrupt(path, f"{info.filename!r} holds objects of dtype {dtype}, not numbers")
    room = info.file_size - member.tell()
    if math.prod(shape) * dtype.itemsize != room:  # asked before memory is taken for what a member unpacks to
        raise _corrupt(path, f"{info.filename!r} has {room} bytes for an array {list(shape)} of {dtype}")
    data = member.read()
    if len(data) != room:
        raise _corrupt(path, f"{info.filename!r} ends after {len(data)} of {room} bytes")
    array = np.frombuffer(data, dtype).reshape(shape[::-1] if fortran else shape)
    return _native(array.T if fortran else array)


def _native(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


# ---- safetensors ---------------------------------------------------------------------------------------------------
_NAMES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL", "complex64": "C64",
}  # fmt: skip
_DTYPES = {short: np.dtype(name).newbyteorder("<") for name, short in _NAMES.items()} | {"BF16": np.dtype("<u2")}


def _write_safetensors(file: BinaryIO, arrays: Mapping[str, np.ndarray], structure: str | None) -> None:
    header: dict[str, Any] = dict.fromkeys(arrays)  # the order in which they come back
    ordered = sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize)  # keeps every array aligned
    position = 0
    for name, array in ordered:
        if array.dtype.name not in _NAMES:
            raise DtypeError(f"save: safetensors has no dtype for {name} {sig(array)}", hint="save as .npz")
        header[name] = {
            "dtype": _NAMES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [position, position + array.nbytes],
        }
        position += array.nbytes

    def blocks() -> Iterator[bytes]:
        return (np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes() for _, array in ordered)

    if structure is not None:  # the format has no checksum; what only we read gets one
        header = {"__metadata__": {STRUCTURE: structure, CHECKSUM: _checksum(structure, header, blocks())}, **header}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)))
    file.write(text)
    file.writelines(blocks())


def _checksum(structure: str, header: Mapping[str, Any], blocks: Iterable[bytes]) -> str:
    crc = zlib.crc32((structure + json.dumps(header, separators=(",", ":"))).encode())
    for block in blocks:
        crc = zlib.crc32(block, crc)
    return f"{crc:08x}"


def _read_safetensors(file: BinaryIO, path: Path) -> tuple[dict[str, np.ndarray], str | None]:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else None
    if length is None or length > size - 8:
        raise _corrupt(path, "its header is not complete")
    try:
        header = json.loads(file.read(length))
        metadata = header.pop("__metadata__", {})
        entries = {
            name: (_DTYPES[e["dtype"]], tuple(e["shape"]), *e["data_offsets"], e["dtype"]) for name, e in header.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _corrupt(path, f"its header cannot be read ({error!r})") from None
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _corrupt(path, "its metadata are no strings")
    for name, (dtype, shape, begin, stop, _) in entries.items():
        numbers = [*shape, begin, stop]
        if not all(type(n) is int and n >= 0 for n in numbers):
            raise _corrupt(path, f"{name!r} has the shape {list(shape)} at [{begin}, {stop}]")
        if stop - begin != math.prod(shape) * dtype.itemsize or stop > size - 8 - length:
            raise _corrupt(
                path, f"{name!r} {list(shape)} does not fit into bytes {begin} to {stop} of the file's {size}"
            )
    arrays: dict[str, np.ndarray] = {}
    end = 0
    for name, (dtype, shape, begin, stop, short) in sorted(entries.items(), key=lambda item: item[1][2:4]):
        if begin != end:  # bytes that many arrays share would take many times the memory of the file
            raise _corrupt(path, f"{name!r} begins at byte {begin}, the array before it ends at {end}")
        file.seek(8 + length + begin)
        array = np.frombuffer(file.read(stop - begin), dtype).reshape(shape)
        if short == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        arrays[name] = _native(array)
        end = stop
    if 8 + length + end != size:
        raise _corrupt(path, f"{size - 8 - length - end} bytes behind the last array")
    if STRUCTURE in metadata or CHECKSUM in metadata:
        file.seek(8 + length)
        blocks = iter(lambda: file.read(1 << 20), b"")
        if metadata.get(CHECKSUM) != _checksum(metadata.get(STRUCTURE, ""), header, blocks):
            raise _corrupt(path, "its checksum is not that of its content")
    return {name: arrays[name] for name in header}, metadata.get(STRUCTURE)


_FORMATS: dict[str, tuple[Callable, Callable]] = {
    ".npz": (_write_npz, _read_npz),
    ".safetensors": (_write_safetensors, _read_safetensors),
}
