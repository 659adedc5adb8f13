"""Maxout networks: the largest of several linear functions in the place of an activation."""

from __future__ import annotations

from tensorgraph.nn import arguments as check
from tensorgraph.nn import init
from tensorgraph.nn.containers import Sequential
from tensorgraph.nn.layers import Conv2d, Dropout, Flatten, Linear, Maxout, MaxPool2d
from tensorgraph.nn.module import Module

__all__ = ["MaxoutCIFAR", "MaxoutMLP", "MaxoutMNIST"]


def _start(model: Module) -> None:
    """Weights uniform within 0.005, biases 0, as the authors' definitions say."""
    for module in model.modules():
        if isinstance(module, (Conv2d, Linear)):
            init.uniform_(module.weight, -0.005, 0.005)
            if module.bias is not None:
                init.zeros_(module.bias)


class MaxoutMLP(Sequential):
    """The maxout network for MNIST that does not know that pixels have neighbours.  x (N, 1, 28, 28) -> (N, classes).

    Two layers of 240 units, each the largest of 5 linear functions, then a linear layer: 1,233,610 parameters. Dropout
    0.2 on the input, 0.5 behind the hidden layers. Trained with SGD with momentum, and every unit's weights kept to a
    norm of 1.9365: `nn.clip_weight_norm_(model.parameters(), 1.9365)` after each step.
    Source: Goodfellow et al., Maxout networks, ICML 2013 (sizes: the authors' mnist_pi.yaml).
    """

    def __init__(self, num_classes: int = 10, in_features: int = 784, units: int = 240, pieces: int = 5):
        check.integer("MaxoutMLP", units=units)
        check.integer("MaxoutMLP", pieces=pieces)
        super().__init__(
            Flatten(), Dropout(0.2),
            Linear(in_features, units * pieces), Maxout(pieces), Dropout(0.5),
            Linear(units, units * pieces), Maxout(pieces), Dropout(0.5),
            Linear(units, num_classes),
        )  # fmt: skip
        _start(self)


class MaxoutMNIST(Sequential):
    """The convolutional maxout network for MNIST.  x (N, 1, 28, 28) -> (N, classes).

    Convolutions 48@8x8 and 48@8x8 of 2 pieces, 24@5x5 of 4 pieces, each with max pooling, then a linear layer:
    418,714 parameters. Dropout 0.2 on the input, 0.5 behind each pooling. Kernels are kept to a norm of 0.9 (the
    first) and 1.9365 (`nn.clip_weight_norm_`). Source: as `MaxoutMLP`, mnist.yaml.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1):
        super().__init__(
            Dropout(0.2),
            Conv2d(in_channels, 48 * 2, 8), Maxout(2), MaxPool2d(4, 2, ceil_mode=True), Dropout(0.5),
            Conv2d(48, 48 * 2, 8, padding=3), Maxout(2), MaxPool2d(4, 2, ceil_mode=True), Dropout(0.5),
            Conv2d(48, 24 * 4, 5, padding=3), Maxout(4), MaxPool2d(2, 2, ceil_mode=True), Dropout(0.5),
            Flatten(), Linear(24 * 3 * 3, num_classes),
        )  # fmt: skip
        _start(self)


class MaxoutCIFAR(Sequential):
    """The maxout network for CIFAR.  x (N, 3, 32, 32) -> (N, classes).

    Convolutions 96@8x8, 192@8x8 and 192@5x5 of 2 pieces, each with max pooling, then 500 units of 5 pieces and a
    linear layer: 16,247,830 parameters. Dropout 0.2 on the input, 0.5 behind every hidden layer. The authors' images
    were contrast-normalised and whitened; norms are kept to 0.9 (the first kernels), 1.9 (the 500 units) and 1.9365
    (`nn.clip_weight_norm_`).
    Source: as `MaxoutMLP`, cifar10_no_aug.yaml.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3):
        super().__init__(
            Dropout(0.2),
            Conv2d(in_channels, 96 * 2, 8, padding=4), Maxout(2), MaxPool2d(4, 2, ceil_mode=True), Dropout(0.5),
            Conv2d(96, 192 * 2, 8, padding=3), Maxout(2), MaxPool2d(4, 2, ceil_mode=True), Dropout(0.5),
            Conv2d(192, 192 * 2, 5, padding=3), Maxout(2), MaxPool2d(2, 2, ceil_mode=True), Dropout(0.5),
            Flatten(), Linear(192 * 5 * 5, 500 * 5), Maxout(5), Dropout(0.5),
            Linear(500, num_classes),
        )  # fmt: skip
        _start(self)
