"""`dev.py`: sets up once, completely or not at all, and knows every command that the documents name."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

import dev

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """dev.py in an empty folder. What it would run is written down in `place.ran` and succeeds, unless in `broken`."""
    place = SimpleNamespace(root=tmp_path, ran=[], broken=())
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")

    def run_quietly(command, cwd=None):
        text = " ".join(map(str, command))
        place.ran.append(text)
        if " venv " in text:
            (tmp_path / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
            (tmp_path / ".venv" / "bin" / "python").touch()
        return SimpleNamespace(returncode=int(any(part in text for part in place.broken)), stdout="what pip said\n")

    monkeypatch.setattr(dev, "ROOT", tmp_path)
    monkeypatch.setattr(dev, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(dev, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr(dev, "STAMP", tmp_path / ".venv" / "set-up.json")
    monkeypatch.setattr(dev, "run_quietly", run_quietly)
    return place


def installed(place) -> list[str]:
    """The targets of the editable installations so far."""
    return [text.rpartition(" ")[2] for text in place.ran if " -e " in text]


def test_the_second_time_nothing_is_set_up(place):
    dev.set_up(["test"])
    assert installed(place) == [".[test]"] and any("pygraphviz" in text for text in place.ran)
    place.ran.clear()
    dev.set_up(["test"])
    dev.set_up([])
    assert place.ran == []


def test_another_task_adds_what_it_needs(place):
    dev.set_up(["test"])
    place.ran.clear()
    dev.set_up(["notebook"])
    assert installed(place) == [".[notebook,test]"] and len(place.ran) == 1
    dev.set_up(["test", "notebook"])
    assert len(place.ran) == 1


def test_a_changed_pyproject_installs_anew_into_the_same_environment(place):
    dev.set_up(["test"])
    place.ran.clear()
    (place.root / "pyproject.toml").write_text("[project]\nname = 'y'\n")
    dev.set_up([])
    assert installed(place) == [".[test]"] and len(place.ran) == 1


def test_an_interrupted_set_up_is_done_again(place, capsys):
    dev.set_up(["test"])
    place.broken = (" -e ",)
    with pytest.raises(SystemExit, match=r"what pip said\ndev\.py: this failed: .* -e"):
        dev.set_up(["demo"])
    assert not dev.STAMP.exists()
    place.broken = ()
    place.ran.clear()
    dev.set_up([])
    assert any(" venv " in text for text in place.ran) and installed(place) == ["."]


@pytest.mark.parametrize("damage", ["moved", "no python", "other python", "unreadable stamp"])
def test_a_damaged_environment_is_made_anew(place, damage, monkeypatch):
    dev.set_up(["test"])
    place.ran.clear()
    if damage == "moved":
        dev.STAMP.write_text(dev.STAMP.read_text().replace(str(place.root), "/where/it/was/before"))
    elif damage == "no python":
        dev.PYTHON.unlink()
        dev.PYTHON.symlink_to(place.root / "gone")
    elif damage == "other python":
        monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    else:
        dev.STAMP.write_text("{")
    dev.set_up(["demo"])
    assert any(" venv " in text for text in place.ran) and installed(place) == [".[demo]"]


def test_python_without_ensurepip_is_filled_by_its_own_pip(place, monkeypatch):
    run_quietly = dev.run_quietly

    def without_ensurepip(command, cwd=None):
        done = run_quietly(command, cwd)
        if "venv" in command and "--without-pip" not in command:
            return SimpleNamespace(returncode=1, stdout="ensurepip is not available\n")
        return done

    monkeypatch.setattr(dev, "run_quietly", without_ensurepip)
    dev.set_up(["test"])
    assert "--without-pip" in place.ran[1] and f"-m pip --python {dev.PYTHON} install" in place.ran[2]
    assert installed(place) == [".[test]"]

    dev.STAMP.unlink()
    place.broken = ("-m pip --python",)
    with pytest.raises(SystemExit, match="apt install python3-venv"):
        dev.set_up(["test"])


def test_an_old_python_gets_one_sentence(monkeypatch):
    ast.parse((ROOT / "dev.py").read_text(encoding="utf-8"), feature_version=(3, 7))
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    with pytest.raises(SystemExit, match=r"^tensorgraph needs Python 3\.11 or newer; this is Python 3\.9 \(.*\)$"):
        dev.main()


def test_help_names_every_task():
    done = subprocess.run([sys.executable, ROOT / "dev.py", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for name, (function, _) in dev.TASKS.items():
        assert re.search(rf"^  {name} +\S", done.stdout, re.MULTILINE) and function.__doc__


def test_an_unknown_task_is_refused():
    done = subprocess.run([sys.executable, ROOT / "dev.py", "tset"], capture_output=True, text=True)
    assert done.returncode == 2 and "tset" in done.stderr and "notebooks" in done.stderr


def test_every_command_in_the_documents_exists():
    documents = [ROOT / "README.md", ROOT / "Makefile", ROOT / ".ci" / "run", *(ROOT / "docs").rglob("*.md")]
    named = {m for path in documents for m in re.findall(r"python3? dev\.py (\w+)", path.read_text(encoding="utf-8"))}
    assert {"demo", "test"} <= named <= set(dev.TASKS)
    makefile = re.search(r"^TASKS = (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert makefile and set(makefile[1].split()) == set(dev.TASKS)


def test_the_extras_of_the_tasks_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {extra for _, extras in dev.TASKS.values() for extra in extras} <= set(project["optional-dependencies"])
    assert [line.partition(">")[0] for line in project["dependencies"]] == ["numpy"]


def test_typings_hold_the_package_as_it_is_installed(tmp_path, monkeypatch):
    files = ("tensorgraph/tensor.py", "tensorgraph/methods.pyi", "ops/shape.py", "nn/optim/sgd.py", "ops/notes.txt")
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    dev.link_typings()
    dev.link_typings()  # and again, over the old links
    links = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "typings").rglob("*.*"))
    package = "typings/tensorgraph/"
    assert links == [package + name for name in ("methods.pyi", "nn/optim/sgd.py", "ops/shape.py", "tensor.py")]
