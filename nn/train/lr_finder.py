"""`lr_find`, the learning-rate range test: raises the rate batch by batch and watches the loss.

Imports nn/train/checkpoint.py, which puts everything back afterwards.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tensorgraph.errors import ArgumentError, DtypeError, sig
from tensorgraph.nn import arguments as check
from tensorgraph.nn.module import Module
from tensorgraph.nn.optim import LBFGS, Optimizer
from tensorgraph.nn.train.checkpoint import kept
from tensorgraph.nn.train.logs import figure_class

__all__ = ["LRCurve", "lr_find"]


class LRCurve(NamedTuple):
    """The loss against the learning rate: `lrs`, `losses` as measured, `smooth` ones. See `lr_find`."""

    lrs: list[float]
    losses: list[float]
    smooth: list[float]

    @property
    def suggestion(self) -> float:
        """The rate at which the smoothed loss falls most steeply, per factor of the rate, before its minimum.

        Raises ArgumentError when the loss did not fall.
        """
        lowest = int(np.argmin(self.smooth))
        if lowest < 2 or self.smooth[0] - self.smooth[lowest] < 1e-3 * abs(self.smooth[0]):
            raise ArgumentError(
                f"lr_find: the loss did not fall anywhere between the rates {self.lrs[0]:.1e} and {self.lrs[-1]:.1e}",
                hint="begin at a smaller rate (start=1e-9), or look for the fault with nn.train.overfit",
            )
        slope = np.gradient(self.smooth[: lowest + 1], np.log(self.lrs[: lowest + 1]))
        return self.lrs[int(np.argmin(slope))]

    @property
    def lowest(self) -> float:
        """The rate at which the smoothed loss was lowest; a tenth of it is another good guess."""
        return self.lrs[int(np.argmin(self.smooth))]

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draws the curve with the suggestion, and saves it when a path is given; returns matplotlib's figure.

        Raises MissingPackageError without matplotlib.
        """
        figure = figure_class("LRCurve.plot")(figsize=(5.5, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.lrs, self.losses, color="#c7d3e0", linewidth=0.8, label="every batch")
        axes.plot(self.lrs, self.smooth, color="#1f4e79", label="smoothed")
        with contextlib.suppress(ArgumentError):
            at = self.suggestion
            axes.axvline(at, color="#b3541e", linestyle="--", linewidth=1, label=f"suggestion {at:.2g}")
        low, start = min(self.losses), self.smooth[0]
        axes.set_ylim(low - 0.1 * abs(start - low), start + 0.6 * abs(start - low) if start > low else None)
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure


def lr_find(
    model: Module,
    loss: Callable[..., Any],
    optimizer: Optimizer,
    loader: Iterable[Any],
    *,
    start: float = 1e-6,
    end: float = 10.0,
    steps: int = 100,
    smoothing: float = 3.0,
    give_up: float = 4.0,
    compute: Callable[[Any], tuple] | None = None,
) -> LRCurve:
    """Trains for `steps` batches while the learning rate rises evenly on a log scale from `start` to `end`.

        curve = nn.train.lr_find(model, criterion, optimizer, loader)
        optimizer.param_groups[0]["lr"] = curve.suggestion

    The loss first stands still, then falls, then explodes; good rates lie where it falls fast. Model, optimiser,
    loader and random states are afterwards as before. The loader is begun again when it is too short. Groups keep the
    ratios of their rates; `start` and `end` are those of the first. The test ends early when the loss (the mean of 5
    batches) exceeds `give_up` times its minimum, or is not finite. The curve is then smoothed with a Gaussian of
    `smoothing` batches, which does not shift it to higher rates as a running mean would. `compute` is that of a
    `Trainer` with batches of its own kind: `compute=trainer.compute`.

    Raises ArgumentError: a range that is none, an empty loader, a loss that is not finite at the very start.
    Source: Smith, Cyclical learning rates for training neural networks, WACV 2017; on a log scale as in fast.ai.
    """
    check.number("lr_find", above=0, start=start)
    check.number("lr_find", above=start, end=end)
    check.integer("lr_find", 3, steps=steps)
    check.number("lr_find", above=1, give_up=give_up)
    check.number("lr_find", above=0, smoothing=smoothing)
    if isinstance(optimizer, LBFGS):
        raise DtypeError("lr_find: LBFGS searches for the length of every step by itself")
    parts = [model, optimizer] + ([loader] if hasattr(loader, "load_state_dict") else [])
    first = optimizer.param_groups[0]["lr"]
    ratios = [group["lr"] / first if first else 1.0 for group in optimizer.param_groups]
    gradients = [(p, p.grad) for p in model.parameters()]
    lrs: list[float] = []
    losses: list[float] = []
    lowest = math.inf
    with kept(*parts):
        for i, batch in zip(range(steps), _endless(loader), strict=False):
            lr = start * (end / start) ** (i / (steps - 1))
            for group, ratio in zip(optimizer.param_groups, ratios, strict=True):
                group["lr"] = lr * ratio
            optimizer.zero_grad()
            value = compute(batch)[2] if compute else loss(model(*batch[:-1]), batch[-1])
            number = float(value)
            if not math.isfinite(number):
                break
            lrs.append(lr)
            losses.append(number)
            recent = sum(losses[-5:]) / len(losses[-5:])
            lowest = min(lowest, recent)
            if recent > give_up * lowest > 0:
                break
            value.backward()
            optimizer.step()
    for p, g in gradients:
        p.grad = g
    if not lrs:
        raise ArgumentError("lr_find: the loss is not finite at the very start", hint="nn.train.overfit(model, batch)")
    return LRCurve(lrs, losses, _smooth(losses, smoothing))


def _smooth(values: list[float], width: float) -> list[float]:
    """Means weighted by a Gaussian; near the ends by the part of it that lies inside."""
    at = np.arange(len(values))
    weights = np.exp(-0.5 * ((at[:, None] - at) / width) ** 2)
    return (weights @ np.array(values) / weights.sum(axis=1)).tolist()


def _endless(loader: Iterable[Any]) -> Iterator[Any]:
    while True:
        empty = True
        for batch in loader:
            empty = False
            yield batch
        if empty:
            raise ArgumentError(f"lr_find: the loader {sig(loader)} has no batches")
