"""How alike two vectors are, and the losses that train on it: cosine, ranking, triplets.

May import: all of ops before it, loss.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorgraph.errors import ArgumentError, ShapeError, sig
from tensorgraph.operation import Array
from tensorgraph.ops.activation import relu
from tensorgraph.ops.elementwise import maximum, minimum, where
from tensorgraph.ops.loss import compared, operand, reduced
from tensorgraph.ops.reduce import sum, vector_norm
from tensorgraph.ops.shape import broadcast_arrays, expand_dims
from tensorgraph.provenance import explained
from tensorgraph.spelling import spelled
from tensorgraph.tensor import raw

__all__ = [
    "cdist",
    "cosine_embedding_loss",
    "cosine_similarity",
    "margin_ranking_loss",
    "pairwise_distance",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


@spelled
def cosine_similarity(x1: Array, x2: Array, axis: int = 1, eps: float = 1e-8) -> Any:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along an axis; 0 for a zero vector.  (...) -> without the axis."""
    x1, x2 = operand(x1), operand(x2)
    if x1.shape != x2.shape:  # before the norms: the axis may be one that broadcasts
        x1, x2 = broadcast_arrays(x1, x2)
    norms = maximum(vector_norm(x1, 2, axis), eps) * maximum(vector_norm(x2, 2, axis), eps)
    return sum(x1 * x2, axis=axis) / norms


@explained
def cdist(x1: Array, x2: Array, p: float = 2.0) -> Any:
    """||x1[i] - x2[j]||_p for every pair of rows.  x1 (..., P, D), x2 (..., R, D) -> (..., P, R).

    Leading axes broadcast. Computed from the differences (P R D numbers), so that small distances are exact; the
    gradient of equal rows is 0.
    """
    x1, x2 = operand(x1), operand(x2)
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(f"cdist: x1 is {sig(x1)}, x2 {sig(x2)}: needs (..., P, D) and (..., R, D)")
    return vector_norm(expand_dims(x1, -2) - expand_dims(x2, -3), p, -1)


def pairwise_distance(x1: Array, x2: Array, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """||x1 - x2 + eps||_p along the last axis; eps keeps the gradient of equal vectors defined.  (..., D) -> (...)."""
    return vector_norm(operand(x1) - x2 + eps, p, -1, keepdims=keepdim)


@explained
def cosine_embedding_loss(
    input1: Array, input2: Array, target: Array, margin: float = 0.0, *, reduction: str = "mean"
) -> Any:
    """1 - cos where target is 1, max(0, cos - margin) where it is -1.

    input1, input2 (N, D) or (D,), target (N,) or () -> () or (N,). Gradient at the margin is 0.
    """
    name = "cosine_embedding_loss"
    input1, input2, target = operand(input1), operand(input2), operand(target)
    if input1.shape != input2.shape or target.shape != input1.shape[:-1]:
        raise ShapeError(
            f"{name}: inputs {sig(input1)}, {sig(input2)} must be equal, target {sig(target)} without their last axis"
        )
    eps = 1e-12  # as PyTorch has it: under the root
    dot = sum(input1 * input2, axis=-1)
    squares = (sum(input1 * input1, axis=-1) + eps) * (sum(input2 * input2, axis=-1) + eps)
    cosine = dot / squares**0.5
    loss = where(raw(target) == 1, 1 - cosine, 0) + where(raw(target) == -1, relu(cosine - margin), 0)
    return reduced(name, loss, reduction)


@explained
def margin_ranking_loss(
    input1: Array, input2: Array, target: Array, margin: float = 0.0, *, reduction: str = "mean"
) -> Any:
    """max(0, -t (x1 - x2) + margin): x1 should rank higher where t is 1, lower where it is -1.

    input1, input2, target (...) -> () or (...). Gradient at the margin is 0.
    """
    input1, target = compared("margin_ranking_loss", input1, target)
    input1, input2 = compared("margin_ranking_loss", input1, input2)
    return reduced("margin_ranking_loss", relu(margin - target * (input1 - input2)), reduction)


@explained
def triplet_margin_loss(
    anchor: Array,
    positive: Array,
    negative: Array,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Any:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) with `pairwise_distance`.

    anchor, positive, negative (N, D) or (D,) -> () or (N,). `swap` takes the nearer of anchor and positive to the
    negative. Gradient at the margin is 0. Source: Balntas et al., Learning local feature descriptors, BMVC 2016.
    """

    def distance(a: Any, b: Any) -> Any:
        return pairwise_distance(a, b, p, eps)

    return _triplet("triplet_margin_loss", anchor, positive, negative, distance, margin, swap, reduction)


@explained
def triplet_margin_with_distance_loss(
    anchor: Array,
    positive: Array,
    negative: Array,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """`triplet_margin_loss` with any distance (default: `pairwise_distance`)."""
    distance = distance_function or pairwise_distance
    return _triplet("triplet_margin_with_distance_loss", anchor, positive, negative, distance, margin, swap, reduction)


def _triplet(name, anchor, positive, negative, distance, margin, swap, reduction):
    if not margin > 0:
        raise ArgumentError(f"{name}: margin must be more than 0, got {margin}")
    anchor, positive = compared(name, anchor, positive)
    anchor, negative = compared(name, anchor, negative)
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced(name, relu(near - far + margin), reduction)
