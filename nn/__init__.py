"""tensorgraph.nn: layers, losses, initialisers, optimisers. Stands on tensorgraph.ops."""

if __name__ != "tensorgraph.nn":
    raise ImportError("this folder is imported as `tensorgraph.nn` (from tensorgraph import nn)")

from tensorgraph.nn.module import Module, Parameter, unregistered

__all__ = ["Module", "Parameter", "unregistered"]
