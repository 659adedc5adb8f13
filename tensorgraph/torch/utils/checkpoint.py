"""`torch.utils.checkpoint`: computing a part of the forward pass again instead of keeping what it needs."""

from typing import Any

import tensorgraph as tg
from tensorgraph.torch.doorway import doorway

__all__ = ["checkpoint"]


def checkpoint(function: Any, *args: Any, use_reentrant: Any = None, **kwargs: Any) -> Any:
    """function(*args), whose intermediate results are computed again in the backward pass."""
    return tg.checkpoint(function, *args, **kwargs)


__getattr__ = doorway(__name__)
