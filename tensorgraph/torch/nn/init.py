"""`torch.nn.init`: tensorgraph.nn.init, and the names without underscore of old programs."""

from tensorgraph.nn import init as _init
from tensorgraph.nn.init import *
from tensorgraph.torch.doorway import doorway

__all__ = [*_init.__all__]

for _name in [name for name in _init.__all__ if name.endswith("_")]:
    globals()[_name.removesuffix("_")] = getattr(_init, _name)

__getattr__ = doorway(__name__)
