"""Machine code of the convolution: sums of products kept in registers, without a matrix in between.

Every kernel reads a table of integers that layer.py makes (FIELDS, then PHASE for each phase): strides, counts, and
where the taps of the window lie. Images are channels-last. `fill` copies one into a room with its padding, in
parts of a few channels, so that the kernels meet no border, find neighbouring pixels at distances that they know, and
read from the nearest cache. Imported by table.py beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tensorgraph.backends.compiled.emit import FLOAT, INT, Code, where
from tensorgraph.backends.compiled.layer import FIELDS, LANE, NOWHERE, PHASE

__all__ = ["fill", "pack", "slopes", "sums", "unpack"]

UNITS = ["first", "count", "table", "splits", "height"]
"""Images `first` to `first + count`, or, where each is split, so many splits of `height` rows of outputs."""
UNROLL = 16
"""Channels whose products are written one after the other, at most."""


class Table:
    """The table of a kernel that is being written: `table["field"]` is a number, loaded when the kernel begins."""

    def __init__(self, code: Code):
        from llvmlite import ir

        self.code = code
        self.words = code.build.inttoptr(code["table"], INT.as_pointer())
        self.known = {name: self.word(i) for i, name in enumerate(FIELDS)}
        arguments = [FLOAT.as_pointer(), FLOAT.as_pointer(), INT, INT, INT]
        self.copy = code.build.inttoptr(self["fill"], ir.FunctionType(ir.VoidType(), arguments).as_pointer())

    def __getitem__(self, name: str) -> Any:
        return self.known[name]

    def word(self, place: Any) -> Any:
        """The number at a place."""
        build = self.code.build
        return build.load(build.gep(self.words, [self.code.int(place)]))

    def phase(self, number: Any) -> dict[str, Any]:
        """What stands there of one phase."""
        first = self.code.build.add(self.code.build.mul(number, INT(len(PHASE))), INT(len(FIELDS)))
        return {name: self.word(self.code.build.add(first, INT(i))) for i, name in enumerate(PHASE)}


def _least(code: Code, a: Any, b: Any) -> Any:
    return code.build.select(code.build.icmp_signed("<", a, b), a, b)


def _most(code: Code, a: Any, b: Any) -> Any:
    return code.build.select(code.build.icmp_signed(">", a, b), a, b)


def _over(code: Code, a: Any, b: Any) -> Any:
    """a / b, rounded up."""
    build = code.build
    return build.sdiv(build.add(a, build.sub(b, INT(1))), b)


def fill(module: Any, width: int, name: str) -> None:
    """Copies what the outputs in rows `low` to `high` see of an image into the room."""
    code = Code(module, width, name, ["x", "room"], ["table", "low", "high"])
    build, table = code.build, Table(code)
    begin = _most(code, build.mul(code["low"], table["down"]), table["top"])
    seen = build.add(build.mul(build.sub(code["high"], INT(1)), table["down"]), table["reach"])
    end = _least(code, seen, build.add(table["top"], table["height"]))
    step = build.mul(table["x_pixel"], table["lane_step"])
    near = build.icmp_signed("==", table["x_channel"], INT(1))
    with code.loop(build.sub(end, begin)) as i:
        row = build.add(begin, i)
        x = code.at(code["x"], (build.sub(row, table["top"]), table["x_row"]))
        room = code.at(code["room"], (row, table["row"]))
        with code.loop(table["lane_count"]) as lane, code.loop(table["parts"]) as part:
            at = build.add(table["lanes"], build.mul(lane, INT(len(LANE))))
            start, count, first = (table.word(build.add(at, INT(n))) for n in range(len(LANE)))
            done = build.mul(part, table["copied"])
            left = _least(code, build.sub(table["inputs"], done), table["copied"])
            of_x = code.at(x, (first, table["x_pixel"]), (done, table["x_channel"]))
            of_room = code.at(room, start, (part, table["part"]))
            with build.if_else(near) as (close, apart):
                with close, code.loop(left, width) as channel:
                    here, there = code.at(of_x, channel), code.at(of_room, channel)
                    rest = build.sub(left, channel)
                    lanes = code.first(rest)
                    with build.if_else(build.icmp_signed("<", rest, INT(width))) as (some, all_):
                        for way, mask in ((some, lanes), (all_, None)):
                            with way, code.loop(count) as j:
                                value = code.load(code.at(here, (j, step)), mask)
                                code.store(value, code.at(there, (j, table["pixel"])), mask)
                with apart, code.loop(left) as channel:
                    here, there = code.at(of_x, (channel, table["x_channel"])), code.at(of_room, channel)
                    with code.loop(count) as j:
                        build.store(build.load(code.at(here, (j, step))), code.at(there, (j, table["pixel"])))
    code.end()


@contextmanager
def _turns(code: Code, table: Table) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Loops over the units, some images at a time: fills the room, gives the first, how many, and rows from and to."""
    build = code.build
    with code.loop(build.mul(table["zero"], table["together"]), code.width) as i:  # where there will be padding
        code.store(code.constant(0.0), code.at(code["room"], i))
    whole = build.icmp_signed("==", code["splits"], INT(1))
    step = build.select(whole, table["together"], INT(1))
    with code.loop(code["count"], step) as done:
        unit = build.add(code["first"], done)
        image = build.sdiv(unit, code["splits"])
        low = build.mul(build.sub(unit, build.mul(image, code["splits"])), code["height"])
        high = _least(code, build.add(low, code["height"]), table["rows"])
        group = _least(code, build.sub(code["count"], done), step)
        with code.loop(group) as n:
            x = code.at(code["x"], (build.add(image, n), table["x_image"]))
            build.call(table.copy, [x, code.at(code["room"], (n, table["room"])), code["table"], low, high])
        yield image, group, low, high


def sums(
    module: Any, width: int, name: str, pixels: int, vectors: int, channels: int, pitch: int, full: int, even: int
) -> None:
    """y[n, i, j, k] = max(floor, bias[k] + sum over taps and c of room[n][part][tap][i*down][j][c] * w[k, c, tap]).

    Keeps the sums of `pixels` neighbouring outputs and `vectors` vectors of channels. Sums over the parts go through
    y, so that the weights of a part stay in the cache. w lies as (blocks, parts, taps, channels, size), zeros behind
    the last output; so does bias. A row has at least `pixels` outputs: its last step computes some of them again, in
    vain. `channels` and `pitch` of 0 are read from the table. `full` is 1 where the outputs fill all vectors, `even`
    where a row consists of whole steps.
    """
    code = Code(module, width, name, ["room", "y", "x", "w", "bias"], UNITS, ["floor"], apart=True)
    build, size, table = code.build, width * vectors, Table(code)
    depth = INT(channels) if channels else table["channels"]
    at_once = max(n for n in range(1, UNROLL + 1) if channels % n == 0) if channels else 1
    turns = INT(channels // at_once) if channels else depth
    floor, lowest = code.splat(code["floor"]), code.constant(float("-inf"))
    steps = [build.mul(table["pitch"], INT(p)) for p in range(pixels)]

    def taken(w: Any, x: Any, totals: list) -> list:
        """With the products of `at_once` channels added."""
        totals = list(totals)
        for c in range(at_once):
            factors = [code.load(code.at(w, c * size + width * v)) for v in range(vectors)]
            for p in range(pixels):
                number = code.spread(code.at(x, pitch * p + c) if pitch else code.at(x, steps[p], c))
                for v in range(vectors):
                    totals[p * vectors + v] = number.times_plus(factors[v], totals[p * vectors + v])
        return [code.at(w, at_once * size), code.at(x, at_once), *totals]

    def tap(x: Any, state: list) -> list:
        w, *totals = state
        if channels == at_once:
            w, _, *totals = taken(w, x, totals)
        else:
            w, _, *totals = code.carry(turns, [w, x, *totals], lambda i, now: taken(now[0], now[1], now[2:]))
        return [w, *totals]

    with _turns(code, table) as (first, group, low, high), code.loop(table["phases"]) as number:
        phase = table.phase(number)
        rows = build.sub(_least(code, phase["rows"], high), low)
        end = build.sub(phase["columns"], INT(pixels))
        amount = build.mul(build.mul(phase["taps"], depth), INT(size))
        with code.loop(table["blocks"]) as block, code.loop(table["parts"]) as part:
            channel = build.mul(block, INT(size))
            left = build.sub(table["outputs"], channel)
            masks = [None if full else code.first(build.sub(left, INT(width * v))) for v in range(vectors)]
            is_first = build.icmp_signed("==", part, INT(0))
            is_last = build.icmp_signed("==", part, build.sub(table["parts"], INT(1)))
            least = type(floor)(code, build.select(is_last, floor.ir, lowest.ir))
            start_step = build.select(is_first, INT(0), table["y_pixel"])
            piece = build.add(build.mul(block, table["parts"]), part)
            w, bias = code.at(code["w"], phase["packed_at"], (piece, amount)), code.at(code["bias"], channel)
            with code.loop(group) as n, code.loop(rows) as i:
                row = build.add(low, i)
                image = build.add(first, n)
                y = code.at(code["y"], phase["y_start"], channel, (image, table["y_image"]), (row, table["y_row"]))
                x = code.at(code["room"], (n, table["room"]), (part, table["part"]), (row, table["down"], table["row"]))
                with code.loop(phase["columns"], pixels) as next_:
                    column = _least(code, next_, end)
                    done = build.sub(next_, column)  # outputs of this step that the one before finished
                    here, seen = code.at(y, (column, table["y_pixel"])), code.at(x, (column, table["pitch"]))
                    start = build.select(is_first, bias, here)
                    totals = [
                        code.load(code.at(start, (start_step, p), width * v), masks[v])
                        for p in range(pixels)
                        for v in range(vectors)
                    ]
                    _, *totals = code.carry(
                        phase["taps"],
                        [w, *totals],
                        lambda t, now, seen=seen: tap(code.at(seen, table.word(build.add(phase["room_at"], t))), now),
                    )
                    for p in range(pixels):
                        is_new = build.icmp_signed("<=", done, INT(p))
                        for v in range(vectors):
                            total, mask = totals[p * vectors + v], masks[v]
                            if not even:
                                mask = build.select(is_new, code.all if full else mask, code.none)
                            place = code.at(here, (table["y_pixel"], p), width * v)
                            code.store(where(total < least, least, total), place, mask)
    code.end()


def slopes(module: Any, width: int, name: str, taps: int, channels: int, vectors: int, pitch: int, full: int) -> None:
    """w[k, c, tap] += sum over n, i, j of room[n][part][tap][i*down][j][c] * g[n, i, j, k].

    Keeps the sums of `taps` taps, `channels` channels and `vectors` vectors of outputs; w lies as for `sums`, g as y
    there. `chunk` rows of all `together` images are summed for all of w, then the next: they stay in the cache. A
    `pitch` of 0 is read from the table. `full` is 1 where the outputs fill all vectors.
    """
    code = Code(module, width, name, ["room", "w", "x", "g"], UNITS, apart=True)
    build, size, table = code.build, width * vectors, Table(code)
    step = INT(pitch) if pitch else table["pitch"]
    phase = table.phase(INT(0))
    sets = build.sdiv(phase["taps"], INT(taps))
    entries = [(q, t) for q in range(taps) for t in range(channels)]
    down = build.mul(table["down"], table["row"])

    def pixel(j: Any, state: list, masks: list) -> list:
        g, xs, totals = state[0], state[1 : 1 + taps], list(state[1 + taps :])
        factors = [code.load(code.at(g, width * v), masks[v]) for v in range(vectors)]
        for i, (q, t) in enumerate(entries):
            number = code.spread(code.at(xs[q], t))
            for v in range(vectors):
                totals[i * vectors + v] = number.times_plus(factors[v], totals[i * vectors + v])
        return [code.at(g, table["y_pixel"]), *(code.apart(code.at(x, step)) for x in xs), *totals]

    with (
        _turns(code, table) as (first, group, low, high),
        code.loop(build.sub(high, low), table["chunk"]) as done,
        code.loop(table["blocks"]) as block,
    ):
        row = build.add(low, done)
        rows = _least(code, build.sub(high, row), table["chunk"])
        channel = build.mul(block, INT(size))
        left = build.sub(table["outputs"], channel)
        masks = [None if full else code.first(build.sub(left, INT(width * v))) for v in range(vectors)]
        g = code.at(code["g"], channel, (first, table["y_image"]), (row, table["y_row"]))
        with code.loop(table["parts"]) as part, code.loop(sets) as set_, code.loop(table["channels"], channels) as c:
            tap = build.mul(set_, INT(taps))
            piece = build.add(build.mul(build.add(build.mul(block, table["parts"]), part), phase["taps"]), tap)
            w = code.at(code["w"], (piece, table["channels"], size), (c, size))
            places = [
                code.at(w, (table["channels"], q * size), t * size + width * v)
                for q, t in entries
                for v in range(vectors)
            ]
            x = code.at(code["room"], (part, table["part"]), (row, down), c)
            seen = [table.word(build.add(phase["room_at"], build.add(tap, INT(q)))) for q in range(taps)]

            def line(x: Any, g: Any, state: list, masks: list = masks, seen: list = seen) -> list:
                xs = [code.at(x, offset) for offset in seen]
                return code.carry(phase["columns"], [g, *xs, *state], lambda j, now: pixel(j, now, masks))[1 + taps :]

            def image(n: Any, state: list, x: Any = x, g: Any = g, rows: Any = rows, line: Any = line) -> list:
                x, g = code.at(x, (n, table["room"])), code.at(g, (n, table["y_image"]))
                return code.carry(
                    rows, state, lambda i, now: line(code.at(x, (i, down)), code.at(g, (i, table["y_row"])), now)
                )

            totals = code.carry(group, [code.load(place) for place in places], image)
            for total, place in zip(totals, places, strict=True):
                code.store(total, place)
    code.end()


def _entries(code: Code, table: Table, body: Any) -> None:
    """`body(here, there, mask, moves)` for every vector of weights: its place packed, that of its first number in w,
    which lanes are there (None: all of them), and how far they lie from the first.
    """
    build, width = code.build, code.width
    moves = code.moves(table["w_output"])
    with (
        code.loop(table["phases"]) as number,
        code.loop(table["blocks"]) as block,
        code.loop(table["size"], width) as lane,
        code.loop(table["parts"]) as part,
        code.loop(table["channels"]) as c,
    ):
        phase = table.phase(number)
        output = build.add(build.mul(block, table["size"]), lane)
        at = table.word(build.add(table["channels_at"], build.add(build.mul(part, table["channels"]), c)))
        left = build.sub(table["outputs"], output)
        left = build.select(build.icmp_signed("==", at, INT(NOWHERE)), INT(0), left)
        mask = code.first(left)
        w = code.at(code["w"], at, (output, table["w_output"]))
        piece = build.mul(build.add(build.mul(block, table["parts"]), part), phase["taps"])
        line = build.add(build.mul(piece, table["channels"]), c)
        packed = code.at(code["packed"], phase["packed_at"], (line, table["size"]), lane)
        step = build.mul(table["channels"], table["size"])
        with build.if_else(build.icmp_signed("<", left, INT(width))) as (some, every):
            for way, lanes in ((some, mask), (every, None)):
                with way, code.loop(phase["taps"]) as tap:
                    there = code.at(w, table.word(build.add(phase["w_at"], tap)))
                    body(code.at(packed, (tap, step)), there, lanes, moves)


def pack(module: Any, width: int, name: str) -> None:
    """Copies weights w, whose outputs lie `w_output` apart, to the order in which `sums` reads them."""
    code = Code(module, width, name, ["packed", "w"], ["table"], apart=True)
    table = Table(code)

    def body(here: Any, there: Any, mask: Any, moves: Any) -> None:
        if mask is None:
            value = code.collect(there, table["w_output"])
        else:
            value = code.gather(code.moved(there, moves), mask)
        code.store(value, here)

    _entries(code, table, body)
    code.end()


def unpack(module: Any, width: int, name: str) -> None:
    """Adds up `count` packed sums, each `apart` elements behind the last, and copies them to w: undoes `pack`."""
    code = Code(module, width, name, ["packed", "w"], ["table", "count", "apart"], apart=True)
    table = Table(code)

    def body(here: Any, there: Any, mask: Any, moves: Any) -> None:
        (total,) = code.carry(
            code["count"],
            [code.constant(0.0)],
            lambda i, now: [now[0] + code.load(code.at(here, (i, code["apart"])))],
        )
        code.scatter(total, code.moved(there, moves), code.all if mask is None else mask)

    _entries(code, table, body)
    code.end()
