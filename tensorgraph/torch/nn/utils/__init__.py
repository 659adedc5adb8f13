"""`torch.nn.utils`: limits on gradients, parameters as one vector, sequences of different lengths (`rnn`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tensorgraph import ops
from tensorgraph.mode import no_grad
from tensorgraph.nn import clip_grad_norm_, clip_grad_value_
from tensorgraph.torch.doorway import doorway
from tensorgraph.torch.nn.utils import rnn

__all__ = [
    "clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "rnn", "vector_to_parameters",
]  # fmt: skip

clip_grad_norm = clip_grad_norm_


def parameters_to_vector(parameters: Iterable[Any]) -> Any:
    """All parameters as one vector, in order."""
    return ops.concat([ops.reshape(p, (-1,)) for p in parameters])


def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Writes the parts of a vector into the parameters, in order."""
    start = 0
    with no_grad():
        for p in parameters:
            p.copy_(ops.reshape(vec[start : start + p.numel()], p.shape))
            start += p.numel()


__getattr__ = doorway(
    __name__,
    {
        "weight_norm": "tensorgraph.nn.parametrize",
        "spectral_norm": "tensorgraph.nn.parametrize",
        "prune": "set weights to 0 under torch.no_grad()",
    },
)
