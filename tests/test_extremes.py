"""Elementwise functions and activations at the ends of their domains, and gradients that are not the derivative.

Nothing overflows on the way to a finite result, no NaN appears where the limit exists, to second order; NumPy's
warnings are errors here, so none leaks out either.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import tensorgraph as tg

INF, NAN = math.inf, math.nan
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def derivatives(f, *values, dtype="float64"):
    """Value, gradients and second derivatives (of the sum of the gradients) of f at one number or several."""
    xs = [tg.tensor(np.array(v, dtype), requires_grad=True) for v in values]
    y = f(*xs)
    first = tg.grad(y.sum(), xs, create_graph=True)
    total = sum((g.sum() for g in first[1:]), first[0].sum())
    second = tg.grad(total, xs, allow_unused=True) if total.requires_grad else [None] * len(xs)
    return y.tolist(), [g.tolist() for g in first], [0.0 if h is None else h.tolist() for h in second]


# ---- saturation ----------------------------------------------------------------------------------------------------
SATURATED = [
    # function, x, value, first derivative, second derivative
    (tg.sigmoid, 1000.0, 1.0, 0.0, 0.0),
    (tg.sigmoid, -1000.0, 0.0, 0.0, 0.0),
    (tg.sigmoid, INF, 1.0, 0.0, 0.0),
    (tg.tanh, 1000.0, 1.0, 0.0, 0.0),
    (tg.softplus, 1e4, 1e4, 1.0, 0.0),
    (tg.softplus, -1e4, 0.0, 0.0, 0.0),
    (tg.logsigmoid, -1e4, -1e4, 1.0, 0.0),
    (tg.logsigmoid, 1e4, 0.0, 0.0, 0.0),
    (tg.silu, 1e4, 1e4, 1.0, 0.0),
    (tg.silu, -1e4, 0.0, 0.0, 0.0),
    (tg.mish, 1e4, 1e4, 1.0, 0.0),
    (tg.mish, -1e4, 0.0, 0.0, 0.0),
    (tg.gelu, 1e4, 1e4, 1.0, 0.0),
    (tg.gelu, -1e4, 0.0, 0.0, 0.0),
    (lambda x: tg.gelu(x, "tanh"), 1e4, 1e4, 1.0, 0.0),
    (lambda x: tg.gelu(x, "tanh"), -1e4, 0.0, 0.0, 0.0),
    (tg.elu, -1e4, -1.0, 0.0, 0.0),
    (tg.elu, 1e4, 1e4, 1.0, 0.0),
    (tg.selu, 1e4, 1e4 * 1.0507009873554805, 1.0507009873554805, 0.0),
    (tg.celu, 1e4, 1e4, 1.0, 0.0),
    (tg.erf, 100.0, 1.0, 0.0, 0.0),
    (tg.erfc, 100.0, 0.0, 0.0, 0.0),
    (tg.ndtr, -100.0, 0.0, 0.0, 0.0),
    (tg.i0e, 1e6, 1 / math.sqrt(2e6 * math.pi), None, None),
    (tg.hardswish, -1e4, 0.0, 0.0, 0.0),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("f", "x", "value", "first", "second"), SATURATED)
def test_saturated(f, x, value, first, second, dtype):
    y, (g,), (h,) = derivatives(f, x, dtype=dtype)
    tolerance = {"float64": 1e-9, "float32": 1e-6}[dtype]
    assert y == pytest.approx(value, rel=tolerance, abs=tolerance)
    if first is not None:
        assert g == pytest.approx(first, rel=tolerance, abs=tolerance)
        assert h == pytest.approx(second, abs=tolerance)


@pytest.mark.parametrize(("f", "x", "value", "first"), [case[:4] for case in SATURATED if abs(case[1]) < 6e4])
def test_saturated_in_half_precision(f, x, value, first):
    t = tg.tensor(np.array(x, "float16"), requires_grad=True)
    y = f(t)
    assert y.item() == pytest.approx(value, rel=1e-3)
    assert tg.grad(y, t).item() == pytest.approx(first, rel=1e-3, abs=1e-3)


def test_relative_precision_survives_on_the_small_side():
    assert tg.sigmoid(tg.tensor(np.array(-700.0))).item() == pytest.approx(math.exp(-700), rel=1e-14)
    assert tg.softplus(tg.tensor(np.array(-40.0))).item() == pytest.approx(math.exp(-40), rel=1e-14)
    assert tg.erfc(tg.tensor(np.array(20.0))).item() == pytest.approx(5.395865611607901e-176, rel=1e-13)
    assert tg.log1p(tg.tensor(np.array(1e-18))).item() == 1e-18
    assert tg.expm1(tg.tensor(np.array(1e-18))).item() == 1e-18


@pytest.mark.parametrize("x", [[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4], [0.0, -INF, -INF]])
def test_softmax_of_large_logits(x):
    weights = tg.tensor(np.array([1.0, -2.0, 3.0]))
    p, first, second = derivatives(lambda x: tg.softmax(x) * weights, x)
    assert sum(p / weights.numpy()) == pytest.approx(1.0)
    assert np.isfinite([first[0], second[0]]).all()


def test_log_softmax_of_large_logits():
    y, first, second = derivatives(tg.log_softmax, [1e4, 0.0, -1e4])
    assert y == [0.0, -1e4, -2e4]
    assert first == [[-2.0, 1.0, 1.0]]
    assert second == [[0.0, 0.0, 0.0]]


# ---- kinks, edges and singular points ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("f", "x", "first", "second"),
    [
        (tg.abs, 0.0, 0.0, 0.0),
        (tg.relu, 0.0, 0.0, 0.0),
        (tg.relu6, 6.0, 0.0, 0.0),
        (tg.hardtanh, 1.0, 0.0, 0.0),
        (tg.leaky_relu, 0.0, 0.01, 0.0),
        (tg.elu, 0.0, 1.0, 1.0),
        (tg.celu, 0.0, 1.0, 1.0),
        (tg.threshold, 0.5, 0.0, 0.0),
        (tg.softshrink, 0.5, 0.0, 0.0),
        (tg.hardshrink, -0.5, 0.0, 0.0),
        (tg.hardsigmoid, 3.0, 0.0, 0.0),
        (tg.clip, 1.0, 1.0, 0.0),
        (tg.clip, -1.0, 1.0, 0.0),
        (tg.sign, 0.0, 0.0, 0.0),
        (tg.softsign, 0.0, 1.0, 0.0),
        (tg.sinc, 0.0, 0.0, -(math.pi**2) / 3),
        (tg.i1, 0.0, 0.5, 0.0),
        (tg.i0e, 0.0, 0.0, None),
        (tg.square, 0.0, 0.0, 2.0),
        (lambda x: x**2, 0.0, 0.0, 2.0),
        (lambda x: x**1, 0.0, 1.0, 0.0),
        (lambda x: x**0, 0.0, 0.0, 0.0),
        (lambda x: x**3, -2.0, 12.0, -12.0),
        (lambda x: x**-1, -2.0, -0.25, -0.25),
    ],
)
def test_at_a_kink(f, x, first, second):
    arguments = {tg.clip: (-1, 1), tg.threshold: (0.5, 2.0)}.get(f, ())
    _, (g,), (h,) = derivatives(lambda x: f(x, *arguments), x)
    assert g == pytest.approx(first, abs=1e-15)
    if second is not None:
        assert h == pytest.approx(second, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("f", [tg.sqrt, tg.cbrt, lambda x: x**0.5])
def test_roots_rise_infinitely_steeply_at_0(f):
    x = tg.tensor(0.0, requires_grad=True)
    with np.errstate(divide="ignore"):
        assert tg.grad(f(x), x).item() == INF


@pytest.mark.parametrize("f", [tg.hypot, tg.atan2])
def test_the_origin(f):
    _, first, second = derivatives(f, 0.0, 0.0)
    assert first == [0.0, 0.0]
    assert np.isfinite(second).all()


@pytest.mark.parametrize(
    ("f", "expected"),
    [(tg.maximum, [0.5, 0.5]), (tg.minimum, [0.5, 0.5]), (tg.fmax, [0.5, 0.5]), (tg.fmin, [0.5, 0.5])],
)
def test_ties_share_the_gradient(f, expected):
    assert derivatives(f, 1.5, 1.5)[1] == expected


def test_the_operand_that_is_no_nan_gets_the_gradient():
    assert derivatives(tg.fmax, [NAN, 1.0], [2.0, NAN])[1] == [[0.0, 1.0], [1.0, 0.0]]
    assert derivatives(tg.maximum, [NAN, 1.0], [2.0, 3.0])[0] == pytest.approx([NAN, 3.0], nan_ok=True)


def test_bounds_of_clip_get_the_gradient_of_what_they_replaced():
    x, low, high = [-2.0, 0.5, 3.0, 0.0], [-1.0] * 3 + [2.0], [1.0] * 4
    y, first, _ = derivatives(tg.clip, x, low, high)
    assert y == [-1.0, 0.5, 1.0, 1.0]
    assert first == [[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]


def test_where_keeps_infinity_and_nan_out_of_the_other_branch():
    x = tg.tensor(np.array([0.0, 4.0]), requires_grad=True)
    with np.errstate(divide="ignore"):
        y = tg.where(x > 0, tg.log(tg.where(x > 0, x, 1)), 0)
    assert tg.grad(y.sum(), x).tolist() == [0.0, 0.25]
    z = tg.relu(tg.tensor(np.array([-1.0, 4.0]), requires_grad=True))
    assert np.isfinite(tg.where(z > 0, z, 1).sum().item())


# ---- powers and logarithms -----------------------------------------------------------------------------------------
def test_power_of_tensors_at_0():
    y, (da, db), _ = derivatives(tg.pow, [0.0, 0.0, 0.0], [0.0, 1.0, 2.0])
    assert y == [1.0, 0.0, 0.0]
    assert da == [0.0, 1.0, 0.0]
    assert db == [0.0, 0.0, 0.0]


def test_power_of_a_negative_number_has_a_gradient_to_the_base_only():
    a = tg.tensor(np.array([-2.0, -3.0]), requires_grad=True)
    b = np.array([3.0, -1.0])
    assert tg.grad((a**b).sum(), a).tolist() == pytest.approx([12.0, -1 / 9])


def test_a_number_to_the_power_of_a_tensor():
    assert derivatives(lambda b: 2**b, 3.0)[1] == pytest.approx([8 * math.log(2)])
    assert derivatives(lambda b: 0**b, [0.0, 2.0])[:2] == ([1.0, 0.0], [[0.0, 0.0]])


def test_xlogy_at_0():
    assert derivatives(tg.xlogy, [0.0, 0.0, 2.0], [0.0, 5.0, 1.0])[:2] == (
        [0.0, 0.0, 0.0],
        [[0.0, pytest.approx(math.log(5)), 0.0], [0.0, 0.0, 2.0]],
    )


@pytest.mark.parametrize(
    ("a", "b", "y", "first"),
    [
        (1e4, -1e4, 1e4, [1.0, 0.0]),
        (-INF, 2.0, 2.0, [0.0, 1.0]),
        (INF, 2.0, INF, [1.0, 0.0]),
        (-INF, -INF, -INF, [0.5, 0.5]),
    ],
)
def test_logaddexp_far_apart(a, b, y, first):
    value, gradients, second = derivatives(tg.logaddexp, a, b)
    assert (value, gradients) == (y, first)
    assert np.isfinite(second).all()


# ---- gradients that are not the derivative -------------------------------------------------------------------------
@pytest.mark.parametrize("f", [tg.round, tg.floor, tg.ceil, tg.trunc])
def test_straight_through(f):
    x = tg.tensor([0.3, -1.7], requires_grad=True)
    assert tg.grad(f(x).sum(), x).tolist() == [0.0, 0.0]
    through = f(x, straight_through=True)
    assert through.tolist() == f(x).tolist()
    assert tg.grad((through * tg.tensor([2.0, 3.0])).sum(), x).tolist() == [2.0, 3.0]


SURROGATES = {
    "straight_through": lambda x: float(abs(x) <= 1),
    "triangle": lambda x: max(0.0, 1 - abs(x)),
    "sigmoid": lambda x: 1 / (2 + math.exp(x) + math.exp(-x)),
    "arctan": lambda x: 1 / (1 + (math.pi * x) ** 2),
    "fast_sigmoid": lambda x: 1 / (1 + abs(x)) ** 2,
}


@pytest.mark.parametrize("name", SURROGATES)
def test_surrogate_gradients(name):
    values = [-1.5, -0.5, 0.25, 2.0]
    expected = [SURROGATES[name](v) for v in values]
    for f in (tg.binary_step, lambda x, surrogate: tg.heaviside(x, 0.5, surrogate=surrogate)):
        x = tg.tensor(np.array(values), requires_grad=True)
        y = f(x, surrogate=name)
        assert y.tolist() == [0.0, 0.0, 1.0, 1.0]
        assert tg.grad(y.sum(), x).tolist() == pytest.approx(expected)


def test_a_function_as_surrogate_is_differentiated_itself():
    _, (g,), (h,) = derivatives(lambda x: tg.binary_step(x, surrogate=lambda x: x * x), 3.0)
    assert (g, h) == (9.0, 6.0)


def test_hard_gumbel_softmax_is_one_hot_with_the_gradient_of_the_soft_one():
    logits = tg.tensor(np.array([[0.1, 0.7, -0.4]]), requires_grad=True)
    weights = np.array([1.0, 2.0, 3.0])
    hard, soft = (tg.gumbel_softmax(logits, 0.7, hard, generator=tg.Generator(5)) for hard in (True, False))
    assert sorted(hard.tolist()[0]) == [0.0, 0.0, 1.0]
    assert hard.tolist()[0].index(1.0) == int(np.argmax(soft.detach().numpy()))
    for g, h in zip(*(tg.grad((y * weights).sum(), logits).tolist()[0] for y in (hard, soft)), strict=True):
        assert g == h


def test_random_slopes_of_rrelu_lie_between_the_bounds():
    x = tg.tensor(-np.ones(1000), requires_grad=True)
    y = tg.rrelu(x, 0.2, 0.4, training=True, generator=tg.Generator(2))
    slopes = -y.detach().numpy()
    assert 0.2 <= slopes.min() < 0.21 and 0.39 < slopes.max() <= 0.4
    np.testing.assert_array_equal(tg.grad(y.sum(), x).numpy(), slopes)


# ---- dtypes --------------------------------------------------------------------------------------------------------
def test_integers_stay_integers_where_they_can():
    x = tg.tensor([-3, 2])
    for f in (tg.abs, tg.square, tg.negative, tg.sign, tg.floor, lambda x: x**2, lambda x: x % 2, lambda x: x // 2):
        assert f(x).dtype == np.int64
    for f in (tg.exp, tg.sigmoid, tg.relu, lambda x: x / 2, lambda x: x * 0.5, tg.binary_step):
        assert f(x).dtype == (np.int64 if f is tg.relu else np.float32)
