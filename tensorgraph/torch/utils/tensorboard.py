"""`torch.utils.tensorboard`: curves for TensorBoard, written by `tensorgraph.nn.train.TensorBoardLog`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensorgraph.nn.train import TensorBoardLog
from tensorgraph.torch.doorway import doorway

__all__ = ["SummaryWriter"]


class SummaryWriter:
    """Writes scalars. Raises MissingPackageError without the package tensorboard (extra `train`)."""

    def __init__(self, log_dir: Any = None, *args: Any, **settings: Any):
        self.log_dir = str(log_dir or "runs")
        self._log = TensorBoardLog(self.log_dir)

    def add_scalar(self, tag: str, scalar_value: Any, global_step: Any = None, *args: Any, **settings: Any) -> None:
        """A point of one curve."""
        self._log.write(global_step or 0, **{tag: float(scalar_value)})

    def add_scalars(self, main_tag: str, tag_scalar_dict: Mapping[str, Any], global_step: Any = None) -> None:
        """A point of each of several curves."""
        self._log.write(global_step or 0, **{f"{main_tag}/{tag}": float(v) for tag, v in tag_scalar_dict.items()})

    def flush(self) -> None:
        """Writes out what is waiting."""
        self._log.close()

    close = flush

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"SummaryWriter of tensorgraph has no {name}; it writes scalars", name=name, obj=self)


__getattr__ = doorway(__name__)
