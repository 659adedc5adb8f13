"""`torch.utils`: `data`, and `checkpoint`."""

from tensorgraph.torch.doorway import doorway
from tensorgraph.torch.utils import checkpoint, data

__all__ = ["checkpoint", "data"]

__getattr__ = doorway(
    __name__,
    {
        "mobile_optimizer": "there is no mobile runtime",
        "cpp_extension": "tensorgraph.op makes an operation of a Python function",
    },
)
