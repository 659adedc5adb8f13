"""In which precision operations compute inside `autocast`: two lists of names. Imported by ops/__init__.py, last.

They follow PyTorch's. What stands in neither takes the dtypes that come; where float16 meets float32, float32 wins.
A name stands for the operation, the fused one and the checked function in front of them alike.
"""

from __future__ import annotations

from tensorgraph.autocast import NARROW, WIDE

__all__: list[str] = []

NARROW.update(
    """
    contract correlate correlate_input correlate_relu gru gru_cell linear linear_relu lstm lstm_cell matmul
    rnn rnn_relu_cell rnn_tanh_cell scaled_dot_product_attention
""".split()
)

WIDE.update(
    """
    acos acosh asin cosh cumprod cumsum erfinv exp exp2 expm1 float_power log log10 log1p log2 logaddexp logcumsumexp
    logsumexp mean norm2 pow power_norm prod reciprocal rsqrt sinh square std sum tan var
    log_softmax softmax
    batch_norm group_norm instance_norm layer_norm rms_norm standardize standardize_relu
    bernoulli_nll binary_cross_entropy binary_cross_entropy_with_logits cdist cosine_embedding_loss ctc ctc_loss
    gaussian_nll_loss hinge_embedding_loss hinge_loss huber huber_loss kl_div l1_loss logistic_loss margin_ranking_loss
    mse_loss multi_margin_loss multilabel_margin_loss multilabel_soft_margin_loss nll_loss poisson_nll_loss
    sigmoid_focal_loss smooth_l1_loss soft_margin_loss softmax_cross_entropy triplet_margin_loss
    triplet_margin_with_distance_loss
""".split()
)
