"""What an `axis` argument means: checked, non-negative axis numbers.

No operation lives here. May import: the engine. Imported by every file of ops whose functions take an axis.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

from tensorgraph.errors import AxisError, DtypeError, sig

__all__: list[str] = []

Axis: TypeAlias = int | tuple[int, ...] | list[int] | None
"""One axis, several, or None for all of them."""
Shape: TypeAlias = Sequence[int]
F = TypeVar("F", bound=Callable[..., Any])


def check_axis(op: str, axis: Any, ndim: int) -> int:
    """`axis` counted from the front. Raises AxisError when it is out of range, DtypeError when it is no integer."""
    try:
        number = axis.__index__()
    except AttributeError:
        raise DtypeError(f"{op}: an axis is an integer, got {sig(axis)}") from None
    if -ndim <= number < ndim:
        return number if number >= 0 else number + ndim
    raise AxisError(
        f"{op}: axis {number} is out of range",
        hint=f"{ndim} axes: from {-ndim} to {ndim - 1}" if ndim else "there is no axis in 0-d",
    )


def check_axes(op: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes that an axis argument names, counted from the front: all of them for None.

    Raises AxisError when one is out of range or named twice.
    """
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, (tuple, list)):
        return (check_axis(op, axis, ndim),)
    axes = tuple([check_axis(op, a, ndim) for a in axis])
    if len(set(axes)) != len(axes):
        raise AxisError(f"{op}: axis {tuple(axis)} names an axis twice")
    return axes


def count_along(shape: tuple[int, ...], axis: Axis) -> int:
    """How many elements are reduced to one. The axes must be valid."""
    n = 1
    if axis is None or not shape:
        for size in shape:
            n *= size
    elif isinstance(axis, (tuple, list)):
        for a in axis:
            n *= shape[a]
    else:
        n = shape[axis]
    return n


def kept_shape(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """`shape` with size 1 along the reduced axes, the shape that keepdims=True gives. The axes must be valid."""
    if axis is None or not shape:
        return (1,) * len(shape)
    sizes = list(shape)
    for a in axis if isinstance(axis, (tuple, list)) else (axis,):
        sizes[a] = 1
    return tuple(sizes)


# ---- 0-d arrays: for the sake of an axis argument they have one axis, as in PyTorch and in NumPy's reductions --------
def native_axis(axis: Any, x: Any) -> Any:
    """The axis argument of a reduction of x as the array library takes it: None, an integer or a tuple."""
    if axis is None or (axis.__class__ is int and x.ndim):
        return axis
    if isinstance(axis, list):
        axis = tuple(axis)
    elif getattr(axis, "ndim", 0):
        raise DtypeError(
            f"an axis is an integer or a tuple of integers, got {sig(axis)}",
            hint="maximum(a, b) and minimum(a, b) compare two arrays element by element; max(x, axis) reduces one",
        )
    if not x.ndim and axis in (0, -1, (0,), (-1,)):
        return None
    return axis


def scalars_too(function: F) -> F:
    """Lets a function along an axis take a 0-d x, as an array of one element; its results are 0-d then."""

    @functools.wraps(function)
    def call(x, *args, **kwargs):
        if x.ndim:
            return function(x, *args, **kwargs)
        found = function(x.reshape((1,)), *args, **kwargs)
        return tuple([y.reshape(()) for y in found]) if isinstance(found, tuple) else found.reshape(())

    return call  # pyright: ignore[reportReturnType]
