"""CTC against the sum over every alignment there is."""

import itertools

import numpy as np

import tensorgraph as tg
from tests.samples import A, E, S


def collapsed(path, blank):
    return [label for label, _ in itertools.groupby(path) if label != blank]


def ctc(lp, targets, input_lengths, target_lengths, blank=0, reduction="mean", zero_infinity=False):
    lp = lp[:, None] if lp.ndim == 2 else lp
    flat = np.ndim(targets) == 1 and lp.shape[1] > 1
    ends = np.cumsum(target_lengths)
    losses = []
    for n in range(lp.shape[1]):
        size = np.reshape(target_lengths, -1)[n]
        target = list(targets[ends[n] - size : ends[n]] if flat else np.atleast_2d(targets)[n][:size])
        times = range(np.reshape(input_lengths, -1)[n])
        p = 0.0
        for path in itertools.product(range(lp.shape[2]), repeat=len(times)):
            if collapsed(path, blank) == target:
                p += np.exp(sum(lp[t, n, label] for t, label in zip(times, path, strict=True)))
        losses.append(-np.log(p) if p else 0.0 if zero_infinity else np.inf)
    losses = np.array(losses)
    if reduction == "none":
        return losses.reshape(()) if np.ndim(targets) == 1 and not flat else losses
    return losses.sum() if reduction == "sum" else (losses / np.maximum(np.reshape(target_lengths, -1), 1)).mean()


WIDE = dict(dtypes=("float32", "float64"), tol=3)
PADDED = np.array([[1, 2], [2, 2], [1, 0]])

SAMPLES = [
    S("ctc_loss", A(4, 3, 3), PADDED, np.array([4, 3, 4]), np.array([2, 2, 1]), ref=ctc, tol=2),
    S("ctc_loss", A(4, 3, 3), PADDED, np.array([4, 4, 2]), np.array([2, 0, 1]), kw=dict(reduction="none"),
      ref=ctc, **WIDE),
    S("ctc_loss", A(3, 2, 3), np.array([1, 2, 1]), (3, 2), (2, 1), kw=dict(reduction="sum"), ref=ctc, **WIDE),
    S("ctc_loss", A(3, 3), np.array([0, 1]), 3, 2, kw=dict(blank=2), ref=ctc, **WIDE),
    S("ctc_loss", A(2, 2, 3), np.array([[1, 1], [1, 2]]), (2, 2), (2, 2), kw=dict(zero_infinity=True), ref=ctc, **WIDE),
    S("ctc_loss", np.zeros((2, 1, 3)), np.array([[1, 1]]), (2,), (2,), kw=dict(reduction="none"), ref=ctc, grad=False),
]

ERRORS = [
    E("ctc_loss", A(4, 2, 3), np.array([[1, 2], [2, 1]]), (4, 5), (2, 2), error=tg.ArgumentError,
      match=r"input_lengths\[1\] is 5, it must lie between 0 and 4"),
    E("ctc_loss", A(4, 2, 3), np.array([[1, 2], [2, 1]]), (4, 4), (2, 3), error=tg.ArgumentError,
      match=r"target_lengths\[1\] is 3"),
    E("ctc_loss", A(4, 2, 3), np.array([[1, 2], [2, 3]]), (4, 4), (2, 2), error=tg.OutOfRangeError,
      match="label 1 of example 1 is 3, but there are 3 classes"),
    E("ctc_loss", A(4, 1, 3), np.array([[1, 0]]), (4,), (2,), error=tg.OutOfRangeError, match="which is the blank"),
    E("ctc_loss", A(4, 1, 3), np.array([[1, 2]]), (4,), (2,), 3, error=tg.OutOfRangeError, match="blank=3"),
    E("ctc_loss", A(4, 2, 3), np.array([1, 2, 1]), (4, 4), (2, 2), error=tg.ShapeError, match="add up to 4"),
    E("ctc_loss", A(4, 2, 3), np.array([[1, 2]]), (4, 4), (2, 2), error=tg.ShapeError, match="expected"),
    E("ctc_loss", A(4), np.array([[1, 2]]), (4,), (2,), error=tg.ShapeError, match=r"expected \(T, N, C\)"),
    E("ctc_loss", A(0, 1, 3), np.array([[1]]), (0,), (1,), error=tg.ArgumentError, match="are empty"),
    E("ctc_loss", A(4, 1, 3), A(1, 2), (4,), (2,), error=tg.DtypeError, match="expected floats and integers"),
]  # fmt: skip
