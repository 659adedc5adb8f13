"""Fully-connected layers as convolutions, so that a classifier takes images of any size and returns a map of scores.

Works on chains of layers: Sequential, and those networks of this room that are one (LeNet, AlexNet, VGG, ResNet, ...).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorgraph.creation import zeros
from tensorgraph.errors import ArgumentError, ShapeError, sig
from tensorgraph.mode import no_grad
from tensorgraph.nn import arguments as check
from tensorgraph.nn import init
from tensorgraph.nn.containers import Sequential
from tensorgraph.nn.layers import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    LogSoftmax,
    MaxPool2d,
    Softmax,
)
from tensorgraph.nn.models.chain import Chain
from tensorgraph.nn.module import Module, Parameter

__all__ = ["fully_convolutional", "linear_to_conv"]


def linear_to_conv(layer: Linear, kernel_size: int | tuple[int, int] = 1) -> Conv2d:
    """The convolution that computes at every place what `layer` computes from a flattened (C, *kernel_size) map.

    The weights share memory with those of the layer. Raises ArgumentError when its inputs are not C such maps.
    """
    if not isinstance(layer, Linear):
        raise ArgumentError(f"linear_to_conv: {sig(layer)} is not a Linear layer")
    high, wide = check.sizes(2, "linear_to_conv", kernel_size=kernel_size)
    channels, rest = divmod(layer.in_features, high * wide)
    if rest:
        raise ArgumentError(f"linear_to_conv: {layer.in_features} inputs are no whole maps of {high}x{wide}")
    make = {"bias": layer.bias is not None, "device": layer.weight.device, "dtype": layer.weight.dtype}
    make["activation"] = layer.activation
    with init.skip():
        conv = Conv2d(channels, layer.out_features, (high, wide), **make)
    shape = (layer.out_features, channels, high, wide)
    conv.weight = Parameter(layer.weight.detach().reshape(shape), layer.weight.requires_grad)
    conv.bias = layer.bias
    return conv.train(layer.training)


def fully_convolutional(model: Module, size: int | tuple[int, int]) -> Sequential:
    """The same network for images of any size: its result is a map (N, classes, H', W') in place of (N, classes).

    `size` is the height and width of the images that the model was made for; on those the map has one place, with the
    model's own result. On larger ones the network slides over the image: a place of the map is what the model would
    say of a window of `size`, and the windows lie as far apart as the strides of all layers make (4 pixels for two
    poolings of 2). That is exact where convolutions do not pad; padded ones see the pixels outside of the window where
    the model saw zeros. Smaller images than `size` are too small.

    The first Linear layer becomes a convolution over the whole map in front of it, later ones 1x1 convolutions, global
    pooling a pooling over windows. Weights share memory with the model (`copy.deepcopy` parts them).

    >>> import tensorgraph as tg
    >>> from tensorgraph import nn
    >>> dense = nn.models.fully_convolutional(nn.models.CaffeLeNet(), 28)
    >>> dense(tg.zeros(1, 1, 28, 28)).shape, dense(tg.zeros(1, 1, 40, 60)).shape
    ((1, 10, 1, 1), (1, 10, 4, 9))

    Raises ArgumentError: a model that is no chain of layers (`linear_to_conv` converts a single layer for a forward of
    your own), or a layer that cannot be turned.
    Source: Sermanet et al., OverFeat, ICLR 2014; Long, Shelhamer & Darrell, Fully convolutional networks, CVPR 2015.
    """
    high, wide = check.sizes(2, "fully_convolutional", size=size)
    layers = _layers(model)
    first = next((p for p in model.parameters() if p.ndim == 4), None)
    if first is None:
        raise ArgumentError(f"fully_convolutional: {type(model).__name__} has no convolution that images could go into")
    x = zeros(1, _channels(layers), high, wide, dtype=first.dtype, device=first.device)
    dense: list[Module] = []
    flat: tuple[int, ...] | None = None  # the shape (1, C, H, W) of what was flattened, until a Linear layer takes it
    vector = False
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            for layer in layers:
                y = layer(x)
                if isinstance(layer, Flatten):
                    if x.ndim == 4:
                        flat, vector = x.shape, True
                elif isinstance(layer, Linear):
                    if not vector:
                        raise ArgumentError(
                            f"fully_convolutional: {type(model).__name__} has a Linear layer on maps {sig(x)}",
                            hint="an nn.Flatten() belongs in front of it",
                        )
                    dense.append(linear_to_conv(layer, (flat[2], flat[3]) if flat else 1))
                    flat = None
                else:
                    turned = _turned(layer, x.shape, flat if vector else None)
                    dense += [] if turned is None else [turned]
                x = y
    finally:
        for module, training in modes:
            module.training = training
    return Sequential(*dense).train(model.training)


def _layers(model: Module) -> list[Module]:
    """All layers in the order of their calls, those of nested Sequentials one by one."""
    if isinstance(model, Chain):
        return [layer for part in model.chain() for layer in _layers(part)]
    if isinstance(model, Sequential) and type(model).forward is Sequential.forward:
        return [layer for part in model for layer in _layers(part)]
    return [model]


def _channels(layers: Sequence[Module]) -> int:
    for layer in layers:
        for module in layer.modules():
            if isinstance(module, Conv2d):
                return module.in_channels
    raise ArgumentError("fully_convolutional: there is no convolution that images could go into")


def _turned(layer: Module, shape: tuple[int, ...], flat: tuple[int, ...] | None) -> Any:
    """What stands in for a layer that sees maps of that shape (behind Flatten: vectors); None where nothing has to."""
    if isinstance(layer, (AdaptiveAvgPool2d, AdaptiveMaxPool2d)):
        wanted = check.sizes(2, "fully_convolutional", output_size=layer.output_size)
        if wanted == tuple(shape[2:]):
            return None
        if wanted != (1, 1):
            raise ArgumentError(
                f"fully_convolutional: {layer} changes maps of {shape[2]}x{shape[3]}",
                hint=f"give the size of images whose maps are {wanted[0]}x{wanted[1]} there",
            )
        kind = AvgPool2d if isinstance(layer, AdaptiveAvgPool2d) else MaxPool2d
        return kind(tuple(shape[2:]), stride=1)
    if isinstance(layer, BatchNorm1d) and len(shape) == 2:
        if flat is not None:
            raise ShapeError("fully_convolutional: batch normalisation of a flattened map has one scale per pixel")
        norm = BatchNorm2d(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        norm.activation = layer.activation
        norm.weight, norm.bias = layer.weight, layer.bias
        norm.running_mean, norm.running_var = layer.running_mean, layer.running_var
        norm.num_batches_tracked = layer.num_batches_tracked
        return norm
    if isinstance(layer, (Softmax, LogSoftmax)) and len(shape) == 2:
        return type(layer)(dim=1)
    return layer
