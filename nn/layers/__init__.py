"""tensorgraph.nn.layers: one file per subject. A layer holds parameters and settings; what it computes is an operation.

Constructor arguments, weight shapes, state-dict keys, default initialisation and repr are PyTorch's.
"""

from tensorgraph.nn.layers.activation import *  # noqa: F403
from tensorgraph.nn.layers.conv import *  # noqa: F403
from tensorgraph.nn.layers.dropout import *  # noqa: F403
from tensorgraph.nn.layers.embedding import *  # noqa: F403
from tensorgraph.nn.layers.linear import *  # noqa: F403
from tensorgraph.nn.layers.norm import *  # noqa: F403
from tensorgraph.nn.layers.pool import *  # noqa: F403
from tensorgraph.nn.layers.reshape import *  # noqa: F403
