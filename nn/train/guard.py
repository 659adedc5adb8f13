"""Is the training healthy? `StabilityGuard` against numbers that are not finite, `UpdateRatio` for the learning rate.

Both work in a loop written by hand and as callbacks. Imports nn/train/callback.py, checkpoint.py and the engine.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorgraph import backends
from tensorgraph.errors import DivergenceError, StateDictError, TensorgraphError, sig
from tensorgraph.mode import no_grad
from tensorgraph.nn import arguments as check
from tensorgraph.nn.module import Module
from tensorgraph.nn.train.callback import Callback
from tensorgraph.nn.train.checkpoint import kept
from tensorgraph.tensor import Tensor

if TYPE_CHECKING:
    from tensorgraph.nn.train.trainer import Trainer

__all__ = ["StabilityGuard", "UpdateRatio", "first_nonfinite"]


class StabilityGuard(Callback):
    """Looks at loss and gradients before every step, and says where they stop being finite.

        guard = nn.train.StabilityGuard(model, action="skip")
        ...
        loss.backward()
        if guard.check(loss, batch=(x,)):
            optimizer.step()

    A step is bad when the loss or a gradient is NaN or infinite, or when the loss is more than `explosion` times the
    median of the latest 50 losses (None: is not looked at). action "stop" raises DivergenceError, which names the
    parameters, and the module that made the first bad number; "skip" leaves the step out, counts it in `skipped`, says
    why in `reports`, and raises after `patience` bad steps in a row. With a trainer the number of skipped steps is in
    the history as "skipped".

    Looking at every gradient costs one pass over them, and on a GPU it waits for the device.
    """

    order = -1

    def __init__(self, model: Module, action: str = "stop", *, explosion: float | None = 1000.0, patience: int = 10):
        self.model = model
        self.action = check.choice("StabilityGuard", ("stop", "skip"), action=action)
        self.explosion = None
        if explosion is not None:
            self.explosion = check.number("StabilityGuard", above=1, explosion=explosion)
        self.patience = check.integer("StabilityGuard", patience=patience)
        self.skipped = self.in_a_row = 0
        self.reports: list[str] = []
        self._losses: deque[float] = deque(maxlen=50)

    def check(self, loss: Any, batch: tuple = ()) -> bool:
        """Whether the step may be done; called between `backward()` and `step()`.

        batch: the inputs of the model, to find the module that made the first bad number. Raises DivergenceError.
        """
        value = float(loss)
        problem, details = self._problem(value)
        if problem is None:
            self._losses.append(value)
            self.in_a_row = 0
            return True
        self.skipped += 1
        self.in_a_row += 1
        details += self._where(batch)
        self.reports = [*self.reports, "; ".join([problem, *details])][-100:]
        if self.action == "stop" or self.in_a_row >= self.patience:
            raise DivergenceError(
                f"StabilityGuard: {problem}" + f" ({self.in_a_row} bad steps in a row)" * (self.action == "skip"),
                operands=details,
                hint="a smaller learning rate, ClipGradients(max_norm=1.0), inputs scaled to about 1; in formulas a "
                "division, log or sqrt near 0",
            )
        return False

    def _problem(self, loss: float) -> tuple[str | None, list[str]]:
        gradients = [(f"gradient of {n}", p.grad) for n, p in self.model.named_parameters() if p.grad is not None]
        bad = _nonfinite(gradients)
        if not math.isfinite(loss):
            return f"the loss is {loss}", bad
        if bad:
            return f"the loss is {loss:.4g}, but gradients are not finite", bad
        if self.explosion is not None and len(self._losses) >= 5:
            usual = median(self._losses)
            if usual > 0 and loss > self.explosion * usual:
                return f"the loss exploded: {loss:.4g}, while it was about {usual:.4g}", []
        return None, []

    def _where(self, batch: tuple) -> list[str]:
        weights = _nonfinite(list(self.model.named_parameters()))
        inputs = _nonfinite([(f"input {i}", x) for i, x in enumerate(batch) if isinstance(x, Tensor)])
        found = [] if weights or inputs or not batch else [first_nonfinite(self.model, *batch)]
        return inputs + weights + [f"first bad output: {where}" for where in found if where]

    def on_gradients(self, trainer: Trainer) -> None:
        data = trainer.data
        inputs = tuple(data[:-1]) if isinstance(data, (tuple, list)) else ()
        if not self.check(trainer.loss, inputs):
            trainer.skip = True
        if self.skipped or "skipped" in trainer.logs:
            trainer.logs["skipped"] = self.skipped

    def state_dict(self) -> dict[str, Any]:
        """The latest losses, and the bad steps so far."""
        return {"losses": list(self._losses), "skipped": self.skipped, "in_a_row": self.in_a_row}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on counting from there."""
        if not isinstance(state_dict, Mapping) or state_dict.keys() != self.state_dict().keys():
            raise StateDictError(f"StabilityGuard.load_state_dict: {sig(state_dict)} is no state of a guard")
        self._losses = deque(map(float, state_dict["losses"]), maxlen=50)
        self.skipped, self.in_a_row = int(state_dict["skipped"]), int(state_dict["in_a_row"])


def first_nonfinite(model: Module, *inputs: Any) -> str | None:
    """The innermost module whose output is the first that is not finite, as `features.3 (Conv2d): 12 NaN of 64`.

    Runs the model once on the inputs; weights, buffers and random states are as before. None when all is finite.
    """
    found: list[str] = []

    def look(path: str, module: Module):
        def hook(_: Module, args: Any, output: Any) -> None:
            if not found and isinstance(output, Tensor):
                found.extend(_nonfinite([(f"{path or 'the model'} ({type(module).__name__})", output)]))

        return hook

    handles = [module.register_forward_hook(look(path, module)) for path, module in model.named_modules()]
    try:
        with kept(model), no_grad():
            model(*inputs)
    except (TensorgraphError, ArithmeticError) as error:
        found = found or [f"the model cannot be run on this batch: {error}"]
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


class UpdateRatio(Callback):
    """How far a step moves the weights: |new - old| / |old| of every parameter. About 1e-3 is healthy.

        ratios = nn.train.UpdateRatio(model)
        with ratios:
            optimizer.step()
        print(ratios)

    Much more: the learning rate is too high; much less: too low. With a trainer every `every`-th step is measured, and
    the median is in the history as "update_ratio". Parameters that are all zero (fresh biases) have no ratio.
    Source: Karpathy, CS231n notes, Neural networks part 3, 2015.
    """

    def __init__(self, model: Module, every: int = 100):
        self.model = model
        self.every = check.integer("UpdateRatio", every=every)
        self.last: dict[str, float] = {}
        self._before: dict[str, Any] | None = None

    def __enter__(self) -> UpdateRatio:
        self._before = {
            name: backends.backend_of(p.array).copy(p.array)
            for name, p in self.model.named_parameters()
            if p.requires_grad
        }
        return self

    def __exit__(self, *exc_info: object) -> None:
        before, self._before = self._before or {}, None
        now = dict(self.model.named_parameters())
        self.last = {}
        for name, old in before.items():
            size = _norm(old)
            if size > 0:
                self.last[name] = _norm(now[name].array - old) / size

    def median(self) -> float:
        """The median over the parameters (NaN before the first step)."""
        return median(self.last.values()) if self.last else math.nan

    def on_gradients(self, trainer: Trainer) -> None:
        if trainer.step % self.every == 0 and not trainer.skip:
            self.__enter__()

    def on_batch_end(self, trainer: Trainer) -> None:
        if self._before is not None:
            self.__exit__()
            trainer.logs["update_ratio"] = self.median()

    def __repr__(self) -> str:
        width = max(map(len, self.last), default=0)
        return "\n".join(f"{name:{width}}  {ratio:.1e}" for name, ratio in self.last.items())


def _nonfinite(named: Sequence[tuple[str, Any]]) -> list[str]:
    """Which of the tensors hold NaN or infinite numbers, and how many. Waits for a device once, when all is well."""
    floats = [(name, t) for name, t in named if t.dtype.kind in "fc" and t.array.size]
    if not floats:
        return []
    be = backends.backend_of(floats[0][1].array)
    with np.errstate(all="ignore"):
        # a sum is finite only if every term is, and needs no array of flags; it may overflow, hence the second look
        sums = be.to_host(be.stack([be.sum(t.array) for _, t in floats]))
    if np.isfinite(sums).all():
        return []
    counts = [(name, t, _count(t)) for name, t in floats]
    return [f"{name} {sig(t)}: {count}" for name, t, count in counts if count]


def _count(tensor: Any) -> str:
    """`3 NaN and 1 infinite of 64`; nothing when all are finite."""
    array = np.asarray(backends.backend_of(tensor.array).to_host(tensor.array))
    nan = int(np.isnan(array).sum())
    infinite = int((~np.isfinite(array)).sum()) - nan
    found = " and ".join(f"{n} {what}" for n, what in ((nan, "NaN"), (infinite, "infinite")) if n)
    return f"{found} of {array.size}" if found else ""


def _norm(array: Any) -> float:
    be = backends.backend_of(array)
    values = abs(array).astype("float64")
    return float(be.to_host(be.sqrt(be.sum(values * values))))
