"""Metrics that stream: `update` with every batch, `compute` at the end. Imports the engine only.

A metric counts; it never keeps a batch. What it has counted so far is its `state_dict`, so that a checkpoint in the
middle of an epoch goes on counting. All of them take tensors and arrays of any device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tensorgraph import backends
from tensorgraph.creation import asarray
from tensorgraph.errors import ArgumentError, OutOfRangeError, ShapeError, StateDictError, sig
from tensorgraph.nn import arguments as check
from tensorgraph.tensor import Tensor

__all__ = ["Accuracy", "ConfusionMatrix", "Mean", "MeanAbsoluteError", "MeanSquaredError", "Metric", "TopK"]


class Metric:
    """Base of all metrics: `update(output, target)`, `compute()`, `reset()`.

    One of your own writes these three and keeps its counts under the names in `_counts`: numbers or NumPy arrays.
    """

    _counts: tuple[str, ...] = ()

    def update(self, output: Any, target: Any) -> None:
        """Counts one batch."""
        raise NotImplementedError(f"{type(self).__name__} has no update()")

    def compute(self) -> Any:
        """The value over everything that was counted."""
        raise NotImplementedError(f"{type(self).__name__} has no compute()")

    def reset(self) -> None:
        """Forgets everything that was counted."""
        raise NotImplementedError(f"{type(self).__name__} has no reset()")

    def state_dict(self) -> dict[str, Any]:
        """What was counted so far."""
        return {name: getattr(self, name) for name in self._counts}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on counting from there. Raises StateDictError: it is of another metric; nothing was changed."""
        if not isinstance(state_dict, Mapping) or set(state_dict) != set(self._counts):
            raise StateDictError(
                f"{type(self).__name__}.load_state_dict: expected {', '.join(self._counts)}, got "
                f"{', '.join(map(str, state_dict)) if isinstance(state_dict, Mapping) else sig(state_dict)}"
            )
        for name, value in state_dict.items():
            own = getattr(self, name)
            if np.shape(own) != tuple(getattr(value, "shape", ())):
                raise StateDictError(f"{type(self).__name__}.load_state_dict: {name} is {sig(value)}, not {sig(own)}")
        for name, value in state_dict.items():
            setattr(self, name, _host(value) if isinstance(getattr(self, name), np.ndarray) else value)

    def __repr__(self) -> str:
        value = self.compute()
        return f"{type(self).__name__}({value:.6g})" if isinstance(value, float) else f"{type(self).__name__}({value})"


class Mean(Metric):
    """The mean of numbers that come in one by one or in arrays, each counted `weight` times: the loss of an epoch.

    Numbers on a GPU are fetched in bundles, so that the device need not wait after every step. NaN when nothing came.

    >>> from tensorgraph import nn
    >>> loss = nn.train.Mean()
    >>> loss.update(2.0, weight=32)      # a batch of 32 samples
    >>> loss.update(5.0, weight=16)
    >>> loss.compute()
    3.0
    """

    _counts = ("total", "count")
    _BUNDLE = 64

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.total, self.count = 0.0, 0
        self._waiting: list[tuple[Any, Any, float]] = []  # sums and counts, on their device

    def update(self, output: Any, target: Any = None, *, weight: float = 1) -> None:
        """Counts a number, or every element of an array; `target` is not looked at."""
        if weight < 0:
            raise ArgumentError(f"Mean: weight must be at least 0, got {weight}")
        if isinstance(output, (int, float)):
            self._fetch()
            self.total, self.count = self.total + weight * output, self.count + weight
            return
        values = _raw(output)
        self._add(values.sum(dtype="float64"), values.size, weight)

    def _add(self, total: Any, count: Any, weight: float = 1) -> None:
        """Counts a sum over `count` elements; both may be on a device."""
        self._waiting.append((total, count, weight))
        if len(self._waiting) >= self._BUNDLE:
            self._fetch()

    def _fetch(self) -> None:
        for total, count, weight in self._waiting:
            self.total += weight * float(_host(total))
            self.count += weight * (count if isinstance(count, int) else int(_host(count)))
        self._waiting = []

    def compute(self) -> float:
        self._fetch()
        return self.total / self.count if self.count else float("nan")

    def state_dict(self) -> dict[str, Any]:
        self._fetch()
        return super().state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._waiting = []


class _Error(Mean):
    """The mean over all elements of what a subclass computes of the difference."""

    def _of(self, difference: Any) -> Any:
        raise NotImplementedError

    def update(self, output: Any, target: Any = None, *, weight: float = 1) -> None:
        out, wanted = _pair(output, target)
        if out.shape != wanted.shape:
            raise ShapeError(
                f"{type(self).__name__}: output {sig(out)} and target {sig(wanted)} have different shapes",
                hint="output.squeeze(-1), or target[:, None]" if out.size == wanted.size else None,
            )
        super().update(self._of(out - wanted), weight=weight)


class MeanSquaredError(_Error):
    """mean((output - target)^2) over all elements.  output, target of one shape."""

    def _of(self, difference: Any) -> Any:
        return difference * difference


class MeanAbsoluteError(_Error):
    """mean(|output - target|) over all elements.  output, target of one shape."""

    def _of(self, difference: Any) -> Any:
        return abs(difference)


class TopK(Mean):
    """The share of samples whose class is among the k with the highest scores.

    output (N, C) or (N, C, d1, ...) scores; target (N,) or (N, d1, ...) classes, or probabilities of output's shape.
    Among equal scores the first class counts as the highest, as in argmax; a class whose score is NaN is never right.
    Targets equal to `ignore_index` are not counted.

    Raises ShapeError: shapes that do not belong together; ArgumentError: fewer than k classes; OutOfRangeError: a
    class that there is no score for (on the CPU; a GPU is not made to wait for this).
    """

    def __init__(self, k: int = 5, *, ignore_index: int = -100):
        self.k = check.integer(type(self).__name__, k=k)
        self.ignore_index = ignore_index
        super().__init__()

    def update(self, output: Any, target: Any = None, *, weight: float = 1) -> None:
        name = type(self).__name__
        scores, classes, counted = _scores_and_classes(name, output, target, self.ignore_index)
        if self.k > scores.shape[1]:
            raise ArgumentError(f"{name}: the {self.k} highest of {scores.shape[1]} classes")
        be = backends.backend_of(scores)
        index = be.arange(scores.shape[1]).reshape(1, -1, *[1] * (scores.ndim - 2))
        at = be.expand_dims(be.where(counted, classes, 0) % scores.shape[1], 1)  # on a GPU it was not checked
        own = be.take_along_axis(scores, at, axis=1)
        before = (scores > own) | ((scores == own) & (index < at))
        right = (be.sum(before, axis=1) < self.k) & (own == own)[:, 0]
        self._add((right & counted).sum(), counted.sum(), weight)


class Accuracy(TopK):
    """The share of samples whose class has the highest score.

    output (N, C) or (N, C, d1, ...) scores; target (N,) or (N, d1, ...) classes, or probabilities of output's shape.
    For two classes and one score each: `Accuracy(threshold=0.0)` takes output (N,) or (N, 1) and target of the same
    number of elements, 0 or 1; a score above the threshold means 1 (0.0 for logits, 0.5 for probabilities).

    >>> import tensorgraph as tg
    >>> from tensorgraph import nn
    >>> accuracy = nn.train.Accuracy()
    >>> accuracy.update(tg.tensor([[0.1, 0.9], [0.8, 0.2]]), tg.tensor([1, 1]))
    >>> accuracy.compute()
    0.5
    """

    def __init__(self, *, threshold: float | None = None, ignore_index: int = -100):
        self.threshold = None if threshold is None else check.number("Accuracy", threshold=threshold)
        super().__init__(1, ignore_index=ignore_index)

    def update(self, output: Any, target: Any = None, *, weight: float = 1) -> None:
        if self.threshold is None:
            return super().update(output, target, weight=weight)
        out, wanted = _pair(output, target)
        if out.size != wanted.size:
            raise ShapeError(f"Accuracy: {sig(out)} holds another number of scores than {sig(wanted)} of targets")
        scores, wanted = out.reshape(-1), wanted.reshape(-1)
        counted = wanted != self.ignore_index
        right = ((scores > self.threshold) == (wanted > 0.5)) & (scores == scores)
        self._add((right & counted).sum(), counted.sum(), weight)


class ConfusionMatrix(Metric):
    """How often each class was taken for each other: `compute()[i, j]` samples of class i were called j.  int64 (C, C).

    num_classes C. output (N, C, ...) scores, or (N, ...) integers, which are the classes that were called; target as
    for `Accuracy`. `names` are what the printed table calls the classes.
    """

    _counts = ("matrix",)

    def __init__(self, num_classes: int, *, names: Sequence[str] | None = None, ignore_index: int = -100):
        self.num_classes = check.integer("ConfusionMatrix", num_classes=num_classes)
        self.names = list(map(str, range(num_classes) if names is None else names))
        if len(self.names) != self.num_classes:
            raise ArgumentError(f"ConfusionMatrix: {len(self.names)} names for {num_classes} classes")
        self.ignore_index = ignore_index
        self.reset()

    def reset(self) -> None:
        self.matrix = np.zeros((self.num_classes, self.num_classes), np.int64)

    def update(self, output: Any, target: Any) -> None:
        out, wanted = _pair(output, target)
        if out.dtype.kind in "iu" and out.shape == wanted.shape:
            called, classes, counted = out, wanted, wanted != self.ignore_index
        else:
            scores, classes, counted = _scores_and_classes("ConfusionMatrix", output, target, self.ignore_index)
            if scores.shape[1] != self.num_classes:
                raise ShapeError(f"ConfusionMatrix: output {sig(scores)} for {self.num_classes} classes")
            called = scores.argmax(axis=1)
        counted = _host(counted)
        truth, guess = _host(classes)[counted], _host(called)[counted]
        for values in (truth, guess):
            if values.size and not 0 <= values.min() <= values.max() < self.num_classes:
                raise OutOfRangeError(
                    f"ConfusionMatrix: classes from {values.min()} to {values.max()}, but num_classes is "
                    f"{self.num_classes}"
                )
        pairs = np.bincount(truth.astype(np.int64) * self.num_classes + guess, minlength=self.matrix.size)
        self.matrix = self.matrix + pairs.reshape(self.matrix.shape)

    def compute(self) -> np.ndarray:
        return self.matrix

    def recall(self) -> np.ndarray:
        """Of the samples of each class, the share that was called so (NaN for a class without samples).  (C,)"""
        return _share(np.diag(self.matrix), self.matrix.sum(axis=1))

    def precision(self) -> np.ndarray:
        """Of the samples called by each class, the share that was it (NaN for a class never called).  (C,)"""
        return _share(np.diag(self.matrix), self.matrix.sum(axis=0))

    def f1(self) -> np.ndarray:
        """The harmonic mean of precision and recall.  (C,)"""
        return _share(2 * np.diag(self.matrix), self.matrix.sum(axis=0) + self.matrix.sum(axis=1))

    def accuracy(self) -> float:
        """The share of samples on the diagonal."""
        return float(_share(np.trace(self.matrix), self.matrix.sum()))

    def __repr__(self) -> str:
        cells = [["", *self.names, "recall"]]
        for name, row, recall in zip(self.names, self.matrix, self.recall(), strict=True):
            cells.append([name, *map(str, row), f"{recall:.1%}"])
        cells.append(["precision", *(f"{p:.1%}" for p in self.precision()), f"{self.accuracy():.1%}"])
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
        return "\n".join(["rows: the class; columns: what it was taken for", *lines])


def _raw(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.array
    return value if type(value) in backends.ARRAYS else asarray(value).array


def _host(value: Any) -> np.ndarray:
    array = _raw(value)
    return np.asarray(backends.backend_of(array).to_host(array))


def _pair(output: Any, target: Any) -> tuple[Any, Any]:
    """Both as arrays, on the host unless they are on one device."""
    out, wanted = _raw(output), _raw(target)
    together = backends.backend_of(out) is backends.backend_of(wanted)
    return (out, wanted) if together else (_host(out), _host(wanted))


def _share(part: Any, whole: Any) -> Any:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.divide(part, whole, dtype=np.float64)


def _scores_and_classes(name: str, output: Any, target: Any, ignore_index: int) -> tuple[Any, Any, Any]:
    """Scores (N, C, ...), classes (N, ...) and which of them count, checked."""
    scores, classes = _pair(output, target)
    if scores.ndim >= 2 and classes.shape == scores.shape and classes.dtype.kind == "f":
        classes = classes.argmax(axis=1)
    if scores.ndim < 2 or classes.shape != scores.shape[:1] + scores.shape[2:]:
        one_each = scores.size == classes.size
        raise ShapeError(
            f"{name}: output {sig(scores)} does not go with target {sig(classes)}; expected scores (N, C, ...) and "
            "classes (N, ...)",
            hint="Accuracy(threshold=0.0) compares one score per sample with 0 or 1" if one_each else None,
        )
    if classes.dtype.kind not in "iub":
        raise ShapeError(f"{name}: classes are integers, got target {sig(classes)}")
    counted = classes != ignore_index
    be = backends.backend_of(scores)
    if classes.size and be is backends.cpu:  # a GPU would have to wait for the answer; losses look there, too
        checked = be.where(counted, classes, 0)
        low, high = int(checked.min()), int(checked.max())
        if low < 0 or high >= scores.shape[1]:
            raise OutOfRangeError(f"{name}: target has class {low if low < 0 else high}, output {sig(scores)}")
    return scores, classes, counted
