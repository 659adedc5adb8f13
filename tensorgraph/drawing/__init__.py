"""tensorgraph.drawing: the recorded graph as a picture. `tg.draw(loss)` and `loss.graph()` come from here.

walk.py turns nodes into vertices, edges and clusters, dot.py writes those as DOT text, render.py makes SVG, PNG and PDF
of the text with whatever Graphviz there is, graph.py holds the object that a user gets. Reads the engine's nodes and
provenance; the engine itself never needs it.
"""

from tensorgraph.drawing.graph import Graph, draw

__all__ = ["Graph", "draw"]
