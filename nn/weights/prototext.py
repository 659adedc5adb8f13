"""The text form of protocol buffers, as Caffe's `.prototxt` files have it: fields with values, without a schema.

    name: "net"   layer { name: "conv1"  convolution_param { num_output: 20  kernel_size: 5 } }   # a comment

Imported by caffe_network.py; imports the errors only. Source: protobuf.dev/reference/protobuf/textformat-spec.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from tensorgraph.errors import ArgumentError, CorruptDataError

__all__ = ["Message", "parse"]

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\f\v]+|\#[^\n]*) | (?P<line>\n) | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<number>[-+]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?[fF]?)(?![\w.]))
      | (?P<name>-?[A-Za-z_][\w./-]*) | (?P<sign>[{}<>\[\]:;,])""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_DEEPEST = 64


class Word(str):
    """A value without quotation marks: `MAX`, `true`."""


class Message:
    """The fields of one message: `m.get("name")`, `m.all("bottom")`. `who` names it in errors."""

    def __init__(self, who: str):
        self.who = who
        self.fields: dict[str, list[Any]] = {}

    def all(self, name: str) -> list[Any]:
        """Every value of a field, in order."""
        return self.fields.get(name, [])

    def get(self, name: str, default: Any = None) -> Any:
        """The last value of a field."""
        return self.fields[name][-1] if name in self.fields else default

    def part(self, name: str) -> Message:
        """A field that is itself a message; an empty one where it is not there."""
        value = self.get(name)
        if value is None:
            return Message(self.who)
        if not isinstance(value, Message):
            raise ArgumentError(f"{self.who}: {name} is {value!r}, expected {{ ... }}")
        value.who = self.who
        return value

    def _value(self, name: str, default: Any, wanted: str, fits: Callable[[Any], bool]) -> Any:
        value = self.get(name, default)
        if not (value is default or fits(value)):
            raise ArgumentError(f"{self.who}: {name} must be {wanted}, got {value!r}")
        return value

    def integer(self, name: str, default: Any = None) -> Any:
        """A field that is an integer."""
        return self._value(name, default, "an integer", lambda value: type(value) is int)

    def number(self, name: str, default: Any = None) -> Any:
        """A field that is a number."""
        return self._value(name, default, "a number", lambda value: type(value) in (int, float))

    def text(self, name: str, default: str = "") -> str:
        """A field that is a string or a word."""
        return self._value(name, default, "a text", lambda value: isinstance(value, str))

    def flag(self, name: str, default: bool = False) -> bool:
        """A field that is true or false."""
        value = self.get(name)
        if value is None:
            return default
        if value in (0, 1) and type(value) is int:
            return bool(value)
        if not isinstance(value, Word) or value not in ("true", "false", "True", "False", "t", "f"):
            raise ArgumentError(f"{self.who}: {name} must be true or false, got {value!r}")
        return value[0] in "tT"


def parse(text: str) -> Message:
    """The whole file as one message. Raises CorruptDataError with the line where it is no such text."""
    tokens = list(_tokens(text))
    message, at = _message(tokens, 0, "", 0)
    if at < len(tokens):
        raise CorruptDataError(f"line {tokens[at][2]}: {tokens[at][1]!r} closes nothing")
    return message


def _tokens(text: str) -> Iterator[tuple[str, Any, int]]:
    """(kind, value, line) of every token."""
    at, line = 0, 1
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise CorruptDataError(f"line {line}: {text[at : at + 20].splitlines()[0]!r} is no field")
        kind, word = str(found.lastgroup), found.group()
        at = found.end()
        if kind == "line":
            line += 1
        elif kind == "string":
            yield kind, re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), word[1:-1]), line
        elif kind == "number":
            yield kind, _number(word), line
        elif kind != "space":
            yield kind, Word(word) if kind == "name" else word, line


def _number(word: str) -> int | float:
    if re.fullmatch(r"[-+]?0[xX][0-9a-fA-F]+", word):
        return int(word, 16)
    return int(word) if re.fullmatch(r"[-+]?\d{1,20}", word) else float(word.rstrip("fF"))


def _message(tokens: list[tuple[str, Any, int]], at: int, closing: str, depth: int) -> tuple[Message, int]:
    """The fields up to the closing sign or the end, and the place behind."""
    message = Message("")
    line = tokens[at - 1][2] if at else 1
    if depth > _DEEPEST:
        raise CorruptDataError(f"line {line}: messages in messages, more than {_DEEPEST} deep")
    while at < len(tokens):
        kind, name, line = tokens[at]
        if name in "}>" and kind == "sign":
            break
        if kind == "sign" and name in ";,":
            at += 1
            continue
        if kind != "name":
            raise CorruptDataError(f"line {line}: {name!r} where a field should begin")
        at += 1
        colon = at < len(tokens) and tokens[at][:2] == ("sign", ":")
        values, at = _values(tokens, at + colon, line, colon, depth)
        message.fields.setdefault(str(name), []).extend(values)
    if closing and (at >= len(tokens) or tokens[at][1] != closing):
        raise CorruptDataError(f"line {line}: a message that does not end, {closing!r} is missing")
    return message, at + bool(closing)


def _values(tokens: list[tuple[str, Any, int]], at: int, line: int, colon: bool, depth: int) -> tuple[list[Any], int]:
    """The value at a place, or those of a list, and the place behind."""
    if at >= len(tokens):
        raise CorruptDataError(f"line {line}: it ends where a value should be")
    kind, value, line = tokens[at]
    if kind == "sign" and value in "{<":
        message, at = _message(tokens, at + 1, "}" if value == "{" else ">", depth + 1)
        return [message], at
    if kind == "sign" and value == "[":
        values, at = [], at + 1
        while at < len(tokens) and tokens[at][:2] != ("sign", "]"):
            if tokens[at][:2] == ("sign", ","):
                at += 1
                continue
            more, at = _values(tokens, at, line, True, depth + 1)
            values += more
        if at >= len(tokens):
            raise CorruptDataError(f"line {line}: a list that does not end")
        return values, at + 1
    if kind == "sign" or not colon:
        raise CorruptDataError(f"line {line}: {value!r} where {'a value' if colon else 'a colon'} should be")
    at += 1
    while kind == "string" and at < len(tokens) and tokens[at][0] == "string":  # strings side by side are one
        value, at = value + tokens[at][1], at + 1
    return [value], at
