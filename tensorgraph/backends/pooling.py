"""Pooling over any number of spatial axes: the definitions.

Every function goes over the taps of the window, as convolution.py does: a tap is a strided slice of the padded image
that holds one pixel of every window. Maximum pooling also says at which tap each maximum is; `max_put` sends values
there, `max_take` reads there, and each is the adjoint of the other. `sum_pool` and `sum_put` are a pair of the same
kind. Mixed into `Backend`; a backend may override them with something faster that agrees.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorgraph.backends.convolution import Convolution, Geometry, Sizes, accumulator

if TYPE_CHECKING:
    _Beside = Convolution
else:
    _Beside = object


class Pooling(_Beside):
    """The definitions, for a class that has the array library as `xp` and mixes in `Convolution`."""

    def max_pool(self, x: Any, kernel: Sizes, geometry: Geometry) -> tuple[Any, Any]:
        """Largest pixel of every window, and its tap.  x (N, C, *sizes) -> (N, C, *out) twice.

        Taps count row by row, in the smallest unsigned integers that hold them. NaN wins, equal pixels leave it to the
        first, and what lies in the padding is never chosen.
        """
        out = geometry.output(x.shape[2:], kernel)
        image = self.padded(x, geometry.padding, lowest(x.dtype))
        best = self.xp.full((*x.shape[:2], *out), lowest(x.dtype), dtype=x.dtype)
        first = self.xp.asarray(first_inside(x.shape[2:], kernel, out, geometry))
        taps = self.xp.broadcast_to(first, best.shape)
        for t, cut in enumerate(_cuts(kernel, out, geometry)):
            pixels = image[cut]
            better = (pixels > best) | ((pixels != pixels) & (best == best))
            best, taps = self.xp.where(better, pixels, best), self.xp.where(better, taps.dtype.type(t), taps)
        return best, taps

    def max_put(self, g: Any, taps: Any, sizes: Sizes, kernel: Sizes, geometry: Geometry) -> Any:
        """Zeros (N, C, *sizes) with g (N, C, *out) added at the tap of every window."""
        image = self.xp.zeros((*g.shape[:2], *_grown(sizes, geometry)), dtype=g.dtype)
        for t, cut in enumerate(_cuts(kernel, g.shape[2:], geometry)):
            image[cut] += self.xp.where(taps == t, g, g.dtype.type(0))
        return self.trimmed(image, geometry.padding)

    def max_take(self, h: Any, taps: Any, kernel: Sizes, geometry: Geometry) -> Any:
        """The pixels of h (N, C, *sizes) at the tap of every window: (N, C, *out)."""
        image = self.padded(h, geometry.padding)
        out = self.xp.zeros(taps.shape, dtype=h.dtype)
        for t, cut in enumerate(_cuts(kernel, taps.shape[2:], geometry)):
            out = self.xp.where(taps == t, image[cut], out)
        return out

    def max_indices(self, taps: Any, sizes: Sizes, kernel: Sizes, geometry: Geometry) -> Any:
        """The tap of every window as a flat index into the plane of `sizes`: int64 (N, C, *out)."""
        steps = [prod(sizes[i + 1 :]) for i in range(len(sizes))]
        starts = np.zeros((1,) * len(sizes), dtype=np.int64)
        inside = np.zeros((1,) * len(sizes), dtype=np.int64)
        for i, step in enumerate(steps):
            shape = [-1 if j == i else 1 for j in range(len(sizes))]
            before = geometry.padding[i][0]
            starts = starts + ((np.arange(taps.shape[2 + i]) * geometry.stride[i] - before) * step).reshape(shape)
            inside = inside + (np.arange(kernel[i]) * geometry.dilation[i] * step).reshape(shape)
        return self.xp.asarray(starts) + self.xp.asarray(inside.reshape(-1))[taps]

    def sum_pool(self, x: Any, kernel: Sizes, geometry: Geometry) -> Any:
        """Sum over every window, where padding counts as 0.  x (N, C, *sizes) -> (N, C, *out)."""
        out = geometry.output(x.shape[2:], kernel)
        image = self.padded(x, geometry.padding)
        y = self.xp.zeros((*x.shape[:2], *out), dtype=accumulator(x.dtype))
        for cut in _cuts(kernel, out, geometry):
            y += image[cut]
        return y.astype(x.dtype, copy=False)

    def sum_put(self, g: Any, kernel: Sizes, sizes: Sizes, geometry: Geometry) -> Any:
        """Adjoint of `sum_pool`: adds g (N, C, *out) to every pixel of its window -> (N, C, *sizes)."""
        image = self.xp.zeros((*g.shape[:2], *_grown(sizes, geometry)), dtype=accumulator(g.dtype))
        for cut in _cuts(kernel, g.shape[2:], geometry):
            image[cut] += g
        return self.trimmed(image, geometry.padding).astype(g.dtype, copy=False)


def lowest(dtype: Any) -> Any:
    """What is below every number of a dtype."""
    if dtype.kind == "f":
        return -np.inf
    return False if dtype.kind == "b" else np.iinfo(dtype).min


def _grown(sizes: Sizes, geometry: Geometry) -> Sizes:
    return tuple(n + before + after for n, (before, after) in zip(sizes, geometry.padding, strict=True))


def _cuts(kernel: Sizes, out: Sequence[int], geometry: Geometry) -> Iterator[tuple]:
    return (cut for _, cut in geometry.taps(kernel, out))


@lru_cache(maxsize=256)
def first_inside(sizes: Sizes, kernel: Sizes, out: Sizes, geometry: Geometry) -> np.ndarray:
    """The first tap of every window that lies inside the image (0 where none does), on the host."""
    found = np.zeros((1,) * len(out), dtype=np.int64)
    for i, (before, _) in enumerate(geometry.padding):
        starts = before - np.arange(out[i]) * geometry.stride[i]
        taps = np.maximum(-(-starts // geometry.dilation[i]), 0)
        taps[taps * geometry.dilation[i] - starts >= sizes[i]] = 0
        found = found * kernel[i] + np.minimum(taps, kernel[i] - 1).reshape(
            [-1 if j == i else 1 for j in range(len(out))]
        )
    return found.astype(np.min_scalar_type(prod(kernel) - 1))
