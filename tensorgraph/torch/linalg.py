"""`torch.linalg`: tensorgraph.linalg."""

from tensorgraph.linalg import *
from tensorgraph.torch.doorway import doorway

__getattr__ = doorway(__name__)
