"""`torch.optim.lr_scheduler`: tensorgraph.nn.optim.lr_scheduler."""

from tensorgraph.nn.optim import lr_scheduler as _lr_scheduler
from tensorgraph.nn.optim.lr_scheduler import *
from tensorgraph.nn.optim.lr_scheduler import LRScheduler
from tensorgraph.torch.doorway import doorway

__all__ = [*_lr_scheduler.__all__, "_LRScheduler"]

_LRScheduler = LRScheduler

__getattr__ = doorway(__name__)
