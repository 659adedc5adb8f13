"""Running results along an axis, products, and differences: every place depends on those before it.

Products are here because the derivative of a product is made of running products: that is what handles zeros.
May import: elementwise, index, shape, join, move, reduce.
"""

from __future__ import annotations

from typing import Any

from tensorgraph.backends import check_dtype
from tensorgraph.backends.indexing import Along
from tensorgraph.creation import asarray
from tensorgraph.errors import ArgumentError, AxisError, ShapeError, sig
from tensorgraph.operation import Array, op
from tensorgraph.ops.axes import Axis, check_axes, check_axis, native_axis, scalars_too
from tensorgraph.ops.elementwise import astype, exp, where
from tensorgraph.ops.index import getitem, put, put_add
from tensorgraph.ops.join import concat
from tensorgraph.ops.move import flip, pad
from tensorgraph.ops.reduce import restore, sum
from tensorgraph.ops.shape import broadcast_to, merged, reshape, unmerged
from tensorgraph.spelling import named, spelled

__all__ = [
    "cummax", "cummin", "cumprod", "cumsum", "cumulative_prod", "cumulative_sum", "diff", "linear_recurrence",
    "logcumsumexp", "prod", "trapezoid",
]  # fmt: skip


def _places(axis: int, *place: Any) -> tuple:
    return (*(slice(None),) * axis, slice(*place))


def _delayed(x: Any, axis: int, first: float = 0) -> Any:
    """x moved on by one place along an axis, with `first` coming in at the front."""
    y = put_add(getitem(x, _places(axis, 0, -1)), _places(axis, 1, None), x.shape)
    return put(y, _places(axis, 0, 1), first) if first else y


# ---- sums -----------------------------------------------------------------------------------------------------------
@op
def _cumsum(be, x: Array, axis: int, dtype: object = None):
    return be.cumsum(x, axis, dtype)


_cumsum.vjp(x=lambda g, axis: flip(_cumsum(flip(g, axis), axis), axis))


@scalars_too
@spelled
def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Running sum along an axis; axis=None flattens x first.  x (...) -> (...).  Integers and booleans give int64."""
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    return _cumsum(x, check_axis("cumsum", axis, x.ndim), dtype if dtype is None else check_dtype(dtype))


# ---- products -------------------------------------------------------------------------------------------------------
@op
def _recurrence(be, a: Array, b: Array, axis: int):
    return be.recurrence(a, b, axis)


def _carried(g, a, axis):
    """The gradient of every state: what arrives at it, and what the next state passes back."""
    return flip(_recurrence(_delayed(flip(a, axis), axis), flip(g, axis), axis), axis)


_recurrence.vjp(
    a=lambda g, a, y, axis: _carried(g, a, axis) * _delayed(y, axis), b=lambda g, a, axis: _carried(g, a, axis)
)


@spelled
def linear_recurrence(a: Any, b: Any, axis: int = -1) -> Any:
    """h with h[i] = a[i] * h[i-1] + b[i] along an axis, starting from 0.  a (...), b (...), same shape -> (...).

    Computed in log2(n) steps over whole arrays (Blelloch, "Prefix sums and their applications", 1990). Filters,
    discounted returns and linear state-space models are of this form.
    """
    if a.shape != b.shape:
        raise ShapeError(f"linear_recurrence: a is {sig(a)}, b is {sig(b)}; their shapes must agree")
    return _recurrence(a, b, check_axis("linear_recurrence", axis, b.ndim))


@op
def _cumprod(be, x: Array, axis: int, dtype: object = None):
    return be.cumprod(x, axis, dtype)


def _cumprod_rule(g, x, y, axis):
    # dL/dx[k] = (x[0] ... x[k-1]) * (g[k] + x[k+1] * (g[k+1] + x[k+2] * (...))), which divides by nothing
    return _delayed(y, axis, 1) * _carried(g, x, axis)


_cumprod.vjp(x=_cumprod_rule)


@scalars_too
@spelled
def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Running product along an axis; axis=None flattens x first.  x (...) -> (...).  The gradient is exact at zeros."""
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    return _cumprod(x, check_axis("cumprod", axis, x.ndim), dtype if dtype is None else check_dtype(dtype))


@op
def prod(be, x: Array, axis: Axis = None, keepdims: bool = False, dtype: object = None):
    """Product of the elements.  x (...) -> without the reduced axes.  The product of nothing is 1.

    The gradient is exact where elements are zero: the product of the others.
    """
    return be.prod(x, native_axis(axis, x), keepdims, dtype if dtype is None else check_dtype(dtype))


def _prod_rule(g, x, axis, keepdims):
    axes = check_axes("prod", axis, x.ndim) if x.ndim else ()
    if not axes:
        return g
    line = merged(x, axes)
    last = line.ndim - 1
    before = _delayed(_cumprod(line, last), last, 1)
    behind = flip(_delayed(_cumprod(flip(line, last), last), last, 1), last)
    return restore(g, x.shape, axis, keepdims) * unmerged(before * behind, axes, x.shape)


prod.vjp(x=_prod_rule)


# ---- sums of exponentials -------------------------------------------------------------------------------------------
@op
def _logcumsumexp(be, x: Array, axis: int):
    return be.logcumsumexp(x, axis)


def _logcumsumexp_rule(g, x, y, axis):
    # the sum over i >= j of g[i] exp(x[j] - y[i]), in steps of exp(y[i-1] - y[i]), none of which is larger than 1
    safe = where(y == -float("inf"), 0, y)
    return exp(x - safe) * _carried(g, exp(_delayed(y, axis, -float("inf")) - safe), axis)


_logcumsumexp.vjp(x=_logcumsumexp_rule)


@scalars_too
@spelled
def logcumsumexp(x: Any, axis: int = -1) -> Any:
    """log(cumsum(exp(x))) along an axis without overflow.  x (...) -> (...).

    -inf among the elements counts as nothing, and gets gradient 0.
    """
    if x.dtype.kind in "iub":
        x = astype(x, "float32")
    return _logcumsumexp(x, check_axis("logcumsumexp", axis, x.ndim))


# ---- the array API's names ------------------------------------------------------------------------------------------
def _cumulative(
    name: str, function: Any, start: int, x: Any, axis: int | None, dtype: Any, include_initial: bool
) -> Any:
    if axis is None:
        if x.ndim != 1:
            raise AxisError(f"{name}: {sig(x)} has {x.ndim} axes, so the axis must be named")
        axis = 0
    y = function(x, axis, dtype)
    if not include_initial:
        return y
    at = check_axis(name, axis, x.ndim)
    longer = (*y.shape[:at], y.shape[at] + 1, *y.shape[at + 1 :])
    y = put_add(y, _places(at, 1, None), longer)
    return put(y, _places(at, 0, 1), start) if start else y


@spelled
def cumulative_sum(x: Any, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """The array API's `cumsum`: without an axis only for vectors; `include_initial` puts a 0 in front."""
    return _cumulative("cumulative_sum", cumsum, 0, x, axis, dtype, include_initial)


@spelled
def cumulative_prod(x: Any, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """The array API's `cumprod`: without an axis only for vectors; `include_initial` puts a 1 in front."""
    return _cumulative("cumulative_prod", cumprod, 1, x, axis, dtype, include_initial)


# ---- extremes -------------------------------------------------------------------------------------------------------
@op(aux=("indices",))
def _cummax(be, x: Array, axis: int):
    return be.running_extreme(x, axis, True)


_cummax.vjp(x=lambda g, indices, axis, x_shape: put_add(g, Along(indices, axis), x_shape))


@op(aux=("indices",))
def _cummin(be, x: Array, axis: int):
    return be.running_extreme(x, axis, False)


_cummin.vjp(x=lambda g, indices, axis, x_shape: put_add(g, Along(indices, axis), x_shape))


@scalars_too
@spelled
def cummax(x: Any, axis: int = -1) -> tuple[Any, Any]:
    """The largest element so far and its index.  x (...) -> (...), (...) int64.

    Of equal elements the latest counts, and it gets the gradient (as in PyTorch). From the first NaN on all is NaN.
    """
    return _cummax(x, check_axis("cummax", axis, x.ndim))


@scalars_too
@spelled
def cummin(x: Any, axis: int = -1) -> tuple[Any, Any]:
    """The smallest element so far and its index; ties and NaN as in `cummax`.  x (...) -> (...), (...) int64."""
    return _cummin(x, check_axis("cummin", axis, x.ndim))


# ---- differences ----------------------------------------------------------------------------------------------------
@named
def diff(x: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Difference of neighbours along an axis, n times.  x (..., N) -> (..., N - n).

    `prepend` and `append` are put in front and behind first; a number stands for one element of every line. Booleans
    give booleans (whether neighbours differ).
    """
    if n < 0:
        raise ArgumentError(f"diff: {n} times")
    at = check_axis("diff", axis, x.ndim)
    if n == 0:
        return x
    x = _with_end(_with_end(x, prepend, at, front=True), append, at, front=False)
    for _ in range(n):
        later, earlier = getitem(x, _places(at, 1, None)), getitem(x, _places(at, None, -1))
        x = later != earlier if x.dtype.kind == "b" else later - earlier
    return x


@named
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """Integral along an axis by the trapezoidal rule.  y (..., N) -> (...).

    The points lie `dx` apart, or at x (N,), or at x (..., N).
    """
    at = check_axis("trapezoid", axis, y.ndim)
    if x is not None:
        x = x if hasattr(x, "ndim") else asarray(x, dtype=y.dtype)
        if x.ndim == 1:
            if x.shape[0] != y.shape[at]:
                raise ShapeError(f"trapezoid: x is {sig(x)}, axis {axis} of {sig(y)} has {y.shape[at]} points")
            dx = reshape(diff(x), (-1,) + (1,) * (y.ndim - 1 - at))
        else:
            dx = diff(x, axis=axis)
    later, earlier = getitem(y, _places(at, 1, None)), getitem(y, _places(at, None, -1))
    return sum(dx * (later + earlier) * 0.5, at)


def _with_end(x: Any, end: Any, axis: int, front: bool) -> Any:
    """x with an array, or one number for every line, in front of it or behind it."""
    if end is None:
        return x
    if isinstance(end, (int, float)):
        widths = [(0, 0)] * x.ndim
        widths[axis] = (1, 0) if front else (0, 1)
        return pad(x, widths, constant_values=end)
    end = end if hasattr(end, "ndim") else asarray(end, dtype=x.dtype)
    if end.ndim == 0:
        end = broadcast_to(end, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    return concat([end, x] if front else [x, end], axis)
