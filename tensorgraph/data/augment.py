"""tensorgraph.data.augment: random changes of images, on whole batches (N, C, H, W) of NumPy. The front door.

    change = augment.Compose([augment.RandomCrop(32, padding=4), augment.RandomHorizontalFlip()])
    change(images)                                             by itself
    batches(x, y, batch_size=128, seed=0, transform=change)    in a loader

What happens to an image depends on the seed, the epoch and the image's index, not on the batch it is in.
"""

from tensorgraph.data.augment_color import ColorJitter, GaussianNoise, Mixup, Normalize, PCANoise, ToFloat
from tensorgraph.data.augment_crop import CenterCrop, Cutout, Pad, RandomCrop, RandomHorizontalFlip, RandomVerticalFlip
from tensorgraph.data.augment_transform import Compose, RandomApply, Transform
from tensorgraph.data.augment_warp import (
    RandomAffine,
    RandomResizedCrop,
    RandomRotation,
    RandomScale,
    RandomTranslation,
    Resize,
)

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "Cutout",
    "GaussianNoise",
    "Mixup",
    "Normalize",
    "PCANoise",
    "Pad",
    "RandomAffine",
    "RandomApply",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomScale",
    "RandomTranslation",
    "RandomVerticalFlip",
    "Resize",
    "ToFloat",
    "Transform",
]
