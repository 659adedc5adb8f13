"""The device `"meta"`: arrays that have a shape, a dtype, strides and a place in memory, but no numbers.

Programs run on it in the time that Python takes, whatever the sizes; `diagnostics/plan.py` counts memory with it.
Imported by `backends/__init__.py` when the device is asked for.
"""

from tensorgraph.backends.meta.array import MetaArray
from tensorgraph.backends.meta.backend import MetaBackend, get
from tensorgraph.backends.meta.ledger import Entry, Ledger

__all__ = ["Entry", "Ledger", "MetaArray", "MetaBackend", "get"]
