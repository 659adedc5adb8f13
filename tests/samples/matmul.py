"""Products and contractions."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, Complex, E, Ints, S

RANKS = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((5, 2, 3), (3,)),
    ((2, 3), (5, 3, 4)), ((3,), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((6, 1, 2, 3), (5, 3, 4)),
    ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((4, 0, 3), (3, 2)),
]  # fmt: skip


def linear(x, weight, bias=0.0):
    return np.einsum("...i,oi->...o", x, weight) + bias


def rectified(x, weight, bias=0.0, *, activation):
    return np.maximum(linear(x, weight, bias), 0)


def vecdot(a, b, axis=-1):
    return (np.conj(a) * b).sum(axis)


SAMPLES = [
    *(S("matmul", A(*a), A(*b), ref=np.matmul) for a, b in RANKS),
    S("matmul", Complex(2, 3), Complex(3, 4), ref=np.matmul),
    S("matmul", Complex(5, 2, 3), Complex(3), ref=np.matmul),
    S("matmul", A(2, 3), Complex(3), ref=np.matmul),
    S("matmul", A(2, 3), Ints(3, 4, high=5), ref=np.matmul),
    S("matmul", Ints(2, 3, high=5), Ints(3, 4, high=5), ref=np.matmul, grad=False),
    S("linear", A(4, 3), A(2, 3), ref=linear),
    S("linear", A(4, 3), A(2, 3), A(2), ref=linear),
    S("linear", A(5, 4, 3), A(2, 3), A(2), ref=linear),
    S("linear", A(3), A(2, 3), A(2), ref=linear),
    S("linear", A(0, 3), A(2, 3), A(2), ref=linear),
    S("linear", Complex(4, 3), Complex(2, 3), Complex(2), ref=linear),
    S("linear", A(4, 3), A(2, 3), kw=dict(activation="relu"), ref=rectified),
    S("linear", A(2, 4, 3), A(2, 3), A(2), kw=dict(activation="relu"), ref=rectified),
    S("tensordot", A(2, 3, 4), A(3, 4, 5), ref=np.tensordot),
    S("tensordot", A(2, 3), A(4), kw=dict(axes=0), ref=np.tensordot),
    S("tensordot", A(2, 3, 4), A(3, 4, 5, 2), kw=dict(axes=((0, -1), (3, 1))), ref=np.tensordot),
    S("tensordot", A(2, 3), A(5, 3), kw=dict(axes=(1, 1)), ref=np.tensordot),
    S("tensordot", A(2, 0), A(0, 3), kw=dict(axes=1), ref=np.tensordot),
    S("dot", A(3), A(3), ref=np.dot),
    S("dot", A(2, 3), A(3, 4), ref=np.dot),
    S("dot", A(), A(3), ref=np.dot),
    S("dot", A(2, 3, 4), A(5, 4, 6), ref=np.dot),
    S("dot", A(2, 3, 4), A(4), ref=np.dot),
    S("vdot", A(2, 3), A(3, 2), ref=np.vdot),
    S("vdot", Complex(4), Complex(4), ref=np.vdot),
    S("inner", A(2, 3, 4), A(5, 4), ref=np.inner),
    S("inner", A(4), A(), ref=np.inner),
    S("vecdot", A(2, 3), A(2, 3), ref=vecdot),
    S("vecdot", A(2, 3), A(2, 3), kw=dict(axis=0), ref=vecdot),
    S("vecdot", A(4, 1, 3), A(2, 3), ref=vecdot),
    S("vecdot", Complex(2, 3), Complex(2, 3), ref=vecdot),
    S("outer", A(3), A(4), ref=np.outer),
    S("outer", A(2, 2), A(), ref=np.outer),
    S("kron", A(2, 3), A(4, 5), ref=np.kron),
    S("kron", A(3), A(2, 1, 2), ref=np.kron),
    S("mv", A(2, 3), A(3), ref=np.matmul),
    S("bmm", A(2, 3, 4), A(2, 4, 5), ref=np.matmul),
    S("cross", A(2, 3), A(2, 3), ref=np.cross),
    S("cross", A(4, 1, 3), A(2, 3), ref=np.cross),
    S("cross", A(3, 2), A(3, 2), kw=dict(axis=0), ref=lambda a, b, axis: np.cross(a, b, axis=0)),
    S("cross", Complex(2, 3), Complex(2, 3), ref=np.cross),
    S("linalg.multi_dot", [A(2, 3), A(3, 4), A(4, 5)], ref=np.linalg.multi_dot),
    S("linalg.multi_dot", [A(3), A(3, 4), A(4, 2), A(2, 3), A(3)], ref=np.linalg.multi_dot),
    S("linalg.multi_dot", [A(2, 3), A(3, 2)], ref=np.linalg.multi_dot),
]  # fmt: skip

ERRORS = [
    E("matmul", A(64, 1568), A(3136, 10), error=tg.ShapeError, match="matmul: a has 1568 columns, b expects 3136 rows"),
    E("matmul", A(2, 3), A(5, 3), error=tg.ShapeError, match="(?s)b expects 5 rows.*hint: a @ b.T would fit"),
    E("matmul", A(3), A(4), error=tg.ShapeError, match="a has 3 elements, b expects 4 elements"),
    E("matmul", A(), A(3), error=tg.ShapeError, match="(?s)a has no axes.*hint"),
    E("matmul", A(2, 3), 2.0, error=tg.ShapeError, match="b has no axes"),
    E("matmul", A(3, 2, 4), A(4, 4, 5), error=tg.ShapeError, match=r"leading axes \(3,\) of a and \(4,\) of b"),
    E("linear", A(64, 1568), A(10, 3136), error=tg.ShapeError,
      match=r"(?s)x has 1568 features, weight expects 3136.*Linear\(in_features=1568"),
    E("linear", A(2, 3, 4), A(10, 12), error=tg.ShapeError,
      match=r"(?s)x has 4 features.*x.flatten\(1\) has 12 features"),
    E("linear", A(), A(2, 3), error=tg.ShapeError, match="x has no axes"),
    E("linear", A(4, 3), A(3), error=tg.ShapeError, match="weight has 1 axes, expected two"),
    E("linear", A(4, 3), A(2, 3), A(3), error=tg.ShapeError, match=r"weight gives 2 features, bias is f32\[3\]"),
    E("tensordot", A(2, 3), A(4, 5), kw=dict(axes=1), error=tg.ShapeError,
      match="axis 1 of a has 3 entries, axis 0 of b has 4"),
    E("tensordot", A(2, 3), A(4, 5), kw=dict(axes=3), error=tg.ShapeError, match="3 axes to sum over"),
    E("tensordot", A(2, 3), A(3, 2), kw=dict(axes=((0, 1), 0)), error=tg.ShapeError,
      match="2 axes of a are paired with 1"),
    E("tensordot", A(2, 3), A(3, 2), kw=dict(axes=(2, 0)), error=tg.AxisError, match="axis 2 is out of range"),
    E("dot", A(2, 3, 4), A(3), error=tg.ShapeError, match="axis 2 of a has 4 entries, axis 0 of b has 3"),
    E("inner", A(2, 3), A(2), error=tg.ShapeError, match="axis 1 of a has 3 entries"),
    E("vdot", A(3), A(4), error=tg.ShapeError, match="a has 3 elements, b has 4"),
    E("vecdot", A(2, 3), A(2, 4), error=tg.ShapeError, match="a has 3 elements along axis -1, b has 4"),
    E("vecdot", A(2, 3), A(4, 3), error=tg.ShapeError, match="do not broadcast"),
    E("vecdot", A(5, 2, 3), A(2, 3), kw=dict(axis=2), error=tg.AxisError, match="out of range"),
    E("vecdot", A(2, 2, 3), A(2, 3), kw=dict(axis=1), error=tg.ShapeError,
      match="a has 2 elements along axis 1, b has 3"),
    E("mv", A(2, 3, 4), A(4), error=tg.ShapeError, match="(?s)a has 3 axes, b has 1, expected 2 and 1.*matmul"),
    E("bmm", A(2, 3, 4), A(3, 4, 5), error=tg.ShapeError, match="a is a batch of 2 matrices, b of 3"),
    E("bmm", A(3, 4), A(4, 5), error=tg.ShapeError, match="expected 3 and 3"),
    E("cross", A(2, 4), A(2, 4), error=tg.ShapeError, match="a has 4 components along axis -1, expected 3"),
    E("cross", A(2, 3), A(3), kw=dict(axis=0), error=tg.ShapeError, match="cross: "),
    E("linalg.multi_dot", [A(2, 3)], error=tg.ArgumentError, match="1 matrices, needs two"),
    E("linalg.multi_dot", [A(2, 3), A(3), A(3, 2)], error=tg.ShapeError, match="matrix 1 is"),
]  # fmt: skip
