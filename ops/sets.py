"""Which values and how many: unique, nonzero, bincount, histogram. The size of a result depends on the values.

NumPy's and the array API's names and meaning. May import: elementwise, index, shape, reduce.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tensorgraph.errors import ArgumentError, DtypeError, OutOfRangeError, ShapeError, sig
from tensorgraph.operation import Array, op
from tensorgraph.ops.axes import check_axis
from tensorgraph.ops.index import getitem, put_add
from tensorgraph.ops.shape import reshape
from tensorgraph.spelling import spelled

__all__ = [
    "argwhere", "bincount", "histogram", "isin", "nonzero", "unique", "unique_all", "unique_counts", "unique_inverse",
    "unique_values",
]  # fmt: skip


# ---- unique ---------------------------------------------------------------------------------------------------------
class UniqueAll(NamedTuple):
    """What `unique_all` returns."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    """What `unique_counts` returns."""

    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    """What `unique_inverse` returns."""

    values: Any
    inverse_indices: Any


@op(aux=("indices", "inverse", "counts"))
def _unique(be, x: Array, equal_nan: bool, axis: int | None = None):
    if axis is not None:
        return _unique_slices(be, x, axis)
    y, indices, inverse, counts = be.unique(
        x, return_index=True, return_inverse=True, return_counts=True, equal_nan=equal_nan
    )
    return y, indices, inverse.reshape(x.shape), counts


def _unique_slices(be, x, axis):
    """The same of slices: sorted as rows, of which each that differs from the one before begins something new."""
    n = x.shape[axis]
    rows = be.moveaxis(x, axis, 0).reshape(n, x.size // n if n else 0)
    order = be.lexsort(rows.T[::-1]) if rows.size else be.arange(n, dtype=be.int64)
    rows = rows[order]
    new = be.concatenate([be.ones(min(n, 1), dtype=be.bool_), (rows[1:] != rows[:-1]).any(axis=1)])
    starts = be.nonzero(new)[0]
    counts = be.concatenate([starts[1:], be.full(min(n, 1), n, dtype=be.int64)]) - starts
    inverse = be.empty(n, dtype=be.int64)
    inverse[order] = be.cumsum(new.astype(be.int64), 0) - 1
    indices = order[starts]
    return be.take(x, indices, axis=axis), indices, inverse, counts


def _unique_rule(g, indices, x_shape, axis):
    if axis is None:
        return reshape(put_add(g, indices, _length(x_shape)), x_shape)
    return put_add(g, (*(slice(None),) * axis, indices), x_shape)


_unique.vjp(x=_unique_rule)


def _length(shape: Sequence[int]) -> tuple[int]:
    n = 1
    for size in shape:
        n *= size
    return (n,)


@spelled
def unique(
    x: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    equal_nan: bool = True,
) -> Any:
    """The different values of x in order (NumPy's `unique`).  x (...) -> (K,), and what is asked for behind it.

    Index of the first occurrence (K,), place of every element among the values (...), number of occurrences (K,).
    With `axis` the different slices along it, in lexicographic order: x (A, N, B), 1 -> (A, K, B), places (N,); slices
    that hold a NaN are all different. The gradient goes to the first occurrence.
    """
    y, indices, inverse, counts = _unique(x, equal_nan, None if axis is None else check_axis("unique", axis, x.ndim))
    asked = ((return_index, indices), (return_inverse, inverse), (return_counts, counts))
    found = (y, *[part for wanted, part in asked if wanted])
    return found if len(found) > 1 else y


def unique_all(x: Any) -> UniqueAll:
    """The different values in order, first indices, inverse indices and counts (array API).  NaNs are all different."""
    return UniqueAll(*_unique(x, False))


def unique_counts(x: Any) -> UniqueCounts:
    """The different values in order, and how often each occurs (array API).  NaNs are all different."""
    y, _, _, counts = _unique(x, False)
    return UniqueCounts(y, counts)


def unique_inverse(x: Any) -> UniqueInverse:
    """The different values in order, and the place of every element among them (array API).  NaNs are all different."""
    y, _, inverse, _ = _unique(x, False)
    return UniqueInverse(y, inverse)


def unique_values(x: Any) -> Any:
    """The different values in order (array API).  NaNs are all different."""
    return _unique(x, False)[0]


# ---- members --------------------------------------------------------------------------------------------------------
@op
def isin(be, x: Array, test_elements: Array, assume_unique: bool = False, invert: bool = False):
    """Which elements of x are among `test_elements` (with `invert`: are not).  x (...), elements (...) -> (...) bool.

    NaN is no member. `assume_unique` promises that neither side repeats an element, which is faster.
    """
    return be.isin(x, test_elements, assume_unique=assume_unique, invert=invert)


# ---- where ----------------------------------------------------------------------------------------------------------
@op
def argwhere(be, x: Array):
    """The indices of the elements that are not 0, one row each.  x (A, B) -> (K, 2) int64."""
    return be.argwhere(x)


@spelled
def nonzero(x: Any) -> tuple[Any, ...]:
    """The indices of the elements that are not 0, one array per axis, so that x[nonzero(x)] are these elements."""
    if x.ndim == 0:
        raise ShapeError(f"nonzero: {sig(x)} has no axes", hint="bool(x) tells whether a single number is 0")
    rows = argwhere(x)
    return tuple([getitem(rows, (slice(None), axis)) for axis in range(x.ndim)])


# ---- how many -------------------------------------------------------------------------------------------------------
@op
def bincount(be, x: Array, weights: Array = None, minlength: int = 0):
    """How often each of 0, 1, 2, ... occurs; with weights the sum of theirs.

    x (N,) integer, weights (N,) -> (max + 1,), at least `minlength` long. Differentiable in the
    weights. Raises OutOfRangeError for negative integers.
    """
    if x.dtype.kind not in "iu":
        raise DtypeError(f"bincount: integers are counted, got {sig(x)}")
    if x.ndim != 1 or (weights is not None and weights.shape != x.shape):
        raise ShapeError("bincount: x has one axis and the weights have its shape", hint="x.ravel()")
    low, high = be.range_of(x)
    if low < 0:
        raise OutOfRangeError(f"bincount: {low} is negative")
    n = max(high + 1, minlength)
    return be.bincount(x, minlength=n) if weights is None else be.put_add(weights, x, (n,), "bincount")


bincount.vjp(weights=lambda g, x: getitem(g, x))


@op(aux=("edges",))
def histogram(
    be,
    x: Array,
    bins: int | Sequence[float] = 10,
    range: Sequence[float] | None = None,
    weights: object = None,
    density: bool = False,
):
    """How many elements fall into each of `bins` equal intervals of `range` (default: from smallest to largest).

    x (...) -> counts (bins,), edges (bins + 1,). A sequence of increasing edges makes intervals of its own; the last
    interval includes its right edge, the others do not. `weights` (...) are summed instead of counted; with
    `density=True` the intervals times their widths sum to 1. No gradients.
    """
    if isinstance(bins, int) and bins <= 0:
        raise ArgumentError(f"histogram: {bins} bins")
    edges = bins if isinstance(bins, int) else be.asarray(getattr(bins, "array", bins))
    mass: Any = getattr(weights, "array", weights)
    mass = None if mass is None else mass.reshape(-1)
    return be.histogram(x.reshape(-1), edges, range=range, weights=mass, density=density)
