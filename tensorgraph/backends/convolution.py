"""Correlation in two dimensions and its two adjoints, defined in the array library's own functions.

The three form a closed family: each is linear in both of its operands, and its derivatives are the other two. A
backend's faster versions override them and must agree with these definitions.
"""
from __future__ import annotations
class Convolution:
    pass
