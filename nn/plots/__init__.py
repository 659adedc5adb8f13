"""nn.plots: pictures of what a network has learned and how it learns, drawn with matplotlib (extra `viz`).

What is computed and how it is drawn are apart: `saliency` and `occlusion` return arrays, `activations` tensors; the
functions that draw take arrays, draw into a new figure or into `ax`, and return the axes, so a script can go on with
`ax.figure.savefig("picture.png")` and a notebook shows the figure. matplotlib is imported when the first one is called.
"""

from tensorgraph.nn.plots.attribution import heat_map, occlusion, saliency
from tensorgraph.nn.plots.curves import Curves, training_curves
from tensorgraph.nn.plots.functions import activation_functions
from tensorgraph.nn.plots.gradients import gradient_flow
from tensorgraph.nn.plots.images import activation_maps, activations, filters, image_grid
from tensorgraph.nn.plots.matrix import confusion_matrix

__all__ = [
    "Curves",
    "activation_functions",
    "activation_maps",
    "activations",
    "confusion_matrix",
    "filters",
    "gradient_flow",
    "heat_map",
    "image_grid",
    "occlusion",
    "saliency",
    "training_curves",
]
