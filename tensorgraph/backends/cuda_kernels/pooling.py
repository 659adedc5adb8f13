"""Pooling over one to three axes, one thread for each pixel of the result.

Backwards every pixel of the image visits the windows that it lies in and gathers: nothing is added by two threads at
once, so that results are the same in every run. Sums are taken in the order of the definition (backends/pooling.py).
Imported by `cuda_kernels/__init__.py` only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from tensorgraph.backends.convolution import Geometry, Sizes
from tensorgraph.backends.cuda_kernels.launch import EACH, Kernel
from tensorgraph.backends.pooling import Pooling

__all__ = ["KERNELS", "FastPooling"]

GEOMETRY = (
    "int D, int H, int W, int d, int h, int w, int kd, int kh, int kw, int sd, int sh, int sw, "
    "int pd, int ph, int pw, int ld, int lh, int lw"
)
"""Along every axis: pixels of the image and of the result, taps of the window, stride, padding in front, dilation."""

WINDOW = """
    whole plane = i / w / h / d;
    int oz = i / w / h % d, oy = i / w % h, ox = i % w;
    const real* image = x + plane * D * H * W;
"""

TAPS = """
    for (int a = 0; a < kd; ++a) {
        int z = oz * sd - pd + a * ld;
        if (z < 0 || z >= D) continue;
        for (int b = 0; b < kh; ++b) {
            int v = oy * sh - ph + b * lh;
            if (v < 0 || v >= H) continue;
            for (int c = 0; c < kw; ++c) {
                int u = ox * sw - pw + c * lw;
                if (u < 0 || u >= W) continue;
                wide pixel = get(image[((whole)z * H + v) * W + u]);
                EACH_PIXEL
            }
        }
    }
"""
"""Over the taps of window (oz, oy, ox) that lie inside the image."""

max_pool = Kernel(
    "max_pool",
    f"const real* x, real* y, tap* taps, wide lowest, {GEOMETRY}, whole size",
    EACH
    + WINDOW
    + """
    wide best = lowest;
    int at = 0, found = 0;
"""
    + TAPS.replace(
        "EACH_PIXEL",
        """if (!found || pixel > best || (pixel != pixel && best == best)) {
                    best = pixel;
                    at = (a * kh + b) * kw + c;
                }
                found = 1;""",
    )
    + """
    y[i] = put(best);
    taps[i] = at;
""",
)

sum_pool = Kernel(
    "sum_pool",
    f"const real* x, real* y, {GEOMETRY}, whole size",
    EACH + WINDOW + "    wide sum = 0;\n" + TAPS.replace("EACH_PIXEL", "sum += pixel;") + "    y[i] = put(sum);\n",
)

WINDOWS = """
/* The first and the last window along an axis that reach the place q, counted from the first tap of window 0. */
__device__ int first_window(int q, int taps, int stride, int dilation)
{
    int behind = q - (taps - 1) * dilation;
    return behind > 0 ? (behind + stride - 1) / stride : 0;
}
__device__ int last_window(int q, int windows, int stride)
{
    if (q < 0) return -1;
    return q / stride < windows ? q / stride : windows - 1;
}
"""

GATHER = """
    whole plane = i / W / H / D;
    int z = i / W / H % D + pd, v = i / W % H + ph, u = i % W + pw;
    wide sum = 0;
    for (int oz = last_window(z, d, sd); oz >= first_window(z, kd, sd, ld); --oz) {
        if ((z - oz * sd) % ld) continue;
        for (int oy = last_window(v, h, sh); oy >= first_window(v, kh, sh, lh); --oy) {
            if ((v - oy * sh) % lh) continue;
            for (int ox = last_window(u, w, sw); ox >= first_window(u, kw, sw, lw); --ox) {
                if ((u - ox * sw) % lw) continue;
                whole o = ((plane * d + oz) * h + oy) * w + ox;
                EACH_WINDOW sum += get(g[o]);
            }
        }
    }
    y[i] = put(sum);
"""
"""Over the windows that pixel i lies in, from the last one, which is in the order of their taps."""

max_put = Kernel(
    "max_put",
    f"const real* g, const tap* taps, real* y, {GEOMETRY}, whole size",
    EACH
    + GATHER.replace(
        "EACH_WINDOW",
        """int at = ((z - oz * sd) / ld * kh + (v - oy * sh) / lh) * kw + (u - ox * sw) / lw;
                if (taps[o] == at)""",
    ),
    before=WINDOWS,
)

sum_put = Kernel(
    "sum_put",
    f"const real* g, real* y, {GEOMETRY}, whole size",
    EACH + GATHER.replace("EACH_WINDOW ", ""),
    before=WINDOWS,
)

KERNELS = max_pool, max_put, sum_pool, sum_put
TAP = {np.dtype("uint8"): "unsigned char", np.dtype("uint16"): "unsigned short", np.dtype("uint32"): "unsigned int"}
"""dtype of the taps -> its type in C"""


class FastPooling(Pooling):
    """Overrides the definitions."""

    takes: Callable[..., bool]

    def max_pool(self, x: Any, kernel: Sizes, geometry: Geometry) -> tuple[Any, Any]:
        """Largest pixel of every window, and its tap.  x (N, C, *sizes) -> (N, C, *out) twice."""
        if not self.takes(x):
            return super().max_pool(x, kernel, geometry)
        out = geometry.output(x.shape[2:], kernel)
        taps = np.min_scalar_type(prod(kernel) - 1)
        y, places = self.xp.empty((*x.shape[:2], *out), dtype=x.dtype), self.xp.empty((*x.shape[:2], *out), dtype=taps)
        numbers = _numbers(x.shape[2:], out, kernel, geometry)
        x = self.xp.ascontiguousarray(x)
        max_pool.over(self, y.size, x, y, places, -np.inf, *numbers, dtype=x.dtype, tap=TAP[taps])
        return y, places

    def max_put(self, g: Any, taps: Any, sizes: Sizes, kernel: Sizes, geometry: Geometry) -> Any:
        """Zeros (N, C, *sizes) with g (N, C, *out) added at the tap of every window."""
        if not self.takes(g):
            return super().max_put(g, taps, sizes, kernel, geometry)
        y = self.xp.empty((*g.shape[:2], *sizes), dtype=g.dtype)
        numbers = _numbers(sizes, g.shape[2:], kernel, geometry)
        g, taps = self.xp.ascontiguousarray(g), self.xp.ascontiguousarray(taps)
        max_put.over(self, y.size, g, taps, y, *numbers, dtype=g.dtype, tap=TAP[taps.dtype])
        return y

    def sum_pool(self, x: Any, kernel: Sizes, geometry: Geometry) -> Any:
        """Sum over every window, where padding counts as 0.  x (N, C, *sizes) -> (N, C, *out)."""
        if not self.takes(x):
            return super().sum_pool(x, kernel, geometry)
        out = geometry.output(x.shape[2:], kernel)
        y = self.xp.empty((*x.shape[:2], *out), dtype=x.dtype)
        x, numbers = self.xp.ascontiguousarray(x), _numbers(x.shape[2:], out, kernel, geometry)
        sum_pool.over(self, y.size, x, y, *numbers, dtype=x.dtype)
        return y

    def sum_put(self, g: Any, kernel: Sizes, sizes: Sizes, geometry: Geometry) -> Any:
        """Adjoint of `sum_pool`: adds g (N, C, *out) to every pixel of its window -> (N, C, *sizes)."""
        if not self.takes(g):
            return super().sum_put(g, kernel, sizes, geometry)
        y = self.xp.empty((*g.shape[:2], *sizes), dtype=g.dtype)
        g, numbers = self.xp.ascontiguousarray(g), _numbers(sizes, g.shape[2:], kernel, geometry)
        sum_put.over(self, y.size, g, y, *numbers, dtype=g.dtype)
        return y


@lru_cache(maxsize=256)
def _numbers(sizes: Sizes, out: Sizes, kernel: Sizes, geometry: Geometry) -> tuple[np.int32, ...]:
    """What `GEOMETRY` names, of three axes: those in front that are missing have one pixel."""
    before = [b for b, _ in geometry.padding]
    rows = ((sizes, 1), (out, 1), (kernel, 1), (geometry.stride, 1), (before, 0), (geometry.dilation, 1))
    return tuple([np.int32(n) for row, lacking in rows for n in (*[lacking] * (3 - len(row)), *row)])
