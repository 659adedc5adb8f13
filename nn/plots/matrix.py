"""The confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorgraph.errors import ArgumentError, ShapeError, sig
from tensorgraph.nn.plots.canvas import as_numpy, axes

__all__ = ["confusion_matrix"]


def confusion_matrix(matrix: Any, names: Sequence[str] | None = None, ax: Any = None) -> Any:
    """Draws a confusion matrix, rows true and columns predicted, with its counts; returns the axes.

    matrix (C, C) of counts (or shares); the colour is the share of the row, so that rare classes are seen as well.

    Raises ShapeError when it is not square, ArgumentError when there is not one name per class.
    """
    counts = as_numpy(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ShapeError(f"confusion_matrix: expected (C, C), got {sig(counts)}")
    n = len(counts)
    names = [str(i) for i in range(n)] if names is None else [str(name) for name in names]
    if len(names) != n:
        raise ArgumentError(f"confusion_matrix: {len(names)} names for {n} classes")
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1e-12)
    ax = axes(ax, 2 + 0.45 * n, 1.6 + 0.45 * n)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if n <= 30:
        for i, j in np.ndindex(n, n):
            if counts[i, j]:
                text = f"{counts[i, j]:,}" if counts.dtype.kind in "iu" else f"{counts[i, j]:.2f}"
                ax.text(
                    j, i, text, ha="center", va="center", fontsize=8, color="white" if shares[i, j] > 0.5 else "black"
                )
    turned = 90 if max(map(len, names)) > 3 else 0
    ax.set_xticks(range(n), names, rotation=turned)
    ax.set_yticks(range(n), names)
    ax.set_xlabel("predicted")
    ax.set_ylabel("true")
    return ax
