"""`HDF5Dataset`: arrays in an HDF5 file, read sample by sample. Needs h5py (extra `data`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from tensorgraph.data.dataset import Dataset
from tensorgraph.errors import (
    CorruptDataError,
    MissingDataError,
    MissingPackageError,
    OutOfRangeError,
    ShapeError,
)
from tensorgraph.tensor import Tensor

__all__ = ["HDF5Dataset"]


class HDF5Dataset(Dataset[tuple]):
    """Arrays of one HDF5 file, side by side: sample i is the tuple of their i-th entries; nothing else is read.

    `names`: which arrays ("images", "train/labels"); without any, all at the top, in alphabetical order. Batches come
    as the arrays are stored: `transform=augment.ToFloat()` in the loader makes floats of bytes. The file is opened when
    the first sample is read, by each worker for itself.

    Raises MissingDataError for a missing file or array, CorruptDataError for a file that is no HDF5 or damaged,
    ShapeError for arrays of different lengths, MissingPackageError without h5py.
    """

    def __init__(self, path: str | os.PathLike, *names: str):
        self.path = Path(path).expanduser()
        self._opened: tuple[int, Any] | None = None
        with self._open() as file:
            arrays = _h5py().Dataset
            found: list[str] = []
            file.visititems(lambda name, item: found.append(name) if isinstance(item, arrays) else None)
            self.names = names or tuple(sorted(name for name in found if "/" not in name))
            missing = [name for name in self.names if name.strip("/") not in found]
            if missing or not self.names:
                raise MissingDataError(
                    f"HDF5Dataset: no array {', '.join(map(repr, missing)) or 'at the top'} in {self.path.name}",
                    operands=[str(self.path)],
                    hint=f"there are: {', '.join(found) or 'none'}",
                )
            shapes = {name: file[name].shape for name in self.names}
        lengths = {shape[0] if shape else -1 for shape in shapes.values()}
        if len(lengths) > 1 or -1 in lengths:
            raise ShapeError(
                f"HDF5Dataset: arrays of different lengths: {', '.join(f'{n} {s}' for n, s in shapes.items())}",
                operands=[str(self.path)],
                hint="entry i of every array belongs to sample i",
            )
        self._length = lengths.pop()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> tuple:
        file = self._file()
        if not -len(self) <= index < len(self):
            raise OutOfRangeError(f"HDF5Dataset: there is no sample {index} of {len(self)}")
        return tuple(self._read(file[name], index % len(self)) for name in self.names)

    def batch(self, indices: np.ndarray) -> tuple[Tensor, ...]:
        """The samples at `indices`, stacked; read in the order of the file, each once."""
        file = self._file()
        wanted, back = np.unique(np.asarray(indices) % len(self), return_inverse=True)
        return tuple(Tensor(np.asarray(self._read(file[name], wanted))[back]) for name in self.names)

    def close(self) -> None:
        """Closes the file; reading opens it again."""
        if self._opened is not None and self._opened[0] == os.getpid():
            self._opened[1].close()
        self._opened = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def __repr__(self) -> str:
        return f"HDF5Dataset({str(self.path)!r}, {', '.join(map(repr, self.names))}: {len(self):,} samples)"

    def _file(self) -> Any:
        if self._opened is None or self._opened[0] != os.getpid():  # a fork must not use its parent's
            self._opened = os.getpid(), self._open()
        return self._opened[1]

    def _open(self) -> Any:
        h5py = _h5py()
        try:
            return h5py.File(self.path, "r")
        except FileNotFoundError:
            raise MissingDataError(f"{self.path.name}: there is no such file", operands=[str(self.path)]) from None
        except OSError as error:
            raise CorruptDataError(
                f"{self.path.name}: no HDF5 file, damaged or truncated ({error})", operands=[str(self.path)]
            ) from None

    def _read(self, array: Any, index: Any) -> Any:
        try:
            return array[index]
        except (OSError, RuntimeError) as error:
            raise CorruptDataError(
                f"{self.path.name}: {array.name} cannot be read ({error})", operands=[str(self.path)]
            ) from None


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise MissingPackageError(
            "HDF5Dataset: HDF5 files are read by h5py, which is not installed",
            hint='pip install "tensorgraph[data]", or pip install h5py',
        ) from None
    return h5py
