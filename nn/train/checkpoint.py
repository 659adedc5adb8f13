"""`save_checkpoint` and `load_checkpoint`: everything that a training run needs to go on, in one file.

A checkpoint holds the state of every part that is passed (whatever has `state_dict` and `load_state_dict`, and
generators of random numbers), plain values, all default random states, and versions. The file is one of `nn.save`:
arrays and JSON, no pickle, and it appears whole or not at all. Imports nn/serialize.py and the engine.
"""

from __future__ import annotations

import copy
import os
import platform
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from typing import Any, NamedTuple

import numpy as np

from tensorgraph import generator
from tensorgraph.errors import (
    ArgumentError,
    BackendError,
    CorruptDataError,
    DtypeError,
    StateDictError,
    TensorgraphError,
    sig,
)
from tensorgraph.nn.module import Module
from tensorgraph.nn.optim.lr_scheduler import LRScheduler
from tensorgraph.nn.serialize import load, save
from tensorgraph.tensor import Tensor

__all__ = [
    "get_random_state",
    "kept",
    "load_checkpoint",
    "read_checkpoint",
    "restore",
    "save_checkpoint",
    "set_random_state",
]

FORMAT = 1
"""what the file's entry "checkpoint" says; a reader refuses higher numbers"""


def save_checkpoint(path: str | os.PathLike[str], /, **entries: Any) -> None:
    """Writes parts and values to one file, with all default random states.

        save_checkpoint("last.npz", model=model, optimizer=optimizer, loader=loader, epoch=epoch + 1)

    A part is anything with `state_dict()` and `load_state_dict()`, or a generator (tensorgraph's, NumPy's, Python's).
    Any other entry is a value and comes back from `load_checkpoint`: numbers, strings, arrays, None, and lists and
    dictionaries of them. The file appears whole or not at all, whatever happens on the way. `.npz` has checksums for
    every array; `.safetensors` has one over everything.

    Raises DtypeError: an entry that is neither; ArgumentError: another suffix; MissingDataError: no such folder.
    """
    parts = {name: _part(entry) for name, entry in entries.items()}
    content = {
        "checkpoint": {"format": FORMAT, **_versions()},
        "kinds": {name: type(entries[name]).__name__ for name, part in parts.items() if part},
        "parts": {name: part.state() for name, part in parts.items() if part},
        "values": {name: entries[name] for name, part in parts.items() if not part},
        "random": get_random_state(),
    }
    try:
        save(content, path)
    except DtypeError as error:
        raise DtypeError(
            f"save_checkpoint: {error.message.removeprefix('save: ').removeprefix('values.')}",
            hint="a part has state_dict() and load_state_dict(); a value is a number, a string, an array, None, or "
            "a list or dictionary of them",
        ) from None


def load_checkpoint(path: str | os.PathLike[str], /, *, random_states: bool = True, **parts: Any) -> dict[str, Any]:
    """Gives every part the state that the file holds under its name, and returns the values that were saved.

        epoch = load_checkpoint("last.npz", model=model, optimizer=optimizer, loader=loader)["epoch"]

    All or nothing: when one part does not fit, those before it are put back. Parts of the file that are not asked for
    are left alone, so `load_checkpoint("best.npz", random_states=False, model=model)` loads a model for use. With
    `random_states` the default generators of tensorgraph, NumPy and Python go on from where they stood.

    Raises MissingDataError: no such file; CorruptDataError: truncated, damaged, or no checkpoint; StateDictError: it
    is of another model, optimiser, ...: the text says what disagrees.
    """
    return restore(read_checkpoint(path, "load_checkpoint"), os.fspath(path), parts, random_states)


def restore(
    content: Mapping[str, Any], path: str | bytes, parts: Mapping[str, Any], random_states: bool = True
) -> dict[str, Any]:
    """What `load_checkpoint` does with a file that was read."""
    name = f"load_checkpoint: {path!r}"
    takers = {key: _part(part) for key, part in parts.items()}
    for key, taker in takers.items():
        if taker is None:
            raise DtypeError(f"load_checkpoint: {key} is {sig(parts[key])}, which has no load_state_dict()")
    missing = [key for key in parts if key not in content["parts"]]
    if missing:
        raise StateDictError(
            f"{name} holds no {' and no '.join(missing)}",
            hint=f"its parts: {', '.join(content['parts']) or 'none'}; its values: {', '.join(content['values'])}",
        )
    for key, part in parts.items():
        kind, here = content["kinds"].get(key), type(part).__name__
        if kind != here and not isinstance(part, Module):
            raise StateDictError(f"{name}: {key} was saved by {kind}, here it is {here}; nothing was loaded")
    with _undone_on_failure([*(taker for taker in takers.values() if taker), _RANDOM]):
        for key, taker in takers.items():
            assert taker is not None
            with _named(name, key):
                _check_keys(parts[key], content["parts"][key])
                taker.load(content["parts"][key])
        if random_states:
            with _named(name, "the random states"):
                set_random_state(content["random"])
    return content["values"]


@contextmanager
def kept(*parts: Any) -> Iterator[None]:
    """Whatever the block does to parts and random states is undone behind it: for experiments with a model.

    Raises DtypeError for something that is no part.
    """
    takers = [_part(part) for part in parts]
    for part, taker in zip(parts, takers, strict=True):
        if taker is None:
            raise DtypeError(f"kept: {sig(part)} has no state_dict() and load_state_dict()")
    before = [(taker, copy.deepcopy(taker.state())) for taker in [*takers, _RANDOM] if taker]
    try:
        yield
    finally:
        for taker, state in before:
            taker.load(state)


# ---- random states -------------------------------------------------------------------------------------------------
def get_random_state() -> dict[str, Any]:
    """Where all default generators stand: tensorgraph's of every device, NumPy's global one, Python's `random`."""
    generator.default_generator("cpu")  # those that drew nothing yet have a state too
    generator.default_generator()
    return {
        "tensorgraph": generator.get_rng_state(),
        "numpy": np.random.get_state(legacy=False),
        "python": random.getstate(),
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Goes on from where `get_random_state()` was called. A device that is not here is left out, with a warning."""
    if not isinstance(state, Mapping) or set(state) != {"tensorgraph", "numpy", "python"}:
        raise ArgumentError(f"set_random_state: expected what get_random_state() gave, got {sig(state)}")
    for device, one in state["tensorgraph"].items():
        try:
            generator.default_generator(device)
        except BackendError:
            warnings.warn(f"set_random_state: {device} is not here; its generator is left out", stacklevel=2)
            continue
        generator.set_rng_state({device: one})
    np.random.set_state(_plain(state["numpy"]))
    random.setstate(_tuples(state["python"]))


# ---- parts ---------------------------------------------------------------------------------------------------------
class _Part(NamedTuple):
    """How the state of something is read and set."""

    state: Callable[[], Any]
    load: Callable[[Any], Any]


_RANDOM = _Part(get_random_state, set_random_state)


def _part(entry: Any) -> _Part | None:
    """None for a plain value."""
    if callable(getattr(entry, "state_dict", None)) and callable(getattr(entry, "load_state_dict", None)):
        return _Part(entry.state_dict, entry.load_state_dict)
    if isinstance(entry, generator.Generator):
        return _Part(entry.get_state, entry.set_state)
    if isinstance(entry, np.random.Generator):
        source = entry.bit_generator
        return _Part(lambda: source.state, lambda state: setattr(source, "state", _plain(state)))
    if isinstance(entry, np.random.RandomState):
        return _Part(lambda: entry.get_state(legacy=False), lambda state: entry.set_state(_plain(state)))
    if isinstance(entry, random.Random):
        return _Part(entry.getstate, lambda state: entry.setstate(_tuples(state)))
    return None


def _check_keys(part: Any, state: Any) -> None:
    """A schedule takes every name it is given; the names of another one would be lost in it."""
    if not isinstance(part, LRScheduler):
        return
    here, there = (set(s) if isinstance(s, Mapping) else set() for s in (part.state_dict(), state))
    if here != there:
        raise StateDictError(
            f"{type(part).__name__}: the state has other entries than the schedule",
            operands=[f"only here: {key}" for key in sorted(here - there)]
            + [f"only there: {key}" for key in sorted(map(str, there - here))],
        )


def _plain(value: Any) -> Any:
    """With arrays for tensors, as NumPy's generators want them."""
    if isinstance(value, Tensor):
        return value.numpy()
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _tuples(value: Any) -> Any:
    """With tuples for lists, as Python's generator wants them."""
    return tuple(map(_tuples, value)) if isinstance(value, (list, tuple)) else value


# ---- reading -------------------------------------------------------------------------------------------------------
def read_checkpoint(path: str | os.PathLike[str], who: str) -> dict[str, Any]:
    """The content of a checkpoint, with its outline checked."""
    name = f"{who}: {os.fspath(path)!r}"
    content = load(path, device="cpu")
    header = content.get("checkpoint") if isinstance(content, dict) else None
    version = header.get("format") if isinstance(header, dict) else None
    if type(version) is not int:
        tensors = isinstance(content, dict) and all(isinstance(value, Tensor) for value in content.values())
        raise CorruptDataError(
            f"{name} is no checkpoint"
            + (f" but a state dict of {len(content)} tensors" if tensors else f" but {type(content).__name__}"),
            hint="model.load_state_dict(nn.load(path))" if tensors else "save_checkpoint writes checkpoints",
        )
    if version > FORMAT:
        raise CorruptDataError(f"{name} was written by a newer version: format {version}, this one reads {FORMAT}")
    for section in ("kinds", "parts", "values", "random"):
        if not isinstance(content.get(section), dict):
            raise CorruptDataError(f"{name} is damaged: its section {section!r} is {sig(content.get(section))}")
    return content


@contextmanager
def _named(name: str, part: str) -> Iterator[None]:
    """An error of a part says which file and which part; anything unforeseen came out of damaged contents."""
    try:
        yield
    except TensorgraphError as error:
        if isinstance(error, (StateDictError, ArgumentError, DtypeError)):
            raise StateDictError(f"{name}: {part}: {error.message}", operands=error.operands, hint=error.hint) from None
        raise
    except Exception as error:
        raise CorruptDataError(
            f"{name}: {part} cannot be restored ({type(error).__name__}: {error}); nothing was loaded"
        ) from error


@contextmanager
def _undone_on_failure(takers: list[_Part]) -> Iterator[None]:
    before = [(taker, copy.deepcopy(taker.state())) for taker in takers]
    try:
        yield
    except BaseException:
        for taker, state in before:
            taker.load(state)
        raise


def _versions() -> dict[str, str]:
    try:
        own = metadata.version("tensorgraph")
    except metadata.PackageNotFoundError:
        own = "checkout"
    return {"tensorgraph": own, "numpy": np.__version__, "python": platform.python_version()}
