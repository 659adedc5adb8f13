"""tensorgraph.nn: layers, losses, initialisers, optimisers. Stands on tensorgraph.ops."""

if __name__ != "tensorgraph.nn":
    raise ImportError("this folder is imported as `tensorgraph.nn` (from tensorgraph import nn)")

from tensorgraph.nn import functional, init, optim
from tensorgraph.nn.containers import *
from tensorgraph.nn.layers import *
from tensorgraph.nn.module import Module, Parameter, unregistered
from tensorgraph.nn.serialize import load, save
