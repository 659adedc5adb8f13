"""`torch.nn.parameter`."""

from tensorgraph.nn import Parameter
from tensorgraph.torch.doorway import doorway

__all__ = ["Parameter"]

__getattr__ = doorway(__name__)
