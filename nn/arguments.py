"""Checks of constructor arguments. Layers, losses and optimisers import this file; it knows no layer.

Each check takes the name of the layer and one argument by its own name, and returns the value as it is to be kept:
`kernel_size = sizes(2, "Conv2d", kernel_size=kernel_size)`. The error shows the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any, cast

import numpy as np

from tensorgraph.errors import ArgumentError, sig

__all__ = ["choice", "flags", "fraction", "integer", "number", "sizes"]


def integer(layer: str, least: int = 1, **argument: Any) -> int:
    """An integer that is at least `least`."""
    ((name, value),) = argument.items()
    try:
        n = index(value)
    except TypeError:
        n = None
    if n is None or isinstance(value, bool) or n < least:
        kind = "a positive integer" if least == 1 else f"an integer of at least {least}"
        raise ArgumentError(f"{layer}: {name} must be {kind}, got {_show(value)}")
    return n


def sizes(n: int, layer: str, least: int = 1, **argument: Any) -> tuple[int, ...]:
    """`n` integers from a single one or a sequence of `n`."""
    ((name, value),) = argument.items()
    if not isinstance(value, Sequence) or isinstance(value, str):
        return (integer(layer, least, **argument),) * n
    if len(value) != n:
        raise ArgumentError(f"{layer}: {name} must be one integer or {n} of them, got {_show(value)}")
    return tuple(integer(layer, least, **{f"{name}[{i}]": v}) for i, v in enumerate(value))


def number(
    layer: str, least: float | None = None, most: float | None = None, above: float | None = None, **argument: Any
) -> float:
    """A real number that is at least `least`, at most `most`, and more than `above`."""
    ((name, value),) = argument.items()
    bounds = [f"at least {least}" if least is not None else "", f"at most {most}" if most is not None else ""]
    bounds += [f"more than {above}" if above is not None else ""]
    try:
        x = float(value) if not isinstance(value, (str, bool)) else None
    except (TypeError, ValueError):
        x = None
    fits = (
        x is not None
        and x == x
        and (least is None or x >= least)
        and (most is None or x <= most)
        and (above is None or x > above)
    )
    if not fits:
        wanted = " and ".join(filter(None, bounds))
        raise ArgumentError(f"{layer}: {name} must be a number{' of ' * bool(wanted)}{wanted}, got {_show(value)}")
    return cast(float, value)


def fraction(layer: str, **argument: Any) -> float:
    """A number from 0 to 1: a probability, a share."""
    return number(layer, 0, 1, **argument)


def choice(layer: str, options: Sequence[str], **argument: Any) -> Any:
    """One of a few words."""
    ((name, value),) = argument.items()
    if not isinstance(value, str) or value not in options:
        raise ArgumentError(f"{layer}: {name} must be one of {', '.join(map(repr, options))}, got {_show(value)}")
    return value


def flags(layer: str, **arguments: Any) -> None:
    """Settings that are on or off: booleans, 0 and 1, and None for off."""
    for name, value in arguments.items():
        if value is not True and value is not False and value is not None and not _is_switch(value):
            raise ArgumentError(f"{layer}: {name} must be True or False, got {_show(value)}")


def _is_switch(value: Any) -> bool:
    return isinstance(value, (int, np.bool_)) and value in (0, 1)


def _show(value: Any) -> str:
    return repr(value) if isinstance(value, (int, float, str, tuple, list, type(None))) else sig(value)
