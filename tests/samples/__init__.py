"""One line per case drives every generic test of an operation (tests/test_operations.py).

Each file of ops/ has a file of the same name here with two lists, SAMPLES and ERRORS:

    SAMPLES = [
        S("mul", A(2, 3), A(3), ref=np.multiply),
        S("sum", A(2, 3), kw=dict(axis=1), ref=np.sum),
        S("where", Bools(2, 3), A(2, 3), A(3), ref=np.where),
    ]
    ERRORS = [
        E("sum", A(2, 3), kw=dict(axis=5), error=tg.AxisError, match="sum: axis 5"),
    ]

Inputs are recipes, so that one line serves every dtype, backend and seed. Float recipes keep away from kinks and ties:
all magnitudes differ and none is near zero. Recipes may also stand in lists (`S("concat", [A(2), A(3)], ...)`) and in
keyword arguments; what is no recipe and no array is handed on as it is.
"""

from __future__ import annotations

import importlib
import pkgutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from types import ModuleType
from typing import Any

import numpy as np

import tensorgraph as tg


class Recipe:
    """Makes one input array from a random generator; `differentiable` inputs take part in gradient checks."""

    differentiable = True

    def __init__(self, *shape: int):
        self.shape = shape

    def __call__(self, rng: np.random.Generator, dtype: Any = np.float64) -> np.ndarray:
        return self.values(rng).astype(dtype)

    def values(self, rng: np.random.Generator) -> np.ndarray:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.shape}"


class A(Recipe):
    """Any real number: magnitudes between 0.2 and 2, signs at random.

    No two magnitudes are close to each other, and they are irregular, so that sums of them do not meet either.
    """

    low, high, signed = 0.2, 2.0, True

    def values(self, rng: np.random.Generator) -> np.ndarray:
        n = int(np.prod(self.shape))
        steps = (rng.permutation(n) + rng.uniform(0.2, 0.8, n)) / max(n, 1)
        x = self.low + (self.high - self.low) * steps
        if self.signed:
            x = x * rng.choice([-1.0, 1.0], n)
        return x.reshape(self.shape)


class Pos(A):
    """Positive numbers between 0.2 and 2."""

    signed = False


class Unit(A):
    """Between -0.9 and 0.9, away from 0: the domain of asin, atanh, erfinv."""

    low, high = 0.1, 0.9


class Above1(A):
    """Between 1.1 and 3: the domain of acosh."""

    low, high, signed = 1.1, 3.0, False


class Complex(A):
    """Complex numbers; used with complex dtypes only."""

    def values(self, rng: np.random.Generator) -> np.ndarray:
        return super().values(rng) + 1j * super().values(rng)

    def __call__(self, rng, dtype=np.complex128):
        return self.values(rng).astype(np.complex64 if np.dtype(dtype).itemsize <= 4 else np.complex128)


class Ints(Recipe):
    """Integers from 0 to `high` - 1 (int64 whatever the dtype of the case). Not differentiable."""

    differentiable = False

    def __init__(self, *shape: int, high: int, low: int = 0):
        super().__init__(*shape)
        self.high, self.low = high, low

    def __call__(self, rng, dtype=None):
        return rng.integers(self.low, self.high, self.shape)


class Bools(Recipe):
    """True and False at random. Not differentiable."""

    differentiable = False

    def __call__(self, rng, dtype=None):
        return rng.random(self.shape) < 0.5


class Given(Recipe):
    """Exactly these values; `differentiable=False` keeps their dtype and leaves them out of gradient checks."""

    def __init__(self, values: Any, differentiable: bool = True):
        self.given = np.asarray(values)
        self.differentiable = differentiable
        super().__init__(*self.given.shape)

    def __call__(self, rng, dtype=np.float64):
        return self.given.astype(dtype) if self.differentiable else self.given.copy()


class Make(Recipe):
    """Whatever `function(rng)` returns, for structured inputs (a well-conditioned matrix, a permutation)."""

    def __init__(self, function: Callable[[np.random.Generator], np.ndarray], differentiable: bool = True):
        super().__init__()
        self.function, self.differentiable = function, differentiable

    def __call__(self, rng, dtype=np.float64):
        value = np.asarray(self.function(rng))
        return value.astype(dtype) if self.differentiable else value


FLOATS = ("float16", "float32", "float64")


class Case:
    """What samples and error cases share: inputs with recipes in them, and a function to call."""

    name: str
    inputs: tuple
    kw: dict
    f: Callable[..., Any] | None = None

    @property
    def function(self) -> Callable[..., Any]:
        """What is called."""
        return self.f or attrgetter(self.name)(tg)

    @property
    def recipes(self) -> list[Recipe]:
        """Every recipe among the inputs, in order; plain arrays count as given ones."""
        found: list[Recipe] = []
        _fill((self.inputs, self.kw), lambda recipe: found.append(recipe))
        return found

    def arrays(self, dtype: Any = np.float64) -> list[np.ndarray]:
        """One array per recipe, the same ones at every call."""
        rng = np.random.default_rng(zlib.crc32(self.id.encode()))
        return [recipe(rng, dtype) for recipe in self.recipes]

    def call(self, values: Sequence[Any], function: Callable[..., Any] | None = None) -> Any:
        """Calls `function` (default: the operation) with `values` where the recipes are."""
        rest = iter(values)
        inputs, kw = _fill((self.inputs, self.kw), lambda recipe: next(rest))
        return (function or self.function)(*inputs, **kw)

    @property
    def id(self) -> str:
        raise NotImplementedError


def _fill(value: Any, make: Callable[[Recipe], Any]) -> Any:
    if isinstance(value, Recipe):
        return make(value)
    if isinstance(value, np.ndarray):
        return make(Given(value, differentiable=False))
    if type(value) in (list, tuple):
        return type(value)(_fill(part, make) for part in value)
    if isinstance(value, dict):
        return {key: _fill(part, make) for key, part in value.items()}
    return value


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array{value.shape}"
    return getattr(value, "__name__", None) or repr(value)


@dataclass(repr=False, eq=False)
class S(Case):
    """One case: an operation by its public name (`tensorgraph.<name>`, dots allowed: "linalg.inv"), inputs, result.

    `ref(*arrays, **kw)` computes the expected value (one array or a tuple) from NumPy arrays, independently of the
    code under test. `f` replaces the call (default: the public function called with the inputs and kw).
    `grad=False`: no gradient at all (comparisons). `second=False`: not twice differentiable, with the reason in `why`.
    `dtypes`: the floating dtypes in which the value is tested. `tol`: factor on the usual tolerances.
    """

    name: str
    inputs: tuple
    kw: dict
    ref: Callable[..., Any]
    f: Callable[..., Any] | None = None
    grad: bool = True
    second: bool = True
    dtypes: tuple[str, ...] = FLOATS
    tol: float = 1.0
    why: str = ""

    def __init__(self, name: str, *inputs: Any, kw: dict | None = None, ref: Callable[..., Any], **rest: Any):
        self.name, self.inputs, self.kw, self.ref = name, inputs, kw or {}, ref
        for key, value in rest.items():
            if key not in ("f", "grad", "second", "dtypes", "tol", "why"):
                raise TypeError(f"S() has no parameter {key!r}")
            setattr(self, key, value)

    @property
    def id(self) -> str:
        texts = [*map(_text, self.inputs), *(f"{k}={_text(v)}" for k, v in self.kw.items())]
        return f"{self.name}({', '.join(texts)})"[:120]


@dataclass(repr=False, eq=False)
class E(Case):
    """One error case: the call must raise `error` with a message that matches the regular expression `match`."""

    name: str
    inputs: tuple = ()
    kw: dict = field(default_factory=dict)
    error: type[Exception] = Exception
    match: str = ""
    f: Callable[..., Any] | None = None

    def __init__(
        self, name: str, *inputs: Any, error: type[Exception], match: str, kw: dict | None = None, f: Any = None
    ):
        self.name, self.inputs, self.kw, self.error, self.match, self.f = name, inputs, kw or {}, error, match, f

    @property
    def id(self) -> str:
        return f"{self.name}:{self.match}"[:100]


# ---- all of them ---------------------------------------------------------------------------------------------------
def rooms() -> Iterator[tuple[str, ModuleType | Exception]]:
    """Every file of this folder; an exception stands for one that cannot be imported: it must not hide the others."""
    for module in pkgutil.iter_modules(__path__):
        try:
            yield module.name, importlib.import_module(f"{__name__}.{module.name}")
        except Exception as error:
            yield module.name, error


def samples() -> list[tuple[str, S]]:
    """(`room/case`, sample) for every sample there is."""
    return [(f"{room}/{s.id}", s) for room, module in rooms() for s in getattr(module, "SAMPLES", ())]


def errors() -> list[tuple[str, E]]:
    """(`room/case`, error case) for every error case there is."""
    return [(f"{room}/{e.id}", e) for room, module in rooms() for e in getattr(module, "ERRORS", ())]
