"""Cases of ops/move.py."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, E, Ints, S

SAMPLES = [
    S("flip", A(2, 3), ref=np.flip),
    S("flip", A(2, 3), 1, ref=np.flip),
    S("flip", A(2, 3, 2), (0, -1), ref=np.flip),
    S("flip", A(), ref=np.flip),
    S("flipud", A(2, 3), ref=np.flipud),
    S("fliplr", A(2, 3), ref=np.fliplr),
    S("roll", A(2, 3), 2, ref=np.roll),
    S("roll", A(2, 3), -1, 1, ref=np.roll),
    S("roll", A(2, 3), (1, 2), (0, 1), ref=np.roll),
    S("roll", A(2, 3), 1, (0, 1), ref=np.roll),
    *[S("rot90", A(2, 3), k, ref=np.rot90) for k in (-1, 0, 1, 2)],
    S("rot90", A(2, 3, 2), kw=dict(k=1, dims=(2, 0)), ref=lambda x, k, dims: np.rot90(x, k, dims)),
    S("pad", A(2, 3), 1, ref=np.pad),
    S("pad", A(2, 3), ((0, 2), (1, 0)), kw=dict(constant_values=0.5), ref=np.pad),
    S("pad", A(2, 3), (1, 2), ref=np.pad),
    S("pad", A(2, 3), ((2, 1),), ref=np.pad),
    S("pad", A(0), 2, ref=np.pad),
    S("pad", Ints(3, high=9), 1, ref=np.pad, grad=False),
    S("pad", A(4, 3), ((-1, 1), (0, -2)), ref=lambda x, w: np.pad(x[1:, :1], ((0, 1), (0, 0)))),
    *[
        S("pad", A(3, 4), ((1, 2), (0, 3)), kw=dict(mode=mode), ref=np.pad)
        for mode in ("edge", "reflect", "symmetric", "wrap")
        if mode != "reflect"
    ],
    S("pad", A(3, 4), ((1, 2), (0, 3)), kw=dict(mode="reflect"), ref=np.pad),
    *[
        S("pad", A(2, 3), ((5, 0), (4, 7)), kw=dict(mode=mode), ref=np.pad)
        for mode in ("edge", "reflect", "symmetric", "wrap")
    ],
    S("pad", A(1), 2, kw=dict(mode="reflect"), ref=np.pad),
    S("pad", A(3), 2, kw=dict(mode="replicate"), ref=lambda x, w, mode: np.pad(x, w, "edge")),
    S("pad", A(3), 2, kw=dict(mode="circular"), ref=lambda x, w, mode: np.pad(x, w, "wrap")),
]

ERRORS = [
    E("flip", A(2, 3), 2, error=tg.AxisError, match="flip: axis 2 is out of range"),
    E("flip", A(2, 3), (0, 0), error=tg.AxisError, match="flip: .* names an axis twice"),
    E("roll", A(2, 3), 1, 2, error=tg.AxisError, match="roll: axis 2"),
    E("roll", A(2, 3), (1, 2), (0, 1, 1), error=tg.ShapeError, match="roll"),
    E("rot90", A(2, 3), 1, (0,), error=tg.ArgumentError, match="rot90: a plane has two axes"),
    E("rot90", A(3), error=tg.AxisError, match="rot90: axis 1"),
    E("pad", A(3), 1, kw=dict(mode="mirror"), error=tg.ArgumentError, match="(?s)pad: unknown mode 'mirror'.*reflect"),
    E("pad", A(3), (-2, -2), error=tg.ShapeError, match="pad: widths .* cut more from axis 0 of f32.3. than there is"),
    E("pad", A(0), 1, kw=dict(mode="edge"), error=tg.ShapeError, match="nothing to repeat"),
    E(
        "pad",
        A(2, 3),
        ((1, 1), (1, 1), (1, 1)),
        error=tg.ShapeError,
        match="(?s)does not give a pair for each axis.*functional.pad",
    ),
]
