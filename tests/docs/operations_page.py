"""Which op works on which dtype, with which gradient: `python -m tests.docs.operations_page` prints
docs/operations.md. Nothing in it is claimed: every cell is computed from the harness's cases."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import graphc as gx
from graphc.errors import GraphcError
from graphc.frontend.tensor import Tensor
from graphc.ir import ops
from graphc.ir.compare import TOLERANCE, compare
from graphc.ir.ops import base, loop, training
from graphc.ir.ops.base import Leaf, Op
from graphc.ir.ops.matrix import Matrix
from graphc.ir.types import ALL_DTYPES, DType, float32
from graphc.testing.cases import Case, cases_of, dtype_of
from tests.ir.loops.test_elementary import BOUNDS, POW_BOUNDS
from tests.ir.ops.op_cases import Array

HEAD = """# Operations

Printed by `python -m tests.docs.operations_page`, from the cases of the op harness; a test compares
it with what the ops do. Do not edit.

One mark for each op and dtype (of the data; indices and conditions keep theirs):

- `●` runs in the interpreter and as native code on CPUs, with results that agree;
- `∂` so does its gradient;
- `○` runs in the interpreter alone;
- nothing: the type rule refuses the dtype, with a `DTypeError` where the graph is defined.

"Differentiable" says whether the op has a gradient at all: `no` where it is zero or undefined
everywhere (comparisons, rounding, indices).
"""

LOWERING: tuple[tuple[type[Op], str, str], ...] = (
    (base.Elementwise, "Elementwise", "One expression per element, in the kernel of whatever is"
     " around it. Operands have one shape; the operators on tensors broadcast."),
    (base.Reduce, "Reductions", "An accumulator of a loop, in the kernel of what is read; the"
     " order of summation is fixed."),
    (base.View, "Views", "Another index for the reader. No kernel and no bytes, unless a reader"
     " wants the elements in memory."),
    (base.Join, "Joins", "A nest for each input (`graphc/compiler/fusion/standalone.py`)."),
    (base.Contract, "Contractions", "A nest with one accumulator of products"
     " (`graphc/compiler/fusion/contraction.py`), followed by the elementwise ops that read it; the"
     " backend chooses tiles."),
    (base.Gather, "Gathers", "An index that is data, in the kernel of the reader; checked before"
     " anything is written."),
    (base.Scatter, "Scatters", "Updates in ascending order (`graphc/compiler/fusion/scatter.py`),"
     " in place where nobody else reads the old value."),
    (Matrix, "Matrices", "Loops over whole matrices, several matrices side by side"
     " (`graphc/compiler/fusion/matrix.py`)."),
    (base.Ordered, "Rows in their order", "Kernels of their own"
     " (`graphc/compiler/fusion/scans.py`, `sorting.py`, `search.py`, `scatter.py`)."),
)  # fmt: skip

KINDS = tuple(kind for kind in ops.ALL_OPS if not issubclass(kind, Leaf))
SEPARATOR = f"|---|---|{':-:|' * (len(ALL_DTYPES) + 1)}\n"


def family_of(kind: type[Op]) -> str:
    """The title of the family that an op belongs to."""
    # a matrix op is also a function of rows: the narrower family stands first
    return next(title for family, title, _ in LOWERING if issubclass(kind, family))


def first_line(kind: type[Op]) -> str:
    """The first sentence of a docstring, as a cell."""
    text = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    return text.replace("|", "\\|")


# ----------------------------------------------------------------------------------- one op


def data_dtype(case: Case) -> DType:
    """The dtype of the data: that of the floats if there are any."""
    found = [t.dtype for t in case.types]
    return next((d for d in found if d.is_float), found[0] if len(set(found)) == 1 else found[-1])


def example(kind: type[Op], dtype: DType) -> Case | None:
    """A case of the op on a dtype; None where the type rule refuses it."""
    found = []
    for case in cases_of(kind):
        old = data_dtype(case)
        types = tuple(t.with_dtype(dtype) if t.dtype == old else t for t in case.types)
        try:
            result = case.op.infer(*types)
        except GraphcError:
            continue
        # a result with a gradient rather than one without, some elements rather than one or none
        rank = (result.dtype.is_float != dtype.is_float, old != float32, size(case) <= 1)
        found.append((rank, replace(case, types=types)))
    return min(found, key=lambda pair: pair[0])[1] if found else None


def size(case: Case) -> int:
    """The elements of the smallest operand."""
    return min(int(np.prod([int(s) for s in t.shape])) for t in case.types)  # type: ignore[call-overload]


def with_gradients(case: Case, number: int) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs, and the result followed by the gradients of the float inputs, if there are any."""
    arrays = case.arrays()
    inputs, y = case.tensors(arrays, number)
    floats = [x for x in inputs if x.dtype.is_float]
    if not (case.op.differentiable and y.dtype.is_float and floats):
        return inputs, [y]
    loss = gx.sum(y * literal_like(y))
    try:
        return inputs, [y, *gx.grad(loss, floats, unreachable="zero")]
    except NotImplementedError:
        return inputs, [y]


def literal_like(y: Tensor) -> Tensor:
    """Different numbers of a tensor's shape and dtype."""
    count = int(np.prod([int(s) for s in y.shape]))  # type: ignore[call-overload]
    numbers = np.linspace(0.5, 1.5, count).reshape([int(s) for s in y.shape])  # type: ignore[call-overload]
    return gx.asarray(numbers.astype(y.dtype.numpy))


def run(cases: list[Case], target: str) -> list[list[Array]]:
    """What all cases compute, from one compiled function."""
    built = [with_gradients(case, number) for number, case in enumerate(cases)]
    inputs = [x for xs, _ in built for x in xs]
    outputs = [y for _, ys in built for y in ys]
    step = gx.compile(inputs, outputs, target=target)
    found = iter(step(*(a for case in cases for a in case.arrays())))
    return [[np.asarray(next(found)) for _ in ys] for _, ys in built]


def attempt(cases: list[Case], target: str) -> list[list[Array]]:
    """What every case computes; nothing for a case that does not run."""
    try:
        return run(cases, target)
    except Exception as error:  # any failure is an answer here
        if len(cases) == 1:
            sys.stderr.write(f"{cases[0]} on {target}: {type(error).__name__}: {error}\n")
            return [[]]
    return [attempt([case], target)[0] for case in cases]


def agree(found: Array, expected: Array) -> bool:
    """Whether results agree to the dtype's tolerance; exactly for integers."""
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return False
    limit = TOLERANCE["rounding"].get(dtype_of(found).name, 0.0)
    return compare(found, expected, limit, floor=1.0, each=True) is None


def mark(case: Case, interpreted: list[Array], native: list[Array]) -> str:
    """The mark for one op and dtype."""
    expected = np.asarray(case.op.evaluate(*case.arrays()))
    if not interpreted or not agree(interpreted[0], expected):
        raise AssertionError(f"{case}: the interpreter does not do what `evaluate` does")
    same = [agree(a, b) for a, b in zip(native, interpreted)]
    if not same or not same[0]:
        return "○"
    return "∂" if len(same) > 1 and all(same) else "●"


def marks(kind: type[Op]) -> dict[DType, str]:
    """The marks of an op for every dtype that it takes."""
    cases = {dtype: case for dtype in ALL_DTYPES if (case := example(kind, dtype)) is not None}
    results = [attempt(list(cases.values()), target) for target in ("interpret", "cpu")]
    return {d: mark(case, *both) for (d, case), *both in zip(cases.items(), *results)}


def row(kind: type[Op]) -> str:
    """The line of an op."""
    cases, found = cases_of(kind), marks(kind)
    gradient = "yes" if any(case.op.differentiable for case in cases) else "no"
    cells = [f"`{kind.name}`", first_line(kind), gradient]
    return line(*cells, *(found.get(d, "") for d in ALL_DTYPES))


# --------------------------------------------------------------------------------- the page


def line(*cells: str) -> str:
    """One line of a table."""
    return "| " + " | ".join(cells) + " |\n"


def page(row_of: Callable[[type[Op]], str] = row) -> str:
    """The whole file."""
    parts = [HEAD]
    heads = line("op", "meaning", "differentiable", *(d.short for d in ALL_DTYPES))
    for _, title, lowering in LOWERING:
        kinds = [kind for kind in KINDS if family_of(kind) == title]
        if kinds:
            parts.append(f"\n## {title}\n\n{lowering}\n\n{heads}{SEPARATOR}")
            parts += [row_of(kind) for kind in kinds]
    return "".join([*parts, others(), accuracy()])


def others() -> str:
    """The ops that have no dtypes to try."""
    leaves = [kind for kind in ops.ALL_OPS if issubclass(kind, Leaf)]
    inner: list[Any] = [
        loop.Scan, training.ModeSwitch, training.StateUpdate, training.CustomGradient,
    ]  # fmt: skip
    text = "\n## Leaves, loops and markers\n\nThey stand for values, sizes and sub-graphs.\n\n"
    text += line("op", "meaning") + "|---|---|\n"
    return text + "".join(line(f"`{k.name}`", first_line(k)) for k in [*leaves, *inner])


def accuracy() -> str:
    """The bounds that tests assert for the elementary functions."""
    text = (
        "\n## Accuracy of elementary functions\n\nThe largest error that the tests allow, in units"
        " of the last place, against extended precision\n(float16 and bfloat16 are computed in"
        " float32 and rounded once). Every backend computes the same\ndefinitions.\n\n"
    )
    text += line("function", "float32", "float32 without fma", "float64", "float64 without fma")
    text += "|---|--:|--:|--:|--:|\n"
    single, double = POW_BOUNDS
    bounds = {**BOUNDS, "pow": (single, single, double, double)}
    return text + "".join(line(f"`{name}`", *map(str, b)) for name, b in bounds.items())


if __name__ == "__main__":
    sys.stdout.write(page())
