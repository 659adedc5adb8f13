"""Discrete Fourier transforms. NumPy's and the array API's names and meaning; the front door is `tensorgraph.fft`.

May import: the engine, elementwise, shape, index. A Fourier matrix is symmetric, so the rule of a transform is the same
transform, cropped or padded to the length of the input. Rules are written as for holomorphic functions, without
conjugates; the engine takes the real part where the input is real. Half precision is computed in float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tensorgraph import backends
from tensorgraph.errors import ArgumentError, DtypeError, sig
from tensorgraph.operation import Array, op
from tensorgraph.ops.axes import Axis, check_axes
from tensorgraph.ops.matmul import as_arrays
from tensorgraph.spelling import spelled
from tensorgraph.tensor import Tensor

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]

Lengths = tuple[int, ...]
OPPOSITE = {"backward": "forward", "forward": "backward", "ortho": "ortho", None: "forward"}
"""norm -> the norm with which the inverse transform has the same factor"""


# ---- the transforms everything else is made of ---------------------------------------------------------------------
@op
def _fftn(be, x: Array, s: Lengths, axes: Lengths, norm: str, inverse: bool):
    """Complex transform along `axes`, each cropped or padded with zeros at its end to the length in `s`."""
    if len(axes) == 1:
        return (be.fft.ifft if inverse else be.fft.fft)(x, s[0], axes[0], norm)
    return (be.fft.ifftn if inverse else be.fft.fftn)(x, s, axes, norm)


def _fftn_rule(g, x_shape, s, axes, norm, inverse):
    return _crop_or_pad(_fftn(g, s, axes, norm, inverse), x_shape, axes)


_fftn.vjp(x=_fftn_rule)


@op
def _rfft(be, x: Array, n: int, axis: int, norm: str):
    """The first n // 2 + 1 entries of the transform of real numbers; the others are their conjugates."""
    return be.fft.rfft(x, n, axis, norm)


def _rfft_rule(g, x_shape, n, axis, norm):
    whole = _irfft(_scale_middle(g.conj(), n, axis, 0.5), n, axis, OPPOSITE[norm])
    return _crop_or_pad(whole, x_shape, (axis,))


_rfft.vjp(x=_rfft_rule)


@op
def _irfft(be, x: Array, n: int, axis: int, norm: str):
    """The n real numbers of whose transform x holds the first n // 2 + 1 entries."""
    return be.fft.irfft(x, n, axis, norm)


def _irfft_rule(g, x_shape, n, axis, norm):
    half = _scale_middle(_rfft(g, n, axis, OPPOSITE[norm]).conj(), n, axis, 2)
    return _crop_or_pad(half, x_shape, (axis,))


_irfft.vjp(x=_irfft_rule)


@op
def _scale_middle(be, x: Array, n: int, axis: int, factor: float):
    """The entries of half a spectrum of length n that stand for two, themselves and their conjugate, times a factor."""
    y = be.copy(x)
    y[_along(x.ndim, axis, slice(1, (n + 1) // 2))] *= factor
    return y


_scale_middle.vjp(x=lambda g, n, axis, factor: _scale_middle(g, n, axis, factor))


@op
def _crop_or_pad(be, x: Array, shape: Lengths, axes: Lengths):
    """x cropped, or padded with zeros, at the end of `axes` to the lengths that they have in `shape`."""
    for axis in axes:
        n = shape[axis]
        if n < x.shape[axis]:
            x = x[_along(x.ndim, axis, slice(n))]
        elif n > x.shape[axis]:
            missing = be.zeros((*x.shape[:axis], n - x.shape[axis], *x.shape[axis + 1 :]), dtype=x.dtype)
            x = be.concatenate((x, missing), axis=axis)
    return x


_crop_or_pad.vjp(x=lambda g, x_shape, axes: _crop_or_pad(g, x_shape, axes))


def _along(ndim: int, axis: int, part: slice) -> tuple[slice, ...]:
    return (slice(None),) * axis + (part,) + (slice(None),) * (ndim - axis - 1)


# ---- arguments -----------------------------------------------------------------------------------------------------
def _settled(
    what: str, x: Any, s: Any, axes: Any, norm: str | None, half: bool = False
) -> tuple[Any, Lengths, Lengths, str]:
    """x, lengths, axes and norm, all of them checked. `half`: the last axis of x holds half a spectrum."""
    (x,) = as_arrays(x)
    if norm not in OPPOSITE:
        raise ArgumentError(f"{what}: unknown norm {norm!r}", hint='"backward", "ortho" or "forward"')
    if isinstance(s, int):
        s = (s,)
    if axes is None and s is not None:
        axes = range(x.ndim - len(s), x.ndim)
    axes = check_axes(what, tuple(axes) if isinstance(axes, Iterable) else axes, x.ndim)
    if s is not None and len(s) != len(axes):
        raise ArgumentError(f"{what}: {len(s)} lengths for {len(axes)} axes")
    lengths = [x.shape[axis] if s is None or s[i] in (-1, None) else s[i] for i, axis in enumerate(axes)]
    if half and lengths and (s is None or s[-1] in (-1, None)):
        lengths[-1] = 2 * (lengths[-1] - 1)
    if min(lengths, default=1) < 1:
        raise ArgumentError(
            f"{what}: a transform of length {min(lengths)}: x is {sig(x)}", hint="a length is at least 1"
        )
    return x, tuple(lengths), axes, norm or "backward"


def _real(what: str, x: Any) -> Any:
    (x,) = as_arrays(x)
    if x.dtype.kind == "c":
        raise DtypeError(f"{what}: x is {sig(x)}, needs real numbers", hint="fft and fftn take complex ones")
    return x


# ---- one axis ------------------------------------------------------------------------------------------------------
@spelled
def fft(x: Any, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Any:
    """Discrete Fourier transform, y[k] = sum_j x[j] exp(-2 pi i j k / n).  x (..., m) -> (..., n) complex.

    x is cropped or padded with zeros at its end to length `n` (unless said: m). `norm` places the factor: "backward"
    1 here and 1/n in `ifft`, "forward" the other way round, "ortho" 1/sqrt(n) in both. float32 gives complex64.
    """
    return _fftn(*_settled("fft", x, None if n is None else (n,), (axis,), norm), False)


@spelled
def ifft(x: Any, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Any:
    """Inverse of `fft`, y[j] = 1/n sum_k x[k] exp(2 pi i j k / n).  x (..., m) -> (..., n) complex."""
    return _fftn(*_settled("ifft", x, None if n is None else (n,), (axis,), norm), True)


@spelled
def rfft(x: Any, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Any:
    """The first half of `fft` of real numbers: it determines the rest.  x (..., m) -> (..., n // 2 + 1) complex."""
    x, (n,), (axis,), norm = _settled("rfft", _real("rfft", x), None if n is None else (n,), (axis,), norm)
    return _rfft(x, n, axis, norm)


@spelled
def irfft(x: Any, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Any:
    """Inverse of `rfft`.  x (..., m) -> (..., n) real.

    n is 2 (m - 1) unless said: an odd length must be given. The imaginary part of the first entry, and of the last one
    of an even length, counts for nothing.
    """
    x, (n,), (axis,), norm = _settled("irfft", x, None if n is None else (n,), (axis,), norm, half=True)
    return _irfft(x, n, axis, norm)


@spelled
def hfft(x: Any, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Any:
    """`fft` of numbers with Hermitian symmetry, of which x holds the first half.  x (..., m) -> (..., n) real.

    n is 2 (m - 1) unless said.
    """
    x, (n,), (axis,), norm = _settled("hfft", x, None if n is None else (n,), (axis,), norm, half=True)
    return _irfft(x.conj(), n, axis, OPPOSITE[norm])


@spelled
def ihfft(x: Any, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Any:
    """Inverse of `hfft`.  x (..., m) real -> (..., n // 2 + 1) complex."""
    x, (n,), (axis,), norm = _settled("ihfft", _real("ihfft", x), None if n is None else (n,), (axis,), norm)
    return _rfft(x, n, axis, OPPOSITE[norm]).conj()


# ---- several axes --------------------------------------------------------------------------------------------------
@spelled
def fftn(x: Any, s: int | Sequence[int] | None = None, axes: Axis = None, norm: str | None = "backward") -> Any:
    """`fft` along several axes: `axes`, or the last len(s), or all.  x (...) -> (...) complex, of lengths `s` there."""
    return _fftn(*_settled("fftn", x, s, axes, norm), False)


@spelled
def ifftn(x: Any, s: int | Sequence[int] | None = None, axes: Axis = None, norm: str | None = "backward") -> Any:
    """Inverse of `fftn`."""
    return _fftn(*_settled("ifftn", x, s, axes, norm), True)


@spelled
def fft2(x: Any, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1), norm: str | None = "backward") -> Any:
    """`fft` along two axes.  x (..., n, m) -> (..., n, m) complex."""
    return _fftn(*_settled("fft2", x, s, axes, norm), False)


@spelled
def ifft2(x: Any, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1), norm: str | None = "backward") -> Any:
    """Inverse of `fft2`."""
    return _fftn(*_settled("ifft2", x, s, axes, norm), True)


def _rfftn_of(what: str, x: Any, s: Any, axes: Any, norm: str | None) -> Any:
    x, s, axes, norm = _settled(what, _real(what, x), s, axes, norm)
    y = _rfft(x, s[-1], axes[-1], norm)
    return _fftn(y, s[:-1], axes[:-1], norm, False) if len(axes) > 1 else y


def _irfftn_of(what: str, x: Any, s: Any, axes: Any, norm: str | None) -> Any:
    x, s, axes, norm = _settled(what, x, s, axes, norm, half=True)
    if len(axes) > 1:
        x = _fftn(x, s[:-1], axes[:-1], norm, True)
    return _irfft(x, s[-1], axes[-1], norm)


@spelled
def rfftn(x: Any, s: int | Sequence[int] | None = None, axes: Axis = None, norm: str | None = "backward") -> Any:
    """`rfft` along the last of the axes, `fft` along the others.  x (..., n, m) -> (..., n, m // 2 + 1) complex."""
    return _rfftn_of("rfftn", x, s, axes, norm)


@spelled
def irfftn(x: Any, s: int | Sequence[int] | None = None, axes: Axis = None, norm: str | None = "backward") -> Any:
    """Inverse of `rfftn`; the last length is 2 (m - 1) unless said."""
    return _irfftn_of("irfftn", x, s, axes, norm)


@spelled
def rfft2(x: Any, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1), norm: str | None = "backward") -> Any:
    """`rfftn` along two axes.  x (..., n, m) real -> (..., n, m // 2 + 1) complex."""
    return _rfftn_of("rfft2", x, s, axes, norm)


@spelled
def irfft2(
    x: Any, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1), norm: str | None = "backward"
) -> Any:
    """Inverse of `rfft2`."""
    return _irfftn_of("irfft2", x, s, axes, norm)


# ---- frequencies ---------------------------------------------------------------------------------------------------
def fftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """The frequencies of an `fft` of length n, sampled every d: 0, 1, ..., -2, -1 over n d.  -> (n) float32."""
    return _frequencies("fftfreq", n, np.fft.fftfreq, d, dtype, device)


def rfftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """The frequencies of an `rfft` of length n: 0, 1, ..., n // 2 over n d.  -> (n // 2 + 1) float32."""
    return _frequencies("rfftfreq", n, np.fft.rfftfreq, d, dtype, device)


def _frequencies(what: str, n: int, function: Any, d: float, dtype: Any, device: str | None) -> Tensor:
    if not isinstance(n, int) or n < 1:
        raise ArgumentError(f"{what}: a transform of length {n!r}", hint="a length is an integer from 1 on")
    host = function(n, d).astype(backends.check_dtype(dtype) or np.float32)
    return Tensor(backends.get(device).from_host(host, device or backends.get_default_device()))


@op
def fftshift(be, x: Array, axes: Axis = None):
    """Frequency 0 moved to the middle, along `axes` or all of them.  x (...) -> (...)."""
    return be.fft.fftshift(x, check_axes("fftshift", axes, x.ndim))


@op
def ifftshift(be, x: Array, axes: Axis = None):
    """Inverse of `fftshift`; of odd lengths the two differ.  x (...) -> (...)."""
    return be.fft.ifftshift(x, check_axes("ifftshift", axes, x.ndim))


fftshift.vjp(x=lambda g, axes: ifftshift(g, axes))
ifftshift.vjp(x=lambda g, axes: fftshift(g, axes))
