"""GoogLeNet (Inception v1) with batch normalisation. State-dict names are torchvision's."""

from __future__ import annotations

from typing import Any, NamedTuple

from tensorgraph import ops
from tensorgraph.nn import init
from tensorgraph.nn.containers import Sequential
from tensorgraph.nn.layers import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d
from tensorgraph.nn.models.chain import Chain
from tensorgraph.nn.module import Module

__all__ = ["GoogLeNet", "GoogLeNetOutputs", "googlenet"]


class GoogLeNetOutputs(NamedTuple):
    """What GoogLeNet returns while training: its own logits, and those of the later and of the earlier side branch."""

    logits: Any
    aux_logits2: Any
    aux_logits1: Any


class _Unit(Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0):
        super().__init__()
        self.conv = Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.bn = BatchNorm2d(out_channels, eps=0.001, activation="relu")

    def forward(self, x: Any) -> Any:
        return self.bn(self.conv(x))


class _Inception(Module):
    """Four branches side by side: 1x1, 3x3 behind 1x1, "5x5" behind 1x1, and 1x1 behind pooling."""

    def __init__(self, in_channels: int, one: int, red3: int, three: int, red5: int, five: int, pooled: int):
        super().__init__()
        self.branch1 = _Unit(in_channels, one, 1)
        self.branch2 = Sequential(_Unit(in_channels, red3, 1), _Unit(red3, three, 3, padding=1))
        # 3x3 where the paper has 5x5: the published weights of torchvision are so
        self.branch3 = Sequential(_Unit(in_channels, red5, 1), _Unit(red5, five, 3, padding=1))
        self.branch4 = Sequential(MaxPool2d(3, 1, 1, ceil_mode=True), _Unit(in_channels, pooled, 1))

    def forward(self, x: Any) -> Any:
        return ops.concat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], axis=1)


class _SideBranch(Module):
    def __init__(self, in_channels: int, num_classes: int, dropout: float):
        super().__init__()
        self.conv = _Unit(in_channels, 128, 1)
        self.fc1 = Linear(2048, 1024, activation="relu")
        self.fc2 = Linear(1024, num_classes)
        self.dropout = Dropout(dropout)

    def forward(self, x: Any) -> Any:
        x = ops.flatten(self.conv(ops.adaptive_avg_pool2d(x, (4, 4))), 1)
        return self.fc2(self.dropout(self.fc1(x)))


class GoogLeNet(Chain):
    """GoogLeNet with two auxiliary classifiers.  x (N, 3, 224, 224) -> (N, classes); any size from 32x32 works.

    In training mode the result is `GoogLeNetOutputs(logits, aux_logits2, aux_logits1)`; the loss is that of the
    logits plus 0.3 times that of each side branch. In evaluation mode, and with `aux_logits=False`, it is the logits.
    6,624,904 parameters with 1000 classes, 13,004,888 with the side branches. Weights start from a truncated normal
    of deviation 0.01.
    Source: Szegedy et al., Going deeper with convolutions, CVPR 2015.
    """

    aux1: _SideBranch | None
    aux2: _SideBranch | None

    def __init__(
        self, num_classes: int = 1000, aux_logits: bool = True, dropout: float = 0.2, dropout_aux: float = 0.7
    ):
        super().__init__()
        with init.skip():
            self.conv1 = _Unit(3, 64, 7, stride=2, padding=3)
            self.maxpool1 = MaxPool2d(3, 2, ceil_mode=True)
            self.conv2 = _Unit(64, 64, 1)
            self.conv3 = _Unit(64, 192, 3, padding=1)
            self.maxpool2 = MaxPool2d(3, 2, ceil_mode=True)
            self.inception3a = _Inception(192, 64, 96, 128, 16, 32, 32)
            self.inception3b = _Inception(256, 128, 128, 192, 32, 96, 64)
            self.maxpool3 = MaxPool2d(3, 2, ceil_mode=True)
            self.inception4a = _Inception(480, 192, 96, 208, 16, 48, 64)
            self.inception4b = _Inception(512, 160, 112, 224, 24, 64, 64)
            self.inception4c = _Inception(512, 128, 128, 256, 24, 64, 64)
            self.inception4d = _Inception(512, 112, 144, 288, 32, 64, 64)
            self.inception4e = _Inception(528, 256, 160, 320, 32, 128, 128)
            self.maxpool4 = MaxPool2d(2, 2, ceil_mode=True)
            self.inception5a = _Inception(832, 256, 160, 320, 32, 128, 128)
            self.inception5b = _Inception(832, 384, 192, 384, 48, 128, 128)
            self.aux1 = _SideBranch(512, num_classes, dropout_aux) if aux_logits else None
            self.aux2 = _SideBranch(528, num_classes, dropout_aux) if aux_logits else None
            self.avgpool, self.flatten = AdaptiveAvgPool2d((1, 1)), Flatten()
            self.dropout = Dropout(dropout)
            self.fc = Linear(1024, num_classes)
        for module in self.modules():
            if isinstance(module, (Conv2d, Linear)):
                init.trunc_normal_(module.weight, 0.0, 0.01, -2.0, 2.0)
                if module.bias is not None:
                    init.zeros_(module.bias)

    def chain(self) -> list[Module]:
        """All layers in order, without the side branches."""
        begin = [self.conv1, self.maxpool1, self.conv2, self.conv3, self.maxpool2]
        third = [self.inception3a, self.inception3b, self.maxpool3]
        fourth = [self.inception4a, self.inception4b, self.inception4c, self.inception4d, self.inception4e]
        fifth = [self.maxpool4, self.inception5a, self.inception5b]
        return [*begin, *third, *fourth, *fifth, self.avgpool, self.flatten, self.dropout, self.fc]

    def forward(self, x: Any) -> Any:
        early = late = None
        for layer in self.chain():
            x = layer(x)
            if layer is self.inception4a:
                early = x
            elif layer is self.inception4d:
                late = x
        if not self.training or self.aux1 is None or self.aux2 is None:
            return x
        return GoogLeNetOutputs(x, self.aux2(late), self.aux1(early))


def googlenet(num_classes: int = 1000, aux_logits: bool = True) -> GoogLeNet:
    """GoogLeNet, also known as Inception v1; see `GoogLeNet`."""
    return GoogLeNet(num_classes, aux_logits)
