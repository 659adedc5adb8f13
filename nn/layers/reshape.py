"""Layers that move elements about: Flatten, Unflatten, PixelShuffle, Upsample, padding."""

from __future__ import annotations

from typing import Any

from tensorgraph import ops
from tensorgraph.errors import ArgumentError
from tensorgraph.nn import arguments as check
from tensorgraph.nn import functional as F
from tensorgraph.nn.module import Module
from tensorgraph.ops.resize import MODES

__all__ = [
    "ChannelShuffle",
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "Flatten",
    "PixelShuffle",
    "PixelUnshuffle",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "Unflatten",
    "Upsample",
    "UpsamplingBilinear2d",
    "UpsamplingNearest2d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class Flatten(Module):
    """The axes from `start_dim` to `end_dim` (both included) as one.  input (N, C, H, W) -> (N, C*H*W)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        super().__init__()
        self.start_dim = check.integer("Flatten", -64, start_dim=start_dim)
        self.end_dim = check.integer("Flatten", -64, end_dim=end_dim)

    def forward(self, input: Any) -> Any:
        return ops.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """The axis `dim` as several of the sizes `unflattened_size`, of which one may be -1."""

    def __init__(self, dim: int, unflattened_size: Any):
        super().__init__()
        self.dim = check.integer("Unflatten", -64, dim=dim)
        if not isinstance(unflattened_size, (tuple, list)):
            raise ArgumentError(f"Unflatten: unflattened_size must be several integers, got {unflattened_size!r}")
        self.unflattened_size = tuple(check.integer("Unflatten", -1, unflattened_size=n) for n in unflattened_size)

    def forward(self, input: Any) -> Any:
        return ops.unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class PixelShuffle(Module):
    """Channels into pixels.  input (N, C * r^2, H, W) -> (N, C, H * r, W * r); see `ops.pixel_shuffle`."""

    def __init__(self, upscale_factor: int):
        super().__init__()
        self.upscale_factor = check.integer("PixelShuffle", upscale_factor=upscale_factor)

    def forward(self, input: Any) -> Any:
        return ops.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Pixels into channels: undoes `PixelShuffle`; see `ops.pixel_unshuffle`."""

    def __init__(self, downscale_factor: int):
        super().__init__()
        self.downscale_factor = check.integer("PixelUnshuffle", downscale_factor=downscale_factor)

    def forward(self, input: Any) -> Any:
        return ops.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """Deals out the channels of groups in turn; see `ops.channel_shuffle`."""

    def __init__(self, groups: int):
        super().__init__()
        self.groups = check.integer("ChannelShuffle", groups=groups)

    def forward(self, input: Any) -> Any:
        return ops.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"


class Upsample(Module):
    """Images of another size, by size or by factor; see `ops.interpolate` for the modes."""

    def __init__(
        self, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
    ):
        super().__init__()
        name = type(self).__name__
        if (size is None) == (scale_factor is None):
            raise ArgumentError(f"{name}: give size or scale_factor, got size={size!r}, scale_factor={scale_factor!r}")
        for n in size if isinstance(size, (tuple, list)) else () if size is None else (size,):
            check.integer(name, size=n)
        if scale_factor is not None:
            several = isinstance(scale_factor, (tuple, list))
            factors = [
                check.number(name, above=0, scale_factor=f) for f in (scale_factor if several else [scale_factor])
            ]
            scale_factor = tuple(map(float, factors)) if several else float(factors[0])
        check.choice(name, tuple(MODES), mode=mode)
        check.flags(name, align_corners=align_corners)
        self.size, self.scale_factor, self.mode, self.align_corners = size, scale_factor, mode, align_corners

    def forward(self, input: Any) -> Any:
        return ops.interpolate(input, self.size, self.scale_factor, mode=self.mode, align_corners=self.align_corners)

    def extra_repr(self) -> str:
        size = f"scale_factor={self.scale_factor}" if self.size is None else f"size={self.size}"
        return f"{size}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """`Upsample` by repeating the nearest pixel."""

    def __init__(self, size: Any = None, scale_factor: Any = None):
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """`Upsample` between four neighbours, corners aligned."""

    def __init__(self, size: Any = None, scale_factor: Any = None):
        super().__init__(size, scale_factor, "bilinear", align_corners=True)


# ---- padding -------------------------------------------------------------------------------------------------------
class _Pad(Module):
    """More pixels around the last `axes` axes. `padding`: one number, or (left, right, top, bottom, ...)."""

    axes: int
    mode: str

    def __init__(self, padding: Any):
        super().__init__()
        n = 2 * self.axes
        sizes = padding if isinstance(padding, (tuple, list)) else (padding,) * n
        if len(sizes) != n:
            raise ArgumentError(f"{type(self).__name__}: padding must be one integer or {n} of them, got {padding!r}")
        self.padding = tuple(check.integer(type(self).__name__, -(2**31), padding=p) for p in sizes)

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return str(self.padding)


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: Any, value: float):
        super().__init__(padding)
        self.value = check.number(type(self).__name__, value=value)

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_Pad):
    mode = "constant"


class _ReflectionPad(_Pad):
    mode = "reflect"


class _ReplicationPad(_Pad):
    mode = "replicate"


class _CircularPad(_Pad):
    mode = "circular"


class ConstantPad1d(_ConstantPad):
    """A number put around sequences (..., L)."""

    axes = 1


class ConstantPad2d(_ConstantPad):
    """A number put around images (..., H, W)."""

    axes = 2


class ConstantPad3d(_ConstantPad):
    """A number put around volumes (..., D, H, W)."""

    axes = 3


class ZeroPad1d(_ZeroPad):
    """Zeros put around sequences (..., L)."""

    axes = 1


class ZeroPad2d(_ZeroPad):
    """Zeros put around images (..., H, W)."""

    axes = 2


class ZeroPad3d(_ZeroPad):
    """Zeros put around volumes (..., D, H, W)."""

    axes = 3


class ReflectionPad1d(_ReflectionPad):
    """A mirror image put around sequences (..., L)."""

    axes = 1


class ReflectionPad2d(_ReflectionPad):
    """A mirror image put around images (..., H, W)."""

    axes = 2


class ReflectionPad3d(_ReflectionPad):
    """A mirror image put around volumes (..., D, H, W)."""

    axes = 3


class ReplicationPad1d(_ReplicationPad):
    """The outermost element repeated around sequences (..., L)."""

    axes = 1


class ReplicationPad2d(_ReplicationPad):
    """The outermost element repeated around images (..., H, W)."""

    axes = 2


class ReplicationPad3d(_ReplicationPad):
    """The outermost element repeated around volumes (..., D, H, W)."""

    axes = 3


class CircularPad1d(_CircularPad):
    """The other end put around sequences (..., L)."""

    axes = 1


class CircularPad2d(_CircularPad):
    """The other end put around images (..., H, W)."""

    axes = 2


class CircularPad3d(_CircularPad):
    """The other end put around volumes (..., D, H, W)."""

    axes = 3
