"""Which files speak PyTorch, and what a name that is not here is answered. The base of tensorgraph/torch.

Tensors are shared with plain tensorgraph, where `x.max(1)` has NumPy's meaning. So the meaning belongs to the file in
which the call is written: one that has imported this front holds one of its modules, functions or classes under some
global name, and there PyTorch's meaning holds. Everywhere else, the engine included, nothing changes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import FrameType, ModuleType
from typing import Any

from tensorgraph.provenance import internal

__all__ = ["doorway", "inner", "speaks"]

_ROOT = "tensorgraph.torch"
_ours: set[int] = set()
"""ids of the modules, functions and classes of this front; they live as long as the process"""


def speaks(frame: FrameType) -> bool:
    """Whether the file that a frame belongs to has imported the front."""
    if internal[frame.f_code.co_filename]:  # tensorgraph's own: NumPy's meaning, this front included
        return False
    return not _ours.isdisjoint(map(id, frame.f_globals.values()))


def doorway(name: str, ways_out: Mapping[str, str] | None = None) -> Callable[[str], Any]:
    """Makes a finished module of the front known to `speaks`; returns its `__getattr__`, which says what is not here.

    ways_out: name -> what to do instead. Attributes that the module inherits from no one are an AttributeError, as
    `hasattr` and `from ... import` expect.
    """
    module = sys.modules[name]
    _ours.add(id(module))
    _ours.update(
        id(value) for value in vars(module).values() if str(getattr(value, "__module__", "")).startswith(_ROOT)
    )
    theirs = "torch" + name.removeprefix(_ROOT)
    known = ways_out or {}

    def missing(attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        way_out = f"\n  hint: {known[attribute]}" if attribute in known else ""
        raise AttributeError(f"tensorgraph has no {theirs}.{attribute}{way_out}", name=attribute, obj=module)

    return missing


def inner(parent: str, name: str, **names: Any) -> ModuleType:
    """A module `parent.name` that holds a few names under which PyTorch has them too; a file would say no more."""
    module = ModuleType(f"{parent}.{name}", f"Some names of `torch{parent.removeprefix(_ROOT)}` once more.")
    vars(module).update(names)
    sys.modules[module.__name__] = module
    vars(module)["__getattr__"] = doorway(module.__name__)
    return module
