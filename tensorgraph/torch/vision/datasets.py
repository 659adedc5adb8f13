"""`torchvision.datasets`: the readers of tensorgraph.data as data sets of single pictures with transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph import data
from tensorgraph.data import Dataset
from tensorgraph.errors import MissingDataError
from tensorgraph.torch.doorway import doorway
from tensorgraph.torch.vision.pictures import as_picture, pillow

__all__ = ["CIFAR10", "DatasetFolder", "FakeData", "FashionMNIST", "ImageFolder", "MNIST", "VisionDataset"]


class VisionDataset(Dataset):
    """Pictures with targets, and what is done to each. A subclass sets `data` and `targets`."""

    data: Any
    targets: Any

    def __init__(
        self,
        root: Any = None,
        transforms: Callable[[Any, Any], Any] | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ):
        self.root, self.transforms, self.transform, self.target_transform = (
            root,
            transforms,
            transform,
            target_transform,
        )

    def __len__(self) -> int:
        return len(self.data)

    def _picture(self, index: int) -> Any:
        return as_picture(np.asarray(self.data[index]))

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        picture, target = self._picture(index), int(self.targets[index])
        if self.transform is not None:
            picture = self.transform(picture)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return (picture, target) if self.transforms is None else self.transforms(picture, target)

    def __repr__(self) -> str:
        return f"Dataset {type(self).__name__}\n    Number of datapoints: {len(self)}\n    Root location: {self.root}"


def _bytes(images: np.ndarray) -> np.ndarray:
    """Images between 0 and 1 as the bytes that they were made of."""
    return np.rint(images * 255).astype(np.uint8)


class _Digits(VisionDataset):
    """An idx data set: `data` (N, 28, 28) uint8 and `targets` (N,) are tensors."""

    _read: Callable[..., tuple[np.ndarray, np.ndarray]]
    classes: Sequence[str]

    def __init__(
        self, root: Any, train: bool = True, transform: Any = None, target_transform: Any = None, download: bool = False
    ):
        super().__init__(root, None, transform, target_transform)
        images, labels = type(self)._read(root, train=train, download=download)
        self.train, self.data, self.targets = train, tg.asarray(_bytes(images[:, 0])), tg.asarray(labels)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Name of a class -> its number."""
        return {name: i for i, name in enumerate(self.classes)}

    def _picture(self, index: int) -> Any:
        return as_picture(self.data.array[index])


class MNIST(_Digits):
    """Handwritten digits, 28x28: 60,000 to train with, 10,000 to test with. Files as `tensorgraph.data.mnist` reads."""

    _read = staticmethod(data.mnist)
    classes = "0 - zero,1 - one,2 - two,3 - three,4 - four,5 - five,6 - six,7 - seven,8 - eight,9 - nine".split(",")


class FashionMNIST(_Digits):
    """Articles of clothing in MNIST's format."""

    _read = staticmethod(data.fashion_mnist)
    classes = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",")


class CIFAR10(VisionDataset):
    """Photographs of ten kinds of things, 32x32. `data` (N, 32, 32, 3) uint8 is an array, `targets` a list."""

    classes = "airplane automobile bird cat deer dog frog horse ship truck".split()

    def __init__(
        self, root: Any, train: bool = True, transform: Any = None, target_transform: Any = None, download: bool = False
    ):
        super().__init__(root, None, transform, target_transform)
        images, labels = data.cifar10(root, train=train, download=download)
        self.train, self.data, self.targets = train, np.moveaxis(_bytes(images), 1, -1), labels.tolist()
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}

    def _picture(self, index: int) -> Any:
        return as_picture(np.ascontiguousarray(self.data[index]))


class FakeData(VisionDataset):
    """Random pictures with random classes, the same ones every time; to try a program without data."""

    def __init__(
        self, size: int = 1000, image_size: tuple[int, ...] = (3, 224, 224), num_classes: int = 10,
        transform: Any = None, target_transform: Any = None, random_offset: int = 0,
    ):  # fmt: skip
        super().__init__(None, None, transform, target_transform)
        self.size, self.image_size, self.num_classes, self.random_offset = size, image_size, num_classes, random_offset
        self.targets = np.random.default_rng(random_offset).integers(0, num_classes, size)

    def __len__(self) -> int:
        return self.size

    def _picture(self, index: int) -> Any:
        channels, height, width = self.image_size
        rng = np.random.default_rng((self.random_offset, index))
        shape = (height, width) if channels == 1 else (height, width, channels)
        return as_picture(rng.integers(0, 256, shape, dtype=np.uint8))


_PICTURES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def _open(path: str) -> Any:
    with open(path, "rb") as file:
        return pillow().open(file).convert("RGB")


class DatasetFolder(VisionDataset):
    """Files in one folder per class; classes are numbered in alphabetical order.

    Raises MissingDataError where there is no folder with files.
    """

    def __init__(
        self, root: Any, loader: Callable[[str], Any], extensions: tuple[str, ...] | None = None, transform: Any = None,
        target_transform: Any = None, is_valid_file: Callable[[str], bool] | None = None,
    ):  # fmt: skip
        super().__init__(root, None, transform, target_transform)
        folder = Path(root).expanduser()
        fits = is_valid_file or (lambda path: extensions is None or path.lower().endswith(tuple(extensions)))
        self.loader, self.extensions = loader, extensions
        self.classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
        self.samples = [
            (str(path), i)
            for name, i in self.class_to_idx.items()
            for path in sorted((folder / name).rglob("*"))
            if path.is_file() and fits(str(path))
        ]
        if not self.samples:
            raise MissingDataError(
                f"{type(self).__name__}: no files in the folders of {str(folder)!r}",
                hint="one folder per class, with the pictures of that class in it",
            )
        self.data, self.targets = [path for path, _ in self.samples], [i for _, i in self.samples]

    def _picture(self, index: int) -> Any:
        return self.loader(self.samples[index][0])


class ImageFolder(DatasetFolder):
    """Pictures in one folder per class. `samples` (also `imgs`) are (path, class) pairs."""

    def __init__(
        self, root: Any, transform: Any = None, target_transform: Any = None, loader: Callable[[str], Any] = _open,
        is_valid_file: Callable[[str], bool] | None = None,
    ):  # fmt: skip
        super().__init__(root, loader, _PICTURES, transform, target_transform, is_valid_file)
        self.imgs = self.samples


__getattr__ = doorway(
    __name__,
    {
        "CIFAR100": "CIFAR10; tensorgraph.data has no reader for CIFAR-100",
        "STL10": "datasets.ImageFolder for pictures in folders",
        "SVHN": "datasets.ImageFolder for pictures in folders",
        "LSUN": "datasets.ImageFolder for pictures in folders",
        "ImageNet": "datasets.ImageFolder for pictures in folders",
        "CocoCaptions": "write a data set of your own: a class with __len__ and __getitem__",
    },
)
