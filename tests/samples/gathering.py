"""Cases of ops/gathering.py."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, Bools, E, Given, Ints, S

ROWS = np.array([2, 0, 2])
ALONG = np.array([[0, 3, 3], [2, 2, 1]])  # into an axis of size 4
DOWN = np.array([[1, 0, 1]])  # into an axis of size 2
MASK = np.array([[True, False, True], [False, False, True]])


def gather(x, axis, index):
    y = np.empty(index.shape)
    for place in np.ndindex(*index.shape):
        y[place] = x[tuple(index[place] if d == axis % x.ndim else p for d, p in enumerate(place))]
    return y


def scatter(x, axis, index, source, add=False):
    y = x.copy()
    source = np.broadcast_to(source, index.shape) if np.ndim(source) == 0 else source
    for place in np.ndindex(*index.shape):
        to = tuple(index[place] if d == axis % x.ndim else p for d, p in enumerate(place))
        y[to] = y[to] + source[place] if add else source[place]
    return y


def scatter_reduce(x, axis, index, source, reduce, include_self=True):
    """Place by place, from lists of what arrives there."""
    arrived = {place: [x[place]] if include_self else [] for place in np.ndindex(*x.shape)}
    for place in np.ndindex(*index.shape):
        to = tuple(index[place] % x.shape[d] if d == axis % x.ndim else p for d, p in enumerate(place))
        arrived[to].append(source[place])
    combine = getattr(np, reduce)
    return np.array([combine(some) if some else x[place] for place, some in arrived.items()]).reshape(x.shape)


def along(x, indices, values, axis):
    y = x.copy()
    np.put_along_axis(y, indices, values, axis)
    return y


def at(x, axis, index, values, add=False):
    y = np.moveaxis(x.copy(), axis, 0)
    values = np.moveaxis(values, axis, 0) if np.ndim(values) else values
    if add:
        np.add.at(y, index, values)
    else:
        y[index] = values
    return np.moveaxis(y, 0, axis)


def fill_from(x, mask, source):
    y = x.copy()
    mask = np.broadcast_to(mask, x.shape)
    y[mask] = source.ravel()[: mask.sum()]
    return y


SAMPLES = [
    S("take", A(3, 4), ROWS, kw=dict(axis=0), ref=np.take),
    S("take", A(2, 4, 3), ALONG, kw=dict(axis=1), ref=np.take),
    S("take", A(3, 4), [5, -1, 5], ref=np.take),
    S("take", A(3, 4), np.array(1), kw=dict(dim=-1), ref=lambda x, i, dim: np.take(x, i, dim)),
    S("take", A(3, 4), [], kw=dict(axis=0), ref=lambda x, i, axis: np.zeros((0, 4))),
    S("index_select", A(2, 3), 1, ROWS, ref=lambda x, axis, i: x[:, i]),
    S("index_select", A(3, 2), 0, np.array(1), ref=lambda x, axis, i: x[[1]]),
    S("index_add", A(2, 3), 1, ROWS, A(2, 3), ref=lambda x, axis, i, v: at(x, axis, i, v, True)),
    S(
        "index_add",
        A(3, 2),
        0,
        np.array([1]),
        A(1, 2),
        kw=dict(alpha=-2),
        ref=lambda x, axis, i, v, alpha: at(x, axis, i, alpha * v, True),
    ),
    S("index_copy", A(3, 2), 0, ROWS, A(3, 2), ref=at),
    S("index_copy", A(2, 3), -1, np.array([1, 0]), A(2, 2), ref=at),
    S("index_fill", A(2, 3), 1, np.array([2, 0]), 0.5, ref=at),
    S("index_fill", A(3, 2), 0, np.array([1]), A(), ref=at),
    S("take_along_axis", A(2, 4), ALONG, 1, ref=np.take_along_axis),
    S("take_along_axis", A(2, 3), DOWN, 0, ref=np.take_along_axis),
    S("take_along_axis", A(2, 4), np.array([[1, 0]]), ref=lambda x, i: np.take_along_axis(x, i, -1)),
    S("put_along_axis", A(2, 4), ALONG, A(2, 3), 1, ref=along),
    S("put_along_axis", A(2, 3), DOWN, 0.5, 0, ref=along),
    S("gather", A(2, 4), 1, ALONG, ref=gather),
    S("gather", A(3, 5), kw=dict(dim=1, index=ALONG), ref=lambda x, dim, index: gather(x, dim, index)),
    S("gather", A(4, 5), -2, ALONG, ref=gather),
    S("gather", A(3), 0, np.zeros((2, 0), np.int64), ref=lambda x, axis, i: np.zeros((2, 0))),
    S("gather", A(), 0, np.array([0, 0]), ref=lambda x, axis, i: x[None][i]),
    S("scatter", A(), -1, np.array(0), A(), ref=lambda x, axis, i, v: v, why="all of x is replaced"),
    S("index_add", A(), 0, np.array([0]), A(), ref=lambda x, axis, i, v: x + v),
    S("scatter", A(2, 4), 1, ALONG, A(2, 3), ref=scatter),
    S("scatter", A(3, 5), 1, ALONG, A(3, 4), ref=scatter),
    S("scatter", A(4, 3), 0, ALONG, 0.5, ref=scatter),
    S("scatter_add", A(2, 4), 1, ALONG, A(2, 3), ref=lambda *a: scatter(*a, add=True)),
    S("scatter_add", A(4, 5), 0, ALONG, A(2, 4), ref=lambda *a: scatter(*a, add=True)),
    S("masked_fill", A(2, 3), MASK, 0.5, ref=lambda x, m, v: np.where(m, v, x)),
    S("masked_fill", A(2, 3), np.array([True, False, True]), A(), ref=lambda x, m, v: np.where(m, v, x)),
    S("masked_fill", A(3), MASK, 0.5, ref=lambda x, m, v: np.where(m, v, x)),
    *(
        S("scatter_reduce", A(4, 2), 0, np.array([[1, 0], [1, 3], [-3, 3]]), A(3, 2), how, kw=kw, ref=scatter_reduce)
        for how in ("sum", "prod", "mean", "amax", "amin")
        for kw in ({}, dict(include_self=False))
    ),
    S(
        "scatter_reduce",
        A(2, 3),
        kw=dict(dim=-1, index=np.array([[1, 1]]), source=A(2, 2), reduce="prod"),
        ref=lambda x, dim, index, source, reduce: scatter_reduce(x, dim, index, source, reduce),
    ),
    S(
        "scatter_reduce",
        Given([0.0, 2.0]),
        0,
        np.array([0, 1, 1, 1]),
        Given([3.0, 0.0, 4.0, 5.0]),
        "prod",
        ref=scatter_reduce,
    ),
    S("scatter_reduce", A(3, 2), 0, np.zeros((0, 2), int), A(0, 2), "amax", ref=scatter_reduce),
    *(
        S(
            "scatter_reduce",
            np.array([3, 9, 2], t),
            0,
            np.array([1, 1, 2]),
            np.array([4, 5, 0], t),
            how,
            grad=False,
            ref=scatter_reduce,
        )
        for t, how in (("int64", "amax"), ("uint8", "amin"), ("int64", "prod"))
    ),
    S(
        "scatter_reduce",
        np.array([1.0, 2.0]),
        0,
        np.array([0, 0]),
        np.array([np.nan, -1.0]),
        "amin",
        ref=lambda *_: np.array([np.nan, 2.0]),
        grad=False,
    ),
    S("masked_select", A(2, 3), MASK, ref=lambda x, m: x[m]),
    S("masked_select", A(3), MASK, ref=lambda x, m: np.broadcast_to(x, m.shape)[m]),
    S("masked_scatter", A(2, 3), MASK, A(2, 2), ref=fill_from),
    S("masked_scatter", A(2, 3), np.array([[True], [False]]), A(3), ref=fill_from),
    S("masked_scatter", A(3), MASK, A(4), ref=lambda x, m, v: fill_from(np.broadcast_to(x, m.shape), m, v)),
    S("one_hot", Ints(2, 3, high=4), 4, ref=lambda x, n: np.eye(n, dtype=int)[x], grad=False),
    S("one_hot", np.array([2, 0]), ref=lambda x: np.eye(3, dtype=int)[x], grad=False),
    S("one_hot", np.array(1), 3, kw=dict(dtype="float32"), ref=lambda x, n, dtype: np.eye(3)[x], grad=False),
    S("embedding", np.array([[1, 0, 1], [3, 1, 0]]), A(4, 2), ref=lambda i, w: w[i]),
    S("embedding", np.zeros((0, 2), np.int64), A(4, 2), ref=lambda i, w: w[i]),
]

ERRORS = [
    E("scatter_reduce", A(3), 0, np.array([0]), A(1), "max", error=tg.ArgumentError, match="(?s)reduce 'max'.*amax"),
    E("scatter_reduce", A(3), 0, np.array([3]), A(1), "prod", error=tg.OutOfRangeError, match="scatter_reduce: .*3"),
    E("scatter_reduce", A(3), 0, np.array([0, 1]), A(1), "sum", error=tg.ShapeError, match="smaller than the index"),
    E("take", A(3, 4), [3], 0, error=tg.OutOfRangeError, match="take: index 3 is out of bounds for axis 0 with size 3"),
    E("take", A(3, 4), [0, -5], 1, error=tg.OutOfRangeError, match="take: index -5"),
    E("take", A(3, 4), [0], 2, error=tg.AxisError, match="take: axis 2 is out of range"),
    E("take", A(3, 4), Given([0.0, 1.0]), 0, error=tg.DtypeError, match="take: indices are integers, got f32.2."),
    E("take", A(3, 4), Bools(3), 0, error=tg.DtypeError, match="take: indices are integers, got bool.3."),
    E("index_select", A(3, 4), 0, ALONG, error=tg.ShapeError, match="index_select: the index is i64.2,3."),
    E("index_add", A(3), 0, np.array([3]), A(1), error=tg.OutOfRangeError, match="index_add: index 3"),
    E("index_add", A(3), 0, np.array([0, 1]), A(3), error=tg.ShapeError, match="index_add: values f32.3. do not fit"),
    E("index_copy", A(3), 0, np.array([0, 3]), A(2), error=tg.OutOfRangeError, match="index_copy: index 3"),
    E("index_fill", A(3), 0, np.array([-4]), 0.0, error=tg.OutOfRangeError, match="index_fill: index -4"),
    E("take_along_axis", A(2, 3), ROWS, error=tg.ShapeError, match="take_along_axis: i64.3. must .* have as many axes"),
    E("take_along_axis", A(2, 3), ALONG, 1, error=tg.OutOfRangeError, match="take_along_axis: index 3"),
    E("put_along_axis", A(2, 3), ALONG, 0.0, 1, error=tg.OutOfRangeError, match="put_along_axis: index 3"),
    E("gather", A(2, 3), 0, ROWS, error=tg.ShapeError, match="gather: the index is i64.3., it needs as many axes"),
    E(
        "gather",
        A(2, 2),
        0,
        ALONG,
        error=tg.ShapeError,
        match="gather: the index i64.2,3. is larger than f32.2,2. along axis 1",
    ),
    E("gather", A(2, 3), 1, ALONG, error=tg.OutOfRangeError, match="gather: index 3"),
    E("scatter", A(2, 3), 1, ALONG, 0.0, error=tg.OutOfRangeError, match="scatter: index 3"),
    E(
        "scatter",
        A(2, 4),
        1,
        ALONG,
        A(2, 2),
        error=tg.ShapeError,
        match="scatter: the source f32.2,2. is smaller than the index",
    ),
    E("scatter_add", A(2, 3), 1, ALONG, A(2, 3), error=tg.OutOfRangeError, match="scatter_add: index 3"),
    E("masked_fill", A(2), MASK, 0.0, error=tg.ShapeError, match="masked_fill: shapes do not broadcast"),
    E("masked_select", A(2), MASK, error=tg.ShapeError, match="masked_select: the shapes"),
    E("masked_scatter", A(2, 3), MASK, A(2), error=tg.ShapeError, match="masked_scatter: the mask holds 3 times"),
    E("one_hot", np.array([0, 3]), 3, error=tg.OutOfRangeError, match="one_hot: class 3 is none of 3"),
    E("one_hot", np.array([0, -1]), error=tg.OutOfRangeError, match="one_hot: class -1"),
    E("one_hot", A(2), 3, error=tg.DtypeError, match="one_hot: classes are integers"),
    E("one_hot", np.zeros(0, np.int64), error=tg.ShapeError, match="one_hot: .* no class to count"),
    E("embedding", np.array([4]), A(4, 2), error=tg.OutOfRangeError, match="embedding: index 4"),
    E("embedding", A(2), A(4, 2), error=tg.DtypeError, match="embedding: indices are integers"),
    E("embedding", np.array([0]), A(4), error=tg.ShapeError, match="embedding: the weight is f32.4."),
    E("embedding", np.array([0]), A(4, 2), 4, error=tg.OutOfRangeError, match="embedding: padding_idx 4"),
]
