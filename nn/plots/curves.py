"""Curves of a training: `training_curves` of what is there, `Curves` while it goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tensorgraph.errors import ArgumentError
from tensorgraph.nn.plots.canvas import COLORS, as_numpy, pyplot

__all__ = ["Curves", "training_curves"]


def training_curves(history: Mapping[str, Sequence[Any]], *, x: str = "epoch", log: bool = False) -> Any:
    """Draws numbers over epochs; returns the array of axes, one for the losses and one for everything else.

    history: name -> one number per epoch (or step); `None` where there is none. Names that hold "loss" share the first
    plot. An entry under the name of `x` gives the positions. `log=True`: losses on a logarithmic axis.

    Raises ArgumentError when there is nothing to draw.
    """
    names = [name for name, values in history.items() if name != x and len(values)]
    if not names:
        raise ArgumentError("training_curves: the history is empty")
    losses = [name for name in names if "loss" in name]
    groups = [group for group in (losses, [name for name in names if name not in losses]) if group]
    _, found = pyplot().subplots(1, len(groups), figsize=(5 * len(groups), 3.4), squeeze=False, layout="constrained")
    for ax, group in zip(found[0], groups):
        _draw(ax, history, group, x, log and group is losses)
    return found[0]


def _draw(ax: Any, history: Mapping[str, Sequence[Any]], names: Sequence[str], x: str, log: bool) -> None:
    for color, name in zip(COLORS * len(names), names):
        values = [None if v is None else float(as_numpy(v)) for v in history[name]]
        places = history[x] if x in history else range(1, len(values) + 1)
        points = [(place, v) for place, v in zip(places, values) if v is not None]
        marker = "o" if len(points) < 30 else None
        ax.plot([p for p, _ in points], [v for _, v in points], color=color, label=name, marker=marker, markersize=3)
    ax.set_xlabel(x)
    if len(names) > 1:
        ax.legend(frameon=False)
    else:
        ax.set_ylabel(names[0])
    if log:
        ax.set_yscale("log")
    ax.grid(color="0.9")


class Curves:
    """Training curves that grow while the training goes on: in a notebook the same picture is drawn anew each time.

    >>> from tensorgraph import nn
    >>> curves = nn.plots.Curves(every=2)
    >>> for epoch in range(3):
    ...     curves.add(loss=1 / (epoch + 1))
    >>> curves.history["loss"]
    [1.0, 0.5, 0.3333333333333333]

    `every`: draw after so many calls of `add`. Outside a notebook nothing is drawn until `show()` or `save(path)`.
    """

    def __init__(self, every: int = 1, log: bool = False):
        if every < 1:
            raise ArgumentError(f"Curves: every must be at least 1, got {every}")
        self.every = every
        self.log = log
        self.history: dict[str, list[float | None]] = {}
        self._count = 0
        self._display: Any = None

    def add(self, **numbers: Any) -> None:
        """One more number for each curve; a curve that is left out has a gap there."""
        for name, value in numbers.items():
            values = self.history.setdefault(name, [])
            values += [None] * (self._count - len(values))
            values.append(float(as_numpy(value)))
        self._count += 1
        for values in self.history.values():
            values += [None] * (self._count - len(values))
        if self._count % self.every == 0:
            self._redraw()

    def show(self) -> Any:
        """Draws what there is now; returns the array of axes."""
        return training_curves(self.history, x="step", log=self.log)

    def save(self, path: Any) -> None:
        """Writes the picture to a file; its ending says the format."""
        figure = self.show()[0].figure
        figure.savefig(path, dpi=110)
        pyplot().close(figure)

    def _redraw(self) -> None:
        shell = _notebook()
        if shell is None:
            return
        figure = self.show()[0].figure
        if self._display is None:
            self._display = shell.display(figure, display_id=True)
        else:
            self._display.update(figure)
        pyplot().close(figure)  # a notebook would show every open figure once more at the end of the cell


def _notebook() -> Any:
    """IPython's display, when a notebook is running."""
    try:
        from IPython import display, get_ipython
    except ImportError:
        return None
    shell = get_ipython()
    return display if shell is not None and getattr(shell, "kernel", None) is not None else None
