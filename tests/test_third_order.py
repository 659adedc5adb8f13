"""Third derivatives of the core operations: the derivative of the second one, against its finite differences."""

import numpy as np
import pytest

import tensorgraph as tg

RNG = np.random.default_rng(3)
H = 1e-3


def positive(*shape):
    return RNG.uniform(0.5, 1.5, shape)


def signed(*shape):
    return RNG.uniform(0.4, 1.2, shape) * RNG.choice([-1, 1], shape)


CASES = {
    "add": (tg.add, signed(2, 3), signed(3)),
    "multiply": (tg.multiply, signed(2, 3), signed(2, 1)),
    "divide": (tg.divide, signed(2, 3), positive(3)),
    "pow": (tg.pow, positive(2, 3), signed(3)),
    "pow, a constant": (lambda x: x**3.5, positive(4)),
    "exp": (tg.exp, signed(2, 2)),
    "log": (tg.log, positive(2, 2)),
    "tanh": (tg.tanh, signed(2, 2)),
    "sigmoid": (tg.sigmoid, signed(2, 2)),
    "sum": (lambda x: tg.sum(x, axis=0), signed(2, 3)),
    "mean": (lambda x: tg.mean(x, axis=1, keepdims=True), signed(2, 3)),
    "var": (lambda x: tg.var(x, axis=1, correction=1), signed(2, 3)),
    "matmul": (tg.matmul, signed(2, 2, 3), signed(3, 2)),
    "einsum": (lambda a, b: tg.einsum("ij,jk,ik->i", a, b, a @ b), signed(2, 3), signed(3, 2)),
    "softmax": (tg.softmax, signed(2, 3)),
    "log_softmax": (tg.log_softmax, signed(2, 3)),
    "logsumexp": (lambda x: tg.logsumexp(x, axis=-1), signed(2, 3)),
    "logcumsumexp": (tg.logcumsumexp, signed(2, 3)),
    "prod": (lambda x: tg.prod(x, axis=-1), signed(2, 4) * np.array([1.0, 0.0, 1.0, 1.0])),
    "conv2d": (
        lambda x, w, b: tg.conv2d(x, w, b, stride=2, padding=1),
        signed(1, 2, 3, 4),
        signed(2, 2, 2, 2),
        signed(2),
    ),
    "getitem": (lambda x: x[[0, 2, 0], 1:], signed(3, 3)),
    "where": (lambda a, b: tg.where(np.array([True, False, True]), a, b), signed(2, 3), signed(3)),
    "inv": (tg.linalg.inv, signed(3, 3) + 3 * np.eye(3)),
    "layer_norm": (lambda x, w: tg.layer_norm(x, (3,), w), signed(2, 3), signed(3)),
}


def derivatives(f, arrays, directions, weights, order):
    """The `order`-th derivative of sum(weights * g(f(x))) along that many directions, and its gradients.

    g, the exponential of 0.3 f, lets linear operations have higher derivatives too.
    """
    xs = [tg.tensor(x, requires_grad=True) for x in arrays]
    value = (tg.exp(f(*xs) * 0.3) * weights).sum()
    for i in range(order):
        value = sum((g * d).sum() for g, d in zip(tg.grad(value, xs, create_graph=True), directions[i], strict=True))
    return value, tg.grad(value, xs)


@pytest.mark.parametrize("name", CASES)
def test_third_derivatives(name):
    f, *arrays = CASES[name]
    rng = np.random.default_rng(7)
    with tg.no_grad():
        shape = f(*map(tg.tensor, arrays)).shape
    weights = rng.uniform(0.5, 1.0, shape)
    directions = [[rng.uniform(-1, 1, x.shape) for x in arrays] for _ in range(2)]
    gradients = derivatives(f, arrays, directions, weights, 2)[1]  # d/dx of the second derivative
    for i, gradient in enumerate(gradients):
        along = rng.uniform(-1, 1, arrays[i].shape)

        def second(t, i=i, along=along):
            moved = [x + t * along if j == i else x for j, x in enumerate(arrays)]
            return derivatives(f, moved, directions, weights, 2)[0].item()

        coarse, fine = ((second(h) - second(-h)) / (2 * h) for h in (2 * H, H))
        expected = (4 * fine - coarse) / 3
        size = np.abs(gradient.numpy() * along).sum()
        assert size > 0, "nothing to compare"
        np.testing.assert_allclose((gradient.numpy() * along).sum(), expected, rtol=0, atol=1e-7 * max(size, 1.0))
