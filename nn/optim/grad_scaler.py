"""`GradScaler`: keeps gradients of half precision out of the range where they vanish. Imports the engine only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensorgraph import backends, writes
from tensorgraph.capturing import current, each_time, live
from tensorgraph.errors import ArgumentError, DtypeError, GraphError, StateDictError, sig
from tensorgraph.nn import arguments as check
from tensorgraph.tensor import Tensor

__all__ = ["GradScaler"]


class GradScaler:
    """Multiplies the loss by a large number, divides the gradients by it again, and skips steps that overflowed.

        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)                        # only where gradients are looked at or clipped
        nn.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()

    float16 ends at 6e-8: smaller gradients would be 0. The scale begins with `init_scale`. A step whose gradients are
    not finite is skipped and multiplies the scale by `backoff_factor`; `growth_interval` steps without one multiply it
    by `growth_factor`. `enabled=False` makes all of it transparent. For `tensorgraph.autocast("float16")`; names,
    defaults and state are PyTorch's. One scaler serves several optimisers, with one `update()` behind all of them.

    Raises ArgumentError for settings that make no sense.
    Source: Micikevicius et al., Mixed precision training, ICLR 2018.
    """

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ):
        name = "GradScaler"
        check.flags(name, enabled=enabled)
        self._enabled = enabled
        self._scale = check.number(name, above=0, init_scale=init_scale)
        self._growth_factor = check.number(name, above=1, growth_factor=growth_factor)
        self._backoff_factor = check.number(name, above=0, backoff_factor=backoff_factor)
        if self._backoff_factor >= 1:
            raise ArgumentError(f"{name}: backoff_factor must lie between 0 and 1, got {backoff_factor}")
        self._growth_interval = check.integer(name, 1, growth_interval=growth_interval)
        self._growth_tracker = 0
        self._finite: dict[int, bool] = {}  # id of an optimiser whose gradients were divided -> were they finite
        self._stepped: set[int] = set()

    # ---- a step ----------------------------------------------------------------------------------------------------
    def scale(self, outputs: Any) -> Any:
        """A loss, or several in a list, tuple or dictionary, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Mapping):
            return type(outputs)({key: self.scale(value) for key, value in outputs.items()})  # pyright: ignore[reportCallIssue]
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(map(self.scale, outputs))
        if not isinstance(outputs, Tensor):
            raise DtypeError(f"GradScaler.scale: expected the loss, a tensor, got {sig(outputs)}")
        if current() is None:
            return outputs * self._scale
        return outputs * Tensor(live(lambda: self._scale, outputs.dtype))  # a captured step reads it anew

    @each_time
    def unscale_(self, optimizer: Any) -> None:
        """Divides the gradients of an optimiser's parameters by the scale, in place; `step` does it unless you did.

        Raises GraphError: a second time before `update()`, or after `step()`; DtypeError: gradients of half precision,
        which may have lost what scaling was to keep.
        """
        if not self._enabled:
            return
        key = id(optimizer)
        if key in self._stepped:
            raise GraphError("GradScaler.unscale_: this optimizer has made its step", hint="call it before step()")
        if key in self._finite:
            raise GraphError(
                "GradScaler.unscale_: the gradients of this optimizer were divided already", hint="update() comes first"
            )
        params = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        for p in params:
            if p.grad.dtype.itemsize == 2:
                raise DtypeError(
                    f"GradScaler.unscale_: a gradient is {sig(p.grad)}",
                    hint="keep parameters in float32; tensorgraph.autocast computes in half precision with them",
                )
        finite = True
        for device in dict.fromkeys(p.device for p in params):
            arrays = [p.grad.array for p in params if p.device == device]
            be = backends.backend_of(arrays[0])
            for g in arrays:
                g *= 1 / self._scale
                writes.wrote(g)
            good = be.stack([be.all(be.isfinite(g)) for g in arrays])
            if be.has_values:
                finite = finite and bool(be.to_host(be.all(good)))  # the only wait for the device
        self._finite[key] = finite

    @each_time
    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step(...)`, or nothing when a gradient is not finite. Returns what the step returned, or None.

        Raises GraphError: a second step before `update()`; ArgumentError: a closure, which would have to be scaled too.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs or (args and callable(args[0])):
            raise ArgumentError(
                "GradScaler.step: closures cannot be scaled", hint="compute the gradients before step()"
            )
        key = id(optimizer)
        if key in self._stepped:
            raise GraphError("GradScaler.step: this optimizer has made its step already", hint="update() comes first")
        if key not in self._finite:
            self.unscale_(optimizer)
        self._stepped.add(key)
        return optimizer.step(*args, **kwargs) if self._finite[key] else None

    @each_time
    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adapts the scale to what the steps since the last update met, or sets it to `new_scale`.

        Raises GraphError: no gradients were divided since the last update.
        """
        if not self._enabled:
            return
        if new_scale is not None:
            new_scale = new_scale.item() if isinstance(new_scale, Tensor) else new_scale
            self._scale = check.number("GradScaler.update", above=0, new_scale=new_scale)
        elif not self._finite:
            raise GraphError("GradScaler.update: there was no step since the last update", hint="step(optimizer) first")
        elif not all(self._finite.values()):
            self._scale *= self._backoff_factor
            self._growth_tracker = 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                self._scale *= self._growth_factor
                self._growth_tracker = 0
        self._finite.clear()
        self._stepped.clear()

    # ---- settings --------------------------------------------------------------------------------------------------
    def is_enabled(self) -> bool:
        """Whether it scales at all."""
        return self._enabled

    def get_scale(self) -> float:
        """What the loss is multiplied by; 1 when disabled."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """What the scale is multiplied by after a good while."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Sets what the scale is multiplied by after a good while."""
        self._growth_factor = check.number("GradScaler", above=1, growth_factor=new_factor)

    def get_backoff_factor(self) -> float:
        """What the scale is multiplied by after a step that was skipped."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Sets what the scale is multiplied by after a step that was skipped."""
        self._backoff_factor = check.number("GradScaler", above=0, backoff_factor=new_factor)

    def get_growth_interval(self) -> int:
        """How many good steps in a row let the scale grow."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Sets how many good steps in a row let the scale grow."""
        self._growth_interval = check.integer("GradScaler", 1, growth_interval=new_interval)

    # ---- state -----------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """The scale and its settings, in plain numbers; empty when disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over what `state_dict()` returned, all or nothing. Raises StateDictError: it is of something else."""
        if not self._enabled:
            return
        missing = [key for key in self.state_dict() if key not in state_dict]
        if missing:
            raise StateDictError(
                f"GradScaler.load_state_dict: {', '.join(missing)} missing",
                hint="the state of a scaler that was disabled is empty" if not state_dict else None,
            )
        self._scale, self._growth_factor = float(state_dict["scale"]), float(state_dict["growth_factor"])
        self._backoff_factor = float(state_dict["backoff_factor"])
        self._growth_interval = int(state_dict["growth_interval"])
        self._growth_tracker = int(state_dict["_growth_tracker"])
