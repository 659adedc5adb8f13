"""Fast forms of fused operations (fused.py), in the array library's own functions: every backend starts with them.

Each is `kernel(be, *arrays, wanted, **settings) -> (value, pullback)`, or None for arrays that it leaves to the
definition. Imported by backends/array.py only. Half precision is computed in float32.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tensorgraph.backends.recurrence import gru, lstm, rnn

FLOAT = np.dtype("float32")


def _wide(x: Any) -> Any:
    """Half precision as float32."""
    return x.astype(FLOAT) if x.dtype.itemsize == 2 else x


# ---- softmax cross-entropy -----------------------------------------------------------------------------------------
def cross_entropy(
    be: Any,
    input: Any,
    target: Any,
    weight: Any,
    *,
    wanted: tuple,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
    count: int,
) -> Any:
    """Loss of class indices from max, exp and sum; the gradient softmax - one-hot from what the forward pass left.

    input (C,), (N, C) or (N, C, ...), target without C, weight (C,) or None; `count` labels are not ignored (an array
    with that number where it is not known on the host).
    """
    if wanted[2] or input.dtype.kind != "f" or not input.size:
        return None
    x = _wide(input)
    if x.ndim == 1:
        x = x.reshape(1, -1)
    elif x.ndim > 2:
        x = be.moveaxis(x, 1, -1)
    outer = x.shape[:-1]
    x = x.reshape(-1, x.shape[-1])
    n, classes = x.shape
    labels = target.reshape(n)
    valid = None
    if not isinstance(count, int) or count < n:
        valid = labels != ignore_index
        labels = be.where(valid, labels, 0)
    rows = be.arange(n)
    mean_score = None
    if label_smoothing:
        e = x - be.max(x, axis=1, keepdims=True)
        score = e[rows, labels]
        mean_score = be.sum(e, axis=1) / classes if weight is None else be.matmul(e, weight) / classes
        be.exp(e, out=e)
        z = be.sum(e, axis=1)
    else:
        e, top, z = be.exp_rows(x)
        score = x[rows, labels] - top
    log_z = be.log(z)
    loss = log_z - score
    of_labels = None if weight is None else weight[labels]
    if of_labels is not None:
        loss *= of_labels
    if mean_score is not None:
        of_all = 1 if weight is None else be.sum(weight) / classes
        loss = (1 - label_smoothing) * loss + label_smoothing * (of_all * log_z - mean_score)
    if valid is not None:
        loss = be.where(valid, loss, 0)
    if reduction == "none":
        value = loss.reshape(target.shape)
    else:
        total = 1
        if reduction == "mean":
            total = count if weight is None else be.sum(of_labels if valid is None else of_labels * valid)
        value = be.sum(loss) / total

    def pullback(g: Any) -> tuple:
        share = _wide(g).reshape(-1) if reduction == "none" else _wide(g) / total  # of every row in the loss
        if valid is not None:
            share = share * valid
        of_row = share if of_labels is None else share * of_labels  # times the weight of its label
        down = of_row if mean_score is None else (1 - label_smoothing) * of_row
        up = down if mean_score is None else down + label_smoothing * of_all * share
        d = be.label_slope(e, up / z, labels, down)
        if mean_score is not None:
            even = be.reshape(share * (label_smoothing / classes), (-1, 1))
            d -= even if weight is None else even * weight
        d = d.reshape(*outer, classes)
        if input.ndim == 1:
            d = d.reshape(classes)
        elif input.ndim > 2:
            d = be.moveaxis(d, -1, 1)
        return (d.astype(input.dtype, copy=False), None, None)

    return value.astype(input.dtype), pullback


# ---- normalisation -------------------------------------------------------------------------------------------------
def _spread(p: Any, x: Any) -> tuple[int, ...]:
    """The axes along which p is broadcast to x's shape (those of size 1 count, they do no harm)."""
    return tuple([i for i in range(x.ndim) if i < x.ndim - p.ndim or p.shape[i - x.ndim] == 1])


def standardize(
    be: Any,
    input: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    centered: Any,
    var: Any,
    *,
    wanted: tuple,
    axis: tuple[int, ...],
    eps: float,
    center: bool,
    shape: tuple[int, ...] | None,
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias; what is kept is one array of x's size."""
    if any(wanted[3:]) or input.dtype.kind != "f" or not input.size:
        return None
    if centered is None and mean is not None:
        centered = _wide(input) - mean
    x = _wide(input) if centered is None else centered
    n = prod(x.shape[a] for a in axis)
    w, b = (None if p is None else _wide(p if shape is None else p.reshape(shape)) for p in (weight, bias))
    if center and centered is None:
        x = x - be.mean(x, axis=axis, keepdims=True)
    r = 1 / be.sqrt((be.dot_along(x, x, axis) / n if var is None else var) + eps)
    per_slice = w is None or all(w.ndim < x.ndim - a or w.shape[a - x.ndim] == 1 for a in axis)
    if per_slice:  # one factor for every normalised slice: x stays as it is
        scale = r if w is None else r * w
        y = x * scale
    else:
        x = x * r if x is input or x is centered else be.multiply(x, r, out=x)
        y = x * w
    if b is not None:
        y += b

    def pullback(g: Any) -> tuple:
        g = _wide(g)
        gw = gb = None
        if per_slice:
            along, total = be.dot_along(g, x, axis), be.sum(g, axis=axis, keepdims=True)
            if wanted[1]:
                gw = be.sum(along * r, axis=_spread(w, x))
            if wanted[2]:
                gb = be.sum(total, axis=_spread(b, x))
            gx = x * (along * r * r * scale * (-1 / n))
            if center:
                gx -= total * scale * (1 / n)
            gx += g * scale
        else:
            if wanted[1]:
                gw = be.dot_along(g, x, _spread(w, x))
            if wanted[2]:
                gb = be.sum(g, axis=_spread(b, x))
            g = g * w
            gx = x * (be.dot_along(g, x, axis) * (-1 / n))
            if center:
                gx -= be.sum(g, axis=axis, keepdims=True) * (1 / n)
            gx += g
            gx *= r
        if gw is not None:
            gw = gw.reshape(weight.shape).astype(weight.dtype, copy=False)
        if gb is not None:
            gb = gb.reshape(bias.shape).astype(bias.dtype, copy=False)
        return gx.astype(input.dtype, copy=False), gw, gb, None, None, None

    return y.astype(input.dtype, copy=False), pullback


# ---- connectionist temporal classification -------------------------------------------------------------------------
def ctc(
    be: Any, log_probs: Any, path: Any, skips: Any, input_lengths: Any, target_lengths: Any, *, wanted: tuple
) -> Any:
    """Forward recursion; the pullback runs the backward one and adds up the posterior of every label."""
    lp = _wide(log_probs)
    times, n, classes = lp.shape
    length = path.shape[1]
    inf = float("inf")
    rows = be.arange(n)
    lp = be.take_along_axis(lp, be.broadcast_to(path, (times, n, length)), axis=2)
    alpha = be.full(lp.shape, -inf, dtype=lp.dtype)
    alpha[0, :, :2] = lp[0, :, :2]
    for t in range(1, times):
        alpha[t] = _step(be, alpha[t - 1], skips) + lp[t]
    last, end = be.maximum(input_lengths - 1, 0), 2 * target_lengths
    final = alpha[last, rows, end]
    log_p = be.where(target_lengths > 0, be.logaddexp(final, alpha[last, rows, be.maximum(end - 1, 0)]), final)

    def pullback(g: Any) -> tuple:
        beta = be.full(lp.shape, -inf, dtype=lp.dtype)  # of what follows t, without t itself
        positions = be.arange(length)
        ends = (positions == end[:, None]) | (positions == end[:, None] - 1)
        start = be.where(ends, be.zeros((), dtype=lp.dtype), -inf)
        shifted = be.zeros_like(skips)
        shifted[:, :-2] = skips[:, 2:]
        for t in range(times - 1, -1, -1):
            if t < times - 1:
                beta[t] = _step(be, (beta[t + 1] + lp[t + 1])[:, ::-1], shifted[:, ::-1])[:, ::-1]
            beta[t] = be.where((last == t)[:, None], start, beta[t])
        possible = be.isfinite(log_p)
        posterior = be.exp(alpha + beta - be.where(possible, log_p, 0)[:, None])
        posterior *= be.where(possible, -_wide(g), 0)[:, None]
        posterior *= (be.arange(times)[:, None] <= last)[..., None]
        one_hot = (path[..., None] == be.arange(classes)).astype(lp.dtype)
        gx = be.matmul(posterior.swapaxes(0, 1), one_hot).swapaxes(0, 1)
        return gx.astype(log_probs.dtype, copy=False), None, None, None, None

    return (-log_p).astype(log_probs.dtype), pullback


def _step(be: Any, alpha: Any, skips: Any) -> Any:
    """log of alpha(s) + alpha(s - 1) + alpha(s - 2), the last where a blank may be skipped."""
    total = alpha.copy()
    total[:, 1:] = be.logaddexp(total[:, 1:], alpha[:, :-1])
    two = be.where(skips[:, 2:], alpha[:, :-2], -float("inf"))
    total[:, 2:] = be.logaddexp(total[:, 2:], two)
    return total


# ---- attention -----------------------------------------------------------------------------------------------------
def attention(be: Any, query: Any, key: Any, value: Any, mask: Any, *, wanted: tuple, scale: float) -> Any:
    """softmax(scale q k^T + mask) v, with one array of scores, overwritten step by step."""
    if wanted[3] or not query.shape[:-2] == key.shape[:-2] == value.shape[:-2]:
        return None
    q, k, v = _wide(query), _wide(key), _wide(value)
    p = be.matmul(q, k.swapaxes(-1, -2))
    p *= scale
    if mask is not None:
        p = be.where(mask, p, -float("inf")) if mask.dtype.kind == "b" else p + mask
    top = be.max(p, axis=-1, keepdims=True)
    if mask is not None:
        top = be.where(be.isfinite(top), top, be.zeros((), dtype=top.dtype))
    p -= top
    be.exp(p, out=p)
    total = be.sum(p, axis=-1, keepdims=True)
    p /= total if mask is None else be.where(total == 0, be.ones((), dtype=total.dtype), total)

    def pullback(g: Any) -> tuple:
        g = _wide(g)
        s = be.matmul(g, v.swapaxes(-1, -2))
        s -= be.sum(s * p, axis=-1, keepdims=True)
        s *= p
        s *= scale
        found = (be.matmul(s, k), be.matmul(s.swapaxes(-1, -2), q), be.matmul(p.swapaxes(-1, -2), g))
        return (*(gx.astype(query.dtype, copy=False) for gx in found), None)

    return be.matmul(p, v).astype(query.dtype, copy=False), pullback


KERNELS = {
    "attention": attention,
    "ctc": ctc,
    "gru": gru,
    "lstm": lstm,
    "rnn": rnn,
    "softmax_cross_entropy": cross_entropy,
    "standardize": standardize,
}
"""name of a fused operation -> its kernel"""
