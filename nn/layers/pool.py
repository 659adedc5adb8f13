"""Pooling layers: the largest element or the mean of every window."""

from __future__ import annotations

from typing import Any

from tensorgraph import ops
from tensorgraph.errors import ArgumentError
from tensorgraph.nn import arguments as check
from tensorgraph.nn.module import Module

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


class _Pool(Module):
    """What max and average pooling share. Settings stay as they were given, as in PyTorch's repr."""

    axes: int

    def __init__(self, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool):
        super().__init__()
        name = type(self).__name__
        check.flags(name, ceil_mode=ceil_mode)
        kernel = check.sizes(self.axes, name, kernel_size=kernel_size)
        check.sizes(self.axes, name, stride=kernel_size if stride is None else stride)
        pads = check.sizes(self.axes, name, 0, padding=padding)
        if any(2 * p > k for p, k in zip(pads, kernel, strict=True)):
            raise ArgumentError(f"{name}: padding={padding} is more than half of kernel_size={kernel_size}")
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode


class _MaxPool(_Pool):
    _operation: Any

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ):
        super().__init__(kernel_size, stride, padding, ceil_mode)
        check.sizes(self.axes, type(self).__name__, dilation=dilation)
        check.flags(type(self).__name__, return_indices=return_indices)
        self.dilation, self.return_indices = dilation, return_indices

    def forward(self, input: Any) -> Any:
        return self._operation(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """Largest element of every window.  input (N, C, L) -> (N, C, L'); see `ops.max_pool1d`."""

    axes = 1
    _operation = staticmethod(ops.max_pool1d)


class MaxPool2d(_MaxPool):
    """Largest pixel of every window.  input (N, C, H, W) -> (N, C, H', W'); see `ops.max_pool2d`."""

    axes = 2
    _operation = staticmethod(ops.max_pool2d)


class MaxPool3d(_MaxPool):
    """Largest voxel of every window.  input (N, C, D, H, W) -> (N, C, D', H', W'); see `ops.max_pool3d`."""

    axes = 3
    _operation = staticmethod(ops.max_pool3d)


class _AvgPool(_Pool):
    _operation: Any

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ):
        super().__init__(kernel_size, stride, padding, ceil_mode)
        check.flags(type(self).__name__, count_include_pad=count_include_pad)
        if divisor_override is not None:
            check.integer(type(self).__name__, divisor_override=divisor_override)
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Any) -> Any:
        return self._operation(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """Mean of every window.  input (N, C, L) -> (N, C, L'); see `ops.avg_pool1d`."""

    axes = 1

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.kernel_size = check.sizes(1, "AvgPool1d", kernel_size=self.kernel_size)
        self.stride = check.sizes(1, "AvgPool1d", stride=self.stride)
        self.padding = check.sizes(1, "AvgPool1d", 0, padding=self.padding)

    def forward(self, input: Any) -> Any:
        return ops.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )


class AvgPool2d(_AvgPool):
    """Mean of every window.  input (N, C, H, W) -> (N, C, H', W'); see `ops.avg_pool2d`."""

    axes = 2
    _operation = staticmethod(ops.avg_pool2d)


class AvgPool3d(_AvgPool):
    """Mean of every window.  input (N, C, D, H, W) -> (N, C, D', H', W'); see `ops.avg_pool3d`."""

    axes = 3
    _operation = staticmethod(ops.avg_pool3d)


class _LPPool(Module):
    axes: int
    _operation: Any

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False):
        super().__init__()
        name = type(self).__name__
        check.flags(name, ceil_mode=ceil_mode)
        self.norm_type = check.number(name, above=0, norm_type=norm_type)
        check.sizes(self.axes, name, kernel_size=kernel_size)
        check.sizes(self.axes, name, stride=kernel_size if stride is None else stride)
        self.kernel_size, self.stride, self.ceil_mode = kernel_size, stride, ceil_mode

    def forward(self, input: Any) -> Any:
        return self._operation(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """Lp norm of every window.  input (N, C, L) -> (N, C, L'); see `ops.lp_pool1d`."""

    axes = 1
    _operation = staticmethod(ops.lp_pool1d)


class LPPool2d(_LPPool):
    """Lp norm of every window.  input (N, C, H, W) -> (N, C, H', W'); see `ops.lp_pool2d`."""

    axes = 2
    _operation = staticmethod(ops.lp_pool2d)


class LPPool3d(_LPPool):
    """Lp norm of every window.  input (N, C, D, H, W) -> (N, C, D', H', W'); see `ops.lp_pool3d`."""

    axes = 3
    _operation = staticmethod(ops.lp_pool3d)


class _MaxUnpool(Module):
    axes: int
    _operation: Any

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0):
        super().__init__()
        name = type(self).__name__
        self.kernel_size = check.sizes(self.axes, name, kernel_size=kernel_size)
        self.stride = check.sizes(self.axes, name, stride=kernel_size if stride is None else stride)
        self.padding = check.sizes(self.axes, name, 0, padding=padding)

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        """Zeros with the input at the indices that max pooling returned; `output_size` where it is ambiguous."""
        return self._operation(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Undoes max pooling where the maxima were.  (N, C, L') -> (N, C, L); see `ops.max_unpool1d`."""

    axes = 1
    _operation = staticmethod(ops.max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    """Undoes max pooling where the maxima were.  (N, C, H', W') -> (N, C, H, W); see `ops.max_unpool2d`."""

    axes = 2
    _operation = staticmethod(ops.max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    """Undoes max pooling where the maxima were.  (N, C, D', H', W') -> (N, C, D, H, W); see `ops.max_unpool3d`."""

    axes = 3
    _operation = staticmethod(ops.max_unpool3d)


# ---- adaptive ------------------------------------------------------------------------------------------------------
class _Adaptive(Module):
    """`output_size`: one number, or one per axis; None keeps the input's size."""

    axes: int
    _operation: Any

    def __init__(self, output_size: Any):
        super().__init__()
        given = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * self.axes
        if len(given) != self.axes:
            raise ArgumentError(
                f"{type(self).__name__}: output_size must be one integer or {self.axes}, got {output_size!r}"
            )
        for n in given:
            if n is not None:
                check.integer(type(self).__name__, output_size=n)
        self.output_size = output_size

    def forward(self, input: Any) -> Any:
        return self._operation(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_Adaptive):
    """Means of spans that cover the input.  (N, C, L) -> (N, C, *output_size); see `ops.adaptive_avg_pool1d`."""

    axes = 1
    _operation = staticmethod(ops.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_Adaptive):
    """Means of spans that cover the input.  (N, C, H, W) -> (N, C, *output_size); see `ops.adaptive_avg_pool2d`."""

    axes = 2
    _operation = staticmethod(ops.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_Adaptive):
    """Means of spans that cover the input.  (N, C, D, H, W) -> (N, C, *output_size); see `ops.adaptive_avg_pool3d`."""

    axes = 3
    _operation = staticmethod(ops.adaptive_avg_pool3d)


class _AdaptiveMax(_Adaptive):
    def __init__(self, output_size: Any, return_indices: bool = False):
        super().__init__(output_size)
        check.flags(type(self).__name__, return_indices=return_indices)
        self.return_indices = return_indices

    def forward(self, input: Any) -> Any:
        return self._operation(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMax):
    """Maxima of spans that cover the input.  (N, C, L) -> (N, C, *output_size); see `ops.adaptive_max_pool1d`."""

    axes = 1
    _operation = staticmethod(ops.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMax):
    """Maxima of spans that cover the input.  (N, C, H, W) -> (N, C, *output_size); see `ops.adaptive_max_pool2d`."""

    axes = 2
    _operation = staticmethod(ops.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMax):
    """Maxima of spans that cover the input.  (N, C, D, H, W) -> (N, C, *output_size); see `ops.adaptive_max_pool3d`."""

    axes = 3
    _operation = staticmethod(ops.adaptive_max_pool3d)
