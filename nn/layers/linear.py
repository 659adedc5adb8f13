"""Affine layers: Linear, Bilinear, Identity, and bias and scale as layers of their own."""

from __future__ import annotations

from typing import Any

from tensorgraph import ops
from tensorgraph.creation import empty
from tensorgraph.nn import arguments as check
from tensorgraph.nn import init
from tensorgraph.nn.module import Module, Parameter
from tensorgraph.ops.activation import check_activation

__all__ = ["Bias", "Bilinear", "Identity", "Linear", "Scale"]


class Identity(Module):
    """Returns its input. Any arguments are accepted and ignored, so that it can stand in for any layer."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Linear(Module):
    """x W^T + b.  input (..., in_features) -> (..., out_features); see `ops.linear`.

    weight (out_features, in_features) and bias (out_features) start uniformly within 1 / sqrt(in_features).
    `activation="relu"` does what a ReLU behind the layer would, with an array and a pass over memory less.
    """

    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        activation: str | None = None,
    ):
        super().__init__()
        check.flags("Linear", bias=bias)
        check_activation("Linear", activation)
        self.activation = activation
        self.in_features = check.integer("Linear", in_features=in_features)
        self.out_features = check.integer("Linear", out_features=out_features)
        self.weight = Parameter(empty(self.out_features, self.in_features, dtype=dtype, device=device))
        self.bias = Parameter(empty(self.out_features, dtype=dtype, device=device)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new weights."""
        bound = self.in_features**-0.5
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Any) -> Any:
        return ops.linear(input, self.weight, self.bias, activation=self.activation)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}" + (
            f", activation={self.activation!r}" if self.activation else ""
        )


class Bilinear(Module):
    """y_k = x1^T W_k x2 + b_k.  input1 (..., in1_features), input2 (..., in2_features) -> (..., out_features)."""

    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ):
        super().__init__()
        check.flags("Bilinear", bias=bias)
        self.in1_features = check.integer("Bilinear", in1_features=in1_features)
        self.in2_features = check.integer("Bilinear", in2_features=in2_features)
        self.out_features = check.integer("Bilinear", out_features=out_features)
        shape = (self.out_features, self.in1_features, self.in2_features)
        self.weight = Parameter(empty(*shape, dtype=dtype, device=device))
        self.bias = Parameter(empty(self.out_features, dtype=dtype, device=device)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new weights."""
        bound = self.in1_features**-0.5
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Any, input2: Any) -> Any:
        return ops.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class _PerChannel(Module):
    """One learned number per channel (axis 1)."""

    def __init__(self, num_features: int, start: float, device: str | None, dtype: Any):
        super().__init__()
        self.num_features = check.integer(type(self).__name__, num_features=num_features)
        self.weight = Parameter(empty(self.num_features, dtype=dtype, device=device))
        init.constant_(self.weight, start)

    def _along(self, input: Any) -> Any:
        return self.weight.reshape((-1,) + (1,) * (input.ndim - 2))

    def extra_repr(self) -> str:
        return str(self.num_features)


class Bias(_PerChannel):
    """Adds a learned number to every channel.  input (N, C, ...) -> the same; weight (C,) starts at 0."""

    def __init__(self, num_features: int, device: str | None = None, dtype: Any = None):
        super().__init__(num_features, 0.0, device, dtype)

    def forward(self, input: Any) -> Any:
        return input + self._along(input)


class Scale(_PerChannel):
    """Multiplies every channel by a learned number.  input (N, C, ...) -> the same; weight (C,) starts at 1."""

    def __init__(self, num_features: int, device: str | None = None, dtype: Any = None):
        super().__init__(num_features, 1.0, device, dtype)

    def forward(self, input: Any) -> Any:
        return input * self._along(input)
