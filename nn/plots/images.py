"""Pictures in rows and columns: images, the filters of a convolution, the maps that it makes of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorgraph.errors import ArgumentError, DtypeError, ShapeError, sig
from tensorgraph.mode import no_grad
from tensorgraph.nn.module import Module
from tensorgraph.nn.plots.canvas import as_numpy, pyplot
from tensorgraph.tensor import Tensor

__all__ = ["activation_maps", "activations", "filters", "image_grid"]


def image_grid(
    images: Any,
    columns: int | None = None,
    titles: Sequence[str] | None = None,
    *,
    each: bool = False,
    cmap: str = "gray",
) -> Any:
    """Draws images beside and below each other; returns the array of axes.

    images: (N, H, W), (N, 1, H, W) or (N, 3, H, W), any values: the range of all of them is spread from dark to light,
    or that of each by itself with `each=True`. NaN stays empty. `columns`: about as many as rows unless given.

    Raises ShapeError for other shapes.
    """
    a = as_numpy(images)
    if a.ndim == 4 and a.shape[1] == 1:
        a = a[:, 0]
    color = a.ndim == 4 and a.shape[1] == 3
    if not (a.ndim == 3 or color) or not a.size:
        raise ShapeError(
            f"image_grid: expected images (N, H, W), (N, 1, H, W) or (N, 3, H, W), got {sig(a)}",
            hint="images[None] for a single one; filters() and activation_maps() take many channels",
        )
    if titles is not None and len(titles) != len(a):
        raise ArgumentError(f"image_grid: {len(titles)} titles for {len(a)} images")
    a = a.astype(float)
    shown = np.stack([_spread(image) for image in a]) if each else _spread(a)
    columns = columns or math.ceil(math.sqrt(len(a) * a.shape[-2] / a.shape[-1]))
    rows = math.ceil(len(a) / columns)
    size = min(1.2, 10 / columns)
    _, grid = pyplot().subplots(
        rows,
        columns,
        figsize=(size * columns, (size * a.shape[-2] / a.shape[-1] + (0.25 if titles else 0.0)) * rows),
        squeeze=False,
        layout="constrained",
    )
    for i, ax in enumerate(grid.flat):
        ax.set_axis_off()
        if i < len(a):
            if color:
                ax.imshow(shown[i].transpose(1, 2, 0), interpolation="nearest")
            else:
                ax.imshow(shown[i], cmap=cmap, vmin=0, vmax=1, interpolation="nearest")
            if titles:
                ax.set_title(titles[i], fontsize=8)
    return grid


def _spread(a: np.ndarray) -> np.ndarray:
    """Values from 0 to 1; 0.5 where all are the same."""
    finite = a[np.isfinite(a)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    return np.clip((a - low) / (high - low), 0, 1) if high > low else np.where(np.isfinite(a), 0.5, a)


def filters(weight: Any, columns: int | None = None) -> Any:
    """Draws the kernels of a convolution; returns the array of axes.

    weight: (K, C, R, S), or the layer. Kernels of 3 channels are drawn in colour, of 1 in grey, those of more channels
    as one row of C pictures for each of the K outputs. Every kernel is spread over the range of its own values.
    """
    a = as_numpy(getattr(weight, "weight", weight))
    if a.ndim != 4:
        raise ShapeError(f"filters: expected a weight (K, C, R, S), got {sig(a)}")
    if a.shape[1] in (1, 3):
        return image_grid(a, columns, each=True)
    return image_grid(a.reshape(-1, *a.shape[2:]), columns or a.shape[1], each=True)


def activation_maps(maps: Any, columns: int | None = None, *, image: int = 0) -> Any:
    """Draws what the channels of a result make of one image; returns the array of axes.

    maps: (N, C, H, W) or (C, H, W), such as an entry of `activations`. Each map is spread over its own range.
    """
    a = as_numpy(maps)
    if a.ndim == 4:
        a = a[image]
    if a.ndim != 3:
        raise ShapeError(f"activation_maps: expected (N, C, H, W) or (C, H, W), got {sig(maps)}")
    return image_grid(a, columns, each=True, cmap="viridis")


def activations(model: Module, input: Any, names: Sequence[str] | None = None) -> dict[str, Tensor]:
    """What the modules of a model return for an input, by path; nothing is recorded.

    names: paths of modules (`["conv1", "features.3"]`); all that have no modules in them unless given. A module that
    is called several times gives its last result. Raises ArgumentError for a name that is not there.
    """
    if not isinstance(model, Module):
        raise DtypeError(f"activations: expected a module, got {sig(model)}")
    wanted = (
        {name: module for name, module in model.named_modules() if not list(module.children())}
        if names is None
        else {name: model.get_submodule(name) for name in names}
    )
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: Module, args: Any, y: Any) -> None:
            if isinstance(y, Tensor):
                found[name] = y

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in wanted.items()]
    try:
        with no_grad():
            model(*input) if isinstance(input, tuple) else model(input)
    finally:
        for handle in handles:
            handle.remove()
    return {name: found[name] for name in wanted if name in found}
