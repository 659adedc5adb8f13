"""The only global state: is the graph being recorded, which module is running, are fast kernels allowed.

Anyone in the project may import this file; it imports nothing of the project. They are context variables, so every
thread and every async task has its own, and a new thread starts with the defaults (recording, kernels on).
"""

from __future__ import annotations

import functools
import itertools
from contextvars import ContextVar
from typing import Any

_HERE: ContextVar[tuple[bool, Any]] = ContextVar("tensorgraph.here", default=(True, None))
_KERNELS: ContextVar[bool] = ContextVar("tensorgraph.kernels", default=True)

here = _HERE.get
"""(is the graph recorded, the innermost call of a module): one variable, because every recorded operation reads both"""
go = _HERE.set
kernels_allowed = _KERNELS.get


def recording() -> bool:
    """Whether operations are recorded here."""
    return here()[0]


def current_scope() -> Any:
    """The innermost call of a module (provenance.Scope); None outside every module."""
    return here()[1]


# The clock of the graph: nodes and writes in place take their serial numbers from it.
tick = itertools.count(1).__next__


class _Switch:
    """Sets a context variable inside a `with` block, or for the length of a function that it decorates.

    Re-entrant: one object may be entered again while it is already entered.
    """

    _variable: ContextVar[bool]

    def __init__(self, value: bool):
        self._value = value
        self._before: list[bool] = []

    def _exchange(self, value: bool) -> bool:
        """Sets the value and gives the one before."""
        before = self._variable.get()
        self._variable.set(value)
        return before

    def __enter__(self):
        self._before.append(self._exchange(self._value))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._exchange(self._before.pop())

    def __call__(self, function):
        if not callable(function):
            raise TypeError(f"{type(self).__name__}() decorates a function or opens a `with` block, got {function!r}")

        @functools.wraps(function)
        def inside(*args, **kwargs):
            with type(self)(self._value):
                return function(*args, **kwargs)

        return inside


class set_grad_enabled(_Switch):
    """Record operations (`True`) or not (`False`) inside the block."""

    def _exchange(self, value: bool) -> bool:
        before, scope = here()
        go((value, scope))
        return before


class no_grad(set_grad_enabled):
    """Inside the block nothing is recorded: results need no gradient, and leaves may be written in place.

    >>> import tensorgraph as tg
    >>> w = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> with tg.no_grad():
    ...     w -= 0.5
    >>> w
    tensor([0.5, 1.5], dtype=float32, requires_grad=True)
    """

    def __init__(self, value: bool = False):
        super().__init__(value)


class enable_grad(set_grad_enabled):
    """Records again inside a `no_grad` block."""

    def __init__(self, value: bool = True):
        super().__init__(value)


class kernels(_Switch):
    """`with kernels(False):` runs definitions instead of fast kernels; results agree, only the speed differs."""

    _variable = _KERNELS
