"""The fast kernels of convolution and pooling against their definitions, on random geometries (Hypothesis).

The definitions themselves are checked by tests/samples against loops. Tiles are made small, so that images are cut
into many pieces.
"""

from __future__ import annotations

import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tensorgraph as tg
from tensorgraph.backends import cpu
from tensorgraph.backends.compiled import layer
from tensorgraph.backends.convolution import Geometry
from tensorgraph.backends.numpy_kernels import blas, convolution, direct, pooling, products, sums, threads, tiles

few = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def forget() -> None:
    """Plans made with other limits."""
    tiles.plan.cache_clear()
    for plans in (direct._forward, direct._backward, direct._weight):
        plans.cache_clear()


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Tiles of a few pixels, and a thread for any work."""
    monkeypatch.setattr(tiles, "ROOM", 60)
    monkeypatch.setattr(tiles, "WIDE", 5)
    monkeypatch.setattr(tiles, "SMALL", 12)
    monkeypatch.setattr(tiles, "CALL", 10)
    monkeypatch.setattr(tiles, "HEAVY", 60)
    monkeypatch.setattr(convolution, "LINE", 3)
    monkeypatch.setattr(convolution, "ENOUGH", 0)
    monkeypatch.setattr(layer, "NEAR", 200)
    monkeypatch.setattr(layer, "FAR", 500)
    monkeypatch.setattr(direct, "SHARE", 1)
    monkeypatch.setattr(pooling, "ROOM", 100)
    monkeypatch.setattr(pooling, "ENOUGH", 0)
    monkeypatch.setattr(threads, "HOP", 0)
    monkeypatch.setattr(products, "SMALL", 0)
    monkeypatch.setattr(sums, "LARGE", 0)
    monkeypatch.setattr(sums, "RUN", 3)
    monkeypatch.setattr(blas, "_THREADS", 2)
    forget()
    yield
    forget()


@st.composite
def problems(draw, crop: int = 0):
    """Sizes of a convolution or pooling over one to three axes that has an output."""
    axes = draw(st.integers(1, 3))
    each = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(axes))
    sizes, kernel, stride, dilation = each(1, 9 if axes < 3 else 4), each(1, 5), each(1, 3), each(1, 3)
    padding = tuple(zip(each(-crop, 3), each(-crop, 3), strict=True))
    geometry = Geometry(stride, padding, dilation, draw(st.integers(1, 3)))
    assume(min(geometry.output(sizes, kernel)) > 0)
    assume(all(n + min(before, 0) + min(after, 0) > 0 for n, (before, after) in zip(sizes, padding, strict=True)))
    return sizes, kernel, geometry, draw(st.integers(0, 2**32 - 1))


def numbers(rng: np.random.Generator, *shape: int, dtype="float64") -> np.ndarray:
    """Random numbers, in one of several memory layouts."""
    x = rng.standard_normal(shape).astype(dtype)
    layout = rng.integers(4)
    if layout == 1 and len(shape) > 2:  # channels last
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    if layout == 2:
        return np.repeat(x, 2, axis=-1)[..., ::2]
    return x if layout else np.broadcast_to(x.ravel()[:1].reshape([1] * len(shape)), shape)


def both_ways(compute, tolerance: float) -> None:
    """Kernel and definition agree in values, shapes and dtypes."""
    fast = compute()
    with tg.kernels(False):
        plain = compute()
    for i, (a, b) in enumerate(zip(fast, plain, strict=True)):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * 10, err_msg=f"result {i}")


@few
@given(problems(crop=1), st.sampled_from([1, 2, 5, 7]), st.sampled_from([1, 2, 3]), st.sampled_from("fd"))
def test_convolution_kernels(problem, inputs, outputs, dtype):
    sizes, kernel, geometry, seed = problem
    rng = np.random.default_rng(seed)
    N, C, K = int(rng.integers(1, 5)), inputs * geometry.groups, outputs * geometry.groups
    x, w = numbers(rng, N, C, *sizes, dtype=dtype), numbers(rng, K, inputs, *kernel, dtype=dtype)
    g = numbers(rng, N, K, *geometry.output(sizes, kernel), dtype=dtype)
    k, c = (None, None) if seed % 2 else (numbers(rng, K, dtype=dtype), numbers(rng, C, dtype=dtype))
    both_ways(
        lambda: (
            cpu.correlate(x, w, geometry, k, seed % 3 == 0),
            cpu.correlate_input(g, w, sizes, geometry, c),
            cpu.correlate_weight(g, x, kernel, geometry),
        ),
        1e-4 if dtype == "f" else 1e-11,
    )


@pytest.mark.parametrize(
    "C, K, sizes, kernel, stride, padding, dilation, groups",
    [
        (16, 16, (17, 32), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
        (32, 48, (16, 15), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 1),
        (40, 33, (12, 11), (3, 3), (1, 1), ((0, 2), (1, 0)), (1, 1), 1),
        (20, 70, (13, 14), (3, 2), (3, 2), ((2, 1), (0, 3)), (2, 1), 1),
        (64, 24, (9, 9), (5, 3), (1, 2), ((2, 2), (-1, 2)), (1, 3), 2),
        (3, 17, (31, 30), (7, 7), (2, 2), ((3, 3), (3, 3)), (1, 1), 1),
        (1, 6, (28, 28), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1), 1),
        (6, 5, (20, 24), (5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
        (12, 4, (21, 20), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 2), 1),
        (16, 130, (7, 7), (2, 2), (3, 3), ((0, 0), (0, 0)), (1, 1), 1),
    ],
)
@pytest.mark.parametrize("N", [1, 3, 7])
def test_compiled_convolution(C, K, sizes, kernel, stride, padding, dilation, groups, N, monkeypatch):
    """Kernels for just these channels, against float64: not a multiple of a vector, strides, odd sizes, all layouts."""
    monkeypatch.setattr(direct, "WORTH", 0)
    forget()
    geometry, rng = Geometry(stride, padding, dilation, groups), np.random.default_rng(C * K + N)
    x, w = numbers(rng, N, C, *sizes, dtype="f"), rng.standard_normal((K, C // groups, *kernel)).astype("f")
    g = numbers(rng, N, K, *geometry.output(sizes, kernel), dtype="f")
    k, c = rng.standard_normal(K).astype("f"), rng.standard_normal(C).astype("f")

    def compute(x, w, g, k, c):
        return (
            cpu.correlate(x, w, geometry, k),
            cpu.correlate(x, w, geometry, k, True),
            cpu.correlate_input(g, w, sizes, geometry, c),
            cpu.correlate_weight(g, x, kernel, geometry),
        )

    with tg.kernels(False):
        exact = compute(*(a.astype("d") for a in (x, w, g, k, c)))
    for found, expected in zip(compute(x, w, g, k, c), exact, strict=True):
        assert found.dtype == np.float32 and found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5 * np.abs(expected).max())


def test_compiled_convolution_keeps_no_number_of_the_room_before():
    """Padding and channels that only fill a part are zero, even where the room held no number."""
    x, w = np.full((2, 20, 6, 6), np.nan, np.float32), np.ones((16, 20, 3, 3), np.float32)
    geometry = Geometry((1, 1), ((1, 1), (1, 1)), (1, 1))
    assert np.isnan(cpu.correlate(x, w, geometry)).all()
    y = cpu.correlate(np.ones_like(x), w, geometry)
    assert y[0, 0, 0, 0] == 80 and y.max() == 180
    assert np.isnan(cpu.correlate(x, w, geometry, None, True)).all()


@few
@given(problems(), st.sampled_from([1, 2, 3, 5, 17]), st.booleans(), st.sampled_from("fd"))
def test_pooling_kernels(problem, channels, ties, dtype):
    sizes, kernel, geometry, seed = problem
    half = tuple((min(b, k // 2), min(a, k // 2)) for (b, a), k in zip(geometry.padding, kernel, strict=True))
    geometry = geometry._replace(padding=half, groups=1)
    assume(min(geometry.output(sizes, kernel)) > 0)
    rng = np.random.default_rng(seed)
    x, h = (numbers(rng, int(rng.integers(1, 4)), channels, *sizes, dtype=dtype) for _ in range(2))
    x, h = (np.round(x) if ties else x.copy(order="K")), np.broadcast_to(h[:1], x.shape)
    x[rng.random(x.shape) < 0.1] = np.nan if seed % 3 == 0 else -np.inf
    g = numbers(rng, *x.shape[:2], *geometry.output(sizes, kernel), dtype=dtype)

    def compute():
        y, taps = cpu.max_pool(x, kernel, geometry)
        return (
            y,
            taps,
            cpu.max_put(g, taps, sizes, kernel, geometry),
            cpu.max_take(h, taps, kernel, geometry),
            cpu.max_indices(taps, sizes, kernel, geometry),
            cpu.sum_pool(x, kernel, geometry),
            cpu.sum_put(g, kernel, sizes, geometry),
        )

    both_ways(compute, 1e-4 if dtype == "f" else 1e-11)


@few
@given(problems(crop=1))
def test_the_three_maps_are_adjoint(problem):
    """<correlate(x, w), g> = <x, correlate_input(g, w)> = <w, correlate_weight(g, x)>."""
    sizes, kernel, geometry, seed = problem
    rng = np.random.default_rng(seed)
    x, w = numbers(rng, 2, 2 * geometry.groups, *sizes), numbers(rng, 3 * geometry.groups, 2, *kernel)
    y = cpu.correlate(x, w, geometry)
    g = numbers(rng, *y.shape)
    expected = pytest.approx(float((y * g).sum()), rel=1e-9, abs=1e-9)
    assert float((x * cpu.correlate_input(g, w, sizes, geometry)).sum()) == expected
    assert float((w * cpu.correlate_weight(g, x, kernel, geometry)).sum()) == expected


@few
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_products(rows, inner, columns, seed):
    rng = np.random.default_rng(seed)
    a, b = numbers(rng, rows, inner), numbers(rng, inner, columns)
    a, b = (a if seed % 2 else np.asfortranarray(a)), (b if seed % 3 else np.asfortranarray(b))
    overlapping = np.lib.stride_tricks.sliding_window_view(rng.standard_normal(rows + inner - 1), inner)
    both_ways(lambda: [cpu.matmul(x, b) for x in (a, np.broadcast_to(a, (2, *a.shape)), overlapping)], 1e-11)


@few
@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.data(), st.integers(0, 2**32 - 1), st.booleans())
def test_sums(shape, data, seed, keepdims):
    axes = data.draw(st.lists(st.integers(-len(shape), len(shape) - 1), min_size=1, unique_by=lambda a: a % len(shape)))
    x = numbers(np.random.default_rng(seed), *shape)
    both_ways(lambda: [cpu.sum(x, tuple(axes), keepdims), cpu.sum(x, axes[0], keepdims)], 1e-11)


# ---- what users rely on ---------------------------------------------------------------------------------------------
def test_half_precision_accumulates_in_single():
    x, w = np.full((1, 512, 3, 3), 0.1, np.float16), np.full((1, 512, 3, 3), 0.1, np.float16)
    for allowed in (True, False):
        with tg.kernels(allowed):
            y = tg.conv2d(x, w)
        assert y.dtype == np.float16
        assert float(y[0, 0, 0, 0]) == pytest.approx(512 * 9 * float(x[0, 0, 0, 0]) ** 2, rel=1e-3)


@pytest.mark.parametrize("sizes, kernel, stride", [((8, 7), 3, 2), ((6, 5), 4, 3), ((5, 9), 1, 2), ((4, 4), 2, 1)])
def test_same_paddings_have_one_size_and_their_own_place(sizes, kernel, stride):
    x, w = np.arange(np.prod(sizes), dtype=np.float64).reshape(1, 1, *sizes), np.ones((1, 1, kernel, kernel))
    upper, lower, symmetric = (
        tg.conv2d(x, w, padding=name, stride=stride) for name in ("same", "same_lower", "same_symmetric")
    )
    assert upper.shape == lower.shape == symmetric.shape == (1, 1, *(-(-n // stride) for n in sizes))
    flipped = tg.conv2d(x[:, :, ::-1, ::-1], w, padding="same_lower", stride=stride)[:, :, ::-1, ::-1]
    np.testing.assert_allclose(flipped, upper)
    every = tg.conv2d(x, w, padding="same")
    np.testing.assert_allclose(symmetric, every[:, :, ::stride, ::stride])


def test_results_are_the_same_from_run_to_run():
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((9, 5, 8, 8), np.float32), rng.standard_normal((9, 4, 6, 6), np.float32)
    geometry = Geometry((1, 1), ((0, 0), (0, 0)), (1, 1))
    first = cpu.correlate_weight(g, x, (3, 3), geometry)
    for _ in range(5):
        np.testing.assert_array_equal(first, cpu.correlate_weight(g, x, (3, 3), geometry))


def test_an_error_in_a_tile_reaches_the_caller():
    done = []

    def task(i: int) -> None:
        if i == 3:
            raise FloatingPointError("tile 3")
        done.append(i)

    with pytest.raises(FloatingPointError, match="tile 3"):
        threads.parallel(task, 8, cost=1)
    threads.parallel(done.append, 4, cost=1)
    assert blas.threads() == 2


def test_two_threads_may_convolve_at_once():
    rng = np.random.default_rng(0)
    xs, w = [rng.standard_normal((6, 5, 9, 9)) for _ in range(4)], rng.standard_normal((3, 5, 3, 3))
    expected = [tg.conv2d(x, w, padding=1) for x in xs]
    found: dict[int, np.ndarray] = {}

    def work(i: int) -> None:
        for _ in range(20):
            found[i] = tg.conv2d(xs[i], w, padding=1)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for i, y in enumerate(expected):
        np.testing.assert_array_equal(found[i], y)


def test_no_im2col_of_the_whole_batch(monkeypatch):
    monkeypatch.setattr(tiles, "ROOM", 1 << 14)
    monkeypatch.setattr(layer, "FAR", 1 << 17)
    forget()
    x, w = np.ones((32, 16, 28, 28), np.float32), np.ones((16, 16, 5, 5), np.float32)
    tg.conv2d(x, w, padding=2)  # threads have their room now
    tracemalloc.start()
    y = tg.conv2d(x, w, padding=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * y.nbytes, f"{peak / 1e6:.1f} MB for a result of {y.nbytes / 1e6:.1f} MB"


def test_layout_survives_between_convolutions():
    """What a residual network does between them: a mixed layout would make every addition and copy slow."""
    rng = np.random.default_rng(0)
    x = tg.tensor(rng.standard_normal((2, 6, 8, 8)).astype("f"), requires_grad=True)
    w = rng.standard_normal((8, 8, 3, 3)).astype("f")
    seen = []
    y = tg.conv2d(x, w[:, :6], padding=1)
    y.register_hook(lambda g: seen.append(g.array.strides))
    shortcut = tg.pad(y[:, :4, ::2, ::2], ((0, 0), (2, 2), (0, 0), (0, 0)))
    z = tg.relu(tg.conv2d(y, w, stride=2, padding=1) + shortcut)
    edge = tg.pad(z, 1, mode="edge")
    z.register_hook(lambda g: seen.append(g.array.strides))
    (z.mean((2, 3)) ** 2).sum().backward()
    for strides in (*(t.array.strides for t in (y, shortcut, z, edge)), seen[1]):
        assert strides[1] == 4, strides
