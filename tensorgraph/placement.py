"""Several GPUs: the operands of an operation lie on one device, and that is the one on which the thread computes.

CuPy would read the memory of another device through the bus, if it can, and say nothing. Where there is more than one
GPU the CUDA backend lets every operation look first; with one GPU, or none, nothing knows of this file. May import: the
engine.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tensorgraph import fused, operation
from tensorgraph.errors import BackendError

__all__ = ["watch"]

_cuda: Any = None
"""the backend whose arrays are looked at"""


def watch(be: Any) -> None:
    """Lets every operation on arrays of the backend `be` check where they are."""
    global _cuda
    first, _cuda = _cuda is None, be
    if first:
        operation.wrap(_checked)
        fused.wrappers.append(_checked_kernel)


def _check(values: tuple) -> None:
    found = [value.device.id for value in values if type(value) is _cuda.array_type]
    if not found:
        return
    if min(found) != max(found):
        raise ValueError("operands on different devices")  # the operation says which they are, and makes it clear
    here = _cuda.xp.cuda.runtime.getDevice()
    if found[0] != here:
        raise BackendError(
            f"the operands are on cuda:{found[0]}, this thread computes on cuda:{here}",
            hint=f'with tensorgraph.cuda.device({found[0]}): ..., or tensorgraph.set_default_device("cuda:{found[0]}")',
        )


def _checked(op: Any) -> Callable[..., Any]:
    plain = op.forward
    if op.name == "transfer":  # goes from one device to another
        return plain

    @functools.wraps(plain)
    def forward(be: Any, *args: Any, **settings: Any) -> Any:
        _check(args)
        return plain(be, *args, **settings)

    return forward


def _checked_kernel(kernel: Callable[..., Any]) -> Callable[..., Any]:
    def run(be: Any, *arrays: Any, **static: Any) -> Any:
        _check(arrays)
        return kernel(be, *arrays, **static)

    return run
