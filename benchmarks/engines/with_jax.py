"""JAX: the whole step compiled by `jax.jit`, the weights given back to it in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from engines.workloads import HIDDEN, WORKLOADS, batch_of, weights_of

__all__ = ["prepare"]


def conv(w: dict, name: str, x: Any, padding: int = 0, stride: int = 1) -> Any:
    """Convolution with the bias of that name, if there is one."""
    y = lax.conv_general_dilated(x, w[f"{name}.weight"], (stride, stride), [(padding, padding)] * 2)
    return y + w[f"{name}.bias"].reshape(1, -1, 1, 1) if f"{name}.bias" in w else y


def pool(x: Any) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def linear(w: dict, name: str, x: Any) -> Any:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def norm(w: dict, name: str, x: Any) -> Any:
    mean = x.mean((0, 2, 3), keepdims=True)
    variance = jnp.square(x - mean).mean((0, 2, 3), keepdims=True)
    scale, shift = (w[f"{name}.{part}"].reshape(1, -1, 1, 1) for part in ("weight", "bias"))
    return (x - mean) * lax.rsqrt(variance + 1e-5) * scale + shift


def drop(key: Any, x: Any, p: float) -> Any:
    return jnp.where(jax.random.bernoulli(key, 1 - p, x.shape), x / (1 - p), 0)


def mlp(w: dict, x: Any, keys: Any) -> Any:
    x = x.reshape(len(x), -1)
    return linear(w, "5", jax.nn.relu(linear(w, "3", jax.nn.relu(linear(w, "1", x)))))


def lenet(w: dict, x: Any, keys: Any) -> Any:
    x = pool(jax.nn.relu(conv(w, "0", x, 2)))
    x = pool(jax.nn.relu(conv(w, "3", x))).reshape(len(x), -1)
    return linear(w, "11", jax.nn.relu(linear(w, "9", jax.nn.relu(linear(w, "7", x)))))


def cnn3(w: dict, x: Any, keys: Any) -> Any:
    for i, name in enumerate(("0", "4", "8")):
        x = drop(keys[i], pool(jax.nn.relu(conv(w, name, x, 1))), 0.2)
    x = drop(keys[3], jax.nn.relu(linear(w, "13", x.reshape(len(x), -1))), 0.5)
    return linear(w, "16", x)


def resnet20(w: dict, x: Any, keys: Any) -> Any:
    x = jax.nn.relu(norm(w, "bn1", conv(w, "conv1", x, 1)))
    for stage in (1, 2, 3):
        for block in range(3):
            at, shortcut, stride = f"layer{stage}.{block}", x, 1
            if stage > 1 and not block:
                stride, extra = 2, x.shape[1] // 2
                shortcut = jnp.pad(x[:, :, ::2, ::2], ((0, 0), (extra, extra), (0, 0), (0, 0)))
            y = jax.nn.relu(norm(w, f"{at}.bn1", conv(w, f"{at}.conv1", x, 1, stride)))
            x = jax.nn.relu(norm(w, f"{at}.bn2", conv(w, f"{at}.conv2", y, 1)) + shortcut)
    return linear(w, "linear", x.mean((2, 3)))


def charlstm(w: dict, text: Any, keys: Any) -> Any:
    x = w["embedding.weight"][text] @ w["lstm.weight_ih_l0"].T + w["lstm.bias_ih_l0"] + w["lstm.bias_hh_l0"]

    def one(state: Any, x: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(x + h @ w["lstm.weight_hh_l0"].T, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((len(text), HIDDEN))
    steps = lax.scan(one, (zeros, zeros), x.transpose(1, 0, 2))[1].transpose(1, 0, 2)
    return linear(w, "linear", steps).reshape(-1, len(w["linear.bias"]))


def sgd(w: Any, g: Any, m: Any, s: Any, t: Any, lr: float, momentum: float) -> Any:
    m = jax.tree.map(lambda m, g: momentum * m + g, m, g)
    return jax.tree.map(lambda w, m: w - lr * m, w, m), m, s


def rmsprop(w: Any, g: Any, m: Any, s: Any, t: Any, lr: float) -> Any:
    s = jax.tree.map(lambda s, g: 0.99 * s + 0.01 * g * g, s, g)
    return jax.tree.map(lambda w, g, s: w - lr * g / (jnp.sqrt(s) + 1e-8), w, g, s), m, s


def adam(w: Any, g: Any, m: Any, s: Any, t: Any, lr: float) -> Any:
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
    s = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, s, g)
    first, second = 1 - 0.9**t, 1 - 0.999**t
    return jax.tree.map(lambda w, m, s: w - lr * (m / first) / (jnp.sqrt(s / second) + 1e-8), w, m, s), m, s


def prepare(name: str, n: int) -> Callable[[], float]:
    """The step of a workload."""
    if name == "chain":
        return chain()
    workload = WORKLOADS[name]
    network: Callable = globals()[name]
    update: Callable = {"SGD": sgd, "RMSprop": rmsprop, "Adam": adam}[workload.optimizer]
    x, labels = map(jnp.asarray, batch_of(workload, n))
    labels = labels.reshape(-1)

    def loss_of(w: Any, keys: Any) -> Any:
        logits = jax.nn.log_softmax(network(w, x, keys))
        return -logits[jnp.arange(len(labels)), labels].mean()

    def training(w: Any, m: Any, s: Any, t: Any) -> Any:
        loss, g = jax.value_and_grad(loss_of)(w, jax.random.split(jax.random.key(t), 4))
        return loss, *update(w, g, m, s, t, **workload.settings)

    compiled = jax.jit(training, donate_argnums=(0, 1, 2))
    w = {key: jnp.asarray(value) for key, value in weights_of(workload).items()}
    state = [w, jax.tree.map(jnp.zeros_like, w), jax.tree.map(jnp.zeros_like, w)]
    count = 0

    def step() -> float:
        nonlocal count
        count += 1
        loss, *state[:] = compiled(*state, count)
        jax.block_until_ready(state)
        return float(loss)

    return step


def chain() -> Callable[[], float]:
    """400 operations, traced anew at every step: what define-by-run costs here."""
    x, w = jnp.full(4, 0.5), jnp.full(4, np.float32(0.999))

    def total(x: Any) -> Any:
        y = x
        for _ in range(100):
            y = jnp.tanh(y * w + w) * x
        return y.sum()

    def step() -> float:
        loss, g = jax.value_and_grad(total)(x)
        g.block_until_ready()
        return float(loss)

    return step
