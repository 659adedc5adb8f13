"""tensorgraph.nn.optim: optimisers, with PyTorch's names, settings and state dicts."""

from tensorgraph.nn.optim.adaptive import Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, NAdam, RAdam, RMSprop
from tensorgraph.nn.optim.optimizer import Optimizer
from tensorgraph.nn.optim.sgd import SGD

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "NAdam", "Optimizer", "RAdam", "RMSprop"]
