"""`Assembler`: makes the batch of some indices: fetches the samples, collates them, applies the transform.

The one place where samples are touched, in the main process and in workers alike; it is what is sent to a worker.
Imported by loader.py and the workers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from tensorgraph.data.collate import collate, converted, mapped
from tensorgraph.data.dataset import ArrayDataset
from tensorgraph.data.randomness import SampleRandom, loading, start_streams, streams_kept

__all__ = ["Assembler"]

_Report = Callable[[int], None]


class Assembler:
    """Makes batches of a data set.

    `streams`: what happens to the global random streams: "kept" (started anew for each sample, and put back after the
    batch), "started" (a worker process has them for itself), "untouched".
    """

    def __init__(self, dataset: Any, collate_fn: Callable | None, transform: Callable | None, batched: bool):
        self.dataset, self.collate_fn, self.transform, self.batched = dataset, collate_fn, transform, batched
        self.whole = collate_fn is None and batched and getattr(dataset, "batch", None) is not None
        plain = self.whole and isinstance(dataset, ArrayDataset)  # nothing is drawn there
        self.draws = not plain or (transform is not None and not takes_rng(transform))

    def __call__(
        self, indices: Any, seed: int, epoch: int, streams: str = "untouched", report: _Report | None = None
    ) -> Any:
        """The batch of the samples at `indices`; `report` hears of each index before it is loaded."""
        indices = np.atleast_1d(np.asarray(indices))
        random = SampleRandom(seed, epoch, indices)
        start = self.draws and streams != "untouched"
        with streams_kept() if start and streams == "kept" else nullcontext(), loading(random) as go_to:
            words: list[int] = random.one_each().tolist() if start else []
            if self.whole:
                if report:
                    report(int(indices[0]))
                if start:
                    start_streams(words[0])
                made = converted(self.dataset.batch(indices))
            else:
                samples = []
                for row, index in enumerate(indices.tolist()):
                    go_to(row)
                    if report:
                        report(index)
                    if start:
                        start_streams(words[row])
                    samples.append(self._sample(index))
                go_to(None)
                made = self._collated(samples)
            return made if self.transform is None else _transformed(self.transform, made, random)

    def _collated(self, samples: list) -> Any:
        if self.batched:
            return (self.collate_fn or collate)(samples)
        return (self.collate_fn or converted)(samples[0])

    def _sample(self, index: int) -> Any:
        try:
            return self.dataset[index]
        except Exception as error:
            error.add_note(f"raised by sample {index} of {type(self.dataset).__name__}")
            raise


def _transformed(transform: Callable, batch: Any, random: SampleRandom) -> Any:
    """A batch after `transform(*entries)`, which sees raw arrays; what comes back as an array is a tensor again."""
    entries = batch if type(batch) in (tuple, list) else (batch,)
    arrays = [mapped(lambda t: t.array, entry) for entry in entries]
    changed = transform(*arrays, **({"rng": random} if takes_rng(transform) else {}))
    return mapped(lambda t: t, changed, arrays=True)


def takes_rng(function: Callable) -> bool:
    """Whether a function has a parameter `rng`."""
    try:
        return "rng" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
