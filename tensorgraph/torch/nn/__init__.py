"""`torch.nn`: tensorgraph.nn, and the few names and arguments that only PyTorch's programs use."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from tensorgraph import nn as _nn
from tensorgraph.nn import *
from tensorgraph.torch.doorway import doorway, inner
from tensorgraph.torch.nn.legacy import with_legacy_arguments

# `from ... import functional` would find tensorgraph.nn's, which the star above has brought
import tensorgraph.torch.nn.functional as functional
import tensorgraph.torch.nn.init as init
import tensorgraph.torch.nn.modules as modules
import tensorgraph.torch.nn.parameter as parameter
import tensorgraph.torch.nn.utils as utils

for _name in ("load", "save", "models", "optim", "parametrize", "plots", "sklearn", "train", "weights"):
    globals().pop(_name, None)  # they are tensorgraph's, and not found here in PyTorch
__all__ = [_name for _name in _nn.__all__ if _name in globals()]
__all__ += ["DataParallel", "Parameter", "functional", "init", "modules", "parameter", "utils"]

for _name in _nn.losses.__all__:
    globals()[_name] = with_legacy_arguments(getattr(_nn, _name))


class DataParallel(Module):
    """Calls the module that it wraps, which is `.module`: one device works. State-dict names begin with "module."."""

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0):
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)


def data_parallel(module: Module, inputs: Any, device_ids: Any = None, *args: Any, **kwargs: Any) -> Any:
    """module(inputs): one device works."""
    return module(*inputs) if isinstance(inputs, tuple) else module(inputs)


parallel = inner(__name__, "parallel", DataParallel=DataParallel, data_parallel=data_parallel)

# What programs read of a module's inside. They are views: modules are what their attributes say.
Module._modules = property(  # pyright: ignore[reportAttributeAccessIssue]
    lambda self: MappingProxyType({k: v for k, v in vars(self).items() if isinstance(v, Module)})
)
Module._parameters = property(  # pyright: ignore[reportAttributeAccessIssue]
    lambda self: MappingProxyType(dict(self._own_parameters()))
)

_recurrent = (_nn.RNN, _nn.LSTM, _nn.GRU)
for _one in _recurrent:
    setattr(_one, "_flat_weights_names", property(lambda self: [name for name, _ in self._own_parameters()]))  # noqa: B010

__getattr__ = doorway(
    __name__,
    {
        "EmbeddingBag": "nn.Embedding(...)(x).mean(1)",
        "quantized": "there are no quantised tensors",
        "SyncBatchNorm": "nn.BatchNorm2d: one device works",
    },
)
