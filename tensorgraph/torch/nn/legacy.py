"""Arguments of losses from before PyTorch 0.4.1: `size_average=False`, `reduce=False`; still met in programs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["reduction_of", "with_legacy_arguments"]


def reduction_of(size_average: Any, reduce: Any) -> str:
    """What the two arguments mean as `reduction`."""
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def _translated(kwargs: dict[str, Any]) -> dict[str, Any]:
    if "size_average" not in kwargs and "reduce" not in kwargs:
        return kwargs
    kwargs = dict(kwargs)
    average, reduce = kwargs.pop("size_average", None), kwargs.pop("reduce", None)
    return kwargs if average is None and reduce is None else kwargs | {"reduction": reduction_of(average, reduce)}


def with_legacy_arguments(loss: Any) -> Any:
    """A loss, as class or function, that understands `size_average=` and `reduce=`."""
    if isinstance(loss, type):

        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            loss.__init__(self, *args, **_translated(kwargs))

        functools.update_wrapper(__init__, loss.__init__)
        about = {"__init__": __init__, "__doc__": loss.__doc__, "__module__": "tensorgraph.torch.nn"}
        return type(loss.__name__, (loss,), about)
    function: Callable[..., Any] = loss

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **_translated(kwargs))

    call.__module__ = "tensorgraph.torch.nn.functional"
    return call
