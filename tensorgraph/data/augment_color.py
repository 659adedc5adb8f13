"""Augmentations of values: colours, noise, normalisation, mixtures of images. Imported by augment.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph.data.augment_transform import Transform, span, white
from tensorgraph.data.augment_warp import as_bytes
from tensorgraph.data.dataset import raw
from tensorgraph.data.randomness import SampleRandom
from tensorgraph.errors import ArgumentError, DtypeError, OutOfRangeError, ShapeError, sig
from tensorgraph.tensor import Tensor

__all__ = ["ColorJitter", "GaussianNoise", "Mixup", "Normalize", "PCANoise", "ToFloat"]

_GREY = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


class _Values(Transform):
    """Transforms that compute with numbers where white is 1, and give back the dtype that came."""

    def apply(self, images: np.ndarray, rng: SampleRandom) -> np.ndarray:
        work = np.float64 if images.dtype == np.float64 else np.float32
        changed = self.change(images.astype(work) / work(white(images)), rng)
        return as_bytes(changed * 255) if images.dtype == np.uint8 else changed.astype(images.dtype, copy=False)

    def change(self, images: np.ndarray, rng: SampleRandom) -> np.ndarray:
        """The same on floats where white is 1; `images` may be written to."""
        raise NotImplementedError(f"{type(self).__name__} has no change(images, rng)")


class ColorJitter(_Values):
    """Brightness, contrast, saturation and hue changed at random, in this order; what leaves 0 to 1 is cut off.

    Each of the first three is a factor from (low, high), or one number v for 1 - v to 1 + v: brightness multiplies,
    contrast moves away from the image's mean grey, saturation away from each pixel's grey. `hue` is a turn of the
    colour circle from (low, high) between -0.5 and 0.5, or one number. One channel has no saturation and no hue.

    Raises ShapeError for images of other than 1 or 3 channels.
    """

    def __init__(self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0):
        self.brightness = span(brightness, "ColorJitter", "brightness", 1, 0)
        self.contrast = span(contrast, "ColorJitter", "contrast", 1, 0)
        self.saturation = span(saturation, "ColorJitter", "saturation", 1, 0)
        self.hue = span(hue, "ColorJitter", "hue", 0, -0.5)
        if self.hue[1] > 0.5:
            raise ArgumentError(f"ColorJitter: hue is a part of the circle from -0.5 to 0.5, got {hue!r}")

    def change(self, images: np.ndarray, rng: SampleRandom) -> np.ndarray:
        colours = images.shape[1]
        if colours not in (1, 3):
            raise ShapeError(f"ColorJitter: images have 1 channel or 3 (RGB), got {sig(images)}")

        def factor(limits: tuple[float, float]) -> np.ndarray:
            return rng.uniform(*limits).astype(images.dtype)[:, None, None, None]

        brightness, contrast, saturation, hue = map(factor, (self.brightness, self.contrast, self.saturation, self.hue))
        if self.brightness != (1, 1):
            images = np.clip(images * brightness, 0, 1)
        if self.contrast != (1, 1):
            mean = _grey(images).mean(axis=(1, 2, 3), keepdims=True)
            images = np.clip(mean + (images - mean) * contrast, 0, 1)
        if colours == 3 and self.saturation != (1, 1):
            grey = _grey(images)
            images = np.clip(grey + (images - grey) * saturation, 0, 1)
        if colours == 3 and self.hue != (0, 0):
            images = _turned(images, hue[:, 0])
        return images


def _grey(images: np.ndarray) -> np.ndarray:
    """(N, 1, H, W)."""
    if images.shape[1] == 1:
        return images
    return np.einsum("nchw,c->nhw", images, _GREY.astype(images.dtype))[:, None]


def _turned(images: np.ndarray, hue: np.ndarray) -> np.ndarray:
    """The colour circle turned; lightness (the largest component) and saturation stay.  hue (N, 1, 1)."""
    red, green, blue = images[:, 0], images[:, 1], images[:, 2]
    high, low = images.max(axis=1), images.min(axis=1)
    spread = high - low
    unit = np.where(spread == 0, 1, spread)
    angle = np.where(
        high == red, (green - blue) / unit, np.where(high == green, 2 + (blue - red) / unit, 4 + (red - green) / unit)
    )
    angle = angle + 6 * hue
    # each component is `high` around its own angle and falls linearly to `low`
    parts = []
    for offset in (5, 3, 1):
        k = (offset + angle) % 6
        parts.append(high - spread * np.clip(np.minimum(k, 4 - k), 0, 1))
    return np.stack(parts, axis=1)


class PCANoise(_Values):
    """AlexNet's colour noise: each image is shifted along the principal axes of the colours of the training set.

    To every pixel of an image is added `eigenvectors @ (alpha * eigenvalues)`, with three numbers alpha ~ N(0, std)
    that are drawn for each image and epoch. eigenvalues (3,) and eigenvectors (3, 3), in columns, are those of the
    covariance of the RGB values of the training set's pixels, where white is 1: `PCANoise.fit(images)` computes them.
    Floats are not cut off at 0 and 1.

    Source: Krizhevsky, Sutskever & Hinton, ImageNet classification with deep convolutional neural networks, NIPS 2012.
    """

    def __init__(self, eigenvalues: Any, eigenvectors: Any, std: float = 0.1):
        self.eigenvalues = np.asarray(raw(eigenvalues), np.float64)
        self.eigenvectors = np.asarray(raw(eigenvectors), np.float64)
        self.std = _not_negative(std, "PCANoise", "std")
        c = len(self.eigenvalues) if self.eigenvalues.ndim == 1 else 0
        if not c or self.eigenvectors.shape != (c, c):
            raise ShapeError(
                f"PCANoise: eigenvalues (C,) and eigenvectors (C, C) are expected, got {sig(self.eigenvalues)} and "
                f"{sig(self.eigenvectors)}"
            )

    @classmethod
    def fit(cls, images: Any, std: float = 0.1) -> PCANoise:
        """The noise for a training set: images (N, C, H, W), floats or bytes."""
        array = raw(images)
        if not isinstance(array, np.ndarray) or array.ndim != 4 or array.size == 0:
            raise ShapeError(f"PCANoise.fit: images are (N, C, H, W), got {sig(array)}")
        c, count = array.shape[1], array.size // array.shape[1]
        total, squares = np.zeros(c), np.zeros((c, c))
        some = max(1, (1 << 20) // array[0].size)
        middle = array[:some].mean(axis=(0, 2, 3), keepdims=True, dtype=np.float64)  # near 0, sums lose no digits
        for first in range(0, len(array), some):
            pixels = (array[first : first + some] - middle).swapaxes(0, 1).reshape(c, -1)
            total += pixels.sum(axis=1)
            squares += pixels @ pixels.T
        mean = total / count
        covariance = (squares / count - np.outer(mean, mean)) / white(array) ** 2
        return cls(*np.linalg.eigh(covariance), std)

    def change(self, images: np.ndarray, rng: SampleRandom) -> np.ndarray:
        c = len(self.eigenvalues)
        if images.shape[1] != c:
            raise ShapeError(f"PCANoise: made for {c} channels, got {sig(images)}")
        alpha = rng.normal(0, self.std, (c,))
        images += ((alpha * self.eigenvalues) @ self.eigenvectors.T).astype(images.dtype)[:, :, None, None]
        return images


class GaussianNoise(_Values):
    """Normally distributed noise on every value, standard deviation `std` where white is 1; floats are not cut off."""

    def __init__(self, std: float):
        self.std = _not_negative(std, "GaussianNoise", "std")

    def change(self, images: np.ndarray, rng: SampleRandom) -> np.ndarray:
        scale = images.dtype.type(self.std)
        for image, numbers in zip(images, rng.generators()):
            image += scale * numbers.standard_normal(image.shape, np.float32)  # the same ones for every dtype
        return images


class Normalize(Transform):
    """(x - mean) / std, for each channel: one number, or one per channel.

    Raises DtypeError for bytes (`ToFloat` goes before), ShapeError for another number of channels.
    """

    def __init__(self, mean: Any, std: Any):
        self.mean, self.std = (np.atleast_1d(np.asarray(raw(v), np.float64)) for v in (mean, std))
        if self.mean.ndim != 1 or self.std.ndim != 1 or not (self.std > 0).all():
            raise ArgumentError(f"Normalize: mean and std are one number per channel, std above 0, got {mean}, {std}")

    def apply(self, images: np.ndarray, rng: SampleRandom) -> np.ndarray:
        if images.dtype.kind != "f":
            raise DtypeError(f"Normalize: images are floats, got {sig(images)}", hint="ToFloat() before it")
        if not {len(self.mean), len(self.std)} <= {1, images.shape[1]}:
            raise ShapeError(f"Normalize: mean and std for {len(self.mean)} channels, got {sig(images)}")
        factor, shift = 1 / self.std, -self.mean / self.std
        return images * factor.astype(images.dtype)[:, None, None] + shift.astype(images.dtype)[:, None, None]


class ToFloat(Transform):
    """Bytes from 0 to 255 as float32 from 0 to 1; floats stay as they are."""

    def apply(self, images: np.ndarray, rng: SampleRandom) -> np.ndarray:
        return images if images.dtype.kind == "f" else images.astype(np.float32) / np.float32(255)


class Mixup(Transform):
    """Each image mixed with another of its batch, the labels alike: `images, labels = mixup(images, labels)`.

    labels (N,) integers become float32 (N, num_classes), the part of each class; cross-entropy takes them. The share
    of the first image is drawn from Beta(alpha, alpha). This is the one augmentation that depends on the batch.

    Raises ArgumentError without labels, OutOfRangeError for a label outside the classes.
    Source: Zhang et al., mixup: beyond empirical risk minimization, ICLR 2018.
    """

    def __init__(self, num_classes: int, alpha: float = 0.2):
        if not isinstance(num_classes, (int, np.integer)) or num_classes < 1:
            raise ArgumentError(f"Mixup: num_classes is a whole number from 1 on, got {num_classes!r}")
        self.num_classes = int(num_classes)
        self.alpha = _not_negative(alpha, "Mixup", "alpha")
        if self.alpha == 0:
            raise ArgumentError("Mixup: alpha must be above 0")

    def apply_all(self, images: np.ndarray, others: tuple, rng: SampleRandom) -> tuple[np.ndarray, tuple]:
        labels = np.asarray(raw(others[0])) if others else None
        n = len(images)
        if labels is None or labels.shape != (n,) or labels.dtype.kind not in "iu":
            raise ArgumentError(
                f"Mixup: it needs labels (N,) of whole numbers, got {'none' if labels is None else sig(labels)}",
                hint="mixup(images, labels)",
            )
        if n and not 0 <= labels.min() <= labels.max() < self.num_classes:
            raise OutOfRangeError(
                f"Mixup: labels from {labels.min()} to {labels.max()}, num_classes={self.num_classes}"
            )
        if not n:
            return images, (np.zeros((0, self.num_classes), np.float32), *others[1:])
        numbers = rng.generators()[0]
        share = numbers.beta(self.alpha, self.alpha, n).astype(np.float32)
        partner = numbers.permutation(n)
        parts = np.zeros((n, self.num_classes), np.float32)
        np.add.at(parts, (np.arange(n), labels), share)
        np.add.at(parts, (np.arange(n), labels[partner]), 1 - share)
        weight = share[:, None, None, None]
        mixed = images * weight + images[partner] * (1 - weight)
        mixed = as_bytes(mixed) if images.dtype == np.uint8 else mixed.astype(images.dtype, copy=False)
        return mixed, (Tensor(parts) if isinstance(others[0], Tensor) else parts, *others[1:])


def _not_negative(value: Any, who: str, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < np.inf:
        raise ArgumentError(f"{who}: {name} is a number from 0 on, got {value!r}")
    return float(value)
