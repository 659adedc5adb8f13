"""VGG-11, 13, 16 and 19, with and without batch normalisation. State-dict names are torchvision's."""

from __future__ import annotations

from tensorgraph.errors import ArgumentError
from tensorgraph.nn import init
from tensorgraph.nn.containers import Sequential
from tensorgraph.nn.layers import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU
from tensorgraph.nn.models.chain import Chain
from tensorgraph.nn.module import Module

__all__ = ["VGG", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"]

_CHANNELS = (64, 128, 256, 512, 512)
_CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""3x3 convolutions before each of the five poolings, by the number of layers with weights"""


class VGG(Chain):
    """3x3 convolutions in five stages, then three fully-connected layers.  x (N, 3, 224, 224) -> (N, classes).

    `depth` is 11, 13, 16 or 19 (configurations A, B, D and E of the paper); `batch_norm` puts a batch normalisation
    behind every convolution. Other image sizes from 32x32 work too. 132,863,336 (VGG-11) to 143,667,240 (VGG-19)
    parameters with 1000 classes.
    Source: Simonyan & Zisserman, Very deep convolutional networks for large-scale image recognition, ICLR 2015.
    """

    def __init__(self, depth: int = 16, batch_norm: bool = False, num_classes: int = 1000, dropout: float = 0.5):
        super().__init__()
        if depth not in _CONVOLUTIONS:
            raise ArgumentError(f"VGG: depth must be one of {', '.join(map(str, _CONVOLUTIONS))}, got {depth!r}")
        layers: list[Module] = []
        fan_in = 3
        with init.skip():
            for channels, convolutions in zip(_CHANNELS, _CONVOLUTIONS[depth]):
                for _ in range(convolutions):
                    layers.append(Conv2d(fan_in, channels, 3, padding=1))
                    layers += [BatchNorm2d(channels), ReLU()] if batch_norm else [ReLU()]
                    fan_in = channels
                layers.append(MaxPool2d(2))
            self.features = Sequential(*layers)
            self.avgpool = AdaptiveAvgPool2d((7, 7))
            self.classifier = Sequential(
                Linear(512 * 7 * 7, 4096), ReLU(), Dropout(dropout),
                Linear(4096, 4096), ReLU(), Dropout(dropout),
                Linear(4096, num_classes),
            )  # fmt: skip
        for module in self.modules():
            if isinstance(module, Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, Linear):
                init.normal_(module.weight, 0, 0.01)
            if isinstance(module, (Conv2d, Linear)) and module.bias is not None:
                init.zeros_(module.bias)

        self.flatten = Flatten()

    def chain(self) -> list[Module]:
        """All layers in order."""
        return [self.features, self.avgpool, self.flatten, self.classifier]


def vgg11(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    """VGG-11 (configuration A); see `VGG`."""
    return VGG(11, False, num_classes, dropout)


def vgg11_bn(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    """VGG-11 with batch normalisation; see `VGG`."""
    return VGG(11, True, num_classes, dropout)


def vgg13(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    """VGG-13 (configuration B); see `VGG`."""
    return VGG(13, False, num_classes, dropout)


def vgg13_bn(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    """VGG-13 with batch normalisation; see `VGG`."""
    return VGG(13, True, num_classes, dropout)


def vgg16(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    """VGG-16 (configuration D); see `VGG`."""
    return VGG(16, False, num_classes, dropout)


def vgg16_bn(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    """VGG-16 with batch normalisation; see `VGG`."""
    return VGG(16, True, num_classes, dropout)


def vgg19(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    """VGG-19 (configuration E); see `VGG`."""
    return VGG(19, False, num_classes, dropout)


def vgg19_bn(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    """VGG-19 with batch normalisation; see `VGG`."""
    return VGG(19, True, num_classes, dropout)
