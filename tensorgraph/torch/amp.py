"""`torch.amp`, also as `torch.cuda.amp`: mixed precision. What it would do in half precision is done in float32."""

from __future__ import annotations

import contextlib
from typing import Any

from tensorgraph.torch.doorway import doorway

__all__ = ["GradScaler", "autocast"]


class autocast(contextlib.ContextDecorator):
    """Accepted as a block and as a decorator: inside it operations keep the dtype of their operands."""

    def __init__(self, device_type: Any = "cuda", dtype: Any = None, enabled: bool = True, cache_enabled: Any = None):
        self.enabled = enabled

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *exc_info: object) -> None: ...


class GradScaler:
    """Scales nothing: gradients in float32 do not underflow."""

    def __init__(self, *settings: Any, enabled: bool = True, **named: Any):
        self._enabled = enabled

    def scale(self, outputs: Any) -> Any:
        """The loss as it is."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Nothing to undo."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """optimizer.step()."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Nothing to change."""

    def get_scale(self) -> float:
        """1."""
        return 1.0

    def is_enabled(self) -> bool:
        """False."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def load_state_dict(self, state_dict: Any) -> None:
        """Accepted."""


__getattr__ = doorway(__name__)
