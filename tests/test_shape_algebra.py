"""Shapes, axes and indices that nobody thought of: Hypothesis draws them, NumPy says what is right.

Most operations here only move elements. Applied by NumPy to an array of positions they tell where every element of
the result comes from, which gives both the expected values and, by counting, the expected gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tensorgraph as tg

pytest.importorskip("hypothesis", reason="Hypothesis is not installed (extra `test`)")

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

few = settings(max_examples=60, deadline=None, derandomize=True, database=None)

shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
filled = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)


def numbers(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape)


def leaf(values: np.ndarray) -> tg.Tensor:
    return tg.tensor(values, requires_grad=True)


def moves(shape: tuple[int, ...], ours: Callable[[Any], Any], theirs: Callable[[Any], Any]) -> None:
    """`ours` on a tensor moves elements as `theirs` moves positions; the gradient comes back to where they were."""
    n = int(np.prod(shape))
    places = theirs(np.arange(n).reshape(shape))
    x = leaf(numbers(shape))
    y = ours(x)
    np.testing.assert_array_equal(
        y.numpy() if y.node is None else y.detach().numpy(), x.detach().numpy().reshape(-1)[places]
    )
    w = numbers(places.shape, 1)
    expected = np.bincount(places.reshape(-1), w.reshape(-1), n).reshape(shape)
    np.testing.assert_allclose(tg.grad(y, x, tg.tensor(w)).numpy(), expected, atol=1e-12)


# ---- another shape --------------------------------------------------------------------------------------------------
@st.composite
def reshapes(draw):
    """A shape, and another one of as many elements, perhaps with a -1."""
    factors = draw(st.lists(st.sampled_from([1, 2, 3]), max_size=4))
    other = draw(st.permutations(factors + draw(st.sampled_from([[], [1], [1, 1]]))))
    cuts = sorted(draw(st.lists(st.integers(0, len(other)), max_size=2)))
    other = [int(np.prod(other[a:b])) for a, b in zip([0, *cuts], [*cuts, len(other)], strict=True)]
    if draw(st.booleans()):
        other[draw(st.integers(0, len(other) - 1))] = -1
    return tuple(factors), tuple(other)


@given(reshapes())
@few
def test_reshape(pair):
    shape, other = pair
    moves(shape, lambda x: tg.reshape(x, other), lambda p: p.reshape(other))


@given(st.data())
@few
def test_axes(data):
    """Permuting, moving and exchanging axes; flips and rolls along some of them."""
    shape = data.draw(shapes)
    axes = data.draw(st.permutations(range(len(shape))))
    moves(shape, lambda x: tg.permute_dims(x, tuple(axes)), lambda p: np.transpose(p, axes))
    some = data.draw(hnp.valid_tuple_axes(len(shape)))
    moves(shape, lambda x: tg.flip(x, some), lambda p: np.flip(p, some))
    if shape:
        i, j = (data.draw(st.integers(-len(shape), len(shape) - 1)) for _ in range(2))
        shift = data.draw(st.integers(-5, 5))
        moves(shape, lambda x: tg.moveaxis(x, i, j), lambda p: np.moveaxis(p, i, j))
        moves(shape, lambda x: tg.swapaxes(x, i, j), lambda p: np.swapaxes(p, i, j))
        moves(shape, lambda x: tg.roll(x, shift, i), lambda p: np.roll(p, shift, i))


@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=3))
@few
def test_broadcasting(drawn):
    (a_shape, b_shape), shape = drawn
    moves(a_shape, lambda x: tg.broadcast_to(x, shape), lambda p: np.broadcast_to(p, shape))
    a, b = leaf(numbers(a_shape)), leaf(numbers(b_shape, 1))
    y = a * b
    np.testing.assert_array_equal(y.detach().numpy(), numbers(a_shape) * numbers(b_shape, 1))
    w = numbers(shape, 2)
    for x, other, g in zip((a, b), (b, a), tg.grad(y, (a, b), tg.tensor(w)), strict=True):
        places = np.broadcast_to(np.arange(x.array.size).reshape(x.shape), shape)
        expected = np.bincount(places.reshape(-1), (w * other.detach().numpy()).reshape(-1), x.array.size)
        np.testing.assert_allclose(g.numpy(), expected.reshape(x.shape), atol=1e-12)


# ---- indexing -------------------------------------------------------------------------------------------------------
@st.composite
def indices(draw, shape: tuple[int, ...]):
    """Basic, integer, boolean and mixed indices of an array of `shape`, which has no empty axis."""
    kind = draw(st.sampled_from(["basic", "integers", "mask", "mixed"]))
    if kind == "basic":
        return draw(hnp.basic_indices(shape, allow_newaxis=True, max_dims=6))
    if kind == "integers":
        return draw(hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2, max_side=3)))
    if kind == "mask":
        return draw(hnp.arrays(bool, shape[: draw(st.integers(1, len(shape)))]))
    common = draw(st.integers(1, 3))
    parts = []
    for size in shape[: draw(st.integers(1, len(shape)))]:
        one = st.integers(-size, size - 1)
        arrays = st.lists(one, min_size=common, max_size=common).map(np.array)
        parts.append(draw(st.one_of(one, st.slices(size), st.none().map(lambda _: slice(None)), arrays)))
    return tuple(parts)


def on_tensors(index: Any) -> Any:
    """The same index with tensors in the place of arrays."""
    if isinstance(index, tuple):
        return tuple(map(on_tensors, index))
    return tg.tensor(index) if isinstance(index, np.ndarray) else index


@given(st.data())
@few
def test_getitem(data):
    shape = data.draw(filled)
    index = data.draw(indices(shape))
    moves(shape, lambda x: x[on_tensors(index)], lambda p: np.asarray(p[index]))


@given(st.data())
@few
def test_many_reads_of_one_array(data):
    """What several reads send back adds up, beside what the whole array gets."""
    shape = data.draw(filled)
    reads = data.draw(st.lists(indices(shape), min_size=1, max_size=4))
    whole = data.draw(st.sampled_from(["first", "last", "not at all"]))
    x, expected, total = leaf(numbers(shape)), np.zeros(shape), tg.tensor(0.0, dtype="float64")
    if whole == "first":
        total = (x * x).sum()
    for k, index in enumerate(reads, 1):
        total = total + k * x[index].sum()
        np.add.at(expected, index, k)
    if whole == "last":
        total = total + (x * x).sum()
    expected += 0 if whole == "not at all" else 2 * numbers(shape)
    np.testing.assert_allclose(tg.grad(total, x).numpy(), expected, atol=1e-12)


@given(st.data())
@few
def test_put(data):
    """Writing as a value: the last of several values stays, and only what is in the result gets a gradient."""
    shape = data.draw(filled)
    index = data.draw(indices(shape))
    x, v = leaf(numbers(shape)), leaf(numbers(np.zeros(shape)[index].shape, 1))
    y = tg.put(x, on_tensors(index), v)
    places = np.arange(x.array.size).reshape(shape)
    places[index] = x.array.size + np.arange(v.array.size).reshape(v.shape)  # from x, or behind it from v
    both = np.concatenate([x.detach().numpy().reshape(-1), v.detach().numpy().reshape(-1)])
    np.testing.assert_array_equal(y.detach().numpy(), both[places])
    w = numbers(shape, 2)
    expected = np.bincount(places.reshape(-1), w.reshape(-1), both.size)
    got = tg.grad(y, (x, v), tg.tensor(w))
    np.testing.assert_allclose(np.concatenate([g.numpy().reshape(-1) for g in got]), expected, atol=1e-12)


# ---- several arrays, one array; widths; reductions ------------------------------------------------------------------
@given(st.data())
@few
def test_split_and_concat_undo_each_other(data):
    shape = data.draw(filled)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    cuts = sorted(data.draw(st.lists(st.integers(0, shape[axis]), max_size=3)))
    x = leaf(numbers(shape))
    parts = tg.split(x, cuts, axis)
    for ours, theirs in zip(parts, np.split(numbers(shape), cuts, axis), strict=True):
        np.testing.assert_array_equal(ours.detach().numpy(), theirs)
    moves(
        shape,
        lambda x: tg.concat(tg.split(x, cuts, axis)[::-1], axis),
        lambda p: np.concatenate(np.split(p, cuts, axis)[::-1], axis),
    )


@given(st.data())
@few
def test_pad(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=4))
    mode = data.draw(st.sampled_from(["edge", "reflect", "symmetric", "wrap"]))
    widths = tuple(data.draw(st.tuples(st.integers(0, 9), st.integers(0, 9))) for _ in shape)
    moves(shape, lambda x: tg.pad(x, widths, mode), lambda p: np.pad(p, widths, mode))


@given(st.data())
@few
def test_reductions(data):
    shape = data.draw(filled)
    axis = data.draw(
        st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1), hnp.valid_tuple_axes(len(shape), min_size=1))
    )
    keepdims = data.draw(st.booleans())
    values = np.random.default_rng(0).permutation(int(np.prod(shape))).reshape(shape) / 7.0  # no ties
    x = leaf(values)
    whole = np.ones(shape)
    sizes = whole.sum(axis=axis, keepdims=True)
    for ours, theirs, slope in (
        (tg.sum, np.sum, whole),
        (tg.mean, np.mean, whole / sizes),
        (tg.max, np.max, values == values.max(axis=axis, keepdims=True)),
        (tg.min, np.min, values == values.min(axis=axis, keepdims=True)),
    ):
        y = ours(x, axis=axis, keepdims=keepdims)
        expected = theirs(values, axis=axis, keepdims=keepdims)
        np.testing.assert_allclose(y.detach().numpy(), expected, atol=1e-12)
        w = numbers(expected.shape, 1)
        np.testing.assert_allclose(tg.grad(y, x, tg.tensor(w)).numpy(), slope * w.reshape(sizes.shape), atol=1e-12)
