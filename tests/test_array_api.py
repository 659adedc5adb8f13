"""`import tensorgraph as tg` is a Python array API namespace (2024.12): names, signatures, values and dtypes.

The reference is `array-api-strict`, NumPy's minimal implementation of the standard; real clients are array-api-compat,
array-api-extra, einops and SciPy. Each is skipped with its reason where it is not installed.
"""

import inspect

import numpy as np
import pytest

import tensorgraph as tg

strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed (extra `test`)")
strict.set_array_api_strict_flags(api_version="2024.12")

REAL = ["float32", "float64"]
FLOATING = [*REAL, "complex64", "complex128"]
INTEGER = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
NUMERIC = [*INTEGER, *FLOATING]
ALL = ["bool", *NUMERIC]

UNARY = {
    ("abs", "negative", "positive", "sign", "square"): NUMERIC,
    ("acos", "asin", "atan", "atanh", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asinh"): FLOATING,
    ("exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "acosh", "reciprocal"): FLOATING,
    ("ceil", "floor", "trunc"): [*INTEGER, *REAL],
    ("round", "isfinite", "isinf", "isnan"): NUMERIC,
    ("signbit",): REAL,
    ("conj", "real", "imag"): ["complex64", "complex128"],
    ("logical_not",): ["bool"],
    ("bitwise_invert",): ["bool", *INTEGER],
}
BINARY = {
    ("add", "subtract", "multiply", "equal", "not_equal"): NUMERIC,
    ("divide", "pow"): FLOATING,
    ("less", "less_equal", "greater", "greater_equal", "maximum", "minimum"): [*INTEGER, *REAL],
    ("floor_divide", "remainder"): [*INTEGER, *REAL],
    ("atan2", "copysign", "hypot", "logaddexp", "nextafter"): REAL,
    ("logical_and", "logical_or", "logical_xor"): ["bool"],
    ("bitwise_and", "bitwise_or", "bitwise_xor"): ["bool", *INTEGER],
    ("bitwise_left_shift", "bitwise_right_shift"): INTEGER,
}


def values(dtype, shape=(3, 4), seed=0, low=1, high=4):
    """Numbers that every function of the standard takes, in any dtype."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if np.dtype(dtype).kind in "iu":
        return rng.integers(low, high, shape).astype(dtype)
    x = rng.uniform(0.1, 0.9, shape)
    return (x + 1j * rng.uniform(0.1, 0.9, shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def same(ours, theirs):
    if isinstance(theirs, (tuple, list)):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
        return
    assert isinstance(ours, tg.Tensor)
    expected = np.asarray(theirs._array) if hasattr(theirs, "_array") else np.asarray(theirs)
    assert ours.shape == expected.shape
    assert ours.dtype == expected.dtype
    tolerance = 2e-5 if expected.dtype.name in ("float32", "complex64") else 1e-11
    if expected.dtype.kind in "fc":
        np.testing.assert_allclose(ours.numpy(), expected, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(ours.numpy(), expected)


def elementwise_cases():
    for table, count in ((UNARY, 1), (BINARY, 2)):
        for names, dtypes in table.items():
            for name in names:
                yield pytest.param(name, dtypes, count, id=name)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("name", "dtypes", "count"), list(elementwise_cases()))
def test_elementwise(name, dtypes, count):
    for dtype in dtypes:
        arrays = [values(dtype, seed=i) for i in range(count)]
        if name == "acosh" and np.dtype(dtype).kind == "f":
            arrays = [a + 1 for a in arrays]
        ours = getattr(tg, name)(*map(tg.asarray, arrays))
        same(ours, getattr(strict, name)(*map(strict.asarray, arrays)))
        if count == 2 and dtype not in ("bool",) and name not in ("bitwise_left_shift", "bitwise_right_shift"):
            scalar = 2 if np.dtype(dtype).kind in "iu" else 0.5
            same(
                getattr(tg, name)(tg.asarray(arrays[0]), scalar),
                getattr(strict, name)(strict.asarray(arrays[0]), strict.asarray(scalar, dtype=getattr(strict, dtype))),
            )


A = values("float64")
B = values("float64", seed=5)
I = values("int64", (5,), seed=3, high=9)
S = A[:3, :3] + 3 * np.eye(3)
V = values("float64", (3,))

CALLS = {
    "all": lambda xp, a: xp.all(a(A > 0.5), axis=0, keepdims=True),
    "any": lambda xp, a: xp.any(a(A > 0.5), axis=(0, 1)),
    "arange": lambda xp, a: xp.arange(2, 11, 3, dtype=xp.int64),
    "argmax": lambda xp, a: xp.argmax(a(A), axis=1, keepdims=True),
    "argmin": lambda xp, a: xp.argmin(a(A)),
    "argsort": lambda xp, a: xp.argsort(a(A), axis=0, descending=True, stable=True),
    "asarray": lambda xp, a: xp.asarray([1, 2, 3], dtype=xp.float64, copy=True),
    "astype": lambda xp, a: xp.astype(a(A), xp.float32, copy=False),
    "broadcast_arrays": lambda xp, a: xp.broadcast_arrays(a(A), a(A[0])),
    "broadcast_to": lambda xp, a: xp.broadcast_to(a(A[0]), (2, 4)),
    "clip": lambda xp, a: xp.clip(a(A), 0.2, 0.6),
    "clip below": lambda xp, a: xp.clip(a(A), min=0.4),
    "concat": lambda xp, a: xp.concat([a(A), a(B)], axis=1),
    "concat flat": lambda xp, a: xp.concat((a(A), a(B[0])), axis=None),
    "count_nonzero": lambda xp, a: xp.count_nonzero(a(A > 0.5), axis=1, keepdims=True),
    "cumulative_prod": lambda xp, a: xp.cumulative_prod(a(A), axis=0),
    "cumulative_sum": lambda xp, a: xp.cumulative_sum(a(A), axis=1, include_initial=True),
    "diff": lambda xp, a: xp.diff(a(A), axis=0, n=2, prepend=a(B[:1]), append=a(B[1:])),
    "empty": lambda xp, a: xp.empty((2, 0), dtype=xp.int8),
    "empty_like": lambda xp, a: xp.empty_like(a(A[:0])),
    "expand_dims": lambda xp, a: xp.expand_dims(a(A), axis=-1),
    "eye": lambda xp, a: xp.eye(3, 4, k=1, dtype=xp.float32),
    "flip": lambda xp, a: xp.flip(a(A), axis=(0, 1)),
    "from_dlpack": lambda xp, a: xp.from_dlpack(A.copy()),
    "full": lambda xp, a: xp.full((2, 3), 7, dtype=xp.int16),
    "full_like": lambda xp, a: xp.full_like(a(A), 2.5),
    "isin": None,
    "linspace": lambda xp, a: xp.linspace(0.0, 1.0, 7, dtype=xp.float64, endpoint=False),
    "matmul": lambda xp, a: xp.matmul(a(A), a(B.T)),
    "matrix_transpose": lambda xp, a: xp.matrix_transpose(a(A)),
    "max": lambda xp, a: xp.max(a(A), axis=(0,), keepdims=True),
    "mean": lambda xp, a: xp.mean(a(A), axis=1),
    "meshgrid": lambda xp, a: xp.meshgrid(a(A[0]), a(B[:, 0]), indexing="ij"),
    "min": lambda xp, a: xp.min(a(I)),
    "moveaxis": lambda xp, a: xp.moveaxis(a(A), 0, 1),
    "nonzero": lambda xp, a: xp.nonzero(a(A > 0.5)),
    "ones": lambda xp, a: xp.ones((2, 3), dtype=xp.complex128),
    "ones_like": lambda xp, a: xp.ones_like(a(I), dtype=xp.float32),
    "permute_dims": lambda xp, a: xp.permute_dims(a(A), (1, 0)),
    "prod": lambda xp, a: xp.prod(a(A), axis=0, dtype=xp.float32),
    "repeat": lambda xp, a: xp.repeat(a(A), a(np.array([1, 0, 2])), axis=0),
    "reshape": lambda xp, a: xp.reshape(a(A), (2, -1)),
    "roll": lambda xp, a: xp.roll(a(A), (1, 2), axis=(0, 1)),
    "searchsorted": lambda xp, a: xp.searchsorted(a(np.sort(V)), a(V), side="right"),
    "sort": lambda xp, a: xp.sort(a(A), axis=0, descending=True),
    "squeeze": lambda xp, a: xp.squeeze(a(A[:1]), axis=0),
    "stack": lambda xp, a: xp.stack([a(A), a(B)], axis=1),
    "std": lambda xp, a: xp.std(a(A), axis=0, correction=1),
    "sum": lambda xp, a: xp.sum(a(I), dtype=xp.float64),
    "sum of small integers": lambda xp, a: xp.sum(a(I.astype("int8"))),
    "sum of bytes": lambda xp, a: xp.sum(a(I.astype("uint8"))),
    "take": lambda xp, a: xp.take(a(A), a(np.array([2, 0])), axis=1),
    "take_along_axis": lambda xp, a: xp.take_along_axis(a(A), a(np.argsort(A, axis=1)), axis=1),
    "tensordot": lambda xp, a: xp.tensordot(a(A), a(B), axes=((0, 1), (0, 1))),
    "tile": lambda xp, a: xp.tile(a(A), (2, 1, 2)),
    "tril": lambda xp, a: xp.tril(a(A), k=-1),
    "triu": lambda xp, a: xp.triu(a(A), k=1),
    "unique_all": lambda xp, a: tuple(xp.unique_all(a(I))),
    "unique_counts": lambda xp, a: tuple(xp.unique_counts(a(I))),
    "unique_inverse": lambda xp, a: tuple(xp.unique_inverse(a(I))),
    "unique_values": lambda xp, a: xp.unique_values(a(I)),
    "unstack": lambda xp, a: xp.unstack(a(A), axis=1),
    "var": lambda xp, a: xp.var(a(A), keepdims=True),
    "vecdot": lambda xp, a: xp.vecdot(a(A), a(B), axis=-1),
    "where": lambda xp, a: xp.where(a(A > 0.5), a(A), a(B)),
    "zeros": lambda xp, a: xp.zeros(3, dtype=xp.bool),
    "zeros_like": lambda xp, a: xp.zeros_like(a(A)),
    "linalg.cholesky": lambda xp, a: xp.linalg.cholesky(a(S @ S.T), upper=True),
    "linalg.cross": lambda xp, a: xp.linalg.cross(a(A[:, :3]), a(B[:, :3]), axis=-1),
    "linalg.det": lambda xp, a: xp.linalg.det(a(S)),
    "linalg.diagonal": lambda xp, a: xp.linalg.diagonal(a(A), offset=1),
    "linalg.eigh": lambda xp, a: xp.linalg.eigh(a(S + S.T)).eigenvalues,
    "linalg.eigvalsh": lambda xp, a: xp.linalg.eigvalsh(a(S + S.T)),
    "linalg.inv": lambda xp, a: xp.linalg.inv(a(S)),
    "linalg.matmul": lambda xp, a: xp.linalg.matmul(a(A), a(B.T)),
    "linalg.matrix_norm": lambda xp, a: xp.linalg.matrix_norm(a(S), ord=2, keepdims=True),
    "linalg.matrix_power": lambda xp, a: xp.linalg.matrix_power(a(S), 3),
    "linalg.matrix_rank": lambda xp, a: xp.linalg.matrix_rank(a(S)),
    "linalg.matrix_transpose": lambda xp, a: xp.linalg.matrix_transpose(a(A)),
    "linalg.outer": lambda xp, a: xp.linalg.outer(a(V), a(V)),
    "linalg.pinv": lambda xp, a: xp.linalg.pinv(a(A)),
    "linalg.qr": lambda xp, a: xp.linalg.qr(a(S)).R,
    "linalg.slogdet": lambda xp, a: tuple(xp.linalg.slogdet(a(S))),
    "linalg.solve": lambda xp, a: xp.linalg.solve(a(S), a(V)),
    "linalg.svd": lambda xp, a: xp.linalg.svd(a(A), full_matrices=False).S,
    "linalg.svdvals": lambda xp, a: xp.linalg.svdvals(a(A)),
    "linalg.tensordot": lambda xp, a: xp.linalg.tensordot(a(A), a(B.T), axes=1),
    "linalg.trace": lambda xp, a: xp.linalg.trace(a(A), offset=1),
    "linalg.vecdot": lambda xp, a: xp.linalg.vecdot(a(A), a(B)),
    "linalg.vector_norm": lambda xp, a: xp.linalg.vector_norm(a(A), axis=0, ord=1),
    "fft.fft": lambda xp, a: xp.fft.fft(a(A + 0j), n=6, axis=0, norm="ortho"),
    "fft.ifft": lambda xp, a: xp.fft.ifft(a(A + 0j)),
    "fft.fftn": lambda xp, a: xp.fft.fftn(a(A + 0j), axes=(0, 1)),
    "fft.ifftn": lambda xp, a: xp.fft.ifftn(a(A + 0j)),
    "fft.rfft": lambda xp, a: xp.fft.rfft(a(A)),
    "fft.irfft": lambda xp, a: xp.fft.irfft(a(A + 0j), n=5),
    "fft.rfftn": lambda xp, a: xp.fft.rfftn(a(A)),
    "fft.irfftn": lambda xp, a: xp.fft.irfftn(a(A + 0j)),
    "fft.hfft": lambda xp, a: xp.fft.hfft(a(A + 0j)),
    "fft.ihfft": lambda xp, a: xp.fft.ihfft(a(A)),
    "fft.fftfreq": lambda xp, a: xp.fft.fftfreq(5, d=0.5, dtype=xp.float64),
    "fft.rfftfreq": lambda xp, a: xp.fft.rfftfreq(5, dtype=xp.float64),
    "fft.fftshift": lambda xp, a: xp.fft.fftshift(a(A), axes=0),
    "fft.ifftshift": lambda xp, a: xp.fft.ifftshift(a(A)),
}
# of a later version of the standard, or of array-api-strict itself
NOT_OF_2024 = {"isin", "broadcast_shapes"}
ANSWERED_ELSEWHERE = {"can_cast", "finfo", "iinfo", "isdtype", "result_type"}


@pytest.mark.parametrize("name", [name for name, call in CALLS.items() if call is not None])
def test_values_and_dtypes(name):
    call = CALLS[name]
    same(call(tg, tg.asarray), call(strict, strict.asarray))


def functions():
    for room in ("", "linalg", "fft"):
        module = getattr(strict, room) if room else strict
        for name in module.__all__ if hasattr(module, "__all__") else dir(module):
            function = getattr(module, name, None)
            if not inspect.isfunction(function) or name.startswith("_") or "strict_flags" in name:
                continue
            if name in NOT_OF_2024 or not function.__module__.startswith("array_api_strict"):
                continue
            if room and f"{room}.{name}" not in CALLS and name not in ("eig", "eigvals"):
                continue  # an import of the module, not of the standard
            yield f"{room}.{name}" if room else name


@pytest.mark.parametrize("name", sorted(set(functions()) - {"linalg.eig", "linalg.eigvals"}))
def test_every_function_exists_is_tried_and_takes_the_arguments_of_the_standard(name):
    theirs, ours = strict, tg
    for part in name.split("."):
        theirs, ours = getattr(theirs, part), getattr(ours, part)
    tried = {n for names in (*UNARY, *BINARY) for n in names} | set(CALLS) | ANSWERED_ELSEWHERE
    assert name in tried, f"{name} has no case in this file"
    parameters = inspect.signature(theirs).parameters.values()
    positional = [
        object() for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    keyword = {p.name: object() for p in parameters if p.kind is p.KEYWORD_ONLY}
    inspect.signature(ours).bind(*positional, **keyword)


def test_questions_about_dtypes():
    assert tg.isdtype(tg.float32, "real floating") and not tg.isdtype(tg.float32, ("integral", tg.float64))
    assert tg.isdtype(tg.complex64, ("integral", tg.complex64))
    assert tg.result_type(tg.float32, tg.float64) == tg.float64
    assert tg.result_type(tg.ones(2), 2.5) == tg.float32
    assert tg.result_type(tg.ones(2), tg.arange(3)) == tg.float32
    assert tg.result_type(tg.int32, 1j) == tg.complex64
    assert tg.can_cast(tg.int8, tg.int32) and not tg.can_cast(tg.float64, tg.int64)
    info = tg.finfo(tg.float32)
    assert (info.bits, info.eps, info.dtype) == (32, 2.0**-23, tg.float32) and type(info.max) is float
    assert tg.iinfo(tg.ones(2, dtype=tg.int16)).max == 32767
    with pytest.raises(tg.DtypeError):
        tg.finfo(tg.int32)
    with pytest.raises(tg.ArgumentError, match="unknown kind"):
        tg.isdtype(tg.int8, "whole")


def test_inspection():
    info = tg.__array_namespace_info__()
    assert info.default_device() == "cpu" and "cpu" in info.devices()
    assert info.default_dtypes()["real floating"] == tg.float32
    assert set(info.dtypes(kind="complex floating")) == {"complex64", "complex128"}
    assert info.capabilities()["boolean indexing"] is True
    assert tg.__array_api_version__ == "2024.12"
    x = tg.ones(2)
    assert x.__array_namespace__() is tg and x.__array_namespace__(api_version="2024.12") is tg
    with pytest.raises(tg.ArgumentError):
        x.__array_namespace__(api_version="1999.01")
    assert x.to_device("cpu") is x and x.device == "cpu"


def test_array_api_compat_and_extra():
    compat = pytest.importorskip("array_api_compat", reason="array-api-compat is not installed (extra `test`)")
    xpx = pytest.importorskip("array_api_extra", reason="array-api-extra is not installed (extra `test`)")
    x = tg.tensor(A, requires_grad=True)
    assert compat.is_array_api_obj(x)
    assert compat.array_namespace(x) is tg
    assert compat.size(x) == 12 and compat.device(x) == "cpu"
    y = xpx.sinc(x, xp=tg).sum() + xpx.kron(x, x, xp=tg).sum()
    y.backward()
    assert x.grad.shape == x.shape
    same(xpx.pad(tg.asarray(A), 1, xp=tg), np.pad(A, 1))
    same(xpx.cov(tg.asarray(A), xp=tg), np.cov(A))
    same(xpx.kron(tg.asarray(A), tg.asarray(B), xp=tg), np.kron(A, B))


def test_einops():
    einops = pytest.importorskip("einops", reason="einops is not installed (extra `test`)")
    from einops.array_api import rearrange, reduce, repeat

    assert einops
    x = tg.tensor(np.arange(24.0).reshape(2, 3, 4), requires_grad=True)
    y = rearrange(x, "b (h w) c -> b c h w", w=1)
    assert y.shape == (2, 4, 3, 1)
    z = repeat(reduce(y, "b c h w -> b c", reduction="mean"), "b c -> b c k", k=2)
    z.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.full((2, 3, 4), 2 / 3))


def test_scipy():
    scipy_fft = pytest.importorskip("scipy.fft", reason="SciPy is not installed (extra `test`)")
    assert scipy_fft
    import os
    import subprocess
    import sys

    program = (
        "import tensorgraph as tg, numpy as np, scipy.special as s, scipy.fft as f, scipy.cluster.vq as v\n"
        "x = tg.tensor(np.linspace(0.1, 2, 6).reshape(2, 3))\n"
        "y = f.fft(x + 0j)\n"
        "assert isinstance(y, tg.Tensor), type(y)\n"
        "np.testing.assert_allclose(y.numpy(), np.fft.fft(x.numpy()))\n"
        "y = s.logsumexp(x, axis=1)\n"
        "assert isinstance(y, tg.Tensor), type(y)\n"
        "np.testing.assert_allclose(y.numpy(), np.log(np.exp(x.numpy()).sum(1)))\n"
        "assert isinstance(v.whiten(x), tg.Tensor)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"SCIPY_ARRAY_API": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
