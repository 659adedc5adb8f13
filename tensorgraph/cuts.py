"""Where tensors left the graph through `detach()` and `.data`: remembered for `tensorgraph.why`.

The last few, with a weak reference to the node: nothing is kept alive, and only tensors that need a gradient are noted.
What a `no_grad` block or a cast to integers cuts off is not noted here: that would cost every operation something.
Imported by tensor.py.
"""

from __future__ import annotations

import weakref
from collections import deque
from sys import _getframe
from typing import Any, NamedTuple

from tensorgraph.node import Node
from tensorgraph.provenance import Birth, _place, internal

__all__ = ["Cut", "note", "recent"]


class Cut(NamedTuple):
    """A tensor left the graph: how, its node while it lives, and the line."""

    how: str
    node: weakref.ref[Node]
    serial: int
    code: Any
    lasti: int

    @property
    def place(self) -> Birth | None:
        """The user's line."""
        return None if self.code is None else _place(self.code, self.lasti)


recent: deque[Cut] = deque(maxlen=128)


def note(how: str, node: Node) -> None:
    """Remembers that the result of `node` is about to leave the graph, in a line of the user's own.

    Layers and optimisers detach parameters all the time and mean it.
    """
    frame = _getframe(2)  # who called detach()
    if not internal[frame.f_code.co_filename]:
        recent.append(Cut(how, weakref.ref(node), node.serial, frame.f_code, frame.f_lasti))
