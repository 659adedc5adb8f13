"""HIPS autograd: its functions are NumPy's; convolutions by its `scipy.signal.convolve`, which has no strides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd
import autograd.numpy
import numpy as np

from engines.workloads import WORKLOADS, batch_of, weights_of

__all__ = ["prepare"]

anp: Any = autograd.numpy  # its functions are made at run time
value_and_grad: Any = autograd.value_and_grad


def linear(w: dict, name: str, x: Any) -> Any:
    return anp.dot(x, w[f"{name}.weight"].T) + w[f"{name}.bias"]


def conv(w: dict, name: str, x: Any, padding: int = 0) -> Any:
    from autograd.scipy.signal import convolve

    sides = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    kernel = w[f"{name}.weight"][:, :, ::-1, ::-1]
    y = convolve(anp.pad(x, sides, "constant"), kernel, axes=([2, 3], [2, 3]), dot_axes=([1], [1]), mode="valid")
    return y + w[f"{name}.bias"].reshape(1, -1, 1, 1)


def pool(x: Any) -> Any:
    n, c, h, w = x.shape
    return anp.max(anp.max(x[:, :, : h - h % 2, : w - w % 2].reshape(n, c, h // 2, 2, w // 2, 2), axis=3), axis=4)


def relu(x: Any) -> Any:
    return anp.maximum(x, 0)


def mlp(w: dict, x: Any) -> Any:
    x = x.reshape(len(x), -1)
    return linear(w, "5", relu(linear(w, "3", relu(linear(w, "1", x)))))


def lenet(w: dict, x: Any) -> Any:
    x = pool(relu(conv(w, "0", x, 2)))
    x = pool(relu(conv(w, "3", x))).reshape(len(x), -1)
    return linear(w, "11", relu(linear(w, "9", relu(linear(w, "7", x)))))


def prepare(name: str, n: int) -> Callable[[], float] | None:
    """The step of a workload; None for those that would take seconds a step or that it has no layers for."""
    if name == "chain":
        return chain()
    if name not in ("mlp", "lenet"):
        return None
    workload = WORKLOADS[name]
    network: Callable = globals()[name]
    x, labels = batch_of(workload, n)
    w = weights_of(workload)
    room = {key: np.zeros_like(value) for key, value in w.items()}
    rows = np.arange(len(labels))

    def loss_of(w: dict) -> Any:
        logits = network(w, x)
        top = anp.max(logits, axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(logits - top), axis=1)) + top[:, 0] - logits[rows, labels])

    loss_and_gradients = value_and_grad(loss_of)

    def step() -> float:
        loss, gradients = loss_and_gradients(w)
        for key, g in gradients.items():
            room[key] = workload.settings["momentum"] * room[key] + g
            w[key] -= np.float32(workload.settings["lr"]) * room[key].astype(np.float32)
        return float(loss)

    return step


def chain() -> Callable[[], float]:
    """400 operations on 4 floats, forward and backward."""
    x, w = np.full(4, 0.5, np.float32), np.full(4, 0.999, np.float32)

    def total(x: Any) -> Any:
        y = x
        for _ in range(100):
            y = y * w
            y = y + w
            y = anp.tanh(y)
            y = y * x
        return anp.sum(y)

    both = value_and_grad(total)
    return lambda: float(both(x)[0])
