"""Functions that mean the same in PyTorch: tensorgraph's own, under PyTorch's names and with its keywords.

`input=`, `other=`, `tensors=` are understood for the first two operands, and `out=` for where the result goes.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable
from typing import Any

import tensorgraph as tg
from tensorgraph import backends, ops
from tensorgraph.nn import functional
from tensorgraph.torch import meanings

__all__ = [
    "_assert", "argwhere", "block_diag", "broadcast_shapes", "broadcast_tensors", "cartesian_prod", "chain_matmul",
    "detach", "dropout", "gather", "is_complex", "is_floating_point", "is_nonzero", "is_tensor", "log_softmax",
    "mean", "numel", "promote_types", "relu_", "softmax", "sum",
]  # fmt: skip


def adapted(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with PyTorch's names for its first operands, `out=`, and `axis=` where it knows `dim=` alone."""
    only_dim = function.__module__ == meanings.__name__

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            return function(*args)
        out = kwargs.pop("out", None)
        if only_dim:
            kwargs = {{"axis": "dim", "keepdims": "keepdim"}.get(name, name): value for name, value in kwargs.items()}
        for name in ("input", "self", "tensors", "condition", "tensor"):
            if name in kwargs:
                args = (kwargs.pop(name), *args)
        for name in ("other", "exponent", "mat2", "vec2"):
            if name in kwargs:
                args = (args[0], kwargs.pop(name), *args[1:])
        result = function(*args, **kwargs)
        return result if out is None else out.copy_(result)

    call.__module__ = __name__
    return call


SAME = """
abs absolute acos acosh addcdiv addcmul all allclose amax amin angle any arccos arccosh arcsin arcsinh arctan
arctan2 arctanh argmax argmin argsort asin asinh atan atan2 atanh atleast_1d atleast_2d atleast_3d
bincount bitwise_and bitwise_not bitwise_or bitwise_xor bmm broadcast_to
cat cdist ceil celu channel_shuffle chunk clamp clip clone column_stack concat concatenate conj copysign corrcoef
cos cosh
cosine_similarity count_nonzero cov cross
deg2rad diag_embed diagonal diff digamma dot dstack
einsum eq erf erfc erfinv exp exp2 expm1
flatten fliplr flipud float_power floor floor_divide fmax fmin fmod frac
ge greater greater_equal gt
heaviside hstack hypot
i0 imag index_add index_copy index_fill index_select inner isclose isfinite isin isinf isnan isneginf isposinf
isreal
kron
le lerp less less_equal lgamma log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or
logical_xor logit logsumexp lt
masked_fill masked_scatter masked_select matmul maximum minimum mm moveaxis movedim mul multiply mv
nan_to_num nanmean nanmedian nansum ne neg negative nextafter not_equal
outer
permute pixel_shuffle pixel_unshuffle polygamma positive pow prelu prod
rad2deg ravel real reciprocal relu remainder reshape rot90 rsqrt
scatter_reduce selu sgn sigmoid sign signbit sin sinc sinh sqrt square stack swapaxes
take take_along_dim tan tanh tensordot tile trace trapezoid true_divide trunc
unbind unflatten unsqueeze
vdot vstack
xlogy
""".split()
"""What stands in tensorgraph under the same name, with the same meaning."""

OTHERWISE = {
    "absolute": "abs",
    "arctan2": "atan2",
    "bitwise_not": "bitwise_invert",
    "erfinv": "erfinv",
    "fix": "trunc",
    "ger": "outer",
    "gt": "greater",
    "mul": "multiply",
    "neg": "negative",
    "ne": "not_equal",
    "ge": "greater_equal",
    "le": "less_equal",
    "lt": "less",
    "eq": "equal",
    "take_along_dim": "take_along_axis",
    "spmm": "matmul",
    "smm": "matmul",
    "true_divide": "divide",
    "matrix_power": "linalg.matrix_power",
    "inverse": "linalg.inv",
    "pinverse": "linalg.pinv",
    "det": "linalg.det",
    "logdet": "linalg.logdet",
    "slogdet": "linalg.slogdet",
    "cholesky": "linalg.cholesky",
    "qr": "linalg.qr",
}
"""PyTorch's name -> ours, where they differ."""


def _found(name: str) -> Any:
    place: Any = tg
    for part in OTHERWISE.get(name, name).split("."):
        place = getattr(place, part, None)
    return place


def table() -> dict[str, Callable[..., Any]]:
    """Every function of the same meaning, by PyTorch's name."""
    found = {name: _found(name) for name in (*SAME, *OTHERWISE)}
    return {name: adapted(function) for name, function in found.items() if function is not None}


# ---- small differences in the call ----------------------------------------------------------------------------------
def _kind(input: Any, dtype: Any) -> Any:
    return input if dtype is None else ops.astype(input, backends.check_dtype(dtype))


def sum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Sum of all elements, or along axes."""
    return ops.sum(input, dim, keepdim, dtype)


def mean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Mean of all elements, or along axes."""
    return ops.mean(_kind(input, dtype), dim, keepdim)


def softmax(input: Any, dim: Any = None, dtype: Any = None) -> Any:
    """exp(x) over its sum along an axis."""
    return functional.softmax(input, dim, dtype)


def log_softmax(input: Any, dim: Any = None, dtype: Any = None) -> Any:
    """The logarithm of `softmax`."""
    return functional.log_softmax(input, dim, dtype)


def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """Elements of input at `index` along an axis, in the shape of index."""
    return ops.gather(input, dim, index)


def dropout(input: Any, p: float, train: bool) -> Any:
    """Elements set to 0 with probability p, the others scaled, in training."""
    return ops.dropout(input, p, train)


def argwhere(input: Any) -> Any:
    """The places of what is not 0, (N, ndim)."""
    return ops.argwhere(input)


def relu_(input: Any) -> Any:
    """`relu`, written into its operand where no graph can see it."""
    return input.relu_()


def broadcast_tensors(*tensors: Any) -> tuple:
    """All tensors in their common shape."""
    return tuple(ops.broadcast_arrays(*tensors))


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that tensors of these shapes broadcast to."""
    return ops.broadcast_arrays(*(tg.empty(shape) for shape in shapes))[0].shape


def cartesian_prod(*tensors: Any) -> Any:
    """All combinations of entries of vectors, one per row."""
    grids = ops.meshgrid(*tensors, indexing="ij")
    return ops.stack([ops.reshape(grid, (-1,)) for grid in grids], -1)


def block_diag(*tensors: Any) -> Any:
    """Matrices along the diagonal of a larger one."""
    rows, width, before = [], builtins.sum(x.shape[-1] for x in tensors), 0
    for x in map(ops.atleast_2d, tensors):
        rows.append(ops.pad(x, [(0, 0), (before, width - before - x.shape[1])]))
        before += x.shape[1]
    return ops.concat(rows)


def chain_matmul(*matrices: Any) -> Any:
    """The product of matrices in the cheapest order."""
    return ops.multi_dot(matrices)


def detach(input: Any) -> Any:
    """The same values outside the graph."""
    return input.detach()


def numel(input: Any) -> int:
    """Number of elements."""
    return input.numel()


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a tensor."""
    return isinstance(obj, tg.Tensor)


def is_floating_point(input: Any) -> bool:
    """Whether the elements are floating-point numbers."""
    return input.dtype.kind == "f"


def is_complex(input: Any) -> bool:
    """Whether the elements are complex."""
    return input.dtype.kind == "c"


def is_nonzero(input: Any) -> bool:
    """Whether the only element is not 0."""
    return bool(input)


def _assert(condition: Any, message: str) -> None:
    """Raises AssertionError with the message unless the condition holds."""
    if not condition:
        raise AssertionError(message)


def promote_types(type1: Any, type2: Any) -> Any:
    """The smallest dtype that holds both."""
    return tg.result_type(type1, type2)
