"""`set_num_threads` and `get_num_threads`: on how many threads the CPU computes. Imports backends only."""

from __future__ import annotations

import operator

from tensorgraph.backends.numpy_kernels import blas
from tensorgraph.errors import ArgumentError

__all__ = ["get_num_threads", "set_num_threads"]


def get_num_threads() -> int:
    """On how many threads operations of the CPU run."""
    return blas.threads()


def set_num_threads(number: int) -> None:
    """Lets operations of the CPU run on so many threads from now on, at least 1.

    At the start it is OMP_NUM_THREADS, without that the processors that the process may use. The last digits of sums
    depend on it. Raises ArgumentError for what is no positive integer.
    """
    try:
        n = operator.index(number)
    except TypeError:
        n = 0
    if n < 1 or isinstance(number, bool):
        raise ArgumentError(f"set_num_threads: {number!r} is no number of threads", hint="a positive integer")
    blas.use_threads(n)
