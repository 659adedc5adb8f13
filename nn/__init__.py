"""tensorgraph.nn: layers, losses, initialisers, optimisers. Stands on tensorgraph.ops.

Names, arguments, weight shapes and state-dict keys are PyTorch's. `nn.functional` has the same as functions, `nn.init`
the initialisers, `nn.optim` the optimisers, `nn.models` the named networks, `nn.weights` the readers of foreign files,
`nn.parametrize` weights that are computed from others, `nn.train` the training loop with its tools,
`nn.plots` pictures of filters, activations, gradients and curves.
"""

if __name__ != "tensorgraph.nn":
    raise ImportError("this folder is imported as `tensorgraph.nn` (from tensorgraph import nn)")

from tensorgraph.nn import (
    containers,
    functional,
    init,
    layers,
    losses,
    models,
    optim,
    parametrize,
    plots,
    train,
    weights,
)
from tensorgraph.nn.clip import clip_grad_norm_, clip_grad_value_, clip_weight_norm_
from tensorgraph.nn.containers import *
from tensorgraph.nn.ema import ExponentialMovingAverage
from tensorgraph.nn.layers import *
from tensorgraph.nn.losses import *
from tensorgraph.nn.module import Module, Parameter, unregistered
from tensorgraph.nn.serialize import load, save
from tensorgraph.nn.summary import Summary, summary

__all__ = [
    "ExponentialMovingAverage",
    "Module",
    "Parameter",
    "Summary",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_weight_norm_",
    "functional",
    "init",
    "load",
    "models",
    "optim",
    "parametrize",
    "plots",
    "save",
    "summary",
    "train",
    "unregistered",
    "weights",
]
__all__ += containers.__all__
__all__ += layers.__all__
__all__ += losses.__all__
