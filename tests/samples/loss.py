"""Losses that compare element by element; references are their formulae in NumPy."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, E, Given, Pos, S, Unit


def reduce(loss, reduction="mean", weight=None):
    if weight is not None:
        loss = loss * weight
    if reduction == "none":
        return loss
    return loss.sum() if reduction == "sum" else loss.mean() if weight is None else loss.sum() / np.sum(weight)


def huber(x, t, reduction="mean", delta=1.0, weight=None):
    d = np.abs(x - t)
    loss = np.where(d <= delta, d**2 / 2, delta * (d - delta / 2))
    return reduce(loss if weight is None else loss * weight, reduction)


def smooth_l1(x, t, reduction="mean", beta=1.0):
    return huber(x, t, reduction, beta) / beta if beta else reduce(np.abs(x - t), reduction)


def bce(p, t, weight=None, reduction="mean"):
    with np.errstate(divide="ignore"):
        loss = -(t * np.maximum(np.log(p), -100) + (1 - t) * np.maximum(np.log(1 - p), -100))
    return reduce(loss if weight is None else loss * weight, reduction)


def bce_logits(x, t, weight=None, reduction="mean", pos_weight=1.0):
    loss = pos_weight * t * np.logaddexp(0, -x) + (1 - t) * np.logaddexp(0, x)
    return reduce(loss if weight is None else loss * weight, reduction)


def focal(x, t, alpha=0.25, gamma=2.0, reduction="none"):
    p = 1 / (1 + np.exp(-x))
    right = p * t + (1 - p) * (1 - t)
    loss = -(t * np.log(p) + (1 - t) * np.log(1 - p)) * (1 - right) ** gamma
    return reduce(loss if alpha < 0 else loss * (alpha * t + (1 - alpha) * (1 - t)), reduction)


def kl(x, t, reduction="mean", log_target=False):
    t = np.exp(t) if log_target else t
    loss = np.where(t == 0, 0, t * (np.log(np.where(t == 0, 1, t)) - x))
    return loss.sum() / len(loss) if reduction == "batchmean" else reduce(loss, reduction)


def poisson(x, t, log_input=True, full=False, *, eps=1e-8, reduction="mean"):
    loss = np.exp(x) - t * x if log_input else x - t * np.log(x + eps)
    if full:
        big = np.where(t > 1, t, 1)
        loss = loss + np.where(t > 1, big * np.log(big) - big + 0.5 * np.log(2 * np.pi * big), 0)
    return reduce(loss, reduction)


def gaussian(x, t, var, full=False, eps=1e-6, *, reduction="mean"):
    var = var[..., None] if var.shape == x.shape[:-1] else var
    var = np.maximum(var, eps)
    return reduce(0.5 * (np.log(var) + (x - t) ** 2 / var) + full * 0.5 * np.log(2 * np.pi), reduction)


def hinge(x, t, margin=1.0, squared=False, reduction="mean"):
    return reduce(np.maximum(0, margin - t * x) ** (1 + squared), reduction)


def hinge_embedding(x, t, margin=1.0, reduction="mean"):
    return reduce(np.where(t == 1, x, np.maximum(0, margin - x)), reduction)


SIGNS = np.array([[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]])
BITS = (SIGNS + 1) / 2
P = Unit(2, 3)  # of both signs: squared it is a probability


def squared(name):
    """Takes the square of the first input, so that finite differences stay inside [0, 1]."""
    function = getattr(tg, name)
    return lambda x, *rest, **kw: function(x * x, *rest, **kw)


def of_square(ref):
    return lambda x, *rest, **kw: ref(x * x, *rest, **kw)


SAMPLES = [
    S("l1_loss", A(2, 3), A(2, 3), ref=lambda x, t: np.abs(x - t).mean()),
    S("l1_loss", A(2, 3), A(2, 3), kw=dict(reduction="sum"), ref=lambda x, t, reduction: np.abs(x - t).sum()),
    S("l1_loss", A(2, 3), A(2, 3), kw=dict(weight=Pos(2, 3)),
      ref=lambda x, t, weight: reduce(np.abs(x - t), weight=weight)),
    S("mse_loss", A(2, 3), A(2, 3), ref=lambda x, t: ((x - t) ** 2).mean()),
    S("mse_loss", A(2, 3), A(2, 3), kw=dict(reduction="none"), ref=lambda x, t, reduction: (x - t) ** 2),
    S("mse_loss", A(), A(), kw=dict(reduction="sum"), ref=lambda x, t, reduction: (x - t) ** 2),
    S("mse_loss", A(0, 3), A(0, 3), kw=dict(reduction="sum"), ref=lambda x, t, reduction: np.float64(0), second=False,
      why="nothing to differentiate"),
    S("mse_loss", A(2, 3), A(2, 3), kw=dict(weight=Pos(2, 3)),
      ref=lambda x, t, weight: reduce((x - t) ** 2, weight=weight)),
    S("huber_loss", A(2, 3), A(2, 3), ref=huber),
    S("huber_loss", A(2, 3), A(2, 3), kw=dict(delta=0.3, reduction="none"), ref=huber),
    S("huber_loss", A(2, 3), A(2, 3), kw=dict(delta=0.3, weight=Pos(2, 3)), ref=huber),
    S("smooth_l1_loss", A(2, 3), A(2, 3), kw=dict(beta=0.5), ref=smooth_l1),
    S("smooth_l1_loss", A(2, 3), A(2, 3), kw=dict(beta=0), ref=smooth_l1),
    S("binary_cross_entropy", P, Given(BITS), f=squared("binary_cross_entropy"), ref=of_square(bce), tol=2),
    S("binary_cross_entropy", P, Pos(2, 3), Pos(3), kw=dict(reduction="none"), f=squared("binary_cross_entropy"),
      ref=of_square(bce), tol=2),
    S("binary_cross_entropy", np.array([0.0, 1.0, 1.0]), np.array([1.0, 0.0, 1.0]), ref=bce, grad=False),
    S("binary_cross_entropy_with_logits", A(2, 3), Pos(2, 3), ref=bce_logits),
    S("binary_cross_entropy_with_logits", Given([0.0, 1e4, -1e4]), Given([0.5, 1.0, 1.0]), kw=dict(reduction="none"),
      ref=bce_logits, dtypes=("float32", "float64")),
    S("binary_cross_entropy_with_logits", A(2, 3), Pos(2, 3), Pos(3), kw=dict(pos_weight=Pos(3), reduction="sum"),
      ref=bce_logits),
    S("sigmoid_focal_loss", A(2, 3), Given(BITS), ref=focal),
    S("sigmoid_focal_loss", A(2, 3), Given(BITS), -1, 1.5, kw=dict(reduction="mean"), ref=focal),
    S("kl_div", A(2, 3), Pos(2, 3), ref=kl),
    S("kl_div", A(2, 3), A(2, 3), kw=dict(log_target=True, reduction="batchmean"), ref=kl),
    S("kl_div", A(3), np.array([0.0, 0.5, 0.5]), kw=dict(reduction="sum"), ref=kl, dtypes=("float64",)),
    S("poisson_nll_loss", A(2, 3), Pos(2, 3), ref=poisson),
    S("poisson_nll_loss", Pos(2, 3), np.array([[0.0, 3.0, 1.0], [2.0, 7.0, 4.0]]), False, True,
      kw=dict(reduction="none"),
      ref=poisson, dtypes=("float64",)),
    S("gaussian_nll_loss", A(2, 3), A(2, 3), Pos(2, 3), ref=gaussian),
    S("gaussian_nll_loss", A(2, 3), A(2, 3), Pos(2), True, kw=dict(reduction="sum"), ref=gaussian),
    S("gaussian_nll_loss", A(3), A(3), np.array([0.0, 1e-9, 0.5]), kw=dict(eps=1e-2), ref=gaussian,
      dtypes=("float64",)),
    S("hinge_loss", A(2, 3), Given(SIGNS), ref=hinge),
    S("hinge_loss", A(2, 3), Given(SIGNS), kw=dict(margin=0.5, squared=True, reduction="none"), ref=hinge),
    S("hinge_embedding_loss", A(2, 3), np.array(SIGNS), 0.5, ref=hinge_embedding),
    S("soft_margin_loss", A(2, 3), Given(SIGNS), ref=lambda x, t: np.log1p(np.exp(-t * x)).mean()),
]

ERRORS = [
    E("mse_loss", A(2, 3), A(4), error=tg.ShapeError, match=r"prediction f32\[2,3\] and target f32\[4\] do not fit"),
    E("mse_loss", np.array([1, 2]), A(2), error=tg.DtypeError, match="prediction is i64"),
    E("mse_loss", A(0), A(0), error=tg.ArgumentError, match="mean over an empty batch"),
    E("mse_loss", A(2), A(2), kw=dict(reduction="avg"), error=tg.ArgumentError, match="none, got 'avg'"),
    E("huber_loss", A(2), A(2), kw=dict(delta=0), error=tg.ArgumentError, match="delta must be more than 0, got 0"),
    E("smooth_l1_loss", A(2), A(2), kw=dict(beta=-1), error=tg.ArgumentError, match="got -1"),
    E("binary_cross_entropy", np.array([[0.5, 1.5]], np.float32), Pos(1, 2), error=tg.ArgumentError,
      match=r"input\[0, 1\] is 1.5"),
    E("sigmoid_focal_loss", A(2), A(2), 2.0, error=tg.ArgumentError, match="alpha must be at most 1, got 2"),
    E("kl_div", A(2), A(2), kw=dict(reduction="total"), error=tg.ArgumentError, match="batchmean, got 'total'"),
    E("gaussian_nll_loss", A(2), A(2), np.array([1.0, -1.0]), error=tg.ArgumentError, match=r"var\[1\] is -1"),
]  # fmt: skip
