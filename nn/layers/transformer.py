"""The layers of transformers: attention and a network on each position, as encoders, decoders and stacks of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from tensorgraph import backends
from tensorgraph.errors import DtypeError, sig
from tensorgraph.nn import arguments as check
from tensorgraph.nn import functional as F
from tensorgraph.nn import init
from tensorgraph.nn.containers import ModuleList
from tensorgraph.nn.layers.attention import MultiheadAttention
from tensorgraph.nn.layers.dropout import Dropout
from tensorgraph.nn.layers.linear import Linear
from tensorgraph.nn.layers.norm import LayerNorm
from tensorgraph.nn.module import Module
from tensorgraph.tensor import Tensor

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]


class _Layer(Module):
    """What both layers share: the network on each position, and how a part is put into its residual connection."""

    activation: Callable[[Any], Any]
    norms = 2

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ):
        super().__init__()
        name = type(self).__name__
        check.integer(name, d_model=d_model)
        check.integer(name, nhead=nhead)
        check.integer(name, dim_feedforward=dim_feedforward)
        check.number(name, 0, layer_norm_eps=layer_norm_eps)
        check.flags(name, batch_first=batch_first, norm_first=norm_first, bias=bias)
        words = {"relu": F.relu, "gelu": F.gelu}
        function = activation if callable(activation) else words[check.choice(name, [*words], activation=activation)]
        make = {"device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **make)
        if self.norms == 3:
            self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **make)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **make)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **make)
        self.norm_first = norm_first
        for i in range(1, self.norms + 1):
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, **make))
        for i in range(1, self.norms + 1):
            setattr(self, f"dropout{i}", Dropout(dropout))
        self.activation = function

    def _around(self, x: Any, i: int, part: Callable[[Any], Any]) -> Any:
        """x plus what part i makes of it, normalised before or behind."""
        norm, dropout = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        return x + dropout(part(norm(x))) if self.norm_first else norm(x + dropout(part(x)))

    def _think(self, x: Any) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """Self-attention and a network of two layers on each position, each with a residual connection and layer norm.

    src (L, N, d_model), or (N, L, d_model) with `batch_first`, or (L, d_model) -> the same. With `norm_first` the
    norms stand in front of the two parts, otherwise behind the additions. `activation`: "relu", "gelu" or a function.
    Source: Vaswani et al., Attention is all you need, NeurIPS 2017; Xiong et al., 2020, arXiv:2002.04745 (norm_first).
    """

    def forward(self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False) -> Any:
        """src after attention and the network; the masks are those of `MultiheadAttention`."""

        def attend(x: Any) -> Any:
            return self.self_attn(
                x, x, x, src_key_padding_mask, need_weights=False, attn_mask=src_mask, is_causal=is_causal
            )[0]

        return self._around(self._around(src, 1, attend), 2, self._think)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to the encoder's result, and a network on each position; see `TransformerEncoderLayer`.

    tgt (L, N, d_model), memory (S, N, d_model) -> like tgt.
    Source: Vaswani et al., Attention is all you need, NeurIPS 2017.
    """

    norms = 3

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        """tgt after the three parts; the masks are those of `MultiheadAttention`."""

        def attend(x: Any) -> Any:
            return self.self_attn(
                x, x, x, tgt_key_padding_mask, need_weights=False, attn_mask=tgt_mask, is_causal=tgt_is_causal
            )[0]

        def look(x: Any) -> Any:
            return self.multihead_attn(
                x,
                memory,
                memory,
                memory_key_padding_mask,
                need_weights=False,
                attn_mask=memory_mask,
                is_causal=memory_is_causal,
            )[0]

        return self._around(self._around(self._around(tgt, 1, attend), 2, look), 3, self._think)


def _copies(who: str, num_layers: int, norm: Any, **layers: Any) -> ModuleList:
    ((name, layer),) = layers.items()
    for what, module in ((name, layer), ("norm", norm)):
        if not isinstance(module, Module) and not (what == "norm" and module is None):
            raise DtypeError(f"{who}: {what} is {sig(module)}, not a module")
    check.integer(who, num_layers=num_layers)
    return ModuleList(copy.deepcopy(layer) for _ in range(num_layers))


class TransformerEncoder(Module):
    """Several copies of one encoder layer in a row, and a norm behind them if one is given.

    src (L, N, d_model), or as the layer has it -> the same. The copies start with equal weights. `enable_nested_tensor`
    and `mask_check` are understood and change nothing: there are no nested tensors.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ):
        super().__init__()
        self.layers = _copies("TransformerEncoder", num_layers, norm, encoder_layer=encoder_layer)
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self, src: Any, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool | None = None
    ) -> Any:
        """src after all layers; each gets the same masks."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal))
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """Several copies of one decoder layer in a row, and a norm behind them if one is given.

    tgt, memory -> like tgt; see `TransformerDecoderLayer`. The copies start with equal weights.
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None):
        super().__init__()
        self.layers = _copies("TransformerDecoder", num_layers, norm, decoder_layer=decoder_layer)
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """tgt after all layers; each gets the same memory and masks."""
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        for layer in self.layers:
            tgt = layer(tgt, memory, *masks, bool(tgt_is_causal), memory_is_causal)
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """An encoder, and a decoder that looks at its result.  src (S, N, d_model), tgt (L, N, d_model) -> like tgt.

    Embeddings, positions and the layer that makes scores of the result are yours. Weights start as Xavier's.
    Source: Vaswani et al., Attention is all you need, NeurIPS 2017.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = F.relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ):
        super().__init__()
        make = {"device": device, "dtype": dtype}
        settings = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, **make)

        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*settings, **make), num_encoder_layers, norm()
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*settings, **make), num_decoder_layers, norm()
        )
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Any,
        tgt: Any,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """The decoder's result; the masks are those of the two parts."""
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        return self.decoder(tgt, memory, *masks, tgt_is_causal, memory_is_causal)

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: str | None = None, dtype: Any = None) -> Tensor:
        """(sz, sz): -inf where a query would look at a later key, otherwise 0; to be given as a mask."""
        check.integer("generate_square_subsequent_mask", sz=sz)
        be = backends.get(device)
        later = be.arange(sz)[:, None] < be.arange(sz)
        return Tensor(be.where(later, -float("inf"), 0.0).astype(dtype or "float32"))
