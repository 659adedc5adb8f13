"""`Backend`: an array library behind one interface. NumPy and CuPy share nearly all of it.

Array functions (`be.maximum`, `be.sum`, ...) are those of the library's own name space `xp`. What NumPy and CuPy do
differently, or what no array library has (convolution, pooling, adding into an index), are methods here, written once
in terms of `xp`: the definitions. A backend may override a definition with something faster; `kernels(False)` and the
tests fall back on the definition.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from tensorgraph.backends.convolution import Convolution
from tensorgraph.backends.indexing import Indexing
from tensorgraph.backends.kernels import KERNELS
from tensorgraph.backends.linear import Linear
from tensorgraph.backends.padding import Padding
from tensorgraph.backends.pooling import Pooling
from tensorgraph.backends.random import Random
from tensorgraph.backends.reduction import Reduction
from tensorgraph.backends.scanning import Scanning
from tensorgraph.backends.special import Special
from tensorgraph.backends.updates import Updates
from tensorgraph.mode import kernels_allowed


class Backend(Pooling, Convolution, Indexing, Linear, Padding, Random, Reduction, Scanning, Special, Updates, ABC):
    """What every backend has. `xp` is the array library, `array_type` the type of its arrays."""

    xp: Any
    array_type: type
    name: str
    half_products = False
    """whether products of half precision are best left to the library, which accumulates them in float32"""

    captures = False
    """whether a step gains by being a graph that is launched again (capture.py)"""
    has_values = True
    """whether arrays hold numbers; checks of numbers are left out where they do not"""

    def __init__(self) -> None:
        self._kernels: dict[str, Callable] = dict(KERNELS)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        function = getattr(self.xp, name)
        setattr(self, name, function)  # the next look-up finds it at once
        return function

    def __repr__(self) -> str:
        return f"<backend {self.name}>"

    def __reduce__(self) -> Any:
        raise TypeError("a backend is not pickled; ask tensorgraph.backends.get(device) for it")

    # ---- to and from the host ------------------------------------------------------------------------------------
    @abstractmethod
    def device_of(self, array: Any) -> str:
        """The device that holds `array`."""

    @abstractmethod
    def to_host(self, array: Any) -> np.ndarray:
        """A NumPy array with the same values; may share memory on the CPU."""

    @abstractmethod
    def from_host(self, array: np.ndarray, device: str) -> Any:
        """This backend's array with the values of a NumPy array."""

    def filled(self, function: str, shape: tuple[int, ...], dtype: Any, device: str) -> Any:
        """A new array on a device: "zeros", "ones" or "empty"."""
        return self.from_host(getattr(np, function)(shape, dtype=dtype), device)

    def use(self, device: str) -> None:
        """Makes a device the one on which this thread computes; there is but one CPU."""

    def graphs(self, device: str) -> Any:
        """What records work: `begin()`, then `end()`, which gives a function that launches it, or `abandon()`.

        Recorded work is not computed before it is launched, and finds its memory as it was.
        """
        raise NotImplementedError(f"{self.name} has no graphs of work")

    def copies(self, device: str) -> Any:
        """What copies to a device beside its work: `copy(host)`, `mark()`, `wait(mark)`; None: nothing is gained."""
        return None

    @abstractmethod
    def byte_bounds(self, array: Any) -> tuple[int, int]:
        """First byte of `array` and the byte behind its last one."""

    def asarray(self, values: Any, dtype: Any = None) -> Any:
        """An array of this backend; scalars become 0-d arrays."""
        return self.xp.asarray(values, dtype=dtype)

    def asarray_default(self, values: Any) -> Any:
        """Nested lists of Python numbers; floats become float32 and complex numbers complex64."""
        array = np.asarray(values)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        elif array.dtype == np.complex128:
            array = array.astype(np.complex64)
        return self.asarray(array)

    def copy(self, array: Any) -> Any:
        """A copy in memory of its own."""
        return array.copy()

    def astype(self, array: Any, dtype: Any) -> Any:
        """A copy in another dtype; complex to real takes the real part."""
        if array.dtype.kind == "c" and np.dtype(dtype).kind not in "cb":
            array = array.real
        return array.astype(dtype)

    # ---- fast kernels --------------------------------------------------------------------------------------------
    def kernel(self, name: str) -> Callable | None:
        """The fast kernel of a fusable operation, or None when there is none or kernels are switched off."""
        return self._kernels.get(name) if kernels_allowed() else None

    def add_kernel(self, name: str, kernel: Callable) -> None:
        """Gives the fusable operation `name` a fast kernel on this backend."""
        self._kernels[name] = kernel
