"""`Generator`: a reproducible stream of random numbers on one device, and the default one of each device.

Everything in the project that draws random numbers asks here. The engine may import this file; it imports the
backends. The same seed gives the same numbers on the same kind of device; devices differ among each other.
"""

from __future__ import annotations

import operator
import secrets
from typing import Any

from tensorgraph import backends
from tensorgraph.errors import ArgumentError, BackendError, sig

__all__ = ["Generator", "default_generator", "get_rng_state", "manual_seed", "set_rng_state"]


class Generator:
    """A stream of random numbers on one device, started from `seed` (None: from the operating system's noise).

    Pass it as `generator=` to anything random; without one the default generator of the device is used. `stream`
    draws raw arrays (backends/random.py).

    >>> import tensorgraph as tg
    >>> a, b = tg.Generator(7), tg.Generator(7)
    >>> bool((tg.rand(3, generator=a) == tg.rand(3, generator=b)).all())
    True
    """

    def __init__(self, seed: int | None = None, device: str | None = None):
        self.device = _full_name(device)
        self._backend = backends.get(self.device)
        self.draws = self._backend.has_values
        self.manual_seed(secrets.randbits(63) if seed is None else seed)

    def manual_seed(self, seed: int) -> Generator:
        """Starts again from `seed`, an integer from 0 on. Returns the generator itself."""
        self.initial_seed = _check_seed(seed)
        stream = self._backend.stream(self.initial_seed, self.device)
        if hasattr(self, "stream"):
            self.stream.state = stream.state  # a captured step draws from the stream that it met
        else:
            self.stream = stream
        return self

    def get_state(self) -> dict[str, Any]:
        """Where the stream stands: a dictionary of strings and integers, fit for pickle and JSON."""
        return {"seed": self.initial_seed, **self.stream.state}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from where `get_state()` was called, on this or another generator of the same kind of device."""
        if not isinstance(state, dict):
            raise ArgumentError(f"set_state: expected what get_state() gave, got {sig(state)}")
        self.stream.state = state
        self.initial_seed = state.get("seed", self.initial_seed)

    def __getstate__(self) -> dict[str, Any]:
        return {"device": self.device, "state": self.get_state()}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.__init__(saved["state"]["seed"], saved["device"])
        self.set_state(saved["state"])

    def __repr__(self) -> str:
        return f"Generator(seed={self.initial_seed}, device={self.device!r})"


_defaults: dict[str, Generator] = {}
_seed: int | None = None


def default_generator(device: str | None = None) -> Generator:
    """The generator that is used on `device` when none is named."""
    name = _full_name(device)
    generator = _defaults.get(name)
    if generator is None:
        generator = Generator(_seed, name)
        if generator.draws:
            _defaults[name] = generator
    return generator


def manual_seed(seed: int) -> Generator:
    """Starts the default generators of all devices again from `seed`; returns that of the default device."""
    global _seed
    _seed = _check_seed(seed)
    for generator in _defaults.values():
        generator.manual_seed(seed)
    return default_generator()


def get_rng_state() -> dict[str, dict[str, Any]]:
    """Where the default generator of every device stands, by device; fit for pickle and JSON."""
    return {name: generator.get_state() for name, generator in _defaults.items()}


def set_rng_state(state: dict[str, dict[str, Any]]) -> None:
    """Goes on from where `get_rng_state()` was called."""
    for name, one in state.items():
        default_generator(name).set_state(one)


def generator_for(generator: Generator | None, device: str | None, what: str) -> Generator:
    """`generator`, or the default one of `device`; it must draw where the operation `what` computes."""
    if generator is None:
        return default_generator(device)
    if not isinstance(generator, Generator):
        raise ArgumentError(f"{what}: generator is {sig(generator)}", hint="tensorgraph.Generator(seed, device)")
    if not backends.get(device).has_values:  # where nothing is drawn any stream will do
        return default_generator(device)
    if device is not None and generator.device != _full_name(device):
        raise BackendError(
            f"{what}: the generator draws on {generator.device}, the result belongs on {device}",
            hint=f"Generator(seed, device={device!r})",
        )
    return generator


def _full_name(device: str | None) -> str:
    name = str(backends.get_default_device() if device is None else device)
    return "cuda:0" if name == "cuda" else name


def _check_seed(seed: int) -> int:
    try:
        value = operator.index(seed)
    except TypeError:
        value = -1
    if value < 0:
        raise ArgumentError(f"a seed is an integer from 0 on, got {seed!r}")
    return value
