"""`torch.optim`: tensorgraph.nn.optim."""

from tensorgraph.nn import optim as _optim
from tensorgraph.nn.optim import *
from tensorgraph.torch.doorway import doorway, inner

# `from ... import lr_scheduler` would find tensorgraph.nn's, which the star above has brought
import tensorgraph.torch.optim.lr_scheduler as lr_scheduler

__all__ = [*_optim.__all__, "optimizer"]

optimizer = inner(__name__, "optimizer", Optimizer=_optim.Optimizer, ParamsT=object, required=object())

__getattr__ = doorway(
    __name__,
    {
        "SparseAdam": "optim.Adam: gradients are dense here",
        "ASGD": "optim.SGD, with nn.ExponentialMovingAverage of the weights",
        "swa_utils": "tensorgraph.nn.ExponentialMovingAverage",
    },
)
