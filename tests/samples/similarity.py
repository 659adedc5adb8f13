"""Similarities of vectors and the losses on them."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, E, Given, S
from tests.samples.loss import SIGNS


def cosine(a, b, axis=1, eps=1e-8):
    a, b = np.broadcast_arrays(a, b)
    norms = np.maximum(np.linalg.norm(a, axis=axis), eps) * np.maximum(np.linalg.norm(b, axis=axis), eps)
    return (a * b).sum(axis) / norms


def distance(a, b, p=2.0, eps=1e-6, keepdim=False):
    return (np.abs(a - b + eps) ** p).sum(-1, keepdims=keepdim) ** (1 / p)


def cosine_embedding(a, b, t, margin=0.0, reduction="mean"):
    c = cosine(a, b, -1)
    loss = np.where(t == 1, 1 - c, np.maximum(0, c - margin))
    return loss if reduction == "none" else getattr(loss, reduction)()


def ranking(a, b, t, margin=0.0, reduction="mean"):
    loss = np.maximum(0, -t * (a - b) + margin)
    return loss if reduction == "none" else getattr(loss, reduction)()


def triplet(a, p, n, margin=1.0, norm=2.0, eps=1e-6, swap=False, reduction="mean"):
    far = distance(a, n, norm, eps)
    if swap:
        far = np.minimum(far, distance(p, n, norm, eps))
    loss = np.maximum(0, distance(a, p, norm, eps) - far + margin)
    return loss if reduction == "none" else getattr(loss, reduction)()


def manhattan(a, b):
    return abs(a - b).sum(-1)


def cdist(a, b, p=2.0):
    return (np.abs(a[..., :, None, :] - b[..., None, :, :]) ** p).sum(-1) ** (1 / p)


SAMPLES = [
    S("cdist", A(3, 2), A(4, 2), ref=cdist),
    S("cdist", A(2, 3, 2), A(1, 2), 1, ref=cdist),
    S("cdist", A(3, 2), A(0, 2), kw=dict(p=3.0), ref=cdist),
    S("cdist", A(3, 2), A(2, 2), np.inf, ref=lambda a, b, p: abs(a[:, None] - b).max(-1)),
    # the gradient of a broadcast vector is 0 up to rounding, so lower precisions compare nothing but noise
    S("cosine_similarity", A(1, 2, 3), A(2, 1, 3), kw=dict(axis=-2), ref=cosine, dtypes=("float64",)),
    S("cosine_similarity", A(2, 3), A(2, 3), ref=cosine),
    S("cosine_similarity", A(2, 3), A(2, 3), kw=dict(axis=0, eps=10.0), ref=cosine),
    S("cosine_similarity", A(2, 3), A(2, 3), kw=dict(dim=0), ref=lambda a, b, dim: cosine(a, b, dim)),
    S("cosine_similarity", np.zeros((1, 3)), np.ones((1, 3)), ref=cosine, grad=False),
    S("pairwise_distance", A(2, 3), A(2, 3), ref=distance),
    S("pairwise_distance", A(2, 3), A(3), 3.0, kw=dict(keepdim=True), ref=distance),
    S("cosine_embedding_loss", A(2, 3), A(2, 3), np.array([1, -1]), -0.5, ref=cosine_embedding),
    S("cosine_embedding_loss", A(3), A(3), np.array(-1.0), -0.5, kw=dict(reduction="none"), ref=cosine_embedding),
    S("margin_ranking_loss", A(2, 3), A(2, 3), Given(SIGNS), 0.1, kw=dict(reduction="sum"), ref=ranking),
    S("triplet_margin_loss", A(2, 3), A(2, 3), A(2, 3), 2.0, ref=triplet),
    S("triplet_margin_loss", A(2, 3), A(2, 3), A(2, 3), 3.0, 1.5, 1e-6, True, kw=dict(reduction="none"), ref=triplet),
    S("triplet_margin_with_distance_loss", A(2, 3), A(2, 3), A(2, 3),
      kw=dict(distance_function=manhattan, margin=4.0),
      ref=lambda a, p, n, distance_function, margin: np.maximum(manhattan(a, p) - manhattan(a, n) + margin, 0).mean()),
]  # fmt: skip

ERRORS = [
    E("cdist", A(3, 2), A(4, 3), error=tg.ShapeError, match="cdist: x1 is f32.3,2., x2 f32.4,3."),
    E("cdist", A(2), A(4, 2), error=tg.ShapeError, match="cdist: x1 is f32.2."),
    E("cosine_embedding_loss", A(2, 3), A(3), A(2), error=tg.ShapeError, match="must be equal"),
    E("triplet_margin_loss", A(2), A(2), A(2), 0.0, error=tg.ArgumentError, match="margin must be more than 0, got 0"),
    E("margin_ranking_loss", A(2), A(3), A(2), error=tg.ShapeError, match="do not fit"),
]
