"""Dropout and its relatives. In evaluation mode they return their input."""

from __future__ import annotations

from typing import Any

from tensorgraph import ops
from tensorgraph.nn import arguments as check
from tensorgraph.nn.module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _Dropout(Module):
    _operation: Any

    def __init__(self, p: float = 0.5, inplace: bool = False):
        super().__init__()
        self.p = check.fraction(type(self).__name__, p=p)
        check.flags(type(self).__name__, inplace=inplace)
        self.inplace = inplace  # understood; values are never overwritten

    def forward(self, input: Any) -> Any:
        return self._operation(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Zeroes elements with probability p while training, and divides the others by 1 - p; see `ops.dropout`."""

    _operation = staticmethod(ops.dropout)


class Dropout1d(_Dropout):
    """Zeroes whole channels.  input (N, C, L); see `ops.dropout1d`."""

    _operation = staticmethod(ops.dropout1d)


class Dropout2d(_Dropout):
    """Zeroes whole channels.  input (N, C, H, W); see `ops.dropout2d`."""

    _operation = staticmethod(ops.dropout2d)


class Dropout3d(_Dropout):
    """Zeroes whole channels.  input (N, C, D, H, W); see `ops.dropout3d`."""

    _operation = staticmethod(ops.dropout3d)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean and variance behind selu; see `ops.alpha_dropout`."""

    _operation = staticmethod(ops.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels; see `ops.feature_alpha_dropout`."""

    _operation = staticmethod(ops.feature_alpha_dropout)
