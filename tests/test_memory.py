"""Memory: what no rule names dies at once, saved arrays go with the backward pass, nothing needs the collector."""

from __future__ import annotations

import gc
import weakref
from contextlib import contextmanager

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph.backward import RELEASED


def leaf(n: int = 4) -> tg.Tensor:
    return tg.tensor(np.linspace(0.5, 1.5, n), requires_grad=True)


@contextmanager
def no_garbage():
    """Inside the block the collector is off; afterwards it must find nothing."""
    gc.collect()
    gc.disable()
    try:
        yield
        assert gc.collect() == 0, "reference cycles were left behind"
    finally:
        gc.enable()


# ---- nothing leaks -------------------------------------------------------------------------------------------------
def forward_only():
    tg.tanh(leaf() * 2.0).sum()


def forward_and_backward():
    x = leaf()
    (tg.exp(x) * x / 3.0).sum().backward()


def retained():
    x = leaf()
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()


def recorded_gradients():
    x = leaf()
    g = tg.grad((x * x * x).sum(), x, create_graph=True)
    tg.grad(g.sum(), x, create_graph=True)


def recorded_gradients_in_leaves():
    """`.grad` belongs to the tensor, and the graph reaches it by a weak reference only."""
    x = leaf()
    (x * x * x).sum().backward(create_graph=True)


def hooks():
    x = leaf()
    y = x * x
    y.register_hook(lambda g: g * 2.0)
    y.retain_grad()
    x.register_hook(print).__call__()
    y.sum().backward()


@tg.op(outputs=("a", "b"))
def halves(be, x):
    return x[:2], x[2:]


halves.vjp(x=lambda ga, gb: tg.concat([ga, gb]))


def several_results():
    x = leaf()
    a, b = halves(x * 2.0)
    (a * b).sum().backward()


def checkpointed():
    x = leaf()
    tg.checkpoint(lambda x: tg.sin(tg.exp(x)), x).sum().backward()


def checkpointed_without_backward():
    tg.checkpoint(lambda x: tg.sin(tg.exp(x)), leaf())


class Double(tg.Function):
    @staticmethod
    def forward(ctx, x):
        y = x * 2
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx, g):
        x, _ = ctx.saved_tensors
        return g * 2 + x * 0


def function_class():
    x = leaf()
    y = Double.apply(x)
    g = tg.grad(y.sum(), x, create_graph=True)
    g.sum().backward()


def shape_error():
    with pytest.raises(tg.ShapeError):
        tg.add(leaf(3) * 2.0, leaf(4) * 2.0)


@tg.op
def broken(be, x):
    return x * 2


broken.vjp(x=lambda g: g / {}["missing"])


def error_in_a_rule():
    x = leaf()
    with pytest.raises(KeyError):
        (broken(x) * 2.0).sum().backward()


def second_backward():
    y = leaf().sum()
    y.backward()
    with pytest.raises(tg.GraphError):
        y.backward()


def checks():
    tg.gradcheck(lambda x: x * x, leaf())
    tg.gradgradcheck(lambda x: x * x, leaf())


def written_in_place():
    x = leaf()
    with tg.no_grad():
        x *= 2.0
    (x * x).sum().backward()


CONSTRUCTS = [
    forward_only, forward_and_backward, retained, recorded_gradients, recorded_gradients_in_leaves, hooks,
    several_results, checkpointed, checkpointed_without_backward, function_class, shape_error, error_in_a_rule,
    second_backward, checks, written_in_place,
]  # fmt: skip


@pytest.mark.parametrize("construct", CONSTRUCTS)
def test_nothing_leaks_without_the_collector(construct):
    construct()  # caches that are filled once (compiled plans, source lines) do not count
    with no_garbage():
        construct()


def test_a_graph_is_freed_by_reference_counting():
    gc.disable()
    try:
        x = leaf()
        y = tg.exp(x * 2.0)
        z = y.sum()
        watched = [weakref.ref(t) for t in (x, y, z)] + [weakref.ref(y.array)]
        del y
        z.backward()
        del x, z
        assert [ref() for ref in watched] == [None] * 4
    finally:
        gc.enable()


def test_a_training_loop_does_not_grow():
    import tracemalloc

    w = leaf(1000)

    def step():
        loss = (tg.tanh(w * 2.0) * w).sum()
        w.grad = None
        loss.backward()
        with tg.no_grad():
            w.copy_(w - 0.001 * w.grad)

    for _ in range(20):
        step()
    tracemalloc.start()
    try:
        step()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(50):
            step()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert after - before < 20_000, f"grew by {after - before} bytes in 50 steps"


# ---- what is kept alive --------------------------------------------------------------------------------------------
def test_what_no_rule_names_is_not_kept_alive():
    x = leaf()
    a = x * 1.0
    b = a + 1.0  # the rules of add name nothing
    dead = weakref.ref(a.array)
    del a
    assert dead() is None
    c = tg.exp(b)  # the rule of exp names y
    dead, alive = weakref.ref(b.array), weakref.ref(c.array)
    del b
    assert dead() is None
    total = c.sum()  # sum names the shape only
    del c
    assert alive() is not None
    total.backward()
    assert alive() is None
    del total


def test_only_inputs_that_ask_for_a_gradient_make_others_stay():
    x, constant = leaf(), tg.tensor(np.full(4, 3.0))
    y = x * constant  # the gradient of x needs the constant; nobody needs x
    dead, alive = weakref.ref(x.array), weakref.ref(constant.array)
    del x, constant
    assert dead() is None
    assert alive() is not None
    assert y.node.plan.names == ("b",)


def test_saved_arrays_are_released_by_backward():
    x = leaf()
    y = tg.exp(x)
    z = tg.tanh(y).sum()
    saved = [weakref.ref(array) for array in y.node.saved]
    root = z.node
    del y
    assert all(ref() is not None for ref in saved)
    z.backward()
    assert all(ref() is None for ref in saved)
    node = root
    while not node.is_leaf:
        assert node.saved is RELEASED
        (node,) = node.parents


def test_saved_arrays_are_released_as_the_pass_goes():
    """The peak of a backward pass lies at its start: what is behind it is free already."""
    x = leaf()
    early = tg.exp(x)
    late = tg.exp(early * 1.0)
    saved_late = weakref.ref(late.array)
    seen = []
    early.register_hook(lambda g: seen.append(saved_late()))
    total = late.sum()
    del late
    total.backward()
    assert seen == [None]


def test_retain_graph_keeps_them():
    x = leaf()
    y = tg.exp(x).sum()
    (node,) = y.node.parents
    y.backward(retain_graph=True)
    assert isinstance(node.saved, tuple)
    y.backward()
    assert node.saved is RELEASED


def test_a_checkpoint_keeps_its_arguments_only():
    x = leaf(1000)
    inner = []

    def part(x):
        a = tg.exp(x)
        inner.append(weakref.ref(a.array))
        return tg.sin(a)

    y = tg.checkpoint(part, x)
    assert inner[0]() is None
    y.sum().backward()
    assert inner[1]() is None


def test_a_dropped_leaf_gets_no_gradient_and_makes_no_trouble():
    x, w = leaf(), leaf()
    y = (x * w).sum()
    dead = weakref.ref(x)
    del x
    assert dead() is None
    y.backward()
    assert w.grad is not None


def test_numpy_memory_is_shared_only_where_it_is_said():
    data = np.ones(3)
    assert not np.shares_memory(tg.tensor(data).numpy(), data)
    assert np.shares_memory(tg.asarray(data).numpy(), data)
    x = tg.tensor(data, requires_grad=True)
    assert np.shares_memory(x.detach().numpy(), x.array)
    assert not np.shares_memory(x.clone().detach().numpy(), x.array)


# ---- gradients are handed over, not copied -------------------------------------------------------------------------
def test_a_gradient_that_nobody_else_holds_is_not_copied():
    made = []

    @tg.op
    def twice(be, x):
        return 2 * x

    def rule(g):
        gradient = 2 * g
        made.append(gradient.__array_interface__["data"])
        return gradient

    twice.vjp(x=rule)
    x = leaf(1000)
    twice(x).sum().backward()
    assert x.grad.array.__array_interface__["data"] == made[0]
    (g,) = tg.grad(twice(x).sum(), [x])
    assert g.array.__array_interface__["data"] == made[1]


def test_a_gradient_that_somebody_else_holds_is_copied():
    seed = tg.ones(4)
    x = leaf()
    (x + 0.0).backward(seed)
    assert not np.shares_memory(x.grad.array, seed.array)
    held = []

    @tg.op
    def same(be, x):
        return x.copy()

    def rule(g):
        held.append(g)
        return g

    same.vjp(x=rule)
    x = leaf()
    (same(x) * 3.0).sum().backward()
    assert not np.shares_memory(x.grad.array, held[0])
