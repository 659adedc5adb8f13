"""Cases of ops/grid.py. The references go position by position."""

from itertools import product

import numpy as np

import tensorgraph as tg
from tests.samples import A, E, Given, S
from tests.samples.resize import cubic


def affine(theta, size, align_corners=False):
    out = np.empty((*theta.shape[:1], *size[2:], len(size) - 2))
    for place in np.ndindex(*size[2:]):
        at = [
            (2 * i / (n - 1) - 1 if n > 1 else 0) if align_corners else (2 * i + 1) / n - 1
            for i, n in zip(place, size[2:], strict=True)
        ]
        for n, matrix in enumerate(theta):
            out[(n, *place)] = matrix @ [*at[::-1], 1]
    return out


def brought_inside(x, n, padding, corners):
    if padding == "reflection":
        low, high = (0, n - 1) if corners else (-0.5, n - 0.5)
        while not low <= x <= high:
            x = 2 * low - x if x < low else 2 * high - x
    return x if padding == "zeros" else min(max(x, 0), n - 1)


def sampled(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False):
    sizes = image.shape[2:]
    y = np.zeros((*image.shape[:2], *grid.shape[1:-1]))
    for place in np.ndindex(*grid.shape[:-1]):
        along = []
        for x, n in zip(grid[place][::-1], sizes, strict=True):
            x = (x + 1) / 2 * (n - 1) if align_corners else ((x + 1) * n - 1) / 2
            if mode == "bicubic":
                taps = [(i, cubic(x - i)) for i in range(int(np.floor(x)) - 1, int(np.floor(x)) + 3)]
                along.append([(int(brought_inside(i, n, padding_mode, align_corners)), w) for i, w in taps])
                continue
            x = brought_inside(x, n, padding_mode, align_corners)
            before = int(np.floor(x))
            along.append([(round(x), 1)] if mode == "nearest" else [(before, before + 1 - x), (before + 1, x - before)])
        for taps in product(*along):
            if all(0 <= i < n for (i, _), n in zip(taps, sizes, strict=True)):
                pixel = image[(place[0], slice(None), *[i for i, _ in taps])]
                y[(place[0], slice(None), *place[1:])] += pixel * np.prod([w for _, w in taps])
    return y


def positions(*shape, seed=0):
    """Positions in and around the image, away from the middles and borders of pixels."""
    x = np.random.default_rng(seed).uniform(-1.4, 1.4, shape)
    return Given(np.round(x * 20) / 20 + 0.011)


SAMPLES = [
    S("affine_grid", A(2, 2, 3), (2, 1, 3, 4), ref=affine),
    S("affine_grid", A(1, 2, 3), (1, 1, 3, 1), kw=dict(align_corners=True), ref=affine),
    S("affine_grid", A(1, 3, 4), (1, 2, 2, 3, 2), ref=affine),
    S("grid_sample", A(2, 2, 4, 5), positions(2, 3, 2, 2), ref=sampled),
    S("grid_sample", A(1, 2, 4, 5), positions(1, 3, 2, 2), kw=dict(padding_mode="border"), ref=sampled, tol=3),
    S("grid_sample", A(1, 1, 4, 5), positions(1, 3, 2, 2), kw=dict(padding_mode="reflection"), ref=sampled, tol=3),
    S("grid_sample", A(1, 2, 4, 3), positions(1, 2, 2, 2), kw=dict(align_corners=True), ref=sampled, tol=3),
    S("grid_sample", A(1, 1, 4, 5), positions(1, 2, 2, 2), kw=dict(mode="bicubic"), ref=sampled, tol=5),
    S("grid_sample", A(1, 1, 3, 4, 5), positions(1, 2, 2, 1, 3), ref=sampled, tol=3),
    S(
        "grid_sample", A(1, 2, 4, 5), positions(1, 3, 2, 2).given, ref=sampled, tol=3, dtypes=("float32", "float64"),
        kw=dict(mode="nearest", padding_mode="reflection", align_corners=True),
    ),
]  # fmt: skip

X, GRID = A(1, 2, 4, 5), A(1, 3, 2, 2)
ERRORS = [
    E("affine_grid", A(2, 2, 3), (1, 1, 3, 4), error=tg.ShapeError, match=r"theta is \(2, 2, 3\), size \(1, 1, 3, 4\)"),
    E("grid_sample", X, A(1, 3, 2), error=tg.ShapeError, match=r"grid \(1, 3, 2\); expected"),
    E("grid_sample", X, A(2, 3, 2, 2), error=tg.ShapeError, match=r"input is \(1, 2, 4, 5\), grid \(2, 3, 2, 2\)"),
    E("grid_sample", X, GRID, kw=dict(mode="cubic"), error=tg.ArgumentError, match="mode 'cubic' for 2 axes"),
    E("grid_sample", X, GRID, kw=dict(padding_mode="wrap"), error=tg.ArgumentError, match="padding_mode 'wrap'"),
    E("grid_sample", A(1, 2, 0, 5), GRID, error=tg.ShapeError, match="has no pixel"),
]
