"""Hooks of modules: what they are called with, and how gradients are watched on their way. Imported by nn/module.py.

A backward hook sees the gradients at a module's inputs and outputs. For that both are passed through an operation
that changes nothing, and shows its gradients to the hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tensorgraph.errors import ArgumentError, GraphError, sig
from tensorgraph.function import Function
from tensorgraph.tensor import Tensor

if TYPE_CHECKING:
    from tensorgraph.nn.module import Module

__all__ = ["Handle", "call"]


class Handle:
    """What registering a hook returns: `.remove()`, or calling it, takes the hook off again; so does `with`."""

    __slots__ = ("_module", "_kind", "_entry")

    def __init__(self, module: Module, kind: str, entry: tuple):
        self._module, self._kind, self._entry = module, kind, entry

    def remove(self) -> None:
        """Takes the hook off; nothing happens the second time."""
        hooks = getattr(self._module, self._kind)
        setattr(self._module, self._kind, tuple(entry for entry in hooks if entry is not self._entry))

    __call__ = remove

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()


def call(module: Module, args: tuple, kwargs: dict) -> Any:
    """The module's forward, with its hooks around it."""
    for hook, with_kwargs in module._before:
        changed = hook(module, args, kwargs) if with_kwargs else hook(module, args)
        if changed is not None and with_kwargs:
            args, kwargs = changed
        elif changed is not None:
            args = changed if isinstance(changed, tuple) else (changed,)
    backward = _Backward(module) if module._backward_before or module._backward_after else None
    if backward is not None:
        args = backward.watch_inputs(args)
    output = module.forward(*args, **kwargs)
    for hook, with_kwargs in module._after:
        changed = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
        output = output if changed is None else changed
    return output if backward is None else backward.watch_outputs(output)


class _Watch(Function):
    """Tensors as they are; `note(gradients)` sees their gradients, and what it returns goes on."""

    @staticmethod
    def forward(ctx: Any, note: Callable, *tensors: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.note = note
        return tensors

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return None, *ctx.note(gradients)


class _Backward:
    """The backward hooks of one call."""

    def __init__(self, module: Module):
        self.module, self.before, self.after = module, module._backward_before, module._backward_after
        self.inputs, self.n_inputs = (), 0
        self.grad_output: tuple = ()

    def watch_inputs(self, args: tuple) -> tuple:
        """The arguments, with those that need a gradient watched."""
        self.n_inputs = len(args)
        watched, self.inputs = _watched(args, self._at_inputs)
        return tuple(watched)

    def watch_outputs(self, output: Any) -> Any:
        """The result (a tensor, or a tuple or list with tensors in it), watched."""
        if isinstance(output, Tensor):
            return self.watch_outputs((output,))[0]
        if not isinstance(output, (tuple, list)):
            raise ArgumentError(
                f"{type(self.module).__name__}: backward hooks need a tensor or a tuple of tensors as the result, "
                f"got {sig(output)}"
            )
        self.n_outputs = len(output)
        watched, self.outputs = _watched(output, self._at_outputs)
        return type(output)(*watched) if hasattr(output, "_fields") else type(output)(watched)

    def _at_outputs(self, gradients: Sequence[Any]) -> Sequence[Any]:
        self.grad_output = _spread(gradients, self.outputs, self.n_outputs)
        for (hook,) in self.before:
            changed = hook(self.module, self.grad_output)
            self.grad_output = self._replaced("backward pre-hook", self.grad_output, changed)
        if not self.inputs:  # no gradient will come to the inputs, so this is the last that the hooks can see
            for (hook,) in self.after:
                if hook(self.module, (None,) * self.n_inputs, self.grad_output) is not None:
                    raise GraphError(
                        f"{type(self.module).__name__}: a backward hook returned gradients of inputs, "
                        "but no input needs one",
                        hint="x.requires_grad_() on the input",
                    )
        return [self.grad_output[i] for i in self.outputs]

    def _at_inputs(self, gradients: Sequence[Any]) -> Sequence[Any]:
        grad_input = _spread(gradients, self.inputs, self.n_inputs)
        for (hook,) in self.after:
            grad_input = self._replaced("backward hook", grad_input, hook(self.module, grad_input, self.grad_output))
        self.grad_output = ()
        return [grad_input[i] for i in self.inputs]

    def _replaced(self, what: str, old: tuple, new: Any) -> tuple:
        if new is None:
            return old
        new = tuple(new) if isinstance(new, (tuple, list)) else (new,)
        if len(new) != len(old):
            raise GraphError(
                f"{type(self.module).__name__}: a {what} returned {len(new)} gradients, it was given {len(old)}"
            )
        return new


def _watched(values: Sequence[Any], note: Callable) -> tuple[list[Any], tuple[int, ...]]:
    """The values, those that need a gradient watched; and the places of these."""
    places = tuple(i for i, value in enumerate(values) if isinstance(value, Tensor) and value.requires_grad)
    result = list(values)
    if places:
        for i, tensor in zip(places, _Watch.apply(note, *(values[i] for i in places)), strict=True):
            result[i] = tensor
    return result, places


def _spread(gradients: Sequence[Any], places: Sequence[int], n: int) -> tuple:
    found = dict(zip(places, gradients, strict=True))
    return tuple(found.get(i) for i in range(n))
