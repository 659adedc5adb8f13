"""Network-in-Network, the first to end in a mean over the image in place of fully-connected layers."""

from __future__ import annotations

from typing import Any

from tensorgraph import ops
from tensorgraph.nn.containers import Sequential
from tensorgraph.nn.layers import AvgPool2d, Conv2d, Dropout, MaxPool2d, ReLU
from tensorgraph.nn.module import Module

__all__ = ["NIN"]


class NIN(Module):
    """Network-in-Network for CIFAR: convolutions each followed by two 1x1 ones.  x (N, 3, 32, 32) -> (N, classes).

    966,986 parameters with 10 classes; the last 1x1 convolution has one channel per class, and its mean over the
    image is the prediction.
    Source: Lin, Chen & Yan, Network in network, ICLR 2014 (sizes: the authors' CIFAR-10 definition).
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3, dropout: float = 0.5):
        super().__init__()
        self.features = Sequential(
            Conv2d(in_channels, 192, 5, padding=2), ReLU(), Conv2d(192, 160, 1), ReLU(), Conv2d(160, 96, 1), ReLU(),
            MaxPool2d(3, 2, ceil_mode=True), Dropout(dropout),
            Conv2d(96, 192, 5, padding=2), ReLU(), Conv2d(192, 192, 1), ReLU(), Conv2d(192, 192, 1), ReLU(),
            AvgPool2d(3, 2, ceil_mode=True), Dropout(dropout),
            Conv2d(192, 192, 3, padding=1), ReLU(), Conv2d(192, 192, 1), ReLU(), Conv2d(192, num_classes, 1), ReLU(),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        return ops.mean(self.features(x), axis=(2, 3))
