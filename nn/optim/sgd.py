"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tensorgraph.errors import ArgumentError
from tensorgraph.nn import arguments as check
from tensorgraph.nn.optim.optimizer import Optimizer
from tensorgraph.tensor import Tensor

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum, Nesterov's look-ahead and weight decay where asked.

    g = gradient + weight_decay p;  b = momentum b + (1 - dampening) g  (b = g in the first step);
    p = p - lr b, or with `nesterov` p - lr (g + momentum b). `maximize` climbs instead.

    Raises ArgumentError: a negative lr, momentum or weight_decay; Nesterov without momentum or with dampening.
    Source: Sutskever et al., On the importance of initialization and momentum in deep learning, ICML 2013.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ):
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def _check(self, group: Mapping[str, Any]) -> None:
        for name in ("lr", "momentum", "weight_decay"):
            check.number("SGD", 0, **{name: group[name]})
        check.number("SGD", dampening=group["dampening"])
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ArgumentError(
                f"SGD: nesterov needs momentum and no dampening, got momentum {group['momentum']}, "
                f"dampening {group['dampening']}"
            )

    def _update(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        momentum, rate, t = group["momentum"], -group["lr"], self._scratch(be, p)
        g = self._descent(be, p, g, group["weight_decay"], group["maximize"])
        if momentum:
            if "momentum_buffer" not in state:
                b = be.copy(g)
                state["momentum_buffer"] = Tensor(b)
            else:
                b = state["momentum_buffer"].array
                b *= momentum
                b += be.multiply(g, 1 - group["dampening"], out=t) if group["dampening"] else g
            if group["nesterov"]:
                p += be.multiply(g, rate, out=t)
                rate *= momentum
            g = b
        p += be.multiply(g, rate, out=t)
