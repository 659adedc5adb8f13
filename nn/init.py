"""Initialisers: each fills a tensor in place, outside the graph, and returns it. PyTorch's names and arguments.

Random numbers come from tensorgraph's generator of the host (`tg.manual_seed`), whatever the device, so that a seed
gives the same weights everywhere. Imports the engine and ops.

The fan of a weight (out, in, ...) is `in` times the size of the kernel ("fan_in"), or `out` times it ("fan_out").
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec

import numpy as np

from tensorgraph import backends, ops
from tensorgraph.errors import ArgumentError, DtypeError, ShapeError, sig
from tensorgraph.generator import Generator, generator_for
from tensorgraph.mode import no_grad
from tensorgraph.nn import arguments as check
from tensorgraph.tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lecun_normal_",
    "lecun_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "skip",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


_P = ParamSpec("_P")
_skipping: ContextVar[bool] = ContextVar("skipping", default=False)


@contextmanager
def skip() -> Iterator[None]:
    """Within it random initialisers leave tensors as they are: for models whose weights are loaded right afterwards.

    >>> from tensorgraph import nn
    >>> with nn.init.skip():
    ...     model = nn.Linear(3, 2)  # its weights are arbitrary until load_state_dict

    Constants (`ones_`, `zeros_`, `eye_`, ...) are still written.
    """
    token = _skipping.set(True)
    try:
        yield
    finally:
        _skipping.reset(token)


def _random(initialiser: Callable[_P, Tensor]) -> Callable[_P, Tensor]:
    """Makes an initialiser heed `skip`."""

    @functools.wraps(initialiser)
    def unless_skipped(*args: _P.args, **kwargs: _P.kwargs) -> Tensor:
        tensor = _checked(initialiser.__name__, args[0] if args else kwargs.get("tensor"))
        there = backends.backend_of(tensor.array).has_values  # on the device "meta" there is nothing to fill
        return initialiser(*args, **kwargs) if there and not _skipping.get() else tensor

    return unless_skipped


def _checked(name: str, tensor: Any) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise DtypeError(f"{name}: expected a tensor to fill, got {sig(tensor)}")
    return tensor


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights grow so that activations keep their variance behind a nonlinearity.

    1 for linear, convolutions and sigmoid; 5/3 for tanh; sqrt(2) for relu; sqrt(2 / (1 + a^2)) for leaky_relu of
    slope a = `param` (0.01); 3/4 for selu.
    Source: Glorot & Bengio, AISTATS 2010 (sigmoid, tanh); He et al., ICCV 2015 (relu, leaky_relu); Klambauer et al.,
    NeurIPS 2017 (selu, self-normalising with 1; 3/4 keeps deep nets stable).
    """
    gains = {"sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75, "linear": 1.0}
    gains |= {f"conv{t}{n}d": 1.0 for t in ("", "_transpose") for n in (1, 2, 3)}
    if nonlinearity == "leaky_relu":
        slope = check.number("calculate_gain", param=0.01 if param is None else param)
        return math.sqrt(2 / (1 + slope**2))
    return gains[check.choice("calculate_gain", [*gains, "leaky_relu"], nonlinearity=nonlinearity)]


def _fill(name: str, tensor: Tensor, values: Any) -> Tensor:
    """Writes host values (an array of any float dtype, or a number) into the tensor."""
    _checked(name, tensor)
    with no_grad():
        return tensor.copy_(
            Tensor(backends.get(tensor.device).from_host(np.asarray(values, tensor.dtype), tensor.device))
        )


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: Generator | None) -> np.ndarray:
    return low + (high - low) * generator_for(generator, "cpu", "init").stream.uniform(shape, np.dtype("float64"))


def _normal(shape: tuple[int, ...], mean: float, std: float, generator: Generator | None) -> np.ndarray:
    return mean + std * generator_for(generator, "cpu", "init").stream.normal(shape, np.dtype("float64"))


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out)."""
    if tensor.ndim < 2:
        raise ShapeError(f"{name}: {sig(tensor)} has no fan: a weight has at least two axes (out, in, ...)")
    kernel = math.prod(tensor.shape[2:])
    return max(1, tensor.shape[1] * kernel), max(1, tensor.shape[0] * kernel)


@_random
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform on [a, b)."""
    if not check.number("uniform_", a=a) <= check.number("uniform_", b=b):
        raise ArgumentError(f"uniform_: from {a} to {b} is no interval")
    return _fill("uniform_", tensor, _uniform(tensor.shape, a, b, generator))


@_random
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with a mean and a standard deviation."""
    check.number("normal_", mean=mean)
    check.number("normal_", 0, std=std)
    return _fill("normal_", tensor, _normal(tensor.shape, mean, std, generator))


@_random
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal, but never outside [a, b] (which are values, not multiples of std): by the inverse of its distribution."""
    check.number("trunc_normal_", mean=mean)
    check.number("trunc_normal_", above=0, std=std)
    if not check.number("trunc_normal_", a=a) < check.number("trunc_normal_", b=b):
        raise ArgumentError(f"trunc_normal_: from a={a} to b={b} is no interval")
    low, high = (math.erf((edge - mean) / (std * math.sqrt(2))) for edge in (a, b))
    u = _uniform(tensor.shape, low, high, generator)
    return _fill("trunc_normal_", tensor, np.clip(mean + std * math.sqrt(2) * ops.erfinv(u), a, b))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One number everywhere."""
    _checked("constant_", tensor)
    if not isinstance(val, complex):
        check.number("constant_", val=val)
    return _fill("constant_", tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return _fill("zeros_", tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return _fill("ones_", tensor, 1)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix: as many inputs as possible pass unchanged.  tensor (out, in)."""
    if _checked("eye_", tensor).ndim != 2:
        raise ShapeError(f"eye_: expected a matrix, got {sig(tensor)}")
    return _fill("eye_", tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Convolution kernels that pass as many input channels as possible unchanged.  tensor (out, in/groups, k...)."""
    if not 3 <= _checked("dirac_", tensor).ndim <= 5:
        raise ShapeError(f"dirac_: expected a convolution weight of 3 to 5 axes, got {sig(tensor)}")
    if check.integer("dirac_", groups=groups) and tensor.shape[0] % groups:
        raise ArgumentError(f"dirac_: {tensor.shape[0]} output channels cannot be parted into {groups} groups")
    values = np.zeros(tensor.shape)
    size = tensor.shape[0] // groups
    centre = tuple(n // 2 for n in tensor.shape[2:])
    for group in range(groups):
        for i in range(min(size, tensor.shape[1])):
            values[(group * size + i, i, *centre)] = 1
    return _fill("dirac_", tensor, values)


@_random
def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform within gain sqrt(6 / (fan_in + fan_out)); also known as Glorot.
    Source: Glorot & Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010."""
    bound = check.number("xavier_uniform_", gain=gain) * math.sqrt(6 / sum(_fans("xavier_uniform_", tensor)))
    return _fill("xavier_uniform_", tensor, _uniform(tensor.shape, -bound, bound, generator))


@_random
def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal of standard deviation gain sqrt(2 / (fan_in + fan_out)); see `xavier_uniform_`."""
    std = check.number("xavier_normal_", gain=gain) * math.sqrt(2 / sum(_fans("xavier_normal_", tensor)))
    return _fill("xavier_normal_", tensor, _normal(tensor.shape, 0, std, generator))


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan_in, fan_out = _fans(name, tensor)
    fan = fan_in if check.choice(name, ("fan_in", "fan_out"), mode=mode) == "fan_in" else fan_out
    return calculate_gain(nonlinearity, check.number(name, a=a)) / math.sqrt(fan)


@_random
def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform within gain sqrt(3 / fan), the gain of a leaky_relu of slope a unless said; also known as He.
    Source: He et al., Delving deep into rectifiers, ICCV 2015."""
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return _fill("kaiming_uniform_", tensor, _uniform(tensor.shape, -bound, bound, generator))


@_random
def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal of standard deviation gain / sqrt(fan); also known as He.  Source: kaiming_uniform_."""
    std = _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity)
    return _fill("kaiming_normal_", tensor, _normal(tensor.shape, 0, std, generator))


@_random
def lecun_uniform_(tensor: Tensor, generator: Generator | None = None) -> Tensor:
    """Uniform within sqrt(3 / fan_in).  Source: LeCun et al., Efficient BackProp, 1998."""
    bound = math.sqrt(3 / _fans("lecun_uniform_", tensor)[0])
    return _fill("lecun_uniform_", tensor, _uniform(tensor.shape, -bound, bound, generator))


@_random
def lecun_normal_(tensor: Tensor, generator: Generator | None = None) -> Tensor:
    """Normal of standard deviation sqrt(1 / fan_in), which selu needs; see `lecun_uniform_`."""
    std = math.sqrt(1 / _fans("lecun_normal_", tensor)[0])
    return _fill("lecun_normal_", tensor, _normal(tensor.shape, 0, std, generator))


@_random
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """A random matrix with orthonormal rows or columns, whichever are fewer; later axes count as columns.
    Source: Saxe et al., Exact solutions to the nonlinear dynamics of learning in deep linear networks, ICLR 2014."""
    check.number("orthogonal_", gain=gain)
    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_: {sig(tensor)} has fewer than two axes")
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    q, r = np.linalg.qr(_normal((max(rows, columns), min(rows, columns)), 0, 1, generator))
    q *= np.where(np.diag(r) < 0, -1.0, 1.0)  # makes the distribution uniform
    return _fill("orthogonal_", tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


@_random
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal with a share `sparsity` of zeros in every column.  tensor (out, in).
    Source: Martens, Deep learning via Hessian-free optimization, ICML 2010."""
    if tensor.ndim != 2:
        raise ShapeError(f"sparse_: expected a matrix, got {sig(tensor)}")
    check.fraction("sparse_", sparsity=sparsity)
    values = _normal(tensor.shape, 0, check.number("sparse_", 0, std=std), generator)
    zeros = math.ceil(sparsity * tensor.shape[0])
    order = _uniform(tensor.shape, 0, 1, generator).argsort(axis=0)
    values[order < zeros] = 0
    return _fill("sparse_", tensor, values)
