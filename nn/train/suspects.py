"""What may keep a model from learning: a search in the data, the outputs, the gradients and the activations.

Each function returns sentences for `overfit`, the only one that imports this file.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorgraph.mode import no_grad
from tensorgraph.nn.layers import ReLU, ReLU6
from tensorgraph.nn.losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, NLLLoss
from tensorgraph.nn.module import Module, unregistered
from tensorgraph.tensor import Tensor

__all__ = ["in_activations", "in_data", "in_gradients", "in_outputs"]


def in_data(inputs: list[Tensor], target: Tensor) -> list[str]:
    """Labels that are all alike, samples that contradict each other, scales that are off."""
    found = []
    wanted = _host(target)
    arrays = [_host(x) for x in inputs]
    for i, x in enumerate(arrays):
        name = "the input" if len(arrays) == 1 else f"input {i}"
        if x.dtype.kind != "f":
            continue
        if not np.isfinite(x).all():
            found.append(f"{name} is not finite: {np.isnan(x).sum()} NaN, {np.isinf(x).sum()} infinite of {x.size}")
        elif x.size and (np.abs(x).max() > 100 or (x.std() > 0 and abs(x.mean()) > 10 * x.std())):
            found.append(
                f"{name} is not scaled: mean {x.mean():.3g}, standard deviation {x.std():.3g}, largest "
                f"{np.abs(x).max():.3g}; networks want about mean 0 and standard deviation 1"
            )
    if wanted.dtype.kind == "f" and not np.isfinite(wanted).all():
        found.append(f"the target is not finite: {(~np.isfinite(wanted)).sum()} of {wanted.size}")
    if len(wanted) > 1 and (wanted == wanted[:1]).all():
        found.append(f"all {len(wanted)} targets are the same: nothing has to be learned from the input")
    first: dict[bytes, int] = {}
    for i in range(len(wanted)):
        twin = first.setdefault(b"".join(x[i].tobytes() for x in arrays if x.ndim and len(x) == len(wanted)), i)
        if twin != i and not np.array_equal(wanted[i], wanted[twin]):
            found.append(f"samples {twin} and {i} have the same input but other targets; no model can fit both")
            break
    return found


def in_outputs(model: Module, inputs: list[Tensor], target: Tensor, criterion: Any) -> list[str]:
    """Softmax before a loss that has its own, shapes that broadcast, outputs that do not depend on the input."""
    found = []
    with no_grad():
        output = model(*inputs)
        start = float(criterion(output, target))
    if not isinstance(output, Tensor) or output.dtype.kind != "f" or not output.ndim:
        return found
    y = _host(output)
    if not np.isfinite(y).all():
        return [*found, f"the output is not finite before any training: {(~np.isfinite(y)).sum()} of {y.size}"]
    scores = y.ndim >= 2 and y.shape[1] > 1
    if isinstance(criterion, CrossEntropyLoss) and scores:
        if (y >= 0).all() and np.allclose(y.sum(axis=1), 1, atol=1e-3):
            found.append("the outputs are probabilities: CrossEntropyLoss has its own softmax, leave out the model's")
        classes = y.shape[1]
        if start > 3 * math.log(classes) + 1:
            found.append(
                f"the loss begins at {start:.3g}, although guessing among {classes} classes costs "
                f"{math.log(classes):.3g}: the first outputs are too large; scale the inputs or the initial weights"
            )
        if criterion.label_smoothing:
            found.append(f"label_smoothing={criterion.label_smoothing} keeps the loss above zero; leave it out here")
    if isinstance(criterion, NLLLoss) and scores and not np.allclose(np.exp(y).sum(axis=1), 1, atol=1e-2):
        found.append("the outputs are no log-probabilities, which NLLLoss wants: use LogSoftmax or CrossEntropyLoss")
    if isinstance(criterion, BCEWithLogitsLoss) and y.min() > 0 and y.max() < 1:
        found.append("the outputs lie between 0 and 1: BCEWithLogitsLoss has its own sigmoid, leave out the model's")
    if isinstance(criterion, BCELoss) and (y.min() < 0 or y.max() > 1):
        found.append("the outputs do not lie between 0 and 1, which BCELoss wants: use Sigmoid or BCEWithLogitsLoss")
    if target.dtype.kind == "f" and target.shape != output.shape:
        found.append(f"output {list(y.shape)} and target {list(target.shape)} have different shapes and are broadcast")
    if len(y) > 1 and np.ptp(y.reshape(len(y), -1), axis=0).max() <= 1e-7 * max(1.0, float(np.abs(y).max())):
        found.append("the output is the same for every sample: the input does not get through")
    leaves = [(path, m) for path, m in model.named_modules() if not any(True for _ in m.children())]
    if leaves and isinstance(leaves[-1][1], ReLU) and (y >= 0).all():
        found.append(f"the output goes through {leaves[-1][0] or 'a ReLU'} (ReLU), which cuts off all below zero")
    return found


def in_gradients(model: Module, original: Module, inputs: list[Tensor], target: Tensor, criterion: Any) -> list[str]:
    """Frozen parameters, those that the loss does not reach or that get exactly nothing, vanishing gradients."""
    found = []
    parameters = dict(model.named_parameters())
    lost = [path for path, _ in unregistered(original)]
    if lost:
        found.append(f"not registered, so never trained: {_some(lost)}; put them into ModuleList or ParameterList")
    frozen = [name for name, p in parameters.items() if not p.requires_grad]
    if frozen:
        every = "all parameters" if len(frozen) == len(parameters) else f"{len(frozen)} of {len(parameters)} parameters"
        found.append(f"{every} are frozen (requires_grad is False): {_some(frozen)}")
    if len(frozen) == len(parameters):
        return found if parameters else [*found, "the model has no parameters"]
    criterion(model(*inputs), target).backward()
    sizes: dict[str, float] = {}
    unreached, silent, bad = [], [], []
    for name, p in parameters.items():
        if not p.requires_grad:
            continue
        if p.grad is None:
            unreached.append(name)
            continue
        g = _host(p.grad)
        if not np.isfinite(g).all():
            bad.append(name)
        elif not g.any():
            silent.append(name)
        elif p.ndim > 1:
            sizes[name] = float(np.sqrt((g.astype(np.float64) ** 2).mean()))
    if unreached:
        found.append(f"the loss does not depend on {_some(unreached)}: not used in forward, or cut off by detach()")
    if bad:
        found.append(f"the gradient of {_some(bad)} is not finite at the first step")
    if silent:
        found.append(f"the gradient of {_some(silent)} is exactly zero at the first step: dead units before the loss")
    if len(sizes) > 1:
        weakest, strongest = min(sizes, key=lambda n: sizes[n]), max(sizes, key=lambda n: sizes[n])
        if sizes[weakest] < 1e-6 * sizes[strongest]:
            found.append(
                f"gradients vanish: {sizes[weakest]:.1e} at {weakest}, {sizes[strongest]:.1e} at {strongest}; ReLU, "
                "normalisation, shortcuts or another initialisation help"
            )
    return found


def in_activations(model: Module, inputs: list[Tensor]) -> list[str]:
    """ReLUs that are zero for every sample."""
    dead: list[str] = []

    def look(path: str):
        def hook(_: Module, args: Any, output: Any) -> None:
            y = _host(output)
            if y.ndim >= 2 and len(y):
                units = y.any(axis=(0, *range(2, y.ndim)))  # per channel or feature
                if not units.all() and (~units).mean() >= 0.5:
                    dead.append(f"{(~units).sum()} of {units.size} in {path or 'the model'}")

        return hook

    handles = [m.register_forward_hook(look(p)) for p, m in model.named_modules() if isinstance(m, (ReLU, ReLU6))]
    try:
        with no_grad():
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    hint = "they learn nothing any more; a smaller learning rate, He initialisation or LeakyReLU"
    return [f"dead ReLUs, zero for every sample: {_some(dead)}; {hint}"] if dead else []


def _host(tensor: Any) -> np.ndarray:
    return tensor.detach().to(device="cpu").numpy()


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
