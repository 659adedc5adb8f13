"""Pre-activation residual networks: normalisation and ReLU stand before the convolutions, so the shortcuts are free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from tensorgraph.errors import ArgumentError
from tensorgraph.nn import arguments as check
from tensorgraph.nn import init
from tensorgraph.nn.containers import Sequential
from tensorgraph.nn.layers import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d
from tensorgraph.nn.models.chain import Chain
from tensorgraph.nn.module import Module

__all__ = [
    "PreActBlock",
    "PreActBottleneck",
    "PreActResNet",
    "cifar_preact_resnet110",
    "cifar_preact_resnet164",
    "cifar_preact_resnet1001",
    "preact_resnet18",
    "preact_resnet34",
    "preact_resnet50",
    "preact_resnet101",
    "preact_resnet152",
    "preact_resnet200",
]


class _Block(Module, ABC):
    """Normalisation, ReLU and convolution, two or three times. A shortcut that changes the shape is a 1x1 convolution
    of what the first ReLU returns; another one is x itself."""

    expansion: int

    def __init__(self, in_channels: int, channels: int, stride: int = 1):
        super().__init__()
        for i, (fan_in, fan_out, size, step) in enumerate(self._convolutions(in_channels, channels, stride), 1):
            setattr(self, f"bn{i}", BatchNorm2d(fan_in, activation="relu"))
            setattr(self, f"conv{i}", Conv2d(fan_in, fan_out, size, step, size // 2, bias=False))
        self.shortcut: Conv2d | None = None
        if stride != 1 or in_channels != channels * self.expansion:
            self.shortcut = Conv2d(in_channels, channels * self.expansion, 1, stride, bias=False)

    @abstractmethod
    def _convolutions(self, in_channels: int, channels: int, stride: int) -> list[tuple[int, int, int, int]]:
        """(channels in, channels out, kernel, stride) of each."""

    def _pairs(self) -> list[tuple[Module, Module]]:
        return [(getattr(self, f"bn{i}"), getattr(self, f"conv{i}")) for i in range(1, 4) if hasattr(self, f"bn{i}")]

    def forward(self, x: Any) -> Any:
        shortcut, y = x, x
        for i, (norm, conv) in enumerate(self._pairs()):
            y = norm(y)
            if i == 0 and self.shortcut is not None:
                shortcut = self.shortcut(y)
            y = conv(y)
        return y + shortcut


class PreActBlock(_Block):
    """Two 3x3 convolutions.  x (N, in_channels, H, W) -> (N, channels, H', W')."""

    expansion = 1

    def _convolutions(self, in_channels: int, channels: int, stride: int) -> list[tuple[int, int, int, int]]:
        return [(in_channels, channels, 3, stride), (channels, channels, 3, 1)]


class PreActBottleneck(_Block):
    """1x1, 3x3 (with the stride) and 1x1 convolutions.  x (N, in_channels, H, W) -> (N, 4 channels, H', W')."""

    expansion = 4

    def _convolutions(self, in_channels: int, channels: int, stride: int) -> list[tuple[int, int, int, int]]:
        return [(in_channels, channels, 1, 1), (channels, channels, 3, stride), (channels, 4 * channels, 1, 1)]


class PreActResNet(Chain):
    """A pre-activation residual network: `PreActResNet(PreActBottleneck, (3, 4, 6, 3))`.

    x (N, 3, 224, 224) -> (N, classes): a 7x7 convolution and pooling, then four stages of 64, 128, 256 and 512
    channels. With `small=True` x is (N, 3, 32, 32): a 3x3 convolution, then three stages of 16, 32 and 64. `layers` is
    the number of blocks in each stage. Behind the last block come normalisation, ReLU, the mean over the image and a
    linear layer. Other image sizes work too.
    Source: He, Zhang, Ren & Sun, Identity mappings in deep residual networks, ECCV 2016.
    """

    def __init__(
        self,
        block: type[PreActBlock] | type[PreActBottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        small: bool = False,
    ):
        super().__init__()
        widths = (16, 32, 64) if small else (64, 128, 256, 512)
        numbers = check.sizes(len(widths), "PreActResNet", layers=layers)
        if not (isinstance(block, type) and issubclass(block, _Block)):
            raise ArgumentError(f"PreActResNet: block must be PreActBlock or PreActBottleneck, got {block!r}")
        with init.skip():
            first = (3, 1, 1) if small else (7, 2, 3)
            self.conv1 = Conv2d(3, widths[0], *first, bias=False)
            self.maxpool = None if small else MaxPool2d(3, stride=2, padding=1)
            channels = widths[0]
            for i, (width, number) in enumerate(zip(widths, numbers, strict=True), 1):
                blocks = []
                for j in range(number):
                    blocks.append(block(channels, width, 2 if i > 1 and j == 0 else 1))
                    channels = width * block.expansion
                setattr(self, f"layer{i}", Sequential(*blocks))
            self.norm = BatchNorm2d(channels, activation="relu")
            self.avgpool, self.flatten = AdaptiveAvgPool2d((1, 1)), Flatten()
        self.fc = Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def chain(self) -> list[Module]:
        """All layers in order."""
        begin = [self.conv1] if self.maxpool is None else [self.conv1, self.maxpool]
        stages = [module for name, module in self.named_children() if name.startswith("layer")]
        return [*begin, *stages, self.norm, self.avgpool, self.flatten, self.fc]


def preact_resnet18(num_classes: int = 1000) -> PreActResNet:
    """Pre-activation ResNet-18, 11,687,720 parameters with 1000 classes; see `PreActResNet`."""
    return PreActResNet(PreActBlock, (2, 2, 2, 2), num_classes)


def preact_resnet34(num_classes: int = 1000) -> PreActResNet:
    """Pre-activation ResNet-34, 21,795,880 parameters with 1000 classes; see `PreActResNet`."""
    return PreActResNet(PreActBlock, (3, 4, 6, 3), num_classes)


def preact_resnet50(num_classes: int = 1000) -> PreActResNet:
    """Pre-activation ResNet-50, 25,549,352 parameters with 1000 classes; see `PreActResNet`."""
    return PreActResNet(PreActBottleneck, (3, 4, 6, 3), num_classes)


def preact_resnet101(num_classes: int = 1000) -> PreActResNet:
    """Pre-activation ResNet-101, 44,541,480 parameters with 1000 classes; see `PreActResNet`."""
    return PreActResNet(PreActBottleneck, (3, 4, 23, 3), num_classes)


def preact_resnet152(num_classes: int = 1000) -> PreActResNet:
    """Pre-activation ResNet-152, 60,185,128 parameters with 1000 classes; see `PreActResNet`."""
    return PreActResNet(PreActBottleneck, (3, 8, 36, 3), num_classes)


def preact_resnet200(num_classes: int = 1000) -> PreActResNet:
    """Pre-activation ResNet-200, 64,666,152 parameters with 1000 classes; see `PreActResNet`."""
    return PreActResNet(PreActBottleneck, (3, 24, 36, 3), num_classes)


def cifar_preact_resnet110(num_classes: int = 10) -> PreActResNet:
    """Pre-activation ResNet-110 for CIFAR, 1,730,522 parameters; see `PreActResNet`."""
    return PreActResNet(PreActBlock, (18, 18, 18), num_classes, small=True)


def cifar_preact_resnet164(num_classes: int = 10) -> PreActResNet:
    """Pre-activation ResNet-164 for CIFAR, of bottlenecks, 1,703,258 parameters; see `PreActResNet`."""
    return PreActResNet(PreActBottleneck, (18, 18, 18), num_classes, small=True)


def cifar_preact_resnet1001(num_classes: int = 10) -> PreActResNet:
    """Pre-activation ResNet-1001 for CIFAR, of bottlenecks, 10,327,706 parameters; see `PreActResNet`."""
    return PreActResNet(PreActBottleneck, (111, 111, 111), num_classes, small=True)
