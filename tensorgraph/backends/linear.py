"""Products of matrices, and the decompositions in which array libraries differ.

NumPy has no half-precision BLAS and multiplies matrices of half precision a hundred times slower than those of single
precision: here half precision is computed in float32, and rounded once. Mixed into `Backend`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from tensorgraph.errors import LinAlgError

Labels = tuple[Any, ...]
HALF, FLOAT = np.dtype("float16"), np.dtype("float32")


class Linear:
    """Matrix products of every rank."""

    xp: Any
    half_products: bool

    def matmul(self, a: Any, b: Any) -> Any:
        """Product of a (..., n, k) and b (..., k, m); operands of one axis as in NumPy. Raises ValueError."""
        if a.dtype == HALF and b.dtype == HALF and not self.half_products:
            return self.matmul(a.astype(FLOAT), b.astype(FLOAT)).astype(HALF)
        if b.ndim <= 2:
            if 0 < a.ndim <= 2 and b.ndim:
                return self.xp.dot(a, b)  # cheaper to call than matmul
            if a.ndim > 2 and b.ndim == 2 and a.size:  # one large product instead of many small ones
                return self.xp.dot(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[-1])
        return self.xp.matmul(a, b)

    def affine(self, a: Any, b: Any, bias: Any, rectify: bool = False) -> Any:
        """a @ b + bias for b (k, m) and bias (m); with `rectify` relu of that."""
        y = self.xp.add(self.matmul(a, b), bias)
        return self.relu(y, out=y) if rectify else y  # pyright: ignore[reportAttributeAccessIssue]

    def contract(self, a: Any, b: Any, a_axes: Labels, b_axes: Labels, y_axes: Labels) -> Any:
        """Sum over products a * b with axes named by labels; each label stands in at least two of a, b and y.

        It becomes one (batched) matrix product. Axes keep the order in which they lie in memory wherever a choice is
        left, so that most operands are read in place.
        """
        how = _arrange(a_axes, b_axes, y_axes, a.size >= b.size)
        if how.inner == 0:  # nothing is summed
            left, right = a.transpose(how.a_order), b.transpose(how.b_order)
            return self.xp.multiply(left[how.a_index], right[how.b_index])
        if how.swap:
            a, b = b, a
        a, b = a.transpose(how.a_order), b.transpose(how.b_order)
        front, inner = how.batch, how.inner
        batch, left, right = a.shape[:front], a.shape[front : a.ndim - inner], b.shape[front + inner :]
        k = math.prod(b.shape[front : front + inner])
        product = self.matmul(a.reshape(*batch, math.prod(left), k), b.reshape(*batch, k, math.prod(right)))
        return product.reshape(batch + left + right).transpose(how.y_order)

    # ---- matrices that are solved and taken apart ----------------------------------------------------------------
    def lapack(self, name: str, *arrays: Any, **options: Any) -> Any:
        """A function of the library's `linalg`, or one from here, in float32 for half precision and integers.

        Raises LinAlgError where the library does: a singular matrix, no convergence.
        """
        narrow = all(x.dtype == HALF for x in arrays)
        wide = [x.astype(FLOAT) if x.dtype == HALF or x.dtype.kind not in "fc" else x for x in arrays]
        try:
            found = getattr(self, f"_{name}", None) or getattr(self.xp.linalg, name)
            y = found(*wide, **options)
        except np.linalg.LinAlgError as error:
            message, hint = _REASONS.get(name, (str(error), None))
            raise LinAlgError(f"{name}: {message}", hint=hint) from None
        if not narrow:
            return y
        parts = [part.astype(HALF) if part.dtype == FLOAT else part for part in (y if isinstance(y, tuple) else (y,))]
        return tuple(parts) if isinstance(y, tuple) else parts[0]

    def _solve(self, a: Any, b: Any) -> Any:
        """X with a X = b.  a (..., n, n), b (n) or (..., n, k); leading axes broadcast, which CuPy's solve does not."""
        if b.ndim == 1:
            return self._solve(a, b[:, None])[..., 0]
        if a.shape[:-2] != b.shape[:-2]:
            front = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
            a, b = self.xp.broadcast_to(a, front + a.shape[-2:]), self.xp.broadcast_to(b, front + b.shape[-2:])
        return self.xp.linalg.solve(a, b)

    def _solve_triangular(self, a: Any, b: Any, upper: bool, unit: bool) -> Any:
        """`_solve` that reads one triangle of a: halved until it is small, so that matrix products do the work."""
        n = a.shape[-1]
        if n <= 64:
            a = self.xp.triu(a, int(unit)) if upper else self.xp.tril(a, -int(unit))
            return self._solve(a + self.xp.eye(n, dtype=a.dtype) if unit else a, b)
        h = n // 2
        top, corner, bottom = a[..., :h, :h], a[..., :h, h:] if upper else a[..., h:, :h], a[..., h:, h:]
        if upper:
            last = self._solve_triangular(bottom, b[..., h:, :], upper, unit)
            first = self._solve_triangular(top, b[..., :h, :] - self.xp.matmul(corner, last), upper, unit)
        else:
            first = self._solve_triangular(top, b[..., :h, :], upper, unit)
            last = self._solve_triangular(bottom, b[..., h:, :] - self.xp.matmul(corner, first), upper, unit)
        return self.xp.concatenate((first, last), axis=-2)

    def _pinv(self, x: Any, rtol: Any, atol: Any, hermitian: bool) -> Any:
        """By singular values, or by the eigenvalues of Hermitian matrices; what is not above the tolerance is 0."""
        xp = self.xp
        if not x.size:
            return xp.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]), dtype=x.dtype)
        if hermitian:
            s, u = xp.linalg.eigh(x)
            v, size = u, xp.abs(s)
        else:
            u, s, vh = xp.linalg.svd(x, full_matrices=False)
            v, size = vh.swapaxes(-1, -2).conj(), s
        rtol, atol = (t[..., None] if getattr(t, "ndim", 0) else t for t in (rtol, atol))
        counts = size > xp.maximum(rtol * size.max(axis=-1, keepdims=True), atol)
        inverse = xp.where(counts, 1 / xp.where(counts, s, 1), 0)
        return (v * inverse[..., None, :]) @ u.swapaxes(-1, -2).conj()

    def _expm(self, x: Any) -> Any:
        """Scaling and squaring with the Pade approximant of order 13 (Higham, SIAM J. Matrix Anal. 2005)."""
        xp, n = self.xp, x.shape[-1]
        if not x.size:
            return xp.zeros_like(x)
        size = xp.max(xp.sum(xp.abs(x), axis=-2), axis=-1)
        halvings = xp.ceil(xp.log2(xp.maximum(size, 4.25) / 4.25))
        halvings = xp.where(xp.isfinite(halvings), halvings, 0)[..., None, None]
        x = x / xp.exp2(halvings)
        x2 = x @ x
        x4 = x2 @ x2
        x6 = x4 @ x2
        b, one = _PADE, xp.eye(n, dtype=x.dtype)
        odd = x @ (x6 @ (b[13] * x6 + b[11] * x4 + b[9] * x2) + b[7] * x6 + b[5] * x4 + b[3] * x2 + b[1] * one)
        even = x6 @ (b[12] * x6 + b[10] * x4 + b[8] * x2) + b[6] * x6 + b[4] * x4 + b[2] * x2 + b[0] * one
        y = xp.linalg.solve(even - odd, even + odd)
        for i in range(int(self.to_host(xp.max(halvings)))):  # pyright: ignore[reportAttributeAccessIssue]
            y = xp.where(i < halvings, y @ y, y)
        return y

    def _cofactor(self, x: Any) -> Any:
        """The gradient of the determinant, det(x) x^-T, of singular matrices too."""
        xp = self.xp
        det = xp.linalg.det(x)
        if not self._holds(det == 0):
            return det[..., None, None] * xp.linalg.inv(x).swapaxes(-1, -2)
        u, s, v, sign = self._rotations(x)
        zeros = (s == 0).sum(axis=-1, keepdims=True)
        safe = xp.where(s == 0, 1, s)
        others = xp.where(zeros - (s == 0) == 0, xp.prod(safe, axis=-1, keepdims=True) / safe, 0)
        return sign * ((u.conj() * others[..., None, :]) @ v.conj())

    def _cofactor_slope(self, direction: Any, x: Any) -> Any:
        """The gradient of sum(direction * cofactor(x)) with respect to x.

        By way of singular values: as a difference of inverses it would lose all digits near a singular matrix.
        """
        xp = self.xp
        u, s, v, sign = self._rotations(x)
        one = xp.eye(s.shape[-1], dtype=s.dtype)
        zero = (s == 0).astype(s.dtype)
        safe = xp.where(s == 0, 1, s)
        left_over = zero.sum(axis=-1)[..., None, None] - zero[..., :, None] - zero[..., None, :]
        others = xp.prod(safe, axis=-1)[..., None, None] / (safe[..., :, None] * safe[..., None, :])
        others = xp.where(left_over == 0, others, 0) * (1 - one)  # products of all singular values but two
        inside = u.conj().swapaxes(-1, -2) @ direction @ v.conj().swapaxes(-1, -2)
        diagonal = others @ xp.diagonal(inside, axis1=-2, axis2=-1)[..., None]
        slope = diagonal * one - others * inside.swapaxes(-1, -2)
        return sign * (u.conj() @ slope @ v.conj())

    def _rotations(self, x: Any) -> tuple[Any, Any, Any, Any]:
        """u, s, v with x = u diag(s) v, and det(u) det(v)."""
        u, s, v = self.xp.linalg.svd(x)
        return u, s, v, (self.xp.linalg.det(u) * self.xp.linalg.det(v))[..., None, None]

    def _holds(self, condition: Any) -> bool:
        """Whether a condition holds anywhere; the only place here that waits for the device."""
        return bool(self.to_host(condition.any()))  # pyright: ignore[reportAttributeAccessIssue]


_SINGULAR = "a matrix is singular", "linalg.pinv and linalg.lstsq take any matrix"
_LOST = "no convergence", "is there a NaN or an infinity in the matrix?"
_REASONS = {
    "inv": _SINGULAR,
    "solve": _SINGULAR,
    "solve_triangular": _SINGULAR,
    "cholesky": ("a matrix is not positive definite", None),
    "eig": _LOST,
    "eigh": _LOST,
    "svd": _LOST,
}
_PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
    10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip


class Arrangement(NamedTuple):
    """How a contraction becomes a matrix product: axes as (batch, left, inner) @ (batch, inner, right)."""

    swap: bool
    a_order: list[int]
    b_order: list[int]
    y_order: list[int]
    batch: int
    inner: int
    a_index: tuple[slice | None, ...] = ()
    b_index: tuple[slice | None, ...] = ()


@lru_cache(maxsize=1024)
def _arrange(a_axes: Labels, b_axes: Labels, y_axes: Labels, a_is_larger: bool) -> Arrangement:
    shared = [n for n in (a_axes if a_is_larger else b_axes) if n in a_axes and n in b_axes]
    inner = [n for n in shared if n not in y_axes]
    if not inner:
        a_order, b_order = ([axes.index(n) for n in y_axes if n in axes] for axes in (a_axes, b_axes))
        a_index, b_index = (tuple(slice(None) if n in axes else None for n in y_axes) for axes in (a_axes, b_axes))
        return Arrangement(False, a_order, b_order, [], 0, 0, a_index, b_index)
    batch = [n for n in y_axes if n in shared]
    free = [n for n in y_axes if n not in shared]
    swap = bool(free) and free[0] in b_axes  # then the product b a comes out in the order that is asked for
    if swap:
        a_axes, b_axes = b_axes, a_axes
    left, right = [n for n in a_axes if n in free], [n for n in b_axes if n in free]
    found = batch + left + right
    return Arrangement(
        swap,
        [a_axes.index(n) for n in batch + left + inner],
        [b_axes.index(n) for n in batch + inner + right],
        [found.index(n) for n in y_axes],
        len(batch),
        len(inner),
    )
