"""From an operation to the launch of a GPU kernel, without a GPU: the kernels' own text runs on the host.

Everything here compares what kernels compute with what the definitions do (`tg.kernels(False)`), values and gradients,
over randomised shapes. What plays the device, and what it holds a launch to, is in host_cuda.py
(tested in test_host_cuda.py).
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn, ops
from tensorgraph.backends.convolution import Geometry
from tensorgraph.backends.cuda_kernels import KERNELS, channels, embedding, launch
from tensorgraph.backends.philox import PhiloxStream, philox
from tensorgraph.tensor import Tensor
from tests import host_cuda, playback
from tests import test_capture as steps
from tests import test_fence_nn as layers
from tests.fence import FenceArray
from tests.host_cuda import HostCuda, HostKernel, HostPlayback
from tests.nn_cases import CASES

if host_cuda.compiler() is None:
    pytest.skip("no C compiler that knows _Float16 and ucontext.h", allow_module_level=True)

cuda = HostCuda()
FORMS = [("float16", "int"), ("float32", "int"), ("float64", "int"), ("float32", "long long")]
"""dtype of the arrays and type of an index"""
forms = pytest.mark.parametrize("dtype, whole", FORMS, indirect=["whole"])
CLOSE = {
    "float16": dict(rtol=4e-3, atol=4e-3),
    "float32": dict(rtol=4e-5, atol=4e-5),
    "float64": dict(rtol=1e-11, atol=1e-11),
}


@pytest.fixture(autouse=True)
def device():
    with host_cuda.installed(cuda):
        yield


@pytest.fixture
def whole(request, monkeypatch):
    """The type of an index, whatever the size."""
    if request.param == "long long":
        monkeypatch.setattr(launch, "WORD", 0)
    return request.param


def launches(call) -> tuple:
    """What `call()` returns, and the names of the kernels that it launched."""
    before = dict(HostKernel.launched)
    result = call()
    return result, {name for name, n in HostKernel.launched.items() if n > before.get(name, 0)}


def both(call, *names: str):
    """`call()` with kernels, which are exactly `names`, and without."""
    got, used = launches(call)
    assert used == set(names)
    with tg.kernels(False):
        expected, used = launches(call)
    assert not used & set(KERNELS) - {"philox"}
    return got, expected


def arrays(value) -> list[np.ndarray]:
    if isinstance(value, (tuple, list)):
        return [array for part in value for array in arrays(part)]
    array = getattr(value, "array", value)
    return [] if value is None else [cuda.to_host(array)]


def agree(got, expected, dtype: str) -> None:
    got, expected = arrays(got), arrays(expected)
    assert len(got) == len(expected) > 0
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, **CLOSE[dtype])


def on_device(array: np.ndarray) -> FenceArray:
    return cuda.from_host(array)


def gradients(call, *inputs: np.ndarray):
    """The values of an operation and its gradients, for a gradient that is no constant."""
    tensors = [Tensor(on_device(a)).requires_grad_(a.dtype.kind == "f") for a in inputs]
    y = call(*tensors)
    g = np.random.default_rng(1).uniform(0.5, 1.5, y.shape).astype(y.dtype)
    y.backward(Tensor(on_device(g)))
    return y.detach(), *[t.grad for t in tensors if t.requires_grad]


# ---- pooling ---------------------------------------------------------------------------------------------------------
def geometries(seed: int, axes: int):
    """Sizes, window and geometry, with windows that reach far over the edge among them."""
    rng = np.random.default_rng(seed)
    while True:
        draw = lambda low, high: tuple(int(n) for n in rng.integers(low, high, axes))
        sizes, kernel, stride, dilation = draw(1, 9), draw(1, 5), draw(1, 4), draw(1, 3)
        geometry = Geometry(stride, tuple(zip(draw(0, 4), draw(0, 4), strict=True)), dilation)
        if min(geometry.output(sizes, kernel)) > 0:
            yield sizes, kernel, geometry


@pytest.mark.parametrize("axes", [1, 2, 3])
@forms
def test_pooling(axes, dtype, rng, whole):
    for sizes, kernel, geometry in itertools.islice(geometries(axes, axes), 12):
        x = rng.integers(-3, 3, (2, 3, *sizes)).astype(dtype)  # many ties
        x[rng.random(x.shape) < 0.1] = -np.inf
        x[rng.random(x.shape) < 0.05] = np.nan
        x = on_device(x.swapaxes(0, 1)).swapaxes(0, 1)  # not contiguous
        (y, taps), expected = both(lambda: cuda.max_pool(x, kernel, geometry), "max_pool")
        seen = (
            cuda.sum_pool(on_device(np.ones(x.shape, dtype)), kernel, geometry)._data > 0
        )  # others have no tap inside
        for got, wanted, where in zip(arrays((y, taps)), arrays(expected), (True, seen), strict=True):
            assert got.dtype == wanted.dtype
            np.testing.assert_array_equal(np.where(where, got, 0), np.where(where, wanted, 0))
        g = on_device(rng.standard_normal(y.shape).astype(dtype))
        got, expected = both(lambda: cuda.max_put(g, taps, sizes, kernel, geometry), "max_put")
        agree(got, expected, dtype)
        x = on_device(rng.standard_normal(x.shape).astype(dtype))
        got, expected = both(lambda: cuda.sum_pool(x, kernel, geometry), "sum_pool")
        np.testing.assert_array_equal(*arrays((got, expected)))  # in the same order
        got, expected = both(lambda: cuda.sum_put(g, kernel, sizes, geometry), "sum_put")
        np.testing.assert_array_equal(*arrays((got, expected)))


def test_windows_of_more_taps_than_a_byte_counts(rng):
    x = on_device(rng.standard_normal((1, 2, 40, 30)).astype(np.float32))
    how = (17, 16), Geometry((3, 2), ((8, 8), (0, 0)), (1, 1))
    (y, taps), expected = both(lambda: cuda.max_pool(x, *how), "max_pool")
    assert taps.dtype == np.uint16 and arrays(taps)[0].max() > 255
    np.testing.assert_array_equal(*arrays((taps, expected[1])))
    got, expected = both(lambda: cuda.max_put(y, taps, (40, 30), *how), "max_put")
    agree(got, expected, "float32")
    assert cuda.max_pool(x, (16, 16), how[1])[1].dtype == np.uint8


@pytest.mark.parametrize("shape", [(0, 2, 5, 5), (2, 0, 5, 5)])
def test_nothing_is_left_to_the_definition(shape):
    y, used = launches(lambda: ops.max_pool2d(Tensor(on_device(np.zeros(shape, np.float32))), 2))
    assert y.shape == (*shape[:2], 2, 2) and not used


# ---- normalisation ---------------------------------------------------------------------------------------------------
ROWS = {"standardize_rows", "standardize_rows_slope"}
CHANNELS = {"moments", "normalized", "normalized_sums", "normalized_slope"}
NORMS = {
    "layer": (lambda x, w, b: ops.layer_norm(x, x.shape[-1:], w, b), (6, 37), (37,)),
    "layer, wide": (lambda x, w, b: ops.layer_norm(x, x.shape[-1:], w, b), (5, 700), (700,)),
    "layer, tall": (lambda x, w, b: ops.layer_norm(x, x.shape[-1:], w, b), (70, 3), (3,)),
    "layer, two axes": (lambda x, w, b: ops.layer_norm(x, x.shape[-2:], w, b), (3, 4, 5, 7), (5, 7)),
    "layer, of one": (lambda x, w, b: ops.layer_norm(x, (1,), w, b), (4, 1), (1,)),
    "group": (lambda x, w, b: ops.group_norm(x, 3, w, b), (2, 6, 5, 4), (6,)),
    "group, of one": (lambda x, w, b: ops.group_norm(x, 6, w, b), (2, 6, 8), (6,)),
    "group, all": (lambda x, w, b: ops.group_norm(x, 1, w, b), (2, 6, 1, 3, 2), (6,)),
    "instance": (lambda x, w, b: ops.instance_norm(x, None, None, w, b), (3, 4, 6, 7), (4,)),
    "batch": (lambda x, w, b: ops.batch_norm(x, None, None, w, b, training=True), (5, 4, 6, 7), (4,)),
    "batch, of features": (lambda x, w, b: ops.batch_norm(x, None, None, w, b, training=True), (33, 70), (70,)),
    "batch, of short lines": (lambda x, w, b: ops.batch_norm(x, None, None, w, b, training=True), (9, 5, 3), (5,)),
    "batch, in pieces": (lambda x, w, b: ops.batch_norm(x, None, None, w, b, training=True), (130, 2, 9, 8), (2,)),
    "batch, features in pieces": (lambda x, w, b: ops.batch_norm(x, None, None, w, b, training=True), (300, 3), (3,)),
}  # fmt: skip


@forms
@pytest.mark.parametrize("name", NORMS)
def test_normalisation(name, dtype, rng, whole):
    call, shape, of_weight = NORMS[name]
    x = (rng.standard_normal(shape) + 3 * (np.arange(shape[-1]) % 3)).astype(dtype)  # no row of almost equal numbers
    w, b = (rng.uniform(-2, 2, of_weight).astype(dtype) for _ in range(2))
    batch = name.startswith("batch")
    names = (CHANNELS if batch else ROWS) | ({"merge_moments"} if "pieces" in name else set())
    got, expected = both(lambda: gradients(call, x, w, b), *names, "normalized_sums")
    agree(got[:2], expected[:2], dtype)
    terms = float(np.sqrt(x.size / w.size))  # of which the gradients of weight and bias are sums
    agree([g / terms for g in got[2:]], [g / terms for g in expected[2:]], dtype)
    got, expected = both(lambda: gradients(lambda x: call(x, None, None), x), *names)
    agree(got, expected, dtype)


def test_rms_norm(rng):
    x, w = rng.standard_normal((4, 5, 11)).astype(np.float32), rng.standard_normal(11).astype(np.float32)
    got, expected = both(lambda: gradients(lambda x, w: ops.rms_norm(x, 11, w), x, w), *ROWS, "normalized_sums")
    agree(got, expected, "float32")


@forms
def test_running_statistics(dtype, rng, whole):
    x, start = rng.standard_normal((6, 5, 4)).astype(dtype), rng.standard_normal((2, 5)).astype(dtype)

    def moved():
        mean, var = (Tensor(on_device(a)) for a in start)
        y = ops.batch_norm(Tensor(on_device(x)), mean, var, training=True, momentum=0.2)
        return y, mean, var

    names = {"moments", "normalized"} | ({"move_towards"} if dtype != "float16" else set())  # of float32 statistics
    got, expected = both(moved, *names)
    agree(got, expected, dtype)


def test_moments_keep_their_digits(rng):
    """Where the mean is far from 0, and over pieces that differ much among each other."""
    x = (rng.standard_normal((130, 2, 9, 8)) + 1000 * np.arange(130).reshape(-1, 1, 1, 1)).astype(np.float32)
    plan = channels.layout(x.size, 2, 72)
    assert plan.pieces > 1
    mean, var = arrays(cuda.mean_and_variance(on_device(x), (0, 2, 3))[::2])
    np.testing.assert_allclose(mean.ravel(), x.mean(axis=(0, 2, 3), dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(var.ravel(), x.var(axis=(0, 2, 3), dtype=np.float64), rtol=1e-6)


@forms
@pytest.mark.parametrize("with_residual", [False, True])
def test_normalisation_with_a_rectifier(with_residual, dtype, rng, whole):
    x, more = rng.standard_normal((2, 4, 3, 5, 6)).astype(dtype)
    w, b = rng.uniform(0.5, 2, (2, 3)).astype(dtype)

    def call(x, w, b, more=None):
        return ops.batch_norm(x, None, None, w, b, training=True, activation="relu", residual=more)

    given = (x, w, b, more) if with_residual else (x, w, b)
    names = CHANNELS | ({"relu_slope"} if with_residual else set())
    got, expected = both(lambda: gradients(call, *given), *names)
    zeros, expected_zeros = (arrays(one[0])[0] == 0 for one in (got, expected))
    assert (zeros != expected_zeros).sum() == 0 < zeros.sum()
    for one, other in zip(got, expected, strict=True):
        agree(one / 8.0, other / 8.0, dtype)


# ---- cross-entropy ---------------------------------------------------------------------------------------------------
@forms
@pytest.mark.parametrize("shape", [(7,), (1, 1), (5, 10), (3, 300), (9, 33), (2, 5, 3), (3, 4, 5, 7)])
def test_cross_entropy(shape, dtype, rng, whole):
    x = (5 * rng.standard_normal(shape)).astype(dtype)
    classes = shape[0] if len(shape) == 1 else shape[1]
    labels = rng.integers(0, classes, () if len(shape) == 1 else (shape[0], *shape[2:]))
    w = rng.uniform(0.5, 2, classes).astype(dtype)
    kernels = "cross_entropy", "cross_entropy_slope"
    for reduction, smoothing, weighted in itertools.product(("mean", "sum", "none"), (0.0, 0.1), (False, True)):
        how = dict(reduction=reduction, label_smoothing=smoothing)

        def loss(x):
            return ops.softmax_cross_entropy(
                x, Tensor(on_device(labels)), Tensor(on_device(w)) if weighted else None, **how
            )

        got, expected = both(lambda: gradients(loss, x), *kernels)
        if dtype == "float16":
            got, expected = ([ops.astype(a, "float32") / 30 for a in one] for one in (got, expected))
        agree(got, expected, "float16" if dtype == "float16" else dtype)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_labels_that_count_for_nothing(reduction, rng):
    x, labels = rng.standard_normal((3, 5, 4)), rng.integers(0, 5, (3, 4)).astype(np.int32)
    labels[0, :2] = labels[2, 3] = -1
    x[0, :, 0] = np.nan  # in a row that does not count
    w = Tensor(on_device(rng.uniform(0.5, 2, 5)))
    how = dict(ignore_index=-1, reduction=reduction, label_smoothing=0.2)
    t = Tensor(on_device(labels))
    (y, gx), used = launches(lambda: gradients(lambda x: ops.softmax_cross_entropy(x, t, w, **how), x))
    assert used == {"cross_entropy", "cross_entropy_slope"}
    x[0, :, 0] = 0
    with tg.kernels(False):
        expected = gradients(lambda x: ops.softmax_cross_entropy(x, t, w, **how), x)
    agree((y, gx), expected, "float64")
    assert not arrays(gx)[0][0, :, 0].any()


@pytest.mark.filterwarnings("ignore:overflow")  # of NumPy, in the definition
def test_logits_of_any_size():
    x = np.array([[1e4, -1e4, 0], [-3e38, -3e38, -3e38], [3e38, 0, -3e38]], np.float32)
    t = Tensor(on_device(np.array([1, 0, 0])))
    got, expected = both(lambda: gradients(lambda x: ops.softmax_cross_entropy(x, t, reduction="none"), x),
                         "cross_entropy", "cross_entropy_slope")  # fmt: skip
    agree(got, expected, "float32")
    np.testing.assert_allclose(arrays(got[0])[0], [2e4, np.log(3), 0], rtol=1e-6)


# ---- softmax ---------------------------------------------------------------------------------------------------------
@forms
@pytest.mark.parametrize("shape, axis", [((7,), 0), ((5, 300), -1), ((4, 1), 1), ((3, 9, 5), 1), ((40, 33), 0)])
def test_softmax(shape, axis, dtype, rng, whole):
    x = (5 * rng.standard_normal(shape)).astype(dtype)
    got, expected = both(lambda: gradients(lambda x: ops.softmax(x, axis), x), "softmax", "softmax_slope")
    agree(got, expected, dtype)


def test_softmax_of_any_numbers():
    inf = np.inf
    x = on_device(np.array([[1e30, -1e30, 0], [-inf, -inf, -inf], [-inf, 0, 0], [inf, 0, 0], [np.nan, 0, 0]]))
    with np.errstate(invalid="ignore"):
        got, expected = both(lambda: cuda.softmax(x, 1), "softmax")
    agree(got, expected, "float64")


@forms
@pytest.mark.parametrize("kind", ["no", "boolean", "float", "causal"])
def test_attention(kind, dtype, rng, whole):
    q, k, v = (rng.standard_normal(shape).astype(dtype) for shape in ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6)))
    allowed = rng.random((2, 1, 5, 7)) < 0.6
    allowed[0, 0, 2] = False  # a query that may look at nothing
    masks = {"boolean": allowed, "float": np.where(allowed, rng.standard_normal((5, 7)), -np.inf).astype(dtype)}
    mask = Tensor(on_device(masks[kind])) if kind in masks else None
    call = lambda q, k, v: ops.scaled_dot_product_attention(q, k, v, mask, is_causal=kind == "causal")
    got, expected = both(lambda: gradients(call, q, k, v), "softmax", "softmax_slope")
    agree(got, expected, dtype)


# ---- one number at a time --------------------------------------------------------------------------------------------
@forms
@pytest.mark.parametrize("name", ["relu", "gelu", "silu"])
def test_activations(name, dtype, rng, whole):
    x = np.concatenate([[-50, -5, -0.0, 0, 5, 50], 3 * rng.standard_normal(300)]).astype(dtype).reshape(2, -1)
    names = {"relu_slope"} if name == "relu" else {name, f"{name}_slope"}
    got, expected = both(lambda: gradients(getattr(ops, name), x), *names)
    agree(got, expected, dtype)


def test_the_slope_of_relu_where_there_is_no_number():
    y = on_device(np.array([np.nan, 0, 1, -1], np.float32))
    g = on_device(np.full(4, np.nan, np.float32))
    got, expected = both(lambda: cuda.relu_slope(g, y), "relu_slope")
    np.testing.assert_array_equal(*arrays((got, expected)))


@forms
def test_bias(dtype, rng, whole):
    x, w, b = (rng.standard_normal(shape).astype(dtype) for shape in ((3, 4, 5), (7, 5), (7,)))
    got, expected = both(lambda: gradients(ops.linear, x, w, b), "add_bias")
    agree(got, expected, dtype)
    call = lambda x, w, b: ops.linear(x, w, b, activation="relu")
    got, expected = both(lambda: gradients(call, x, w, b), "add_bias", "relu_slope")
    agree(got, expected, dtype)
    assert 0 < (arrays(got[0])[0] == 0).mean() < 1
    got, used = launches(lambda: cuda.affine(on_device(x), on_device(w.T), on_device(b.astype(np.int64))))
    assert not used  # the sum is of another dtype, perhaps


# ---- random numbers --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("whole", ["int", "long long"], indirect=True)
def test_words_of_philox(whole):
    rng = np.random.default_rng(0)
    for blocks in (0, 1, 255, 256, 257, *map(int, rng.integers(1, 2000, 5))):
        key, start = (int(n) for n in rng.integers(0, 2**63, 2))
        start = start if blocks % 2 else 2**32 - blocks // 2  # counters that pass 32 bits
        words = cuda.stream(0, "fence")._drawn(key, start, blocks)
        np.testing.assert_array_equal(cuda.to_host(words), philox(np, key, start, blocks))


@forms
def test_the_mask_of_dropout_is_that_of_the_stream(dtype, rng, whole):
    for keep in (0.1, 0.5, 0.9, 1 - 1e-12):
        ours, plain = cuda.stream(5, "fence"), PhiloxStream(5, np, lambda *how: philox(np, *how))
        for shape in ((1,), (3, 5), (2, 3, 171), (0, 2)):
            got, used = launches(lambda: ours.mask(shape, keep, np.dtype(dtype)))
            assert used == ({"dropout_mask"} if np.prod(shape) else set())
            expected = plain.mask(shape, keep, np.dtype(dtype))
            assert got.dtype == expected.dtype and ours.state == plain.state
            np.testing.assert_array_equal(cuda.to_host(got), expected)


def test_dropout_with_and_without_kernels(rng):
    x = rng.standard_normal((4, 9)).astype(np.float32)

    def dropped():
        generator = tg.Generator(3, device="fence")
        return gradients(lambda x: ops.dropout(x, 0.3, generator=generator), x)

    got, expected = both(dropped, "dropout_mask")
    agree(got, expected, "float32")


# ---- embedding -------------------------------------------------------------------------------------------------------
@forms
@pytest.mark.parametrize(
    "shape, table", [((6,), (4, 3)), ((2, 90), (5, 7)), ((300,), (1, 2)), ((), (3, 2)), ((4,), (4, 0))]
)
def test_the_gradient_of_an_embedding(shape, table, dtype, rng, whole):
    weight, indices = rng.standard_normal(table).astype(dtype), rng.integers(-table[0], table[0], shape)
    padding = 1 if table[0] > 3 else None
    names = {"add_rows", "rank"} if table[1] and shape else set()
    names |= {"add_later"} if indices.size > 32 else set()
    call = lambda w: ops.embedding(Tensor(on_device(indices)), w, padding)
    got, expected = both(lambda: gradients(call, weight), *names)
    agree(got[:1], expected[:1], dtype)
    terms = float(np.sqrt(max(1, indices.size / table[0])))
    agree(got[1] / terms, expected[1] / terms, dtype)


def test_runs_of_equal_indices_in_every_place(rng):
    """Runs that end with a piece, begin with one, fill several."""
    for lengths in ([32, 32], [31, 1, 33, 95, 1], [1, 31, 200], [64, 96, 3], [33, 31, 5], [500]):
        indices = rng.permutation(np.repeat(np.arange(len(lengths)), lengths))
        out, values = on_device(rng.standard_normal((7, 2))), on_device(rng.standard_normal((indices.size, 2)))
        expected = cuda.to_host(out).copy()
        np.add.at(expected, indices, cuda.to_host(values))
        cuda.add_at(out, on_device(indices), values)
        np.testing.assert_allclose(cuda.to_host(out), expected, rtol=1e-12, atol=1e-12)


def test_a_long_index_is_sorted_by_the_library(rng, monkeypatch):
    monkeypatch.setattr(embedding, "FEW", 50)
    places = on_device(rng.integers(0, 9, 60))
    got, used = launches(lambda: cuda._sorted(places))
    assert not used
    monkeypatch.setattr(embedding, "FEW", 60)
    expected, used = launches(lambda: cuda._sorted(places))
    assert used == {"rank"}
    np.testing.assert_array_equal(*arrays((got, expected)))


def test_adding_into_an_index_of_another_kind(rng):
    """Several arrays, whole rows of integers: the definition's."""
    x = Tensor(on_device(rng.standard_normal((4, 5)))).requires_grad_()
    i, j = Tensor(on_device(np.array([0, 1, 1]))), Tensor(on_device(np.array([2, 3, 3])))
    _, used = launches(lambda: (x[i, j] * 1.0).sum().backward())
    assert not used
    expected = np.zeros((4, 5))
    np.add.at(expected, ([0, 1, 1], [2, 3, 3]), 1)
    np.testing.assert_array_equal(arrays(x.grad)[0], expected)


# ---- optimisers ------------------------------------------------------------------------------------------------------
COMMON = dict(lr=0.05, weight_decay=0.1, maximize=False)
STEPS = {
    "sgd": (("sgd", 1), dict(COMMON, momentum=0.0, dampening=0.0, nesterov=False), 0),
    "sgd, momentum": (("sgd", 1), dict(COMMON, momentum=0.9, dampening=0.1, nesterov=False), 1),
    "sgd, nesterov": (("sgd", 1), dict(COMMON, momentum=0.9, dampening=0.0, nesterov=True, maximize=True), 1),
    "rmsprop": (("rmsprop", 3), dict(COMMON, alpha=0.9, eps=1e-8, momentum=0.0), 1),
    "rmsprop, centered": (("rmsprop", 3), dict(COMMON, alpha=0.9, eps=1e-2, momentum=0.5, maximize=True), 3),
    "adam": (("adam", 3), dict(COMMON, step=3, betas=(0.9, 0.99), eps=1e-8, decoupled=False), 2),
    "adam, decoupled": (("adam", 3), dict(COMMON, step=1, betas=(0.9, 0.99), eps=1e-8, decoupled=True), 2),
    "adam, amsgrad": (("adam", 3), dict(COMMON, step=2, betas=(0.0, 0.9), eps=1e-8, decoupled=False, maximize=True), 3),
}  # fmt: skip


@pytest.mark.parametrize("dtype, whole", FORMS[1:], indirect=["whole"])
@pytest.mark.parametrize("name", STEPS)
def test_updates(name, dtype, rng, whole):
    (step, places), how, remembered = STEPS[name]
    size = int(rng.integers(1, 2000))
    start = [rng.standard_normal(size), rng.standard_normal(size), *rng.uniform(0.5, 2, (3, size))]
    if "centered" in name:
        start[3] *= 0.1  # the square of a mean is not above the mean of the squares

    def stepped():
        p, g, *rest = (on_device(a.astype(dtype)) for a in start)
        kept = [rest[k] if k < remembered else None for k in range(places)]
        room = on_device(np.empty(size, dtype)), on_device(np.empty(size, dtype))
        getattr(cuda, f"{step}_update")(p, g, *kept, room, **how)
        np.testing.assert_array_equal(cuda.to_host(g), start[1].astype(dtype))
        return p, *[one for one in kept if one is not None]

    got, expected = both(stepped, step)
    agree(got, expected, dtype)


@pytest.mark.parametrize("dtype, whole", FORMS[1:], indirect=["whole"])
@pytest.mark.parametrize("decay, decoupled, maximize", [(0, False, False), (0.1, False, True), (0.1, True, False)])
def test_the_moments_of_adam(decay, decoupled, maximize, dtype, rng, whole):
    start = rng.standard_normal((4, 700))

    def stepped():
        p, g, m, v = (on_device(a.astype(dtype)) for a in start)
        room = on_device(np.empty(700, dtype)), on_device(np.empty(700, dtype))
        return cuda.moments(p, g, m, v, room, 0.1, (0.9, 0.99), decay, decoupled, maximize), p, g, m, v

    got, expected = both(stepped, "adam_moments")
    agree(got, expected, dtype)


def test_updates_of_half_precision_are_left_to_the_definition(rng):
    p, g, b, *room = (on_device(rng.standard_normal(5).astype(np.float16)) for _ in range(5))
    _, used = launches(lambda: cuda.sgd_update(p, g, b, room, momentum=0.5, dampening=0, nesterov=False, **COMMON))
    assert not used and not cuda.in_one_pass("sgd", p, 1)
    assert cuda.in_one_pass("sgd", on_device(np.ones(3, np.float32)), 1)


# ---- whole layers and trainings --------------------------------------------------------------------------------------
def test_layers_and_losses():
    """Every case of the layers, forward and backward, with whatever kernels they meet."""
    launched = set()
    for case in range(len(CASES)):
        (_, got), used = launches(lambda: layers.run(case, "fence"))
        if used - {"philox"}:
            launched |= used
            with tg.kernels(False):
                _, expected = layers.run(case, "fence")
            for name, value in got.items():
                assert type(value.array) is FenceArray
                np.testing.assert_allclose(
                    cuda.to_host(value.array), cuda.to_host(expected[name].array), rtol=1e-9, atol=1e-11,
                    err_msg=f"{CASES[case][0]}: {name}",
                )  # fmt: skip
    elsewhere = "sgd rmsprop adam adam_moments add_later dropout_mask merge_moments philox"
    assert launched >= set(KERNELS) - {*elsewhere.split()}


@pytest.mark.parametrize("kind", ["SGD", "RMSprop", "Adam", "AdamW", "NAdam", "RAdam"])
def test_training(kind):
    got, used = launches(lambda: layers.trained("fence", kind, "StepLR"))
    assert {"cross_entropy", "moments", "dropout_mask", "add_bias"} < used
    with tg.kernels(False):
        expected = layers.trained("fence", kind, "StepLR")
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-7, atol=1e-9, err_msg=name)


def test_a_captured_step_with_an_embedding(monkeypatch, rng):
    monkeypatch.setattr(embedding, "FEW", 0)  # the library would sort, if it were not captured

    def trained(captured: bool) -> np.ndarray:
        tg.manual_seed(0)
        table = nn.Embedding(5, 3).to(device="fence")
        optimizer = nn.optim.SGD(table.parameters(), lr=0.1)

        def step(indices):
            optimizer.zero_grad()
            loss = (table(indices) ** 2).sum()
            loss.backward()
            optimizer.step()
            return loss

        run = tg.capture(step, strict=True) if captured else step
        draw = np.random.default_rng(0)
        for _ in range(6):
            run(tg.tensor(draw.integers(0, 5, 40)).to(device="fence"))
        return table.weight.detach().to(device="cpu").numpy()

    with playback.installed(HostPlayback):
        np.testing.assert_array_equal(trained(True), trained(False))


@pytest.mark.parametrize("make", [steps.mlp, steps.convolutional])
@pytest.mark.parametrize("kind", ["SGD", "Adam", "RMSprop"])
def test_captured_steps(make, kind):
    """Kernels in a graph: the same as one after the other, bit for bit."""
    with playback.installed(HostPlayback):
        (eager, _), used = launches(lambda: steps.train(make, steps.OPTIMISERS[kind], captured=False))
        got, run = steps.train(make, steps.OPTIMISERS[kind], captured=True)
    assert {"cross_entropy", "normalized", kind.lower()} < used and run.reason is None
    steps.same(got, eager)


def test_higher_derivatives_come_from_the_definitions(rng):
    x = Tensor(on_device(rng.standard_normal((3, 4, 5))))
    assert tg.gradgradcheck(lambda x: ops.layer_norm(x, (5,)), [nn.Parameter(x).detach().requires_grad_()])


# ---- what is not taken -----------------------------------------------------------------------------------------------
def test_other_dtypes_and_devices_are_left_to_the_definitions(monkeypatch, rng):
    geometry = Geometry((2, 2), ((0, 0), (0, 0)), (1, 1))
    for dtype in ("int32", "bool", "complex64"):
        x = on_device(np.ones((1, 1, 4, 4), dtype))
        assert not cuda.takes(x)
        _, used = launches(lambda: cuda.sum_pool(x, (2, 2), geometry))
        assert not used
    x = on_device(np.ones((1, 1, 4, 4)))
    assert cuda.takes(x) and not cuda.takes(x[:0])
    with tg.kernels(False):
        assert not cuda.takes(x)
    monkeypatch.setattr(HostCuda, "is_here", lambda self, array: False)
    assert not cuda.takes(x)
