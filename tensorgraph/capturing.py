"""What the rest of the project asks while a step is being captured (capture.py): is one, and what then is different.

A graph of GPU work replays kernels and nothing else. So host code that matters in every step runs between two graphs
(`each_time`), numbers that the host computes are read from the memory of the device (`live`), and what waits for the
device ends the capture (`leave`). Anyone may import this file; it imports nothing of the project.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorgraph.capture import Recording

__all__ = ["CURRENT", "current", "depends", "each_time", "leave", "live"]

CURRENT: ContextVar[Recording | None] = ContextVar("tensorgraph.capturing", default=None)

current = CURRENT.get
"""the recording that is running in this thread, or None"""


def leave(what: str) -> None:
    """Ends a capture, if one is running, because of `what`; the step goes on eagerly with everything computed."""
    recording = current()
    if recording is not None:
        recording.leave(what)


def live(compute: Callable[[], float], dtype: Any, undo: Callable[[], None] | None = None) -> Any:
    """The number that `compute()` gives; in a capture an array of `dtype` with it, computed anew for every replay.

    `undo` takes back what compute changed on the host, in case the step is begun again.
    """
    recording = current()
    return compute() if recording is None else recording.live(compute, dtype, undo)


def depends(ask: Callable[[], Any]) -> None:
    """What `ask()` gives now is a part of what is captured: when it gives something else the step is captured anew."""
    recording = current()
    if recording is not None:
        recording.depends(ask)


def each_time(method: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a method whose work on the host belongs to every step: a replay calls it between two graphs."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        recording = current()
        if recording is None:
            return method(self, *args, **kwargs)
        return recording.between(functools.partial(method, self, *args, **kwargs))

    return call
