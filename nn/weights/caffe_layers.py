"""Caffe's layers as layers of this library: one function per type, from the settings in a `.prototxt`.

Each returns a module whose parameters have the names that `read_caffemodel` gives to the arrays. Sizes that follow
from the input are found at the first call (lazy layers). Imported by caffe_network.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

from tensorgraph import ops
from tensorgraph.creation import ones, zeros
from tensorgraph.errors import ArgumentError, ShapeError, sig
from tensorgraph.nn import functional as F
from tensorgraph.nn import layers as L
from tensorgraph.nn.layers.lazy import _Lazy
from tensorgraph.nn.module import Module, Parameter
from tensorgraph.nn.weights.prototext import Message

__all__ = ["DATA", "LOSSES", "V1_TYPES", "make"]

V1_TYPES = {
    "ABSVAL": "AbsVal", "ACCURACY": "Accuracy", "BNLL": "BNLL", "CONCAT": "Concat", "CONVOLUTION": "Convolution",
    "DATA": "Data", "DECONVOLUTION": "Deconvolution", "DROPOUT": "Dropout", "DUMMY_DATA": "DummyData",
    "ELTWISE": "Eltwise", "EUCLIDEAN_LOSS": "EuclideanLoss", "EXP": "Exp", "FLATTEN": "Flatten",
    "HDF5_DATA": "HDF5Data", "HINGE_LOSS": "HingeLoss", "IMAGE_DATA": "ImageData", "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN", "MEMORY_DATA": "MemoryData", "POOLING": "Pooling", "POWER": "Power", "RELU": "ReLU",
    "SIGMOID": "Sigmoid", "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss", "SILENCE": "Silence",
    "SLICE": "Slice", "SOFTMAX": "Softmax", "SOFTMAX_LOSS": "SoftmaxWithLoss", "SPLIT": "Split", "TANH": "TanH",
    "WINDOW_DATA": "WindowData",
}  # fmt: skip
"""the words of files before 2014"""

DATA = ("Data", "DummyData", "HDF5Data", "ImageData", "Input", "MemoryData", "WindowData")
"""types whose results are the inputs of the network"""


# ---- modules that have no counterpart ------------------------------------------------------------------------------
class Function(Module):
    """A function of one or several blobs as a layer."""

    def __init__(self, name: str, function: Callable[..., Any]):
        super().__init__()
        self.name, self.function = name, function

    def forward(self, *blobs: Any) -> Any:
        return self.function(*blobs)

    def extra_repr(self) -> str:
        return self.name


class Affine(Module):
    """Scale and shift of every channel: weight (C,), and bias (C,) or None."""

    bias: Parameter | None

    def __init__(self, num_features: int, bias: bool):
        super().__init__()
        self.num_features = num_features
        self.weight = Parameter(ones(num_features))
        self.bias = Parameter(zeros(num_features)) if bias else None

    def reset_parameters(self) -> None:
        """Scale 1, shift 0."""
        self.weight.data = ones(self.num_features, device=self.weight.device, dtype=self.weight.dtype)
        if self.bias is not None:
            self.bias.data = zeros(self.num_features, device=self.weight.device, dtype=self.weight.dtype)

    def forward(self, x: Any) -> Any:
        shape = (-1,) + (1,) * (x.ndim - 2)
        y = x * self.weight.reshape(shape)
        return y if self.bias is None else y + self.bias.reshape(shape)

    def extra_repr(self) -> str:
        return f"{self.num_features}, bias={self.bias is not None}"


class _LazyChannels(_Lazy):
    def _check_first(self, input: Any) -> int:
        if input.ndim < 2:
            raise ShapeError(f"{type(self).__name__}: the input is {sig(input)}, it has no channels")
        return input.shape[1]


class LazyAffine(_LazyChannels, Affine):
    """`Affine` that takes its size from its first input."""

    layer, missing, sized = Affine, "num_features", {"weight": 0, "bias": 0}

    def __init__(self, bias: bool):
        super().__init__(1, bias)  # pyright: ignore[reportCallIssue]


class LazyBias(_LazyChannels, L.Bias):
    """`Bias` that takes its size from its first input."""

    layer, missing, sized = L.Bias, "num_features", {"weight": 0}


class LazyPReLU(_LazyChannels, L.PReLU):
    """`PReLU` of one slope per channel, as many as its first input has."""

    layer, missing, sized = L.PReLU, "num_parameters", {"weight": 0}


# ---- settings ------------------------------------------------------------------------------------------------------
def _pair(p: Message, name: str, default: int | None, side: str | None = None) -> tuple[int, int]:
    """A size for height and width: one number for both, two, or `<side>_h` and `<side>_w`."""
    side = name if side is None else side
    if f"{side}_h" in p.fields or f"{side}_w" in p.fields:
        return p.integer(f"{side}_h", default), p.integer(f"{side}_w", default)
    values = p.all(name) or ([] if default is None else [default])
    if len(values) not in (1, 2) or any(type(value) is not int for value in values):
        raise ArgumentError(f"{p.who}: {name} must be one or two integers, got {values or 'nothing'}")
    return values[0], values[-1]


def _outputs(p: Message) -> int:
    n = p.integer("num_output")
    if n is None or n < 1:
        raise ArgumentError(f"{p.who}: num_output must be a positive integer, got {n}")
    return n


def _convolution(layer: Message, flat: bool) -> Module:
    p = layer.part("convolution_param")
    kernel, stride, pad = _pair(p, "kernel_size", None, "kernel"), _pair(p, "stride", 1), _pair(p, "pad", 0)
    settings: dict[str, Any] = dict(
        dilation=_pair(p, "dilation", 1), groups=p.integer("group", 1), bias=p.flag("bias_term", True)
    )
    kind = L.LazyConvTranspose2d if layer.get("type") in ("Deconvolution", "DECONVOLUTION") else L.LazyConv2d
    return kind(_outputs(p), kernel, stride, pad, **settings)


def _inner_product(layer: Message, flat: bool) -> Module:
    p = layer.part("inner_product_param")
    if p.flag("transpose"):
        raise ArgumentError(f"{layer.who}: an inner product with transposed weights is not read")
    return L.LazyLinear(_outputs(p), p.flag("bias_term", True))


def _pooling(layer: Message, flat: bool) -> Module:
    p = layer.part("pooling_param")
    how = p.get("pool", "MAX")
    if how not in ("MAX", "AVE", 0, 1):
        raise ArgumentError(f"{layer.who}: pooling by {how} is not read, only MAX and AVE")
    largest = how in ("MAX", 0)
    if p.flag("global_pooling"):
        return L.AdaptiveMaxPool2d(1) if largest else L.AdaptiveAvgPool2d(1)
    sizes = _pair(p, "kernel_size", None, "kernel"), _pair(p, "stride", 1), _pair(p, "pad", 0)
    upwards = p.get("round_mode", "CEIL") in ("CEIL", 0)
    return (L.MaxPool2d if largest else L.AvgPool2d)(*sizes, ceil_mode=upwards)


def _lrn(layer: Message, flat: bool) -> Module:
    p = layer.part("lrn_param")
    size, alpha, beta = p.integer("local_size", 5), p.number("alpha", 1.0), p.number("beta", 0.75)
    if p.get("norm_region", "ACROSS_CHANNELS") in ("ACROSS_CHANNELS", 0):
        return L.LocalResponseNorm(size, alpha, beta, p.number("k", 1.0))

    def within(x: Any) -> Any:
        return x * (1 + alpha * F.avg_pool2d(x * x, size, 1, size // 2)) ** -beta

    return Function(f"response normalisation in each channel, {size}x{size}", within)


def _batch_norm(layer: Message, flat: bool) -> Module:
    p = layer.part("batch_norm_param")
    rate = 1 - p.number("moving_average_fraction", 0.999)
    return (L.LazyBatchNorm1d if flat else L.LazyBatchNorm2d)(p.number("eps", 1e-5), round(rate, 12), affine=False)


def _scale(layer: Message, flat: bool) -> Module:
    p = layer.part("scale_param")
    if len(layer.all("bottom")) != 1 or p.integer("axis", 1) != 1 or p.integer("num_axes", 1) != 1:
        raise ArgumentError(f"{layer.who}: only a Scale of one input, one number per channel, is read")
    return LazyAffine(p.flag("bias_term"))


def _bias(layer: Message, flat: bool) -> Module:
    p = layer.part("bias_param")
    if len(layer.all("bottom")) != 1 or p.integer("axis", 1) != 1 or p.integer("num_axes", 1) != 1:
        raise ArgumentError(f"{layer.who}: only a Bias of one input, one number per channel, is read")
    return LazyBias(1)


def _relu(layer: Message, flat: bool) -> Module:
    slope = layer.part("relu_param").number("negative_slope", 0)
    return L.LeakyReLU(slope) if slope else L.ReLU()


def _prelu(layer: Message, flat: bool) -> Module:
    return L.PReLU(1) if layer.part("prelu_param").flag("channel_shared") else LazyPReLU(1)


def _concat(layer: Message, flat: bool) -> Module:
    p = layer.part("concat_param")
    axis = p.integer("axis", p.integer("concat_dim", 1))
    return Function(f"concat, axis={axis}", lambda *blobs: ops.concat(blobs, axis))


def _slice(layer: Message, flat: bool) -> Module:
    p = layer.part("slice_param")
    axis, points, n = p.integer("axis", p.integer("slice_dim", 1)), p.all("slice_point"), len(layer.all("top"))

    def parts(x: Any) -> tuple[Any, ...]:
        size = x.shape[axis]
        edges = [0, *(points or [size * i // n for i in range(1, n)]), size]
        where = (slice(None),) * (axis % x.ndim)
        return tuple(x[(*where, slice(a, b))] for a, b in zip(edges, edges[1:], strict=False))

    return Function(f"slice, axis={axis}", parts)


def _eltwise(layer: Message, flat: bool) -> Module:
    p = layer.part("eltwise_param")
    how, factors = p.get("operation", "SUM"), p.all("coeff")
    if how in ("PROD", 0):
        return Function("product", lambda *blobs: reduce(ops.multiply, blobs))
    if how in ("MAX", 2):
        return Function("maximum", lambda *blobs: reduce(ops.maximum, blobs))
    if how not in ("SUM", 1):
        raise ArgumentError(f"{layer.who}: operation must be PROD, SUM or MAX, got {how!r}")
    if factors and len(factors) != len(layer.all("bottom")):
        raise ArgumentError(f"{layer.who}: {len(factors)} coefficients for {len(layer.all('bottom'))} inputs")
    if not factors:
        return Function("sum", lambda *blobs: reduce(ops.add, blobs))
    return Function(
        f"sum, coeff={factors}",
        lambda *blobs: reduce(ops.add, [b * float(c) for b, c in zip(blobs, factors, strict=True)]),
    )


def _power(layer: Message, flat: bool) -> Module:
    p = layer.part("power_param")
    power, scale, shift = (p.number(name, default) for name, default in (("power", 1), ("scale", 1), ("shift", 0)))
    return Function(f"({scale} x + {shift})^{power}", lambda x: (x * scale + shift) ** power)


def _exp(layer: Message, flat: bool) -> Module:
    p = layer.part("exp_param")
    base, scale, shift = (p.number(name, default) for name, default in (("base", -1), ("scale", 1), ("shift", 0)))
    return Function("exp", lambda x: ops.exp(x * scale + shift) if base == -1 else float(base) ** (x * scale + shift))


def _reshape(layer: Message, flat: bool) -> Module:
    sizes = layer.part("reshape_param").part("shape").all("dim")
    return Function(
        f"reshape to {sizes}",
        lambda x: x.reshape(tuple(x.shape[i] if n == 0 else n for i, n in enumerate(sizes))),
    )


def _flatten(layer: Message, flat: bool) -> Module:
    p = layer.part("flatten_param")
    return L.Flatten(p.integer("axis", 1), p.integer("end_axis", -1))


# ---- losses --------------------------------------------------------------------------------------------------------
def _softmax_loss(layer: Message, flat: bool) -> Module:
    ignored = layer.part("loss_param").integer("ignore_label", -100)

    def loss(x: Any, target: Any) -> Any:
        target = target.astype("int64").reshape((x.shape[0], *x.shape[2:]))
        return ops.softmax_cross_entropy(x, target, ignore_index=ignored)

    return Function("softmax cross-entropy", loss)


def _accuracy(layer: Message, flat: bool) -> Module:
    k = layer.part("accuracy_param").integer("top_k", 1)

    def share(x: Any, target: Any) -> Any:
        labels = target.astype("int64").reshape((x.shape[0], 1, *x.shape[2:]))
        scores = x.detach()
        own = ops.take_along_axis(scores, labels, 1)
        return ((scores > own).sum(1) < k).astype(x.dtype).mean()

    return Function(f"accuracy, top {k}", share)


def _half_square(x: Any, target: Any) -> Any:
    return ((x - target) ** 2).sum() / (2 * x.shape[0])


def _sigmoid_loss(x: Any, target: Any) -> Any:
    return ops.binary_cross_entropy_with_logits(x, target.astype(x.dtype), reduction="sum") / x.shape[0]


LOSSES: dict[str, Callable[[Message, bool], Module]] = {
    "Accuracy": _accuracy,
    "EuclideanLoss": lambda layer, flat: Function("half the mean square", _half_square),
    "SigmoidCrossEntropyLoss": lambda layer, flat: Function("sigmoid cross-entropy", _sigmoid_loss),
    "SoftmaxWithLoss": _softmax_loss,
}
"""those that compare with a target"""

_MAKERS: dict[str, Callable[[Message, bool], Module]] = {
    "AbsVal": lambda layer, flat: Function("absolute value", ops.abs),
    "BNLL": lambda layer, flat: L.Softplus(),
    "BatchNorm": _batch_norm,
    "Bias": _bias,
    "Concat": _concat,
    "Convolution": _convolution,
    "Deconvolution": _convolution,
    "Dropout": lambda layer, flat: L.Dropout(layer.part("dropout_param").number("dropout_ratio", 0.5)),
    "ELU": lambda layer, flat: L.ELU(layer.part("elu_param").number("alpha", 1)),
    "Eltwise": _eltwise,
    "Exp": _exp,
    "Flatten": _flatten,
    "InnerProduct": _inner_product,
    "LRN": _lrn,
    "PReLU": _prelu,
    "Pooling": _pooling,
    "Power": _power,
    "ReLU": _relu,
    "Reshape": _reshape,
    "Scale": _scale,
    "Sigmoid": lambda layer, flat: L.Sigmoid(),
    "Slice": _slice,
    "Softmax": lambda layer, flat: L.Softmax(layer.part("softmax_param").integer("axis", 1)),
    "Split": lambda layer, flat: Function("split", lambda x: (x,) * len(layer.all("top"))),
    "TanH": lambda layer, flat: L.Tanh(),
} | LOSSES


def make(kind: str, layer: Message, flat: bool) -> Module:
    """The module of a layer; `flat` says that its input is a vector per image.

    Raises ArgumentError: a type, or a setting of one, that is not read.
    """
    maker = _MAKERS.get(kind)
    if maker is None:
        raise ArgumentError(
            f"{layer.who}: layers of the type {kind!r} are not read", hint=f"these are: {', '.join(_MAKERS)}"
        )
    return maker(layer, flat)
