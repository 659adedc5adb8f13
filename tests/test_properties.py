"""Shape algebra on random shapes (Hypothesis): broadcasting, reductions, indexing, convolution and pooling geometry."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

import tensorgraph as tg

few = settings(max_examples=40, deadline=None, derandomize=True, database=None)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.5, 1.5, shape)


def leaf(array: np.ndarray) -> tg.Tensor:
    return tg.tensor(array, requires_grad=True)


def close(a, b) -> None:
    a = a.detach().numpy() if isinstance(a, tg.Tensor) else a
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    assert a.shape == b.shape


@few
@given(nps.mutually_broadcastable_shapes(num_shapes=3, max_dims=4, max_side=4, min_side=0))
def test_broadcasting_is_undone(shapes):
    arrays = [numbers(*shape, seed=i) for i, shape in enumerate(shapes.input_shapes)]
    a, b, c = map(leaf, arrays)
    w = numbers(*shapes.result_shape, seed=9)
    y = a * b + c
    close(y, arrays[0] * arrays[1] + arrays[2])
    for x, g in zip((a, b, c), tg.grad(y, (a, b, c), w), strict=True):
        others = {id(a): arrays[1], id(b): arrays[0]}.get(id(x), 1.0)
        full = np.broadcast_to(w * others, shapes.result_shape)
        extra = full.ndim - x.ndim
        axes = tuple(i for i in range(full.ndim) if i < extra or x.shape[i - extra] == 1)
        close(g, full.sum(axes).reshape(x.shape))


@few
@given(nps.array_shapes(min_dims=0, max_dims=4, max_side=4), st.data())
def test_reductions_over_any_axes(shape, data):
    axes = data.draw(st.none() | nps.valid_tuple_axes(len(shape), min_size=1 if shape else 0))
    keepdims = data.draw(st.booleans())
    array = numbers(*shape)
    for ours, theirs in ((tg.sum, np.sum), (tg.mean, np.mean), (tg.max, np.max)):
        close(ours(tg.tensor(array), axis=axes, keepdims=keepdims), theirs(array, axis=axes, keepdims=keepdims))
    x = leaf(array)
    y = tg.sum(x * x, axis=axes, keepdims=keepdims)
    w = numbers(*y.shape, seed=1)
    kept = np.sum(array, axis=axes, keepdims=True).shape
    close(tg.grad(y, x, w), 2 * array * w.reshape(kept))


shapes, small = nps.array_shapes(min_dims=1, max_dims=4, max_side=5), nps.array_shapes(max_dims=2)


@few
@given(shapes.flatmap(lambda s: st.tuples(st.just(s), nps.basic_indices(s, allow_newaxis=True))))
def test_basic_indexing(case):
    indexed(*case)


@few
@given(shapes.flatmap(lambda s: st.tuples(st.just(s), nps.integer_array_indices(s, result_shape=small))))
def test_indexing_with_integer_arrays(case):
    indexed(*case)


@few
@given(shapes.flatmap(lambda s: st.tuples(st.just(s), nps.arrays(bool, s))))
def test_indexing_with_masks(case):
    indexed(*case)


def indexed(shape: tuple[int, ...], index) -> None:
    """Values as NumPy's; the gradient adds up what was taken several times."""
    array = numbers(*shape)
    expected = array[index]
    x = leaf(array)
    y = x[index]
    close(y, expected)
    w = numbers(*expected.shape, seed=1)
    full = np.zeros(shape)
    np.add.at(full, index, w)
    close(tg.grad(y, x, w), full)


@few
@given(shapes, st.data())
def test_moving_axes_and_reshaping_are_undone(shape, data):
    order = data.draw(st.permutations(range(len(shape))))
    array = numbers(*shape)
    x = leaf(array)
    y = tg.permute_dims(x, tuple(order)).reshape(-1)
    close(y, array.transpose(order).reshape(-1))
    w = numbers(array.size, seed=1)
    close(tg.grad(y, x, w), w.reshape([shape[i] for i in order]).transpose(np.argsort(order)))


# ---- windows ---------------------------------------------------------------------------------------------------------
geometry = st.fixed_dictionaries(
    {
        "size": st.tuples(st.integers(1, 6), st.integers(1, 6)),
        "kernel": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "stride": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "padding": st.tuples(st.integers(0, 2), st.integers(0, 2)),
        "dilation": st.tuples(st.integers(1, 2), st.integers(1, 2)),
    }
)


def windows(image: np.ndarray, kernel, stride, padding, dilation, fill=0.0) -> np.ndarray | None:
    """(N, C, H, W) -> (N, C, out, out, kernel, kernel), by a plain loop; None when no window fits."""
    image = np.pad(image, [(0, 0), (0, 0), *((p, p) for p in padding)], constant_values=fill)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    out = [(n - r) // s + 1 for n, r, s in zip(image.shape[2:], reach, stride, strict=True)]
    if min(out) < 1:
        return None
    found = np.zeros((*image.shape[:2], *out, *kernel))
    for i, j, u, v in itertools.product(*map(range, (*out, *kernel))):
        row, column = i * stride[0] + u * dilation[0], j * stride[1] + v * dilation[1]
        found[:, :, i, j, u, v] = image[:, :, row, column]
    return found


@few
@given(geometry, st.sampled_from([(1, 1, 1), (2, 4, 1), (2, 4, 2), (4, 4, 4)]))
def test_convolution_geometry(g, channels):
    inside, outside, groups = channels
    image, kernel = numbers(2, inside, *g["size"]), numbers(outside, inside // groups, *g["kernel"], seed=1)
    seen = windows(image, g["kernel"], g["stride"], g["padding"], g["dilation"])
    options = {name: g[name] for name in ("stride", "padding", "dilation")} | {"groups": groups}
    if seen is None:
        with pytest.raises(tg.ShapeError, match="conv2d"):
            tg.conv2d(tg.tensor(image), tg.tensor(kernel), **options)
        return
    seen = seen.reshape(2, groups, inside // groups, *seen.shape[2:])
    expected = np.einsum("ngcijuv,gkcuv->ngkij", seen, kernel.reshape(groups, outside // groups, *kernel.shape[1:]))
    expected = expected.reshape(2, outside, *seen.shape[3:5])
    x, w = leaf(image), leaf(kernel)
    y = tg.conv2d(x, w, **options)
    close(y, expected)
    weights = numbers(*expected.shape, seed=2)
    gx, gw = tg.grad(y, (x, w), weights)
    total = np.sum(expected * weights)  # linear in both: <y, g> = <x, gx> = <w, gw>
    np.testing.assert_allclose([np.sum(gx.numpy() * image), np.sum(gw.numpy() * kernel)], [total, total], rtol=1e-10)


@few
@given(geometry)
def test_pooling_geometry(g):
    assume(all(p <= k // 2 for p, k in zip(g["padding"], g["kernel"], strict=True)))
    image = np.random.default_rng(0).permutation(2 * 3 * np.prod(g["size"])).reshape(2, 3, *g["size"]).astype(float)
    seen = windows(image, g["kernel"], g["stride"], g["padding"], g["dilation"], fill=-np.inf)
    assume(seen is not None)
    x = leaf(image)
    y = tg.max_pool2d(x, g["kernel"], stride=g["stride"], padding=g["padding"], dilation=g["dilation"])
    expected = seen.max((-1, -2))
    close(y, expected)
    weights = numbers(*expected.shape, seed=1)
    hits = np.zeros_like(image)
    for n, c in itertools.product(range(2), range(3)):
        for value, weight in zip(expected[n, c].ravel(), weights[n, c].ravel(), strict=True):
            hits[n, c][image[n, c] == value] += weight
    close(tg.grad(y, x, weights), hits)
