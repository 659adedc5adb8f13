"""Derivatives of functions against closed forms: value_and_grad, vjp, jvp, jacobian, hessian, hvp, per-example."""

import numpy as np
import pytest

import tensorgraph as tg

X = np.array([0.3, -1.2, 2.0])
M = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.5, 0.0, 1.0]])


def f64(values):
    return tg.tensor(np.asarray(values, np.float64))


def cubic(x):
    return (x**3).sum() + (x[0] * x[1])


def test_value_and_grad_of_one_argument():
    value, g = tg.value_and_grad(cubic)(f64(X))
    np.testing.assert_allclose(value.numpy(), (X**3).sum() + X[0] * X[1])
    np.testing.assert_allclose(g.numpy(), 3 * X**2 + np.array([X[1], X[0], 0]))
    assert not value.requires_grad and not g.requires_grad


def test_value_and_grad_keeps_the_structure_of_its_argument():
    params = {"w": f64(M), "layers": [f64([1.0, 2.0, 3.0]), f64(2.0)]}

    def loss(p, x):
        return ((p["w"] @ x + p["layers"][0]) ** 2).sum() * p["layers"][1]

    value, g = tg.value_and_grad(loss)(params, f64(X))
    r = M @ X + np.array([1.0, 2.0, 3.0])
    assert set(g) == {"w", "layers"}
    np.testing.assert_allclose(g["w"].numpy(), 4 * np.outer(r, X))
    np.testing.assert_allclose(g["layers"][0].numpy(), 4 * r)
    np.testing.assert_allclose(g["layers"][1].numpy(), (r**2).sum())
    np.testing.assert_allclose(value.numpy(), 2 * (r**2).sum())


def test_value_and_grad_of_several_arguments_with_aux():
    def loss(a, b):
        return (a * b).sum(), {"seen": a.shape}

    (value, aux), (ga, gb) = tg.value_and_grad(loss, (0, 1), has_aux=True)(f64(X), f64([1.0, 2.0, 3.0]))
    assert aux == {"seen": (3,)}
    np.testing.assert_allclose(ga.numpy(), [1, 2, 3])
    np.testing.assert_allclose(gb.numpy(), X)
    np.testing.assert_allclose(value.numpy(), X @ [1, 2, 3])


def test_an_argument_without_influence_gets_zeros():
    _, g = tg.value_and_grad(lambda a, b: (a * a).sum(), (0, 1))(f64(X), f64([5.0]))
    np.testing.assert_array_equal(g[1].numpy(), [0.0])


def test_grad_of_nests_to_third_order():
    third = tg.grad_of(tg.grad_of(tg.grad_of(lambda x: x**5)))
    np.testing.assert_allclose(third(f64(1.5)).numpy(), 60 * 1.5**2)


def test_vjp_pullback_may_be_called_again():
    y, pullback = tg.vjp(lambda x: f64(M) @ tg.sin(x), f64(X))
    np.testing.assert_allclose(y.numpy(), M @ np.sin(X))
    for v in ([1.0, 0.0, 0.0], [0.5, -1.0, 2.0]):
        np.testing.assert_allclose(pullback(f64(v)).numpy(), (np.array(v) @ M) * np.cos(X))


def test_jvp_is_the_jacobian_times_the_tangent():
    t = np.array([1.0, -0.5, 0.25])
    y, dy = tg.jvp(lambda x: f64(M) @ tg.exp(x), [f64(X)], [f64(t)])
    np.testing.assert_allclose(y.numpy(), M @ np.exp(X))
    np.testing.assert_allclose(dy.numpy(), M @ (np.exp(X) * t))


def test_jvp_of_linear_and_constant_functions():
    _, dy = tg.jvp(lambda x: 3 * x, [f64(X)], [f64([1.0, 2.0, 3.0])])
    np.testing.assert_allclose(dy.numpy(), [3, 6, 9])
    _, dy = tg.jvp(lambda x: tg.ones(2), [f64(X)], [f64([1.0, 2.0, 3.0])])
    np.testing.assert_array_equal(dy.numpy(), [0, 0])


def test_jacobian_and_hessian():
    np.testing.assert_allclose(tg.jacobian(lambda x: f64(M) @ x**2)(f64(X)).numpy(), M * 2 * X)
    j = tg.jacobian(lambda w: (w @ f64(X)).reshape(3, 1))(f64(M)).numpy()
    assert j.shape == (3, 1, 3, 3)
    np.testing.assert_allclose(j[1, 0, 1], X)
    np.testing.assert_array_equal(j[1, 0, 0], 0)
    h = np.diag(6 * X)
    h[0, 1] = h[1, 0] = 1
    np.testing.assert_allclose(tg.hessian(cubic)(f64(X)).numpy(), h)


def test_hvp_is_the_hessian_times_the_vector():
    v = np.array([1.0, 2.0, -1.0])
    h = np.diag(6 * X)
    h[0, 1] = h[1, 0] = 1
    np.testing.assert_allclose(tg.hvp(cubic, [f64(X)], [f64(v)]).numpy(), h @ v)
    linear = tg.hvp(lambda x: x.sum(), [f64(X)], [f64(v)])
    np.testing.assert_array_equal(linear.numpy(), [0, 0, 0])


def test_per_example_gradients():
    inputs, targets = np.arange(12.0).reshape(4, 3), np.array([1.0, 0.0, 2.0, -1.0])

    def loss(p, x, t):
        return ((x @ p["w"] + p["b"] - t) ** 2).mean()

    g = tg.per_example_grad(loss)({"w": f64(X), "b": f64(0.5)}, f64(inputs), f64(targets))
    r = 2 * (inputs @ X + 0.5 - targets)
    np.testing.assert_allclose(g["w"].numpy(), r[:, None] * inputs)
    np.testing.assert_allclose(g["b"].numpy(), r)


def test_the_callers_tensors_are_left_alone():
    x = f64(X).requires_grad_()
    tg.value_and_grad(cubic)(x.detach())
    assert x.grad is None
    outer = tg.grad_of(cubic)(x)
    assert outer.requires_grad, "an argument that takes part in a graph stays connected to it"
    np.testing.assert_allclose(tg.grad(outer.sum(), x).numpy(), 6 * X + [1, 1, 0])


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: tg.value_and_grad(lambda x: x * 2)(f64(X)), tg.ShapeError, "not a scalar"),
        (lambda: tg.value_and_grad(cubic)(tg.tensor([1, 2, 3])), tg.DtypeError, "floating"),
        (lambda: tg.value_and_grad(cubic, 3)(f64(X)), tg.ArgumentError, "argument 3"),
        (lambda: tg.jvp(cubic, [f64(X)], []), tg.ArgumentError, "1 primals but 0 tangents"),
        (lambda: tg.jvp(cubic, [f64(X)], [f64([1.0])]), tg.ShapeError, r"f64\[3\] but its tangent is f64\[1\]"),
        (lambda: tg.per_example_grad(lambda p: p.sum())(f64(X)), tg.ArgumentError, "to slice"),
    ],
)
def test_bad_input(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_under_no_grad_the_transforms_still_differentiate():
    with tg.no_grad():
        _, g = tg.value_and_grad(cubic)(f64(X))
        h = tg.hvp(cubic, [f64(X)], [f64([1.0, 0.0, 0.0])])
    np.testing.assert_allclose(g.numpy(), 3 * X**2 + np.array([X[1], X[0], 0]))
    np.testing.assert_allclose(h.numpy(), [6 * X[0], 1, 0])
