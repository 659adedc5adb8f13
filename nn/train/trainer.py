"""`Trainer`: the training loop, for those who do not want to write it. Imports the other files of nn/train.

What it does in every epoch is what a loop written by hand does; everything beyond that is a callback.
"""

from __future__ import annotations

import copy
import os
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from tensorgraph import ops
from tensorgraph.autocast import autocast as mixed
from tensorgraph.errors import ArgumentError, DtypeError, MissingDataError, StateDictError, sig
from tensorgraph.mode import no_grad
from tensorgraph.nn import arguments as check
from tensorgraph.nn.module import Module
from tensorgraph.nn.optim import LBFGS, GradScaler, Optimizer
from tensorgraph.nn.train.callback import Callback
from tensorgraph.nn.train.checkpoint import read_checkpoint, restore, save_checkpoint
from tensorgraph.nn.train.interrupts import Interrupts
from tensorgraph.nn.train.logs import History
from tensorgraph.nn.train.metrics import Mean, Metric
from tensorgraph.nn.train.progress_bar import ProgressBar
from tensorgraph.nn.train.saving import Checkpoint
from tensorgraph.tensor import Tensor

__all__ = ["Trainer"]


class Trainer:
    """Trains a model on batches, and keeps count.

    model, loss (called with output and target, a mean over the batch or, with `reduction="sum"`, a sum) and optimizer
    are what a loop written by hand has. metrics: by name, computed over the training batches as they come and over the
    validation data. callbacks: see `Callback`. `progress=False` prints nothing.

        trainer = nn.train.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics={"accuracy": nn.train.Accuracy()})
        history = trainer.fit(loader, epochs=10, validation=held_out)

    A batch is a tuple of inputs with the target behind them. Override `compute(batch)` for batches or losses of another
    kind. `autocast="float16"` is mixed precision (`tensorgraph.autocast`), with `scaler=nn.optim.GradScaler()`.

    Raises DtypeError: a part that is of another kind; ArgumentError: an optimiser of other parameters.
    """

    def __init__(
        self,
        model: Module,
        loss: Any,
        optimizer: Optimizer,
        *,
        metrics: Mapping[str, Metric] | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = True,
        autocast: str | None = None,
        scaler: GradScaler | None = None,
    ):
        for name, value, kind in (("model", model, Module), ("optimizer", optimizer, Optimizer)):
            if not isinstance(value, kind):
                raise DtypeError(f"Trainer: {name} is {sig(value)}, not of class {kind.__name__}")
        if not callable(loss):
            raise DtypeError(f"Trainer: loss is {sig(loss)}, which cannot be called", hint="nn.CrossEntropyLoss()")
        for callback in callbacks:
            if not isinstance(callback, Callback):
                raise DtypeError(f"Trainer: {sig(callback)} is no callback", hint="derive it from nn.train.Callback")
        for name, metric in (metrics or {}).items():
            if not isinstance(metric, Metric):
                raise DtypeError(f"Trainer: the metric {name!r} is {sig(metric)}, not a Metric")
            if name == "loss" or name.startswith("val_"):
                raise ArgumentError(f"Trainer: a metric cannot be called {name!r}; that name is the trainer's own")
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if not any(id(p) in held for p in model.parameters()):
            raise ArgumentError(
                "Trainer: the optimiser holds no parameter of the model",
                hint="make it from model.parameters() of this very model",
            )
        if scaler is not None and isinstance(optimizer, LBFGS):
            raise ArgumentError("Trainer: LBFGS compares losses, which a scaler would change", hint="scaler=None")
        self.precision = nullcontext() if autocast is None else mixed(autocast)
        self.scaler = GradScaler(enabled=False) if scaler is None else scaler
        self.model, self.loss_fn, self.optimizer = model, loss, optimizer
        self.metrics = {"loss": Mean(), **(metrics or {})}
        self.history = History()
        bar = [ProgressBar()] if progress else []
        self.callbacks: list[Callback] = sorted([*bar, self.history, *callbacks], key=lambda callback: callback.order)
        self.epoch = self.batch = self.step = 0
        self.stopped: str | None = None
        self.logs: dict[str, Any] = {}
        self.skip = False
        self.loss: Any = None
        self.data: Any = None
        self.loader: Any = None
        self.validation: Any = None
        self.batches: int | None = None
        self.epochs = 0
        self._row: dict[str, Any] = {}
        self._seconds = 0.0
        self._interrupts = Interrupts()

    # ---- what a batch means --------------------------------------------------------------------------------------
    def compute(self, batch: Any) -> tuple[Any, Any, Any]:
        """output, target and loss of a batch; the loss is a tensor with one element. Made to be overridden.

        Metrics get the output and the target. Here a batch is `(*inputs, target)`.
        """
        if not isinstance(batch, (tuple, list)) or len(batch) < 2:
            raise DtypeError(
                f"Trainer: a batch is {sig(batch)}, not a tuple of inputs with the target behind them",
                hint="override Trainer.compute(batch), which returns output, target and loss",
            )
        *inputs, target = batch
        output = self.model(*inputs)
        return output, target, self.loss_fn(output, target)

    # ---- training ------------------------------------------------------------------------------------------------
    def fit(
        self,
        loader: Iterable[Any],
        epochs: int,
        *,
        validation: Iterable[Any] | None = None,
        resume: str | os.PathLike[str] | bool | None = None,
    ) -> History:
        """Trains until `epochs` epochs are done, those of earlier calls and of a resumed run included.

        loader: batches, gone through once per epoch. validation: batches that the model is tried on after each epoch;
        its numbers are called "val_loss", ... resume: a checkpoint to go on from, exactly as if the run had not ended;
        True takes `last` of the `Checkpoint` callback if that file is there, else it begins anew.

        Ctrl-C ends the training behind the batch that is running: the `Checkpoint` callback writes `last`, then
        KeyboardInterrupt is raised. A second Ctrl-C ends at once. Returns the history.

        Raises StateDictError, CorruptDataError: the checkpoint does not fit, is damaged; nothing was loaded.
        ArgumentError: no batches, an iterator that can be gone through only once.
        """
        check.integer("Trainer.fit", epochs=epochs)
        for name, batches in (("loader", loader), ("validation", validation)):
            if batches is not None and (not hasattr(batches, "__iter__") or hasattr(batches, "__next__")):
                raise ArgumentError(
                    f"Trainer.fit: {name} is {sig(batches)}, which cannot be gone through once per epoch",
                    hint="a DataLoader, tensorgraph.data.batches(x, y, batch_size=...), or a list of batches",
                )
        path = self._resume_from(resume)
        if path is None and self.batch:
            self._go_on(loader)
        self.loader, self.validation, self.epochs = loader, validation, epochs
        self.batches = len(loader) if hasattr(loader, "__len__") else None  # pyright: ignore[reportArgumentType]
        if path is not None:
            self._load(path)
        if self.epoch >= epochs or self.stopped:
            why = f"was stopped behind epoch {self.epoch}: {self.stopped}" if self.stopped else f"has had {self.epoch}"
            warnings.warn(f"Trainer.fit: nothing to do up to epoch {epochs}: the training {why}", stacklevel=2)
            return self.history
        if not self.model.training:
            self.model.train()
        try:
            with self._interrupts:
                self._call("on_fit_begin")
                while self.epoch < epochs and not self.stopped:
                    self._train_epoch()
                    if validation is not None:
                        self._validate(validation)
                    self._end_epoch()
                    self._end_if_interrupted()
                self._call("on_fit_end")
        finally:
            self._call("close")
        return self.history

    def stop(self, reason: str) -> None:
        """Ends the training behind the epoch that is running; `reason` is kept as `stopped`."""
        self.stopped = reason

    def _train_epoch(self) -> None:
        going_on = self.batch > 0
        if not going_on:
            self._seconds = 0.0
            for metric in self.metrics.values():
                metric.reset()
            self.logs = {}
            self._call("on_epoch_begin")
        started = time.perf_counter() - self._seconds
        for batch in self.loader:
            self._train_batch(batch)
            self._seconds = time.perf_counter() - started
            self._call("on_batch_end")
            self._end_if_interrupted()
        if not self.batch:
            raise ArgumentError(f"Trainer.fit: the loader {sig(self.loader)} has no batches")
        self._row = {name: metric.compute() for name, metric in self.metrics.items()}

    def _train_batch(self, batch: Any) -> None:
        self.skip, self.data = False, batch
        output = target = None

        def forward_and_backward() -> Any:
            nonlocal output, target
            self.optimizer.zero_grad()
            with self.precision:
                output, target, loss = self.compute(batch)
            self.loss = _detached(loss)
            self.scaler.scale(loss).backward()
            self.scaler.unscale_(self.optimizer)
            self._call("on_gradients")
            return loss

        if isinstance(self.optimizer, LBFGS):  # evaluates the loss several times in a step
            self.optimizer.step(forward_and_backward)
        else:
            forward_and_backward()
            if not self.skip:
                self.scaler.step(self.optimizer)
            self.scaler.update()
        self.batch += 1
        self.step += 1
        if not self.skip:
            self._count(self.metrics, output, target, self.loss)

    def _count(self, metrics: Mapping[str, Metric], output: Any, target: Any, loss: Any) -> None:
        n = len(target) if getattr(target, "shape", ()) else 1
        total = getattr(self.loss_fn, "reduction", "mean") == "sum"
        output = _detached(output)
        for name, metric in metrics.items():
            if name == "loss" and isinstance(metric, Mean):
                metric.update(loss / n if total else loss, weight=n)
            else:
                metric.update(output, target)

    def _validate(self, validation: Iterable[Any]) -> None:
        self._call("on_validation_begin")
        try:
            numbers = self.evaluate(validation)
        finally:
            self._call("on_validation_end")
        self._row |= {f"val_{name}": value for name, value in numbers.items()}

    def _end_epoch(self) -> None:
        self.epoch, self.batch = self.epoch + 1, 0
        rate = self.optimizer.param_groups[0]["lr"]
        own = {"epoch": self.epoch, "step": self.step, **self._row, "lr": rate}
        self.logs = {**own, **self.logs, "seconds": self._seconds}
        self._call("on_epoch_end")

    # ---- using the model -----------------------------------------------------------------------------------------
    def evaluate(self, loader: Iterable[Any]) -> dict[str, Any]:
        """Mean loss and metrics over the batches of `loader`, in evaluation mode, without touching the model."""
        metrics = {name: copy.deepcopy(metric) for name, metric in self.metrics.items()}
        for metric in metrics.values():
            metric.reset()
        empty = True
        with _evaluating(self.model):
            for batch in loader:
                with self.precision:
                    output, target, loss = self.compute(batch)
                self._count(metrics, output, target, _detached(loss))
                empty = False
        if empty:
            raise ArgumentError(f"Trainer.evaluate: the loader {sig(loader)} has no batches")
        return {name: metric.compute() for name, metric in metrics.items()}

    def predict(self, loader: Iterable[Any]) -> Tensor:
        """The outputs of the model for all inputs, one behind the other, in evaluation mode.

        A batch is a tensor of inputs, or what `fit` takes: then the target is left out.
        """
        outputs = []
        with _evaluating(self.model):
            for batch in loader:
                inputs = batch[:-1] if isinstance(batch, (tuple, list)) else [batch]
                with self.precision:
                    outputs.append(self.model(*inputs))
        if not outputs:
            raise ArgumentError(f"Trainer.predict: the loader {sig(loader)} has no batches")
        return ops.concat(outputs)

    # ---- checkpoints ---------------------------------------------------------------------------------------------
    def parts(self) -> dict[str, Any]:
        """Everything that a checkpoint holds: `save_checkpoint(path, **trainer.parts())`."""
        parts: dict[str, Any] = {"model": self.model, "optimizer": self.optimizer, "trainer": self}
        if self.scaler.is_enabled():
            parts["scaler"] = self.scaler
        for name, loader in (("loader", self.loader), ("validation", self.validation)):
            if hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict"):
                parts[name] = loader
        for callback in self.callbacks:
            if hasattr(callback, "state_dict") and hasattr(callback, "load_state_dict"):
                name = type(callback).__name__
                number = 2
                while name in parts:
                    name, number = f"{type(callback).__name__}{number}", number + 1
                parts[name] = callback
        return parts

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a checkpoint now; `fit(..., resume=path)` goes on from it. See `save_checkpoint`."""
        save_checkpoint(path, **self.parts())

    def _resume_from(self, resume: Any) -> Any:
        """The path to load, or None."""
        if resume is None or resume is False:
            return None
        if resume is not True:
            return resume
        keepers = [callback for callback in self.callbacks if isinstance(callback, Checkpoint)]
        if not keepers:
            raise MissingDataError(
                "Trainer.fit: resume=True takes the last checkpoint, but there is no Checkpoint among the callbacks",
                hint="resume=path, or callbacks=[nn.train.Checkpoint(folder)]",
            )
        return keepers[0].last if keepers[0].last.exists() else None

    def _load(self, path: str | os.PathLike[str]) -> None:
        """Takes over a checkpoint. Callbacks may be others than those that were saved; the rest must be there."""
        content, parts = read_checkpoint(path, "Trainer.fit"), self.parts()
        saved = content["parts"]
        progress = saved.get("trainer")
        if isinstance(progress, dict) and progress.get("batch") and not ("loader" in parts and "loader" in saved):
            raise StateDictError(
                f"Trainer.fit: {os.fspath(path)!r} was saved within an epoch, and this loader {sig(self.loader)} has "
                "no load_state_dict() to go on there; nothing was loaded"
            )
        needed = ("model", "optimizer", "trainer")
        fresh = [name for name in parts if name not in saved and name not in needed]
        gone = [name for name in saved if name not in parts]
        restore(content, os.fspath(path), {name: part for name, part in parts.items() if name not in fresh})
        if fresh or gone:
            notes = [f"it has no state of {name}, which begins anew" for name in fresh]
            notes += [f"it has a state of {name}, which is not here" for name in gone]
            warnings.warn(f"Trainer.fit: {os.fspath(path)!r}: {'; '.join(notes)}", stacklevel=3)

    def _go_on(self, loader: Any) -> None:
        """Makes the loader hand out the rest of the epoch that was interrupted in this very process."""
        state = loader.state_dict() if loader is self.loader and "loader" in self.parts() else {}
        if state.get("batch") != self.batch:
            raise ArgumentError(
                f"Trainer.fit: epoch {self.epoch + 1} broke off behind batch {self.batch}",
                hint="resume=path of a checkpoint goes on from there; a new Trainer begins anew",
            )
        loader.load_state_dict(state)

    def state_dict(self) -> dict[str, Any]:
        """How far the training is, and what the metrics of the running epoch have counted."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "step": self.step,
            "stopped": self.stopped,
            "seconds": self._seconds,
            "logs": {name: value for name, value in self.logs.items() if isinstance(value, (int, float))},
            "metrics": {name: metric.state_dict() for name, metric in self.metrics.items()},
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes that over. Raises StateDictError: other metrics, or no such state."""
        here = self.state_dict()
        if not isinstance(state_dict, Mapping) or state_dict.keys() != here.keys():
            raise StateDictError(f"Trainer.load_state_dict: expected {', '.join(here)}, got {sig(state_dict)}")
        metrics = state_dict["metrics"]
        if metrics.keys() != self.metrics.keys():
            raise StateDictError(
                f"Trainer.load_state_dict: the state has the metrics {', '.join(metrics)}, the trainer "
                f"{', '.join(self.metrics)}"
            )
        counts = [state_dict[name] for name in ("epoch", "batch", "step")]
        if not all(type(n) is int and n >= 0 for n in counts):
            raise StateDictError(f"Trainer.load_state_dict: epoch, batch and step are {counts}")
        for name, metric in self.metrics.items():
            metric.load_state_dict(metrics[name])
        self.epoch, self.batch, self.step = counts
        self.stopped, self._seconds = state_dict["stopped"], float(state_dict["seconds"])
        self.logs = dict(state_dict["logs"])

    # ---- callbacks and interrupts --------------------------------------------------------------------------------
    def _call(self, hook: str) -> None:
        for callback in self.callbacks:
            try:
                method = getattr(callback, hook)
                method() if hook == "close" else method(self)
            except Exception as error:
                name = f"{type(callback).__name__}.{hook}"
                error.add_note(f"raised by the callback {name} (epochs done: {self.epoch}, batches: {self.step})")
                raise

    def _end_if_interrupted(self) -> None:
        if self._interrupts.seen:
            self._call("on_interrupt")
            raise KeyboardInterrupt


def _detached(value: Any) -> Any:
    """Outside the graph: tensors, also in tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, (tuple, list)):
        return type(value)(map(_detached, value)) if not hasattr(value, "_fields") else value
    return {key: _detached(item) for key, item in value.items()} if isinstance(value, dict) else value


@contextmanager
def _evaluating(model: Module) -> Iterator[None]:
    """Evaluation mode and no recording inside; behind it every module is in the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
