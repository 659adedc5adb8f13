#!/usr/bin/env python3
"""Sets everything up and runs one task: `python3 dev.py TASK [arguments of the task]`.

Needs Python 3.11 or newer and nothing else. Makes `.venv`, installs the project there in editable mode with what the
task needs, and skips all that next time. Remove `.venv` to start afresh.
"""

# Standard library only, and no syntax that an older Python cannot read: it has to get as far as its one clear sentence.
import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "set-up.json"
TASKS = {}


def task(*extras):
    """Makes a function a task that needs these extras of pyproject.toml; its docstring is the help."""

    def add(function):
        TASKS[function.__name__] = (function, extras)
        return function

    return add


# ---- the tasks -------------------------------------------------------------------------------------------------------
@task("demo")
def demo(arguments):
    """train a LeNet on real handwritten digits, results in out/; `demo --help` lists its arguments"""
    return python("examples/demo.py", *arguments)


@task("test")
def test(arguments):
    """the test suite on all cores; with arguments: pytest with exactly these"""
    return pytest(*(arguments or ["-q", "-n", cores()]))


@task("test", "peers", "gpu-check", "gpu-compile")
def peers(arguments):
    """the tests that ask PyTorch, CuPy's signatures and NVIDIA's compiler; installs all three (no GPU needed)"""
    return pytest("-q", "-n", cores(), "-m", "peers", *arguments)


@task("bench")
def bench(arguments):
    """the benchmarks, beside the other engines; with arguments: one file of benchmarks/, and its own arguments"""
    if arguments:
        return python("benchmarks/%s.py" % arguments[0], *arguments[1:])
    return max(python(path) for path in sorted((ROOT / "benchmarks").glob("[!_]*.py")))


@task("notebook")
def notebooks(arguments):
    """run the notebooks and write their outputs; `--check` runs them and writes nothing"""
    return python("notebooks/run.py", *arguments)


@task("test")
def docs(arguments):
    """write docs/operations.md from the docstrings, then run the examples of all pages and docstrings"""
    return python("docs/generate.py") or pytest("-q", "tests/test_docs_run.py", *arguments)


@task("dev")
def lint(arguments):
    """ruff over everything: mistakes and layout; `--fix` mends what it can"""
    layout = [] if "--fix" in arguments else ["--check"]
    return python("-m", "ruff", "check", *arguments, ".") or python("-m", "ruff", "format", *layout, ".")


@task("notebook", "dev", "gpu-check")
def types(arguments):
    """pyright over everything but the tests, which are wrong on purpose"""
    link_typings()
    return python("-m", "pyright", "--pythonpath", PYTHON, *arguments)


@task()
def stubs(arguments):
    """write tensorgraph/methods.pyi: the methods of Tensor, as type checkers see them"""
    return python("-m", "tests.methods_stub", *arguments)


@task("dev")
def wheel(arguments):
    """build sdist and wheel into dist/, then try the wheel where nothing else lies"""
    for stale in ("build", "dist"):
        shutil.rmtree(ROOT / stale, ignore_errors=True)
    step("building sdist and wheel", [PYTHON, "-m", "build", "--outdir", "dist", *arguments])
    (built,) = (ROOT / "dist").glob("*.whl")
    with tempfile.TemporaryDirectory() as empty:
        fresh = Path(empty, "venv")
        make_venv(fresh)
        inside = fresh / PYTHON.relative_to(VENV)
        step("installing " + built.name, [inside, "-m", "pip", "install", "-q", built])
        step("trying it", [inside, "-I", ROOT / "tests" / "installed.py"], cwd=empty)
    return 0


def python(*arguments):
    """Runs the Python of .venv in the repository; returns its exit status."""
    return subprocess.run([str(PYTHON), *map(str, arguments)], cwd=ROOT).returncode


def pytest(*arguments):
    # one thread of linear algebra for each test process: more of them only fight over the cores
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    return python("-m", "pytest", *arguments)


def cores():
    """Processes for the tests; with more than 8 the start costs more than it saves."""
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def link_typings():
    """typings/tensorgraph: the package as it will be installed, made of links; where pyright and mypy look."""
    shutil.rmtree(ROOT / "typings", ignore_errors=True)
    for folder, place in (("tensorgraph", ""), ("ops", "ops"), ("nn", "nn")):
        for file in (ROOT / folder).rglob("*.py*"):
            if file.suffix in (".py", ".pyi"):
                link = ROOT / "typings" / "tensorgraph" / place / file.relative_to(ROOT / folder)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(file)


# ---- set-up ----------------------------------------------------------------------------------------------------------
def set_up(extras):
    """Brings .venv to where it holds the project and `extras`; does nothing when the stamp says that it does."""
    now = {
        "path": str(ROOT),
        "python": "%d.%d" % sys.version_info[:2],
        "pyproject": hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest(),
    }
    stamp = read_stamp()
    keep = PYTHON.exists() and all(stamp.get(key) == now[key] for key in ("path", "python"))
    have = set(stamp["extras"]) if keep else set()
    if keep and stamp["pyproject"] == now["pyproject"] and have.issuperset(extras):
        return
    if keep:
        STAMP.unlink()  # an interrupted set-up leaves none
    else:
        say("making .venv with Python " + now["python"])
        make_venv(VENV)
        # Graphviz where the `dot` program is missing. Never compiled: without a ready-made wheel we do without.
        command = [PYTHON, "-m", "pip", "install", "-q", "--only-binary", ":all:", "pygraphviz"]
        if run_quietly(command).returncode:
            say("no ready-made pygraphviz for this system: Graphviz's own layout of graphs needs its program `dot`")
    extras = sorted(have.union(extras))
    target = ".[%s]" % ",".join(extras) if extras else "."
    step("installing the project and what it needs: " + target, [PYTHON, "-m", "pip", "install", "-q", "-e", target])
    STAMP.write_text(json.dumps(dict(now, extras=extras)))


def read_stamp():
    try:
        return json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}


def make_venv(folder):
    """A virtual environment with pip, also where Debian left `ensurepip` out of Python."""
    command = [sys.executable, "-m", "venv", "--clear", folder]
    complete = run_quietly(command)
    if complete.returncode == 0:
        return
    bare = run_quietly([*command, "--without-pip"])
    inside = folder / PYTHON.relative_to(VENV)
    pip = [sys.executable, "-m", "pip", "--python", inside, "install", "-q", "pip"]
    if bare.returncode or run_quietly(pip).returncode:
        sys.exit(
            complete.stdout + "This Python can neither make a complete virtual environment nor fill one by a pip of "
            "its own.\nOn Debian and Ubuntu: sudo apt install python3-venv. Then try again."
        )


def say(what):
    print("dev.py: " + what, file=sys.stderr, flush=True)


def step(what, command, cwd: "Path | str" = ROOT):
    """Says one line and runs a command; its output is shown only when it fails, which ends everything."""
    say(what)
    done = run_quietly(command, cwd)
    if done.returncode:
        sys.exit("%s\ndev.py: this failed: %s" % (done.stdout.rstrip(), " ".join(map(str, command))))


def run_quietly(command, cwd: "Path | str" = ROOT):
    # a user's settings for pip at large ("--user", "only inside a virtual environment") have no meaning for .venv
    pip = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=dict(os.environ, **pip),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def main():
    if sys.version_info < (3, 11):
        this = "%d.%d (%s)" % (sys.version_info[0], sys.version_info[1], sys.executable)
        sys.exit("tensorgraph needs Python 3.11 or newer; this is Python " + this)
    lines = ["  %-11s %s" % (name, function.__doc__) for name, (function, _) in TASKS.items()]
    parser = argparse.ArgumentParser(
        usage="python3 dev.py TASK [arguments of the task]",
        description=(__doc__ or "").partition("\n\n")[2],
        epilog="\n".join(["tasks:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("task", choices=TASKS, metavar="TASK", help="one of those below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    function, extras = TASKS[chosen.task]
    try:
        set_up(extras)
        sys.exit(function(chosen.arguments))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
