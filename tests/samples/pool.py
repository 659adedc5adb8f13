"""Cases of ops/pool.py. The references look at every window by itself."""

import math
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.ops import pool, window
from tensorgraph.ops.window import Pool
from tests.samples import A, Complex, E, Given, Ints, Pos, S
from tests.samples.conv import each


def reach(n, k, s, p, d, ceil):
    """How many windows there are along an axis."""
    span = (n + sum(p) - d * (k - 1) - 1) / s
    out = (math.ceil(span) if ceil else math.floor(span)) + 1
    return out - 1 if ceil and (out - 1) * s >= n + p[0] else out


def over_windows(reduce):
    """A reference that calls `reduce(values, indices, counted)` for every window of every plane."""

    def reference(x, kernel_size, stride=None, padding: Any = 0, dilation=1, ceil_mode=False, **rest):
        n = reference.axes
        if x.ndim == n + 1:
            y = reference(x[None], kernel_size, stride, padding, dilation, ceil_mode, **rest)
            return tuple(part[0] for part in y) if isinstance(y, tuple) else y[0]
        kernel = each(kernel_size, n)
        stride, dilation = each(kernel if stride is None else stride, n), each(dilation, n)
        padding = [p if isinstance(p, tuple) else (p, p) for p in each(padding, n)]
        sizes = x.shape[2:]
        out = [reach(*axis, ceil_mode) for axis in zip(sizes, kernel, stride, padding, dilation, strict=True)]
        planes = x.reshape(-1, *sizes)
        results = []
        for plane in planes:
            for place in np.ndindex(*out):
                starts = [o * s - p[0] for o, s, p in zip(place, stride, padding, strict=True)]
                cells = [
                    tuple(a + t * d for a, t, d in zip(starts, tap, dilation, strict=True))
                    for tap in np.ndindex(*kernel)
                ]
                counted = sum(all(a < n + p[1] for a, n, p in zip(c, sizes, padding, strict=True)) for c in cells)
                cells = [c for c in cells if all(0 <= a < n for a, n in zip(c, sizes, strict=True))]
                flat = [int(np.ravel_multi_index(c, sizes)) for c in cells]
                results.append(reduce(plane.ravel()[flat], flat, counted, **rest))
        shape = (*x.shape[:2], *out)
        if isinstance(results[0], tuple):
            return tuple(np.array(part).reshape(shape) for part in zip(*results, strict=True))
        return np.array(results, dtype=x.dtype).reshape(shape)

    return reference


def axes(n, reduce):
    reference = over_windows(reduce)
    reference.axes = n
    return reference


def largest(values, flat, counted, return_indices=False):
    best = int(np.argmax(values))
    return (values[best], flat[best]) if return_indices else values[best]


def average(values, flat, counted, count_include_pad=True, divisor_override=None):
    return values.sum() / (divisor_override or (counted if count_include_pad else len(values)))


def lp(n):
    def reference(x, p, kernel_size, stride=None, ceil_mode=False, padding: Any = 0, dilation=1):
        size = math.prod(each(kernel_size, n))
        return axes(n, lambda v, flat, counted: (np.sum(v**p) * size / counted) ** (1 / p))(
            x, kernel_size, stride, padding, dilation, ceil_mode
        )

    return reference


def spans(n, out):
    return [slice(i * n // out, -(-(i + 1) * n // out)) for i in range(out)]


def adaptive(n, reduce):
    def reference(x, output_size, **rest):
        if x.ndim == n + 1:
            y = reference(x[None], output_size, **rest)
            return tuple(part[0] for part in y) if isinstance(y, tuple) else y[0]
        sizes = x.shape[2:]
        out = [m or s for m, s in zip(each(output_size, n), sizes, strict=True)]
        numbers = np.arange(math.prod(sizes)).reshape(sizes)
        results = []
        for plane in x.reshape(-1, *sizes):
            for place in np.ndindex(*out):
                cut = tuple(spans(s, m)[i] for s, m, i in zip(sizes, out, place, strict=True))
                results.append(reduce(plane[cut].ravel(), list(numbers[cut].ravel()), 0, **rest))
        shape = (*x.shape[:2], *out)
        if isinstance(results[0], tuple):
            return tuple(np.array(part).reshape(shape) for part in zip(*results, strict=True))
        return np.array(results).reshape(shape)

    return reference


def unpool(n, size):
    def reference(x, indices, *_, **__):
        y = np.zeros((*x.shape[:-n], math.prod(size)))
        lead = x.shape[:-n]
        for place in np.ndindex(*x.shape):
            y[(*place[: len(lead)], indices[place])] = x[place]
        return y.reshape(*lead, *size)

    return reference


def response(x, size, alpha=1e-4, beta=0.75, k=1.0):
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        near = x[:, max(0, c - size // 2) : c + (size - 1) // 2 + 1]
        y[:, c] = x[:, c] / (k + alpha * (near**2).sum(axis=1) / size) ** beta
    return y


def taken(source, image):
    """What is read where the maxima of another image are: second derivatives of max_pool2d need it."""
    how = Pool(window.how("max_pool2d", 2, None, 0, 1), 2)
    return pool._max_take(source, pool._max_pool(image, pool=how)[1], pool=how)


def read(source, image):
    at = axes(2, largest)(image, 2, return_indices=True)[1]
    return np.take_along_axis(source.reshape(*source.shape[:2], -1), at.reshape(*at.shape[:2], -1), 2).reshape(at.shape)


max1, max2, max3 = (axes(n, largest) for n in (1, 2, 3))
avg1, avg2, avg3 = (axes(n, average) for n in (1, 2, 3))
TIES = Given(np.array([[[3.0, 3, 1, 0], [3, 3, 0, 1], [2, 2, 5, 4], [1, 2, 5, 5]]]), differentiable=False)
IMAGE = Given(np.random.default_rng(0).permutation(48).reshape(1, 2, 4, 6) / 48, differentiable=False)
NANS = Given(
    [[[[1, np.nan, 0, 2], [np.nan, 3, -np.inf, -np.inf], [4, 5, np.nan, 9], [6, 7, 8, 9.0]]]], differentiable=False
)
LOW = Given(np.full((1, 1, 3, 3), -np.inf), differentiable=False)
AT = np.array([[[[0, 3], [9, 14]]]])

SAMPLES = [
    S("max_pool2d", A(2, 3, 4, 6), 2, ref=max2),
    S("max_pool2d", A(2, 2, 5, 7), 3, kw=dict(stride=2, padding=1), ref=max2),
    S("max_pool2d", A(1, 2, 6, 5), (3, 2), kw=dict(stride=(2, 3), padding=(1, 0), ceil_mode=True), ref=max2),
    S("max_pool2d", A(1, 2, 7, 6), 2, kw=dict(stride=1, dilation=(3, 2)), ref=max2),
    S(
        "max_pool2d",
        A(3, 4, 5),
        2,
        kw=dict(padding="same"),
        ref=lambda x, k, padding: max2(x, k, padding=[(0, 0), (0, 1)]),
    ),
    S("max_pool2d", A(2, 5, 4), (2, 3), kw=dict(stride=1, return_indices=True), ref=max2),
    S("max_pool2d", TIES, 2, kw=dict(return_indices=True), ref=max2, grad=False),
    S("max_pool2d", Ints(1, 2, 4, 4, high=9), 2, kw=dict(padding=1, return_indices=True), ref=max2, grad=False),
    S("max_pool2d", NANS, 2, kw=dict(stride=1, return_indices=True), ref=max2, grad=False),
    S("max_pool2d", NANS, 2, kw=dict(return_indices=True), ref=max2, grad=False),
    S("max_pool2d", LOW, 3, kw=dict(stride=1, padding=1, return_indices=True), ref=max2, grad=False),
    S("max_pool2d", A(1, 2, 4, 5), 3, kw=dict(stride=1, padding=2, return_indices=True), ref=max2),
    S("max_pool1d", A(2, 3, 7), 3, kw=dict(stride=2, padding=1), ref=max1),
    S("max_pool1d", A(3, 6), 2, kw=dict(return_indices=True), ref=max1),
    S("max_pool3d", A(1, 2, 3, 4, 5), 2, kw=dict(stride=(1, 2, 2), padding=1), ref=max3),
    S("max_take", A(1, 2, 4, 6), IMAGE, f=taken, ref=read),
    S("avg_pool2d", A(2, 3, 4, 6), 2, ref=avg2),
    S("avg_pool2d", A(1, 2, 5, 6), 3, kw=dict(stride=2, padding=1), ref=avg2),
    S("avg_pool2d", A(1, 2, 5, 6), 3, kw=dict(stride=2, padding=1, count_include_pad=False), ref=avg2),
    S("avg_pool2d", A(1, 2, 6, 5), (3, 2), kw=dict(stride=(2, 3), padding=(1, 0), ceil_mode=True), ref=avg2),
    S("avg_pool2d", A(2, 4, 5), 2, kw=dict(divisor_override=3), ref=avg2),
    S("avg_pool2d", Complex(1, 2, 4, 4), 2, kw=dict(stride=1), ref=avg2),
    S("avg_pool2d", A(1, 2, 5, 6), 3, kw=dict(stride=1, padding=2, count_include_pad=False), ref=avg2),
    S("avg_pool2d", A(1, 2, 6, 8), (2, 3), kw=dict(stride=2, dilation=(3, 2), padding=1, ceil_mode=True), ref=avg2),
    S("avg_pool2d", A(1, 1, 6, 7), 2, kw=dict(dilation=3, padding=2, count_include_pad=False), ref=avg2),
    S("avg_pool1d", A(1, 2, 7), 3, kw=dict(stride=1, dilation=2), ref=avg1),
    S("avg_pool3d", A(1, 1, 3, 4, 5), 2, kw=dict(stride=1, dilation=(1, 2, 3)), ref=avg3),
    S("avg_pool1d", A(2, 3, 7), 3, kw=dict(stride=2, padding=1, ceil_mode=True), ref=avg1),
    S("avg_pool3d", A(1, 2, 3, 4, 5), 2, kw=dict(stride=(1, 2, 2), padding=1), ref=avg3),
    S("lp_pool2d", Pos(1, 2, 4, 5), 2, 2, ref=lp(2)),
    S(
        "lp_pool2d",
        Pos(2, 5, 5),
        3,
        (2, 3),
        kw=dict(stride=2, ceil_mode=True),
        ref=lambda x, *a, **kw: lp(2)(x[None], *a, **kw)[0],
    ),
    S("lp_pool2d", Pos(1, 2, 5, 6), 2, 3, kw=dict(stride=2, padding=((1, 0), (2, 1))), ref=lp(2)),
    S("lp_pool2d", Pos(1, 1, 6, 7), 2, 2, kw=dict(stride=1, padding=1, dilation=(2, 3)), ref=lp(2)),
    S("lp_pool1d", A(1, 2, 6), 2, 3, kw=dict(stride=1), ref=lp(1)),
    S("lp_pool1d", Pos(1, 2, 6), 3, 3, kw=dict(stride=1, padding=1, dilation=2), ref=lp(1)),
    S("lp_pool3d", Pos(1, 1, 2, 4, 4), 2, 2, ref=lp(3)),
    S("lp_pool3d", Pos(1, 1, 2, 3, 3), 2, 2, kw=dict(stride=1, padding=1), ref=lp(3)),
    S("adaptive_max_pool2d", A(2, 2, 5, 7), (2, 3), ref=adaptive(2, largest)),
    S("adaptive_max_pool2d", A(2, 4, 6), 2, kw=dict(return_indices=True), ref=adaptive(2, largest)),
    S("adaptive_max_pool2d", A(1, 2, 5, 4), (3, None), kw=dict(return_indices=True), ref=adaptive(2, largest)),
    S("adaptive_max_pool1d", A(2, 3, 7), 3, ref=adaptive(1, largest)),
    S("adaptive_max_pool3d", A(1, 2, 3, 4, 5), 2, ref=adaptive(3, largest)),
    S("max_unpool2d", A(1, 1, 2, 2), AT, 2, ref=unpool(2, (4, 4))),
    S("max_unpool2d", A(1, 2, 2), AT[0], 2, kw=dict(output_size=(5, 4)), ref=unpool(2, (5, 4))),
    S("max_unpool2d", A(1, 1, 2, 2), np.zeros((1, 1, 2, 2), int), 2, kw=dict(stride=1), ref=unpool(2, (3, 3))),
    S("max_unpool1d", A(1, 2, 3), np.array([[[0, 2, 5], [1, 3, 4]]]), 2, ref=unpool(1, (6,))),
    S("max_unpool3d", A(1, 1, 1, 1, 2), np.array([[[[[3, 9]]]]]), 2, kw=dict(padding=0), ref=unpool(3, (2, 2, 4))),
    S("global_avg_pool", A(2, 3, 4, 2), ref=lambda x: x.mean((2, 3), keepdims=True)),
    S("global_max_pool", A(2, 3, 4), ref=lambda x: x.max(2, keepdims=True)),
    S("local_response_norm", A(2, 5, 3), 3, kw=dict(alpha=0.5, beta=0.6, k=1.5), ref=response),
    S("local_response_norm", A(1, 4, 2, 2), 4, ref=response),
]

X = A(2, 3, 6, 6)
ERRORS = [
    E("max_pool2d", A(6, 6), 2, error=tg.ShapeError, match=r"has 2 axes \(6, 6\), expected \(N, C, H, W\)"),
    E(
        "max_pool2d",
        X,
        2,
        kw=dict(padding=2),
        error=tg.ArgumentError,
        match=r"padding=2 is too much for the kernel \(2, 2\)",
    ),
    E("max_pool2d", X, 7, error=tg.ShapeError, match=r"no pixel: input \(6, 6\), kernel \(7, 7\)"),
    E("max_pool2d", X, 0, error=tg.ArgumentError, match="kernel_size=0 must be at least 1"),
    E("max_pool2d", X, 2, kw=dict(stride=0), error=tg.ArgumentError, match="stride=0 must be at least 1"),
    E("max_pool2d", X, (2, 2, 2), error=tg.ArgumentError, match="3 entries for 2 spatial axes"),
    E("max_pool2d", X, 2.5, error=tg.DtypeError, match="kernel_size=2.5 must be whole numbers"),
    E("max_pool2d", Complex(1, 1, 2, 2), 2, error=tg.DtypeError, match="complex numbers have no order"),
    E(
        "max_pool3d",
        X,
        2,
        error=tg.ShapeError,
        match=r"expected \(N, C, D, H, W\)",
        f=lambda x, k: tg.max_pool3d(x[0, 0], k),
    ),
    E("avg_pool2d", X, 2, kw=dict(divisor_override=0), error=tg.ArgumentError, match="must not be 0"),
    E("avg_pool1d", A(3), 2, error=tg.ShapeError, match=r"expected \(N, C, L\) or \(C, L\)"),
    E("adaptive_max_pool2d", A(6, 6), 2, error=tg.ShapeError, match="has 2 axes"),
    E("adaptive_max_pool2d", X, (2, 2, 2), error=tg.ArgumentError, match="output_size=.* one size from 1 up, or None"),
    E("adaptive_max_pool2d", X, 0, error=tg.ArgumentError, match="output_size=0"),
    E("adaptive_max_pool1d", A(2, 3, 0), 2, error=tg.ShapeError, match="has no pixel"),
    E("max_unpool2d", A(1, 1, 2, 2), AT[0], 2, error=tg.ShapeError, match="indices are .1, 2, 2.* twice"),
    E(
        "max_unpool2d",
        A(1, 1, 2, 2),
        AT,
        2,
        kw=dict(output_size=(9, 4)),
        error=tg.ShapeError,
        match=r"output_size=\(9, 4\), expected \(4, 4\)",
    ),
    E("local_response_norm", A(2, 3), 3, error=tg.ShapeError, match=r"expected \(N, C, ...\)"),
]
