"""Augmentations that move whole pixels: crops, flips, translations by whole pixels, cutout. Imported by augment.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph.data.augment_transform import Transform, pair, probability
from tensorgraph.data.randomness import SampleRandom
from tensorgraph.errors import ArgumentError, ShapeError, sig

__all__ = ["CenterCrop", "Cutout", "Pad", "RandomCrop", "RandomHorizontalFlip", "RandomVerticalFlip"]

_MODES = ("constant", "edge", "reflect", "symmetric")


class Pad(Transform):
    """Adds `padding` (one number, or above/below and left/right) pixels on each side.

    `padding_mode`: "constant" (with `fill`), "edge", "reflect" (the border pixel is not repeated), "symmetric" (it is).
    """

    def __init__(self, padding: Any, fill: float = 0.0, padding_mode: str = "constant"):
        self.padding = pair(padding, type(self).__name__, "padding", 0)
        self.fill = fill
        self.padding_mode = padding_mode
        if padding_mode not in _MODES:
            raise ArgumentError(
                f"{type(self).__name__}: padding_mode is one of {', '.join(_MODES)}, got {padding_mode!r}"
            )

    def apply(self, images: np.ndarray, rng: SampleRandom) -> np.ndarray:
        (p, q), (n, c, h, w) = self.padding, images.shape
        if self.padding_mode != "constant":
            if self.padding_mode == "reflect" and (p >= h or q >= w):
                raise ShapeError(
                    f"{type(self).__name__}: reflecting {self.padding} pixels needs more than {sig(images)}"
                )
            return np.pad(images, ((0, 0), (0, 0), (p, p), (q, q)), mode=self.padding_mode)  # pyright: ignore
        padded = np.full((n, c, h + 2 * p, w + 2 * q), self.fill, images.dtype)
        padded[:, :, p : p + h, q : q + w] = images
        return padded


class RandomCrop(Pad):
    """A window of `size` at a random place, after padding: 4 pixels around 32x32 is the usual choice for CIFAR-10.

    `padding`, `fill`, `padding_mode` as in `Pad`. With a padding of p and the images' own size, this translates by up
    to p whole pixels.

    Raises ShapeError when the padded images are smaller than `size`.
    """

    def __init__(self, size: Any, padding: Any = 0, fill: float = 0.0, padding_mode: str = "constant"):
        self.size = pair(size, "RandomCrop")
        super().__init__(padding, fill, padding_mode)

    def apply(self, images: np.ndarray, rng: SampleRandom) -> np.ndarray:
        padded = super().apply(images, rng) if any(self.padding) else images
        (n, c, rows, columns), (h, w) = padded.shape, self.size
        if rows < h or columns < w:
            raise ShapeError(f"RandomCrop: {sig(images)} with a padding of {self.padding} is smaller than {self.size}")
        down, right = rng.integers(0, rows - h + 1).tolist(), rng.integers(0, columns - w + 1).tolist()
        out = np.empty((n, c, h, w), images.dtype)
        for i in range(n):  # slices copy faster than one indexing with arrays
            out[i] = padded[i, :, down[i] : down[i] + h, right[i] : right[i] + w]
        return out


class CenterCrop(Transform):
    """The window of `size` in the middle; where an odd pixel is left over, it stays below and at the right.

    Raises ShapeError when the images are smaller.
    """

    def __init__(self, size: Any):
        self.size = pair(size, "CenterCrop")

    def apply(self, images: np.ndarray, rng: SampleRandom) -> np.ndarray:
        (h, w), (rows, columns) = self.size, images.shape[2:]
        if rows < h or columns < w:
            raise ShapeError(f"CenterCrop: {sig(images)} is smaller than {self.size}")
        top, left = (rows - h) // 2, (columns - w) // 2
        return images[:, :, top : top + h, left : left + w].copy()


class RandomHorizontalFlip(Transform):
    """Left and right exchanged, with probability `p`."""

    def __init__(self, p: float = 0.5):
        self.p = probability(p, type(self).__name__)

    _flipped = (slice(None), slice(None), slice(None), slice(None, None, -1))

    def apply(self, images: np.ndarray, rng: SampleRandom) -> np.ndarray:
        chosen = np.flatnonzero(rng.chance(self.p))
        out = images.copy()
        out[chosen] = images[chosen][self._flipped]
        return out


class RandomVerticalFlip(RandomHorizontalFlip):
    """Top and bottom exchanged, with probability `p`."""

    _flipped = (slice(None), slice(None), slice(None, None, -1))


class Cutout(Transform):
    """A square (or rectangle) of `size` pixels around a random pixel set to `fill`; part of it may lie outside.

    Source: DeVries & Taylor, Improved regularization of CNNs with cutout, arXiv:1708.04552, 2017.
    """

    def __init__(self, size: Any, fill: float = 0.0, p: float = 1.0):
        self.size = pair(size, "Cutout")
        self.fill = fill
        self.p = probability(p, "Cutout")

    def apply(self, images: np.ndarray, rng: SampleRandom) -> np.ndarray:
        inside = []
        for size, n in zip(self.size, images.shape[2:]):
            first = rng.integers(0, n)[:, None] - size // 2
            at = np.arange(n)
            inside.append((at >= first) & (at < first + size))
        rows, columns = inside
        cut = rows[:, None, :, None] & columns[:, None, None, :] & rng.chance(self.p)[:, None, None, None]
        return np.where(cut, np.array(self.fill, images.dtype), images)
