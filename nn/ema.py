"""A running mean of a model's weights, which often does better than the weights themselves. Imports nn/module.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tensorgraph import backends, writes
from tensorgraph.capturing import each_time
from tensorgraph.creation import asarray
from tensorgraph.errors import DtypeError, StateDictError, sig
from tensorgraph.nn import arguments as check
from tensorgraph.nn.module import Module
from tensorgraph.tensor import Tensor

__all__ = ["ExponentialMovingAverage"]


class ExponentialMovingAverage:
    """average = decay average + (1 - decay) weights, at each `update()`, from the weights at the start.

        ema = nn.ExponentialMovingAverage(model, 0.999)
        for x, t in loader:
            ...
            optimizer.step()
            ema.update()
        with ema.swapped():                               # the model has the averaged weights in here
            evaluate(model)

    Buffers are part of it: floating ones are averaged, the others copied. `warmup` starts with a smaller decay,
    min(decay, (1 + n) / (10 + n)) at the n-th update, so that the start is forgotten soon.

    Source: Polyak & Juditsky, Acceleration of stochastic approximation by averaging, 1992; Tarvainen & Valpola, 2017.
    """

    def __init__(self, model: Module, decay: float = 0.999, warmup: bool = False):
        if not isinstance(model, Module):
            raise DtypeError(f"ExponentialMovingAverage: model is {sig(model)}, not a module")
        self.model = model
        self.decay = check.fraction("ExponentialMovingAverage", decay=decay)
        self.warmup = warmup
        self.updates = 0
        self.average: dict[str, Tensor] = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    @each_time
    def update(self) -> None:
        """Moves the average towards the present weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates)) if self.warmup else self.decay
        for average, now in self._pairs():
            if average.dtype.kind in "fcV":
                average *= decay
                average += (1 - decay) * now
            else:
                average[...] = now
            writes.wrote(average)

    @contextmanager
    def swapped(self) -> Iterator[Module]:
        """Inside the block the model has the averaged weights; behind it its own again, whatever happened inside."""
        self._swap()
        try:
            yield self.model
        finally:
            self._swap()

    def copy_to_model(self) -> None:
        """Gives the model the averaged weights for good."""
        for average, now in self._pairs():
            now[...] = average
            writes.wrote(now)

    def _swap(self) -> None:
        for average, now in self._pairs():
            own = backends.backend_of(now).copy(now)
            now[...] = average
            average[...] = own
            writes.wrote(now)
            writes.wrote(average)

    def _pairs(self) -> list[tuple[Any, Any]]:
        """Average and present values of everything, as arrays; the average follows the model to its dtype and device.

        Raises StateDictError when the model got other parameters than it had.
        """
        state = self.model.state_dict()
        if {name: t.shape for name, t in state.items()} != {name: t.shape for name, t in self.average.items()}:
            raise StateDictError(
                "ExponentialMovingAverage: the model has other parameters now than when the average began",
                hint="begin a new average when the model is changed",
            )
        for name, now in state.items():
            self.average[name] = self.average[name].to(device=now.device, dtype=now.dtype)
        return [(self.average[name].array, now.array) for name, now in state.items()]

    # ---- state ---------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """The average, the number of updates and the settings; `nn.save` writes it to one file."""
        return {
            "decay": self.decay,
            "warmup": self.warmup,
            "updates": self.updates,
            "average": dict(self.average),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over what `state_dict()` returned; all or nothing. Raises StateDictError: it is of another model."""
        name = "ExponentialMovingAverage.load_state_dict"
        if not isinstance(state_dict, Mapping) or not {"decay", "warmup", "updates", "average"} <= state_dict.keys():
            raise StateDictError(f"{name}: expected the keys decay, warmup, updates and average, got {sig(state_dict)}")
        decay = check.fraction("ExponentialMovingAverage", decay=state_dict["decay"])
        saved = state_dict["average"]
        problems = [f"{key} {sig(self.average[key])}, missing there" for key in self.average if key not in saved]
        problems += [f"{key} {sig(saved[key])}, unknown here" for key in saved if key not in self.average]
        problems += [
            f"{key} is {sig(self.average[key])} here, {sig(value)} there"
            for key, value in saved.items()
            if key in self.average and tuple(value.shape) != self.average[key].shape
        ]
        if problems:
            raise StateDictError(f"{name}: the average does not fit; nothing was loaded", operands=problems)
        self.average = {
            key: asarray(saved[key]).detach().to(device=own.device, dtype=own.dtype).clone()
            for key, own in self.average.items()
        }
        self.decay, self.warmup, self.updates = decay, bool(state_dict["warmup"]), int(state_dict["updates"])
