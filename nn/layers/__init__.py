"""tensorgraph.nn.layers: one file per subject. A layer holds parameters and settings; what it computes is an operation.

Constructor arguments, weight shapes, state-dict keys, default initialisation and repr are PyTorch's.
"""

from tensorgraph.nn.layers import (
    activation,
    attention,
    conv,
    dropout,
    embedding,
    lazy,
    linear,
    norm,
    pool,
    recurrent,
    reshape,
    transformer,
)
from tensorgraph.nn.layers.activation import *
from tensorgraph.nn.layers.attention import *
from tensorgraph.nn.layers.conv import *
from tensorgraph.nn.layers.dropout import *
from tensorgraph.nn.layers.embedding import *
from tensorgraph.nn.layers.lazy import *
from tensorgraph.nn.layers.linear import *
from tensorgraph.nn.layers.norm import *
from tensorgraph.nn.layers.pool import *
from tensorgraph.nn.layers.recurrent import *
from tensorgraph.nn.layers.reshape import *
from tensorgraph.nn.layers.transformer import *

__all__: list[str] = []
__all__ += activation.__all__
__all__ += attention.__all__
__all__ += conv.__all__
__all__ += dropout.__all__
__all__ += embedding.__all__
__all__ += lazy.__all__
__all__ += linear.__all__
__all__ += norm.__all__
__all__ += pool.__all__
__all__ += recurrent.__all__
__all__ += reshape.__all__
__all__ += transformer.__all__
