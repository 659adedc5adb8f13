"""Operators and methods of `Tensor`: the operations themselves, attached to the class.

An operation is a plain function, so attaching is all it takes: `Tensor.exp = exp` makes `x.exp()`. The few methods
whose call differs from the function (`x.reshape(2, 3)`) are written out here. Imported by `tensorgraph/__init__.py`
after all of ops.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tensorgraph import array_api, backends, ops, spelling
from tensorgraph.errors import ArgumentError, DtypeError, sig
from tensorgraph.ops import inplace, numpy_protocol, spectrum, systems
from tensorgraph.tensor import Tensor

OPERATORS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "pow",
    "matmul": "matmul",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
}
COMPARISONS = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}
UNARY = {"neg": "negative", "pos": "positive", "abs": "abs", "invert": "bitwise_invert"}

METHODS = """
abs acos acosh add all allclose amax amin any argmax argmin argsort asin asinh astype atan atan2 atanh
bincount bmm
ceil chunk clip clone conj copysign corrcoef cos cosh count_nonzero cov cummax cummin cumprod cumsum
deg2rad diag diagonal diff digamma divide dot
erf erfc erfinv exp exp2 expand_dims expm1
flip floor floor_divide fmax fmin fmod frac
gather
heaviside hypot
index_add index_copy index_fill index_select isfinite isinf isnan
lerp lgamma log log10 log1p log2 log_softmax logaddexp logcumsumexp logit logsumexp
logical_and logical_not logical_or logical_xor
masked_fill masked_select matmul max maximum mean median min minimum moveaxis multiply mv
nan_to_num nanmean nanmedian nanquantile nansum negative nonzero
outer
pow prod put
quantile
rad2deg ravel reciprocal relu remainder repeat roll rot90 round rsqrt
scatter scatter_add scatter_reduce sigmoid sign sin sinc sinh softmax sort split sqrt square squeeze std
subtract sum swapaxes
take take_along_axis tan tanh tile topk trace tril triu trunc
unflatten unique unstack
var
where
""".split()
"""Functions whose first argument is the tensor: attached as they are."""


def _shape_of(sizes: tuple) -> Any:
    return sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes


def _reshape(x: Tensor, *shape: Any) -> Tensor:
    """x.reshape(2, 3) or x.reshape((2, 3)); one size may be -1."""
    return ops.reshape(x, _shape_of(shape))


def _permute(x: Tensor, *axes: Any) -> Tensor:
    """x.permute(2, 0, 1): the axes in a new order."""
    return ops.permute_dims(x, _shape_of(axes))


def _transpose(x: Tensor, *axes: Any) -> Tensor:
    """x.transpose(): axes reversed; x.transpose(2, 0, 1): axes in that order, as in NumPy."""
    if len(axes) == 2 and x.ndim > 2 and all(isinstance(a, int) for a in axes):
        raise ArgumentError(
            f"transpose: two axes {axes} for {sig(x)}, which has {x.ndim}",
            hint=f"x.swapaxes{axes} exchanges two axes (PyTorch's meaning), x.transpose(2, 0, 1) names all (NumPy's)",
        )
    return ops.permute_dims(x, _shape_of(axes) if axes and axes[0] is not None else tuple(range(x.ndim))[::-1])


def _flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from `start_dim` to `end_dim` (both included) as one."""
    return ops.flatten(x, start_dim, end_dim)


def _expand(x: Tensor, *shape: Any) -> Tensor:
    """x broadcast to a shape; -1 keeps the size of an axis."""
    sizes = tuple(_shape_of(shape))
    extra = len(sizes) - x.ndim
    return ops.broadcast_to(x, tuple(x.shape[i - extra] if n == -1 and i >= extra else n for i, n in enumerate(sizes)))


def _to(
    x: Tensor, *args: Any, dtype: Any = None, device: str | None = None, non_blocking: bool = False, copy: bool = False
) -> Tensor:
    """x.to("cuda"), x.to(tg.float64), x.to(other), x.to(device=..., dtype=...): x itself when nothing changes.

    `copy=True` never gives x itself; `non_blocking` is PyTorch's, and changes no result.
    """
    given = x
    for arg in args:
        if isinstance(arg, Tensor):
            device, dtype = arg.device, arg.dtype
        elif isinstance(arg, str) and re.fullmatch(r"cpu|cuda(:\d+)?|meta", arg):
            device = arg
        elif arg is not None:
            dtype = arg
    if device is not None:
        x = ops.to_device(x, device)
    wanted = backends.check_dtype(dtype)
    x = x if wanted is None or wanted == x.dtype else ops.astype(x, wanted)
    return ops.clone(x) if copy and x is given else x


def _cast(dtype: str) -> Callable[[Tensor], Tensor]:
    def method(x: Tensor) -> Tensor:
        return _to(x, dtype=dtype)

    method.__doc__ = f"x as {dtype}; x itself when it is that already."
    return method


def _type_as(x: Tensor, other: Tensor) -> Tensor:
    """x with the dtype and on the device of `other`."""
    return _to(x, other)


class _Size(int):
    """Number of elements, `x.size`; called, `x.size()` is the shape and `x.size(0)` one axis, as in PyTorch."""

    shape: tuple[int, ...]

    def __call__(self, axis: int | None = None, *, dim: int | None = None) -> Any:
        axis = dim if axis is None else axis
        return self.shape if axis is None else self.shape[axis]


def _size(x: Tensor) -> _Size:
    """Number of elements."""
    size = _Size(x.array.size)
    size.shape = x.array.shape
    return size


def _iterate(x: Tensor):
    """The entries along the first axis."""
    if x.ndim == 0:
        raise TypeError(f"iteration over {sig(x)}, a tensor without axes")
    return (x[i] for i in range(x.shape[0]))


def _contains(x: Tensor, value: Any) -> bool:
    """Whether any element equals `value`."""
    return bool((x.array == (value.array if isinstance(value, Tensor) else value)).any())


SPECIAL: dict[str, Any] = {
    "det": systems.det,
    "inverse": systems.inv,
    "logdet": systems.logdet,
    "norm": spectrum.norm,
    "reshape": _reshape,
    "view": _reshape,
    "permute": _permute,
    "permute_dims": _permute,
    "transpose": _transpose,
    "flatten": _flatten,
    "expand": _expand,
    "broadcast_to": _expand,
    "to": _to,
    "type_as": _type_as,
    "float": _cast("float32"),
    "double": _cast("float64"),
    "half": _cast("float16"),
    "long": _cast("int64"),
    "int": _cast("int32"),
    "bool": _cast("bool"),
    "to_device": lambda x, device, /, *, stream=None: ops.to_device(x, device),
    "cpu": lambda x: ops.to_device(x, "cpu"),
    "cuda": lambda x, device=0, non_blocking=False: ops.to_device(x, f"cuda:{device or 0}"),
    "contiguous": lambda x: x,
    "dim": lambda x: x.ndim,
    "numel": lambda x: x.array.size,
    "is_floating_point": lambda x: x.dtype.kind in "fV",
    "element_size": lambda x: x.itemsize,
    "size": property(_size),
    "T": property(lambda x: ops.permute_dims(x, tuple(range(x.ndim))[::-1]), doc="The axes in reverse order."),
    "mT": property(lambda x: ops.swapaxes(x, -1, -2), doc="The last two axes exchanged."),
    "real": property(lambda x: ops.real(x), doc="Real part."),
    "imag": property(lambda x: ops.imag(x), doc="Imaginary part."),
    "__iter__": _iterate,
    "__contains__": _contains,
    "__getitem__": lambda x, index: ops.getitem(x, index),
    "__array_namespace__": array_api.array_namespace,
}


def _reflected(function: Any) -> Callable[[Tensor, Any], Any]:
    def method(x: Tensor, other: Any) -> Any:
        return function(other, x)

    return method


def _operator(function: Any, symbol: str) -> Any:
    """Python asks the other operand next when ours does not know its type."""

    def method(x: Tensor, other: Any) -> Any:
        try:
            return function(x, other)
        except DtypeError:
            if type(other) in backends.PLAIN or isinstance(other, Tensor):
                raise
            return NotImplemented

    method.__name__ = symbol
    return method


def table() -> dict[str, Any]:
    """Every operator, method and property that is attached to Tensor, by name."""
    found: dict[str, Any] = {}
    for symbol, name in OPERATORS.items():
        function = getattr(ops, name)
        found[f"__{symbol}__"] = function
        found[f"__r{symbol}__"] = _reflected(function)
    for symbol, name in COMPARISONS.items():
        found[f"__{symbol}__"] = _operator(getattr(ops, name), f"__{symbol}__")
    for symbol, name in UNARY.items():
        found[f"__{symbol}__"] = getattr(ops, name)
    for name in METHODS:
        found[name] = getattr(ops, name)
    found |= SPECIAL
    for torch_name, name in spelling.METHODS.items():
        found[torch_name] = found[name]
    return found | inplace.methods() | numpy_protocol.methods()


def attach() -> None:
    """Puts operators and methods on `Tensor`."""
    for name, function in table().items():
        setattr(Tensor, name, function)
