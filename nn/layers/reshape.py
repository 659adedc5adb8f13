"""Layers that move elements about: Flatten, Unflatten, PixelShuffle, Upsample, padding."""

from __future__ import annotations

from typing import Any

from tensorgraph import ops
from tensorgraph.nn import arguments as check
from tensorgraph.nn.module import Module

__all__ = ["Flatten", "Unflatten"]


class Flatten(Module):
    """The axes from `start_dim` to `end_dim` (both included) as one.  input (N, C, H, W) -> (N, C*H*W)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        super().__init__()
        self.start_dim = check.integer("Flatten", -64, start_dim=start_dim)
        self.end_dim = check.integer("Flatten", -64, end_dim=end_dim)

    def forward(self, input: Any) -> Any:
        return ops.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """The axis `dim` as several of the sizes `unflattened_size`, of which one may be -1."""

    def __init__(self, dim: int, unflattened_size: Any):
        super().__init__()
        self.dim = check.integer("Unflatten", -64, dim=dim)
        self.unflattened_size = tuple(check.integer("Unflatten", -1, unflattened_size=n) for n in unflattened_size)

    def forward(self, input: Any) -> Any:
        return ops.unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
