"""The errors of tensorgraph and the short signature of an array, `f32[8,3,32,32]`.

Anyone may import this file; it imports nothing of the project. An error says what disagreed; the operation that was
running adds its operands and where they came from (`explain` in provenance.py); `hint` names the way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tensorgraph.drawing import Graph


class TensorgraphError(Exception):
    """Root of every error that tensorgraph raises on purpose.

    `message` says what disagreed, `hint` the way out, `operands` holds one line per operand (what it is, where it
    was born). `str(error)` shows all three. `graph` is the picture of what led to the operation that failed.
    """

    failed: tuple[str, tuple[Any, ...], Any] | None = None
    """The operation that raised: its name, its operands as (name, signature, node), the module that was running."""

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

    @property
    def graph(self) -> Graph | None:
        """The graph that led here, the operation that failed marked in it; None when no operation was running.

        It is drawn when it is asked for. Until the error is let go it holds on to the operands' part of the graph.
        """
        if self.failed is None:
            return None
        from tensorgraph.drawing import draw_failure

        name, operands, scope = self.failed
        return draw_failure(name, operands, scope, self.message)

    def _render_traceback_(self) -> list[str]:
        """IPython asks for this when it shows the error: in a notebook the picture comes before the traceback."""
        from IPython import get_ipython
        from IPython.display import display

        shell: Any = get_ipython()
        try:
            if self.failed is not None and hasattr(shell, "kernel"):
                display(self.graph)
        except Exception:  # the error itself matters more than its picture
            self.failed = None
        show = shell.InteractiveTB
        return show.structured_traceback(type(self), self, self.__traceback__, tb_offset=show.tb_offset)

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


class WorkerError(TensorgraphError, RuntimeError):
    """A worker of a data loader died, hung, or raised what cannot be carried over to the main process."""


class MissingPackageError(TensorgraphError, ImportError):
    """An optional package or program is needed and not installed."""


class StateDictError(ArgumentError, RuntimeError):
    """The names or shapes of a state dict are not those of the module or optimiser that loads it."""


class DivergenceError(TensorgraphError, FloatingPointError):
    """A training run went astray: its loss, gradients or weights are not finite any more, or its loss exploded."""


class NonFiniteError(TensorgraphError, FloatingPointError):
    """The first NaN or Inf of a computation, found by `tensorgraph.debug()`.

    Beside the parts of every error: `details` (what the operands look like, the likely cause), `index` of the first
    bad number, `path` of the file that reproduces it, or None.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, operands: Sequence[str] = (), details=(), index=(), path=None
    ):
        super().__init__(message, hint=hint, operands=operands)
        self.details: tuple[str, ...] = tuple(details)
        self.index: tuple[int, ...] = tuple(index)
        self.path: str | None = path

    def __str__(self) -> str:
        lines = [self.message, *("  " + line for line in (*self.operands, *self.details))]
        return "\n".join([*lines, f"  hint: {self.hint}"] if self.hint else lines)

    def __reduce__(self):
        return _rebuild_non_finite, (self.message, self.hint, self.operands, self.details, self.index, self.path)


def _rebuild_non_finite(message, hint, operands, details, index, path) -> NonFiniteError:
    return NonFiniteError(message, hint=hint, operands=operands, details=details, index=index, path=path)


class OutOfMemoryError(TensorgraphError, MemoryError):
    """There was no memory for a result; `str(error)` shows who holds what, by module and line."""


class BroadcastWarning(UserWarning):
    """A prediction and a target of different shapes were broadcast against each other, which is rarely meant."""


_SHORT_KIND = {"f": "f", "i": "i", "u": "u", "c": "c", "b": "bool", "V": "bf"}


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
