"""How far it is: `progress` round any loop, `ProgressBar` for a trainer. With tqdm where it is installed, else without.

Imports nn/train/callback.py. Bars go to the error stream, the line that sums up an epoch to the output.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from tensorgraph.nn.train.callback import Callback

if TYPE_CHECKING:
    from tensorgraph.nn.train.trainer import Trainer

__all__ = ["ProgressBar", "line", "progress"]

T = TypeVar("T")


def progress(loader: Iterable[T], label: str = "", total: int | None = None) -> Iterator[T]:
    """The same batches, with a bar that says how far it is and how long it will take.

        for x, t in nn.train.progress(loader, f"epoch {epoch + 1}"):
            ...

    total: the number of batches, `len(loader)` unless given.
    """
    if total is None and hasattr(loader, "__len__"):
        total = len(loader)  # pyright: ignore[reportArgumentType]
    bar = _bar(total, 0)
    bar.set_description(label, refresh=False)
    try:
        for batch in loader:
            yield batch
            bar.update(1)
    finally:
        bar.close()


def line(row: Mapping[str, Any]) -> str:
    """One line for a row of numbers: `epoch 3  loss 0.1234  accuracy 97.12%  12.3 s`."""
    return "  ".join(filter(None, (_word(name, value) for name, value in row.items())))


def _word(name: str, value: Any) -> str:
    if not isinstance(value, (int, float)):
        return ""
    if name == "seconds":
        return f"{value:.1f} s"
    if isinstance(value, float) and ("accuracy" in name or "top" in name):
        return f"{name} {value:.2%}"
    return f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"


class ProgressBar(Callback):
    """A bar over all epochs of a trainer, with the time that is left, and a line for every finished epoch."""

    def __init__(self) -> None:
        self._bar: Any = None

    def on_fit_begin(self, trainer: Trainer) -> None:
        self._bar = _bar(trainer.batches and trainer.batches * trainer.epochs, trainer.step)
        self._start = time.perf_counter()
        self._done = trainer.epoch

    def on_epoch_begin(self, trainer: Trainer) -> None:
        self._bar.set_description(f"epoch {trainer.epoch + 1}/{trainer.epochs}", refresh=False)

    def on_batch_end(self, trainer: Trainer) -> None:
        self._bar.update(1)

    def on_epoch_end(self, trainer: Trainer) -> None:
        left = trainer.epochs - trainer.epoch
        text = line({name: value for name, value in trainer.logs.items() if name not in ("epoch", "step")})
        seconds = (time.perf_counter() - self._start) / (trainer.epoch - self._done) * left
        text += f", {_clock(seconds)} left" if left else ""
        width = len(str(trainer.epochs))
        self._bar.write(f"epoch {trainer.epoch:{width}}/{trainer.epochs}  {text}")

    def on_fit_end(self, trainer: Trainer) -> None:
        if trainer.stopped:
            self._bar.write(f"stopped: {trainer.stopped}")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _bar(total: int | None, done: int) -> Any:
    if not sys.stderr.isatty() and "ipykernel" not in sys.modules:
        return _PlainBar(total, done, pause=60.0)  # a log file: a line now and then
    try:
        from tqdm import tqdm
    except ImportError:
        return _PlainBar(total, done, pause=0.1)
    return tqdm(total=total, initial=done, unit="batch", dynamic_ncols=True, leave=False)


class _PlainBar:
    """What is used of tqdm's bar: a line that is written over on a terminal, a new one now and then elsewhere."""

    def __init__(self, total: int | None, done: int, pause: float):
        self.total, self.n, self.label, self._pause = total, done, "", pause
        self._first = done
        self._start = self._shown = time.perf_counter()
        self._begin, self._end = ("\r\x1b[K", "") if sys.stderr.isatty() else ("", "\n")

    def set_description(self, label: str, refresh: bool = True) -> None:
        self.label = label

    def update(self, n: int) -> None:
        self.n += n
        now = time.perf_counter()
        if now - self._shown >= self._pause:
            self._shown = now
            rate = (self.n - self._first) / (now - self._start)
            of = f"/{self.total}, {_clock((self.total - self.n) / rate)} left" if self.total else ""
            self._say(f"{self.label + ': ' if self.label else ''}{self.n}{of}, {rate:.1f} batch/s{self._end}")

    def write(self, text: str) -> None:
        self.close()
        print(text, flush=True)

    def close(self) -> None:
        if self._begin:
            self._say("")

    def _say(self, text: str) -> None:
        sys.stderr.write(self._begin + text)
        sys.stderr.flush()


def _clock(seconds: float) -> str:
    """`0:05`, `12:34`, `1:02:03`."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
