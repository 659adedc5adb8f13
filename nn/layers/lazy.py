"""Layers that learn the size of their input at the first call, and are ordinary layers from then on.

    model = nn.Sequential(nn.LazyLinear(64), nn.ReLU(), nn.LazyLinear(10))
    model(x)                                              # now two Linear layers, with parameters

Until then a lazy layer holds parameters of a placeholder size, so that `to()` finds a dtype and a device, and shows
them to nobody. Imports the layers that it stands in for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tensorgraph.creation import empty
from tensorgraph.errors import ArgumentError, ShapeError, sig
from tensorgraph.nn import arguments as check
from tensorgraph.nn.layers.conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from tensorgraph.nn.layers.linear import Linear
from tensorgraph.nn.layers.norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from tensorgraph.nn.module import Module, Parameter
from tensorgraph.tensor import Tensor

__all__ = [
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
    "LazyLinear",
]


class _Lazy(Module):
    """Becomes `layer`, the class that it stands in for, when it sees an input or a state dict.

    `missing` names the setting, and `sized` says which axis of which tensor has its size.
    """

    layer: type[Module]
    missing: str
    sized: Mapping[str, int]

    def _check_first(self, input: Any) -> int:
        """The missing size, from the first input."""
        raise NotImplementedError(f"{type(self).__name__} has no _check_first(input)")

    def _share(self, size: int) -> int:
        """The length of the sized axes."""
        return size

    def _become(self, size: int) -> None:
        """Settings and tensors take their real size, and the layer starts."""
        length = self._share(size)
        for name, axis in self.sized.items():
            old = getattr(self, name)
            if old is not None:
                shape = (*old.shape[:axis], length, *old.shape[axis + 1 :])
                new = empty(*shape, dtype=old.dtype, device=old.device)
                setattr(self, name, Parameter(new) if isinstance(old, Parameter) else new)
        setattr(self, self.missing, size)
        self.__class__ = self.layer  # pyright: ignore[reportAttributeAccessIssue]
        self.reset_parameters()

    def __call__(self, input: Any, *args: Any, **kwargs: Any) -> Any:
        self._become(self._check_first(input))
        return self(input, *args, **kwargs)

    def _before_loading(self, state_dict: Mapping[str, Any], prefix: str) -> None:
        for name, axis in self.sized.items():
            old, shape = getattr(self, name), getattr(state_dict.get(prefix + name), "shape", ())
            if isinstance(old, Tensor) and len(shape) == old.ndim and shape[axis]:
                return self._become(self._size_of(shape[axis]))

    def _size_of(self, length: int) -> int:
        """The missing size, from the length of a sized axis."""
        return length

    def reset_parameters(self) -> None:
        """Nothing yet: there are no parameters before the first call."""

    def _own_parameters(self) -> Iterator[tuple[str, Parameter]]:
        if all(getattr(self, name) is None for name in self.sized):
            return iter(())  # as batch norm that learns nothing
        raise ArgumentError(
            f"{type(self).__name__}: there are no parameters before the first call, which tells their size",
            hint="call the model once on an example, model(x), before parameters(), an optimiser or state_dict()",
        )


# ---- affine --------------------------------------------------------------------------------------------------------
class LazyLinear(_Lazy, Linear):
    """`Linear` that takes in_features from the last axis of its first input."""

    layer, missing, sized = Linear, "in_features", {"weight": 1}

    def __init__(
        self,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        activation: str | None = None,
    ):
        out_features = check.integer("LazyLinear", out_features=out_features)
        super().__init__(1, out_features, bias, device, dtype, activation=activation)
        self.in_features = 0

    def _check_first(self, input: Any) -> int:
        if not input.ndim or not input.shape[-1]:
            raise ShapeError(f"LazyLinear: the input is {sig(input)}, it has no features")
        return input.shape[-1]


# ---- convolutions --------------------------------------------------------------------------------------------------
class _LazyConv(_Lazy):
    missing, sized = "in_channels", {"weight": 1}
    axes: int
    groups: int

    def _check_first(self, input: Any) -> int:
        name, ranks = type(self).__name__, (self.axes + 1, self.axes + 2)
        if input.ndim not in ranks or not input.shape[-self.axes - 1]:
            raise ShapeError(f"{name}: the input is {sig(input)}, expected channels and {self.axes} axes behind them")
        channels = input.shape[-self.axes - 1]
        if channels % self.groups:
            raise ShapeError(f"{name}: {channels} channels of {sig(input)} cannot be parted into groups={self.groups}")
        return channels


class _LazyCorrelation(_LazyConv):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
        *,
        activation: str | None = None,
    ):
        super().__init__(
            check.integer(type(self).__name__, groups=groups),  # pyright: ignore[reportCallIssue]
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
            activation=activation,  # pyright: ignore[reportCallIssue]
        )
        self.in_channels = 0

    def _share(self, size: int) -> int:
        return size // self.groups

    def _size_of(self, length: int) -> int:
        return length * self.groups


class LazyConv1d(_LazyCorrelation, Conv1d):
    """`Conv1d` that takes in_channels from its first input."""

    layer = Conv1d


class LazyConv2d(_LazyCorrelation, Conv2d):
    """`Conv2d` that takes in_channels from its first input."""

    layer = Conv2d


class LazyConv3d(_LazyCorrelation, Conv3d):
    """`Conv3d` that takes in_channels from its first input."""

    layer = Conv3d


class _LazyTransposed(_LazyConv):
    sized = {"weight": 0}

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(
            check.integer(type(self).__name__, groups=groups),  # pyright: ignore[reportCallIssue]
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            groups,
            bias,
            dilation,
            padding_mode,
            device,
            dtype,
        )
        self.in_channels = 0


class LazyConvTranspose1d(_LazyTransposed, ConvTranspose1d):
    """`ConvTranspose1d` that takes in_channels from its first input."""

    layer = ConvTranspose1d


class LazyConvTranspose2d(_LazyTransposed, ConvTranspose2d):
    """`ConvTranspose2d` that takes in_channels from its first input."""

    layer = ConvTranspose2d


class LazyConvTranspose3d(_LazyTransposed, ConvTranspose3d):
    """`ConvTranspose3d` that takes in_channels from its first input."""

    layer = ConvTranspose3d


# ---- batch norm ----------------------------------------------------------------------------------------------------
class _LazyBatchNorm(_Lazy):
    missing = "num_features"
    sized = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), 0)
    ranks: tuple[int, ...]

    def __init__(
        self,
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
        super().__init__(
            1,  # pyright: ignore[reportCallIssue]
            eps,
            momentum,
            affine,
            track_running_stats,
            device,
            dtype,
            bias=bias,
            activation=activation,  # pyright: ignore[reportCallIssue]
        )
        self.num_features = 0

    def _check_first(self, input: Any) -> int:
        if input.ndim not in self.ranks or not input.shape[1]:
            ranks = " or ".join(map(str, self.ranks))
            raise ShapeError(f"{type(self).__name__}: the input is {sig(input)}, expected {ranks} axes and channels")
        return input.shape[1]


class LazyBatchNorm1d(_LazyBatchNorm, BatchNorm1d):
    """`BatchNorm1d` that takes num_features from its first input."""

    layer = BatchNorm1d


class LazyBatchNorm2d(_LazyBatchNorm, BatchNorm2d):
    """`BatchNorm2d` that takes num_features from its first input."""

    layer = BatchNorm2d


class LazyBatchNorm3d(_LazyBatchNorm, BatchNorm3d):
    """`BatchNorm3d` that takes num_features from its first input."""

    layer = BatchNorm3d
