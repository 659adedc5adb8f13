"""`torch.autograd`: gradients, `Function`, `Variable`, and the switches that turn recording off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorgraph as tg
from tensorgraph import Function, enable_grad, no_grad, set_grad_enabled
from tensorgraph.torch.doorway import doorway, inner
from tensorgraph.torch.kinds import Tensor

__all__ = [
    "Function", "Variable", "backward", "detect_anomaly", "enable_grad", "functional", "grad", "gradcheck",
    "gradgradcheck", "inference_mode", "no_grad", "set_detect_anomaly", "set_grad_enabled",
]  # fmt: skip


class inference_mode(no_grad):
    """Records nothing inside, as `no_grad`."""

    def __init__(self, mode: bool = True):
        super().__init__(not mode)


class _Variable(type(Tensor)):
    def __call__(cls, data: Any, requires_grad: bool = False, volatile: bool = False) -> Any:
        """The tensor itself, in the old days a wrapper around it."""
        x = data if isinstance(data, tg.Tensor) else tg.tensor(data)
        return x.detach().requires_grad_() if requires_grad and not x.requires_grad else x


class Variable(Tensor, metaclass=_Variable):
    """What a tensor with a gradient was called before PyTorch 0.4: `Variable(x, requires_grad=True)`."""

    __slots__ = ()


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of the outputs with respect to each of the inputs: a tuple."""
    xs = [inputs] if isinstance(inputs, tg.Tensor) else list(inputs)
    ys = outputs if isinstance(outputs, tg.Tensor) or len(outputs) != 1 else outputs[0]
    if isinstance(grad_outputs, (tuple, list)) and isinstance(ys, tg.Tensor):
        grad_outputs = grad_outputs[0]
    found = tg.grad(
        ys, xs, grad_outputs, create_graph=create_graph, retain_graph=retain_graph,
        allow_unused=bool(allow_unused or materialize_grads),
    )  # fmt: skip
    if materialize_grads:
        return tuple(tg.zeros_like(x) if g is None else g for g, x in zip(found, xs))
    return tuple(found)


def backward(tensors: Any, grad_tensors: Any = None, retain_graph: Any = None, create_graph: bool = False) -> None:
    """Calls `backward` of each tensor."""
    several = [tensors] if isinstance(tensors, tg.Tensor) else list(tensors)
    gradients = [grad_tensors] if isinstance(grad_tensors, tg.Tensor) else grad_tensors or [None] * len(several)
    for i, (x, g) in enumerate(zip(several, gradients)):
        x.backward(g, retain_graph=retain_graph or i < len(several) - 1, create_graph=create_graph)


def gradcheck(func: Callable[..., Any], inputs: Any, **settings: Any) -> bool:
    """Compares the gradients of `func` with finite differences; raises where they disagree."""
    tg.gradcheck(func, inputs if isinstance(inputs, (tuple, list)) else (inputs,), **settings)
    return True


def gradgradcheck(func: Callable[..., Any], inputs: Any, **settings: Any) -> bool:
    """Compares second derivatives with finite differences."""
    tg.gradgradcheck(func, inputs if isinstance(inputs, (tuple, list)) else (inputs,), **settings)
    return True


class set_detect_anomaly:
    """Accepted: every error of a backward pass names the line that recorded the operation anyway."""

    def __init__(self, mode: bool = True, check_nan: bool = True):
        self.mode = mode

    def __enter__(self) -> None: ...

    def __exit__(self, *exc_info: object) -> None: ...


detect_anomaly = set_detect_anomaly


class functional:
    """`torch.autograd.functional`."""

    @staticmethod
    def jacobian(func: Callable[..., Any], inputs: Any, create_graph: bool = False) -> Any:
        """The derivative of every output with respect to every input."""
        return _several(tg.jacobian, func, inputs)

    @staticmethod
    def hessian(func: Callable[..., Any], inputs: Any, create_graph: bool = False) -> Any:
        """The matrix of second derivatives of a scalar."""
        return _several(tg.hessian, func, inputs)


def _several(derivative: Callable[..., Any], func: Callable[..., Any], inputs: Any) -> Any:
    if isinstance(inputs, tg.Tensor):
        return derivative(func)(inputs)
    return tuple(derivative(func, i)(*inputs) for i in range(len(inputs)))


variable = inner(__name__, "variable", Variable=Variable)
function = inner(__name__, "function", Function=Function)

__getattr__ = doorway(
    __name__,
    {"profiler": "tensorgraph.profile(), where it is there, or cProfile", "forward_ad": "tensorgraph.jvp(f, x, v)"},
)
