"""`Checkpoint`: decides when a checkpoint is written and which ones stay. checkpoint.py beside this writes them."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensorgraph.errors import ArgumentError, StateDictError, sig
from tensorgraph.nn import arguments as check
from tensorgraph.nn.train.callback import Best, Callback
from tensorgraph.nn.train.checkpoint import load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from tensorgraph.nn.train.trainer import Trainer

__all__ = ["Checkpoint"]


class Checkpoint(Callback):
    """Keeps `last.npz`, `best.npz` (when a number is watched) and `epoch_0005.npz`, ... in a folder.

        checkpoint = nn.train.Checkpoint("out", "val_loss")
        parts = dict(model=model, optimizer=optimizer, scheduler=scheduler, loader=loader)
        epoch = checkpoint.load(**parts)["epoch"] if checkpoint.last.exists() else 0
        while epoch < 10:
            ...
            epoch += 1
            checkpoint.save(val_loss, epoch=epoch, **parts)

    monitor, mode, min_delta: the number that decides which is the best; see `Best`. `every=k` also keeps the file of
    every k-th epoch, `keep=n` only the newest n of those. `every_batches=k` makes a trainer write `last` after every
    k-th batch too; for that the loader must have `state_dict()`. `suffix` is the format, ".npz" or ".safetensors".
    The folder is made when it is missing, and belongs to one run at a time.
    """

    order = 1

    def __init__(
        self,
        folder: str | os.PathLike[str],
        monitor: str | None = None,
        *,
        mode: str | None = None,
        min_delta: float = 0.0,
        every: int | None = None,
        keep: int | None = None,
        every_batches: int | None = None,
        suffix: str = ".npz",
    ):
        self._best = None if monitor is None else Best("Checkpoint", monitor, mode, min_delta)
        self.every = None if every is None else check.integer("Checkpoint", every=every)
        self.keep = None if keep is None else check.integer("Checkpoint", keep=keep)
        self.every_batches = None if every_batches is None else check.integer("Checkpoint", every_batches=every_batches)
        if keep is not None and every is None:
            raise ArgumentError("Checkpoint: keep is the number of files of every k-th epoch, but every is not given")
        self.suffix = check.choice("Checkpoint", (".npz", ".safetensors"), suffix=suffix)
        self.folder = Path(folder)
        self._swept = False

    @property
    def last(self) -> Path:
        """The file of the latest state."""
        return self.folder / f"last{self.suffix}"

    @property
    def best(self) -> Path:
        """The file of the epoch whose watched number is best."""
        return self.folder / f"best{self.suffix}"

    def of_epoch(self, epoch: int) -> Path:
        """The file of an epoch, counted from 1."""
        return self.folder / f"epoch_{epoch:04}{self.suffix}"

    # ---- by hand -------------------------------------------------------------------------------------------------
    def save(self, value: Any = None, *, epoch: int, **entries: Any) -> list[Path]:
        """Writes what is due after an epoch; returns the paths.

        value: the watched number. epoch: how many are finished. entries: what `save_checkpoint` takes. The best value
        so far is saved with them.
        """
        if "checkpoint" in entries:
            raise ArgumentError("Checkpoint: an entry cannot be called 'checkpoint'; that name is its own")
        if (value is None) != (self._best is None):
            given = "no value is given" if value is None else f"value is {value}, but no number is watched"
            raise ArgumentError(f"Checkpoint: {given}", hint='Checkpoint(folder, "val_loss"), then save(val_loss, ...)')
        return self._write(value, epoch, {**entries, "epoch": epoch, "checkpoint": self})

    def load(self, path: str | os.PathLike[str] | None = None, **parts: Any) -> dict[str, Any]:
        """Gives the parts their states from `last` (or `path`), and this object the best value so far.

        Returns the values that were saved, "epoch" among them; see `load_checkpoint`.
        """
        return load_checkpoint(self.last if path is None else path, **parts, checkpoint=self)

    def _write(self, value: Any, epoch: int, entries: Mapping[str, Any]) -> list[Path]:
        paths = []
        if self._best is not None and self._best.update(value):
            paths.append(self.best)
        if self.every is not None and epoch % self.every == 0:
            paths.append(self.of_epoch(epoch))
        paths.append(self.last)  # behind the others: what it says of them is true
        self._prepare()
        save_checkpoint(paths[0], **entries)
        for path in paths[1:]:
            if not _linked(paths[0], path):
                save_checkpoint(path, **entries)
        if self.keep is not None:
            files = {int(found[1]): path for path in self.folder.iterdir() if (found := self._epoch_file(path))}
            for old in sorted(files)[: -self.keep]:
                files[old].unlink(missing_ok=True)
        return paths

    def _epoch_file(self, path: Path) -> re.Match[str] | None:
        return re.fullmatch(rf"epoch_(\d+){re.escape(self.suffix)}", path.name)

    def _prepare(self) -> None:
        """The folder, without what a killed run left half-written."""
        if not self._swept:
            self.folder.mkdir(parents=True, exist_ok=True)
            for left in self.folder.glob(f".*{self.suffix}.*.tmp"):
                left.unlink(missing_ok=True)
            self._swept = True

    # ---- with a trainer ------------------------------------------------------------------------------------------
    def on_epoch_end(self, trainer: Trainer) -> None:
        self._write(self._best and self._best.read(trainer.logs), trainer.epoch, trainer.parts())

    def on_batch_end(self, trainer: Trainer) -> None:
        if self.every_batches is not None and trainer.step % self.every_batches == 0:
            self._within_an_epoch(trainer)

    def on_interrupt(self, trainer: Trainer) -> None:
        self._within_an_epoch(trainer)

    def _within_an_epoch(self, trainer: Trainer) -> None:
        if trainer.batch and not hasattr(trainer.loader, "state_dict"):
            warnings.warn(
                f"Checkpoint: {type(trainer.loader).__name__} has no state_dict(), so a run can go on only from the "
                "end of an epoch; nothing is written within one",
                stacklevel=2,
            )
            return
        self._prepare()
        save_checkpoint(self.last, **trainer.parts())

    # ---- state ---------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """The best value so far."""
        return {"best": self._best and self._best.value}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on comparing with that value."""
        if not isinstance(state_dict, Mapping) or "best" not in state_dict:
            raise StateDictError(f"Checkpoint.load_state_dict: there is no 'best' in {sig(state_dict)}")
        if self._best is not None:
            self._best.value = state_dict["best"]


def _linked(source: Path, path: Path) -> bool:
    """Gives a file, which nobody changes but by replacing it, a second name. False where that cannot be done."""
    beside = path.with_name(f".{path.name}.link.tmp")
    try:
        beside.unlink(missing_ok=True)
        os.link(source, beside)
        os.replace(beside, path)
    except (OSError, NotImplementedError):
        return False
    return True
