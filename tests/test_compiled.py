"""The compiled kernels of the extra `fast` against their definitions, and how they are found, kept and missed.

Convolution and pooling are compared on random geometries in test_convolution.py, which runs the compiled kernels where
llvmlite is installed.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn, ops
from tensorgraph.backends import compiled, cpu
from tensorgraph.backends.numpy_kernels import convolution, elementwise, pooling, recurrence, threads, updates
from tensorgraph.ops import recurrent as sequences

ROOT = Path(__file__).resolve().parents[1]
needs_kernels = pytest.mark.skipif(compiled.kernels() is None, reason=f"no compiled kernels: {compiled.why_not()}")


@pytest.fixture(autouse=True)
def any_size(monkeypatch):
    """Kernels for the smallest arrays too."""
    for module in (convolution, elementwise, pooling, recurrence, updates):
        monkeypatch.setattr(module, "ENOUGH", 0)
    monkeypatch.setattr(elementwise, "MANY", 0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def both(f):
    """Results with and without kernels."""
    fast = f()
    with tg.kernels(False):
        plain = f()
    return zip(fast, plain, strict=True)


def gradients(f, *arrays):
    """Value of f and the gradients of a weighted sum of it."""
    leaves = [tg.asarray(np.copy(a)).requires_grad_() for a in arrays]  # a copy by tensor() would lie otherwise
    y = f(*leaves)
    weights = np.cos(np.arange(np.prod(y.shape))).reshape(y.shape).astype(y.dtype)
    return [t.numpy() for t in (y.detach(), *tg.grad((y * weights).sum(), leaves))]


def close(pairs, tolerance):
    for i, (a, b) in enumerate(pairs):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=f"result {i}")


LAYOUTS = {
    "contiguous": lambda x: x,
    "channels last": lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1),
    "every second": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "turned": lambda x: np.asfortranarray(x),
}


# ---- values and gradients -------------------------------------------------------------------------------------------
@needs_kernels
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("channels", [1, 4, 16, 21])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm(rng, layout, channels, affine):
    x = LAYOUTS[layout]((rng.standard_normal((5, channels, 6, 7)) * 3 + 100).astype("f"))
    arrays = [x] + [rng.standard_normal(channels).astype("f") for _ in range(2 * affine)]
    close(both(lambda: gradients(lambda x, *p: ops.batch_norm(x, None, None, *p, training=True), *arrays)), 2e-3)
    running = []
    for allowed in (True, False):
        mean, var = tg.zeros(channels), tg.ones(channels)
        with tg.kernels(allowed):
            ops.batch_norm(tg.tensor(x), mean, var, training=True)
        running.append((mean.numpy(), var.numpy()))
    close(zip(*running, strict=True), 1e-5)


@needs_kernels
@pytest.mark.parametrize("residual", ["none", "alike", "otherwise", "constant"])
@pytest.mark.parametrize("channels", [4, 16, 21])
def test_batch_norm_with_a_rectifier_behind_it(rng, channels, residual):
    """Against three operations: the mask is computed again in the backward pass, and must be the same everywhere."""
    last = LAYOUTS["channels last"]
    arrays = [last(rng.standard_normal((5, channels, 6, 7)).astype("f"))]
    arrays += [rng.standard_normal(channels).astype("f") for _ in range(2)]
    added = rng.standard_normal(arrays[0].shape).astype("f")
    added = {"none": None, "otherwise": added, "alike": last(added), "constant": last(added)}[residual]
    fixed = added if residual == "constant" else None
    if residual in ("alike", "otherwise"):
        arrays.append(added)
    names = []

    def fused(x, w, b, r=fixed):
        y = ops.batch_norm(x, None, None, w, b, True, activation="relu", residual=r)
        names.append(y.node.name)
        return y

    def parts(x, w, b, r=fixed):
        y = ops.batch_norm(x, None, None, w, b, True)
        return ops.relu(y if r is None else y + r)

    found, expected = gradients(fused, *arrays), gradients(parts, *arrays)
    assert names == ["standardize_relu"]
    np.testing.assert_array_equal(found[0], expected[0])
    close(zip(found, expected, strict=True), 1e-5)
    close(both(lambda: gradients(fused, *arrays)), 1e-4)


@needs_kernels
def test_nan_passes_a_rectifier_behind_batch_norm(rng):
    x = LAYOUTS["channels last"](rng.standard_normal((4, 8, 3, 3)).astype("f"))
    x[1, 2] = np.nan
    y = ops.batch_norm(tg.asarray(x), None, None, training=True, activation="relu").numpy()
    assert np.isnan(y[:, 2]).all() and np.isfinite(np.delete(y, 2, axis=1)).all()


@needs_kernels
def test_batch_norm_of_a_constant_channel_is_its_bias():
    x = np.full((4, 8, 3, 3), 1e4, np.float32).transpose(0, 1, 2, 3)
    y = ops.batch_norm(tg.tensor(LAYOUTS["channels last"](x)), None, None, None, tg.ones(8), training=True)
    np.testing.assert_array_equal(y.numpy(), 1)


@needs_kernels
def test_batch_norm_has_second_derivatives(rng):
    x = LAYOUTS["channels last"](rng.standard_normal((3, 4, 2, 2)).astype("f"))
    found = []
    for allowed in (True, False):
        with tg.kernels(allowed):
            t = tg.tensor(x, requires_grad=True)
            (g,) = tg.grad((ops.batch_norm(t, None, None, training=True) ** 3).sum(), [t], create_graph=True)
            found.append(tg.grad((g * g).sum(), t).numpy())
    np.testing.assert_allclose(*found, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("channels", [2, 16, 40])
def test_sums_over_very_many_rows_keep_their_digits(rng, channels):
    x = np.maximum(rng.standard_normal((300_000, channels), dtype="f") + 0.3, 0)
    x[0] += 3  # a first row that tells little about the others
    image = x.reshape(3, 250, 400, channels).transpose(0, 3, 1, 2)
    exact, axis = image.astype("d"), (0, 2, 3)
    mean, _, var = cpu.mean_and_variance(image, axis)
    leaves = [tg.ones(channels, requires_grad=True), tg.zeros(channels, requires_grad=True)]
    y = ops.batch_norm(tg.asarray(image), None, None, *leaves, training=True)
    of_weight, of_bias = (g.numpy() for g in tg.grad(y, leaves, tg.tensor(image)))
    normal = (exact - exact.mean(axis, keepdims=True)) / np.sqrt(exact.var(axis, keepdims=True) + 1e-5)
    for name, found, expected in (
        ("mean and variance: mean", mean, exact.mean(axis, keepdims=True)),
        ("mean and variance: variance", var, exact.var(axis, keepdims=True)),
        ("sum", cpu.sum(image, axis), exact.sum(axis)),
        ("mean", cpu.mean(image, axis), exact.mean(axis)),
        ("sum of products", cpu.dot_along(image, image, axis), (exact * exact).sum(axis, keepdims=True)),
        ("gradient of the bias", of_bias, exact.sum(axis)),
        ("gradient of the weight", of_weight, (exact * normal).sum(axis)),
    ):
        assert np.abs(found - expected).max() <= 2e-6 * np.abs(expected).max(), name


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_infinite_sums_stay_infinite(value):
    x = np.ones((4, 8, 50, 60), "f").transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    x[2, 3, 4, 5] = value
    t = [tg.ones(8, requires_grad=True), tg.zeros(8, requires_grad=True)]
    y = ops.batch_norm(tg.tensor(np.ones_like(x)), None, None, *t, training=True)
    bias = tg.grad(y, t, tg.tensor(x))[1].numpy()
    np.testing.assert_array_equal(bias, [12000] * 3 + [value] + [12000] * 4)
    np.testing.assert_array_equal(cpu.sum(x, (0, 2, 3)), bias)


UNITS = {
    "gelu": lambda x: x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(0, x),
}


@needs_kernels
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", UNITS)
def test_smooth_units(rng, name, layout):
    x = LAYOUTS[layout](np.concatenate([rng.standard_normal((2, 5, 50, 60)), rng.uniform(-120, 120, (1, 5, 50, 60))]))
    x = x.astype("f", order="K")
    f = getattr(ops, name)
    close(both(lambda: gradients(f, x)), 2e-6)
    np.testing.assert_allclose(f(tg.tensor(x)).numpy(), UNITS[name](x.astype("d")), rtol=5e-7, atol=5e-7)
    for a, b in both(lambda: gradients(f, np.array([np.nan, 0.0, -0.0] + 9 * [1e30, -1e30], "f"))):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@needs_kernels
def test_softplus_to_a_few_units_in_the_last_place(rng):
    x = rng.uniform(-80, 80, 1 << 16).astype("f")
    np.testing.assert_allclose(cpu.softplus(x), np.logaddexp(0, x.astype("d")), rtol=5e-7)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_mean_of_whole_images(rng, layout):
    x = LAYOUTS[layout](rng.integers(-9, 9, (3, 5, 8, 8)).astype("f"))
    for a, b in both(lambda: gradients(lambda x: ops.adaptive_avg_pool2d(x, 1), x)):
        np.testing.assert_array_equal(a, b)


@needs_kernels
@pytest.mark.parametrize("shape", [(1, 5), (3, 16), (70, 37), (2, 3, 4, 100), (300, 21), (2, 5000)])
def test_along_rows(rng, shape):
    x, w, b = rng.standard_normal(shape).astype("f") * 4 + 3, *rng.standard_normal((2, shape[-1])).astype("f")
    close(both(lambda: gradients(lambda x: ops.softmax(x, -1), x)), 2e-6)
    close(both(lambda: gradients(lambda x, w, b: ops.layer_norm(x, w.shape, w, b), x, w, b)), 2e-4)
    close(both(lambda: gradients(lambda x: ops.layer_norm(x, x.shape[-1:]), x)), 2e-5)
    close(both(lambda: gradients(lambda x, w: ops.layer_norm(x, w.shape, w), x, w)), 2e-4)
    if len(shape) == 2:
        labels = rng.integers(0, shape[1], shape[0])
        for settings in ({}, {"label_smoothing": 0.1}, {"weight": np.abs(w)}):
            close(both(lambda s=settings: gradients(lambda x: ops.cross_entropy(x, labels, **s), x)), 2e-5)


@needs_kernels
@pytest.mark.filterwarnings("ignore:invalid value")
def test_rows_that_hold_infinity_or_no_number():
    x = np.zeros((6, 40), "f")
    x[0, 3], x[1, 4], x[2, 5], x[3], x[4, :39] = np.nan, np.inf, -np.inf, -np.inf, -np.inf
    close(both(lambda: [cpu.softmax(x, -1)]), 1e-6)
    close(both(lambda: cpu.exp_rows(x)), 1e-6)
    close(both(lambda: gradients(lambda x: ops.layer_norm(x, (40,)), x)), 1e-6)


@needs_kernels
def test_softmax_has_second_derivatives(rng):
    x = rng.standard_normal((3, 1500)).astype("f")
    found = []
    for allowed in (True, False):
        with tg.kernels(allowed):
            t = tg.tensor(x, requires_grad=True)
            (g,) = tg.grad((ops.softmax(t) ** 2).sum(), [t], create_graph=True)
            found.append(tg.grad((g * t).sum() * 1e3, t).numpy())
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


@needs_kernels
@pytest.mark.parametrize("layout", LAYOUTS)
def test_relu(rng, layout):
    x = LAYOUTS[layout](rng.standard_normal((3, 5, 50, 60)).astype("f"))
    x = x.copy(order="K")
    x.flat[:4] = np.nan, np.inf, -np.inf, 0.0
    y = cpu.relu(x)
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    g = rng.standard_normal(x.shape).astype("f")
    for slopes in (g, np.broadcast_to(g[:1], g.shape)):
        np.testing.assert_array_equal(cpu.relu_slope(slopes, y), np.where(y > 0, slopes, 0))


SEQUENCES = {
    "lstm": (4, lambda *a, reverse: sequences._lstm(*a, reverse=reverse)),
    "gru": (3, lambda *a, reverse: (sequences._gru(*a, reverse=reverse),)),
    "rnn tanh": (1, lambda *a, reverse: (sequences._rnn(*a, reverse=reverse, rectified=False),)),
    "rnn relu": (1, lambda *a, reverse: (sequences._rnn(*a, reverse=reverse, rectified=True),)),
}


@needs_kernels
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (4, 3, 5, 17), (7, 9, 16, 16), (3, 40, 2, 33), (5, 1, 3, 20)])
@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("layout", ["time first", "samples first", "every second"])
@pytest.mark.parametrize("bias", [True, False])
def test_sequences(rng, monkeypatch, sizes, name, reverse, layout, bias):
    monkeypatch.setattr(recurrence, "SHARED", 0)
    monkeypatch.setattr(threads, "HOP", 0)
    monkeypatch.setattr("tensorgraph.backends.numpy_kernels.blas._THREADS", 2)
    (steps, batch, inputs, size), (gates, f) = sizes, SEQUENCES[name]
    x = rng.standard_normal((steps, batch, inputs)).astype("f")
    if layout == "samples first":
        x = np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1)
    elif layout == "every second":
        x = np.repeat(x, 2, axis=0)[::2]
    w_ih, w_hh = (rng.standard_normal((gates * size, n)).astype("f") * 0.5 for n in (inputs, size))
    biases = [rng.standard_normal(gates * size).astype("f") if bias else None for _ in range(1 + (name == "gru"))]
    states = list(rng.standard_normal((1 + (name == "lstm"), batch, size)).astype("f"))

    def results(x, w_ih, w_hh, *rest):
        bs = biases if not bias else rest[: len(biases)]
        return f(x, w_ih, w_hh, *bs, *rest[-len(states) :], reverse=reverse)

    arrays = [x, w_ih, w_hh, *[b for b in biases if b is not None], *states]
    close(both(lambda: gradients(lambda *a: ops.concat([y.reshape(-1) for y in results(*a)]), *arrays)), 2e-4)
    for fast, plain in both(lambda: [y.numpy() for y in results(*map(tg.tensor, arrays))]):
        np.testing.assert_allclose(fast, plain, rtol=1e-4, atol=1e-5)
    if name == "lstm":  # either result by itself
        close(both(lambda: gradients(lambda *a: results(*a)[0], *arrays)), 2e-4)
        close(both(lambda: gradients(lambda *a: results(*a)[1], *arrays)), 2e-4)


@needs_kernels
@pytest.mark.parametrize("name", SEQUENCES)
def test_one_gradient_of_a_sequence_at_a_time_and_again(rng, name):
    gates, f = SEQUENCES[name]
    shapes = [(4, 3, 5), (gates * 7, 5), (gates * 7, 7), *[(gates * 7,)] * (1 + (name == "gru"))]
    shapes += [(3, 7)] * (1 + (name == "lstm"))
    arrays = [rng.standard_normal(shape).astype("f") for shape in shapes]
    leaves = [tg.tensor(a, requires_grad=True) for a in arrays]
    y = sum((y * y).sum() for y in f(*leaves, reverse=False))
    expected = tg.grad(y, leaves, retain_graph=True)
    again = tg.grad(y, leaves)
    for i, (whole, second) in enumerate(zip(expected, again, strict=True)):
        np.testing.assert_array_equal(whole.numpy(), second.numpy())
        one = [tg.tensor(a, requires_grad=i == j) for j, a in enumerate(arrays)]
        y = sum((y * y).sum() for y in f(*one, reverse=False))
        np.testing.assert_allclose(tg.grad(y, one[i]).numpy(), whole.numpy(), rtol=1e-5, atol=1e-5)


@needs_kernels
@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_layers_of_sequences_against_double_precision(rng, name):
    layer = getattr(nn, name)(6, 20, num_layers=2, bidirectional=True, batch_first=True)
    exact = getattr(nn, name)(6, 20, num_layers=2, bidirectional=True, batch_first=True, dtype="float64")
    exact.load_state_dict({key: value.astype("float64") for key, value in layer.state_dict().items()})
    x = rng.standard_normal((5, 9, 6))
    start = [rng.standard_normal((4, 5, 20)) for _ in range(1 + (name == "LSTM"))]
    found = []
    for model, dtype in ((layer, "float32"), (exact, "float64")):
        leaves = [tg.tensor(a.astype(dtype), requires_grad=True) for a in (x, *start)]
        y, last = model(leaves[0], tuple(leaves[1:]) if name == "LSTM" else leaves[1])
        loss = (y * y).sum() + sum((s**3).sum() for s in (last if name == "LSTM" else (last,)))
        found.append([t.numpy() for t in (y.detach(), *tg.grad(loss, [*leaves, *model.parameters()]))])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)


@needs_kernels
@pytest.mark.parametrize("name", SEQUENCES)
def test_gates_saturate_without_nan(name):
    gates, f = SEQUENCES[name]
    x = np.array([-1e4, -200, -88, -1e-30, 0, 1e-30, 88, 200, 1e4, np.inf, -np.inf, np.nan], "f")
    x, zero = x.reshape(1, 12, 1), np.zeros((12, 1), "f")
    arrays = [x, np.ones((gates, 1), "f"), np.zeros((gates, 1), "f"), *[None] * (1 + (name == "gru"))]
    for a, b in both(lambda: [f(*arrays, *[zero] * (1 + (name == "lstm")), reverse=False)[0]]):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-38)
        assert np.isnan(a[0, :, 0]).tolist() == [False] * 11 + [True]


@needs_kernels
def test_sigmoid_to_a_few_units_in_the_last_place(rng):
    x = np.concatenate(
        [rng.uniform(-110, 110, 1 << 16), rng.standard_normal(1 << 14), [np.inf, -np.inf, np.nan, 0, -0.0]]
    )
    x = x.astype("f")
    y = cpu.sigmoid(x)
    with np.errstate(over="ignore"):
        exact = 1 / (1 + np.exp(-x.astype("d")))
    normal = exact > np.finfo("f").tiny
    assert np.max(np.abs(y[normal] / exact[normal] - 1)) < 4 * np.finfo("f").eps
    np.testing.assert_allclose(y, exact, rtol=1e-6, atol=1e-38)  # below: a few digits, and 0 in the end


def function(name):
    """A kernel on whole arrays: tanh is used in recurrent networks only, where it is not a pass of its own."""
    return cpu.sigmoid if name == "sigmoid" else partial(elementwise.unary, name)


ULPS = {
    "exp": (np.exp, 1.0),
    "log": (np.log, 1.0),
    "tanh": (np.tanh, 1.5),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 2.5),
}


@needs_kernels
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ULPS)
def test_functions_to_units_in_the_last_place(rng, name):
    reference, most = ULPS[name]
    bits = rng.integers(0, 1 << 32, 1 << 18, dtype=np.uint64).astype(np.uint32).view("f")
    x = np.concatenate([bits, rng.uniform(-105, 90, 1 << 18).astype("f"), rng.uniform(0, 8, 1 << 17).astype("f")])
    y, exact = function(name)(x), reference(x.astype("d"))
    least = np.finfo("f").tiny if name == "sigmoid" else 0
    size = np.abs(exact)
    seen = (size > least) & (size < np.finfo("f").max)
    error = np.abs(y[seen] - exact[seen]) / np.spacing(size[seen].astype("f")).astype("d")
    assert seen.sum() > 2e5 and error.max() < most


@needs_kernels
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["exp", "log", "tanh"])
def test_special_values_are_numpys(name):
    f, last = getattr(np, name), np.float32(88.72283)  # the largest whose exponential is finite
    values = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 1e-40, -1e-40, 3.4e38, -3.4e38, 2**-126, 1.0, -1.0]
    values += [
        last,
        np.nextafter(last, np.float32(89)),
        -87.33,
        -87.34,
        -103.9,
        -103.97,
        -103.98,
        -104,
        1e-20,
        200,
        -200,
    ]
    x = np.array(values, "f")
    y, expected = function(name)(x), f(x)
    np.testing.assert_array_almost_equal_nulp(np.nan_to_num(y), np.nan_to_num(expected), 3)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(y), np.isinf(expected))
    kept = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(y)[kept], np.signbit(expected)[kept])


@needs_kernels
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid"])
def test_functions_and_their_slopes_in_every_layout(rng, name, layout):
    x = LAYOUTS[layout](np.abs(rng.standard_normal((3, 5, 7, 8))).astype("f") + 0.1)
    close(both(lambda: gradients(getattr(ops, name), x)), 2e-6)
    out = np.empty_like(x)
    if name != "sigmoid":
        assert function(name)(x, out=out) is out
        np.testing.assert_allclose(out, getattr(np, name)(x), rtol=1e-6)
        turned = np.empty(x.shape[::-1], "f").T
        np.testing.assert_allclose(function(name)(x, out=turned), out, rtol=1e-6)


@needs_kernels
@pytest.mark.parametrize("shape", [(1, 5), (3, 16), (70, 37), (2, 3, 4, 100), (5000,), (4, 1)])
def test_running_sums_and_products(rng, shape):
    x = rng.uniform(0.99, 1.01, shape).astype("f") * rng.choice([-1, 1], shape).astype("f")
    wide = x.astype("d")
    for name, axis in (("cumsum", -1), ("cumprod", -1), ("cumsum", 0)):
        expected = getattr(np, name)(wide, axis=axis)
        np.testing.assert_allclose(getattr(cpu, name)(x, axis), expected, rtol=1e-4, atol=1e-4)
    for axis in (None, -1, tuple(range(x.ndim))[-2:], 0, (-1,)):
        for keepdims in (False, True):
            y, expected = cpu.prod(x, axis, keepdims), wide.prod(axis=axis, keepdims=keepdims)
            assert y.shape == expected.shape
            np.testing.assert_allclose(y, expected, rtol=2e-3, atol=1e-30)
    close(both(lambda: gradients(lambda x: ops.cumsum(x, -1), x)), 1e-4)


@needs_kernels
def test_running_sums_of_what_is_no_number():
    x = np.array([[-0.0] * 20, [1.0] * 3 + [np.inf] + [2.0] * 16, [1.0] * 18 + [np.nan, 2.0]], "f")
    for name in ("cumsum", "cumprod"):
        expected = getattr(np, name)(x, axis=1)
        y = getattr(cpu, name)(x, 1)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(np.signbit(y[0]), np.signbit(expected[0]))


@needs_kernels
@pytest.mark.parametrize("dtype", ["int64", "int32"])
@pytest.mark.parametrize("shape, index", [((9, 16), (30,)), ((5, 37), (4, 6)), ((3, 4, 8), (11,)), ((1, 300), (7, 2))])
def test_rows_added_where_an_index_says(rng, shape, index, dtype, monkeypatch):
    monkeypatch.setattr("tensorgraph.backends.numpy_kernels.blas._THREADS", 2)
    monkeypatch.setattr(threads, "PIECE", 1)
    places = rng.integers(-shape[0], shape[0], index).astype(dtype)
    values = rng.standard_normal((*index, *shape[1:])).astype("f")
    found, expected = np.ones(shape, "f"), np.ones(shape)
    assert elementwise.add_rows(found, places, values)
    for place in np.ndindex(index):
        expected[places[place]] += values[place]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    weight = rng.standard_normal(shape[:1] + shape[1:2]).astype("f")
    close(both(lambda: gradients(lambda w: ops.embedding(places % shape[0], w), weight)), 1e-5)
    with pytest.raises(tg.OutOfRangeError, match=f"index {shape[0]} is out of bounds"):
        cpu.put_add(values, np.full(index, shape[0]), shape)


@needs_kernels
@pytest.mark.parametrize("settings", [{}, {"reduction": "sum"}, {"ignore_index": 2}, {"label_smoothing": 0.2}])
def test_gradient_of_labels(rng, settings):
    x, labels = rng.standard_normal((60, 9)).astype("f"), rng.integers(0, 9, 60)
    close(both(lambda: gradients(lambda x: ops.cross_entropy(x, labels, **settings), x)), 1e-6)


OPTIMISERS = {
    "SGD": dict(lr=0.1),
    "SGD momentum": dict(lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01),
    "SGD nesterov": dict(lr=0.1, momentum=0.9, nesterov=True, maximize=True),
    "RMSprop": dict(lr=0.01, weight_decay=0.1),
    "Adam": dict(lr=0.01, weight_decay=0.1, maximize=True),
    "AdamW": dict(lr=0.01, weight_decay=0.1),
    "RMSprop centered": dict(lr=0.01, centered=True, momentum=0.5),
    "Adam amsgrad": dict(lr=0.01, amsgrad=True),
}


@needs_kernels
@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimisers(rng, name):
    start, slopes = rng.standard_normal((2, 3, 4097)).astype("f")[0], rng.standard_normal((4, 3, 4097)).astype("f")

    def steps():
        p = nn.Parameter(tg.tensor(start.copy()))
        optimizer = getattr(nn.optim, name.split()[0])([p], **OPTIMISERS[name])
        for g in slopes:
            p.grad = tg.tensor(g)
            optimizer.step()
        return [p.detach().numpy(), *(v.numpy() for v in optimizer.state[p].values() if isinstance(v, tg.Tensor))]

    close(both(steps), 2e-5)


@needs_kernels
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimisers_of_several_parameters(rng, name, together, monkeypatch):
    """Updated where they lie, with one of more than a piece, gradients that lie otherwise, and ones that come late."""
    if not together:
        monkeypatch.setattr(type(cpu), "takes_several", lambda *_: False)
    monkeypatch.setattr(updates, "PIECE", 1000)
    shapes = [(3, 5), (4097,), (1,), (40, 50), (7, 2, 3)]
    start = [rng.standard_normal(s).astype("f") for s in shapes]
    slopes = [[rng.standard_normal(s).astype("f") for s in shapes] for _ in range(5)]

    def steps():
        params = [nn.Parameter(tg.tensor(a.copy())) for a in start]
        optimizer = getattr(nn.optim, name.split()[0])(params, **OPTIMISERS[name])
        for i, gradients in enumerate(slopes):
            optimizer.param_groups[0]["lr"] *= 0.9
            for j, (p, g) in enumerate(zip(params, gradients, strict=True)):
                p.grad = None if (i, j) in ((0, 2), (3, 0)) else tg.tensor(np.asfortranarray(g) if j == 3 else g)
            optimizer.step()
        remembered = [v.numpy() for p in params for v in optimizer.state[p].values() if isinstance(v, tg.Tensor)]
        return [p.detach().numpy() for p in params] + remembered

    close(both(steps), 2e-5)


@needs_kernels
@pytest.mark.parametrize("dtype", ["float64", "complex64"])
def test_other_dtypes_are_left_to_numpy(rng, dtype, monkeypatch):
    monkeypatch.setattr(compiled, "_found", {})  # would fail when it is asked for a kernel
    x = LAYOUTS["channels last"](rng.standard_normal((2, 5, 8, 8)).astype(dtype))
    w = rng.standard_normal((6, 5, 3, 3)).astype(dtype)
    y = ops.conv2d(tg.tensor(x), w)
    if dtype == "float64":
        y = ops.max_pool2d(ops.relu(ops.batch_norm(y, None, None, training=True)), 2)
    assert y.dtype == dtype


@needs_kernels
def test_half_precision_agrees(rng):
    x, w = rng.standard_normal((2, 5, 8, 8)).astype("e"), rng.standard_normal((6, 5, 3, 3)).astype("e")
    f = lambda x, w: ops.max_pool2d(ops.relu(ops.batch_norm(ops.conv2d(x, w), None, None, training=True)), 2)
    close(both(lambda: gradients(f, x, w)), 0.05)


@needs_kernels
def test_arrays_of_size_zero():
    x = tg.zeros(0, 4, 8, 8, requires_grad=True)
    ops.relu(ops.conv2d(x, tg.ones(3, 4, 3, 3))).sum().backward()
    assert x.grad is not None and x.grad.shape == x.shape


# ---- finding, keeping, missing --------------------------------------------------------------------------------------
PROGRAM = """
import sys
import numpy as np, tensorgraph as tg
assert "llvmlite" not in sys.modules
y = tg.conv2d(tg.ones(4, 8, 32, 32), tg.ones(8, 8, 3, 3))
print(float(y.sum()), "llvmlite" in sys.modules, tg.backends.compiled.why_not())
"""


def fresh(**environment):
    """stdout and stderr of the program in a new process."""
    given = {**os.environ, "PYTHONPATH": str(ROOT), "TENSORGRAPH_COMPILED": "1", **environment}
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(" ", 2), done.stderr


@needs_kernels
def test_code_is_compiled_once_which_is_said_and_kept(tmp_path):
    first = fresh(TENSORGRAPH_CACHE=str(tmp_path))
    again = fresh(TENSORGRAPH_CACHE=str(tmp_path))
    assert first[0] == again[0] == [str(4 * 8 * 900 * 72.0), "True", "None\n"]
    assert first[1].count("\n") == 1 and str(tmp_path) in first[1]
    assert again[1] == ""


@needs_kernels
def test_a_damaged_file_is_made_anew_and_a_missing_place_is_no_error(tmp_path):
    from tensorgraph.backends.compiled import build

    path = tmp_path / "below" / "code.o"
    build._keep(path, b"code")
    assert build._kept(path) == b"code"
    path.write_bytes(path.read_bytes()[:-1])
    assert build._kept(path) is None
    (tmp_path / "file").write_text("")
    build._keep(tmp_path / "file" / "code.o", b"code")
    assert build._kept(tmp_path / "file" / "code.o") is None
    assert [p.name for p in path.parent.iterdir()] == ["code.o"], "nothing half-written is left behind"


def test_without_the_compiler_everything_runs(tmp_path):
    (tmp_path / "llvmlite.py").write_text("raise ImportError('not here')")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    (value, loaded, why), said = fresh(PYTHONPATH=path)
    assert (value, loaded, said) == (str(4 * 8 * 900 * 72.0), "False", "")
    assert "tensorgraph[fast]" in why
    assert "switched off" in fresh(TENSORGRAPH_COMPILED="0")[0][2]


def test_show_config_names_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(compiled, "_found", None)
    monkeypatch.setattr(compiled, "_reason", 'not installed: pip install "tensorgraph[fast]"')
    tg.show_config()
    with tg.kernels(False):
        tg.show_config()
    text = capsys.readouterr().out
    assert 'pip install "tensorgraph[fast]"' in text and np.__version__ in text and "BLAS" in text
    assert "switched off here" in text


@needs_kernels
def test_threads_share_kernels_and_results_repeat(rng, monkeypatch):
    monkeypatch.setattr(threads, "HOP", 0)
    monkeypatch.setattr("tensorgraph.backends.numpy_kernels.blas._THREADS", 2)
    x = LAYOUTS["channels last"](rng.standard_normal((6, 16, 12, 12)).astype("f"))
    w = rng.standard_normal((16, 16, 3, 3)).astype("f")

    def step():
        return gradients(lambda x, w: ops.batch_norm(ops.conv2d(x, w, padding=1), None, None, training=True), x, w)

    expected, found = step(), {}
    workers = [threading.Thread(target=lambda i=i: found.setdefault(i, step())) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for result in found.values():
        for a, b in zip(result, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def _child(queue):
    queue.put(float(ops.relu(ops.conv2d(tg.ones(2, 4, 9, 9), tg.ones(4, 4, 3, 3))).sum()))


@needs_kernels
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_goes_on(rng):
    ops.conv2d(tg.ones(2, 4, 9, 9), tg.ones(4, 4, 3, 3))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == 2 * 4 * 49 * 36
    child.join()
