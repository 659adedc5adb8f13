"""Augmentations that interpolate: rotation, translation, scale, shear; resizing and crops that are resized.

Imported by augment.py. Positions are in pixels, a pixel's centre is a whole number, y points down.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorgraph.data.augment_transform import Transform, pair, span
from tensorgraph.data.randomness import SampleRandom
from tensorgraph.errors import ArgumentError

__all__ = ["RandomAffine", "RandomResizedCrop", "RandomRotation", "RandomScale", "RandomTranslation", "Resize"]

_TRIES = 10


class RandomAffine(Transform):
    """Rotates, scales, shears and translates around the middle of the image, each by a random amount.

    `degrees`: (low, high), or one number for -it to +it; counterclockwise. `translate`: the largest shift down and to
    the right (and up, and to the left) as parts of height and width, one number or two. `scale`: (low, high) factors.
    `shear`: degrees, as `degrees`. `interpolation`: "bilinear" or "nearest". What comes from outside is `fill`.
    """

    def __init__(
        self,
        degrees: Any = 0,
        translate: Any = 0,
        scale: Any = (1, 1),
        shear: Any = 0,
        interpolation: str = "bilinear",
        fill: float = 0.0,
    ):
        who = type(self).__name__
        self.degrees = span(degrees, who, "degrees", 0)
        self.translate = (translate, translate) if isinstance(translate, (int, float)) else tuple(translate)
        if len(self.translate) != 2 or not all(0 <= part <= 1 for part in self.translate):
            raise ArgumentError(
                f"{who}: translate is a part from 0 to 1, or one of height and width, got {translate!r}"
            )
        self.scale = span(scale, who, "scale", least=0)
        if not self.scale[0] > 0:
            raise ArgumentError(f"{who}: scale is (low, high) above 0, got {scale!r}")
        self.shear = span(shear, who, "shear", 0)
        if interpolation not in ("bilinear", "nearest"):
            raise ArgumentError(f'{who}: interpolation is "bilinear" or "nearest", got {interpolation!r}')
        self.interpolation = interpolation
        self.fill = fill

    def apply(self, images: np.ndarray, rng: SampleRandom) -> np.ndarray:
        h, w = images.shape[2:]
        turn, shear = (np.deg2rad(rng.uniform(*limits)) for limits in (self.degrees, self.shear))
        factor = rng.uniform(*self.scale)
        down, right = (rng.uniform(-part * n, part * n) for part, n in zip(self.translate, (h, w)))
        tangent = np.tan(shear)
        cos, sin = np.cos(turn), np.sin(turn)
        # Forward, in (x, y): a point is sheared by [[1, t], [0, 1]], turned by [[c, s], [-s, c]], scaled, and shifted.
        # The rows here are those of the inverse, in (y, x): where the pixel of the result comes from.
        back = np.array([[cos, sin], [-sin - tangent * cos, cos - tangent * sin]]) / factor
        return warped(images, back.transpose(2, 0, 1), np.stack([down, right], 1), self.interpolation, self.fill)


class RandomRotation(RandomAffine):
    """Turned counterclockwise around the middle by `degrees`: (low, high), or one number for -it to +it."""

    def __init__(self, degrees: Any, interpolation: str = "bilinear", fill: float = 0.0):
        super().__init__(degrees, interpolation=interpolation, fill=fill)


class RandomTranslation(RandomAffine):
    """Shifted by up to `translate`, as parts of height and width; by whole pixels: `RandomCrop` with padding."""

    def __init__(self, translate: Any, interpolation: str = "bilinear", fill: float = 0.0):
        super().__init__(translate=translate, interpolation=interpolation, fill=fill)


class RandomScale(RandomAffine):
    """Larger or smaller by a factor from `scale` (low, high), around the middle, in an image of the same size."""

    def __init__(self, scale: Any, interpolation: str = "bilinear", fill: float = 0.0):
        super().__init__(scale=scale, interpolation=interpolation, fill=fill)


class Resize(Transform):
    """Resized to (height, width); a single number is the shorter side, and the ratio is kept.

    Bilinear; when it shrinks, every pixel counts (a triangle filter as wide as needed: no aliasing), as Pillow does.
    """

    def __init__(self, size: Any):
        self.size = pair(size, "Resize") if isinstance(size, (tuple, list)) else pair(size, "Resize")[0]

    def apply(self, images: np.ndarray, rng: SampleRandom) -> np.ndarray:
        h, w = images.shape[2:]
        if isinstance(self.size, tuple):
            size = self.size
        else:
            size = tuple(self.size if n == min(h, w) else int(self.size * n / min(h, w)) for n in (h, w))
        zero = np.zeros(1, int)
        return resampled(images, (zero, zero + h), (zero, zero + w), size)


class RandomResizedCrop(Transform):
    """A window of random area and shape, resized to `size`: the usual crop for photographs.

    `scale`: (low, high), its area as a part of the image's; `ratio`: (low, high), its width by its height. When ten
    tries find none that fits, it is the largest in the middle with a permitted ratio. Resizing as in `Resize`.

    Source: Szegedy et al., Going deeper with convolutions, CVPR 2015.
    """

    def __init__(self, size: Any, scale: Any = (0.08, 1.0), ratio: Any = (3 / 4, 4 / 3)):
        self.size = pair(size, "RandomResizedCrop")
        self.scale = span(scale, "RandomResizedCrop", "scale", least=0)
        self.ratio = span(ratio, "RandomResizedCrop", "ratio", least=0)
        if not self.scale[1] > 0 or not self.ratio[0] > 0:
            raise ArgumentError(f"RandomResizedCrop: scale {scale!r} and ratio {ratio!r} must be above 0")

    def apply(self, images: np.ndarray, rng: SampleRandom) -> np.ndarray:
        h, w = images.shape[2:]
        area = h * w * rng.uniform(*self.scale, (_TRIES,))
        ratio = np.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1]), (_TRIES,)))
        rows, columns = (np.rint(np.sqrt(one)).astype(int) for one in (area / ratio, area * ratio))
        fits = (rows > 0) & (rows <= h) & (columns > 0) & (columns <= w)
        first = np.argmax(fits, axis=1)[:, None]
        nearest = min(max(w / h, self.ratio[0]), self.ratio[1])
        middle = (round(w / nearest), w) if w / h < nearest else (h, round(h * nearest))
        found = fits.any(axis=1)
        height, width = (
            np.where(found, np.take_along_axis(tried, first, 1)[:, 0], max(1, size))
            for tried, size in ((rows, middle[0]), (columns, middle[1]))
        )
        top = np.where(found, rng.integers(0, h - height + 1), (h - height) // 2)
        left = np.where(found, rng.integers(0, w - width + 1), (w - width) // 2)
        return resampled(images, (top, height), (left, width), self.size)


# ---- how ---------------------------------------------------------------------------------------------------------
def warped(images: np.ndarray, back: np.ndarray, shift: np.ndarray, interpolation: str, fill: float) -> np.ndarray:
    """Pixel p of the result is the image at `back @ (p - middle - shift) + middle`; back (N, 2, 2), shift (N, 2)."""
    n, c, h, w = images.shape
    work = np.float64 if images.dtype == np.float64 else np.float32
    middle = np.array([(h - 1) / 2, (w - 1) / 2])
    out = np.empty(images.shape, images.dtype)
    y, x = (np.arange(size, dtype=work)[None, :] for size in (h, w))
    some = max(1, (1 << 18) // (c * h * w))  # images that fit into the cache
    for first in range(0, n, some):
        part = slice(first, min(first + some, n))
        offset = middle + 1 - np.einsum("nij,nj->ni", back[part], middle + shift[part])  # 1: the border added below
        matrix, offset = back[part, :, :, None].astype(work), offset[:, :, None].astype(work)
        rows = (matrix[:, 0, 0] * y + offset[:, 0])[:, :, None] + (matrix[:, 0, 1] * x)[:, None, :]
        columns = (matrix[:, 1, 0] * y + offset[:, 1])[:, :, None] + (matrix[:, 1, 1] * x)[:, None, :]
        made = _sampled(images[part], rows, columns, interpolation, fill).swapaxes(0, 1)
        out[part] = as_bytes(made) if images.dtype == np.uint8 else made
    return out


def _sampled(images: np.ndarray, rows: np.ndarray, columns: np.ndarray, interpolation: str, fill: float) -> np.ndarray:
    """(c, n, h, w): images with a border of one pixel of `fill` at positions (n, h, w) in pixels of that."""
    n, c, h, w = images.shape
    bordered = np.full((c, n, h + 2, w + 2), fill, rows.dtype)
    bordered[:, :, 1:-1, 1:-1] = images.swapaxes(0, 1)
    pixels = bordered.reshape(c, -1)
    if interpolation == "nearest":
        rows, columns = np.rint(rows), np.rint(columns)
    rows, columns = np.clip(rows, 0, h + 1), np.clip(columns, 0, w + 1)
    top, left = np.minimum(rows.astype(np.intp), h), np.minimum(columns.astype(np.intp), w)
    at = (np.arange(n)[:, None, None] * (h + 2) + top) * (w + 2) + left
    down, right = (rows - top).astype(rows.dtype), (columns - left).astype(rows.dtype)

    def row(at: np.ndarray) -> np.ndarray:
        here = pixels.take(at, axis=1)
        return here + (pixels.take(at + 1, axis=1) - here) * right

    upper = row(at)
    return upper + (row(at + w + 2) - upper) * down


def resampled(images: np.ndarray, rows: tuple, columns: tuple, size: tuple[int, ...]) -> np.ndarray:
    """The windows that begin at rows[0], columns[0] and are rows[1] by columns[1] large, (N,) or (1,) each, resized."""
    h, w = images.shape[2:]
    work = np.float64 if images.dtype == np.float64 else np.float32
    down = _weights(rows[0], rows[1], h, size[0]).astype(work)[:, None]
    across = _weights(columns[0], columns[1], w, size[1]).astype(work)[:, None]
    made = down @ images.astype(work, copy=False) @ across.swapaxes(-1, -2)
    return as_bytes(made) if images.dtype == np.uint8 else made.astype(images.dtype, copy=False)


def _weights(start: np.ndarray, length: np.ndarray, n: int, wanted: int) -> np.ndarray:
    """How much each of `n` pixels counts in each of `wanted`: (N, wanted, n); rows add up to 1."""
    step = (length / wanted)[:, None, None]
    centre = start[:, None, None] + (np.arange(wanted) + 0.5)[:, None] * step
    pixel = np.arange(n)
    weights = np.maximum(0, 1 - np.abs(pixel + 0.5 - centre) / np.maximum(step, 1))
    weights *= (pixel >= start[:, None, None]) & (pixel < (start + length)[:, None, None])
    return weights / weights.sum(axis=2, keepdims=True)


def as_bytes(images: np.ndarray) -> np.ndarray:
    """Rounded to whole numbers from 0 to 255."""
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)
