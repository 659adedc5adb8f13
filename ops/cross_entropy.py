"""Losses against classes: softmax cross-entropy, negative log likelihood, margins between classes, several labels.

May import: all of ops before it, loss.py.
"""

from __future__ import annotations

from typing import Any

from tensorgraph import backends
from tensorgraph.capturing import current as capturing
from tensorgraph.errors import ArgumentError, DtypeError, OutOfRangeError, ShapeError, sig
from tensorgraph.fused import fusable
from tensorgraph.operation import Array
from tensorgraph.ops.activation import relu
from tensorgraph.ops.elementwise import where
from tensorgraph.ops.gathering import take, take_along_axis
from tensorgraph.ops.loss import _logistic_loss, check_reduction, compared, first_bad, operand, place, reduced
from tensorgraph.ops.reduce import mean, sum
from tensorgraph.ops.shape import expand_dims, squeeze
from tensorgraph.ops.softmax import log_softmax
from tensorgraph.provenance import explained
from tensorgraph.tensor import raw

__all__ = [
    "cross_entropy",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "softmax_cross_entropy",
]


# ---- labels --------------------------------------------------------------------------------------------------------
def _check_labels(name: str, input: Any, target: Any, weight: Any, ignore_index: int) -> int:
    """Raises unless `target` holds class indices for `input`; returns how many of them are not ignored."""
    classes = input.shape[0 if input.ndim == 1 else 1]
    expected = input.shape[:0] if input.ndim == 1 else (input.shape[0], *input.shape[2:])
    labels = raw(target)
    be = backends.backend_of(labels)
    if labels.dtype.kind not in "iu":
        text = f"{name}: labels are class indices of an integer dtype, got {sig(target)}"
        at = first_bad(labels != labels) if labels.dtype.kind == "f" else None
        if at is not None:
            text += f", and label{place(at)} is nan"
        hint = f"probabilities have the shape of the input, {tuple(input.shape)}" if labels.dtype.kind == "f" else None
        raise DtypeError(text, hint=hint or "target.astype(tensorgraph.int64)")
    if target.shape != expected:
        hint = None
        if target.shape == input.shape:
            hint = "one-hot labels: target.argmax(1) gives indices, target.astype(input.dtype) probabilities"
        elif target.shape == (*expected, 1) or target.shape == (*expected[:1], 1, *expected[1:]):
            hint = f"target.squeeze({len(target.shape) - 1 if target.shape[-1] == 1 else 1}) drops the axis of size 1"
        raise ShapeError(f"{name}: labels are {sig(target)}, expected {expected} for input {sig(input)}", hint=hint)
    if weight is not None and weight.shape != (classes,):
        raise ShapeError(f"{name}: weight is {sig(weight)}, expected one number for each of {classes} classes")
    if not labels.size or not be.has_values:
        return labels.size
    inside = 0 <= ignore_index < classes
    if capturing() is not None:  # values are not to be seen: counted on the device, and the general way is taken
        return be.count_nonzero(labels != ignore_index).astype(input.dtype)
    if not inside and be.to_host(labels.min()) >= 0 and be.to_host(labels.max()) < classes:
        return labels.size
    ignored = labels == ignore_index
    bad = ~ignored & ((labels < 0) | (labels >= classes))
    at = first_bad(bad)
    if at is not None:
        value = be.to_host(labels)[at]
        raise OutOfRangeError(
            f"{name}: label{place(at)} is {value}, but there are {classes} classes (0 to {classes - 1})",
            hint=f"ignore_index={value} leaves such labels out"
            if value < 0
            else "labels count from 0"
            if value == classes
            else None,
        )
    return labels.size - int(be.to_host(be.count_nonzero(ignored)))


def _check_mean(name: str, input: Any, count: int, reduction: str) -> None:
    """Raises ArgumentError for the mean over no labels."""
    if reduction != "mean" or not isinstance(count, int) or count:
        return
    what = "every label is ignored" if input.shape[0] else f"the batch is empty: input is {sig(input)}"
    raise ArgumentError(f"{name}: {what}; the mean over none is undefined", hint='reduction="sum" gives 0')


def _of_classes(logp, target, weight, *, ignore_index, reduction, label_smoothing, count):
    """The loss of class indices from log-probabilities, with smoothing."""
    axis = 0 if logp.ndim == 1 else 1
    valid, labels = None, target
    if not isinstance(count, int) or count < target.size:
        valid = raw(target) != ignore_index
        labels = where(valid, target, 0)
    loss = -squeeze(take_along_axis(logp, expand_dims(labels, axis), axis), axis)
    w = None if weight is None else take(weight, labels)
    if weight is not None:
        loss = loss * w
    if label_smoothing:
        weighted = logp if weight is None else logp * weight.reshape((-1,) + (1,) * (logp.ndim - 1 - axis))
        loss = (1 - label_smoothing) * loss - label_smoothing * mean(weighted, axis=axis)
    if valid is not None:
        loss = where(valid, loss, 0)
        w = w if w is None else where(valid, w, 0)
    if reduction == "none":
        return loss
    if reduction == "sum":
        return sum(loss)
    return sum(loss) / (count if w is None else sum(w))


@fusable
def _softmax_cross_entropy(input, target, weight, *, ignore_index, reduction, label_smoothing, count):
    logp = log_softmax(input, 0 if input.ndim == 1 else 1)
    return _of_classes(
        logp,
        target,
        weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
        count=count,
    )


# ---- cross-entropy -------------------------------------------------------------------------------------------------
@explained
def softmax_cross_entropy(
    input: Array,
    target: Array,
    weight: Array = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross-entropy between softmax(input) and a target: classes by index, or probabilities.

    input (N, C), (N, C, d1, ...) or (C,): logits of any size. target without C, integers: the right class; labels
    equal to `ignore_index` count for nothing. target of input's shape, floating: probabilities.
    -> () or, with reduction "none", the shape without C. `weight` (C,) weighs classes, and "mean" divides by the
    weights of the labels. `label_smoothing` mixes that share of the even distribution into the target.

    Raises DtypeError, ShapeError, OutOfRangeError: labels that are no class indices, with value and position.
    ArgumentError: the mean of an empty batch or of ignored labels only, probabilities that are NaN.
    Source: Szegedy et al., Rethinking the Inception architecture, CVPR 2016 (smoothing).
    """
    name = "softmax_cross_entropy"
    input, target = operand(input), operand(target)
    check_reduction(name, reduction)
    if input.dtype.kind not in "fV":
        raise DtypeError(f"{name}: the logits are {sig(input)}, they must be of a floating dtype")
    if not input.ndim:
        raise ShapeError(f"{name}: the logits are a single number, expected (N, C) or (C,)")
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"{name}: label_smoothing is a share between 0 and 1, got {label_smoothing}")
    if target.dtype.kind in "fV" and target.shape == input.shape:
        return _of_probabilities(name, input, target, weight, reduction, label_smoothing)
    count = _check_labels(name, input, target, weight, ignore_index)
    _check_mean(name, input, count, reduction)
    return _softmax_cross_entropy(
        input,
        target,
        weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
        count=count,
    )


cross_entropy = softmax_cross_entropy


def _of_probabilities(name: str, input: Any, target: Any, weight: Any, reduction: str, label_smoothing: float) -> Any:
    axis = 0 if input.ndim == 1 else 1
    values = raw(target)
    at = first_bad(values != values)
    if at is not None:
        raise ArgumentError(f"{name}: target{place(at)} is nan")
    classes = input.shape[axis]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    logp = where(raw(target) == 0, 0, log_softmax(input, axis))  # 0 * -inf would be NaN
    terms = target * logp
    if weight is not None:
        terms = terms * weight.reshape((-1,) + (1,) * (input.ndim - 1 - axis))
    loss = -sum(terms, axis=axis)
    return reduced(name, loss, reduction)


@explained
def nll_loss(
    input: Array, target: Array, weight: Array = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """Minus the log-probability of the right class.  input (N, C), (N, C, d1, ...) or (C,): log-probabilities.

    target without C: class indices. Otherwise as `softmax_cross_entropy`, which is faster than log_softmax and this.
    """
    name = "nll_loss"
    input, target = operand(input), operand(target)
    check_reduction(name, reduction)
    if input.dtype.kind not in "fV" or not input.ndim:
        raise DtypeError(
            f"{name}: input is {sig(input)}, expected log-probabilities (N, C) or (C,) of a floating dtype"
        )
    count = _check_labels(name, input, target, weight, ignore_index)
    _check_mean(name, input, count, reduction)
    return _of_classes(
        input, target, weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=0.0, count=count
    )


# ---- margins -------------------------------------------------------------------------------------------------------
@explained
def multi_margin_loss(
    input: Array, target: Array, p: int = 1, margin: float = 1.0, weight: Array = None, *, reduction: str = "mean"
) -> Any:
    """Multiclass hinge loss: mean over the other classes c of max(0, margin - x[target] + x[c])^p.

    input (N, C) or (C,), target (N,) or () class indices, weight (C,) or None -> () or (N,). Gradient at the margin 0.
    Source: Crammer & Singer, JMLR 2001; Weston & Watkins, ESANN 1999 (the sum over classes).
    """
    name = "multi_margin_loss"
    input, target = operand(input), operand(target)
    if p not in (1, 2):
        raise ArgumentError(f"{name}: p is 1 or 2, got {p}")
    if input.ndim not in (1, 2):
        raise ShapeError(f"{name}: input is {sig(input)}, expected (N, C) or (C,)")
    count = _check_labels(name, input, target, weight, -1)
    _check_mean(name, input, count, reduction)
    own = take_along_axis(input, expand_dims(target, -1), -1)
    terms = relu(margin - own + input)
    if p == 2:
        terms = terms * terms
    if weight is not None:
        terms = terms * expand_dims(take(weight, target), -1)
    others = raw(expand_dims(target, -1)) != backends.backend_of(raw(target)).arange(input.shape[-1])
    return reduced(name, mean(where(others, terms, 0), axis=-1), reduction)


@explained
def multilabel_margin_loss(input: Array, target: Array, *, reduction: str = "mean") -> Any:
    """Hinge between every label of an example and every other class: sum of max(0, 1 - x[label] + x[c]), over C.

    input (N, C) or (C,), target of the same shape: labels in front, then -1 and whatever follows it -> () or (N,).
    """
    name = "multilabel_margin_loss"
    input, target = operand(input), operand(target)
    if target.shape != input.shape or input.ndim not in (1, 2) or target.dtype.kind not in "iu":
        raise ShapeError(
            f"{name}: input {sig(input)} and target {sig(target)} must be (N, C) or (C,), the target integers"
        )
    check_reduction(name, reduction)
    labels = raw(target)
    be = backends.backend_of(labels)
    classes = input.shape[-1]
    ended = be.cumsum(labels == -1, axis=-1) > 0
    bad = ~ended & ((labels < 0) | (labels >= classes))
    at = first_bad(bad)
    if at is not None:
        raise OutOfRangeError(
            f"{name}: label{place(at)} is {be.to_host(labels)[at]}, there are {classes} classes and -1"
        )
    safe = be.where(ended, 0, labels)
    is_label = ((safe[..., None] == be.arange(classes)) & ~ended[..., None]).any(axis=-2)
    own = expand_dims(take_along_axis(input, safe, -1), -1)  # (N, label, 1)
    terms = relu(1 - own + expand_dims(input, -2))  # (N, label, class)
    counts = ~ended[..., None] & ~is_label[..., None, :]
    return reduced(name, sum(where(counts, terms, 0), axis=(-2, -1)) / classes, reduction)


@explained
def multilabel_soft_margin_loss(input: Array, target: Array, weight: Array = None, *, reduction: str = "mean") -> Any:
    """Binary cross-entropy with logits, its mean over the classes.  input, target (..., C) -> () or (...)."""
    name = "multilabel_soft_margin_loss"
    input, target = compared(name, input, target)
    loss = _logistic_loss(input, target)
    if weight is not None:
        loss = loss * weight
    return reduced(name, mean(loss, axis=-1), reduction)
