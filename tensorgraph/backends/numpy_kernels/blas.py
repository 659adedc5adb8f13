"""The BLAS inside NumPy: products that add to their result, and the number of its threads.

NumPy itself cannot ask BLAS for `out += a @ b`; its wheels carry OpenBLAS, whose C interface is called here through
ctypes. Where another BLAS is found, the same is computed in two steps. Imported by the kernels beside it.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import numpy as np


def _library() -> Any:
    import numpy._core._multiarray_umath as core

    folder = Path(np.__file__).parent
    for path in (core.__file__, *sorted(folder.parent.glob("numpy.libs/*openblas*"))):
        try:
            library = ctypes.CDLL(str(path))
            library.scipy_cblas_sgemm64_  # noqa: B018 - raises where it is missing
            return library
        except (OSError, AttributeError):
            continue
    return None


_lib = _library()
_GEMM: dict[Any, Any] = {}
if _lib is not None:
    for _dtype, _name, _real in (("float32", "s", ctypes.c_float), ("float64", "d", ctypes.c_double)):
        _function = getattr(_lib, f"scipy_cblas_{_name}gemm64_")
        _int, _at = ctypes.c_int64, ctypes.c_void_p
        _function.argtypes = [*[ctypes.c_int] * 3, *[_int] * 3, _real, _at, _int, _at, _int, _real, _at, _int]
        _function.restype = None
        _GEMM[np.dtype(_dtype)] = _function
_ROWS, _PLAIN, _TRANSPOSED = 101, 111, 112


def threads() -> int:
    """How many threads BLAS, and therefore the kernels, may use."""
    return _threads


def set_threads(n: int) -> None:
    if _lib is not None:
        _lib.scipy_openblas_set_num_threads64_(n)


_threads: int = _lib.scipy_openblas_get_num_threads64_() if _lib is not None else len(os.sched_getaffinity(0))


def add_product(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """`out += a @ b` for matrices; one axis of each has unit stride, of `out` the last."""
    gemm = _GEMM.get(out.dtype)
    if gemm is None:
        out += a @ b
        return
    size = out.itemsize
    (m, k), n = a.shape, b.shape[1]
    ta, lda = (_PLAIN, a.strides[0]) if a.strides[1] == size or k == 1 else (_TRANSPOSED, a.strides[1])
    tb, ldb = (_PLAIN, b.strides[0]) if b.strides[1] == size or n == 1 else (_TRANSPOSED, b.strides[1])
    gemm(
        _ROWS, ta, tb, m, n, k,
        1.0, a.ctypes.data, lda // size, b.ctypes.data, ldb // size,
        1.0, out.ctypes.data, out.strides[0] // size,
    )  # fmt: skip
