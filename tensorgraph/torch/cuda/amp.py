"""`torch.cuda.amp`: `torch.amp`."""

from tensorgraph.torch.amp import *
from tensorgraph.torch.doorway import doorway

__all__ = ["GradScaler", "autocast"]

__getattr__ = doorway(__name__)
