"""tensorgraph.ops: the mathematics. One function per operation, its backward rule under it.

A file imports only files above it in this list.
"""

if __name__ != "tensorgraph.ops":
    raise ImportError("this folder is imported as `tensorgraph.ops` (from tensorgraph import ops)")

from tensorgraph.ops.transfer import *  # noqa: F403
from tensorgraph.ops.elementwise import *  # noqa: F403
from tensorgraph.ops.complex import *  # noqa: F403
from tensorgraph.ops.logic import *  # noqa: F403
from tensorgraph.ops.trig import *  # noqa: F403
from tensorgraph.ops.rounding import *  # noqa: F403
from tensorgraph.ops.index import *  # noqa: F403
from tensorgraph.ops.shape import *  # noqa: F403
from tensorgraph.ops.join import *  # noqa: F403
from tensorgraph.ops.move import *  # noqa: F403
from tensorgraph.ops.reduce import *  # noqa: F403
from tensorgraph.ops.diagonal import *  # noqa: F403
from tensorgraph.ops.gather import *  # noqa: F403
from tensorgraph.ops.scan import *  # noqa: F403
from tensorgraph.ops.sort import *  # noqa: F403
from tensorgraph.ops.sets import *  # noqa: F403
from tensorgraph.ops.special import *  # noqa: F403
from tensorgraph.ops.random import *  # noqa: F403
from tensorgraph.ops.activation import *  # noqa: F403
from tensorgraph.ops.softmax import *  # noqa: F403
from tensorgraph.ops.matmul import *  # noqa: F403
from tensorgraph.ops.einsum import *  # noqa: F403
from tensorgraph.ops import systems, decompose, spectrum, fourier  # noqa: F401 - handed out by tensorgraph.linalg, .fft
from tensorgraph.ops.conv import *  # noqa: F403
from tensorgraph.ops.pool import *  # noqa: F403
from tensorgraph.ops.resize import *  # noqa: F403
from tensorgraph.ops.norm import *  # noqa: F403
from tensorgraph.ops.attention import *  # noqa: F403
from tensorgraph.ops.loss import *  # noqa: F403
from tensorgraph.ops.cross_entropy import *  # noqa: F403
from tensorgraph.ops.similarity import *  # noqa: F403
from tensorgraph.ops.ctc import *  # noqa: F403
from tensorgraph.ops.derivatives import *  # noqa: F403
from tensorgraph.ops.numpy_protocol import from_dlpack  # noqa: F401
