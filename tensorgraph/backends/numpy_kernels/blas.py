"""Products that add to their result, by a compiled kernel or the BLAS inside NumPy, and the number of BLAS's threads.

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

from tensorgraph.backends import compiled
from tensorgraph.backends.compiled import address, products


def _load() -> Any:
    """The library that NumPy's own extension is linked with, if it is the OpenBLAS of NumPy's wheels."""
    import numpy._core._multiarray_umath as extension

    site = Path(np.__file__).parent.parent
    for path in (extension.__file__, *site.glob("numpy.libs/*openblas*")):  # the second finds it on Windows
        try:
            library = ctypes.CDLL(str(path))
            library.scipy_cblas_sgemm64_
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
SINGLE = np.dtype("float32")
_ROW_MAJOR, _PLAIN, _TRANSPOSED = 101, 111, 112


def describe() -> str:
    """What multiplies matrices, in words."""
    if _library is None:
        return "the one NumPy was built with, by NumPy's own functions only (OpenBLAS of NumPy's wheels is faster here)"
    config = _library.scipy_openblas_get_config64_
    config.restype = ctypes.c_char_p
    return config().decode()


def threads() -> int:
    """How many threads the kernels may use: as many as BLAS was told to (OMP_NUM_THREADS, cores of the process)."""
    return _THREADS


def use_threads(n: int) -> None:
    """Sets how many threads the kernels and BLAS may use."""
    global _THREADS
    _THREADS = n
    set_threads(n)


def set_threads(n: int) -> None:
    """Tells BLAS how many threads to use from now on."""
    if _library is not None:
        _library.scipy_openblas_set_num_threads64_(n)


def _count() -> int:
    if _library is not None:
        return _library.scipy_openblas_get_num_threads64_()
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


_THREADS = _count()


def multiplies(*matrices: np.ndarray) -> bool:
    """Whether `add_product` reads these matrices in place."""
    return matrices[0].dtype in _GEMM and all(map(_readable, matrices))


def _readable(a: np.ndarray) -> bool:
    (rows, columns), (down, right), size = a.shape, a.strides, a.itemsize
    if down % size or right % size:
        return False
    by_rows = right == size and (down >= columns * size or rows == 1)
    return by_rows or (down == size and (right >= rows * size or columns == 1))


def add_product(a: np.ndarray, b: np.ndarray, out: np.ndarray, share: float = 1.0) -> None:
    """`out = share * out + a @ b` for matrices of one dtype; each has an axis of unit stride. On this thread alone.

    `share` is 1, or 0 to write what may hold anything.
    """
    size = out.itemsize
    order, out_row = _lies(out, size)
    if order == _TRANSPOSED:
        a, b, out = b.T, a.T, out.T
    kernels = compiled.kernels() if out.dtype == SINGLE else None
    if kernels is not None:
        way = products.way(a.shape, a.strides, b.shape, b.strides, 1, out_row if share else None, out_row)
        if way is not None:
            first, second = (b, a) if way.swaps else (a, b)
            to, room = address(out), products.scratch(1)
            kernels["product"](to, to if share else 0, address(first), address(second), room, *way.words)
            return
    gemm = _GEMM.get(out.dtype)
    if gemm is None:
        out[...] = a @ b + out if share else a @ b
        return
    a_order, lda = _lies(a, size)
    b_order, ldb = _lies(b, size)
    (m, k), n = a.shape, b.shape[1]
    at, bt, to = address(a), address(b), address(out)
    gemm(_ROW_MAJOR, a_order, b_order, m, n, k, 1.0, at, lda, bt, ldb, share, to, out_row)


def _lies(a: np.ndarray, size: int) -> tuple[int, int]:
    """How a matrix lies in memory, and its leading dimension. The stride of an axis of size 1 means nothing."""
    (rows, columns), (down, right) = a.shape, a.strides
    if right == size or columns == 1:
        return _PLAIN, max(down // size, columns)
    return _TRANSPOSED, max(right // size, rows)


def add_blocks(a: np.ndarray, begins: list[int], count: int, b: np.ndarray, out: np.ndarray) -> None:
    """`out += sum over r of a[begins[r] : begins[r] + count] @ b[r]`: blocks that may overlap, read where they are.

    a (rows, p, k) and out (count * p, n) are contiguous, of b (len(begins), k, n) each matrix or its transpose is.
    """
    for begin, factor in zip(begins, b, strict=True):
        add_product(a[begin : begin + count].reshape(-1, a.shape[2]), factor, out)


def add_blocks_transposed(a: np.ndarray, begins: list[int], count: int, b: np.ndarray, out: np.ndarray) -> None:
    """`out[r] += a[begins[r] : begins[r] + count].T @ b` for every r.

    a (rows, p, k) and b (count * p, n) are contiguous, of out (len(begins), k, n) each matrix or its transpose is.
    """
    for begin, total in zip(begins, out, strict=True):
        add_product(a[begin : begin + count].reshape(-1, a.shape[2]).T, b, total)
