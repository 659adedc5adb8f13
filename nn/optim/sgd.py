"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tensorgraph.errors import ArgumentError
from tensorgraph.nn import arguments as check
from tensorgraph.nn.optim.optimizer import Optimizer

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum, Nesterov's look-ahead and weight decay where asked.

    g = gradient + weight_decay p;  b = momentum b + (1 - dampening) g  (b = g in the first step);
    p = p - lr b, or with `nesterov` p - lr (g + momentum b). `maximize` climbs instead. `l1_decay` adds
    l1_decay sign(p) to the gradient.

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
        l1_decay: float = 0,
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
                "l1_decay": l1_decay,
            },
        )

    _numbers: Mapping[str, Any] = {}
    _kernel = "sgd"

    def _check(self, group: Mapping[str, Any]) -> None:
        for name in ("lr", "momentum", "weight_decay"):
            check.number("SGD", 0, **{name: group[name]})
        check.number("SGD", dampening=group["dampening"])
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ArgumentError(
                f"SGD: nesterov needs momentum and no dampening, got momentum {group['momentum']}, "
                f"dampening {group['dampening']}"
            )

    def _starts(self, group: Mapping[str, Any]) -> dict[str, float]:
        return {"momentum_buffer": 0.0} if group["momentum"] else {}

    def _update(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        be.sgd_update(
            p,
            g,
            state.get("momentum_buffer"),
            (self._scratch(be, p), self._scratch(be, p, 1)),
            lr=group["lr"],
            momentum=group["momentum"],
            dampening=0 if state["fresh"] else group["dampening"],
            weight_decay=group["weight_decay"],
            nesterov=group["nesterov"],
            maximize=group["maximize"],
        )
