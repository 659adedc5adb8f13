"""`torch.jit`: the marks that model files carry for TorchScript. Nothing is compiled, so they change nothing."""

from __future__ import annotations

from typing import Any, TypeVar

from tensorgraph.torch.doorway import doorway

__all__ = ["Final", "export", "ignore", "interface", "is_scripting", "is_tracing", "unused"]

F = TypeVar("F")
Final = Any


def is_scripting() -> bool:
    """False."""
    return False


is_tracing = is_scripting


def unused(fn: F) -> F:
    """The function itself."""
    return fn


export = interface = _overload_method = unused


def ignore(drop: Any = False, **settings: Any) -> Any:
    """The function itself; also as `@ignore()`."""
    return drop if callable(drop) else unused


__getattr__ = doorway(
    __name__,
    {
        "script": "leave it out: the program is Python and runs as it is",
        "trace": "leave it out: the program is Python and runs as it is",
        "load": "build the model in Python, and load its state dict with torch.load",
        "save": "torch.save(model.state_dict(), path)",
    },
)
