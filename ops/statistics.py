"""Statistics in which NaN counts as missing, and covariances.

NumPy's names and meaning; `nansum` and `nanmean` are in reduce.py. May import: elementwise, complex, rounding, shape,
join, reduce, diagonals, order, gathering, matmul.
"""

from __future__ import annotations

from typing import Any

from tensorgraph.errors import ShapeError, sig
from tensorgraph.ops.axes import Axis, kept_shape
from tensorgraph.ops.complex import conj, real
from tensorgraph.ops.diagonals import diagonal
from tensorgraph.ops.elementwise import astype, clip, sqrt, where
from tensorgraph.ops.gathering import take_along_axis
from tensorgraph.ops.index import getitem
from tensorgraph.ops.join import concat, stack
from tensorgraph.ops.logic import isnan
from tensorgraph.ops.matmul import as_arrays, matmul, outer
from tensorgraph.ops.order import check_places, sorted_line
from tensorgraph.ops.reduce import count_nonzero, mean, nanmean, sum
from tensorgraph.ops.rounding import ceil, floor, round
from tensorgraph.ops.shape import atleast_2d, expand_dims, reshape, squeeze
from tensorgraph.spelling import named
from tensorgraph.tensor import Tensor

__all__ = ["corrcoef", "cov", "nanmedian", "nanquantile", "nanstd", "nanvar"]


# ---- what is not missing --------------------------------------------------------------------------------------------
@named
def nanvar(x: Any, axis: Axis = None, correction: float = 0, keepdims: bool = False) -> Any:
    """`var` of the elements that are not NaN, which get gradient 0.  x (...) -> without the reduced axes.

    NaN where no more than `correction` elements are left.
    """
    missing = isnan(x)
    deviation = where(missing, 0, x - nanmean(x, axis, True))
    squares = real(deviation * conj(deviation)) if x.dtype.kind == "c" else deviation * deviation
    total, n = sum(squares, axis, keepdims), sum(~missing, axis, keepdims) - correction
    return where(n > 0, total / astype(where(n > 0, n, 1), total.dtype), float("nan"))


@named
def nanstd(x: Any, axis: Axis = None, correction: float = 0, keepdims: bool = False) -> Any:
    """`std` of the elements that are not NaN, the root of `nanvar`; at constant elements the gradient is 0."""
    y = nanvar(x, axis, correction, keepdims)
    return where(y == 0, 0, sqrt(where(y == 0, 1, y)))


@named
def nanmedian(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """`median` of the elements that are not NaN, NaN where there is none.  x (...) -> without the reduced axes."""
    return nanquantile(x, 0.5, axis, keepdims)


@named
def nanquantile(x: Any, q: Any, axis: Axis = None, keepdims: bool = False, method: str = "linear") -> Any:
    """`quantile` of the elements that are not NaN, NaN where there is none.  x (...) -> without the reduced axes."""
    q, places = check_places("nanquantile", q, method)
    line, axes = sorted_line("nanquantile", x, axis)  # NaN stands at the end
    n = count_nonzero(~isnan(line), axis=-1)
    slopes = isinstance(q, Tensor) and q.requires_grad and method == "linear"
    last = astype(where(n == 0, 0, n - 1), q.dtype if slopes else "float64")

    def value(one: Any) -> Any:
        place = last * one
        low, high = floor(place), ceil(place)
        part = 0.5 if method == "midpoint" else astype(place - low, line.dtype)
        if method in ("lower", "higher", "nearest"):
            low = high = {"lower": low, "higher": high, "nearest": round(place)}[method]
        first, second = (
            getitem(take_along_axis(line, expand_dims(astype(i, "int64"), -1), -1), (..., 0)) for i in (low, high)
        )
        y = where(low == high, first, first + (second - first) * part)
        return reshape(y, kept_shape(x.shape, axes)) if keepdims else y

    q = q if slopes else places
    return stack([value(q[i]) for i in range(len(places))]) if isinstance(places, list) else value(q)


# ---- several variables ----------------------------------------------------------------------------------------------
def _variables(name: str, x: Any, rowvar: bool) -> Any:
    """Observations of variables, one row for each variable."""
    (x,) = as_arrays(x)
    if x.ndim > 2:
        raise ShapeError(f"{name}: x is {sig(x)}, needs (variables, observations) or one axis of observations")
    if x.dtype.kind in "iub":
        x = astype(x, "float32")
    x = atleast_2d(x)
    return x if rowvar or x.shape[0] == 1 else x.T


@named
def cov(x: Any, y: Any = None, rowvar: bool = True, *, correction: float = 1) -> Any:
    """Covariances of variables.  x (V, N): N observations of V variables -> (V, V); x (N,) -> ().

    `y` holds more variables; with `rowvar=False` every column is a variable. What is summed is divided by
    N - correction; NaN where that is not positive.
    """
    x = _variables("cov", x, rowvar)
    if y is not None:
        x = concat([x, _variables("cov", y, rowvar)], 0)
    n = x.shape[1] - correction
    deviation = x - mean(x, 1, True)
    return squeeze(matmul(deviation, conj(deviation).T) * (1 / n if n > 0 else float("nan")))


@named
def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    """Pearson's correlations of variables, `cov` of variables scaled to variance 1.  Arguments as in `cov`.

    NaN for a variable that is constant. Rounding never leaves -1..1.
    """
    c = cov(x, y, rowvar)
    if not c.ndim:
        return c / c
    spread = sqrt(real(diagonal(c)))
    y = c / outer(spread, spread)
    return y if y.dtype.kind == "c" else clip(y, -1, 1)
