"""A table of learned vectors."""

from __future__ import annotations

from typing import Any

from tensorgraph import ops
from tensorgraph.creation import empty
from tensorgraph.errors import ArgumentError, ShapeError, sig
from tensorgraph.mode import no_grad
from tensorgraph.nn import arguments as check
from tensorgraph.nn import init
from tensorgraph.nn.module import Module, Parameter
from tensorgraph.tensor import Tensor

__all__ = ["Embedding"]


class Embedding(Module):
    """The learned vector of each index.  input (...) integers -> (..., embedding_dim); see `ops.embedding`.

    weight (num_embeddings, embedding_dim) starts normal; the row `padding_idx` starts at 0 and stays as it is.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        device: str | None = None,
        dtype: Any = None,
    ):
        super().__init__()
        self.num_embeddings = check.integer("Embedding", num_embeddings=num_embeddings)
        self.embedding_dim = check.integer("Embedding", embedding_dim=embedding_dim)
        if padding_idx is not None:
            if (
                not -num_embeddings
                <= check.integer("Embedding", -num_embeddings, padding_idx=padding_idx)
                < num_embeddings
            ):
                raise ArgumentError(f"Embedding: padding_idx={padding_idx} is none of {num_embeddings} rows")
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        self.weight = Parameter(empty(num_embeddings, embedding_dim, dtype=dtype, device=device))
        self.reset_parameters()

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None) -> Embedding:
        """A layer with these vectors (num_embeddings, embedding_dim), which stay as they are unless `freeze=False`."""
        if embeddings.ndim != 2:
            raise ShapeError(f"Embedding: embeddings are {sig(embeddings)}, expected (num_embeddings, embedding_dim)")
        layer = cls(*embeddings.shape, padding_idx=padding_idx, dtype=embeddings.dtype, device=embeddings.device)
        layer.weight = Parameter(embeddings.detach().clone(), requires_grad=not freeze)
        return layer

    def reset_parameters(self) -> None:
        """Draws new vectors."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    def forward(self, input: Any) -> Any:
        return ops.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = f", padding_idx={self.padding_idx}" if self.padding_idx is not None else ""
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
