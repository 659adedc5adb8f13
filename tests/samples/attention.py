"""Attention, head by head and query by query."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, E, Given, S


def attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if enable_gqa:
        k, v = (np.repeat(x, q.shape[-3] // x.shape[-3], axis=-3) for x in (k, v))
    y = np.zeros((*q.shape[:-1], v.shape[-1]))
    scores = np.zeros((*q.shape[:-1], k.shape[-2]))
    mask = np.zeros(scores.shape) if attn_mask is None else np.broadcast_to(attn_mask, scores.shape)
    if mask.dtype == bool:
        mask = np.where(mask, 0, -np.inf)
    for i in np.ndindex(q.shape[:-1]):
        s = scale * k[i[:-1]] @ q[i] + mask[i]
        if is_causal:
            s[i[-1] + 1 :] = -np.inf
        e = np.exp(s - max(s.max(), -1e300))
        y[i] = (e / e.sum()) @ v[i[:-1]] if e.any() else 0
    return y


SEES = np.array([[True, False, True, True], [False, False, False, False], [True, True, True, False]])
F = "scaled_dot_product_attention"

SAMPLES = [
    S(F, A(3, 2), A(4, 2), A(4, 5), ref=attention),
    S(F, A(2, 3, 2), A(2, 3, 2), A(2, 3, 2), kw=dict(is_causal=True), ref=attention),
    S(F, A(2, 3, 2), A(2, 4, 2), A(2, 4, 2), SEES, ref=attention),
    S(F, A(2, 3, 2), A(2, 4, 2), A(2, 4, 2), A(3, 4), kw=dict(scale=2.0), ref=attention),
    S(F, A(2, 4, 3, 2), A(2, 2, 3, 2), A(2, 2, 3, 2), kw=dict(enable_gqa=True), ref=attention),
    S(F, Given([[1e4, 0.0]]), Given([[1.0, 0.0], [-1.0, 0.0]]), A(2, 3), ref=attention, dtypes=("float32", "float64")),
    S(F, A(3, 2), A(4, 2), A(4, 5), kw=dict(dropout_p=1.0), ref=lambda q, k, v, dropout_p: np.zeros((3, 5)), grad=False,
      why="everything is dropped"),
]  # fmt: skip

ERRORS = [
    E(F, A(3, 2), A(4, 3), A(4, 5), error=tg.ShapeError, match="must have equal features"),
    E(F, A(3, 2), A(4, 2), A(5, 5), error=tg.ShapeError, match="equal lengths"),
    E(F, A(3), A(4, 3), A(4, 5), error=tg.DtypeError, match=r"query is f32\[3\]"),
    E(F, A(3, 2), A(4, 2), A(4, 5), A(3, 4), kw=dict(is_causal=True), error=tg.ArgumentError, match="not both"),
    E(F, A(3, 2), A(4, 2), A(4, 5), np.ones((3, 4), int), error=tg.DtypeError, match="attn_mask is i64"),
    E(F, A(3, 3, 2), A(2, 4, 2), A(2, 4, 5), kw=dict(enable_gqa=True), error=tg.ShapeError, match="3 heads"),
]
