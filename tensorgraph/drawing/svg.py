"""A scene as SVG text. The same drawing gives the same bytes; no fonts, programs or packages are needed.

Imported by graph.py.
"""

from __future__ import annotations

import html

from tensorgraph.drawing import style
from tensorgraph.drawing.scene import Curve, Head, Rect, Scene, Text

HEADS = {
    "down": ((-3.5, -6), (3.5, -6)),
    "up": ((-3.5, 6), (3.5, 6)),
    "right": ((-6, -3.5), (-6, 3.5)),
    "left": ((6, -3.5), (6, 3.5)),
}
"""the two back corners of an arrow's head, from its tip"""


def write(scene: Scene) -> str:
    """The SVG document."""
    width, height = number(scene.width), number(scene.height)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="{style.FONT}" stroke-linecap="round" style="max-width: 100%; height: auto">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *map(_shape, scene.shapes),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def number(x: float) -> str:
    """With one digit behind the point at most."""
    text = f"{x:.1f}"
    return text[:-2] if text.endswith(".0") else text


def _shape(shape: Rect | Curve | Head | Text) -> str:
    if isinstance(shape, Rect):
        x, y, width, height, corner, fill, line, stroke, dashed, tooltip = shape
        at = f'x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
        corner = f' rx="{number(corner)}"' if corner else ""
        edge = (
            "" if line == "none" else f' stroke="{line}"' + (f' stroke-width="{number(stroke)}"' if stroke != 1 else "")
        )
        dash = ' stroke-dasharray="5 3"' if dashed else ""
        inside = f"><title>{escaped(tooltip)}</title></rect>" if tooltip else "/>"
        return f'<rect {at}{corner} fill="{fill}"{edge}{dash}{inside}'
    if isinstance(shape, Curve):
        dash = ' stroke-dasharray="4 3"' if shape.dashed else ""
        return f'<path d="{path(shape.points)}" fill="none" stroke="{shape.line}" stroke-width="{shape.stroke}"{dash}/>'
    if isinstance(shape, Head):
        (ax, ay), (bx, by) = HEADS[shape.way]
        x, y = shape.x, shape.y
        corners = f"M{number(x)} {number(y)}L{number(x + ax)} {number(y + ay)}L{number(x + bx)} {number(y + by)}Z"
        return f'<path d="{corners}" fill="{shape.fill}"/>'
    anchor = "" if shape.anchor == "start" else f' text-anchor="{shape.anchor}"'
    bold = ' font-weight="bold"' if shape.bold else ""
    halo = f' stroke="{shape.halo}" stroke-width="3" paint-order="stroke"' if shape.halo else ""
    at = f'x="{number(shape.x)}" y="{number(shape.y)}" font-size="{number(shape.size)}"'
    return f'<text {at}{anchor}{bold}{halo} fill="{shape.fill}" pointer-events="none">{escaped(shape.text)}</text>'


def path(points: tuple[tuple[float, float], ...]) -> str:
    """Two points: a straight line. Four: straight, a curve with vertical ends, straight."""
    if len(points) == 2:
        (x0, y0), (x1, y1) = points
        return f"M{number(x0)} {number(y0)}L{number(x1)} {number(y1)}"
    (x0, y0), (x1, y1), (x2, y2), (_, y3) = points
    parts = [f"M{number(x0)} {number(y0)}"]
    if abs(x1 - x2) < 0.05:
        parts.append(f"V{number(y3)}")
    else:
        middle = number((y1 + y2) / 2)
        parts += [f"V{number(y1)}"] if y1 > y0 else []
        parts.append(f"C{number(x1)} {middle} {number(x2)} {middle} {number(x2)} {number(y2)}")
        parts += [f"V{number(y3)}"] if y3 > y2 else []
    return "".join(parts)


def escaped(text: str) -> str:
    """Text that is safe in markup; what cannot be printed becomes a space."""
    return html.escape("".join(c if c.isprintable() or c == "\n" else " " for c in text))
