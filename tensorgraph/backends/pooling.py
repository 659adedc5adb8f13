"""Pooling over any number of spatial axes: the definitions.

Every function goes over the taps of the window, as convolution.py does: a tap is a strided slice of the padded image
that holds one pixel of every window. Maximum pooling comes with two maps that its maxima choose: `max_put` sends
values to where they are, `max_take` reads there; each is the adjoint of the other. `sum_pool` and `sum_put` are a pair
of the same kind. Mixed into `Backend`; a backend may override them with something faster that agrees.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorgraph.backends.convolution import Convolution, Geometry, Sizes, accumulator

if TYPE_CHECKING:
    _Beside = Convolution
else:
    _Beside = object


class Pooling(_Beside):
    """The definitions, for a class that has the array library as `xp` and mixes in `Convolution`."""

    def max_pool(self, x: Any, kernel: Sizes, geometry: Geometry) -> Any:
        """Largest pixel of every window; NaN wins.  x (N, C, *sizes) -> (N, C, *out)."""
        image = self.padded(x, geometry.padding, lowest(x.dtype))
        cuts = [cut for _, cut in geometry.taps(kernel, geometry.output(x.shape[2:], kernel))]
        y = image[cuts[0]].copy()
        for cut in cuts[1:]:
            self.xp.maximum(y, image[cut], out=y)
        return y

    def max_put(self, g: Any, x: Any, y: Any, kernel: Sizes, geometry: Geometry) -> Any:
        """Zeros in the shape of x, with g (N, C, *out) added where y, the maxima of x, were found first."""
        grown = tuple(n + b + a for n, (b, a) in zip(x.shape[2:], geometry.padding, strict=True))
        image = self.xp.zeros((*x.shape[:2], *grown), dtype=g.dtype)
        for _, cut, hit in self._first_hits(x, y, kernel, geometry):
            image[cut] += self.xp.where(hit, g, g.dtype.type(0))
        return self.trimmed(image, geometry.padding)

    def max_take(self, h: Any, x: Any, y: Any, kernel: Sizes, geometry: Geometry) -> Any:
        """The pixels of h, in the shape of x, from where y, the maxima of x, were found first: (N, C, *out)."""
        image = self.padded(h, geometry.padding)
        out = self.xp.zeros(y.shape, dtype=h.dtype)
        for _, cut, hit in self._first_hits(x, y, kernel, geometry):
            out = self.xp.where(hit, image[cut], out)
        return out

    def max_indices(self, x: Any, y: Any, kernel: Sizes, geometry: Geometry) -> Any:
        """Where y, the maxima of x, were found first: flat indices into the plane of x, int64 (N, C, *out)."""
        sizes = x.shape[2:]
        steps = [int(np.prod(sizes[i + 1 :])) for i in range(len(sizes))]
        window = np.zeros((1,) * len(sizes), dtype=np.int64)
        for i, (s, (before, _)) in enumerate(zip(geometry.stride, geometry.padding, strict=True)):
            starts = (np.arange(y.shape[2 + i]) * s - before) * steps[i]
            window = window + starts.reshape([-1 if j == i else 1 for j in range(len(sizes))])
        found = self.xp.zeros(y.shape, dtype=np.int64)
        for tap, _, hit in self._first_hits(x, y, kernel, geometry, nan=True):
            found[hit] = sum(t * d * step for t, d, step in zip(tap, geometry.dilation, steps, strict=True))
        return found + self.xp.asarray(window)

    def _first_hits(self, x: Any, y: Any, kernel: Sizes, geometry: Geometry, nan: bool = False) -> Iterator[tuple]:
        """Tap, its slice, and the windows whose maximum is at that tap and at none before it.

        The padding is NaN, which equals nothing; the NaN of an image is found only with `nan`.
        """
        if x.dtype.kind != "f":
            x = x.astype(np.float64)
        image = self.padded(x, geometry.padding, np.nan)
        inside = self.padded(self.xp.ones(x.shape, dtype=bool), geometry.padding) if nan else None
        open_ = self.xp.ones(y.shape, dtype=bool)
        for tap, cut in geometry.taps(kernel, y.shape[2:]):
            hit = image[cut] == y
            if inside is not None:
                hit |= (image[cut] != image[cut]) & inside[cut]
            hit &= open_
            open_ &= ~hit
            yield tap, cut, hit

    def sum_pool(self, x: Any, kernel: Sizes, geometry: Geometry) -> Any:
        """Sum over every window, where padding counts as 0.  x (N, C, *sizes) -> (N, C, *out)."""
        out = geometry.output(x.shape[2:], kernel)
        image = self.padded(x, geometry.padding)
        y = self.xp.zeros((*x.shape[:2], *out), dtype=accumulator(x.dtype))
        for _, cut in geometry.taps(kernel, out):
            y += image[cut]
        return y.astype(x.dtype, copy=False)

    def sum_put(self, g: Any, kernel: Sizes, sizes: Sizes, geometry: Geometry) -> Any:
        """Adjoint of `sum_pool`: adds g (N, C, *out) to every pixel of its window -> (N, C, *sizes)."""
        grown = tuple(n + b + a for n, (b, a) in zip(sizes, geometry.padding, strict=True))
        image = self.xp.zeros((*g.shape[:2], *grown), dtype=accumulator(g.dtype))
        for _, cut in geometry.taps(kernel, g.shape[2:]):
            image[cut] += g
        return self.trimmed(image, geometry.padding).astype(g.dtype, copy=False)


def lowest(dtype: Any) -> Any:
    """What is below every number of a dtype."""
    if dtype.kind == "f":
        return -np.inf
    return False if dtype.kind == "b" else np.iinfo(dtype).min
