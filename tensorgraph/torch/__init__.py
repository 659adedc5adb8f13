"""tensorgraph.torch: PyTorch's names and meanings, so that small PyTorch programs run with their imports changed.

    import tensorgraph.torch as torch
    import tensorgraph.torch.nn as nn
    import tensorgraph.torch.nn.functional as F

Names, no second implementation: what means the same is tensorgraph's own, what differs is a few lines in meanings.py,
making.py and methods.py. In a file that imports the front, methods of tensors have PyTorch's meaning too (doorway.py
says how); in all other files nothing changes. What is not here is an error that names it.
docs/coming-from-pytorch.md shows all of it.
"""

from math import e, inf, nan, pi

import tensorgraph as _tg
from tensorgraph import finfo, get_rng_state, iinfo, is_grad_enabled, manual_seed, set_default_device, set_rng_state
from tensorgraph.torch import functions as _functions
from tensorgraph.torch import meanings as _meanings
from tensorgraph.torch import methods as _methods
from tensorgraph.torch import kinds as _kinds
from tensorgraph.torch.doorway import doorway as _doorway
from tensorgraph.torch.doorway import inner as _inner

globals().update(_functions.table())
globals().update({name: _functions.adapted(getattr(_meanings, name)) for name in _meanings.__all__})

from tensorgraph.torch.autograd import enable_grad, inference_mode, no_grad, set_grad_enabled
from tensorgraph.torch.files import *
from tensorgraph.torch.functions import *
from tensorgraph.torch.kinds import *
from tensorgraph.torch.making import *
from tensorgraph.torch.settings import *
from tensorgraph.torch.switches import accelerator, backends, mps, version, xpu

_methods.attach(globals())

from tensorgraph.torch import amp, autograd, cuda, distributions, fft, jit, linalg, nn, optim, utils

default_generator = _tg.default_generator("cpu")
relu, sigmoid, tanh = nn.functional.relu, nn.functional.sigmoid, nn.functional.tanh
autocast = amp.autocast
newaxis = None
# dense tensors, as all are here
sparse = _inner(__name__, "sparse", mm=_functions.adapted(_tg.matmul), FloatTensor=sparse_coo_tensor)
strided = "strided"
contiguous_format = channels_last = preserve_format = None
__version__ = version.__version__

_missing = _doorway(
    __name__,
    {
        "compile": "leave it out: the model runs as it is",
        "distributed": "one process trains",
        "multiprocessing": "DataLoader(num_workers=...), or Python's multiprocessing",
        "onnx": "torch.save(model.state_dict(), 'model.safetensors') is read everywhere",
        "hub": "tensorgraph.torch.vision.models, and torch.load for the weights",
        "vmap": "operations take leading axes; tensorgraph.per_example_grad for gradients",
        "func": "tensorgraph.grad_of, jacobian, hessian, jvp, vjp",
        "profiler": "cProfile",
        "quantization": "there are no quantised tensors",
        "set_default_tensor_type": "give dtype= and device= where tensors are made",
        "stft": "torch.fft.rfft of x.unfold(-1, size, step)",
        "view_as_complex": "a + 1j * b",
    },
)


def __getattr__(name):
    """`torch.bfloat16`, for which a package is imported; and what is said of names that are not here."""
    if name != "bfloat16":
        return _missing(name)
    try:
        return _tg.bfloat16
    except _tg.MissingPackageError:
        return _kinds.bfloat16
