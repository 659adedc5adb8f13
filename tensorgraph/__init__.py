"""tensorgraph: define-by-run automatic differentiation on NumPy and CuPy.

>>> import tensorgraph as tg
>>> x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> loss = (x * x).sum()
>>> loss.backward()
>>> x.grad
tensor([2., 4., 6.], dtype=float32)
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

from tensorgraph import _checkout

_checkout.install()

from tensorgraph import backends, data, ops
from tensorgraph.array_api import (
    __array_api_version__,
    __array_namespace_info__,
    can_cast,
    e,
    finfo,
    iinfo,
    inf,
    isdtype,
    nan,
    newaxis,
    pi,
    result_type,
)
from tensorgraph.autocast import autocast
from tensorgraph.backends import get_default_device, set_default_device
from tensorgraph.backward import grad
from tensorgraph.capture import capture
from tensorgraph.check import GradcheckError, gradcheck, gradgradcheck
from tensorgraph.checkpoint import checkpoint
from tensorgraph.config_report import show_config
from tensorgraph.creation import (
    arange,
    asarray,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    linspace,
    logspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from tensorgraph.diagnostics.plan import MemoryPlan, plan
from tensorgraph.diagnostics import debug, doctor, memory_report, profile, why
from tensorgraph.drawing import Graph, draw, name
from tensorgraph.dtypes import (
    bool,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from tensorgraph.errors import (
    ArgumentError,
    AxisError,
    BackendError,
    BroadcastWarning,
    CorruptDataError,
    DivergenceError,
    DtypeError,
    GraphError,
    LinAlgError,
    MissingDataError,
    MissingPackageError,
    NonFiniteError,
    OutOfMemoryError,
    OutOfRangeError,
    ShapeError,
    StateDictError,
    TensorgraphError,
    WorkerError,
)
from tensorgraph.function import Function
from tensorgraph.generator import (
    Generator,
    default_generator,
    get_rng_state,
    manual_seed,
    set_rng_state,
)
from tensorgraph.mode import enable_grad, kernels, no_grad, set_grad_enabled
from tensorgraph.mode import recording as is_grad_enabled
from tensorgraph.num_threads import get_num_threads, set_num_threads
from tensorgraph.operation import Array, op
from tensorgraph.ops import *
from tensorgraph import cuda, fft, linalg
from tensorgraph.linalg import norm
from tensorgraph.ops import methods as _methods
from tensorgraph.tensor import Tensor

_methods.attach()

# PyTorch's names of the same functions; tensorgraph/spelling.py is the table, and a test holds the two together
cat = concatenate = concat
unsqueeze = expand_dims
movedim = moveaxis
permute = permute_dims
unbind = unstack
mm = matmul

if TYPE_CHECKING:
    from numpy import dtype as _dtype

    from tensorgraph import nn

    bfloat16: _dtype
else:

    def __getattr__(name):
        """`tensorgraph.nn` and `tensorgraph.bfloat16`, which are imported when they are first asked for."""
        if name == "bfloat16":
            return backends.bfloat16()
        if name != "nn":
            raise AttributeError(f"module 'tensorgraph' has no attribute {name!r}")
        return _import_module("tensorgraph.nn")
