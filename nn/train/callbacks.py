"""Callbacks that act on the training: early stopping, learning-rate schedule, averaged weights, gradient clipping.

Each is thin: the work is done by a method that a loop written by hand calls as well, or by the tool of nn that is
passed in. Imports nn/train/callback.py and the tools.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from tensorgraph.errors import ArgumentError, DtypeError, StateDictError, sig
from tensorgraph.nn import arguments as check
from tensorgraph.nn.clip import clip_grad_norm_, clip_grad_value_
from tensorgraph.nn.ema import ExponentialMovingAverage
from tensorgraph.nn.module import Module
from tensorgraph.nn.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from tensorgraph.nn.train.callback import Best, Callback
from tensorgraph.tensor import Tensor

if TYPE_CHECKING:
    from tensorgraph.nn.train.trainer import Trainer

__all__ = ["EMA", "ClipGradients", "EarlyStopping", "LRSchedule"]


class EarlyStopping(Callback):
    """Stops when a number has not become better for `patience` epochs in a row.

        stop = nn.train.EarlyStopping("val_loss", patience=3)
        for epoch in range(100):
            ...
            if stop.step(val_loss, model):
                break
        stop.restore(model)

    monitor, mode, min_delta: see `Best`. With `restore_best` the model gets the weights of the best epoch in the end;
    they are kept in memory and in checkpoints. A NaN counts as no improvement.

    Source: Prechelt, Early stopping - but when?, 1998.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        *,
        mode: str | None = None,
        min_delta: float = 0.0,
        restore_best: bool = False,
    ):
        self.best = Best("EarlyStopping", monitor, mode, min_delta)
        self.patience = check.integer("EarlyStopping", patience=patience)
        self.restore_best = restore_best
        self.waited = 0
        self.weights: dict[str, Tensor] | None = None

    def step(self, value: Any, model: Module | None = None) -> bool:
        """Judges the number of the epoch that has just ended: is it time to stop?"""
        if self.restore_best and model is None:
            raise ArgumentError("EarlyStopping: restore_best needs the model: step(value, model)")
        if self.best.update(value):
            self.waited = 0
            if self.restore_best and model is not None:
                self.weights = copy.deepcopy(model.state_dict())
        else:
            self.waited += 1
        return self.waited >= self.patience

    def restore(self, model: Module) -> None:
        """Gives the model the weights of the best epoch, when they were kept."""
        if self.weights is not None:
            model.load_state_dict(self.weights)

    def on_epoch_end(self, trainer: Trainer) -> None:
        if self.step(self.best.read(trainer.logs), trainer.model):
            best = "any number" if self.best.value is None else f"{self.best.value:.4g}"
            epochs = f"{self.waited} epoch{'s' if self.waited > 1 else ''}"
            trainer.stop(f"{self.best.monitor} has not been better than {best} for {epochs}")

    def on_fit_end(self, trainer: Trainer) -> None:
        self.restore(trainer.model)

    def state_dict(self) -> dict[str, Any]:
        """The best value, the epochs waited since, and the weights that are kept."""
        return {"best": self.best.value, "waited": self.waited, "weights": self.weights}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on waiting from there."""
        best, waited, weights = (_get("EarlyStopping", state_dict, key) for key in ("best", "waited", "weights"))
        self.best.value, self.waited, self.weights = best, waited, weights


class LRSchedule(Callback):
    """Steps a schedule of `nn.optim.lr_scheduler` after every epoch, or after every batch with `every="batch"`.

        trainer = nn.train.Trainer(..., callbacks=[nn.train.LRSchedule(schedule, every="batch")])

    `ReduceLROnPlateau` is given the number called `monitor`: "val_loss" unless said, or "loss" without validation.
    The learning rate of the first group goes into the history as "lr".
    """

    def __init__(self, scheduler: LRScheduler, every: str = "epoch", *, monitor: str | None = None):
        if not isinstance(scheduler, LRScheduler):
            raise DtypeError(
                f"LRSchedule: {sig(scheduler)} is no schedule", hint="one of nn.optim.lr_scheduler, made with optimizer"
            )
        self.scheduler = scheduler
        self.every = check.choice("LRSchedule", ("epoch", "batch"), every=every)
        if isinstance(scheduler, ReduceLROnPlateau) and every == "batch":
            raise ArgumentError('LRSchedule: ReduceLROnPlateau judges epochs, got every="batch"')
        self.monitor = monitor

    def on_fit_begin(self, trainer: Trainer) -> None:
        if self.scheduler.optimizer is not trainer.optimizer:
            raise ArgumentError("LRSchedule: the schedule belongs to another optimiser than the trainer's")

    def on_batch_end(self, trainer: Trainer) -> None:
        if self.every == "batch":
            self.scheduler.step()

    def on_epoch_end(self, trainer: Trainer) -> None:
        if self.every == "batch":
            return
        if isinstance(self.scheduler, ReduceLROnPlateau):
            name = self.monitor or ("val_loss" if "val_loss" in trainer.logs else "loss")
            self.scheduler.step(Best("LRSchedule", name, self.scheduler.mode).read(trainer.logs))
        else:
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands."""
        return {"kind": type(self.scheduler).__name__, **self.scheduler.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on from there. Raises StateDictError: the state of another schedule."""
        here = self.state_dict()
        there = state_dict if isinstance(state_dict, Mapping) else {}
        if here["kind"] != there.get("kind") or here.keys() != there.keys():
            raise StateDictError(f"LRSchedule: the state is of {there.get('kind')}, the schedule is {here['kind']}")
        self.scheduler.load_state_dict({key: value for key, value in there.items() if key != "kind"})


class EMA(Callback):
    """Moves averaged weights along after every batch, and validates with them.

        ema = nn.ExponentialMovingAverage(model, 0.999)
        trainer = nn.train.Trainer(model, ..., callbacks=[nn.train.EMA(ema)])

    With `validate=False` the model is validated with its own weights. Checkpoints hold both; the averages move into
    the model by `ema.copy_to_model()`.
    """

    def __init__(self, ema: ExponentialMovingAverage, *, validate: bool = True):
        if not isinstance(ema, ExponentialMovingAverage):
            raise DtypeError(f"EMA: {sig(ema)} is no average", hint="nn.ExponentialMovingAverage(model, 0.999)")
        self.ema = ema
        self.validate = validate
        self._swapped = ExitStack()

    def on_fit_begin(self, trainer: Trainer) -> None:
        if self.ema.model is not trainer.model:
            raise ArgumentError("EMA: the average is of another model than the trainer's")

    def on_batch_end(self, trainer: Trainer) -> None:
        if not trainer.skip:
            self.ema.update()

    def on_validation_begin(self, trainer: Trainer) -> None:
        if self.validate:
            self._swapped.enter_context(self.ema.swapped())

    def on_validation_end(self, trainer: Trainer) -> None:
        self._swapped.close()

    def state_dict(self) -> dict[str, Any]:
        """The average and how many updates it has seen."""
        return self.ema.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on averaging from there."""
        self.ema.load_state_dict(state_dict)


class ClipGradients(Callback):
    """Limits the gradients between `backward()` and `step()`: their common norm, and every component.

        clip = nn.train.ClipGradients(max_norm=1.0)
        ...
        loss.backward()
        norm = clip(model.parameters())
        optimizer.step()

    The norm before clipping is in the trainer's logs as "grad_norm". See `nn.clip_grad_norm_` and
    `nn.clip_grad_value_`, which do the work.
    """

    def __init__(self, max_norm: float | None = None, *, max_value: float | None = None):
        if max_norm is None and max_value is None:
            raise ArgumentError("ClipGradients: neither max_norm nor max_value is given")
        self.max_norm = None if max_norm is None else check.number("ClipGradients", above=0, max_norm=max_norm)
        self.max_value = None if max_value is None else check.number("ClipGradients", above=0, max_value=max_value)

    def __call__(self, parameters: Iterable[Tensor]) -> Tensor | None:
        """Clips; returns the norm before that (None when only components are limited)."""
        tensors, norm = list(parameters), None
        if self.max_norm is not None:
            norm = clip_grad_norm_(tensors, self.max_norm)
        if self.max_value is not None:
            clip_grad_value_(tensors, self.max_value)
        return norm

    def on_gradients(self, trainer: Trainer) -> None:
        if not trainer.skip:
            norm = self(trainer.model.parameters())
            if norm is not None:
                trainer.logs["grad_norm"] = norm.item()


def _get(who: str, state: Any, key: str) -> Any:
    if not isinstance(state, Mapping) or key not in state:
        raise StateDictError(f"{who}.load_state_dict: there is no {key!r} in {sig(state)}")
    return state[key]
