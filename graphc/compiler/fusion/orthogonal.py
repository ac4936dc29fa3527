"""Lower orthogonal factorisations: Householder's reflections, and Jacobi's rotations of rows.

Singular values come from one-sided rotations (Hestenes, 1958): pairs of rows are rotated until
all are orthogonal to each other; their lengths are the singular values. Eigenvalues come from
rotations on both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from graphc.compiler.fusion.loop_writer import ArrayView, LoopWriter, MatrixTask, Scalar
from graphc.ir.loops import combine
from graphc.ir.types import int64

MAX_JACOBI_SWEEPS = 30  # a matrix needs fewer than ten
# Powers of two: a column above the first or below the second is scaled by the third.
EXPONENT_LIMITS = {32: (40, -44, 90), 64: (400, -400, 700)}


def qr(t: MatrixTask) -> None:
    """R by reflections; then Q, by the same ones in the opposite order on the identity."""
    w, m, n = t.writer, t.writer.number(t.rows), t.writer.number(t.columns)
    rank = t.node.type.shape[-1]
    grid = t.copy_operand("r", 0, t.rows, t.columns)
    units = scale_columns(t, grid, m, n)
    scales, products = t.matrix("scales", rank, 1), t.matrix("products", 1, t.columns)
    with w.loop(rank) as k:
        scale, corner = reflection(t, grid, k, m)
        scales[k, 0] = scale
        reflect(t, grid, grid, products, k, k + 1, scale)
        grid[k, k] = corner
    q = t.matrix("q", t.rows, rank)
    with w.loop(m) as i, w.loop(rank, parallel=True) as j:
        q[i, j] = i.equals(j).choose(w.constant(1.0, t.dtype), 0.0)
    with w.loop(rank) as done:
        k = w.number(rank) - 1 - done
        reflect(t, grid, q, products, k, k, w.named(scales[k, 0], "scale"))
    with w.loop(m) as i, w.loop(rank, parallel=True) as j:
        t.write(i, j, q[i, j])
    with w.loop(n) as j, w.loop(rank, parallel=True) as i:
        t.write(m + j, i, (i <= j).choose(grid[i, j] * units[j, 0], 0.0))


def scale_columns(t: MatrixTask, grid: ArrayView, m: Scalar, n: Scalar) -> ArrayView:
    """Divide columns whose squares would overflow or vanish by powers of two, which are returned.

    Others keep every bit: their power is 1.
    """
    w = t.writer
    high, low, by = EXPONENT_LIMITS[t.dtype.bits]
    units = t.matrix("units", t.columns, 1)
    with w.loop(n) as j:
        top = w.reduce(combine.MAX, m, lambda i: (abs(grid[i, j]),), lanes=False)[0]
        large, small = top > 2.0**high, top < 2.0**low
        unit = small.choose(w.constant(2.0**-by, t.dtype), 1.0)
        unit = w.named(large.choose(w.constant(2.0**by, t.dtype), unit), "unit")
        units[j, 0] = unit
        with w.loop(m) as i:
            grid[i, j] = grid[i, j] / unit
    return units


def reflection(t: MatrixTask, grid: ArrayView, k: Scalar, m: Scalar) -> tuple[Scalar, Scalar]:
    """The reflection that clears column k below row k: its scale, and what row k becomes.

    Its vector is 1 in row k and stands in the column below.
    """
    w = t.writer
    corner = w.named(grid[k, k], "corner")
    below = w.total(m - k - 1, lambda i: grid[k + 1 + i, k] * grid[k + 1 + i, k])
    flat = below.equals(0.0)
    length = (below.plus_product(corner, corner)).sqrt()
    new = w.named(flat.choose(corner, (corner < 0.0).choose(length, -length)), "new")
    divisor = w.named(flat.choose(w.constant(1.0, t.dtype), corner - new), "divisor")
    with w.loop(m - k - 1) as i:
        grid[k + 1 + i, k] = grid[k + 1 + i, k] / divisor
    return w.named(flat.choose(0.0, (new - corner) / new), "scale"), new


def reflect(
    t: MatrixTask,
    vectors: ArrayView,
    grid: ArrayView,
    products: ArrayView,
    k: Scalar,
    first: Scalar,
    scale: Scalar,
) -> None:
    """Reflect the columns from `first` on by the vector of column k."""
    w, m = t.writer, t.writer.number(t.rows)
    width = w.number(grid.buffer.shape[-1]) - first
    with w.loop(width, parallel=True) as c:
        products[0, c] = grid[k, first + c]
    with w.loop(m - k - 1) as r:
        i = k + 1 + r
        factor = w.named(vectors[i, k], "factor")
        with w.loop(width, parallel=True) as c:
            products[0, c] = products[0, c].plus_product(factor, grid[i, first + c])
    with w.loop(width, parallel=True) as c:
        products[0, c] = products[0, c] * scale
        grid[k, first + c] = grid[k, first + c] - products[0, c]
    with w.loop(m - k - 1) as r:
        i = k + 1 + r
        factor = w.named(vectors[i, k], "factor")
        with w.loop(width, parallel=True) as c:
            grid[i, first + c] = grid[i, first + c].minus_product(factor, products[0, c])


# --------------------------------------------------------------------------- rotations


@dataclass(frozen=True)
class RotatedRows:
    """A matrix whose rows are rotated: `count` rows of `width` elements."""

    grid: ArrayView
    count: Scalar
    width: Scalar

    def product(self, t: MatrixTask, p: Scalar, q: Scalar) -> Scalar:
        """The scalar product of two rows."""
        return t.writer.total(self.width, lambda i: self.grid[p, i] * self.grid[q, i])

    def rotate(self, t: MatrixTask, p: Scalar, q: Scalar, sine: Scalar, half: Scalar) -> None:
        """Apply a Givens rotation to two rows, given the sine and the tangent of half the angle.

        What is added is small where the angle is (Rutishauser, 1966): lengths do not drift, as
        they do with a rounded cosine.
        """
        w = t.writer
        with w.loop(self.width, parallel=True) as i:
            x, y = w.named(self.grid[p, i], "x"), w.named(self.grid[q, i], "y")
            self.grid[p, i] = x.minus_product(sine, y.plus_product(half, x))
            self.grid[q, i] = y.plus_product(sine, x.minus_product(half, y))


def jacobi_sweeps(
    t: MatrixTask, count: Scalar, turn: Callable[[Scalar, Scalar, ArrayView], None]
) -> None:
    """Cyclic Jacobi sweeps over all pairs until none sets `active`."""
    w = t.writer
    active = w.scratch("active", int64, 1)
    active[0] = w.number(1)
    with w.loop(MAX_JACOBI_SWEEPS, name="sweep"):
        pairs = w.named(active[0].equals(0).choose(w.number(0), count), "pairs")
        active[0] = w.number(0)
        with w.loop(pairs) as p, w.loop(count - p - 1) as r:
            turn(p, p + 1 + r, active)


def jacobi_angle(
    w: LoopWriter, alpha: Scalar, beta: Scalar, gamma: Scalar
) -> tuple[Scalar, Scalar, Scalar]:
    """The tangent, the sine, and the tangent of half the smaller angle that makes
    [[alpha, gamma], [gamma, beta]] diagonal."""
    half = w.named((beta - alpha) / (gamma * 2.0), "half")
    reach = abs(half) + (half * half + 1.0).sqrt()
    tangent = w.named((half < 0.0).choose(-1.0 / reach, 1.0 / reach), "tangent")
    cosine = w.named(1.0 / (tangent * tangent + 1.0).sqrt(), "cosine")
    sine = w.named(cosine * tangent, "sine")
    return tangent, sine, w.named(sine / (cosine + 1.0), "half_tangent")


def orthogonalise_pair(
    t: MatrixTask, p: Scalar, q: Scalar, active: ArrayView, rows: RotatedRows, basis: RotatedRows
) -> None:
    """Orthogonalise two rows by a rotation, unless they are orthogonal."""
    w = t.writer
    alpha, beta = rows.product(t, p, p), rows.product(t, q, q)
    gamma = rows.product(t, p, q)
    limit = (alpha * beta).sqrt() * (2.0 * float(np.finfo(t.dtype.numpy).eps))
    with w.when(limit < abs(gamma)):
        _, sine, half = jacobi_angle(w, alpha, beta, gamma)
        rows.rotate(t, p, q, sine, half)
        basis.rotate(t, p, q, sine, half)
        active[0] = w.number(1)


def eigh(t: MatrixTask) -> None:
    """Rotate rows and columns alike until only the diagonal is left."""
    w, n = t.writer, t.writer.number(t.rows)
    # rows a power of two apart would meet in a few lines of the cache, column by column
    grid, vectors = t.matrix("a", t.rows, t.rows + 16), t.matrix("vectors", t.rows, t.rows)
    with w.loop(n) as i, w.loop(n, parallel=True) as j:
        lower = j <= i
        grid[i, j] = t.read(0, lower.choose(i, j), lower.choose(j, i))
        vectors[i, j] = i.equals(j).choose(w.constant(1.0, t.dtype), 0.0)
    scale = normalise(t, grid, n, n)
    rows, basis = RotatedRows(grid, n, n), RotatedRows(vectors, n, n)
    jacobi_sweeps(t, n, lambda p, q, active: diagonalise_pair(t, p, q, active, rows, basis))
    values = t.matrix("values", t.rows, 1)
    with w.loop(n) as i:
        values[i, 0] = grid[i, i]
    with w.loop(n) as i:
        place = rank_of(t, values, n, i, ascending=True)
        t.write(0, place, values[i, 0] * scale)
        factor = w.named(sign(t, vectors, n, i) * (scale / scale), "factor")
        with w.loop(n) as k:
            t.write(k + 1, place, vectors[i, k] * factor)


def diagonalise_pair(
    t: MatrixTask, p: Scalar, q: Scalar, active: ArrayView, rows: RotatedRows, basis: RotatedRows
) -> None:
    """Rotate rows and columns p and q so that the element where they meet becomes 0.

    Away from their own four elements the columns are what the rows are.
    """
    w, a, eps = t.writer, rows.grid, float(np.finfo(t.dtype.numpy).eps)
    alpha, beta, gamma = (w.named(a[i, j]) for i, j in ((p, p), (q, q), (p, q)))
    limit = abs(alpha * beta).sqrt() * eps
    with w.when((limit < abs(gamma)) & (abs(gamma) > eps * eps)):
        tangent, sine, half = jacobi_angle(w, alpha, beta, gamma)
        rows.rotate(t, p, q, sine, half)
        basis.rotate(t, p, q, sine, half)
        with w.loop(rows.count) as k:
            a[k, p] = a[p, k]
            a[k, q] = a[q, k]
        a[p, p] = alpha.minus_product(tangent, gamma)
        a[q, q] = beta.plus_product(tangent, gamma)
        a[p, q] = 0.0
        a[q, p] = 0.0
        active[0] = w.number(1)


def svd(t: MatrixTask) -> None:
    """Rotate the longer vectors; the rotations themselves are the other factor."""
    w = t.writer
    tall = t.node.type.shape[-1] is t.columns or t.node.type.shape[-1] == t.columns
    count, width = (t.columns, t.rows) if tall else (t.rows, t.columns)
    grid, basis = t.matrix("a", count, width), t.matrix("turns", count, count)
    values = t.matrix("values", count, 1)
    r, k = w.number(count), w.number(width)
    with w.loop(r) as i:
        with w.loop(k, parallel=True) as j:
            grid[i, j] = t.read(0, j, i) if tall else t.read(0, i, j)
        with w.loop(r, parallel=True) as j:
            basis[i, j] = i.equals(j).choose(w.constant(1.0, t.dtype), 0.0)
    scale = normalise(t, grid, r, k)
    rows, turns = RotatedRows(grid, r, k), RotatedRows(basis, r, r)
    jacobi_sweeps(t, r, lambda p, q, active: orthogonalise_pair(t, p, q, active, rows, turns))
    with w.loop(r) as i:
        values[i, 0] = rows.product(t, i, i).sqrt()
    unit_rows(t, rows, values)
    left, right = (rows, turns) if tall else (turns, rows)
    with w.loop(r) as i:
        place = rank_of(t, values, r, i, ascending=False)
        t.write(0, place, values[i, 0] * scale)
        turned_sign = w.named(sign(t, left.grid, left.width, i) * (scale / scale), "sign")
        with w.loop(left.width) as j:
            t.write(j + 1, place, left.grid[i, j] * turned_sign)
        with w.loop(right.width) as j:
            t.write(left.width + 1 + j, place, right.grid[i, j] * turned_sign)


def normalise(t: MatrixTask, grid: ArrayView, rows: Scalar, columns: Scalar) -> Scalar:
    """Divide by the largest magnitude, which is returned.

    NaN or infinity anywhere makes it NaN or infinite, and its quotient with itself NaN.
    """
    w = t.writer
    tops = t.matrix("tops", t.node.type.shape[-1], 1)
    with w.loop(rows) as i:
        tops[i, 0] = w.reduce(combine.MAX, columns, lambda j: (abs(grid[i, j]),))[0]
    top = w.reduce(combine.MAX, rows, lambda i: (tops[i, 0],), lanes=False)[0]
    scale = w.named((top <= 0.0).choose(w.constant(1.0, t.dtype), top), "scale")
    with w.loop(rows) as i, w.loop(columns, parallel=True) as j:
        grid[i, j] = grid[i, j] / scale
    return scale


def rank_of(t: MatrixTask, values: ArrayView, count: Scalar, i: Scalar, ascending: bool) -> Scalar:
    """How many values come before the i-th."""
    w = t.writer
    own = w.named(values[i, 0], "own")

    def before(j: Scalar) -> Scalar:
        other = values[j, 0]
        first, last = (other < own, own < other) if ascending else (own < other, other < own)
        return first | (~(first | last) & (j < i))

    return w.count(count, before)


def sign(t: MatrixTask, grid: ArrayView, width: Scalar, i: Scalar) -> Scalar:
    """1 or -1, which makes the largest component of row i positive."""
    w = t.writer
    best = w.largest(width, lambda j: abs(grid[i, j]))
    return (grid[i, best] < 0.0).choose(w.constant(-1.0, t.dtype), 1.0)


def unit_rows(t: MatrixTask, rows: RotatedRows, lengths: ArrayView) -> None:
    """Give the rows length 1; rows of zeros become what is orthogonal to all others."""
    w = t.writer
    with w.loop(rows.count) as i:
        length = w.named(lengths[i, 0], "length")
        with w.when(~length.equals(0.0)), w.loop(rows.width, parallel=True) as j:
            rows.grid[i, j] = rows.grid[i, j] / length
    covered = t.matrix("covered", rows.grid.buffer.shape[-1], 1)
    with w.loop(rows.count) as i, w.when(lengths[i, 0].equals(0.0)):
        complete_basis(t, rows, covered, i)


def complete_basis(t: MatrixTask, rows: RotatedRows, covered: ArrayView, i: Scalar) -> None:
    """Make row i, which is 0, the part of an axis that no other row covers.

    The axis is the one that the others cover least.
    """
    w = t.writer
    with w.loop(rows.width) as j:
        covered[j, 0] = w.reduce(
            combine.SUM, rows.count, lambda q: (rows.grid[q, j] * rows.grid[q, j],), lanes=False
        )[0]
    axis = w.largest(rows.width, lambda j: -covered[j, 0])
    with w.loop(rows.width, parallel=True) as j:
        rows.grid[i, j] = axis.equals(j).choose(w.constant(1.0, t.dtype), 0.0)
    with w.loop(2), w.loop(rows.count) as q:
        shared = w.named(q.equals(i).choose(0.0, rows.product(t, q, i)), "shared")
        with w.loop(rows.width, parallel=True) as j:
            rows.grid[i, j] = rows.grid[i, j].minus_product(shared, rows.grid[q, j])
    length = w.named(rows.product(t, i, i).sqrt(), "length")
    with w.loop(rows.width, parallel=True) as j:
        rows.grid[i, j] = rows.grid[i, j] / length
