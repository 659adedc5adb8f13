"""Compiled kernels of the CPU backend, for those who installed the extra `fast`. Imported by numpy_kernels/ only.

`kernels()` gives them, or None where they are not to be had; then everything runs in NumPy. They are compiled by
llvmlite for the processor at hand when the first of them is needed, which is said in one line on stderr, and kept in
the user's cache folder. TENSORGRAPH_COMPILED=0 switches them off, TENSORGRAPH_CACHE names another folder.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tensorgraph.backends.compiled import calls
from tensorgraph.backends.compiled.table import FAMILIES, SIGNATURES
from tensorgraph.backends.compiled.team import Team, forever

__all__ = ["Kernels", "cache_folder", "kernels", "why_not"]

_lock = threading.Lock()
_found: Kernels | None = None
_reason: str | None = None


class Kernels:
    """The kernels as functions of integers (addresses, sizes, strides in elements) and floats: `k["relu"](...)`.

    They run without the interpreter lock. `width` is how many floats a register holds, `registers` how many there are.
    """

    def __init__(self, folder: Path):
        from tensorgraph.backends.compiled.build import Machine

        machine = self._machine = Machine()
        self.cpu, self.width, self.registers = machine.cpu, machine.width, machine.registers
        self._folder, self._engines = folder, []
        find = self._load("")
        self._share, help_, spin, self._program = (
            calls.function(find(name)) for name in (calls.SHARE, calls.HELP, calls.SPIN, calls.PROGRAM)
        )
        self.team = Team(help_, spin)
        self._kernels: dict[str, calls.Kernel] = {}
        for name, counts in SIGNATURES.items():
            entry = find(calls.ENTRY(name))
            if entry:
                self._kernels[name] = calls.Kernel(entry, *counts, self._share, self.team)

    def _load(self, name: str) -> Callable[[str], int]:
        """Loads code, and finds addresses in it."""
        self._engines.append(forever(self._machine.load(self._folder, name)))  # helpers are in it when programs end
        return self._engines[-1].get_function_address

    def __getitem__(self, name: str) -> calls.Kernel:
        kernel = self._kernels.get(name)
        return self._one(name) if kernel is None else kernel

    def _one(self, name: str) -> calls.Kernel:
        """A kernel that is compiled or loaded when it is needed first."""
        with _lock:
            if name not in self._kernels:
                counts = SIGNATURES.get(name) or FAMILIES[name.partition("_")[0]]
                entry = self._load(name)(calls.ENTRY(name))
                self._kernels[name] = calls.Kernel(entry, *counts, self._share, self.team)
        return self._kernels[name]

    def entry(self, name: str) -> int:
        """The address of a kernel's entry (calls.py), for programs."""
        return self[name].entry

    def place(self, name: str) -> int:
        """The address of a kernel itself, for kernels that call it."""
        return self._engines[0].get_function_address(name)

    def run(self, program: np.ndarray) -> None:
        """Runs kernels one after the other: program (calls, 2) int64, addresses of entries and of their arguments."""
        self._program(address(program), len(program))


def kernels() -> Kernels | None:
    """The compiled kernels, or None."""
    if _found is None and _reason is None:
        with _lock:
            if _found is None and _reason is None:
                _open()
    return _found


def _open() -> None:
    global _found, _reason
    if os.environ.get("TENSORGRAPH_COMPILED") == "0":
        _reason = "switched off by TENSORGRAPH_COMPILED=0"
        return
    try:
        _found = Kernels(cache_folder())
    except ImportError:
        _reason = 'llvmlite is not installed: pip install "tensorgraph[fast]"'
    except Exception as error:  # a compiler that cannot is no reason to stop a program that runs without it
        _reason = f"llvmlite failed: {type(error).__name__}: {error}"


def why_not() -> str | None:
    """Why there are no compiled kernels; None where there are."""
    kernels()
    return _reason


def cache_folder() -> Path:
    """Where compiled code is kept."""
    given = os.environ.get("TENSORGRAPH_CACHE")
    if given:
        return Path(given)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tensorgraph"


def _said(array: Any) -> int:
    """The address as NumPy says it, in a dictionary that takes longer to make than many a kernel runs."""
    return array.__array_interface__["data"][0]


def _read(array: Any, word: Any = ctypes.c_size_t.from_address, head: int = object.__basicsize__) -> int:
    """The first field of an array behind the head of every object: NumPy's binary interface fixes that it is this."""
    return word(id(array) + head).value


def _choose() -> Callable[[Any], int]:
    probe = np.empty(8, dtype=np.float32)[3:]
    return _read if sys.implementation.name == "cpython" and _read(probe) == _said(probe) else _said


address: Callable[[Any], int] = _choose()
"""Where the first element of an array of NumPy is."""
