"""How Python calls kernels: their arguments lie in memory, and one call runs one or many of them.

ctypes takes a fifth of a microsecond for every argument of a call: five for 26 of them, which is more than many a
kernel needs for its work. So each kernel gets an entry that reads its arguments from words of 8 bytes: integers and
addresses, then floats in double. To pack 26 words and to call with their address takes a third of that.
Imports llvmlite only where code is made.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Any

from tensorgraph.backends.compiled.layout import Order
from tensorgraph.backends.compiled.team import Team

__all__ = ["ENTRY", "HELP", "PROGRAM", "SHARE", "SPIN", "Kernel", "emit", "function"]

ENTRY = "{}_entry".format
"""name of a kernel -> that of its entry(words, count), which runs it for `count` rows of words"""
PROGRAM = "program"
"""program(words, count) calls for every pair of words the entry at the first with one row, at the second"""
SHARE, HELP, SPIN = "share", "help", "spin"
"""see sharing.py"""

function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
"""makes an entry or the program of an address callable; the words are bytes, or the address of an array of int64"""


class Kernel:
    """A function of integers and floats, `kernel(*words)`; `share` runs it in pieces, on several threads."""

    __slots__ = ("_pack", "_run", "_share", "_shared", "entry", "integers", "numbers", "team")

    def __init__(self, entry: int, integers: int, floats: int, share: Callable[..., None], team: Team):
        self.entry, self._run, self._share, self.team = entry, function(entry), share, team
        self.integers, self.numbers = f"{integers}q{floats}d", integers + floats
        self._pack, self._shared = Struct(self.integers).pack, {}

    def __call__(self, *words: Any) -> None:
        self._run(self._pack(*words), 1)

    def share(self, helpers: int, size: int, place: int, words: Sequence[Any], steps: Sequence[int]) -> None:
        """`words[place]` units of work in pieces of `size`, of which each has the first words larger by `steps`."""
        pack = self._shared.get(len(steps))
        if pack is None:
            pack = Struct(f"{len(Order)}q{self.integers}{len(steps)}q").pack
            self._shared[len(steps)] = pack
        pieces = -(-words[place] // size)
        head = self.team.block, min(helpers, pieces - 1), pieces, size, self.entry, self.numbers, place, len(steps)
        self._share(pack(*head, *words, *steps), 1)

    def piece(self, i: int, size: int, place: int, words: Sequence[Any], steps: Sequence[int]) -> None:
        """Runs one of these pieces, for threads of Python."""
        moved = [word + i * step for word, step in zip(words, steps)]  # the words beyond the steps stay
        moved += words[len(moved) :]
        moved[place] = min(size, words[place] - i * size)
        self(*moved)


def emit(module: Any, signatures: Mapping[str, tuple[int, int]], alone: bool = False) -> None:
    """Writes the entry of every kernel in the module, and, unless they are `alone`, the program and what threads do."""
    from llvmlite import ir

    from tensorgraph.backends.compiled import sharing

    word, double = ir.IntType(64), ir.DoubleType()
    words = word.as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [words, word])

    def repeated(name: str, step: int, body: Callable[[Any, Any], None]) -> None:
        """A function that does `body(build, row)` for every row of so many words."""
        made = ir.Function(module, kind, name)
        rows, count = made.args
        start, head, inside, after = (made.append_basic_block() for _ in range(4))
        ir.IRBuilder(start).branch(head)
        build = ir.IRBuilder(head)
        i = build.phi(word)
        i.add_incoming(word(0), start)
        build.cbranch(build.icmp_signed("<", i, count), inside, after)
        build = ir.IRBuilder(inside)
        body(build, build.gep(rows, [build.mul(i, word(step))]))
        i.add_incoming(build.add(i, word(1)), inside)
        build.branch(head)
        ir.IRBuilder(after).ret_void()

    def kernel(made: Any) -> Callable[[Any, Any], None]:
        def body(build: Any, row: Any) -> None:
            arguments = []
            for n, argument in enumerate(made.args):
                place = build.gep(row, [word(n)])
                if isinstance(argument.type, ir.FloatType):
                    value = build.fptrunc(build.load(build.bitcast(place, double.as_pointer())), argument.type)
                else:
                    value = build.load(place)
                    if isinstance(argument.type, ir.PointerType):
                        value = build.inttoptr(value, argument.type)
                arguments.append(value)
            build.call(made, arguments)

        return body

    def step(build: Any, row: Any) -> None:
        entry = build.inttoptr(build.load(row), kind.as_pointer())
        build.call(entry, [build.inttoptr(build.load(build.gep(row, [word(1)])), words), word(1)])

    for name in signatures:
        made = module.globals.get(name)
        if made is not None:
            repeated(ENTRY(name), len(made.args), kernel(made))
    if alone:
        return
    repeated(PROGRAM, 2, step)
    sequence = ir.Function(module, kind, ENTRY("sequence"))
    build = ir.IRBuilder(sequence.append_basic_block())
    table, count = (build.load(build.gep(sequence.args[0], [word(n)])) for n in (0, 1))
    build.call(module.globals[PROGRAM], [build.inttoptr(table, words), count])
    build.ret_void()
    sharing.emit(module, SHARE, HELP, SPIN)
