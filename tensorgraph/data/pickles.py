"""Reads pickles without executing them: builds plain data from the few instructions that plain data needs.

A pickle is a program for a small stack machine, and Python's own machine may call whatever the file names. This one
has no such instruction: names of classes and functions stay names (`Global`), and what the file wants called is looked
up in a table that the reader of a format hands over. Everything else is refused. Imported by cifar.py and by
tensorgraph.nn.weights; imports the errors only.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple

from tensorgraph.errors import CorruptDataError

_MARK = object()
_VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
_BYTES = {"STRING", "BINSTRING", "SHORT_BINSTRING"}  # Python 2's str, which pickletools hands over as Latin-1 text
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
    "MARK": lambda: _MARK,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Global(NamedTuple):
    """The name of a class or function that a pickle mentions; never the thing itself."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


def read_pickle(
    file: IO[bytes],
    what: str,
    calls: Mapping[str, Callable[..., Any]],
    build: Callable[[Any, Any], Any] | None = None,
    persistent: Callable[[Any], Any] | None = None,
    hint: str | None = None,
) -> Any:
    """The data in the next pickle of `file`; `what` names the file in errors.

    `calls` maps full names ("collections.OrderedDict") to what stands in for them, `build(object, state)` returns an
    object after its state was set, `persistent` turns the id of an object that lies outside the pickle into it. Each
    may raise ValueError or TypeError for arguments that make no sense. `hint` goes with the refusal of a name.

    Raises CorruptDataError: truncated, damaged, or something that is no plain data.
    """
    machine = _Machine(what, calls, build, persistent, hint)
    try:
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name == "STOP":
                return machine.pop()
            machine.step(opcode.name, argument)
    except CorruptDataError:
        raise
    except Exception as error:  # every kind that damaged bytes provoke, in pickletools or in the tables of the format
        raise CorruptDataError(f"{what}: truncated or damaged pickle ({error or type(error).__name__})") from None
    raise CorruptDataError(f"{what}: truncated pickle")


class _Machine:
    def __init__(self, what: str, calls: Any, build: Any, persistent: Any, hint: str | None):
        self.what, self.calls, self.build, self.persistent, self.hint = what, calls, build, persistent, hint
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        if self.stack[-1] is _MARK:
            raise ValueError("a value is missing")
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        items = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def refuse(self, what: str) -> CorruptDataError:
        return CorruptDataError(
            f"{self.what}: it holds {what}, which is not read: no code of a file is run", hint=self.hint
        )

    def step(self, name: str, argument: Any) -> None:
        """Carries out one instruction."""
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _BYTES:
            self.stack.append(argument.encode("latin-1"))
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _TUPLES:
            items = [self.pop() for _ in range(_TUPLES[name])]
            self.stack.append(tuple(items[::-1]))
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            self.stack.append(self.memo[argument])
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[argument] = self.stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name in _INSTRUCTIONS:
            _INSTRUCTIONS[name](self, argument)
        elif name not in ("PROTO", "FRAME"):
            raise self.refuse(f"the instruction {name}")

    def make_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self.pop_to_mark()))

    def make_list(self, _: Any) -> None:
        self.stack.append(self.pop_to_mark())

    def make_dict(self, _: Any) -> None:
        items = self.pop_to_mark()
        self.stack.append(dict(zip(items[::2], items[1::2], strict=True)))

    def append(self, _: Any) -> None:
        item = self.pop()
        self._top(list).append(item)

    def appends(self, _: Any) -> None:
        items = self.pop_to_mark()
        self._top(list).extend(items)

    def setitem(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        self._top(dict)[key] = value

    def setitems(self, _: Any) -> None:
        items = self.pop_to_mark()
        self._top(dict).update(zip(items[::2], items[1::2], strict=True))

    def additems(self, _: Any) -> None:
        items = self.pop_to_mark()
        self._top(set).update(items)

    def _top(self, kind: type) -> Any:
        top = self.stack[-1]
        if not isinstance(top, kind):
            raise ValueError(f"a {kind.__name__} is expected where {type(top).__name__} is")
        return top

    def name(self, argument: str) -> None:
        self.stack.append(Global(*argument.split(" ", 1)))

    def stack_name(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("a name is no text")
        self.stack.append(Global(module, name))

    def call(self, _: Any) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise ValueError("a call of something that has no name")
        if str(function) not in self.calls:
            raise self.refuse(f"a {function}")
        self.stack.append(self.calls[str(function)](*arguments))

    def set_state(self, _: Any) -> None:
        state, target = self.pop(), self.pop()
        if self.build is None:
            raise self.refuse(f"the state of a {type(target).__name__}")
        self.stack.append(self.build(target, state))

    def outside(self, _: Any) -> None:
        if self.persistent is None:
            raise self.refuse("an object outside the pickle")
        self.stack.append(self.persistent(self.pop()))


_INSTRUCTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "TUPLE": _Machine.make_tuple,
    "LIST": _Machine.make_list,
    "DICT": _Machine.make_dict,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "SETITEM": _Machine.setitem,
    "SETITEMS": _Machine.setitems,
    "ADDITEMS": _Machine.additems,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.stack_name,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": _Machine.set_state,
    "BINPERSID": _Machine.outside,
}
