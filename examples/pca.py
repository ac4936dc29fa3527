"""Principal components of the digits: by singular values, and by power iteration.

    python examples/pca.py

Both are graphs, and find the same directions; the second one never forms a decomposition, a matrix
times a few vectors is all it needs.
"""

from __future__ import annotations

import numpy as np
from common import parser, show

import graphc as gx


def by_svd(x: gx.Tensor, count: int) -> tuple[gx.Tensor, gx.Tensor]:
    """Directions (count, features) and variances (count,) of rows x (n, features)."""
    centred = x - gx.mean(x, axis=0)
    _, values, directions = gx.linalg.svd(centred, full_matrices=False)
    return directions[:count], values[:count] ** 2 / (x.shape[0] - 1)


def by_power_iteration(x: gx.Tensor, count: int, steps: int) -> tuple[gx.Tensor, gx.Tensor]:
    """The same: multiply with the covariance and orthonormalise, `steps` times."""
    centred = x - gx.mean(x, axis=0)
    rng = np.random.default_rng(0)
    start = gx.constant(rng.normal(size=(x.shape[1], count)).astype("float32"))

    def once(v: gx.Tensor, _: None) -> tuple[gx.Tensor, None]:
        q, _r = gx.linalg.qr(gx.matrix_transpose(centred) @ (centred @ v))
        return q, None

    directions, _ = gx.scan(once, start, length=steps)
    spread = centred @ directions
    return gx.matrix_transpose(directions), gx.sum(spread**2, axis=0) / (x.shape[0] - 1)


def main() -> None:
    """Compare both on the digits."""
    options = parser(__doc__, epochs=60, data=None).parse_args()
    (digits, _), _ = gx.data.digits()
    digits = digits[:, digits.std(axis=0) > 0]
    x = gx.input("x", digits.shape)
    find = gx.compile([x], [by_svd(x, 2), by_power_iteration(x, 2, options.epochs)], name="pca")
    (exact, variances), (found, same) = find(digits)
    print(f"shares of the variance: {variances / digits.var(axis=0, ddof=1).sum()}")
    print(f"by power iteration:     {same / digits.var(axis=0, ddof=1).sum()}")
    print(f"cosines between them:   {np.abs((exact * found).sum(axis=1))}")
    show(find, options.out)


if __name__ == "__main__":
    main()
