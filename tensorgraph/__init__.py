"""tensorgraph: define-by-run automatic differentiation on NumPy and CuPy.

>>> import tensorgraph as tg
>>> x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> loss = (x * x).sum()
>>> loss.backward()
>>> x.grad
tensor([2., 4., 6.], dtype=float32)
"""

from tensorgraph import _checkout

_checkout.install()

from tensorgraph import backends, data, ops  # noqa: E402
from tensorgraph.array_api import (  # noqa: E402
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
from tensorgraph.backends import get_default_device, set_default_device  # noqa: E402
from tensorgraph.backward import grad  # noqa: E402
from tensorgraph.check import GradcheckError, gradcheck, gradgradcheck  # noqa: E402
from tensorgraph.checkpoint import checkpoint  # noqa: E402
from tensorgraph.creation import (  # noqa: E402
    arange,
    asarray,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from tensorgraph.drawing import Graph, draw  # noqa: E402
from tensorgraph.dtypes import (  # noqa: E402
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
from tensorgraph.errors import (  # noqa: E402
    ArgumentError,
    AxisError,
    BackendError,
    CorruptDataError,
    DtypeError,
    GraphError,
    LinAlgError,
    MissingDataError,
    MissingPackageError,
    OutOfRangeError,
    ShapeError,
    TensorgraphError,
)
from tensorgraph.function import Function  # noqa: E402
from tensorgraph.generator import (  # noqa: E402
    Generator,
    default_generator,
    get_rng_state,
    manual_seed,
    set_rng_state,
)
from tensorgraph.mode import enable_grad, kernels, no_grad, set_grad_enabled  # noqa: E402
from tensorgraph.mode import recording as is_grad_enabled  # noqa: E402
from tensorgraph.operation import Array, op  # noqa: E402
from tensorgraph.ops import *  # noqa: E402, F403
from tensorgraph import fft, linalg  # noqa: E402
from tensorgraph.ops import methods as _methods  # noqa: E402
from tensorgraph.tensor import Tensor  # noqa: E402

_methods.attach()

