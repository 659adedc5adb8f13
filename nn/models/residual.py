"""ResNet-18, 34, 50, 101 and 152 for ImageNet-sized images. State-dict names are torchvision's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorgraph.nn import arguments as check
from tensorgraph.nn import init
from tensorgraph.nn.containers import Sequential
from tensorgraph.nn.layers import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d
from tensorgraph.nn.models.chain import Chain
from tensorgraph.nn.module import Module

__all__ = ["BasicBlock", "Bottleneck", "ResNet", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


class BasicBlock(Module):
    """Two 3x3 convolutions and a shortcut around them.  x (N, in_channels, H, W) -> (N, channels, H', W')."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int = 1, downsample: Module | None = None):
        super().__init__()
        self.conv1 = Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = BatchNorm2d(channels, activation="relu")
        self.conv2 = Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = BatchNorm2d(channels, activation="relu")
        self.downsample = downsample

    def forward(self, x: Any) -> Any:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x))
        return self.bn2(self.conv2(x), shortcut)


class Bottleneck(Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut.  x (N, in_channels, H, W) -> (N, 4 channels, H', W').

    The stride is in the 3x3 convolution, as in torchvision (the paper has it in the first 1x1).
    """

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int = 1, downsample: Module | None = None):
        super().__init__()
        self.conv1 = Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = BatchNorm2d(channels, activation="relu")
        self.conv2 = Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = BatchNorm2d(channels, activation="relu")
        self.conv3 = Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = BatchNorm2d(4 * channels, activation="relu")
        self.downsample = downsample

    def forward(self, x: Any) -> Any:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x))
        x = self.bn2(self.conv2(x))
        return self.bn3(self.conv3(x), shortcut)


class ResNet(Chain):
    """A residual network of four stages: `ResNet(BasicBlock, (2, 2, 2, 2))`.  x (N, 3, 224, 224) -> (N, classes).

    `layers` is the number of blocks in each stage. `zero_init_residual` starts every block as the identity (Goyal et
    al., arXiv:1706.02677). Any image size from 32x32 works.
    Source: He, Zhang, Ren & Sun, Deep residual learning for image recognition, CVPR 2016.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
    ):
        super().__init__()
        blocks = check.sizes(4, "ResNet", layers=layers)
        with init.skip():
            self.conv1 = Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
            self.bn1 = BatchNorm2d(64, activation="relu")
            self.maxpool = MaxPool2d(3, stride=2, padding=1)
            self.layer1 = _stage(block, 64, 64, blocks[0], 1)
            self.layer2 = _stage(block, 64 * block.expansion, 128, blocks[1], 2)
            self.layer3 = _stage(block, 128 * block.expansion, 256, blocks[2], 2)
            self.layer4 = _stage(block, 256 * block.expansion, 512, blocks[3], 2)
        self.avgpool = AdaptiveAvgPool2d((1, 1))
        self.flatten = Flatten()
        self.fc = Linear(512 * block.expansion, num_classes)
        for module in self.modules():
            if isinstance(module, Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init_residual and isinstance(module, (BasicBlock, Bottleneck)):
                last = module.bn2 if isinstance(module, BasicBlock) else module.bn3
                if last.weight is not None:
                    init.zeros_(last.weight)

    def chain(self) -> list[Module]:
        """All layers in order."""
        stages = [self.layer1, self.layer2, self.layer3, self.layer4]
        return [self.conv1, self.bn1, self.maxpool, *stages, self.avgpool, self.flatten, self.fc]


def _stage(
    block: type[BasicBlock] | type[Bottleneck], in_channels: int, channels: int, blocks: int, stride: int
) -> Sequential:
    out_channels = channels * block.expansion
    downsample = None
    if stride != 1 or in_channels != out_channels:
        downsample = Sequential(Conv2d(in_channels, out_channels, 1, stride, bias=False), BatchNorm2d(out_channels))
    first = block(in_channels, channels, stride, downsample)
    return Sequential(first, *(block(out_channels, channels) for _ in range(blocks - 1)))


def resnet18(num_classes: int = 1000, zero_init_residual: bool = False) -> ResNet:
    """ResNet-18, 11,689,512 parameters with 1000 classes; see `ResNet`."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, zero_init_residual)


def resnet34(num_classes: int = 1000, zero_init_residual: bool = False) -> ResNet:
    """ResNet-34, 21,797,672 parameters with 1000 classes; see `ResNet`."""
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, zero_init_residual)


def resnet50(num_classes: int = 1000, zero_init_residual: bool = False) -> ResNet:
    """ResNet-50, 25,557,032 parameters with 1000 classes; see `ResNet`."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, zero_init_residual)


def resnet101(num_classes: int = 1000, zero_init_residual: bool = False) -> ResNet:
    """ResNet-101, 44,549,160 parameters with 1000 classes; see `ResNet`."""
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, zero_init_residual)


def resnet152(num_classes: int = 1000, zero_init_residual: bool = False) -> ResNet:
    """ResNet-152, 60,192,808 parameters with 1000 classes; see `ResNet`."""
    return ResNet(Bottleneck, (3, 8, 36, 3), num_classes, zero_init_residual)
