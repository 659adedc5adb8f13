"""MyGrad: its own convolution, pooling and loss; the updates in NumPy. No batch norm over channels, no LSTM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mygrad
import numpy as np
from mygrad.nnet.activations import relu
from mygrad.nnet.layers import conv_nd, max_pool
from mygrad.nnet.losses import softmax_crossentropy

from engines.workloads import WORKLOADS, batch_of, weights_of

__all__ = ["prepare"]

mg: Any = mygrad


def linear(w: dict, name: str, x: Any) -> Any:
    return mg.matmul(x, w[f"{name}.weight"].T) + w[f"{name}.bias"]


def conv(w: dict, name: str, x: Any, padding: int = 0) -> Any:
    return conv_nd(x, w[f"{name}.weight"], stride=1, padding=padding) + w[f"{name}.bias"].reshape(1, -1, 1, 1)


def pool(x: Any) -> Any:
    h, w = (size - size % 2 for size in x.shape[2:])  # its windows have to fit
    return max_pool(x[:, :, :h, :w], (2, 2), 2)


def drop(x: Any, p: float, rng: np.random.Generator) -> Any:
    return x * ((rng.random(x.shape, np.float32) >= p) * np.float32(1 / (1 - p)))


def mlp(w: dict, x: Any, rng: Any) -> Any:
    x = x.reshape(len(x), -1)
    return linear(w, "5", relu(linear(w, "3", relu(linear(w, "1", x)))))


def lenet(w: dict, x: Any, rng: Any) -> Any:
    x = pool(relu(conv(w, "0", x, 2)))
    x = pool(relu(conv(w, "3", x))).reshape(len(x), -1)
    return linear(w, "11", relu(linear(w, "9", relu(linear(w, "7", x)))))


def cnn3(w: dict, x: Any, rng: Any) -> Any:
    for name in ("0", "4", "8"):
        x = drop(pool(relu(conv(w, name, x, 1))), 0.2, rng)
    return linear(w, "16", drop(relu(linear(w, "13", x.reshape(len(x), -1))), 0.5, rng))


def prepare(name: str, n: int) -> Callable[[], float] | None:
    """The step of a workload; None for those that its layers cannot express."""
    if name == "chain":
        return chain()
    if name not in ("mlp", "lenet", "cnn3"):
        return None
    workload = WORKLOADS[name]
    network: Callable = globals()[name]
    x, labels = batch_of(workload, n)
    w = {key: mg.tensor(value) for key, value in weights_of(workload).items()}
    room = {key: np.zeros_like(value.data) for key, value in w.items()}
    rng = np.random.default_rng(2)
    lr = workload.settings["lr"]

    def step() -> float:
        for p in w.values():
            p.null_grad()
        loss = softmax_crossentropy(network(w, x, rng), labels)
        loss.backward()
        for key, p in w.items():
            if workload.optimizer == "SGD":
                room[key] = workload.settings["momentum"] * room[key] + p.grad
                p.data -= lr * room[key]
            else:
                room[key] = 0.99 * room[key] + 0.01 * p.grad**2
                p.data -= lr * p.grad / (np.sqrt(room[key]) + 1e-8)
        return float(loss.data)

    return step


def chain() -> Callable[[], float]:
    """400 operations on 4 floats, forward and backward."""
    x, w = mg.tensor(np.full(4, 0.5, np.float32)), np.full(4, 0.999, np.float32)

    def step() -> float:
        x.null_grad()
        y = x
        for _ in range(100):
            y = y * w
            y = y + w
            y = mg.tanh(y)
            y = y * x
        loss = y.sum()
        loss.backward()
        return float(loss.data)

    return step
