"""Records of a training: `History` in memory, `CSVLog` and `TensorBoardLog` in files.

Each takes one row of numbers by name at a time, from a trainer or from a loop written by hand. matplotlib and
tensorboard are imported when they are used.
"""

from __future__ import annotations

import csv
import io
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorgraph.errors import ArgumentError, MissingPackageError, StateDictError, sig
from tensorgraph.nn import arguments as check
from tensorgraph.nn.serialize import atomically
from tensorgraph.nn.train.callback import Best, Callback
from tensorgraph.nn.train.progress_bar import line
from tensorgraph.tensor import Tensor

if TYPE_CHECKING:
    from tensorgraph.nn.train.trainer import Trainer

__all__ = ["CSVLog", "History", "TensorBoardLog", "figure_class"]


_BESIDES = ("epoch", "step", "lr", "grad_norm", "update_ratio", "skipped", "seconds")
"""columns that no picture is drawn of"""


class History(Callback):
    """The numbers of every epoch: a row per epoch, a column per name.

    >>> from tensorgraph import nn
    >>> history = nn.train.History()
    >>> history.append(epoch=1, loss=0.5)
    >>> history.append(epoch=2, loss=0.25)
    >>> history["loss"]
    [0.5, 0.25]
    >>> history.best("loss")
    {'epoch': 2, 'loss': 0.25}
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def append(self, **values: Any) -> None:
        """Adds a row: numbers, or arrays (a confusion matrix)."""
        self.rows.append({name: _plain(value) for name, value in values.items()})

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> list[Any]:
        """A column; None where a row does not have it."""
        if not any(name in row for row in self.rows):
            names = ", ".join(dict.fromkeys(key for row in self.rows for key in row))
            raise ArgumentError(f"History: there is no {name!r}", hint=f"there are {names or 'no rows'}")
        return [row.get(name) for row in self.rows]

    def best(self, name: str, mode: str | None = None) -> dict[str, Any]:
        """The row whose `name` is best; see `Best` for the mode."""
        best, found = Best("History", name, mode), None
        for row in self.rows:
            if row.get(name) is not None and best.update(row[name]):
                found = row
        if found is None:
            raise ArgumentError(f"History: no row has a number {name!r}")
        return found

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draws loss and metrics against the epochs, each beside its validation twin; returns matplotlib's figure.

        With `path` the figure is saved there. Raises MissingPackageError without matplotlib.
        """
        figure = figure_class("History.plot")
        names = [
            name
            for name in dict.fromkeys(key for row in self.rows for key in row)
            if name not in _BESIDES and any(_is_number(row.get(name)) for row in self.rows)
        ]
        kinds = dict.fromkeys(name.removeprefix("val_") for name in names)
        groups = [[name for name in names if name.removeprefix("val_") == kind] for kind in kinds] or [[]]
        figure = figure(figsize=(4.2 * len(groups), 3.2), layout="constrained")
        epochs = [row.get("epoch", i + 1) for i, row in enumerate(self.rows)]
        for axes, group in zip(np.ravel(figure.subplots(1, len(groups))), groups, strict=True):
            for name in group:
                values = [row[name] if _is_number(row.get(name)) else math.nan for row in self.rows]
                axes.plot(epochs, values, marker="o", markersize=3, label=name)
            axes.set_xlabel("epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
            if group:
                axes.legend(frameon=False)
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure

    def on_epoch_end(self, trainer: Trainer) -> None:
        self.append(**trainer.logs)

    def state_dict(self) -> dict[str, Any]:
        """All rows."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over the rows."""
        rows = state_dict.get("rows") if isinstance(state_dict, Mapping) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise StateDictError(f"History.load_state_dict: there are no rows in {sig(state_dict)}")
        self.rows = [{name: _plain(value) for name, value in row.items()} for row in rows]

    def __repr__(self) -> str:
        return "\n".join(f"  {line(row)}" for row in self.rows) if self.rows else "History()"


class CSVLog(Callback):
    """A table in a text file, a line per row, readable at any moment.

        log = nn.train.CSVLog("out/log.csv")
        log.write(epoch=1, loss=0.5, val_loss=0.6)

    The first row makes the file anew, unless `append=True`; a row with a new column gives the file that column. A run
    that goes on from a checkpoint keeps the rows up to there and drops later ones. What is no number or string is left
    out. With a trainer there is a row per epoch. The folder is made when it is missing.
    """

    def __init__(self, path: str | os.PathLike[str], *, append: bool = False):
        self.path = Path(path)
        self._rows: int | None = None if append else 0  # so many of the file's rows count; None: all of them
        self._open = False  # whether the file holds these rows and no others
        self._columns: list[str] = []

    def write(self, **values: Any) -> None:
        """Adds a row."""
        row = {name: _plain(value) for name, value in values.items()}
        row = {name: value for name, value in row.items() if isinstance(value, (int, float, str))}
        if not self._open or not row.keys() <= set(self._columns):
            rows = self._read(self._rows)
            self._rewrite(rows, [*self._columns, *(name for name in row if name not in self._columns)])
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns, restval="").writerow(row)
        self._rows = (self._rows or 0) + 1

    def _read(self, rows: int | None) -> list[dict[str, Any]]:
        """The first rows of the file, and its columns into `_columns`."""
        if rows == 0 or not self.path.is_file():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            self._columns = list(reader.fieldnames or [])
            return list(reader)[:rows]

    def _rewrite(self, rows: list[dict[str, Any]], columns: list[str]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        atomically(self.path, lambda file: file.write(text.getvalue().encode()))
        self._columns, self._rows, self._open = columns, len(rows), True

    def on_epoch_end(self, trainer: Trainer) -> None:
        self.write(**trainer.logs)

    def state_dict(self) -> dict[str, Any]:
        """How many rows there are."""
        return {"rows": self._rows}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on behind that row. The file is cut when the next row is written."""
        rows = state_dict.get("rows", "") if isinstance(state_dict, Mapping) else ""
        if rows is not None and type(rows) is not int:
            raise StateDictError(f"CSVLog.load_state_dict: there is no number of rows in {sig(state_dict)}")
        self._rows, self._open, self._columns = rows, False, []


class TensorBoardLog(Callback):
    """Curves for TensorBoard: `tensorboard --logdir out`.

        with nn.train.TensorBoardLog("out/run1") as log:
            log.write(step, loss=0.5, accuracy=0.9)

    With a trainer there is a point per epoch at the number of batches trained so far, and, with `every_batches=k`, one
    for the loss of every k-th batch ("batch_loss"). After a run went on from a checkpoint, TensorBoard drops the
    points behind it. The package `tensorboard` writes the file; neither TensorFlow nor PyTorch is needed.

    Raises MissingPackageError without tensorboard (extra `train`).
    """

    def __init__(self, folder: str | os.PathLike[str], *, every_batches: int | None = None):
        try:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter  # noqa: F401
        except ImportError:
            raise MissingPackageError(
                "TensorBoardLog: tensorboard is not installed",
                hint='pip install "tensorgraph[train]", or pip install tensorboard; CSVLog needs nothing',
            ) from None
        self.folder = Path(folder)
        self.every_batches = None
        if every_batches is not None:
            self.every_batches = check.integer("TensorBoardLog", every_batches=every_batches)
        self._writer: Any = None
        self._resumed: int | None = None
        self._step = 0

    def write(self, step: int, **values: Any) -> None:
        """Adds a point at `step` to the curve of every name; what is no number is left out."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if self._writer is None:
            self._writer = EventFileWriter(str(self.folder))
        if self._resumed is not None:  # a session that starts at a step makes TensorBoard forget later ones
            session = SessionLog(status=SessionLog.START)
            self._writer.add_event(Event(wall_time=time.time(), step=self._resumed + 1, session_log=session))
            self._resumed = None
        numbers = {name: _plain(value) for name, value in values.items()}
        points = [Summary.Value(tag=n, simple_value=v) for n, v in numbers.items() if isinstance(v, (int, float))]
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=points)))
        self._step = step

    def close(self) -> None:
        """Writes out what is waiting; a later `write` begins another file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __enter__(self) -> TensorBoardLog:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def on_batch_end(self, trainer: Trainer) -> None:
        if self.every_batches is not None and trainer.step % self.every_batches == 0:
            self.write(trainer.step, batch_loss=trainer.loss)

    def on_epoch_end(self, trainer: Trainer) -> None:
        self.write(trainer.step, **{n: v for n, v in trainer.logs.items() if n != "step"})
        self._writer.flush()

    def state_dict(self) -> dict[str, Any]:
        """The latest step."""
        return {"step": self._step}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on behind that step."""
        step = state_dict.get("step") if isinstance(state_dict, Mapping) else None
        if type(step) is not int:
            raise StateDictError(f"TensorBoardLog.load_state_dict: there is no step in {sig(state_dict)}")
        self._step = self._resumed = step


def _plain(value: Any) -> Any:
    """A Python number for anything with one element, a NumPy array for other tensors, the rest as it is."""
    if isinstance(value, Tensor):
        value = value.detach().to(device="cpu").numpy()
    if isinstance(value, (np.generic, np.ndarray)) and value.size == 1 and value.ndim == 0:
        return value.item()
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def figure_class(who: str) -> Any:
    """matplotlib's `Figure`, which draws into files and notebooks without a window and without global state."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingPackageError(
            f"{who}: matplotlib is not installed", hint='pip install "tensorgraph[train]", or pip install matplotlib'
        ) from None
    return Figure
