"""A backend that holds operations honest: arrays with NumPy's data that refuse to leave their device.

A `FenceArray` stands for an array on a GPU. Whatever would convert it or wait for it raises `FenceError`:
`__array__`, `float()`, `int()`, `bool()`, `iter()`, `.item()`, mixing with NumPy arrays. Only `to_host()` lets values
out. Like CuPy's, its results are never in Fortran order, and reductions give 0-d arrays. It runs the definitions of
`Backend`, without the fast versions of the NumPy backend. `with installed():` makes it known to the engine.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from tensorgraph import backends
from tensorgraph.backends.array import Backend


class FenceError(AssertionError):
    """An operation took values from the device, or mixed device and host."""


def _refuse(what: str) -> Callable:
    def method(self, *args: Any, **kwargs: Any) -> Any:
        raise FenceError(f"{what} of an array on the device: it would convert or synchronise")

    return method


METHODS = """
all any argmax argmin argpartition argsort astype clip conj conjugate copy cumprod cumsum diagonal dot fill flatten max
mean min nonzero prod put ravel repeat reshape round searchsorted sort squeeze std sum swapaxes take trace transpose var
view
""".split()  # those of numpy.ndarray that cupy.ndarray has too


class FenceArray:
    """NumPy data behind a fence."""

    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, data: np.ndarray, base: FenceArray | None = None):
        self._data = data
        self.base = base

    for _name in ("__array__", "__float__", "__int__", "__complex__", "__bool__", "__index__", "__iter__"):
        locals()[_name] = _refuse(_name)
    for _name in ("__contains__", "__dlpack__", "item", "tolist", "tobytes"):
        locals()[_name] = _refuse(_name)
    del _name

    def __repr__(self) -> str:
        return f"<fence {self.dtype}{list(self.shape)}>"

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: Any) -> FenceArray:
        return perform(operator.getitem, (self, index), {}, (self,))

    def __setitem__(self, index: Any, value: Any) -> None:
        perform(operator.setitem, (self, index, value), {}, ())

    def __getattr__(self, name: str) -> Any:
        if name not in METHODS:
            raise AttributeError(f"a device array has no {name!r}")
        method = getattr(np.ndarray, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            fence.record(f"ndarray.{name}", args, kwargs)
            unknown = {"where", "initial"} & kwargs.keys()
            if unknown:
                raise FenceError(f"{name}(): CuPy has no {', '.join(unknown)}=")
            return perform(method, (self, *args), kwargs, (self,))

        return call


def _forward(cls: type) -> None:
    """Gives the class its attributes and operators."""
    for name in ("shape", "dtype", "ndim", "size", "nbytes", "itemsize", "strides", "flags"):
        setattr(cls, name, property(operator.attrgetter(f"_data.{name}")))
    for name in ("T", "mT", "real", "imag"):
        setattr(cls, name, property(lambda self, name=name: wrap(getattr(self._data, name), (self,))))
    binary = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()
    names = [f"__{kind}{name}__" for name in binary for kind in ("", "r", "i") if kind + name != "imatmul"]
    names += [f"__{name}__" for name in "eq ne lt le gt ge neg pos abs invert".split()]
    for name in names:
        setattr(cls, name, _operator(name))


def _operator(name: str) -> Callable:
    in_place = name.startswith("__i") and name != "__invert__"

    def method(self, *others: Any) -> Any:
        for other in others:
            if isinstance(other, np.ndarray):
                raise FenceError(f"{name}: an array on the device meets a NumPy array")
            if not isinstance(other, (FenceArray, int, float, complex, np.generic)):
                return NotImplemented
        result = perform(getattr(np.ndarray, name), (self, *others), {}, (self, *others))
        return self if in_place and result is not NotImplemented else result

    return method


_forward(FenceArray)


def compute(function: Callable, args: tuple, kwargs: dict) -> Any:
    """Runs one of NumPy's functions now."""
    return function(*args, **kwargs)


run = compute
"""what runs them; tests/playback.py records instead, while a step is captured"""


def perform(function: Callable, args: tuple, kwargs: dict, inputs: tuple) -> Any:
    """A function of NumPy on fence arrays; `inputs` are those of which the result may be a view."""
    return wrap(run(function, unwrap(args), unwrap(kwargs)), inputs)


def unwrap(value: Any) -> Any:
    """NumPy data for fence arrays, inside tuples, lists, slices and dicts too; a NumPy array is refused."""
    if isinstance(value, FenceArray):
        return value._data
    if isinstance(value, np.ndarray):
        raise FenceError("a NumPy array goes into a function of the device")
    if type(value) in (tuple, list):
        return type(value)(map(unwrap, value))
    if type(value) is dict:
        return {key: unwrap(part) for key, part in value.items()}
    return value


def wrap(result: Any, inputs: tuple) -> Any:
    """Fence arrays for NumPy arrays and scalars; a view of one of `inputs` stays a view, all else is in C order."""
    if isinstance(result, tuple):
        parts = [wrap(part, inputs) for part in result]
        return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
    if isinstance(result, list):
        return [wrap(part, inputs) for part in result]
    if not isinstance(result, (np.ndarray, np.generic)):
        return result
    arrays = [one for one in inputs if isinstance(one, FenceArray)]
    for one in arrays:
        if result is one._data:
            return one
    data = np.asarray(result)
    if data.base is not None or not data.flags.owndata:
        for one in arrays:
            if np.may_share_memory(data, one._data):
                return FenceArray(data, one if one.base is None else one.base)
    return FenceArray(data if data.flags.c_contiguous else data.copy(order="C"))


def _flat(values: Any) -> Iterator[Any]:
    for value in values:
        if type(value) in (tuple, list):
            yield from _flat(value)
        else:
            yield value


class Namespace:
    """NumPy's functions on fence arrays. `calls` collects (name, number of arguments, names of keywords)."""

    def __init__(self, module: ModuleType, prefix: str, owner: FenceBackend):
        self._module, self._prefix, self._owner = module, prefix, owner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        if isinstance(found, ModuleType):
            return Namespace(found, f"{self._prefix}{name}.", self._owner)
        if isinstance(found, type) or not callable(found):
            return found
        return Function(found, self._prefix + name, self._owner)


class Function:
    """One of NumPy's functions, with the methods of a ufunc."""

    def __init__(self, function: Callable, name: str, owner: FenceBackend):
        self._function, self._name, self._owner = function, name, owner

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._owner.record(self._name, args, kwargs)
        if self._name in ("asarray", "array", "ascontiguousarray") and isinstance(args[0], np.ndarray):
            return wrap(self._function(args[0].copy(), *args[1:], **kwargs), ())  # the way up from the host
        function = self._function
        if self._name in ("allclose", "array_equal", "array_equiv"):
            function = lambda *a, **k: np.bool_(self._function(*a, **k))  # a 0-d array on the device
        return perform(function, args, kwargs, (*_flat(args), *kwargs.values()))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._function, name)
        if isinstance(self._function, np.ufunc) and callable(found):
            return Function(found, f"{self._name}.{name}", self._owner)
        return found


class FenceBackend(Backend):
    """The definitions of `Backend` on fence arrays."""

    array_type = FenceArray
    name = "fence"

    def __init__(self) -> None:
        super().__init__()
        self.calls: set[tuple[str, int, tuple[str, ...], str]] | None = None
        self.inside: list[str] = []
        self.xp = Namespace(np, "", self)

    def record(self, name: str, args: tuple, kwargs: dict) -> None:
        """Remembers what was asked of the array library, and in which method of the backend."""
        if self.calls is not None:
            self.calls.add((name, len(args), tuple(sorted(kwargs)), self.inside[0] if self.inside else ""))

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or name in ("record", "xp", "calls", "inside") or self.calls is None:
            return found
        if getattr(found, "__self__", None) is not self:
            return found

        def method(*args: Any, **kwargs: Any) -> Any:
            self.inside.append(name)
            try:
                return found(*args, **kwargs)
            finally:
                self.inside.pop()

        return method

    def device_of(self, array: FenceArray) -> str:
        return "fence"

    def to_host(self, array: FenceArray) -> np.ndarray:
        return array._data

    def from_host(self, array: np.ndarray, device: str = "fence") -> FenceArray:
        return FenceArray(np.array(array, order="C"))

    def byte_bounds(self, array: FenceArray) -> tuple[int, int]:
        return byte_bounds(array._data)


fence = FenceBackend()


@contextmanager
def installed(backend: FenceBackend | None = None) -> Iterator[FenceBackend]:
    """The engine knows fence arrays, and the device `"fence"`, inside the block; `backend` is what computes on it."""
    real, backend, before = backends.get, backend or fence, backends.ARRAYS.get(FenceArray)
    backends.register(FenceArray, backend)
    backends.get = lambda device=None: backend if (device or backends.get_default_device()) == "fence" else real(device)
    try:
        yield backend
    finally:
        backends.get = real
        if before is not None:
            backends.register(FenceArray, before)
        else:
            del backends.ARRAYS[FenceArray]
            backends.PLAIN.discard(FenceArray)
