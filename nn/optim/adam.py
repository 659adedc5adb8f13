"""Adam and its kin: running means of the gradient and of its square. Imports adaptive.py, which explains the letters.

Names of what they remember are PyTorch's, so that state dicts go both ways.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tensorgraph.nn.optim.adaptive import Adaptive
from tensorgraph.nn.optim.optimizer import Optimizer

__all__ = ["NAdam", "RAdam", "Adam", "AdamW", "Adamax", "Lion"]


class Adam(Adaptive):
    """m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p = p - lr m' / (sqrt(v') + eps).

    m' = m / (1 - b1^t) and v' = v / (1 - b2^t) undo the start at zero. `amsgrad` keeps the largest v so far.
    `weight_decay` adds to the gradient; with `decoupled_weight_decay` it shrinks p itself (AdamW).
    Source: Kingma & Ba, Adam, ICLR 2015; Reddi et al., ICLR 2018 (amsgrad).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        l1_decay: float = 0,
        decoupled_weight_decay: bool = False,
    ):
        super().__init__(
            params,
            dict(
                lr=lr,
                betas=betas,
                eps=eps,
                weight_decay=weight_decay,
                amsgrad=amsgrad,
                maximize=maximize,
                l1_decay=l1_decay,
                decoupled_weight_decay=decoupled_weight_decay,
            ),
        )

    _kernel = "adam"

    def _starts(self, group: Mapping[str, Any]) -> dict[str, float]:
        names = ("exp_avg", "exp_avg_sq", *["max_exp_avg_sq"] * group["amsgrad"])
        return dict.fromkeys(names, 0.0)

    def _update(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        be.adam_update(
            p,
            g,
            state["exp_avg"],
            state["exp_avg_sq"],
            state.get("max_exp_avg_sq"),
            self._rooms(be, p),
            step=state["step"],
            lr=group["lr"],
            betas=group["betas"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            decoupled=group["decoupled_weight_decay"],
            maximize=group["maximize"],
        )

    def _moments(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> Any:
        """Brings the two running means up to date, and returns the gradient, decayed and turned as the group says."""
        return be.moments(
            p,
            g,
            state["exp_avg"],
            state["exp_avg_sq"],
            self._rooms(be, p),
            group["lr"],
            group["betas"],
            group["weight_decay"],
            group["decoupled_weight_decay"],
            group["maximize"],
        )


class AdamW(Adam):
    """`Adam` whose weight decay shrinks the parameters themselves: p = (1 - lr weight_decay) p - ...
    Source: Loshchilov & Hutter, Decoupled weight decay regularization, ICLR 2019."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        l1_decay: float = 0,
    ):
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            decoupled_weight_decay=True,
            l1_decay=l1_decay,
        )


class Adamax(Adaptive):
    """`Adam` with the largest gradient in place of the root of the mean square: u = max(b2 u, |g| + eps).
    Source: Kingma & Ba, Adam, ICLR 2015."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        l1_decay: float = 0,
    ):
        super().__init__(
            params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize, l1_decay=l1_decay)
        )

    def _starts(self, group: Mapping[str, Any]) -> dict[str, float]:
        return {"exp_avg": 0.0, "exp_inf": 0.0}

    def _update(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        (b1, b2), mean, largest = group["betas"], state["exp_avg"], state["exp_inf"]
        g = self._descent(be, p, g, group)
        self._average(be, mean, g, b1)
        largest *= b2
        t = be.abs(g, out=self._scratch(be, p))
        t += group["eps"]
        be.maximum(largest, t, out=largest)
        be.divide(mean, largest, out=t)
        t *= group["lr"] / (1 - b1 ** state["step"])
        p -= t


class NAdam(Adam):
    """`Adam` with Nesterov's look-ahead; the momentum grows as b1 (1 - 0.96^(t momentum_decay) / 2).
    Source: Dozat, Incorporating Nesterov momentum into Adam, ICLR workshop 2016."""

    _numbers: Mapping[str, Any] = {"step": int, "mu_product": float}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        l1_decay: float = 0,
    ):
        Optimizer.__init__(
            self,
            params,
            dict(
                lr=lr,
                betas=betas,
                eps=eps,
                weight_decay=weight_decay,
                momentum_decay=momentum_decay,
                decoupled_weight_decay=decoupled_weight_decay,
                maximize=maximize,
                l1_decay=l1_decay,
            ),
        )

    _kernel = ""

    def _starts(self, group: Mapping[str, Any]) -> dict[str, float]:
        return {"exp_avg": 0.0, "exp_avg_sq": 0.0}

    @staticmethod
    def _momentum(step: int, group: Mapping[str, Any]) -> float:
        return group["betas"][0] * (1 - 0.5 * 0.96 ** (step * group["momentum_decay"]))

    def _advance(self, numbers: dict[str, Any], group: Mapping[str, Any]) -> None:
        super()._advance(numbers, group)
        numbers["mu_product"] = numbers.get("mu_product", 1.0) * self._momentum(numbers["step"], group)

    def _update(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        step, product, lr, mean = state["step"], state["mu_product"], group["lr"], state["exp_avg"]
        now, after = (self._momentum(t, group) for t in (step, step + 1))
        g = self._moments(be, p, g, state, group)
        t = be.sqrt(state["exp_avg_sq"], out=self._scratch(be, p))
        t *= 1 / math.sqrt(1 - group["betas"][1] ** step)
        t += group["eps"]
        d = be.multiply(g, lr * (1 - now) / (1 - product), out=self._scratch(be, p, 2))
        d /= t
        p -= d
        be.multiply(mean, lr * after / (1 - product * after), out=d)
        d /= t
        p -= d


class RAdam(Adam):
    """`Adam` that starts as plain momentum, until the variance of its step size is known well enough.
    Source: Liu et al., On the variance of the adaptive learning rate, ICLR 2020."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        l1_decay: float = 0,
    ):
        Optimizer.__init__(
            self,
            params,
            dict(
                lr=lr,
                betas=betas,
                eps=eps,
                weight_decay=weight_decay,
                decoupled_weight_decay=decoupled_weight_decay,
                maximize=maximize,
                l1_decay=l1_decay,
            ),
        )

    _kernel = ""

    def _starts(self, group: Mapping[str, Any]) -> dict[str, float]:
        return {"exp_avg": 0.0, "exp_avg_sq": 0.0}

    def _update(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        step, (b1, b2), mean, squares = state["step"], group["betas"], state["exp_avg"], state["exp_avg_sq"]
        self._moments(be, p, g, state, group)
        rate, t = group["lr"] / (1 - b1**step), self._scratch(be, p)
        limit = 2 / (1 - b2) - 1
        length = limit - 2 * step * b2**step / (1 - b2**step)
        if length > 5:
            rate *= math.sqrt(
                (length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length) * (1 - b2**step)
            )
            be.sqrt(squares, out=t)
            t += group["eps"]
            be.divide(mean, t, out=t)
            t *= rate
        else:
            be.multiply(mean, rate, out=t)
        p -= t


class Lion(Adaptive):
    """p = (1 - lr weight_decay) p - lr sign(b1 m + (1 - b1) g);  m = b2 m + (1 - b2) g: steps of one size everywhere.
    Source: Chen et al., Symbolic discovery of optimization algorithms, NeurIPS 2023."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        l1_decay: float = 0,
    ):
        super().__init__(
            params, dict(lr=lr, betas=betas, weight_decay=weight_decay, maximize=maximize, l1_decay=l1_decay)
        )

    _numbers: Mapping[str, Any] = {}

    def _starts(self, group: Mapping[str, Any]) -> dict[str, float]:
        return {"exp_avg": 0.0}

    def _update(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        (b1, b2), lr, mean = group["betas"], group["lr"], state["exp_avg"]
        g = be.descent(p, g, 0, group["maximize"], self._scratch(be, p, 1))
        if group["weight_decay"]:
            p *= 1 - lr * group["weight_decay"]
        t = be.multiply(mean, b1, out=self._scratch(be, p, 2))
        t += be.multiply(g, 1 - b1, out=self._scratch(be, p))
        be.sign(t, out=t)
        t *= lr
        p -= t
        self._average(be, mean, g, b2)
