"""Images sampled at positions that are themselves differentiable: spatial transformers.

Composites of indexing and arithmetic, so that derivatives of every order come from their parts.
May import: the engine, and the files of ops before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

from tensorgraph.backends import backend_of
from tensorgraph.errors import ArgumentError, ShapeError
from tensorgraph.operation import Array
from tensorgraph.ops.elementwise import abs, clip, where
from tensorgraph.ops.gathering import take_along_axis
from tensorgraph.ops.matmul import matmul
from tensorgraph.ops.rounding import floor, round
from tensorgraph.ops.shape import permute_dims
from tensorgraph.tensor import Tensor

__all__ = ["affine_grid", "grid_sample"]

MODES = ("bilinear", "nearest", "bicubic")
PADDINGS = ("zeros", "border", "reflection")


def affine_grid(theta: Array, size: Sequence[int], align_corners: bool = False) -> Any:
    """Positions for `grid_sample` after an affine map of the output's pixels.

    theta (N, 2, 3), size (N, C, H, W) -> (N, H, W, 2); theta (N, 3, 4), size (N, C, D, H, W) -> (N, D, H, W, 3).
    Positions run from -1 to 1 over the image, x before y: from border to border, or with `align_corners` from the
    centre of the first pixel to that of the last. Raises ShapeError.
    """
    axes = len(size) - 2
    if axes not in (2, 3) or tuple(theta.shape) != (size[0], axes, axes + 1):
        raise ShapeError(
            f"affine_grid: theta is {tuple(theta.shape)}, size {tuple(size)}; expected (N, 2, 3) for (N, C, H, W) or "
            "(N, 3, 4) for (N, C, D, H, W)"
        )
    be = backend_of(theta.array if isinstance(theta, Tensor) else theta)
    sizes = tuple(map(int, size[2:]))
    lines = []
    for n in sizes:
        steps = be.arange(n, dtype=theta.dtype)
        lines.append(steps * (2 / max(n - 1, 1)) - (n > 1) if align_corners else (steps * 2 + (1 - n)) / n)
    places = [*reversed(be.meshgrid(*lines, indexing="ij")), be.ones(sizes, dtype=theta.dtype)]
    base = be.stack(places, axis=-1).reshape(1, prod(sizes), axes + 1).astype(theta.dtype, copy=False)
    return matmul(base, permute_dims(theta, (0, 2, 1))).reshape((size[0], *sizes, axes))


def grid_sample(
    input: Array, grid: Array, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool = False
) -> Any:
    """Pixels of an image at given positions, interpolated; differentiable in both.

    input (N, C, H, W), grid (N, H', W', 2) -> (N, C, H', W'); with three axes input (N, C, D, H, W), grid
    (N, D', H', W', 3). Positions as in `affine_grid`. `mode`: "bilinear" (linear along every axis), "nearest" (halves
    to the even pixel; the grid has no gradient) or "bicubic" (two axes only). Beyond the image: `padding_mode`
    "zeros", "border" (the nearest pixel) or "reflection".

    Raises ShapeError, ArgumentError. Source: Jaderberg et al., NeurIPS 2015.
    """
    shape, axes = tuple(input.shape), len(input.shape) - 2
    if axes not in (2, 3) or len(grid.shape) != axes + 2 or tuple(grid.shape)[:: axes + 1] != (shape[0], axes):
        raise ShapeError(
            f"grid_sample: input is {shape}, grid {tuple(grid.shape)}; expected (N, C, H, W) with (N, H', W', 2), or "
            "(N, C, D, H, W) with (N, D', H', W', 3)"
        )
    if mode not in MODES or (mode == "bicubic" and axes == 3):
        raise ArgumentError(f"grid_sample: mode {mode!r} for {axes} axes", hint=f"one of {MODES}, bicubic for two axes")
    if padding_mode not in PADDINGS:
        raise ArgumentError(f"grid_sample: unknown padding_mode {padding_mode!r}", hint=f"one of {PADDINGS}")
    sizes, out = shape[2:], tuple(grid.shape)[1:-1]
    if 0 in sizes:
        raise ShapeError(f"grid_sample: input {shape} has no pixel")
    flat = grid.reshape((shape[0], 1, prod(out), axes))
    along = []
    for axis, n in enumerate(sizes):
        x = flat[..., axes - 1 - axis]
        x = (x + 1) * ((n - 1) / 2) if align_corners else ((x + 1) * n - 1) / 2
        taps = _taps(x, mode, lambda i, n=n: _brought_inside(i, n, padding_mode, align_corners))
        along.append([_pixel(i, weight, n) for i, weight in taps])
    image = input.reshape((*shape[:2], prod(sizes)))
    total: Any = None
    for taps in product(*along):
        index, weight = 0, 1
        for n, (i, w) in zip(sizes, taps, strict=True):
            index, weight = index * n + i, weight * w
        part = take_along_axis(image, index, 2) * weight
        total = part if total is None else total + part
    return total.reshape((*shape[:2], *out))


def _taps(x: Any, mode: str, inside: Any) -> list[tuple[Any, Any]]:
    """The pixels along one axis that a position takes, with their weights."""
    if mode == "nearest":
        return [(round(inside(x)), 1)]
    if mode == "bilinear":
        x = inside(x)
        before = floor(x)
        t = x - before
        return [(before, 1 - t), (before + 1, t)]
    before = floor(x)
    t = x - before
    weights = (_far(t + 1), _near(t), _near(1 - t), _far(2 - t))
    return [(inside(before + (k - 1)), weight) for k, weight in enumerate(weights)]


def _near(d: Any) -> Any:
    """Keys' cubic kernel with a = -3/4, up to a distance of 1."""
    return (1.25 * d - 2.25) * d * d + 1


def _far(d: Any) -> Any:
    """The same from a distance of 1 to 2."""
    return ((-0.75 * d + 3.75) * d - 6) * d + 3


def _pixel(i: Any, weight: Any, n: int) -> tuple[Any, Any]:
    """A whole position as an index into an axis of n pixels; the weight is 0 beyond it."""
    inside = (i >= 0) & (i <= n - 1)
    return where(inside, i, 0).astype("int64"), where(inside, weight, 0)


def _brought_inside(x: Any, n: int, padding_mode: str, align_corners: bool) -> Any:
    if padding_mode == "zeros":
        return x
    if padding_mode == "reflection":
        low, span = (0, n - 1) if align_corners else (-0.5, n)
        if span == 0:
            return x * 0
        x = abs(x - low)
        turns = floor(x / span)
        rest = x - turns * span
        x = where(turns % 2 == 0, rest, span - rest) + low
    return clip(x, 0, n - 1)
