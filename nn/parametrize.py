"""Weights that are computed from other parameters: weight norm and spectral norm on any module.

    layer = nn.parametrize.weight_norm(nn.Linear(4, 8))     # learns weight_g and weight_v

The module's attribute (`layer.weight`) is then made afresh each time it is read, so it always fits its parameters, and
copies, pickles and state dicts hold nothing stale. Names in the state dict are PyTorch's.
"""

from __future__ import annotations

from typing import TypeVar

from tensorgraph import ops
from tensorgraph.creation import empty
from tensorgraph.errors import ArgumentError, DtypeError, sig
from tensorgraph.nn import arguments as check
from tensorgraph.nn import init
from tensorgraph.nn.layers.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from tensorgraph.nn.module import Module, Parameter
from tensorgraph.ops.normalization import power_iteration
from tensorgraph.tensor import Tensor

__all__ = ["remove", "spectral_norm", "weight_norm"]

M = TypeVar("M", bound=Module)


class _WeightNorm:
    def __init__(self, name: str, dim: int | None):
        self.name, self.dim = name, dim
        self.parts = (f"{name}_g", f"{name}_v")

    def __call__(self, module: Module) -> Tensor:
        g, v = (getattr(module, part) for part in self.parts)
        return ops.weight_norm(v, g, self.dim)


class _SpectralNorm:
    def __init__(self, name: str, dim: int, steps: int, eps: float):
        self.name, self.dim, self.steps, self.eps = name, dim, steps, eps
        self.parts = (f"{name}_orig", f"{name}_u", f"{name}_v")

    def __call__(self, module: Module) -> Tensor:
        weight, u, v = (getattr(module, part) for part in self.parts)
        if module.training:
            power_iteration(weight, u, v, self.dim, self.steps, self.eps)
        return ops.spectral_norm(weight, u.clone(), v.clone(), self.dim)


def _taken(module: Module, name: str, what: str) -> Parameter:
    """The parameter, taken off the module."""
    parameter = vars(module).get(name)
    if not isinstance(parameter, Parameter):
        names = ", ".join(n for n, _ in module.named_parameters(recurse=False)) or "none"
        raise ArgumentError(f"{what}: {type(module).__name__} has no parameter {name!r}", hint=f"there are {names}")
    if not parameter.ndim:
        raise DtypeError(f"{what}: {name} is {sig(parameter)}, it needs an axis")
    delattr(module, name)
    return parameter


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Lets a module learn the length (`weight_g`) and the direction (`weight_v`) of a weight apart. Returns it.

    One length per index of `dim`, or a single one with None; see `ops.weight_norm`.
    """
    weight = _taken(module, name, "weight_norm")
    axes = None if dim is None else tuple(i for i in range(weight.ndim) if i != dim % weight.ndim)
    g = ops.vector_norm(weight.detach(), 2, axes, keepdims=True)
    setattr(module, f"{name}_g", Parameter(g.reshape(()) if dim is None else g, weight.requires_grad))
    setattr(module, f"{name}_v", Parameter(weight.detach(), weight.requires_grad))
    module._computed = {**module._computed, name: _WeightNorm(name, dim)}
    return module


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """Divides a weight by its largest singular value, which power iteration follows while training. Returns the module.

    The parameter is `weight_orig`; the buffers `weight_u` and `weight_v` hold the singular vectors. `dim` is the axis
    of the outputs: 0, or 1 for transposed convolutions. See `ops.spectral_norm`.
    """
    steps = check.integer("spectral_norm", n_power_iterations=n_power_iterations)
    weight = _taken(module, name, "spectral_norm")
    if dim is None:
        dim = int(isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)))
    rows = weight.shape[dim]
    setattr(module, f"{name}_orig", weight)
    for part, n in (("u", rows), ("v", weight.array.size // rows)):
        vector = init.normal_(empty(n, dtype=weight.dtype, device=weight.device))
        module.register_buffer(f"{name}_{part}", ops.normalize(vector, axis=0, eps=eps))
    rule = _SpectralNorm(name, dim, steps, eps)
    _, u, v = rule.parts
    power_iteration(weight, getattr(module, u), getattr(module, v), dim, 15, eps)
    module._computed = {**module._computed, name: rule}
    return module


def remove(module: M, name: str = "weight") -> M:
    """Makes a computed weight an ordinary parameter again, with its present values. Returns the module."""
    rule = module._computed.get(name)
    if rule is None:
        raise ArgumentError(f"remove: {type(module).__name__} has no computed {name!r}")
    training, module.training = module.training, False
    values = getattr(module, name).detach()
    module.training = training
    requires_grad = getattr(module, rule.parts[0]).requires_grad
    module._computed = {n: r for n, r in module._computed.items() if n != name}
    module._buffers = {n: kept for n, kept in module._buffers.items() if n not in rule.parts}
    for part in rule.parts:
        delattr(module, part)
    setattr(module, name, Parameter(values, requires_grad))
    return module
