"""`gradcheck` and `gradgradcheck`: do the backward rules agree with finite differences?

Public: users test their own operations with them. Built on `grad()` alone; knows no operation. Everything is compared
along random directions, which costs a few evaluations whatever the sizes; only after a disagreement the wrong entry
of the Jacobian is searched for, by bisection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tensorgraph import backends
from tensorgraph.backward import grad
from tensorgraph.errors import DtypeError, GraphError, TensorgraphError, sig
from tensorgraph.mode import enable_grad, no_grad, recording
from tensorgraph.tensor import Tensor

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]

_ROUNDING = 8 * np.finfo(np.float64).eps
_FINER = 32  # a disagreement counts if it is still there with steps so many times smaller: a kink may lie close by


class GradcheckError(TensorgraphError, AssertionError):
    """A gradient disagrees with finite differences, or cannot be compared with them."""


def gradcheck(
    f: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-4,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    directions: int = 2,
    seed: int = 0,
) -> bool:
    """Compares the gradients of `f(*inputs)` with finite differences; True, or an error that shows the wrong entry.

    inputs: a tensor or a sequence. Those that require a gradient are checked, each by itself, and must be float64 or
    complex128; all others are handed to `f` as they are. What was computed from other tensors counts as a new leaf
    with these values. `f` may return a tensor or nested tuples, lists and dicts;
    what is no floating tensor in them is ignored. Every one of `directions` comparisons draws new directions from
    `seed`; `eps` is the step, for inputs of magnitude 1 or more (central differences of two steps, extrapolated: the
    error is of order eps^4). `f` must be smooth within `eps` of the inputs. Elements of the output that are infinite
    or NaN are left out.

    Raises GradcheckError (an AssertionError), DtypeError for inputs or outputs of less than 64 bits, GraphError when
    nothing requires a gradient.

    >>> import tensorgraph as tg
    >>> @tg.op
    ... def cube(be, x):
    ...     return x * x * x
    >>> _ = cube.vjp(x=lambda g, x: g * 2 * x * x)
    >>> x = tg.tensor([1.0, 2.0], dtype=tg.float64, requires_grad=True)
    >>> tg.gradcheck(cube, x)
    Traceback (most recent call last):
    ...
    tensorgraph.check.GradcheckError: gradcheck: d output[1] / d x[1] is 12 numerically, but 8 by the rules
      x       f64[2]
      output  f64[2]
    >>> tg.gradcheck(lambda x: x * x * x, x)
    True
    """
    arguments = _arguments(inputs)
    chosen = _checked("gradcheck", f, arguments)

    def outputs() -> list[tuple[str, Tensor]]:
        return _floating("output", f(*arguments))

    return _Comparison("gradcheck", outputs, chosen, eps, rtol, atol).run(directions, np.random.default_rng(seed))


def gradgradcheck(
    f: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-4,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    directions: int = 2,
    seed: int = 0,
) -> bool:
    """Like `gradcheck`, for second derivatives: the gradients of `f` are themselves differentiated and compared.

    The derivative is taken with respect to the inputs and to the gradients that flow into the outputs.
    """
    arguments = _arguments(inputs)
    chosen = _checked("gradgradcheck", f, arguments)
    rng = np.random.default_rng(seed)
    xs = [x for _, x in chosen]
    with no_grad():
        incoming = [
            (f"g_{name}", Tensor(_unflat(_direction(rng, _flat(y).size), y)).requires_grad_())
            for name, y in _floating("output", f(*arguments))
        ]

    def outputs() -> list[tuple[str, Tensor]]:
        record = recording()
        with enable_grad():
            ys = [y for _, y in _floating("output", f(*arguments))]
            used = [(y, g) for y, (_, g) in zip(ys, incoming, strict=True) if y.node is not None]
            if not used:
                raise GraphError("gradgradcheck: no output of f takes part in a graph", operands=_lines(chosen))
            found = grad(*_columns(used, xs), create_graph=record, allow_unused=True)
        return [(f"(d output / d {name})", g) for (name, _), g in zip(chosen, found, strict=True) if g is not None]

    return _Comparison("gradgradcheck", outputs, chosen + incoming, eps, rtol, atol).run(directions, rng)


class _Comparison:
    """Outputs as a function of tensors whose arrays are exchanged for a moment; both sides of a derivative of them.

    All vectors are flat and of float64, on the host; a complex number is two of its elements. With the convention of
    gradient descent the directional derivative is then the plain dot product, for complex tensors too.
    """

    def __init__(self, what: str, outputs: Callable, inputs: list[tuple[str, Tensor]], eps, rtol, atol):
        self.what, self.outputs, self.inputs = what, outputs, inputs
        self.eps, self.rtol, self.atol = eps, rtol, atol
        self.points = [_flat(x) for _, x in inputs]
        self.magnitudes = [min(1.0, np.abs(p[np.isfinite(p)]).max(initial=0.0)) or 1.0 for p in self.points]

    def run(self, directions: int, rng: np.random.Generator) -> bool:
        base = self._values()
        with enable_grad():
            self.made = self.outputs()
        self._complain_if_unfit(base)
        self.base = base
        for _ in range(directions):
            weights = [np.where(np.isfinite(y), _direction(rng, y.size), 0.0) for y in base]
            gradients = self._gradients(weights)
            for i, point in enumerate(self.points):
                d = np.where(np.isfinite(point), _direction(rng, point.size), 0.0)
                if self._disagreement(i, d, weights, gradients[i]):
                    self._report(i, d, weights)
        return True

    def _complain_if_unfit(self, base: list[np.ndarray]) -> None:
        if not self.made:
            raise GraphError(f"{self.what}: f returned no floating tensor", operands=_lines(self.inputs))
        for name, y in self.made:
            if y.dtype.itemsize < (16 if y.dtype.kind == "c" else 8):
                raise DtypeError(
                    f"{self.what}: {name} is {sig(y)}, too coarse for finite differences",
                    operands=_lines(self.inputs),
                    hint="f should compute in float64 (complex128) when its inputs are of that dtype",
                )
        again = [_flat(y) for _, y in self.made]
        if len(base) != len(again) or not all(map(_alike, base, again)):
            raise GradcheckError(
                f"{self.what}: f is not deterministic: two evaluations at the same inputs differ",
                operands=_lines(self.inputs),
                hint="seed the generator inside f, or switch dropout off",
            )

    # ---- the two sides ---------------------------------------------------------------------------------------------
    def _values(self) -> list[np.ndarray]:
        with no_grad():
            return [_flat(y) for _, y in self.outputs()]

    def _shifted(self, i: int, shift: np.ndarray) -> list[np.ndarray]:
        x = self.inputs[i][1]
        kept = x.array
        x.array = _unflat(self.points[i] + shift, x)
        try:
            return self._values()
        finally:
            x.array = kept

    def _numeric(self, i: int, d: np.ndarray, weights: list[np.ndarray], eps: float) -> float:
        """d/dt of weights . f(x_i + t d) at 0: central differences with steps h and h/2, extrapolated."""

        def central(h: float) -> float:
            up, down = self._shifted(i, h * d), self._shifted(i, -h * d)
            with np.errstate(invalid="ignore", over="ignore"):
                return sum(_dot(w, u - v) for w, u, v in zip(weights, up, down, strict=True)) / (2 * h)

        h = eps * self.magnitudes[i]
        return (4 * central(h / 2) - central(h)) / 3

    def _gradients(self, weights: list[np.ndarray]) -> list[np.ndarray]:
        with enable_grad():
            ys = [y for _, y in self.outputs()]
        used = [(y, Tensor(_unflat(w, y))) for y, w in zip(ys, weights, strict=True) if y.node is not None]
        xs = [x for _, x in self.inputs]
        found = grad(*_columns(used, xs), allow_unused=True) if used else (None,) * len(xs)
        return [np.zeros_like(p) if g is None else _flat(g) for g, p in zip(found, self.points, strict=True)]

    def _disagreement(self, i: int, d: np.ndarray, weights: list[np.ndarray], gradient: np.ndarray) -> float:
        """0 where both sides agree, else by how much they differ (infinite for NaN)."""
        analytic = _dot(d, gradient)
        scale = _dot(np.abs(d), np.abs(gradient))
        size = sum(_dot(np.abs(w), np.abs(y)) for w, y in zip(weights, self.base, strict=True))
        for eps in (self.eps, self.eps / _FINER):
            numeric = self._numeric(i, d, weights, eps)
            resolved = _ROUNDING / (eps * self.magnitudes[i]) * size
            off = abs(numeric - analytic)
            if off <= self.atol + self.rtol * max(scale, abs(numeric)) + resolved:
                return 0.0
        return off if np.isfinite(off) else np.inf

    # ---- finding the wrong entry -----------------------------------------------------------------------------------
    def _report(self, i: int, d: np.ndarray, weights: list[np.ndarray]) -> None:
        """Raises the error for input i, having narrowed direction and weights down to one element each."""
        gradient = self._gradients(weights)[i]
        j = _bisect(d.size, lambda part: self._disagreement(i, d * part, weights, gradient))
        d = np.arange(d.size) == j
        sizes = np.cumsum([0, *(w.size for w in weights)])
        flat = np.concatenate(weights)

        def split(w: np.ndarray) -> list[np.ndarray]:
            return [w[a:b] for a, b in pairwise(sizes)]

        def off(part: np.ndarray) -> float:
            some = split(flat * part)
            return self._disagreement(i, d * 1.0, some, self._gradients(some)[i])

        k = _bisect(flat.size, off)
        one = split((np.arange(flat.size) == k) * 1.0)
        analytic = self._gradients(one)[i][j]
        numeric = self._numeric(i, d * 1.0, one, self.eps / _FINER)
        which = int(np.searchsorted(sizes, k, side="right")) - 1
        name, y = self.made[which]
        y_name, x_name = _entry(name, y, k - sizes[which]), _entry(*self.inputs[i], j)
        error = GradcheckError(
            f"{self.what}: d {y_name} / d {x_name} is {numeric:.10g} numerically, but {analytic:.10g} by the rules",
            operands=_lines([*self.inputs, *self.made]),
        )
        if abs(numeric - analytic) <= self.atol + self.rtol * max(abs(numeric), abs(analytic)):
            error.hint = "found along a direction only; no single entry is wrong: is f smooth here?"
        raise error


def _bisect(n: int, disagreement: Callable[[np.ndarray], float]) -> int:
    """Index of an element where two linear things disagree, given by how much they do so on a set of elements."""
    low, high = 0, n
    every = np.arange(n)
    while high - low > 1:
        middle = (low + high) // 2
        left = disagreement((every >= low) & (every < middle))
        right = disagreement((every >= middle) & (every < high))
        low, high = (low, middle) if left >= right else (middle, high)
    return low


# ---- inputs, outputs, vectors --------------------------------------------------------------------------------------
def _arguments(inputs: Any) -> tuple[Any, ...]:
    """The inputs; results of other operations as leaves with their values, so that no check runs into their graph."""
    return tuple(
        [
            Tensor(x.array).requires_grad_() if isinstance(x, Tensor) and x.node is not None and not x.is_leaf else x
            for x in ((inputs,) if isinstance(inputs, Tensor) else inputs)
        ]
    )


def _checked(what: str, f: Callable, arguments: tuple[Any, ...]) -> list[tuple[str, Tensor]]:
    """The inputs that require a gradient, with the names that `f` has for them."""
    code = getattr(f, "__code__", None)
    names = code.co_varnames[: code.co_argcount] if code is not None else ()
    chosen = []
    for i, x in enumerate(arguments):
        if not isinstance(x, Tensor) or x.node is None:
            continue
        name = names[i] if i < len(names) else f"inputs[{i}]"
        if x.dtype not in (np.float64, np.complex128):
            raise DtypeError(
                f"{what}: {name} is {sig(x)}, too coarse for finite differences",
                hint="give it in float64 (complex128): tensor(..., dtype=tensorgraph.float64, requires_grad=True)",
            )
        chosen.append((name, x))
    if not chosen:
        raise GraphError(
            f"{what}: none of the {len(arguments)} inputs requires a gradient: there is nothing to check",
            hint="tensor(..., dtype=tensorgraph.float64, requires_grad=True)",
        )
    return chosen


def _floating(name: str, value: Any) -> list[tuple[str, Tensor]]:
    """The floating tensors in a result, with names such as `output` or `output[1]`."""
    if isinstance(value, Tensor):
        return [(name, value)] if value.dtype.kind in "fc" else []
    if isinstance(value, dict):
        return [pair for key, part in value.items() for pair in _floating(f"{name}[{key!r}]", part)]
    if isinstance(value, (tuple, list)):
        return [pair for i, part in enumerate(value) for pair in _floating(f"{name}[{i}]", part)]
    return []


def _columns(used: list[tuple[Tensor, Tensor]], xs: list[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    return [y for y, _ in used], xs, [g for _, g in used]


def _flat(x: Tensor) -> np.ndarray:
    host = backends.backend_of(x.array).to_host(x.array)
    wide = np.complex128 if host.dtype.kind == "c" else np.float64
    return np.array(host, dtype=wide, order="C").reshape(-1).view(np.float64)


def _unflat(values: np.ndarray, like: Tensor) -> Any:
    host = values.view(like.dtype) if like.dtype.kind == "c" else values.astype(like.dtype)
    return backends.backend_of(like.array).from_host(host.reshape(like.shape), like.device)


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True)


def _direction(rng: np.random.Generator, n: int) -> np.ndarray:
    """Components between 0.5 and 1 in magnitude: none of them hides an entry."""
    return rng.uniform(0.5, 1.0, n) * rng.choice([-1.0, 1.0], n)


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    """a . b, where a zero of `a` silences even an infinite `b`."""
    return float(np.sum(np.where(a == 0, 0.0, a * np.where(a == 0, 0.0, b))))


def _entry(name: str, x: Tensor, i: int) -> str:
    part = ""
    if x.dtype.kind == "c":
        i, part = i // 2, ".imag" if i % 2 else ".real"
    index = ", ".join(str(n) for n in np.unravel_index(i, x.shape))
    return f"{name}[{index}]{part}" if x.shape else name + part


def _lines(named: list[tuple[str, Tensor]]) -> list[str]:
    width = max((len(name) for name, _ in named), default=0)
    return [f"{name.ljust(width)}  {sig(x)}" for name, x in named]
