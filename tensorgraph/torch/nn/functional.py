"""`torch.nn.functional`: tensorgraph.nn.functional, with PyTorch's keywords and its old arguments.

`input=` is understood for the first operand, and `inplace=` wherever PyTorch has it (it changes nothing but for relu:
tensors behave as values).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorgraph.nn import functional as _functional
from tensorgraph.nn.functional import *  # pyright: ignore[reportAssignmentType]
from tensorgraph.torch.doorway import doorway
from tensorgraph.torch.functions import adapted
from tensorgraph.torch.nn.legacy import with_legacy_arguments

__all__ = [*_functional.__all__, "relu_"]


def _front(name: str) -> Callable[..., Any]:
    function = getattr(_functional, name)
    return (
        with_legacy_arguments(function)
        if name.endswith(("_loss", "_entropy", "_logits", "kl_div"))
        else adapted(function)
    )


for _name in _functional.__all__:
    globals()[_name] = _front(_name)


def relu_(input: Any) -> Any:
    """Gives `input` the value of its `relu`."""
    return input.relu_()


def embedding(
    input: Any,
    weight: Any,
    padding_idx: Any = None,
    max_norm: Any = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Rows of `weight` at the indices `input`."""
    return _functional.embedding(input, weight, padding_idx)


__getattr__ = doorway(
    __name__,
    {
        "multi_head_attention_forward": "nn.MultiheadAttention, or F.scaled_dot_product_attention",
        "embedding_bag": "F.embedding(x, weight).mean(1)",
    },
)
