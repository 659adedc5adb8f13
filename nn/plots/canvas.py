"""matplotlib, imported when it is needed, and the colours that all plots share. Imported by the rest of nn/plots."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph.backends import backend_of
from tensorgraph.errors import MissingPackageError
from tensorgraph.tensor import Tensor

__all__ = ["COLORS", "as_numpy", "axes", "pyplot"]

# Okabe & Ito's palette, which can be told apart with every kind of colour vision.
# Source: Okabe & Ito, "Color Universal Design", 2008.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def pyplot() -> Any:
    """matplotlib.pyplot. Raises MissingPackageError without matplotlib."""
    try:
        from matplotlib import pyplot as plt
    except ImportError:
        raise MissingPackageError(
            "nn.plots: matplotlib is not installed", hint="pip install matplotlib, or tensorgraph[viz]"
        ) from None
    return plt


def axes(ax: Any, width: float = 6.0, height: float = 4.0) -> Any:
    """The axes that were given, or those of a new figure (inches)."""
    return pyplot().subplots(figsize=(width, height), layout="constrained")[1] if ax is None else ax


def as_numpy(value: Any) -> np.ndarray:
    """Tensors of any device, arrays and lists as a NumPy array."""
    if isinstance(value, Tensor):
        value = value.array
    if isinstance(value, (np.ndarray, list, tuple, int, float)):
        return np.asarray(value)
    return np.asarray(backend_of(value).to_host(value))
