"""Optimisers that scale every coordinate by the size of its gradients: Adagrad, RMSprop, Adadelta, Adam and its kin.

In order of growing complexity. Names of what they remember are PyTorch's, so that state dicts go both ways. In the
formulae g is the gradient (plus weight_decay p), t the number of the step from 1; everything is per coordinate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tensorgraph.errors import ArgumentError
from tensorgraph.nn import arguments as check
from tensorgraph.nn.optim.optimizer import Optimizer

__all__ = ["NAdam", "RAdam", "RMSprop", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion"]


class _Adaptive(Optimizer):
    """Checks that all of them share."""

    def _check(self, group: Mapping[str, Any]) -> None:
        name = type(self).__name__
        for key in ("lr", "eps", "weight_decay", "lr_decay", "initial_accumulator_value", "momentum", "momentum_decay"):
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

    @staticmethod
    def _count(state: dict[str, Any]) -> int:
        state["step"] = state.get("step", 0) + 1
        return state["step"]

    def _average(self, be: Any, state: dict[str, Any], name: str, p: Any, values: Any, share: float) -> Any:
        """A running mean: average = share average + (1 - share) values; returns it. Uses scratch 0."""
        average = self._remember(be, state, name, p)
        average *= share
        average += be.multiply(values, 1 - share, out=self._scratch(be, p))
        return average

    def _squares(self, be: Any, p: Any, g: Any) -> Any:
        """g^2, in scratch 0."""
        return be.multiply(g, g, out=self._scratch(be, p))


class Adagrad(_Adaptive):
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
            ),
        )

    def _update(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        rate = group["lr"] / (1 + (self._count(state) - 1) * group["lr_decay"])
        g = self._descent(be, p, g, group["weight_decay"], group["maximize"])
        total = self._remember(be, state, "sum", p, group["initial_accumulator_value"])
        t = self._squares(be, p, g)
        total += t
        be.sqrt(total, out=t)
        t += group["eps"]
        be.divide(g, t, out=t)
        t *= rate
        p -= t


class RMSprop(_Adaptive):
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
            ),
        )

    def _update(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        self._count(state)
        alpha = group["alpha"]
        g = self._descent(be, p, g, group["weight_decay"], group["maximize"])
        squares = self._average(be, state, "square_avg", p, self._squares(be, p, g), alpha)
        t = self._scratch(be, p)
        if group["centered"]:
            average = self._average(be, state, "grad_avg", p, g, alpha)
            be.multiply(average, average, out=t)
            be.subtract(squares, t, out=t)
            be.sqrt(t, out=t)
        else:
            be.sqrt(squares, out=t)
        t += group["eps"]
        be.divide(g, t, out=t)
        if group["momentum"]:
            b = self._remember(be, state, "momentum_buffer", p)
            b *= group["momentum"]
            b += t
            be.multiply(b, group["lr"], out=t)
        else:
            t *= group["lr"]
        p -= t


class Adadelta(_Adaptive):
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
    ):
        super().__init__(params, dict(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize))

    def _update(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        self._count(state)
        rho, eps = group["rho"], group["eps"]
        g = self._descent(be, p, g, group["weight_decay"], group["maximize"])
        squares = self._average(be, state, "square_avg", p, self._squares(be, p, g), rho)
        moved = self._remember(be, state, "acc_delta", p)
        t = be.add(squares, eps, out=self._scratch(be, p))
        d = be.add(moved, eps, out=self._scratch(be, p, 3))
        d /= t
        be.sqrt(d, out=d)
        d *= g
        self._average(be, state, "acc_delta", p, self._squares(be, p, d), rho)
        d *= group["lr"]
        p -= d


class Adam(_Adaptive):
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
                decoupled_weight_decay=decoupled_weight_decay,
            ),
        )

    def _moments(
        self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]
    ) -> tuple[Any, Any, Any]:
        """The gradient, decayed and turned as the group says, and the running means of it and of its square."""
        (b1, b2), decay = group["betas"], group["weight_decay"]
        if group["decoupled_weight_decay"]:
            if decay:
                p *= 1 - group["lr"] * decay
            decay = 0
        g = self._descent(be, p, g, decay, group["maximize"])
        mean = self._average(be, state, "exp_avg", p, g, b1)
        return g, mean, self._average(be, state, "exp_avg_sq", p, self._squares(be, p, g), b2)

    def _update(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        step, (b1, b2) = self._count(state), group["betas"]
        _, mean, squares = self._moments(be, p, g, state, group)
        if group["amsgrad"]:
            largest = self._remember(be, state, "max_exp_avg_sq", p)
            squares = be.maximum(largest, squares, out=largest)
        t = be.sqrt(squares, out=self._scratch(be, p))
        t *= 1 / math.sqrt(1 - b2**step)
        t += group["eps"]
        be.divide(mean, t, out=t)
        t *= group["lr"] / (1 - b1**step)
        p -= t


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
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)


class Adamax(_Adaptive):
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
    ):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize))

    def _update(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        step, (b1, b2) = self._count(state), group["betas"]
        g = self._descent(be, p, g, group["weight_decay"], group["maximize"])
        mean = self._average(be, state, "exp_avg", p, g, b1)
        largest, t = self._remember(be, state, "exp_inf", p), self._scratch(be, p)
        largest *= b2
        be.abs(g, out=t)
        t += group["eps"]
        be.maximum(largest, t, out=largest)
        be.divide(mean, largest, out=t)
        t *= group["lr"] / (1 - b1**step)
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
            ),
        )

    def _update(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        step, (b1, b2), lr = self._count(state), group["betas"], group["lr"]
        now, after = (b1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1))
        product = state["mu_product"] = state.get("mu_product", 1.0) * now
        g, mean, squares = self._moments(be, p, g, state, group)
        t = be.sqrt(squares, out=self._scratch(be, p))
        t *= 1 / math.sqrt(1 - b2**step)
        t += group["eps"]
        d = be.multiply(g, lr * (1 - now) / (1 - product), out=self._scratch(be, p, 3))
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
            ),
        )

    def _update(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        step, (b1, b2) = self._count(state), group["betas"]
        _, mean, squares = self._moments(be, p, g, state, group)
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


class Lion(_Adaptive):
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
    ):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay, maximize=maximize))

    def _update(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        (b1, b2), lr = group["betas"], group["lr"]
        g = self._descent(be, p, g, 0, group["maximize"])
        if group["weight_decay"]:
            p *= 1 - lr * group["weight_decay"]
        mean, t = self._remember(be, state, "exp_avg", p), self._scratch(be, p, 3)
        be.multiply(mean, b1, out=t)
        t += be.multiply(g, 1 - b1, out=self._scratch(be, p))
        be.sign(t, out=t)
        t *= lr
        p -= t
        self._average(be, state, "exp_avg", p, g, b2)
