"""tensorgraph.ops: the mathematics. One function per operation, its backward rule under it.

A file imports only files above it in this list. `__all__` is what stands in the name space `tensorgraph` too; linear
algebra and Fourier transforms stand in `tensorgraph.linalg` and `tensorgraph.fft`.
"""

if __name__ != "tensorgraph.ops":
    raise ImportError("this folder is imported as `tensorgraph.ops` (from tensorgraph import ops)")

from tensorgraph.ops.transfer import *
from tensorgraph.ops.elementwise import *
from tensorgraph.ops.complex import *
from tensorgraph.ops.logic import *
from tensorgraph.ops.trig import *
from tensorgraph.ops.rounding import *
from tensorgraph.ops.index import *
from tensorgraph.ops.shape import *
from tensorgraph.ops.join import *
from tensorgraph.ops.move import *
from tensorgraph.ops.reduce import *
from tensorgraph.ops.diagonals import *
from tensorgraph.ops.scan import *
from tensorgraph.ops.order import *
from tensorgraph.ops.gathering import *
from tensorgraph.ops.sets import *
from tensorgraph.ops.special import *
from tensorgraph.ops.random import *
from tensorgraph.ops.activation import *
from tensorgraph.ops.softmax import *
from tensorgraph.ops.matmul import *
from tensorgraph.ops.contraction import *
from tensorgraph.ops.statistics import *
from tensorgraph.ops import systems, decompose, spectrum, fourier
from tensorgraph.ops.conv import *
from tensorgraph.ops.pool import *
from tensorgraph.ops.resize import *
from tensorgraph.ops.grid import *
from tensorgraph.ops.normalization import *
from tensorgraph.ops.attention import *
from tensorgraph.ops.recurrent import *
from tensorgraph.ops.loss import *
from tensorgraph.ops.cross_entropy import *
from tensorgraph.ops.similarity import *
from tensorgraph.ops.ctc import *
from tensorgraph.ops.derivatives import *
from tensorgraph.ops.numpy_protocol import from_dlpack
from tensorgraph.ops import precision

# without the files themselves, some of which have the name of a function
__all__ = [name for name, value in globals().items() if callable(value)]  # pyright: ignore[reportUnsupportedDunderAll]
