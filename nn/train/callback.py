"""`Callback`, what a trainer calls as it goes, and `Best`, which remembers the best value of a watched number.

The other files of nn/train build on this one. A callback is a tool that also works alone, in a loop written by hand:
its own method (`step`, `write`, ...) does the work, and the `on_...` methods below only call it with what the trainer
knows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tensorgraph.errors import ArgumentError
from tensorgraph.nn import arguments as check

if TYPE_CHECKING:
    from tensorgraph.nn.train.trainer import Trainer

__all__ = ["Best", "Callback"]


class Callback:
    """Base of all callbacks: write the methods that you need; those here do nothing.

    In each of them the trainer shows `model`, `optimizer`, `epoch` (finished epochs), `batch` (batches of the running
    epoch that were trained), `step` (batches trained in all), `loss` (of the last batch), `logs` (the latest numbers,
    by name) and `history`; `trainer.stop(reason)` ends the training. A callback that has `state_dict()` and
    `load_state_dict()` is part of every checkpoint. Callbacks are called in the order of `order`, then as they were
    given.
    """

    order: int = 0
    """guards come first (-1), checkpoints last (1), so that they save what all others have done"""

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Before the first batch of a call of `fit`."""

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Before the first batch of an epoch."""

    def on_gradients(self, trainer: Trainer) -> None:
        """Between `backward()` and the optimiser's step; `trainer.skip = True` leaves the step out."""

    def on_batch_end(self, trainer: Trainer) -> None:
        """After the optimiser's step."""

    def on_validation_begin(self, trainer: Trainer) -> None:
        """Before the model is tried on the validation data."""

    def on_validation_end(self, trainer: Trainer) -> None:
        """Behind that, also when it failed."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """After an epoch and its validation; `trainer.logs` is the row of the history."""

    def on_interrupt(self, trainer: Trainer) -> None:
        """The user pressed Ctrl-C; the batch that was running is complete."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, when nothing failed."""

    def close(self) -> None:
        """Behind all of that, in any case: close files, put away bars."""


_UP = ("accuracy", "recall", "precision", "f1", "auc", "top", "score", "r2", "iou")
_DOWN = ("loss", "error", "perplexity")


class Best:
    """The best value so far of a number that is watched.

    monitor: its name. mode: "min" or "max"; None reads it off the name (loss and error fall; accuracy, recall,
    precision, top, f1, auc, score rise). A value is better when it is better by more than `min_delta`; NaN never is.

    Raises ArgumentError: a name that tells nothing, without a mode.
    """

    def __init__(self, who: str, monitor: str, mode: str | None = None, min_delta: float = 0.0):
        if mode is None:
            words = monitor.lower()
            down, up = any(w in words for w in _DOWN), any(w in words for w in _UP)
            if down == up:
                raise ArgumentError(
                    f"{who}: is a high or a low {monitor!r} good? The name does not tell",
                    hint='mode="min" or mode="max"',
                )
            mode = "min" if down else "max"
        self.who, self.monitor = who, monitor
        self.mode = check.choice(who, ("min", "max"), mode=mode)
        self.min_delta = check.number(who, 0, min_delta=min_delta)
        self.value: float | None = None

    def update(self, value: Any) -> bool:
        """Whether `value` is better than every one before; the first that is a number is."""
        number = float(value)
        if math.isnan(number):
            return False
        if self.value is not None:
            gain = self.value - number if self.mode == "min" else number - self.value
            if not gain > self.min_delta:
                return False
        self.value = number
        return True

    def read(self, logs: Mapping[str, Any]) -> float:
        """The watched number out of a trainer's numbers."""
        if self.monitor not in logs:
            numbers = [name for name, value in logs.items() if isinstance(value, (int, float))]
            needs = " (numbers of the validation data need fit(..., validation=loader))"
            raise ArgumentError(
                f"{self.who}: there is no {self.monitor!r} to watch{needs if self.monitor.startswith('val_') else ''}",
                hint=f"there are {', '.join(numbers)}",
            )
        return logs[self.monitor]
