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

from tensorgraph import backends, ops  # noqa: E402
from tensorgraph.backends import get_default_device, set_default_device
from tensorgraph.backward import grad
from tensorgraph.creation import *  # noqa: F403 - becomes an explicit list
from tensorgraph.dtypes import *  # noqa: F403
from tensorgraph.errors import *  # noqa: F403
from tensorgraph.mode import enable_grad, kernels, no_grad, set_grad_enabled
from tensorgraph.operation import Array, op
from tensorgraph.ops.elementwise import *  # noqa: F403
from tensorgraph.ops.methods import attach as _attach
from tensorgraph.tensor import Tensor

_attach()
