"""Which pixels a decision hangs on: the gradient of a score, and what happens when a patch is covered."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph import ops
from tensorgraph.backward import grad
from tensorgraph.errors import ArgumentError, DtypeError, OutOfRangeError, ShapeError, sig
from tensorgraph.mode import enable_grad, no_grad
from tensorgraph.nn.plots.canvas import as_numpy, axes
from tensorgraph.tensor import Tensor

__all__ = ["heat_map", "occlusion", "saliency"]


def _checked(what: str, model: Any, x: Any, target: Any) -> np.ndarray:
    """The class whose score is asked for, per image."""
    if not isinstance(x, Tensor) or x.dtype.kind != "f":
        raise DtypeError(f"{what}: x is a floating tensor (N, C, H, W), got {sig(x)}")
    if x.ndim != 4:
        raise ShapeError(f"{what}: x is {sig(x)}, expected images (N, C, H, W)", hint="x[None] for a single image")
    with no_grad():
        scores = model(x)
    if scores.ndim != 2:
        raise ShapeError(f"{what}: the model returned {sig(scores)}, expected scores (N, classes)")
    if target is None:
        return as_numpy(scores).argmax(1)
    chosen = np.broadcast_to(as_numpy(target).astype(int), (len(x),))
    if chosen.min() < 0 or chosen.max() >= scores.shape[1]:
        raise OutOfRangeError(f"{what}: target {target} is not among the {scores.shape[1]} classes")
    return chosen


def saliency(model: Any, x: Tensor, target: Any = None) -> np.ndarray:
    """How strongly a class score reacts to every pixel: |d score / d x|, largest over the channels.

    x (N, C, H, W) float, target: one class, or one per image; the class with the highest score unless given.
    -> (N, H, W). The model is used in the mode it is in: call `model.eval()` first.
    Source: Simonyan, Vedaldi & Zisserman, "Deep Inside Convolutional Networks", 2013.
    """
    chosen = _checked("saliency", model, x, target)
    with enable_grad():
        image = x.detach().requires_grad_()
        score = model(image)[np.arange(len(chosen)), chosen].sum()
        (slope,) = grad(score, [image])
    return np.abs(as_numpy(slope)).max(1)


def occlusion(
    model: Any, x: Tensor, target: Any = None, *, size: int = 8, stride: int = 4, value: float = 0.0
) -> np.ndarray:
    """How much of a class's probability is lost when a square patch is covered, for patches all over the image.

    x (N, C, H, W) float; `size` and `stride` of the patch in pixels; `value` covers. -> (N, H, W): for every pixel the
    mean loss over the patches that cover it, between -1 and 1; positive where the pixel speaks for the class.
    Source: Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2.
    """
    chosen = _checked("occlusion", model, x, target)
    N, _, H, W = x.shape
    if not 1 <= size <= min(H, W) or stride < 1:
        raise ArgumentError(f"occlusion: a patch of {size} with stride {stride} does not go over images of {H}x{W}")
    rows = np.arange(N)

    def probability(images: np.ndarray) -> np.ndarray:
        with no_grad():
            return as_numpy(ops.softmax(model(Tensor(images).to(x.device)), 1))[rows, chosen]

    clean = as_numpy(x)
    before = probability(clean)
    lost, covered = np.zeros((N, H, W)), np.zeros((H, W))
    for top in _starts(H, size, stride):
        for left in _starts(W, size, stride):
            images = clean.copy()
            images[:, :, top : top + size, left : left + size] = value
            lost[:, top : top + size, left : left + size] += (before - probability(images))[:, None, None]
            covered[top : top + size, left : left + size] += 1
    return lost / covered


def _starts(n: int, size: int, stride: int) -> list[int]:
    """Where patches begin; the last one ends at the edge."""
    return sorted({*range(0, n - size, stride), n - size})


def heat_map(image: Any, heat: Any, ax: Any = None, *, alpha: float = 0.6) -> Any:
    """Draws numbers over the image that they belong to; returns the axes.

    image (C, H, W) or (H, W), heat (H, W): warm where positive and high, cold where negative.
    """
    picture, heat = as_numpy(image).astype(float), as_numpy(heat).astype(float)
    if picture.ndim == 3:
        picture = picture.transpose(1, 2, 0) if picture.shape[0] == 3 else picture.mean(0)
    if heat.shape != picture.shape[:2]:
        raise ShapeError(f"heat_map: heat {sig(heat)} does not lie over an image {sig(as_numpy(image))}")
    low, high = picture.min(), picture.max()
    picture = (picture - low) / (high - low) if high > low else picture * 0 + 0.5
    ax = axes(ax, 4, 4)
    ax.imshow(picture, cmap="gray")
    most = np.abs(heat).max() or 1.0
    signed = heat.min() < 0
    shown = ax.imshow(heat, cmap="RdBu_r" if signed else "inferno", vmin=-most if signed else 0, vmax=most, alpha=alpha)
    ax.figure.colorbar(shown, ax=ax, shrink=0.8)
    ax.set_axis_off()
    return ax
