"""Linear algebra, Fourier transforms and einsum against PyTorch: values, gradients and second ones, real and complex.

Each case is one function of both libraries' name spaces. Factors that are determined only up to a sign or a phase
enter through products in which it cancels.
"""

from __future__ import annotations

import numpy as np
import pytest

import tensorgraph as tg

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra `peers`)")
pytestmark = pytest.mark.peers


def shift(xp, x, by):
    """x plus a constant matrix."""
    return x + (torch.tensor(by) if xp is torch else tg.tensor(by))


def symmetric(xp, x):
    """Hermitian with well separated eigenvalues."""
    return shift(xp, x + x.mT.conj(), np.diag(np.arange(0.0, 6 * x.shape[-1], 6)))


def positive(xp, x):
    return shift(xp, x @ x.mT.conj(), np.eye(x.shape[-1]))


def regular(xp, x):
    return shift(xp, x, 3 * np.eye(x.shape[-1]))


def eigh(xp, x):
    w, v = xp.linalg.eigh(symmetric(xp, x))
    return w, v[..., :, :1] @ v[..., :, :1].mT.conj()


def svd(xp, x):
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    return s, u[..., :, :1] @ vh[..., :1, :]


def qr(xp, x):
    q, r = xp.linalg.qr(x)
    return q @ q.mT.conj(), r.mT.conj() @ r


def eig(xp, x):
    w, v = xp.linalg.eig(x)
    return (w**3).sum(-1), (v * (1 / w)[..., None, :]) @ xp.linalg.inv(v)


def lstsq(xp, a, b):
    return xp.linalg.lstsq(a, b)[0]


def triangular(xp, a, b):
    return xp.linalg.solve_triangular(regular(xp, a), b, upper=True)


MATRICES = {
    "inv": (lambda xp, x: xp.linalg.inv(regular(xp, x)), (2, 3, 3)),
    "solve": (lambda xp, a, b: xp.linalg.solve(regular(xp, a), b), (2, 3, 3), (2, 3, 2)),
    "solve_triangular": (triangular, (3, 3), (3, 2)),
    "det": (lambda xp, x: xp.linalg.det(x), (2, 3, 3)),
    "slogdet": (lambda xp, x: tuple(xp.linalg.slogdet(x)), (2, 3, 3)),
    "logdet": (lambda xp, x: (torch if xp is torch else tg.linalg).logdet(positive(xp, x)), (2, 3, 3)),
    "matrix_power": (lambda xp, x: xp.linalg.matrix_power(regular(xp, x), -3), (3, 3)),
    "matrix_exp": (lambda xp, x: (xp.linalg.matrix_exp if xp is torch else tg.linalg.expm)(x), (2, 3, 3)),
    "cholesky": (lambda xp, x: xp.linalg.cholesky(positive(xp, x)), (2, 3, 3)),
    "qr": (qr, (4, 2)),
    "qr, wide": (lambda xp, x: xp.linalg.qr(x)[1].mT.conj() @ xp.linalg.qr(x)[1], (2, 3)),
    "eigh": (eigh, (2, 3, 3)),
    "eigvalsh": (lambda xp, x: xp.linalg.eigvalsh(symmetric(xp, x)), (3, 3)),
    "eig": (eig, (3, 3)),
    "svd": (svd, (2, 4, 3)),
    "svdvals": (lambda xp, x: xp.linalg.svdvals(x), (3, 4)),
    "pinv": (lambda xp, x: xp.linalg.pinv(x), (2, 4, 3)),
    "pinv, low rank": (lambda xp, a, b: xp.linalg.pinv(a @ b, rtol=1e-8), (4, 2), (2, 3)),
    "pinv, hermitian": (lambda xp, x: xp.linalg.pinv(symmetric(xp, x), hermitian=True, atol=1e-6), (3, 3)),
    "lstsq": (lstsq, (5, 3), (5, 2)),
    **{
        f"matrix_norm {ord}": (lambda xp, x, ord=ord: xp.linalg.matrix_norm(x, ord), (2, 4, 3))
        for ord in ("fro", "nuc", 2, -2, 1, -1, float("inf"), -float("inf"))
    },
    "cond": (lambda xp, x: xp.linalg.cond(regular(xp, x)), (3, 3)),
    "tensorinv": (lambda xp, x: xp.linalg.tensorinv(regular(xp, x).reshape(2, 3, 3, 2), ind=2), (6, 6)),
    "tensorsolve": (lambda xp, a, b: xp.linalg.tensorsolve(regular(xp, a).reshape(2, 3, 6), b), (6, 6), (2, 3)),
    "cross": (lambda xp, a, b: xp.linalg.cross(a, b), (2, 3), (2, 3)),
    "vecdot": (lambda xp, a, b: xp.linalg.vecdot(a, b), (2, 3), (3,)),
    "multi_dot": (lambda xp, a, b, c: xp.linalg.multi_dot([a, b, c]), (2, 4), (4, 3), (3, 2)),
    "kron": (lambda xp, a, b: xp.kron(a, b), (2, 2), (1, 3)),
    "tensordot": (lambda xp, a, b: xp.tensordot(a, b, dims=([1, 0], [0, 2])), (2, 3, 2), (3, 2, 2)),
    "cov": (lambda xp, x: xp.cov(x), (3, 5)),
    "corrcoef": (lambda xp, x: xp.corrcoef(x), (3, 5)),
}

EINSUM = {
    subscripts: (lambda xp, *arrays, subscripts=subscripts: xp.einsum(subscripts, *arrays), *shapes)
    for subscripts, *shapes in (
        ("ij,jk->ik", (2, 3), (3, 2)),
        ("bij,bjk,bkl->bil", (2, 2, 3), (2, 3, 2), (2, 2, 2)),
        ("ii->i", (3, 3)),
        ("ii", (3, 3)),
        ("...ij,...j->...i", (2, 3, 2), (2,)),
        ("ij,ij->", (2, 3), (2, 3)),
        ("ij,k->kji", (2, 3), (2,)),
        ("bhqd,bhkd->bhqk", (1, 2, 2, 3), (1, 2, 3, 3)),
        ("ij,jk,kl,lm->im", (2, 3), (3, 2), (2, 4), (4, 2)),
    )
}

NORMS = ("backward", "ortho", "forward")
FFT = {
    **{
        f"{name} {norm} {n}": (lambda xp, x, name=name, norm=norm, n=n: getattr(xp.fft, name)(x, n, 0, norm), (5, 2))
        for name in ("fft", "ifft", "irfft", "hfft", "rfft", "ihfft")
        for norm in NORMS
        for n in (None, 4, 7)
        if (norm == "ortho") == (n is not None)
    },
    **{
        f"{name} dim": (lambda xp, x, name=name: getattr(xp.fft, name)(x, dim=(2, 0)), (3, 2, 4))
        for name in ("fftn", "ifftn", "fft2", "ifft2", "irfftn", "irfft2", "rfftn", "rfft2")
    },
    "fftn s": (lambda xp, x: xp.fft.fftn(x, s=(2, 6)), (3, 2, 4)),
    "irfftn s": (lambda xp, x: xp.fft.irfftn(x, s=(2, 5)), (3, 2, 3)),
    "fftshift": (lambda xp, x: xp.fft.fftshift(x, dim=1), (2, 5)),
    "ifftshift": (lambda xp, x: xp.fft.ifftshift(x), (2, 5)),
}

COMPLEX = (torch.complex128, np.dtype("complex128"))
REAL_ONLY = ("rfft", "ihfft")
CASES = {**MATRICES, **EINSUM, **FFT}


def listed(y):
    return list(y) if isinstance(y, (tuple, list)) else [y]


def as_numpy(y):
    return y.numpy(force=True) if isinstance(y, torch.Tensor) else y.detach().numpy()


def close(got, expected, what):
    for a, b in zip(got, expected, strict=True):
        b = as_numpy(b)
        np.testing.assert_allclose(
            as_numpy(a), b, rtol=1e-9, atol=1e-9 * max(np.abs(b).max(initial=0), 1), err_msg=what
        )


def values_and_gradients(xp, f, arrays, dtype):
    """Results, first gradients and second gradients of one library."""
    make = torch.tensor if xp is torch else tg.tensor
    differentiate = torch.autograd.grad if xp is torch else tg.grad
    xs = [make(a.astype(dtype), requires_grad=True) for a in arrays]
    ys = listed(f(xp, *xs))

    def number(tensors, twist):
        total = 0
        for t in tensors:
            w = np.cos(twist + np.arange(np.prod(t.shape, dtype=int))).reshape(tuple(t.shape))
            total = total + ((t * make(w - 0.5j * w)).real if t.dtype in COMPLEX else t * make(w)).sum()
        return total

    first = differentiate(number(ys, 1.0), xs, create_graph=True)
    score = number(first, 2.0)
    second = differentiate(score, xs, allow_unused=True) if score.requires_grad else [None] * len(xs)
    zeros = [make(np.zeros(x.shape, dtype)) for x in xs]
    return ys, first, [z if g is None else g for g, z in zip(second, zeros, strict=True)]


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_pytorch(name, dtype):
    f, *shapes = CASES[name]
    if dtype == "complex128" and name.startswith(REAL_ONLY):
        with pytest.raises((tg.DtypeError, TypeError)):
            f(tg, *[tg.zeros(shape, dtype=dtype) for shape in shapes])
        return
    rng = np.random.default_rng(len(name))
    arrays = [rng.standard_normal(shape) + 1j * rng.standard_normal(shape) for shape in shapes]
    if dtype == "float64":
        arrays = [a.real for a in arrays]
    ours, theirs = (values_and_gradients(xp, f, arrays, dtype) for xp in (tg, torch))
    for what, got, expected in zip(("values", "gradients", "second gradients"), ours, theirs, strict=True):
        close(got, expected, f"{what} of {name}")


def test_ranks_agree_with_pytorch():
    x = np.stack([np.diag([4.0, -2.0, 0.5]), np.diag([1.0, 0.5, 0.0]), np.ones((3, 3))])
    for kw in ({}, {"atol": 0.6}, {"rtol": 0.3}, {"atol": 0.6, "rtol": 0.3}, {"atol": 0.0}):
        for hermitian in (False, True):
            got = tg.linalg.matrix_rank(tg.tensor(x), hermitian=hermitian, **kw)
            assert got.tolist() == torch.linalg.matrix_rank(torch.tensor(x), hermitian=hermitian, **kw).tolist()
