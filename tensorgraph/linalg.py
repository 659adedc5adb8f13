"""`tensorgraph.linalg`: linear algebra under the names of NumPy and of the array API's extension.

A front door like the package itself: everything is defined in ops. Only `diagonal` and `trace` differ from what has
these names in the main name space, as in the standard. Imported by `tensorgraph/__init__.py`.
"""

from typing import Any

from tensorgraph.errors import LinAlgError
from tensorgraph.ops.decompose import cholesky, eig, eigh, eigvals, eigvalsh, qr, svd, svdvals
from tensorgraph.ops.diagonals import diagonal as _diagonal
from tensorgraph.ops.diagonals import trace as _trace
from tensorgraph.ops.matmul import cross, matmul, multi_dot, outer, tensordot, vecdot
from tensorgraph.ops.reduce import vector_norm
from tensorgraph.ops.shape import matrix_transpose
from tensorgraph.ops.spectrum import cond, lstsq, matrix_norm, matrix_rank, norm, pinv
from tensorgraph.ops.systems import (
    det,
    expm,
    inv,
    logdet,
    matrix_power,
    slogdet,
    solve,
    solve_triangular,
    tensorinv,
    tensorsolve,
)

__all__ = [
    "LinAlgError",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "expm",
    "inv",
    "logdet",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensordot",
    "tensorinv",
    "tensorsolve",
    "trace",
    "vecdot",
    "vector_norm",
]


def diagonal(x: Any, *, offset: int = 0) -> Any:
    """A diagonal of the matrices in the last two axes.  x (..., n, m) -> (..., k).  `offset` counts upwards."""
    return _diagonal(x, offset, -2, -1)


def trace(x: Any, *, offset: int = 0, dtype: Any = None) -> Any:
    """Sum of a diagonal of the matrices in the last two axes.  x (..., n, m) -> (...)."""
    return _trace(x, offset, -2, -1, dtype)
