"""The backend of arrays without numbers, which takes the memory that the CPU takes.

Most of it are the definitions of `Backend`. Where the kernels of the CPU keep less, or lay results out in another
order, a method here makes what they make: results, what stays for the backward pass, and copies on the way. Buffers of
fixed size that kernels use inside (tiles, sums of threads) are left out.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from tensorgraph.backends.array import Backend
from tensorgraph.backends.convolution import Geometry, Sizes, result_dtype
from tensorgraph.backends.meta import kernels
from tensorgraph.backends.meta.array import MetaArray, new, refuse
from tensorgraph.backends.meta.functions import functions
from tensorgraph.backends.numpy_kernels import FastUpdates, products
from tensorgraph.errors import sig

__all__ = ["MetaBackend", "get"]

BLENDED = 1 << 13
"""Elements from which `where` of the CPU blends bits."""


class MetaBackend(Backend):
    """Arrays that are nowhere."""

    name = "meta"
    array_type = MetaArray
    has_values = False
    block = 32768

    def __init__(self) -> None:
        super().__init__()
        self.xp = functions
        for name, kernel in kernels.KERNELS.items():
            self.add_kernel(name, kernel)

    def device_of(self, array: Any) -> str:
        return "meta"

    def to_host(self, array: Any) -> np.ndarray:
        refuse(f"the numbers of {sig(array)} are asked for")

    def from_host(self, array: np.ndarray, device: str = "meta") -> MetaArray:
        return new(array.shape, array.dtype)

    def filled(self, function: str, shape: tuple[int, ...], dtype: Any, device: str) -> MetaArray:
        return new(shape, dtype)

    def byte_bounds(self, array: Any) -> tuple[int, int]:
        return byte_bounds(array.lay)

    def stream(self, seed: int, device: str) -> Any:
        return Silence()

    # ---- elementwise ---------------------------------------------------------------------------------------------
    def relu_slope(self, g: Any, y: Any, out: Any = None) -> Any:
        if out is not None and kernels.fits(out, y):
            return out
        return functions.empty_like(g) if kernels.fits(g, y) else super().relu_slope(g, y)

    def sigmoid_slope(self, g: Any, y: Any) -> Any:
        return functions.empty_like(y) if kernels.fits(y) else super().sigmoid_slope(g, y)

    def tanh_slope(self, g: Any, y: Any) -> Any:
        return functions.empty_like(y) if kernels.fits(y) else super().tanh_slope(g, y)

    def softplus(self, x: Any) -> Any:
        return functions.empty_like(x) if kernels.fits(x) else super().softplus(x)

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        """`where`, and for large arrays the mask once more, turned into bits."""
        mask = new(condition.shape, np.int8) if getattr(condition, "size", 0) >= BLENDED else None
        y = functions.where(condition, a, b)
        del mask
        return y

    def _each_block(self, formula: Any, x: Any, single: bool = False) -> Any:
        x = self.floating(x)
        if x.dtype.kind == "c":
            raise TypeError("this function takes real numbers only")
        flat = x.reshape(-1)  # a copy where x does not lie in C order
        y = new(x.shape, x.dtype)
        del flat
        return y

    def softmax(self, x: Any, axis: int) -> Any:
        return functions.empty_like(x) if kernels.matrix(x, (axis,)) is not None else super().softmax(x, axis)

    def softmax_slope(self, g: Any, y: Any, axis: int) -> Any:
        fit = kernels.matrix(g, (axis,)) is not None and kernels.matrix(y, (axis,)) is not None
        return functions.empty_like(y) if fit else super().softmax_slope(g, y, axis)

    def label_slope(self, e: Any, up: Any, labels: Any, down: Any) -> Any:
        fit = kernels.matrix(e, (1,)) is not None
        return functions.empty_like(e) if fit else super().label_slope(e, up, labels, down)

    # ---- sums ----------------------------------------------------------------------------------------------------
    def mean_and_variance(self, x: Any, axis: tuple[int, ...]) -> tuple[Any, Any, Any]:
        if kernels.columns(x, axis) is None:
            return super().mean_and_variance(x, axis)
        shape = [1 if i in axis else n for i, n in enumerate(x.shape)]
        return new(shape, x.dtype), None, new(shape, x.dtype)

    def running(self, combine: Any, x: Any, axis: int) -> Any:
        return combine.accumulate(x, axis)

    def order(self, x: Any, axis: int, descending: bool) -> Any:
        return functions.argsort(x, axis=axis)

    def top(self, x: Any, k: int, axis: int, largest: bool) -> Any:
        places = functions.argsort(x, axis=axis)
        return places[(*(slice(None),) * axis, slice(k))].copy()

    # ---- products ------------------------------------------------------------------------------------------------
    def affine(self, a: Any, b: Any, bias: Any, rectify: bool = False) -> Any:
        y = self.matmul(a, b)
        return functions.add(y, bias, out=y if y.size and a.size * b.shape[1] > products.SMALL else None)

    def _expm(self, x: Any) -> Any:
        return functions.empty_like(x)

    def _holds(self, condition: Any) -> bool:
        return False

    # ---- at an index ---------------------------------------------------------------------------------------------
    def check_range(self, index: Any, size: int, axis: int, op: str) -> None:
        """Nobody knows."""

    def put(self, x: Any, index: Any, values: Any, op: str = "put") -> tuple[Any, Any]:
        index, unique = self.as_index(index, x.shape, op)
        out = x.copy()
        self.assign(out, index, values, op)
        return out, new((), bool) if unique else new(x[index].shape, bool)

    def add_at(self, out: Any, index: Any, values: Any) -> None:
        """By whole rows, or by one list of places, as on the CPU."""
        if type(index) is not tuple and getattr(index, "dtype", np.dtype(bool)).kind == "i" and kernels.fits(values):
            return
        places = self.places(index, out.shape)
        values = values if values.shape == places.shape else functions.broadcast_to(values, places.shape)
        flat = values.reshape(-1), places.reshape(-1)
        del flat

    # ---- windows -------------------------------------------------------------------------------------------------
    def correlate(self, x: Any, w: Any, geometry: Geometry, bias: Any = None, relu: bool = False) -> Any:
        if not kernels.tiles(x, w):
            return super().correlate(x, w, geometry, bias, relu)
        out = geometry.output(x.shape[2:], w.shape[2:])
        return kernels.channels_last((len(x), len(w), *out), result_dtype(x.dtype, w.dtype), x, w)

    def correlate_input(self, g: Any, w: Any, sizes: Sizes, geometry: Geometry, bias: Any = None) -> Any:
        if not kernels.tiles(g, w):
            return super().correlate_input(g, w, sizes, geometry, bias)
        shape = (len(g), w.shape[1] * geometry.groups, *sizes)
        return kernels.channels_last(shape, result_dtype(g.dtype, w.dtype), g, w)

    def correlate_weight(self, g: Any, x: Any, kernel: Sizes, geometry: Geometry) -> Any:
        if not kernels.tiles(g, x):
            return super().correlate_weight(g, x, kernel, geometry)
        shape = (g.shape[1], x.shape[1] // geometry.groups, *kernel)
        dtype = result_dtype(g.dtype, x.dtype)
        sums = [new(shape, dtype)]
        if g.strides[1] != g.itemsize and kernels.single(g, x):  # slopes are read with the channels last
            sums.append(new(g.shape, dtype))
        w = new(shape, dtype)
        del sums
        return w

    def max_pool(self, x: Any, kernel: Sizes, geometry: Geometry) -> tuple[Any, Any]:
        if not kernels.pools(x):
            return super().max_pool(x, kernel, geometry)
        out = geometry.output(x.shape[2:], kernel)
        shape, lie = (*x.shape[:2], *out), kernels.Lie(x)
        copy = lie.seen(x)
        y = lie.room(shape, x.dtype), lie.room(shape, np.min_scalar_type(prod(kernel) - 1))
        del copy
        return y

    def max_put(self, g: Any, taps: Any, sizes: Sizes, kernel: Sizes, geometry: Geometry) -> Any:
        if not kernels.pools(g):
            return super().max_put(g, taps, sizes, kernel, geometry)
        lie = kernels.Lie(taps)
        copies = lie.seen(g), lie.seen(taps)
        x = lie.room((*g.shape[:2], *sizes), g.dtype)
        del copies
        return x

    def sum_pool(self, x: Any, kernel: Sizes, geometry: Geometry) -> Any:
        if not kernels.pools(x):
            return super().sum_pool(x, kernel, geometry)
        lie = kernels.Lie(x)
        copy = lie.seen(x)
        y = lie.room((*x.shape[:2], *geometry.output(x.shape[2:], kernel)), x.dtype)
        del copy
        return y

    def sum_put(self, g: Any, kernel: Sizes, sizes: Sizes, geometry: Geometry) -> Any:
        if not kernels.pools(g):
            return super().sum_put(g, kernel, sizes, geometry)
        lie = kernels.Lie(g)
        copy = lie.seen(g)
        x = lie.room((*g.shape[:2], *sizes), g.dtype)
        del copy
        return x

    # ---- updates -------------------------------------------------------------------------------------------------
    in_one_pass = FastUpdates.in_one_pass
    takes_several = FastUpdates.takes_several

    def sgd_update(self, *_: Any, **__: Any) -> None:
        """Everything is written where it lies."""

    rmsprop_update = adam_update = sgd_update


class Silence:
    """A stream of random numbers that draws nothing; the CPU's arrays on the way are counted."""

    kind = "none"
    state: dict[str, Any] = {"kind": kind}

    def uniform(self, shape: Any, dtype: Any) -> MetaArray:
        return new(shape, dtype)

    normal = exponential = uniform

    def integers(self, low: int, high: int, shape: Any, dtype: Any) -> MetaArray:
        return new(shape, dtype)

    def permutation(self, n: int) -> MetaArray:
        return new((n,), np.int64)

    def mask(self, shape: Any, keep: float, dtype: Any) -> MetaArray:
        kept = new(shape, np.uint32) if keep != 0.5 else None
        kept = kept, new(shape, bool)
        kept = kept[1]
        mask = new(shape, dtype)
        del kept
        return mask


_backend: MetaBackend | None = None


def get() -> MetaBackend:
    """The one backend of this kind, known to every operation from its first use on."""
    global _backend
    if _backend is None:
        from tensorgraph import backends

        _backend = MetaBackend()
        backends.register(MetaArray, _backend)
    return _backend
