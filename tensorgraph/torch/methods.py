"""Methods of tensors with PyTorch's meaning, put on `Tensor` when the front is imported.

Three kinds. Names that plain tensorgraph does not have (`x.t()`, `x.normal_()`, `x.grad_fn`) are simply added. Names
that it has with another meaning (`x.max(1)`, `x.std()`, `x.sort()`) look which file calls (`doorway.speaks`): in one
that imports this front they mean what they mean in PyTorch, everywhere else what they meant before. Writes in place
(`x.mul_(2)`, `x[i] = v`) on a recorded tensor, an error elsewhere, give the tensor a new value there: the old array
stays as the graph needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import _getframe, getrefcount
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph import ops, writes
from tensorgraph.errors import GraphError, sig
from tensorgraph.mode import no_grad, recording
from tensorgraph.node import Node
from tensorgraph.torch import functions, kinds, making, meanings
from tensorgraph.torch.doorway import speaks

__all__ = ["GradFn", "attach"]


# ---- what the calling file means ------------------------------------------------------------------------------------
def _chosen(name: str, plain: Callable[..., Any], theirs: Callable[..., Any]) -> Callable[..., Any]:
    def method(x: Any, *args: Any, **kwargs: Any) -> Any:
        return (theirs if speaks(_getframe(1)) else plain)(x, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"{plain.__doc__ or ''}\n\nIn a file that imports tensorgraph.torch: {theirs.__doc__ or ''}"
    return method


# ---- writing in place -----------------------------------------------------------------------------------------------
PARTS = {"getitem", "diagonal", "broadcast_to"}
"""operations whose result is a part of their operand, which PyTorch would change by writing into the part"""

SHAPES = {"reshape", "permute_dims", "swapaxes", "expand_dims", "squeeze", "transpose", "moveaxis"}
"""operations whose result is the whole operand in another shape"""


def _unnamed() -> int:
    """How many references an object without a name has inside its `__setitem__`; 0 where Python does not tell."""
    seen = []

    class Probe:
        def __setitem__(self, index: int, value: int) -> None:
            seen.append(getrefcount(self))

    named = Probe()
    named[0] = 0
    Probe()[0] = 0
    return seen[1] if seen[1] < seen[0] else 0


UNNAMED = _unnamed()


def _check(x: Any, what: str) -> None:
    """Raises GraphError where a new value for x alone would not be what PyTorch does."""
    if x.node is None:
        return
    if x.node.is_leaf:
        raise GraphError(
            f"{what}: {sig(x)} is a leaf that asks for a gradient; it cannot be written while recording",
            hint="with torch.no_grad(): ..., or x.data",
        )
    if x.node.name in PARTS:
        raise GraphError(
            f"{what}: {sig(x)} was made by {x.node.name}; the tensor that it is a part of would not change with it",
            hint="write into a copy, x.clone(), or make a new tensor without the underscore",
        )


def _takes(x: Any, y: Any) -> Any:
    """Gives x the value (and the place in the graph) of y."""
    kind = x.array.dtype
    x.array, x.node = y.array if y.array.dtype == kind else y.array.astype(kind), y.node
    return x


def _recorded(value: Any) -> bool:
    return isinstance(value, tg.Tensor) and value.node is not None


def _in_place(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def method(x: Any, *args: Any, **kwargs: Any) -> Any:
        if recording() and (x.node is not None or any(map(_recorded, (*args, *kwargs.values())))):
            _check(x, name)
            return _takes(x, function(x, *args, **kwargs))
        with no_grad():
            y = function(x, *args, **kwargs)
        if y.shape != x.shape:  # squeeze_, t_, ...
            x.data = y if y.dtype == x.dtype else y.astype(x.dtype)
        else:
            x.array[...] = y.array
            writes.wrote(x.array)
        return x

    method.__name__ = name
    method.__doc__ = f"Gives x the value of its `{name.removesuffix('_')}`. Returns x."
    return method


def _setitem(x: Any, index: Any, value: Any) -> None:
    """x[index] = value; in a file that imports the front, x gets a new value in the graph where it is recorded."""
    if not recording() or not (x.node is not None or _recorded(value)) or not speaks(_getframe(1)):
        return _plain_setitem(x, index, value)
    _check(x, "x[i] = v")
    if x.node is not None and x.node.name in SHAPES and getrefcount(x) <= UNNAMED:
        raise GraphError(
            f"x[i] = v: {sig(x)} was made by {x.node.name} for this line alone; the tensor behind it would not change",
            hint="y = x.reshape(...); y[i] = v, and use y",
        )
    if x.node is None and x.array.base is not None and x.array.base.size != x.array.size:
        raise GraphError(
            f"x[i] = v: {sig(x)} is a part of another tensor, which would not change with it",
            hint="write into the whole tensor, or into a copy: x = x.clone()",
        )
    values = value if isinstance(value, tg.Tensor) else tg.tensor(value, dtype=x.dtype)
    _takes(x, ops.put(x, index, values.to(dtype=x.dtype)))


_plain_setitem = tg.Tensor.__setitem__

IN_PLACE = """
abs acos add addbmm addcdiv addcmul addmm addmv addr asin atan baddbmm bernoulli bitwise_and bitwise_or ceil clamp
clamp_max clamp_min clip copysign cos cosh cumprod cumsum digamma div divide eq erf erfinv exp expm1 floor
floor_divide fmod frac ge gt index_add index_copy index_fill index_put le lerp lgamma log log10 log1p log2 logical_and
logical_not logical_or logit lt masked_fill masked_scatter mul multiply nan_to_num ne neg negative pow rad2deg
reciprocal relu remainder round rsqrt scatter scatter_add scatter_reduce sgn sigmoid sign sin sinh sqrt square squeeze
sub subtract t tan tanh transpose tril triu trunc unsqueeze xlogy
""".split()
"""Functions that have a form with an underscore."""


def _noise(name: str, draw: Callable[..., Any]) -> Callable[..., Any]:
    """`x.normal_(0, 1)`: new random contents of a tensor."""

    def method(x: Any, *settings: Any, generator: Any = None, **named: Any) -> Any:
        with no_grad():
            return tg.Tensor.copy_(_writable(x, name), draw(x, generator, *settings, **named))

    method.__name__ = name
    method.__doc__ = f"Fills x with random numbers: {name.removesuffix('_')}. Returns x."
    return method


def _writable(x: Any, name: str) -> Any:
    if recording():
        _check(x, name)
    return x


def _random(x: Any, generator: Any, start: int = 0, to: Any = None) -> Any:
    start, to = (0, start) if to is None and start else (start, to)
    return tg.randint(start, to or 2 ** (24 if x.dtype.kind == "f" else 31), x.shape, generator=generator)


NOISE = {
    "normal_": lambda x, g, mean=0.0, std=1.0: tg.normal(mean, std, x.shape, generator=g),
    "uniform_": lambda x, g, a=0.0, b=1.0, **named: tg.uniform(
        named.get("from", a), named.get("to", b), x.shape, generator=g
    ),
    "bernoulli_": lambda x, g, p=0.5: tg.bernoulli(p, x.shape if np.ndim(p) == 0 else None, generator=g),
    "exponential_": lambda x, g, lambd=1.0: tg.exponential(size=x.shape, generator=g) / lambd,
    "log_normal_": lambda x, g, mean=1.0, std=2.0: ops.exp(tg.normal(mean, std, x.shape, generator=g)),
    "random_": _random,
}


def _fill_diagonal_(x: Any, fill_value: Any, wrap: bool = False) -> Any:
    """Writes one number along the diagonal of a matrix. Returns x."""
    return _diagonal_(x, fill_value)


def _with_diagonal(x: Any, value: float) -> Any:
    places = tg.arange(min(x.shape))
    return ops.put(x, (places, places), tg.full((min(x.shape),), value, dtype=x.dtype))


_diagonal_ = _in_place("fill_diagonal_", _with_diagonal)


# ---- the graph, as PyTorch shows it ---------------------------------------------------------------------------------
class GradFn:
    """A node of the graph, under the names that PyTorch gives it: `loss.grad_fn.next_functions`."""

    __slots__ = ("_node",)

    def __init__(self, node: Node):
        self._node = node

    def name(self) -> str:
        """The name of the operation; AccumulateGrad for a leaf."""
        if self._node.is_leaf:
            return "AccumulateGrad"
        return "".join(word.capitalize() for word in self._node.name.split("_")) + "Backward0"

    @property
    def next_functions(self) -> tuple[tuple[GradFn, int], ...]:
        """The nodes of the operands that need a gradient, each with 0."""
        return tuple((GradFn(parent), 0) for parent in self._node.parents)

    @property
    def variable(self) -> Any:
        """The tensor of a leaf."""
        if not self._node.is_leaf:
            raise AttributeError(f"{self.name()} is no leaf and has no variable")
        return self._node.tensor()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GradFn) and self._node is other._node

    def __hash__(self) -> int:
        return hash(self._node)

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self._node):#x}>"


# ---- the rest -------------------------------------------------------------------------------------------------------
def _shaped(function: Callable[..., Any], dtype: Any) -> Callable[..., Any]:
    def method(x: Any, *size: Any, dtype: Any = dtype, device: Any = None, requires_grad: bool = False) -> Any:
        return function(*size, dtype=dtype or x.dtype, device=device or x.device, requires_grad=requires_grad)

    return method


def _new_full(x: Any, size: Any, fill_value: Any, dtype: Any = None, device: Any = None) -> Any:
    """A tensor of some size with one number everywhere, of x's dtype and on its device."""
    return making.full(size, fill_value, dtype=dtype or x.dtype, device=device or x.device)


def _new_tensor(x: Any, data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A tensor with a copy of `data`, of x's dtype and on its device."""
    return making.tensor(data, dtype=dtype or x.dtype, device=device or x.device, requires_grad=requires_grad)


def _new(x: Any, *data: Any) -> Any:
    """x.new(2, 3), x.new([1, 2]): as `torch.Tensor(...)`, of x's dtype."""
    return kinds.Tensor(*data, device=x.device).to(dtype=x.dtype)


def _detach_(x: Any) -> Any:
    """Takes x out of its graph. Returns x."""
    x.node = None
    return x


def _same(x: Any, *_: Any, **__: Any) -> Any:
    """x itself."""
    return x


def _resize_(x: Any, *size: Any) -> Any:
    """Gives x another shape; where the number of elements changes, what they hold is arbitrary. Returns x."""
    shape = making.empty(*size, dtype=x.dtype).shape
    if shape != x.shape:
        x.data = ops.reshape(x.detach(), shape) if np.prod(shape) == x.numel() else making.empty(shape, dtype=x.dtype)
    return x


def _stride(x: Any, dim: Any = None) -> Any:
    """How many elements lie between neighbours along each axis."""
    strides = tuple(n // x.itemsize for n in x.array.strides)
    return strides if dim is None else strides[dim]


def _device(x: Any) -> kinds.device:
    """Where x lives."""
    name = _plain_device(x)
    return _devices.get(name) or _devices.setdefault(name, kinds.device(name))


_plain_device: Any = tg.Tensor.device.fget
_devices: dict[str, kinds.device] = {}

ADDED: dict[str, Any] = {
    "view_as": lambda x, other: x.reshape(other.shape),
    "reshape_as": lambda x, other: x.reshape(other.shape),
    "expand_as": lambda x, other: x.broadcast_to(other.shape),
    "sum_to_size": lambda x, *size: ops.sum(x, tuple(i for i, n in enumerate(size) if n == 1 != x.shape[i]), True),
    "type": meanings.type_,
    "unfold": meanings.unfold,
    "index_put": meanings.index_put,
    "byte": lambda x: x.to(dtype="uint8"),
    "char": lambda x: x.to(dtype="int8"),
    "short": lambda x: x.to(dtype="int16"),
    "bfloat16": lambda x: x.to(dtype="bfloat16"),
    "new": _new,
    "new_tensor": _new_tensor,
    "new_full": _new_full,
    "new_zeros": _shaped(making.zeros, None),
    "new_ones": _shaped(making.ones, None),
    "new_empty": _shaped(making.empty, None),
    "nelement": lambda x: x.numel(),
    "ndimension": lambda x: x.ndim,
    "stride": _stride,
    "is_contiguous": lambda x, memory_format=None: bool(x.array.flags.c_contiguous),
    "is_complex": functions.is_complex,
    "get_device": lambda x: x.device.index if x.device.index is not None else -1,
    "to_sparse": _same,
    "to_dense": _same,
    "coalesce": _same,
    "resize_": _resize_,
    "pin_memory": _same,
    "share_memory_": _same,
    "is_pinned": lambda x: False,
    "detach_": _detach_,
    "fill_diagonal_": _fill_diagonal_,
    "masked_scatter": ops.masked_scatter,
    "bernoulli": making.bernoulli,
    "multinomial": making.multinomial,
    "is_cuda": property(lambda x: x.device.type == "cuda", doc="Whether x lives on a GPU."),
    "is_sparse": property(lambda x: False, doc="False: there are no sparse tensors."),
    "is_quantized": property(lambda x: False, doc="False: there are no quantised tensors."),
    "layout": property(lambda x: "strided", doc="How the elements lie in memory."),
    "grad_fn": property(
        lambda x: None if x.node is None or x.node.is_leaf else GradFn(x.node), doc="The operation that made x."
    ),
    "H": property(lambda x: ops.conj(ops.swapaxes(x, -1, -2)), doc="The conjugate transpose of a matrix."),
    "device": property(_device, doc='`"cpu"`, `"cuda:0"`, ...; a string, with `.type` and `.index`.'),
}

ALREADY = {"view_as", "device"}
"""Names that may replace what is there: the meaning is the same, or one that contains it."""


def attach(names: dict[str, Any]) -> None:
    """Puts the methods on Tensor. names: the functions of the front, by name."""
    differing = {name: names[name] for name in meanings.__all__} | {"repeat": meanings.repeat}
    same = {name: names[name] for name in functions.table()}
    forms = same | differing
    forms |= {"index_put": meanings.index_put, "bernoulli": making.bernoulli}
    underscored = {f"{name}_": _in_place(f"{name}_", forms[name]) for name in IN_PLACE if name in forms}
    underscored |= {name: _noise(name, draw) for name, draw in NOISE.items()}
    underscored |= {
        "zero_": _in_place("zero_", lambda x: tg.zeros_like(x.detach())),
        "fill_": _in_place("fill_", lambda x, value: tg.zeros_like(x.detach()) + value),
        "copy_": _in_place("copy_", _copied),
    }
    for name, function in (same | ADDED).items():
        if name in ("device",) or not hasattr(tg.Tensor, name):
            setattr(tg.Tensor, name, function)
    tg.Tensor.__setitem__ = _setitem  # pyright: ignore[reportAttributeAccessIssue]
    chosen: dict[int, Any] = {}  # `sub` and `subtract` are one method, and stay one
    for name, function in (differing | underscored).items():
        plain = getattr(tg.Tensor, name, None)
        if plain is not None:
            function = chosen.setdefault(id(plain), _chosen(name, plain, function))
        setattr(tg.Tensor, name, function)


def _copied(x: Any, values: Any, non_blocking: bool = False) -> Any:
    values = values if isinstance(values, tg.Tensor) else tg.tensor(values)
    return ops.broadcast_to(values.to(device=str(x.device), dtype=x.dtype), x.shape)
