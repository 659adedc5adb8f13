"""The layout holds: three folders, one package, nothing in the way of the user's own files."""

import ast
import importlib
import os
import pickle
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

import tensorgraph as tg

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("tensorgraph", "ops", "nn")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

in_a_checkout = pytest.mark.skipif(
    not Path(tg.__file__).is_relative_to(ROOT), reason="tests an installed tensorgraph, not this checkout"
)


def sources():
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def run(code: str, *, cwd: Path, root: Path = ROOT) -> str:
    """What a fresh Python prints that finds tensorgraph only by PYTHONPATH."""
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_package_is_listed_in_pyproject():
    setuptools = PROJECT["tool"]["setuptools"]
    listed = {name: setuptools["package-dir"].get(name) for name in setuptools["packages"]}
    found = {}
    for init in (path for path in sources() if path.name == "__init__.py"):
        folder = init.parent.relative_to(ROOT)
        name = folder.as_posix().replace("/", ".")
        found[name if folder.parts[0] == "tensorgraph" else f"tensorgraph.{name}"] = folder.as_posix()
    assert set(listed) == set(found)
    mapped = {name: folder for name, folder in listed.items() if folder}
    assert mapped == {name: found[name] for name in mapped}, "package-dir names the wrong folder"


def test_a_folder_with_code_is_a_package():
    bare = {path.parent for path in sources() if not (path.parent / "__init__.py").exists()}
    assert not bare, "without an __init__.py the folder would be missing from the wheel"


def test_every_file_says_what_lives_there():
    silent = [path for path in sources() if ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None]
    assert not silent


@pytest.mark.parametrize("name", ["ops", "nn"])
def test_plain_import_is_refused_and_names_the_right_one(name, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    with pytest.raises(ImportError, match=f"from tensorgraph import {name}"):
        importlib.import_module(name)


@in_a_checkout
def test_works_uninstalled_from_another_folder(tmp_path):
    # a user's own modules of these names stay the user's, and ours stay ours
    for name in ("ops", "nn"):
        (tmp_path / f"{name}.py").write_text("mine = True")
    code = "import ops, nn, tensorgraph.nn as ours; print(ops.mine, nn.mine, ours.__file__)"
    assert run(code, cwd=tmp_path).split() == ["True", "True", str(ROOT / "nn" / "__init__.py")]


@in_a_checkout
def test_two_clones_do_not_mix(tmp_path):
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    # what an editable install of this clone puts into the process, whether or not there is one
    code = f"""
import importlib.util, sys
class EditableInstallOfAnotherClone:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in ("tensorgraph.ops", "tensorgraph.nn"):
            folder = {str(ROOT)!r} + "/" + name.partition(".")[2]
            return importlib.util.spec_from_file_location(
                name, folder + "/__init__.py", submodule_search_locations=[folder])
sys.meta_path.insert(0, EditableInstallOfAnotherClone)
import tensorgraph as tg, tensorgraph.nn
print(tg.__file__, tg.ops.__file__, tg.nn.__file__, tg.exp.__module__, sep="\\n")
"""
    *files, module = run(code, cwd=ROOT / "tests", root=tmp_path).splitlines()
    assert files == [str(tmp_path / name / "__init__.py") for name in FOLDERS]
    assert module.startswith("tensorgraph.ops.")


def test_importing_twice_installs_one_finder():
    from tensorgraph import _checkout

    before = list(sys.meta_path)
    _checkout.install()
    assert sys.meta_path == before


def test_tensors_and_operations_pickle():
    x = tg.tensor([1.0, 2.0], dtype="float64", requires_grad=True)
    copy = pickle.loads(pickle.dumps(x))
    assert copy.requires_grad and copy.dtype == x.dtype and copy.tolist() == [1.0, 2.0]
    assert pickle.loads(pickle.dumps(tg.exp)) is tg.exp


def test_a_spawned_process_computes():
    x = tg.tensor([0.0, 1.0], dtype="float64")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        np.testing.assert_array_equal(pool.submit(tg.exp, x).result().numpy(), np.exp([0.0, 1.0]))
