"""Fourier transforms, against sums of exponentials written out."""

import numpy as np

import tensorgraph as tg
from tensorgraph.ops import fourier
from tests.samples import A, Complex, E, S


def dft(x, n=None, axis=-1, norm="backward", sign=-1):
    """The defining sum; cropped or padded to length n."""
    x = np.moveaxis(x, axis, -1)
    m = x.shape[-1]
    n = m if n is None else n
    x = x[..., :n] if n < m else np.concatenate([x, np.zeros((*x.shape[:-1], n - m))], -1)
    jk = np.arange(n)[:, None] * np.arange(n)
    scale = {"backward": (1, 1 / n), "forward": (1 / n, 1), "ortho": (n**-0.5, n**-0.5)}[norm][sign > 0]
    return np.moveaxis(x @ np.exp(sign * 2j * np.pi * jk / n) * scale, -1, axis)


def fft(x, n=None, axis=-1, norm="backward"):
    return dft(x, n, axis, norm)


def ifft(x, n=None, axis=-1, norm="backward"):
    return dft(x, n, axis, norm, sign=1)


def half(x, n, axis):
    return np.take(x, np.arange(n // 2 + 1), axis)


def rfft(x, n=None, axis=-1, norm="backward"):
    return half(dft(x, n, axis, norm), x.shape[axis] if n is None else n, axis)


def ihfft(x, n=None, axis=-1, norm="backward"):
    return half(dft(x, n, axis, norm, sign=1), x.shape[axis] if n is None else n, axis)


def unfolded(x, n, axis):
    """The whole spectrum of n real numbers from its first half."""
    x = np.moveaxis(x, axis, -1)
    m = n // 2 + 1
    x = x[..., :m] if x.shape[-1] >= m else np.concatenate([x, np.zeros((*x.shape[:-1], m - x.shape[-1]))], -1)
    x = np.concatenate([x, x[..., (n - 1) // 2 : 0 : -1].conj()], -1)
    return np.moveaxis(x, -1, axis)


def irfft(x, n=None, axis=-1, norm="backward"):
    n = 2 * (x.shape[axis] - 1) if n is None else n
    return dft(unfolded(x, n, axis), None, axis, norm, sign=1).real


def hfft(x, n=None, axis=-1, norm="backward"):
    n = 2 * (x.shape[axis] - 1) if n is None else n
    return dft(unfolded(x, n, axis), None, axis, norm).real


def several(one, last=None):
    """A transform along several axes from those along one: `last` first (or last, for an inverse) on the last axis."""

    def transform(x, s=None, axes=None, norm="backward"):
        axes = tuple(range(x.ndim - len(s or x.shape), x.ndim) if axes is None else axes)
        s = (None,) * len(axes) if s is None else s
        steps = [(one, n, axis) for n, axis in zip(s[:-1], axes[:-1], strict=True)]
        end = (last or one, s[-1], axes[-1])
        for f, n, axis in (steps + [end]) if last is irfft else [end, *steps]:
            x = f(x, n, axis, norm)
        return x

    return transform


fftn, ifftn, rfftn, irfftn = several(fft), several(ifft), several(fft, rfft), several(ifft, irfft)

SINGLE = dict(dtypes=("float32", "float64"))  # of half precision the result is complex64, and its gradient float32

SAMPLES = [
    S("fft.fft", A(4), ref=fft),
    S("fft.fft", Complex(2, 5), ref=fft),
    S("fft.fft", Complex(4, 2), kw=dict(axis=0, norm="ortho"), ref=fft),
    S("fft.fft", A(2, 4), 6, ref=fft),
    S("fft.fft", Complex(2, 4), 3, kw=dict(norm="forward"), ref=fft),
    S("fft.fft", A(0, 3), ref=fft),
    S("fft.fft", np.arange(4), ref=fft, grad=False),
    S("fft.ifft", Complex(2, 4), ref=ifft),
    S("fft.ifft", A(4, 2), 5, 0, "forward", ref=ifft),
    S("fft.ifft", Complex(4), 3, kw=dict(norm="ortho"), ref=ifft),
    S("fft.rfft", A(2, 4), ref=rfft, **SINGLE),
    S("fft.rfft", A(5, 2), kw=dict(axis=0, norm="ortho"), ref=rfft, **SINGLE),
    S("fft.rfft", A(4), 3, kw=dict(norm="forward"), ref=rfft, **SINGLE),
    S("fft.rfft", A(4), 7, ref=rfft, **SINGLE),
    S("fft.rfft", np.array([0.5, -1.0, 2.0], dtype="float16"), ref=rfft, grad=False, dtypes=("float16",)),
    S("fft.irfft", Complex(2, 3), ref=irfft),
    S("fft.irfft", Complex(3, 2), 5, 0, "ortho", ref=irfft),
    S("fft.irfft", Complex(4), 4, kw=dict(norm="forward"), ref=irfft),
    S("fft.irfft", Complex(3), 7, ref=irfft),
    S("fft.irfft", Complex(3), 1, ref=irfft),
    S("fft.irfft", A(3), ref=irfft),
    S("fft.hfft", Complex(2, 3), ref=hfft),
    S("fft.hfft", Complex(3, 2), 5, 0, "forward", ref=hfft),
    S("fft.ihfft", A(2, 4), ref=ihfft, **SINGLE),
    S("fft.ihfft", A(5, 2), 3, 0, "ortho", ref=ihfft, **SINGLE),
    S("fft.fftn", Complex(2, 3, 2), ref=fftn),
    S("fft.fftn", A(2, 3, 4), (5, 2), kw=dict(norm="ortho"), ref=fftn),
    S("fft.fftn", Complex(2, 3, 4), kw=dict(axes=(2, 0)), ref=fftn),
    S("fft.fftn", Complex(2, 3), kw=dict(dim=0), ref=lambda x, dim: fft(x, axis=dim)),
    S("fft.fftn", Complex(2, 3), 4, kw=dict(dim=-1), ref=lambda x, s, dim: fft(x, s, dim)),
    S("fft.rfft2", A(3, 2, 4), kw=dict(dim=(1, 0)), ref=lambda x, dim: rfftn(x, axes=dim), **SINGLE),
    S("fft.fftshift", A(3, 4), kw=dict(dim=0), ref=lambda x, dim: np.fft.fftshift(x, dim)),
    S("fft.ifftn", Complex(3, 4), (2, 5), (1, 0), "forward", ref=ifftn),
    S("fft.fft2", A(2, 3, 4), ref=lambda x: fftn(x, axes=(-2, -1))),
    S("fft.fft2", Complex(3, 4, 2), (2, 5), (0, 1), ref=fftn),
    S("fft.ifft2", Complex(2, 3, 4), ref=lambda x: ifftn(x, axes=(-2, -1))),
    S("fft.rfftn", A(2, 3, 4), ref=rfftn, **SINGLE),
    S("fft.rfftn", A(3, 4), (3,), (0,), "ortho", ref=rfftn, **SINGLE),
    S("fft.irfftn", Complex(2, 3, 3), ref=irfftn),
    S("fft.irfftn", Complex(3, 4), (2, 5), (1, 0), ref=irfftn),
    S("fft.rfft2", A(2, 3, 4), ref=lambda x: rfftn(x, axes=(-2, -1)), **SINGLE),
    S("fft.irfft2", Complex(2, 3, 3), ref=lambda x: irfftn(x, axes=(-2, -1))),
    S("fft.irfft", Complex(4, 2), f=lambda x: fourier._scale_middle(x, 6, 0, 2),
      ref=lambda x: x * np.array([[1], [2], [2], [1]])),
    S("fft.fftn", A(2, 5), f=lambda x: fourier._crop_or_pad(x, (3, 4), (0, 1)),
      ref=lambda x: np.pad(x[:, :4], ((0, 1), (0, 0)))),
    S("fft.fftshift", A(4, 5), ref=np.fft.fftshift),
    S("fft.fftshift", Complex(4, 5), kw=dict(axes=1), ref=np.fft.fftshift),
    S("fft.ifftshift", A(4, 5), ref=np.fft.ifftshift),
    S("fft.ifftshift", A(3, 5), kw=dict(axes=(-1,)), ref=np.fft.ifftshift),
    S("fft.fftfreq", 5, 0.5, ref=np.fft.fftfreq, grad=False),
    S("fft.fftfreq", 4, kw=dict(dtype="float64"), ref=lambda n, dtype: np.array([0.0, 0.25, -0.5, -0.25]), grad=False),
    S("fft.rfftfreq", 5, ref=np.fft.rfftfreq, grad=False),
]  # fmt: skip

ERRORS = [
    E("fft.fft", A(3), 0, error=tg.ArgumentError, match="(?s)a transform of length 0.*at least 1"),
    E("fft.fft", A(2, 0), error=tg.ArgumentError, match="a transform of length 0"),
    E("fft.fft", A(3), kw=dict(norm="unit"), error=tg.ArgumentError, match="(?s)unknown norm 'unit'.*ortho"),
    E("fft.fft", A(3), kw=dict(axis=1), error=tg.AxisError, match="axis 1 is out of range"),
    E("fft.rfft", Complex(3), error=tg.DtypeError, match="needs real numbers"),
    E("fft.ihfft", Complex(3), error=tg.DtypeError, match="needs real numbers"),
    E("fft.irfft", A(1), error=tg.ArgumentError, match="a transform of length 0"),
    E("fft.fftn", A(2, 3), (2,), (0, 1), error=tg.ArgumentError, match="1 lengths for 2 axes"),
    E("fft.fft2", A(2, 3), kw=dict(axes=(0, 0)), error=tg.AxisError, match="names an axis twice"),
    E("fft.rfft2", A(3), error=tg.AxisError, match="axis -2 is out of range"),
    E("fft.fftshift", A(3), kw=dict(axes=1), error=tg.AxisError, match="axis 1 is out of range"),
    E("fft.fftfreq", 0, error=tg.ArgumentError, match="a transform of length 0"),
]  # fmt: skip
