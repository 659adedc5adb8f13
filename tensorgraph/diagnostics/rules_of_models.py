"""The doctor's rules about the model: modes, what is registered and trained, sizes of updates, units.

Imported by doctor.py, which reports in the order of `RULES`; see rules.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph.diagnostics.causes import host
from tensorgraph.diagnostics.checkup import Checkup, Seen
from tensorgraph.diagnostics.flow import RECTIFIED
from tensorgraph.diagnostics.rules import ENOUGH, backward, born, model, nothing, optimizer, raised_at, rule
from tensorgraph.errors import sig

__all__: list[str] = []

DEAD = 0.5  # share of units that never fire
SATURATED = 0.9
LARGE_UPDATE, SMALL_UPDATE = 0.3, 1e-6
FEW_VALUES = 2
LARGE_GRADIENT = 1e4


# ---- modes -----------------------------------------------------------------------------------------------------------
def _of_kind(s: Seen, *words: str) -> Any:
    return next((m for m in s.modules[:1] if any(w in type(m).__name__.lower() for w in words)), None)


@rule(
    "eval-while-training",
    "parameters are trained with the model in evaluation mode",
    lambda c: backward(c) or model(c),
)
def _eval(c: Checkup):
    for m in c.models:
        kinds = {
            type(inner).__name__
            for inner in m.modules()
            if any(w in type(inner).__name__ for w in ("Dropout", "BatchNorm"))
        }
        if not m.training and kinds and id(m) in c.called:
            yield (
                f"{type(m).__name__} is trained in evaluation mode, its {', '.join(sorted(kinds))} too",
                None,
                "model.train() before training; model.eval() only for predicting",
            )


@rule("train-while-evaluating", "dropout or batch norm in training mode where nothing is differentiated")
def _train(c: Checkup):
    if c.passes or c.error is not None:
        return
    for s in c.seen:
        m = _of_kind(s, "dropout", "batchnorm")
        if m is not None and m.training and (s.recorded is False or not c.optimizers):
            yield (
                f"{s.path} ran in training mode in a step without a backward pass",
                s.place,
                "model.eval() before predicting",
            )
            return


@rule("batch-of-one", "batch norm over so few values that their spread means nothing", nothing)
def _one(c: Checkup):
    for s in c.seen:
        m = _of_kind(s, "batchnorm")
        shape = next((shape for shape, _ in s.inputs.values() if len(shape) > 1), None)
        if m is not None and m.training and shape is not None and np.prod(shape) // max(shape[1], 1) <= FEW_VALUES:
            yield (
                f"{s.path} normalises over {np.prod(shape) // shape[1]} values",
                s.place,
                "a larger batch, or group norm, which needs none",
            )
            return
    text = str(c.error) if c.error is not None else ""
    if "batch" in text.lower() and "norm" in text.lower() and "more than" in text:
        yield text.splitlines()[0], raised_at(c.error), "a larger batch, drop_last=True, or group norm"


# ---- parameters ------------------------------------------------------------------------------------------------------
@rule("unregistered", "a layer in a plain list or dictionary, which parameters() does not see", model)
def _unregistered(c: Checkup):
    known = {id(inner) for m in c.models for inner in m.modules()}
    for key, (m, path, place) in c.called.items():
        parents = [o for o, p, _ in c.called.values() if path.startswith(p + ".") and id(o) in known]
        if key not in known and parents and any(True for _ in m.parameters()):
            owner = type(parents[0]).__name__
            yield (
                f"{path} ran, but is not among the modules of {owner}: parameters() does not see it",
                place,
                "nn.ModuleList or nn.ModuleDict instead of a plain list or dictionary",
            )


@rule("no-gradient", "a parameter that the backward pass did not reach", lambda c: backward(c) or model(c))
def _no_gradient(c: Checkup):
    if c.error is not None:
        return
    from tensorgraph.diagnostics.reasons import _Inquiry

    for m in c.models:
        lost = [(n, p) for n, p in m.named_parameters() if p.requires_grad and not c.learned[id(p)].reached]
        for name, p in lost[:5]:
            inquiry = _Inquiry(p, None)
            inquiry.flow = c.flow
            reasons = [line for line in inquiry.answer() if line.startswith(("cut", "unused", "no operation"))]
            yield (
                f"{name} {sig(p)} got no gradient",
                born(p),
                "; ".join(reasons) or "its branch does not lead to the loss",
            )


@rule(
    "not-in-optimizer",
    "a parameter with a gradient that no optimiser moves",
    lambda c: backward(c) or model(c) or optimizer(c),
)
def _not_in_optimizer(c: Checkup):
    held = {id(p) for o in c.optimizers for group in o.param_groups for p in group["params"]}
    lost = [e for e in c.learned.values() if e.reached and id(e.tensor) not in held and e.name != "a leaf"]
    if lost:
        names = ", ".join(e.name for e in lost[:5]) + (", ..." if len(lost) > 5 else "")
        yield (
            f"{len(lost)} parameters have a gradient and are in no optimiser: {names}",
            born(lost[0].tensor),
            "pass model.parameters() of the model that runs, after it is complete",
        )


@rule(
    "optimizer-of-another-model",
    "an optimiser holds parameters that took no part",
    lambda c: backward(c) or optimizer(c),
)
def _stale(c: Checkup):
    for o in c.optimizers:
        held = [p for group in o.param_groups for p in group["params"]]
        if held and not any(id(p) in c.learned and c.learned[id(p)].reached for p in held):
            yield (
                f"none of the {len(held)} parameters of {type(o).__name__} took part in the step",
                None,
                "make the optimiser after the model, and again when the model is made anew",
            )


@rule("update-size", "a step that is too large or too small for the weights", lambda c: backward(c) or optimizer(c))
def _update(c: Checkup):
    large, small = [], []
    for e in c.learned.values():
        size, step = np.linalg.norm(e.before), np.linalg.norm(host(e.tensor.array) - e.before)
        if e.before.ndim < 2 or not size or not e.reached or not np.isfinite(step):
            continue
        ratio = step / size
        if ratio > LARGE_UPDATE:
            large.append((ratio, e))
        elif 0 < ratio < SMALL_UPDATE:
            small.append((ratio, e))
    for found, word, hint in (
        (large, "large", "a smaller learning rate"),
        (small, "small", "a larger learning rate; are the gradients tiny? tensorgraph.why(p)"),
    ):
        if found:
            ratio, e = max(found, key=lambda f: abs(np.log(f[0])))
            yield (
                f"the step moved {e.name} by {ratio:.2g} of its size, which is {word} ({len(found)} parameters)",
                born(e.tensor),
                hint,
            )


@rule("gradient-size", "gradients so large that training will diverge", backward)
def _gradient(c: Checkup):
    sizes = [
        (float(np.abs(host(e.tensor.grad.array)).max(initial=0)), e)
        for e in c.learned.values()
        if e.tensor.grad is not None
    ]
    sizes = [s for s in sizes if np.isfinite(s[0]) and s[0] > LARGE_GRADIENT]
    if sizes:
        size, e = max(sizes, key=lambda s: s[0])
        yield (
            f"the gradient of {e.name} reaches {size:.3g}",
            born(e.tensor),
            "tensorgraph.why(parameter) names the operation; normalisation, a smaller initialisation, clip_grad_norm_",
        )


@rule("equal-weights", "a layer whose weights are all the same: its units would stay alike", nothing)
def _equal(c: Checkup):
    for e in c.learned.values():
        if (
            e.before.ndim > 1
            and e.before.size > 1
            and e.reached
            and min(e.before.shape[:2]) > 1
            and e.before.min() == e.before.max()
        ):
            yield (
                f"all numbers of {e.name} {list(e.before.shape)} are {e.before.flat[0]:g}",
                born(e.tensor),
                "random initialisation: nn.init.kaiming_normal_",
            )


# ---- units -----------------------------------------------------------------------------------------------------------
@rule("dead-relu", "rectifiers that are 0 for the whole batch")
def _dead(c: Checkup):
    for s in c.seen:
        if s.name in RECTIFIED and s.facts.get("off", 0) > DEAD and s.facts["per unit"] >= ENOUGH:
            yield (
                f"{100 * s.facts['off']:.0f} % of the units are 0 for the whole batch"
                + (f" in {s.path}" if s.path else ""),
                s.place,
                "a smaller learning rate, a bias that is not so negative, leaky_relu",
            )


@rule("saturated", "sigmoid or tanh units at their limits")
def _saturated(c: Checkup):
    for s in c.seen:
        if s.name in ("sigmoid", "tanh") and s.facts.get("share", 0) > SATURATED and s.facts["per unit"] >= ENOUGH:
            yield (
                f"{100 * s.facts['share']:.0f} % of the values of {s.name} are at its limits: no gradient passes",
                s.place,
                "smaller initial weights, normalised inputs",
            )
