"""Convolutions and transposed convolutions over one, two and three axes, and their windows as columns."""

from __future__ import annotations

import math
from typing import Any

from tensorgraph import ops
from tensorgraph.creation import empty
from tensorgraph.errors import ArgumentError
from tensorgraph.nn import arguments as check
from tensorgraph.nn import init
from tensorgraph.nn.module import Module, Parameter
from tensorgraph.ops import window
from tensorgraph.ops.activation import check_activation

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Fold",
    "Unfold",
]

_WORDS = ("valid", "same", "same_lower", "same_symmetric")


class _Conv(Module):
    """What all six share; `axes` is the number of spatial axes."""

    axes: int
    transposed = False
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        output_padding: Any,
        device: str | None,
        dtype: Any,
    ):
        super().__init__()
        name, axes = type(self).__name__, self.axes
        check.flags(name, bias=bias)
        self.in_channels = check.integer(name, in_channels=in_channels)
        self.out_channels = check.integer(name, out_channels=out_channels)
        self.groups = check.integer(name, groups=groups)
        for what, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ArgumentError(f"{name}: {what}={channels} cannot be parted into groups={groups}")
        self.kernel_size = check.sizes(axes, name, kernel_size=kernel_size)
        self.stride = check.sizes(axes, name, stride=stride)
        self.dilation = check.sizes(axes, name, dilation=dilation)
        self.padding = self._checked_padding(padding)
        self.output_padding = check.sizes(axes, name, 0, output_padding=output_padding)
        modes = ("zeros",) if self.transposed else ("zeros", "reflect", "replicate", "circular")
        self.padding_mode = check.choice(name, modes, padding_mode=padding_mode)
        outer, inner = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = Parameter(empty(outer, inner // groups, *self.kernel_size, dtype=dtype, device=device))
        self.bias = Parameter(empty(out_channels, dtype=dtype, device=device)) if bias else None
        self.reset_parameters()

    def _checked_padding(self, padding: Any) -> Any:
        """A word, one number per axis, or (before, after) per axis."""
        name = type(self).__name__
        if isinstance(padding, str) and not self.transposed:
            return check.choice(name, _WORDS, padding=padding)
        if isinstance(padding, (tuple, list)) and any(isinstance(pair, (tuple, list)) for pair in padding):
            if len(padding) != self.axes or self.transposed:
                raise ArgumentError(f"{name}: padding must be one integer or pair per axis, got {padding!r}")
            return tuple(check.sizes(2, name, 0, padding=pair) for pair in padding)
        return check.sizes(self.axes, name, 0, padding=padding)

    def reset_parameters(self) -> None:
        """Draws new weights, uniformly within 1 / sqrt(fan_in)."""
        bound = math.prod(self.weight.shape[1:]) ** -0.5
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self.axes:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.axes:
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * self.axes:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class _Correlation(_Conv):
    _operation: Any

    def __init__(
        self,
        in_channels: int,
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
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            0,
            device,
            dtype,
        )
        check_activation(type(self).__name__, activation)
        self.activation = activation

    def forward(self, input: Any) -> Any:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = self._padded(input), 0
        settings = self.stride, padding, self.dilation, self.groups
        return self._operation(input, self.weight, self.bias, *settings, activation=self.activation)

    def extra_repr(self) -> str:
        return super().extra_repr() + (f", activation={self.activation!r}" if self.activation else "")

    def _padded(self, input: Any) -> Any:
        """The input with what `padding_mode` puts around it."""
        how = window.how(type(self).__name__, self.axes, self.stride, self.padding, self.dilation)
        pairs = window.pads(how, tuple(input.shape[-self.axes :]), self.kernel_size, self.stride, self.dilation)
        return ops.pad(input, ((0, 0),) * (input.ndim - self.axes) + tuple(pairs), mode=self.padding_mode)


class Conv1d(_Correlation):
    """Convolution over one axis.  input (N, C, L) or (C, L) -> (N, K, L'); see `ops.conv1d`."""

    axes = 1
    _operation = staticmethod(ops.conv1d)


class Conv2d(_Correlation):
    """Convolution over two axes.  input (N, C, H, W) or (C, H, W) -> (N, K, H', W'); see `ops.conv2d`.

    weight (out_channels, in_channels/groups, *kernel_size), bias (out_channels) or None. `padding`: an integer, one
    per axis, (before, after) per axis, or "same" (with any stride), "same_lower", "same_symmetric", "valid";
    `padding_mode`: "zeros", "reflect", "replicate", "circular".
    `activation="relu"` does what a ReLU behind the layer would, with an array and a pass over memory less.
    """

    axes = 2
    _operation = staticmethod(ops.conv2d)


class Conv3d(_Correlation):
    """Convolution over three axes.  input (N, C, D, H, W) or (C, D, H, W) -> (N, K, D', H', W'); see `ops.conv3d`."""

    axes = 3
    _operation = staticmethod(ops.conv3d)


class _Transposed(_Conv):
    transposed = True
    _operation: Any

    def __init__(
        self,
        in_channels: int,
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
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            output_padding,
            device,
            dtype,
        )

    def forward(self, input: Any, output_size: Any = None) -> Any:
        """The transposed convolution; `output_size` (of the spatial axes) picks the output padding that gives it."""
        output_padding = self.output_padding if output_size is None else self._padding_for(input, output_size)
        return self._operation(
            input, self.weight, self.bias, self.stride, self.padding, output_padding, self.groups, self.dilation
        )

    def _padding_for(self, input: Any, output_size: Any) -> tuple[int, ...]:
        name = type(self).__name__
        wanted = check.sizes(self.axes, name, output_size=tuple(output_size)[-self.axes :])
        settings = zip(
            input.shape[-self.axes :], self.stride, self.padding, self.dilation, self.kernel_size, strict=True
        )
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in settings]
        extra = tuple(w - n for w, n in zip(wanted, least, strict=True))
        if any(e < 0 or e >= s for e, s in zip(extra, self.stride, strict=True)):
            most = tuple(n + s - 1 for n, s in zip(least, self.stride, strict=True))
            raise ArgumentError(f"{name}: output_size={wanted} cannot be reached, only from {tuple(least)} to {most}")
        return extra


class ConvTranspose1d(_Transposed):
    """Transposed convolution over one axis.  input (N, C, L) -> (N, K, L'); see `ops.conv_transpose1d`."""

    axes = 1
    _operation = staticmethod(ops.conv_transpose1d)


class ConvTranspose2d(_Transposed):
    """Transposed convolution over two axes.  input (N, C, H, W) -> (N, K, H', W'); see `ops.conv_transpose2d`.

    weight (in_channels, out_channels/groups, *kernel_size), bias (out_channels) or None.
    """

    axes = 2
    _operation = staticmethod(ops.conv_transpose2d)


class ConvTranspose3d(_Transposed):
    """Transposed convolution over three axes.  input (N, C, D, H, W) -> (N, K, D', H', W')."""

    axes = 3
    _operation = staticmethod(ops.conv_transpose3d)


class _Columns(Module):
    def __init__(self, kernel_size: Any, dilation: Any, padding: Any, stride: Any):
        super().__init__()
        name = type(self).__name__
        check.sizes(2, name, kernel_size=kernel_size)
        check.sizes(2, name, dilation=dilation)
        check.sizes(2, name, 0, padding=padding)
        check.sizes(2, name, stride=stride)
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Unfold(_Columns):
    """Windows as columns (im2col).  input (N, C, H, W) -> (N, C * R * S, L); see `ops.unfold`."""

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1):
        super().__init__(kernel_size, dilation, padding, stride)

    def forward(self, input: Any) -> Any:
        return ops.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(_Columns):
    """Adds columns back into an image.  input (N, C * R * S, L) -> (N, C, *output_size); see `ops.fold`."""

    def __init__(self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1):
        super().__init__(kernel_size, dilation, padding, stride)
        check.sizes(2, "Fold", output_size=output_size)
        self.output_size = output_size

    def forward(self, input: Any) -> Any:
        return ops.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, {super().extra_repr()}"
