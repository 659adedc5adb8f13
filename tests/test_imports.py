"""Imports go downwards only, and importing tensorgraph loads NumPy and nothing else."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path.relative_to(ROOT) for name in ("tensorgraph", "ops", "nn") for path in (ROOT / name).rglob("*.py"))
FRONT_DOORS = {Path("tensorgraph/__init__.py"), Path("tensorgraph/linalg.py"), Path("tensorgraph/fft.py")}

HAND_OUT_THE_FRONT_DOOR = {Path("tensorgraph/array_api.py"), Path("ops/numpy_protocol.py")}
"""protocols whose answer is the module tensorgraph itself; asked for when everything is loaded"""

BELOW = {
    "tensorgraph": {"tensorgraph"},
    "ops": {"tensorgraph", "ops"},
    "nn": {"tensorgraph", "ops", "nn"},
    "torch": {"tensorgraph", "ops", "nn", "torch"},
}
"""what each storey may import"""


def module_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    parts = parts if parts[0] == "tensorgraph" else ("tensorgraph", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def imports(path: Path, *, everywhere: bool) -> Iterator[tuple[str, int]]:
    """(module, line) of every import of a file, or only of those that run when the file is imported."""
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]
    pending: list[ast.AST] = [ast.parse((ROOT / path).read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, [base, node.module]))
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield (inner if inner in MODULES else base), node.lineno
        elif everywhere or not (
            isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
        ):
            pending.extend(ast.iter_child_nodes(node))


def storey(module: str) -> str:
    second = module.split(".")[1] if "." in module else ""
    return second if second in ("ops", "nn", "torch") else "tensorgraph"


@pytest.mark.parametrize("path", [p for p in FILES if p not in FRONT_DOORS], ids=str)
def test_imports_go_downwards(path):
    wrong = []
    for module, line in imports(path, everywhere=True):
        if module.partition(".")[0] != "tensorgraph":
            continue
        # the front door holds all three storeys: whoever imports it could reach upwards unseen
        own = storey(module_of(path))
        front_door = MODULES.get(module) in FRONT_DOORS and path not in HAND_OUT_THE_FRONT_DOOR and own != "torch"
        if front_door or storey(module) not in BELOW[own]:
            wrong.append(f"{path}:{line} imports {module}")
    assert not wrong


def test_operations_import_only_files_above_them():
    order = [m for m, _ in sorted(imports(Path("ops/__init__.py"), everywhere=False), key=lambda found: found[1])]
    order = list(dict.fromkeys(order))
    wrong = [
        f"{name} imports {module} (line {line})"
        for i, name in enumerate(order)
        for module, line in imports(MODULES[name], everywhere=False)
        if module in order[i:]
    ]
    assert not wrong


@pytest.mark.parametrize("path", FILES, ids=str)
def test_optional_packages_are_imported_where_they_are_used(path):
    allowed = {"tensorgraph", "numpy", *sys.stdlib_module_names}
    if path.match("backends/cupy*.py"):
        allowed |= {"cupy", "cupyx"}  # these files are themselves imported only when a CUDA device is asked for
    if path.match("backends/compiled/*.py"):
        allowed |= {"llvmlite"}  # these when kernels are compiled; __init__.py there must not need it
    if path.is_relative_to("nn/sklearn"):
        allowed |= {"sklearn"}  # and these only by those who ask for them
    wrong = [f"{path}:{line} {m}" for m, line in imports(path, everywhere=False) if m.partition(".")[0] not in allowed]
    assert not wrong


def test_importing_tensorgraph_loads_numpy_and_nothing_else():
    code = (
        "import sys; import numpy; before = set(sys.modules); import tensorgraph;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) - {"tensorgraph", "numpy", *sys.stdlib_module_names} == set()


def test_the_imports_of_this_test_are_found():
    """The reader above is what the other tests rest on."""
    found = {module for module, _ in imports(Path("ops/methods.py"), everywhere=True)}
    assert {"tensorgraph.tensor", "tensorgraph.ops"} <= found
