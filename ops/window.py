"""Windows that move over spatial axes: what users write (stride, padding, dilation, names), checked and spelt out.

Shared by conv and pool. Results are cached on the arguments, so that a training step pays for one look-up.
May import: the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tensorgraph.backends.convolution import Geometry
from tensorgraph.errors import ArgumentError, DtypeError, ShapeError

__all__: list[str] = []

Ints: TypeAlias = int | Sequence[int]
Padding: TypeAlias = str | int | Sequence[int] | Sequence[tuple[int, int]]

SIZES = ("", "L", "H, W", "D, H, W")
KERNEL = ("", "S", "R, S", "Q, R, S")


class How(NamedTuple):
    """What the user asked for, as given: for the spatial axes one value for all, or one per axis."""

    name: str
    axes: int
    stride: Any
    padding: Any
    dilation: Any
    groups: int = 1


def how(name: str, axes: int, stride: Any, padding: Any, dilation: Any, groups: Any = 1) -> How:
    """A `How` that can be looked up in a cache."""
    return How(name, axes, hashable(stride), hashable(padding), hashable(dilation), groups)


def hashable(value: Any) -> Any:
    """Lists as tuples, at any depth."""
    if type(value) is int or type(value) is str:
        return value
    if isinstance(value, (list, tuple)):
        return tuple(map(hashable, value))
    return value


def per_axis(name: str, what: str, value: Any, axes: int, least: int = 1) -> tuple[int, ...]:
    """One int per axis, each at least `least`."""
    values = value if isinstance(value, tuple) else (value,) * axes
    if len(values) == 1:
        values = values * axes
    if len(values) != axes:
        raise ArgumentError(f"{name}: {what}={value} has {len(values)} entries for {axes} spatial axes")
    if not all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in values):
        raise DtypeError(f"{name}: {what}={value!r} must be whole numbers")
    if min(values) < least:
        raise ArgumentError(f"{name}: {what}={value} must be at least {least}")
    return tuple(map(int, values))


def _total(same: str, n: int, kernel: int, stride: int, dilation: int) -> int:
    span = dilation * (kernel - 1)
    return span if same == "same_symmetric" else max(0, (-(-n // stride) - 1) * stride + span + 1 - n)


def pads(
    how: How, sizes: tuple[int, ...], kernel: tuple[int, ...], stride: tuple, dilation: tuple
) -> tuple[tuple[int, int], ...]:
    """(before, after) for every axis."""
    padding = how.padding
    if isinstance(padding, Pads):
        return padding
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * how.axes
        if padding not in ("same", "same_lower", "same_symmetric"):
            raise ArgumentError(
                f"{how.name}: unknown padding {padding!r}",
                hint='"valid", "same", "same_lower", "same_symmetric", an int, one int or one (before, after) per axis',
            )
        totals = (_total(padding, *axis) for axis in zip(sizes, kernel, stride, dilation, strict=True))
        pairs = ((total // 2, total - total // 2) for total in totals)
        return tuple((b, a) if padding != "same_lower" else (a, b) for b, a in pairs)
    if isinstance(padding, tuple) and any(isinstance(p, tuple) for p in padding):
        if len(padding) != how.axes or not all(isinstance(p, tuple) and len(p) == 2 for p in padding):
            raise ArgumentError(
                f"{how.name}: padding={padding} must hold one (before, after) for each of {how.axes} axes"
            )
        return tuple(per_axis(how.name, "padding", p, 2, least=0) for p in padding)  # pyright: ignore[reportReturnType]
    return tuple((p, p) for p in per_axis(how.name, "padding", padding, how.axes, least=0))


def complain_no_pixel(how: How, geometry: Geometry, sizes: tuple, kernel: tuple) -> ShapeError:
    """The error for windows that do not fit into the padded input even once."""
    out = geometry.output(sizes, kernel)
    axis = next(i for i, n in enumerate(out) if n < 1)
    n, k, s, d = sizes[axis], kernel[axis], geometry.stride[axis], geometry.dilation[axis]
    before, after = geometry.padding[axis]
    return ShapeError(
        f"{how.name}: the output would have no pixel: input {sizes}, kernel {kernel}; along spatial axis {axis} "
        f"floor(({n} + {before} + {after} - {d}*({k} - 1) - 1) / {s}) + 1 = {out[axis]}",
        hint="a smaller kernel or dilation, or more padding",
    )


def check_rank(how: How, shape: tuple[int, ...]) -> None:
    """One axis for images, one for channels, and the spatial ones."""
    if len(shape) != how.axes + 2:
        one = f"(C, {SIZES[how.axes]})"
        raise ShapeError(
            f"{how.name}: input has {len(shape)} axes {shape}, expected (N, C, {SIZES[how.axes]}) or {one}"
        )


def _channel_hint(how: How, input_shape: tuple[int, ...], weight_shape: tuple[int, ...]) -> str:
    channels, expected = input_shape[1], weight_shape[1] * how.groups
    if input_shape[-1] == expected:
        return f"channels come second: (N, C, {SIZES[how.axes]})"
    if input_shape[0] == expected == 1:
        return f"an input (C, {SIZES[how.axes]}) is one image; {channels} images of one channel are x[:, None]"
    if how.groups == expected == 1 and weight_shape[0] % channels == 0:
        return f"groups={channels} convolves every channel by itself"
    return f"a weight ({weight_shape[0]}, {channels // how.groups}, {KERNEL[how.axes]}) would fit"


@lru_cache(maxsize=1024)
def convolution(how: How, input_shape: tuple[int, ...], weight_shape: tuple[int, ...]) -> Geometry:
    """The geometry of a convolution, or the error that says what does not fit."""
    name, axes = how.name, how.axes
    check_rank(how, input_shape)
    if len(weight_shape) != axes + 2:
        raise ShapeError(
            f"{name}: weight has {len(weight_shape)} axes {weight_shape}, expected (K, C/groups, {KERNEL[axes]})"
        )
    groups = per_axis(name, "groups", how.groups, 1)[0]
    channels, expected = input_shape[1], weight_shape[1] * groups
    if channels != expected:
        raise ShapeError(
            f"{name}: input has {channels} channels, weight expects {expected} "
            f"(weight (K, C/groups, {KERNEL[axes]}) = {weight_shape}, groups={groups})",
            hint=_channel_hint(how, input_shape, weight_shape),
        )
    if weight_shape[0] % groups:
        raise ShapeError(f"{name}: groups={groups} does not divide the {weight_shape[0]} output channels")
    kernel, sizes = weight_shape[2:], input_shape[2:]
    if 0 in kernel:
        raise ShapeError(f"{name}: weight {weight_shape} has a kernel without elements")
    stride = per_axis(name, "stride", how.stride, axes)
    dilation = per_axis(name, "dilation", how.dilation, axes)
    geometry = Geometry(stride, pads(how, sizes, kernel, stride, dilation), dilation, groups)
    if min(geometry.output(sizes, kernel)) < 1:
        raise complain_no_pixel(how, geometry, sizes, kernel)
    return geometry


class Pads(tuple[tuple[int, int], ...]):
    """Padding that is spelt out already; a negative number crops."""


class Pool(NamedTuple):
    """How pooling was asked for, as given. `ceil`: an output that still begins inside the image counts too.

    `apart`: a window may lie in the padding altogether.
    """

    how: How
    kernel_size: Any
    ceil: bool = False
    apart: bool = False


@lru_cache(maxsize=1024)
def pooling(pool: Pool, input_shape: tuple[int, ...]) -> tuple[tuple[int, ...], Geometry]:
    """Kernel and geometry of windows that go over every channel by itself; a stride of None is the kernel's size.

    Unless windows may lie in the padding altogether there must be less of it than the kernel reaches over.
    """
    how = pool.how
    check_rank(how, input_shape)
    name, axes, sizes = how.name, how.axes, input_shape[2:]
    kernel = per_axis(name, "kernel_size", pool.kernel_size, axes)
    stride = kernel if how.stride in (None, ()) else per_axis(name, "stride", how.stride, axes)
    dilation = per_axis(name, "dilation", how.dilation, axes)
    padding = pads(how, sizes, kernel, stride, dilation)
    if not pool.apart and any(max(pair) > d * (k - 1) for pair, k, d in zip(padding, kernel, dilation, strict=True)):
        raise ArgumentError(
            f"{name}: padding={how.padding} is too much for the kernel {kernel} (dilation {dilation}): a window "
            "would lie in the padding altogether"
        )
    geometry = Geometry(stride, padding, dilation)
    if pool.ceil:
        geometry = geometry._replace(padding=tuple(map(_reach, sizes, kernel, stride, padding, dilation)))
    if min(geometry.output(sizes, kernel)) < 1:
        raise complain_no_pixel(how, geometry, sizes, kernel)
    return kernel, geometry


def _reach(n: int, kernel: int, stride: int, pad: tuple[int, int], dilation: int) -> tuple[int, int]:
    """Padding that lets the last window begin wherever it still meets the image or the padding before it."""
    before, after = pad
    span = dilation * (kernel - 1) + 1
    out = -(-(n + before + after - span) // stride) + 1
    if (out - 1) * stride >= n + before:
        out -= 1
    return before, max(after, (out - 1) * stride + span - n - before)


@lru_cache(maxsize=1024)
def counts(pool: Pool, input_shape: tuple[int, ...], include_pad: bool) -> int | tuple[tuple[int, ...], ...]:
    """How many pixels a window averages: a number, or the sizes of all windows along every axis."""
    kernel, geometry = pooling(pool, input_shape)
    sizes = input_shape[2:]
    asked = pads(pool.how, sizes, kernel, geometry.stride, geometry.dilation)
    along = []
    for n, k, s, d, (before, after), out in zip(
        sizes, kernel, geometry.stride, geometry.dilation, asked, geometry.output(sizes, kernel), strict=True
    ):
        low, high = (-before, n + after) if include_pad else (0, n)
        starts = (i * s - before for i in range(out))
        inside = (min(k, -((a - high) // d)) - max(0, -((a - low) // d)) for a in starts)
        along.append(tuple(max(count, 1) for count in inside))  # dilated, a window can miss every pixel: its mean is 0
    return prod(kernel) if all(set(c) == {k} for c, k in zip(along, kernel, strict=True)) else tuple(along)


@lru_cache(maxsize=1024)
def transposed_sizes(
    how: How, input_shape: tuple[int, ...], weight_shape: tuple[int, ...], output_padding: Any
) -> tuple[int, ...]:
    """Spatial sizes of the result of a transposed convolution, or the error that says what does not fit."""
    name, axes = how.name, how.axes
    check_rank(how, input_shape)
    if len(weight_shape) != axes + 2:
        raise ShapeError(
            f"{name}: weight has {len(weight_shape)} axes {weight_shape}, expected (K, C/groups, {KERNEL[axes]})"
        )
    if input_shape[1] != weight_shape[0]:
        raise ShapeError(
            f"{name}: input has {input_shape[1]} channels, weight expects {weight_shape[0]} "
            f"(weight (K, C/groups, {KERNEL[axes]}) = {weight_shape}, K are the input's channels)"
        )
    if isinstance(how.padding, str):
        raise ArgumentError(
            f"{name}: padding={how.padding!r} has no meaning here",
            hint="an int, one int or one (before, after) per axis",
        )
    stride = per_axis(name, "stride", how.stride, axes)
    dilation = per_axis(name, "dilation", how.dilation, axes)
    extra = per_axis(name, "output_padding", output_padding, axes, least=0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise ArgumentError(
            f"{name}: output_padding={extra} must be smaller than the stride {stride} or the dilation {dilation}"
        )
    padding = pads(how, input_shape[2:], weight_shape[2:], stride, dilation)
    sizes = tuple(
        (n - 1) * s - before - after + d * (k - 1) + e + 1
        for n, s, (before, after), d, k, e in zip(
            input_shape[2:], stride, padding, dilation, weight_shape[2:], extra, strict=True
        )
    )
    if min(sizes) < 1:
        raise ShapeError(
            f"{name}: the output would have no pixel: sizes {sizes} from input {input_shape[2:]}, "
            f"kernel {weight_shape[2:]}, padding {padding}"
        )
    return sizes


@lru_cache(maxsize=1024)
def untransposed(how: How, input_shape: tuple[int, ...], weight_shape: tuple[int, ...], output_padding: Any) -> How:
    """The convolution whose adjoint a transposed one is; where `output_padding` would give more windows, it crops."""
    if output_padding == 0:
        return how
    stride = per_axis(how.name, "stride", how.stride, how.axes)
    dilation = per_axis(how.name, "dilation", how.dilation, how.axes)
    extra = per_axis(how.name, "output_padding", output_padding, how.axes, least=0)
    padding = pads(how, input_shape[2:], weight_shape[2:], stride, dilation)
    cropped = ((before, after - e // s * s) for (before, after), e, s in zip(padding, extra, stride, strict=True))
    return how._replace(padding=Pads(cropped))


# ---- adaptive pooling ------------------------------------------------------------------------------------------------
def spans(n: int, out: int) -> list[range]:
    """The inputs that each output of adaptive pooling covers."""
    return [range(i * n // out, -(-(i + 1) * n // out)) for i in range(out)]


def adaptive_sizes(name: str, axes: int, shape: Sequence[int], output_size: Any) -> tuple[int, ...]:
    """The sizes asked for, with None filled in."""
    if len(shape) not in (axes + 1, axes + 2):
        raise ShapeError(
            f"{name}: input has {len(shape)} axes {tuple(shape)}, expected (N, C, {SIZES[axes]}) or (C, {SIZES[axes]})"
        )
    asked = hashable(output_size)
    asked = asked if isinstance(asked, tuple) else (asked,) * axes
    sizes = tuple(shape[len(shape) - axes :])
    if len(asked) != axes or any(m is not None and (not hasattr(m, "__index__") or m < 1) for m in asked):
        raise ArgumentError(
            f"{name}: output_size={output_size} must hold one size from 1 up, or None, for each of {axes} axes"
        )
    if 0 in sizes:
        raise ShapeError(f"{name}: input {tuple(shape)} has no pixel")
    return tuple(n if m is None else int(m) for n, m in zip(sizes, asked, strict=True))
