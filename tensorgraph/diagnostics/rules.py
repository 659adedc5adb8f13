"""The rules of the doctor: each looks at what one training step did (checkup.py) and yields what is likely wrong.

A rule is a function under `@rule(name, about)`; `RULES` holds them in the order of the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorgraph.diagnostics.causes import host
from tensorgraph.diagnostics.checkup import Checkup
from tensorgraph.errors import OutOfRangeError
from tensorgraph.provenance import Birth, birth, internal

__all__ = ["RULES", "Finding", "Rule"]

ENOUGH = 16  # values that make something more than chance
LARGE_INPUT, SMALL_INPUT = 10.0, 1e-3


@dataclass(slots=True)
class Finding:
    """What a rule found: its name, what and where, and the way out."""

    rule: str
    text: str
    place: Birth | None = None
    hint: str = ""


@dataclass(slots=True)
class Rule:
    """A rule: what it looks for, when it cannot (a reason), and the look itself."""

    about: str
    needs: Callable[[Checkup], str]
    look: Callable[[Checkup], list[Finding]]


RULES: dict[str, Rule] = {}


def nothing(c: Checkup) -> str:
    return ""


def model(c: Checkup) -> str:
    return "" if c.models else "no model was found; pass model="


def optimizer(c: Checkup) -> str:
    return "" if c.optimizers and c.learned else "no optimiser was found; pass optimizer="


def backward(c: Checkup) -> str:
    return "" if c.passes else "the step ran no backward pass"


def rule(name: str, about: str, needs: Callable[[Checkup], str] = nothing) -> Callable:
    """Enters a rule into the table."""

    def enter(look: Callable[[Checkup], Iterator[tuple]]) -> Callable:
        RULES[name] = Rule(about, needs, lambda c: [Finding(name, *found) for found in look(c)])
        return look

    return enter


# ---- the step as a whole ---------------------------------------------------------------------------------------------
@rule("step-failed", "the step raised an error")
def _failed(c: Checkup):
    if c.error is not None and not isinstance(c.error, OutOfRangeError):
        yield f"{type(c.error).__name__}: {c.error}", None, "the rest of the report covers what ran before it"


@rule("no-backward", "nothing was differentiated, though something was recorded and an optimiser is there")
def _no_backward(c: Checkup):
    if not c.passes and c.error is None and c.optimizers and any(s.recorded for s in c.seen):
        yield "the step computed something, but no backward pass ran", None, "loss.backward(), before optimizer.step()"


@rule("no-step", "a backward pass ran, and no parameter moved", backward)
def _no_step(c: Checkup):
    moved = any(not np.array_equal(e.before, host(e.tensor.array), equal_nan=True) for e in c.learned.values())
    grads = [e for e in c.learned.values() if e.reached]
    if (
        c.error is None
        and grads
        and not moved
        and any(np.any(host(e.tensor.grad.array)) for e in grads if e.tensor.grad is not None)
    ):
        yield (
            "gradients were computed, and no parameter moved",
            None,
            "optimizer.step() after loss.backward(); is lr 0?",
        )


@rule("missing-zero-grad", "gradients of the step before were added to", lambda c: backward(c) or model(c))
def _zero_grad(c: Checkup):
    if c.error is None and c.still_planted and any(e.tensor.grad is not None and e.reached for e in c.learned.values()):
        yield (
            "the gradients that were there before backward() were added to, and were not dropped after the step",
            c.passes[0].place,
            "optimizer.zero_grad() before loss.backward(); to accumulate on purpose, silence this rule",
        )


@rule("several-passes", "several backward passes in a step add up", backward)
def _several(c: Checkup):
    roots = [p for p in c.passes if p.shape == ()]
    if len(roots) > 4:
        yield (
            f"{len(roots)} backward passes ran in one step; their gradients add up",
            roots[1].place,
            "one pass over the sum of the losses is faster",
        )


# ---- loss ------------------------------------------------------------------------------------------------------------
@rule("loss-broadcast", "a prediction (N, 1) and a target (N,) are broadcast to (N, N)")
def _broadcast(c: Checkup):
    from tensorgraph.diagnostics.observe import Birth as Place

    said = set()
    for w in c.caught:
        if w.category.__name__ == "BroadcastWarning":
            import linecache

            text = linecache.getline(w.filename, w.lineno).strip()
            said.add((w.filename, w.lineno))
            yield (
                str(w.message).partition(";")[0],
                Place(w.filename, w.lineno, text, text, ""),
                "prediction.squeeze(1), or target[:, None]",
            )
    for s in c.seen:
        shapes = [shape for shape, _ in s.inputs.values()]
        if (
            s.name not in ("subtract", "multiply", "square", "huber_loss", "logistic_loss", "bernoulli_nll")
            or len(shapes) != 2
        ):
            continue
        flat, column = sorted(shapes, key=len)
        if (
            len(flat) == 1
            and flat[0] > 1
            and column == (flat[0], 1)
            and (s.place is None or (s.place.file, s.place.line) not in said)
        ):
            yield (
                f"{s.name}: shapes {list(shapes[0])} and {list(shapes[1])} are broadcast to {list(s.shape)}",
                s.place,
                "give both the same shape: x.squeeze(1)",
            )


@rule("softmax-before-cross-entropy", "cross_entropy is given probabilities; it applies the softmax itself")
def _softmax_twice(c: Checkup):
    for s in c.seen:
        made = s.sources.get("input", "")
        if s.name == "softmax_cross_entropy" and (made in ("softmax", "sigmoid") or s.facts.get("logits")):
            given = f"the result of {made}" if made else "probabilities"
            yield (
                f"cross_entropy was given {given}; it expects logits and applies softmax itself",
                s.place, "leave the softmax out of the model while training; apply it when predicting",
            )  # fmt: skip


@rule(
    "loss-not-a-mean",
    "the loss is a sum over the batch, so that the learning rate depends on the batch size",
    backward,
)
def _sum(c: Checkup):
    for s in c.seen:
        if s.facts.get("reduction") == "sum" and s.facts.get("labels") is not None and s.facts["labels"].size > 1:
            yield f"the loss is a sum over {s.facts['labels'].size} labels", s.place, 'reduction="mean"'
    first = c.passes[0]
    if first.name == "sum" and first.shape == () and not any(s.facts.get("reduction") == "sum" for s in c.seen):
        size = max(
            (s.inputs["x"][0][0] for s in c.seen if s.name == "sum" and s.shape == () and s.inputs.get("x", ((),))[0]),
            default=1,
        )
        if size > 1:
            yield (
                f"backward() started from a sum over {size} numbers",
                first.place,
                ".mean() makes the step independent of the batch size",
            )
    if first.shape not in ((), None) and max(first.shape, default=1) > 1:  # backward(gradient)
        yield f"backward() started from a tensor of shape {list(first.shape)}", first.place, "reduce it with .mean()"


@rule("not-finite", "the loss, a gradient or a parameter is NaN or infinite")
def _not_finite(c: Checkup):
    for e in c.learned.values():
        for what, value in (("gradient of", e.tensor.grad), ("parameter", e.tensor)):
            if value is not None and not np.isfinite(np.asarray(host(value.array))).all():
                yield (
                    f"{what} {e.name} holds numbers that are not finite",
                    born(e.tensor),
                    "`with tensorgraph.debug():` around the step stops at the first",
                )
                return


# ---- labels and data -------------------------------------------------------------------------------------------------
@rule("labels-out-of-range", "a label lies outside the classes")
def _labels(c: Checkup):
    if isinstance(c.error, OutOfRangeError):
        yield str(c.error).splitlines()[0], raised_at(c.error), c.error.hint or "labels are 0 to classes - 1"


@rule("labels-off-by-one", "no label is 0, and the largest class never comes or all labels start at 1")
def _off_by_one(c: Checkup):
    for s in c.seen:
        labels, classes = s.facts.get("labels"), s.facts.get("classes", 0)
        if (
            labels is not None
            and classes > 2
            and labels.size >= 10 * classes
            and labels.min() == 1
            and labels.max() == classes - 1
        ):
            yield (
                f"no label of {labels.size} is 0, while {classes} classes are predicted",
                s.place,
                "labels count from 0: labels - 1, or one class less",
            )


@rule("one-hot-labels", "one-hot rows where class indices would do")
def _one_hot(c: Checkup):
    text = str(c.error) if c.error is not None else ""
    if "one-hot" in text:
        yield text.splitlines()[0], raised_at(c.error), "labels.argmax(1) gives class indices"


@rule("unshuffled", "samples come in the order of their labels, or the loader does not shuffle")
def _unshuffled(c: Checkup):
    for s in c.seen:
        labels = s.facts.get("labels")
        if (
            labels is not None
            and labels.size >= ENOUGH
            and s.facts["classes"] > 1
            and bool((np.diff(labels) >= 0).all())
        ):
            what = "are all the same" if labels.min() == labels.max() else "are sorted"
            yield f"the {labels.size} labels of the batch {what}", s.place, "shuffle=True in the loader"
            return
    for loader in c.loaders:
        if (
            getattr(loader, "shuffle", None) is False
            and c.passes
            and type(getattr(loader, "sampler", None)).__name__ in ("NoneType", "SequentialSampler")
        ):
            yield f"the {type(loader).__name__} does not shuffle", None, "shuffle=True for training"


@rule("input-scale", "inputs that are far from mean 0 and spread 1")
def _scale(c: Checkup):
    for s in c.seen:
        if "input" not in s.facts:
            continue
        _, mean, std, low, high, _ = s.facts["input"]
        if abs(mean) > LARGE_INPUT or std > LARGE_INPUT or (0 < std < SMALL_INPUT and abs(mean) < SMALL_INPUT):
            hint = (
                "divide images by 255, then subtract the mean"
                if 100 < high <= 255 and low >= 0
                else "(x - mean) / std of the training set"
            )
            yield f"the input of the first {s.name} has mean {mean:.3g} and spread {std:.3g}", s.place, hint
            return


@rule("float64-input", "data of float64 makes float32 parameters compute in float64")
def _double(c: Checkup):
    for s in c.seen:
        if (
            "input" in s.facts
            and s.facts["input"][5] == np.float64
            and any(d == np.float32 for _, d in s.inputs.values())
        ):
            yield (
                f"the input of {s.name} is float64, the parameters are float32: everything runs in float64",
                s.place,
                "x.astype(tensorgraph.float32)",
            )
            return


def born(tensor: Any) -> Birth | None:
    place = birth(tensor.node) if tensor.node is not None else None
    return None if place is None or internal[place.file] else place


def raised_at(error: BaseException | None) -> Birth | None:
    """The user's line in a traceback: the last one that is not tensorgraph's."""
    from tensorgraph.provenance import _place

    found, trace = None, error.__traceback__ if error is not None else None
    while trace is not None:
        if not internal[trace.tb_frame.f_code.co_filename]:
            found = (trace.tb_frame.f_code, trace.tb_lasti)
        trace = trace.tb_next
    return None if found is None else _place(*found)
