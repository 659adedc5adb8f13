"""Fast kernels of the CPU backend in NumPy, threads and BLAS. Imported by `backends/numpy.py` only.

Every kernel overrides a definition of `backends/` and agrees with it: inside `kernels(False)`, or where a kernel does
not suit the operands, the definition runs. A class here can be taken out of the bases of `NumpyBackend`, or stand
before another that is faster still, and nothing else changes.
"""

from tensorgraph.backends.numpy_kernels.convolution import FastConvolution
from tensorgraph.backends.numpy_kernels.pooling import FastPooling
from tensorgraph.backends.numpy_kernels.products import FastLinear
from tensorgraph.backends.numpy_kernels.sums import FastReduction
from tensorgraph.backends.numpy_kernels.updates import FastUpdates

__all__ = ["FastConvolution", "FastLinear", "FastPooling", "FastReduction", "FastUpdates"]
