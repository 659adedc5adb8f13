"""The CPU backend: NumPy arrays. Imported by `backends/__init__.py` only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from tensorgraph.backends.array import Backend
from tensorgraph.backends.numpy_kernels import FastConvolution, FastLinear, FastPooling, FastReduction, FastUpdates
from tensorgraph.backends.numpy_kernels.elementwise import (
    ENOUGH,
    add_rows,
    alike,
    exp_rows,
    flat,
    label_slope,
    product_of_rows,
    running,
    softmax,
    softmax_slope,
    unary,
    unit,
)
from tensorgraph.backends.numpy_kernels.normalization import standardize, standardize_relu
from tensorgraph.backends.numpy_kernels.recurrence import gru, lstm, rnn
from tensorgraph.mode import kernels_allowed

BITS = {np.dtype(f"float{n}"): np.dtype(f"int{n}") for n in (16, 32, 64)}
"""dtype -> integers of the same size"""


class NumpyBackend(FastConvolution, FastLinear, FastPooling, FastReduction, FastUpdates, Backend):
    """Arrays of NumPy in the memory of the host."""

    xp = np
    array_type = np.ndarray
    name = "cpu"
    checks_bounds = True
    block = 32768

    def __init__(self) -> None:
        super().__init__()
        self.add_kernel("gelu", unit("gelu"))
        self.add_kernel("gru", gru)
        self.add_kernel("lstm", lstm)
        self.add_kernel("rnn", rnn)
        self.add_kernel("silu", unit("silu"))
        self.add_kernel("standardize", standardize)
        self.add_kernel("standardize_relu", standardize_relu)

    def device_of(self, array: Any) -> str:
        return "cpu"

    def to_host(self, array: Any) -> np.ndarray:
        return array

    def from_host(self, array: np.ndarray, device: str = "cpu") -> np.ndarray:
        return array

    def byte_bounds(self, array: Any) -> tuple[int, int]:
        return byte_bounds(array)

    def relu(self, x: Any, out: Any = None) -> Any:
        """max(x, 0). On large arrays `clip` takes half the time of `maximum`, which is slow against a number."""
        if type(x) is np.ndarray and x.size >= ENOUGH and x.dtype in BITS and kernels_allowed():
            y = flat("relu", (x,), into=() if out is None else (out,))
            return x.clip(0, np.inf, out=out) if y is None else y
        return np.maximum(x, 0, out=out)

    def relu_slope(self, g: Any, y: Any, out: Any = None) -> Any:
        """g where y > 0, else 0; it may be written into `out`."""
        if type(g) is np.ndarray and g.size >= ENOUGH and kernels_allowed():
            slopes = alike(g, y)
            slope = flat("relu_slope", (slopes, y), into=(out,) if out is slopes else ())
            if slope is not None:
                return slope
        return self.where(y > 0, g, 0)

    def sigmoid(self, x: Any) -> Any:
        """1 / (1 + exp(-x)), to full relative precision on both sides."""
        if type(x) is np.ndarray and x.size >= ENOUGH and kernels_allowed():
            y = flat("sigmoid", (x,))
            if y is not None:
                return y
        return super().sigmoid(x)

    def ndtr(self, x: Any) -> Any:
        """Probability that a standard normal variable is below x; in float32 and less to 1e-7 absolute precision."""
        y = flat("ndtr", (x,)) if type(x) is np.ndarray and x.size >= ENOUGH and kernels_allowed() else None
        return super().ndtr(x) if y is None else y

    def exp(self, x: Any, out: Any = None) -> Any:
        """e^x."""
        return unary("exp", x, out)

    def log(self, x: Any, out: Any = None) -> Any:
        """Natural logarithm."""
        return unary("log", x, out)

    def softplus(self, x: Any) -> Any:
        """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)), which neither overflows nor cancels."""
        y = flat("softplus", (x,)) if type(x) is np.ndarray and x.size >= ENOUGH and kernels_allowed() else None
        return super().softplus(x) if y is None else y

    def sigmoid_slope(self, g: Any, y: Any) -> Any:
        """g y (1 - y), the gradient in x where y is sigmoid(x)."""
        gx = self._slope("sigmoid_slope", g, y)
        return super().sigmoid_slope(g, y) if gx is None else gx

    def tanh_slope(self, g: Any, y: Any) -> Any:
        """g (1 - y y), the gradient in x where y is tanh(x)."""
        gx = self._slope("tanh_slope", g, y)
        return super().tanh_slope(g, y) if gx is None else gx

    def _slope(self, name: str, g: Any, y: Any) -> Any:
        if type(g) is np.ndarray is type(y) and y.size >= ENOUGH and g.shape == y.shape and kernels_allowed():
            return flat(name, (alike(g, y), y))
        return None

    def softmax(self, x: Any, axis: int) -> Any:
        """exp(x) / sum(exp(x)) along an axis, without overflow."""
        y = softmax(x, axis) if kernels_allowed() else None
        return super().softmax(x, axis) if y is None else y

    def softmax_slope(self, g: Any, y: Any, axis: int) -> Any:
        """(g - sum(g y)) y, the gradient in x where y is softmax(x)."""
        gx = softmax_slope(g, y, axis) if kernels_allowed() else None
        return super().softmax_slope(g, y, axis) if gx is None else gx

    def exp_rows(self, x: Any) -> tuple[Any, Any, Any]:
        """exp(x - top), top and the sums of the first, of the rows of x (rows, columns); top is the largest."""
        found = exp_rows(x) if kernels_allowed() else None
        return super().exp_rows(x) if found is None else found

    def clip(self, x: Any, low: Any, high: Any) -> Any:
        """`numpy.clip`, without the time that it takes to look at its arguments where that is most of it."""
        if type(x) is not np.ndarray or x.size >= 4096 or x.dtype not in BITS:
            return np.clip(x, low, high)
        if low is not None:
            x = np.maximum(x, low)
        return x if high is None else np.minimum(x, high)

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        """`numpy.where`, which branches per element; large arrays of floats are blended by their bits instead.

        On data that the processor cannot predict, such as activations, that is two to seven times as fast.
        """
        model = a if type(a) is np.ndarray else b
        if (
            type(model) is not np.ndarray
            or model.size < 8192
            or model.dtype not in BITS
            or type(condition) is not np.ndarray
            or condition.dtype != bool
            or condition.shape != model.shape
            or not kernels_allowed()
        ):
            return np.where(condition, a, b)
        return _blend(condition.view(np.int8), a, b, model)

    def broadcast_to(self, x: Any, shape: Any) -> Any:
        """`numpy.broadcast_to`; where x holds one number, several times faster."""
        if x.size != 1 or -1 in shape:
            return np.broadcast_to(x, shape)
        if x.ndim > len(shape) or not x.flags.c_contiguous:
            return np.broadcast_to(x, shape)
        y = np.ndarray(shape, x.dtype, x, 0, (0,) * len(shape))
        y.flags.writeable = False
        return y

    def add_at(self, out: np.ndarray, index: Any, values: Any) -> None:
        """`out[index] += values`: by one flat list of places, for which alone `ufunc.at` is fast."""
        if kernels_allowed() and add_rows(out, index, values):
            return
        places = self.places(index, out.shape)
        values = values if values.shape == places.shape else np.broadcast_to(values, places.shape)
        np.add.at(out.reshape(-1), places.reshape(-1), values.reshape(-1))

    def cumsum(self, x: Any, axis: int, dtype: Any = None) -> Any:
        """Running sum."""
        y = running("running_sum", x, axis) if dtype is None and kernels_allowed() else None
        return super().cumsum(x, axis, dtype) if y is None else y

    def cumprod(self, x: Any, axis: int, dtype: Any = None) -> Any:
        """Running product."""
        y = running("running_product", x, axis) if dtype is None and kernels_allowed() else None
        return super().cumprod(x, axis, dtype) if y is None else y

    def prod(self, x: Any, axis: Any, keepdims: bool, dtype: Any = None) -> Any:
        """Product of the elements."""
        y = product_of_rows(x, axis, keepdims) if dtype is None and kernels_allowed() else None
        return super().prod(x, axis, keepdims, dtype) if y is None else y

    def label_slope(self, e: Any, up: Any, labels: Any, down: Any) -> Any:
        """e times up, less down at the label of each row."""
        d = label_slope(e, up, labels, down) if kernels_allowed() else None
        return super().label_slope(e, up, labels, down) if d is None else d

    def running(self, combine: Any, x: np.ndarray, axis: int) -> np.ndarray:
        """`combine.accumulate`: one step over the array instead of log2(n)."""
        return combine.accumulate(x, axis=axis)

    def top(self, x: np.ndarray, k: int, axis: int, largest: bool) -> np.ndarray:
        """By a partition, which does not sort all elements, but takes any of equal ones.

        Only where some that equal the last one stay out is the sort needed to know which come first.
        """
        n, before = x.shape[axis], (slice(None),) * axis
        if 0 < k < n:
            last = n - k if largest else k - 1
            places = np.argpartition(x, last, axis=axis)
            worst = np.take_along_axis(x, places[(*before, slice(last, last + 1))], axis)
            places = np.sort(places[(*before, slice(n - k, None) if largest else slice(k))], axis=axis)
            values = np.take_along_axis(x, places, axis)
            if np.array_equal(_equal(x, worst).sum(axis=axis), _equal(values, worst).sum(axis=axis)):
                return np.take_along_axis(places, self.order(values, axis, largest), axis)
        return super().top(x, k, axis, largest)


def _equal(x: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Where x is the value, NaN counting as equal to NaN."""
    return (x == value) | ((x != x) & (value != value))


def _blend(mask: np.ndarray, a: Any, b: Any, model: np.ndarray) -> np.ndarray:
    """`a` where mask is 1, `b` where it is 0. Minus one is all bits: `x & -mask` is x or 0, whatever x is."""
    bits = BITS[model.dtype]
    if b is not model and type(b) is int and b == 0:
        out = np.empty_like(model)
        np.bitwise_and(model.view(bits), np.negative(mask), out=out.view(bits))
        return out
    if a is not model and type(a) is int and a == 0:
        out = np.empty_like(model)
        np.bitwise_and(model.view(bits), mask - np.int8(1), out=out.view(bits))
        return out
    for other in (a, b):
        if type(other) is np.ndarray:
            if other.dtype != model.dtype or other.shape != model.shape:
                return np.where(mask, a, b)
        elif type(other) not in (int, float):
            return np.where(mask, a, b)
    out = np.empty_like(model)
    blend = out.view(bits)
    a, b = np.asarray(a, model.dtype).view(bits), np.asarray(b, model.dtype).view(bits)
    np.bitwise_xor(a, b, out=blend)
    blend &= np.negative(mask)
    blend ^= b
    return out
