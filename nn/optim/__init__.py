"""tensorgraph.nn.optim: optimisers and, in `lr_scheduler`, schedules; with PyTorch's names, settings and state."""

from tensorgraph.nn.optim import lr_scheduler
from tensorgraph.nn.optim.adam import Adam, Adamax, AdamW, Lion, NAdam, RAdam
from tensorgraph.nn.optim.adaptive import Adadelta, Adagrad, RMSprop
from tensorgraph.nn.optim.grad_scaler import GradScaler
from tensorgraph.nn.optim.lbfgs import LBFGS
from tensorgraph.nn.optim.optimizer import Optimizer
from tensorgraph.nn.optim.sgd import SGD

__all__ = ["LBFGS", "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "GradScaler", "Lion", "NAdam", "Optimizer"]
__all__ += ["RAdam", "RMSprop", "lr_scheduler"]
