"""`torchvision.utils`: several pictures in one, and saving it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.torch.doorway import doorway
from tensorgraph.torch.vision.pictures import pillow

__all__ = ["make_grid", "save_image"]


def _scaled(image: np.ndarray, low: float, high: float) -> np.ndarray:
    return (np.clip(image, low, high) - low) / max(high - low, 1e-5)


def make_grid(
    tensor: Any, nrow: int = 8, padding: int = 2, normalize: bool = False, value_range: Any = None,
    scale_each: bool = False, pad_value: float = 0.0,
) -> Any:  # fmt: skip
    """Pictures (N, C, H, W) side by side, `nrow` in a row: one picture (3, H', W')."""
    if isinstance(tensor, (list, tuple)):
        images = np.stack([t.detach().cpu().numpy() for t in tensor])
    else:
        images = tensor.detach().cpu().numpy()
    images = images.reshape((1,) * (4 - images.ndim) + images.shape) if images.ndim < 4 else images
    images = np.repeat(images, 3, 1) if images.shape[1] == 1 else images
    if normalize:
        parts = images if scale_each else images[None]
        ranges = [value_range or (float(p.min()), float(p.max())) for p in parts]
        images = np.stack([_scaled(p, *r) for p, r in zip(parts, ranges)]).reshape(images.shape)
    n, channels, height, width = images.shape
    if n == 1:
        return tg.tensor(images[0])
    columns = min(nrow, n)
    rows, height, width = math.ceil(n / columns), height + padding, width + padding
    grid = np.full((channels, rows * height + padding, columns * width + padding), pad_value, images.dtype)
    for i, image in enumerate(images):
        top, left = i // columns * height + padding, i % columns * width + padding
        grid[:, top : top + height - padding, left : left + width - padding] = image
    return tg.tensor(grid)


def save_image(tensor: Any, fp: Any, format: str | None = None, **settings: Any) -> None:
    """Writes `make_grid(tensor, ...)`, values from 0 to 1, as a picture file.

    Raises MissingPackageError without Pillow.
    """
    grid = make_grid(tensor, **settings).numpy()
    pixels = np.clip(grid * 255 + 0.5, 0, 255).astype(np.uint8)
    pillow().fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, -1))).save(fp, format=format)


__getattr__ = doorway(__name__)
