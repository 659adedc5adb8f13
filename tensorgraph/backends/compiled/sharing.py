"""Machine code by which threads share the pieces of a kernel's work, without the interpreter and its lock.

A caller lays an order down, wakes who sleeps, works on pieces itself, and returns when the last one is done. Helpers
stay in `help`: between orders they look for work for a short while, then sleep. Python's side of it is team.py.
Imports llvmlite, so only when code is made.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from tensorgraph.backends.compiled.layout import PIECES, PLACE, PROCESSORS, WIDEST, Block, Order, Sleeper

__all__ = ["emit"]

WORD, INT32, BIT = ir.IntType(64), ir.IntType(32), ir.IntType(1)
WORDS = WORD.as_pointer()
KIND = ir.FunctionType(ir.VoidType(), [WORDS, WORD])
"""of an entry (calls.py)"""
_PAUSE, _HINT = ("llvm.x86.sse2.pause", ()), ("llvm.aarch64.hint", (1,))
PAUSE = {"x86_64": _PAUSE, "amd64": _PAUSE, "aarch64": _HINT, "arm64": _HINT}
"""machine -> the function of LLVM, and its arguments, that tells a processor that it waits"""


class _Code:
    """A function that is being written, with what all of them need."""

    def __init__(self, module: Any, name: str, arguments: list[Any], result: Any = None):
        made = ir.Function(module, ir.FunctionType(result or ir.VoidType(), arguments), name)
        self.made, self.build = made, ir.IRBuilder(made.append_basic_block())

    def block(self) -> Any:
        return self.build.append_basic_block()

    def at(self, words: Any, i: Any) -> Any:
        return self.build.gep(words, [WORD(i) if isinstance(i, int) else i])

    def read(self, words: Any, i: Any) -> Any:
        return self.build.load(self.at(words, i))

    def look(self, place: Any) -> Any:
        """The word that other threads may be writing."""
        return self.build.load_atomic(place, "seq_cst", 8)

    def put(self, value: Any, place: Any) -> None:
        self.build.store_atomic(value, place, "seq_cst", 8)

    def swap(self, place: Any, old: Any, new: Any) -> Any:
        """Whether the word was `old`, and is `new` now."""
        found = self.build.cmpxchg(place, old, new, "seq_cst", "seq_cst")
        return self.build.extract_value(found, 1)

    def pause(self) -> None:
        known = PAUSE.get(platform.machine().lower())
        if known:
            name, numbers = known
            kind = ir.FunctionType(ir.VoidType(), [INT32] * len(numbers))
            module = self.build.module
            self.build.call(module.globals.get(name) or ir.Function(module, kind, name), [INT32(n) for n in numbers])

    def loop(self, count: Any, body: Callable[[Any], Any]) -> None:
        """`for i in range(count): body(i)`."""
        build, before = self.build, self.build.block
        head, inside, after = self.block(), self.block(), self.block()
        build.branch(head)
        build.position_at_end(head)
        i = build.phi(WORD)
        i.add_incoming(WORD(0), before)
        build.cbranch(build.icmp_signed("<", i, count), inside, after)
        build.position_at_end(inside)
        body(i)
        i.add_incoming(build.add(i, WORD(1)), build.block)
        build.branch(head)
        build.position_at_end(after)


def emit(module: Any, share: str, help_: str, spin: str) -> None:
    """Writes `share(order, 1)`, `help((block, number), 1)` and `spin(words, count)`, which waits so many times."""
    piece, wake, wait = _piece(module), _wake(module), _wait(module)
    work = _work(module, piece, wake)
    _share(module, share, piece, wake, wait, work)
    _help(module, help_, work, _part(module))
    code = _Code(module, spin, [WORDS, WORD])
    code.loop(code.made.args[1], lambda i: code.pause())
    code.build.ret_void()


def _piece(module: Any) -> Any:
    """piece(order, i): runs the kernel on piece i, whose words are those of the order moved by i pieces."""
    code = _Code(module, "_piece", [WORDS, WORD])
    build, (order, i) = code.build, code.made.args
    row = build.alloca(ir.ArrayType(WORD, WIDEST))
    row = build.bitcast(row, WORDS)
    size, count, moving = (code.read(order, n) for n in (Order.size, Order.words, Order.moving))
    begin = build.mul(i, size)
    words = code.at(order, len(Order.__members__))
    steps = code.at(words, count)

    def move(j: Any) -> None:
        word = build.add(code.read(words, j), build.mul(i, code.read(steps, j)))
        build.store(word, code.at(row, j))

    code.loop(moving, move)
    after = code.at(words, moving), code.at(row, moving)
    code.loop(build.sub(count, moving), lambda j: build.store(code.read(after[0], j), code.at(after[1], j)))
    place = code.read(order, Order.place)
    left = build.sub(code.read(words, place), begin)
    build.store(build.select(build.icmp_signed("<", left, size), left, size), code.at(row, place))
    build.call(build.inttoptr(code.read(order, Order.entry), KIND.as_pointer()), [row, WORD(1)])
    build.ret_void()
    return code.made


def _semaphore(code: _Code, block: Any, sleeper: Any, function: int) -> Any:
    """Calls sem_wait or sem_post, whose addresses the system told."""
    kind = ir.FunctionType(INT32, [WORDS]).as_pointer()
    return code.build.call(code.build.inttoptr(code.read(block, function), kind), [code.at(sleeper, Sleeper.semaphore)])


def _wake(module: Any) -> Any:
    """wake(block, sleeper): one post for every time that somebody said he was asleep."""
    code = _Code(module, "_wake", [WORDS, WORDS])
    build, (block, sleeper) = code.build, code.made.args
    with build.if_then(code.swap(code.at(sleeper, Sleeper.asleep), WORD(1), WORD(0))):
        _semaphore(code, block, sleeper, Block.post)
    build.ret_void()
    return code.made


def _sleep(code: _Code, block: Any, sleeper: Any, needless: Callable[[], Any], then: Any) -> None:
    """Sleeps until somebody wakes it, unless `needless()` after having said so; goes on at `then`."""
    build = code.build
    asleep = code.at(sleeper, Sleeper.asleep)
    down, up = code.block(), code.block()
    code.put(WORD(1), asleep)
    build.cbranch(needless(), up, down)
    build.position_at_end(up)  # nobody has woken it yet: nothing was posted
    build.cbranch(code.swap(asleep, WORD(1), WORD(0)), then, down)
    build.position_at_end(down)
    result = _semaphore(code, block, sleeper, Block.wait)
    build.cbranch(build.icmp_signed("==", result, INT32(0)), then, down)  # a signal may end the wait


def _wait(module: Any) -> Any:
    """wait(block): until no piece is left."""
    code = _Code(module, "_wait", [WORDS])
    build, (block,) = code.build, code.made.args
    start, head, again, tired, done = build.block, code.block(), code.block(), code.block(), code.block()
    build.branch(head)
    build.position_at_end(head)
    spins = build.phi(WORD)
    spins.add_incoming(WORD(0), start)

    def none_left() -> Any:
        return build.icmp_signed("==", code.look(code.at(block, Block.left)), WORD(0))

    build.cbranch(none_left(), done, again)
    build.position_at_end(again)
    code.pause()
    more = build.add(spins, WORD(1))
    spins.add_incoming(more, again)
    build.cbranch(build.icmp_signed("<", more, code.read(block, Block.limit)), head, tired)
    build.position_at_end(tired)
    anew = code.block()
    _sleep(code, block, code.at(block, Block.sleeper), none_left, anew)
    build.position_at_end(anew)
    spins.add_incoming(WORD(0), anew)
    build.branch(head)
    build.position_at_end(done)
    build.ret_void()
    return code.made


def _pieces_left(code: _Code, ticket: Any) -> tuple[Any, Any, Any]:
    """The first and the last + 1 of the pieces that nobody has taken, and whether there are any."""
    build = code.build
    mask = WORD((1 << PIECES) - 1)
    first, stop = build.and_(build.lshr(ticket, WORD(PIECES)), mask), build.and_(ticket, mask)
    return first, stop, build.icmp_signed("<", first, stop)


def _work(module: Any, piece: Any, wake: Any) -> Any:
    """work(block, from_front): takes pieces until none is left, the caller from the front and helpers from the back.

    So each thread mostly meets the part of an array that it had in its cache. The ticket holds the number of the order
    and both ends of what is left: it never holds the same twice, and while it holds pieces no other order is laid down.
    """
    code = _Code(module, "_work", [WORDS, BIT])
    build, (block, from_front) = code.build, code.made.args
    head, some, taken, last, done = (code.block() for _ in range(5))
    place = code.at(block, Block.ticket)
    build.branch(head)
    build.position_at_end(head)
    ticket = code.look(place)
    first, stop, any_left = _pieces_left(code, ticket)
    build.cbranch(any_left, some, done)
    build.position_at_end(some)
    order = code.look(code.at(block, Block.order))
    new = build.select(from_front, build.add(ticket, WORD(1 << PIECES)), build.sub(ticket, WORD(1)))
    build.cbranch(code.swap(place, ticket, new), taken, head)
    build.position_at_end(taken)
    build.call(piece, [build.inttoptr(order, WORDS), build.select(from_front, first, build.sub(stop, WORD(1)))])
    before = build.atomic_rmw("sub", code.at(block, Block.left), WORD(1), "seq_cst")
    build.cbranch(build.icmp_signed("==", before, WORD(1)), last, head)
    build.position_at_end(last)
    build.call(wake, [block, code.at(block, Block.sleeper)])
    build.branch(head)
    build.position_at_end(done)
    build.ret_void()
    return code.made


def _processor(code: _Code, block: Any) -> Any:
    """The number of the processor that this thread runs on, or none of them where the system does not say."""
    build = code.build
    function = code.read(block, Block.which)
    before, ask, after = build.block, code.block(), code.block()
    build.cbranch(build.icmp_signed("==", function, WORD(0)), after, ask)
    build.position_at_end(ask)
    kind = ir.FunctionType(INT32, []).as_pointer()
    said = build.sext(build.call(build.inttoptr(function, kind), []), WORD)
    build.branch(after)
    build.position_at_end(after)
    found = build.phi(WORD)
    found.add_incoming(WORD(-1), before)
    found.add_incoming(said, ask)
    return found


def _part(module: Any) -> Any:
    """part(block): goes to another processor, if this thread runs on the caller's.

    A busy machine may wake a thread where its waker runs. There it would compute, and look for work, while the caller
    waits for the processor; and each time it sleeps hides from the system that there are two threads with much to do.
    """
    code = _Code(module, "_part", [WORDS])
    build, (block,) = code.build, code.made.args
    words = PROCESSORS // 64
    mask = build.bitcast(build.alloca(ir.ArrayType(WORD, words)), WORDS)
    here = _processor(code, block)
    meet, out = code.block(), code.block()
    same = build.icmp_signed("==", here, code.look(code.at(block, Block.processor)))
    known = build.icmp_unsigned("<", here, WORD(PROCESSORS))
    build.cbranch(build.and_(same, known), meet, out)
    build.position_at_end(meet)
    code.loop(WORD(words), lambda i: build.store(code.read(code.at(block, Block.allowed), i), code.at(mask, i)))
    word = code.at(mask, build.lshr(here, WORD(6)))
    bit = build.shl(WORD(1), build.and_(here, WORD(63)))
    build.store(build.and_(build.load(word), build.not_(bit)), word)
    kind = ir.FunctionType(INT32, [INT32, WORD, WORDS]).as_pointer()
    move = build.inttoptr(code.read(block, Block.move), kind)
    build.call(move, [INT32(0), WORD(8 * words), mask])  # fails, and does nothing, where there is no other
    build.call(move, [INT32(0), WORD(8 * words), code.at(block, Block.allowed)])
    build.branch(out)
    build.position_at_end(out)
    build.ret_void()
    return code.made


def _share(module: Any, name: str, piece: Any, wake: Any, wait: Any, work: Any) -> None:
    """share(order, 1): all pieces of an order; alone, where another thread has the helpers."""
    code = _Code(module, name, [WORDS, WORD])
    build, (order, _) = code.build, code.made.args
    block = build.inttoptr(code.read(order, Order.block), WORDS)
    pieces, helpers = code.read(order, Order.pieces), code.read(order, Order.helpers)
    alone, together = code.block(), code.block()
    build.cbranch(code.swap(code.at(block, Block.busy), WORD(0), WORD(1)), together, alone)
    build.position_at_end(alone)
    code.loop(pieces, lambda i: build.call(piece, [order, i]))
    build.ret_void()
    build.position_at_end(together)
    code.put(helpers, code.at(block, Block.helpers))
    code.put(build.ptrtoint(order, WORD), code.at(block, Block.order))
    code.put(pieces, code.at(block, Block.left))
    code.put(_processor(code, block), code.at(block, Block.processor))
    ticket = code.at(block, Block.ticket)
    number = build.add(build.lshr(code.look(ticket), WORD(2 * PIECES)), WORD(1))
    code.put(build.or_(build.shl(number, WORD(2 * PIECES)), pieces), ticket)

    def call(i: Any) -> None:
        sleeper = code.at(block, build.add(WORD(Block.sleeper + PLACE), build.mul(i, WORD(PLACE))))
        with build.if_then(build.icmp_signed("==", code.look(code.at(sleeper, Sleeper.asleep)), WORD(1))):
            build.call(wake, [block, sleeper])

    code.loop(helpers, call)
    build.call(work, [block, BIT(1)])
    build.call(wait, [block])
    code.put(WORD(0), code.at(block, Block.busy))
    build.ret_void()


def _help(module: Any, name: str, work: Any, part: Any) -> None:
    """help((block, number), 1): serves for ever. Helpers beyond the number that an order asks for leave it alone."""
    code = _Code(module, name, [WORDS, WORD])
    build, (words, _) = code.build, code.made.args
    block, number = build.inttoptr(code.read(words, 0), WORDS), code.read(words, 1)
    sleeper = code.at(block, build.add(WORD(Block.sleeper + PLACE), build.mul(number, WORD(PLACE))))
    fresh, head, at_work, idle, tired = (code.block() for _ in range(5))

    def wanted() -> Any:
        _, _, any_left = _pieces_left(code, code.look(code.at(block, Block.ticket)))
        return build.and_(any_left, build.icmp_signed("<", number, code.look(code.at(block, Block.helpers))))

    build.branch(fresh)
    build.position_at_end(fresh)
    build.branch(head)
    build.position_at_end(head)
    spins = build.phi(WORD)
    spins.add_incoming(WORD(0), fresh)
    build.cbranch(wanted(), at_work, idle)
    build.position_at_end(at_work)
    build.call(part, [block])
    build.call(work, [block, BIT(0)])
    build.branch(fresh)
    build.position_at_end(idle)
    code.pause()
    more = build.add(spins, WORD(1))
    spins.add_incoming(more, idle)
    build.cbranch(build.icmp_signed("<", more, code.read(block, Block.limit)), head, tired)
    build.position_at_end(tired)
    _sleep(code, block, sleeper, wanted, fresh)
