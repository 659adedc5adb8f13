"""Compiled matrix products against NumPy in float64: every layout, sizes beside those of tiles, panels and passes."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import ops
from tensorgraph.backends import compiled, cpu
from tensorgraph.backends.compiled import address, products
from tensorgraph.backends.compiled.table import DEEP, WIDE
from tensorgraph.backends.numpy_kernels import blas, threads
from tensorgraph.backends.numpy_kernels import products as fast

pytestmark = pytest.mark.skipif(compiled.kernels() is None, reason=f"no compiled kernels: {compiled.why_not()}")

SIZES = [
    *((2, 2, 2), (2, 3, 5), (5, 1, 7), (3, 400, 2), (13, 7, 33), (14, 16, 32), (15, 17, 31), (28, 5, 64), (29, 6, 65)),
    *((1, 30, 40), (40, 30, 1), (12, 20, 90), (33, 100, 500), (70, 40, 12), (200, 9, 10), (260, 30, 40)),
    *((4, DEEP + 1, 6), (20, 2 * DEEP + 3, 34), (3, 5, WIDE + 1), (30, 7, 2 * WIDE + 33), (2 * WIDE + 5, 6, 20)),
    *((20, 1024, 70), (70, 1024, 20), (300, 1024, 65)),
]
LAYOUTS = ["plain", "transposed", "columns of a wider matrix", "every second row", "transposed part"]


@pytest.fixture(autouse=True)
def any_size(monkeypatch):
    """Kernels for the smallest products too."""
    monkeypatch.setattr(fast, "ENOUGH", 0)
    for name in ("WORTH", "TRANSPOSED", "OUTER"):
        monkeypatch.setattr(products, name, 0)
    products.way.cache_clear()
    yield
    products.way.cache_clear()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def matrix(rng, rows, columns, layout):
    """Numbers from -1 to 1 that lie in memory as the layout says."""
    shape, cut = {
        "plain": ((rows, columns), lambda a: a),
        "transposed": ((columns, rows), lambda a: a.T),
        "columns of a wider matrix": ((rows, columns + 7), lambda a: a[:, 3 : columns + 3]),
        "every second row": ((2 * rows, columns), lambda a: a[::2]),
        "transposed part": ((columns + 2, rows + 5), lambda a: a[1 : columns + 1, 5:].T),
    }[layout]
    found = cut(rng.uniform(-1, 1, shape).astype("f"))
    assert found.shape == (rows, columns)
    return found


def close(y, a, b, start=0.0):
    """y = a @ b + start as far as sums of float32 can be."""
    expected = a.astype("d") @ b.astype("d") + start
    assert (y.dtype, y.shape) == (np.float32, expected.shape)
    bound = 1e-6 + 3e-7 * (np.abs(a).astype("d") @ np.abs(b).astype("d") + np.abs(start)) * max(1, len(b)) ** 0.5
    assert (np.abs(y - expected) <= bound).all()


@pytest.fixture
def calls(monkeypatch):
    """How often the compiled kernel was used."""
    count = []
    inner = fast._compiled

    def counted(*arguments):
        y = inner(*arguments)
        count.append(y is not None)
        return y

    monkeypatch.setattr(fast, "_compiled", counted)
    return count


@pytest.mark.parametrize("b_layout", LAYOUTS)
@pytest.mark.parametrize("a_layout", LAYOUTS)
def test_every_layout_and_size(rng, calls, a_layout, b_layout):
    for m, k, n in SIZES:
        a, b = matrix(rng, m, k, a_layout), matrix(rng, k, n, b_layout)
        bias = rng.standard_normal(n).astype("f")
        before = a.copy(), b.copy(), bias.copy()
        close(cpu.matmul(a, b), a, b)
        close(cpu.affine(a, b, bias), a, b, bias)
        assert all(map(np.array_equal, (a, b, bias), before))
    assert sum(calls) > len(SIZES)


@pytest.mark.parametrize("pieces", [2, 3, 4])
@pytest.mark.parametrize("b_layout", LAYOUTS[:2])
@pytest.mark.parametrize("a_layout", LAYOUTS[:2])
def test_pieces_give_the_same_bits(rng, monkeypatch, a_layout, b_layout, pieces):
    for m, k, n in SIZES:
        a, b = matrix(rng, m, k, a_layout), matrix(rng, k, n, b_layout)
        bias = rng.standard_normal(n).astype("f")
        with monkeypatch.context() as patch:
            patch.setattr(blas, "_THREADS", 1)
            whole = cpu.matmul(a, b), cpu.affine(a, b, bias)
        with monkeypatch.context() as patch:
            patch.setattr(blas, "_THREADS", pieces)
            patch.setattr(threads, "PIECE", 1e-9)
            cut = cpu.matmul(a, b), cpu.affine(a, b, bias)
        assert all(map(np.array_equal, whole, cut)), (m, k, n)


@pytest.mark.parametrize("out_layout", LAYOUTS)
@pytest.mark.parametrize("b_layout", LAYOUTS[:2])
@pytest.mark.parametrize("a_layout", LAYOUTS[:2])
def test_adding_to_what_is_there(rng, a_layout, b_layout, out_layout):
    for m, k, n in SIZES:
        a, b, out = matrix(rng, m, k, a_layout), matrix(rng, k, n, b_layout), matrix(rng, m, n, out_layout)
        around, before = (out if out.base is None else out.base).copy(), out.copy()
        blas.add_product(a, b, out)
        close(out, a, b, before)
        out[...] = np.nan
        blas.add_product(a, b, out, 0.0)
        close(out, a, b)
        out[...] = before
        np.testing.assert_array_equal(out if out.base is None else out.base, around)  # nothing beside it was written


def test_leading_axes_are_rows(rng, calls):
    a, b, bias = rng.standard_normal((3, 5, 40)).astype("f"), matrix(rng, 40, 30, "transposed"), np.ones(30, "f")
    y, z = cpu.matmul(a, b), cpu.affine(a, b, bias)
    assert y.shape == z.shape == (3, 5, 30) and all(calls)
    close(y.reshape(15, 30), a.reshape(15, 40), b)
    close(z.reshape(15, 30), a.reshape(15, 40), b, bias)


@pytest.mark.parametrize("m, k, n", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)])
def test_empty(m, k, n):
    a, b, bias = np.ones((m, k), "f"), np.ones((k, n), "f"), np.arange(n, dtype="f")
    np.testing.assert_array_equal(cpu.matmul(a, b), np.zeros((m, n)))
    np.testing.assert_array_equal(cpu.affine(a, b, bias), np.zeros((m, n)) + bias)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("layouts", [("plain", "plain"), ("plain", "transposed"), ("transposed", "plain")])
def test_nan_and_infinity_go_where_they_belong(rng, layouts, bad):
    for m, k, n in ((15, 17, 33), (33, DEEP + 5, 70), (260, 9, 35)):
        a, b = matrix(rng, m, k, layouts[0]), matrix(rng, k, n, layouts[1])
        cpu.matmul(np.full_like(a, bad), b)  # what stays in the scratch must not come back
        close(cpu.matmul(a, b), a, b)
        a[m // 2, k - 1] = bad
        b[k // 2, n - 1] = bad
        with np.errstate(invalid="ignore"):
            expected = a.astype("d") @ b.astype("d")
        y = cpu.matmul(a, b)
        for same in (np.isnan, np.isposinf, np.isneginf):
            np.testing.assert_array_equal(same(y), same(expected))
        finite = np.isfinite(expected)
        assert finite.sum() == (m - 1) * (n - 1)
        np.testing.assert_allclose(y[finite], expected[finite], rtol=1e-4, atol=1e-4)


def test_what_kernels_cannot_read_is_left_to_numpy(rng, calls):
    a, b = rng.standard_normal((40, 60)).astype("f"), rng.standard_normal((60, 50)).astype("f")
    strange = [
        (a[:, ::2], b[:30]),
        (a[::-1], b),
        (np.broadcast_to(a[:1], a.shape), b),
        (np.lib.stride_tricks.sliding_window_view(a.ravel()[:99], 60), b),
        (a.astype(">f4"), b.astype(">f4")),
        (a.astype("d"), b.astype("d")),
    ]
    for left, right in strange:
        np.testing.assert_allclose(cpu.matmul(left, right), left.astype("d") @ right.astype("d"), rtol=1e-3, atol=1e-4)
    assert not any(calls)
    with tg.kernels(False):
        close(cpu.matmul(a, b), a, b)
    assert not any(calls)
    with pytest.raises(ValueError):
        cpu.matmul(a, b[1:])


def test_gradients_of_a_linear_layer(rng, calls):
    x, w, bias = (
        tg.tensor(matrix(rng, *shape, "plain"), requires_grad=True) for shape in ((33, 70), (45, 70), (1, 45))
    )
    g = rng.standard_normal((33, 45)).astype("f")
    y = ops.linear(x, w, bias[0])
    gx, gw, gb = (t.numpy() for t in tg.grad((y * g).sum(), (x, w, bias)))
    a, b = x.detach().numpy(), w.detach().numpy()
    close(y.detach().numpy(), a, b.T, bias.detach().numpy()[0])
    close(gx, g, b)
    close(gw, g.T, a)
    np.testing.assert_allclose(gb[0], g.sum(0), rtol=1e-4, atol=1e-5)
    assert sum(calls) == 3


@pytest.mark.parametrize("width, registers", [(4, 32), (8, 16)])
def test_other_processors(rng, width, registers):
    """Vectors of 4 and 8 numbers, as other processors have, of whose tiles this one can compute too."""
    binding, ir = pytest.importorskip("llvmlite.binding"), pytest.importorskip("llvmlite.ir")
    from tensorgraph.backends.compiled import blocked
    from tensorgraph.backends.compiled.build import Machine

    machine, module = Machine(), ir.Module("test")
    if machine.width < width:
        pytest.skip(f"this processor has vectors of {machine.width}")
    module.triple = binding.get_default_triple()
    blocked.product(module, width, registers, "product")
    engine = binding.create_mcjit_compiler(binding.parse_assembly(str(module)), machine.target)
    engine.finalize_object()
    kernel = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 15)(engine.get_function_address("product"))
    for m, k, n in SIZES:
        for layouts in (
            ("plain", "plain"),
            ("plain", "transposed"),
            ("transposed", "plain"),
            ("transposed", "transposed"),
        ):
            a, b = matrix(rng, m, k, layouts[0]), matrix(rng, k, n, layouts[1])
            way = products.way(a.shape, a.strides, b.shape, b.strides, start_row=0)
            if way is None:
                continue
            y, bias = np.full((m, n), np.nan, "f"), rng.standard_normal(n).astype("f")
            factors = (b, a) if way.swaps else (a, b)
            kernel(address(y), address(bias), *map(address, factors), products.scratch(1), *way.words)
            close(y, a, b, bias)
