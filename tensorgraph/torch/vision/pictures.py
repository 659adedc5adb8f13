"""One picture in the three forms it comes in: Pillow's, an array (H, W) or (H, W, C), a tensor (C, H, W).

Also what all transforms share. Imported by the other files of this folder.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.errors import DtypeError, MissingPackageError, sig

__all__ = ["Transform", "as_array", "as_picture", "in_form_of", "pair_of", "pillow", "size_of"]


def pillow() -> Any:
    """The module PIL.Image. Raises MissingPackageError without Pillow."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingPackageError(
            "pictures are read, resized and rotated by Pillow, which is not installed",
            hint='pip install "tensorgraph[data]", or pip install pillow',
        ) from None
    return Image


def as_picture(array: np.ndarray) -> Any:
    """A Pillow picture of a uint8 array; the array itself without Pillow."""
    try:
        return pillow().fromarray(array)
    except MissingPackageError:
        return array


def as_array(picture: Any) -> np.ndarray:
    """Any form as an array (H, W, C)."""
    if isinstance(picture, tg.Tensor):
        return np.moveaxis(picture.detach().cpu().numpy(), -3, -1)
    array = np.asarray(picture)
    if array.ndim not in (2, 3) or array.dtype.kind not in "biuf":
        raise DtypeError(f"transforms: {sig(picture)} is no picture", hint="a PIL image, an array (H, W, C), a tensor")
    return array[:, :, None] if array.ndim == 2 else array


def in_form_of(array: np.ndarray, picture: Any) -> Any:
    """An array (H, W, C) in the form that `picture` has."""
    if isinstance(picture, tg.Tensor):
        return tg.tensor(np.moveaxis(array, -1, -3))
    plane = array[:, :, 0] if array.shape[2] == 1 else array
    return plane if isinstance(picture, np.ndarray) else pillow().fromarray(plane)


def size_of(picture: Any) -> tuple[int, int]:
    """(height, width)."""
    if isinstance(picture, (tg.Tensor, np.ndarray)):
        height, width = picture.shape[-2:] if isinstance(picture, tg.Tensor) else picture.shape[:2]
        return height, width
    return picture.height, picture.width


def pair_of(size: Any) -> tuple[int, int]:
    """(height, width) of one number or of two."""
    if isinstance(size, (int, np.integer)):
        return int(size), int(size)
    height, width = tuple(size) * 2 if len(size) == 1 else size
    return int(height), int(width)


class Transform:
    """Prints itself with its settings."""

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({settings})"
