"""Pooling."""
from __future__ import annotations
class Pooling:
    pass
