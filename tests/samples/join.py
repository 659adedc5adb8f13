"""Cases of ops/join.py."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, Complex, E, Ints, S


def chunks(x, n, axis=0):
    size = max(-(-x.shape[axis] // n), 1)
    return np.split(x, range(size, x.shape[axis], size), axis)


SAMPLES = [
    S("concat", [A(2, 3), A(1, 3), A(0, 3)], ref=np.concatenate),
    S("concat", [A(2, 3), A(2, 1)], kw=dict(axis=-1), ref=np.concatenate),
    S("concat", (A(2, 3), A(2)), kw=dict(axis=None), ref=np.concatenate),
    S("concat", [A(2, 3), Ints(2, 3, high=5)], ref=np.concatenate),
    S("concat", [A(2), Complex(2)], ref=np.concatenate, dtypes=("float32", "float64")),
    S("stack", [A(2, 3), A(2, 3)], ref=np.stack),
    S("stack", [A(), A(), A()], ref=np.stack),
    S("stack", [A(2, 3), A(2, 3)], kw=dict(dim=-1), ref=lambda arrays, dim: np.stack(arrays, dim)),
    S("hstack", [A(2, 3), A(2, 1)], ref=np.hstack),
    S("hstack", [A(2), A()], ref=np.hstack),
    S("vstack", [A(3), A(2, 3)], ref=np.vstack),
    S("dstack", [A(3), A(3)], ref=np.dstack),
    S("column_stack", [A(3), A(3, 2)], ref=np.column_stack),
    S("unstack", A(3, 2), ref=list),
    S("unstack", A(3, 2), kw=dict(axis=-1), ref=lambda x, axis: list(x.T)),
    S("split", A(6, 2), 3, ref=np.split),
    S("split", A(2, 6), (1, 4), kw=dict(axis=1), ref=np.split),
    S("split", A(3), (2, 5), ref=np.split),
    S("split", A(0, 2), 2, ref=np.split),
    S("split", A(4, 2), 2, ref=lambda x, n: np.split(x, n)[1], f=lambda x, n: tg.split(x, n)[1]),
    S("array_split", A(7, 2), 3, ref=np.array_split),
    S("array_split", A(7), (2,), ref=np.array_split),
    S("chunk", A(7, 2), 3, ref=chunks),
    S("chunk", A(2, 5), 4, kw=dict(dim=1), ref=lambda x, n, dim: chunks(x, n, dim)),
    S("tile", A(2, 3), (2, 1), ref=np.tile),
    S("tile", A(2, 3), (2, 1, 2), ref=np.tile),
    S("tile", A(2, 3), 3, ref=np.tile),
    S("tile", A(3), (2, 0), ref=np.tile),
    S("repeat", A(2, 3), 2, ref=np.repeat),
    S("repeat", A(2, 3), 2, kw=dict(axis=-1), ref=np.repeat),
    S("repeat", A(2, 3), [2, 0, 1], kw=dict(axis=1), ref=np.repeat),
    S("repeat", A(2, 3), [2], 0, ref=np.repeat),
    S("meshgrid", A(2), A(3), ref=np.meshgrid),
    S("meshgrid", A(2), A(), A(3), kw=dict(indexing="ij"), ref=np.meshgrid),
    S("meshgrid", A(2), A(3), A(1), ref=np.meshgrid),
]

ERRORS = [
    E("concat", [], error=tg.ArgumentError, match="concat: no arrays"),
    E(
        "concat",
        [A(2, 3), A(2, 2)],
        error=tg.ShapeError,
        match=r"concat: arrays\[1\] is f32\[2,2\], arrays\[0\] is f32\[2,3\]",
    ),
    E("concat", [A(2, 3), A(2)], error=tg.ShapeError, match=r"concat: arrays\[1\] is f32\[2\]"),
    E("concat", [A(), A()], error=tg.ShapeError, match="concat: arrays.0. has no axes"),
    E("concat", [A(2), A(2)], 1, error=tg.AxisError, match="concat: axis 1 is out of range"),
    E("stack", [A(2), A(3)], error=tg.ShapeError, match=r"stack: arrays\[1\] is f32\[3\]"),
    E("stack", [A(2)], 2, error=tg.AxisError, match="stack: axis 2"),
    E("stack", [], error=tg.ArgumentError, match="stack: no arrays"),
    E("stack", A(), error=tg.ShapeError, match="stack: expected a sequence of arrays"),
    E("unstack", A(), error=tg.ShapeError, match="unstack: f32.. has no axes"),
    E(
        "split",
        A(5),
        2,
        error=tg.ShapeError,
        match="split: axis 0 of f32.5. has size 5, it does not fall into 2 equal parts",
    ),
    E("split", A(5), 0, error=tg.ArgumentError, match="split: into 0 parts"),
    E("array_split", A(5), 0, error=tg.ArgumentError, match="array_split: into 0 parts"),
    E("chunk", A(5), -1, error=tg.ArgumentError, match="chunk: into -1 parts"),
    E("tile", A(2), -1, error=tg.ArgumentError, match="tile: .* repetitions"),
    E("repeat", A(2, 3), 2, 3, error=tg.AxisError, match="(?s)repeat: axis 3.*tile"),
    E(
        "repeat",
        A(2, 3),
        (2, 3),
        error=tg.ShapeError,
        match="(?s)repeat: 2 numbers of repeats for the 6 elements.*tile",
    ),
    E("repeat", A(2), -1, error=tg.ArgumentError, match="repeat: -1 times"),
    E("meshgrid", A(2, 2), error=tg.ShapeError, match="meshgrid: arrays.0."),
    E("meshgrid", A(2), kw=dict(indexing="yx"), error=tg.ArgumentError, match="meshgrid: indexing 'yx'"),
]
