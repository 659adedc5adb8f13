"""What the doctor sees while a training step runs: the operations, the passes, the parameters before and after.

Imported by doctor.py and its rules. Knows layers, optimisers and loaders by what they can do, not by their classes.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tensorgraph.backends import ARRAYS, backend_of
from tensorgraph.diagnostics.causes import host
from tensorgraph.diagnostics.flow import RECTIFIED, Flow, Recorder
from tensorgraph.diagnostics.observe import Call, arrays_in
from tensorgraph.node import Node
from tensorgraph.provenance import Birth, module_path, parameter_name, scopes
from tensorgraph.tensor import Tensor

__all__ = ["Checkup", "Learned", "Seen"]


@dataclass(slots=True)
class Seen:
    """One operation outside every other. `sources`: names of the operations that made its operands, "" from outside."""

    name: str
    inputs: dict[str, tuple[tuple[int, ...], Any]]  # name -> shape, dtype
    sources: dict[str, str]
    shape: tuple[int, ...]
    place: Birth | None
    path: str
    modules: tuple[Any, ...]  # from the innermost outwards
    recorded: bool
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Learned:
    """A parameter: its name, its value before the step."""

    tensor: Tensor
    name: str
    before: np.ndarray
    reached: bool = False


@dataclass
class Pass:
    """A backward pass: what it started from, and whether a gradient of the parameters was there already."""

    name: str
    shape: tuple[int, ...] | None
    place: Birth | None
    value: float | None


class Checkup(Recorder):
    """Runs a step and keeps what the rules ask for."""

    def __init__(self, step: Callable[[], Any], models: list[Any], optimizers: list[Any], loaders: list[Any]):
        super().__init__(Flow())
        self.step = step
        named = list(_named_in(step))
        self.models = models or _outermost([o for o in named if is_module(o)])
        self.optimizers = optimizers or [o for o in named if is_optimizer(o)]
        self.loaders = loaders or [o for o in named if is_loader(o)]
        self.seen: list[Seen] = []
        self.passes: list[Pass] = []
        self.learned: dict[int, Learned] = {}
        self.called: dict[int, tuple[Any, str, Birth | None]] = {}  # modules that ran, their path, a line in them
        self.warned: list[tuple[str, str, int]] = []
        self.error: Exception | None = None
        self.planted: dict[int, Tensor] = {}
        self.still_planted = False
        self.had_gradients = False

    def run(self) -> None:
        """Runs the step once."""
        for model in self.models:
            for name, tensor in model.named_parameters():
                self._learn(tensor, name)
        self.had_gradients = any(entry.tensor.grad is not None for entry in self.learned.values())
        for key, entry in self.learned.items():
            if entry.tensor.grad is None and entry.tensor.requires_grad:  # 0 + g is g: nobody notices
                entry.tensor.grad = self.planted[key] = Tensor(
                    backend_of(entry.tensor.array).zeros_like(entry.tensor.array)
                )
        with warnings.catch_warnings(record=True) as caught, self:
            warnings.simplefilter("always")
            try:
                self.step()
            except Exception as error:
                self.error = error
        for key, zeros in self.planted.items():
            if self.learned[key].tensor.grad is zeros:
                self.learned[key].tensor.grad = None
        self.warned = [(w.category.__name__, str(w.message), w.lineno) for w in caught]
        self.caught = caught
        if not self.models:
            self.models = _outermost([m for m, _, _ in self.called.values()])

    def _learn(self, tensor: Tensor, name: str) -> None:
        if id(tensor) not in self.learned:
            self.learned[id(tensor)] = Learned(tensor, name, np.array(host(tensor.array)))

    # ---- forward -----------------------------------------------------------------------------------------------------
    def around(self, call: Call, run: Callable[[], Any]) -> Any:
        result = super().around(call, run)
        if call.parent is None and call.node is None:
            self._see(call, result)
        return result

    def _see(self, call: Call, result: Any) -> None:
        values = result[0] if type(result) is tuple and len(result) == 2 and callable(result[1]) else result
        y = next(arrays_in(values), None)
        if y is None:
            return
        entry = self.flow.entries[self.flow._of_call[call]]
        inputs = {n: (v.shape, v.dtype) for n, v in call.operands.items() if type(v) in ARRAYS}
        made = {name: self.flow.entries[number].name for name, number in entry.inputs}
        inner = [s.module for s in scopes(call.scope)]
        place, path = call.place, module_path(call.scope)
        for scope in scopes(call.scope):
            self.called.setdefault(id(scope.module), (scope.module, module_path(scope), place))
        seen = Seen(call.name, inputs, made, y.shape, place, path, tuple(inner), entry.recorded)
        self._measure(seen, call, y)
        self.seen.append(seen)

    def _measure(self, seen: Seen, call: Call, y: Any) -> None:
        """Numbers that some rule asks for, while the arrays are there."""
        values = np.asarray(host(y))
        if seen.name in (*RECTIFIED, "sigmoid", "tanh") and values.ndim > 1 and values.size:
            others = (0,) + tuple(range(2, values.ndim)) if values.ndim != 3 else (0, 1)
            off = (
                values <= 0
                if seen.name in RECTIFIED
                else np.abs(values - 0.5 * (seen.name == "sigmoid")) > (0.495 if seen.name == "sigmoid" else 0.99)
            )
            seen.facts |= {
                "off": off.all(axis=others).mean(),
                "share": off.mean(),
                "per unit": values.size // max(values.shape[-1 if values.ndim == 3 else 1], 1),
            }
        if seen.name == "softmax_cross_entropy":
            logits, labels = np.asarray(host(call.operands["input"])), np.asarray(host(call.operands["target"]))
            seen.facts |= {
                "labels": labels.reshape(-1) if labels.dtype.kind in "iu" else None,
                "classes": logits.shape[-1 if logits.ndim == 1 else 1],
                "reduction": call.settings.get("reduction", "mean"),
                "logits": _row_sums(logits),
            }
        if seen.name in ("linear", "linear_relu", "matmul", "correlate", "correlate_relu"):
            for name in ("x", "a", "input"):
                value = call.operands.get(name)
                if value is not None and seen.sources.get(name) == "" and value.size and value.dtype.kind == "f":
                    a = np.asarray(host(value), np.float64)
                    seen.facts["input"] = (
                        name,
                        float(a.mean()),
                        float(a.std()),
                        float(a.min()),
                        float(a.max()),
                        value.dtype,
                    )

    def recorded(self, call: Call, node: Node) -> None:
        super().recorded(call, node)
        for parent in node.parents:
            tensor = parent.tensor()
            if tensor is not None:
                self._learn(tensor, parameter_name(parent, node.scope) or "a leaf")

    # ---- backward ----------------------------------------------------------------------------------------------------
    def arrived(self, node: Node, g: Any) -> None:
        before = self.flow.finished
        super().arrived(node, g)
        if self.flow.finished > before:
            from tensorgraph.provenance import birth

            self.passes.append(Pass(node.name, node.shape, birth(node), None))
            if len(self.passes) == 1:
                self.still_planted = any(
                    e.tensor.grad is self.planted.get(key) for key, e in self.learned.items() if key in self.planted
                )
        tensor = node.tensor()
        if tensor is not None and id(tensor) in self.learned:
            self.learned[id(tensor)].reached = True


def _row_sums(logits: np.ndarray) -> bool:
    """Whether every row is a distribution."""
    axis = -1 if logits.ndim == 1 else 1
    with np.errstate(all="ignore"):
        return bool(logits.size and (logits >= 0).all() and np.allclose(logits.sum(axis=axis), 1, atol=1e-3))


# ---- what a step works with ------------------------------------------------------------------------------------------
def is_module(thing: Any) -> bool:
    """Whether a thing behaves as a module of layers."""
    kind = type(thing)
    return all(hasattr(kind, name) for name in ("named_parameters", "named_modules", "forward")) and hasattr(
        thing, "training"
    )


def is_optimizer(thing: Any) -> bool:
    """Whether a thing behaves as an optimiser."""
    return hasattr(type(thing), "step") and isinstance(getattr(thing, "param_groups", None), list)


def is_loader(thing: Any) -> bool:
    """Whether a thing behaves as a loader of batches."""
    return hasattr(type(thing), "__iter__") and hasattr(thing, "dataset") and hasattr(thing, "batch_size")


def _outermost(modules: list[Any]) -> list[Any]:
    unique = list({id(m): m for m in modules}.values())
    inside = {id(c) for m in unique for name, c in m.named_modules() if name}
    return [m for m in unique if id(m) not in inside and any(True for _ in m.named_parameters())]


def _named_in(step: Any) -> Iterator[Any]:
    """The objects that a function names: what it closes over, globals, its `self` and arguments bound to it."""
    while isinstance(step, functools.partial):
        yield from (*step.args, *step.keywords.values())
        step = step.func
    step = inspect.unwrap(step)
    owner = getattr(step, "__self__", None)
    if owner is not None:
        yield owner
        yield from list(getattr(owner, "__dict__", {}).values())
    function = getattr(step, "__func__", step)
    if not inspect.isfunction(function):
        if hasattr(function, "__dict__"):
            yield from list(vars(function).values())
        return
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    yield from function.__defaults__ or ()
    names, codes = set(), [function.__code__]
    while codes:
        code = codes.pop()
        names |= set(code.co_names)
        codes += [c for c in code.co_consts if inspect.iscode(c)]
    for name in sorted(names):
        value = function.__globals__.get(name)
        if inspect.isfunction(value) and value.__module__ == function.__module__ and value is not function:
            for cell in value.__closure__ or ():
                yield cell.cell_contents
            yield from (function.__globals__[n] for n in value.__code__.co_names if n in function.__globals__)
        elif value is not None:
            yield value
