"""`torch.distributions`: the few that small programs sample from and take the log-likelihood of."""

from __future__ import annotations

import math
from typing import Any

import tensorgraph as tg
from tensorgraph import ops
from tensorgraph.errors import ArgumentError
from tensorgraph.mode import no_grad
from tensorgraph.torch.doorway import doorway, inner

__all__ = ["Bernoulli", "Categorical", "Distribution", "Normal", "Uniform", "kl_divergence"]


class Distribution:
    """Base of the distributions. `batch_shape` is the shape of one draw."""

    batch_shape: tuple[int, ...] = ()

    def sample(self, sample_shape: Any = ()) -> Any:
        """Numbers drawn, outside the graph."""
        with no_grad():
            return self._draw((*sample_shape, *self.batch_shape))

    def _draw(self, shape: tuple[int, ...]) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no sample()")

    def log_prob(self, value: Any) -> Any:
        """Logarithm of the probability (density) of a value."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob()")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(batch_shape={list(self.batch_shape)})"


def _tensors(*values: Any) -> list[Any]:
    return ops.broadcast_arrays(*(v if isinstance(v, tg.Tensor) else tg.tensor(float(v)) for v in values))


def _one_of(who: str, probs: Any, logits: Any) -> None:
    if (probs is None) == (logits is None):
        raise ArgumentError(f"{who}: give probs or logits, one of them")


class Categorical(Distribution):
    """One of N classes, with probabilities (..., N) or their logarithms up to a constant."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: Any = None):
        _one_of("Categorical", probs, logits)
        if probs is not None:
            self.probs = probs / ops.sum(probs, -1, True)
            self.logits = ops.log(ops.clip(self.probs, float(tg.finfo(self.probs.dtype).eps), None))
        else:
            self.logits = logits - ops.logsumexp(logits, -1, True)
            self.probs = ops.exp(self.logits)
        self.batch_shape = self.logits.shape[:-1]

    def _draw(self, shape: tuple[int, ...]) -> Any:
        noise = tg.uniform(1e-20, 1.0, (*shape, self.logits.shape[-1]))
        return ops.argmax(self.logits.detach() - ops.log(-ops.log(noise)), -1)

    def log_prob(self, value: Any) -> Any:
        index = ops.expand_dims(value.astype("int64"), -1)
        logits = ops.broadcast_to(self.logits, (*index.shape[:-1], self.logits.shape[-1]))
        return ops.squeeze(ops.take_along_axis(logits, index, -1), -1)

    def entropy(self) -> Any:
        """-sum p log p."""
        return -ops.sum(self.probs * self.logits, -1)


class Bernoulli(Distribution):
    """1 with a probability, else 0."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: Any = None):
        _one_of("Bernoulli", probs, logits)
        given = probs if logits is None else logits
        given = given if isinstance(given, tg.Tensor) else tg.tensor(float(given))
        self.probs = given if logits is None else ops.sigmoid(given)
        self.logits = given if probs is None else ops.logit(given, float(tg.finfo(given.dtype).eps))
        self.batch_shape = self.probs.shape

    def _draw(self, shape: tuple[int, ...]) -> Any:
        return (tg.rand(*shape) < self.probs.detach()).astype(self.probs.dtype)

    def log_prob(self, value: Any) -> Any:
        return -ops.binary_cross_entropy_with_logits(self.logits, value.astype(self.logits.dtype), reduction="none")

    def entropy(self) -> Any:
        """-sum p log p."""
        return ops.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")


class Normal(Distribution):
    """A normal distribution; `rsample` draws within the graph."""

    def __init__(self, loc: Any, scale: Any, validate_args: Any = None):
        self.loc, self.scale = _tensors(loc, scale)
        self.batch_shape = self.loc.shape

    @property
    def mean(self) -> Any:
        """loc."""
        return self.loc

    @property
    def stddev(self) -> Any:
        """scale."""
        return self.scale

    @property
    def variance(self) -> Any:
        """scale squared."""
        return self.scale**2

    def rsample(self, sample_shape: Any = ()) -> Any:
        """loc + scale * noise: gradients reach both."""
        return self.loc + self.scale * tg.randn(*sample_shape, *self.batch_shape)

    def _draw(self, shape: tuple[int, ...]) -> Any:
        return self.loc + self.scale * tg.randn(*shape)

    def log_prob(self, value: Any) -> Any:
        z = (value - self.loc) / self.scale
        return -0.5 * z * z - ops.log(self.scale) - 0.5 * math.log(2 * math.pi)

    def entropy(self) -> Any:
        """1/2 + 1/2 log(2 pi) + log(scale)."""
        return 0.5 + 0.5 * math.log(2 * math.pi) + ops.log(self.scale)


class Uniform(Distribution):
    """Evenly from `low` up to `high`."""

    def __init__(self, low: Any, high: Any, validate_args: Any = None):
        self.low, self.high = _tensors(low, high)
        self.batch_shape = self.low.shape

    def rsample(self, sample_shape: Any = ()) -> Any:
        """low + (high - low) * noise: gradients reach both."""
        return self.low + (self.high - self.low) * tg.rand(*sample_shape, *self.batch_shape)

    def _draw(self, shape: tuple[int, ...]) -> Any:
        return self.low + (self.high - self.low) * tg.rand(*shape)

    def log_prob(self, value: Any) -> Any:
        inside = (value >= self.low) & (value < self.high)
        return ops.where(inside, -ops.log(self.high - self.low), float("-inf"))


def kl_divergence(p: Distribution, q: Distribution) -> Any:
    """KL(p || q) of two normal, categorical or Bernoulli distributions."""
    if isinstance(p, Normal) and isinstance(q, Normal):
        ratio, distance = (p.scale / q.scale) ** 2, ((p.loc - q.loc) / q.scale) ** 2
        return 0.5 * (ratio + distance - 1 - ops.log(ratio))
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        return ops.sum(p.probs * (p.logits - q.logits), -1)
    if isinstance(p, Bernoulli) and isinstance(q, Bernoulli):
        return ops.binary_cross_entropy_with_logits(q.logits, p.probs, reduction="none") - p.entropy()
    raise ArgumentError(f"kl_divergence: {type(p).__name__} and {type(q).__name__}", hint="two of the same kind")


for _one in (Bernoulli, Categorical, Normal, Uniform):
    inner(__name__, _one.__name__.lower(), **{_one.__name__: _one})

__getattr__ = doorway(__name__)
