"""`Chain`: a network whose layers are called one after the other, under names of their own. For files of this room.

What tells such a network from a Sequential is that a layer without weights may stand in several places. Being able to
ask for the layers in order is what `fully_convolutional` (dense.py) needs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from tensorgraph.nn.module import Module

__all__ = ["Chain"]


class Chain(Module, ABC):
    """Base of networks without branches: `chain()` says which layers are called, and in which order."""

    @abstractmethod
    def chain(self) -> Sequence[Module]:
        """All layers in order; every network writes its own."""

    def forward(self, x: Any) -> Any:
        for layer in self.chain():
            x = layer(x)
        return x
