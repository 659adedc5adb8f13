"""Scaled dot-product attention.

May import: all of ops before it.
"""

from __future__ import annotations

import math
from typing import Any

from tensorgraph import backends
from tensorgraph.errors import ArgumentError, DtypeError, ShapeError, sig
from tensorgraph.fused import fusable
from tensorgraph.operation import Array
from tensorgraph.ops.elementwise import astype, exp, where
from tensorgraph.ops.join import repeat
from tensorgraph.ops.matmul import matmul
from tensorgraph.ops.random import dropout
from tensorgraph.ops.reduce import sum
from tensorgraph.ops.shape import swapaxes
from tensorgraph.provenance import explained
from tensorgraph.tensor import raw

__all__ = ["scaled_dot_product_attention"]


def shares(query, key, mask, scale):
    """softmax(scale q k^T + mask) along the keys, 0 where a query may look at nothing."""
    scores = matmul(query * scale, swapaxes(key, -1, -2))
    if mask is not None:
        scores = where(mask, scores, -float("inf")) if mask.dtype.kind == "b" else scores + mask
    values = raw(scores)
    be = backends.backend_of(values)
    top = be.max(values, axis=-1, keepdims=True)
    e = exp(scores - be.where(be.isfinite(top), top, be.zeros((), dtype=top.dtype)))
    total = sum(e, axis=-1, keepdims=True)
    return e / where(raw(total) == 0, 1, total)


@fusable
def _attention(query, key, value, mask, *, scale):
    dtype = query.dtype
    if dtype.itemsize == 2:
        query, key, value = (astype(x, "float32") for x in (query, key, value))
    y = matmul(shares(query, key, mask, scale), value)
    return y if y.dtype == dtype else astype(y, dtype)


def _attention_macs(query_shape, key_shape, y_shape):
    return math.prod(query_shape[:-1]) * key_shape[-2] * (query_shape[-1] + y_shape[-1])


_attention.macs(_attention_macs)


@explained
def scaled_dot_product_attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """softmax(scale q k^T + mask) v.

    query (..., L, E), key (..., S, E), value (..., S, V) -> (..., L, V). `scale` is 1 / sqrt(E) unless given.
    `attn_mask` (broadcast to (..., L, S)): booleans say which keys a query may look at, floats are added to the scores.
    `is_causal`: only keys up to the query's own position. A query that may look at nothing gives 0, with gradient 0.
    `dropout_p` drops shares, always: pass 0 for evaluation. `enable_gqa` repeats heads (axis -3) of key and value.

    Raises ShapeError, DtypeError; ArgumentError for a mask and is_causal together.
    Source: Vaswani et al., Attention is all you need, NeurIPS 2017.
    """
    name = "scaled_dot_product_attention"
    for what, x in (("query", query), ("key", key), ("value", value)):
        if x.ndim < 2 or x.dtype.kind not in "fV":
            raise DtypeError(f"{name}: {what} is {sig(x)}, expected (..., length, features) of a floating dtype")
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ShapeError(
            f"{name}: query {sig(query)} and key {sig(key)} must have equal features, "
            f"key and value {sig(value)} equal lengths"
        )
    if enable_gqa:
        heads = [x.shape[-3] if x.ndim > 2 else 0 for x in (query, key, value)]
        if not all(heads) or heads[0] % heads[1] or heads[0] % heads[2]:
            raise ShapeError(
                f"{name}: {heads[0]} heads of query are no multiple of {heads[1]} and {heads[2]} of key and value"
            )
        key, value = repeat(key, heads[0] // heads[1], axis=-3), repeat(value, heads[0] // heads[2], axis=-3)
    length, size = query.shape[-2], key.shape[-2]
    if is_causal:
        if attn_mask is not None:
            raise ArgumentError(
                f"{name}: give attn_mask or is_causal, not both", hint="put the causal part into the mask"
            )
        be = backends.backend_of(raw(query))
        attn_mask = be.arange(length)[:, None] >= be.arange(size)
    elif attn_mask is not None and attn_mask.dtype.kind not in "bfV":
        raise DtypeError(f"{name}: attn_mask is {sig(attn_mask)}, expected booleans or floats")
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    if not dropout_p:
        return _attention(query, key, value, attn_mask, scale=scale)
    return matmul(dropout(shares(query, key, attn_mask, scale), dropout_p), value)
