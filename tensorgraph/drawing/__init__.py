"""tensorgraph.drawing: the recorded graph as a picture. `tg.draw(loss)` and `loss.graph()` come from here.

walk.py turns nodes into the vertices, edges and clusters of model.py, measure.py adds numbers, repeat.py rolls up what
comes again. rows.py and place.py lay that out, scene.py makes shapes of it, svg.py and raster.py paint them; page.py
writes the page that folds and unfolds; dot.py writes DOT text, of which render.py makes pictures where there is a
Graphviz. graph.py holds the object that a user gets. All this reads the engine's nodes and provenance; the engine
never needs it.
"""

from tensorgraph.drawing.graph import Graph, draw, draw_failure
from tensorgraph.drawing.names import name

__all__ = ["Graph", "draw", "draw_failure", "name"]
