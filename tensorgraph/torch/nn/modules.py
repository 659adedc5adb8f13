"""`torch.nn.modules`: the layers once more, with the few inner names that programs import from there."""

from typing import Any

from tensorgraph import nn as _nn
from tensorgraph.nn import *
from tensorgraph.nn.layers.norm import _BatchNorm
from tensorgraph.torch.doorway import doorway, inner

__all__ = [name for name in _nn.__all__ if name not in ("load", "save")]


def _times(n: int) -> Any:
    return lambda value: tuple(value) if isinstance(value, (tuple, list)) else (value,) * n


utils = inner(__name__, "utils", _single=_times(1), _pair=_times(2), _triple=_times(3), _quadruple=_times(4))
batchnorm = inner(
    __name__,
    "batchnorm",
    _BatchNorm=_BatchNorm,
    **{f"BatchNorm{n}d": getattr(_nn, f"BatchNorm{n}d") for n in (1, 2, 3)},
)
module = inner(__name__, "module", Module=_nn.Module)
loss = inner(__name__, "loss", _Loss=_nn.losses._Loss, **{name: getattr(_nn, name) for name in _nn.losses.__all__})

__getattr__ = doorway(__name__)
