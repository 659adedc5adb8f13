"""gradcheck and gradgradcheck: they pass what is right, and every kind of planted error is caught and named."""

from __future__ import annotations

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph.check import GradcheckError, gradcheck, gradgradcheck
from tests.fence import FenceArray


def leaf(*values: float, dtype=tg.float64) -> tg.Tensor:
    return tg.tensor(values, dtype=dtype, requires_grad=True)


def planted(forward, **rules):
    """An operation with the given rules; `broadcasts` because most of the tests multiply."""
    operation = tg.op(broadcasts=True)(forward)
    return operation.vjp(**rules)


def times(be, a, b):
    return a * b


# ---- what is right passes ------------------------------------------------------------------------------------------
def test_right_rules_pass():
    mul = planted(times, a=lambda g, b: g * b, b=lambda g, a: g * a)
    inputs = leaf(1.0, 2.0, 3.0), leaf(0.5)
    assert gradcheck(mul, inputs)
    assert gradgradcheck(mul, inputs)


def test_precision_is_far_below_the_tolerance():
    x = leaf(0.01, 0.3, 1.0, 20.0)
    for f in (tg.log, tg.exp, tg.sqrt, tg.tanh, lambda x: x**5):
        assert gradcheck(f, x, rtol=1e-8, atol=1e-10)
        assert gradgradcheck(f, x, rtol=1e-8, atol=1e-10)


def test_large_and_tiny_magnitudes():
    assert gradcheck(tg.exp, leaf(-30.0, 10.0))
    assert gradcheck(lambda x: x * x, leaf(1e6, 3.0))
    assert gradcheck(tg.log, leaf(1e-6, 2e-6))


def test_every_shape():
    for shape in ((), (0,), (1, 3), (2, 0, 2), (2, 3, 2)):
        x = tg.tensor(np.full(shape, 0.7), requires_grad=True)
        assert gradcheck(lambda x: x * x, x)
        assert gradgradcheck(lambda x: x * x, x)


def test_outputs_may_be_nested_and_partly_no_tensors():
    x = leaf(1.0, 2.0)
    assert gradcheck(lambda x: (x * x, [x + 1, {"y": x * 3}], "text", None, x > 1, 3), x)
    assert gradgradcheck(lambda x: (x * x, "text"), x)


def test_inputs_that_were_computed_count_as_leaves():
    x = leaf(1.0, 2.0)
    doubled = x * 2
    assert gradcheck(lambda x, y: x * y, (x, doubled))
    assert gradgradcheck(lambda x, y: x * y * y, (x, doubled))
    assert gradcheck(tg.exp, doubled)
    doubled.sum().backward()  # the graph that made it is untouched
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 2.0])


def test_inputs_without_gradient_are_handed_on():
    x, constant = leaf(1.0, 2.0), tg.tensor([3.0, 4.0])
    assert gradcheck(lambda x, c, power, text: (x * c.astype(tg.float64)) ** power, (x, constant, 2, "text"))


def test_complex():
    z, w = leaf(1 + 2j, 0.5 - 1j, dtype=tg.complex128), leaf(2 - 1j, 1j, dtype=tg.complex128)
    mul = planted(times, a=lambda g, b: g * b, b=lambda g, a: g * a)
    assert gradcheck(mul, (z, w))
    assert gradgradcheck(mul, (z, w))
    assert gradcheck(tg.abs, z)
    assert gradgradcheck(tg.abs, z)
    assert gradcheck(mul, (leaf(1.0, 2.0), w))


def test_infinite_inputs_and_outputs_are_left_out():
    x = leaf(-np.inf, 1.0, 2.0)
    assert gradcheck(tg.exp, x)
    assert gradcheck(lambda x: tg.where(x > 1.5, np.inf, x * x), leaf(1.0, 2.0))


def test_parameters_may_be_captured_instead_of_passed():
    w, x = leaf(1.0, 2.0), tg.tensor([3.0, 4.0], dtype=tg.float64)
    assert gradcheck(lambda *_: w * x, [w])
    wrong = planted(times, a=lambda g, b: g * b * 2, b=lambda g, a: g * a)
    with pytest.raises(GradcheckError):
        gradcheck(lambda *_: wrong(w, x), [w])


def test_inputs_come_back_unchanged():
    x = leaf(1.0, 2.0)
    array = x.array
    wrong = planted(times, a=lambda g, b: g, b=lambda g, a: g * a)
    with pytest.raises(GradcheckError):
        gradcheck(wrong, (x, leaf(3.0, 4.0)))
    assert x.array is array
    assert x.grad is None
    assert x.tolist() == [1.0, 2.0]


def test_under_no_grad_and_on_a_device(fence):
    x = tg.Tensor(FenceArray(np.array([1.0, 2.0]))).requires_grad_()
    with tg.no_grad():
        assert gradcheck(lambda x: x * x, x)
        assert gradgradcheck(lambda x: x * x, x)


# ---- what is wrong is caught ---------------------------------------------------------------------------------------
FIRST_ORDER = {
    "factor": dict(a=lambda g, b: g * b * 1.0001, b=lambda g, a: g * a),
    "sign at one element": dict(a=lambda g, b: g * b * tg.where(b == 5.0, -1.0, 1.0), b=lambda g, a: g * a),
    "sign": dict(a=lambda g, b: g * b, b=lambda g, a: -g * a),
    "operands mixed up": dict(a=lambda g, a: g * a, b=lambda g, b: g * b),
    "g forgotten": dict(a=lambda g, b: b + g * 0, b=lambda g, a: g * a),
    "an input forgotten": dict(a=lambda g, b: g * b),
    "None": dict(a=lambda g, b: g * b, b=lambda g: None),
    "NaN": dict(a=lambda g, b: g * b / 0.0 * 0.0, b=lambda g, a: g * a),
}


@pytest.mark.parametrize("rules", FIRST_ORDER.values(), ids=FIRST_ORDER.keys())
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_wrong_rules_are_caught(rules):
    wrong = planted(times, **rules)
    entry = r"gradcheck: d output\[\d\] / d [ab]\[\d\] is .* numerically, but .* by the rules"
    with pytest.raises(GradcheckError, match=entry):
        gradcheck(wrong, (leaf(1.0, 2.0, 3.0), leaf(4.0, 5.0, 6.0)))


def test_the_wrong_entry_is_named():
    wrong = planted(times, **FIRST_ORDER["sign at one element"])
    with pytest.raises(GradcheckError) as caught:
        gradcheck(wrong, (leaf(1.0, 2.0, 3.0), leaf(4.0, 5.0, 6.0)))
    assert str(caught.value).splitlines() == [
        "gradcheck: d output[1] / d a[1] is 5 numerically, but -5 by the rules",
        "  a       f64[3]",
        "  b       f64[3]",
        "  output  f64[3]",
    ]


def test_the_wrong_entry_is_found_in_a_large_jacobian(rng):
    @tg.op
    def scale(be, x):
        return x * x

    def wrong(g, x):
        mask = np.zeros(x.shape)
        mask[7, 11] = 1.0
        return g * x * 2 + mask * g * 0.01

    scale.vjp(x=wrong)
    x = tg.tensor(rng.uniform(1, 2, (20, 30)), requires_grad=True)
    with pytest.raises(GradcheckError, match=r"d output\[7, 11\] / d x\[7, 11\]"):
        gradcheck(scale, x)


def test_the_wrong_part_of_a_complex_number_is_named():
    wrong = planted(times, a=lambda g, b: g * tg.conj(b), b=lambda g, a: g * a)
    z, w = leaf(1 + 2j, dtype=tg.complex128), leaf(2 - 1j, dtype=tg.complex128)
    with pytest.raises(GradcheckError, match=r"d output\[0\]\.(real|imag) / d a\[0\]\.(real|imag)"):
        gradcheck(wrong, (z, w))


def test_the_output_is_named_when_there_are_several():
    wrong = planted(times, a=lambda g, b: g * b * 2, b=lambda g, a: g * a)
    with pytest.raises(GradcheckError, match=r"d output\[1\]\[0\] / d inputs\[0\]\[0\] is 3 numerically, but 6"):
        gradcheck(lambda *ab: (ab[0] + 1, wrong(*ab)), (leaf(1.0), leaf(3.0)))


def detached(t):
    return t.detach() if isinstance(t, tg.Tensor) else t


SECOND_ORDER = {
    "detached": dict(a=lambda g, b: g * detached(b), b=lambda g, a: g * a),
    "g detached": dict(a=lambda g, b: detached(g) * b, b=lambda g, a: g * a),
    "everything detached": dict(a=lambda g, b: detached(g * b), b=lambda g, a: detached(g * a)),
}


@pytest.mark.parametrize("rules", SECOND_ORDER.values(), ids=SECOND_ORDER.keys())
def test_wrong_second_order_rules_are_caught(rules):
    wrong = planted(times, **rules)
    inputs = leaf(1.0, 2.0, 3.0), leaf(4.0, 5.0, 6.0)
    assert gradcheck(wrong, inputs)
    entry = r"gradgradcheck: d \(d output / d [ab]\)\[\d\] / d (a|b|g_output)\[\d\] is .* but 0 by the rules"
    with pytest.raises(GradcheckError, match=entry):
        gradgradcheck(wrong, inputs)


def test_a_rule_that_is_right_only_once_is_caught():
    @tg.op
    def once_right(be, x):
        return x * x

    once_right.vjp(x=lambda g, y, x: g * y / x * 2)  # right: y / x = x, and y is differentiated through its own rule
    assert gradgradcheck(once_right, leaf(1.0, 2.0))

    @tg.op
    def once_wrong(be, x):
        return x * x

    once_wrong.vjp(x=lambda g, x: g * x * 2 + (g - detached(g)) * x)
    assert gradcheck(once_wrong, leaf(1.0, 2.0))
    with pytest.raises(GradcheckError):
        gradgradcheck(once_wrong, leaf(1.0, 2.0))


def test_a_wrong_shape_is_an_error_of_its_own():
    @tg.op
    def total(be, x):
        return be.sum(x)

    total.vjp(x=lambda g: g)
    with pytest.raises(tg.GraphError, match=r"total: the rule for 'x' returned f64\[\], the input is f64\[3\]"):
        gradcheck(total, leaf(1.0, 2.0, 3.0))


# ---- what cannot be compared ---------------------------------------------------------------------------------------
def test_narrow_inputs_are_refused():
    with pytest.raises(tg.DtypeError, match=r"gradcheck: x is f32\[1\], too coarse.*\n.*float64"):
        gradcheck(tg.exp, leaf(1.0, dtype=tg.float32))


def test_narrow_outputs_are_refused():
    with pytest.raises(tg.DtypeError, match=r"output is f32\[1\], too coarse"):
        gradcheck(lambda x: x.astype(tg.float32), leaf(1.0))


def test_nothing_to_check():
    with pytest.raises(tg.GraphError, match="none of the 1 inputs requires a gradient"):
        gradcheck(tg.exp, tg.tensor([1.0]))
    with pytest.raises(tg.GraphError, match="f returned no floating tensor"):
        gradcheck(lambda x: "text", leaf(1.0))
    with pytest.raises(tg.GraphError, match="no output of f takes part in a graph"):
        gradgradcheck(lambda x: x.detach(), leaf(1.0))


def test_functions_that_vary_are_refused():
    draws = np.random.default_rng(0)
    with pytest.raises(GradcheckError, match="not deterministic"):
        gradcheck(lambda x: x * draws.random(), leaf(1.0))


def test_a_kink_is_reported_as_such():
    with pytest.raises(GradcheckError, match=r"d output\[0\] / d x\[0\] is 0\.5 numerically|is f smooth here"):
        gradcheck(tg.relu, leaf(0.0))
