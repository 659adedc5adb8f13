"""What small programs take from torchvision: `from tensorgraph.torch.vision import datasets, transforms, models`.

Thin adaptors over tensorgraph.data and tensorgraph.nn.models. Images are Pillow's where it is installed (extra
`data`), else uint8 arrays (H, W) or (H, W, 3); the transforms take both, and tensors (C, H, W).
"""

from tensorgraph.torch.doorway import doorway
from tensorgraph.torch.vision import datasets, models, transforms, utils

__all__ = ["datasets", "models", "transforms", "utils"]

__version__ = "0.28.0+tensorgraph"

__getattr__ = doorway(
    __name__, {"io": "PIL.Image.open, and transforms.ToTensor()", "ops": "they are no part of small programs"}
)
