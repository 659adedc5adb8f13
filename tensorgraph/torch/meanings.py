"""Functions whose meaning in PyTorch differs from NumPy's: `max(x, 1)` with indices, `std` over N - 1, `transpose`.

Each is a few lines over the operations. They are `torch.<name>` and, in files that import the front, the methods of
tensors under the same names (methods.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorgraph as tg
from tensorgraph import ops
from tensorgraph.errors import ArgumentError, sig
from tensorgraph.torch.kinds import dtype_named

__all__ = [
    "add", "addbmm", "addmm", "addmv", "addr", "aminmax", "baddbmm", "bucketize", "clamp_max", "clamp_min",
    "cummax", "cummin", "cumprod", "cumsum", "diag", "dist", "div", "divide", "equal", "flip", "histc", "kthvalue",
    "logcumsumexp", "max", "median", "meshgrid", "min", "mode", "narrow", "nonzero", "norm", "quantile",
    "repeat_interleave", "roll", "round", "rsub", "scatter", "scatter_add", "searchsorted", "select", "sort",
    "split", "squeeze", "std", "std_mean", "sub", "subtract", "svd", "swapdims", "t", "topk", "transpose", "tril",
    "triu", "unique", "unique_consecutive", "var", "var_mean", "where",
]  # fmt: skip


class Found(NamedTuple):
    """What `max(x, dim)` and its kin return."""

    values: Any
    indices: Any


# ---- extremes and order ---------------------------------------------------------------------------------------------
def _at(x: Any, indices: Any, dim: int, keepdim: bool) -> Found:
    """The elements of x at `indices` (size 1 along dim), in the shape that keepdim asks for."""
    values = ops.take_along_axis(x, indices, dim)
    return Found(values, indices) if keepdim else Found(ops.squeeze(values, dim), ops.squeeze(indices, dim))


def _extreme(x: Any, dim: Any, keepdim: bool, other: Any, whole: Any, which: Any, pairwise: Any) -> Any:
    if other is not None or isinstance(dim, tg.Tensor):
        return pairwise(x, dim if other is None else other)
    if dim is None:
        return whole(x)
    return _at(x, which(x, dim, True), dim, keepdim) if x.ndim else Found(x, tg.zeros((), dtype="int64"))


def max(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """max(x): the largest element; max(x, dim): (values, indices) along an axis; max(x, y): elementwise."""
    return _extreme(input, dim, keepdim, other, ops.max, ops.argmax, ops.maximum)


def min(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """min(x): the smallest element; min(x, dim): (values, indices) along an axis; min(x, y): elementwise."""
    return _extreme(input, dim, keepdim, other, ops.min, ops.argmin, ops.minimum)


class Range(NamedTuple):
    """What `aminmax` returns."""

    min: Any
    max: Any


def aminmax(input: Any, *, dim: Any = None, keepdim: bool = False) -> Range:
    """The smallest and the largest element, of all or along an axis."""
    return Range(ops.amin(input, dim, keepdim), ops.amax(input, dim, keepdim))


def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Found:
    """The elements in order along an axis, and where each one was."""
    if not input.ndim:
        return Found(input, tg.zeros((), dtype="int64"))
    indices = ops.argsort(input, dim, descending)
    return Found(ops.take_along_axis(input, indices, dim), indices)


def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Found:
    """The k largest (or smallest) elements along an axis, and where they are."""
    return Found(*ops.topk(input, k, dim, largest, sorted))


def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Found:
    """The k-th smallest element along an axis (k from 1), and where it is."""
    indices = ops.getitem(ops.argsort(input, dim), _along(input, dim, slice(k - 1, k)))
    return _at(input, indices, dim, keepdim)


def median(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The middle element in order, the lower one of two. With `dim`: (values, indices)."""
    if dim is None:
        flat = ops.reshape(input, (-1,))
        return kthvalue(flat, (flat.shape[0] + 1) // 2).values
    return kthvalue(input, (input.shape[dim] + 1) // 2, dim, keepdim)


def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Found:
    """The element that comes most often along an axis (the smallest of several), and the last place that has it."""
    n = input.shape[dim]
    line = ops.moveaxis(input.detach(), dim, -1)
    often = (ops.expand_dims(line, -1) == ops.expand_dims(line, -2)).sum(axis=-1)
    candidates = ops.where(often == ops.amax(often, -1, True), line, ops.amax(line))
    smallest = ops.amin(candidates, -1, True)
    places = ops.where(line == smallest, tg.arange(n), -1)
    return _at(input, ops.moveaxis(ops.argmax(places, -1, True), -1, dim), dim, keepdim)


def cummax(input: Any, dim: int) -> Found:
    """The largest element so far along an axis, and where it is."""
    return Found(*ops.cummax(input, dim))


def cummin(input: Any, dim: int) -> Found:
    """The smallest element so far along an axis, and where it is."""
    return Found(*ops.cummin(input, dim))


def cumsum(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Sums of the elements so far along an axis."""
    return ops.cumsum(input, dim, dtype)


def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Products of the elements so far along an axis."""
    return ops.cumprod(input, dim, dtype)


def logcumsumexp(input: Any, dim: int) -> Any:
    """log(cumsum(exp(x))) along an axis."""
    return ops.logcumsumexp(input, dim)


def quantile(input: Any, q: Any, dim: Any = None, keepdim: bool = False, *, interpolation: str = "linear") -> Any:
    """The value below which the part q of the elements lies."""
    return ops.quantile(input, q, dim, keepdim, interpolation)


def searchsorted(sorted_sequence: Any, input: Any, *, out_int32: bool = False, right: bool = False, side: Any = None):
    """Where values belong in a sorted vector."""
    return ops.searchsorted(sorted_sequence, input, side or ("right" if right else "left"))


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """Which interval between the boundaries each element falls into."""
    return searchsorted(boundaries, input, right=right)


def unique(
    input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: Any = None
) -> Any:
    """The different elements in order."""
    return ops.unique(input, False, return_inverse, return_counts, dim)


def unique_consecutive(input: Any, return_inverse: bool = False, return_counts: bool = False) -> Any:
    """The elements of the flattened tensor without those that repeat their neighbour."""
    flat = ops.reshape(input, (-1,))
    new = ops.concat([tg.ones(1, dtype="bool"), flat[1:] != flat[:-1]]) if flat.shape[0] else flat == flat
    starts = ops.nonzero(new)[0]
    found = [flat[starts]]
    if return_inverse:
        found.append(ops.reshape(ops.cumsum(new.astype("int64"), 0) - 1, input.shape))
    if return_counts:
        found.append(ops.diff(starts, append=tg.tensor([flat.shape[0]])))
    return found[0] if len(found) == 1 else tuple(found)


def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements fall into each of `bins` equal intervals between min and max."""
    range = (min, max) if min != max else (ops.amin(input).item(), ops.amax(input).item())
    return ops.histogram(ops.reshape(input, (-1,)), bins, range)[0].astype(input.dtype)


# ---- spread ---------------------------------------------------------------------------------------------------------
def _corrected(dim: Any, unbiased: Any, correction: Any) -> tuple[Any, float]:
    if isinstance(dim, bool):  # std(unbiased)
        dim, unbiased = None, dim
    if unbiased is not None:
        return dim, int(unbiased)
    return dim, 1 if correction is None else correction


def std(input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Any:
    """Standard deviation, with N - 1 unless `correction` (or `unbiased=False`) says otherwise."""
    return ops.std(input, *_corrected(dim, unbiased, correction), keepdim)


def var(input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Any:
    """Variance, with N - 1 unless `correction` (or `unbiased=False`) says otherwise."""
    return ops.var(input, *_corrected(dim, unbiased, correction), keepdim)


def std_mean(input: Any, dim: Any = None, *, correction: Any = None, keepdim: bool = False) -> tuple[Any, Any]:
    """(std, mean)."""
    return std(input, dim, keepdim=keepdim, correction=correction), ops.mean(input, dim, keepdim)


def var_mean(input: Any, dim: Any = None, *, correction: Any = None, keepdim: bool = False) -> tuple[Any, Any]:
    """(var, mean)."""
    return var(input, dim, keepdim=keepdim, correction=correction), ops.mean(input, dim, keepdim)


def norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """The p-norm of all elements, or along axes. p="nuc" is the nuclear norm of matrices."""
    input = input if dtype is None else ops.astype(input, dtype)
    if p == "nuc":
        return tg.linalg.matrix_norm(input, "nuc", (-2, -1) if dim is None else dim, keepdim)
    return ops.vector_norm(input, 2 if p in (None, "fro") else p, dim, keepdim)


def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of the difference."""
    return ops.vector_norm(input - other, p)


# ---- shapes ---------------------------------------------------------------------------------------------------------
def _along(x: Any, dim: int, index: Any) -> tuple:
    """`index` at the place of one axis."""
    return (slice(None),) * (dim % x.ndim) + (index,)


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two axes exchanged."""
    return ops.swapaxes(input, dim0, dim1) if input.ndim else input


swapdims = transpose


def t(input: Any) -> Any:
    """A matrix with its axes exchanged; a vector as it is."""
    if input.ndim > 2:
        raise ArgumentError(
            f"t: {sig(input)} has {input.ndim} axes; t() is for matrices", hint="x.mT, x.transpose(a, b)"
        )
    return ops.swapaxes(input, 0, 1) if input.ndim == 2 else input


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple:
    """Parts of a size (the last one may be smaller), or of a list of sizes, along an axis."""
    n, sizes = tensor.shape[dim], split_size_or_sections
    if isinstance(sizes, int):
        sizes = [sizes] * (n // sizes) + [n % sizes] * (n % sizes > 0)
    if sum(sizes) != n:
        raise ArgumentError(f"split: sizes {list(sizes)} make {sum(sizes)}, axis {dim} of {sig(tensor)} has {n}")
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return tuple(ops.getitem(tensor, _along(tensor, dim, slice(e - s, e))) for s, e in zip(sizes, ends))


def squeeze(input: Any, dim: Any = None) -> Any:
    """Without the axes of size 1; with `dim` without that axis, if its size is 1."""
    if dim is None:
        return ops.squeeze(input)
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    dims = tuple(d for d in dims if input.ndim and input.shape[d] == 1)
    return ops.squeeze(input, dims) if dims else input


def flip(input: Any, *dims: Any) -> Any:
    """Reversed along the axes."""
    return ops.flip(input, dims[0] if len(dims) == 1 else dims)


def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Shifted along the axes; what leaves at one end comes back at the other."""
    return ops.roll(input, shifts, dims)


def narrow(input: Any, dim: int, start: int, length: int) -> Any:
    """`length` entries from `start` on along an axis."""
    return ops.getitem(input, _along(input, dim, slice(int(start), int(start) + length)))


def select(input: Any, dim: int, index: int) -> Any:
    """One entry along an axis, which disappears."""
    return ops.getitem(input, _along(input, dim, index))


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple:
    """Grids of the coordinates of the vectors; the first one varies along the first axis."""
    tensors = tuple(tensors[0]) if len(tensors) == 1 and not isinstance(tensors[0], tg.Tensor) else tensors
    return tuple(ops.meshgrid(*tensors, indexing=indexing))


def repeat_interleave(input: Any, repeats: Any, dim: Any = None, *, output_size: Any = None) -> Any:
    """Each entry several times in a row."""
    return ops.repeat(input, repeats, dim)


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The places of what is not 0: (N, ndim), or one vector per axis with `as_tuple`."""
    return tuple(ops.nonzero(input)) if as_tuple else ops.argwhere(input)


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """Entries of `input` where the condition holds, else of `other`; alone: the places where it holds."""
    return tuple(ops.nonzero(condition)) if input is None else ops.where(condition, input, other)


def diag(input: Any, diagonal: int = 0) -> Any:
    """The diagonal of a matrix, or the matrix with a vector as its diagonal."""
    return ops.diag(input, diagonal)


def tril(input: Any, diagonal: int = 0) -> Any:
    """Without what lies above a diagonal."""
    return ops.tril(input, diagonal)


def triu(input: Any, diagonal: int = 0) -> Any:
    """Without what lies below a diagonal."""
    return ops.triu(input, diagonal)


def scatter(input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: Any = None) -> Any:
    """A copy with values of `src` (or one number) written at `index` along an axis."""
    values = value if src is None else src
    index = ops.reshape(index, (1,)) if not index.ndim and input.ndim else index
    if isinstance(values, tg.Tensor) and values.shape != index.shape:
        values = ops.getitem(values, tuple(slice(n) for n in index.shape))
    if not isinstance(values, tg.Tensor):
        values = tg.full(index.shape, values, dtype=input.dtype)
    if reduce is not None:
        names = {"add": "sum", "multiply": "prod"}
        return ops.scatter_reduce(input, dim, index, values, names.get(reduce, reduce))  # type: ignore
    return ops.scatter(input, dim, index, values)


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """A copy with values of `src` added at `index` along an axis."""
    return ops.scatter_add(input, dim, index, src)


# ---- arithmetic -----------------------------------------------------------------------------------------------------
def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input + alpha * other."""
    return ops.add(input, other if alpha == 1 else other * alpha)


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input - alpha * other."""
    return ops.subtract(input, other if alpha == 1 else other * alpha)


subtract = sub


def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """other - alpha * input."""
    return sub(other, input, alpha=alpha)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other; rounding_mode "floor" or "trunc" leaves whole numbers."""
    if rounding_mode == "floor":
        return ops.floor_divide(input, other)
    y = ops.divide(input, other)
    return y if rounding_mode is None else ops.astype(ops.trunc(y), getattr(input, "dtype", y.dtype))


divide = div


def clamp_min(input: Any, min: Any) -> Any:
    """Nothing below `min`."""
    return ops.clip(input, min, None)


def clamp_max(input: Any, max: Any) -> Any:
    """Nothing above `max`."""
    return ops.clip(input, None, max)


def round(input: Any, *, decimals: int = 0) -> Any:
    """To the nearest number with so many decimals, half to even."""
    return ops.round(input, decimals)


def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and the same elements: one bool."""
    return ops.array_equal(input, other)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * (mat1 @ mat2)."""
    y = ops.matmul(mat1, mat2)
    return add(input if beta == 1 else input * beta, y, alpha=alpha)


addmv = baddbmm = addmm


def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * (batch1 @ batch2 summed over the batch)."""
    return add(input if beta == 1 else input * beta, ops.sum(ops.matmul(batch1, batch2), 0), alpha=alpha)


def addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * outer(vec1, vec2)."""
    return add(input if beta == 1 else input * beta, ops.outer(vec1, vec2), alpha=alpha)


class SVD(NamedTuple):
    """What `svd` returns."""

    U: Any
    S: Any
    V: Any


def svd(input: Any, some: bool = True, compute_uv: bool = True) -> SVD:
    """input = U diag(S) V^H, with V itself as third."""
    u, s, vh = tg.linalg.svd(input, full_matrices=not some)
    return SVD(u, s, ops.conj(ops.swapaxes(vh, -1, -2)))


# ---- methods only ---------------------------------------------------------------------------------------------------
def repeat(x: Any, *sizes: Any) -> Any:
    """The whole tensor several times along each axis."""
    counts = tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
    if len(counts) < x.ndim:
        raise ArgumentError(f"repeat: {len(counts)} numbers for the {x.ndim} axes of {sig(x)}")
    return ops.tile(x, counts)


def unfold(x: Any, dimension: int, size: int, step: int) -> Any:
    """Windows of `size` entries along an axis, `step` apart; a new last axis runs inside the window."""
    starts = range(0, x.shape[dimension] - size + 1, step)
    windows = ops.stack([narrow(x, dimension, start, size) for start in starts], dimension % x.ndim)
    return ops.moveaxis(windows, dimension % x.ndim + 1, -1)


def type_(x: Any, dtype: Any = None, non_blocking: bool = False) -> Any:
    """x.type(torch.float64), x.type("torch.LongTensor"): a cast; x.type(): the name of its type."""
    from tensorgraph.torch.kinds import TYPE_NAMES

    return TYPE_NAMES.get(x.dtype, str(x.dtype)) if dtype is None else x.to(dtype=dtype_named(dtype))


def index_put(x: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """A copy with values written at (or added to) places."""
    return ops.index_put(x, tuple(indices), values, accumulate)


def expand(x: Any, *sizes: Any) -> Any:
    """Broadcast to sizes; -1 keeps the size of an axis."""
    return x.broadcast_to(*(sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes))
