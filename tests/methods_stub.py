"""Writes tensorgraph/methods.pyi: what `ops/methods.py` attaches to Tensor at run time, spelled out for type checkers.

`python3 dev.py stubs` runs this file; tests/test_typing.py fails while the two differ.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorgraph
from tensorgraph.ops import methods
from tensorgraph.spelling import UNSET, aliases

STUB = Path(tensorgraph.__file__).with_name("methods.pyi")

HEADER = '''"""Tensor's operators and methods that are operations. Written by `python3 dev.py stubs`; do not edit."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tensorgraph.ops.axes import Axis
from tensorgraph.tensor import Tensor

# the class has methods of these names
_bool = bool
_int = int
_float = float

class TensorMethods:
    def __hash__(self) -> _int:
        """By identity, although `==` compares elements."""
'''

PLAIN = {
    *("None", "bool", "int", "float", "str", "tuple", "list"),
    *("Any", "Axis", "Callable", "Iterator", "Sequence", "Tensor"),
}
"""The names that an annotation may be made of to be copied; anything else becomes Any."""

RETURNS = {
    "__array_function__": "Any",
    "__array_namespace__": "Any",
    "__array_ufunc__": "Any",
    "__contains__": "bool",
    "__iter__": "Iterator[Tensor]",
    "dim": "int",
    "element_size": "int",
    "is_floating_point": "bool",
    "numel": "int",
    "size": "Any",  # a number that can be called
}
"""Results that no annotation tells. All others are tensors."""


def text() -> str:
    """The whole stub file."""
    return HEADER + "\n".join(line for name, value in sorted(attached().items()) for line in member(name, value)) + "\n"


def attached() -> dict[str, Any]:
    """What the class is given at run time and its source has not."""
    source = ast.parse(inspect.getsource(tensorgraph.Tensor)).body[0]
    assert isinstance(source, ast.ClassDef)
    written = {node.name for node in source.body if isinstance(node, ast.FunctionDef)} | set(dir(type))
    written -= {"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__or__", "__ror__"}
    return {
        name: value
        for name, value in methods.table().items()
        if name not in written and (callable(value) or isinstance(value, (property, staticmethod, classmethod)))
    }


def member(name: str, value: Any) -> Iterator[str]:
    """The lines of one method or property."""
    function = value.fget if isinstance(value, property) else value
    doc = (inspect.getdoc(value) or "").partition("\n")[0].partition("  ")[0]
    if isinstance(value, property):
        yield "    @property"
    body = "" if doc else " ..."
    if name in ("__eq__", "__ne__"):
        body += "  # type: ignore[override]  # object's return bool"
    parameters = ", ".join(["self", *(parameters_of(function) if function is value else ())])
    yield f"    def {name}({parameters}) -> {returns(name, function)}:{body}"
    if doc:
        yield f'        {"r" * (chr(92) in doc)}"""{doc}"""'


def parameters_of(function: Any) -> Iterator[str]:
    """The parameters behind self, with PyTorch's spelling where it is understood."""
    _, *parameters = inspect.signature(function).parameters.values()
    starred = False
    for p in parameters:
        if p.kind is p.VAR_POSITIONAL:
            starred = True
        elif p.kind is p.KEYWORD_ONLY and not starred:
            starred = True
            yield "*"
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        yield f"{star}{p.name}: {plain(p.annotation)}" + ("" if p.default is p.empty else f" = {default(p.default)}")
    if hasattr(function, "__wrapped__"):  # `@spelled` translates these
        theirs = aliases(p.name for p in parameters)
        yield from [*([] if starred or not theirs else ["*"]), *(f"{alias}: Any = ..." for alias in theirs)]


def returns(name: str, function: Any) -> str:
    """The annotation of the result."""
    if name in RETURNS:
        return plain(RETURNS[name])
    operation = getattr(function, "op", None)
    if operation is not None:
        results = len(operation.outputs or "y") + len(operation.aux)
        return "Tensor" if results == 1 else f"tuple[{', '.join(['Tensor'] * results)}]"
    annotation = getattr(function, "__annotations__", {}).get("return", "Tensor")
    return plain(re.sub(r"\b(Array|Any)\b", "Tensor", annotation) if isinstance(annotation, str) else annotation)


def plain(annotation: Any) -> str:
    """An annotation as text if it is made of plain names, else Any."""
    written = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "Any")
    if written == "None" or annotation is None:
        return "None"
    if set(re.findall(r"[\w.]+", written)) - PLAIN - {"..."} or written == "_empty":
        return "Any"
    return re.sub(r"\b(bool|int|float)\b", r"_\1", written)


def default(value: Any) -> str:
    """A default value as text."""
    return repr(value) if value is not UNSET and isinstance(value, (bool, int, float, str, type(None))) else "..."


if __name__ == "__main__":
    STUB.write_text(text(), encoding="utf-8")
    sys.stderr.write(f"wrote {STUB}\n")
