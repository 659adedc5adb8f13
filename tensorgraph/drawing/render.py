"""DOT text to SVG, PNG or PDF with whatever Graphviz there is. Imported by graph.py.

First the program `dot`, then pygraphviz, whose wheels bring Graphviz along. The latter runs in a process of its own:
it writes font warnings to stderr, and a crash of a C library stays there.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator

from tensorgraph.errors import GraphError, MissingPackageError

HINT = (
    "pip install 'tensorgraph[viz]' paints PNG and PDF with matplotlib; or install Graphviz (apt install graphviz, "
    "brew install graphviz, ...), or: pip install pygraphviz"
)

_PYGRAPHVIZ = """
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="dot", args=" ".join(sys.argv[2:])))
"""


def render(dot: str, format: str, timeout: float | None = None) -> bytes:
    """The picture of a DOT text; `format` is svg, png or pdf.

    Raises MissingPackageError when nothing here can draw, GraphError when Graphviz fails or takes over `timeout`
    seconds.
    """
    said = ""
    for command in _commands(format):
        try:
            done = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise GraphError(
                f"draw: Graphviz did not finish within {timeout:g} seconds",
                hint="depth=1 folds modules into single boxes; save('graph.dot') writes the text",
            ) from None
        except OSError as error:
            said = str(error)
            continue
        if done.returncode == 0 and done.stdout:
            return done.stdout
        said = done.stderr.decode(errors="replace").strip()
    if said:
        raise GraphError(f"draw: Graphviz failed: {said[-2000:]}", hint="save('graph.dot') writes the text")
    raise MissingPackageError("draw: there is no Graphviz here to make a picture with", hint=HINT)


def _commands(format: str) -> Iterator[list[str]]:
    """The ways to run Graphviz that exist here, best first: DOT comes on stdin, the picture goes to stdout."""
    options = ["-Gdpi=144"] if format == "png" else []
    program = shutil.which("dot")
    if program is not None:
        yield [program, f"-T{format}", *options]
    if importlib.util.find_spec("pygraphviz") is not None:
        yield [sys.executable, "-c", _PYGRAPHVIZ, format, *options]
