"""Makes `tensorgraph.ops` and `tensorgraph.nn` importable from a source checkout, where they lie beside this package.

Only `tensorgraph/__init__.py` imports this file. In a wheel the two folders lie inside the package and nothing
happens here; an editable install and a bare checkout need the finder. It comes first on `sys.meta_path`: an editable
finder of another clone would otherwise mix the two silently.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent
_FOLDERS = {f"tensorgraph.{name}": CHECKOUT / name for name in ("ops", "nn")}


class _CheckoutFinder:
    """Finds exactly the two packages; what lies inside them is found by Python's ordinary means."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        folder = _FOLDERS.get(name)
        if folder is None:
            return None
        return importlib.util.spec_from_file_location(
            name, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )


def install() -> None:
    """Puts the finder in place when this is a checkout; does nothing in an installed package, or the second time."""
    if (PACKAGE / "ops").is_dir() or not (CHECKOUT / "ops" / "__init__.py").is_file():
        return
    if _CheckoutFinder not in sys.meta_path:
        sys.meta_path.insert(0, _CheckoutFinder)  # pyright: ignore[reportArgumentType]
