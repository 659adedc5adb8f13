"""The engine: recording, the backward pass, grad(), derivatives of every order, hooks, dtypes, devices."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph.backends import cpu
from tensorgraph.operation import op
from tests.fence import FenceArray


def leaf(*values, dtype=tg.float64) -> tg.Tensor:
    return tg.tensor(values if len(values) != 1 else values[0], dtype=dtype, requires_grad=True)


def assert_values(tensor, expected) -> None:
    np.testing.assert_allclose(tensor.detach().numpy(), expected, rtol=1e-12)


# ---- the backward pass ---------------------------------------------------------------------------------------------
def test_a_chain_of_100_000_operations():
    """Forward, backward, deletion: nothing recurses."""
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1e-5
    y.backward()
    assert x.grad.item() == 1.0
    del y


def test_a_recorded_chain_of_5_000_operations():
    x = leaf(1.0)
    y = x
    for _ in range(5_000):
        y = y * 1.0
    g = tg.grad(y * y, x, create_graph=True)
    assert tg.grad(g, x).item() == 2.0
    del y, g


def test_wide_graphs_sum_up():
    x = leaf(1.0, 2.0)
    total = x * 0.0
    for i in range(1000):
        total = total + x * float(i)
    total.sum().backward()
    assert_values(x.grad, [499500.0, 499500.0])


def test_diamonds_and_repeated_use():
    x = leaf(3.0)
    a = x * x
    b = a * x + a
    (b * a).backward()  # x^5 + x^4
    assert_values(x.grad, 5 * 81 + 4 * 27)


def test_gradients_accumulate_until_they_are_dropped():
    x = leaf(2.0)
    (x * 3.0).backward()
    (x * 4.0).backward()
    assert_values(x.grad, 7.0)
    x.grad = None
    (x * 4.0).backward()
    assert_values(x.grad, 4.0)


def test_backward_of_a_leaf_and_of_no_scalar():
    x = leaf(1.0, 2.0)
    x.backward(tg.tensor([3.0, 4.0], dtype=tg.float64))
    assert_values(x.grad, [3.0, 4.0])
    x.grad = None
    (x * x).backward(np.array([1.0, 10.0]))
    assert_values(x.grad, [2.0, 40.0])


def test_single_elements_of_any_rank_are_scalars():
    x = leaf([[2.0]])
    (x * x).backward()
    assert_values(x.grad, [[4.0]])


def test_only_what_depends_on_a_leaf_is_recorded():
    a, b = tg.tensor([1.0]), tg.tensor([2.0], requires_grad=True)
    assert (a * a).node is None
    assert not (a * a).requires_grad
    product = a * b
    assert product.requires_grad
    assert product.node.parents == (b.node,)


def test_detach_and_no_grad_cut_the_graph():
    x = leaf(2.0)
    y = x.detach() * x
    y.backward()
    assert_values(x.grad, 2.0)
    with tg.no_grad():
        assert not (x * x).requires_grad
        with tg.enable_grad():
            assert (x * x).requires_grad
        assert not (x * x).requires_grad
    assert (x * x).requires_grad

    @tg.no_grad()
    def decorated(x):
        return x * x

    assert not decorated(x).requires_grad


def test_no_grad_is_reentrant_and_survives_exceptions():
    switch = tg.no_grad()
    with pytest.raises(ZeroDivisionError), switch, switch:
        1 / 0
    assert tg.is_grad_enabled()


def test_threads_have_their_own_mode():
    x, seen = leaf(2.0), []
    entered, leave = threading.Event(), threading.Event()

    def other():
        with tg.no_grad():
            entered.set()
            leave.wait(10)
            seen.append((x * x).requires_grad)

    thread = threading.Thread(target=other)
    thread.start()
    assert entered.wait(10)
    assert (x * x).requires_grad
    leave.set()
    thread.join()
    assert seen == [False]


def test_threads_differentiate_at_the_same_time():
    def work(results, i):
        x = leaf(float(i))
        for _ in range(50):
            results[i] = tg.grad(x * x * x, x).item()

    results: dict[int, float] = {}
    threads = [threading.Thread(target=work, args=(results, i)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {i: 3.0 * i * i for i in range(4)}


# ---- gradients belong to their receiver ----------------------------------------------------------------------------
def disjoint(*tensors: tg.Tensor) -> bool:
    arrays = [t.array for t in tensors]
    return not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])


@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_share_no_memory(create_graph):
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = tg.tensor([5.0, 6.0], dtype=tg.float64)
    (a + b).backward(seed, create_graph=create_graph)
    assert disjoint(a.grad, b.grad, seed)
    assert a.grad is not b.grad
    with tg.no_grad():
        a.grad *= 10.0
    assert_values(b.grad, [5.0, 6.0])
    assert_values(seed, [5.0, 6.0])


@pytest.mark.parametrize("create_graph", [False, True])
def test_results_of_grad_share_no_memory(create_graph):
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = tg.tensor([5.0, 6.0], dtype=tg.float64)
    y = a + b
    found = tg.grad(y, (a, b, y), seed, create_graph=create_graph)
    assert disjoint(*found, seed)


def test_views_become_gradients_of_their_own():
    a, b = leaf([[1.0, 2.0]]), leaf([[3.0, 4.0]])
    tg.concat([a, b]).sum().backward()
    assert disjoint(a.grad, b.grad)
    for t in (a, b):
        t.grad.array[...] = 7.0  # no read-only broadcast


def test_retained_gradients_share_no_memory_with_those_of_leaves():
    x = leaf(1.0, 2.0)
    y = (x + 0.0).retain_grad()
    z = (y + 0.0).retain_grad()
    z.sum().backward()
    assert disjoint(x.grad, y.grad, z.grad)


# ---- grad() --------------------------------------------------------------------------------------------------------
def test_grad_leaves_no_trace():
    x, w = leaf(2.0), leaf(3.0)
    assert_values(tg.grad(x * w, x), 3.0)
    assert x.grad is None
    assert w.grad is None


def test_grad_of_several():
    x, w = leaf(2.0), leaf(3.0)
    gx, gw = tg.grad(x * w, (x, w))
    assert_values(gx, 3.0)
    assert_values(gw, 2.0)
    assert tg.grad(x * w, ()) == ()
    (gx,) = tg.grad([x * w, x * x], [x])
    assert_values(gx, 7.0)
    (gx,) = tg.grad([x * w, x * x], [x], [tg.tensor(1.0, dtype=tg.float64), 10.0])
    assert_values(gx, 43.0)


def test_grad_of_intermediate_results():
    x = leaf(2.0)
    y = x * x
    z = y * y + y
    gy, gx = tg.grad(z, (y, x))
    assert_values(gy, 9.0)
    assert_values(gx, 36.0)
    assert_values(tg.grad(z * 1.0, z), 1.0)
    assert_values(tg.grad(x * 1.0, x), 1.0)


def test_grad_with_respect_to_itself():
    x = leaf(2.0)
    assert_values(tg.grad(x, x), 1.0)


def test_grad_computes_only_what_lies_between():
    """Neither the way past the targets nor the inputs that nobody asked for."""
    ran = []

    @op
    def noisy(be, a, b):
        return a * b

    noisy.vjp(a=lambda g, b: ran.append("a") or g * b, b=lambda g, a: ran.append("b") or g * a)
    x, w = leaf(2.0), leaf(3.0)
    early = noisy(x, w)
    late = noisy(early, w)
    assert_values(tg.grad(late, early), 3.0)
    assert ran == ["a"]
    ran.clear()
    assert_values(tg.grad(noisy(x, w), w), 2.0)
    assert ran == ["b"]


def test_grad_runs_no_hook_beside_the_way():
    seen = []
    x, w = leaf(2.0), leaf(3.0)
    w.register_hook(seen.append)
    y = w * w
    y.register_hook(seen.append)
    assert_values(tg.grad(tg.stack([x, y]).sum() * x, x), 2.0 + 11.0)
    assert not seen


def test_unused_inputs():
    x, w = leaf(2.0), leaf(3.0)
    with pytest.raises(tg.GraphError, match=r"grad: the output does not depend on xs\[1\] f64\[\](?s:.*)allow_unused"):
        tg.grad(x * x, (x, w))
    gx, gw = tg.grad(x * x, (x, w), allow_unused=True)
    assert_values(gx, 4.0)
    assert gw is None


def test_retain_graph():
    x = leaf(3.0)
    y = x * x
    assert_values(tg.grad(y, x, retain_graph=True), 6.0)
    assert_values(tg.grad(y, x), 6.0)
    with pytest.raises(tg.GraphError, match="second backward through multiply"):
        tg.grad(y, x)


def test_derivatives_of_third_order():
    x = leaf(2.0)
    y = x * x * x * x
    for expected in (32.0, 48.0, 48.0, 24.0):
        y = tg.grad(y, x, create_graph=True)
        assert_values(y, expected)


def test_create_graph_in_backward():
    x = leaf(2.0)
    (x * x * x).backward(create_graph=True)
    first, x.grad = x.grad, None
    first.backward()
    assert_values(x.grad, 12.0)


def test_gradient_penalty():
    """A loss that contains a gradient, differentiated with respect to parameters."""
    x, w = leaf(1.0, 2.0), leaf(3.0, -1.0)
    slope = tg.grad((x * x * w).sum(), x, create_graph=True)  # 2 x w
    (slope * slope).sum().backward()
    assert_values(w.grad, [8 * 3.0, 8 * 4 * -1.0])
    assert_values(x.grad, [8 * 9.0, 8 * 2.0])


def test_grad_inside_no_grad_records_when_asked():
    x = leaf(2.0)
    y = x * x * x
    with tg.no_grad():
        g = tg.grad(y, x, create_graph=True)
    assert g.requires_grad
    assert_values(tg.grad(g, x), 12.0)


# ---- hooks ---------------------------------------------------------------------------------------------------------
def test_hooks_see_and_replace_the_gradient():
    x = leaf(2.0)
    y = x * x
    seen = []
    y.register_hook(lambda g: seen.append(g.item()))
    remove = y.register_hook(lambda g: g * 10.0)
    x.register_hook(lambda g: seen.append(g.item()))
    (y * 3.0).backward(retain_graph=True)
    assert seen == [3.0, 120.0]
    assert_values(x.grad, 120.0)
    remove()
    remove()  # twice does no harm
    x.grad = None
    (y * 3.0).backward()
    assert_values(x.grad, 12.0)


def test_a_hook_runs_once_with_the_whole_gradient():
    x, seen = leaf(2.0), []
    y = x * 1.0
    y.register_hook(lambda g: seen.append(g.item()))
    (y + y + y * y).backward()
    assert seen == [6.0]


def test_hooks_take_part_in_higher_orders():
    x = leaf(2.0)
    y = x * x
    y.register_hook(lambda g: g * 5.0)
    g = tg.grad(y * y, x, create_graph=True)  # 5 * 4 x^3
    assert_values(g, 160.0)
    # the second pass meets y again, so the hook runs again for what flows through y there
    assert tg.grad(g, x).requires_grad is False


def test_hooks_on_results_of_grad():
    x = leaf(2.0)
    y = x * x
    y.register_hook(lambda g: g * 10.0)
    assert_values(tg.grad(y * 3.0, y), 30.0)


def test_hooks_get_tensors_and_must_return_tensors():
    x = leaf(2.0)
    y = (x * x).sum()
    kinds = []
    y.register_hook(lambda g: kinds.append((type(g), type(g.array), g.shape)))
    y.backward(retain_graph=True)
    assert kinds == [(tg.Tensor, np.ndarray, ())]
    y.register_hook(lambda g: 3.0)
    with pytest.raises(tg.GraphError, match=r"a hook on sum returned float 3.0 for a gradient of f64\[\]"):
        y.backward()


def test_a_hook_needs_a_graph():
    with pytest.raises(tg.GraphError, match=r"register_hook: .* would never run"):
        tg.tensor(1.0).register_hook(print)


def test_retain_grad():
    x = leaf(2.0)
    y = (x * x).retain_grad()
    (y * 3.0).backward(retain_graph=True)
    assert_values(y.grad, 3.0)
    (y * 3.0).backward(retain_graph=True)
    assert_values(y.grad, 6.0)
    assert x.retain_grad() is x
    y.grad = None
    y.retain_grad()  # twice is as good as once
    y.register_hook(lambda g: g * 100.0)  # it sees what the hooks made of the gradient
    tg.grad(y * 3.0, x, retain_graph=True)  # adds nothing to any .grad
    assert y.grad is None
    (y * 3.0).backward()
    assert_values(y.grad, 300.0)
    with pytest.raises(tg.GraphError, match="retain_grad"):
        tg.tensor(1.0).retain_grad()


# ---- what is refused -----------------------------------------------------------------------------------------------
def test_what_backward_refuses():
    x = leaf(1.0, 2.0)
    with pytest.raises(tg.GraphError, match=r"backward: f64\[2\] is no scalar(?s:.*)\.sum\(\)"):
        (x * x).backward()
    with pytest.raises(tg.GraphError, match=r"takes part in no graph(?s:.*)requires_grad=True"):
        tg.tensor(1.0).backward()
    with pytest.raises(tg.ShapeError, match=r"the gradient is f64\[3\], the output is f64\[2\]"):
        (x * x).backward(tg.tensor(np.ones(3)))
    with pytest.raises(tg.GraphError, match=r"grad: xs\[0\] float 2.0, not a tensor|grad: xs\[0\] is float 2.0"):
        tg.grad(x.sum(), [2.0])
    with pytest.raises(tg.GraphError, match=r"grad: xs\[0\] f32\[\] takes part in no graph"):
        tg.grad(x.sum(), tg.tensor(2.0))
    with pytest.raises(tg.GraphError, match="2 outputs but 1 grad_outputs"):
        tg.grad([x.sum(), x.sum()], [x], [1.0])
    with pytest.raises(tg.GraphError, match="expected a tensor, got str"):
        tg.grad("loss", x)


def test_integers_have_no_gradient():
    with pytest.raises(tg.GraphError, match=r"requires_grad: i64\[2\] is not of a floating dtype(?s:.*)astype"):
        tg.tensor([1, 2], requires_grad=True)
    with pytest.raises(tg.GraphError, match=r"bool\[\]"):
        tg.tensor(True).requires_grad_()


def test_a_second_backward():
    x = leaf(2.0)
    y = x * x
    y.backward()
    with pytest.raises(tg.GraphError, match=r"second backward through multiply(?s:.*)retain_graph=True"):
        y.backward()
    z = y + 1.0  # a new node on a released graph
    with pytest.raises(tg.GraphError, match="second backward through multiply"):
        z.backward()


def test_a_failed_backward_leaves_no_gradient_half_made():
    @op
    def broken(be, x):
        return x * 2

    broken.vjp(x=lambda g: g / {}["missing"])
    x = leaf(2.0)
    with pytest.raises(KeyError) as caught:
        broken(x).backward()
    assert any("backward of broken" in note for note in caught.value.__notes__)
    assert x.grad is None
    assert tg.is_grad_enabled()


# ---- dtypes --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [tg.float16, tg.float32, tg.float64])
def test_python_numbers_never_promote(dtype):
    x = tg.tensor([1.0, 2.0], dtype=dtype, requires_grad=True)
    for y in (x * 2, x * 2.5, 2.5 * x, x + True, x * np.float64(2.5), np.float64(2.5) * x, x**2, x / 3, 1 / x):
        assert y.dtype == dtype
        assert tg.grad(y.sum(), x).dtype == dtype


def test_floats_decide_when_integers_meet_them():
    floats, integers = tg.tensor([1.0, 2.0]), tg.tensor([1, 2])
    assert (floats * integers).dtype == tg.float32
    assert (integers * 2.5).dtype == tg.float32
    assert (integers / integers).dtype == tg.float32
    assert (integers * integers).dtype == tg.int64
    assert (floats * floats.astype(tg.float64)).dtype == tg.float64
    assert tg.exp(integers).dtype == tg.float32


def test_gradients_have_the_dtype_of_their_input():
    narrow, wide = leaf(1.0, dtype=tg.float32), leaf(2.0, dtype=tg.float64)
    (narrow * wide).backward()
    assert narrow.grad.dtype == tg.float32
    assert wide.grad.dtype == tg.float64


def test_complex_gradients_point_uphill():
    """For a real loss the gradient is dL/da + i dL/db, so that z - rate * gradient goes down."""
    z = tg.tensor(3.0 + 4.0j, dtype=tg.complex128, requires_grad=True)
    tg.abs(z).backward()
    assert_values(z.grad, 0.6 + 0.8j)
    w = tg.tensor(2.0 + 1.0j, dtype=tg.complex128, requires_grad=True)
    g = tg.grad(w * w, w)  # the conjugate of dy/dz = 2 z
    assert_values(g, 4.0 - 2.0j)


def test_real_inputs_of_complex_results_have_real_gradients():
    x = leaf(2.0)
    y = x * tg.tensor(1.0 + 2.0j, dtype=tg.complex128)
    tg.abs(y).backward()
    assert x.grad.dtype == tg.float64
    assert_values(x.grad, 5**0.5)


# ---- devices -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("first", ["cpu", "fence"])
def test_mixed_devices_are_an_error(fence, first):
    a, b = tg.tensor([1.0, 2.0]), tg.Tensor(FenceArray(np.array([1.0, 2.0])))
    pair = (a, b) if first == "cpu" else (b, a)
    with pytest.raises(tg.BackendError) as caught:
        tg.add(*pair)
    text = str(caught.value)
    assert "add: operands live on different devices" in text
    assert "cpu" in text
    assert "fence" in text
    assert ".to(" in text


def test_moving_is_differentiable(fence):
    x = leaf(1.0, 2.0)
    y = tg.to_device(x, "fence")
    assert y.device == "fence"
    (y * y).sum().backward()
    assert x.grad.device == "cpu"
    assert_values(x.grad, [2.0, 4.0])


def test_unknown_and_missing_devices():
    with pytest.raises(tg.BackendError, match=r"unknown device 'gpu'(?s:.*)\"cuda\""):
        tg.tensor([1.0], device="gpu")


def test_switches_and_modules_may_be_left_in_any_order():
    from tensorgraph import nn
    from tensorgraph.mode import current_scope

    silence = tg.no_grad()

    class Silencer(nn.Module):
        def forward(self, x):
            silence.__enter__()
            assert type(current_scope().module) is Silencer
            return x

    x = Silencer()(tg.ones(2, requires_grad=True))
    assert not tg.is_grad_enabled() and current_scope() is None
    assert (x * x).node is None
    silence.__exit__(None, None, None)
    assert tg.is_grad_enabled() and current_scope() is None
    assert (x * x).node is not None


# ---- adding up -------------------------------------------------------------------------------------------------------
def test_gradients_of_a_fork_are_added_where_one_of_them_lies(monkeypatch):
    """Large ones, and only where nobody else holds or sees the memory."""
    where = []
    add_into = type(cpu).add_into

    def spy(be, total, x):
        y = add_into(be, total, x)
        where.append(y is total)
        return y

    monkeypatch.setattr(type(cpu), "add_into", spy)
    x = tg.ones(64, 100, requires_grad=True)
    held = np.full((64, 100), 2.0, np.float32)
    cache = [held, held.T.copy().T, np.broadcast_to(np.float32(2), held.shape), held[:, ::-1]]

    @tg.op
    def cached(be, x, i: int = 0):
        return x * 1

    cached.vjp(x=lambda g, i: cache[i])
    y = x * 3
    (tg.exp(y) + tg.relu(y)).sum().backward()
    assert where == [True]
    np.testing.assert_allclose(x.grad.numpy(), 3 * (np.exp(np.float32(3)) + 1), rtol=1e-6)
    x.grad = None
    y = x * 3
    sum(cached(y, i) for i in range(len(cache))).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 3 * 2 * len(cache))
    assert all((a == 2).all() for a in cache), "an array of the rule's own was written"
    x.grad = None
    seen = []
    y = x * 3
    y.register_hook(seen.append)
    loss = (y + y + tg.exp(y)).sum()
    loss.backward(retain_graph=True)
    first = x.grad.numpy().copy()
    loss.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * first, rtol=1e-6)
    np.testing.assert_array_equal(seen[0].numpy(), seen[1].numpy())


@pytest.mark.parametrize("first", ["pieces", "array"])
@pytest.mark.parametrize("n", [2, 200])
def test_pieces_and_arrays_of_gradients_add_up(first, n):
    x = tg.ones(n, n, requires_grad=True)
    y = x * 2
    parts = [lambda: y[0].sum(), lambda: (y * y).sum(), lambda: y[1:].sum() * 2]
    total = sum(part() for part in (parts if first == "array" else parts[::-1]))  # the youngest goes first
    total.backward()
    expected = np.full((n, n), 8.0)
    expected[0] += 2
    expected[1:] += 4
    np.testing.assert_array_equal(x.grad.numpy(), expected)


def test_a_gradient_that_is_given_is_not_written():
    x = tg.ones(80, 80, requires_grad=True)
    given = tg.ones(80, 80)
    (x + x + x).backward(given)
    assert (given.numpy() == 1).all() and (x.grad.numpy() == 3).all()
    y = x + 0
    found = tg.grad([y, y], [x, y], [given, given], retain_graph=True)
    assert (given.numpy() == 1).all() and all((g.numpy() == 2).all() for g in found)
