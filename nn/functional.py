"""PyTorch's `nn.functional`: the operations of tensorgraph.ops under the names and with the arguments known there.

    import tensorgraph.nn.functional as F

Nothing is computed here. Functions differ from those of ops where PyTorch's habits differ from NumPy's: `pad` counts
axes from the last one, `softmax` may leave out its axis, `inplace=` is understood (and changes nothing
but for `relu`).
Imported by layers; imports ops.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tensorgraph import ops
from tensorgraph.errors import ArgumentError, sig
from tensorgraph.ops import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    affine_grid,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    batch_norm,
    bilinear,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    channel_shuffle,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    cosine_embedding_loss,
    cosine_similarity,
    cross_entropy,
    ctc_loss,
    embedding,
    fold,
    gaussian_nll_loss,
    gelu,
    glu,
    grid_sample,
    group_norm,
    hardshrink,
    hinge_embedding_loss,
    huber_loss,
    instance_norm,
    interpolate,
    kl_div,
    l1_loss,
    layer_norm,
    linear,
    local_response_norm,
    logsigmoid,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    margin_ranking_loss,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
    mse_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    nll_loss,
    normalize,
    one_hot,
    pairwise_distance,
    pixel_shuffle,
    pixel_unshuffle,
    poisson_nll_loss,
    prelu,
    rms_norm,
    scaled_dot_product_attention,
    sigmoid,
    sigmoid_focal_loss,
    smooth_l1_loss,
    soft_margin_loss,
    softplus,
    softshrink,
    softsign,
    tanh,
    tanhshrink,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
    unfold,
    upsample,
)  # fmt: skip
from tensorgraph.ops.inplace import relu_in_place

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "affine_grid", "alpha_dropout", "avg_pool1d", "avg_pool2d",
    "avg_pool3d",
    "batch_norm", "bilinear", "binary_cross_entropy", "binary_cross_entropy_with_logits", "celu", "channel_shuffle",
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "cosine_embedding_loss", "cosine_similarity", "cross_entropy", "ctc_loss", "dropout", "dropout1d", "dropout2d",
    "dropout3d", "elu", "embedding", "feature_alpha_dropout", "fold", "gaussian_nll_loss", "gelu", "glu",
    "grid_sample", "group_norm", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish", "hardtanh",
    "hinge_embedding_loss", "huber_loss", "instance_norm", "interpolate", "kl_div", "l1_loss", "layer_norm",
    "leaky_relu", "linear",
    "local_response_norm", "log_softmax", "logsigmoid", "lp_pool1d", "lp_pool2d", "lp_pool3d",
    "margin_ranking_loss", "max_pool1d", "max_pool2d", "max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d",
    "mish", "mse_loss", "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss", "nll_loss",
    "normalize", "one_hot", "pad", "pairwise_distance", "pixel_shuffle", "pixel_unshuffle", "poisson_nll_loss",
    "prelu", "relu", "relu6", "rms_norm", "rrelu", "scaled_dot_product_attention", "selu", "sigmoid",
    "sigmoid_focal_loss", "silu", "smooth_l1_loss", "soft_margin_loss", "softmax", "softmin", "softplus",
    "softshrink", "softsign", "tanh", "tanhshrink", "threshold", "triplet_margin_loss",
    "triplet_margin_with_distance_loss", "unfold", "upsample",
]  # fmt: skip


def _with_inplace(function: Callable[..., Any]) -> Callable[..., Any]:
    """PyTorch's `inplace=`: understood, and without effect, since tensors behave as values."""

    @functools.wraps(function)
    def call(*args: Any, inplace: bool = False, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


def relu(x: Any, inplace: bool = False) -> Any:
    """`ops.relu`; with `inplace=True` an intermediate result of a graph becomes its own relu.

    That takes no memory where no rule needs the old values; see `nn.ReLU`.
    """
    return relu_in_place(x) if inplace else ops.relu(x)


relu6 = _with_inplace(ops.relu6)
elu = _with_inplace(ops.elu)
selu = _with_inplace(ops.selu)
celu = _with_inplace(ops.celu)
leaky_relu = _with_inplace(ops.leaky_relu)
rrelu = _with_inplace(ops.rrelu)
silu = _with_inplace(ops.silu)
mish = _with_inplace(ops.mish)
hardtanh = _with_inplace(ops.hardtanh)
hardsigmoid = _with_inplace(ops.hardsigmoid)
hardswish = _with_inplace(ops.hardswish)
threshold = _with_inplace(ops.threshold)
dropout = _with_inplace(ops.dropout)
dropout1d = _with_inplace(ops.dropout1d)
dropout2d = _with_inplace(ops.dropout2d)
dropout3d = _with_inplace(ops.dropout3d)
alpha_dropout = _with_inplace(ops.alpha_dropout)
feature_alpha_dropout = _with_inplace(ops.feature_alpha_dropout)


def _along(name: str, function: Callable[..., Any], input: Any, dim: int | None, dtype: Any) -> Any:
    if dim is None:
        if input.ndim not in (1, 2):
            raise ArgumentError(f"{name}: which axis of {sig(input)} is meant is not clear", hint=f"{name}(x, dim=1)")
        dim = -1
    return function(input if dtype is None else ops.astype(input, dtype), dim)


def softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """`ops.softmax`; without `dim` along the last axis of a vector or matrix."""
    return _along("softmax", ops.softmax, input, dim, dtype)


def log_softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """`ops.log_softmax`; without `dim` along the last axis of a vector or matrix."""
    return _along("log_softmax", ops.log_softmax, input, dim, dtype)


def softmin(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """`ops.softmin`; without `dim` along the last axis of a vector or matrix."""
    return _along("softmin", ops.softmin, input, dim, dtype)


def gumbel_softmax(logits: Any, tau: float = 1, hard: bool = False, *, dim: int = -1) -> Any:
    """`ops.gumbel_softmax`."""
    return ops.gumbel_softmax(logits, tau, hard, axis=dim)


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """More elements around the last axes.  `pad`: (before, after) of the last axis, then of the one before it, ...

    Modes are those of `ops.pad`, whose widths count from the first axis.
    """
    widths = tuple(pad)
    if len(widths) % 2 or len(widths) > 2 * input.ndim:
        raise ArgumentError(f"pad: {widths} are not pairs for at most the {input.ndim} axes of {sig(input)}")
    pairs = [widths[i : i + 2] for i in range(0, len(widths), 2)]
    return ops.pad(input, [(0, 0)] * (input.ndim - len(pairs)) + pairs[::-1], mode, 0 if value is None else value)
