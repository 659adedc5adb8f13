"""tensorgraph.nn.train: training with comfort. `Trainer` and callbacks; each tool also works in a loop of your own.

Checkpoints that go on bit for bit (`save_checkpoint`, `load_checkpoint`, `Checkpoint`), metrics that stream, records
(`History`, `CSVLog`, `TensorBoardLog`), `lr_find`, `overfit`, `StabilityGuard`. docs/training.md shows all of them.
"""

from tensorgraph.nn.train.callback import Best, Callback
from tensorgraph.nn.train.callbacks import EMA, ClipGradients, EarlyStopping, LRSchedule
from tensorgraph.nn.train.checkpoint import (
    get_random_state,
    kept,
    load_checkpoint,
    save_checkpoint,
    set_random_state,
)
from tensorgraph.nn.train.guard import StabilityGuard, UpdateRatio, first_nonfinite
from tensorgraph.nn.train.logs import CSVLog, History, TensorBoardLog
from tensorgraph.nn.train.lr_finder import LRCurve, lr_find
from tensorgraph.nn.train.metrics import (
    Accuracy,
    ConfusionMatrix,
    Mean,
    MeanAbsoluteError,
    MeanSquaredError,
    Metric,
    TopK,
)
from tensorgraph.nn.train.overfitting import OverfitReport, overfit
from tensorgraph.nn.train.progress_bar import ProgressBar, progress
from tensorgraph.nn.train.saving import Checkpoint
from tensorgraph.nn.train.trainer import Trainer

__all__ = [
    "Accuracy",
    "Best",
    "CSVLog",
    "Callback",
    "Checkpoint",
    "ClipGradients",
    "ConfusionMatrix",
    "EMA",
    "EarlyStopping",
    "History",
    "LRCurve",
    "LRSchedule",
    "Mean",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "OverfitReport",
    "ProgressBar",
    "StabilityGuard",
    "TensorBoardLog",
    "TopK",
    "Trainer",
    "UpdateRatio",
    "first_nonfinite",
    "get_random_state",
    "kept",
    "load_checkpoint",
    "lr_find",
    "overfit",
    "progress",
    "save_checkpoint",
    "set_random_state",
]
