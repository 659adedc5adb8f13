"""Colours and outlines of the kinds of boxes, in one place for DOT, SVG and the page. Imports nothing.

Colour never says anything alone: operations are rounded, parameters are square, inputs are pills, leaves are pills with
a double line, a folded module has a heavy line, the result is filled dark, a failed operation has a broken line.
"""

from __future__ import annotations

from typing import NamedTuple

FONT = "Helvetica, Arial, sans-serif"
INK, GREY, LINE, GRADIENT = "#1d2733", "#5f6b7a", "#7a8694", "#b5482a"
FRAMES = ("#f6f8fa", "#edf1f6")  # the fill of clusters, by turns
FRAME_LINE = "#c3ccd7"


class Style(NamedTuple):
    """How boxes of one kind look: `round` is 0 square, 1 rounded, 2 a pill."""

    fill: str
    line: str
    round: int
    width: float = 1.0
    dashed: bool = False
    double: bool = False


STYLES = {
    "operation": Style("#ffffff", "#8d99a8", 1),
    "module": Style("#e3eaf3", "#5d6f88", 1, 1.8),
    "parameter": Style("#fdefd3", "#c98f1d", 0),
    "leaf": Style("#fdefd3", "#c98f1d", 2, double=True),
    "input": Style("#ddebf7", "#4a86b8", 2),
    "failed": Style("#fbe3de", "#b3261e", 1, 2.2, dashed=True),
}
RESULT = Style("#1f4e79", "#1f4e79", 1)
