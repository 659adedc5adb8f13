"""Connectionist temporal classification: the loss of an unaligned label sequence.

The definition is the forward recursion in tensor operations, so derivatives of every order exist; the kernel runs the
forward and the backward recursion once. May import: all of ops before it, loss.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph import backends
from tensorgraph.errors import ArgumentError, DtypeError, OutOfRangeError, ShapeError, sig
from tensorgraph.fused import fusable
from tensorgraph.operation import Array
from tensorgraph.ops.elementwise import astype, maximum, where
from tensorgraph.ops.gathering import take_along_axis
from tensorgraph.ops.join import concat, stack
from tensorgraph.ops.loss import check_reduction, operand
from tensorgraph.ops.reduce import logsumexp, mean, sum
from tensorgraph.provenance import explained
from tensorgraph.tensor import raw

__all__ = ["ctc_loss"]

IMPOSSIBLE = -1e30
"""A log-probability that stands for -inf, whose differences would be NaN."""


@fusable
def _ctc(log_probs, path, skips, input_lengths, target_lengths):
    """Loss of every example.  log_probs (T, N, C), lengths (N,) -> (N,).

    path (N, 2S+1): labels with blanks between and around; skips, of the same shape: where an alignment may jump over
    the blank before.
    """
    be = backends.backend_of(raw(path))
    n, length = path.shape
    lp = astype(log_probs, "float32") if log_probs.dtype.itemsize == 2 else log_probs
    along = be.broadcast_to(path, (lp.shape[0], n, length))
    lp = maximum(take_along_axis(lp, along, 2), IMPOSSIBLE)  # (T, N, 2S+1)
    first = be.arange(length) < 2
    alpha = where(first, lp[0], IMPOSSIBLE)
    wall = be.full((n, 2), IMPOSSIBLE, dtype=lp.dtype)
    for t in range(1, lp.shape[0]):
        one = concat([wall[:, :1], alpha[:, :-1]], axis=1)
        two = where(skips, concat([wall, alpha[:, :-2]], axis=1), IMPOSSIBLE) if length > 2 else alpha * 0 + IMPOSSIBLE
        step = logsumexp(stack([alpha, one, two]), axis=0) + lp[t]
        alpha = where((t < raw(input_lengths)).reshape((n, 1)), step, alpha)
    ends = raw(target_lengths).reshape((n, 1)) * 2
    last = take_along_axis(alpha, ends, 1)[:, 0]
    before = where((ends > 0)[:, 0], take_along_axis(alpha, be.maximum(ends - 1, 0), 1)[:, 0], IMPOSSIBLE)
    loss = -logsumexp(stack([last, before]), axis=0)
    loss = where(raw(loss) > -0.5 * IMPOSSIBLE, float("inf"), loss)
    return loss if loss.dtype == log_probs.dtype else astype(loss, log_probs.dtype)


def _spelt(rows: np.ndarray, blank: int) -> tuple[np.ndarray, np.ndarray]:
    """`path` and `skips` for labels (N, S) on the host."""
    path = np.full((rows.shape[0], 2 * rows.shape[1] + 1), blank, np.int64)
    path[:, 1::2] = rows
    skips = np.zeros(path.shape, bool)
    skips[:, 2:] = (path[:, 2:] != blank) & (path[:, 2:] != path[:, :-2])
    return path, skips


def _lengths(name: str, what: str, lengths: Any, n: int, most: int) -> np.ndarray:
    """Lengths as integers on the host, each from 0 to `most`."""
    array = raw(operand(lengths))
    be = backends.backend_of(array)
    host = (be.to_host(array) if be.has_values else np.full(array.shape, most, array.dtype)).reshape(-1)  # the longest
    if host.dtype.kind not in "iu":
        raise DtypeError(f"{name}: {what} are {sig(array)}, expected integers")
    if host.shape != (n,):
        raise ShapeError(f"{name}: {what} are {sig(array)}, expected one for each of {n} examples")
    for i, value in enumerate(host.tolist()):
        if not 0 <= value <= most:
            raise ArgumentError(f"{name}: {what}[{i}] is {value}, it must lie between 0 and {most}")
    return host.astype(np.int64)


@explained
def ctc_loss(
    log_probs: Array,
    targets: Array,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """Minus the log-probability of label sequences, summed over all their alignments with the input.

    log_probs (T, N, C) or (T, C), logarithms of probabilities (log_softmax); targets (N, S) padded, or all labels in
    one axis; lengths (N,) -> () or (N,). "mean" divides every loss by its target's length first. A target that is
    longer than its input allows has loss inf (and gradient 0), or 0 with `zero_infinity`.

    The gradient is the exact derivative, minus the posterior of every label at every time.
    Raises ShapeError, ArgumentError: lengths; OutOfRangeError: labels that are no classes.
    Source: Graves et al., Connectionist temporal classification, ICML 2006.
    """
    name = "ctc_loss"
    check_reduction(name, reduction)
    log_probs, targets = operand(log_probs), operand(targets)
    if log_probs.dtype.kind not in "fV" or targets.dtype.kind not in "iu":
        raise DtypeError(
            f"{name}: log_probs are {sig(log_probs)}, targets {sig(targets)}: expected floats and integers"
        )
    single = log_probs.ndim == 2
    if single:
        log_probs = log_probs.reshape((log_probs.shape[0], 1, log_probs.shape[1]))
    if log_probs.ndim != 3:
        raise ShapeError(f"{name}: log_probs are {sig(log_probs)}, expected (T, N, C) or (T, C)")
    times, n, classes = log_probs.shape
    if not times or (reduction == "mean" and not n):
        raise ArgumentError(f"{name}: log_probs {sig(log_probs)} are empty")
    if not 0 <= blank < classes:
        raise OutOfRangeError(f"{name}: blank={blank}, but there are {classes} classes (0 to {classes - 1})")
    labels = raw(targets)
    be = backends.backend_of(labels)
    if single and labels.ndim == 1:
        labels = labels.reshape(1, -1)
    flat = labels.ndim == 1
    given = be.to_host(labels) if be.has_values or flat else np.full(labels.shape, int(not blank))
    sizes = _lengths(name, "target_lengths", target_lengths, n, labels.size if flat else labels.shape[-1])
    inputs = _lengths(name, "input_lengths", input_lengths, n, times)
    if flat:
        if sizes.sum() != labels.size:
            raise ShapeError(f"{name}: target_lengths add up to {sizes.sum()}, there are {labels.size} labels")
        rows = np.zeros((n, max(sizes.tolist(), default=0)), np.int64)
        rows[np.arange(rows.shape[1]) < sizes[:, None]] = given
    elif labels.ndim == 2 and labels.shape[0] == n:
        rows = given[:, : max(sizes.tolist(), default=0)].astype(np.int64)
    else:
        raise ShapeError(f"{name}: targets are {sig(targets)}, expected ({n}, S) or all labels in one axis")
    used = np.arange(rows.shape[1]) < sizes[:, None]
    bad = used & ((rows < 0) | (rows >= classes) | (rows == blank))
    if bad.any():
        i, j = (int(k[0]) for k in bad.nonzero())
        what = "which is the blank" if rows[i, j] == blank else f"but there are {classes} classes"
        raise OutOfRangeError(f"{name}: label {j} of example {i} is {rows[i, j]}, {what}")
    device = be.device_of(labels)
    host = (*_spelt(np.where(used, rows, blank), blank), inputs, sizes)
    loss = _ctc(log_probs, *(be.from_host(array, device) for array in host))
    if zero_infinity:
        loss = where(raw(loss) == float("inf"), 0, loss)
    if reduction == "none":
        return loss.reshape(()) if single else loss
    if reduction == "sum":
        return sum(loss)
    lengths = be.from_host(np.maximum(sizes, 1).astype(log_probs.dtype), device)
    return mean(loss / lengths)
