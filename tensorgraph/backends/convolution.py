"""Correlation over any number of spatial axes, its two adjoints, and im2col: the definitions.

`correlate(x, w)`, `correlate_input(g, w)` (adjoint in x, the transposed convolution) and `correlate_weight(g, x)`
(adjoint in w) form a closed family: each is linear in both operands, and its derivatives are the other two. All three
visit the kernel's taps one by one; a tap is a strided slice of the padded image, and one matrix product. Written in
the array library's own functions only: a backend may override them with something faster that agrees. Mixed into
`Backend`; ops/conv.py makes the `Geometry`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

Sizes = tuple[int, ...]


class Geometry(NamedTuple):
    """How a window moves over the spatial axes: one entry per axis, padding as (before, after)."""

    stride: Sizes
    padding: tuple[tuple[int, int], ...]
    dilation: Sizes
    groups: int = 1

    def output(self, sizes: Sequence[int], kernel: Sequence[int]) -> Sizes:
        """Sizes of the output: how often the window fits; zero or less where it does not fit at all."""
        return tuple(
            (n + before + after - d * (k - 1) - 1) // s + 1
            for n, k, s, (before, after), d in zip(sizes, kernel, self.stride, self.padding, self.dilation, strict=True)
        )

    def taps(self, kernel: Sequence[int], out: Sequence[int]) -> Iterator[tuple[Sizes, tuple]]:
        """Every position in the kernel, with the index that takes its pixel of every window from a padded image."""
        for tap in product(*map(range, kernel)):
            cut = (
                slice(t * d, t * d + s * (n - 1) + 1, s)
                for t, d, s, n in zip(tap, self.dilation, self.stride, out, strict=True)
            )
            yield tap, (..., *cut)


def accumulator(*dtypes: Any) -> np.dtype:
    """The dtype to compute in: floats decide over integers, half precision is accumulated in float32."""
    floats = [d for d in dtypes if d.kind in "fc"]
    common = np.result_type(*(floats or dtypes))
    return np.dtype("float32") if common == np.float16 else common


def result_dtype(*dtypes: Any) -> np.dtype:
    """The dtype of the result: that of the operands, where floats decide over integers."""
    return np.result_type(*([d for d in dtypes if d.kind in "fc"] or dtypes))


class Convolution:
    """The definitions, for a class that has the array library as `xp`."""

    xp: Any

    def padded(self, x: Any, padding: Sequence[tuple[int, int]], value: Any = 0) -> Any:
        """`x` with `value` around its last axes; negative padding crops. `x` itself when there is nothing to do."""
        if not any(before or after for before, after in padding):
            return x
        lead = x.ndim - len(padding)
        sizes = tuple(n + before + after for n, (before, after) in zip(x.shape[lead:], padding, strict=True))
        out = self.xp.full((*x.shape[:lead], *sizes), value, dtype=x.dtype)
        out[_inside(sizes, padding)] = x[_inside(x.shape[lead:], [(-before, -after) for before, after in padding])]
        return out

    def trimmed(self, x: Any, padding: Sequence[tuple[int, int]]) -> Any:
        """`x` without its padding: the adjoint of `padded`, in memory of its own size."""
        return self.padded(x, [(-before, -after) for before, after in padding])

    def correlate(self, x: Any, w: Any, geometry: Geometry, bias: Any = None, relu: bool = False) -> Any:
        """x (N, C, *sizes), w (K, C/groups, *kernel), bias (K,) or None -> (N, K, *out), rectified if wanted."""
        out, kernel, groups = geometry.output(x.shape[2:], w.shape[2:]), w.shape[2:], geometry.groups
        dtype = accumulator(x.dtype, w.dtype)
        y = self.xp.zeros((len(x), groups, len(w) // groups, prod(out)), dtype=dtype)
        image = self.padded(x, geometry.padding)
        for tap, cut in geometry.taps(kernel, out):
            pixels = image[cut].reshape(len(x), groups, w.shape[1], prod(out)).astype(dtype, copy=False)
            y += self.xp.matmul(_matrices(w, tap, groups, dtype), pixels)
        if bias is not None:
            y += bias.reshape(1, groups, -1, 1)
        if relu:
            self.xp.maximum(y, 0, out=y)
        return y.reshape(len(x), len(w), *out).astype(result_dtype(x.dtype, w.dtype), copy=False)

    def correlate_input(self, g: Any, w: Any, sizes: Sizes, geometry: Geometry, bias: Any = None) -> Any:
        """g (N, K, *out), w (K, C/groups, *kernel), bias (C,) or None -> (N, C, *sizes)."""
        out, kernel, groups = g.shape[2:], w.shape[2:], geometry.groups
        dtype = accumulator(g.dtype, w.dtype)
        grown = tuple(n + before + after for n, (before, after) in zip(sizes, geometry.padding, strict=True))
        image = self.xp.zeros((len(g), groups * w.shape[1], *grown), dtype=dtype)
        pixels = g.reshape(len(g), groups, len(w) // groups, prod(out)).astype(dtype, copy=False)
        for tap, cut in geometry.taps(kernel, out):
            spread = self.xp.matmul(_matrices(w, tap, groups, dtype).swapaxes(1, 2), pixels)
            image[cut] += spread.reshape(len(g), groups * w.shape[1], *out)
        x = self.trimmed(image, geometry.padding)
        if bias is not None:
            x = x + bias.reshape(-1, *(1,) * len(sizes))
        return x.astype(result_dtype(g.dtype, w.dtype), copy=False)

    def correlate_weight(self, g: Any, x: Any, kernel: Sizes, geometry: Geometry) -> Any:
        """g (N, K, *out), x (N, C, *sizes) -> (K, C/groups, *kernel)."""
        out, groups = g.shape[2:], geometry.groups
        K, C = g.shape[1] // groups, x.shape[1] // groups
        dtype = accumulator(g.dtype, x.dtype)
        w = self.xp.zeros((groups * K, C, *kernel), dtype=dtype)
        image = self.padded(x, geometry.padding)
        rows = _by_channel(g, groups, dtype)
        for tap, cut in geometry.taps(kernel, out):
            columns = _by_channel(image[cut], groups, dtype).swapaxes(1, 2)
            w[(slice(None), slice(None), *tap)] = self.xp.matmul(rows, columns).reshape(groups * K, C)
        return w.astype(result_dtype(g.dtype, x.dtype), copy=False)

    def unfold(self, x: Any, kernel: Sizes, geometry: Geometry) -> Any:
        """x (N, C, *sizes) -> the pixels of every window (N, C, *kernel, *out)."""
        out = geometry.output(x.shape[2:], kernel)
        y = self.xp.empty((*x.shape[:2], *kernel, *out), dtype=x.dtype)
        image = self.padded(x, geometry.padding)
        for tap, cut in geometry.taps(kernel, out):
            y[(slice(None), slice(None), *tap)] = image[cut]
        return y

    def fold(self, y: Any, sizes: Sizes, geometry: Geometry) -> Any:
        """y (N, C, *kernel, *out) -> (N, C, *sizes): adds the pixels of every window where `unfold` took them."""
        kernel, out = y.shape[2 : 2 + len(sizes)], y.shape[2 + len(sizes) :]
        grown = tuple(n + before + after for n, (before, after) in zip(sizes, geometry.padding, strict=True))
        image = self.xp.zeros((*y.shape[:2], *grown), dtype=accumulator(y.dtype))
        for tap, cut in geometry.taps(kernel, out):
            image[cut] += y[(slice(None), slice(None), *tap)]
        return self.trimmed(image, geometry.padding).astype(y.dtype, copy=False)


def _inside(sizes: Sequence[int], padding: Sequence[tuple[int, int]]) -> tuple:
    return (..., *(slice(max(before, 0), n - max(after, 0)) for n, (before, after) in zip(sizes, padding, strict=True)))


def _matrices(w: Any, tap: Sizes, groups: int, dtype: Any) -> Any:
    """What the kernel does at one tap: (groups, K/groups, C/groups)."""
    return w[(slice(None), slice(None), *tap)].reshape(groups, -1, w.shape[1]).astype(dtype, copy=False)


def _by_channel(x: Any, groups: int, dtype: Any) -> Any:
    """x (N, C, *sizes) -> (groups, C/groups, N * pixels)."""
    return x.swapaxes(0, 1).reshape(groups, x.shape[1] // groups, -1).astype(dtype, copy=False)
