"""The transforms that change colours and blur. Imported by transforms.py, which is where programs find them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.data import sample_rng
from tensorgraph.torch.vision.pictures import as_array, in_form_of, pair_of, Transform

__all__ = ["ColorJitter", "GaussianBlur", "Grayscale", "RandomGrayscale"]


class Grayscale(Transform):
    """Brightness alone, in one channel or three."""

    def __init__(self, num_output_channels: int = 1):
        self.num_output_channels = num_output_channels

    def __call__(self, img: Any) -> Any:
        array = as_array(img)
        if array.shape[2] == 3:
            grey = array @ np.array([0.299, 0.587, 0.114])
            array = (np.round(grey) if array.dtype == np.uint8 else grey).astype(array.dtype)[:, :, None]
        return in_form_of(np.ascontiguousarray(np.repeat(array, self.num_output_channels, 2)), img)


class RandomGrayscale(Transform):
    """Grey with probability p; as many channels as before."""

    def __init__(self, p: float = 0.1):
        self.p = p

    def __call__(self, img: Any) -> Any:
        return Grayscale(as_array(img).shape[2])(img) if sample_rng().random() < self.p else img


class ColorJitter(Transform):
    """Brightness, contrast, saturation and hue changed by random amounts, in random order."""

    def __init__(self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0):
        self.brightness, self.contrast, self.saturation, self.hue = brightness, contrast, saturation, hue

    def __call__(self, img: Any) -> Any:
        as_tensor, rng = isinstance(img, tg.Tensor), sample_rng()
        array = as_array(img).astype(np.float64) / (255 if not as_tensor else 1)
        for which in rng.permutation(4):
            given = (self.brightness, self.contrast, self.saturation, self.hue)[which]
            if given == 0:
                continue
            centre = 0.0 if which == 3 else 1.0
            low, high = (centre - given, centre + given) if isinstance(given, (int, float)) else given
            array = np.clip(_recoloured(array, int(which), rng.uniform(max(low, 0) if centre else low, high)), 0, 1)
        made = array.astype(np.float32) if as_tensor else np.round(array * 255).astype(np.uint8)
        return in_form_of(made, img)


def _recoloured(array: np.ndarray, which: int, amount: float) -> np.ndarray:
    """Brightness (0), contrast (1), saturation (2) times `amount`, or hue (3) turned by that part of the circle."""
    if which == 0:
        return array * amount
    grey = array @ [0.299, 0.587, 0.114] if array.shape[2] == 3 else array[:, :, 0]
    if which == 1:
        return amount * array + (1 - amount) * grey.mean()
    if array.shape[2] != 3:
        return array
    if which == 2:
        return amount * array + (1 - amount) * grey[:, :, None]
    turn = 2 * math.pi * amount  # about the grey axis: Rodrigues
    axis = np.full(3, 1 / math.sqrt(3))
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    rotation = math.cos(turn) * np.eye(3) + math.sin(turn) * cross + (1 - math.cos(turn)) * np.outer(axis, axis)
    return array @ rotation.T


class GaussianBlur(Transform):
    """Blurred by a normal distribution of random width."""

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0)):
        self.kernel_size, self.sigma = pair_of(kernel_size), sigma

    def __call__(self, img: Any) -> Any:
        sigma = self.sigma if isinstance(self.sigma, (int, float)) else sample_rng().uniform(*self.sigma)
        array = as_array(img)
        made = array.astype(np.float64)
        for axis, size in enumerate(self.kernel_size):
            weights = np.exp(-0.5 * ((np.arange(size) - size // 2) / sigma) ** 2)
            reach = [(size // 2, size // 2) if i == axis else (0, 0) for i in range(3)]
            windows = np.lib.stride_tricks.sliding_window_view(np.pad(made, reach, "reflect"), size, axis)
            made = windows @ (weights / weights.sum())
        return in_form_of((np.round(made) if array.dtype == np.uint8 else made).astype(array.dtype), img)
