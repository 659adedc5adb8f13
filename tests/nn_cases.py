"""One small call of every layer, loss and family of networks, for the tests that run all of them on another device.

`CASES` holds (name, constructor, inputs): shapes stand for normal numbers, arrays for themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorgraph import nn
from tensorgraph.nn import models

LINE, IMAGE, VOLUME = (2, 4, 8), (2, 4, 6, 6), (2, 4, 4, 4, 4)
SPACES = {1: LINE, 2: IMAGE, 3: VOLUME}

_rng = np.random.default_rng(7)
LABELS = np.array([0, 2, 1, 2])
SCORES, POSITIVE = _rng.standard_normal((4, 3)), _rng.uniform(0.1, 0.9, (4, 3))
BITS, SIGNS = (POSITIVE > 0.5).astype(float), np.where(POSITIVE > 0.5, 1.0, -1.0)
TOKENS = np.array([[0, 4, 1], [2, 2, 3]])

Case = tuple[str, Callable[[], Any], tuple]


def _activations() -> list[Case]:
    settings: dict[str, tuple] = {
        "GLU": (1,), "LogSoftmax": (1,), "Maxout": (2,), "PReLU": (4,), "Softmax": (1,), "Softmin": (1,),
        "Threshold": (0.1, 2.0), "BinaryStep": ("arctan",),
    }  # fmt: skip
    cases: list[Case] = []
    for name in nn.layers.activation.__all__:
        cases.append((name, lambda name=name: getattr(nn, name)(*settings.get(name, ())), (IMAGE,)))
    return cases


def _spatial() -> list[Case]:
    """What comes for one, two and three axes."""
    cases: list[Case] = []

    def add(name: str, shape: tuple, *args: Any, **kw: Any) -> None:
        cases.append((name, lambda: getattr(nn, name)(*args, **kw), (shape,)))

    for d, shape in SPACES.items():
        add(f"Conv{d}d", shape, 4, 6, 3, stride=2, padding=1, groups=2)
        add(f"Conv{d}d", shape, 4, 2, 3, padding="same", padding_mode="reflect" if d < 3 else "circular")
        add(f"ConvTranspose{d}d", shape, 4, 2, 3, stride=2, padding=1, output_padding=1)
        add(f"LazyConv{d}d", shape, 3, 2)
        add(f"LazyConvTranspose{d}d", shape, 3, 2)
        add(f"MaxPool{d}d", shape, 3, 2, 1)
        add(f"AvgPool{d}d", shape, 3, 2, 1, ceil_mode=True, count_include_pad=False)
        add(f"LPPool{d}d", shape, 2, 2)
        add(f"AdaptiveAvgPool{d}d", shape, 3)
        add(f"AdaptiveMaxPool{d}d", shape, 3)
        add(f"BatchNorm{d}d", shape, 4)
        add(f"LazyBatchNorm{d}d", shape)
        add(f"InstanceNorm{d}d", shape, 4, affine=True, track_running_stats=True)
        add(f"Dropout{d}d", shape, 0.4)
        for pad in ("Circular", "Reflection", "Replication", "Zero"):
            add(f"{pad}Pad{d}d", shape, 1)
        add(f"ConstantPad{d}d", shape, (2, 1) * d, 3.5)
        places = np.zeros((1, 1, *(2,) * d), np.int64)
        places[...] = np.ravel_multi_index(np.indices((2,) * d) * 2, (4,) * d)
        cases.append((f"MaxUnpool{d}d", lambda d=d: getattr(nn, f"MaxUnpool{d}d")(2), (places.shape, places)))
    return cases


def _layers() -> list[Case]:
    wide = dict(dim_feedforward=8, dropout=0.1, batch_first=True)
    cases: list[Case] = [
        ("Linear", lambda: nn.Linear(6, 3), (IMAGE,)),
        ("LazyLinear", lambda: nn.LazyLinear(3), (IMAGE,)),
        ("Bilinear", lambda: nn.Bilinear(4, 3, 2), ((5, 4), (5, 3))),
        ("Bias", lambda: nn.Bias(4), (IMAGE,)),
        ("Scale", lambda: nn.Scale(4), (IMAGE,)),
        ("Identity", lambda: nn.Identity(), (IMAGE,)),
        ("Unfold", lambda: nn.Unfold(2, stride=2), (IMAGE,)),
        ("Fold", lambda: nn.Fold((4, 6), 2), ((2, 8, 15),)),
        ("Dropout", lambda: nn.Dropout(0.5), (IMAGE,)),
        ("AlphaDropout", lambda: nn.AlphaDropout(0.2), (IMAGE,)),
        ("FeatureAlphaDropout", lambda: nn.FeatureAlphaDropout(0.2), (IMAGE,)),
        ("Embedding", lambda: nn.Embedding(5, 3, padding_idx=1), (TOKENS,)),
        ("GroupNorm", lambda: nn.GroupNorm(2, 4), (IMAGE,)),
        ("LayerNorm", lambda: nn.LayerNorm((6, 6)), (IMAGE,)),
        ("RMSNorm", lambda: nn.RMSNorm(6), (IMAGE,)),
        ("LocalResponseNorm", lambda: nn.LocalResponseNorm(3), (IMAGE,)),
        ("ChannelShuffle", lambda: nn.ChannelShuffle(2), (IMAGE,)),
        ("PixelShuffle", lambda: nn.PixelShuffle(2), (IMAGE,)),
        ("PixelUnshuffle", lambda: nn.PixelUnshuffle(2), (IMAGE,)),
        ("Flatten", lambda: nn.Flatten(), (IMAGE,)),
        ("Unflatten", lambda: nn.Unflatten(1, (2, 2)), (IMAGE,)),
        ("Upsample", lambda: nn.Upsample(scale_factor=1.5, mode="bicubic"), (IMAGE,)),
        ("UpsamplingBilinear2d", lambda: nn.UpsamplingBilinear2d((9, 4)), (IMAGE,)),
        ("UpsamplingNearest2d", lambda: nn.UpsamplingNearest2d(scale_factor=2), (IMAGE,)),
        ("RNN", lambda: nn.RNN(4, 3, 2, nonlinearity="relu", bidirectional=True), ((5, 2, 4),)),
        ("LSTM", lambda: nn.LSTM(4, 3, 2, batch_first=True, dropout=0.2), ((2, 5, 4),)),
        ("LSTM", lambda: nn.LSTM(4, 3, bidirectional=True, proj_size=2), ((5, 2, 4),)),
        ("GRU", lambda: nn.GRU(4, 3, 2, bidirectional=True), ((5, 2, 4),)),
        ("RNNCell", lambda: nn.RNNCell(4, 3), ((2, 4), (2, 3))),
        ("LSTMCell", lambda: nn.LSTMCell(4, 3), ((2, 4),)),
        ("GRUCell", lambda: nn.GRUCell(4, 3), ((2, 4), (2, 3))),
        ("MultiheadAttention", lambda: nn.MultiheadAttention(4, 2, 0.1, add_bias_kv=True, batch_first=True),
         ((2, 3, 4), (2, 5, 4), (2, 5, 4))),
        ("Transformer", lambda: nn.Transformer(4, 2, 1, 1, 8, batch_first=True), ((2, 3, 4), (2, 5, 4))),
        ("TransformerEncoderLayer", lambda: nn.TransformerEncoderLayer(4, 2, **wide), ((2, 3, 4),)),
        ("TransformerDecoderLayer", lambda: nn.TransformerDecoderLayer(4, 2, **wide, norm_first=True),
         ((2, 3, 4), (2, 5, 4))),
        ("TransformerEncoder", lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, **wide), 2),
         ((2, 3, 4),)),
        ("TransformerDecoder", lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, **wide), 1),
         ((2, 3, 4), (2, 5, 4))),
    ]  # fmt: skip
    return cases


def _losses() -> list[Case]:
    row, other = (4, 3), (4, 3)
    return [
        ("BCELoss", nn.BCELoss, (POSITIVE, BITS)),
        ("BCEWithLogitsLoss", lambda: nn.BCEWithLogitsLoss(), (row, BITS)),
        ("CTCLoss", lambda: nn.CTCLoss(zero_infinity=True),
         (np.log(np.full((6, 2, 3), 1 / 3)), np.array([[1, 2, 1], [2, 2, 1]]), np.array([6, 5]), np.array([3, 2]))),
        ("CosineEmbeddingLoss", nn.CosineEmbeddingLoss, (row, other, SIGNS[:, 0])),
        ("CrossEntropyLoss", lambda: nn.CrossEntropyLoss(label_smoothing=0.1, ignore_index=1), (row, LABELS)),
        ("CrossEntropyLoss", lambda: nn.CrossEntropyLoss(), (row, POSITIVE)),
        ("FocalLoss", nn.FocalLoss, (row, BITS)),
        ("GaussianNLLLoss", nn.GaussianNLLLoss, (row, other, POSITIVE)),
        ("HingeEmbeddingLoss", nn.HingeEmbeddingLoss, (row, SIGNS)),
        ("HingeLoss", nn.HingeLoss, (row, SIGNS)),
        ("HuberLoss", nn.HuberLoss, (row, other)),
        ("KLDivLoss", lambda: nn.KLDivLoss(reduction="batchmean"), (np.log(POSITIVE), POSITIVE)),
        ("L1Loss", nn.L1Loss, (row, other)),
        ("MSELoss", nn.MSELoss, (row, other)),
        ("MarginRankingLoss", nn.MarginRankingLoss, (row, other, SIGNS)),
        ("MultiLabelMarginLoss", nn.MultiLabelMarginLoss,
         (row, np.array([[2, 0, -1], [-1, 0, 0], [0, 1, 2], [1, -1, 2]]))),
        ("MultiLabelSoftMarginLoss", nn.MultiLabelSoftMarginLoss, (row, BITS)),
        ("MultiMarginLoss", nn.MultiMarginLoss, (row, LABELS)),
        ("NLLLoss", nn.NLLLoss, (np.log(POSITIVE), LABELS)),
        ("PoissonNLLLoss", lambda: nn.PoissonNLLLoss(full=True), (row, np.arange(12.0).reshape(4, 3))),
        ("SmoothL1Loss", nn.SmoothL1Loss, (row, other)),
        ("SoftMarginLoss", nn.SoftMarginLoss, (row, SIGNS)),
        ("TripletMarginLoss", lambda: nn.TripletMarginLoss(swap=True), (row, other, other)),
        ("TripletMarginWithDistanceLoss", lambda: nn.TripletMarginWithDistanceLoss(), (row, other, other)),
    ]  # fmt: skip


def _networks() -> list[Case]:
    """Every family, as small as it goes."""
    return [
        ("MLP", lambda: models.MLP(12, 8, 10, dropout=0.5), ((2, 3, 4),)),
        ("LeNet5", models.LeNet5, ((2, 1, 28, 28),)),
        ("CaffeLeNet", models.CaffeLeNet, ((1, 1, 28, 28),)),
        ("ThreeConvolutions", models.ThreeConvolutions, ((1, 1, 28, 28),)),
        ("MaxoutMLP", lambda: models.MaxoutMLP(3, 12, 4, 2), ((2, 12),)),
        ("CifarResNet", lambda: models.CifarResNet(8), ((1, 3, 8, 8),)),
        ("PreActResNet", lambda: models.PreActResNet(models.PreActBlock, (1, 1, 1), 3, small=True), ((2, 3, 8, 8),)),
        ("BasicBlock", lambda: models.BasicBlock(4, 4), (IMAGE,)),
        ("Bottleneck", lambda: models.Bottleneck(4, 1), (IMAGE,)),
        ("CharRNN", lambda: models.CharRNN("abcde", 4, 4, 1), (TOKENS,)),
    ]


CASES: list[Case] = [*_activations(), *_spatial(), *_layers(), *_losses(), *_networks()]
