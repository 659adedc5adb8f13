"""Learning-rate schedules. Each multiplies the learning rates of an optimiser by a factor that depends on the step.

A schedule is a function `factor(t, group)`, with t counted from 0; `step()` multiplies each group's rate by
factor(t) / factor(t - 1). So schedules can be chained, and a rate that was changed by hand stays changed.
Names and arguments are PyTorch's. Imports optimizer.py.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tensorgraph.capturing import each_time
from tensorgraph.errors import ArgumentError, DtypeError, sig
from tensorgraph.nn import arguments as check
from tensorgraph.nn.optim.optimizer import Optimizer

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]


class LRScheduler:
    """Base of the schedules: call `step()` after every epoch or batch, as the schedule is meant, after the optimiser's.

    `floor` is a rate that is not scaled: rate = floor + (rate - floor) * factor.
    """

    floor: float = 0.0

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        _groups(type(self).__name__, optimizer)
        self.optimizer = optimizer
        self.last_epoch = check.integer(type(self).__name__, -1, last_epoch=last_epoch)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch >= 0 and "initial_lr" not in group:
                raise ArgumentError(
                    f"{type(self).__name__}: last_epoch={last_epoch}, but parameter group {i} has no 'initial_lr'",
                    hint="load the optimiser's state first; it holds the rates of the beginning",
                )
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.step()

    def factor(self, t: int, group: int) -> float:
        """What the initial rate (above the floor) is multiplied by at step t; every schedule writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no factor(t, group)")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in vars(cls):
            cls.step = each_time(cls.step)

    @each_time
    def step(self) -> None:
        """Goes one step on and sets the rates."""
        self.last_epoch += 1
        t, rates = self.last_epoch, []
        for i, (group, base) in enumerate(zip(self.optimizer.param_groups, self.base_lrs, strict=True)):
            now, before = self.factor(t, i), self.factor(t - 1, i) if t else 1.0
            if before:
                group["lr"] = self.floor + (group["lr"] - self.floor) * (now / before)
            else:
                group["lr"] = self.floor + (base - self.floor) * now
            rates.append(group["lr"])
        self._last_lr = rates

    def get_last_lr(self) -> list[float]:
        """The rates that were set last, one per group."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands: numbers only."""
        return {key: value for key, value in vars(self).items() if key != "optimizer" and not _holds_functions(value)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from where `state_dict()` was taken. The rates are in the optimiser's own state."""
        vars(self).update(state_dict)

    def _rewind(self) -> None:
        """Back to the rates of the beginning, before the first step."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]


def _groups(name: str, optimizer: Any) -> list[dict[str, Any]]:
    """The parameter groups of what must be an optimiser."""
    if not isinstance(optimizer, Optimizer):
        raise DtypeError(f"{name}: {sig(optimizer)} is no optimiser")
    return optimizer.param_groups


def _of_groups(name: str, n: int, **argument: Any) -> list[float]:
    """One number of at least 0 for every group, from a single one or one for each."""
    ((what, value),) = argument.items()
    values = list(value) if isinstance(value, (list, tuple)) else [value] * n
    if len(values) != n:
        raise ArgumentError(f"{name}: {len(values)} values of {what} for {n} parameter groups, got {value}")
    return [check.number(name, 0, **{what: v}) for v in values]


def _holds_functions(value: Any) -> bool:
    return callable(value) or (isinstance(value, (list, tuple)) and any(map(callable, value)))


class LambdaLR(LRScheduler):
    """The initial rate times `lr_lambda(t)`; a list gives one function per group."""

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable], last_epoch: int = -1
    ):
        name = type(self).__name__
        n = len(_groups(name, optimizer))
        self.lr_lambdas: list[Any] = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * n
        if len(self.lr_lambdas) != n:
            raise ArgumentError(f"{name}: {len(self.lr_lambdas)} functions for {n} parameter groups")
        for function in self.lr_lambdas:
            if not callable(function):
                raise DtypeError(f"{name}: lr_lambda is {sig(function)}, not a function of the step")
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int, group: int) -> float:
        return self.lr_lambdas[group](t)


class MultiplicativeLR(LambdaLR):
    """The rate before times `lr_lambda(t)`, from the second step on."""

    def step(self) -> None:
        self.last_epoch += 1
        for group, function in zip(self.optimizer.param_groups, self.lr_lambdas, strict=True):
            group["lr"] *= function(self.last_epoch) if self.last_epoch else 1
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


class StepLR(LRScheduler):
    """The rate times gamma every `step_size` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1):
        self.step_size = check.integer("StepLR", step_size=step_size)
        self.gamma = check.number("StepLR", above=0, gamma=gamma)
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int, group: int) -> float:
        return self.gamma ** (t // self.step_size)


class MultiStepLR(LRScheduler):
    """The rate times gamma at each of the steps `milestones`."""

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1):
        if isinstance(milestones, str) or not isinstance(milestones, Iterable):
            raise ArgumentError(f"MultiStepLR: milestones must be several integers, got {milestones!r}")
        self.milestones = sorted(check.integer("MultiStepLR", 0, milestones=m) for m in milestones)
        self.gamma = check.number("MultiStepLR", above=0, gamma=gamma)
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int, group: int) -> float:
        return self.gamma ** bisect_right(self.milestones, t)


class ExponentialLR(LRScheduler):
    """The rate times gamma at every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1):
        self.gamma = check.number("ExponentialLR", above=0, gamma=gamma)
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int, group: int) -> float:
        return self.gamma**t


class LinearLR(LRScheduler):
    """The rate times a factor that goes evenly from `start_factor` to `end_factor` in `total_iters` steps."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ):
        self.start_factor = check.number("LinearLR", most=1, above=0, start_factor=start_factor)
        self.end_factor = check.fraction("LinearLR", end_factor=end_factor)
        self.total_iters = check.integer("LinearLR", total_iters=total_iters)
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int, group: int) -> float:
        share = min(t, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * share


class ConstantLR(LRScheduler):
    """The rate times `factor` for `total_iters` steps, then as it was."""

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1):
        self.scale = check.number("ConstantLR", most=1, above=0, factor=factor)
        self.total_iters = check.integer("ConstantLR", total_iters=total_iters)
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int, group: int) -> float:
        return self.scale if t < self.total_iters else 1.0


class PolynomialLR(LRScheduler):
    """The rate times (1 - t / total_iters)^power, then 0."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1):
        self.total_iters = check.integer("PolynomialLR", total_iters=total_iters)
        self.power = check.number("PolynomialLR", above=0, power=power)
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int, group: int) -> float:
        return max(0.0, 1 - t / self.total_iters) ** self.power


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the rate down to `eta_min` in `T_max` steps, and up again in the next.
    Source: Loshchilov & Hutter, SGDR, ICLR 2017 (without its restarts)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1):
        self.T_max = check.integer("CosineAnnealingLR", T_max=T_max)
        self.floor = self.eta_min = check.number("CosineAnnealingLR", eta_min=eta_min)
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int, group: int) -> float:
        return 0.0 if t % (2 * self.T_max) == self.T_max else (1 + math.cos(math.pi * t / self.T_max)) / 2


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine down to `eta_min` in `T_0` steps, then from the top again, each time `T_mult` times as long.
    Source: Loshchilov & Hutter, SGDR, ICLR 2017."""

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1):
        self.T_0 = check.integer("CosineAnnealingWarmRestarts", T_0=T_0)
        self.T_mult = check.integer("CosineAnnealingWarmRestarts", T_mult=T_mult)
        self.floor = self.eta_min = check.number("CosineAnnealingWarmRestarts", eta_min=eta_min)
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int, group: int) -> float:
        length = self.T_0
        while t >= length:
            t, length = t - length, length * self.T_mult
            if self.T_mult == 1:
                t %= length
        return (1 + math.cos(math.pi * t / length)) / 2


class OneCycleLR(LRScheduler):
    """Up from max_lr / div_factor to `max_lr`, down to a `final_div_factor`-th of the start; momentum the other way.

    Step it after every batch. `total_steps`, or `epochs` and `steps_per_epoch`.
    Source: Smith & Topin, Super-convergence, 2017.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ):
        name = "OneCycleLR"
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ArgumentError(f"{name}: give total_steps, or epochs and steps_per_epoch")
            total_steps = check.integer(name, epochs=epochs) * check.integer(name, steps_per_epoch=steps_per_epoch)
        self.total_steps = check.integer(name, total_steps=total_steps)
        start = check.fraction(name, pct_start=pct_start) * self.total_steps
        self.anneal_strategy = check.choice(name, ("cos", "linear"), anneal_strategy=anneal_strategy)
        top, foot = 1.0, 1.0 / check.number(name, above=0, div_factor=div_factor)
        end = foot / check.number(name, above=0, final_div_factor=final_div_factor)
        # (last step of the phase, factor of the rate at its start and end, whether the momentum goes down in it)
        self.phases = [(start - 1, foot, top, True)]
        if three_phase:
            self.phases += [(2 * start - 2, top, foot, False), (self.total_steps - 1, foot, end, None)]
        else:
            self.phases += [(self.total_steps - 1, top, end, False)]
        groups = _groups(name, optimizer)
        rates = _of_groups(name, len(groups), max_lr=max_lr)
        check.number(name, 0, base_momentum=base_momentum)
        check.number(name, 0, max_momentum=max_momentum)
        check.flags(name, cycle_momentum=cycle_momentum, three_phase=three_phase)
        self.momenta = (base_momentum, max_momentum) if cycle_momentum else None
        if self.momenta and "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ArgumentError(
                f"{name}: {type(optimizer).__name__} has no momentum to cycle", hint="cycle_momentum=False"
            )
        if last_epoch == -1:
            for group, rate in zip(groups, rates, strict=True):
                group["lr"] = group["initial_lr"] = rate
        super().__init__(optimizer, last_epoch)

    def _at(self, t: int) -> tuple[float, float, float, bool | None]:
        """How far the phase of step t has come, its factors, and which way the momentum goes."""
        i = next((i for i, phase in enumerate(self.phases) if t <= phase[0]), len(self.phases) - 1)
        begin, (end, first, last, falls) = self.phases[i - 1][0] if i else 0.0, self.phases[i]
        return (t - begin) / (end - begin) if end > begin else 1.0, first, last, falls

    def _between(self, a: float, b: float, share: float) -> float:
        return (
            b + (a - b) / 2 * (1 + math.cos(math.pi * share)) if self.anneal_strategy == "cos" else a + (b - a) * share
        )

    def factor(self, t: int, group: int) -> float:
        share, first, last, _ = self._at(t)
        return self._between(first, last, share)

    def step(self) -> None:
        if self.last_epoch + 1 >= self.total_steps + 1:
            raise ArgumentError(f"OneCycleLR: step {self.last_epoch + 1} of a schedule of {self.total_steps} steps")
        super().step()
        if self.momenta is None:
            return
        low, high = self.momenta
        share, _, _, falls = self._at(self.last_epoch)
        momentum = (
            high if falls is None else self._between(high, low, share) if falls else self._between(low, high, share)
        )
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum


class ReduceLROnPlateau(LRScheduler):
    """The rate times `factor` when a metric has not improved for more than `patience` steps: `step(metric)`.

    It improved when it is below best * (1 - threshold) ("rel") or best - threshold ("abs"); for mode "max" above.
    After a reduction `cooldown` steps are not counted. Rates do not fall below `min_lr`, nor by less than `eps`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ):
        name = "ReduceLROnPlateau"
        self.mode = check.choice(name, ("min", "max"), mode=mode)
        if not 0 < check.number(name, factor=factor) < 1:
            raise ArgumentError(f"{name}: factor must lie between 0 and 1, got {factor}")
        self.scale = factor
        self.patience = check.integer(name, 0, patience=patience)
        self.threshold = check.number(name, 0, threshold=threshold)
        self.threshold_mode = check.choice(name, ("rel", "abs"), threshold_mode=threshold_mode)
        self.cooldown = check.integer(name, 0, cooldown=cooldown)
        self.min_lrs = _of_groups(name, len(_groups(name, optimizer)), min_lr=min_lr)
        self.eps = check.number(name, 0, eps=eps)
        self.best, self.num_bad_epochs, self.cooldown_counter = math.inf, 0, 0
        super().__init__(optimizer)

    def step(self, metrics: Any = None) -> None:
        """Judges the metric of the step that has just ended."""
        self.last_epoch += 1
        groups = self.optimizer.param_groups
        if self.last_epoch:
            if metrics is None:
                raise ArgumentError("ReduceLROnPlateau: step(metric) needs the metric that it watches")
            self._judge(float(metrics) * (1 if self.mode == "min" else -1))
            if self.num_bad_epochs > self.patience:
                for group, least in zip(groups, self.min_lrs, strict=True):
                    rate = max(group["lr"] * self.scale, least)
                    if group["lr"] - rate > self.eps:
                        group["lr"] = rate
                self.num_bad_epochs, self.cooldown_counter = 0, self.cooldown
        self._last_lr = [group["lr"] for group in groups]

    def _judge(self, value: float) -> None:
        margin = abs(self.best) * self.threshold if self.threshold_mode == "rel" else self.threshold
        if value < self.best - (margin if math.isfinite(margin) else 0):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0


class _Several(LRScheduler):
    schedulers: list[LRScheduler]

    def _adopt(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
        name = type(self).__name__
        self.schedulers = list(schedulers)
        if not self.schedulers:
            raise ArgumentError(f"{name}: no schedules given")
        self.optimizer = self.schedulers[0].optimizer if optimizer is None else optimizer
        for i, schedule in enumerate(self.schedulers):
            if schedule.optimizer is not self.optimizer:
                raise ArgumentError(f"{name}: schedule {i} belongs to another optimiser")
        self.base_lrs = self.schedulers[0].base_lrs

    def _note(self) -> None:
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        own = {k: v for k, v in vars(self).items() if k not in ("optimizer", "schedulers")}
        return own | {"_schedulers": [schedule.state_dict() for schedule in self.schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for schedule, state in zip(self.schedulers, state_dict["_schedulers"], strict=True):
            schedule.load_state_dict(state)
        vars(self).update({k: v for k, v in state_dict.items() if k != "_schedulers"})


class ChainedScheduler(_Several):
    """Several schedules at once: their factors multiply."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None):
        self._adopt(schedulers, optimizer)
        self._note()

    def step(self) -> None:
        for schedule in self.schedulers:
            schedule.step()
        self._note()


class SequentialLR(_Several):
    """Several schedules one after the other; the next one begins, at its own step 0, at each of `milestones`."""

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ):
        self._adopt(schedulers, optimizer)
        self.milestones = [check.integer("SequentialLR", milestones=m) for m in milestones]
        if len(self.milestones) != len(self.schedulers) - 1 or sorted(self.milestones) != self.milestones:
            raise ArgumentError(
                f"SequentialLR: {len(self.schedulers)} schedules need {len(self.schedulers) - 1} growing milestones, "
                f"got {list(milestones)}"
            )
        self.last_epoch = last_epoch + 1
        if last_epoch == -1:  # all of them stepped when they were made: undo that, and let the first begin
            self._begin(self.schedulers[0])
        self._note()

    @staticmethod
    def _begin(schedule: LRScheduler) -> None:
        schedule._rewind()
        schedule.last_epoch = -1
        schedule.step()

    def step(self) -> None:
        self.last_epoch += 1
        i = bisect_right(self.milestones, self.last_epoch)
        if i and self.milestones[i - 1] == self.last_epoch:
            self._begin(self.schedulers[i])
        else:
            self.schedulers[i].step()
        self._note()
