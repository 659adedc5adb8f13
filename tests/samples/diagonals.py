"""Cases of ops/diagonals.py."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, Complex, E, S


def embed(x, offset=0, dim1=-2, dim2=-1):
    n = x.shape[-1] + abs(offset)
    y = np.zeros((*x.shape[:-1], n, n))
    for i in range(x.shape[-1]):
        y[..., i + max(-offset, 0), i + max(offset, 0)] = x[..., i]
    return np.moveaxis(y, (-2, -1), (dim1, dim2))


SAMPLES = [
    S("diagonal", A(3, 4), ref=np.diagonal),
    S("diagonal", A(3, 4), kw=dict(offset=2), ref=np.diagonal),
    S("diagonal", A(3, 4), kw=dict(offset=-2), ref=np.diagonal),
    S("diagonal", A(2, 4, 3), kw=dict(offset=-1, axis1=-1, axis2=1), ref=np.diagonal),
    S("diagonal", A(2, 3), kw=dict(offset=5), ref=np.diagonal),
    S("diagonal", Complex(3, 3), ref=np.diagonal, dtypes=("float32", "float64")),
    S("diag", A(3), ref=np.diag),
    S("diag", A(2), -1, ref=np.diag),
    S("diag", A(3, 4), 1, ref=np.diag),
    S("diag", A(0), ref=np.diag),
    S("diag_embed", A(2, 3), ref=embed),
    S("diag_embed", A(2, 3), kw=dict(offset=1, dim1=0, dim2=2), ref=embed),
    S("diag_embed", A(2, 3), kw=dict(offset=-2, dim1=2, dim2=0), ref=embed),
    S("trace", A(3, 4), ref=np.trace),
    S("trace", A(3, 4, 2), kw=dict(offset=1, axis1=1, axis2=0), ref=np.trace),
    S("tril", A(3, 4), ref=np.tril),
    S("tril", A(2, 3, 4), -1, ref=np.tril),
    S("triu", A(3, 4), ref=np.triu),
    S("triu", A(2, 4, 3), 1, ref=np.triu),
]

ERRORS = [
    E("diagonal", A(3), error=tg.AxisError, match="diagonal: axis 1 is out of range"),
    E("diagonal", A(3, 3), kw=dict(axis1=0, axis2=-2), error=tg.AxisError, match="names an axis twice"),
    E("diag", A(2, 2, 2), error=tg.ShapeError, match="diag: f32.2,2,2. is neither a vector nor a matrix"),
    E("diag_embed", A(), error=tg.ShapeError, match="diag_embed: f32.. has no axes"),
    E("diag_embed", A(3), kw=dict(axis1=1), error=tg.AxisError, match="diag_embed: .*twice"),
    E("trace", A(3), error=tg.AxisError, match="trace: axis 1 is out of range"),
    E("tril", A(3), error=tg.AxisError, match="tril: f32.3. has fewer than two axes"),
    E("triu", A(3), error=tg.AxisError, match="triu: f32.3. has fewer than two axes"),
]
