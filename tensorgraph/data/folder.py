"""`ImageFolder`: photographs in folders, a folder for each class; `read_image`. Both need Pillow (extra `data`)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from tensorgraph.data.dataset import Dataset
from tensorgraph.errors import ArgumentError, CorruptDataError, MissingDataError, MissingPackageError

__all__ = ["ImageFolder", "read_image"]

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


class ImageFolder(Dataset[tuple]):
    """The images under `root/<class>/`, at any depth: sample i is (image, label).

    image float32 (3, H, W) between 0 and 1 (red, green, blue; `mode="L"`: grey, (1, H, W)), or, with `dtype="uint8"`,
    0 to 255; turned as the camera says it was held. label int, the place of the folder's name in `classes`, which is in
    alphabetical order. `transform(image)`: what happens to each image: photographs differ in size, so
    `augment.Resize((H, W))` or `augment.RandomResizedCrop(size)` at least, if they are to become a batch.

    `on_error="skip"` decodes every image once, when the data set is made, and leaves out those that are damaged:
    `skipped` lists (path, reason). `samples` lists (path, label), `targets` the labels, `class_to_idx` the classes.

    Raises MissingDataError when the folder, class folders in it, or images in one of them are missing, CorruptDataError
    (when a sample is read) naming the file that is damaged, MissingPackageError without Pillow.
    """

    def __init__(
        self,
        root: str | os.PathLike,
        transform: Callable[[np.ndarray], Any] | None = None,
        mode: str = "RGB",
        dtype: Any = "float32",
        on_error: str = "raise",
    ):
        self.root = Path(root).expanduser()
        if mode not in ("RGB", "L"):
            raise ArgumentError(f'ImageFolder: mode is "RGB" or "L", got {mode!r}')
        if np.dtype(dtype) not in (np.float32, np.uint8):
            raise ArgumentError(f'ImageFolder: dtype is "float32" or "uint8", got {dtype!r}')
        if on_error not in ("raise", "skip"):
            raise ArgumentError(f'ImageFolder: on_error is "raise" or "skip", got {on_error!r}')
        self.transform, self.mode, self.dtype = transform, mode, np.dtype(dtype)
        _pillow()
        self.classes = self._classes()
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
        self.samples = [(path, i) for i, name in enumerate(self.classes) for path in _images(self.root / name)]
        self.skipped: list[tuple[Path, str]] = []
        if on_error == "skip":
            self.samples = [sample for sample in self.samples if self._readable(sample[0])]
        there = {label for _, label in self.samples}
        empty = [name for i, name in enumerate(self.classes) if i not in there]
        if empty:
            raise MissingDataError(
                f"ImageFolder: no {'readable ' if self.skipped else ''}images in {', '.join(empty)}",
                operands=[str(self.root), *(f"skipped {path}: {reason}" for path, reason in self.skipped[:5])],
                hint=f"remove the folder, or put images into it ({' '.join(EXTENSIONS)})",
            )

    @property
    def targets(self) -> list[int]:
        """The label of every sample."""
        return [label for _, label in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        path, label = self.samples[index]
        image = read_image(path, self.mode)
        if self.dtype == np.float32:
            image = image.astype(np.float32) / np.float32(255)
        return (image if self.transform is None else self.transform(image)), label

    def __repr__(self) -> str:
        return f"ImageFolder({str(self.root)!r}: {len(self):,} images, {len(self.classes)} classes)"

    def _classes(self) -> list[str]:
        if not self.root.is_dir():
            raise MissingDataError(f"ImageFolder: there is no folder {self.root}")
        found = sorted(entry.name for entry in self.root.iterdir() if entry.is_dir() and entry.name[0] != ".")
        if not found:
            loose = next(iter(_images(self.root)), None)
            raise MissingDataError(
                f"ImageFolder: no class folders in {self.root}",
                operands=[] if loose is None else [f"images lie in it directly, as {loose.name}"],
                hint="images are expected in <root>/<class>/<any name>.jpg",
            )
        return found

    def _readable(self, path: Path) -> bool:
        try:
            read_image(path, self.mode)
        except CorruptDataError as error:
            self.skipped.append((path, error.message))
            return False
        return True


def read_image(path: str | os.PathLike | IO[bytes], mode: str = "RGB") -> np.ndarray:
    """An image file, or an open one, as uint8 (3, H, W), or (1, H, W) with `mode="L"`.

    It is turned as the camera says it was held.

    Raises MissingDataError when there is no such file, CorruptDataError when it is no image, damaged or truncated.
    """
    image, ops = _pillow()
    name = Path(path).name if isinstance(path, (str, os.PathLike)) else "an image in memory"
    try:
        with image.open(path) as opened:
            pixels = np.asarray(ops.exif_transpose(opened).convert(mode))
    except FileNotFoundError:
        raise MissingDataError(f"{name}: there is no such file", operands=[str(path)]) from None
    except Exception as error:  # whatever damaged bytes provoke in a decoder
        raise CorruptDataError(
            f"{name}: no image, damaged or truncated ({error or type(error).__name__})",
            operands=[str(path)],
            hint='remove it, or ImageFolder(..., on_error="skip"), which lists what it leaves out',
        ) from None
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


def _images(folder: Path) -> list[Path]:
    """The image files of a folder and of the folders in it, in alphabetical order."""
    found = []
    for where, _, names in os.walk(folder, followlinks=True):
        found += [Path(where, name) for name in names if name.lower().endswith(EXTENSIONS) and name[0] != "."]
    return sorted(found)


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise MissingPackageError(
            "ImageFolder: images are read by Pillow, which is not installed",
            hint='pip install "tensorgraph[data]", or pip install pillow',
        ) from None
    return Image, ImageOps
