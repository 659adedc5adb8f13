"""The fence with graphs of work, for `tensorgraph.capture`: what a GPU does with a stream that captures, on NumPy.

While a graph is recorded nothing is computed: results are memory full of NaN, and in-place operations leave their
memory alone. Launching it runs the same functions on the same memory. Values that somebody took while it was recorded,
or memory that was exchanged since, so come out wrong, as they would on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from tensorgraph import generator
from tensorgraph.backends.philox import PhiloxStream, philox
from tensorgraph.capturing import leave
from tests import fence as module
from tests.fence import FenceArray, FenceBackend


def arrays_in(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (tuple, list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from arrays_in(part)


class Tape:
    """A graph: functions with the memory that they read and write."""

    refused: tuple[str, ...] = ()
    """functions that raise while a graph is recorded, as CuPy's products of matrices do"""

    def __init__(self) -> None:
        self.steps: list[tuple[Callable, tuple, dict, list[np.ndarray]]] = []

    def record(self, function: Callable, args: tuple, kwargs: dict) -> Any:
        if getattr(function, "__name__", "") in self.refused:
            raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")
        given = list(arrays_in((args, kwargs)))
        before = [(a, a.copy()) for a in given if a.flags.writeable]  # a broadcast view is not
        with np.errstate(all="ignore"):
            result = function(*args, **kwargs)  # for its shape
        for a, values in before:
            a[...] = values
        if isinstance(result, np.generic):
            result = np.asarray(result)
        if isinstance(result, (tuple, list)):
            kind = type(result)
            parts = [np.asarray(part) if isinstance(part, np.generic) else part for part in result]
            result = kind(*parts) if hasattr(result, "_fields") else kind(parts)
        made = [a if a.flags.c_contiguous else a.copy(order="C") for a in arrays_in(result)]
        fresh = [not any(np.may_share_memory(a, g) for g in given) for a in arrays_in(result)]
        if made and not all(fresh):  # a view, or written in place
            self.steps.append((function, args, kwargs, []))
            return result
        for a in made:
            a[...] = np.nan if a.dtype.kind in "fc" else 0
        self.steps.append((function, args, kwargs, made))
        return made[0] if isinstance(result, np.ndarray) else type(result)(made) if made else result

    def launch(self) -> None:
        for function, args, kwargs, made in self.steps:
            result = function(*args, **kwargs)
            parts = [result] if isinstance(result, (np.ndarray, np.generic)) else list(result or ())
            if made:
                for place, value in zip(made, parts, strict=True):
                    place[...] = value


class Graphs:
    """What `Backend.graphs` gives."""

    def __init__(self, owner: Playback):
        self.owner = owner
        self.tape: Tape | None = None

    def begin(self) -> None:
        self.tape = Tape()
        self.tape.refused = self.owner.refused
        module.run = self.tape.record
        self.owner.events.append("begin")

    def end(self) -> Callable[[], None]:
        tape, self.tape = self.tape, None
        module.run = module.compute
        assert tape is not None

        def launch() -> None:
            assert module.run is module.compute, "a graph is launched while another one is recorded"
            self.owner.events.append("launch")
            tape.launch()

        return launch

    def abandon(self) -> None:
        self.owner.events.append("abandon")
        module.run, self.tape = module.compute, None


class Playback(FenceBackend):
    """A fence backend that captures."""

    captures = True

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []
        self.refused: tuple[str, ...] = ()

    def graphs(self, device: str) -> Graphs:
        return Graphs(self)

    def to_host(self, array: FenceArray) -> np.ndarray:
        leave("it reads values")
        return super().to_host(array)

    def from_host(self, array: np.ndarray, device: str = "fence") -> FenceArray:
        leave("it copies values to the device")
        return super().from_host(array, device)

    def stream(self, seed: int, device: str) -> PhiloxStream:
        return PhiloxStream(seed, self.xp, partial(philox, self.xp))


@contextmanager
def installed(kind: type[Playback] = Playback) -> Iterator[Playback]:
    """As `tests.fence.installed`, with this backend."""
    real, module.fence = module.fence, kind()
    drawing = generator._defaults.pop("fence", None)  # another kind of stream
    try:
        with module.installed() as playing:
            yield playing  # pyright: ignore[reportReturnType]
    finally:
        module.fence, module.run = real, module.compute
        generator._defaults.pop("fence", None)
        if drawing is not None:
            generator._defaults["fence"] = drawing
