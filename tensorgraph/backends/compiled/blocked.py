"""Machine code of matrix products: tiles of up to 14 rows and two vectors of columns, whose sums stay in registers.

A tile passes along the panels of the right factor, which are as wide as it. Parts of the right factor stay in the
second cache, the rows of a tile in the first; either factor is packed on the way where that pays. Imported by table.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from tensorgraph.backends.compiled.emit import FLOAT, INT, INT32, Code, Value
from tensorgraph.backends.compiled.table import AREA, DEEP, ROW, WIDE, fits

__all__ = ["product"]

VECTORS = 2
AHEAD = 6
"""Rows of the right factor between the one in use and the one that is asked for."""


class _Parts:
    """What `product` calls: tiles of every height, and what packs."""

    def __init__(self, module: Any, width: int, registers: int):
        self.module, self.width, self.panel = module, width, VECTORS * width
        self.top = max(h for h in range(1, 15) if fits(h, VECTORS, registers))
        self.lot = -(-self.top // width) * width
        kind = ir.ArrayType(FLOAT, self.panel)
        self.zeros = self.constant("product_zeros", kind, None)
        self.rows, self.columns = (self.tiles(name, name == "columns") for name in ("rows", "columns"))
        self.pack = self.copy("product_pack", VECTORS)
        self.pack_tile = self.copy("product_pack_tile", self.lot // width)
        self.turn, self.turn_add = (
            self.transpose(name, "add" in name) for name in ("product_turn", "product_turn_add")
        )

    def constant(self, name: str, kind: Any, value: Any) -> Any:
        made: Any = ir.GlobalVariable(self.module, kind, name)
        made.linkage, made.global_constant, made.initializer = "internal", True, ir.Constant(kind, value)
        return made

    def function(self, name: str, pointers: str, integers: str) -> Code:
        """A function that only this file calls."""
        code = Code(self.module, self.width, name, pointers.split(), integers.split())
        made = self.module.globals[name]
        made.linkage = "internal"
        for pointer, argument in zip(pointers.split(), made.args, strict=False):
            if pointer != "start":  # which may be `out`
                argument.add_attribute("noalias")
        return code

    def masks(self, code: Code, count: Any, vectors: int) -> list:
        """One for each of so many vectors, of which the first `count` lanes count."""
        return [code.first(code.build.sub(count, code.int(self.width * v))) for v in range(vectors)]

    def tiles(self, name: str, by_columns: bool) -> Any:
        """The tiles of every height, as an array of functions: entry h is that of h rows."""
        made = [self.tile(f"product_{name}_{h}", h, by_columns) for h in range(1, self.top + 1)]
        return self.constant(f"product_{name}", ir.ArrayType(made[0].type, self.top + 1), [made[0], *made])

    def tile(self, name: str, height: int, by_columns: bool) -> Any:
        """out = start + a @ b for `height` rows and `count` panels, of the last of which `left` columns are written.

        a (height, k) has its rows, or if `by_columns` its columns, a_step apart. Panels of b begin b_next one behind
        the other, those of the start start_next, which is 0 where the start is 0. b is read in whole panels: a mask
        on what is loaded would cost as much as a product.
        """
        code = self.function(name, "out start a b", "count k out_row start_row start_next a_step b_row b_next left")
        build, width, rows = code.build, code.width, range(height)
        masks = self.masks(code, code["left"], VECTORS)
        steps = [build.mul(code["a_step"], code.int(p)) for p in range(4)]
        has_start = build.icmp_signed("!=", code["start_next"], code.int(0))

        def places(corner: Any, row: str) -> list:
            return [(code.at(corner, (p, code[row]), width * v), masks[v]) for p in rows for v in range(VECTORS)]

        def begin(start: Any) -> list:
            before = build.block
            with build.if_then(has_start):
                given = [code.load(*place) for place in places(start, "start_row")]
                inside = build.block
            totals = [build.phi(value.ir.type) for value in given]
            for total, value in zip(totals, given, strict=True):
                total.add_incoming(code.constant(0.0).ir, before)
                total.add_incoming(value.ir, inside)
            return [Value(code, total) for total in totals]

        def panel(_: Any, state: list) -> list:
            out, start, b = state
            totals, a = begin(start), code["a"]
            lines = [a] if by_columns else [code.apart(code.at(a, (code["a_step"], p))) for p in rows[::4]]
            many = len(lines)

            def term(_: Any, state: list) -> list:
                b, lines, totals = state[0], state[1 : 1 + many], state[1 + many :]
                soon = code.at(b, (code["b_row"], AHEAD))
                for offset in (*range(0, self.panel, 16), self.panel - 1):  # the lines of the cache that it lies in
                    code.expect(code.at(soon, offset))
                factors = [code.load(code.at(b, width * v)) for v in range(VECTORS)]
                for p in rows:
                    here = code.at(lines[0], p) if by_columns else code.at(lines[p // 4], steps[p % 4])
                    number = code.spread(here)
                    for v in range(VECTORS):
                        totals[p * VECTORS + v] = number.times_plus(factors[v], totals[p * VECTORS + v])
                if by_columns:
                    lines = [code.at(lines[0], code["a_step"])]
                else:
                    lines = [code.apart(code.at(line, 1)) for line in lines]
                return [code.at(b, code["b_row"]), *lines, *totals]

            totals = code.carry(code["k"], [b, *lines, *totals], term)[1 + many :]
            for total, place in zip(totals, places(out, "out_row"), strict=True):
                code.store(total, *place)
            return [code.at(out, self.panel), code.at(start, code["start_next"]), code.at(b, code["b_next"])]

        code.carry(code["count"], [code["out"], code["start"], code["b"]], panel)
        code.end()
        return self.module.globals[name]

    def copy(self, name: str, vectors: int) -> Any:
        """to[j, i, :] = from[i, j * size : (j + 1) * size] for size = vectors * width, zeros behind the last column."""
        code = self.function(name, "to from", "rows columns from_row")
        build, size = code.build, vectors * self.width
        rest = build.srem(code["columns"], code.int(size))
        whole, masks = build.sub(code["columns"], rest), self.masks(code, rest, vectors)
        with code.loop(code["rows"]) as i:
            here, to = code.at(code["from"], (i, code["from_row"])), code.at(code["to"], (i, size))

            def put(column: Any, masks: list) -> None:
                for v, mask in enumerate(masks):
                    value = code.load(code.at(here, column, self.width * v), mask)
                    code.store(value, code.at(to, (column, code["rows"]), self.width * v))

            with code.loop(whole, size) as column:
                put(column, [None] * vectors)
            with build.if_then(build.icmp_signed(">", rest, code.int(0))):
                put(whole, masks)
        code.end()
        return self.module.globals[name]

    def transpose(self, name: str, adds: bool) -> Any:
        """to[j, i] = from[i, j] for i < rows and j < columns, and if `adds` start[j, i] more."""
        code = self.function(
            name, "to from start" if adds else "to from", "rows columns to_row from_row" + " start_row" * adds
        )
        build, block = code.build, range(code.width)

        def inside(mask: Any, line: int, count: Any) -> Any:
            return build.select(build.icmp_signed("<", code.int(line), count), mask, code.none)

        with code.loop(code["rows"], code.width) as i, code.loop(code["columns"], code.width) as j:
            below, beside = build.sub(code["rows"], i), build.sub(code["columns"], j)
            across, down = code.first(beside), code.first(below)
            here, to = code.at(code["from"], (i, code["from_row"]), j), code.at(code["to"], (j, code["to_row"]), i)
            values = [code.load(code.at(here, (p, code["from_row"])), inside(across, p, below)) for p in block]
            for p, value in enumerate(code.turned(values)):
                mask = inside(down, p, beside)
                if adds:
                    start = code.at(code["start"], (build.add(j, code.int(p)), code["start_row"]), i)
                    value = value + code.load(start, mask)
                code.store(value, code.at(to, (p, code["to_row"])), mask)
        code.end()
        return self.module.globals[name]


def _cut(code: Code, size: Any, most: Any, grain: int, body: Callable[[Any, Any], None]) -> None:
    """`body(first, count)` for nearly equal parts of at most so many, multiples of `grain` but for the last."""
    build, most = code.build, code.int(most)
    count = build.sdiv(build.add(size, build.sub(most, code.int(1))), most)
    some = build.sdiv(build.add(size, build.sub(count, code.int(1))), count)
    some = build.and_(build.add(some, code.int(grain - 1)), code.int(-grain))
    with code.loop(count) as i:
        first = build.mul(i, some)
        body(first, code.least(some, build.sub(size, first)))


def _cut_evenly(code: Code, size: Any, most: int, body: Callable[[Any, Any], None]) -> None:
    """`body(first, count)` for as few parts of at most so many as there can be, which differ by one at most."""
    build = code.build
    count = build.sdiv(build.add(size, code.int(most - 1)), code.int(most))
    some, larger = build.sdiv(size, count), build.srem(size, count)
    with code.loop(count) as i:
        more = build.zext(build.icmp_signed("<", i, larger), INT)
        body(build.add(build.mul(i, some), code.least(i, larger)), build.add(some, more))


def product(module: Any, width: int, registers: int, name: str) -> None:
    """out = start + a @ b for a (m, k), b (k, n), all sizes at least 1; no start means 0, start_row 0 the same for all.

    left: 0 reads the rows of a where they lie, 1 takes a as (k, m), 2 packs them. right: 0 reads b where it lies, 1
    packs it, 2 takes b as (n, k). turned: out and start are (n, m). The scratch holds (width of a tile, rounded up to
    vectors) x DEEP + 14 x ROW + AREA numbers.
    """
    parts = _Parts(module, width, registers)
    strides = "out_row start_row a_row b_row left right turned"
    code = Code(module, width, name, ["out", "start", "a", "b", "scratch"], ["m", "n", "k", *strides.split()])
    build, size, panel = code.build, parts.panel, code.int(parts.panel)
    zero, lot = code.int(0), code.int(parts.lot)

    def is_(name: str, value: int) -> Any:
        return build.icmp_signed("==", code[name], code.int(value))

    tile, sums = code["scratch"], code.at(code["scratch"], DEEP * parts.lot)
    room = code.at(sums, ROW * parts.top)
    turned, in_place, reads_b = is_("turned", 1), is_("left", 0), is_("right", 0)
    has_start = build.icmp_signed("!=", build.ptrtoint(code["start"], INT), zero)
    zeros = build.gep(parts.zeros, [INT32(0), INT32(0)])
    kernels = build.select(in_place, parts.rows, parts.columns)
    down, right = (
        build.select(turned, x, y) for x, y in ((code.int(1), code["out_row"]), (code["out_row"], code.int(1)))
    )
    start_down, start_right = (
        build.select(turned, x, y) for x, y in ((code.int(1), code["start_row"]), (code["start_row"], code.int(1)))
    )

    def right_part(first: Any, terms: Any, column: Any, columns: Any) -> tuple:
        """Packs what is packed: b (at, row, next) for whole panels, and where the rest lies, which always is."""
        whole = build.and_(columns, code.int(-size))
        b = code.at(code["b"], (first, code["b_row"]), column)
        with build.if_else(is_("right", 2)) as (turns, copies):
            with turns, code.loop(columns, size) as j:
                source = code.at(code["b"], (build.add(column, j), code["b_row"]), first)
                some = code.least(build.sub(columns, j), panel)
                build.call(parts.turn, [code.at(room, (j, terms)), source, some, terms, panel, code["b_row"]])
            with copies:
                begin = build.select(reads_b, whole, zero)
                build.call(parts.pack, [room, code.at(b, begin), terms, build.sub(columns, begin), code["b_row"]])
        rest = code.at(room, (build.select(reads_b, zero, whole), terms))
        row, next_ = build.select(reads_b, code["b_row"], panel), build.select(reads_b, panel, build.mul(terms, panel))
        return (build.select(reads_b, b, room), row, next_), rest

    def left_part(first: Any, terms: Any, row: Any, height: Any) -> tuple:
        """The rows of a tile, and how far apart its rows, or its columns if it was packed, are."""
        by_rows, by_columns = (
            code.at(code["a"], x, y)
            for x, y in (((row, code["a_row"]), first), ((first, code["a_row"]), row))
        )  # fmt: skip
        with build.if_then(is_("left", 1)):
            build.call(parts.pack_tile, [tile, by_columns, terms, height, code["a_row"]])
        with build.if_then(is_("left", 2)):
            build.call(parts.turn, [tile, by_rows, height, terms, lot, code["a_row"]])
        return build.select(in_place, by_rows, tile), build.select(in_place, code["a_row"], lot)

    def part(first: Any, terms: Any, column: Any, columns: Any) -> None:
        is_first = build.icmp_signed("==", first, zero)
        b, rest = right_part(first, terms, column, columns)
        whole, left = build.sdiv(columns, panel), build.srem(columns, panel)

        def one_tile(row: Any, height: Any) -> None:
            a, a_step = left_part(first, terms, row, height)
            out = code.at(code["out"], (row, down), (column, right))
            start = build.select(is_first, code.at(code["start"], (row, start_down), (column, start_right)), out)
            start_row = build.select(is_first, code["start_row"], code["out_row"])
            adds = build.or_(has_start, build.not_(is_first))
            here = build.and_(adds, build.not_(turned))
            to, to_row = build.select(turned, sums, out), build.select(turned, code.int(ROW), code["out_row"])
            begins, step = build.select(here, start, zeros), build.select(here, panel, zero)
            kernel = build.load(build.gep(kernels, [INT32(0), height]))

            def call(to: Any, begins: Any, b: tuple, count: Any, left: Any) -> None:
                at, row, next_ = b
                build.call(
                    kernel, [to, begins, a, at, count, terms, to_row, start_row, step, a_step, row, next_, left]
                )  # fmt: skip

            call(to, begins, b, whole, panel)
            with build.if_then(build.icmp_signed(">", left, zero)):
                call(
                    code.at(to, (whole, panel)), code.at(begins, (whole, step)), (rest, panel, zero), code.int(1), left
                )
            with build.if_then(turned), build.if_else(adds) as (more, plain):
                sizes = [height, columns, code["out_row"], code.int(ROW)]
                with more:
                    build.call(parts.turn_add, [out, sums, start, *sizes, start_row])
                with plain:
                    build.call(parts.turn, [out, sums, *sizes])

        _cut_evenly(code, code["m"], parts.top, one_tile)

    def of_terms(first: Any, terms: Any) -> None:
        most = build.and_(code.least(build.sdiv(code.int(AREA), terms), code.int(WIDE)), code.int(-size))
        _cut(code, code["n"], most, size, lambda column, columns: part(first, terms, column, columns))

    _cut(code, code["k"], DEEP, 1, of_terms)
    code.end()
