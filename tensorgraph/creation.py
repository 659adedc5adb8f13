"""New tensors: from data, filled, ranges. The dtype of Python floats is float32, arrays keep theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorgraph import backends
from tensorgraph.errors import DtypeError, GraphError, ShapeError, sig
from tensorgraph.tensor import Tensor


def tensor(data: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A new leaf tensor with a copy of `data`.

    data (number, nested lists, array or tensor). Python floats become float32, integers int64, arrays keep their
    dtype. `requires_grad=True` needs a floating or complex dtype (GraphError otherwise). Ragged or non-numeric data
    raise ShapeError or DtypeError.
    """
    result = Tensor(_array(data, dtype, device, copy=True))
    return result.requires_grad_() if requires_grad else result


def asarray(data: Any, dtype: Any = None, device: str | None = None, copy: bool | None = None) -> Tensor:
    """`data` as a tensor, sharing memory where that is possible (`copy=True` never shares, `copy=False` insists).

    A tensor that already fits comes back unchanged, graph included.
    """
    if isinstance(data, Tensor):
        wanted = backends.check_dtype(dtype)
        same = (wanted is None or wanted == data.dtype) and (device is None or _same_device(device, data.device))
        if same and not copy:
            return data
        if copy is False:
            from tensorgraph.errors import ArgumentError

            raise ArgumentError(
                f"asarray: {sig(data)} needs a copy to become {dtype or data.dtype} on {device or data.device}"
            )
        moved: Any = data if device is None else data.to(device)
        moved = moved if wanted is None or wanted == data.dtype else moved.astype(wanted)
        return moved.clone() if moved is data else moved
    return Tensor(_array(data, dtype, device, copy=copy))


def _same_device(a: str, b: str) -> bool:
    return a == b or {a, b} == {"cuda", "cuda:0"}


def _array(data: Any, dtype: Any, device: str | None, copy: bool | None) -> Any:
    dtype = backends.check_dtype(dtype)
    if isinstance(data, Tensor):
        if data.node is not None and not data.is_leaf:
            raise GraphError(
                f"tensor: {sig(data)} takes part in a graph; a new leaf would cut it off silently",
                hint="t.clone() stays in the graph, tensor(t.detach()) leaves it",
            )
        data = data.array
    elif device is None and type(data) is np.ndarray and backends.get_default_device() != "cpu":
        device = backends.get_default_device()
    source = backends.ARRAYS.get(type(data))
    if source is not None:
        _check_numbers(data, type(data))
        if device is None:
            array = data if dtype is None else data.astype(dtype, copy=False)
            return source.copy(array) if copy and array is data else array
        host = source.to_host(data)
    else:
        host = _from_python(data, dtype)
        copy = copy and not isinstance(data, (bool, int, float, complex, list, tuple, range))  # those share no memory
    target = backends.get(device)
    cast = host if dtype is None else host.astype(dtype, copy=False)
    array = target.from_host(cast, device or backends.get_default_device())
    return target.copy(array) if copy and array is host else array


def _check_numbers(data: Any, given: type) -> None:
    if data.dtype.kind in "fciub":
        return
    if data.dtype.name != "bfloat16":
        raise DtypeError(f"tensor: {given.__name__} of dtype {data.dtype} holds no numbers")
    backends.bfloat16()  # operations learn of it


def _from_python(data: Any, dtype: Any) -> np.ndarray:
    if not isinstance(data, (bool, int, float, complex, list, tuple, range, np.generic, np.ndarray)):
        if hasattr(data, "__dlpack__"):
            return np.from_dlpack(data)
        if not hasattr(data, "__array__") and not hasattr(data, "__array_interface__"):
            try:
                data = memoryview(data)
            except TypeError:
                raise DtypeError(f"tensor: {sig(data)} holds no numbers") from None
    if isinstance(data, (list, tuple)):
        data = _without_tensors(data)
    try:
        host = np.asarray(data)
    except ValueError as error:
        raise ShapeError(f"tensor: {error}", hint="rows of a nested list must have equal lengths") from None
    _check_numbers(host, type(data))
    if dtype is None and isinstance(data, (float, complex, list, tuple)) and not isinstance(data, np.generic):
        host = host.astype(
            {"float64": "float32", "complex128": "complex64"}.get(host.dtype.name, host.dtype), copy=False
        )
    return host


def _without_tensors(data: Any) -> Any:
    if isinstance(data, Tensor):
        if data.node is not None:
            raise GraphError(
                f"tensor: the list holds {sig(data)}, which takes part in a graph; a new leaf would cut it off",
                hint="tensorgraph.stack([...]) stays in the graph",
            )
        return data.tolist()
    if isinstance(data, (list, tuple)):
        return [_without_tensors(part) for part in data]
    return data


def _shape(args: tuple) -> tuple[int, ...]:
    if len(args) == 1 and not isinstance(args[0], int):
        args = tuple(args[0])
    shape = tuple(int(n) for n in args)
    if any(n < 0 for n in shape):
        raise ShapeError(f"a shape with a negative size: {shape}")
    return shape


def _placed(host: np.ndarray, device: str | None, requires_grad: bool) -> Tensor:
    """A tensor with the values of `host` on a device, the default one unless said."""
    result = Tensor(backends.get(device).from_host(host, device or backends.get_default_device()))
    return result.requires_grad_() if requires_grad else result


def _filled(function: str, shape: tuple, dtype: Any, device: str | None, requires_grad: bool) -> Tensor:
    kind = backends.check_dtype(dtype) or np.dtype("float32")
    made = backends.get(device).filled(function, _shape(shape), kind, device or backends.get_default_device())
    result = Tensor(made)
    return result.requires_grad_() if requires_grad else result


def zeros(*shape: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Zeros; `zeros(2, 3)` or `zeros((2, 3))`. float32 unless said."""
    return _filled("zeros", shape, dtype, device, requires_grad)


def ones(*shape: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Ones; `ones(2, 3)` or `ones((2, 3))`. float32 unless said."""
    return _filled("ones", shape, dtype, device, requires_grad)


def empty(*shape: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Room for values that are about to be written; what it holds is arbitrary. float32 unless said."""
    return _filled("empty", shape, dtype, device, requires_grad)


def full(
    shape: int | Sequence[int],
    fill_value: Any,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`fill_value` everywhere; the dtype is that of the value (Python floats: float32) unless said."""
    value = _from_python(fill_value if not isinstance(fill_value, Tensor) else fill_value.item(), None)
    host = np.full(_shape((shape,)), value, dtype=backends.check_dtype(dtype) or value.dtype)
    return _placed(host, device, requires_grad)


def _like(function: str, x: Any, dtype: Any, device: str | None, *fill: Any) -> Tensor:
    x = asarray(x)
    be = backends.backend_of(x.array) if device is None else backends.get(device)
    if device is not None and not _same_device(device, x.device):
        x = Tensor(be.from_host(backends.backend_of(x.array).to_host(x.array), device))
    return Tensor(getattr(be, function)(x.array, *fill, dtype=backends.check_dtype(dtype)))


def zeros_like(x: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """Zeros with the shape, dtype and device of `x`."""
    return _like("zeros_like", x, dtype, device)


def ones_like(x: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """Ones with the shape, dtype and device of `x`."""
    return _like("ones_like", x, dtype, device)


def empty_like(x: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """Room with the shape, dtype and device of `x`; what it holds is arbitrary."""
    return _like("empty_like", x, dtype, device)


def full_like(x: Any, fill_value: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """`fill_value` with the shape, dtype and device of `x`."""
    return _like("full_like", x, dtype, device, fill_value)


def arange(
    start: Any,
    stop: Any = None,
    step: Any = 1,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from `start` (0 when only one is given) up to but without `stop`: integers int64, floats float32."""
    start, stop, step = (v.item() if isinstance(v, Tensor) else v for v in (start, stop, step))
    if stop is None:
        start, stop = 0, start
    floats = any(isinstance(v, (float, np.floating)) for v in (start, stop, step))
    host = np.arange(start, stop, step, dtype=backends.check_dtype(dtype) or (np.float32 if floats else np.int64))
    return _placed(host, device, requires_grad)


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    dtype: Any = None,
    device: str | None = None,
    endpoint: bool = True,
    requires_grad: bool = False,
) -> Tensor:
    """`num` evenly spaced numbers from `start` to `stop` (included unless `endpoint=False`). float32 unless said."""
    start, stop = (v.item() if isinstance(v, Tensor) else v for v in (start, stop))
    is_complex = isinstance(start, complex) or isinstance(stop, complex)
    kind = backends.check_dtype(dtype) or (np.complex64 if is_complex else np.float32)
    host = np.linspace(start, stop, num, endpoint=endpoint).astype(kind)
    return _placed(host, device, requires_grad)


def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    base: float = 10.0,
    dtype: Any = None,
    device: str | None = None,
    endpoint: bool = True,
    requires_grad: bool = False,
) -> Tensor:
    """`base` to the power of evenly spaced numbers from `start` to `stop`, as in `linspace`. float32 unless said."""
    powers = linspace(start, stop, num, "float64", "cpu", endpoint).array
    host = np.power(base, powers).astype(backends.check_dtype(dtype) or np.float32)
    return _placed(host, device, requires_grad)


def eye(
    n: int,
    m: int | None = None,
    k: int = 0,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones on the k-th diagonal of an (n, m) matrix, zeros elsewhere. float32 unless said."""
    host = np.eye(n, m, k, dtype=backends.check_dtype(dtype) or np.float32)
    return _placed(host, device, requires_grad)
