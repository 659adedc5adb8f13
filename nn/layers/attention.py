"""Attention with several heads. The arithmetic is in ops/attention.py."""

from __future__ import annotations

import math
from typing import Any

from tensorgraph import backends, ops
from tensorgraph.creation import empty, zeros
from tensorgraph.errors import ArgumentError, DtypeError, ShapeError, sig
from tensorgraph.nn import arguments as check
from tensorgraph.nn import init
from tensorgraph.nn.layers.linear import Linear
from tensorgraph.nn.module import Module, Parameter
from tensorgraph.ops.attention import shares
from tensorgraph.tensor import Tensor, raw

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Attention of several heads, each on its own projection: softmax(q k^T / sqrt(E / heads)) v, projected again.

    query (L, N, E), key (S, N, kdim), value (S, N, vdim), or (N, L, E) ... with `batch_first`, or without N
    -> output like query, and weights (N, L, S) averaged over the heads (None with `need_weights=False`).

    in_proj_weight (3 E, E) holds the projections of query, key and value below each other; with another `kdim` or
    `vdim` they are q_proj_weight (E, E), k_proj_weight (E, kdim) and v_proj_weight (E, vdim). in_proj_bias (3 E) and
    out_proj.bias (E) unless `bias=False`. `add_bias_kv` adds a learned key and value (bias_k, bias_v) to each
    sequence, `add_zero_attn` a key and value of zeros. `dropout` drops weights while training.

    Source: Vaswani et al., Attention is all you need, NeurIPS 2017.
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ):
        super().__init__()
        name = "MultiheadAttention"
        check.flags(name, bias=bias, add_bias_kv=add_bias_kv, add_zero_attn=add_zero_attn, batch_first=batch_first)
        self.embed_dim = check.integer(name, embed_dim=embed_dim)
        self.num_heads = check.integer(name, num_heads=num_heads)
        if embed_dim % num_heads:
            raise ArgumentError(f"{name}: embed_dim={embed_dim} cannot be parted among num_heads={num_heads}")
        self.head_dim = embed_dim // num_heads
        self.dropout = check.fraction(name, dropout=dropout)
        self.kdim = embed_dim if kdim is None else check.integer(name, kdim=kdim)
        self.vdim = embed_dim if vdim is None else check.integer(name, vdim=vdim)
        self.add_zero_attn, self.batch_first = add_zero_attn, batch_first

        def parameter(wanted: bool, *shape: int) -> Parameter | None:
            return Parameter(empty(*shape, dtype=dtype, device=device)) if wanted else None

        together, n = self.kdim == self.vdim == embed_dim, embed_dim
        self.q_proj_weight = parameter(not together, n, n)
        self.k_proj_weight = parameter(not together, n, self.kdim)
        self.v_proj_weight = parameter(not together, n, self.vdim)
        self.in_proj_weight = parameter(together, 3 * n, n)
        self.in_proj_bias = parameter(bias, 3 * n)
        self.bias_k = parameter(add_bias_kv, 1, 1, n)
        self.bias_v = parameter(add_bias_kv, 1, 1, n)
        self.out_proj = Linear(n, n, bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new weights: Xavier's for the projections into the heads, biases of 0."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        self.out_proj.reset_parameters()
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """(output, weights).

        `key_padding_mask` (N, S): True where a key is padding. `attn_mask` (L, S) or (N heads, L, S): True where a
        query may not look. Of floats, both are added to the scores. `is_causal` without an attn_mask: no query looks
        at a later key; with one it says only that the mask is that. A query that may look at nothing gets the weights
        0. `need_weights=False` is faster and returns None for the weights; `average_attn_weights=False` returns those
        of each head, (N, heads, L, S).
        """
        query, key, value, single = self._sequences(query, key, value)
        length, batch, size = query.shape[0], query.shape[1], key.shape[0]
        if is_causal and attn_mask is None:
            be = backends.backend_of(raw(query))
            attn_mask = Tensor(be.arange(length)[:, None] < be.arange(size))
        mask = self._mask(key_padding_mask, attn_mask, (batch, length, size), single, query)
        q, k, v = self._projected(query, key, value)
        if self.bias_k is not None:
            k = ops.concat([k, ops.broadcast_to(self.bias_k, (1, batch, self.embed_dim))])
            v = ops.concat([v, ops.broadcast_to(self.bias_v, (1, batch, self.embed_dim))])
        if self.add_zero_attn:
            nothing = zeros(1, batch, self.embed_dim, dtype=k.dtype, device=k.device)
            k, v = ops.concat([k, nothing]), ops.concat([v, nothing])
        if mask is not None and k.shape[0] > size:
            mask = ops.pad(mask, [(0, 0)] * 3 + [(0, k.shape[0] - size)], constant_values=mask.dtype.kind == "b")
        q, k, v = (self._heads(x) for x in (q, k, v))
        p, weights = self.dropout if self.training else 0.0, None
        if need_weights:
            weights = ops.dropout(shares(q, k, mask, 1 / math.sqrt(self.head_dim)), p)
            y = weights @ v
        else:
            y = ops.scaled_dot_product_attention(q, k, v, mask, p)
        y = self.out_proj(ops.permute_dims(y, (2, 0, 1, 3)).reshape((length, batch, self.embed_dim)))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if single:
            return y[:, 0], None if weights is None else weights[0]
        return y.swapaxes(0, 1) if self.batch_first else y, weights

    def _sequences(self, query: Any, key: Any, value: Any) -> tuple[Any, Any, Any, bool]:
        """Checked, with the length first and N second; and whether there was no N."""
        name = "MultiheadAttention"
        for what, x, n in (("query", query, self.embed_dim), ("key", key, self.kdim), ("value", value, self.vdim)):
            if x.ndim not in (2, 3) or x.ndim != query.ndim or x.shape[-1] != n:
                shape = "(N, L, features)" if self.batch_first else "(L, N, features)"
                raise ShapeError(f"{name}: {what} is {sig(x)}, expected {shape} or (L, features) of {n} features")
        single = query.ndim == 2
        if single:
            query, key, value = query[:, None], key[:, None], value[:, None]
        elif self.batch_first:
            same = key is query, value is key
            query = query.swapaxes(0, 1)
            key = query if same[0] else key.swapaxes(0, 1)
            value = key if same[1] else value.swapaxes(0, 1)
        if key.shape[:2] != value.shape[:2] or key.shape[1] != query.shape[1]:
            raise ShapeError(
                f"{name}: query {sig(query)}, key {sig(key)} and value {sig(value)} (length first) "
                "do not agree in N, or key and value in length"
            )
        return query, key, value, single

    def _mask(self, padding: Any, mask: Any, sizes: tuple[int, int, int], single: bool, like: Any) -> Any:
        """Both masks as one that broadcasts to (N, heads, L, S): True where a query may look, or floats to add."""
        name, (batch, length, size) = "MultiheadAttention", sizes
        if padding is not None:
            expected = (size,) if single else (batch, size)
            if tuple(padding.shape) != expected:
                raise ShapeError(f"{name}: key_padding_mask is {sig(padding)}, expected the shape {expected}")
            padding = padding.reshape((batch, 1, 1, size))
        if mask is not None:
            whole = (batch * self.num_heads, length, size)
            if tuple(mask.shape) not in ((length, size), whole):
                raise ShapeError(
                    f"{name}: attn_mask is {sig(mask)}, expected the shape {(length, size)} or {whole} (N heads, L, S)"
                )
            mask = mask.reshape((-1, self.num_heads, length, size) if mask.ndim == 3 else (1, 1, length, size))
        masks = [m for m in (padding, mask) if m is not None]
        for m in masks:
            if m.dtype.kind not in "bfV":
                raise DtypeError(f"{name}: a mask is {sig(m)}, expected booleans or floats")
        if not masks:
            return None
        if all(m.dtype.kind == "b" for m in masks):
            return ops.logical_not(masks[0] if len(masks) == 1 else masks[0] | masks[1])
        nothing = zeros((), dtype=like.dtype, device=like.device)
        floats = [ops.where(m, -float("inf"), nothing) if m.dtype.kind == "b" else m for m in masks]
        return floats[0] if len(floats) == 1 else floats[0] + floats[1]

    def _projected(self, query: Any, key: Any, value: Any) -> list[Any]:
        """What the heads compare and collect, (L or S, N, E) each; of one input all three in one product."""
        n, bias = self.embed_dim, self.in_proj_bias
        if self.in_proj_weight is not None and query is key is value:
            y = ops.linear(query, self.in_proj_weight, bias)
            return [y[..., i * n : (i + 1) * n] for i in range(3)]
        if self.in_proj_weight is not None:
            weights = [self.in_proj_weight[i * n : (i + 1) * n] for i in range(3)]
        else:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        biases = [None if bias is None else bias[i * n : (i + 1) * n] for i in range(3)]
        return [ops.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)]

    def _heads(self, x: Any) -> Any:
        """x (L, N, E) -> (N, heads, L, E / heads)."""
        return ops.permute_dims(x.reshape((*x.shape[:2], self.num_heads, self.head_dim)), (1, 2, 0, 3))
