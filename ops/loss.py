"""Losses that compare a prediction with a target element by element, and what all losses share.

Arguments follow PyTorch's `nn.functional`. `reduction` is "mean", "sum" or "none". Where prediction and target have
different shapes they are broadcast, as everywhere, but with a BroadcastWarning: it is rarely meant.
May import: all of ops before it. Imported by the other loss files.
"""

from __future__ import annotations

import math
import warnings
from sys import _getframe
from typing import Any

import numpy as np

from tensorgraph import backends
from tensorgraph.capturing import current as capturing
from tensorgraph.creation import asarray
from tensorgraph.errors import ArgumentError, BroadcastWarning, DtypeError, ShapeError, sig
from tensorgraph.operation import Array, op
from tensorgraph.ops.activation import relu
from tensorgraph.ops.elementwise import abs, clip, exp, log, log1p, maximum, square, where
from tensorgraph.ops.reduce import mean, sum
from tensorgraph.ops.special import sigmoid, xlogy
from tensorgraph.provenance import explained, internal
from tensorgraph.tensor import raw

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "hinge_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "poisson_nll_loss",
    "sigmoid_focal_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
]


# ---- what losses share ---------------------------------------------------------------------------------------------
def operand(x: Any) -> Any:
    """Lists and numbers as tensors; tensors and arrays as they are."""
    return x if hasattr(x, "dtype") else asarray(x)


def reduced(name: str, loss: Any, reduction: str, weight: Any = None) -> Any:
    """The mean, the sum, or the losses as they are; with a weight the mean is the weighted one."""
    check_reduction(name, reduction)
    if weight is not None:
        loss = loss * weight
    if reduction == "none":
        return loss
    if reduction == "sum":
        return sum(loss)
    if not math.prod(loss.shape):
        raise ArgumentError(f"{name}: the mean over an empty batch is undefined", hint='reduction="sum" gives 0')
    return mean(loss) if weight is None else sum(loss) / sum(weight)


def check_reduction(name: str, reduction: str, options: tuple[str, ...] = ("mean", "sum", "none")) -> None:
    """Raises ArgumentError for a word that is no reduction."""
    if reduction not in options:
        raise ArgumentError(f"{name}: reduction is one of {', '.join(options)}, got {reduction!r}")


def compared(name: str, input: Any, target: Any) -> tuple[Any, Any]:
    """Prediction and target as operands: floating, of the same shape or at least with a warning."""
    input, target = operand(input), operand(target)
    if input.dtype.kind not in "fcV":
        raise DtypeError(f"{name}: the prediction is {sig(input)}; it must be of a floating dtype")
    if input.shape != target.shape:
        what = f"{name}: prediction {sig(input)} and target {sig(target)}"
        try:
            shape = list(np.broadcast_shapes(input.shape, target.shape))
        except ValueError:
            raise ShapeError(f"{what} do not fit") from None
        message = f"{what} are broadcast to {shape}; give both the same shape, or silence BroadcastWarning"
        warnings.warn(BroadcastWarning(message), stacklevel=_user_level())
    return input, target


def _user_level() -> int:
    """How many frames up the user's line is, as `warnings.warn` counts from its caller."""
    frame, level = _getframe(1), 1
    while internal[frame.f_code.co_filename] and frame.f_back is not None:
        frame, level = frame.f_back, level + 1
    return level


def first_bad(bad: Any) -> tuple[int, ...] | None:
    """Where a mask first holds, None where it never does, or where nobody can look: in a captured step, on "meta"."""
    be = backends.backend_of(bad)
    if capturing() is not None or not be.has_values or not be.to_host(bad.any()):
        return None
    return tuple(int(i[0]) for i in be.to_host(bad).nonzero())


def place(index: tuple[int, ...]) -> str:
    """An index as one writes it."""
    return f"[{', '.join(map(str, index))}]"


def check_values(name: str, what: str, x: Any, bad: Any, wanted: str) -> None:
    """Raises ArgumentError naming the first value of x where the mask `bad` holds."""
    at = first_bad(bad)
    if at is not None:
        value = backends.backend_of(x).to_host(x)[at]
        raise ArgumentError(f"{name}: {what}{place(at)} is {value}, {wanted}")


# ---- distances -----------------------------------------------------------------------------------------------------
@explained
def l1_loss(input: Array, target: Array, *, reduction: str = "mean", weight: Array = None) -> Any:
    """Absolute difference |x - t|.  input, target (...) -> () or (...).  Gradient at 0 is 0."""
    input, target = compared("l1_loss", input, target)
    return reduced("l1_loss", abs(input - target), reduction, weight)


@explained
def mse_loss(input: Array, target: Array, *, reduction: str = "mean", weight: Array = None) -> Any:
    """Squared difference (x - t)^2.  input, target (...) -> () or (...)."""
    input, target = compared("mse_loss", input, target)
    return reduced("mse_loss", square(input - target), reduction, weight)


@op(broadcasts=True)
def _huber(be, input: Array, target: Array, delta: float):
    """d^2 / 2 for |d| <= delta, else delta (|d| - delta / 2), with d = input - target."""
    d = be.abs(input - target)
    inner = be.minimum(d, delta)
    return inner * (d - 0.5 * inner)


_huber.vjp(
    input=lambda g, input, target, delta: g * clip(input - target, -delta, delta),
    target=lambda g, input, target, delta: g * clip(target - input, -delta, delta),
)


@explained
def huber_loss(
    input: Array, target: Array, *, reduction: str = "mean", delta: float = 1.0, weight: Array = None
) -> Any:
    """Quadratic up to |x - t| = delta, linear beyond.  input, target (...) -> () or (...).
    Source: Huber, Annals of Mathematical Statistics 35, 1964."""
    if not delta > 0:
        raise ArgumentError(f"huber_loss: delta must be more than 0, got {delta}")
    input, target = compared("huber_loss", input, target)
    loss = _huber(input, target, delta)
    if weight is not None:
        loss = loss * weight
    return reduced("huber_loss", loss, reduction)


@explained
def smooth_l1_loss(input: Array, target: Array, *, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Huber loss divided by beta: a quarter circle's worth of smoothing on |x - t|; beta = 0 is `l1_loss`.
    Source: Girshick, Fast R-CNN, ICCV 2015."""
    if not beta >= 0:
        raise ArgumentError(f"smooth_l1_loss: beta must be at least 0, got {beta}")
    input, target = compared("smooth_l1_loss", input, target)
    loss = _huber(input, target, beta) / beta if beta else abs(input - target)
    return reduced("smooth_l1_loss", loss, reduction)


# ---- probabilities -------------------------------------------------------------------------------------------------
def _logs(p):
    """log p and log(1 - p), cut off at -100."""
    some, rest = p > 0, p < 1
    yes = where(some, maximum(log(where(some, p, 1)), -100), -100)
    return yes, where(rest, maximum(log1p(-where(rest, p, 0)), -100), -100)


def _bernoulli_target(g, input):
    yes, no = _logs(input)
    return g * (no - yes)


@op(broadcasts=True)
def _bernoulli_nll(be, input: Array, target: Array):
    """-(t log p + (1 - t) log(1 - p)) for p = input, with logarithms cut off at -100."""
    yes, no = _logs(input)
    return -(target * yes + (1 - target) * no)


_bernoulli_nll.vjp(
    input=lambda g, input, target: g * (input - target) / maximum(input * (1 - input), 1e-12),
    target=_bernoulli_target,
)


@explained
def binary_cross_entropy(input: Array, target: Array, weight: Array = None, *, reduction: str = "mean") -> Any:
    """-(t log p + (1 - t) log(1 - p)).  input p (...) in [0, 1], target (...) -> () or (...).

    Logarithms are cut off at -100, so that the loss stays finite at 0 and 1. Behind a sigmoid,
    `binary_cross_entropy_with_logits` is more exact and faster. Raises ArgumentError: p outside [0, 1].
    """
    name = "binary_cross_entropy"
    input, target = compared(name, input, target)
    p = raw(input)
    check_values(name, "input", p, (p < 0) | (p > 1), "which is no probability: it must lie in [0, 1]")
    loss = _bernoulli_nll(input, target)
    return reduced(name, loss if weight is None else loss * weight, reduction)


@op(broadcasts=True)
def _logistic_loss(be, input: Array, target: Array):
    """log(1 + e^x) - x t for x = input: the binary cross-entropy of sigmoid(x), without overflow."""
    return be.maximum(input, 0) - input * target + be.log1p(be.exp(-be.abs(input)))


_logistic_loss.vjp(
    input=lambda g, input, target: g * (sigmoid(input) - target),
    target=lambda g, input: -g * input,
)


@explained
def binary_cross_entropy_with_logits(
    input: Array, target: Array, weight: Array = None, *, reduction: str = "mean", pos_weight: Array = None
) -> Any:
    """Binary cross-entropy of sigmoid(x): log(1 + e^x) - x t, exact for logits of any size.

    input x (...), target (...) -> () or (...). `pos_weight` (broadcast) multiplies the part of t.
    """
    name = "binary_cross_entropy_with_logits"
    input, target = compared(name, input, target)
    if pos_weight is None:
        loss = _logistic_loss(input, target)
    else:
        loss = pos_weight * target * _logistic_loss(input, 1) + (1 - target) * _logistic_loss(input, 0)
    return reduced(name, loss if weight is None else loss * weight, reduction)


@explained
def sigmoid_focal_loss(
    input: Array, target: Array, alpha: float = 0.25, gamma: float = 2.0, *, reduction: str = "none"
) -> Any:
    """Binary cross-entropy with logits, weighed down by (1 - p_t)^gamma where it is already right.

    p_t is the probability that the prediction gives to the target; `alpha` weighs the positive class against the
    negative one (a negative number: no weighing). input, target (...) -> () or (...).
    Source: Lin et al., Focal loss for dense object detection, ICCV 2017.
    """
    input, target = compared("sigmoid_focal_loss", input, target)
    if not alpha <= 1:
        raise ArgumentError(f"sigmoid_focal_loss: alpha must be at most 1, got {alpha}")
    p = sigmoid(input)
    wrong = p + target - 2 * p * target  # 1 - p_t
    loss = _logistic_loss(input, target) * wrong**gamma
    if alpha >= 0:
        loss = (alpha * target + (1 - alpha) * (1 - target)) * loss
    return reduced("sigmoid_focal_loss", loss, reduction)


@explained
def kl_div(input: Array, target: Array, *, reduction: str = "mean", log_target: bool = False) -> Any:
    """Kullback-Leibler divergence t (log t - x), with x = input the logarithm of the prediction.

    input, target (...) -> () or (...). `log_target`: the target is a logarithm too. Where t = 0 the term is 0.
    "batchmean" divides the sum by the first size, which is the divergence of the books; "mean" divides by all sizes.
    """
    check_reduction("kl_div", reduction, ("mean", "sum", "none", "batchmean"))
    input, target = compared("kl_div", input, target)
    loss = exp(target) * (target - input) if log_target else xlogy(target, target) - target * input
    if reduction == "batchmean":
        return sum(loss) / loss.shape[0] if loss.ndim else loss
    return reduced("kl_div", loss, reduction)


@explained
def poisson_nll_loss(
    input: Array,
    target: Array,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    """Negative log likelihood of counts t under a Poisson distribution of rate e^x (or x, with `log_input=False`).

    input, target (...) -> () or (...). Without `full` the term log(t!) is left out; with it Stirling's approximation
    stands for it where t > 1.
    """
    input, target = compared("poisson_nll_loss", input, target)
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        t = where(target > 1, target, 1)
        loss = loss + where(target > 1, t * log(t) - t + 0.5 * log(2 * math.pi * t), 0)
    return reduced("poisson_nll_loss", loss, reduction)


@explained
def gaussian_nll_loss(
    input: Array, target: Array, var: Array, full: bool = False, eps: float = 1e-6, *, reduction: str = "mean"
) -> Any:
    """Negative log likelihood (log v + (x - t)^2 / v) / 2 under a normal distribution of mean x and variance v.

    input, target (...), var broadcast to them, or without their last axis -> () or (...). Variances are at least eps
    (without a part in the gradient). `full` adds log(2 pi) / 2. Raises ArgumentError: a negative variance.
    Source: Nix & Weigend, ICNN 1994.
    """
    name = "gaussian_nll_loss"
    input, target = compared(name, input, target)
    var = operand(var)
    if var.ndim and var.shape != input.shape and var.shape == input.shape[:-1]:
        var = var.reshape((*var.shape, 1))
    v = raw(var)
    check_values(name, "var", v, v < 0, "a variance must not be negative")
    low = v < eps
    if first_bad(low) is not None:  # the cut changes the value alone: the gradient passes
        var = var + (eps - v) * low
    loss = 0.5 * (log(var) + square(input - target) / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(name, loss, reduction)


# ---- margins -------------------------------------------------------------------------------------------------------
@explained
def hinge_loss(
    input: Array, target: Array, *, margin: float = 1.0, squared: bool = False, reduction: str = "mean"
) -> Any:
    """max(0, margin - t x) for targets t of -1 and 1: the loss of the support vector machine; squared where asked.

    input, target (...) -> () or (...). Gradient at the margin is 0. Source: Cortes & Vapnik, Machine Learning 20, 1995.
    """
    input, target = compared("hinge_loss", input, target)
    loss = relu(margin - target * input)
    return reduced("hinge_loss", square(loss) if squared else loss, reduction)


@explained
def hinge_embedding_loss(input: Array, target: Array, margin: float = 1.0, *, reduction: str = "mean") -> Any:
    """x where t = 1, max(0, margin - x) where t = -1: distances of alike and of different pairs.

    input, target (...) -> () or (...). Gradient at the margin is 0.
    """
    input, target = compared("hinge_embedding_loss", input, target)
    loss = where(target != 1, relu(margin - input), 0) + where(target != -1, input, 0)
    return reduced("hinge_embedding_loss", loss, reduction)


@explained
def soft_margin_loss(input: Array, target: Array, *, reduction: str = "mean") -> Any:
    """log(1 + e^(-t x)) for targets t of -1 and 1, without overflow.  input, target (...) -> () or (...)."""
    input, target = compared("soft_margin_loss", input, target)
    return reduced("soft_margin_loss", _logistic_loss(target * input, 1), reduction)
