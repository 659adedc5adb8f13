"""Gradient flow: how large the gradients of the layers are, from the first to the last."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph.errors import GraphError
from tensorgraph.nn.plots.canvas import COLORS, as_numpy, axes

__all__ = ["gradient_flow"]


def gradient_flow(model: Any, ax: Any = None, *, biases: bool = False) -> Any:
    """Draws the mean and the largest |gradient| of every parameter, on a logarithmic axis; returns the axes.

    Call it after `loss.backward()`. Layers whose gradient is exactly zero, or that got none, are marked below the
    axis: nothing reached them. Parameters of one axis (biases, scales) are left out unless `biases=True`.

    Raises GraphError when no parameter has a gradient.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad and (biases or p.ndim > 1)]
    sizes = [(name, None if p.grad is None else np.abs(as_numpy(p.grad))) for name, p in named]
    known = [(name, a) for name, a in sizes if a is not None]
    if not known:
        raise GraphError("gradient_flow: no parameter has a gradient", hint="call it after loss.backward()")
    means = np.array([0.0 if a is None else float(a.mean()) for _, a in sizes])
    tops = np.array([0.0 if a is None else float(a.max()) for _, a in sizes])
    positive = np.concatenate([means[means > 0], tops[tops > 0]])
    floor = (positive.min() if positive.size else 1e-8) / 10
    ax = axes(ax, max(6.0, 0.3 * len(sizes)), 4.2)
    places = np.arange(len(sizes))
    ax.bar(places, np.where(tops > 0, tops, np.nan), color=COLORS[5], label="largest")
    ax.bar(places, np.where(means > 0, means, np.nan), color=COLORS[0], label="mean")
    for i, (_, a) in enumerate(sizes):
        if a is None or not tops[i]:
            ax.text(i, floor, "none" if a is None else "zero", rotation=90, ha="center", va="bottom", color=COLORS[1])
    ax.set_yscale("log")
    ax.set_ylim(bottom=floor)
    ax.set_xticks(places, [name.removesuffix(".weight") for name, _ in sizes], rotation=90, fontsize=8)
    ax.set_ylabel("|gradient|")
    ax.legend(frameon=False)
    return ax
