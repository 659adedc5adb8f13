"""Normalisation layers: the learned scales and the running statistics. The arithmetic is in ops/normalization.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorgraph import ops
from tensorgraph.creation import ones, tensor, zeros
from tensorgraph.errors import ArgumentError, ShapeError, sig
from tensorgraph.nn import arguments as check
from tensorgraph.nn import init
from tensorgraph.nn.module import Module, Parameter
from tensorgraph.ops.activation import check_activation
from tensorgraph.tensor import Tensor

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
]


class _PerChannel(Module):
    """Scale, shift and running statistics per channel; `ranks` are the numbers of axes that the input may have."""

    ranks: tuple[int, ...]
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: str | None,
        dtype: Any,
        bias: bool,
    ):
        super().__init__()
        name = type(self).__name__
        check.flags(name, affine=affine, track_running_stats=track_running_stats, bias=bias)
        self.num_features = check.integer(name, num_features=num_features)
        self.eps = check.number(name, 0, eps=eps)
        self.momentum = None if momentum is None else check.fraction(name, momentum=momentum)
        self.affine, self.track_running_stats = affine, track_running_stats
        make = {"dtype": dtype, "device": device}
        self.weight = Parameter(ones(num_features, **make)) if affine else None
        self.bias = Parameter(zeros(num_features, **make)) if affine and bias else None
        self.register_buffer("running_mean", zeros(num_features, **make) if track_running_stats else None)
        self.register_buffer("running_var", ones(num_features, **make) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", tensor(0, device=device) if track_running_stats else None)

    def reset_running_stats(self) -> None:
        """Forgets the statistics seen so far."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.running_mean.fill_(0)
            self.running_var.fill_(1)
            self.num_batches_tracked.fill_(0)

    def reset_parameters(self) -> None:
        """Scale 1, shift 0, no statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_input(self, input: Any) -> None:
        name = type(self).__name__
        if input.ndim not in self.ranks:
            expected = " or ".join(map(str, self.ranks))
            raise ShapeError(f"{name}: the input is {sig(input)}, expected {expected} axes")

    def _rate(self, count: Tensor) -> float:
        """How far the running statistics move; the share of this batch in all of them where momentum is None."""
        return 1 / (count.item() + 1) if self.momentum is None else self.momentum

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_PerChannel):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
        activation: str | None = None,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)
        check_activation(type(self).__name__, activation)
        self.activation = activation

    def forward(self, input: Any, residual: Any = None) -> Any:
        """The normalised input; `residual`, of its shape, is added before the activation."""
        self._check_input(input)
        count = self.num_batches_tracked if self.training else None
        y = ops.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            0.0 if count is None else self._rate(count),
            self.eps,
            activation=self.activation,
            residual=residual,
        )
        if count is not None:
            count += 1
        return y

    def extra_repr(self) -> str:
        return super().extra_repr() + (f", activation={self.activation!r}" if self.activation else "")


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of features or sequences.  input (N, C) or (N, C, L); see `ops.batch_norm`.

    weight and bias (C,) unless `affine=False`; buffers running_mean, running_var, num_batches_tracked unless
    `track_running_stats=False`. `momentum=None` averages over all batches evenly.

    `activation="relu"` rectifies the result, and `norm(x, residual)` adds a residual before that: what a ReLU and an
    addition behind it would do, in about half the time and with less memory.
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images.  input (N, C, H, W); see `BatchNorm1d`."""

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of volumes.  input (N, C, D, H, W); see `BatchNorm1d`."""

    ranks = (5,)


class _InstanceNorm(_PerChannel):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Any) -> Any:
        self._check_input(input)
        single = input.ndim == self.ranks[0]
        y = ops.instance_norm(
            ops.expand_dims(input, 0) if single else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            self.momentum if self.momentum is not None else 0.0,
            self.eps,
        )
        return ops.squeeze(y, 0) if single else y


class InstanceNorm1d(_InstanceNorm):
    """Every channel of every sequence normalised.  input (N, C, L) or (C, L); see `ops.instance_norm`."""

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Every channel of every image normalised.  input (N, C, H, W) or (C, H, W); see `ops.instance_norm`."""

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Every channel of every volume normalised.  input (N, C, D, H, W) or (C, D, H, W); see `ops.instance_norm`."""

    ranks = (4, 5)


def _shape(layer: str, normalized_shape: Any) -> tuple[int, ...]:
    several = isinstance(normalized_shape, Sequence) and not isinstance(normalized_shape, str)
    sizes = normalized_shape if several else (normalized_shape,)
    if not sizes:
        raise ArgumentError(f"{layer}: normalized_shape must name at least one axis, got {normalized_shape!r}")
    return tuple(check.integer(layer, normalized_shape=n) for n in sizes)


class LayerNorm(Module):
    """Normalises the last axes, whose sizes are `normalized_shape`; see `ops.layer_norm`.

    weight and bias of that shape unless `elementwise_affine=False` (`bias=False`: only weight).
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ):
        super().__init__()
        check.flags("LayerNorm", elementwise_affine=elementwise_affine, bias=bias)
        self.normalized_shape = _shape("LayerNorm", normalized_shape)
        self.eps = check.number("LayerNorm", 0, eps=eps)
        self.elementwise_affine = elementwise_affine
        make = {"dtype": dtype, "device": device}
        self.weight = Parameter(ones(self.normalized_shape, **make)) if elementwise_affine else None
        self.bias = Parameter(zeros(self.normalized_shape, **make)) if elementwise_affine and bias else None

    def forward(self, input: Any) -> Any:
        return ops.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Divides the last axes by their root mean square; see `ops.rms_norm`."""

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ):
        super().__init__()
        check.flags("RMSNorm", elementwise_affine=elementwise_affine)
        self.normalized_shape = _shape("RMSNorm", normalized_shape)
        self.eps = None if eps is None else check.number("RMSNorm", 0, eps=eps)
        self.elementwise_affine = elementwise_affine
        self.weight = Parameter(ones(self.normalized_shape, dtype=dtype, device=device)) if elementwise_affine else None

    def forward(self, input: Any) -> Any:
        return ops.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Normalises groups of channels; see `ops.group_norm`.  weight and bias (C,) unless `affine=False`."""

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__()
        check.flags("GroupNorm", affine=affine, bias=bias)
        self.num_groups = check.integer("GroupNorm", num_groups=num_groups)
        self.num_channels = check.integer("GroupNorm", num_channels=num_channels)
        if num_channels % num_groups:
            raise ArgumentError(f"GroupNorm: num_channels={num_channels} cannot be parted into num_groups={num_groups}")
        self.eps = check.number("GroupNorm", 0, eps=eps)
        self.affine = affine
        self.weight = Parameter(ones(num_channels, dtype=dtype, device=device)) if affine else None
        self.bias = Parameter(zeros(num_channels, dtype=dtype, device=device)) if affine and bias else None

    def forward(self, input: Any) -> Any:
        return ops.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        sizes, bias = f"{self.num_groups}, {self.num_channels}", self.bias is not None
        return f"{sizes}, eps={self.eps}, affine={self.affine}, bias={bias}"


class LocalResponseNorm(Module):
    """Divides by the energy of neighbouring channels; see `ops.local_response_norm`."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        super().__init__()
        self.size = check.integer("LocalResponseNorm", size=size)
        self.alpha = check.number("LocalResponseNorm", alpha=alpha)
        self.beta = check.number("LocalResponseNorm", beta=beta)
        self.k = check.number("LocalResponseNorm", k=k)

    def forward(self, input: Any) -> Any:
        return ops.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
