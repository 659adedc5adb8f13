"""Writing in place: allowed where no graph sees it, value semantics or a clear error elsewhere, never wrong."""

import numpy as np
import pytest

import tensorgraph as tg


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
