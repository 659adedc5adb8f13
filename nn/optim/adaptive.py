"""Optimisers that scale every coordinate by the size of its gradients: Adagrad, RMSprop, Adadelta. adam.py has Adam.

In order of growing complexity. Names of what they remember are PyTorch's, so that state dicts go both ways. In the
formulae g is the gradient (plus weight_decay p, plus l1_decay sign(p)), t the number of the step from 1; everything is
per coordinate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tensorgraph.errors import ArgumentError
from tensorgraph.nn import arguments as check
from tensorgraph.nn.optim.optimizer import Optimizer

__all__ = ["RMSprop", "Adadelta", "Adagrad", "Adaptive"]


class Adaptive(Optimizer):
    """Checks that all of them share."""

    def _check(self, group: Mapping[str, Any]) -> None:
        name = type(self).__name__
        numbers = ("lr", "eps", "weight_decay", "lr_decay", "initial_accumulator_value", "momentum")
        for key in (*numbers, "momentum_decay"):
            if key in group:
                check.number(name, 0, **{key: group[key]})
        shares = {key: group[key] for key in ("alpha", "rho") if key in group}
        if "betas" in group:
            if not isinstance(group["betas"], (tuple, list)) or len(group["betas"]) != 2:
                raise ArgumentError(f"{name}: betas must be two numbers, got {group['betas']!r}")
            shares |= {f"betas[{i}]": beta for i, beta in enumerate(group["betas"])}
        for key, share in shares.items():
            if not 0 <= check.number(name, **{key: share}) < 1:
                raise ArgumentError(f"{name}: {key} must lie in [0, 1), got {share}")

    def _average(self, be: Any, average: Any, values: Any, share: float) -> None:
        """A running mean: average = share average + (1 - share) values. Overwrites scratch 0."""
        average *= share
        average += be.multiply(values, 1 - share, out=self._scratch(be, values))

    def _squares(self, be: Any, g: Any) -> Any:
        """g^2, in scratch 0."""
        return be.multiply(g, g, out=self._scratch(be, g))

    def _descent(self, be: Any, p: Any, g: Any, group: Mapping[str, Any]) -> Any:
        """The gradient of what is minimised, with that of the weight decay; it may lie in scratch 1."""
        return be.descent(p, g, group["weight_decay"], group["maximize"], self._scratch(be, p, 1))

    def _rooms(self, be: Any, p: Any) -> tuple[Any, Any]:
        """Scratch 0 and 1, for the updates that are the backend's."""
        return self._scratch(be, p), self._scratch(be, p, 1)


class Adagrad(Adaptive):
    """s = s + g^2;  p = p - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps).
    Source: Duchi et al., Adaptive subgradient methods, JMLR 2011."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        l1_decay: float = 0,
    ):
        super().__init__(
            params,
            dict(
                lr=lr,
                lr_decay=lr_decay,
                weight_decay=weight_decay,
                initial_accumulator_value=initial_accumulator_value,
                eps=eps,
                maximize=maximize,
                l1_decay=l1_decay,
            ),
        )

    def _starts(self, group: Mapping[str, Any]) -> dict[str, float]:
        return {"sum": group["initial_accumulator_value"]}

    def _update(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        g = self._descent(be, p, g, group)
        total, t = state["sum"], self._squares(be, g)
        total += t
        be.sqrt(total, out=t)
        t += group["eps"]
        be.divide(g, t, out=t)
        t *= group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"])
        p -= t


class RMSprop(Adaptive):
    """s = alpha s + (1 - alpha) g^2;  p = p - lr g / (sqrt(s) + eps), with momentum where asked.

    `centered` subtracts the square of the running mean of g from s.
    Source: Tieleman & Hinton, Coursera lecture 6.5, 2012; Graves, 2013 (centered).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
        l1_decay: float = 0,
    ):
        super().__init__(
            params,
            dict(
                lr=lr,
                alpha=alpha,
                eps=eps,
                weight_decay=weight_decay,
                momentum=momentum,
                centered=centered,
                maximize=maximize,
                l1_decay=l1_decay,
            ),
        )

    _kernel = "rmsprop"

    def _starts(self, group: Mapping[str, Any]) -> dict[str, float]:
        names = ("square_avg", *["grad_avg"] * group["centered"], *["momentum_buffer"] * bool(group["momentum"]))
        return dict.fromkeys(names, 0.0)

    def _update(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        be.rmsprop_update(
            p,
            g,
            state["square_avg"],
            state.get("grad_avg"),
            state.get("momentum_buffer"),
            self._rooms(be, p),
            lr=group["lr"],
            alpha=group["alpha"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            maximize=group["maximize"],
        )


class Adadelta(Adaptive):
    """s = rho s + (1 - rho) g^2;  d = sqrt(a + eps) / sqrt(s + eps) g;  a = rho a + (1 - rho) d^2;  p = p - lr d.
    Source: Zeiler, ADADELTA, 2012."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        l1_decay: float = 0,
    ):
        super().__init__(
            params, dict(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize, l1_decay=l1_decay)
        )

    def _starts(self, group: Mapping[str, Any]) -> dict[str, float]:
        return {"square_avg": 0.0, "acc_delta": 0.0}

    def _update(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        rho, eps, squares, moved = group["rho"], group["eps"], state["square_avg"], state["acc_delta"]
        g = self._descent(be, p, g, group)
        self._average(be, squares, self._squares(be, g), rho)
        t = be.add(squares, eps, out=self._scratch(be, p))
        d = be.add(moved, eps, out=self._scratch(be, p, 2))
        d /= t
        be.sqrt(d, out=d)
        d *= g
        self._average(be, moved, self._squares(be, d), rho)
        d *= group["lr"]
        p -= d
