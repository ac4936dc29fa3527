"""Compile random graphs in many ways and compare with the interpreter.

What is exact in graphc is compared exactly: one and two threads, generic and specialised code,
integers, truth values, and floats that are small whole numbers. Other floats may differ from the
interpreter by roundings. How far these reach is measured, not guessed: the interpreter runs again
with every rounded value a little off (`Shaken`), and the spread of those runs is the unit of the
bound. Where a shaken run takes another branch, the spread shows it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from unittest.mock import patch

import numpy as np
from llvmlite import binding as llvm
from numpy.typing import NDArray

from graphc.compiler import pipeline
from graphc.compiler.options import Options
from graphc.compiler.passes import GRAPH_PASSES
from graphc.compiler.passes.driver import run_passes
from graphc.errors import RuntimeCheckError, ShapeError
from graphc.ir import ops
from graphc.ir.graph import Graph, Node
from graphc.ir.interpret import Interpreter
from graphc.ir.types import find_dtype
from graphc.runtime.definition import Definition, define
from graphc.runtime.function import CompiledFunction
from graphc.runtime.specialize import specialize
from graphc.testing import random_graph
from graphc.testing.graph_maker import RandomGraph
from graphc_llvm import cpu_function as native
from graphc_llvm.compile import describe
from graphc_llvm.emit_program import emit_program
from graphc_llvm.target import Target

Array = NDArray[Any]
Passes = tuple[Any, ...]
RANDOM = (7, 0)
RUNS = 5  # shaken ones
OFF = 2.0  # how many ulps a shaken value is off, at most
FACTOR = 16.0  # of the spread of the shaken runs
FLOOR = 8.0  # ulps that are always allowed

# Ops that round nothing, or that round the same numbers to the same result.
EXACT = (
    ops.Neg, ops.Abs, ops.Sign, ops.Maximum, ops.Minimum, ops.Relu, ops.Floor, ops.Ceil,
    ops.Trunc, ops.Round, ops.Where, ops.Cast, ops.Bitcast, ops.StopGradient, ops.Stored, ops.Guard,
    ops.UnitFloat, ops.CopySign, ops.Max, ops.Min, ops.FirstMax, ops.Sort, ops.CumulativeMax,
    ops.CumulativeMin, ops.Take, ops.TakeAlong,
)  # fmt: skip
# Ops that add many numbers: the sum may be far below its terms.
ADDING = (
    ops.Sum, ops.Prod, ops.Dot, ops.Conv, ops.CumulativeSum, ops.CumulativeProd, ops.Recurrence,
    ops.ScatterAdd, ops.PutAlong, ops.PutRows, ops.Fold, ops.Cholesky, ops.Lu, ops.Solve,
    ops.SolveTriangular, ops.Qr, ops.Eigh, ops.Svd, ops.Attention, ops.AttentionQueries,
    ops.AttentionKeys,
)  # fmt: skip


class Shaken(Interpreter):
    """Every rounded value is up to `OFF` ulps off, up or down."""

    def __init__(self, dims: dict[str, int], seed: int) -> None:
        super().__init__(dims, RANDOM)
        self.noise = np.random.default_rng(seed)

    def node(self, node: Node, arrays: list[Array]) -> Array:
        """The value of a node, with rounding errors of its own."""
        family = ops.base.Leaf, ops.base.View, ops.base.Join, *EXACT
        if not node.type.dtype.is_float or isinstance(node.op, (*family, ops.loop.Scan)):
            return super().node(node, arrays)
        if isinstance(node.op, ADDING):
            arrays = [self.shaken(a) for a in arrays]
        return self.shaken(super().node(node, arrays))

    def shaken(self, x: Array) -> Array:
        """An array with every float a little off."""
        dtype = find_dtype(x.dtype)
        if dtype is None or not dtype.is_float:
            return x
        size = OFF * self.noise.uniform(0.5, 1.0, x.shape)
        sign = self.noise.integers(0, 2, x.shape) * 2 - 1
        wide = x.astype(np.float64)
        with np.errstate(all="ignore"):  # the least numbers are further apart than an ulp
            step = np.maximum(ulp(x.dtype) * np.abs(wide), least(x.dtype))
            moves = np.isfinite(wide) & (wide != 0)
            return np.asarray(np.where(moves, wide + size * sign * step, wide).astype(x.dtype))


@cache
def ulp(dtype: Any) -> float:
    """The relative distance of two floats."""
    found = find_dtype(np.dtype(dtype))
    assert found is not None
    return {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}[
        found.name
    ]


@cache
def tiniest(dtype: Any) -> float:
    """The least normal number: what is below may vanish."""
    found = find_dtype(np.dtype(dtype))
    assert found is not None
    return 2.0**-14 if found.name == "float16" else 2.0**-126 if dtype != np.float64 else 2.0**-1022


@cache
def least(dtype: Any) -> float:
    """The least number above 0."""
    return tiniest(dtype) * ulp(dtype)


@dataclass
class Expected:
    """What the interpreter says of a graph, and how far roundings may lead away from it."""

    values: list[Array]
    allowed: list[Array]  # NaN: anything

    @classmethod
    def of(cls, graph: Graph, sample: RandomGraph) -> Expected:
        """Run the interpreter once, and shaken."""
        given = dict(zip(graph.inputs, sample.arrays))
        values = Interpreter(sample.dims, RANDOM).run(graph.roots, given)
        values = [np.array(v) for v in values]
        if sample.exact:
            return cls(values, [np.zeros(v.shape) for v in values])
        runs = [Shaken(sample.dims, i).run(graph.roots, given) for i in range(RUNS)]
        return cls(values, [bound(v, [r[i] for r in runs]) for i, v in enumerate(values)])

    def ignore_infinite(self) -> None:
        """Allow anything where the interpreter finds no number."""
        for value, allowed in zip(self.values, self.allowed):
            if find_dtype(value.dtype).is_float:  # type: ignore[union-attr]
                allowed[~np.isfinite(value.astype(np.float64))] = np.nan

    def differs(self, found: Sequence[Array]) -> str | None:
        """Where arrays are not what the interpreter says."""
        for i, (a, b, allowed) in enumerate(zip(found, self.values, self.allowed, strict=True)):
            a = np.asarray(a)
            if (a.dtype, a.shape) != (b.dtype, b.shape):
                return f"root {i}: {a.dtype}{a.shape} instead of {b.dtype}{b.shape}"
            wrong = ~close(a, b, allowed)
            if wrong.any():
                at = tuple(int(k) for k in np.argwhere(wrong)[0])
                return (
                    f"root {i} at {at}: {a[at]} instead of {b[at]} +- {allowed[at]:.3g}"
                    f" ({wrong.sum()} of {wrong.size})"
                )
        return None


def bound(value: Array, runs: list[Array]) -> Array:
    """How far a correct result may be from the interpreter's."""
    dtype = find_dtype(value.dtype)
    assert dtype is not None
    if not dtype.is_float:
        stable = np.all([r == value for r in runs], axis=0)
        return np.asarray(np.where(stable, 0.0, np.nan))
    wide = value.astype(np.float64)
    with np.errstate(all="ignore"):
        spread = np.max([np.abs(r.astype(np.float64) - wide) for r in runs], axis=0)
        finite = spread[np.isfinite(spread)]
        if finite.size:  # where roundings happened to cancel in all runs, neighbours tell
            spread = np.maximum(spread, np.median(finite) / 4)
        kinds = [same_kind(r.astype(np.float64), wide) for r in runs]
        allowed = FACTOR * spread + FLOOR * ulp(value.dtype) * np.abs(wide) + tiniest(value.dtype)
    finite = np.where(np.isfinite(wide), allowed, 0.0)
    return np.asarray(np.where(np.all(kinds, axis=0), finite, np.nan))


def same_kind(a: Array, b: Array) -> Array:
    """Both finite, or the same infinity, or both NaN."""
    return np.asarray(
        np.where(np.isfinite(b), np.isfinite(a), (a == b) | (np.isnan(a) & np.isnan(b)))
    )


def close(a: Array, b: Array, allowed: Array) -> Array:
    """Whether numbers agree; NaN with NaN."""
    if not find_dtype(b.dtype).is_float:  # type: ignore[union-attr]
        return np.asarray((a == b) | np.isnan(allowed))
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(all="ignore"):
        near = np.where(np.isfinite(b), np.abs(a - b) <= allowed, True)
    return np.asarray((same_kind(a, b) & near) | np.isnan(allowed))


# ------------------------------------------------------------------------------ native code


def object_code(text: str, target: Target, level: int) -> bytes:
    """Machine code; level 0 takes half the time, and the text says every bit."""
    module = llvm.parse_assembly(text)
    made = llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=level, reloc="pic", codemodel="small"
    )
    module.triple, module.data_layout = target.triple, str(made.target_data)
    return bytes(made.emit_object(module))


def run_native(
    step: CompiledFunction, sample: RandomGraph, generic: bool, threads: Sequence[int], level: int
) -> Iterator[list[Array]]:
    """Outputs and new parameters, for every number of threads."""
    cpu, dims = step.native, sample.dims
    module = emit_program(step.program, cpu.target, None if generic else dims)
    image = object_code(module.text, cpu.target, level)
    made = describe(step.graph, step.program, module, dims, image)
    library = cpu.load(image, module.symbol)
    for count in threads:
        sample.reset()
        step.rng[:] = RANDOM
        cpu.options = replace(cpu.options, threads=count)
        with patch.object(native, "choose_threads", use_all):  # small graphs would run on one
            runner = cpu.bind(made, dims, library)
        try:
            outputs = runner([np.array(a) for a in sample.arrays], step.rng)
            found = [*outputs, *(np.array(p.value) for p in sample.updates)]
        finally:
            sample.reset()
        yield found


def use_all(seconds: float, barriers: int, most: int) -> int:
    """As many threads as there may be, whether that pays or not."""
    return most


def same_bits(a: list[Array], b: list[Array]) -> bool:
    """Whether all bits are the same; one NaN is as good as another."""

    def plain(x: Array) -> bytes:
        x = np.array(x)
        if find_dtype(x.dtype).is_float:  # type: ignore[union-attr]
            x[np.isnan(x.astype(np.float64))] = np.nan
        return x.tobytes()

    return all(plain(x) == plain(y) for x, y in zip(a, b, strict=True))


@dataclass
class Report:
    """What was run, and what disagreed."""

    graphs: int = 0
    modules: int = 0
    runs: int = 0
    refused: int = 0
    failures: list[str] = field(default_factory=list)


def subset(rng: np.random.Generator) -> Passes:
    """Every pass on or off."""
    share = rng.random()
    return tuple(p for p in GRAPH_PASSES if rng.random() < share)


def define_sample(sample: RandomGraph) -> Definition:
    """The sample as a graph."""
    mode = "train" if sample.updates else "inference"
    return define(sample.inputs, sample.outputs, sample.updates or None, mode, "sample")


def compiled(sample: RandomGraph, passes: Passes) -> CompiledFunction:
    """The sample as a function, after these passes."""
    step = CompiledFunction(
        define_sample(sample), Options("train" if sample.updates else "inference")
    )
    kept, pipeline.GRAPH_PASSES = pipeline.GRAPH_PASSES, passes
    try:
        assert step.program
    finally:
        pipeline.GRAPH_PASSES = kept
    return step


def check(
    sample: RandomGraph,
    combinations: Sequence[Passes],
    native: int,
    rng: np.random.Generator,
    report: Report,
) -> str | None:
    """Compare every combination of passes with the graph as defined; what disagrees, or None.

    The first `native` different graphs that come out also run as native code.
    """
    report.graphs += 1
    graph = define_sample(sample).graph
    try:
        specialize(graph, sample.dims)
        expected = Expected.of(graph, sample)
    except RuntimeCheckError:
        return check_refused(sample, report)
    except ShapeError:  # the largest of nothing, say, where a dim is 0
        report.refused += 1
        return None
    if sample.wild:  # a pass may make something finite
        expected.ignore_infinite()
    seen: list[Any] = []
    for passes in combinations:
        optimized, _ = run_passes(graph, passes)
        if optimized.roots in seen:
            continue
        seen.append(optimized.roots)
        label = [p.__name__ for p in passes] if passes != GRAPH_PASSES else "all passes"
        given = dict(zip(graph.inputs, sample.arrays))
        problem = expected.differs(Interpreter(sample.dims, RANDOM).run(optimized.roots, given))
        if problem is None and len(seen) <= native:
            wanted = [expected, Expected.of(optimized, sample)] if sample.wild else [expected]
            problem = check_native(compiled(sample, passes), sample, wanted, rng, report)
        if problem:
            return f"{label}: {problem}"
    return None


def check_native(
    step: CompiledFunction,
    sample: RandomGraph,
    expected: list[Expected],
    rng: np.random.Generator,
    report: Report,
) -> str | None:
    """Native code against the interpreter, and against itself with threads and sizes."""
    level = 3 if rng.random() < 0.1 else 0
    first: list[Array] | None = None
    both = rng.random() < 0.2
    for generic in (False, True) if both else (bool(rng.integers(2)),):
        report.modules += 1
        for threads, found in zip((1, 2), run_native(step, sample, generic, (1, 2), level)):
            report.runs += 1
            label = f"{'generic' if generic else 'specialised'}, {threads} threads, level {level}"
            problems = [e.differs(found) for e in expected]
            if any(problems):
                return f"{label}: {problems}"
            if first is not None and not same_bits(first, found):
                return f"{label}: other bits than the first run"
            first = found
    return None


def check_refused(sample: RandomGraph, report: Report) -> str | None:
    """A failed check fails in native code too, unless nothing needs what it guards (x**0)."""
    report.refused += 1
    step = compiled(sample, GRAPH_PASSES)
    try:
        list(run_native(step, sample, False, (1,), 0))
    except RuntimeCheckError:
        return None
    left = step.program.optimized.nodes
    kept = any(isinstance(n.op, (ops.Guard, ops.loop.Scan)) for n in left)
    return "a check fails in the interpreter only" if kept else None


def check_seed(seed: int, report: Report, modules: int = 2) -> str | None:
    """Draw a graph, check it with all passes, none or some; an exception is a failure too."""
    rng = np.random.default_rng((seed, 1))
    some = () if rng.random() < 0.3 else subset(rng)
    combinations = [GRAPH_PASSES, some, subset(rng)]
    if modules == 1 and rng.random() < 0.5:
        combinations = [some, GRAPH_PASSES, subset(rng)]
    try:
        problem = check(random_graph(seed), combinations, modules, rng, report)
    except Exception as error:
        problem = f"{type(error).__name__}: {str(error)[:300]}"
    if problem:
        problem = f"seed {seed}: {problem}"
        report.failures.append(problem)
    return problem


def main(arguments: Sequence[str]) -> int:
    """Check graph after graph: --count N --seed S --seconds T --modules M."""
    given = {"--count": "1000", "--seed": "0", "--seconds": "1e9", "--modules": "2"}
    given |= dict(zip(arguments[::2], arguments[1::2]))
    first, count = int(given["--seed"]), int(given["--count"])
    report, start = Report(), time.perf_counter()
    seed = first
    for seed in range(first, first + count):
        problem = check_seed(seed, report, int(given["--modules"]))
        if problem:
            print(problem, flush=True)  # noqa: T201
        if time.perf_counter() - start > float(given["--seconds"]):
            break
    seconds = time.perf_counter() - start
    print(  # noqa: T201
        f"seeds {first}..{seed}: {report.graphs} graphs, {report.modules} modules,"
        f" {report.runs} native runs, {report.refused} refused, {len(report.failures)} failures,"
        f" {seconds:.0f} s"
    )
    return bool(report.failures)
