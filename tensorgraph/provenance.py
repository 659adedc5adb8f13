"""Where every node was born: the user's line, the expression on it, and the module that was running.

A node stores a code object, an instruction offset and the running module: three references, taken in the
generated wrapper of an operation (operation.py). Everything here happens later and only when someone asks:
errors, pictures, reports.
"""

from __future__ import annotations

import functools
import linecache
import re
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from sys import _getframe
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from tensorgraph._checkout import CHECKOUT, PACKAGE
from tensorgraph.autocast import CASTING, cast
from tensorgraph.errors import (
    ArgumentError,
    AxisError,
    BackendError,
    DtypeError,
    OutOfMemoryError,
    ShapeError,
    TensorgraphError,
    sig,
)
from tensorgraph.mode import current_scope

if TYPE_CHECKING:
    from tensorgraph.operation import Node

_OWN_FOLDERS = (PACKAGE, CHECKOUT / "ops", CHECKOUT / "nn")
GENERATED = "<operation "


class _Internal(dict):
    """file name -> does it belong to tensorgraph?  Filled as files are met; a hit is one dictionary lookup."""

    def __missing__(self, filename: str) -> bool:
        if filename.startswith("<"):  # generated here, or typed into a session
            own = filename.startswith(GENERATED)
        else:
            path = Path(filename).resolve()  # it may have been imported through a link
            own = any(path.is_relative_to(folder) for folder in _OWN_FOLDERS)
        self[filename] = met[filename] = own
        return own


internal = _Internal()
met: dict[str, bool] = {}
"""The same as an exact dict, which Python reads faster: the wrappers of operations do, `user_frame` helps on a miss."""

last: list[Any] = [None]
"""The user's code object that the latest operation was called from: a function that calls several in a row is looked
up once. Whatever stands here is not tensorgraph's own, so threads may overwrite each other."""


def user_frame(frame: Any) -> Any:
    """The innermost frame from `frame` outwards that is not tensorgraph's own."""
    while internal[frame.f_code.co_filename] and frame.f_back is not None:
        frame = frame.f_back
    return frame


def caller() -> tuple[Any, int]:
    """The code object and instruction offset of the innermost frame that is not tensorgraph's own.

    The wrappers that operation.py writes have these lines written into them: there every call counts.
    """
    frame = user_frame(_getframe(1))
    return frame.f_code, frame.f_lasti


class Birth(NamedTuple):
    """A place in somebody's source: file, line (from 1), the expression that ran, the whole line, and its function."""

    file: str
    line: int
    expression: str
    text: str
    function: str

    def __str__(self) -> str:
        return f"{_file_name(self.file)}:{self.line}"


def _file_name(file: str) -> str:
    """The name of a file without its folder; for a cell of a notebook, what IPython calls it: `In[3]`."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    name_cell = getattr(getattr(shell, "compile", None), "format_code_name", lambda file: None)
    return (name_cell(file) or ("", Path(file).name))[1]


def birth(node: Node) -> Birth | None:
    """The line that created `node`, or None when no frame of a user was on the stack."""
    if node.code is None:
        return None
    return _place(node.code, node.lasti)


def _place(code: Any, lasti: int) -> Birth:
    start, end, left, right = next(
        (p for i, p in enumerate(code.co_positions()) if i == lasti // 2), (code.co_firstlineno,) * 2 + (None,) * 2
    )
    line = start or code.co_firstlineno
    text = linecache.getline(code.co_filename, line)
    if left is not None and start == end:
        expression = text.encode()[left:right].decode(errors="replace")
    else:
        expression = text.strip()
    return Birth(code.co_filename, line, expression.strip(), text.strip(), code.co_qualname)


class Scope:
    """One call of a module: the module, and the call that it happened in. A linked list from inner to outer."""

    __slots__ = ("module", "parent")

    def __init__(self, module: Any, parent: Scope | None):
        self.module = module
        self.parent = parent


def scopes(scope: Scope | None) -> Iterator[Scope]:
    """From the innermost module call outwards."""
    while scope is not None:
        yield scope
        scope = scope.parent


def module_path(scope: Scope | None) -> str:
    """`LeNet.features.0` for a scope; the empty string outside every module.

    A module does not know its own name: it is looked up among the children of the module that called it.
    """
    chain = list(scopes(scope))[::-1]
    if not chain:
        return ""
    parts = [type(chain[0].module).__name__]
    for outer, inner in pairwise(chain):
        name = next((n for n, m in outer.module.named_modules() if m is inner.module), type(inner.module).__name__)
        if name:
            parts.append(name)
    return ".".join(parts)


def parameter_name(node: Node, scope: Scope | None) -> str:
    """`fc.weight` for the leaf of a parameter of the outermost running module; the empty string for other leaves."""
    tensor = node.tensor()
    for call in list(scopes(scope))[::-1]:
        for name, parameter in call.module.named_parameters():
            if parameter is tensor:
                return name
    return ""


def describe(name: str, value: Any, node: Node | None, scope: Scope | None) -> tuple[str, ...]:
    """The cells of one operand's line: its name, what it is, what made it, where, in which module."""
    if node is None:
        return name, sig(value)
    place = birth(node)
    if node.is_leaf:
        parameter = parameter_name(node, scope)
        made = f"parameter {parameter}" if parameter else "leaf"
    else:
        made = place.expression if place else node.name
    path = module_path(node.scope)
    return name, sig(value), made, str(place) if place else "", f"in {path}" if path else ""


def table(rows: list[tuple[str, ...]]) -> tuple[str, ...]:
    """Rows of cells as aligned lines."""
    width = max((len(row) for row in rows), default=0)
    rows = [row + ("",) * (width - len(row)) for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(width)]
    return tuple("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def operand_lines(operands: tuple[tuple[str, Any, Node | None], ...], scope: Scope | None) -> tuple[str, ...]:
    """One line per operand of a failing operation."""
    rows = []
    for name, value, node in operands:
        if value is None:  # an optional operand that was left out
            continue
        try:
            rows.append(describe(name, value, node, scope))
        except Exception:  # a report must never hide the error that it reports
            rows.append((name, sig(value)))
    return table(rows)


_NAMED = re.compile(r"[\w.\[\] =-]+: ").match  # a message that starts with the name of an operation


def explain(
    op: str, error: Exception, operands: tuple[tuple[str, Any, Node | None], ...], scope: Scope | None
) -> Exception:
    """The error to raise instead of `error`, which came out of operation `op`: same facts, plus operands and births.

    An error of tensorgraph gets its operand lines; one of the array library becomes the tensorgraph error of the
    same kind (still a ValueError, TypeError, ...); anything unknown comes back as it was, with a note.
    """
    made = _explanation(op, error, operands, scope)
    if isinstance(made, TensorgraphError):
        mark(made, op, operands, scope)
    return made


def mark(
    error: TensorgraphError, op: str, operands: tuple[tuple[str, Any, Node | None], ...], scope: Scope | None
) -> None:
    """Remembers which operation failed, so that `error.graph` can be drawn; the innermost one counts."""
    if error.failed is None:
        error.failed = op, tuple((name, sig(value), node) for name, value, node in operands if value is not None), scope


def _explanation(
    op: str, error: Exception, operands: tuple[tuple[str, Any, Node | None], ...], scope: Scope | None
) -> Exception:
    if isinstance(error, TensorgraphError):
        if not _NAMED(error.message):
            error.message = f"{op}: {error.message}"
        if not error.operands:
            error.operands = operand_lines(operands, scope)
        return error
    lines = operand_lines(operands, scope)
    from tensorgraph.backends import device_of

    devices = {device_of(value): name for name, value, _ in operands if hasattr(value, "shape")}
    devices.pop(None, None)
    if len(devices) > 1:
        where = " and ".join(f"{name} on {device}" for device, name in devices.items())
        first = next(iter(devices))
        return BackendError(
            f"{op}: operands live on different devices: {where}", operands=lines, hint=f"move one: .to({first!r})"
        )
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # the latter is CuPy's
        return _out_of_memory(op, error, lines)
    text = str(error)
    if type(error).__name__ == "AxisError" or "duplicate value in 'axis'" in text:
        return AxisError(f"{op}: {text}", operands=lines, hint=_axes_hint(operands))
    if isinstance(error, ValueError) and ("broadcast" in text or "shape" in text):
        shapes = " and ".join(f"{n} {sig(v)}" for n, v, _ in operands if getattr(v, "shape", None) is not None)
        what = f"shapes do not broadcast: {shapes}" if "broadcast" in text else text
        hint = _broadcast_hint(operands) if "broadcast" in text else _reshape_hint(text)
        return ShapeError(f"{op}: {what.replace('newaxis', '-1')}", operands=lines, hint=hint)
    if isinstance(error, TypeError):
        return DtypeError(f"{op}: {text}", operands=lines)
    scalar = next((n for n, v, _ in operands if isinstance(v, (int, float, complex))), None)
    if isinstance(error, AttributeError) and scalar is not None:
        return DtypeError(f"{op}: {scalar} is a Python number, an array is needed", operands=lines, hint="asarray(x)")
    if isinstance(error, ValueError):
        return ArgumentError(f"{op}: {text}", operands=lines)
    error.add_note("\n".join((f"in operation {op}", *("  " + line for line in lines))))
    return error


def _axes_hint(operands: tuple) -> str | None:
    shapes = [(name, value) for name, value, _ in operands if getattr(value, "ndim", 0)]
    if len(shapes) != 1:
        return None
    name, value = shapes[0]
    return f"the axes of {name} are 0 to {value.ndim - 1}, or -{value.ndim} to -1, from behind"


def _broadcast_hint(operands: tuple) -> str | None:
    """What makes one of two operands fit the other: new axes behind it, or its transpose."""
    arrays = [(name, value) for name, value, _ in operands if getattr(value, "shape", None) is not None]
    if len(arrays) != 2:
        return None
    (small, a), (large, b) = sorted(arrays, key=lambda pair: pair[1].ndim)
    for behind in range(1, b.ndim - a.ndim + 1):
        if a.ndim and _fit((*a.shape, *(1,) * behind), b.shape):
            index = ", ".join((":",) * a.ndim + ("None",) * behind)
            return f"sizes are compared from the last axis; {small}[{index}] would fit {large}"
    if a.ndim == b.ndim == 2 and a.shape[::-1] == b.shape:
        return f"{large}.T would fit {small}"
    return None


def _fit(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(m == n or 1 in (m, n) for m, n in zip(reversed(a), reversed(b), strict=False))


def _reshape_hint(text: str) -> str | None:
    found = re.search(r"array of size (\d+) into shape", text)
    return f"the sizes of the new shape must multiply to {found[1]}; one of them may be -1" if found else None


def _out_of_memory(op: str, error: Exception, lines: tuple[str, ...]) -> Exception:
    try:
        from tensorgraph.diagnostics.memory import memory_report

        held = memory_report().lines(12)
    except Exception:  # there may be no memory for the table either
        held = ()
    return OutOfMemoryError(
        f"{op}: {str(error) or 'out of memory'}",
        operands=(*lines, *held),
        hint="a smaller batch, tensorgraph.checkpoint, no_grad() where no gradient is needed, or let go of old losses",
    )


F = TypeVar("F", bound=Callable[..., Any])


def explained(function: F) -> F:
    """For functions composed of operations: errors of their own checks get the lines of their operands too."""
    names, name = parameters(function), function.__name__

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if CASTING:
            args = cast(name, args)
            kwargs = dict(zip(kwargs, cast(name, tuple(kwargs.values())), strict=True))
        try:
            return function(*args, **kwargs)
        except TensorgraphError as error:
            name_operands(error, names, args, kwargs)
            raise

    return call  # pyright: ignore[reportReturnType]


def parameters(function: Any) -> tuple[str, ...]:
    """The names of a function's parameters, without * and **."""
    code = function.__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def name_operands(error: TensorgraphError, names: tuple[str, ...], args: tuple, kwargs: dict[str, Any]) -> None:
    """Gives an error that has none yet the lines of the arrays among the arguments of a call."""
    if error.operands:
        return
    operands = []
    for name, value in {**dict(zip(names, args, strict=False)), **kwargs}.items():
        parts = [(f"{name}[{i}]", v) for i, v in enumerate(value)] if type(value) in (list, tuple) else [(name, value)]
        operands += [(n, getattr(v, "array", v), getattr(v, "node", None)) for n, v in parts if hasattr(v, "shape")]
    error.operands = operand_lines(tuple(operands), current_scope())
    if operands and _NAMED(error.message):
        mark(error, error.message.partition(":")[0], tuple(operands), current_scope())
