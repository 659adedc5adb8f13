"""`collate`: one batch of a list of samples; and how a batch's tensors are changed one by one (`mapped`).

Imported by assemble.py and loader.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tensorgraph import backends
from tensorgraph.creation import tensor
from tensorgraph.data.dataset import raw
from tensorgraph.errors import ShapeError, sig
from tensorgraph.tensor import Tensor

__all__ = ["collate", "converted", "mapped"]


def collate(samples: Sequence[Any]) -> Any:
    """One batch of a list of samples: arrays, tensors, numbers are stacked, tuples, lists, mappings entry by entry.

    Python floats become float32 and integers int64, arrays keep their dtype; strings and anything else stay a list.

    Raises ShapeError when samples differ in shape or in their number of entries.
    """
    if not len(samples):
        raise ShapeError("collate: an empty list makes no batch")
    first = samples[0]
    if isinstance(first, (Tensor, np.ndarray)) or type(first) in backends.ARRAYS:
        arrays = [raw(sample) for sample in samples]
        odd = next((i for i, a in enumerate(arrays) if a.shape != arrays[0].shape), None)
        if odd is not None:
            raise ShapeError(
                f"collate: samples of one batch have different shapes: {sig(arrays[0])} and {sig(arrays[odd])}",
                hint="bring them to one size in the data set, or write a collate_fn that pads",
            )
        return Tensor(backends.backend_of(arrays[0]).stack(arrays))
    if isinstance(first, (bool, int, float, complex)):
        return tensor(list(samples), device="cpu")
    if isinstance(first, np.generic):
        return Tensor(np.stack(samples))
    if isinstance(first, Mapping):
        odd = next((sample for sample in samples if sample.keys() != first.keys()), None)
        if odd is not None:
            raise ShapeError(f"collate: samples of one batch have different keys: {list(first)} and {list(odd)}")
        return {key: collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        if len({len(sample) for sample in samples}) > 1:
            raise ShapeError("collate: samples of one batch have different numbers of entries")
        columns = [collate(column) for column in zip(*samples, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else type(first)(columns)
    return list(samples)


def converted(sample: Any) -> Any:
    """A batch that is none of `collate`: its arrays as tensors, everything else as it is."""
    return mapped(lambda a: a, sample, arrays=True)


def mapped(change: Callable[[Tensor], Tensor], value: Any, arrays: bool = False) -> Any:
    """A batch with every tensor changed; with `arrays` bare arrays become tensors and are changed too."""
    if isinstance(value, Tensor):
        return change(value)
    if arrays and (isinstance(value, (np.ndarray, np.generic)) or type(value) in backends.ARRAYS):
        return change(Tensor(np.asarray(value) if isinstance(value, np.generic) else value))
    if isinstance(value, Mapping):
        return {key: mapped(change, entry, arrays) for key, entry in value.items()}
    if isinstance(value, (tuple, list)):
        entries = [mapped(change, entry, arrays) for entry in value]
        return type(value)(*entries) if hasattr(value, "_fields") else type(value)(entries)
    return value
