"""NumPy's own functions on tensors record and differentiate: `np.exp(t)`, `np.mean(t, axis=0)`, `np.concatenate([t])`.

NumPy hands a call over through `__array_ufunc__` and `__array_function__`; it goes to the tensorgraph function of the
same name. What has none says so. `np.asarray(t)` works for tensors outside a graph. Attached by ops/methods.py.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from tensorgraph import backends, creation
from tensorgraph.errors import ArgumentError, BackendError, DtypeError, GraphError, sig
from tensorgraph.ops.transfer import to_device
from tensorgraph.tensor import Tensor

# NumPy names whose function is called otherwise here
_RENAMED = {
    "amax": "max",
    "amin": "min",
    "concatenate": "concat",
    "conjugate": "conj",
    "arccosh": "acosh",
    "arcsinh": "asinh",
    "arctanh": "atanh",
    "float_power": "float_power",
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
    "true_divide": "divide",
    "power": "pow",
    "absolute": "abs",
    "fabs": "abs",
    "fft": "fft",
    "degrees": "rad2deg",
    "radians": "deg2rad",
    "round_": "round",
}
_REDUCTIONS = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logical_and": "all",
    "logical_or": "any",
}
# keywords that NumPy passes at their default and that mean nothing here
_NEUTRAL: dict[str, Any] = {"out": None, "subok": True, "order": "K", "casting": "same_kind", "like": None}


def _function(name: str) -> Any:
    name = _RENAMED.get(name, name)
    ops = importlib.import_module("tensorgraph.ops")
    return getattr(ops, name, None) or getattr(creation, name, None)


def _keywords(what: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    out = kwargs.get("out")
    if out is not None and not (isinstance(out, tuple) and all(o is None for o in out)):
        raise GraphError(
            f"{what}: out= would overwrite an array behind the graph's back", hint="use the returned tensor"
        )
    return {name: value for name, value in kwargs.items() if not (name in _NEUTRAL or value is np._NoValue)}


def array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """`np.<ufunc>(...)` with a tensor among the operands."""
    name = ufunc.__name__
    if method == "reduce" and name in _REDUCTIONS:
        function, name = _function(_REDUCTIONS[name]), f"{name}.reduce"
        kwargs.setdefault("axis", 0)
    elif method == "__call__":
        function = _function(name)
    else:
        function, name = None, f"{name}.{method}"
    if function is None:
        raise DtypeError(
            f"np.{name} has no counterpart that records", hint="t.detach().numpy() gives NumPy the bare values"
        )
    return function(*inputs, **_keywords(f"np.{name}", kwargs))


def array_function(self: Tensor, function: Any, types: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """`np.<function>(...)` with a tensor among the arguments."""
    module, name = function.__module__, function.__name__
    label = f"{module.replace('numpy', 'np')}.{name}"
    rooms = {"numpy.linalg": "linalg", "numpy.fft": "fft"}
    room = next((r for prefix, r in rooms.items() if module.startswith(prefix)), None)
    ours: Any = None
    if room is not None:
        import tensorgraph

        ours = getattr(getattr(tensorgraph, room), name, None)
    elif module == "numpy":
        ours = _function(name)
    if ours is None:
        raise DtypeError(
            f"{label} has no counterpart that records", hint="t.detach().numpy() gives NumPy the bare values"
        )
    try:
        return ours(*args, **_keywords(label, kwargs))
    except TypeError as error:
        if "argument" not in str(error) or isinstance(error, DtypeError):
            raise
        raise ArgumentError(f"{label} on a tensor: {error}", hint=f"see tensorgraph.{name}") from None


def array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    """`np.asarray(t)`."""
    if self.node is not None:
        raise GraphError(
            f"np.asarray: {sig(self)} takes part in a graph, and NumPy does not record",
            hint="t.detach() leaves the graph; NumPy's functions can also be called on the tensor itself",
        )
    if self.device != "cpu":
        raise BackendError(f"np.asarray: {sig(self)} lives on {self.device}", hint="t.cpu() copies it to the host")
    return np.array(self.array, dtype=dtype, copy=copy)


def dlpack(self: Tensor, **kwargs: Any) -> Any:
    """The memory of the tensor for another library, without a copy."""
    if self.node is not None:
        raise GraphError(
            f"DLPack: {sig(self)} takes part in a graph, and the other library does not record in it",
            hint="t.detach() leaves the graph",
        )
    return self.array.__dlpack__(**kwargs)


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of any array that speaks DLPack (NumPy, CuPy, PyTorch, JAX): no copy unless asked.

    Raises DtypeError for an object that does not speak DLPack.
    """
    if isinstance(x, Tensor):
        x = x.array
    if not hasattr(x, "__dlpack_device__"):
        raise DtypeError(f"from_dlpack: {sig(x)} does not speak DLPack", hint="tensorgraph.asarray(x)")
    kind, number = x.__dlpack_device__()
    be = backends.get("cpu" if int(kind) in (1, 3) else f"cuda:{number}")
    array = be.from_dlpack(x)
    if copy:
        array = be.copy(array)
    tensor = Tensor(array)
    return tensor if device is None else to_device(tensor, device)


def methods() -> dict[str, Any]:
    """What is attached to Tensor."""
    return {
        "__array_ufunc__": array_ufunc,
        "__array_function__": array_function,
        "__array__": array,
        "__dlpack__": dlpack,
        "__dlpack_device__": lambda self: self.array.__dlpack_device__(),
        "__cuda_array_interface__": property(lambda self: self.array.__cuda_array_interface__),
    }
