"""`Transform`, what every augmentation has in common, and `Compose`, `RandomApply`, which put them together.

Imported by the other augment files and by augment.py, the front door.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorgraph.data.assemble import takes_rng
from tensorgraph.data.randomness import SampleRandom, current, from_default
from tensorgraph.errors import ArgumentError, DtypeError, ShapeError, sig
from tensorgraph.tensor import Tensor

__all__ = ["Compose", "RandomApply", "Transform", "pair", "probability", "span", "white"]


class Transform:
    """Changes a batch of images. Your own: derive, write `apply(images, rng)`, or pass any function to `Compose`.

    images (N, C, H, W), or one image (C, H, W); an array of NumPy or a tensor on the CPU, which is not changed; the
    result is of the same kind. Further arguments (labels) come back as they are: `flip(x, y)` gives a pair.
    Bytes mean 0 to 255, floats 0 to 1.

    `rng`: a `SampleRandom`, or an integer, the seed. Without one the numbers are those of the sample that a loader is
    loading, else the default generator starts them. Each image's randomness is its own: it does not depend on the
    other images of the batch.

    Raises ShapeError for something else than images, DtypeError for arrays of another device.
    """

    def __call__(self, images: Any, *others: Any, rng: SampleRandom | int | None = None) -> Any:
        who = type(self).__name__
        array = images.array if isinstance(images, Tensor) else images
        if not isinstance(array, np.ndarray):
            raise DtypeError(f"{who}: images must be an array of NumPy, got {sig(array)}", hint="x.numpy()")
        if array.ndim not in (3, 4):
            raise ShapeError(f"{who}: images are (N, C, H, W) or (C, H, W), got {sig(array)}")
        if array.dtype.kind not in "fu" or (array.dtype.kind == "u" and array.dtype != np.uint8):
            raise DtypeError(f"{who}: images are floats or bytes (uint8), got {sig(array)}", hint="x.astype('float32')")
        batch = array if array.ndim == 4 else array[None]
        changed, others = self.apply_all(batch, others, self._numbers(rng, len(batch)))
        changed = changed if array.ndim == 4 else changed[0]
        result = Tensor(changed) if isinstance(images, Tensor) else changed
        return (result, *others) if others else result

    def apply_all(self, images: np.ndarray, others: tuple, rng: SampleRandom) -> tuple[np.ndarray, tuple]:
        """Images and what came with them."""
        return self.apply(images, rng), others

    def apply(self, images: np.ndarray, rng: SampleRandom) -> np.ndarray:
        """The changed images: (N, C, H, W) -> (N, C, H', W'). `rng` draws a row of numbers for each."""
        raise NotImplementedError(f"{type(self).__name__} has no apply(images, rng)")

    def _numbers(self, rng: SampleRandom | int | None, n: int) -> SampleRandom:
        if rng is None:
            rng = current()
            if rng is None:
                return from_default(range(n))
            if len(rng) != n:  # one sample that consists of several images
                return SampleRandom(int(rng.bits()[0]), 0, range(n))
        elif not isinstance(rng, SampleRandom):
            rng = SampleRandom(rng, 0, range(n))
        if len(rng) != n:
            raise ShapeError(f"{type(self).__name__}: {n} images, but random numbers for {len(rng)} samples")
        return rng

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({', '.join(shown)})"


class Compose(Transform):
    """Transforms one after the other. A step may be a function of the images (and of `rng`, if it has that name).

    >>> import numpy as np
    >>> from tensorgraph.data import augment
    >>> change = augment.Compose([augment.RandomCrop(28, padding=4), lambda x: 1 - x])
    >>> change(np.zeros((2, 1, 28, 28), np.float32), rng=0).shape
    (2, 1, 28, 28)
    """

    def __init__(self, transforms: Any):
        self.transforms = list(transforms)
        for one in self.transforms:
            if not callable(one):
                raise DtypeError(f"Compose: {sig(one)} is no transform; it must be callable")

    def apply_all(self, images: np.ndarray, others: tuple, rng: SampleRandom) -> tuple[np.ndarray, tuple]:
        for one in self.transforms:
            if isinstance(one, Transform):
                images, others = one.apply_all(images, others, rng)
            else:
                images = _plain(one, images, rng)
        return images, others


class RandomApply(Transform):
    """Another transform, with probability `p` for each image; it must keep the images' size."""

    def __init__(self, transform: Callable[..., Any], p: float = 0.5):
        self.transform = transform
        self.p = probability(p, "RandomApply")

    def apply(self, images: np.ndarray, rng: SampleRandom) -> np.ndarray:
        chosen = rng.chance(self.p)
        if isinstance(self.transform, Transform):
            changed = self.transform.apply(images, rng)
        else:
            changed = _plain(self.transform, images, rng)
        if changed.shape != images.shape:
            raise ShapeError(f"RandomApply: {self.transform!r} makes {sig(changed)} of {sig(images)}")
        return np.where(chosen[:, None, None, None], changed, images)


def _plain(function: Callable, images: np.ndarray, rng: SampleRandom) -> np.ndarray:
    changed = function(images, **({"rng": rng} if takes_rng(function) else {}))
    changed = changed.array if isinstance(changed, Tensor) else changed
    if not isinstance(changed, np.ndarray) or changed.ndim != 4:
        raise ShapeError(f"Compose: {function!r} made {sig(changed)} of {sig(images)}, no images (N, C, H, W)")
    return changed


# ---- what the augment files share ------------------------------------------------------------------------------------
def white(images: np.ndarray) -> float:
    """The largest value of a pixel."""
    return 255.0 if images.dtype == np.uint8 else 1.0


def probability(p: Any, who: str) -> float:
    """A number between 0 and 1."""
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
        raise ArgumentError(f"{who}: p is a probability, from 0 to 1, got {p!r}")
    return float(p)


def pair(size: Any, who: str, name: str = "size", least: int = 1) -> tuple[int, int]:
    """(height, width) from one whole number or two."""
    both = [size, size] if isinstance(size, (int, np.integer)) else _entries(size)
    if len(both) != 2 or not all(isinstance(n, (int, np.integer)) and n >= least for n in both):
        raise ArgumentError(f"{who}: {name} is a whole number from {least} on, or (height, width), got {size!r}")
    return int(both[0]), int(both[1])


def span(value: Any, who: str, name: str, around: float | None = None, least: float = -np.inf) -> tuple[float, float]:
    """(low, high) from two numbers; or, with `around`, from one: `around` minus and plus it."""
    if around is not None and isinstance(value, (int, float)) and value >= 0:
        value = (max(around - value, least), around + value)
    found = _entries(value)
    good = len(found) == 2 and all(isinstance(v, (int, float)) and np.isfinite(v) for v in found)
    if not good or not least <= found[0] <= found[1]:
        one = "a number from 0 on, or " if around is not None else ""
        bound = "" if least == -np.inf else f" from {least:g} on"
        raise ArgumentError(f"{who}: {name} is {one}(low, high){bound}, got {value!r}")
    return float(found[0]), float(found[1])


def _entries(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (tuple, list)) else []
