"""Checkpoints: the same derivatives from a second run, and nothing kept in between."""

from __future__ import annotations

import numpy as np
import pytest

import tensorgraph as tg


def leaf(*values, dtype=tg.float64) -> tg.Tensor:
    return tg.tensor(values if len(values) != 1 else values[0], dtype=dtype, requires_grad=True)


def assert_values(tensor, expected) -> None:
    np.testing.assert_allclose(tensor.detach().numpy(), expected, rtol=1e-12)


def test_checkpoint_gives_the_same_gradients():
    x, w = leaf(0.5, 1.5), leaf(2.0, -1.0)

    def part(x):
        return tg.tanh(x * w) * x  # w is not an argument

    expected = tg.grad(part(x).sum(), (x, w))
    found = tg.grad(tg.checkpoint(part, x).sum(), (x, w))
    for a, b in zip(found, expected, strict=True):
        assert_values(a, b.numpy())
    assert tg.gradcheck(lambda x: tg.checkpoint(part, x), x)
    assert tg.gradgradcheck(lambda x: tg.checkpoint(part, x), x)


def test_checkpoint_runs_twice_and_keeps_nothing_in_between():
    runs = []

    def part(x):
        runs.append(None)
        return tg.exp(tg.sin(x))

    x = leaf(1.0)
    y = tg.checkpoint(part, x)
    node = y.node
    assert not isinstance(node.saved, tuple)
    y.backward()
    assert len(runs) == 2
    with pytest.raises(tg.GraphError, match="second backward"):
        y.backward()


def test_checkpoints_nest():
    def inner(x):
        return tg.sin(x) * x

    def outer(x):
        return tg.checkpoint(inner, tg.exp(x)) * x

    x = leaf(0.3, 0.7)
    assert_values(tg.grad(tg.checkpoint(outer, x).sum(), x), tg.grad(outer(x).sum(), x).numpy())


def test_checkpoint_repeats_the_same_randomness():
    x = tg.ones(100, requires_grad=True)
    tg.manual_seed(0)
    y = tg.checkpoint(lambda x: tg.dropout(x, 0.5), x)
    after = tg.get_rng_state()
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())
    assert repr(tg.get_rng_state()) == repr(after)


def test_checkpoint_of_an_overwritten_argument():
    x = leaf(1.0)
    y = tg.checkpoint(tg.exp, x)
    with tg.no_grad():
        x += 1.0
    with pytest.raises(tg.GraphError, match=r"checkpoint: its argument f64\[\] was overwritten(?s:.*)x \+= 1\.0"):
        y.backward()


def test_checkpoint_of_a_function_that_changes():
    flip = iter([True, False])
    with pytest.raises(tg.GraphError, match="recorded other operations when it ran again"):
        tg.checkpoint(lambda x: tg.sin(x) if next(flip) else tg.exp(x), leaf(1.0)).backward()


def test_checkpoint_of_several_arguments_and_results():
    def part(a, b, *, scale):
        return {"sum": [a + b * scale], "product": a * b}

    a, b = leaf(2.0), leaf(5.0)
    results = tg.checkpoint(part, a, b, scale=3.0)
    ga, gb = tg.grad(results["sum"][0] * 10.0 + results["product"], (a, b))
    assert (ga.item(), gb.item()) == (15.0, 32.0)


def test_checkpoint_under_no_grad_is_a_plain_call():
    with tg.no_grad():
        assert tg.checkpoint(tg.exp, leaf(0.0)).node is None
    assert tg.checkpoint(tg.exp, tg.tensor(0.0)).node is None
