"""Cases of ops/conv.py. The references visit every window and every tap, one number at a time."""

from itertools import product

import numpy as np

import tensorgraph as tg
from tests.samples import A, Complex, E, S


def each(value, n):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * n


def pads(padding, sizes, kernel, stride, dilation):
    n = len(sizes)
    if padding == "valid":
        return [(0, 0)] * n
    if not isinstance(padding, str):
        return [p if isinstance(p, tuple) else (p, p) for p in each(padding, n)]
    found = []
    for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
        out = int(np.ceil(size / s))
        total = d * (k - 1) if padding == "same_symmetric" else max((out - 1) * s + d * (k - 1) + 1 - size, 0)
        less, more = total // 2, total - total // 2
        found.append((more, less) if padding == "same_lower" else (less, more))
    return found


def windows(sizes, kernel, stride, padding, dilation):
    """Output position, tap and input position of everything that meets an input."""
    out = [
        (n + sum(p) - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(sizes, kernel, stride, padding, dilation, strict=True)
    ]
    for place, tap in product(np.ndindex(*out), np.ndindex(*kernel)):
        at = tuple(o * s + t * d - p[0] for o, s, t, d, p in zip(place, stride, tap, dilation, padding, strict=True))
        if all(0 <= a < n for a, n in zip(at, sizes, strict=True)):
            yield place, tap, at


def conv(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    if x.ndim < w.ndim:
        return conv(x[None], w, b, stride, padding, dilation, groups)[0]
    n, kernel, sizes = w.ndim - 2, w.shape[2:], x.shape[2:]
    stride, dilation = each(stride, n), each(dilation, n)
    padding = pads(padding, sizes, kernel, stride, dilation)
    out = [
        (i + sum(p) - d * (k - 1) - 1) // s + 1
        for i, k, s, p, d in zip(sizes, kernel, stride, padding, dilation, strict=True)
    ]
    y = np.zeros((len(x), len(w), *out), np.result_type(x, w))
    for place, tap, at in windows(sizes, kernel, stride, padding, dilation):
        for k in range(len(w)):
            for c in range(w.shape[1]):
                channel = k // (len(w) // groups) * w.shape[1] + c
                y[(slice(None), k, *place)] += x[(slice(None), channel, *at)] * w[(k, c, *tap)]
    return y if b is None else y + b.reshape(-1, *[1] * n)


def rectified(*arrays, activation, **settings):
    return np.maximum(conv(*arrays, **settings), 0)


def transposed(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    if x.ndim < w.ndim:
        return transposed(x[None], w, b, stride, padding, output_padding, groups, dilation)[0]
    n, kernel = w.ndim - 2, w.shape[2:]
    stride, dilation, extra = each(stride, n), each(dilation, n), each(output_padding, n)
    padding = pads(padding, x.shape[2:], kernel, stride, dilation)
    sizes = [
        (i - 1) * s - sum(p) + d * (k - 1) + e + 1
        for i, s, p, d, k, e in zip(x.shape[2:], stride, padding, dilation, kernel, extra, strict=True)
    ]
    y = np.zeros((len(x), w.shape[1] * groups, *sizes), np.result_type(x, w))
    for place, tap, at in windows(sizes, kernel, stride, padding, dilation):
        if any(p >= i for p, i in zip(place, x.shape[2:], strict=True)):
            continue
        for k in range(len(w)):
            for c in range(w.shape[1]):
                channel = k // (len(w) // groups) * w.shape[1] + c
                y[(slice(None), channel, *at)] += x[(slice(None), k, *place)] * w[(k, c, *tap)]
    return y if b is None else y + b.reshape(-1, *[1] * n)


def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    if x.ndim == 3:
        return unfold(x[None], kernel_size, dilation, padding, stride)[0]
    kernel = each(kernel_size, 2)
    columns = x.shape[1] * kernel[0] * kernel[1]
    one_hot = np.eye(columns).reshape(columns, x.shape[1], *kernel)
    return conv(x, one_hot, None, stride, padding, dilation).reshape(len(x), columns, -1)


def fold(y, output_size, kernel_size, dilation=1, padding=0, stride=1):
    if y.ndim == 2:
        return fold(y[None], output_size, kernel_size, dilation, padding, stride)[0]
    kernel, size = each(kernel_size, 2), each(output_size, 2)
    shape = (y.shape[1] // (kernel[0] * kernel[1]), *size)
    pixels = np.eye(int(np.prod(shape))).reshape(-1, *shape)  # the adjoint, by all its columns
    matrix = unfold(pixels, kernel_size, dilation, padding, stride).reshape(len(pixels), -1)
    return (y.reshape(len(y), -1) @ matrix.T).reshape(len(y), *shape)


SAMPLES = [
    S("conv2d", A(2, 3, 5, 4), A(4, 3, 3, 2), A(4), ref=conv),
    S("conv2d", A(2, 6, 5, 5), A(2, 6, 3, 3), kw=dict(padding=1), ref=conv),
    S("conv2d", A(2, 3, 5, 4), A(4, 3, 3, 2), A(4), kw=dict(padding=1, activation="relu"), ref=rectified),
    S("conv2d", A(2, 4, 4), A(2, 1, 3, 3), kw=dict(groups=2, stride=2, padding=1, activation="relu"), ref=rectified),
    S("conv1d", A(2, 2, 5), A(3, 2, 3), A(3), kw=dict(activation="relu"), ref=rectified),
    S("conv2d", A(1, 2, 7, 6), A(3, 2, 3, 3), A(3), kw=dict(stride=2, padding=(1, 2)), ref=conv),
    S(
        "conv2d",
        A(1, 2, 6, 7),
        A(2, 2, 2, 3),
        kw=dict(stride=(1, 3), padding=[(2, 0), (0, 1)], dilation=(3, 2)),
        ref=conv,
    ),
    S("conv2d", A(2, 4, 4, 4), A(6, 2, 2, 2), A(6), kw=dict(groups=2, stride=2, padding=1), ref=conv),
    S("conv2d", A(2, 3, 4, 5), A(6, 1, 3, 2), A(6), kw=dict(groups=3, padding=1, stride=(2, 1)), ref=conv),
    S("conv2d", A(2, 6, 3, 3), A(4, 6, 1, 1), A(4), ref=conv),
    S("conv2d", A(3, 4, 4), A(2, 3, 2, 2), A(2), ref=conv),
    S("conv2d", A(0, 3, 4, 4), A(2, 3, 2, 2), A(2), ref=conv),
    S("conv2d", A(1, 2, 5, 4), A(2, 2, 2, 3), kw=dict(padding="valid"), ref=conv),
    S("conv2d", A(1, 1, 5, 6), A(2, 1, 4, 3), kw=dict(padding="same", stride=(2, 3)), ref=conv),
    S("conv2d", A(1, 1, 5, 6), A(2, 1, 4, 2), kw=dict(padding="same_lower", stride=2), ref=conv),
    S("conv2d", A(1, 1, 5, 6), A(2, 1, 4, 3), kw=dict(padding="same_symmetric", stride=2, dilation=2), ref=conv),
    S("conv2d", Complex(1, 2, 4, 4), Complex(3, 2, 2, 2), Complex(3), kw=dict(padding=1), ref=conv),
    S("conv1d", A(2, 3, 7), A(4, 3, 3), A(4), kw=dict(stride=2, padding=1, dilation=2), ref=conv),
    S("conv1d", A(5, 6), A(2, 5, 3), kw=dict(padding="same"), ref=conv),
    S("conv3d", A(1, 2, 3, 4, 3), A(2, 2, 2, 2, 2), A(2), kw=dict(padding=1, stride=(2, 1, 2)), ref=conv),
    S("conv3d", A(2, 3, 3, 4), A(2, 1, 3, 1, 2), kw=dict(groups=2, dilation=(1, 1, 2)), ref=conv),
    S("conv_transpose2d", A(2, 3, 3, 4), A(3, 2, 3, 2), A(2), ref=transposed),
    S(
        "conv_transpose2d",
        A(1, 4, 3, 3),
        A(4, 3, 3, 3),
        A(6),
        kw=dict(stride=2, padding=1, output_padding=1, groups=2),
        ref=transposed,
    ),
    S("conv_transpose2d", A(1, 2, 3, 3), A(2, 1, 2, 3), kw=dict(dilation=2, output_padding=1), ref=transposed),
    S("conv_transpose2d", A(2, 3, 3), A(2, 2, 2, 2), A(2), kw=dict(stride=3, padding=((1, 0), (0, 2))), ref=transposed),
    S("conv_transpose1d", A(2, 3, 4), A(3, 2, 3), A(2), kw=dict(stride=2, padding=1), ref=transposed),
    S("conv_transpose3d", A(1, 2, 2, 2, 3), A(2, 2, 2, 2, 2), A(2), kw=dict(stride=(1, 2, 1)), ref=transposed),
    S("unfold", A(2, 3, 5, 4), (2, 3), ref=unfold),
    S("unfold", A(2, 5, 4), 2, kw=dict(dilation=2, padding=1, stride=(2, 1)), ref=unfold),
    S("fold", A(2, 12, 6), (4, 3), 2, ref=fold),
    S("fold", A(8, 6), (5, 4), 2, kw=dict(dilation=2, padding=1, stride=(2, 2)), ref=fold),
]

X, W = A(2, 3, 6, 6), A(4, 3, 3, 3)
ERRORS = [
    E("conv2d", A(6, 6), W, error=tg.ShapeError, match=r"has 2 axes \(6, 6\), expected \(N, C, H, W\) or \(C, H, W\)"),
    E("conv2d", X, A(4, 3, 3), error=tg.ShapeError, match=r"weight has 3 axes .*expected \(K, C/groups, R, S\)"),
    E(
        "conv2d", X, A(6, 1, 3, 3), error=tg.ShapeError,
        match=r"has 3 channels, weight expects 1 \(.* = \(6, 1, 3, 3\), groups=1\)(.*\n)*.*groups=3 convolves",
    ),
    E("conv2d", A(2, 6, 6, 3), W, error=tg.ShapeError, match=r"6 channels, (.*\n)*.*channels come second"),
    E("conv2d", A(5, 6, 6), A(4, 1, 3, 3), error=tg.ShapeError, match=r"5 images of one channel are x\[:, None\]"),
    E("conv2d", A(2, 4, 5, 5), W, kw=dict(groups=2), error=tg.ShapeError, match=r"(.*\n)*.*weight \(4, 2, R, S\)"),
    E("conv2d", A(2, 6, 6, 6), A(3, 3, 2, 2), kw=dict(groups=2), error=tg.ShapeError, match="groups=2 does not divide"),
    E("conv2d", X, W, A(3), error=tg.ShapeError, match=r"bias is \(3,\), expected \(4,\): one per output channel"),
    E("conv2d", X, W, kw=dict(stride=0), error=tg.ArgumentError, match="stride=0 must be at least 1"),
    E("conv2d", X, W, kw=dict(stride=1.5), error=tg.DtypeError, match="stride=1.5 must be whole numbers"),
    E("conv2d", X, W, kw=dict(dilation=(1, 0)), error=tg.ArgumentError, match=r"dilation=\(1, 0\) must be at least 1"),
    E("conv2d", X, W, kw=dict(stride=(1, 2, 3)), error=tg.ArgumentError, match="3 entries for 2 spatial axes"),
    E("conv2d", X, W, kw=dict(groups=0), error=tg.ArgumentError, match="groups=0 must be at least 1"),
    E("conv2d", X, W, kw=dict(padding=-1), error=tg.ArgumentError, match="padding=-1 must be at least 0"),
    E("conv2d", X, W, kw=dict(padding="full"), error=tg.ArgumentError, match=r"padding 'full'(.*\n)*.*same_lower"),
    E("conv2d", X, W, kw=dict(padding=((1, 1),)), error=tg.ArgumentError, match=r"one \(before, after\) for each"),
    E(
        "conv2d", X, A(4, 3, 3, 9), error=tg.ShapeError,
        match=r"no pixel: input .*, kernel .3, 9.; .* axis 1 floor\(\(6 \+ 0 \+ 0 - 1\*\(9 - 1\) - 1\) / 1\) \+ 1 = -2",
    ),
    E("conv2d", X, A(4, 3, 0, 3), error=tg.ShapeError, match="a kernel without elements"),
    E("conv1d", X, W, error=tg.ShapeError, match=r"has 4 axes .*expected \(N, C, L\) or \(C, L\)"),
    E("conv3d", X, W, error=tg.ShapeError, match=r"weight has 4 axes .*expected \(K, C/groups, Q, R, S\)"),
    E("conv_transpose2d", X, W, error=tg.ShapeError, match="3 channels, weight expects 4 .* K are the input's"),
    E("conv_transpose2d", X, A(3, 2, 2, 2), A(3), error=tg.ShapeError, match=r"bias is \(3,\), expected \(2,\)"),
    E("conv_transpose2d", X, A(3, 2, 2, 2), kw=dict(padding="same"), error=tg.ArgumentError, match="no meaning here"),
    E("conv_transpose2d", X, A(3, 2, 2, 2), kw=dict(output_padding=1), error=tg.ArgumentError, match="must be smaller"),
    E("conv_transpose2d", A(1, 3, 1, 1), A(3, 2, 2, 2), kw=dict(padding=1), error=tg.ShapeError, match="no pixel"),
    E("conv_transpose1d", A(1, 3, 4), A(3, 2, 2, 2), error=tg.ShapeError, match="weight has 4 axes"),
    E("unfold", A(2, 3), 2, error=tg.ShapeError, match=r"has 2 axes"),
    E("unfold", X, 7, error=tg.ShapeError, match="no pixel"),
    E("fold", A(2, 12, 5), (4, 3), 2, error=tg.ShapeError, match=r"6 windows \(2, 2\), .* must be \(N, C \* 4, 6\)"),
    E("fold", A(12), (4, 3), 2, error=tg.ShapeError, match="input has 1 axes"),
]  # fmt: skip
