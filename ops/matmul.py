"""Products: matmul and linear, and the contraction of two arrays on which tensordot, inner, einsum ... stand.

May import: the engine, ops.elementwise, ops.shape. The rules multiply whole matrices and copy nothing that BLAS can
read as it lies; a product in two dimensions differentiates into exactly `g @ b.T` and `a.T @ g`.
"""

from __future__ import annotations

import math

from tensorgraph.errors import ShapeError, sig
from tensorgraph.operation import Array, op
from tensorgraph.ops import shape

__all__ = ["linear", "matmul"]


def _turned(x):
    """x (..., n, m) -> (..., m, n)."""
    return x.T if x.ndim == 2 else shape.swapaxes(x, -1, -2)


def _rows(x):
    """x (..., k) -> (n, k): the leading axes flattened."""
    return x if x.ndim == 2 else x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))


# ---- matmul --------------------------------------------------------------------------------------------------------
@op(broadcasts=True)
def matmul(be, a: Array, b: Array):
    """Matrix product a @ b.  a (..., n, k), b (..., k, m) -> (..., n, m); leading axes broadcast.

    An operand of one axis is a row on the left, a column on the right, and that axis is gone from the result:
    (k) @ (k) -> (), (k) @ (..., k, m) -> (..., m), (..., n, k) @ (k) -> (..., n). k = 0 gives zeros. Half precision
    is accumulated in float32.

    Raises ShapeError: the columns of a are not the rows of b, or an operand has no axes.
    """
    try:
        return be.matmul(a, b)
    except (ValueError, AttributeError) as error:
        raise _mismatch(a, b) or error from None


def _mismatch(a, b) -> ShapeError | None:
    """Why a @ b is no product."""
    for name, x in (("a", a), ("b", b)):
        if not getattr(x, "ndim", 0):
            return ShapeError(f"matmul: {name} has no axes", hint="a * b multiplies by a number")
    k, n = a.shape[-1], b.shape[-2 if b.ndim > 1 else 0]
    if k == n:
        return ShapeError(f"matmul: the leading axes {a.shape[:-2]} of a and {b.shape[:-2]} of b do not broadcast")
    hint = None
    if b.ndim > 1 and b.shape[-1] == k:
        hint = "a @ b.T would fit" if b.ndim == 2 else "a @ matrix_transpose(b) would fit"
    left, right = ("columns" if a.ndim > 1 else "elements"), ("rows" if b.ndim > 1 else "elements")
    return ShapeError(f"matmul: a has {k} {left}, b expects {n} {right}", hint=hint)


def _matmul_a(g, a_shape, b):
    if len(a_shape) == 2 and b.ndim == 2:
        return matmul(g, b.T)
    if b.ndim == 1:
        return g[..., None] * b
    if len(a_shape) == 1:
        return matmul(b, g[..., None])[..., 0]
    return matmul(g, _turned(b))


def _matmul_b(g, a, b_shape):
    if a.ndim == 2 and len(b_shape) == 2:
        return matmul(a.T, g)
    if a.ndim == 1:
        return a * g if len(b_shape) == 1 else a[:, None] * g[..., None, :]
    if len(b_shape) == 1:
        return matmul(g.reshape((math.prod(g.shape),)), _rows(a))
    if len(b_shape) == 2:
        return matmul(_rows(a).T, _rows(g))
    return matmul(_turned(a), g)


matmul.vjp(a=_matmul_a, b=_matmul_b)


# ---- linear --------------------------------------------------------------------------------------------------------
@op(broadcasts=True)
def linear(be, x: Array, weight: Array, bias: Array = None):
    """Affine map x W^T + b.  x (..., in), weight (out, in), bias (out) or None -> (..., out).

    The gradient of `weight` is one product over all leading axes, in memory of its own.

    Raises ShapeError: the features of x are not the columns of weight, or the bias does not fit.
    """
    if weight.ndim != 2 or not x.ndim or x.shape[-1] != weight.shape[1]:
        raise _unfit(x, weight)
    y = be.matmul(x, weight.T)
    if bias is None:
        return y
    if bias.shape != weight.shape[:1]:
        raise ShapeError(f"linear: weight gives {weight.shape[0]} features, bias is {sig(bias)}")
    return be.add(y, bias)


def _unfit(x, weight) -> ShapeError:
    """Why x does not go through weight."""
    if weight.ndim != 2:
        return ShapeError(f"linear: weight has {weight.ndim} axes, expected two: (out_features, in_features)")
    if not x.ndim:
        return ShapeError("linear: x has no axes, expected (..., in_features)")
    n, k = x.shape[-1], weight.shape[1]
    hint = f"Linear(in_features={n}, ...) would fit"
    if math.prod(x.shape[1:]) == k:
        hint = f"x.flatten(1) has {k} features"
    return ShapeError(f"linear: x has {n} features, weight expects {k}", hint=hint)


linear.vjp(
    x=lambda g, weight: matmul(g, weight),
    weight=lambda g, x: matmul(_rows(g).T, _rows(x)),
    bias=lambda g: g,
)
