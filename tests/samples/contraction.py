"""Einstein summation."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, Complex, E, S


def bilinear(x1, x2, weight, bias=0.0):
    return np.stack([((x1 @ w) * x2).sum(-1) for w in weight], -1) + bias


SAMPLES = [
    *(
        S("einsum", subscripts, *(A(*shape) for shape in shapes), ref=np.einsum)
        for subscripts, *shapes in [
            ("ik,kj->ij", (2, 3), (3, 4)),
            ("ij,jk", (2, 3), (3, 4)),
            ("ij,kj->ki", (2, 3), (4, 3)),
            ("ij,ij->", (2, 3), (2, 3)),
            ("ij->ji", (2, 3)),
            ("ba", (2, 3)),
            ("ij->", (2, 3)),
            ("ijk->k", (2, 3, 4)),
            ("ii", (3, 3)),
            ("ii->i", (3, 3)),
            ("iij->j", (3, 3, 2)),
            ("ijij->ij", (2, 3, 2, 3)),
            ("iii->", (2, 2, 2)),
            ("i,j->ij", (3,), (4,)),
            ("i,i", (3,), (3,)),
            ("ij,ij->ij", (2, 3), (2, 3)),
            (",ij->ij", (), (2, 3)),
            ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
            ("bqhd,bkhd->bhqk", (2, 3, 2, 4), (2, 5, 2, 4)),
            ("ij,j->i", (0, 3), (3,)),
            ("ij,jk->ik", (2, 0), (0, 3)),
            ("...ij,...jk->...ik", (2, 1, 3, 2), (4, 2, 3)),
            ("i...,i...->...", (2, 3), (2, 3)),
            ("a...->...a", (2, 3, 2)),
            ("...a", (2, 3)),
            ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
            ("bi,bj,bk->ijk", (2, 3), (2, 2), (2, 4)),
            ("ab,bc,cd,de->ae", (2, 3), (3, 4), (4, 2), (2, 3)),
        ]
    ),
    S("einsum", "...->", A(2, 3), ref=lambda subscripts, x: x.sum()),
    S("einsum", "ij,ij->ij", A(1, 3), A(2, 1), ref=lambda subscripts, a, b: a * b),
    S("einsum", "ij,jk->ik", Complex(2, 3), Complex(3, 2), ref=np.einsum),
    S("einsum", "ik, kj -> ij", A(2, 3), A(3, 4), ref=np.einsum),
    S("einsum", A(2, 3), [0, 1], A(3, 4), [1, 2], [2, 0], ref=np.einsum),
    S("einsum", A(2, 3), [..., 0], ref=np.einsum),
    S("bilinear", A(2, 3), A(2, 4), A(5, 3, 4), A(5), ref=bilinear),
    S("bilinear", A(2, 1, 3), A(2, 1, 4), A(2, 3, 4), ref=bilinear),
]  # fmt: skip

ERRORS = [
    E("bilinear", A(2, 3), A(2, 4), A(5, 4, 4), error=tg.ShapeError, match=r"do not fit weight f32\[5,4,4\]"),
    E("einsum", "ij,jk", A(2, 3), error=tg.ArgumentError, match="names 2 operands, got 1"),
    E("einsum", "ij->ik", A(2, 3), error=tg.ArgumentError, match="names 'k' in the result, but in no operand"),
    E("einsum", "ij->ii", A(2, 3), error=tg.ArgumentError, match="names 'i' twice in the result"),
    E("einsum", "ijk->i", A(2, 3), error=tg.ShapeError, match="'ijk' names 3 axes, operand 0 has 2"),
    E("einsum", "i->i", A(2, 3), error=tg.ShapeError, match="'i' names 1 axes, operand 0 has 2"),
    E("einsum", "ij,jk", A(2, 3), A(4, 5), error=tg.ShapeError, match="'j' is 3 in operand 0 and 4 in operand 1"),
    E("einsum", "ii", A(2, 3), error=tg.ShapeError, match="'i' is 2 in operand 0 and 3 in operand 0"),
    E("einsum", "...i,...i", A(2, 3), A(4, 3), error=tg.ShapeError,
      match="an axis under the ellipsis is 2 in operand 0 and 4"),
    E("einsum", "i1", A(2, 3), error=tg.ArgumentError, match="'i1' in 'i1' is no list of axes"),
    E("einsum", "i...j...", A(2, 3), error=tg.ArgumentError, match="no list of axes"),
    E("einsum", "ij->->i", A(2, 3), error=tg.ArgumentError, match="no list of axes"),
    E("einsum", A(2, 3), A(2, 3), error=tg.ArgumentError, match="expected subscripts or a list of axis numbers"),
]  # fmt: skip
