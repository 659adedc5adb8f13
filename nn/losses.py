"""Losses as modules: the settings of a loss, ready to be called with a prediction and a target.

What they compute, and what goes in, is said at the function of the same name in tensorgraph.ops. Constructor
arguments are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorgraph import ops
from tensorgraph.errors import ArgumentError, DtypeError, sig
from tensorgraph.nn import arguments as check
from tensorgraph.nn.module import Module
from tensorgraph.tensor import Tensor

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HingeLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class _Loss(Module):
    """A loss with a reduction."""

    _reductions: tuple[str, ...] = ("none", "mean", "sum")

    def __init__(self, reduction: str = "mean"):
        super().__init__()
        self.reduction = check.choice(type(self).__name__, self._reductions, reduction=reduction)

    def _hold(self, **weights: Tensor | None) -> None:
        """Weights as buffers, so that they move with the module."""
        for name, weight in weights.items():
            if weight is not None and not isinstance(weight, Tensor):
                raise DtypeError(
                    f"{type(self).__name__}: {name} is {sig(weight)}, not a tensor", hint="tensorgraph.tensor([...])"
                )
            self.register_buffer(name, weight)


class CrossEntropyLoss(_Loss):
    """Softmax cross-entropy of logits against classes or probabilities; see `ops.softmax_cross_entropy`.

    input (N, C), (N, C, d1, ...) or (C,); target without C (class indices), or of input's shape (probabilities).
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ):
        super().__init__(reduction)
        self._hold(weight=weight)
        self.ignore_index = check.integer(type(self).__name__, -(2**63), ignore_index=ignore_index)
        self.label_smoothing = check.fraction("CrossEntropyLoss", label_smoothing=label_smoothing)

    def forward(self, input: Any, target: Any) -> Any:
        return ops.softmax_cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_Loss):
    """Negative log likelihood of the right class, from log-probabilities; see `ops.nll_loss`."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean"):
        super().__init__(reduction)
        self._hold(weight=weight)
        self.ignore_index = check.integer(type(self).__name__, -(2**63), ignore_index=ignore_index)

    def forward(self, input: Any, target: Any) -> Any:
        return ops.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class MSELoss(_Loss):
    """Squared difference; see `ops.mse_loss`."""

    def forward(self, input: Any, target: Any) -> Any:
        return ops.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """Absolute difference; see `ops.l1_loss`."""

    def forward(self, input: Any, target: Any) -> Any:
        return ops.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """Absolute difference, quadratic below `beta`; see `ops.smooth_l1_loss`."""

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0):
        super().__init__(reduction)
        self.beta = check.number("SmoothL1Loss", 0, beta=beta)

    def forward(self, input: Any, target: Any) -> Any:
        return ops.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """Quadratic up to `delta`, linear beyond; see `ops.huber_loss`."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0):
        super().__init__(reduction)
        self.delta = check.number("HuberLoss", above=0, delta=delta)

    def forward(self, input: Any, target: Any) -> Any:
        return ops.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class BCELoss(_Loss):
    """Binary cross-entropy of probabilities; see `ops.binary_cross_entropy`."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean"):
        super().__init__(reduction)
        self._hold(weight=weight)

    def forward(self, input: Any, target: Any) -> Any:
        return ops.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of logits; see `ops.binary_cross_entropy_with_logits`."""

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean", pos_weight: Tensor | None = None):
        super().__init__(reduction)
        self._hold(weight=weight, pos_weight=pos_weight)

    def forward(self, input: Any, target: Any) -> Any:
        return ops.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class FocalLoss(_Loss):
    """Binary cross-entropy of logits that looks away from what is already right; see `ops.sigmoid_focal_loss`."""

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, *, reduction: str = "mean"):
        super().__init__(reduction)
        self.alpha = check.number("FocalLoss", most=1, alpha=alpha)
        self.gamma = check.number("FocalLoss", 0, gamma=gamma)

    def forward(self, input: Any, target: Any) -> Any:
        return ops.sigmoid_focal_loss(input, target, self.alpha, self.gamma, reduction=self.reduction)


class KLDivLoss(_Loss):
    """Kullback-Leibler divergence of log-probabilities from a target; see `ops.kl_div`."""

    _reductions = ("none", "mean", "sum", "batchmean")

    def __init__(self, *, reduction: str = "mean", log_target: bool = False):
        super().__init__(reduction)
        check.flags("KLDivLoss", log_target=log_target)
        self.log_target = log_target

    def forward(self, input: Any, target: Any) -> Any:
        return ops.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(_Loss):
    """Negative log likelihood of counts; see `ops.poisson_nll_loss`."""

    def __init__(self, log_input: bool = True, full: bool = False, *, eps: float = 1e-8, reduction: str = "mean"):
        super().__init__(reduction)
        check.flags("PoissonNLLLoss", log_input=log_input, full=full)
        self.log_input, self.full = log_input, full
        self.eps = check.number("PoissonNLLLoss", 0, eps=eps)

    def forward(self, input: Any, target: Any) -> Any:
        return ops.poisson_nll_loss(input, target, self.log_input, self.full, eps=self.eps, reduction=self.reduction)


class GaussianNLLLoss(_Loss):
    """Negative log likelihood under a normal distribution of predicted variance; see `ops.gaussian_nll_loss`."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean"):
        super().__init__(reduction)
        check.flags("GaussianNLLLoss", full=full)
        self.full = full
        self.eps = check.number("GaussianNLLLoss", 0, eps=eps)

    def forward(self, input: Any, target: Any, var: Any) -> Any:
        return ops.gaussian_nll_loss(input, target, var, self.full, self.eps, reduction=self.reduction)


class HingeLoss(_Loss):
    """max(0, margin - t x) for targets of -1 and 1; see `ops.hinge_loss`."""

    def __init__(self, margin: float = 1.0, squared: bool = False, *, reduction: str = "mean"):
        super().__init__(reduction)
        check.flags("HingeLoss", squared=squared)
        self.margin, self.squared = check.number("HingeLoss", margin=margin), squared

    def forward(self, input: Any, target: Any) -> Any:
        return ops.hinge_loss(input, target, margin=self.margin, squared=self.squared, reduction=self.reduction)


class HingeEmbeddingLoss(_Loss):
    """Distances of alike and of different pairs; see `ops.hinge_embedding_loss`."""

    def __init__(self, margin: float = 1.0, *, reduction: str = "mean"):
        super().__init__(reduction)
        self.margin = check.number("HingeEmbeddingLoss", margin=margin)

    def forward(self, input: Any, target: Any) -> Any:
        return ops.hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """log(1 + e^(-t x)) for targets of -1 and 1; see `ops.soft_margin_loss`."""

    def forward(self, input: Any, target: Any) -> Any:
        return ops.soft_margin_loss(input, target, reduction=self.reduction)


class MultiMarginLoss(_Loss):
    """Multiclass hinge loss; see `ops.multi_margin_loss`."""

    weight: Tensor | None

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, *, reduction: str = "mean"):
        super().__init__(reduction)
        if p not in (1, 2):
            raise ArgumentError(f"MultiMarginLoss: p is 1 or 2, got {p!r}")
        self.p = p
        self.margin = check.number("MultiMarginLoss", margin=margin)
        self._hold(weight=weight)

    def forward(self, input: Any, target: Any) -> Any:
        return ops.multi_margin_loss(input, target, self.p, self.margin, self.weight, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    """Hinge loss between all labels of an example and all other classes; see `ops.multilabel_margin_loss`."""

    def forward(self, input: Any, target: Any) -> Any:
        return ops.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_Loss):
    """Binary cross-entropy of logits, its mean over the classes; see `ops.multilabel_soft_margin_loss`."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean"):
        super().__init__(reduction)
        self._hold(weight=weight)

    def forward(self, input: Any, target: Any) -> Any:
        return ops.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class CosineEmbeddingLoss(_Loss):
    """1 - cos of alike pairs, cos above the margin of different ones; see `ops.cosine_embedding_loss`."""

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean"):
        super().__init__(reduction)
        self.margin = check.number("CosineEmbeddingLoss", -1, 1, margin=margin)

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        return ops.cosine_embedding_loss(input1, input2, target, self.margin, reduction=self.reduction)


class MarginRankingLoss(_Loss):
    """Which of two inputs should rank higher; see `ops.margin_ranking_loss`."""

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean"):
        super().__init__(reduction)
        self.margin = check.number("MarginRankingLoss", margin=margin)

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        return ops.margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """The anchor nearer to the positive than to the negative; see `ops.triplet_margin_loss`."""

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, *, reduction: str = "mean"
    ):
        super().__init__(reduction)
        self.margin = check.number("TripletMarginLoss", above=0, margin=margin)
        self.p = check.number("TripletMarginLoss", above=0, p=p)
        self.eps = check.number("TripletMarginLoss", 0, eps=eps)
        check.flags("TripletMarginLoss", swap=swap)
        self.swap = swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        return ops.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, reduction=self.reduction
        )


class TripletMarginWithDistanceLoss(_Loss):
    """`TripletMarginLoss` with any distance; see `ops.triplet_margin_with_distance_loss`."""

    def __init__(
        self,
        *,
        distance_function: Callable[[Any, Any], Any] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ):
        super().__init__(reduction)
        check.flags("TripletMarginWithDistanceLoss", swap=swap)
        if distance_function is not None and not callable(distance_function):
            raise DtypeError(
                f"TripletMarginWithDistanceLoss: distance_function is {sig(distance_function)}, not a function"
            )
        self.distance_function, self.swap = distance_function, swap
        self.margin = check.number("TripletMarginWithDistanceLoss", above=0, margin=margin)

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        return ops.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


class CTCLoss(_Loss):
    """Loss of an unaligned label sequence; see `ops.ctc_loss`."""

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False):
        super().__init__(reduction)
        self.blank = check.integer("CTCLoss", 0, blank=blank)
        check.flags("CTCLoss", zero_infinity=zero_infinity)
        self.zero_infinity = zero_infinity

    def forward(self, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> Any:
        return ops.ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            reduction=self.reduction,
            zero_infinity=self.zero_infinity,
        )
