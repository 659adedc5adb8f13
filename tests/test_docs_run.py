"""Everything that readers will copy runs: examples in docstrings, code on the pages, the notebooks' stored outputs.

A code block of a page that cannot run (it needs a GPU, it shows an error) says so: ```python no-run
"""

import doctest
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import tensorgraph
from tensorgraph import nn, ops

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
NEEDS_CUDA = {"tensorgraph.backends.cupy"}  # importing these needs CuPy


def modules() -> list[str]:
    """Every module. The three packages are walked one by one: in a checkout they lie side by side."""
    names = {package.__name__ for package in (tensorgraph, ops, nn)}
    for package in (tensorgraph, ops, nn):
        names |= {m.name for m in pkgutil.walk_packages(package.__path__, package.__name__ + ".")}
    return sorted(name for name in names if not name.startswith(tuple(NEEDS_CUDA)))


def examples(module: ModuleType) -> Iterator[doctest.DocTest]:
    """The examples of a module and of all that is defined there.

    doctest's own search passes by operations: their globals are not those of the module.
    """
    scope = vars(module) | {"__name__": "__main__"}  # what an example defines is the reader's, not the module's
    yield from doctest.DocTestFinder(recurse=False).find(module, module.__name__, module=module, globs=scope)
    for name, value in list(vars(module).items()):
        if getattr(value, "__module__", "") == module.__name__ and (inspect.isclass(value) or inspect.isroutine(value)):
            yield from doctest.DocTestFinder().find(value, f"{module.__name__}.{name}", module=module, globs=scope)


@pytest.mark.parametrize("name", modules())
def test_docstring_examples(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for test in examples(importlib.import_module(name)):
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


def test_examples_of_operations_are_found():
    found = [test.name for test in examples(importlib.import_module("tensorgraph.operation")) if test.examples]
    assert "tensorgraph.operation.op" in found

    module = ModuleType("tensorgraph.a_module")
    module.cube = tensorgraph.op(_cube)  # pyright: ignore[reportAttributeAccessIssue]
    module.cube.__module__ = module.__name__
    assert [len(test.examples) for test in examples(module) if test.examples] == [1]


def _cube(be, x):
    """
    >>> 1 + 1
    2
    """
    return x * x * x


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_code_on_pages(page, monkeypatch, tmp_path):
    """The blocks of a page run from top to bottom, in one go, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    scope: dict = {"__name__": "__main__"}
    for block in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        code, line = block[1], text.count("\n", 0, block.start()) + 2
        if ">>>" in code:
            report: list[str] = []
            runner = doctest.DocTestRunner(optionflags=FLAGS)
            test = doctest.DocTestParser().get_doctest(code, scope, page.name, str(page), line)
            runner.run(test, out=report.append, clear_globs=False)
            assert not runner.failures, "".join(report)
            scope = test.globs
        else:
            exec(compile("\n" * (line - 1) + code, str(page), "exec"), scope)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_on_pages(page):
    links = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.name)
def test_notebooks_hold_their_outputs(notebook):
    """Run from top to bottom by `python3 dev.py notebooks`, without errors, and small enough to read where it lies."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    assert not [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]
    assert content["metadata"]["kernelspec"]["name"] == "python3"
    assert notebook.stat().st_size < 500_000
