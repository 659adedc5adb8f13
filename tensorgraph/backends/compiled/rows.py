"""Kernels that look along the rows of a matrix: softmax, layer normalisation, their slopes. Imported by table.py.

Each row is gone over several times while it is in the nearest cache. Totals are kept in all lanes of a register.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorgraph.backends.compiled.emit import Code, Value, where
from tensorgraph.backends.compiled.loops import vectors
from tensorgraph.backends.compiled.maths import exp

__all__ = ["layer_norm", "layer_norm_slope", "product_of_rows", "softmax", "softmax_slope"]


def _fold(code: Code, first: float, combine: Callable[[Any, Any], Any], *functions: Callable[[Any, Any], Any]) -> list:
    """For each function the combination, over the columns, of `function(column, mask)`; it may also write there."""
    build, width = code.build, code.width
    nothing = code.constant(first)
    rest = build.and_(code["columns"], code.int(width - 1))
    whole = build.sub(code["columns"], rest)

    def body(i: Any, state: list) -> list:
        at = build.mul(i, code.int(width))
        return [combine(total, f(at, None)) for total, f in zip(state, functions, strict=True)]

    totals = code.carry(build.sdiv(whole, code.int(width)), [nothing] * len(functions), body)
    mask = code.first(rest)
    lanes = Value(code, mask)
    totals = [combine(t, where(lanes, f(whole, mask), nothing)) for t, f in zip(totals, functions, strict=True)]
    step = width // 2
    while step:
        totals = [combine(t, t.swapped(step)) for t in totals]
        step //= 2
    return totals


def _add(a: Any, b: Any) -> Any:
    return a + b


def _larger(a: Any, b: Any) -> Any:
    """Of numbers the larger, and no number where one is none."""
    return where((b > a) | b.is_nan(), b, a)


def _matrix(code: Code, row: Any, *names: str) -> list[Callable[..., Any]]:
    """For each matrix (rows, columns) a function: `f(column, mask)` loads, `f(column, mask, value)` stores."""

    def access(name: str) -> Callable[..., Any]:
        start = code.at(code[name], (row, code["columns"]))
        return lambda at, mask, value=None: _access(code, start, at, mask, value)

    return [access(name) for name in names]


def _vector(code: Code, name: str) -> Callable[..., Any]:
    """Likewise for numbers that belong to the columns."""
    return lambda at, mask, value=None: _access(code, code[name], at, mask, value)


def _access(code: Code, start: Any, at: Any, mask: Any, value: Any) -> Any:
    if value is None:
        return code.load(code.at(start, at), mask)
    code.store(value, code.at(start, at), mask)
    return value


def softmax(module: Any, width: int, name: str, divided: bool) -> None:
    """y = exp(x - top) with the largest of each row, divided by the sum of that, or with both of them written."""
    code = Code(module, width, name, ["x", "y"] if divided else ["x", "y", "tops", "sums"], ["rows", "columns"])
    with code.loop(code["rows"]) as row:
        x, y = _matrix(code, row, "x", "y")
        (top,) = _fold(code, float("-inf"), _larger, x)
        (total,) = _fold(code, 0.0, _add, lambda at, mask: y(at, mask, exp(x(at, mask) - top)))
        if divided:
            share = 1.0 / total
            vectors(code, code["columns"], lambda at, mask: y(at, mask, y(at, mask) * share))
        else:
            code.store_one(top, code.at(code["tops"], row))
            code.store_one(total, code.at(code["sums"], row))
    code.end()


def softmax_slope(module: Any, width: int, name: str) -> None:
    """gx = (g - sum of g y) y."""
    code = Code(module, width, name, ["g", "y", "gx"], ["rows", "columns"])
    with code.loop(code["rows"]) as row:
        g, y, gx = _matrix(code, row, "g", "y", "gx")
        (total,) = _fold(code, 0.0, _add, lambda at, mask: g(at, mask) * y(at, mask))
        vectors(code, code["columns"], lambda at, mask: gx(at, mask, (g(at, mask) - total) * y(at, mask)))
    code.end()


def layer_norm(module: Any, width: int, name: str) -> None:
    """y = (x - mean) / sqrt(var + eps) * weight + bias, and mean and 1 / sqrt(var + eps) of each row."""
    code = Code(module, width, name, ["x", "weight", "bias", "y", "mean", "r"], ["rows", "columns"], ["share", "eps"])
    share, eps = code.splat(code["share"]), code.splat(code["eps"])
    w, b = _vector(code, "weight"), _vector(code, "bias")
    with code.loop(code["rows"]) as row:
        x, y = _matrix(code, row, "x", "y")
        (total,) = _fold(code, 0.0, _add, x)
        mean = total * share

        def square(at: Any, mask: Any) -> Any:
            d = x(at, mask) - mean
            return d * d

        (squares,) = _fold(code, 0.0, _add, square)
        r = 1.0 / (squares * share + eps).sqrt()
        vectors(
            code,
            code["columns"],
            lambda at, mask: y(at, mask, ((x(at, mask) - mean) * r).times_plus(w(at, mask), b(at, mask))),
        )
        code.store_one(mean, code.at(code["mean"], row))
        code.store_one(r, code.at(code["r"], row))
    code.end()


def layer_norm_slope(module: Any, width: int, name: str) -> None:
    """The gradient in x, and what the rows add to those of weight and bias: sums over all rows, so take few of them."""
    names = ["g", "x", "weight", "mean", "r", "gx", "of_weight", "of_bias"]
    code = Code(module, width, name, names, ["rows", "columns"], ["share"])
    share = code.splat(code["share"])
    w, of_weight, of_bias = (_vector(code, n) for n in ("weight", "of_weight", "of_bias"))
    with code.loop(code["rows"]) as row:
        g, x, gx = _matrix(code, row, "g", "x", "gx")
        mean, r = code.spread(code.at(code["mean"], row)), code.spread(code.at(code["r"], row))

        def normal(at: Any, mask: Any) -> Any:
            return (x(at, mask) - mean) * r

        def along(at: Any, mask: Any) -> Any:
            return g(at, mask) * w(at, mask) * normal(at, mask)

        level, along_total = _fold(code, 0.0, _add, lambda at, mask: g(at, mask) * w(at, mask), along)
        level, slope = level * share, along_total * share

        def write(at: Any, mask: Any) -> None:
            n, here = normal(at, mask), g(at, mask)
            of_weight(at, mask, of_weight(at, mask) + here * n)
            of_bias(at, mask, of_bias(at, mask) + here)
            gx(at, mask, (here * w(at, mask) - level - n * slope) * r)

        vectors(code, code["columns"], write)
    code.end()


def product_of_rows(module: Any, width: int, name: str) -> None:
    """y[r] = the product of row r."""
    code = Code(module, width, name, ["x", "y"], ["rows", "columns"])
    with code.loop(code["rows"]) as row:
        (x,) = _matrix(code, row, "x")
        (total,) = _fold(code, 1.0, lambda a, b: a * b, x)
        code.store_one(total, code.at(code["y"], row))
    code.end()
