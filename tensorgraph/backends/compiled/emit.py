"""A small notation for machine code on vectors of float32: values with operators, loops, loads and stores.

`Code` is one function that is being written with llvmlite; a `Value` stands for a vector in a register. Nothing here
knows what is computed. Imported by the other files of this folder; imports llvmlite, so only when code is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

__all__ = ["BYTE", "INT", "INT32", "Code", "Value", "where"]

FLOAT, BYTE, INT, INT32, BIT = ir.FloatType(), ir.IntType(8), ir.IntType(64), ir.IntType(32), ir.IntType(1)


class Code:
    """A function of a module: pointers, then 64-bit integers, then floats; `code["name"]` is an argument.

    Pointers do not overlap unless they are equal; where an output may be an input, leave `apart` out.
    """

    def __init__(
        self, module: Any, width: int, name: str, pointers: Sequence[str], integers: Sequence[str],
        floats: Sequence[str] = (), apart: bool = False,
    ):  # fmt: skip
        self.module, self.width = module, width
        types = [FLOAT.as_pointer()] * len(pointers) + [INT] * len(integers) + [FLOAT] * len(floats)
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), types), name)
        self.arguments = dict(zip([*pointers, *integers, *floats], function.args, strict=True))
        if apart:
            for argument in function.args[: len(pointers)]:
                argument.add_attribute("noalias")
        self.build = ir.IRBuilder(function.append_basic_block())
        self.lanes = ir.Constant(ir.VectorType(INT, width), list(range(width)))
        self.all = ir.Constant(ir.VectorType(BIT, width), [1] * width)
        self.none = ir.Constant(ir.VectorType(BIT, width), [0] * width)

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def end(self) -> None:
        """Closes the function."""
        self.build.ret_void()

    # ---- integers and addresses ----------------------------------------------------------------------------------
    def at(self, pointer: Any, *offsets: Any) -> Any:
        """The pointer moved by products and sums of integers: each offset is a number or a tuple to multiply."""
        for offset in offsets:
            factors = offset if isinstance(offset, tuple) else (offset,)
            product = self.int(factors[0])
            for factor in factors[1:]:
                product = self.build.mul(product, self.int(factor))
            pointer = self.build.gep(pointer, [product])
        return pointer

    def apart(self, pointer: Any) -> Any:
        """The same pointer in a register of its own, of which the compiler does not know how it was made.

        Otherwise it computes the addresses of neighbours one from the other, a chain that is slower than the work.
        """
        return self.build.asm(ir.FunctionType(pointer.type, [pointer.type]), "", "=r,0", [pointer], False)

    @staticmethod
    def int(value: Any) -> Any:
        """A 64-bit constant of a Python number; anything else as it is."""
        return INT(value) if isinstance(value, int) else value

    def least(self, a: Any, b: Any) -> Any:
        """The smaller of two integers."""
        return self.build.select(self.build.icmp_signed("<", a, b), a, b)

    def expect(self, pointer: Any) -> None:
        """Asks for the memory there, which need not exist."""
        pointer = self.build.bitcast(pointer, BYTE.as_pointer())
        kinds = [pointer.type, INT32, INT32, INT32]
        fetch = self.function("llvm.prefetch.p0", ir.VoidType(), kinds)
        self.build.call(fetch, [pointer, INT32(0), INT32(3), INT32(1)])  # to read, into the nearest cache, data

    # ---- loops -----------------------------------------------------------------------------------------------------
    @contextmanager
    def loop(self, count: Any, step: Any = 1) -> Iterator[Any]:
        """`for i in range(0, count, step)`."""
        build = self.build
        before, head, body, after = build.block, *(build.append_basic_block() for _ in range(3))
        build.branch(head)
        build.position_at_end(head)
        i = build.phi(INT)
        i.add_incoming(INT(0), before)
        build.cbranch(build.icmp_signed("<", i, count), body, after)
        build.position_at_end(body)
        yield i
        i.add_incoming(build.add(i, self.int(step)), build.block)
        build.branch(head)
        build.position_at_end(after)

    def carry(self, count: Any, state: Sequence[Any], body: Callable[[Any, list], Sequence[Any]]) -> list:
        """`for i in range(count): state = body(i, state)`, with the state in registers; returns the last one."""
        build = self.build
        wrap = [type(s) if isinstance(s, Value) else None for s in state]
        raw = [s.ir if isinstance(s, Value) else s for s in state]
        before, head, inside, after = build.block, *(build.append_basic_block() for _ in range(3))
        build.branch(head)
        build.position_at_end(head)
        i = build.phi(INT)
        i.add_incoming(INT(0), before)
        held = [build.phi(s.type) for s in raw]
        for phi, s in zip(held, raw, strict=True):
            phi.add_incoming(s, before)
        now = [Value(self, phi) if w else phi for phi, w in zip(held, wrap, strict=True)]
        build.cbranch(build.icmp_signed("<", i, count), inside, after)
        build.position_at_end(inside)
        new = [s.ir if isinstance(s, Value) else s for s in body(i, now)]
        i.add_incoming(build.add(i, INT(1)), build.block)
        for phi, s in zip(held, new, strict=True):
            phi.add_incoming(s, build.block)
        build.branch(head)
        build.position_at_end(after)
        return now

    # ---- vectors ---------------------------------------------------------------------------------------------------
    def vector(self, element: Any = FLOAT) -> Any:
        return ir.VectorType(element, self.width)

    def constant(self, number: float, element: Any = FLOAT) -> Value:
        """A vector that holds one Python number everywhere."""
        return Value(self, ir.Constant(self.vector(element), [number] * self.width))

    def splat(self, scalar: Any) -> Value:
        """A vector that holds one number of a register everywhere."""
        kind = self.vector(scalar.type)
        one = self.build.insert_element(ir.Constant(kind, ir.Undefined), scalar, INT32(0))
        everywhere = ir.Constant(ir.VectorType(INT32, self.width), [0] * self.width)
        return Value(self, self.build.shuffle_vector(one, ir.Constant(kind, ir.Undefined), everywhere))

    def first(self, count: Any) -> Any:
        """The mask of the first `count` lanes (all, where it is larger)."""
        return self.build.icmp_signed("<", self.lanes, self.splat(count).ir)

    def load(self, pointer: Any, mask: Any = None, element: Any = FLOAT) -> Value:
        """The vector at a pointer; lanes outside the mask are 0 and not touched."""
        kind = self.vector(element)
        pointer = self.build.bitcast(pointer, kind.as_pointer())
        size = 1 if element is BYTE else 4
        if mask is None:
            return Value(self, self.build.load(pointer, align=size))
        name, zero = f"llvm.masked.load.{_letters(kind)}.p0", ir.Constant(kind, [0] * self.width)
        load = self.function(name, kind, [pointer.type, INT32, mask.type, kind])
        return Value(self, self.build.call(load, [pointer, INT32(size), mask, zero]))

    def store(self, value: Value, pointer: Any, mask: Any = None) -> None:
        """Writes the lanes of the mask, or all of them."""
        kind = value.ir.type
        pointer = self.build.bitcast(pointer, kind.as_pointer())
        size = 1 if kind.element is BYTE or kind.element == BYTE else 4
        if mask is None:
            self.build.store(value.ir, pointer, align=size)
            return
        name = f"llvm.masked.store.{_letters(kind)}.p0"
        store = self.function(name, ir.VoidType(), [kind, pointer.type, INT32, mask.type])
        self.build.call(store, [value.ir, pointer, INT32(size), mask])

    def gather(self, pointers: Any, mask: Any) -> Value:
        """The numbers at a vector of pointers; lanes outside the mask are 0 and not touched."""
        kind = self.vector()
        name, zero = f"llvm.masked.gather.{_letters(kind)}.v{self.width}p0", ir.Constant(kind, [0] * self.width)
        gather = self.function(name, kind, [pointers.type, INT32, mask.type, kind])
        return Value(self, self.build.call(gather, [pointers, INT32(4), mask, zero]))

    def collect(self, first: Any, step: Any) -> Value:
        """The numbers at a pointer and every `step` elements behind it: quicker than what processors have for it."""
        value = ir.Constant(self.vector(), ir.Undefined)
        for lane in range(self.width):
            value = self.build.insert_element(value, self.build.load(first), INT32(lane))
            first = self.at(first, step)
        return Value(self, value)

    def scatter(self, value: Value, pointers: Any, mask: Any) -> None:
        """Writes the lanes of the mask to a vector of pointers."""
        name = f"llvm.masked.scatter.{_letters(value.ir.type)}.v{self.width}p0"
        scatter = self.function(name, ir.VoidType(), [value.ir.type, pointers.type, INT32, mask.type])
        self.build.call(scatter, [value.ir, pointers, INT32(4), mask])

    def moves(self, step: Any) -> Any:
        """How far the lanes are from the first in memory, if they are `step` elements apart."""
        return self.build.mul(self.lanes, self.splat(self.build.mul(step, INT(4))).ir)

    def moved(self, pointer: Any, moves: Any) -> Any:
        """The vector of pointers that begins at one of them, for `gather` and `scatter`."""
        places = self.build.add(self.splat(self.build.ptrtoint(pointer, INT)).ir, moves)
        return self.build.inttoptr(places, ir.VectorType(FLOAT.as_pointer(), self.width))

    def store_one(self, value: Value, pointer: Any) -> None:
        """Writes the first lane."""
        self.build.store(self.build.extract_element(value.ir, INT32(0)), pointer)

    def spread(self, pointer: Any) -> Value:
        """The one number at a pointer, everywhere."""
        return self.splat(self.build.load(pointer))

    def turned(self, rows: Sequence[Value]) -> list[Value]:
        """The transpose of a square block, one vector a row."""
        now, step = [row.ir for row in rows], 1
        while step < self.width:
            for i in range(self.width):
                if not i & step:
                    a, b = now[i], now[i + step]
                    upper = [j - step + self.width if j & step else j for j in range(self.width)]
                    lower = [j + self.width if j & step else j + step for j in range(self.width)]
                    orders = (ir.Constant(ir.VectorType(INT32, self.width), order) for order in (upper, lower))
                    now[i], now[i + step] = (self.build.shuffle_vector(a, b, order) for order in orders)
            step *= 2
        return [Value(self, x) for x in now]

    def function(self, name: str, result: Any, arguments: Sequence[Any]) -> Any:
        """A function of LLVM, declared once."""
        return self.module.globals.get(name) or ir.Function(self.module, ir.FunctionType(result, arguments), name)

    def call(self, name: str, *values: Any) -> Value:
        """A function of LLVM on vectors of float32: sqrt, fabs, fma, ..."""
        kind = self.vector()
        raw = [self.value(v).ir for v in values]
        return Value(
            self, self.build.call(self.function(f"llvm.{name}.{_letters(kind)}", kind, [kind] * len(raw)), raw)
        )

    def value(self, x: Any) -> Value:
        """A Value of a Value, of a float in a register, or of a Python number."""
        if isinstance(x, Value):
            return x
        return self.constant(x) if isinstance(x, (int, float)) else self.splat(x)


class Value:
    """A vector in a register, with Python's operators. Comparisons give masks, for `where`."""

    __slots__ = ("code", "ir")

    def __init__(self, code: Code, value: Any):
        self.code, self.ir = code, value

    def _two(self, name: str, other: Any, turned: bool = False) -> Value:
        a, b = self.ir, self.code.value(other).ir
        return Value(self.code, getattr(self.code.build, name)(*((b, a) if turned else (a, b))))

    def __add__(self, other: Any) -> Value:
        return self._two("fadd", other)

    def __radd__(self, other: Any) -> Value:
        return self._two("fadd", other, True)

    def __sub__(self, other: Any) -> Value:
        return self._two("fsub", other)

    def __rsub__(self, other: Any) -> Value:
        return self._two("fsub", other, True)

    def __mul__(self, other: Any) -> Value:
        return self._two("fmul", other)

    def __rmul__(self, other: Any) -> Value:
        return self._two("fmul", other, True)

    def __truediv__(self, other: Any) -> Value:
        return self._two("fdiv", other)

    def __rtruediv__(self, other: Any) -> Value:
        return self._two("fdiv", other, True)

    def __neg__(self) -> Value:
        return Value(self.code, self.code.build.fneg(self.ir))

    def _compare(self, sign: str, other: Any) -> Value:
        return Value(self.code, self.code.build.fcmp_ordered(sign, self.ir, self.code.value(other).ir))

    def __lt__(self, other: Any) -> Value:
        return self._compare("<", other)

    def __gt__(self, other: Any) -> Value:
        return self._compare(">", other)

    def __abs__(self) -> Value:
        return self.code.call("fabs", self)

    def __or__(self, other: Value) -> Value:
        return Value(self.code, self.code.build.or_(self.ir, other.ir))

    def above(self, other: Value) -> Value:
        """The mask of lanes that are larger, or no number where the other is one."""
        build = self.code.build
        larger, other_is = build.fcmp_unordered(">", self.ir, other.ir), build.fcmp_ordered("ord", other.ir, other.ir)
        return Value(self.code, build.and_(larger, other_is))

    def is_nan(self) -> Value:
        """The mask of lanes that are no number."""
        return Value(self.code, self.code.build.fcmp_unordered("uno", self.ir, self.ir))

    def is_zero(self) -> Value:
        """The mask of lanes that are 0 or -0."""
        return self._compare("==", 0.0)

    def is_byte(self, number: int) -> Value:
        """Of a vector of bytes: the mask of lanes that equal a number."""
        return Value(self.code, self.code.build.icmp_unsigned("==", self.ir, self.code.constant(number, BYTE).ir))

    def times_plus(self, factor: Any, term: Any) -> Value:
        """self * factor + term, rounded once."""
        return self.code.call("fma", self, factor, term)

    def sqrt(self) -> Value:
        return self.code.call("sqrt", self)

    def round(self) -> Value:
        """The nearest integer, as a float."""
        return self.code.call("rint", self)

    def with_sign(self, of: Value) -> Value:
        """The same size with the sign of another value."""
        return self.code.call("copysign", self, of)

    def swapped(self, step: int) -> Value:
        """Lane i holds what lane i with the bit `step` changed held."""
        order = ir.Constant(ir.VectorType(INT32, self.code.width), [i ^ step for i in range(self.code.width)])
        return Value(self.code, self.code.build.shuffle_vector(self.ir, self.ir, order))

    def power_of_two(self) -> Value:
        """2^self for integers from -126 to 127, by its bits; anything for NaN.

        Next to 1.5 * 2^23 the last bits of a float are those of an integer: a conversion would go lane by lane.
        """
        code, kind = self.code, self.code.vector(INT32)
        bits = code.build.bitcast((self + 12582912.0).ir, kind)
        bits = code.build.shl(code.build.add(bits, code.constant(127, INT32).ir), code.constant(23, INT32).ir)
        return Value(code, code.build.bitcast(bits, self.ir.type))

    def mantissa_and_exponent(self) -> tuple[Value, Value]:
        """m and e with self = m 2^e and 0.75 <= m < 1.5, of normal positive numbers; anything for others."""
        code, kind = self.code, self.code.vector(INT32)
        build, constant = code.build, lambda n: code.constant(n, INT32).ir
        bits = build.bitcast(self.ir, kind)
        e = build.ashr(build.sub(bits, constant(0x3F400000)), constant(23))  # 0x3F400000: the bits of 0.75
        m = build.sub(bits, build.shl(e, constant(23)))
        return Value(code, build.bitcast(m, self.ir.type)), Value(code, build.sitofp(e, self.ir.type))


def where(mask: Value, a: Any, b: Any) -> Value:
    """a in the lanes of the mask, b in the others."""
    code = mask.code
    return Value(code, code.build.select(mask.ir, code.value(a).ir, code.value(b).ir))


def _letters(kind: Any) -> str:
    return f"v{kind.count}{'i8' if kind.element == BYTE else 'f32'}"
