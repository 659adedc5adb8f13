"""Reductions, scans and indexing where a careless formula gives NaN, counts twice or loses an element."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tensorgraph as tg

INF, NAN = math.inf, math.nan
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def first_and_second(f, x, dtype="float64"):
    """Value, gradient, and the gradient of the sum of the gradient."""
    x = tg.tensor(np.array(x, dtype), requires_grad=True)
    y = f(x)
    g = tg.grad(y.sum(), x, create_graph=True)
    h = tg.grad(g.sum(), x, allow_unused=True) if g.requires_grad else None
    return y.tolist(), g.tolist(), [0.0] * len(g.tolist()) if h is None else h.tolist()


# ---- where the derivative does not exist, or exists in the limit only ------------------------------------------------
EDGES = [
    # function, x, value, gradient
    (tg.max, [1.0, 3.0, 3.0], 3.0, [0.0, 0.5, 0.5]),
    (tg.min, [1.0, 1.0, 1.0], 1.0, [1 / 3] * 3),
    (tg.max, [1.0, NAN, 3.0], NAN, [0.0, 0.0, 0.0]),
    (lambda x: tg.max(x, axis=0, keepdims=True), [-INF, -INF], [-INF], [0.5, 0.5]),
    (tg.var, [2.0, 2.0, 2.0], 0.0, [0.0, 0.0, 0.0]),
    (tg.std, [2.0, 2.0, 2.0], 0.0, [0.0, 0.0, 0.0]),
    (tg.vector_norm, [0.0, 0.0], 0.0, [0.0, 0.0]),
    (lambda x: tg.vector_norm(x, 1), [0.0, -2.0], 2.0, [0.0, -1.0]),
    (lambda x: tg.vector_norm(x, 3), [0.0, 0.0], 0.0, [0.0, 0.0]),
    (lambda x: tg.vector_norm(x, 0.5), [0.0, 4.0], 4.0, [0.0, 1.0]),
    (lambda x: tg.vector_norm(x, -1), [0.0, 4.0], 0.0, [0.0, 0.0]),
    (lambda x: tg.vector_norm(x, INF), [0.0, 0.0], 0.0, [0.0, 0.0]),
    (tg.logsumexp, [-INF, -INF], -INF, [0.0, 0.0]),
    (tg.logsumexp, [-INF, 1.0], 1.0, [0.0, 1.0]),
    (tg.logsumexp, [1e4, 1e4], 1e4 + math.log(2), [0.5, 0.5]),
    (tg.logsumexp, [-1e4, -1e4], -1e4 + math.log(2), [0.5, 0.5]),
    (tg.prod, [0.0, 3.0, 2.0], 0.0, [6.0, 0.0, 0.0]),
    (tg.prod, [0.0, 3.0, 0.0], 0.0, [0.0, 0.0, 0.0]),
    (tg.cumprod, [2.0, 0.0, 3.0], [2.0, 0.0, 0.0], [1.0, 8.0, 0.0]),
    (lambda x: tg.cummax(x)[0], [1.0, 3.0, 3.0], [1.0, 3.0, 3.0], [1.0, 1.0, 1.0]),
    (lambda x: tg.cummax(x)[0], [3.0, 1.0, 2.0], [3.0, 3.0, 3.0], [3.0, 0.0, 0.0]),
    (tg.nansum, [1.0, NAN], 1.0, [1.0, 0.0]),
    (tg.nanmean, [1.0, NAN, 3.0], 2.0, [0.5, 0.0, 0.5]),
    (tg.nanmean, [NAN, NAN], NAN, [0.0, 0.0]),
    (tg.median, [1.0, 4.0, 2.0, 3.0], 2.5, [0.0, 0.0, 0.5, 0.5]),
    (lambda x: tg.sort(x, descending=True), [1.0, 2.0], [2.0, 1.0], [1.0, 1.0]),
]


@pytest.mark.parametrize("f, x, value, gradient", EDGES)
def test_edges(f, x, value, gradient):
    y, g, h = first_and_second(f, x)
    np.testing.assert_allclose(y, value, rtol=1e-12)
    np.testing.assert_allclose(g, gradient, rtol=1e-12, atol=1e-12)
    assert np.isfinite(h).all(), f"second derivatives {h}"


def test_second_derivative_of_products_at_zeros():
    x = tg.tensor([[0.0, 3.0, 2.0], [0.0, 3.0, 0.0]], dtype="float64", requires_grad=True)
    g = tg.grad(tg.prod(x, axis=1).sum(), x, create_graph=True)
    rows = [tg.grad(g[i, 0], x, retain_graph=True)[i].tolist() for i in (0, 1)]
    assert rows == [[0.0, 2.0, 3.0], [0.0, 0.0, 3.0]]


def test_the_gradient_of_logsumexp_sums_to_one_where_float32_is_coarse():
    x = tg.tensor([1e4, 1e4, 1e4 - 1], requires_grad=True)
    assert abs(float(tg.grad(tg.logsumexp(x), x).sum()) - 1) < 1e-6


def test_half_precision_is_accumulated_in_single():
    x = tg.tensor(np.ones(5000, np.float16))
    assert x.sum().item() == 5000 and x.mean().item() == 1 and tg.cumsum(x, 0)[-1].item() == 5000
    assert tg.vector_norm(tg.tensor(np.full(4, 300.0, np.float16))).item() == 600  # 300^2 is no float16
    assert x.sum().dtype == tg.float16
    weight = tg.tensor(np.ones((2, 1), np.float16), requires_grad=True)
    assert tg.grad(weight[np.zeros(5000, int)].sum(), weight)[0].item() == 5000


def test_integers():
    x = tg.tensor([1, 2, 4])
    assert [f(x).dtype for f in (tg.sum, tg.prod, tg.max)] == [tg.int64] * 3
    assert [f(x).dtype for f in (tg.mean, tg.var, tg.logsumexp, tg.vector_norm, tg.median)] == [tg.float32] * 5
    assert tg.sum(x > 1).item() == 2 and tg.sum(tg.tensor([200, 100], dtype="uint8")).item() == 300


def test_nothing_to_reduce():
    x = tg.zeros(0, 3)
    assert tg.sum(x).item() == 0 and tg.prod(x).item() == 1 and tg.logsumexp(x).item() == -INF
    assert math.isnan(tg.mean(x).item()) and math.isnan(tg.var(x).item())
    assert tg.max(x, axis=1).shape == (0,)  # for none of no rows


def test_ties_are_sorted_by_place_in_both_directions():
    x = tg.tensor([1, 0, 1, 0])
    assert tg.argsort(x).tolist() == [1, 3, 0, 2] and tg.argsort(x, descending=True).tolist() == [0, 2, 1, 3]


# ---- indexing --------------------------------------------------------------------------------------------------------
def test_an_element_that_is_read_twice_gets_both_gradients():
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    assert tg.grad(x[[0, 0, 2]].sum(), x).tolist() == [2.0, 0.0, 1.0]
    assert tg.grad((x[0] * x[0] + x[-3]), x).tolist() == [3.0, 0.0, 0.0]


def test_a_value_that_is_overwritten_gets_no_gradient():
    x, v = (tg.tensor(a, requires_grad=True) for a in ([0.0, 0.0], [1.0, 2.0, 3.0]))
    y = tg.put(x, [0, 0, 1], v)
    assert y.tolist() == [2.0, 3.0]
    assert [g.tolist() for g in tg.grad(y.sum(), (x, v))] == [[0.0, 0.0], [0.0, 1.0, 1.0]]


def test_the_padding_row_of_an_embedding_gets_no_gradient():
    weight = tg.tensor(np.ones((3, 2)), requires_grad=True)
    for padding, expected in ((None, [2, 0, 1]), (0, [0, 0, 1]), (-1, [2, 0, 0])):
        g = tg.grad(tg.embedding(np.array([0, 2, 0]), weight, padding).sum(), weight)
        assert g[:, 0].tolist() == expected


def test_what_pieces_send_back_leaves_the_incoming_gradient_alone():
    x = tg.tensor(np.zeros((2, 3)), requires_grad=True)
    w = tg.tensor(np.arange(3.0))
    y = x[0] + x[1]
    assert tg.grad(y, x, w, retain_graph=True).tolist() == [[0, 1, 2], [0, 1, 2]]
    assert w.tolist() == [0, 1, 2]
    x.retain_grad()
    (x[0].sum() + (x * 2).sum() + x[1, 2]).backward()
    assert x.grad is not None and x.grad.tolist() == [[3, 3, 3], [2, 2, 3]]


def test_a_loop_over_rows_costs_one_pass(rng, monkeypatch):
    """The backward pass of n reads lays them into one array of zeros, not into n."""
    x, laid, lay = tg.tensor(rng.standard_normal((50, 4)), requires_grad=True), [], tg.backends.cpu.lay
    monkeypatch.setattr(
        tg.backends.cpu, "lay", lambda pieces, *rest, **kw: laid.append(len(pieces)) or lay(pieces, *rest, **kw)
    )
    g = tg.grad(sum((row * i).sum() for i, row in enumerate(x)), x)
    assert laid == [50]
    assert g[:, 0].tolist() == list(range(50))
