"""`torchvision.transforms`: changes of one picture at a time. Random ones draw from `tensorgraph.data.sample_rng()`.

For speed on whole batches there is the augmentation of tensorgraph.data; this is what existing programs are written in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.data import sample_rng
from tensorgraph.errors import ArgumentError, DtypeError, ShapeError, sig
from tensorgraph.torch.doorway import doorway
from tensorgraph.torch.vision.colours import ColorJitter, GaussianBlur, Grayscale, RandomGrayscale
from tensorgraph.torch.vision.pictures import Transform, as_array, in_form_of, pair_of, pillow, size_of

__all__ = [
    "CenterCrop", "ColorJitter", "Compose", "ConvertImageDtype", "FiveCrop", "GaussianBlur", "Grayscale",
    "InterpolationMode", "Lambda", "Normalize", "PILToTensor", "Pad", "RandomAffine", "RandomApply", "RandomChoice",
    "RandomCrop", "RandomErasing", "RandomGrayscale", "RandomHorizontalFlip", "RandomOrder", "RandomResizedCrop",
    "RandomRotation", "RandomVerticalFlip", "Resize", "Scale", "ToPILImage", "ToTensor",
]  # fmt: skip


class InterpolationMode:
    """How pixels are computed when a picture is resized; Pillow's numbers."""

    NEAREST, LANCZOS, BILINEAR, BICUBIC, BOX, HAMMING = 0, 1, 2, 3, 4, 5


# ---- several, one after the other -----------------------------------------------------------------------------------
class Compose(Transform):
    """Transforms one after the other."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]):
        self.transforms = list(transforms)

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return "Compose(" + "".join(f"\n    {t}" for t in self.transforms) + "\n)"


class Lambda(Transform):
    """A function as a transform."""

    def __init__(self, lambd: Callable[[Any], Any]):
        if not callable(lambd):
            raise DtypeError(f"Lambda: {sig(lambd)} is no function")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)


class RandomApply(Transform):
    """All of some transforms with probability p, else none."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5):
        self.transforms, self.p = transforms, p

    def __call__(self, img: Any) -> Any:
        return Compose(self.transforms)(img) if sample_rng().random() < self.p else img


class RandomChoice(Transform):
    """One of several transforms."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: Any = None):
        self.transforms, self.p = transforms, p

    def __call__(self, img: Any) -> Any:
        return self.transforms[sample_rng().choice(len(self.transforms), p=self.p)](img)


class RandomOrder(Transform):
    """All transforms, in random order."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]):
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        return Compose([self.transforms[i] for i in sample_rng().permutation(len(self.transforms))])(img)


# ---- to tensors and back --------------------------------------------------------------------------------------------
class ToTensor(Transform):
    """A picture as a float32 tensor (C, H, W): 0..255 becomes 0..1; floating arrays keep their values."""

    def __call__(self, pic: Any) -> Any:
        if isinstance(pic, tg.Tensor):
            raise DtypeError(f"ToTensor: {sig(pic)} is a tensor already", hint="leave ToTensor out")
        array = np.ascontiguousarray(np.moveaxis(as_array(pic), -1, 0))
        if array.dtype == np.uint8:
            return tg.asarray(array.astype(np.float32) / np.float32(255))
        return tg.tensor(array.astype(np.float32) if array.dtype == bool else array)


class PILToTensor(Transform):
    """A picture as a tensor (C, H, W) of its own dtype."""

    def __call__(self, pic: Any) -> Any:
        return tg.tensor(np.moveaxis(as_array(pic), -1, 0))


class ConvertImageDtype(Transform):
    """Another dtype; between integers and floats 0..255 becomes 0..1 and back."""

    def __init__(self, dtype: Any):
        self.dtype = np.dtype(dtype)

    def __call__(self, image: Any) -> Any:
        before, after = image.dtype.kind in "iu", self.dtype.kind in "iu"
        if before and not after:
            return image.to(dtype=self.dtype) / 255
        return (image * 255.999 if after and not before else image).to(dtype=self.dtype)


class ToPILImage(Transform):
    """A tensor (C, H, W) or an array (H, W, C) as a picture of Pillow; floats from 0..1."""

    def __init__(self, mode: str | None = None):
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        pic = pic[None] if isinstance(pic, tg.Tensor) and pic.ndim == 2 else pic
        array = as_array(pic)
        array = (array * 255).astype(np.uint8) if array.dtype.kind == "f" else array
        return pillow().fromarray(array[:, :, 0] if array.shape[2] == 1 else array, self.mode)


class Normalize(Transform):
    """(tensor - mean) / std per channel, on tensors (..., C, H, W)."""

    def __init__(self, mean: Any, std: Any, inplace: bool = False):
        self.mean, self.std, self.inplace = mean, std, inplace
        self._mean, self._std = (np.asarray(v, np.float32).reshape(-1, 1, 1) for v in (mean, std))
        if not self._std.all():
            raise ArgumentError(f"Normalize: std {std!r} holds a 0")

    def __call__(self, tensor: Any) -> Any:
        if not isinstance(tensor, tg.Tensor) or tensor.dtype.kind != "f":
            raise DtypeError(f"Normalize: {sig(tensor)} is no floating tensor", hint="put ToTensor() in front of it")
        if self._mean.shape[0] not in (1, tensor.shape[-3]):
            raise ShapeError(
                f"Normalize: {self._mean.shape[0]} means for the {tensor.shape[-3]} channels of {sig(tensor)}"
            )
        return (tensor - self._mean.astype(tensor.dtype)) / self._std.astype(tensor.dtype)


# ---- where things are -----------------------------------------------------------------------------------------------
def _cut(img: Any, top: int, left: int, height: int, width: int) -> Any:
    return in_form_of(np.ascontiguousarray(as_array(img)[top : top + height, left : left + width]), img)


def _padded(img: Any, padding: Any, fill: Any = 0, mode: str = "constant") -> Any:
    """padding: one number, (left and right, top and bottom), or (left, top, right, bottom)."""
    sides = (padding,) * 4 if isinstance(padding, int) else tuple(padding) * (4 // len(padding))
    left, top, right, bottom = sides
    settings: Any = {"constant_values": fill} if mode == "constant" else {}
    array = np.pad(as_array(img), ((top, bottom), (left, right), (0, 0)), mode, **settings)  # pyright: ignore
    return in_form_of(array, img)


def _resized(img: Any, size: tuple[Any, Any], interpolation: int) -> Any:
    if isinstance(img, tg.Tensor):
        mode = {0: "nearest", 3: "bicubic"}.get(interpolation, "bilinear")
        batch = img.reshape((-1, *img.shape[-3:]))
        corners = {} if mode == "nearest" else {"align_corners": False}
        return tg.interpolate(batch, size, mode=mode, **corners).reshape((*img.shape[:-2], *size))
    picture = pillow().fromarray(img) if isinstance(img, np.ndarray) else img
    made = picture.resize(size[::-1], interpolation)
    return np.asarray(made) if isinstance(img, np.ndarray) else made


class Resize(Transform):
    """Another size: (height, width), or one number for the shorter side."""

    def __init__(
        self, size: Any, interpolation: int = InterpolationMode.BILINEAR, max_size: Any = None, antialias: Any = True
    ):
        self.size, self.interpolation = size, interpolation

    def __call__(self, img: Any) -> Any:
        if not isinstance(self.size, (int, np.integer)) and len(self.size) == 2:
            return _resized(img, pair_of(self.size), self.interpolation)
        height, width = size_of(img)
        short = self.size if isinstance(self.size, (int, np.integer)) else self.size[0]
        size = (short, int(short * width / height)) if height <= width else (int(short * height / width), short)
        return _resized(img, size, self.interpolation)


Scale = Resize


class Pad(Transform):
    """More pixels around the picture."""

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant"):
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def __call__(self, img: Any) -> Any:
        return _padded(img, self.padding, self.fill, self.padding_mode)


class CenterCrop(Transform):
    """The middle of a picture; with a border where it is too small."""

    def __init__(self, size: Any):
        self.size = size

    def __call__(self, img: Any) -> Any:
        height, width = pair_of(self.size)
        img = _enlarged(img, height, width, 0, "constant")
        h, w = size_of(img)
        return _cut(img, round((h - height) / 2), round((w - width) / 2), height, width)


def _enlarged(img: Any, height: int, width: int, fill: Any, mode: str) -> Any:
    h, w = size_of(img)
    more_h, more_w = max(height - h, 0), max(width - w, 0)
    sides = (more_w // 2, more_h // 2, more_w - more_w // 2, more_h - more_h // 2)
    return _padded(img, sides, fill, mode) if more_h or more_w else img


class FiveCrop(Transform):
    """The four corners and the middle."""

    def __init__(self, size: Any):
        self.size = size

    def __call__(self, img: Any) -> tuple:
        (height, width), (h, w) = pair_of(self.size), size_of(img)
        corners = [(0, 0), (0, w - width), (h - height, 0), (h - height, w - width)]
        return (*(_cut(img, top, left, height, width) for top, left in corners), CenterCrop(self.size)(img))


class RandomCrop(Transform):
    """A part of some size at a random place, with a border drawn around the picture before."""

    def __init__(
        self, size: Any, padding: Any = None, pad_if_needed: bool = False, fill: Any = 0, padding_mode: str = "constant"
    ):
        self.size, self.padding, self.pad_if_needed = size, padding, pad_if_needed
        self.fill, self.padding_mode = fill, padding_mode

    def __call__(self, img: Any) -> Any:
        height, width = pair_of(self.size)
        if self.padding is not None:
            img = _padded(img, self.padding, self.fill, self.padding_mode)
        if self.pad_if_needed:
            img = _enlarged(img, height, width, self.fill, self.padding_mode)
        h, w = size_of(img)
        if h < height or w < width:
            raise ShapeError(f"RandomCrop: {height}x{width} does not fit into {h}x{w}", hint="pad_if_needed=True")
        rng = sample_rng()
        return _cut(img, int(rng.integers(h - height + 1)), int(rng.integers(w - width + 1)), height, width)


class RandomResizedCrop(Transform):
    """A part of random area and shape, brought to one size.  Source: Szegedy et al., CVPR 2015."""

    def __init__(
        self, size: Any, scale: tuple[float, float] = (0.08, 1.0), ratio: tuple[float, float] = (3 / 4, 4 / 3),
        interpolation: int = InterpolationMode.BILINEAR, antialias: Any = True,
    ):  # fmt: skip
        self.size, self.scale, self.ratio, self.interpolation = size, scale, ratio, interpolation

    def __call__(self, img: Any) -> Any:
        (h, w), rng = size_of(img), sample_rng()
        for _ in range(10):
            area = h * w * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < width <= w and 0 < height <= h:
                top, left = int(rng.integers(h - height + 1)), int(rng.integers(w - width + 1))
                return _resized(_cut(img, top, left, height, width), pair_of(self.size), self.interpolation)
        return _resized(CenterCrop(min(h, w))(img), pair_of(self.size), self.interpolation)


class _Flip(Transform):
    axis: int

    def __init__(self, p: float = 0.5):
        self.p = p

    def __call__(self, img: Any) -> Any:
        if sample_rng().random() >= self.p:
            return img
        return in_form_of(np.ascontiguousarray(np.flip(as_array(img), self.axis)), img)


class RandomHorizontalFlip(_Flip):
    """Left and right exchanged with probability p."""

    axis = 1


class RandomVerticalFlip(_Flip):
    """Top and bottom exchanged with probability p."""

    axis = 0


def _affine(img: Any, angle: float, shift: tuple[float, float], scale: float, shear: float, how: int, fill: Any) -> Any:
    """Turned by `angle` degrees (counter-clockwise) about the middle, scaled, sheared and moved."""
    as_tensor = isinstance(img, tg.Tensor)
    picture = pillow().fromarray(img) if isinstance(img, np.ndarray) else ToPILImage()(img) if as_tensor else img
    h, w = size_of(picture)
    turn, lean, cx, cy = math.radians(angle), math.tan(math.radians(shear)), w / 2, h / 2
    forward = (
        scale * np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]) @ [[1, lean], [0, 1]]
    )
    back = np.linalg.inv(forward)
    offset = np.array([cx, cy]) - back @ np.array([cx + shift[0], cy + shift[1]])
    rows = [back[0, 0], back[0, 1], offset[0], back[1, 0], back[1, 1], offset[1]]
    made = picture.transform((w, h), 0, rows, how, fillcolor=fill)
    return ToTensor()(made) if as_tensor else np.asarray(made) if isinstance(img, np.ndarray) else made


class RandomRotation(Transform):
    """Turned by a random angle between -degrees and degrees, or between two of them."""

    def __init__(
        self, degrees: Any, interpolation: int = InterpolationMode.NEAREST, expand: bool = False, fill: Any = 0
    ):
        self.degrees: Any = (-degrees, degrees) if isinstance(degrees, (int, float)) else tuple(degrees)
        self.interpolation, self.fill = interpolation, fill

    def __call__(self, img: Any) -> Any:
        return _affine(img, sample_rng().uniform(*self.degrees), (0, 0), 1.0, 0.0, self.interpolation, self.fill)


class RandomAffine(Transform):
    """Turned, moved, scaled and sheared by random amounts."""

    def __init__(
        self, degrees: Any, translate: Any = None, scale: Any = None, shear: Any = None,
        interpolation: int = InterpolationMode.NEAREST, fill: Any = 0,
    ):  # fmt: skip
        self.degrees: Any = (-degrees, degrees) if isinstance(degrees, (int, float)) else tuple(degrees)
        self.translate, self.scale = translate, scale
        self.shear: Any = (-shear, shear) if isinstance(shear, (int, float)) else shear
        self.interpolation, self.fill = interpolation, fill

    def __call__(self, img: Any) -> Any:
        rng, (h, w) = sample_rng(), size_of(img)
        reach = self.translate or (0, 0)
        shift = (round(w * rng.uniform(-reach[0], reach[0])), round(h * rng.uniform(-reach[1], reach[1])))
        scale = rng.uniform(*self.scale) if self.scale else 1.0
        shear = rng.uniform(*self.shear[:2]) if self.shear else 0.0
        return _affine(img, rng.uniform(*self.degrees), shift, scale, shear, self.interpolation, self.fill)


class RandomErasing(Transform):
    """A random rectangle of a tensor overwritten with probability p.  Source: Zhong et al., AAAI 2020."""

    def __init__(
        self, p: float = 0.5, scale: Any = (0.02, 0.33), ratio: Any = (0.3, 3.3), value: Any = 0, inplace: bool = False
    ):
        self.p, self.scale, self.ratio, self.value = p, scale, ratio, value

    def __call__(self, img: Any) -> Any:
        rng, (h, w) = sample_rng(), size_of(img)
        if rng.random() >= self.p:
            return img
        made = np.array(as_array(img))
        for _ in range(10):
            area, ratio = h * w * rng.uniform(*self.scale), math.exp(rng.uniform(*np.log(self.ratio)))
            height, width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if height < h and width < w:
                top, left = int(rng.integers(h - height + 1)), int(rng.integers(w - width + 1))
                shape = (height, width, made.shape[2])
                made[top : top + height, left : left + width] = (
                    rng.normal(size=shape) if self.value == "random" else self.value
                )
                break
        return in_form_of(made, img)


__getattr__ = doorway(
    __name__,
    {
        "v2": "the transforms of the same names stand in transforms itself",
        "functional": "the transforms themselves: transforms.Resize(32)(img)",
        "AutoAugment": "RandomChoice of the transforms that there are",
    },
)
