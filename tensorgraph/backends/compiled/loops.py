"""Loops over arrays: elementwise over up to four axes, sums of columns, pooling. Each writes one kernel.

The last axis is contiguous and goes through registers, a vector at a time; its rest is masked. Imported by table.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from tensorgraph.backends.compiled.emit import BYTE, Code, Value, where

__all__ = ["column_sums", "each", "max_pool", "max_put", "vectors"]


def vectors(code: Code, count: Any, body: Callable[[Any, Any], None]) -> None:
    """Calls `body(i, mask)` for every vector of `count` numbers, without a mask, and for the masked rest."""
    build, width = code.build, code.width
    rest = build.and_(count, code.int(width - 1))
    whole = build.sub(count, rest)
    with code.loop(whole, width) as i:
        body(i, None)
    with build.if_then(build.icmp_signed(">", rest, code.int(0))):
        body(whole, code.first(rest))


def each(
    module: Any, width: int, name: str, inputs: Sequence[str], outputs: Sequence[str], f: Callable[..., Any],
    floats: Sequence[str] = (), axes: int = 2,
) -> None:  # fmt: skip
    """outputs = f(*inputs, *floats) for every element; every operand has a stride for each axis but the last.

    Takes the addresses, the sizes of the axes, then the strides of one operand after the other, then the floats.
    """
    operands = [*inputs, *outputs]
    sizes = [f"n{a}" for a in range(axes)]
    strides = [f"{operand}_{a}" for operand in operands for a in range(axes - 1)]
    code = Code(module, width, name, operands, [*sizes, *strides], floats)
    given = [code.splat(code[name]) for name in floats]
    with ExitStack() as stack:
        places = [stack.enter_context(code.loop(code[f"n{a}"])) for a in range(axes - 1)]
        at = {o: code.at(code[o], *((i, code[f"{o}_{a}"]) for a, i in enumerate(places))) for o in operands}

        def body(i: Any, mask: Any) -> None:
            found = f(*(code.load(code.at(at[o], i), mask) for o in inputs), *given)
            for o, value in zip(outputs, found if isinstance(found, tuple) else (found,), strict=True):
                code.store(value, code.at(at[o], i), mask)

        vectors(code, code[sizes[-1]], body)
    code.end()


SET = 4
"""Rows whose columns are summed apart: the processor need not wait, and shorter sums lose fewer digits."""


def _cut(values: list, size: int) -> list[list]:
    return [values[i : i + size] for i in range(0, len(values), size)]


def column_sums(
    module: Any, width: int, name: str, inputs: Sequence[str], params: Sequence[str], outputs: Sequence[str],
    sums: int, f: Callable[..., tuple],
) -> None:  # fmt: skip
    """sums[s, column] += sum over rows of f(*inputs, *params)[s]: inputs (rows, columns), params (columns).

    What f returns behind the sums is written into the outputs (rows, columns). Takes the addresses of inputs, outputs,
    params and sums, then rows, columns, rows of a block, and the row strides of inputs and outputs.
    Sums of a block of rows stay in registers, and the block in the cache for the next columns. What adding the sum of
    a block loses to rounding is added to sums[`sums` + s, column]: both together are as good as a sum in double.
    """
    operands = [*inputs, *outputs]
    integers = ["rows", "columns", "block", *(f"{o}_0" for o in operands)]
    code = Code(module, width, name, [*operands, *params, "sums"], integers)
    build = code.build
    with code.loop(build.sdiv(build.add(code["rows"], build.sub(code["block"], code.int(1))), code["block"])) as number:
        start = build.mul(number, code["block"])
        left = build.sub(code["rows"], start)
        rows = build.select(build.icmp_signed("<", left, code["block"]), left, code["block"])

        def body(column: Any, mask: Any) -> None:
            fixed = [code.load(code.at(code[p], column), mask) for p in params]
            places = [code.at(code["sums"], (code["columns"], s), column) for s in range(2 * sums)]
            origin = {o: code.at(code[o], (start, code[f"{o}_0"]), column) for o in operands}

            def row(i: Any, state: list) -> list:
                at = {o: code.at(origin[o], (i, code[f"{o}_0"])) for o in operands}
                found = f(*(code.load(at[o], mask) for o in inputs), *fixed)
                for o, value in zip(outputs, found[sums:], strict=True):
                    code.store(value, at[o], mask)
                return [total + value for total, value in zip(state, found[:sums], strict=True)]

            def set_(i: Any, state: list) -> list:  # rows in sets, each row of a set with totals of its own
                first = build.mul(i, code.int(SET))
                numbered = [build.add(first, code.int(j)) for j in range(SET)]
                return [t for j, n in enumerate(numbered) for t in row(n, state[j * sums : (j + 1) * sums])]

            whole = build.sdiv(rows, code.int(SET))
            *state, totals = _cut(code.carry(whole, [code.constant(0.0)] * (SET * sums), set_), sums)
            start_of_rest = build.mul(whole, code.int(SET))
            rest = build.sub(rows, start_of_rest)
            totals = code.carry(rest, totals, lambda i, now: row(build.add(i, start_of_rest), now))
            while state:
                totals = [a + b for a, b in zip(totals, state.pop(), strict=True)]
            for total, place, below in zip(totals, places, places[sums:], strict=False):
                before = code.load(place, mask)
                after = before + total
                part = after - before
                code.store(after, place, mask)
                code.store((before - (after - part)) + (total - part) + code.load(below, mask), below, mask)

        vectors(code, code["columns"], body)
    code.end()


# ---- pooling --------------------------------------------------------------------------------------------------------
_WINDOW = "images height width channels out_height out_width R S down right below beside top left".split()


def _windows(code: Code, channels: Callable[[Any, Any, Callable], None]) -> None:
    """For every window: `channels(pixel number of the output, first tap, taps)`.

    `taps(state, body)` goes over the taps inside the image: `state = body(pixel number of the image, tap, state)`.
    """
    build = code.build
    zero = code.int(0)

    def inside(origin: Any, step: Any, taps: Any, size: Any) -> tuple[Any, Any]:
        """First and last + 1 of the taps t with 0 <= origin + t * step < size."""
        before = build.sub(build.sub(step, code.int(1)), origin)
        first = build.select(build.icmp_signed("<", origin, zero), build.sdiv(before, step), zero)
        last = build.sdiv(build.sub(build.add(size, build.sub(step, code.int(1))), origin), step)
        last = build.select(build.icmp_signed("<", last, taps), last, taps)
        return build.select(build.icmp_signed("<", first, last), first, zero), last

    with code.loop(code["images"]) as n, code.loop(code["out_height"]) as i, code.loop(code["out_width"]) as j:
        row = build.sub(build.mul(i, code["down"]), code["top"])
        column = build.sub(build.mul(j, code["right"]), code["left"])
        r0, r1 = inside(row, code["below"], code["R"], code["height"])
        s0, s1 = inside(column, code["beside"], code["S"], code["width"])

        def taps(state: Sequence[Any], body: Callable[[Any, Any, list], Sequence[Any]]) -> list:
            def down(r: Any, state: list) -> Sequence[Any]:
                r = build.add(r, r0)
                line = build.mul(
                    build.add(build.mul(n, code["height"]), build.add(row, build.mul(r, code["below"]))), code["width"]
                )

                def across(s: Any, state: list) -> Sequence[Any]:
                    s = build.add(s, s0)
                    pixel = build.add(line, build.add(column, build.mul(s, code["beside"])))
                    return body(pixel, build.add(build.mul(r, code["S"]), s), state)

                return code.carry(build.sub(s1, s0), state, across)

            return code.carry(build.sub(r1, r0), state, down)

        y = build.add(build.mul(build.add(build.mul(n, code["out_height"]), i), code["out_width"]), j)
        channels(y, build.add(build.mul(r0, code["S"]), s0), taps)


def max_pool(module: Any, width: int, name: str) -> None:
    """The largest pixel of every window of x (images, height, width, channels), and its tap, a byte."""
    code = Code(module, width, name, ["x", "y", "taps"], _WINDOW)
    byte = code.build.bitcast(code["taps"], BYTE.as_pointer())
    number = code.vector(BYTE)

    def channels(y: Any, first: Any, taps: Callable) -> None:
        def body(c: Any, mask: Any) -> None:
            def tap(pixel: Any, t: Any, state: list) -> list:
                best, which = state
                x = code.load(code.at(code["x"], (pixel, code["channels"]), c), mask)
                better = x.above(best)
                here = code.splat(code.build.trunc(t, number.element))
                return [where(better, x, best), Value(code, code.build.select(better.ir, here.ir, which.ir))]

            start = code.splat(code.build.trunc(first, number.element))
            best, which = taps([code.constant(float("-inf")), start], tap)
            code.store(best, code.at(code["y"], (y, code["channels"]), c), mask)
            code.store(which, code.at(byte, (y, code["channels"]), c), mask)

        vectors(code, code["channels"], body)

    _windows(code, channels)
    code.end()


def max_put(module: Any, width: int, name: str, apart: bool) -> None:
    """Puts g at the tap of its window into x: written where windows lie apart, otherwise added."""
    code = Code(module, width, name, ["x", "g", "taps"], _WINDOW)
    byte = code.build.bitcast(code["taps"], BYTE.as_pointer())

    def channels(y: Any, first: Any, taps: Callable) -> None:
        def body(c: Any, mask: Any) -> None:
            g = code.load(code.at(code["g"], (y, code["channels"]), c), mask)
            which = code.load(code.at(byte, (y, code["channels"]), c), mask, BYTE)

            def tap(pixel: Any, t: Any, state: list) -> list:
                here = code.splat(code.build.trunc(t, BYTE))
                hit = Value(code, code.build.icmp_unsigned("==", which.ir, here.ir))
                place = code.at(code["x"], (pixel, code["channels"]), c)
                share = where(hit, g, 0.0)
                code.store(share if apart else code.load(place, mask) + share, place, mask)
                return state

            taps([], tap)

        vectors(code, code["channels"], body)

    _windows(code, channels)
    code.end()
