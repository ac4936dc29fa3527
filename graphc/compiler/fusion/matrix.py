"""Lower factorisations, linear equations and attention: loops over one matrix at a time.

The matrices of a stack are processed in parallel, each in scratch by one thread, in
loops whose innermost runs along rows; attention (`attention.py`) block by block.
"""

from __future__ import annotations

from graphc.compiler.fusion.attention import lower_attention
from graphc.compiler.fusion.kernel_builder import KernelBuilder
from graphc.compiler.fusion.loop_writer import ArrayView, LoopWriter, MatrixTask, Scalar
from graphc.compiler.fusion.nests import close_loops, open_loops
from graphc.compiler.fusion.orthogonal import eigh, qr, svd
from graphc.errors import VerifyError
from graphc.ir.graph import Node
from graphc.ir.loops import combine
from graphc.ir.ops.attention import Attends
from graphc.ir.ops.matrix import MIN_PIVOT, Cholesky, Lu, Solve, SolveTriangular
from graphc.ir.ops.spectral import Eigh, Qr, Svd
from graphc.ir.schedule import Storage


def lower_matrix(node: Node, targets: tuple[Storage, ...], builder: KernelBuilder) -> None:
    """Lower a function of whole matrices."""
    shape = node.type.shape[:-2]
    batch = open_loops(builder, shape)
    task = MatrixTask(node, targets, LoopWriter(builder), batch)
    match node.op:
        case Cholesky(check=check):
            cholesky(task, check)
        case Lu(regular=regular):
            lu(task, regular)
        case Solve(regular=regular):
            solve(task, regular)
        case SolveTriangular(lower=lower, unit=unit):
            solve_triangular(task, lower, unit)
        case Qr():
            qr(task)
        case Eigh():
            eigh(task)
        case Svd():
            svd(task)
        case Attends():
            lower_attention(task)
        case _:
            raise VerifyError(f"{node} has no lowering")
    close_loops(builder, batch, shape, lanes=False)


def cholesky(t: MatrixTask, check: bool) -> None:
    """Row after row of L^T; each is taken off the rows below it.

    The check is of pivots that are numbers: NaN goes on to the result.
    """
    w, n = t.writer, t.writer.number(t.rows)
    u = t.matrix("u", t.rows, t.rows)
    with w.loop(n) as i, w.loop(n - i, parallel=True) as r:
        u[i, i + r] = t.read(0, i + r, i)
    with w.loop(n) as k:
        if check:
            w.builder.check(t.node, (~(u[k, k] <= 0.0)).expr, None)
        root = w.named(u[k, k].sqrt(), "root")
        with w.loop(n - k, parallel=True) as r:
            u[k, k + r] = u[k, k + r] / root
        with w.loop(n - k - 1) as below:
            i = k + 1 + below
            factor = w.named(u[k, i], "factor")
            with w.loop(n - i, parallel=True) as r:
                u[i, i + r] = u[i, i + r].minus_product(factor, u[k, i + r])
    with w.loop(n) as i, w.loop(n, parallel=True) as j:
        t.write(i, j, (j <= i).choose(u[j, i], 0.0))


def lu(t: MatrixTask, regular: bool) -> None:
    """Eliminate with the factors kept below the diagonal."""
    w, n = t.writer, t.writer.number(t.rows)
    grid = t.copy_operand("lu", 0, t.rows, t.rows)
    pivots = t.matrix("pivots", t.rows, 1)
    eliminate(t, grid, n, n, pivots, regular)
    with w.loop(n) as i:
        with w.loop(n, parallel=True) as j:
            t.write(i, j, grid[i, j])
        t.write(i, n, pivots[i, 0])


def solve(t: MatrixTask, regular: bool) -> None:
    """Eliminate with the right side beside the matrix, then from the last row upwards."""
    w, n = t.writer, t.writer.number(t.rows)
    columns = t.node.type.shape[-1]
    grid = t.matrix("system", t.rows, t.rows + columns)
    with w.loop(n) as i:
        with w.loop(n, parallel=True) as j:
            grid[i, j] = t.read(0, i, j)
        with w.loop(columns, parallel=True) as j:
            grid[i, n + j] = t.read(1, i, j)
    eliminate(t, grid, n, n + w.number(columns), None, regular)
    with w.loop(n) as done:
        i = n - 1 - done
        with w.loop(done) as r:
            j = i + 1 + r
            factor = w.named(grid[i, j], "factor")
            with w.loop(columns, parallel=True) as c:
                grid[i, n + c] = grid[i, n + c].minus_product(factor, grid[j, n + c])
        pivot = w.named(grid[i, i], "pivot")
        with w.loop(columns, parallel=True) as c:
            grid[i, n + c] = grid[i, n + c] / pivot
    with w.loop(n) as i, w.loop(columns, parallel=True) as c:
        t.write(i, c, grid[i, n + c])


def eliminate(
    t: MatrixTask,
    grid: ArrayView,
    rows: Scalar,
    width: Scalar,
    pivots: ArrayView | None,
    regular: bool,
) -> None:
    """Make the left square upper triangular, the largest pivot of each column first.

    With `pivots` the factors are kept below the diagonal and the pivots' rows noted; with
    `regular` the least pivot stands in for one of 0.
    """
    w = t.writer
    least = least_pivot(t, grid, rows) if regular else None
    with w.loop(rows) as k:
        best = w.largest(rows - k, lambda i: abs(grid[k + i, k])) + k
        with w.loop(width, parallel=True) as j:
            upper, lower = w.named(grid[k, j], "upper"), w.named(grid[best, j], "lower")
            grid[k, j] = lower
            grid[best, j] = upper
        if least is not None:
            grid[k, k] = grid[k, k].equals(0.0).choose(least, grid[k, k])
        pivot = w.named(grid[k, k], "pivot")
        with w.loop(rows - k - 1) as r:
            i = k + 1 + r
            # a zero pivot has only zeros below it
            factor = w.named(pivot.equals(0.0).choose(0.0, grid[i, k] / pivot), "factor")
            with w.loop(width - k - 1, parallel=True) as c:
                j = k + 1 + c
                grid[i, j] = grid[i, j].minus_product(factor, grid[k, j])
            if pivots is not None:
                grid[i, k] = factor
        if pivots is not None:
            pivots[k, 0] = best.cast(t.dtype)


def least_pivot(t: MatrixTask, grid: ArrayView, rows: Scalar) -> Scalar:
    """So little beside the largest element that no other digit shows."""
    w = t.writer
    tops = t.matrix("tops", t.rows, 1)
    with w.loop(rows) as i:
        tops[i, 0] = w.reduce(combine.MAX, rows, lambda j: (abs(grid[i, j]),))[0]
    top = w.reduce(combine.MAX, rows, lambda i: (tops[i, 0],), lanes=False)[0]
    scale = (top > 0.0).choose(top, w.constant(1.0, t.dtype))
    return w.named(scale * MIN_PIVOT[t.dtype.bits], "least")


def solve_triangular(t: MatrixTask, lower: bool, unit: bool) -> None:
    """Row after row: what the known rows contribute is taken off."""
    w, n = t.writer, t.writer.number(t.rows)
    columns = t.node.type.shape[-1]
    x = t.copy_operand("x", 1, t.rows, columns)
    with w.loop(n) as done:
        i = done if lower else n - 1 - done
        with w.loop(done) as r:
            j = r if lower else i + 1 + r
            factor = w.named(t.read(0, i, j), "factor")
            with w.loop(columns, parallel=True) as c:
                x[i, c] = x[i, c].minus_product(factor, x[j, c])
        if not unit:
            pivot = w.named(t.read(0, i, i), "pivot")
            with w.loop(columns, parallel=True) as c:
                x[i, c] = x[i, c] / pivot
    with w.loop(n) as i, w.loop(columns, parallel=True) as c:
        t.write(i, c, x[i, c])
