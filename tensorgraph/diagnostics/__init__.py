"""Explanations: debug, why, doctor, profile, memory_report, and the walk through a backward pass.

All rest on observe.py, which sees operations run while somebody looks, and costs nothing otherwise. Imports the engine.
"""

import os as _os

from tensorgraph.diagnostics.debugging import debug
from tensorgraph.diagnostics.doctor import doctor
from tensorgraph.diagnostics.memory import memory_report
from tensorgraph.diagnostics.observe import everywhere as _everywhere
from tensorgraph.diagnostics.profiling import profile
from tensorgraph.diagnostics.reasons import why

__all__ = ["debug", "doctor", "memory_report", "profile", "why"]

if _os.environ.get("TENSORGRAPH_DEBUG", "0") not in ("", "0"):
    _everywhere(debug())
