"""AlexNet twice: torchvision's, and the published one in two groups with response normalisation; and ZFNet."""

from __future__ import annotations

from tensorgraph.nn import init
from tensorgraph.nn.containers import Sequential
from tensorgraph.nn.layers import (
    AdaptiveAvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
)
from tensorgraph.nn.models.chain import Chain
from tensorgraph.nn.module import Module

__all__ = ["AlexNet", "AlexNet2012", "ZFNet", "alexnet", "alexnet2012", "zfnet"]


class AlexNet(Chain):
    """torchvision's AlexNet: one column, no response normalisation.  x (N, 3, 224, 224) -> (N, classes).

    61,100,840 parameters with 1000 classes; other image sizes from 63x63 work too.
    Source: Krizhevsky, One weird trick for parallelizing convolutional neural networks, arXiv:1404.5997, 2014.
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5):
        super().__init__()
        self.features = Sequential(
            Conv2d(3, 64, 11, stride=4, padding=2), ReLU(), MaxPool2d(3, 2),
            Conv2d(64, 192, 5, padding=2), ReLU(), MaxPool2d(3, 2),
            Conv2d(192, 384, 3, padding=1), ReLU(),
            Conv2d(384, 256, 3, padding=1), ReLU(),
            Conv2d(256, 256, 3, padding=1), ReLU(), MaxPool2d(3, 2),
        )  # fmt: skip
        self.avgpool = AdaptiveAvgPool2d((6, 6))
        self.classifier = Sequential(
            Dropout(dropout), Linear(256 * 6 * 6, 4096), ReLU(),
            Dropout(dropout), Linear(4096, 4096), ReLU(),
            Linear(4096, num_classes),
        )  # fmt: skip

        self.flatten = Flatten()

    def chain(self) -> list[Module]:
        """All layers in order."""
        return [self.features, self.avgpool, self.flatten, self.classifier]


class AlexNet2012(Chain):
    """AlexNet as published, under the layer names of Caffe's files.  x (N, 3, 227, 227) -> (N, classes).

    Convolutions 2, 4 and 5 are in two groups (the two GPUs); local response normalisation over 5 channels with k = 2,
    alpha = 1e-4 and beta = 0.75 behind the first two. 60,965,224 parameters with 1000 classes. The paper says 224x224,
    which its own sizes contradict: 55x55 positions of the first kernel need 227. Weights start as in the paper: normal
    of deviation 0.01 (the hidden fully-connected layers 0.005, as Caffe has it), biases 1 in convolutions 2, 4, 5 and
    the hidden layers.
    Source: Krizhevsky, Sutskever & Hinton, ImageNet classification with deep convolutional neural networks, NeurIPS
    2012.
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5):
        super().__init__()
        with init.skip():
            self.conv1 = Conv2d(3, 96, 11, stride=4)
            self.conv2 = Conv2d(96, 256, 5, padding=2, groups=2)
            self.conv3 = Conv2d(256, 384, 3, padding=1)
            self.conv4 = Conv2d(384, 384, 3, padding=1, groups=2)
            self.conv5 = Conv2d(384, 256, 3, padding=1, groups=2)
            self.fc6 = Linear(256 * 6 * 6, 4096)
            self.fc7 = Linear(4096, 4096)
            self.fc8 = Linear(4096, num_classes)
        # the paper's alpha multiplies the sum of the squares, the layer's their mean
        self.norm = LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
        self.relu, self.pool, self.flatten, self.dropout = ReLU(), MaxPool2d(3, 2), Flatten(), Dropout(dropout)
        for name, layer in self.named_children():
            if isinstance(layer, (Conv2d, Linear)):
                init.normal_(layer.weight, 0, 0.005 if name in ("fc6", "fc7") else 0.01)
                if layer.bias is not None:
                    init.constant_(layer.bias, float(name in ("conv2", "conv4", "conv5", "fc6", "fc7")))

    def chain(self) -> list[Module]:
        """All layers in order."""
        relu, norm, pool, dropout = self.relu, self.norm, self.pool, self.dropout
        convolutions = [self.conv1, relu, norm, pool, self.conv2, relu, norm, pool, self.conv3, relu, self.conv4, relu]
        classifier = [self.flatten, self.fc6, relu, dropout, self.fc7, relu, dropout, self.fc8]
        return [*convolutions, self.conv5, relu, pool, *classifier]


class ZFNet(Chain):
    """AlexNet with a finer look at the image, the winner of ILSVRC 2013.  x (N, 3, 224, 224) -> (N, classes).

    The first convolution is 7x7 with stride 2 (AlexNet: 11x11, 4), the second has stride 2, and no convolution is in
    groups: maps of 110, 55, 26, 13, 13, 13, 13 and 6 pixels, as in the paper's figure 3. 62,357,608 parameters with
    1000 classes. Pooling is followed by contrast normalisation across the channels, for which the local response
    normalisation of AlexNet stands. Weights start normal of deviation 0.01, biases at 0.
    Source: Zeiler & Fergus, Visualizing and understanding convolutional networks, ECCV 2014.
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5):
        super().__init__()
        with init.skip():
            self.conv1 = Conv2d(3, 96, 7, stride=2, padding=1)
            self.conv2 = Conv2d(96, 256, 5, stride=2)
            self.conv3 = Conv2d(256, 384, 3, padding=1)
            self.conv4 = Conv2d(384, 384, 3, padding=1)
            self.conv5 = Conv2d(384, 256, 3, padding=1)
            self.fc6 = Linear(256 * 6 * 6, 4096)
            self.fc7 = Linear(4096, 4096)
            self.fc8 = Linear(4096, num_classes)
        self.norm = LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
        self.relu, self.flatten, self.dropout = ReLU(), Flatten(), Dropout(dropout)
        self.wide_pool, self.pool = MaxPool2d(3, 2, ceil_mode=True), MaxPool2d(3, 2)
        for layer in self.children():
            if isinstance(layer, (Conv2d, Linear)):
                init.normal_(layer.weight, 0, 0.01)
                if layer.bias is not None:
                    init.zeros_(layer.bias)

    def chain(self) -> list[Module]:
        """All layers in order."""
        relu, norm, pool, dropout = self.relu, self.norm, self.wide_pool, self.dropout
        convolutions = [self.conv1, relu, pool, norm, self.conv2, relu, pool, norm, self.conv3, relu, self.conv4, relu]
        classifier = [self.flatten, self.fc6, relu, dropout, self.fc7, relu, dropout, self.fc8]
        return [*convolutions, self.conv5, relu, self.pool, *classifier]


def alexnet(num_classes: int = 1000, dropout: float = 0.5) -> AlexNet:
    """torchvision's AlexNet; see `AlexNet`."""
    return AlexNet(num_classes, dropout)


def alexnet2012(num_classes: int = 1000, dropout: float = 0.5) -> AlexNet2012:
    """The published AlexNet; see `AlexNet2012`."""
    return AlexNet2012(num_classes, dropout)


def zfnet(num_classes: int = 1000, dropout: float = 0.5) -> ZFNet:
    """The network of Zeiler and Fergus; see `ZFNet`."""
    return ZFNet(num_classes, dropout)
