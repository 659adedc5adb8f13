"""A scene as PNG or PDF, painted by matplotlib. Imported by graph.py; matplotlib itself only when a picture is made."""

from __future__ import annotations

import importlib.util
import io
from typing import Any

from tensorgraph.drawing.scene import Curve, Head, Rect, Scene, Text
from tensorgraph.drawing.svg import HEADS

_NARROW = ("Helvetica", "Arial", "Liberation Sans", "Nimbus Sans")
_PIXELS = 30_000  # as many as a PNG may be high or wide
_POINTS = 72.0


def available() -> bool:
    """Whether there is a matplotlib."""
    return importlib.util.find_spec("matplotlib") is not None


def paint(scene: Scene, format: str) -> bytes:
    """The picture: a PNG of two pixels per unit (fewer where it would be huge), or a PDF of one point per unit."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import fontManager

    here = {font.name for font in fontManager.ttflist}
    family = next((font for font in _NARROW if font in here), "DejaVu Sans")
    size = 1.0 if family in _NARROW else 0.88  # DejaVu, which comes with matplotlib, is wider than what was measured
    with matplotlib.rc_context({"font.family": family, "pdf.fonttype": 42}):
        figure = Figure(figsize=(scene.width / _POINTS, scene.height / _POINTS))
        FigureCanvasAgg(figure)
        axes: Any = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, scene.width)
        axes.set_ylim(scene.height, 0)
        axes.axis("off")
        for i, shape in enumerate(scene.shapes):
            axes.add_artist(_artist(shape, i, size))
        out = io.BytesIO()
        scale = min(2.0, _PIXELS / max(scene.width, scene.height))
        figure.savefig(out, format=format, dpi=_POINTS * scale, facecolor="white", metadata=_METADATA[format])
    return out.getvalue()


_METADATA = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Creator": None, "Producer": None}}


def _artist(shape: Any, z: int, size: float) -> Any:
    from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
    from matplotlib.path import Path
    from matplotlib.patheffects import withStroke
    from matplotlib.text import Text as Label

    if isinstance(shape, Rect):
        corner = min(shape.round, shape.width / 2, shape.height / 2)
        return FancyBboxPatch(
            (shape.x, shape.y),
            shape.width,
            shape.height,
            boxstyle=f"round,pad=0,rounding_size={corner}" if corner else "square,pad=0",
            facecolor=shape.fill,
            edgecolor=shape.line,
            linewidth=shape.stroke,
            linestyle=(0, (5, 3)) if shape.dashed else "-",
            zorder=z,
        )
    if isinstance(shape, Curve):
        points, codes = list(shape.points), [Path.MOVETO, Path.LINETO]
        if len(points) == 4:
            (_, _), (x1, y1), (x2, y2), (_, _) = points
            middle = (y1 + y2) / 2
            points[2:2] = [(x1, middle), (x2, middle)]
            codes = [Path.MOVETO, Path.LINETO, Path.CURVE4, Path.CURVE4, Path.CURVE4, Path.LINETO]
        return PathPatch(
            Path(points, codes),
            facecolor="none",
            edgecolor=shape.line,
            linewidth=shape.stroke,
            linestyle=(0, (4, 3)) if shape.dashed else "-",
            zorder=z,
        )
    if isinstance(shape, Head):
        corners = [(shape.x, shape.y), *((shape.x + dx, shape.y + dy) for dx, dy in HEADS[shape.way])]
        return Polygon(corners, closed=True, facecolor=shape.fill, edgecolor="none", zorder=z)
    assert isinstance(shape, Text)
    label = Label(
        shape.x,
        shape.y,
        shape.text.replace("$", r"\$"),
        fontsize=shape.size * size,
        color=shape.fill,
        fontweight="bold" if shape.bold else "normal",
        ha={"start": "left", "middle": "center", "end": "right"}[shape.anchor],
        va="baseline",
        zorder=z,
    )
    if shape.halo:
        label.set_path_effects([withStroke(linewidth=3, foreground=shape.halo)])
    return label
