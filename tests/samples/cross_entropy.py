"""Losses against classes; the references go label by label."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, E, Given, Pos, S
from tests.samples.loss import SIGNS


def nll(logp, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    weight = np.ones(logp.shape[min(1, logp.ndim - 1)]) if weight is None else weight
    rows = logp[None] if logp.ndim == 1 else np.moveaxis(logp, 1, -1)
    losses, weights = np.zeros(rows.shape[:-1]), np.zeros(rows.shape[:-1])
    for i in np.ndindex(rows.shape[:-1]):
        label = np.reshape(target, rows.shape[:-1])[i]
        if label != ignore_index:
            even = sum(w * p for w, p in zip(weight, rows[i], strict=True)) / len(weight)
            losses[i] = -(1 - label_smoothing) * weight[label] * rows[i][label] - label_smoothing * even
            weights[i] = weight[label]
    if reduction == "none":
        return losses.reshape(np.shape(target))
    return losses.sum() if reduction == "sum" else losses.sum() / weights.sum()


def log_softmax(x):
    axis = min(1, x.ndim - 1)
    x = x - x.max(axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def xent(x, target, *rest, **kw):
    return nll(log_softmax(x), target, *rest, **kw)


def soft(x, target, weight=1.0, reduction="mean", label_smoothing=0.0):
    target = target * (1 - label_smoothing) + label_smoothing / x.shape[1]
    terms = target * log_softmax(x) * np.reshape(weight, (-1,) + (1,) * (x.ndim - 2))
    loss = -terms.sum(1)
    return loss if reduction == "none" else getattr(loss, reduction)()


def multi_margin(x, target, p=1, margin=1.0, weight=None, reduction="mean"):
    loss = []
    for row, label in zip(np.atleast_2d(x), np.atleast_1d(target), strict=True):
        terms = [max(0, margin - row[label] + v) ** p for c, v in enumerate(row) if c != label]
        loss.append(sum(terms) / len(row) * (1 if weight is None else weight[label]))
    loss = np.reshape(loss, np.shape(target))
    return loss if reduction == "none" else getattr(loss, reduction)()


def multilabel_margin(x, target, reduction="mean"):
    loss = []
    for row, labels in zip(np.atleast_2d(x), np.atleast_2d(target).tolist(), strict=True):
        labels = labels[: labels.index(-1)] if -1 in labels else labels
        others = [c for c in range(len(row)) if c not in labels]
        loss.append(sum(max(0, 1 - row[a] + row[b]) for a in labels for b in others) / len(row))
    loss = np.reshape(loss, np.shape(target)[:-1])
    return loss if reduction == "none" else getattr(loss, reduction)()


def multilabel_soft(x, t, weight=1.0, reduction="mean"):
    loss = (weight * (t * np.logaddexp(0, -x) + (1 - t) * np.logaddexp(0, x))).mean(-1)
    return loss if reduction == "none" else getattr(loss, reduction)()


T4 = np.array([2, 0, 1, 2])
IGNORED = np.array([2, -100, 1, 0])
PIXELS = np.array([[[2, 0], [1, 1]], [[0, 1], [2, 2]]])  # (2, 2, 2) labels of (2, 3, 2, 2)
HUGE = Given([[1e4, -1e4, 0.0], [0.0, 1e4, 1e4]])
WIDE = dict(dtypes=("float32", "float64"))

SAMPLES = [
    *(S("softmax_cross_entropy", A(4, 3), IGNORED, kw=dict(reduction=r, label_smoothing=s), ref=xent)
      for r in ("mean", "sum", "none") for s in (0.0, 0.2)),
    S("softmax_cross_entropy", A(4, 3), T4, ref=xent),
    S("softmax_cross_entropy", A(4, 3), T4.astype(np.int32), Pos(3), ref=xent),
    S("softmax_cross_entropy", A(4, 3), IGNORED, Pos(3), kw=dict(label_smoothing=0.3), ref=xent),
    S("softmax_cross_entropy", A(4, 3), IGNORED, np.array([0.5, 1.0, 2.0]), kw=dict(label_smoothing=0.3), ref=xent),
    S("softmax_cross_entropy", A(2, 3, 2, 2), PIXELS, kw=dict(ignore_index=0), ref=xent),
    S("softmax_cross_entropy", A(2, 3, 2, 2), PIXELS, kw=dict(reduction="none"), ref=xent),
    S("softmax_cross_entropy", A(3), np.array(1), ref=xent),
    S("softmax_cross_entropy", A(0, 3), T4[:0], kw=dict(reduction="sum"), ref=xent, second=False, why="nothing there"),
    S("softmax_cross_entropy", HUGE, T4[:2], kw=dict(reduction="none"), ref=xent, **WIDE),
    S("softmax_cross_entropy", A(4, 3), Pos(4, 3), ref=soft),
    S("softmax_cross_entropy", A(2, 3, 2, 2), Pos(2, 3, 2, 2), Pos(3), kw=dict(label_smoothing=0.2, reduction="none"),
      ref=soft),
    S("softmax_cross_entropy", HUGE, np.array([[1.0, 0, 0], [0, 0.5, 0.5]]), kw=dict(reduction="sum"), ref=soft,
      dtypes=("float64",)),
    S("cross_entropy", A(4, 3), T4, ref=xent),
    S("nll_loss", A(4, 3), IGNORED, Pos(3), ref=nll),
    S("nll_loss", A(2, 3, 2, 2), PIXELS, kw=dict(reduction="none"), ref=nll),
    S("multi_margin_loss", A(4, 3), T4, ref=multi_margin),
    S("multi_margin_loss", A(4, 3), T4, 2, 0.5, Pos(3), kw=dict(reduction="none"), ref=multi_margin),
    S("multi_margin_loss", A(3), np.array(1), ref=multi_margin),
    S("multilabel_margin_loss", A(2, 4), np.array([[3, 0, -1, 1], [-1, 0, 1, 2]]), ref=multilabel_margin),
    S("multilabel_margin_loss", A(4), np.array([1, 2, 0, 3]), kw=dict(reduction="sum"), ref=multilabel_margin,
      grad=False,
      why="no other class is left: the loss is 0"),
    S("multilabel_soft_margin_loss", A(2, 3), Given((SIGNS + 1) / 2), Pos(3), kw=dict(reduction="none"),
      ref=multilabel_soft),
]  # fmt: skip

NAN = np.array([0.0, np.nan, 1.0, 2.0], np.float32)

ERRORS = [
    E("softmax_cross_entropy", A(4, 3), np.array([0, 1, 3, 2]), error=tg.OutOfRangeError,
      match=r"label\[2\] is 3, but there are 3 classes \(0 to 2\)[\s\S]*count from 0"),
    E("softmax_cross_entropy", A(2, 3, 2, 2), np.where(PIXELS == 2, -1, PIXELS), error=tg.OutOfRangeError,
      match=r"label\[0, 0, 0\] is -1[\s\S]*ignore_index=-1"),
    E("softmax_cross_entropy", A(4, 3), NAN, error=tg.DtypeError, match=r"got f32\[4\], and label\[1\] is nan"),
    E("softmax_cross_entropy", A(4, 3), np.full((4, 3), np.nan, np.float32), error=tg.ArgumentError,
      match=r"target\[0, 0\] is nan"),
    E("softmax_cross_entropy", A(4, 3), T4[:, None], error=tg.ShapeError, match=r"i64\[4,1\][\s\S]*squeeze\(1\)"),
    E("softmax_cross_entropy", A(4, 3), np.eye(4, 3, dtype=int), error=tg.ShapeError, match="one-hot labels"),
    E("softmax_cross_entropy", A(4, 3), T4[:3], error=tg.ShapeError, match=r"labels are i64\[3\], expected \(4,\)"),
    E("softmax_cross_entropy", A(4, 3), T4, A(2), error=tg.ShapeError, match=r"weight is f32\[2\].*each of 3 classes"),
    E("softmax_cross_entropy", T4, T4, error=tg.DtypeError, match="logits are i64"),
    E("softmax_cross_entropy", A(), np.array(0), error=tg.ShapeError, match="single number"),
    E("softmax_cross_entropy", A(0, 3), T4[:0], error=tg.ArgumentError,
      match=r"the batch is empty: input is f32\[0,3\]"),
    E("softmax_cross_entropy", A(4, 3), np.full(4, -100), error=tg.ArgumentError, match="every label is ignored"),
    E("softmax_cross_entropy", A(4, 3), T4, kw=dict(label_smoothing=2), error=tg.ArgumentError, match="got 2"),
    E("softmax_cross_entropy", A(4, 3), T4, kw=dict(reduction=None), error=tg.ArgumentError, match="got None"),
    E("nll_loss", A(4, 3), T4 + 7, error=tg.OutOfRangeError, match=r"label\[0\] is 9"),
    E("nll_loss", T4, T4, error=tg.DtypeError, match="log-probabilities"),
    E("multi_margin_loss", A(4, 3), T4, 3, error=tg.ArgumentError, match="p is 1 or 2, got 3"),
    E("multi_margin_loss", A(2, 3, 1), T4, error=tg.ShapeError, match=r"expected \(N, C\)"),
    E("multilabel_margin_loss", A(2, 3), T4, error=tg.ShapeError, match="the target integers"),
    E("multilabel_margin_loss", A(3), np.array([0, 5, -1]), error=tg.OutOfRangeError, match=r"label\[1\] is 5"),
]  # fmt: skip
