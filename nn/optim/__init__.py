"""tensorgraph.nn.optim: optimisers and learning-rate schedules, with PyTorch's names and meanings."""

from tensorgraph.nn.optim.optimizer import Optimizer
from tensorgraph.nn.optim.sgd import SGD

__all__ = ["SGD", "Optimizer"]
