"""New tensors with PyTorch's arguments: `zeros(size=...)`, `randint(low, high, size)`, `linspace(0, 1, steps=5)`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph import ops

__all__ = [
    "arange", "as_tensor", "asarray", "bernoulli", "empty", "empty_like", "eye", "from_numpy", "full", "full_like",
    "Generator", "linspace", "logspace", "multinomial", "normal", "ones", "ones_like", "rand", "rand_like",
    "randint", "randint_like", "randn", "randn_like", "randperm", "scalar_tensor", "sparse_coo_tensor", "tensor",
    "tril_indices", "triu_indices", "zeros", "zeros_like",
]  # fmt: skip


class Generator(tg.Generator):
    """A stream of random numbers on a device: `Generator().manual_seed(0)`."""

    def __init__(self, device: str = "cpu"):
        super().__init__(None, str(device))

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.__init__(saved["device"])
        self.set_state(saved["state"])

    def seed(self) -> int:
        """Starts again from noise. Returns the seed that this gave."""
        self.__init__(self.device)
        return self.initial_seed


def _detached(data: Any) -> Any:
    """Nested lists with numbers in the place of tensors; a tensor outside its graph."""
    if isinstance(data, tg.Tensor):
        return data.detach()
    if isinstance(data, (list, tuple)) and data and not isinstance(data[0], (int, float, bool)):
        return [part.detach().tolist() if isinstance(part, tg.Tensor) else _detached(part) for part in data]
    return data


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Any:
    """A new tensor with a copy of `data`: Python floats float32, integers int64, arrays keep their dtype."""
    return tg.tensor(_detached(data), dtype, device, requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
    """`data` as a tensor, without a copy where that is possible."""
    return tg.asarray(data if isinstance(data, tg.Tensor) else _detached(data), dtype, device)


def asarray(obj: Any, *, dtype: Any = None, device: Any = None, copy: Any = None, requires_grad: bool = False) -> Any:
    """`obj` as a tensor, without a copy where that is possible."""
    made = tg.asarray(obj, dtype, device, copy)
    return made.requires_grad_() if requires_grad else made


def from_numpy(ndarray: np.ndarray) -> Any:
    """The tensor that shares memory with a NumPy array."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"from_numpy: expected a NumPy array, got {type(ndarray).__name__}")
    return tg.asarray(ndarray)


def scalar_tensor(s: Any, **settings: Any) -> Any:
    """A tensor without axes."""
    return tensor(float(s) if "dtype" not in settings else s, **settings)


def _forgiving(function: Callable[..., Any]) -> Callable[..., Any]:
    """Accepts what says how a tensor lies in memory, and `out=`."""

    @functools.wraps(function)
    def make(*args: Any, out: Any = None, layout: Any = None, pin_memory: bool = False, memory_format: Any = None,
             **settings: Any) -> Any:  # fmt: skip
        made = function(*args, **settings)
        return made if out is None else out.copy_(made)

    make.__module__ = __name__
    return make


# ---- filled ---------------------------------------------------------------------------------------------------------
def _size(args: tuple, size: Any) -> tuple:
    args = args if size is None else (size,)
    sizes = args[0] if len(args) == 1 and not isinstance(args[0], (int, np.integer, tg.Tensor)) else args
    return tuple(int(n) for n in sizes)


def _filled(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def make(*args: Any, size: Any = None, requires_grad: bool = False, **settings: Any) -> Any:
        made = function(*_size(args, size), **settings)
        return made.requires_grad_() if requires_grad else made

    return _forgiving(make)


zeros, ones, empty = _filled(tg.zeros), _filled(tg.ones), _filled(tg.empty)
rand, randn = _filled(tg.rand), _filled(tg.randn)


@_forgiving
def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """`fill_value` everywhere; its own dtype unless said."""
    return tg.full(_size((), size), fill_value, dtype, device, requires_grad)


def _like(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def make(input: Any, *args: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
        made = function(input.detach(), *args, dtype=dtype)
        made = made if device is None else made.to(device)
        return made.requires_grad_() if requires_grad else made

    return _forgiving(make)


zeros_like, ones_like, empty_like, full_like = map(_like, (tg.zeros_like, tg.ones_like, tg.empty_like, tg.full_like))
rand_like, randn_like = _like(tg.rand_like), _like(tg.randn_like)


# ---- ranges ---------------------------------------------------------------------------------------------------------
@_forgiving
def arange(start: Any = 0, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None,
           requires_grad: bool = False) -> Any:  # fmt: skip
    """Numbers from `start` (0 when only one is given) up to but without `end`."""
    return tg.arange(start, end, step, dtype, device, requires_grad)


@_forgiving
def linspace(start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None,
             requires_grad: bool = False) -> Any:  # fmt: skip
    """`steps` evenly spaced numbers from `start` to `end`, both included."""
    return tg.linspace(start, end, steps, dtype, device, requires_grad=requires_grad)


@_forgiving
def logspace(start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, device: Any = None,
             requires_grad: bool = False) -> Any:  # fmt: skip
    """`base` to the power of evenly spaced numbers."""
    return tg.logspace(start, end, steps, base, dtype, device, requires_grad=requires_grad)


@_forgiving
def eye(n: int, m: Any = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Ones on the diagonal of an (n, m) matrix."""
    return tg.eye(n, m, 0, dtype, device, requires_grad)


def sparse_coo_tensor(indices: Any, values: Any, size: Any = None, *, dtype: Any = None, device: Any = None,
                      requires_grad: bool = False) -> Any:  # fmt: skip
    """The dense tensor with `values` at `indices` (ndim, N), those of one place added up; there are no sparse ones."""
    places, values = tg.asarray(indices), tg.asarray(values)
    shape = size or tuple(int(n) + 1 for n in ops.amax(places, 1).tolist())
    made = ops.put_add(values, tuple(places[i] for i in range(places.shape[0])), tuple(int(n) for n in shape))
    made = tg.asarray(made, dtype, device)
    return made.requires_grad_() if requires_grad else made


def _triangle(indices: Callable[..., Any]) -> Callable[..., Any]:
    def make(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Any:
        return tg.tensor(np.stack(indices(row, offset, col)), dtype, device)

    make.__doc__ = "The places (2, N) of a triangle of a (row, col) matrix."
    return make


tril_indices, triu_indices = _triangle(np.tril_indices), _triangle(np.triu_indices)


# ---- random ---------------------------------------------------------------------------------------------------------
@_forgiving
def randint(low: Any = 0, high: Any = None, size: Any = None, *, generator: Any = None, dtype: Any = None,
            device: Any = None, requires_grad: bool = False) -> Any:  # fmt: skip
    """randint(high, size) or randint(low, high, size): integers from `low` (0 unless said) up to but without `high`."""
    if size is None and high is not None and not isinstance(high, (int, np.integer)):
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    made = tg.randint(int(low), int(high), _size((), size), dtype=dtype, device=device, generator=generator)
    return made.requires_grad_() if requires_grad else made


@_forgiving
def randint_like(input: Any, low: Any = 0, high: Any = None, *, dtype: Any = None, device: Any = None) -> Any:
    """Integers in the shape and dtype of `input`."""
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, input.shape, dtype=dtype or input.dtype, device=device)


@_forgiving
def randperm(n: int, *, generator: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """The integers 0 to n - 1 in random order."""
    made = tg.permutation(n, device=device, generator=generator)
    return made if dtype is None else ops.astype(made, dtype)


@_forgiving
def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None, dtype: Any = None,
           device: Any = None, requires_grad: bool = False) -> Any:  # fmt: skip
    """Numbers from normal distributions: `mean` and `std` are tensors, or numbers with a `size`."""
    made = tg.normal(
        mean, std, None if size is None else _size((), size), dtype=dtype, device=device, generator=generator
    )
    return made.requires_grad_() if requires_grad else made


@_forgiving
def bernoulli(input: Any, p: Any = None, *, generator: Any = None) -> Any:
    """1 with probability `input` (or with probability p, in the shape of input), else 0."""
    chances = input if p is None else tg.zeros_like(input.detach()) + p
    return tg.bernoulli(chances, generator=generator).astype(input.dtype)


@_forgiving
def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Any:
    """Indices drawn with the given weights, per row."""
    return tg.multinomial(input, num_samples, replacement, generator=generator)
