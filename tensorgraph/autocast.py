"""`autocast`: products in half precision, sums and losses in float32, weights and their gradients as they are.

Which operation computes how is declared by ops/precision.py; the wrappers of operations ask `cast` for their operands
while a block is open anywhere, and otherwise pay for a look at an empty list. May import: mode, errors, backends.
"""

from __future__ import annotations

import functools
from contextvars import ContextVar
from typing import Any

from tensorgraph.backends import bfloat16
from tensorgraph.errors import DtypeError
from tensorgraph.mode import _Switch

__all__ = ["autocast", "autocast_dtype"]

CASTING: list[Any] = []
"""one entry for every block that is open in any thread"""

NARROW: set[str] = set()
"""operations whose float32 operands become half precision inside a block"""

WIDE: set[str] = set()
"""operations whose operands of half precision become float32 inside a block"""

_DTYPE: ContextVar[str | None] = ContextVar("tensorgraph.autocast", default=None)

autocast_dtype = _DTYPE.get


class autocast(_Switch):
    """Mixed precision: inside the block, or the function it decorates, products are computed in half precision.

        scaler = nn.optim.GradScaler()
        for x, t in loader:
            optimizer.zero_grad()
            with tg.autocast("float16"):
                loss = criterion(model(x), t)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()

    Products of matrices, convolutions, attention and recurrent layers cast their float32 operands to half precision;
    softmax, normalisation, losses, sums and other reductions, exponentials and logarithms cast theirs to float32
    (tensorgraph/ops/precision.py lists both); what is left takes the dtypes that come. The casts are operations like
    any other: parameters stay float32, and their gradients arrive in float32. float64 is left alone. The backward pass
    belongs outside the block: it follows the dtypes of the forward pass by itself.

    float16 holds numbers from 6e-8 to 65504 and so needs `nn.optim.GradScaler`; bfloat16 has the range of float32 with
    8 bits of precision, and needs none. Products are accumulated in float32. On the CPU they are there to try things
    out: NumPy has no fast half precision. `enabled=False` undoes an outer block.

    Raises DtypeError: any other dtype. MissingPackageError: bfloat16 without the package ml_dtypes.
    Source: Micikevicius et al., Mixed precision training, ICLR 2018.

    >>> import tensorgraph as tg
    >>> x, w = tg.ones(2, 3), tg.ones(3, 2, requires_grad=True)
    >>> with tg.autocast("float16"):
    ...     y = x @ w
    ...     loss = y.sum()
    >>> y.dtype, loss.dtype
    (dtype('float16'), dtype('float32'))
    """

    _variable: ContextVar[Any] = _DTYPE

    def __init__(self, dtype: Any = "float16", enabled: bool = True):
        name = getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or str(dtype)
        if name == "bfloat16":
            bfloat16()
        elif name != "float16":
            raise DtypeError(
                f"autocast: {dtype!r} is no half precision", hint='autocast("float16") or autocast("bfloat16")'
            )
        self._name = name
        super().__init__(name if enabled else None)  # pyright: ignore[reportArgumentType]

    def __enter__(self) -> autocast:
        super().__enter__()
        CASTING.append(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        CASTING.remove(self)
        super().__exit__(*exc_info)

    def __call__(self, function: Any) -> Any:
        if not callable(function):
            raise TypeError(f"autocast() decorates a function or opens a `with` block, got {function!r}")
        dtype, enabled = self._name, self._value is not None

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with autocast(dtype, enabled):
                return function(*args, **kwargs)

        return inside


def cast(name: str, operands: tuple) -> tuple:
    """The operands of the operation `name` in the precision in which it computes here; arrays outside tensors as are.

    A backward pass runs on such arrays, so nothing is cast there.
    """
    dtype = _DTYPE.get()
    if dtype is None:
        return operands
    source, target = ("float32", dtype) if name in NARROW else (dtype, "float32") if name in WIDE else (None, None)
    if source is None:
        return operands
    from tensorgraph.tensor import Tensor

    return tuple(x.astype(target) if isinstance(x, Tensor) and x.dtype == source else x for x in operands)
