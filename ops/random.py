"""Random tensors and dropout. Every function takes `generator=`; without one the device's default generator draws.

May import: the engine, elementwise, index, shape. Samples carry no gradient; `uniform`, `normal`, `exponential` and
`gumbel` are written as parameter * noise, so that their parameters do (reparametrisation).
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from tensorgraph import backends
from tensorgraph.array_api import result_type
from tensorgraph.creation import asarray
from tensorgraph.errors import ArgumentError, DtypeError, ShapeError
from tensorgraph.generator import Generator, generator_for
from tensorgraph.operation import Array, op
from tensorgraph.ops.shape import common_shape
from tensorgraph.tensor import Tensor

__all__ = [
    "alpha_dropout",
    "bernoulli",
    "choice",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "exponential",
    "feature_alpha_dropout",
    "gumbel",
    "multinomial",
    "normal",
    "permutation",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "uniform",
]


# ---- what the functions share --------------------------------------------------------------------------------------
def _sizes(what: str, size: Any) -> tuple[int, ...]:
    """A shape from an integer, a sequence of them, or the arguments of `f(2, 3)` or `f((2, 3))`."""
    if isinstance(size, int):
        size = (size,)
    elif len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = size[0]
    try:
        sizes = tuple(map(operator.index, size))
    except TypeError:
        raise DtypeError(f"{what}: a shape is made of integers, got {size!r}") from None
    if min(sizes, default=0) < 0:
        raise ShapeError(f"{what}: a shape with a negative size: {sizes}")
    return sizes


def _floating(what: str, dtype: Any) -> np.dtype:
    found = backends.check_dtype(dtype) or np.dtype("float32")
    if found.kind not in "fV":
        raise DtypeError(f"{what}: needs a floating dtype, got {found}")
    return found


def _device(*values: Any) -> str | None:
    """The device of the first array or tensor among the values."""
    for value in values:
        found = value.device if isinstance(value, Tensor) else backends.device_of(value)
        if found is not None:
            return found
    return None


def _noise(what: str, kind: str, parameters: tuple, size: Any, dtype: Any, device: Any, generator: Any) -> Tensor:
    """Draws of one kind, in `size` or the shape that the parameters broadcast to, in their dtype, on their device."""
    arrays = [p for p in parameters if hasattr(p, "shape")]
    if dtype is None:
        floats = [p.dtype for p in arrays if p.dtype.kind in "fV"]
        dtype = result_type(*floats) if floats else None
    shape = common_shape(what, *(p.shape for p in arrays)) if size is None else _sizes(what, size)
    stream = generator_for(generator, device or _device(*arrays), what).stream
    found = _floating(what, dtype)
    if found.kind == "V":  # bfloat16 is rounded from float32
        drawn = getattr(stream, kind)(shape, np.dtype("float32"))
        if kind == "uniform":  # downwards: 1 must stay impossible
            drawn = backends.backend_of(drawn).floor(drawn * 2.0**8) * 2.0**-8
        return Tensor(drawn.astype(found))
    return Tensor(getattr(stream, kind)(shape, found))


# ---- continuous ----------------------------------------------------------------------------------------------------
def rand(
    *size: Any,
    dtype: Any = None,
    device: str | None = None,
    generator: Generator | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Evenly distributed in [0, 1); `rand(2, 3)` or `rand((2, 3))`. float32 unless said."""
    x = _noise("rand", "uniform", (), size, dtype, device, generator)
    return x.requires_grad_() if requires_grad else x


def randn(
    *size: Any,
    dtype: Any = None,
    device: str | None = None,
    generator: Generator | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normally distributed, mean 0 and standard deviation 1; `randn(2, 3)` or `randn((2, 3))`. float32 unless said."""
    x = _noise("randn", "normal", (), size, dtype, device, generator)
    return x.requires_grad_() if requires_grad else x


def rand_like(x: Any, dtype: Any = None, generator: Generator | None = None) -> Tensor:
    """Evenly distributed in [0, 1), with the shape, dtype and device of `x`."""
    return _noise("rand_like", "uniform", (x,), None, dtype, None, generator)


def randn_like(x: Any, dtype: Any = None, generator: Generator | None = None) -> Tensor:
    """Normally distributed with mean 0 and standard deviation 1, with the shape, dtype and device of `x`."""
    return _noise("randn_like", "normal", (x,), None, dtype, None, generator)


def uniform(
    low: Any = 0.0,
    high: Any = 1.0,
    size: Any = None,
    *,
    dtype: Any = None,
    device: str | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Evenly distributed in [low, high).  low, high numbers or tensors -> `size`, or the shape they broadcast to.

    Differentiable in `low` and `high`. float32 unless the parameters or `dtype` say otherwise.
    """
    noise = _noise("uniform", "uniform", (low, high), size, dtype, device, generator)
    return noise * (high - low) + low


def normal(
    loc: Any = 0.0,
    scale: Any = 1.0,
    size: Any = None,
    *,
    dtype: Any = None,
    device: str | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Normally distributed.  Mean loc, standard deviation scale, numbers or tensors -> `size` or the broadcast shape.

    Differentiable in `loc` and `scale`. float32 unless the parameters or `dtype` say otherwise.
    """
    return _noise("normal", "normal", (loc, scale), size, dtype, device, generator) * scale + loc


def exponential(
    scale: Any = 1.0,
    size: Any = None,
    *,
    dtype: Any = None,
    device: str | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Exponentially distributed, always above 0.  Mean scale, a number or tensor -> `size` or the shape of scale.

    Differentiable in `scale`. float32 unless `scale` or `dtype` says otherwise.
    """
    return _noise("exponential", "exponential", (scale,), size, dtype, device, generator) * scale


def gumbel(
    loc: Any = 0.0,
    scale: Any = 1.0,
    size: Any = None,
    *,
    dtype: Any = None,
    device: str | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Gumbel distributed, always finite.  loc, scale numbers or tensors -> `size` or the broadcast shape.

    The index of the largest of `logits + gumbel(size=...)` is a draw from softmax(logits). Differentiable in `loc` and
    `scale`.
    """
    noise = _noise("gumbel", "exponential", (loc, scale), size, dtype, device, generator)
    return loc - noise.log() * scale


# ---- discrete ------------------------------------------------------------------------------------------------------
def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    dtype: Any = None,
    device: str | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Integers from `low` up to but without `high`; `randint(10, size=3)` draws from 0 to 9. int64 unless said.

    Raises ArgumentError when there is no integer from `low` up to `high`.
    """
    if isinstance(high, (tuple, list)) and size is None:  # randint(10, (2, 3))
        high, size = None, high
    end: Any = high
    first, end = (0, low) if end is None else (low, end)
    if first >= end:
        raise ArgumentError(f"randint: there is no integer from {first} up to but without {end}")
    found = backends.check_dtype(dtype) or np.dtype("int64")
    drawn_as = found if found.kind in "iu" else np.dtype("int64")
    bounds = np.iinfo(drawn_as)
    if first < bounds.min or end - 1 > bounds.max:
        raise ArgumentError(f"randint: {first if first < bounds.min else end} does not fit into {drawn_as}")
    stream = generator_for(generator, device, "randint").stream
    drawn = stream.integers(first, end, () if size is None else _sizes("randint", size), drawn_as)
    return Tensor(drawn.astype(found, copy=False))


def permutation(x: Any, *, device: str | None = None, generator: Generator | None = None) -> Any:
    """The integers 0 to x - 1 in random order (x an integer -> int64), or a tensor with its first axis shuffled.

    x (n, ...) -> (n, ...), differentiable: the gradient is put back in order.
    """
    if getattr(x, "shape", ()) or isinstance(x, (list, tuple)):
        x = asarray(x)
        return x[generator_for(generator, x.device, "permutation").stream.permutation(x.shape[0])]
    n = operator.index(x)
    if n < 0:
        raise ArgumentError(f"permutation: of {n} things")
    return Tensor(generator_for(generator, device, "permutation").stream.permutation(n))


def bernoulli(p: Any, size: Any = None, *, generator: Generator | None = None) -> Tensor:
    """1 with probability p, else 0.  p a number or a floating tensor -> `size` or the shape of p, in the dtype of p.

    No gradient. Raises ArgumentError when a probability lies outside [0, 1] or is NaN.
    """
    noise = _noise("bernoulli", "uniform", (p,), size, None, None, generator)
    return _bernoulli(p, noise)


@op
def _bernoulli(be, p: Array, noise: Array):
    """1 where the noise lies below p, else 0, in the dtype of the noise."""
    inside = (p >= 0) & (p <= 1)
    if be.has_values and not be.to_host(be.asarray(inside)).all():
        raise ArgumentError("bernoulli: a probability lies between 0 and 1")
    return (noise < p).astype(noise.dtype)


def multinomial(
    weights: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices drawn in proportion to weights.  weights (n) or (N, n) -> (num_samples) or (N, num_samples), int64.

    A row of weights need not sum to 1. Without replacement no index comes twice in a row.

    Raises ArgumentError: a negative or non-finite weight, a row of zeros, fewer positive weights than `num_samples`.
    """
    weights = asarray(weights)
    if weights.ndim not in (1, 2):
        raise ShapeError(f"multinomial: weights has {weights.ndim} axes, expected (n) or (N, n)")
    kind, n = ("uniform", num_samples) if replacement else ("exponential", weights.shape[-1])
    noise = _noise("multinomial", kind, (), (*weights.shape[:-1], n), "float64", weights.device, generator)
    return _multinomial(weights, noise, num_samples=num_samples, replacement=replacement)


@op
def _multinomial(be, weights: Array, noise: Array, *, num_samples: int, replacement: bool):
    """Indices from weights (..., n) and noise, uniform (..., num_samples); without replacement exponential (..., n)."""
    w = weights.astype("float64")
    positive = w > 0
    if be.has_values and not be.to_host((positive | (w == 0)) & be.isfinite(w)).all():
        raise ArgumentError("multinomial: weights are finite and not negative")
    needed = min(num_samples, 1) if replacement else num_samples
    if be.has_values and not be.to_host(be.sum(positive, axis=-1) >= needed).all():
        raise ArgumentError(
            f"multinomial: a row has fewer than {needed} positive weights",
            hint=None if replacement else f"replacement=True draws {num_samples} from any row",
        )
    if (
        not replacement
    ):  # exponential clocks with these rates: the order in which they ring (Efraimidis & Spirakis 2006)
        waiting = be.where(positive, noise / be.where(positive, w, 1), be.inf)
        return be.argsort(waiting, axis=-1)[..., :num_samples]
    n = w.shape[-1]
    rows = be.arange(math.prod(w.shape[:-1])).reshape(*w.shape[:-1], 1)
    below = be.cumsum(w, axis=-1)
    below = below / below[..., -1:] + rows  # all rows in one ascending list: row i lies between i and i + 1
    found = be.searchsorted(below.ravel(), (noise + rows).ravel(), side="right").reshape(noise.shape) - rows * n
    last = n - 1 - be.argmax(positive[..., ::-1], axis=-1)
    return be.minimum(found, last[..., None])  # rounding may carry a draw past its row


def choice(a: Any, size: Any = None, replace: bool = True, p: Any = None, *,
           device: str | None = None, generator: Generator | None = None) -> Any:  # fmt: skip
    """Draws from the integers 0 to a - 1 (a an integer), or from the entries of a along its first axis.

    `p` gives their probabilities (evenly without it). a (n, ...) -> (*size, ...), differentiable in `a`.

    Raises ArgumentError: nothing to draw from, or more than there is without replacement.
    """
    pool = None if isinstance(a, int) else asarray(a)
    n = a if pool is None else pool.shape[0]
    shape = () if size is None else _sizes("choice", size)
    count = math.prod(shape)
    if n < 1 or (count > n and not replace):
        raise ArgumentError(f"choice: {count} draws {'with' if replace else 'without'} replacement from {n} things")
    device = device if pool is None else pool.device
    if p is not None:
        if np.shape(p) != (n,):
            raise ShapeError(f"choice: {n} things to draw from, but p has the shape {np.shape(p)}")
        drawn = multinomial(asarray(p, device=device), count, replace, generator=generator).array
    else:
        stream = generator_for(generator, device, "choice").stream
        drawn = stream.integers(0, n, (count,), np.dtype("int64")) if replace else stream.permutation(n)[:count]
    drawn = drawn.reshape(shape)
    return Tensor(drawn) if pool is None else pool[drawn]


# ---- dropout -------------------------------------------------------------------------------------------------------
@op
def _dropout(be, x: Array, mask: Array):
    """x times the mask, which broadcasts to the shape of x."""
    return be.multiply(x, mask)


_dropout.vjp(x=lambda g, mask: g * mask)


def _mask(what: str, x: Any, shape: tuple[int, ...], p: float, generator: Generator | None) -> Any:
    """1 / (1 - p) with probability 1 - p, else 0; a plain 0 for p = 1."""
    if x.dtype.kind not in "fcV":
        raise DtypeError(f"{what}: x is {x.dtype}, needs a floating dtype")
    stream = generator_for(generator, _device(x), what).stream
    if p == 1:
        return 0
    if x.dtype.kind == "V":  # bfloat16 is rounded from float32
        return stream.mask(shape, 1 - p, np.dtype("float32")).astype(x.dtype)
    mask = stream.mask(shape, 1 - p, np.finfo(x.dtype).dtype)
    array = x.array if isinstance(x, Tensor) else x
    if mask.shape == array.shape and not array.flags.c_contiguous:
        # drawn in the order of its axes wherever x lies, but laid as x: products of mixed layouts are slow
        laid = backends.backend_of(array).empty_like(array, dtype=mask.dtype)
        laid[...] = mask
        return laid
    return mask


def _keeps_all(what: str, p: float, training: bool) -> bool:
    if not 0 <= p <= 1:
        raise ArgumentError(f"{what}: p is a probability between 0 and 1, got {p}")
    return not training or p == 0


def _one_per_channel(what: str, x: Any, axes: int) -> tuple[int, ...]:
    """(N, C, 1, ...) for x (N, C, ...) with so many more axes; without the batch (C, 1, ...)."""
    if x.ndim not in (axes + 1, axes + 2):
        raise ShapeError(f"{what}: x has {x.ndim} axes, expected (N, C, {axes} more) or (C, {axes} more)")
    return x.shape[:-axes] + (1,) * axes


def dropout(x: Any, p: float = 0.5, training: bool = True, generator: Generator | None = None) -> Any:
    """Zeroes elements with probability p and divides the others by 1 - p; x itself unless training.  x (...) -> (...).

    p = 0 gives x itself, p = 1 zeros. Source: Srivastava et al., JMLR 2014.
    """
    if _keeps_all("dropout", p, training):
        return x
    return _dropout(x, _mask("dropout", x, x.shape, p, generator))


def dropout1d(x: Any, p: float = 0.5, training: bool = True, generator: Generator | None = None) -> Any:
    """`dropout` of whole channels.  x (N, C, L) or (C, L) -> the same."""
    if _keeps_all("dropout1d", p, training):
        return x
    return _dropout(x, _mask("dropout1d", x, _one_per_channel("dropout1d", x, 1), p, generator))


def dropout2d(x: Any, p: float = 0.5, training: bool = True, generator: Generator | None = None) -> Any:
    """`dropout` of whole channels.  x (N, C, H, W) or (C, H, W) -> the same.  Source: Tompson et al., CVPR 2015."""
    if _keeps_all("dropout2d", p, training):
        return x
    return _dropout(x, _mask("dropout2d", x, _one_per_channel("dropout2d", x, 2), p, generator))


def dropout3d(x: Any, p: float = 0.5, training: bool = True, generator: Generator | None = None) -> Any:
    """`dropout` of whole channels.  x (N, C, D, H, W) or (C, D, H, W) -> the same."""
    if _keeps_all("dropout3d", p, training):
        return x
    return _dropout(x, _mask("dropout3d", x, _one_per_channel("dropout3d", x, 3), p, generator))


def alpha_dropout(x: Any, p: float = 0.5, training: bool = True, generator: Generator | None = None) -> Any:
    """Dropout that keeps mean 0 and variance 1 behind selu: dropped elements take selu's limit.  x (...) -> (...).

    p = 1 gives zeros. Source: Klambauer et al., NeurIPS 2017.
    """
    if _keeps_all("alpha_dropout", p, training):
        return x
    return _to_selu_limit(x, _mask("alpha_dropout", x, x.shape, p, generator), p)


def feature_alpha_dropout(x: Any, p: float = 0.5, training: bool = True, generator: Generator | None = None) -> Any:
    """`alpha_dropout` of whole channels.  x (N, C, ...) -> the same."""
    if _keeps_all("feature_alpha_dropout", p, training):
        return x
    if x.ndim < 2:
        raise ShapeError(f"feature_alpha_dropout: x has {x.ndim} axes, expected (N, C, ...)")
    shape = x.shape[:2] + (1,) * (x.ndim - 2)
    return _to_selu_limit(x, _mask("feature_alpha_dropout", x, shape, p, generator), p)


_SELU_LIMIT = -1.7580993408473766  # selu(-infinity)


def _to_selu_limit(x: Any, mask: Any, p: float) -> Any:
    if p == 1:
        return _dropout(x, 0)
    keep = 1 - p
    scale = (keep * (1 + p * _SELU_LIMIT**2)) ** -0.5
    shift = _SELU_LIMIT * scale * keep
    kept, rest = (part.astype(x.dtype, copy=False) for part in (mask * (scale * keep), (1 - mask) * shift))
    return _dropout(x, kept) + rest
