"""Convolutions of one to three spatial axes, transposed ones, and im2col. Arguments and weight shapes are PyTorch's.

Everything rests on a closed family: a correlation, its adjoint in the input and its adjoint in the weight, each of
which differentiates into the other two; so derivatives of every order run on the same kernels of the backend.
May import: the engine, and the files of ops before it.
"""

from __future__ import annotations

from math import prod
from typing import Any

from tensorgraph.errors import ShapeError
from tensorgraph.operation import Array, op
from tensorgraph.ops import window
from tensorgraph.ops.activation import check_activation, rectified
from tensorgraph.ops.reduce import sum
from tensorgraph.ops.window import How, Ints, Padding, Pool

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "fold",
    "unfold",
]


# ---- the closed family ----------------------------------------------------------------------------------------------
@op
def _correlate(be, input: Array, weight: Array, bias: Array = None, *, how: How):
    """y[n, k, p] = bias[k] + sum over c and r of input[n, c, p*stride + r*dilation - padding] * weight[k, c, r].

    input (N, C, *sizes), weight (K, C/groups, *kernel), bias (K,) or None -> (N, K, *out).
    """
    geometry = window.convolution(how, input.shape, weight.shape)
    return be.correlate(input, weight, geometry, _checked(how, bias, weight.shape[0]))


@op
def _correlate_relu(be, input: Array, weight: Array, bias: Array = None, *, how: How):
    """relu of `_correlate`, computed where that lies."""
    geometry = window.convolution(how, input.shape, weight.shape)
    return be.correlate(input, weight, geometry, _checked(how, bias, weight.shape[0]), True)


@op
def _correlate_input(
    be, input: Array, weight: Array, bias: Array = None, *, how: How, sizes: Any = None, output_padding: Any = 0
):
    """Adjoint of the correlation in its input.  input (N, K, *out), weight (K, C/groups, *kernel) -> (N, C, *sizes).

    bias (C,) or None is added. Without `sizes` they are the smallest that give *out, plus `output_padding`.
    """
    if sizes is None:
        sizes = window.transposed_sizes(how, input.shape, weight.shape, output_padding)
    channels = weight.shape[1] * how.groups
    geometry = window.convolution(how, (input.shape[0], channels, *sizes), weight.shape)
    return be.correlate_input(input, weight, sizes, geometry, _checked(how, bias, channels))


@op
def _correlate_weight(be, top: Array, input: Array, *, how: How, kernel: tuple):
    """Adjoint of the correlation in its weight.  top (N, K, *out), input (N, C, *sizes) -> (K, C/groups, *kernel)."""
    geometry = window.convolution(how, input.shape, (top.shape[1], input.shape[1] // how.groups, *kernel))
    return be.correlate_weight(top, input, kernel, geometry)


def _checked(how: How, bias: Any, channels: int) -> Any:
    if bias is not None and bias.shape != (channels,):
        raise ShapeError(f"{how.name}: bias is {bias.shape}, expected ({channels},): one per output channel")
    return bias


def _sum_bias(g):
    return sum(g, axis=(0, *range(2, g.ndim)))


def _transposed_input_rule(g, weight, input_shape, how, output_padding):
    return _correlate(g, weight, how=window.untransposed(how, input_shape, weight.shape, output_padding))


def _transposed_weight_rule(g, input, weight_shape, how, output_padding):
    how = window.untransposed(how, input.shape, weight_shape, output_padding)
    return _correlate_weight(input, g, how=how, kernel=weight_shape[2:])


_correlate.vjp(
    input=lambda g, weight, input_shape, how: _correlate_input(g, weight, how=how, sizes=input_shape[2:]),
    weight=lambda g, input, weight_shape, how: _correlate_weight(g, input, how=how, kernel=weight_shape[2:]),
    bias=_sum_bias,
)
_correlate_relu.vjp(g=lambda g, y, own: rectified(g, y, own), **_correlate.op.rules)
_correlate_input.vjp(
    input=_transposed_input_rule,
    weight=_transposed_weight_rule,
    bias=_sum_bias,
)
_correlate_weight.vjp(
    top=lambda g, input, how: _correlate(input, g, how=how),
    input=lambda g, top, input_shape, how: _correlate_input(top, g, how=how, sizes=input_shape[2:]),
)

# every entry on the side of the K channels meets one kernel, which is (C/groups, *kernel)
_correlate.macs(lambda y_shape, weight_shape: prod(y_shape) * prod(weight_shape[1:]))
_correlate_relu.macs(lambda y_shape, weight_shape: prod(y_shape) * prod(weight_shape[1:]))
_correlate_input.macs(lambda input_shape, weight_shape: prod(input_shape) * prod(weight_shape[1:]))
_correlate_weight.macs(lambda top_shape, y_shape: prod(top_shape) * prod(y_shape[1:]))


# ---- what users call ------------------------------------------------------------------------------------------------
def conv1d(
    input: Array,
    weight: Array,
    bias: Array = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
) -> Any:
    """Convolution over one axis: `conv2d` with one axis less.

    input (N, C, L) or (C, L), weight (K, C/groups, S), bias (K,) -> (N, K, L').
    """
    return _conv(window.how("conv1d", 1, stride, padding, dilation, groups), input, weight, bias, activation)


def conv2d(
    input: Array,
    weight: Array,
    bias: Array = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
) -> Any:
    """Two-dimensional convolution (cross-correlation, as everywhere in deep learning: the kernel is not flipped).

    input (N, C, H, W) or (C, H, W), weight (K, C/groups, R, S), bias (K,) -> (N, K, H', W') with
    H' = floor((H + top + bottom - dilation*(R - 1) - 1) / stride) + 1. Float or complex; half precision is
    accumulated in float32. `stride`, `dilation`: an int, or one per axis. `padding`, with zeros: an int, one int per
    axis, one (before, after) per axis, or a name:

    - `"valid"`: none.
    - `"same"`: H' = ceil(H / stride), with as little padding as that takes; what is left over by halving goes to
      the end. TensorFlow's SAME, ONNX's SAME_UPPER, and PyTorch's "same" (which exists for stride 1 only).
    - `"same_lower"`: likewise, but what is left over goes to the beginning. ONNX's SAME_LOWER.
    - `"same_symmetric"`: H' = ceil(H / stride), with the padding of stride 1, dilation*(R - 1), whatever the stride:
      the windows are every stride-th window of the convolution with stride 1. For odd kernels this is the usual
      `padding=R // 2`.

    `groups` cuts input and output channels into as many parts that see each other only pairwise; groups = C is a
    depthwise convolution. `activation="relu"` gives `relu` of the result, without a second array of its size.

    Raises ShapeError (ranks, channels, groups, an output without a pixel), ArgumentError (stride, padding, dilation,
    activation).
    Source: LeCun et al., Neural Computation 1, 1989.
    """
    return _conv(window.how("conv2d", 2, stride, padding, dilation, groups), input, weight, bias, activation)


def conv3d(
    input: Array,
    weight: Array,
    bias: Array = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
) -> Any:
    """Convolution over three axes: `conv2d` with one axis more.

    input (N, C, D, H, W) or (C, D, H, W), weight (K, C/groups, Q, R, S), bias (K,) -> (N, K, D', H', W').
    """
    return _conv(window.how("conv3d", 3, stride, padding, dilation, groups), input, weight, bias, activation)


def _conv(how: How, input: Any, weight: Any, bias: Any, activation: str | None) -> Any:
    check_activation(how.name, activation)
    operation = _correlate if activation is None else _correlate_relu
    if len(input.shape) == how.axes + 1:
        return first(operation(as_batch(input), weight, bias, how=how))
    return operation(input, weight, bias, how=how)


def conv_transpose1d(
    input: Array,
    weight: Array,
    bias: Array = None,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation=1,
) -> Any:
    """Transposed convolution over one axis: `conv_transpose2d` with one axis less.

    input (N, K, L) or (K, L), weight (K, C/groups, S), bias (C,) -> (N, C, L').
    """
    return _conv_transpose(
        window.how("conv_transpose1d", 1, stride, padding, dilation, groups), input, weight, bias, output_padding
    )


def conv_transpose2d(
    input: Array,
    weight: Array,
    bias: Array = None,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation=1,
) -> Any:
    """Transposed convolution: the adjoint of `conv2d` in its input, with the same weight.

    input (N, K, H, W) or (K, H, W), weight (K, C/groups, R, S), bias (C,) -> (N, C, H', W') with
    H' = (H - 1)*stride - top - bottom + dilation*(R - 1) + output_padding + 1. `padding`: an int, one per axis or one
    (before, after) per axis. `output_padding`: pixels more at the end, less than the stride or the dilation; it
    chooses between the sizes that `conv2d` takes to the same H.

    Raises ShapeError, ArgumentError.
    Source: Zeiler et al., CVPR 2010.
    """
    return _conv_transpose(
        window.how("conv_transpose2d", 2, stride, padding, dilation, groups), input, weight, bias, output_padding
    )


def conv_transpose3d(
    input: Array,
    weight: Array,
    bias: Array = None,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation=1,
) -> Any:
    """Transposed convolution over three axes: `conv_transpose2d` with one axis more.

    input (N, K, D, H, W) or (K, D, H, W), weight (K, C/groups, Q, R, S), bias (C,) -> (N, C, D', H', W').
    """
    return _conv_transpose(
        window.how("conv_transpose3d", 3, stride, padding, dilation, groups), input, weight, bias, output_padding
    )


def _conv_transpose(how: How, input: Any, weight: Any, bias: Any, output_padding: Any) -> Any:
    rest = {"how": how, "output_padding": window.hashable(output_padding)}
    if len(input.shape) == how.axes + 1:
        return first(_correlate_input(as_batch(input), weight, bias, **rest))
    return _correlate_input(input, weight, bias, **rest)


# ---- im2col ---------------------------------------------------------------------------------------------------------
@op
def _unfold(be, input: Array, *, pool: Pool):
    """The pixels of every window.  input (N, C, *sizes) -> (N, C * prod(kernel), prod(out))."""
    kernel, geometry = window.pooling(pool, input.shape)
    columns = be.unfold(input, kernel, geometry)
    return columns.reshape(input.shape[0], input.shape[1] * prod(kernel), prod(columns.shape[2 + len(kernel) :]))


@op
def _fold(be, input: Array, *, sizes: tuple, pool: Pool):
    """Adjoint of `_unfold`.  input (N, C * prod(kernel), prod(out)) -> (N, C, *sizes)."""
    if input.ndim != 3:
        raise ShapeError(f"fold: input has {input.ndim} axes {input.shape}, expected (N, C * kernel elements, windows)")
    kernel, geometry = window.pooling(pool, (1, 1, *sizes))
    out = geometry.output(sizes, kernel)
    N, rows, columns = input.shape
    if rows % prod(kernel) or columns != prod(out):
        raise ShapeError(
            f"fold: input is {input.shape}; an image of {sizes} has {prod(out)} windows {kernel}, so the shape "
            f"must be (N, C * {prod(kernel)}, {prod(out)})"
        )
    return be.fold(input.reshape(N, rows // prod(kernel), *kernel, *out), sizes, geometry)


_unfold.vjp(input=lambda g, input_shape, pool: _fold(g, sizes=input_shape[2:], pool=pool))
_fold.vjp(input=lambda g, pool: _unfold(g, pool=pool))


def unfold(input: Array, kernel_size: Ints, dilation: Ints = 1, padding: Padding = 0, stride: Ints = 1) -> Any:
    """The pixels of every window as columns (im2col).

    input (N, C, H, W) or (C, H, W) -> (N, C * R * S, L) with L = H' * W' windows, row by row; channels first, then the
    kernel's rows, then its columns. Windows that overlap share gradients. Raises ShapeError, ArgumentError.
    """
    pool = Pool(window.how("unfold", 2, stride, padding, dilation), window.hashable(kernel_size), apart=True)
    if len(input.shape) == 3:
        return first(_unfold(as_batch(input), pool=pool))
    return _unfold(input, pool=pool)


def fold(
    input: Array, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Padding = 0, stride: Ints = 1
) -> Any:
    """Adds columns back into an image where `unfold` took them (col2im); windows that overlap add up.

    input (N, C * R * S, L) or (C * R * S, L) -> (N, C, *output_size). Raises ShapeError, ArgumentError.
    """
    sizes = window.per_axis("fold", "output_size", window.hashable(output_size), 2)
    pool = Pool(window.how("fold", 2, stride, padding, dilation), window.hashable(kernel_size), apart=True)
    if len(input.shape) == 2:
        return first(_fold(as_batch(input), sizes=sizes, pool=pool))
    return _fold(input, sizes=sizes, pool=pool)


def as_batch(x: Any) -> Any:
    """One image as a batch of one."""
    return x.reshape((1, *x.shape))


def first(x: Any) -> Any:
    """The only image of a batch of one."""
    return x.reshape(x.shape[1:])
