"""Images of another size: interpolation, adaptive average pooling, and channels dealt into pixels.

Whatever is linear and separable goes axis by axis through one operation: each output takes a few inputs with weights,
after a table. Its derivative is the same operation with the transposed table, so every order is there.
May import: the engine, and the files of ops before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tensorgraph.errors import ArgumentError, ShapeError
from tensorgraph.operation import Array, op
from tensorgraph.ops import window
from tensorgraph.ops.conv import as_batch, first
from tensorgraph.ops.pool import avg_pool1d, avg_pool2d, avg_pool3d
from tensorgraph.ops.shape import permute_dims, reshape
from tensorgraph.ops.window import Ints, hashable

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "channel_shuffle", "interpolate",
    "pixel_shuffle", "pixel_unshuffle", "upsample",
]  # fmt: skip


# ---- the operation --------------------------------------------------------------------------------------------------
class Table:
    """What each of the outputs along an axis takes: (index, weight) for a few of `size` inputs."""

    def __init__(self, size: int, entries: Sequence[Sequence[tuple[int, float]]]):
        self.size, self.entries = size, entries
        self._adjoint: Table | None = None

    @property
    def adjoint(self) -> Table:
        """The table of the transposed map."""
        if self._adjoint is None:
            gathered: list[list[tuple[int, float]]] = [[] for _ in range(self.size)]
            for output, entry in enumerate(self.entries):
                for index, weight in entry:
                    gathered[index].append((output, weight))
            self._adjoint = Table(len(self.entries), gathered)
            self._adjoint._adjoint = self
        return self._adjoint

    def taps(self) -> list[tuple[list[int], list[float]]]:
        """The first entry of every output, the second, ...; missing ones have weight 0."""
        most = max(map(len, self.entries))
        filled = [[*entry, *[(entry[0][0] if entry else 0, 0.0)] * (most - len(entry))] for entry in self.entries]
        return [([e[t][0] for e in filled], [e[t][1] for e in filled]) for t in range(most)]


@op
def _resample(be, x: Array, *, axis: int, table: Table):
    """Weighted sums of elements along an axis: y[i] = sum of weight * x[index] over entry i of the table."""
    taps = table.taps()
    if len(taps) == 1 and all(weight == 1 for weight in taps[0][1]):
        return be.take(x, be.asarray(taps[0][0], dtype=be.int64), axis=axis)
    dtype = x.dtype if x.dtype.kind in "fc" else be.float32
    wide = be.float32 if dtype == be.float16 else dtype
    y = be.zeros((*x.shape[:axis], len(table.entries), *x.shape[axis + 1 :]), dtype=wide)
    for index, weight in taps:
        part = be.take(x, be.asarray(index, dtype=be.int64), axis=axis)
        y += part * be.asarray(weight, dtype=y.real.dtype).reshape((-1, *(1,) * (x.ndim - axis - 1)))
    return y.astype(dtype, copy=False)


_resample.vjp(x=lambda g, axis, table: _resample(g, axis=axis, table=table.adjoint))


def _resample_all(input: Any, tables: Sequence[Table | None]) -> Any:
    """Every spatial axis after its table; None leaves it. The axes that shrink most go first."""
    axes = [(len(table.entries) / table.size, 2 + i, table) for i, table in enumerate(tables) if table is not None]
    for _, axis, table in sorted(axes, key=lambda entry: entry[0]):
        input = _resample(input, axis=axis, table=table)
    return input


# ---- interpolation --------------------------------------------------------------------------------------------------
MODES = {
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "area": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "trilinear": (3,),
    "bicubic": (2,),
}


def interpolate(
    input: Array,
    size: Ints | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Images of another size, given by `size` or `scale_factor` (floor(size * factor)).

    input (N, C, L), (N, C, H, W) or (N, C, D, H, W) -> the same with the new sizes. Modes: "nearest" (pixel
    floor(i * in / out)), "nearest-exact" (floor((i + 1/2) * in / out)), "linear", "bilinear", "trilinear", "bicubic"
    (Keys' kernel with a = -3/4), "area" (mean of the pixels that an output covers). Pixels are areas, whose centres
    lie at (i + 1/2) * in / out - 1/2; with `align_corners` they are points, and the first and last stay where they are.
    Given a factor, positions use the factor itself rather than in / out, unless `recompute_scale_factor`.
    `antialias` (linear modes and "bicubic", then with a = -1/2) stretches the kernel where an axis shrinks, so that
    every pixel counts: what Pillow does.

    Raises ShapeError, ArgumentError.
    """
    axes = len(input.shape) - 2
    if not 1 <= axes <= 3:
        raise ShapeError(
            f"interpolate: input has {axes + 2} axes {tuple(input.shape)}, expected (N, C, sizes), one to three of them"
        )
    if mode not in MODES or axes not in MODES[mode]:
        fit = [name for name, accepted in MODES.items() if axes in accepted]
        raise ArgumentError(
            f"interpolate: mode {mode!r} for {axes} spatial axes", hint=f"one of {', '.join(map(repr, fit))}"
        )
    if align_corners is not None and not mode.endswith(("linear", "cubic")):
        raise ArgumentError(f"interpolate: align_corners means nothing with mode {mode!r}")
    if antialias and not mode.endswith(("linear", "cubic")):
        raise ArgumentError(f"interpolate: antialias means nothing with mode {mode!r}")
    if (size is None) == (scale_factor is None):
        raise ArgumentError(f"interpolate: give size or scale_factor, got size={size!r}, scale_factor={scale_factor!r}")
    sizes, factors = tuple(map(int, input.shape[2:])), (None,) * axes
    if size is not None:
        out = _each("size", size, axes)
    else:
        factors = _each("scale_factor", scale_factor, axes)
        out = tuple(math.floor(n * factor) for n, factor in zip(sizes, factors, strict=True))
    if min(*out, *sizes) < 1:
        raise ShapeError(f"interpolate: sizes {sizes} to {out}: an image without pixels")
    if recompute_scale_factor or mode == "area":
        factors = (None,) * axes
    corners = bool(align_corners)
    same = [
        n == m and (factor is None or factor == 1 or corners) for n, m, factor in zip(sizes, out, factors, strict=True)
    ]
    arguments = zip(sizes, out, factors, same, strict=True)
    table = _smooth if antialias else _table
    return _resample_all(
        input, [None if skip else table(mode, n, m, factor, corners) for n, m, factor, skip in arguments]
    )


def upsample(
    input: Array,
    size: Ints | None = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """The older name of `interpolate`."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def _each(name: str, value: Any, axes: int) -> tuple:
    values = hashable(value)
    values = values if isinstance(values, tuple) else (values,) * axes
    if len(values) != axes:
        raise ArgumentError(f"interpolate: {name}={value} has {len(values)} entries for {axes} spatial axes")
    return values


@lru_cache(maxsize=256)
def _table(mode: str, n: int, out: int, factor: float | None, corners: bool) -> Table:
    if mode == "area":
        return _means(n, out)
    if mode == "nearest":
        return Table(n, [[(min(math.floor(i / factor) if factor else i * n // out, n - 1), 1.0)] for i in range(out)])
    if mode == "nearest-exact":
        at = (math.floor((i + 0.5) / factor) if factor else (2 * i + 1) * n // (2 * out) for i in range(out))
        return Table(n, [[(min(i, n - 1), 1.0)] for i in at])
    places = [_place(i, n, out, factor, corners) for i in range(out)]
    if mode == "bicubic":
        return Table(n, [_cubic(n, *place) for place in places])
    return Table(n, [_linear(n, max(i, 0), t if i >= 0 else 0.0) for i, t in places])


def _place(i: int, n: int, out: int, factor: float | None, corners: bool) -> tuple[int, float]:
    """Where output i lies between the inputs: the one before it, and how far behind that (0 to 1)."""
    if corners:
        if out == 1:
            return 0, 0.0
        before, rest = divmod(i * (n - 1), out - 1)
        return before, rest / (out - 1)
    if factor is None:
        before, rest = divmod((2 * i + 1) * n - out, 2 * out)
        return before, rest / (2 * out)
    place = (i + 0.5) / factor - 0.5
    return math.floor(place), place - math.floor(place)


def _linear(n: int, i: int, t: float) -> list[tuple[int, float]]:
    i = min(i, n - 1)
    return [(i, 1.0)] if t == 0 or i == n - 1 else [(i, 1 - t), (i + 1, t)]


def _cubic(n: int, i: int, t: float) -> list[tuple[int, float]]:
    return [(min(max(i - 1 + k, 0), n - 1), _keys(abs(t + 1 - k), -0.75)) for k in range(4)]


def _keys(d: float, a: float) -> float:
    """The cubic convolution kernel at the distance d.  Source: Keys, IEEE Trans. ASSP 29, 1981."""
    if d <= 1:
        return ((a + 2) * d - (a + 3)) * d * d + 1
    return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a if d < 2 else 0.0


@lru_cache(maxsize=256)
def _smooth(mode: str, n: int, out: int, factor: float | None, corners: bool) -> Table:
    """Every output takes all inputs under its kernel, which is as wide as the step between outputs but at least one."""
    step = 1 / factor if factor else n / out
    if corners:
        step = (n - 1) / (out - 1) if out > 1 else 0.0
    wide, reach = max(step, 1.0), 2 if mode == "bicubic" else 1
    entries = []
    for i in range(out):
        centre = (i + 0.5) * step
        under = range(max(int(centre - reach * wide + 0.5), 0), min(int(centre + reach * wide + 0.5), n))
        distances = [abs(j + 0.5 - centre) / wide for j in under]
        weights = [_keys(d, -0.5) if mode == "bicubic" else max(1 - d, 0.0) for d in distances]
        total = math.fsum(weights)
        entries.append([(j, w / total) for j, w in zip(under, weights, strict=True)])
    return Table(n, entries)


@lru_cache(maxsize=256)
def _means(n: int, out: int) -> Table:
    return Table(n, [[(j, 1 / len(span)) for j in span] for span in window.spans(n, out)])


# ---- adaptive average pooling ---------------------------------------------------------------------------------------
def adaptive_avg_pool1d(input: Array, output_size: Any) -> Any:
    """Means of spans that cover the input: `adaptive_avg_pool2d` with one axis less.  input (N, C, L)."""
    return _adaptive_avg("adaptive_avg_pool1d", avg_pool1d, 1, input, output_size)


def adaptive_avg_pool2d(input: Array, output_size: Any) -> Any:
    """Means of spans that cover the image, so that the output has the size asked for.

    input (N, C, H, W) or (C, H, W) -> (N, C, *output_size); an int serves both axes, None leaves an axis as it is.
    Output i covers the inputs floor(i * in / out) to ceil((i + 1) * in / out) - 1.

    Raises ShapeError, ArgumentError.
    """
    return _adaptive_avg("adaptive_avg_pool2d", avg_pool2d, 2, input, output_size)


def adaptive_avg_pool3d(input: Array, output_size: Any) -> Any:
    """Means of spans that cover the volume: `adaptive_avg_pool2d` with one axis more.  input (N, C, D, H, W)."""
    return _adaptive_avg("adaptive_avg_pool3d", avg_pool3d, 3, input, output_size)


def _adaptive_avg(name: str, pool: Any, axes: int, input: Any, output_size: Any) -> Any:
    out = window.adaptive_sizes(name, axes, input.shape, output_size)
    if len(input.shape) == axes + 1:
        return first(_adaptive_avg(name, pool, axes, as_batch(input), out))
    sizes = tuple(input.shape[2:])
    if all(n % m == 0 for n, m in zip(sizes, out, strict=True)):
        return pool(input, tuple(n // m for n, m in zip(sizes, out, strict=True)))
    return _resample_all(input, [None if n == m else _means(n, m) for n, m in zip(sizes, out, strict=True)])


# ---- channels into pixels -------------------------------------------------------------------------------------------
def pixel_shuffle(input: Array, upscale_factor: int) -> Any:
    """Deals channels out into pixels (sub-pixel convolution).  input (..., C * r^2, H, W) -> (..., C, H * r, W * r).

    Raises ShapeError. Source: Shi et al., CVPR 2016.
    """
    r, shape = upscale_factor, tuple(input.shape)
    if len(shape) < 3 or r < 1 or shape[-3] % (r * r):
        raise ShapeError(f"pixel_shuffle: input is {shape}, expected (..., C * {r}^2, H, W)")
    *batch, channels, height, width = shape
    x = reshape(input, (*batch, channels // (r * r), r, r, height, width))
    n = len(batch)
    return reshape(
        permute_dims(x, (*range(n), n, n + 3, n + 1, n + 4, n + 2)),
        (*batch, channels // (r * r), height * r, width * r),
    )


def pixel_unshuffle(input: Array, downscale_factor: int) -> Any:
    """Gathers pixels into channels: undoes `pixel_shuffle`.  input (..., C, H * r, W * r) -> (..., C * r^2, H, W).

    Raises ShapeError.
    """
    r, shape = downscale_factor, tuple(input.shape)
    if len(shape) < 3 or r < 1 or shape[-1] % r or shape[-2] % r:
        raise ShapeError(f"pixel_unshuffle: input is {shape}, expected (..., C, H * {r}, W * {r})")
    *batch, channels, height, width = shape
    x = reshape(input, (*batch, channels, height // r, r, width // r, r))
    n = len(batch)
    return reshape(
        permute_dims(x, (*range(n), n, n + 2, n + 4, n + 1, n + 3)), (*batch, channels * r * r, height // r, width // r)
    )


def channel_shuffle(input: Array, groups: int) -> Any:
    """Deals out the channels of `groups` groups in turn.  input (N, C, ...) -> (N, C, ...).

    Raises ShapeError. Source: Zhang et al. (ShuffleNet), CVPR 2018.
    """
    shape = tuple(input.shape)
    if len(shape) < 3 or groups < 1 or shape[1] % groups:
        raise ShapeError(f"channel_shuffle: input is {shape}, expected (N, C, ...) with C divisible by groups={groups}")
    x = reshape(input, (shape[0], groups, shape[1] // groups, *shape[2:]))
    return reshape(permute_dims(x, (0, 2, 1, *range(3, x.ndim))), shape)
