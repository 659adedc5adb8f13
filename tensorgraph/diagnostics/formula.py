"""The backward rules as text: `g * b` from `mul.vjp(a=lambda g, b: g * b)`.

Imported by stepping.py and debugging.py. May import: the node record, provenance.
"""

from __future__ import annotations

import ast
import functools
import linecache
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensorgraph.node import Node

__all__ = ["formulae", "rule_of"]


def rule_of(node: Node, name: str) -> str:
    """The rule that gives input `name` of a node its gradient, as an expression; what runs instead where none is."""
    plan = node.plan
    rules = getattr(plan.op, "rules", None) or {}
    rule = rules.get(name.partition("[")[0])
    if rule is not None:
        first = None if "g" in plan.op.arrays else rules.get("g")  # pyright: ignore[reportOptionalMemberAccess]
        return expression(rule) + (f", where g is {expression(first)}" if first else "")
    if plan.inputs == ("bundle",):
        return "g, put to the other results of the operation"
    if "pullback" in plan.names:
        return "pullback(g), computed in one go by the kernel"
    return f"{plan.name}.backward(ctx, g)"


def formulae(node: Node) -> dict[str, str]:
    """Input -> rule, for the inputs of a node that get a gradient."""
    return {name: rule_of(node, name) for name in node.plan.inputs}


def expression(rule: Callable) -> str:
    """The body of a lambda or one-line function; a call with its parameters where there are more lines."""
    code: Any = getattr(rule, "__code__", None)
    if code is None:
        return repr(rule)
    known = _functions(code.co_filename, tuple(linecache.getlines(code.co_filename)))
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    columns = {(line, column) for line, _, column, _ in code.co_positions() if line is not None and column is not None}
    for at, end, names, text in known.get(code.co_firstlineno, ()):
        if names == parameters and (code.co_name != "<lambda>" or any(at <= spot < end for spot in columns)):
            return (
                text
                if text
                else f"{code.co_name}({', '.join(parameters)})   {Path(code.co_filename).name}:{code.co_firstlineno}"
            )
    return f"{code.co_name}({', '.join(parameters)})"


@functools.lru_cache(maxsize=64)
def _functions(filename: str, lines: tuple[str, ...]) -> dict[int, list[tuple]]:
    """First line -> (start and end of the body, parameters, text of a body that is one expression), for a file."""
    try:
        tree = ast.parse("".join(lines))
    except SyntaxError:
        return {}
    found: dict[int, list[tuple]] = {}
    for part in ast.walk(tree):
        if not isinstance(part, (ast.Lambda, ast.FunctionDef)):
            continue
        names = tuple(a.arg for a in (*part.args.posonlyargs, *part.args.args, *part.args.kwonlyargs))
        body: Any = part.body
        if isinstance(part, ast.FunctionDef):
            body = [s for s in part.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
            body = body[0].value if len(body) == 1 and isinstance(body[0], ast.Return) else None
        text = "" if body is None else ast.unparse(body)
        spot = part if body is None else body
        first = (
            part.decorator_list[0].lineno if isinstance(part, ast.FunctionDef) and part.decorator_list else part.lineno
        )
        found.setdefault(first, []).append(
            ((spot.lineno, spot.col_offset), (spot.end_lineno, spot.end_col_offset), names, text)
        )
    return found
