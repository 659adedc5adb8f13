"""What fine-tuning needs: another head, and frozen parameters. Works on every module, not only those of this room."""

from __future__ import annotations

from collections.abc import Sequence

from tensorgraph.errors import ArgumentError, sig
from tensorgraph.nn.layers import Conv2d, Linear
from tensorgraph.nn.module import Module

__all__ = ["freeze", "replace_head"]


def replace_head(model: Module, num_classes: int, name: str | None = None) -> Linear | Conv2d:
    """Puts a new layer of `num_classes` outputs in the place of the head, and returns it.

    The head is the layer called `name`, else the last Linear or Conv2d of the model. The new one has fresh weights on
    the device and of the dtype of the old one, and everything else alike.

    Raises ArgumentError: no such layer, or one of another kind.
    """
    if name is None:
        layers = [path for path, module in model.named_modules() if path and isinstance(module, (Linear, Conv2d))]
        if not layers:
            raise ArgumentError(f"replace_head: {type(model).__name__} has no Linear or Conv2d below it")
        name = layers[-1]
    old = model.get_submodule(name)
    like = {}
    if isinstance(old, (Linear, Conv2d)):
        like = {"bias": old.bias is not None, "device": old.weight.device, "dtype": old.weight.dtype}
        like["activation"] = old.activation
    if isinstance(old, Linear):
        new = Linear(old.in_features, num_classes, **like)
    elif isinstance(old, Conv2d):
        new = Conv2d(
            old.in_channels, num_classes, old.kernel_size, old.stride, old.padding, old.dilation, old.groups,
            padding_mode=old.padding_mode, **like,
        )  # fmt: skip
    else:
        raise ArgumentError(f"replace_head: {name!r} is {type(old).__name__}, neither Linear nor Conv2d")
    new.train(old.training)
    owner, _, last = name.rpartition(".")
    setattr(model.get_submodule(owner), last, new)
    return new


def freeze(model: Module, but: str | Sequence[str] = ()) -> list[str]:
    """Makes parameters constant, except those of the modules (or the parameters) called `but`; returns the names of
    those that still learn.

    An optimiser made from `[p for p in model.parameters() if p.requires_grad]` then trains these alone. Running
    statistics of batch normalisation are no parameters: `eval()` on the frozen part keeps them too.
    `model.requires_grad_()` thaws everything.

    Raises ArgumentError: a name in `but` that the model does not have; nothing is frozen then.
    """
    kept = (but,) if isinstance(but, str) else tuple(but)
    parameters = dict(model.named_parameters())
    for name in kept:
        if not isinstance(name, str) or not any(_inside(path, name) for path in parameters):
            raise ArgumentError(
                f"freeze: no parameter belongs to {name if isinstance(name, str) else sig(name)!r}",
                hint=f"there are {', '.join(parameters) or 'none'}",
            )
    for path, parameter in parameters.items():
        parameter.requires_grad_(any(_inside(path, name) for name in kept))
    return [path for path, parameter in parameters.items() if parameter.requires_grad]


def _inside(path: str, name: str) -> bool:
    return path == name or path.startswith(f"{name}.")
