"""The BLAS inside NumPy: products that add to their result, and the number of its threads.

NumPy cannot ask BLAS for `out += a @ b`, which saves a pass over `out` and takes a faster path through OpenBLAS than
`out = a @ b` does (measured: 95 against 78 GFLOP/s for 196x576x64). NumPy's wheels carry OpenBLAS; its C interface is
called here through ctypes. Where another BLAS is found, the same is computed in two steps.
Imported by the kernels beside it.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import numpy as np


def _load() -> Any:
    """The library that NumPy's own extension is linked with, if it is the OpenBLAS of NumPy's wheels."""
    import numpy._core._multiarray_umath as extension

    site = Path(np.__file__).parent.parent
    for path in (extension.__file__, *site.glob("numpy.libs/*openblas*")):  # the second finds it on Windows
        try:
            library = ctypes.CDLL(str(path))
            library.scipy_cblas_sgemm64_  # noqa: B018 - raises where it is missing
        except (OSError, AttributeError):
            continue
        return library
    return None


_library = _load()
_GEMM: dict[np.dtype, Any] = {}
if _library is not None:
    for _dtype, _letter, _real in (("float32", "s", ctypes.c_float), ("float64", "d", ctypes.c_double)):
        _gemm = getattr(_library, f"scipy_cblas_{_letter}gemm64_")
        _n, _at = ctypes.c_int64, ctypes.c_void_p
        _gemm.argtypes = [*[ctypes.c_int] * 3, *[_n] * 3, _real, _at, _n, _at, _n, _real, _at, _n]
        _gemm.restype = None
        _GEMM[np.dtype(_dtype)] = _gemm
_ROW_MAJOR, _PLAIN, _TRANSPOSED = 101, 111, 112


def threads() -> int:
    """How many threads the kernels may use: as many as BLAS was told to (OMP_NUM_THREADS, cores of the process)."""
    return _THREADS


def set_threads(n: int) -> None:
    """Tells BLAS how many threads to use from now on."""
    if _library is not None:
        _library.scipy_openblas_set_num_threads64_(n)


def _count() -> int:
    if _library is not None:
        return _library.scipy_openblas_get_num_threads64_()
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


_THREADS = _count()


def add_product(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """`out += a @ b` for matrices of one dtype; each has an axis of unit stride, `out` the last."""
    gemm = _GEMM.get(out.dtype)
    if gemm is None:
        out += a @ b
        return
    size = out.itemsize
    a_order, lda = _lies(a, size)
    b_order, ldb = _lies(b, size)
    _, ldc = _lies(out, size)
    (m, k), n = a.shape, b.shape[1]
    a_at, b_at, c_at = (x.__array_interface__["data"][0] for x in (a, b, out))
    gemm(_ROW_MAJOR, a_order, b_order, m, n, k, 1.0, a_at, lda, b_at, ldb, 1.0, c_at, ldc)


def _lies(a: np.ndarray, size: int) -> tuple[int, int]:
    """How a matrix lies in memory, and its leading dimension. The stride of an axis of size 1 means nothing."""
    (rows, columns), (down, right) = a.shape, a.strides
    if right == size or columns == 1:
        return _PLAIN, max(down // size, columns)
    return _TRANSPOSED, max(right // size, rows)
