"""Writing in place: allowed where no graph sees it, value semantics or a clear error elsewhere, never wrong."""

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.nn import functional as F


def leaf(*values):
    return tg.tensor(values, requires_grad=True)


def test_plain_tensors_are_written_in_place():
    x = tg.tensor([1.0, 2.0, 3.0])
    alias, array = x, x.array
    x += 1
    x *= tg.tensor([1.0, 2.0, 3.0])
    x[0] = 9.0
    x[1:] -= 1
    assert x is alias and x.array is array
    np.testing.assert_array_equal(x.numpy(), [9, 5, 11])
    assert x.copy_(tg.tensor([7, 8, 9])) is x and x.dtype == tg.float32
    np.testing.assert_array_equal(x.numpy(), [7, 8, 9])
    np.testing.assert_array_equal(x.fill_(2).mul_(3).add_(1, alpha=4).numpy(), [10, 10, 10])
    np.testing.assert_array_equal(x.zero_().numpy(), [0, 0, 0])


def test_the_optimiser_idiom():
    w = leaf(1.0, 2.0)
    array = w.array
    (w * w).sum().backward()
    with tg.no_grad():
        w -= 0.1 * w.grad
    assert w.array is array and w.is_leaf and w.requires_grad
    np.testing.assert_allclose(w.detach().numpy(), [0.8, 1.6], rtol=1e-6)
    w.grad.zero_()
    np.testing.assert_array_equal(w.grad.numpy(), [0, 0])


def test_data_shares_memory_with_the_leaf():
    w = leaf(1.0, 2.0)
    w.data.add_(tg.tensor([1.0, 1.0]))
    np.testing.assert_array_equal(w.detach().numpy(), [2, 3])
    w.data = tg.zeros(3)
    assert w.shape == (3,)
    (w + 1).sum().backward()
    assert w.grad.shape == (3,)


def test_augmented_assignment_on_a_result_means_a_new_value():
    x = leaf(1.0, 2.0)
    y = x * 2
    before = y
    y += x
    y *= y
    assert before is not y
    np.testing.assert_array_equal(before.detach().numpy(), [2, 4])
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [18, 36])


def test_a_plain_tensor_joins_the_graph_of_what_is_added_to_it():
    x = leaf(1.0, 2.0)
    total = tg.zeros(2)
    total += x * x
    total += x
    total.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [3, 5])


def test_a_write_between_forward_and_backward_names_both_lines():
    w = leaf(1.0, 2.0)
    x = tg.tensor([3.0, 4.0])
    loss = (w * x).sum()
    x[0] = 100.0
    with pytest.raises(tg.GraphError) as caught:
        loss.backward()
    text = str(caught.value)
    assert "multiply: its saved b f32[2] was overwritten" in text
    assert "w * x   test_inplace.py:" in text and "x[0] = 100.0   test_inplace.py:" in text


def test_writes_that_touch_nothing_saved_are_fine():
    w, v = leaf(1.0, 2.0), leaf(5.0, 6.0)
    block = tg.zeros(4)
    left, right = block[:2], block[2:]
    loss = (w * left).sum() + v.sum()
    with tg.no_grad():
        v += 1  # saved by nobody
        right += 1  # shares its memory with `left`, but not these bytes
    loss.backward()
    np.testing.assert_array_equal(w.grad.numpy(), [0, 0])
    loss = (w * left).sum()
    with tg.no_grad():
        block += 1
    with pytest.raises(tg.GraphError, match="overwritten"):
        loss.backward()


@pytest.mark.parametrize(
    ("write", "match"),
    [
        (lambda x, y: x.__setitem__(0, 1.0), r"x\[i\] = v: f32\[2\] asks for a gradient"),
        (lambda x, y: y.__setitem__(0, 1.0), r"x\[i\] = v: f32\[2\] was made by multiply"),
        (lambda x, y: x.__iadd__(1.0), "asks for a gradient"),
        (lambda x, y: x.zero_(), "asks for a gradient"),
        (lambda x, y: y.add_(1.0), "was made by multiply"),
        (lambda x, y: tg.zeros(2).__setitem__(0, x[0]), "its gradient would be lost"),
    ],
)
def test_writes_that_would_break_a_graph_name_the_way_out(write, match):
    x = leaf(1.0, 2.0)
    y = x * 2
    with pytest.raises(tg.GraphError, match=match) as caught:
        write(x, y)
    assert "tensorgraph.put(x, index, v)" in str(caught.value)
    np.testing.assert_array_equal(x.detach().numpy(), [1, 2])


def test_a_result_that_does_not_fit():
    x = tg.zeros(3)
    with pytest.raises(tg.ShapeError, match=r"f32\[2,3\], it does not fit into f32\[3\]"):
        x += tg.ones(2, 3)
    with pytest.raises(tg.ShapeError, match=r"f32\[2\] does not fit into f32\[3\]"):
        x.copy_(tg.ones(2))
    with pytest.raises(tg.ShapeError):
        x[:2] = tg.ones(3)
    np.testing.assert_array_equal(x.numpy(), [0, 0, 0])


# ---- relu in place ---------------------------------------------------------------------------------------------------
def memory(t):
    return t.array.__array_interface__["data"][0]


MAKERS = {
    "product": (lambda x, w: x @ w, True),
    "sum": (lambda x, w: x + 1, True),
    "convolution": (lambda x, w: tg.conv2d(x.reshape(1, 1, 8, 8), w.reshape(1, 1, 8, 8)[:, :, :3, :3]), True),
    "saves its result": (lambda x, w: tg.tanh(x), False),
    "view of a leaf": (lambda x, w: x.T, False),
    "view of a result": (lambda x, w: (x * w).T, True),
    "part of a result": (lambda x, w: (x * w)[1:], False),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_relu_in_place_takes_the_memory_that_nobody_needs(maker):
    f, reused = MAKERS[maker]
    rng = np.random.default_rng(0)
    leaves = [tg.tensor(rng.standard_normal((8, 8)), dtype=tg.float64, requires_grad=True) for _ in range(2)]
    plain = tg.relu(f(*leaves))
    expected = tg.grad((plain * plain).sum(), leaves, allow_unused=True)
    x = f(*leaves)
    before = memory(x)
    y = nn.ReLU(inplace=True)(x)
    assert y is x and x.node.name == ("relu_in_place" if reused else "relu") and (memory(x) == before) == reused
    np.testing.assert_array_equal(y.detach().numpy(), plain.detach().numpy())
    for a, b in zip(tg.grad((y * y).sum(), leaves, allow_unused=True), expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_relu_in_place_leaves_alone_what_somebody_holds():
    w = tg.tensor([[-1.0, 2.0]], requires_grad=True)
    x = w * 3
    saved = x * x  # keeps x
    held = x.detach()
    y = F.relu(x, inplace=True)
    assert y is x and held.tolist() == [[-3, 6]]
    (saved.sum() + y.sum()).backward()
    assert w.grad.tolist() == [[-18, 39]]
    alias = (a := w * 3).array
    F.relu(a, inplace=True)
    assert alias.tolist() == [[-3, 6]] and a.tolist() == [[0, 6]]
    for x in (w, w.detach(), tg.tensor([[-1.0, 2.0]])):
        y = F.relu(x, inplace=True)
        assert y is not x and x.tolist() == [[-1, 2]]
    with tg.no_grad():
        x = w * 3
        assert F.relu(x, inplace=True) is not x and x.tolist() == [[-3, 6]]
    assert isinstance(F.relu(np.ones(2), inplace=True), np.ndarray)


def test_relu_in_place_has_second_derivatives():
    x = tg.tensor([0.5, -0.3, 0.7], dtype=tg.float64, requires_grad=True)
    assert tg.gradcheck(lambda x: F.relu(x * x * x, inplace=True), x)
    assert tg.gradgradcheck(lambda x: F.relu(x * x * x, inplace=True), x)
