"""Linear algebra on stacks of matrices, under the names of the Python array API standard.

Matrices are the last two axes; the axes before them are a stack. Everything is computed in
generated code, one matrix by one thread, and has gradients.
"""

from graphc.frontend.arguments import check_all
from graphc.frontend.functions import matmul, matrix_transpose, outer, tensordot, trace, vecdot
from graphc.linalg.norms import matrix_norm, norm, vector_norm
from graphc.linalg.products import cross, diagonal, matrix_power, multi_dot
from graphc.linalg.solving import cholesky, det, inv, slogdet, solve, solve_triangular
from graphc.linalg.spectra import (
    eigh,
    eigvalsh,
    lstsq,
    matrix_rank,
    pinv,
    qr,
    svd,
    svdvals,
)

__all__ = [
    "cholesky", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "lstsq", "matmul",
    "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "multi_dot", "norm",
    "outer", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd", "svdvals", "tensordot",
    "trace", "vecdot", "vector_norm",
]  # fmt: skip

check_all(globals(), __all__)
