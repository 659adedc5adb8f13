"""Cases of ops/resize.py. The references go pixel by pixel, or use NumPy's own interpolation."""

import math

import numpy as np

import tensorgraph as tg
from tests.samples import A, E, Ints, S
from tests.samples.conv import each
from tests.samples.pool import adaptive


def places(n, out, factor, corners):
    """Where the outputs lie between the inputs."""
    if corners:
        return np.arange(out) * ((n - 1) / (out - 1) if out > 1 else 0)
    return (np.arange(out) + 0.5) * (1 / factor if factor else n / out) - 0.5


def cubic(d, a=-0.75):
    """Keys' kernel."""
    d = abs(d)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0


def smooth(values, mode, out, factor, corners):
    """One line of pixels under a kernel as wide as the step between outputs."""
    n = len(values)
    step = (n - 1) / (out - 1) if corners else 1 / factor if factor else n / out
    distances = (np.arange(n) + 0.5 - (np.arange(out)[:, None] + 0.5) * step) / max(step, 1)
    kernel = np.vectorize(lambda d: cubic(d, -0.5) if mode == "bicubic" else max(1 - abs(d), 0), otypes=[float])
    weights = kernel(distances)
    return (weights / weights.sum(1, keepdims=True)) @ values


def line(values, mode, out, factor, corners, antialias=False):
    """One line of pixels in another length."""
    n = len(values)
    if antialias:
        return smooth(values, mode, out, factor, corners)
    if mode == "area":
        return [values[i * n // out : -(-(i + 1) * n // out)].mean() for i in range(out)]
    if mode.startswith("nearest"):
        at = (np.arange(out) + (0.5 if mode.endswith("exact") else 0)) * (1 / factor if factor else n / out)
        return values[np.minimum(np.floor(at + 1e-9).astype(int), n - 1)]
    at = places(n, out, factor, corners)
    if mode == "bicubic":
        return [
            sum(cubic(p - q) * values[min(max(q, 0), n - 1)] for q in range(math.floor(p) - 1, math.floor(p) + 3))
            for p in at
        ]
    return np.interp(at, np.arange(n), values)


def resized(
    x, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None, antialias=False
):
    axes = x.ndim - 2
    factors = each(scale_factor, axes)
    out = (
        each(size, axes) if size is not None else [math.floor(n * f) for n, f in zip(x.shape[2:], factors, strict=True)]
    )
    for i, (m, f) in enumerate(zip(out, factors, strict=True)):
        f = None if recompute_scale_factor else f
        x = np.apply_along_axis(line, 2 + i, x, mode, m, f, align_corners, antialias)
    return x


def shuffled(x, r):
    *lead, c, h, w = x.shape
    y = np.empty((*lead, c // r**2, h * r, w * r), x.dtype)
    for i in range(r):
        for j in range(r):
            y[..., i::r, j::r] = x[..., i * r + j :: r * r, :, :]
    return y


def unshuffled(x, r):
    parts = [x[..., i::r, j::r] for i in range(r) for j in range(r)]
    return np.stack(parts, axis=-3).reshape(*x.shape[:-3], -1, x.shape[-2] // r, x.shape[-1] // r)


SAMPLES = [
    S("interpolate", A(1, 2, 7, 3), (3, 5), kw=dict(mode="bilinear", antialias=True), ref=resized),
    S("interpolate", A(1, 1, 9, 7), kw=dict(scale_factor=(0.4, 0.5), mode="bicubic", antialias=True), ref=resized),
    S("interpolate", A(2, 1, 7), 3, kw=dict(mode="linear", antialias=True, align_corners=True), ref=resized),
    S("interpolate", A(2, 3, 3, 4), (5, 7), ref=resized),
    S("interpolate", A(1, 2, 6, 5), kw=dict(scale_factor=(0.5, 1.7), mode="nearest"), ref=resized),
    S("interpolate", A(2, 2, 5), 8, kw=dict(mode="nearest-exact"), ref=resized),
    S("interpolate", A(2, 2, 5), kw=dict(scale_factor=0.6, mode="nearest-exact"), ref=resized),
    S("interpolate", Ints(1, 2, 3, 3, high=9), 2, ref=resized, grad=False),
    S("interpolate", A(2, 2, 5), 9, kw=dict(mode="linear"), ref=resized),
    S("interpolate", A(2, 2, 6), kw=dict(scale_factor=0.7, mode="linear"), ref=resized),
    S("interpolate", A(1, 2, 3, 4), kw=dict(scale_factor=2, mode="bilinear"), ref=resized),
    S("interpolate", A(1, 2, 3, 4), (5, 2), kw=dict(mode="bilinear", align_corners=True), ref=resized),
    S("interpolate", A(1, 1, 3, 4), (5, 1), kw=dict(mode="bilinear", align_corners=True), ref=resized),
    S(
        "interpolate",
        A(1, 2, 5, 4),
        kw=dict(scale_factor=1.5, mode="bilinear", recompute_scale_factor=True),
        ref=resized,
    ),
    S("interpolate", A(1, 1, 2, 3, 2), (3, 2, 4), kw=dict(mode="trilinear"), ref=resized),
    S("interpolate", A(1, 2, 4, 5), (6, 3), kw=dict(mode="bicubic"), ref=resized),
    S("interpolate", A(1, 1, 4, 4), (6, 3), kw=dict(mode="bicubic", align_corners=True), ref=resized),
    S("interpolate", A(1, 2, 5, 7), (2, 3), kw=dict(mode="area"), ref=resized),
    S("interpolate", A(1, 2, 3), 3, ref=resized),
    S("upsample", A(1, 2, 2, 3), kw=dict(scale_factor=2), ref=resized),
    S("adaptive_avg_pool2d", A(2, 2, 5, 7), (2, 3), ref=adaptive(2, lambda v, *_: v.mean())),
    S("adaptive_avg_pool2d", A(2, 4, 6), (2, None), ref=adaptive(2, lambda v, *_: v.mean())),
    S("adaptive_avg_pool2d", A(1, 2, 3, 2), 4, ref=adaptive(2, lambda v, *_: v.mean())),
    S("adaptive_avg_pool1d", A(2, 3, 7), 3, ref=adaptive(1, lambda v, *_: v.mean())),
    S("adaptive_avg_pool3d", A(1, 2, 3, 4, 5), 2, ref=adaptive(3, lambda v, *_: v.mean())),
    S("pixel_shuffle", A(2, 8, 2, 3), 2, ref=shuffled),
    S("pixel_shuffle", A(9, 1, 2), 3, ref=shuffled),
    S("pixel_unshuffle", A(2, 2, 4, 6), 2, ref=unshuffled),
    S("channel_shuffle", A(2, 6, 3), 3, ref=lambda x, g: x[:, [0, 2, 4, 1, 3, 5]]),
]

X = A(2, 3, 6, 6)
ERRORS = [
    E("interpolate", A(2, 3), 4, error=tg.ShapeError, match=r"has 2 axes .*expected \(N, C, sizes\)"),
    E(
        "interpolate",
        X,
        4,
        kw=dict(mode="linear"),
        error=tg.ArgumentError,
        match="mode 'linear' for 2 spatial axes(.*\n)*.*'bilinear'",
    ),
    E("interpolate", X, 4, kw=dict(mode="lanczos"), error=tg.ArgumentError, match="mode 'lanczos'"),
    E("interpolate", X, 4, kw=dict(align_corners=True), error=tg.ArgumentError, match="align_corners means nothing"),
    E("interpolate", X, 4, kw=dict(antialias=True), error=tg.ArgumentError, match="antialias means nothing"),
    E("interpolate", X, error=tg.ArgumentError, match="give size or scale_factor, got size=None"),
    E(
        "interpolate",
        X,
        4,
        kw=dict(scale_factor=2),
        error=tg.ArgumentError,
        match="give size or scale_factor, got size=4",
    ),
    E("interpolate", X, (4, 4, 4), error=tg.ArgumentError, match="3 entries for 2 spatial axes"),
    E("interpolate", X, kw=dict(scale_factor=0.1), error=tg.ShapeError, match="without pixels"),
    E("adaptive_avg_pool2d", A(6, 6), 2, error=tg.ShapeError, match="has 2 axes"),
    E("adaptive_avg_pool2d", X, (2, 0), error=tg.ArgumentError, match=r"output_size=\(2, 0\)"),
    E("pixel_shuffle", X, 2, error=tg.ShapeError, match=r"expected \(\.\.\., C \* 2\^2, H, W\)"),
    E("pixel_unshuffle", X, 4, error=tg.ShapeError, match=r"H \* 4, W \* 4"),
    E("channel_shuffle", X, 2, error=tg.ShapeError, match="divisible by groups=2"),
]
