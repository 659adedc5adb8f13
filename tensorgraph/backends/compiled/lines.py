"""Kernels that go along lines: running sums and products, rows added where an index says. Imported by table.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from tensorgraph.backends.compiled.emit import INT, INT32, Code, Value
from tensorgraph.backends.compiled.loops import vectors

__all__ = ["add_rows", "label_slope", "running"]


def _number(code: Code, name: str, row: Any) -> Any:
    """An integer of 64 bits in an array of them."""
    return code.build.load(code.at(code.build.bitcast(code[name], INT.as_pointer()), row))


def _order(code: Code, lanes: list[int]) -> Any:
    return ir.Constant(ir.VectorType(INT32, code.width), lanes)


def running(module: Any, width: int, name: str, nothing: float, combine: Callable[[Any, Any], Any]) -> None:
    """y[r, i] = x[r, 0] o ... o x[r, i]. `nothing` changes no number, not even the sign of zero.

    Within a vector lanes are combined over the distances 1, 2, 4, ...; between vectors the last lane goes on.
    """
    code = Code(module, width, name, ["x", "y"], ["rows", "columns"])
    build, neutral = code.build, code.constant(nothing)

    def within(x: Any) -> Any:
        step = 1
        while step < width:
            order = _order(code, [i - step if i >= step else width + i for i in range(width)])
            x = combine(Value(code, build.shuffle_vector(x.ir, neutral.ir, order)), x)
            step *= 2
        return x

    with code.loop(code["rows"]) as row:
        x, y = (code.at(code[n], (row, code["columns"])) for n in ("x", "y"))
        rest = build.and_(code["columns"], code.int(width - 1))
        whole = build.sub(code["columns"], rest)

        def body(i: Any, state: list) -> list:
            at = build.mul(i, code.int(width))
            total = combine(state[0], within(code.load(code.at(x, at))))
            code.store(total, code.at(y, at))
            return [Value(code, build.shuffle_vector(total.ir, total.ir, _order(code, [width - 1] * width)))]

        (before,) = code.carry(build.sdiv(whole, code.int(width)), [neutral], body)
        with build.if_then(build.icmp_signed(">", rest, code.int(0))):
            mask = code.first(rest)
            code.store(combine(before, within(code.load(code.at(x, whole), mask))), code.at(y, whole), mask)
    code.end()


def add_rows(module: Any, width: int, name: str) -> None:
    """out[index[r], i] += x[r, i], one row after the other: an index may occur more than once."""
    code = Code(module, width, name, ["out", "x", "index"], ["columns", "rows", "out_row", "x_row"])
    with code.loop(code["rows"]) as row:
        x = code.at(code["x"], (row, code["x_row"]))
        out = code.at(code["out"], (_number(code, "index", row), code["out_row"]))

        def body(i: Any, mask: Any, x: Any = x, out: Any = out) -> None:
            place = code.at(out, i)
            code.store(code.load(place, mask) + code.load(code.at(x, i), mask), place, mask)

        vectors(code, code["columns"], body)
    code.end()


def label_slope(module: Any, width: int, name: str) -> None:
    """d[r] = e[r] * up[r], less down[r] in the column label[r]."""
    code = Code(module, width, name, ["e", "up", "down", "label", "d"], ["rows", "columns"])
    build = code.build
    with code.loop(code["rows"]) as row:
        up = code.spread(code.at(code["up"], row))
        e, d = (code.at(code[n], (row, code["columns"])) for n in ("e", "d"))

        def body(i: Any, mask: Any, e: Any = e, d: Any = d, up: Any = up) -> None:
            code.store(code.load(code.at(e, i), mask) * up, code.at(d, i), mask)

        vectors(code, code["columns"], body)
        place = code.at(d, _number(code, "label", row))
        build.store(build.fsub(build.load(place), build.load(code.at(code["down"], row))), place)
    code.end()
