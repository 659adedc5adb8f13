"""docs/operations.md is what its generator makes of the docstrings, and every operation on it says something."""

import importlib.util
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"


def generator():
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date():
    assert (DOCS / "operations.md").read_text(encoding="utf-8") == generator().page(), "run: python docs/generate.py"


def test_every_public_operation_has_a_docstring():
    silent = [
        f"{room.__name__}.{name}"
        for room in generator().rooms()
        for name in room.__all__
        if callable(getattr(room, name)) and not (getattr(room, name).__doc__ or "").strip()
    ]
    assert not silent
