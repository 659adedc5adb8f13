"""Runs the notebooks of this folder and writes their outputs into them; `--check` runs them and writes nothing.

    python3 dev.py notebooks [--check] [name ...]

What is written is the same from run to run: no times, no kernel versions, cells numbered instead of random ids.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

FOLDER = Path(__file__).resolve().parent
os.environ["TENSORGRAPH_COMPILED"] = "0"  # compiled kernels round otherwise, and say once that they are being compiled


def run(path: Path) -> nbformat.NotebookNode:
    """The notebook, executed in its folder by this Python."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i}"
    with tempfile.TemporaryDirectory() as folder:
        config = Config()
        if os.name != "nt":  # sockets in a folder of our own, no network ports that others on the machine could talk to
            config.KernelManager.transport, config.KernelManager.ip = "ipc", str(Path(folder, "kernel"))
        place = {"metadata": {"path": str(FOLDER)}}
        client = NotebookClient(
            notebook, config=config, kernel_name="python3", timeout=600, record_timing=False, resources=place
        )
        client.execute()
    notebook.metadata.pop("language_info", None)
    return notebook


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py notebooks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("names", nargs="*", help="only these (default: all)")
    chosen = parser.parse_args()
    names = {Path(name).stem for name in chosen.names}
    failed = 0
    for path in sorted(FOLDER.glob("*.ipynb")):
        if names and path.stem not in names:
            continue
        started = time.perf_counter()
        try:
            notebook = run(path)
        except CellExecutionError as error:
            print(f"{path.name}: {error}", file=sys.stderr)
            failed += 1
            continue
        if not chosen.check:
            nbformat.write(notebook, path)
        print(f"{path.name}: {time.perf_counter() - started:.1f} s")
    return failed


if __name__ == "__main__":
    sys.exit(main())
