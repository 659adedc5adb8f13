"""The data sets: `load_digits` (bundled with scikit-learn), `mnist` and `fashion_mnist` (idx files on disk).

All return what a network takes: images float32 (N, 1, H, W) between 0 and 1, labels int64 (N,).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tensorgraph.data.idx import md5_of, parse, uncompressed
from tensorgraph.errors import CorruptDataError, MissingDataError, MissingPackageError

_DIGITS_HELD_OUT = 360


class _Published(NamedTuple):
    """An idx data set as published: its folder, its mirrors, and the md5 of each uncompressed file."""

    name: str
    mirrors: tuple[str, ...]
    md5: dict[str, str]


MNIST = _Published(
    "MNIST",
    ("https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist"),
    {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
)
FASHION_MNIST = _Published(
    "FashionMNIST",
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
    ),
    {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
)


def load_digits(train: bool | None = None) -> tuple[np.ndarray, np.ndarray]:
    """1,797 handwritten digits of 8x8 pixels that come with scikit-learn: no file, no network.

    -> images float32 (N, 1, 8, 8) between 0 and 1, labels int64 (N,). `train=True` gives 1,437 of them and
    `train=False` the other 360, held out; the split is random but always the same. Without it: all, in their order.

    Raises MissingPackageError without scikit-learn (extra `data`).
    Source: Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test part).
    """
    try:
        from sklearn import datasets
    except ImportError:
        raise MissingPackageError(
            "load_digits: the digits come with scikit-learn, which is not installed",
            hint='pip install "tensorgraph[data]", or pip install scikit-learn',
        ) from None
    found = datasets.load_digits()
    images = (found.images / 16).astype(np.float32)[:, None]  # pyright: ignore[reportAttributeAccessIssue]
    labels = found.target.astype(np.int64)  # pyright: ignore[reportAttributeAccessIssue]
    if train is None:
        return images, labels
    order = np.random.default_rng(0).permutation(len(labels))
    chosen = np.sort(order[_DIGITS_HELD_OUT:] if train else order[:_DIGITS_HELD_OUT])
    return images[chosen], labels[chosen]


def mnist(
    root: str | Path | None = None, train: bool = True, download: bool = False, verify: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """MNIST's handwritten digits, 28x28: 60,000 to train with, 10,000 to test with.

    -> images float32 (N, 1, 28, 28) between 0 and 1, labels int64 (N,).

    The idx files, gzipped or not, are looked for in `<root>/MNIST/raw` (where torchvision keeps them) and in `root`
    itself. Without `root`: in the folder that the environment variable TENSORGRAPH_DATA names, else
    `~/.cache/tensorgraph`. `download=True` fetches those that are missing. `verify=False` takes files with another
    content than the published ones.

    Raises MissingDataError (what, where it was looked for, how to get it), CorruptDataError.
    Source: LeCun, Bottou, Bengio & Haffner, Proc. IEEE 1998.
    """
    return _load(MNIST, root, train, download, verify)


def fashion_mnist(
    root: str | Path | None = None, train: bool = True, download: bool = False, verify: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Fashion-MNIST: articles of clothing in MNIST's format, 60,000 and 10,000. Everything else as in `mnist`.

    Source: Xiao, Rasul & Vollgraf, arXiv:1708.07747, 2017.
    """
    return _load(FASHION_MNIST, root, train, download, verify)


def _load(
    data: _Published, root: str | Path | None, train: bool, download: bool, verify: bool
) -> tuple[np.ndarray, np.ndarray]:
    root = data_folder(root)
    part = "train" if train else "t10k"
    names = [f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"]
    places = (root / data.name / "raw", root)
    paths = [_find(name, places) for name in names]
    if download:
        from tensorgraph.data.fetch import fetch  # urllib takes longer to import than all of tensorgraph.data

        for i, name in enumerate(names):
            if paths[i] is None:
                target = places[0] / f"{name}.gz"
                fetch(data.mirrors, target, data.md5[name])
                paths[i] = target
    images_path, labels_path = paths
    if images_path is None or labels_path is None:
        missing = " and ".join(f"{name}.gz" for name, path in zip(names, paths, strict=True) if path is None)
        raise MissingDataError(
            f"{data.name}: {missing} not found",
            operands=[f"looked in {place}{'' if place.is_dir() else ' (no such folder)'}" for place in places],
            hint="download=True fetches it, root= names the folder that holds "
            f"{data.name}/raw, and the environment variable TENSORGRAPH_DATA the default of root",
        )
    contents = uncompressed(images_path), uncompressed(labels_path)
    images, labels = parse(contents[0], images_path, 3), parse(contents[1], labels_path, 1)
    if len(images) != len(labels):
        raise CorruptDataError(
            f"{data.name}: {len(images):,} images but {len(labels):,} labels",
            operands=[str(images_path), str(labels_path)],
            hint="the two files belong to different parts or data sets",
        )
    for name, path, content in zip(names, (images_path, labels_path), contents, strict=True):
        if verify and md5_of(content) != data.md5[name]:
            raise CorruptDataError(
                f"{path.name}: an idx file in order, but not the one that {data.name} publishes",
                operands=[str(path), f"its content has md5 {md5_of(content)}, published is {data.md5[name]}"],
                hint="delete it and fetch it again, or verify=False if the file is your own",
            )
    pixels = images.astype(np.float32)[:, None]
    pixels /= 255
    return pixels, labels.astype(np.int64)


def data_folder(root: str | Path | None) -> Path:
    """The folder that is meant: `root`, else what the environment says, else the cache."""
    if root is None:
        root = os.environ.get("TENSORGRAPH_DATA") or Path.home() / ".cache" / "tensorgraph"
    return Path(root).expanduser()


def _find(name: str, places: Sequence[Path]) -> Path | None:
    """The file, unpacked or gzipped, in the first place that has it."""
    candidates = (place / (name + ending) for place in places for ending in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)
