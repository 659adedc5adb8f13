"""Activation functions and their derivatives, as this engine computes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tensorgraph.backward import grad
from tensorgraph.errors import ArgumentError
from tensorgraph.mode import enable_grad
from tensorgraph.nn import functional
from tensorgraph.nn.plots.canvas import COLORS, as_numpy, pyplot
from tensorgraph.tensor import Tensor

__all__ = ["activation_functions"]


def activation_functions(
    which: Sequence[str | Callable] = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus"),
    low: float = -5.0,
    high: float = 5.0,
) -> Any:
    """Draws functions (blue) and their derivatives (orange) between `low` and `high`; returns the array of axes.

    which: names in `nn.functional`, or functions from a tensor to a tensor. The derivative is what the backward pass
    gives at 1,001 points, kinks included. Raises ArgumentError for an unknown name.
    """
    functions = [_found(f) for f in which]
    if not functions or not low < high:
        raise ArgumentError(f"activation_functions: {len(functions)} functions between {low} and {high}")
    columns = min(4, len(functions))
    rows = -(-len(functions) // columns)
    _, grid = pyplot().subplots(
        rows, columns, figsize=(3 * columns, 2.4 * rows), squeeze=False, sharex=True, layout="constrained"
    )
    places = np.linspace(low, high, 1001)
    for i, ax in enumerate(grid.flat):
        if i >= len(functions):
            ax.set_axis_off()
            continue
        name, function = functions[i]
        with enable_grad():
            x = Tensor(places).requires_grad_()
            y = function(x)
            (slope,) = grad(y.sum(), [x])
        ax.axhline(0, color="0.8", linewidth=0.8)
        ax.axvline(0, color="0.8", linewidth=0.8)
        ax.plot(places, as_numpy(y), color=COLORS[0], label="value")
        ax.plot(places, as_numpy(slope), color=COLORS[1], label="derivative", linestyle="--")
        ax.set_title(name, fontsize=10)
    grid.flat[0].legend(frameon=False, fontsize=8)
    return grid


def _found(f: str | Callable) -> tuple[str, Callable]:
    if callable(f):
        return getattr(f, "__name__", type(f).__name__), f
    found = getattr(functional, f, None)
    if found is None:
        raise ArgumentError(f"activation_functions: nn.functional has no {f!r}")
    return f, found
