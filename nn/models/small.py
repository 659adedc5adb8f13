"""Networks for small images: a multi-layer perceptron, LeNet-5, Caffe's LeNet, and a three-convolution network."""

from __future__ import annotations

from typing import Any

from tensorgraph import ops
from tensorgraph.errors import ArgumentError
from tensorgraph.nn import arguments as check
from tensorgraph.nn.containers import Sequential
from tensorgraph.nn.layers import Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU
from tensorgraph.nn.models.chain import Chain
from tensorgraph.nn.module import Module

__all__ = ["CaffeLeNet", "LeNet5", "MLP", "ThreeConvolutions"]


class MLP(Sequential):
    """Fully-connected layers with ReLU between them: `MLP(784, 256, 128, 10)`.  (N, ...) -> (N, last size).

    Images are flattened. `dropout` is the share that is dropped behind every ReLU (0: no such layer).
    Source: Rumelhart, Hinton & Williams, Nature 1986 (with sigmoids).
    """

    def __init__(self, *sizes: int, dropout: float = 0.0):
        if len(sizes) < 2:
            raise ArgumentError(f"MLP: at least the sizes of input and output are needed, got {sizes}")
        check.fraction("MLP", dropout=dropout)
        layers: list[Module] = [Flatten(), Linear(sizes[0], sizes[1])]
        for fan_in, fan_out in zip(sizes[1:], sizes[2:]):
            layers += [ReLU(), *([Dropout(dropout)] if dropout else []), Linear(fan_in, fan_out)]
        super().__init__(*layers)


class LeNet5(Chain):
    """LeNet-5 as it is built today, with max pooling and ReLU.  x (N, 1, 28, 28) or (N, 1, 32, 32) -> (N, classes).

    conv 6@5x5, pool, conv 16@5x5, pool, 120, 84, classes: 61,706 parameters. Images of 28x28 are padded to 32x32, as
    in the paper, whose trainable subsampling, partly connected second convolution and RBF output are left out.
    Source: LeCun, Bottou, Bengio & Haffner, Gradient-based learning applied to document recognition, Proc. IEEE 1998.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1):
        super().__init__()
        self.conv1 = Conv2d(in_channels, 6, 5, activation="relu")
        self.conv2 = Conv2d(6, 16, 5, activation="relu")
        self.fc1 = Linear(16 * 5 * 5, 120, activation="relu")
        self.fc2 = Linear(120, 84, activation="relu")
        self.fc3 = Linear(84, num_classes)
        self.pool, self.flatten = MaxPool2d(2), Flatten()

    def chain(self) -> list[Module]:
        """All layers in order."""
        return [self.conv1, self.pool, self.conv2, self.pool, self.flatten, self.fc1, self.fc2, self.fc3]

    def forward(self, x: Any) -> Any:
        if tuple(x.shape[-2:]) == (28, 28):
            x = ops.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
        return super().forward(x)


class CaffeLeNet(Chain):
    """Caffe's LeNet, under the layer names of its files.  x (N, 1, 28, 28) -> (N, classes).

    conv 20@5x5, pool, conv 50@5x5, pool, 500, ReLU, classes: 431,080 parameters; no activation behind the
    convolutions. `model.load_state_dict(nn.load("lenet_iter_10000.caffemodel"))` loads what Caffe trained; its input
    is the pixel times 1/256.
    Source: Caffe, examples/mnist/lenet.prototxt.
    """

    def __init__(self, num_classes: int = 10):
        super().__init__()
        self.conv1 = Conv2d(1, 20, 5)
        self.conv2 = Conv2d(20, 50, 5)
        self.ip1 = Linear(50 * 4 * 4, 500)
        self.ip2 = Linear(500, num_classes)
        self.relu, self.pool, self.flatten = ReLU(), MaxPool2d(2), Flatten()

    def chain(self) -> list[Module]:
        """All layers in order."""
        convolutions = [self.conv1, self.pool, self.conv2, self.pool]
        return [*convolutions, self.flatten, self.ip1, self.relu, self.ip2]


class ThreeConvolutions(Sequential):
    """The three-convolution MNIST network of the tutorials.  x (N, 1, 28, 28) -> (N, classes).

    3x3 'same' convolutions of 32, 64 and 128 channels, each with ReLU, 2x2 max pooling and dropout 0.2; then 625
    units, dropout 0.5, classes: 1,379,557 parameters. Trained with RMSprop. Pooling keeps the odd row and column (28,
    14, 7, 4).
    Source: Radford, Theano-Tutorials, 5_convolutional_net.py, 2014.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1):
        layers: list[Module] = []
        for fan_in, fan_out in ((in_channels, 32), (32, 64), (64, 128)):
            layers += [Conv2d(fan_in, fan_out, 3, padding="same"), ReLU(), MaxPool2d(2, ceil_mode=True), Dropout(0.2)]
        layers += [Flatten(), Linear(128 * 4 * 4, 625), ReLU(), Dropout(0.5), Linear(625, num_classes)]
        super().__init__(*layers)
