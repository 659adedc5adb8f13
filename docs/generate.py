"""Writes docs/operations.md from the docstrings of tensorgraph.ops:  python docs/generate.py

A test compares the committed page with what this prints, so the page cannot fall behind the code.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tensorgraph import ops

PAGE = Path(__file__).with_name("operations.md")

HEAD = """\
# Operations

Written by `python docs/generate.py` from the docstrings; edit those. Every function here is also
`tensorgraph.<name>`, or stands in the name space that its section says. *Gradient* lists the inputs that have a
rule of their own; a *composite* is written in terms of other operations and gets its derivatives from them.
"""


def rooms() -> list[ModuleType]:
    """The files of ops/ that hand out operations, in order of import."""
    source = Path(ops.__file__).read_text()
    names = re.findall(r"from tensorgraph\.ops\.(\w+) import \*", source)
    without_star = re.search(r"from tensorgraph\.ops import ([\w, ]+?)(?:  #|$)", source, re.M)
    names += without_star[1].replace(" ", "").split(",") if without_star else []
    return [sys.modules[f"tensorgraph.ops.{name}"] for name in dict.fromkeys(names)]


def gradient(function: Any) -> str:
    """Which inputs of an operation have a rule."""
    operation = getattr(function, "op", None)
    if operation is None:
        return "composite"
    return "gradient: " + ", ".join(operation.differentiable) if operation.differentiable else "no gradient"


def entry(name: str, synonyms: list[str], function: Any) -> str:
    """One operation."""
    parameters = [
        p.replace(annotation=p.empty)
        for p in inspect.signature(function).parameters.values()
        if not (p.kind is p.KEYWORD_ONLY and repr(p.default) == "<unset>")
    ]
    signature = str(inspect.Signature(parameters)).replace("'", '"')
    text = inspect.cleandoc(function.__doc__ or "").split("\n>>>")[0].strip()
    text = "\n\n".join(" ".join(paragraph.split("\n")) for paragraph in text.split("\n\n"))
    text = re.sub(r" {2,}", " &nbsp; ", text).replace("*", "\\*").replace("_", "\\_")
    also = f" (also {', '.join(f'`{s}`' for s in synonyms)})" if synonyms else ""
    return f"**`{name}{signature}`**{also} · *{gradient(function)}*\n\n{text}\n"


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for module in rooms():
        names: dict[int, list[str]] = {}
        for name in module.__all__:
            function = getattr(module, name)
            if inspect.isfunction(function):
                names.setdefault(id(function), []).append(name)
        if not names:
            continue
        text = " ".join(inspect.cleandoc(module.__doc__ or "").split("May import")[0].split())
        title, _, about = re.match(r"(.*?)([.:;] |\.?$)(.*)", text).groups()  # pyright: ignore[reportOptionalMemberAccess]
        about = about[:1].upper() + about[1:]
        parts.append(f"## {title}\n" + (f"\n{about}\n" if about else ""))
        for synonyms in names.values():
            function = getattr(module, synonyms[0])
            own = function.__name__ if function.__name__ in synonyms else synonyms[0]
            parts.append(entry(own, [s for s in synonyms if s != own], function))
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.name}")
