"""Normalisation: batch, layer, instance, group, RMS; vectors to length one; weight and spectral norm.

The first five are one fused operation, `_standardize`, along different axes. Arguments follow PyTorch's
`nn.functional`. May import: all of ops before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorgraph import backends, writes
from tensorgraph.errors import ArgumentError, DtypeError, ShapeError, sig
from tensorgraph.fused import fusable
from tensorgraph.operation import Array
from tensorgraph.ops.activation import check_activation, relu
from tensorgraph.ops.elementwise import astype, maximum, rsqrt, square
from tensorgraph.ops.matmul import matmul
from tensorgraph.ops.reduce import mean, sum, vector_norm
from tensorgraph.ops.shape import moveaxis
from tensorgraph.provenance import explained
from tensorgraph.spelling import spelled
from tensorgraph.tensor import raw

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "normalize",
    "rms_norm",
    "spectral_norm",
    "weight_norm",
]


@fusable
def _standardize(input, weight, bias, mean_, centered, var, *, axis, eps, center=True, shape=None):
    """(x - mean) / sqrt(var + eps) * weight + bias, mean and variance taken over `axis`.

    `mean_`, `centered` (x - mean) and `var` are given where somebody has them already, for kernels.
    `center=False` leaves the mean where it is and takes the mean square for the variance. `shape`: of weight and bias
    where they meet the input.
    """
    x = astype(input, "float32") if input.dtype.itemsize == 2 else input
    if center:
        x = x - mean(x, axis=axis, keepdims=True)
    y = x * rsqrt(mean(square(x), axis=axis, keepdims=True) + eps)
    if weight is not None:
        y = y * (weight if shape is None else weight.reshape(shape))
    if bias is not None:
        y = y + (bias if shape is None else bias.reshape(shape))
    return y if y.dtype == input.dtype else astype(y, input.dtype)


@fusable
def _standardize_relu(input, weight, bias, residual, mean_, centered, var, *, axis, eps, shape):
    """relu of `_standardize`, to which a residual of the input's shape is added before, unless it is None."""
    y = _standardize(input, weight, bias, mean_, centered, var, axis=axis, eps=eps, center=True, shape=shape)
    return relu(y if residual is None else y + residual)


def _floating(name: str, input: Any) -> None:
    if input.dtype.kind not in "fcV":
        raise DtypeError(f"{name}: input is {sig(input)}, it must be of a floating dtype")


def _check_per_channel(name: str, channels: int, **given: Any) -> None:
    for what, value in given.items():
        if value is not None and value.shape != (channels,):
            raise ShapeError(f"{name}: {what} is {sig(value)}, the input has {channels} channels")


# ---- batch ---------------------------------------------------------------------------------------------------------
def _statistics(x: Any, axis: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """Mean, what remains without it (or None), and its mean square, as arrays."""
    array = raw(x)
    if array.dtype.itemsize == 2:
        array = array.astype("float32")
    return backends.backend_of(array).mean_and_variance(array, axis)


def _update(momentum: float, *statistics: tuple[Any, Any, float]) -> None:
    """running = (1 - momentum) running + momentum factor values, in place: of (running or None, values, factor)."""
    written = []
    for running, values, factor in statistics:
        if running is not None:
            array = raw(running)
            backends.backend_of(array).move_towards(array, values.reshape(array.shape), momentum, factor)
            written.append(array)
    if written:
        writes.wrote(*written)


@explained
def batch_norm(
    input: Array,
    running_mean: Array,
    running_var: Array,
    weight: Array = None,
    bias: Array = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    activation: str | None = None,
    residual: Array = None,
) -> Any:
    """Every channel shifted and scaled to mean 0 and variance 1 over the batch (and space), then by weight and bias.

    input (N, C, ...) -> the same; running_mean, running_var, weight, bias (C,) or None. In training the statistics
    are the batch's, and the running ones move towards them by `momentum` (the variance with n - 1), in place; otherwise
    the running ones are used. A constant channel gives bias, without NaN.

    `residual`, of the input's shape, is added to the result; `activation="relu"` then is `relu` of that. It is the same
    as three operations, in half as many passes over memory.

    Raises ShapeError: another number of channels, another shape of the residual. ArgumentError: training with one value
    per channel, evaluation without running statistics, an unknown activation.
    Source: Ioffe & Szegedy, Batch normalization, ICML 2015.
    """
    name = "batch_norm"
    _floating(name, input)
    if input.ndim < 2:
        raise ShapeError(f"{name}: input is {sig(input)}, expected (N, C) or (N, C, ...)")
    channels = input.shape[1]
    _check_per_channel(name, channels, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    check_activation(name, activation)
    if residual is not None and residual.shape != input.shape:
        raise ShapeError(f"{name}: residual is {sig(residual)}, the input is {sig(input)}")
    shape = (1, channels) + (1,) * (input.ndim - 2)
    if not training:
        if running_mean is None or running_var is None:
            raise ArgumentError(
                f"{name}: evaluation needs running_mean and running_var", hint="training=True uses the batch's"
            )
        y = _with_statistics(input, running_mean, running_var, weight, bias, eps, shape)
        y = y if residual is None else y + residual
        return y if activation is None else relu(y)
    n = math.prod(input.shape) // max(channels, 1)
    if n <= 1:
        raise ArgumentError(
            f"{name}: {sig(input)} has {n} value{'s' * (n != 1)} per channel; in training there must be more than one",
            hint="a larger batch, or model.eval()",
        )
    axis = (0, *range(2, input.ndim))
    m, centered, v = _statistics(input, axis)
    _update(momentum, (running_mean, m, 1), (running_var, v, n / (n - 1)))
    if activation is not None:
        return _standardize_relu(input, weight, bias, residual, m, centered, v, axis=axis, eps=eps, shape=shape)
    y = _standardize(input, weight, bias, m, centered, v, axis=axis, eps=eps, center=True, shape=shape)
    return y if residual is None else y + residual


def _with_statistics(input, mean_, var, weight, bias, eps, shape):
    """The input normalised by given statistics: one product and one sum of the input's size."""
    scale = rsqrt(var + eps)
    if weight is not None:
        scale = scale * weight
    shift = -mean_ * scale
    if bias is not None:
        shift = shift + bias
    y = input * scale.reshape(shape) + shift.reshape(shape)
    return y if y.dtype == input.dtype else astype(y, input.dtype)


@explained
def instance_norm(
    input: Array,
    running_mean: Array = None,
    running_var: Array = None,
    weight: Array = None,
    bias: Array = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Every channel of every example normalised over space.  input (N, C, ...) -> the same; the rest (C,) or None.

    With `use_input_stats` (always, without running statistics) the running ones move towards the mean of those of the
    batch; otherwise they are used. Raises as `batch_norm`.
    Source: Ulyanov et al., Instance normalization, 2016.
    """
    name = "instance_norm"
    _floating(name, input)
    if input.ndim < 3:
        raise ShapeError(f"{name}: input is {sig(input)}, expected (N, C, ...) with something to normalise over")
    channels = input.shape[1]
    _check_per_channel(name, channels, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    shape = (1, channels) + (1,) * (input.ndim - 2)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ArgumentError(f"{name}: use_input_stats=False needs running_mean and running_var")
        return _with_statistics(input, running_mean, running_var, weight, bias, eps, shape)
    n = math.prod(input.shape[2:])
    if n <= 1:
        raise ArgumentError(
            f"{name}: {sig(input)} has {n} value{'s' * (n != 1)} per channel; there must be more than one"
        )
    axis = tuple(range(2, input.ndim))
    m = centered = v = None
    if running_mean is not None or running_var is not None:
        m, centered, v = _statistics(input, axis)
        _update(momentum, (running_mean, m.mean(axis=0), 1), (running_var, v.mean(axis=0), n / (n - 1)))
    return _standardize(input, weight, bias, m, centered, v, axis=axis, eps=eps, center=True, shape=shape)


# ---- layer, group, RMS ---------------------------------------------------------------------------------------------
def _last_axes(name: str, input: Any, normalized_shape: Any, **given: Any) -> tuple[int, ...]:
    """The axes that `normalized_shape` names: the last ones, which must have these sizes."""
    _floating(name, input)
    sizes = tuple(normalized_shape) if isinstance(normalized_shape, Sequence) else (int(normalized_shape),)
    if not sizes or input.shape[-len(sizes) :] != sizes:
        raise ShapeError(f"{name}: the last axes of input {sig(input)} are not normalized_shape={sizes}")
    for what, value in given.items():
        if value is not None and value.shape != sizes:
            raise ShapeError(f"{name}: {what} is {sig(value)}, expected normalized_shape={sizes}")
    return tuple(range(input.ndim - len(sizes), input.ndim))


@explained
def layer_norm(
    input: Array, normalized_shape: int | Sequence[int], weight: Array = None, bias: Array = None, eps: float = 1e-5
) -> Any:
    """The last axes shifted and scaled to mean 0 and variance 1, then by weight and bias.

    input (..., *normalized_shape) -> the same; weight, bias normalized_shape or None. Raises ShapeError.
    Source: Ba et al., Layer normalization, 2016.
    """
    axis = _last_axes("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    return _standardize(input, weight, bias, None, None, None, axis=axis, eps=eps, center=True, shape=None)


@explained
def rms_norm(
    input: Array, normalized_shape: int | Sequence[int], weight: Array = None, eps: float | None = None
) -> Any:
    """The last axes divided by their root mean square, then times weight.

    input (..., *normalized_shape) -> the same. eps is the dtype's rounding unit unless given. Raises ShapeError.
    Source: Zhang & Sennrich, Root mean square layer normalization, NeurIPS 2019.
    """
    axis = _last_axes("rms_norm", input, normalized_shape, weight=weight)
    if eps is None:
        eps = float(np.finfo("float32" if input.dtype.kind == "V" else input.dtype).eps)
    return _standardize(input, weight, None, None, None, None, axis=axis, eps=eps, center=False, shape=None)


@explained
def group_norm(input: Array, num_groups: int, weight: Array = None, bias: Array = None, eps: float = 1e-5) -> Any:
    """Groups of channels of every example normalised together (and over space), then by weight and bias per channel.

    input (N, C, ...) -> the same; weight, bias (C,) or None. Raises ShapeError, ArgumentError: C is not divisible.
    Source: Wu & He, Group normalization, ECCV 2018.
    """
    name = "group_norm"
    _floating(name, input)
    if input.ndim < 2:
        raise ShapeError(f"{name}: input is {sig(input)}, expected (N, C, ...)")
    n, channels, *space = input.shape
    _check_per_channel(name, channels, weight=weight, bias=bias)
    if num_groups < 1 or channels % num_groups:
        raise ArgumentError(f"{name}: {channels} channels cannot be parted into num_groups={num_groups}")
    size = channels // num_groups
    parted = input.reshape((n, num_groups, size, *space))
    y = _standardize(
        parted,
        weight,
        bias,
        None,
        None,
        None,
        axis=tuple(range(2, parted.ndim)),
        eps=eps,
        center=True,
        shape=(num_groups, size, *(1 for _ in space)),
    )
    return y.reshape(input.shape)


@spelled
def normalize(input: Array, p: float = 2.0, axis: int = 1, eps: float = 1e-12) -> Any:
    """x / max(||x||_p, eps) along an axis: vectors of length one; a zero vector stays.  input (...) -> (...)."""
    return input / maximum(vector_norm(input, p, axis, keepdims=True), eps)


# ---- weights -------------------------------------------------------------------------------------------------------
def weight_norm(v: Array, g: Array, dim: int | None = 0) -> Any:
    """g v / ||v||: direction and length of a weight apart.  v (...), g of size 1 but along `dim` -> v's shape.

    The norm is taken over all axes but `dim` (over all with None).
    Source: Salimans & Kingma, Weight normalization, NeurIPS 2016.
    """
    axes = None if dim is None else tuple(i for i in range(v.ndim) if i != dim % v.ndim)
    return v * (g / vector_norm(v, 2, axes, keepdims=True))


def spectral_norm(weight: Array, u: Array, v: Array, dim: int = 0) -> Any:
    """The weight divided by its largest singular value u^T W v.  weight (...), as a matrix with `dim` in front.

    u and v are the singular vectors, constants here; `power_iteration` finds them.
    Source: Miyato et al., Spectral normalization for generative adversarial networks, ICLR 2018.
    """
    return weight / sum(matmul(_as_matrix(weight, dim), v) * u)


def power_iteration(weight: Array, u: Array, v: Array, dim: int = 0, steps: int = 1, eps: float = 1e-12) -> None:
    """Moves u and v (written in place) towards the first singular vectors of the weight."""
    matrix = _as_matrix(raw(weight), dim)
    be = backends.backend_of(matrix)
    u, v = raw(u), raw(v)
    for _ in range(steps):
        for out, product in ((v, lambda: be.matmul(matrix.T, u)), (u, lambda: be.matmul(matrix, v))):
            found = product()
            out[...] = found / be.maximum(be.sqrt(be.sum(found * found)), eps)
    writes.wrote(u)
    writes.wrote(v)


def _as_matrix(weight: Any, dim: int) -> Any:
    weight = weight if dim == 0 else moveaxis(weight, dim, 0)
    return weight.reshape((weight.shape[0], -1))
