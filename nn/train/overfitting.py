"""`overfit`: can the model learn a handful of samples by heart? When it cannot, what is suspicious.

The first thing that practitioners try with a new model. The search for suspects is in suspects.py beside this.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tensorgraph.creation import asarray
from tensorgraph.errors import ArgumentError, BroadcastWarning, DtypeError, TensorgraphError, sig
from tensorgraph.mode import no_grad
from tensorgraph.nn import arguments as check
from tensorgraph.nn.layers import AlphaDropout, Dropout, Dropout1d, Dropout2d, Dropout3d, FeatureAlphaDropout
from tensorgraph.nn.losses import CrossEntropyLoss, MSELoss
from tensorgraph.nn.module import Module
from tensorgraph.nn.optim import Adam, Optimizer
from tensorgraph.nn.train import suspects
from tensorgraph.nn.train.checkpoint import get_random_state, set_random_state
from tensorgraph.tensor import Tensor

__all__ = ["OverfitReport", "overfit"]

_DROPOUT = (AlphaDropout, Dropout, Dropout1d, Dropout2d, Dropout3d, FeatureAlphaDropout)


class OverfitReport(NamedTuple):
    """What `overfit` found: true when the loss came down to about zero. Print it.

    losses: of every step. goal: what counts as about zero. lr: the learning rate of these losses. findings: what is
    suspicious, the likeliest cause first; also of a model that passed.
    """

    passed: bool
    losses: list[float]
    goal: float
    lr: float | None
    findings: list[str]

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        course = (
            f"loss {self.losses[0]:.4g} -> {self.losses[-1]:.4g} in {len(self.losses) - 1} steps, goal {self.goal:.2g}"
        )
        if not self.findings and not self.passed:
            return f"overfit {verdict}: {course}\n  nothing suspicious was found; try more steps, or a larger model"
        return "\n".join([f"overfit {verdict}: {course}", *(f"  - {finding}" for finding in self.findings)])


def overfit(
    model: Module,
    samples: tuple,
    loss: Callable[..., Any] | None = None,
    *,
    steps: int = 300,
    lr: float | None = None,
    optimizer: Callable[[Iterable[Tensor]], Optimizer] | None = None,
    goal: float | None = None,
) -> OverfitReport:
    """Trains a copy of the model on a few samples until their loss is about zero, or tells what may be wrong.

        report = nn.train.overfit(model, (images[:8], labels[:8]))
        assert report, report

    samples: `(*inputs, target)`, one batch of 2 to about 32 samples. loss: `nn.CrossEntropyLoss()` for integer targets
    and `nn.MSELoss()` for others unless given. A model that cannot learn a handful of samples by heart has a fault, or
    the training has one. Dropout is off and there is no weight decay, since both exist to prevent what is wanted here.

    Adam trains, with the learning rate `lr`, or with 0.001, 0.01, 0.1, 0.0001 until one succeeds; or the optimiser that
    `optimizer(parameters)` makes. goal: the loss that counts as about zero; by default 1 % of what a constant
    prediction would reach. The model, its gradients and the random states are not touched.

    Source: Karpathy, A recipe for training neural networks, 2019; Goodfellow, Bengio & Courville, Deep learning, 2016,
    section 11.5.
    """
    if not isinstance(model, Module):
        raise DtypeError(f"overfit: model is {sig(model)}, not a module")
    if not isinstance(samples, (tuple, list)) or len(samples) < 2:
        raise DtypeError(f"overfit: samples is {sig(samples)}, not (*inputs, target)", hint="(images[:8], labels[:8])")
    check.integer("overfit", steps=steps)
    if lr is not None:
        check.number("overfit", above=0, lr=lr)
        if optimizer is not None:
            raise ArgumentError(f"overfit: lr={lr} and an optimizer, which has a rate of its own")
    *inputs, target = [asarray(part) for part in samples]
    criterion = loss or (CrossEntropyLoss() if target.dtype.kind in "iu" else MSELoss())
    rates = [None] if optimizer else [lr] if lr else list(_RATES)
    random = get_random_state()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):  # what they would say is among the findings
            warnings.simplefilter("ignore", BroadcastWarning)
            findings = suspects.in_data(inputs, target)
            if any("not finite" in finding for finding in findings):
                return OverfitReport(False, [math.nan], math.nan if goal is None else goal, None, findings)
            trial = _Trial(model, inputs, target, criterion, goal, optimizer)
            findings += suspects.in_outputs(trial.copy(), inputs, target, criterion)
            findings += suspects.in_gradients(trial.copy(), model, inputs, target, criterion)
            if not any(p.requires_grad for p in model.parameters()):
                return OverfitReport(False, [trial.loss(trial.copy())], trial.goal, None, findings)
            best = trial.best(rates, steps)
            if not best.passed:
                findings += suspects.in_activations(best.learner, inputs) + _suspicious_course(best.losses, steps)
                other = trial.best([rate for rate in _RATES if rate != lr], steps) if lr else best
                if other.passed:
                    findings.insert(0, f"learning rate {lr:.3g} fails, {other.lr:.3g} reaches {other.losses[-1]:.2g}")
            return OverfitReport(best.passed, best.losses, trial.goal, best.lr, findings)
    finally:
        set_random_state(random)


_RATES = (1e-3, 1e-2, 1e-1, 1e-4)
"""learning rates of Adam that are tried, the usual one first"""


def _suspicious_course(losses: list[float], steps: int) -> list[str]:
    """What the losses of an attempt that failed tell."""
    if not all(map(math.isfinite, losses)) or losses[-1] > 2 * losses[0]:
        return [f"the loss went up to {losses[-1]:.3g}: the learning rate is too high"]
    if losses[-1] < 0.7 * losses[-1 - len(losses) // 4]:
        return [f"the loss is still falling after {steps} steps: try more (steps={steps * 4})"]
    return []


class _Course(NamedTuple):
    """One attempt: with which rate, what came of it, and the model that was trained."""

    passed: bool
    losses: list[float]
    lr: float | None
    learner: Module


class _Trial:
    """A model on a few samples, and the loss that counts as about zero."""

    def __init__(self, model: Module, inputs: list[Tensor], target: Tensor, criterion: Any, goal: Any, make: Any):
        self.model, self.inputs, self.target, self.criterion, self.make = model, inputs, target, criterion, make
        self.goal = _goal(criterion, target) if goal is None else check.number("overfit", above=0, goal=goal)

    def copy(self) -> Module:
        """A copy of the model in training mode, without dropout and without gradients."""
        twin = copy.deepcopy(self.model)
        if not twin.training:
            twin.train()
        twin.zero_grad()
        for module in twin.modules():
            if isinstance(module, _DROPOUT):
                module.eval()
        return twin

    def loss(self, model: Module) -> float:
        """The loss of the samples."""
        with no_grad():
            return float(self.criterion(model(*self.inputs), self.target))

    def best(self, rates: Sequence[float | None], steps: int) -> _Course:
        """The first attempt that passes, else that with the lowest loss."""
        attempts = []
        for rate in rates:
            attempts.append(self._run(rate, steps))
            if attempts[-1].passed:
                return attempts[-1]
        return min(attempts, key=lambda a: a.losses[-1] if math.isfinite(a.losses[-1]) else math.inf)

    def _run(self, rate: float | None, steps: int) -> _Course:
        model = self.copy()
        learning = [p for p in model.parameters() if p.requires_grad]
        optimizer = self.make(learning) if rate is None else Adam(learning, rate)
        losses: list[float] = []

        def closure() -> Any:
            optimizer.zero_grad()
            loss = self.criterion(model(*self.inputs), self.target)
            loss.backward()
            return loss

        for _ in range(steps):
            losses.append(float(optimizer.step(closure)))
            if losses[-1] <= self.goal or not math.isfinite(losses[-1]):
                break
        else:
            losses.append(self.loss(model))
        return _Course(losses[-1] <= self.goal, losses, rate, model)


def _goal(criterion: Any, target: Tensor) -> float:
    """A hundredth of the loss of a constant prediction."""
    values = target.detach().to(device="cpu").numpy()
    if target.dtype.kind in "iu":
        kinds = len(np.unique(values))
        constant = math.log(max(kinds, 2))
    else:
        mean = asarray(np.broadcast_to(values.mean(axis=0), values.shape).copy())
        try:
            constant = float(criterion(mean.to(device=target.device), target))
        except TensorgraphError:  # a loss of outputs that look other than the targets
            return 0.01
    if getattr(criterion, "reduction", "mean") == "sum" and target.dtype.kind in "iu":
        constant *= values.size
    return 0.01 * constant if math.isfinite(constant) and constant > 0 else 0.01
