"""`why(t)`: the reason of a gradient that is None, zero, NaN, huge or tiny, with the line."""

import gc
import inspect
import weakref

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.diagnostics import flow

HERE = "test_why.py"
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    from tensorgraph import cuts

    monkeypatch.setattr(flow, "_latest", None)
    cuts.recent.clear()


def leaf(*values):
    return tg.tensor(np.array(values, np.float32), requires_grad=True)


def here(offset=0) -> str:
    return f"{HERE}:{inspect.currentframe().f_back.f_lineno + offset}"


# ---- None ------------------------------------------------------------------------------------------------------------
def test_no_leaf():
    y = leaf(1, 2) * 2
    y.sum().backward()
    assert "only leaves keep theirs" in tg.why(y) and "retain_grad" in tg.why(y) and here(-2) in tg.why(y)


def test_never_asked():
    assert "requires_grad=True" in tg.why(tg.ones(2))
    assert "floating" in tg.why(tg.tensor([1, 2]))


def test_detached_line_without_any_block():
    x = leaf(1, 2)
    h = x * 2
    cut = h.detach(); line = here()  # fmt: skip # noqa: E702
    loss = (cut * leaf(1, 1)).sum()
    loss.backward()
    for answer in (tg.why(x), tg.why(x, loss)):
        assert "detach() in cut = h.detach()" in answer and line in answer
    assert "does not depend on" in tg.why(x, loss)
    assert "recent detach()" in tg.why(cut)


def test_detached_leaves_are_noted_but_not_what_the_library_does():
    from tensorgraph import cuts

    net = nn.Linear(2, 2)
    net.load_state_dict(net.state_dict())
    assert not cuts.recent
    net.weight.detach()
    assert len(cuts.recent) == 1 and "detach() in net.weight.detach()" in tg.why(net.weight)


def test_what_is_noted_keeps_nothing_alive():
    h = leaf(1, 2) * 2
    h.detach()
    ref = weakref.ref(h.array)
    gc.disable()
    try:
        del h
        assert ref() is None
    finally:
        gc.enable()


def test_data_is_a_cut_too():
    x = leaf(1, 2)
    y = x * 2
    loss = (y.data * leaf(1, 1)).sum()
    assert ".data in loss = (y.data" in tg.why(x, loss)


def test_backward_has_not_run_yet():
    x = leaf(1, 2)
    loss = (x * 2).sum()
    answer = tg.why(x, loss)
    assert "has not run yet" in answer and "used by multiply   x * 2" in answer
    assert x.grad is None


def test_dropped_after_backward():
    x = leaf(1, 2)
    loss = (x * x).sum()
    loss.backward()
    x.grad = None
    assert "dropped afterwards" in tg.why(x, loss)
    with tg.debug():
        (x * x).sum().backward()
    x.grad = None
    assert "although one arrived in the last backward pass, largest 4" in tg.why(x)


def test_replaced():
    layers = [nn.Linear(2, 1) for _ in range(2)]
    loss = layers[1](tg.ones(3, 2)).sum()
    loss.backward()
    assert "replaced" in tg.why(layers[0].weight, loss)


def test_no_grad_block_under_debug():
    x = leaf(1, 2)
    with tg.debug():
        with tg.no_grad():
            h = x * 3; line = here()  # fmt: skip # noqa: E702
        (h * leaf(1, 1)).sum().backward()
    answer = tg.why(x)
    assert "multiply ran in a no_grad block" in answer and line in answer and "x * 3" in answer
    assert "no_grad: made by multiply" in tg.why(h)


def test_integer_cast_under_debug():
    x = leaf(1, 2)
    with tg.debug():
        k = x.astype(tg.int64); line = here()  # fmt: skip # noqa: E702
        (k * leaf(1, 1)).sum().backward()
    assert "the result of astype holds no floating numbers" in tg.why(x) and line in tg.why(x)
    assert "cast" in tg.why(k)


def test_unused_branch_under_debug():
    x = leaf(1, 2)
    with tg.debug():
        _aside = x * 3; line = here()  # fmt: skip # noqa: E702
        leaf(1, 1).sum().backward()
    assert "unused" in tg.why(x) and line in tg.why(x)


def test_never_seen_under_debug():
    x = leaf(1, 2)
    with tg.debug():
        leaf(1, 1).sum().backward()
    assert "no operation that was observed used it" in tg.why(x)


def test_detached_under_debug_after_everything_died():
    x = leaf(1, 2)
    with tg.debug():
        cut = (x * 2).detach()
        (cut * leaf(1, 1)).sum().backward(); line = here()  # fmt: skip # noqa: E702
    answer = tg.why(x)
    assert "outside the graph: detached before" in answer and line in answer
    assert "detached: the same numbers are the result of multiply" in tg.why(cut)


# ---- zero ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "f, words",
    [
        (lambda x: tg.relu(x - 10), "zero from relu on   tg.relu(x - 10)"),
        (lambda x: tg.relu(x - 10), "100 % of its numbers are 0: dead"),
        (lambda x: tg.sigmoid(x * 1000), "saturated: 100 %"),
        (lambda x: tg.where(x > 100, x, 1), "the condition holds for 0 %"),
        (lambda x: tg.round(x), "step function"),
        (lambda x: x * 0, "is 0 everywhere"),
        (lambda x: tg.clip(x, 5, 6), "outside its bounds"),
    ],
)  # fmt: skip
def test_zero(f, words):
    x = leaf(1, 2)
    loss = f(x).sum()
    loss.backward(retain_graph=True)
    assert not x.grad.numpy().any()
    answer = tg.why(x, loss)
    assert answer.startswith("the gradient of this f32[2] is zero") and words in answer and HERE in answer


def test_zero_without_knowledge_says_how_to_know():
    x = leaf(1, 2)
    loss = tg.relu(x - 10).sum()
    loss.backward()
    assert "tensorgraph.debug()" in tg.why(x)


def test_set_to_zero_afterwards():
    x = leaf(1, 2)
    with tg.debug():
        (x * x).sum().backward()
    x.grad.zero_()
    assert "4 arrived in the last backward pass: it was set to zero afterwards" in tg.why(x)


# ---- NaN, huge, tiny, fine -------------------------------------------------------------------------------------------
def test_nan_names_where_it_began():
    x = leaf(0, 4)
    loss = (tg.sqrt(x * 1) * 0).sum()
    loss.backward(retain_graph=True)
    answer = tg.why(x, loss)
    assert "NaN in 50 %" in answer and "first in the backward pass of sqrt   tg.sqrt(x * 1)" in answer


def test_huge_and_tiny():
    x = leaf(1, 2)
    loss = tg.exp(x * 5).sum() * 1e4
    loss.backward(retain_graph=True)
    answer = tg.why(x, loss)
    assert "is huge" in answer and "times 1e+04 in multiply" in answer
    y = leaf(7, 8)
    loss = (tg.tanh(y) * 1e-4).sum()
    loss.backward(retain_graph=True)
    answer = tg.why(y, loss)
    assert "is tiny" in answer and "tanh" in answer and "saturated" in answer


def test_fine():
    x = leaf(1, 2)
    (x * x).sum().backward()
    assert tg.why(x).startswith("the gradient of this f32[2] is there: largest 4")
    assert repr(tg.why(x)) == str(tg.why(x))


def test_nothing_changes():
    x, w = leaf(1, 2), leaf(1, 1)
    loss = tg.exp(x * w).sum()
    x.grad = tg.zeros(2)
    before = x.grad
    tg.why(x, loss)
    assert x.grad is before and w.grad is None
    loss.backward()


def test_wrong_things():
    with pytest.raises(tg.DtypeError, match="why: expected a tensor"):
        tg.why(3)
    with pytest.raises(tg.DtypeError, match="why: the loss is"):
        tg.why(leaf(1), 3)
