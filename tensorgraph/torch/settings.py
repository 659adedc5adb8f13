"""Switches of PyTorch that have no counterpart here, or one that is always on: accepted where that changes no result.

A setting that would change results is an error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.errors import ArgumentError
from tensorgraph.num_threads import get_num_threads, set_num_threads

__all__ = [
    "are_deterministic_algorithms_enabled", "get_default_dtype", "get_float32_matmul_precision", "get_num_threads",
    "initial_seed", "is_inference_mode_enabled", "seed", "set_default_dtype", "set_float32_matmul_precision",
    "set_num_threads", "set_printoptions", "use_deterministic_algorithms",
]  # fmt: skip


def get_default_dtype() -> Any:
    """float32, always."""
    return tg.float32


def set_default_dtype(d: Any) -> None:
    """float32 is accepted. Raises ArgumentError for another dtype: tensorgraph has no such switch."""
    if tg.backends.check_dtype(d) != tg.float32:
        raise ArgumentError(
            f"set_default_dtype: {d}; the dtype of new tensors is float32",
            hint="give dtype= where tensors are made, and model.double()",
        )


def set_printoptions(
    precision: Any = None, threshold: Any = None, edgeitems: Any = None, linewidth: Any = None, profile: Any = None,
    sci_mode: Any = None,
) -> None:  # fmt: skip
    """How NumPy prints arrays, and so tensors."""
    given = dict(precision=precision, threshold=threshold, edgeitems=edgeitems, linewidth=linewidth)
    given = {name: value for name, value in given.items() if value is not None}
    if profile == "full":
        given["threshold"] = np.inf
    if sci_mode is not None:
        given["suppress"] = not sci_mode
    np.set_printoptions(**given)


def seed() -> int:
    """Starts the random numbers again from noise. Returns the seed that this gave."""
    found = tg.Generator().initial_seed
    tg.manual_seed(found)
    return found


def initial_seed() -> int:
    """The seed that the random numbers started from."""
    return tg.default_generator("cpu").initial_seed


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted: on the CPU the same program gives the same numbers anyway."""


def are_deterministic_algorithms_enabled() -> bool:
    """True."""
    return True


def set_float32_matmul_precision(precision: str) -> None:
    """Accepted: products of float32 are computed in float32."""


def get_float32_matmul_precision() -> str:
    """ "highest"."""
    return "highest"


def is_inference_mode_enabled() -> bool:
    """Whether nothing is being recorded."""
    return not tg.is_grad_enabled()
