"""The errors of tensorgraph and the short signature of an array, `f32[8,3,32,32]`.

Anyone may import this file; it imports nothing of the project. An error says what disagreed; the operation that was
running adds its operands and where they came from (`explain` in provenance.py); `hint` names the way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class TensorgraphError(Exception):
    """Root of every error that tensorgraph raises on purpose.

    `message` says what disagreed, `hint` the way out, `operands` holds one line per operand (what it is, where it
    was born). `str(error)` shows all three.
    """

    def __init__(self, message: str, *, hint: str | None = None, operands: Sequence[str] = ()):
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.operands = tuple(operands)

    def __str__(self) -> str:
        lines = [self.message, *("  " + line for line in self.operands)]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)

    def __reduce__(self):
        return _rebuild, (type(self), self.message, self.hint, self.operands)


def _rebuild(kind: type[TensorgraphError], message: str, hint: str | None, operands: Sequence[str]):
    return kind(message, hint=hint, operands=operands)


class ArgumentError(TensorgraphError, ValueError):
    """An argument has a value that makes no sense here: an unknown mode, a negative stride, an empty batch."""


class ShapeError(TensorgraphError, ValueError):
    """Shapes, ranks or axes disagree."""


class AxisError(ShapeError, IndexError):
    """An axis is out of range or named twice."""


class OutOfRangeError(TensorgraphError, IndexError):
    """An index or a class label lies outside the array that it points into."""


class LinAlgError(TensorgraphError, np.linalg.LinAlgError):
    """A matrix has no inverse or no factors of the kind that is asked for: singular, not positive definite."""


class DtypeError(TensorgraphError, TypeError):
    """The element type does not fit: an integer where a float is needed, a value that is no array at all."""


class BackendError(TensorgraphError, RuntimeError):
    """A device is missing, or operands live on different devices."""


class GraphError(TensorgraphError, RuntimeError):
    """The recorded graph cannot be used as asked: a second backward, a root that is no scalar, an overwritten array."""


class MissingDataError(TensorgraphError, FileNotFoundError):
    """A file or folder of data is not there and could not be fetched."""


class CorruptDataError(TensorgraphError, ValueError):
    """A file is there, but is truncated, damaged, of another format, or disagrees with its companion."""


class MissingPackageError(TensorgraphError, ImportError):
    """An optional package or program is needed and not installed."""


class StateDictError(ArgumentError, RuntimeError):
    """The names or shapes of a state dict are not those of the module or optimiser that loads it."""


class BroadcastWarning(UserWarning):
    """A prediction and a target of different shapes were broadcast against each other, which is rarely meant."""


_SHORT_KIND = {"f": "f", "i": "i", "u": "u", "c": "c", "b": "bool"}


def sig(a: Any) -> str:
    """Short signature of an array, tensor or scalar: `f32[8,3,32,32]`, `i64[10]`, `bool[]`, `float 2.5`."""
    shape, dtype = getattr(a, "shape", None), getattr(a, "dtype", None)
    if shape is None or dtype is None:
        text = repr(a)
        return f"{type(a).__name__} {text if len(text) <= 40 else text[:37] + '...'}"
    return sig_of(shape, dtype)


def sig_of(shape: Sequence[int], dtype: Any) -> str:
    """Short signature from a shape and a dtype."""
    kind = getattr(dtype, "kind", None)
    if kind not in _SHORT_KIND:
        name = str(dtype)
    elif kind == "b":
        name = "bool"
    else:
        name = f"{_SHORT_KIND[kind]}{8 * dtype.itemsize}"
    return f"{name}[{','.join(map(str, shape))}]"
