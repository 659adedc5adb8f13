"""Einstein summation. The subscripts are planned once per expression and shapes, and run as sums, diagonals and
`contract`ions, each of which is a matrix product where it can be: so einsum is fast, and its derivatives of every
order are einsums again.

May import: the engine, shape, reduce, matmul.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from tensorgraph.creation import asarray
from tensorgraph.errors import ArgumentError, ShapeError, sig, sig_of
from tensorgraph.ops.diagonals import diagonal
from tensorgraph.ops.matmul import contract
from tensorgraph.ops.reduce import sum as sum_
from tensorgraph.ops.shape import permute_dims

__all__ = ["bilinear", "einsum"]

Labels = tuple[Any, ...]  # one per axis: a letter, or a negative integer for an axis under the ellipsis


def einsum(subscripts: Any, *operands: Any) -> Any:
    """Sum of products with named axes: "ik,kj->ij" is a matrix product, "ii" a trace, "...ij->...ji" a transpose.

    A letter twice in one operand takes the diagonal; one that the result does not name is summed over. Without "->"
    the result names, in alphabetical order, the letters that stand once, behind the ellipsis. "..." stands for any
    leading axes, which broadcast; axes of size 1 broadcast. `einsum(a, [0, 1], b, [1, 2], [0, 2])` is understood too.
    Several operands are multiplied pair by pair in a cheap order. Nothing is conjugated.

    Raises ArgumentError for subscripts that make no sense, ShapeError when they do not fit the operands.
    """
    if not isinstance(subscripts, str):
        subscripts, operands = _from_lists((subscripts, *operands))
    arrays = [x if hasattr(x, "shape") else asarray(x) for x in operands]
    plan = _plan(subscripts, tuple([x.shape for x in arrays]))
    for i, single in enumerate(plan.singles):
        arrays[i] = _alone(arrays[i], single)
    for i, j, a_axes, b_axes, y_axes in plan.pairs:
        b, a = arrays.pop(j), arrays.pop(i)
        arrays.append(contract(a, b, a_axes, b_axes, y_axes))
    return _alone(arrays[0], plan.last)


class Single(NamedTuple):
    """What happens to one array: reshaped (to drop axes that broadcast), diagonals taken, axes summed and permuted."""

    shape: tuple[int, ...] | None
    diagonals: tuple[tuple[int, int], ...]
    summed: tuple[int, ...]
    order: tuple[int, ...] | None


class Plan(NamedTuple):
    """`singles` first, one per operand; then `pairs` (i, j and the labels of both and of the product), then `last`."""

    singles: tuple[Single, ...]
    pairs: tuple[tuple[int, int, Labels, Labels, Labels], ...]
    last: Single


def _alone(x: Any, single: Single) -> Any:
    shape, diagonals, summed, order = single
    if shape is not None:
        x = x.reshape(shape)
    for i, j in diagonals:
        x = diagonal(x, axis1=i, axis2=j)
    if summed:
        x = sum_(x, axis=summed)
    return x if order is None else permute_dims(x, order)


# ---- subscripts ----------------------------------------------------------------------------------------------------
def _from_lists(arguments: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """`a, [0, 1], b, [1, 2], [0, 2]` as subscripts and operands."""

    def letters(axes: Any) -> str:
        if not isinstance(axes, (list, tuple)) or not all(n is Ellipsis or n in range(52) for n in axes):
            raise ArgumentError(f"einsum: expected subscripts or a list of axis numbers below 52, got {sig(axes)}")
        return "".join("..." if n is Ellipsis else chr(ord("A") + n if n < 26 else ord("a") + n - 26) for n in axes)

    pairs = len(arguments) // 2
    text = ",".join(letters(arguments[2 * i + 1]) for i in range(pairs))
    if len(arguments) % 2:
        text += "->" + letters(arguments[-1])
    return text, tuple(arguments[: 2 * pairs : 2])


def _parse(subscripts: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[list[Labels], Labels]:
    """The labels of every operand and of the result."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise ArgumentError(f"einsum: {subscripts!r} names {len(terms)} operands, got {len(shapes)}")
    inputs = [_labels(subscripts, term, len(shapes[i]), i) for i, term in enumerate(terms)]
    under = sorted({n for labels in inputs for n in labels if isinstance(n, int)})
    if not arrow:
        letters = sorted(n for labels in inputs for n in labels if isinstance(n, str))
        return inputs, (*under, *(n for n in letters if letters.count(n) == 1))
    output = _labels(subscripts, right, len(right.replace("...", "")) + len(under), None)
    for n in output:
        if output.count(n) > 1:
            raise ArgumentError(f"einsum: {subscripts!r} names {n!r} twice in the result")
        if not any(n in labels for labels in inputs):
            raise ArgumentError(f"einsum: {subscripts!r} names {n!r} in the result, but in no operand")
    return inputs, output


def _labels(subscripts: str, term: str, ndim: int, operand: int | None) -> Labels:
    """One label per axis; the axes under an ellipsis are numbered from -1 at the right, so that they broadcast."""
    head, dots, tail = term.partition("...")
    letters = head + tail
    if letters and not (letters.isalpha() and letters.isascii()):
        raise ArgumentError(
            f"einsum: {term!r} in {subscripts!r} is no list of axes",
            hint='letters and one "...", as in "...ij,jk->...ik"',
        )
    hidden = ndim - len(letters)
    if hidden < 0 or (hidden and not dots and operand is not None):
        raise ShapeError(f"einsum: {term!r} names {len(letters)} axes, operand {operand} has {ndim}")
    return (*head, *(range(-hidden, 0) if dots else ()), *tail)


# ---- the plan ------------------------------------------------------------------------------------------------------
@lru_cache(maxsize=1024)
def _plan(subscripts: str, shapes: tuple[tuple[int, ...], ...]) -> Plan:
    inputs, output = _parse(subscripts, shapes)
    size = _sizes(inputs, shapes)
    singles, terms = [], []
    for i, (labels, shape) in enumerate(zip(inputs, shapes, strict=True)):
        elsewhere = {n for j, other in enumerate(inputs) if j != i for n in other} | set(output)
        single, labels = _prepare(labels, shape, size, elsewhere)
        singles.append(single)
        terms.append(labels)
    pairs = []
    while len(terms) > 1:
        i, j = _next_pair(terms, output, size)
        b, a = terms.pop(j), terms.pop(i)
        y = _product(a, b, terms, output)
        pairs.append((i, j, a, b, y))
        terms.append(y)
    order = tuple(terms[0].index(n) for n in output)
    in_order = order == tuple(range(len(order)))
    return Plan(tuple(singles), tuple(pairs), Single(None, (), (), None if in_order else order))


def _sizes(inputs: list[Labels], shapes: tuple[tuple[int, ...], ...]) -> dict[Any, int]:
    """The size of every label; 1 gives way to any other."""
    size: dict[Any, int] = {}
    first: dict[Any, int] = {}
    for i, (labels, shape) in enumerate(zip(inputs, shapes, strict=True)):
        for label, n in zip(labels, shape, strict=True):
            known = size.setdefault(label, n)
            if known == 1:
                size[label], first[label] = n, i
            elif n not in (1, known):
                what = repr(label) if isinstance(label, str) else "an axis under the ellipsis"
                j = first.get(label, i)
                raise ShapeError(
                    f"einsum: {what} is {known} in operand {j} and {n} in operand {i}",
                    operands=[f"operand {k}  {sig_of(s, 'array')}" for k, s in enumerate(shapes)],
                )
            else:
                first.setdefault(label, i)
    return size


def _prepare(labels: Labels, shape: tuple[int, ...], size: dict[Any, int], elsewhere: set) -> tuple[Single, Labels]:
    """One operand made ready for products: every label once, of full size, and wanted elsewhere."""
    kept = [(label, n) for label, n in zip(labels, shape, strict=True) if n == size[label]]
    squeezed = tuple(n for _, n in kept) if len(kept) < len(labels) else None
    now = [label for label, _ in kept]
    diagonals = []
    for label in dict.fromkeys(now):
        while now.count(label) > 1:
            i = now.index(label)
            j = now.index(label, i + 1)
            diagonals.append((i, j))
            now = [n for k, n in enumerate(now) if k not in (i, j)] + [label]
    summed = tuple(i for i, label in enumerate(now) if label not in elsewhere)
    return Single(squeezed, tuple(diagonals), summed, None), tuple(n for n in now if n in elsewhere)


def _product(a: Labels, b: Labels, others: list[Labels], output: Labels) -> Labels:
    """The labels of the product of two terms: what the result or another term still needs, in the result's order."""
    needed = {*output, *(n for term in others for n in term)}
    found = [n for n in dict.fromkeys(a + b) if n in needed]
    return tuple([n for n in output if n in found] + [n for n in found if n not in output])


def _next_pair(terms: list[Labels], output: Labels, size: dict[Any, int]) -> tuple[int, int]:
    """The two terms to multiply next: the pair that frees most memory, the cheaper one of equals (a greedy order).

    Source: Smith & Gray, opt_einsum, JOSS 2018.
    """

    def volume(labels: Iterable[Any]) -> int:
        return math.prod(size[n] for n in labels)

    def cost(pair: tuple[int, int]) -> tuple[int, int]:
        i, j = pair
        a, b = terms[i], terms[j]
        others = [term for k, term in enumerate(terms) if k not in pair]
        return volume(_product(a, b, others, output)) - volume(a) - volume(b), volume({*a, *b})

    return min(((i, j) for i in range(len(terms)) for j in range(i + 1, len(terms))), key=cost)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """y_k = x1^T W_k x2 + b_k.  input1 (..., A), input2 (..., B), weight (K, A, B), bias (K,) or None -> (..., K)."""
    if weight.ndim != 3 or input1.shape[-1:] != weight.shape[1:2] or input2.shape[-1:] != weight.shape[2:]:
        raise ShapeError(
            f"bilinear: inputs {sig(input1)} and {sig(input2)} do not fit weight {sig(weight)}, expected (K, A, B)"
        )
    y = einsum("...a,kab,...b->...k", input1, weight, input2)
    return y if bias is None else y + bias
