"""Compiling all kernels into one object file, and keeping it. Imports llvmlite; imported by __init__.py when needed."""

from __future__ import annotations

import gc
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import llvmlite
from llvmlite import binding, ir

__all__ = ["Machine"]


class Machine:
    """The processor that code is made for."""

    def __init__(self) -> None:
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        self.cpu = binding.get_host_cpu_name()
        self.features = binding.get_host_cpu_features()
        self.width = 16 if self.features.get("avx512f") else 8 if self.features.get("avx2") else 4
        self.registers = 32 if self.width != 8 else 16
        self.target = binding.Target.from_default_triple().create_target_machine(
            cpu=self.cpu, features=self.features.flatten(), opt=3, jit=True
        )

    @cached_property
    def key(self) -> str:
        """Names code for this processor, made by this version of these files."""
        found = hashlib.sha256(f"{llvmlite.__version__} {self.cpu} {self.features.flatten()}".encode())
        for path in sorted(Path(__file__).parent.glob("*.py")):
            found.update(path.read_bytes())
        return found.hexdigest()[:24]

    def load(self, folder: Path, name: str = "") -> Any:
        """The engine that holds the code: from the file of an earlier run, or compiled now.

        All kernels that are always there, or one of a family.
        """
        path = folder / (f"{self.key}-{name}.o" if name else f"{self.key}.o")
        code = _kept(path)
        if code is None:
            code = self.compile(path, name)
            _keep(path, code)
        engine = binding.create_mcjit_compiler(binding.parse_assembly(""), self.target)
        engine.add_object_file(binding.ObjectFileRef.from_data(code))
        engine.finalize_object()
        return engine

    def compile(self, path: Path, name: str) -> bytes:
        """The object file of the kernels."""
        from tensorgraph.backends.compiled.table import emit_all, emit_one

        module = ir.Module("tensorgraph")
        module.triple = binding.get_default_triple()
        if not name:
            print(f"tensorgraph: compiling fast kernels for this processor, once ({path})", file=sys.stderr, flush=True)
        with _no_collection():
            if name:
                emit_one(module, self.width, name)
            else:
                emit_all(module, self.width, self.registers)
            text = str(module)
        parsed = binding.parse_assembly(text)
        parsed.verify()
        return self.target.emit_object(parsed)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Nothing of the code that is being written is garbage, and looking for some takes a tenth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _kept(path: Path) -> bytes | None:
    """The code in a file, if it is whole: damaged code would end the process."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    check, code = data[:32], data[32:]
    return code if hashlib.sha256(code).digest() == check else None


def _keep(path: Path, code: bytes) -> None:
    """Writes the file in one go, so that another process never reads half of it; without a place, it is not kept."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(hashlib.sha256(code).digest() + code)
        os.replace(file.name, path)
    except OSError:
        pass
