"""`torch.fft`: tensorgraph.fft."""

from tensorgraph.fft import *
from tensorgraph.torch.doorway import doorway

__getattr__ = doorway(__name__)
