"""L-BFGS: a quasi-Newton method for losses without noise, with a line search that satisfies the Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from tensorgraph import backends, writes
from tensorgraph.creation import asarray
from tensorgraph.errors import ArgumentError, StateDictError, sig
from tensorgraph.mode import enable_grad
from tensorgraph.nn import arguments as check
from tensorgraph.nn.optim.optimizer import Optimizer
from tensorgraph.tensor import Tensor

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    """Limited-memory BFGS: Newton's directions, estimated from the last `history_size` changes of the gradient.

    One `step(closure)` makes up to `max_iter` iterations, and stops after `max_eval` (5/4 max_iter) evaluations of the
    closure, which clears the gradients, computes the loss, calls backward and returns the loss. It stops early when no
    component of the gradient exceeds `tolerance_grad`, or when loss or parameters move less than `tolerance_change`.
    Each iteration moves by `lr` times the direction (the very first one by at most lr altogether); with
    `line_search_fn="strong_wolfe"` that is where a line search starts.

    One group of parameters only. Source: Nocedal & Wright, Numerical optimization, 2006, algorithms 3.5, 3.6, 7.4.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ):
        super().__init__(
            params,
            dict(
                lr=lr,
                max_iter=check.integer("LBFGS", max_iter=max_iter),
                max_eval=max(1, max_iter * 5 // 4) if max_eval is None else max_eval,
                tolerance_grad=tolerance_grad,
                tolerance_change=tolerance_change,
                history_size=history_size,
                line_search_fn=line_search_fn,
            ),
        )

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Takes the only group."""
        if self.param_groups:
            raise ArgumentError(
                "LBFGS: parameters in several groups, but one step moves all of them",
                hint="pass all parameters in one list",
            )
        super().add_param_group(group)

    def _check(self, group: Mapping[str, Any]) -> None:
        for key in ("lr", "tolerance_grad", "tolerance_change"):
            check.number("LBFGS", 0, **{key: group[key]})
        for key in ("max_iter", "max_eval", "history_size"):
            check.integer("LBFGS", **{key: group[key]})
        if group["line_search_fn"] is not None:
            check.choice("LBFGS", ("strong_wolfe",), line_search_fn=group["line_search_fn"])

    # ---- all parameters as one vector ----------------------------------------------------------------------------
    def _gradient(self) -> Any:
        """A new vector of all gradients."""
        params = self._params()
        be = backends.backend_of(params[0].array)
        gradients = [be.zeros_like(p.array) if p.grad is None else p.grad.array for p in params]
        return be.concatenate([g.reshape(-1) for g in gradients])

    def _move(self, start: list[Any], length: float, d: Any) -> None:
        """Parameters = start + length d."""
        at = 0
        for p, value in zip(self._params(), start, strict=True):
            p.array[...] = value + length * d[at : at + value.size].reshape(value.shape)
            writes.wrote(p.array)
            at += value.size

    # ---- stepping ------------------------------------------------------------------------------------------------
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Moves the parameters; `closure()` is called several times. Returns the loss of its first call.

        Raises ArgumentError without a closure.
        """
        if closure is None:
            raise ArgumentError(
                "LBFGS: step() needs a closure, since it computes the loss several times",
                hint="optimizer.step(closure), where closure() calls zero_grad() and backward() and returns the loss",
            )
        group, params = self.param_groups[0], self._params()
        state = self.state.setdefault(params[0], {})
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        calls = state["func_evals"]

        def evaluate() -> Any:
            state["func_evals"] += 1
            with enable_grad():
                return closure()

        first = evaluate()
        loss, g = _number(first), self._gradient()
        for iteration in range(1, group["max_iter"] + 1):
            if _largest(g) <= group["tolerance_grad"]:
                break
            state["n_iter"] += 1
            d = _direction(state, g, group["history_size"])
            length, before = group["lr"], loss
            if state["n_iter"] == 1:
                length *= min(1.0, 1 / _number(abs(g).sum()))
            slope = _number(g @ d)
            state |= {"d": Tensor(d), "t": length, "prev_flat_grad": Tensor(g), "prev_loss": loss}
            if slope > -group["tolerance_change"]:
                break
            start = [backends.backend_of(p.array).copy(p.array) for p in params]
            if group["line_search_fn"] is not None:

                def at(t: float, start: list[Any] = start, d: Any = d) -> _Point:
                    self._move(start, t, d)
                    loss, g = _number(evaluate()), self._gradient()
                    return _Point(t, loss, _number(g @ d), g)

                tries = group["max_eval"] - (state["func_evals"] - calls)
                length, loss, _, g = _strong_wolfe(at, length, _Point(0.0, loss, slope, g), _largest(d), tries)
                self._move(start, length, d)
                state["t"] = length
            else:
                self._move(start, length, d)
                if iteration == group["max_iter"]:  # nobody would look at another evaluation
                    break
                loss, g = _number(evaluate()), self._gradient()
            small = group["tolerance_change"]
            if state["func_evals"] - calls >= group["max_eval"]:
                break
            if _largest(d) * length <= small or abs(loss - before) < small:
                break
        return first

    # ---- state ---------------------------------------------------------------------------------------------------
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over state and settings, cast to the dtype and device of the parameters; all or nothing."""
        entries = state_dict.get("state") if isinstance(state_dict, Mapping) else None
        if not isinstance(entries, Mapping):
            return super().load_state_dict(state_dict)
        like, size = self._params()[0], sum(p.array.size for p in self._params())

        def vector(value: Any) -> Tensor:
            if tuple(getattr(value, "shape", ())) != (size,):
                raise StateDictError(
                    f"LBFGS.load_state_dict: {sig(value)} in the state is no vector of all {size} numbers; "
                    "nothing was loaded"
                )
            return asarray(value).detach().to(device=like.device, dtype=like.dtype).clone()

        state: dict[str, Any] = {}
        for key, value in next(iter(entries.values()), {}).items():
            if key in ("old_dirs", "old_stps"):
                state[key] = [vector(v) for v in value]
            elif key in ("d", "prev_flat_grad"):
                state[key] = vector(value)
            elif key == "ro":
                state[key] = [float(v) for v in value]
            elif key in ("func_evals", "n_iter"):
                state[key] = int(value)
            elif key in ("t", "H_diag", "prev_loss"):
                state[key] = float(value)
        super().load_state_dict({**state_dict, "state": {}})
        self.state = {like: state} if state else {}


def _number(value: Any) -> float:
    """A single number, from a tensor or an array of any device."""
    array = value.array if isinstance(value, Tensor) else value
    return float(backends.backend_of(array).to_host(array)) if type(array) in backends.ARRAYS else float(array)


def _largest(x: Any) -> float:
    return _number(abs(x).max()) if x.size else 0.0


def _direction(state: dict[str, Any], g: Any, most: int) -> Any:
    """-H g, where H, an estimate of the inverse Hessian, follows from the steps and changes of the gradient so far."""
    if "prev_flat_grad" not in state:
        state |= {"old_dirs": [], "old_stps": [], "ro": [], "H_diag": 1.0}
        return -g
    changes, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
    y, s = g - state["prev_flat_grad"].array, state["d"].array * state["t"]
    curvature = _number(y @ s)
    if curvature > 1e-10:
        for memory in (changes, steps, ro):
            del memory[: max(0, len(memory) + 1 - most)]
        changes.append(Tensor(y))
        steps.append(Tensor(s))
        ro.append(1 / curvature)
        state["H_diag"] = curvature / _number(y @ y)
    d, shares = -g, []
    pairs = list(zip(changes, steps, ro, strict=True))
    for y, s, r in reversed(pairs):
        shares.append(_number(s.array @ d) * r)
        d = d - shares[-1] * y.array
    d = d * state["H_diag"]
    for (y, s, r), share in zip(pairs, reversed(shares), strict=True):
        d = d + (share - _number(y.array @ d) * r) * s.array
    return d


# ---- the line search -----------------------------------------------------------------------------------------------
class _Point(NamedTuple):
    """A step length, with loss, slope and gradient there."""

    t: float
    loss: float
    slope: float
    g: Any


def _strong_wolfe(at: Callable[[float], _Point], t: float, start: _Point, largest: float, tries: int) -> _Point:
    """A point where the loss is low enough for its distance and the slope is flat enough; or the best that was found.

    First steps grow until two points enclose such a one, then the interval shrinks. `largest` is the largest component
    of the direction; `tries` says how often a first point may be bettered.
    """
    small, sufficient, flat = 1e-9, 1e-4, 0.9

    def too_high(p: _Point) -> bool:
        return p.loss > start.loss + sufficient * p.t * start.slope

    before, new, n = start, at(t), 0
    while True:
        if n == tries:
            return min(start, new, key=lambda p: p.loss)
        if too_high(new) or (n > 1 and new.loss >= before.loss):
            break
        if abs(new.slope) <= -flat * start.slope:
            return new
        if new.slope >= 0:
            break
        t = _lowest(before, new, new.t + 0.01 * (new.t - before.t), new.t * 10)
        before, new, n = new, at(t), n + 1

    low, high = (before, new) if before.loss <= new.loss else (new, before)
    stuck = False
    while n < tries and abs(high.t - low.t) * largest >= small:
        left, right = sorted((low, high), key=lambda p: p.t)
        t = _lowest(left, right, left.t, right.t)
        margin = 0.1 * (right.t - left.t)
        near = min(right.t - t, t - left.t) < margin
        if near and (stuck or t >= right.t or t <= left.t):  # too little would be gained so near to an end
            t = right.t - margin if abs(t - right.t) < abs(t - left.t) else left.t + margin
            near = False
        stuck = near
        new, n = at(t), n + 1
        if too_high(new) or new.loss >= low.loss:
            low, high = (low, new) if low.loss <= new.loss else (new, low)
        elif abs(new.slope) <= -flat * start.slope:
            return new
        else:
            low, high = new, low if new.slope * (high.t - low.t) >= 0 else high
    return low


def _lowest(a: _Point, b: _Point, least: float, most: float) -> float:
    """Where the cubic through two points with their slopes is lowest, within bounds; the middle if it has no bottom."""
    d = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d * d - a.slope * b.slope
    if not square >= 0:
        return (least + most) / 2
    root = math.sqrt(square)
    bend = b.slope - a.slope + 2 * root
    if not bend:
        return most if a.slope < 0 else least  # a straight line
    t = b.t - (b.t - a.t) * ((b.slope + root - d) / bend)
    return min(max(t, least), most)
