"""`@fusable`: the kernel gives the first derivative, the definition all higher ones, and both agree."""

import gc
import weakref

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import backends
from tensorgraph.fused import fusable


@pytest.fixture
def cubic():
    """x^2 y with a kernel that counts its calls."""

    @fusable
    def cubic_for_test(x, y, *, scale=1.0):
        return x * x * y * scale

    calls = []

    def kernel(be, x, y, *, wanted, scale=1.0):
        calls.append(wanted)
        if x.dtype != np.float64:
            return None
        return x * x * y * scale, lambda g: (2 * g * x * y * scale, g * x * x * scale)

    backends.cpu.add_kernel("cubic_for_test", kernel)
    yield cubic_for_test, calls
    backends.cpu._kernels.pop("cubic_for_test")


def leaves(dtype=np.float64):
    return (tg.tensor(np.array(v, dtype), requires_grad=True) for v in ([1.0, -2.0], [0.5, 3.0]))


def test_kernel_and_definition_agree_in_value_and_every_derivative(cubic):
    f, calls = cubic
    results = []
    for allowed in (True, False):
        x, y = leaves()
        with tg.kernels(allowed):
            z = f(x, y, scale=2.0)
            gx, gy = tg.grad(z.sum(), [x, y], create_graph=True)
            second = tg.grad((gx * gy).sum(), [x, y])
        results.append([t.detach().numpy() for t in (z, gx, gy, *second)])
    assert calls == [(True, True)], "kernels(False) must not call the kernel"
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b)


def test_only_wanted_inputs_and_no_recording(cubic):
    f, calls = cubic
    x, y = leaves()
    f(x, y.detach())
    with tg.no_grad():
        f(x, y)
    assert calls == [(True, False), (False, False)]


def test_a_kernel_that_declines_leaves_it_to_the_definition(cubic):
    f, calls = cubic
    x, y = leaves(np.float32)
    z = f(x, y)
    assert len(calls) == 1 and z.node.name == "multiply"


def test_an_input_that_depends_on_another_is_held_fixed(cubic):
    f, _ = cubic
    x, _ = leaves()
    (g,) = tg.grad(f(x, x * 3).sum(), [x], create_graph=True)
    np.testing.assert_allclose(g.detach().numpy(), 9 * x.detach().numpy() ** 2)
    np.testing.assert_allclose(tg.grad(g.sum(), x).numpy(), 18 * x.detach().numpy())


def test_arrays_in_arrays_out(cubic):
    f, _ = cubic
    assert type(f(np.ones(2), np.ones(2))) is np.ndarray


def test_nothing_leaks_and_backward_releases(cubic):
    f, _ = cubic
    gc.collect()
    gc.disable()
    try:
        x, y = leaves()
        h = x * 2
        array = weakref.ref(h.array)
        z = f(h, y).sum()
        del h
        assert array() is not None
        z.backward()
        assert array() is None, "the pullback and the inputs are released by backward()"
        del x, y, z
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_several_results_and_every_subset_of_them():
    @fusable
    def powers_for_test(x):
        return x * x, x * x * x

    def kernel(be, x, *, wanted):
        def pullback(g):
            square, cube = g.values
            return ((0 if square is None else 2 * x * square) + (0 if cube is None else 3 * x * x * cube),)

        return (x * x, x * x * x), pullback

    backends.cpu.add_kernel("powers_for_test", kernel)
    try:
        for use in (lambda a, b: a * 5, lambda a, b: b * 7, lambda a, b: a * b):
            found = []
            for allowed in (True, False):
                x, _ = leaves()
                with tg.kernels(allowed):
                    a, b = powers_for_test(x)
                    assert a.node.name == ("powers_for_test[0]" if allowed else "multiply")
                    (first,) = tg.grad(use(a, b).sum(), [x], create_graph=True)
                    found.append((first.detach().numpy(), tg.grad((first * first).sum(), x).numpy()))
            for fast, plain in zip(*found, strict=True):
                np.testing.assert_allclose(fast, plain)
        assert [type(y) for y in powers_for_test(np.ones(2))] == [np.ndarray] * 2
        with tg.no_grad():
            assert all(y.node is None for y in powers_for_test(next(leaves())))
    finally:
        backends.cpu._kernels.pop("powers_for_test")
