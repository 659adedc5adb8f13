"""Why an operation made NaN or Inf, in words: one small function per operation that can, general ones for the rest.

Each gets the values of the operands at the first bad place, and returns the cause and the way out, or None.
Imported by debugging.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tensorgraph.backends import ARRAYS, backend_of
from tensorgraph.diagnostics.observe import Call

__all__ = ["first", "host", "why_backward", "why_forward"]

Cause = tuple[str, str | None]


# ---- values ----------------------------------------------------------------------------------------------------------
def host(value: Any) -> Any:
    """An array on the host; anything else as it is."""
    return backend_of(value).to_host(value) if type(value) in ARRAYS else value


def first(array: np.ndarray, test: Callable[[np.ndarray], Any]) -> tuple[int, ...] | None:
    """The index of the first element that passes a test."""
    hits = np.asarray(test(np.asarray(array)))
    if not hits.any():
        return None
    return tuple(int(i) for i in np.unravel_index(int(hits.argmax()), hits.shape))


def at(value: Any, index: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """The element of an operand that goes into element `index` of a result of `shape`; None if it is not one."""
    if isinstance(value, (int, float, complex, np.generic)):
        return value
    if type(value) not in ARRAYS:
        return None
    try:
        return np.broadcast_to(host(value), shape)[index].item()
    except ValueError:
        return None


def has(value: Any, test: Callable[[Any], Any]) -> bool:
    """Whether any number in a value passes a test: an array, a Python number, a tuple of them."""
    if isinstance(value, (tuple, list)):
        return any(has(v, test) for v in value)
    if type(value) in ARRAYS:
        value = host(value)
    if isinstance(value, (np.ndarray, np.generic, float, complex)) and np.asarray(value).dtype.kind in "fc":
        return bool(np.any(test(value)))
    return False


def _numbers(v: dict[str, Any], *names: str) -> Iterator[Any]:
    return (v.get(name) for name in names)


# ---- forward, by operation -------------------------------------------------------------------------------------------
_SAFE_LOG = "keep it away from 0: log(x.clip(1e-12)); after a softmax use log_softmax, in a loss cross_entropy"


def _log(v: dict[str, Any], limit: float = 0.0) -> Cause | None:
    x = v.get("x")
    if x is None:
        return None
    if x < limit:
        return (
            f"the logarithm of {'a negative number' if not limit else 'a number below 0'} does not exist: x = {x:g}",
            _SAFE_LOG,
        )
    return (f"the logarithm of 0 is minus infinity: x = {x:g}", _SAFE_LOG) if x == limit else None


def _sqrt(v: dict[str, Any]) -> Cause | None:
    x = v.get("x")
    return (
        None
        if x is None or x >= 0
        else (
            f"the square root of a negative number does not exist: x = {x:g}",
            "x.clip(0) where rounding made it negative; else look at what made it",
        )
    )


def _divide(v: dict[str, Any]) -> Cause | None:
    a, b = v.get("a", 1.0), v.get("b", v.get("x"))
    if b is None or a is None:
        return None
    if b == 0:
        return (
            ("0 / 0", "where(b == 0, 0, a / where(b == 0, 1, b)) where 0 is meant")
            if a == 0
            else (f"a division by zero: {a:g} / 0", "add a small number to the divisor: a / (b + 1e-8)")
        )
    if math.isfinite(a) and math.isfinite(b) and abs(b) < 1:
        return (
            f"a division by a tiny number overflows: {a:g} / {b:g}",
            "add a small number to the divisor: a / (b + 1e-8)",
        )
    return None


def _exp(v: dict[str, Any]) -> Cause | None:
    x = v.get("x")
    return (
        None
        if x is None or not math.isfinite(x) or x <= 0
        else (
            f"e^{x:g} overflows",
            "subtract the maximum first, or use softmax, log_softmax, logsumexp, sigmoid, softplus, which do",
        )
    )


def _pow(v: dict[str, Any]) -> Cause | None:
    a, b = v.get("a"), v.get("b")
    if a is None or b is None:
        return None
    if a < 0 and b != int(b):
        return f"a negative number to a power that is no integer: {a:g} ** {b:g}", "abs(x) ** p, or x.clip(0) ** p"
    if a == 0 and b < 0:
        return f"0 to a negative power: 0 ** {b:g}", "add a small number to the base"
    return f"{a:g} ** {b:g} overflows", None


def _domain(low: float, high: float) -> Callable[[dict[str, Any]], Cause | None]:
    def cause(v: dict[str, Any]) -> Cause | None:
        x = v.get("x")
        if x is None or low < x < high:
            return None
        return f"the function lives on [{low:g}, {high:g}]: x = {x:g}", f"x.clip({low:g} + 1e-6, {high:g} - 1e-6)"

    return cause


def _difference(v: dict[str, Any]) -> Cause | None:
    a, b = _numbers(v, "a", "b")
    if a is None or b is None or math.isfinite(a) or math.isfinite(b):
        return None
    return (
        f"infinities of both signs meet: {a:g} and {b:g}",
        "a mask that adds -inf twice, or x - max(x) where all are -inf",
    )


def _product(v: dict[str, Any]) -> Cause | None:
    a, b = _numbers(v, "a", "b")
    if a is None or b is None:
        return None
    if 0 in (a, b) and not (math.isfinite(a) and math.isfinite(b)):
        return (
            f"0 times infinity: {a:g} * {b:g}",
            "a mask by multiplication does not remove Inf; where(mask, x, 0) does",
        )
    return None


def _softmax(call: Call) -> Cause | None:
    x, axis = host(call.operands.get("x")), call.settings.get("axis", -1)
    if x is None or not hasattr(x, "shape") or not x.ndim:
        return None
    if np.isneginf(x).all(axis=axis).any():
        return (
            "softmax of a row in which everything is -inf (all masked)",
            "leave one entry unmasked, or set such rows to 0 afterwards",
        )
    if np.isposinf(x).any():
        return "softmax of +inf", None
    return None


def _spread(call: Call) -> Cause | None:
    x, axis = call.operands.get("x"), call.settings.get("axis")
    if x is None or not hasattr(x, "shape"):
        return None
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    n = math.prod(x.shape[i] for i in axes)
    correction = call.settings.get("correction", 0)
    if n > correction:
        return None
    values = "1 value" if n == 1 else f"{n} values"
    return (
        f"the {call.name} of {values} with correction={correction:g} is 0 / 0",
        "correction=0, or more values: a larger batch",
    )


def _mean(call: Call) -> Cause | None:
    x = call.operands.get("x")
    return ("the mean of nothing is 0 / 0", "a mask or a batch is empty") if x is not None and not x.size else None


ELEMENTWISE: dict[str, Callable[[dict[str, Any]], Cause | None]] = {
    "log": _log, "log2": _log, "log10": _log, "log1p": lambda v: _log(v, -1.0), "sqrt": _sqrt,
    "rsqrt": lambda v: _sqrt(v) or _divide({"b": v.get("x")}), "divide": _divide, "reciprocal": _divide,
    "remainder": _divide, "floor_divide": _divide, "fmod": _divide,
    "exp": _exp, "exp2": _exp, "expm1": _exp, "sinh": _exp, "cosh": _exp, "pow": _pow, "float_power": _pow,
    "asin": _domain(-1, 1), "acos": _domain(-1, 1), "atanh": _domain(-1, 1), "erfinv": _domain(-1, 1),
    "logit": _domain(0, 1), "acosh": _domain(1, math.inf),
    "add": _difference, "subtract": _difference, "multiply": _product,
}  # fmt: skip
WHOLE: dict[str, Callable[[Call], Cause | None]] = {
    "softmax": _softmax, "log_softmax": _softmax, "logsumexp": _softmax, "var": _spread, "std": _spread, "mean": _mean,
}  # fmt: skip


def why_forward(call: Call, y: np.ndarray, index: tuple[int, ...]) -> Cause:
    """The cause of the bad element `index` of the result `y`."""
    for name, value in call.operands.items():
        if has(value, np.isnan):
            spot = first(host(value), np.isnan) if hasattr(value, "shape") else ()
            return f"NaN was in {name}{_spot(spot)} when it came in; no operation that was observed made it", (
                "look at the data, at the parameters (loaded? updated with NaN?), or at arrays made outside tensorgraph"
            )
    values = {name: at(value, index, y.shape) for name, value in call.operands.items()}
    rule, whole = ELEMENTWISE.get(call.name), WHOLE.get(call.name)
    if any(isinstance(v, complex) for v in values.values()):
        rule = None
    found = (rule(values) if rule else None) or (whole(call) if whole else None)
    return (
        found
        or _overflow(call, y, index)
        or _infinities(call)
        or ("no known cause: run tensorgraph.debug.replay on the file and look at the operands", None)
    )


def _infinities(call: Call) -> Cause | None:
    names = [name for name, value in call.operands.items() if has(value, np.isinf)]
    return (f"infinite numbers in {', '.join(names)}: inf - inf and 0 * inf are NaN", None) if names else None


def _overflow(call: Call, y: np.ndarray, index: tuple[int, ...]) -> Cause | None:
    if not np.isinf(y[index]) or y.dtype.kind not in "fc" or any(has(v, np.isinf) for v in call.values):
        return None
    largest = max((float(np.abs(host(v)).max(initial=0)) for v in call.values if hasattr(v, "shape")), default=0.0)
    limit = f"{np.finfo(y.dtype).max:.3g}"
    hint = "compute this part in float32: x.astype(tensorgraph.float32)" if y.dtype.itemsize == 2 else None
    return f"the result overflows {y.dtype}, whose largest number is {limit}; largest operand {largest:.3g}", (
        hint or "the numbers grow without bound: a smaller learning rate, normalisation, gradient clipping"
    )


# ---- backward --------------------------------------------------------------------------------------------------------
_SLOPES: dict[str, tuple[str, float, str]] = {  # operation: the saved value, where its slope is infinite, its name
    "sqrt": ("y", 0.0, "the square root at 0"),
    "cbrt": ("y", 0.0, "the cube root at 0"),
    "rsqrt": ("y", math.inf, "1 / sqrt(x) at 0"),
    "log": ("x", 0.0, "the logarithm at 0"),
    "log2": ("x", 0.0, "the logarithm at 0"),
    "log10": ("x", 0.0, "the logarithm at 0"),
    "log1p": ("x", -1.0, "log(1 + x) at -1"),
    "divide": ("b", 0.0, "a / b at b = 0"),
    "reciprocal": ("y", math.inf, "1 / x at 0"),
    "norm2": ("y", 0.0, "the norm of a vector of zeros"),
    "power_norm": ("y", 0.0, "the norm of a vector of zeros"),
    "std": ("y", 0.0, "the standard deviation of equal values"),
    "hypot": ("y", 0.0, "hypot(0, 0)"),
    "pow": ("a", 0.0, "a power below 1 at 0"),
    "asin": ("x", 1.0, "asin at 1"),
    "acos": ("x", 1.0, "acos at 1"),
    "logit": ("x", 0.0, "logit at 0"),
}


def why_backward(call: Call, gx: np.ndarray, index: tuple[int, ...]) -> Cause:
    """The cause of the bad element `index` of the gradient `gx` that a rule returned."""
    g = host(call.values[0])
    operands = dict(call.operands)
    arrived = at(operands.pop("g"), index, gx.shape)
    steep = _SLOPES.get(call.name)
    if steep is not None:
        saved, pole, what = steep
        value = at(operands.get(saved), index, gx.shape)
        if (
            value is not None
            and not isinstance(value, complex)
            and (
                abs(abs(value) - abs(pole)) < 1e-12
                or abs(value) == pole
                or (call.name in ("divide", "log") and abs(value) < 1e-20)
            )
        ):
            if arrived == 0:
                return (
                    f"the slope of {what} is infinite, and the gradient that arrives is 0: 0 * inf is NaN; "
                    "a where() or a mask after it took the other branch",
                    "make the argument safe before the operation: f(where(ok, x, 1)), and choose afterwards",
                )
            return (
                f"the slope of {what} is infinite ({saved} = {value:g})",
                f"keep the argument away: {call.name}(x + 1e-12), or x.clip(1e-12)",
            )
    for name, value in operands.items():
        if has(value, lambda a: ~np.isfinite(a)):
            return (
                f"the saved {name} holds numbers that are not finite, {_word(value)}, and the rule multiplies with it",
                ("0 * inf is NaN: keep the infinite values out of the forward pass, with where() before the operation"),
            )
    if isinstance(g, np.ndarray) and np.isinf(gx[index]):
        return (
            f"the gradient overflows {gx.dtype}: largest arriving gradient {np.abs(g).max(initial=0):.3g}, largest "
            f"number {np.finfo(gx.dtype).max:.3g}",
            "scale the loss down, or compute this part in float32"
            if gx.dtype.itemsize == 2
            else "a smaller loss scale, normalisation; clipping comes too late for this",
        )
    return "no known cause: run tensorgraph.debug.replay on the file and look at the operands", None


def _word(value: Any) -> str:
    return " and ".join(w for w, test in (("NaN", np.isnan), ("Inf", np.isinf)) if has(value, test))


def _spot(index: tuple[int, ...] | None) -> str:
    return f"[{', '.join(map(str, index))}]" if index else ""
