"""Custom operations in both forms: `@tg.op` with rules, and the class `tg.Function`."""

from __future__ import annotations

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph.operation import Array, op
from tests.fence import FenceArray


def leaf(*values, dtype=tg.float64) -> tg.Tensor:
    return tg.tensor(values if len(values) != 1 else values[0], dtype=dtype, requires_grad=True)


def assert_values(tensor, expected) -> None:
    np.testing.assert_allclose(tensor.detach().numpy(), expected, rtol=1e-12)


# ---- custom operations ---------------------------------------------------------------------------------------------
def test_an_operation_in_ten_lines():
    @tg.op
    def softclip(be, x, limit: float = 2.0):
        """Smoothly limits x to (-limit, limit)."""
        return limit * be.tanh(x / limit)

    softclip.vjp(x=lambda g, y, limit: g * (1 - (y / limit) ** 2))
    x = leaf(0.5, -3.0)
    assert_values(softclip(x), 2 * np.tanh(np.array([0.25, -1.5])))
    assert tg.gradcheck(softclip, x)
    assert tg.gradgradcheck(lambda x: softclip(x, limit=1.5), x)
    assert softclip.__doc__ == "Smoothly limits x to (-limit, limit)."
    assert "def softclip(x, limit=default_limit):" in softclip.source()
    assert isinstance(softclip(np.ones(3)), np.ndarray)


def test_rules_are_checked_when_they_are_declared():
    @op
    def thing(be, x, n: int = 3):
        return x * n

    with pytest.raises(
        tg.GraphError, match=r"thing.vjp: the rule for 'x' asks for z, which does not exist\n.*g, n, own, x"
    ):
        thing.vjp(x=lambda g, z: g)
    with pytest.raises(tg.GraphError, match="there is no array input 'n'"):
        thing.vjp(n=lambda g: g)
    thing.vjp(x=lambda g, n: g * n)
    with pytest.raises(tg.GraphError, match="already has a rule"):
        thing.vjp(x=lambda g: g)
    with pytest.raises(tg.DtypeError, match="names its parameters"):

        def other(be, x):
            return x

        op(other).vjp(x=lambda *args: args[0])
    with pytest.raises(TypeError, match="needs a name"):
        op(lambda be, x: x)
    with pytest.raises(TypeError, match=r"\*\* parameters"):

        @op
        def keywords(be, x, **rest):
            return x


def test_a_rule_for_g_runs_once_before_the_others():
    calls = []

    @op
    def gated(be, a, b):
        return be.maximum(a * b, 0)

    def mask(g, y):
        calls.append(1)
        return tg.where(y > 0, g, 0)

    gated.vjp(g=mask, a=lambda g, b: g * b, b=lambda g, a: g * a)
    a, b = leaf(1.0, -2.0, 3.0), leaf(3.0, 4.0, 5.0)
    y = gated(a, b)
    assert y.node.plan.names == ("y", "b", "a") and gated.op.differentiable == ("a", "b")
    y.sum().backward()
    assert calls == [1]
    assert_values(a.grad, [3, 0, 5])
    assert_values(b.grad, [1, 0, 3])
    assert gated(a, b.detach()).node.plan.names == ("y", "b")
    assert tg.gradcheck(gated, (a, b)) and tg.gradgradcheck(gated, (a, b))
    step = list(gated(a, b).sum().backward_steps())[1]
    assert step.rules["a"].startswith("g * b, where g is mask(g, y)")

    @op(outputs=("p", "q"))
    def two(be, x):
        return x, x

    with pytest.raises(tg.GraphError, match="there is no array input 'g'"):
        two.vjp(g=lambda gp: gp)


def test_a_rule_may_write_over_a_gradient_that_nobody_else_holds():
    given = []

    @op
    def negated(be, x):
        return -x

    def over(g, own):
        given.append(own is not None)
        if own is None:
            return -g
        own *= -1
        return own

    negated.vjp(x=over)

    @op
    def doubled(be, a, b):
        return 2 * a + b

    doubled.vjp(a=lambda g, own: given.append(own is not None) or 2 * g, b=lambda g: g)
    x = tg.ones(100, 100, requires_grad=True)

    def passes(f, **settings):
        """What each pass through a rule was given, and the gradient of the sum of f(x)."""
        given.clear()
        x.grad = None
        f(tg.exp(x * 0) * x).sum().backward(**settings)
        return given.copy(), x.grad

    def values(f, expected, **settings):
        found, g = passes(f, **settings)
        np.testing.assert_allclose(g.detach().numpy(), expected, rtol=1e-6)
        return found

    assert values(lambda y: negated(y * 3), -3) == [False], "the gradient of a sum is one number, shown everywhere"
    assert values(lambda y: tg.square(negated(y)), 2) == [True]
    assert values(lambda y: tg.square(negated(negated(y))), 2) == [True, True]
    assert values(lambda y: tg.square(negated(y)), 2, create_graph=True) == [False]
    assert values(lambda y: tg.square(doubled(y, tg.exp(y) * 0 + y)), 18) == [False], "the other rule needs it too"
    seen = []

    def hooked(y):
        y = negated(y)
        y.register_hook(seen.append)
        return tg.square(y)

    assert values(hooked, 2) == [False] and (seen[0].numpy() == -2).all()


@pytest.mark.parametrize("broadcasts", [False, True])
def test_a_gradient_of_a_wrong_shape_is_never_summed_silently(broadcasts):
    @op(broadcasts=broadcasts)
    def total(be, x):
        return be.sum(x)

    total.vjp(x=lambda g: g)
    with pytest.raises(tg.GraphError, match=r"total: the rule for 'x' returned f64\[\], the input is f64\[2\]"):
        total(leaf(1.0, 2.0)).backward()

    @op
    def scaled(be, x, factor):
        return x * factor

    scaled.vjp(x=lambda g, factor: g * factor, factor=lambda g, x: g * x)
    with pytest.raises(tg.GraphError, match=r"'factor' returned f64\[2\], the input is f64\[\](?s:.*)broadcasts=True"):
        scaled(leaf(1.0, 2.0), leaf(3.0)).sum().backward()


def test_a_rule_that_returns_no_array():
    @op
    def odd(be, x):
        return x * 2

    odd.vjp(x=lambda g: "gradient")
    with pytest.raises(tg.GraphError, match="odd: the rule for 'x' returned str 'gradient'"):
        odd(leaf(1.0)).backward()


def test_auxiliary_results():
    @op(aux=("where",))
    def top(be, x):
        where = be.argmax(x)
        return x[where], where

    top.vjp(x=lambda g, x_shape, where: tg.one_hot(tg.asarray(where), x_shape[0]).astype(g.dtype) * g)
    x = leaf(1.0, 5.0, 3.0)
    y, where = top(x)
    assert isinstance(where, tg.Tensor)
    assert where.node is None
    assert (y.item(), where.item()) == (5.0, 1)


@op(outputs=("quotient", "rest"))
def split_number(be, a: Array, b: Array):
    quotient = be.floor(a / b)
    return quotient * b, a - quotient * b


split_number.vjp(
    a=lambda grest: grest,
    b=lambda gquotient, grest, quotient, b: (
        (0 if gquotient is None else gquotient * quotient / b) + (0 if grest is None else grest * -quotient / b)
    ),
)


def test_several_results():
    a, b = leaf(7.0, 8.0), leaf(2.0, 3.0)
    quotient, rest = split_number(a, b)
    assert_values(quotient, [6.0, 6.0])
    assert_values(rest, [1.0, 2.0])
    (quotient * 10.0 + rest).sum().backward()
    assert_values(a.grad, [1.0, 1.0])
    assert_values(b.grad, [9 * 3.0, 9 * 2.0])
    assert tg.gradcheck(split_number, (a, b))
    assert tg.gradgradcheck(split_number, (a, b))


def test_results_that_nobody_used_have_no_gradient():
    a, b = leaf(7.0), leaf(2.0)
    assert_values(tg.grad(split_number(a, b)[1], a), 1.0)
    assert tg.grad(split_number(a, b)[0], a, allow_unused=True) is None
    assert_values(tg.grad(split_number(a, b)[0], b), 3.0)


def test_any_number_of_arrays():
    @op
    def add_all(be, *arrays, scale=1.0):
        return sum(arrays) * scale

    add_all.vjp(arrays=lambda g, arrays, scale: [g * scale for _ in arrays])
    a, b, c = leaf(1.0), tg.tensor(2.0, dtype=tg.float64), leaf(3.0)
    y = add_all(a, b, c, scale=2.0)
    ga, gc = tg.grad(y, (a, c))
    assert (y.item(), ga.item(), gc.item()) == (12.0, 2.0, 2.0)
    assert tg.gradcheck(add_all, (a, b, c))


def test_static_arguments_may_be_given_either_way():
    @op
    def shift(be, x, n: int, *, up: bool = True):
        return x + (n if up else -n)

    shift.vjp(x=lambda g: g)
    x = leaf(1.0)
    assert shift(x, 2).item() == shift(x, n=2).item() == 3.0
    assert shift(x, 2, up=False).item() == -1.0
    with pytest.raises(TypeError):
        shift(x)
    with pytest.raises(TypeError):
        shift(x, 2, down=True)


def test_axis_is_spelled_dim_as_well():
    @op
    def total(be, x, axis=None, keepdims: bool = False):
        return be.sum(x, axis=axis, keepdims=keepdims)

    total.vjp(x=lambda g, x_shape: tg.broadcast_to(g, x_shape))
    x = tg.ones(2, 3)
    assert total(x, dim=1).shape == total(x, axis=1).shape == (2,)
    assert total(x, dim=1, keepdim=True).shape == (2, 1)


def test_saved_tuples_of_arrays_are_watched_too():
    @op
    def product(be, *arrays):
        return arrays[0] * arrays[1]

    product.vjp(arrays=lambda g, arrays: [g * arrays[1], g * arrays[0]])
    a, b = leaf(1.0), leaf(2.0)
    y = product(a, b)
    with tg.no_grad():
        b += 1.0
    with pytest.raises(tg.GraphError, match=r"product: its saved arrays f64.. was overwritten"):
        y.backward()


# ---- the class form ------------------------------------------------------------------------------------------------
class Power(tg.Function):
    """x ** n and n * x ** (n - 1)."""

    @staticmethod
    def forward(ctx, x, n):
        ctx.save_for_backward(x)
        ctx.n = n
        return x**n

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * ctx.n * x ** (ctx.n - 1), None


class SumAndProduct(tg.Function):
    @staticmethod
    def forward(ctx, a, b):
        product = a * b
        ctx.save_for_backward(a, b, product)
        return a + b, product

    @staticmethod
    def backward(ctx, gsum, gproduct):
        a, b, _ = ctx.saved_tensors
        zero = 0.0
        gsum, gproduct = (zero if g is None else g for g in (gsum, gproduct))
        ga = gsum + gproduct * b if ctx.needs_input_grad[0] else None
        return ga, gsum + gproduct * a


def test_function_class():
    x = leaf(1.0, 2.0)
    y = Power.apply(x, 3)
    assert y.node.name == "Power"
    assert_values(tg.grad(y.sum(), x), [3.0, 12.0])
    assert tg.gradcheck(Power.apply, (x, 3))
    assert tg.gradgradcheck(Power.apply, (x, 3))


def test_function_class_with_several_results():
    a, b = leaf(2.0), leaf(5.0)
    total, product = SumAndProduct.apply(a, b)
    (total * 10.0 + product).backward()
    assert (a.grad.item(), b.grad.item()) == (15.0, 12.0)
    assert tg.gradcheck(SumAndProduct.apply, (a, b))
    assert tg.gradgradcheck(SumAndProduct.apply, (a, b))
    assert_values(tg.grad(SumAndProduct.apply(a, b)[1], a), 5.0)
    plain = tg.tensor(2.0, dtype=tg.float64)
    assert_values(tg.grad(SumAndProduct.apply(plain, b)[1], b), 2.0)


def test_function_class_records_only_when_needed():
    x = tg.tensor([1.0, 2.0])
    assert Power.apply(x, 2).node is None
    with tg.no_grad():
        assert Power.apply(leaf(1.0), 2).node is None


def returning(*results):
    class Wrong(tg.Function):
        @staticmethod
        def forward(ctx, a, b):
            with pytest.raises(tg.GraphError, match=r"in backward\(ctx"):
                _ = ctx.saved_tensors
            return a * b

        @staticmethod
        def backward(ctx, g):
            return results

    return Wrong


def test_mistakes_in_a_function_class():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    with pytest.raises(tg.GraphError, match=r"Wrong.backward returned 1 gradients for 2 arguments"):
        returning(a.detach()).apply(a, b).sum().backward()
    with pytest.raises(tg.GraphError, match=r"Wrong: the rule for 'argument 1' returned f64\[\], the input is f64"):
        returning(a.detach(), tg.tensor(1.0, dtype=tg.float64)).apply(a, b).sum().backward()
    with pytest.raises(tg.GraphError, match=r"gradient 0 is float 1.0, not a tensor or None"):
        returning(1.0, None).apply(a, b).sum().backward()
    with pytest.raises(tg.GraphError, match="has no forward"):
        tg.Function.apply(a)

    class NoTensor(tg.Function):
        @staticmethod
        def forward(ctx, a):
            return 3.0

    with pytest.raises(tg.GraphError, match=r"NoTensor.forward: result 0 is float 3.0, not a tensor"):
        NoTensor.apply(a)


class Standardize(tg.Function):
    """Values without their mean, and the mean itself, which carries no gradient."""

    @staticmethod
    def forward(ctx, x, *, scale=1.0):
        mean = x.mean()
        ctx.scale = scale
        ctx.mark_non_differentiable(mean)
        return (x - mean) * scale, mean

    @staticmethod
    def backward(ctx, g, gmean):
        assert gmean is None
        return (g - g.mean()) * ctx.scale


def test_function_class_with_keywords_and_results_without_gradient():
    x = leaf(1.0, 2.0, 6.0)
    y, mean = Standardize.apply(x, scale=2.0)
    assert (y.requires_grad, mean.requires_grad) == (True, False)
    assert mean.item() == 3.0
    assert_values(tg.grad(y, x, np.array([1.0, 0.0, 0.0])), [4 / 3, -2 / 3, -2 / 3])


def test_both_forms_run_on_any_device(fence):
    @tg.op
    def cube(be, x):
        return be.power(x, 3)

    cube.vjp(x=lambda g, x: g * 3 * x * x)
    for f in (cube, lambda x: Power.apply(x, 3)):
        x = tg.Tensor(FenceArray(np.array([1.0, 2.0]))).requires_grad_()
        (g,) = tg.grad(f(x).sum(), [x], create_graph=True)
        assert g.device == "fence"
        assert fence.to_host(tg.grad(g.sum(), x).array).tolist() == [6.0, 12.0]
