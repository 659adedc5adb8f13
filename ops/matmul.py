"""Products: matmul and linear, and the contraction of two arrays on which tensordot, inner, einsum ... stand.

May import: the engine, elementwise, shape. The rules multiply whole matrices and copy nothing that BLAS can
read as it lies; a product in two dimensions differentiates into exactly `g @ b.T` and `a.T @ g`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tensorgraph.creation import asarray
from tensorgraph.errors import ArgumentError, ShapeError, sig
from tensorgraph.operation import Array, op
from tensorgraph.ops.activation import check_activation, rectified
from tensorgraph.ops.axes import check_axes, check_axis
from tensorgraph.ops.elementwise import mul
from tensorgraph.ops.shape import broadcast_to, common_shape, permute_dims
from tensorgraph.spelling import spelled

__all__ = [
    "bmm",
    "cross",
    "dot",
    "inner",
    "kron",
    "linear",
    "matmul",
    "multi_dot",
    "mv",
    "outer",
    "tensordot",
    "vdot",
    "vecdot",
]


def turned(x):
    """x (..., n, m) -> (..., m, n)."""
    return x.T if x.ndim == 2 else permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


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
    return matmul(g, turned(b))


def _matmul_b(g, a, b_shape):
    if a.ndim == 2 and len(b_shape) == 2:
        return matmul(a.T, g)
    if a.ndim == 1:
        return a * g if len(b_shape) == 1 else a[:, None] * g[..., None, :]
    if len(b_shape) == 1:
        return matmul(g.reshape((math.prod(g.shape),)), _rows(a))
    if len(b_shape) == 2:
        return matmul(_rows(a).T, _rows(g))
    return matmul(turned(a), g)


matmul.vjp(a=_matmul_a, b=_matmul_b)
matmul.macs(lambda y_shape, a_shape: math.prod(y_shape) * a_shape[-1])


# ---- linear --------------------------------------------------------------------------------------------------------
def linear(x: Array, weight: Array, bias: Array = None, *, activation: str | None = None) -> Any:
    """Affine map x W^T + b.  x (..., in), weight (out, in), bias (out) or None -> (..., out).

    The gradient of `weight` is one product over all leading axes, in memory of its own. `activation="relu"` gives
    `relu` of the result, without a second array of its size.

    Raises ShapeError: the features of x are not the columns of weight, or the bias does not fit. ArgumentError: an
    unknown activation.
    """
    if activation is None:
        return _linear(x, weight, bias)
    check_activation("linear", activation)
    return _linear_relu(x, weight, bias)


@op(broadcasts=True)
def _linear(be, x: Array, weight: Array, bias: Array = None):
    return _affine(be, x, weight, bias)


@op(broadcasts=True)
def _linear_relu(be, x: Array, weight: Array, bias: Array = None):
    """relu of `_linear`, computed where that lies."""
    return _affine(be, x, weight, bias, rectify=True)


def _affine(be: Any, x: Any, weight: Any, bias: Any, rectify: bool = False) -> Any:
    if weight.ndim != 2 or not x.ndim or x.shape[-1] != weight.shape[1]:
        raise _unfit(x, weight)
    if bias is None:
        y = be.matmul(x, weight.T)
        return be.relu(y, out=y) if rectify else y
    if bias.shape != weight.shape[:1]:
        raise ShapeError(f"linear: weight gives {weight.shape[0]} features, bias is {sig(bias)}")
    return be.affine(x, weight.T, bias, rectify)


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


_linear.vjp(
    x=lambda g, weight: matmul(g, weight),
    weight=lambda g, x: matmul(_rows(g).T, _rows(x)),
    bias=lambda g: g,
)
_linear.macs(lambda y_shape, weight_shape: math.prod(y_shape) * weight_shape[1])
_linear_relu.vjp(g=lambda g, y, own: rectified(g, y, own), **_linear.op.rules)
_linear_relu.macs(lambda y_shape, weight_shape: math.prod(y_shape) * weight_shape[1])


# ---- the contraction of two arrays ---------------------------------------------------------------------------------
Labels = tuple[Any, ...]


@op
def contract(be, a: Array, b: Array, a_axes: Labels, b_axes: Labels, y_axes: Labels):
    """Sum over products a * b, the axes of a, b and the result named by labels.

    A label that is missing from `y_axes` is summed over. Each label stands in at least two of the three and at most
    once in each, with one size: so the gradients are contractions of the same kind. `einsum` is the public face.
    """
    return be.contract(a, b, a_axes, b_axes, y_axes)


contract.vjp(
    a=lambda g, b, a_axes, b_axes, y_axes: contract(g, b, y_axes, b_axes, a_axes),
    b=lambda g, a, a_axes, b_axes, y_axes: contract(a, g, a_axes, y_axes, b_axes),
)


def _contract_macs(a_shape, b_shape, a_axes, b_axes):
    return math.prod((dict(zip(a_axes, a_shape)) | dict(zip(b_axes, b_shape))).values())


contract.macs(_contract_macs)


def as_arrays(*values: Any) -> tuple[Any, ...]:
    """Lists and numbers as tensors, everything else as it is."""
    return tuple(x if hasattr(x, "shape") else asarray(x) for x in values)


@spelled
def tensordot(a: Any, b: Any, axes: int | Sequence[Any] = 2) -> Any:
    """Product summed over pairs of axes.  a (A..., K...), b (K..., B...) -> (A..., B...).

    `axes` n: the last n axes of a with the first n of b, in order; a pair of axes or of lists of axes: those of a with
    those of b. Raises ShapeError where the sizes of a pair differ.
    """
    a, b = as_arrays(a, b)
    if isinstance(axes, int):
        if not 0 <= axes <= min(a.ndim, b.ndim):
            raise ShapeError(f"tensordot: {axes} axes to sum over, a is {sig(a)}, b is {sig(b)}")
        first, second = range(a.ndim - axes, a.ndim), range(axes)
    else:
        first, second = ((n,) if isinstance(n, int) else tuple(n) for n in axes)
        first, second = check_axes("tensordot", first, a.ndim), check_axes("tensordot", second, b.ndim)
    return _paired("tensordot", a, b, first, second)


def _paired(what: str, a: Any, b: Any, first: Sequence[int], second: Sequence[int]) -> Any:
    if len(first) != len(second):
        raise ShapeError(f"{what}: {len(first)} axes of a are paired with {len(second)} axes of b")
    a_axes, b_axes = list(range(a.ndim)), list(range(a.ndim, a.ndim + b.ndim))
    for i, j in zip(first, second, strict=True):
        if a.shape[i] != b.shape[j]:
            raise ShapeError(
                f"{what}: axis {i} of a has {a.shape[i]} entries, axis {j} of b has {b.shape[j]}: {sig(a)}, {sig(b)}"
            )
        b_axes[j] = i
    paired = set(a_axes) & set(b_axes)
    y_axes = tuple(n for n in (*a_axes, *b_axes) if n not in paired)
    return contract(a, b, tuple(a_axes), tuple(b_axes), y_axes)


def dot(a: Any, b: Any) -> Any:
    """NumPy's dot: the product of numbers, vectors or matrices; of more axes, over the last of a and last but one of b.

    a (k), b (k) -> ();  a (n, k), b (k, m) -> (n, m);  a (..., k), b (B..., k, m) -> (..., B..., m).
    Nothing is conjugated. For batches of matrices use `matmul`.
    """
    a, b = as_arrays(a, b)
    if not a.ndim or not b.ndim:
        return mul(a, b)
    if a.ndim <= 2 and b.ndim <= 2:
        return matmul(a, b)
    return _paired("dot", a, b, (a.ndim - 1,), (max(b.ndim - 2, 0),))


def vdot(a: Any, b: Any) -> Any:
    """Sum of conj(a) * b over all elements.  a, b with equally many elements -> ()."""
    a, b = as_arrays(a, b)
    n, m = math.prod(a.shape), math.prod(b.shape)
    if n != m:
        raise ShapeError(f"vdot: a has {n} elements, b has {m}")
    if a.dtype.kind == "c":
        a = a.conj()
    return matmul(a.reshape((n,)), b.reshape((n,)))


def inner(a: Any, b: Any) -> Any:
    """Sum over the last axes.  a (A..., k), b (B..., k) -> (A..., B...); a number multiplies. Nothing is conjugated."""
    a, b = as_arrays(a, b)
    if not a.ndim or not b.ndim:
        return mul(a, b)
    return _paired("inner", a, b, (a.ndim - 1,), (b.ndim - 1,))


@spelled
def vecdot(a: Any, b: Any, axis: int = -1) -> Any:
    """Sum of conj(a) * b along one axis.  a, b (..., k) -> broadcast (...).

    `axis` counts in the shapes as they are; the other axes broadcast.
    """
    a, b = as_arrays(a, b)
    i, j = check_axis("vecdot", axis, a.ndim), check_axis("vecdot", axis, b.ndim)
    if a.shape[i] != b.shape[j]:
        raise ShapeError(f"vecdot: a has {a.shape[i]} elements along axis {axis}, b has {b.shape[j]}")
    if a.dtype.kind == "c":
        a = a.conj()
    if a.shape != b.shape:
        if a.ndim != b.ndim and axis >= 0:
            raise ShapeError(f"vecdot: axis {axis} of a {sig(a)} and of b {sig(b)}", hint="count the axis from the end")
        shape = common_shape("vecdot", a.shape, b.shape)
        a, b = broadcast_to(a, shape), broadcast_to(b, shape)
    labels = tuple(range(a.ndim))
    k = check_axis("vecdot", axis, a.ndim)
    return contract(a, b, labels, labels, labels[:k] + labels[k + 1 :])


def outer(a: Any, b: Any) -> Any:
    """Every element of a times every element of b.  a (n), b (m) -> (n, m); more axes are flattened."""
    a, b = as_arrays(a, b)
    a, b = a.reshape((math.prod(a.shape),)), b.reshape((math.prod(b.shape),))
    return contract(a, b, (0,), (1,), (0, 1))


def kron(a: Any, b: Any) -> Any:
    """Kronecker product: a with each element replaced by that element times b.  a (n, m), b (k, l) -> (n k, m l).

    Any number of axes; the operand with fewer gets leading axes of size 1.
    """
    a, b = as_arrays(a, b)
    n = max(a.ndim, b.ndim)
    a, b = a.reshape((1,) * (n - a.ndim) + a.shape), b.reshape((1,) * (n - b.ndim) + b.shape)
    left, right = tuple(range(0, 2 * n, 2)), tuple(range(1, 2 * n, 2))
    y = contract(a, b, left, right, tuple(range(2 * n)))
    return y.reshape(tuple(i * j for i, j in zip(a.shape, b.shape, strict=True)))


# ---- products of fixed rank ----------------------------------------------------------------------------------------
def mv(a: Any, b: Any) -> Any:
    """Matrix times vector.  a (n, k), b (k) -> (n).  `matmul` takes every rank."""
    return _of_rank("mv", a, b, 2, 1)


def bmm(a: Any, b: Any) -> Any:
    """Batch of matrix products, no broadcasting.  a (B, n, k), b (B, k, m) -> (B, n, m).  `matmul` takes every rank."""
    a, b = as_arrays(a, b)
    if a.ndim == 3 and b.ndim == 3 and a.shape[0] != b.shape[0]:
        raise ShapeError(f"bmm: a is a batch of {a.shape[0]} matrices, b of {b.shape[0]}", hint="matmul broadcasts")
    return _of_rank("bmm", a, b, 3, 3)


def _of_rank(what: str, a: Any, b: Any, n: int, m: int) -> Any:
    a, b = as_arrays(a, b)
    if (a.ndim, b.ndim) != (n, m):
        raise ShapeError(
            f"{what}: a has {a.ndim} axes, b has {b.ndim}, expected {n} and {m}", hint="matmul takes every rank"
        )
    return matmul(a, b)


@op(broadcasts=True)
def cross(be, a: Array, b: Array, axis: int = -1):
    """Vector product in three dimensions.  a, b (..., 3) -> broadcast (..., 3); `axis` is where the 3 lies.

    Raises ShapeError when there are not three components.
    """
    n = max(a.ndim, b.ndim)
    axis = check_axis("cross", axis, n) - n  # from the end, where broadcasting aligns
    for name, x in (("a", a), ("b", b)):
        if -axis > x.ndim or x.shape[axis] != 3:
            found = x.shape[axis] if -axis <= x.ndim else "no"
            raise ShapeError(f"cross: {name} has {found} components along axis {axis}, expected 3")
    return be.cross(a, b, axis=axis)


cross.vjp(a=lambda g, b, axis: cross(b, g, axis), b=lambda g, a, axis: cross(g, a, axis))


def multi_dot(arrays: Sequence[Any]) -> Any:
    """Product of several matrices, multiplied in the cheapest order.  (n, k), (k, l), ..., (p, m) -> (n, m).

    The first may be a row (k), the last a column (p); that axis is gone from the result.
    """
    chain = as_arrays(*arrays)
    if len(chain) < 2:
        raise ArgumentError(f"multi_dot: {len(chain)} matrices, needs two or more")
    for i, x in enumerate(chain):
        if x.ndim != 2 and not (x.ndim == 1 and i in (0, len(chain) - 1)):
            raise ShapeError(f"multi_dot: matrix {i} is {sig(x)}, expected two axes (one for the first and the last)")
    rows = [1 if chain[0].ndim == 1 else chain[0].shape[0], *(x.shape[0] for x in chain[1:])]
    sizes = [*rows, 1 if chain[-1].ndim == 1 else chain[-1].shape[1]]
    # (first, last) -> (multiplications, where the last product splits)
    best = {(i, i): (0, i) for i in range(len(chain))}
    for length in range(1, len(chain)):
        for i in range(len(chain) - length):
            j = i + length
            best[i, j] = min(
                (best[i, k][0] + best[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            )
    return _chained(chain, best, 0, len(chain) - 1)


def _chained(chain: Sequence[Any], best: dict[tuple[int, int], tuple[int, int]], i: int, j: int) -> Any:
    k = best[i, j][1]
    return chain[i] if i == j else matmul(_chained(chain, best, i, k), _chained(chain, best, k + 1, j))
