"""The residual networks for CIFAR: three stages of 16, 32 and 64 channels, ResNet-20, 32, 44, 56 and 110.

State-dict names are those of akamaster/pytorch_resnet_cifar10, whose files load.
"""

from __future__ import annotations

from typing import Any

from tensorgraph import ops
from tensorgraph.errors import ArgumentError
from tensorgraph.nn import arguments as check
from tensorgraph.nn import init
from tensorgraph.nn.containers import Sequential
from tensorgraph.nn.layers import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Flatten, Linear
from tensorgraph.nn.models.chain import Chain
from tensorgraph.nn.module import Module

__all__ = [
    "CifarResNet",
    "cifar_resnet20",
    "cifar_resnet32",
    "cifar_resnet44",
    "cifar_resnet56",
    "cifar_resnet110",
]


class _PadShortcut(Module):
    """Option A: every second pixel, and zeros for the channels that x does not have, half of them on either side."""

    def __init__(self, more_channels: int):
        super().__init__()
        self.more_channels = more_channels

    def forward(self, x: Any) -> Any:
        before = self.more_channels // 2
        return ops.pad(x[:, :, ::2, ::2], ((0, 0), (before, self.more_channels - before), (0, 0), (0, 0)))


class _Block(Module):
    def __init__(self, in_channels: int, channels: int, stride: int, option: str):
        super().__init__()
        self.conv1 = Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = BatchNorm2d(channels, activation="relu")
        self.conv2 = Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = BatchNorm2d(channels, activation="relu")
        self.shortcut: Module = Sequential()
        if stride != 1 and option == "A":
            self.shortcut = _PadShortcut(channels - in_channels)
        elif stride != 1:
            self.shortcut = Sequential(Conv2d(in_channels, channels, 1, stride, bias=False), BatchNorm2d(channels))

    def forward(self, x: Any) -> Any:
        out = self.bn1(self.conv1(x))
        return self.bn2(self.conv2(out), self.shortcut(x))


class CifarResNet(Chain):
    """A residual network of `depth` = 6 n + 2 layers for small images.  x (N, 3, 32, 32) -> (N, classes).

    `option` is the shortcut where the size changes: "A" pads with zeros and has no parameters, as in the paper's
    CIFAR networks; "B" is a 1x1 convolution with batch normalisation. The published file of ResNet-20 loads:
    `model.load_state_dict(nn.load("resnet20-12fca82f.npz"))`.
    Source: He, Zhang, Ren & Sun, Deep residual learning for image recognition, CVPR 2016, section 4.2.
    """

    def __init__(self, depth: int = 20, num_classes: int = 10, option: str = "A"):
        super().__init__()
        if check.integer("CifarResNet", 8, depth=depth) % 6 != 2:
            raise ArgumentError(f"CifarResNet: depth must be 6 n + 2 (20, 32, 44, 56, 110, ...), got {depth}")
        check.choice("CifarResNet", ("A", "B"), option=option)
        blocks = (depth - 2) // 6
        with init.skip():
            self.conv1 = Conv2d(3, 16, 3, padding=1, bias=False)
            self.bn1 = BatchNorm2d(16, activation="relu")
            self.layer1 = _stage(16, 16, blocks, 1, option)
            self.layer2 = _stage(16, 32, blocks, 2, option)
            self.layer3 = _stage(32, 64, blocks, 2, option)
            self.avgpool, self.flatten = AdaptiveAvgPool2d((1, 1)), Flatten()
            self.linear = Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, (Conv2d, Linear)):
                init.kaiming_normal_(module.weight)
        if self.linear.bias is not None:
            init.zeros_(self.linear.bias)

    def chain(self) -> list[Module]:
        """All layers in order."""
        stages = [self.layer1, self.layer2, self.layer3]
        return [self.conv1, self.bn1, *stages, self.avgpool, self.flatten, self.linear]


def _stage(in_channels: int, channels: int, blocks: int, stride: int, option: str) -> Sequential:
    first = _Block(in_channels, channels, stride, option)
    return Sequential(first, *(_Block(channels, channels, 1, option) for _ in range(blocks - 1)))


def cifar_resnet20(num_classes: int = 10, option: str = "A") -> CifarResNet:
    """ResNet-20 for CIFAR, 269,722 parameters; see `CifarResNet`."""
    return CifarResNet(20, num_classes, option)


def cifar_resnet32(num_classes: int = 10, option: str = "A") -> CifarResNet:
    """ResNet-32 for CIFAR, 464,154 parameters; see `CifarResNet`."""
    return CifarResNet(32, num_classes, option)


def cifar_resnet44(num_classes: int = 10, option: str = "A") -> CifarResNet:
    """ResNet-44 for CIFAR, 658,586 parameters; see `CifarResNet`."""
    return CifarResNet(44, num_classes, option)


def cifar_resnet56(num_classes: int = 10, option: str = "A") -> CifarResNet:
    """ResNet-56 for CIFAR, 853,018 parameters; see `CifarResNet`."""
    return CifarResNet(56, num_classes, option)


def cifar_resnet110(num_classes: int = 10, option: str = "A") -> CifarResNet:
    """ResNet-110 for CIFAR, 1,727,962 parameters; see `CifarResNet`."""
    return CifarResNet(110, num_classes, option)
