"""NumPy's ufuncs on arrays without numbers: the shape by broadcasting, the dtype by the ufunc's own rules.

Imported by functions.py beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph.backends.meta.array import MetaArray, new
from tensorgraph.backends.meta.layout import Shape, as_numpy, k_strides

__all__ = ["Ufunc", "attach_operators", "broadcast", "kind_of"]

BOOL = np.dtype(bool)
_dtypes: dict[Any, tuple[np.dtype, ...]] = {}


def kind_of(value: Any) -> Any:
    """A dtype, or Python's type of number, which weighs less."""
    if type(value) is MetaArray or isinstance(value, np.generic):
        return value.dtype
    if type(value) is bool:
        return BOOL
    if isinstance(value, (int, float, complex)):
        return type(value)
    if isinstance(value, np.ndarray):
        raise TypeError("an array without numbers meets a NumPy array")
    raise TypeError(f"{type(value).__name__} is no operand")


def broadcast(function: Any, values: tuple, *shapes: Shape) -> Shape:
    """The common shape; otherwise the error is `function`'s own."""
    first = shapes[0]
    if all(shape == first for shape in shapes[1:]):
        return first
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        function(*(as_numpy(v.shape, v.dtype) if type(v) is MetaArray else v for v in values))
        raise


class Ufunc:
    """One of NumPy's ufuncs, with its methods."""

    def __init__(self, numpy: np.ufunc):
        self._numpy = numpy
        self.__name__ = numpy.__name__

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None) -> Any:
        ufunc, nin = self._numpy, self._numpy.nin
        if len(args) > nin:
            args, out = args[:nin], args[nin:]
        arrays = [a for a in args if type(a) is MetaArray]
        if not arrays and type(out) is not MetaArray:
            return ufunc(*args) if dtype is None else ufunc(*args, dtype=dtype)
        outs = out if isinstance(out, tuple) else (out,) * ufunc.nout
        results = self.dtypes(tuple(map(kind_of, args)), tuple(None if o is None else o.dtype for o in outs), dtype)
        shape = broadcast(ufunc, args, *(a.shape for a in arrays)) if arrays else ()
        made = []
        for given, kind in zip(outs, results, strict=True):
            if given is None:
                made.append(new(shape, kind, k_strides(shape, [a.lay for a in arrays], kind.itemsize)))
                continue
            if given.shape != shape and broadcast(ufunc, (*args, given), shape, given.shape) != given.shape:
                raise ValueError(
                    f"non-broadcastable output operand with shape {given.shape} doesn't match the broadcast shape "
                    f"{shape}"
                )
            made.append(given)
        return made[0] if len(made) == 1 else tuple(made)

    def dtypes(self, kinds: tuple, outs: tuple, dtype: Any) -> tuple[np.dtype, ...]:
        """Of the results. Raises TypeError where the ufunc does not take such operands."""
        key = (self._numpy, kinds, outs, dtype)
        found = _dtypes.get(key)
        if found is None:
            nin = self._numpy.nin
            how: dict[str, Any] = {}
            if dtype is not None:
                how["signature"] = (None,) * nin + (np.dtype(dtype),) * self._numpy.nout
            if not any(isinstance(k, np.dtype) for k in kinds):  # Python's numbers alone
                kinds = tuple(map(np.dtype, kinds))
            found = _dtypes[key] = self._numpy.resolve_dtypes((*kinds, *outs), **how)[nin:]
        return found

    def at(self, out: MetaArray, index: Any, values: Any = None) -> None:
        """Adds (or the like) in place at an index that may name a place twice."""
        out[index] = values

    def accumulate(self, x: MetaArray, axis: int = 0) -> MetaArray:
        """Running results along an axis."""
        kind = self._numpy.accumulate(np.ones(1, x.dtype)).dtype
        return new(x.shape, kind, k_strides(x.shape, [x.lay], kind.itemsize))


_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "left_shift", "rshift": "right_shift",
}  # fmt: skip
_COMPARISONS = {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}  # fmt: skip
_SIGNS = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}


def attach_operators() -> None:
    """Gives `MetaArray` Python's operators."""
    for name, ufunc in {**_OPERATORS, **_COMPARISONS}.items():
        run = Ufunc(getattr(np, ufunc))
        setattr(MetaArray, f"__{name}__", lambda a, b, run=run: run(a, b) if _operand(b) else NotImplemented)
        if name in _OPERATORS:
            setattr(MetaArray, f"__r{name}__", lambda b, a, run=run: run(a, b) if _operand(a) else NotImplemented)
            setattr(
                MetaArray, f"__i{name}__", lambda a, b, run=run: run(a, b, out=a) if _operand(b) else NotImplemented
            )
    for name, ufunc in _SIGNS.items():
        run = Ufunc(getattr(np, ufunc))
        setattr(MetaArray, f"__{name}__", lambda a, run=run: run(a))


def _operand(value: Any) -> bool:
    return isinstance(value, (MetaArray, np.ndarray, np.generic, bool, int, float, complex))
