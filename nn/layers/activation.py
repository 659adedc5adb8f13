"""Activations as layers. What they compute, and what their gradients are at kinks, is said in ops/activation.py.

`inplace=True` is understood wherever PyTorch has it. It changes nothing but for ReLU: other values are not overwritten.
"""

from __future__ import annotations

from typing import Any

from tensorgraph import ops
from tensorgraph.creation import empty
from tensorgraph.errors import ArgumentError, ShapeError, sig
from tensorgraph.nn import arguments as check
from tensorgraph.nn import init
from tensorgraph.nn.module import Module, Parameter
from tensorgraph.ops.inplace import relu_in_place
from tensorgraph.ops.rounding import check_surrogate

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Arctan",
    "BinaryStep",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Maxout",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


# ---- without settings ----------------------------------------------------------------------------------------------
class _Plain(Module):
    """An operation of one argument."""

    _operation: Any

    def forward(self, input: Any) -> Any:
        return self._operation(input)


class _InPlace(_Plain):
    def __init__(self, inplace: bool = False):
        super().__init__()
        check.flags(type(self).__name__, inplace=inplace)
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(_InPlace):
    """max(x, 0); see `ops.relu`.

    `inplace=True`: an intermediate result of a graph becomes its own relu, as in PyTorch, which saves memory and time
    where no rule needs its old values. What somebody may still need is never overwritten: then, and on leaves, on what
    needs no gradient and without recording, the result has memory of its own.
    """

    def forward(self, input: Any) -> Any:
        return relu_in_place(input) if self.inplace else ops.relu(input)


class ReLU6(_InPlace):
    """x between 0 and 6; see `ops.relu6`."""

    _operation = staticmethod(ops.relu6)


class SELU(_InPlace):
    """Scaled exponential linear unit; see `ops.selu`."""

    _operation = staticmethod(ops.selu)


class SiLU(_InPlace):
    """x sigmoid(x), also known as swish; see `ops.silu`."""

    _operation = staticmethod(ops.silu)


class Mish(_InPlace):
    """x tanh(softplus(x)); see `ops.mish`."""

    _operation = staticmethod(ops.mish)


class Hardsigmoid(_InPlace):
    """A piecewise linear sigmoid; see `ops.hardsigmoid`."""

    _operation = staticmethod(ops.hardsigmoid)


class Hardswish(_InPlace):
    """x hardsigmoid(x); see `ops.hardswish`."""

    _operation = staticmethod(ops.hardswish)


class Sigmoid(_Plain):
    """1 / (1 + e^-x); see `ops.sigmoid`."""

    _operation = staticmethod(ops.sigmoid)


class Tanh(_Plain):
    """Hyperbolic tangent; see `ops.tanh`."""

    _operation = staticmethod(ops.tanh)


class Arctan(_Plain):
    """Inverse tangent; see `ops.atan`."""

    _operation = staticmethod(ops.atan)


class LogSigmoid(_Plain):
    """log(sigmoid(x)); see `ops.logsigmoid`."""

    _operation = staticmethod(ops.logsigmoid)


class Softsign(_Plain):
    """x / (1 + |x|); see `ops.softsign`."""

    _operation = staticmethod(ops.softsign)


class Tanhshrink(_Plain):
    """x - tanh(x); see `ops.tanhshrink`."""

    _operation = staticmethod(ops.tanhshrink)


# ---- with settings -------------------------------------------------------------------------------------------------
class BinaryStep(Module):
    """1 where x >= 0, else 0; see `ops.binary_step`, also for the surrogate gradients."""

    def __init__(self, surrogate: str | None = None):
        super().__init__()
        check_surrogate("BinaryStep", surrogate)
        self.surrogate = surrogate

    def forward(self, input: Any) -> Any:
        return ops.binary_step(input, surrogate=self.surrogate)

    def extra_repr(self) -> str:
        return "" if self.surrogate is None else f"surrogate={self.surrogate!r}"


class ELU(_InPlace):
    """x, or alpha (e^x - 1) below 0; see `ops.elu`."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        super().__init__(inplace)
        self.alpha = check.number(type(self).__name__, alpha=alpha)

    def forward(self, input: Any) -> Any:
        return ops.elu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}{', inplace=True' * self.inplace}"


class CELU(ELU):
    """ELU that is smooth for every alpha; see `ops.celu`."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        super().__init__(alpha, inplace)
        if alpha == 0:
            raise ArgumentError("CELU: alpha must not be 0")

    def forward(self, input: Any) -> Any:
        return ops.celu(input, self.alpha)


class GELU(Module):
    """x times the normal distribution function, exact or by "tanh"; see `ops.gelu`."""

    def __init__(self, approximate: str = "none"):
        super().__init__()
        self.approximate = check.choice("GELU", ("none", "tanh"), approximate=approximate)

    def forward(self, input: Any) -> Any:
        return ops.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class GLU(Module):
    """One half of the input times the sigmoid of the other; see `ops.glu`."""

    def __init__(self, dim: int = -1):
        super().__init__()
        self.dim = check.integer("GLU", -64, dim=dim)

    def forward(self, input: Any) -> Any:
        return ops.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LeakyReLU(_InPlace):
    """x, or negative_slope x below 0; see `ops.leaky_relu`."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False):
        super().__init__(inplace)
        self.negative_slope = check.number("LeakyReLU", negative_slope=negative_slope)

    def forward(self, input: Any) -> Any:
        return ops.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}{', inplace=True' * self.inplace}"


class RReLU(_InPlace):
    """Leaky ReLU with a random slope while training, the mean slope afterwards; see `ops.rrelu`."""

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False):
        super().__init__(inplace)
        self.lower = check.number("RReLU", lower=lower)
        self.upper = check.number("RReLU", lower, upper=upper)

    def forward(self, input: Any) -> Any:
        return ops.rrelu(input, self.lower, self.upper, self.training)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}{', inplace=True' * self.inplace}"


class PReLU(Module):
    """Leaky ReLU with a learned slope, one for all or one per channel; see `ops.prelu`.  weight (num_parameters,)."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: str | None = None, dtype: Any = None):
        super().__init__()
        self.num_parameters = check.integer("PReLU", num_parameters=num_parameters)
        self.init = check.number("PReLU", init=init)
        self.weight = Parameter(empty(num_parameters, dtype=dtype, device=device))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The slope of the beginning."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Any) -> Any:
        return ops.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class Hardtanh(_InPlace):
    """x between min_val and max_val; see `ops.hardtanh`."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False):
        super().__init__(inplace)
        self.min_val = check.number("Hardtanh", min_val=min_val)
        self.max_val = check.number("Hardtanh", above=min_val, max_val=max_val)

    def forward(self, input: Any) -> Any:
        return ops.hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}{', inplace=True' * self.inplace}"


class Threshold(_InPlace):
    """x above `threshold`, else `value`; see `ops.threshold`."""

    def __init__(self, threshold: float, value: float, inplace: bool = False):
        super().__init__(inplace)
        self.threshold = check.number("Threshold", threshold=threshold)
        self.value = check.number("Threshold", value=value)

    def forward(self, input: Any) -> Any:
        return ops.threshold(input, self.threshold, self.value)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}{', inplace=True' * self.inplace}"


class Softplus(Module):
    """log(1 + e^(beta x)) / beta, a line beyond `threshold`; see `ops.softplus`."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0):
        super().__init__()
        self.beta = check.number("Softplus", above=0, beta=beta)
        self.threshold = check.number("Softplus", threshold=threshold)

    def forward(self, input: Any) -> Any:
        return ops.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class _Shrink(_Plain):
    def __init__(self, lambd: float = 0.5):
        super().__init__()
        self.lambd = check.number(type(self).__name__, 0, lambd=lambd)

    def forward(self, input: Any) -> Any:
        return self._operation(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softshrink(_Shrink):
    """x moved towards 0 by lambd; see `ops.softshrink`."""

    _operation = staticmethod(ops.softshrink)


class Hardshrink(_Shrink):
    """x, or 0 within lambd of 0; see `ops.hardshrink`."""

    _operation = staticmethod(ops.hardshrink)


class _AlongAxis(_Plain):
    def __init__(self, dim: int | None = None):
        super().__init__()
        self.dim = dim if dim is None else check.integer(type(self).__name__, -64, dim=dim)

    def forward(self, input: Any) -> Any:
        return self._operation(input, self._axis(input))

    def _axis(self, input: Any) -> int:
        """The last axis unless one was named: for (N, C) that is the axis of the classes."""
        if self.dim is None and input.ndim not in (1, 2):
            raise ArgumentError(
                f"{type(self).__name__}: the input is {sig(input)}; which axis is meant is not clear",
                hint=f"{type(self).__name__}(dim=1) for (N, C, ...), dim=-1 for the last axis",
            )
        return -1 if self.dim is None else self.dim

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_AlongAxis):
    """Exponentials divided by their sum along `dim`; see `ops.softmax`. CrossEntropyLoss takes logits, not this."""

    _operation = staticmethod(ops.softmax)


class LogSoftmax(_AlongAxis):
    """The logarithm of softmax; see `ops.log_softmax`."""

    _operation = staticmethod(ops.log_softmax)


class Softmin(_AlongAxis):
    """Softmax of -x; see `ops.softmin`."""

    _operation = staticmethod(ops.softmin)


class Softmax2d(Module):
    """Softmax over the channels of every pixel.  input (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Any) -> Any:
        if input.ndim not in (3, 4):
            raise ShapeError(f"Softmax2d: the input is {sig(input)}, expected (N, C, H, W) or (C, H, W)")
        return ops.softmax(input, -3)


class Maxout(Module):
    """The largest of `pool_size` channels each; see `ops.maxout`.  input (N, C * pool_size, ...) -> (N, C, ...)."""

    def __init__(self, pool_size: int, dim: int = 1):
        super().__init__()
        self.pool_size = check.integer("Maxout", pool_size=pool_size)
        self.dim = check.integer("Maxout", -64, dim=dim)

    def forward(self, input: Any) -> Any:
        return ops.maxout(input, self.pool_size, self.dim)

    def extra_repr(self) -> str:
        return f"pool_size={self.pool_size}, dim={self.dim}"
