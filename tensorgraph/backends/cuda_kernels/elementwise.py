"""What takes several passes over memory by its definition, in one: activations, the slope of relu, adding a bias.

Imported by `cuda_kernels/__init__.py` only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorgraph.backends.cuda_kernels.launch import EACH, Kernel
from tensorgraph.backends.linear import Linear
from tensorgraph.backends.special import Special

__all__ = ["KERNELS", "FastBias", "FastRectifier", "unit"]

relu_slope = Kernel(
    "relu_slope",
    "const real* g, const real* y, real* gx, whole size",
    EACH + "    gx[i] = put(get(y[i]) > 0 ? get(g[i]) : 0);",
)
add_bias = Kernel(
    "add_bias",
    "real* y, const real* bias, whole columns, int rectify, whole size",
    EACH
    + """
    wide v = get(y[i]) + get(bias[i % columns]);
    y[i] = put(rectify && v < 0 ? 0 : v);
""",
)

SILU = """
    wide v = get(x[i]), s = 1 / (1 + EXP(-v));
"""
silu = Kernel("silu", "const real* x, real* y, whole size", EACH + SILU + "    y[i] = put(v * s);")
silu_slope = Kernel(
    "silu_slope",
    "const real* g, const real* x, real* gx, whole size",
    EACH + SILU + "    gx[i] = put(get(g[i]) * s * (1 + v * (1 - s)));",
)

GELU = """
    wide v = get(x[i]), below = (wide)0.5 * ERFC(v * (wide)-0.70710678118654752440);
"""
gelu = Kernel("gelu", "const real* x, real* y, whole size", EACH + GELU + "    y[i] = put(v * below);")
gelu_slope = Kernel(
    "gelu_slope",
    "const real* g, const real* x, real* gx, whole size",
    EACH
    + GELU
    + """
    wide bell = (wide)0.39894228040143267794 * EXP(v * v * (wide)-0.5);
    gx[i] = put(get(g[i]) * (below + v * bell));
""",
)

KERNELS = relu_slope, add_bias, silu, silu_slope, gelu, gelu_slope


class FastRectifier(Special):
    """Overrides a definition."""

    takes: Callable[..., bool]

    def relu_slope(self, g: Any, y: Any, out: Any = None) -> Any:
        """g where y > 0, else 0; it may be written into `out`."""
        if not self.takes(g) or g.dtype != y.dtype or g.shape != y.shape:
            return super().relu_slope(g, y)
        g, y, gx = self.xp.ascontiguousarray(g), self.xp.ascontiguousarray(y), self.xp.empty(g.shape, dtype=g.dtype)
        relu_slope.over(self, g.size, g, y, gx, dtype=g.dtype)
        return gx


class FastBias(Linear):
    """Overrides a definition."""

    takes: Callable[..., bool]

    def affine(self, a: Any, b: Any, bias: Any, rectify: bool = False) -> Any:
        """a @ b + bias, or relu of that, computed where the product lies."""
        if a.dtype != bias.dtype or b.dtype != bias.dtype or not self.takes(a, b, bias):
            return super().affine(a, b, bias, rectify)
        y = self.xp.ascontiguousarray(self.matmul(a, b))
        add_bias.over(self, y.size, y, self.xp.ascontiguousarray(bias), bias.size, rectify, dtype=y.dtype)
        return y


def unit(forward: Kernel, slope: Kernel) -> Any:
    """The kernel of a fused operation on one array, whose slope is computed from that array again."""

    def kernel(be: Any, x: Any, *, wanted: tuple) -> Any:
        if not be.takes(x):
            return None
        x = be.xp.ascontiguousarray(x)
        y = be.xp.empty(x.shape, dtype=x.dtype)
        forward.over(be, x.size, x, y, dtype=x.dtype)

        def pullback(g: Any) -> tuple:
            gx = be.xp.empty(x.shape, dtype=x.dtype)
            slope.over(be, x.size, be.xp.ascontiguousarray(g, dtype=x.dtype), x, gx, dtype=x.dtype)
            return (gx,)

        return y, pullback

    return kernel
