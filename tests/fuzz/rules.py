"""Every rewrite rule alone and switched off, on graphs that fire it and on such that nearly do.

A rule is drawn, a graph that it applies to, and often a small change of that graph: another
number, operands in another order, another input, other axes, a sibling of an op. The rule alone
must keep of the bits what it says, on special numbers. Then the graph stands inside a larger one
(also as a gradient), which must mean the same after all passes, without this rule, and without
any one pass.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import graphc as gx
from graphc import origin as origins
from graphc.compiler.passes import GRAPH_PASSES, rewrite
from graphc.compiler.passes.driver import run_passes
from graphc.compiler.passes.patterns import Rule
from graphc.errors import GraphcError, RuntimeCheckError
from graphc.frontend.tensor import Tensor
from graphc.ir import ops
from graphc.ir.dims import evaluate
from graphc.ir.graph import Graph, Node, apply, topological
from graphc.ir.interpret import Interpreter
from graphc.ir.ops.base import Op, Reduce
from graphc.ir.types import find_dtype
from graphc.testing.graph_maker import RandomGraph
from tests.compiler.passes import rule_cases as given
from tests.compiler.passes.rule_cases import Case
from tests.fuzz.rules_cases import BOUND, STABLE
from tests.random_graphs.run import Expected

Array = NDArray[Any]


def tables() -> Iterator[Any]:
    """Every table of rules; a pass hides its module of the same name."""
    for name in ("simplify", "stabilise", "divide_rows"):
        module = importlib.import_module(f"graphc.compiler.passes.{name}")
        yield from (getattr(module, n) for n in ("SOFTMAX_RULES", "RULES") if hasattr(module, n))


CASES: dict[Rule, list[Case]] = {}
for _table in tables():
    for _, _some in _table:
        for _rule in _some:
            CASES.setdefault(_rule, [])
for _case in (*(c for g in given.GROUPS.values() for c in g), *STABLE):
    CASES.setdefault(_case.rule, []).append(_case)
RULES = tuple(CASES)
TABLE_OF: dict[Rule, tuple[type[Op], ...]] = {
    rule: tuple(cls for table in tables() for cls, some in table if rule in some) for rule in RULES
}
PASSES = tuple(dict.fromkeys(GRAPH_PASSES))
LOOSENESS = (given.EXACT, given.ZEROS, given.NORMAL, given.CLOSE, BOUND)
DTYPES = ("bool", "float32", "float64", "float16", "int32", "int8", "uint8", "int64")
NUMBERS = (0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 3.0, 0.1, 4.0)
SIBLINGS: tuple[tuple[type[Op], ...], ...] = (
    (ops.Add, ops.Sub, ops.Mul, ops.Div, ops.Maximum, ops.Minimum), (ops.Max, ops.Min, ops.Sum),
    (ops.Exp, ops.Sigmoid, ops.Tanh, ops.Softplus, ops.Neg, ops.Abs), (ops.Log, ops.Log1p),
    (ops.Equal, ops.NotEqual, ops.Less), (ops.LogicalAnd, ops.LogicalOr),
    (ops.BitAnd, ops.BitOr, ops.BitXor), (ops.ShiftLeft, ops.ShiftRight), (ops.All, ops.Any_),
)  # fmt: skip


# ---------------------------------------------------------------------------- near misses


def changed(root: Node, inputs: list[Tensor], rng: np.random.Generator) -> Node:
    """The graph with one node changed; as it is where nothing comes out."""
    nodes = topological([root])
    for _ in range(8):
        target = nodes[int(rng.integers(len(nodes)))]
        new: dict[Node, Node] = {}
        try:
            for n in nodes:
                new[n] = rebuilt(n, tuple(new[i] for i in n.inputs), n is target, inputs, rng)
        except (GraphcError, AssertionError, ValueError):
            continue
        if new[root] is not root:
            return new[root]
    return root


def rebuilt(
    n: Node, new: tuple[Node, ...], change: bool, inputs: list[Tensor], rng: np.random.Generator
) -> Node:
    """A node on new inputs, itself changed or not."""
    op = n.op
    if change and isinstance(op, ops.Input):
        alike = [t.node for t in inputs if t.type == n.type]
        return alike[int(rng.integers(len(alike)))]
    if change and len(new) > 1 and rng.random() < 0.6:
        k = int(rng.integers(len(new)))
        around = ops.LogicalNot() if new[k].type.dtype.kind == "b" else ops.Abs()
        alike = [t.node for t in inputs if t.type == new[k].type] + [apply(around, new[k])]
        alike += [i for i in new if i is not new[k]]
        some = alike[int(rng.integers(len(alike)))]
        new = (*new[:k], some, *new[k + 1 :]) if rng.random() < 0.6 else new[::-1]
    elif change:
        op = another(op, n, rng)
    if op is n.op and all(a is b for a, b in zip(new, n.inputs)):
        return n
    return Node(op, new, op.infer(*(i.type for i in new)), n.origin, n.step_part, n.name)


def another(op: Op, n: Node, rng: np.random.Generator) -> Op:
    """An op like another one."""
    if isinstance(op, ops.Literal):
        number = float(rng.choice(NUMBERS))
        kind = op.dtype.kind
        value = bool(number) if kind == "b" else int(number) if kind in "iu" else number
        return replace(op, value=abs(value) if kind == "u" else value)
    if isinstance(op, ops.Permute):
        return ops.Permute(tuple(int(a) for a in rng.permutation(len(op.axes))))
    if isinstance(op, Reduce) and rng.random() < 0.5:
        ndim = n.inputs[0].type.ndim
        axes = rng.choice(ndim, min(len(op.axes), ndim), replace=False) if ndim else []
        return type(op)(tuple(sorted(int(a) for a in axes)))
    if isinstance(op, ops.Cast):
        return ops.Cast(dtype_of(str(rng.choice(DTYPES))))
    if isinstance(op, ops.Slice) and rng.random() < 0.5:
        moves = [int(m) for m in rng.integers(-1, 2, len(op.starts))]
        return ops.Slice(tuple(s + m for s, m in zip(op.starts, moves)), op.sizes, op.steps)
    if isinstance(op, ops.Slice) and rng.random() < 0.5:
        less = [int(m) for m in rng.integers(0, 2, len(op.starts))]
        return ops.Slice(op.starts, tuple(n - m for n, m in zip(op.sizes, less)), op.steps)
    if isinstance(op, ops.Slice):
        steps = tuple(-k if rng.random() < 0.5 else k for k in op.steps)
        starts = tuple(
            s if k == m else s + (size - 1) * m
            for s, size, k, m in zip(op.starts, op.sizes, steps, op.steps)
        )
        return ops.Slice(starts, op.sizes, steps)
    for some in SIBLINGS:
        if isinstance(op, some):
            other = some[int(rng.integers(len(some)))]
            return other(op.axes) if isinstance(op, Reduce) else other()
    return op


def varied(case: Case, rng: np.random.Generator) -> Case:
    """A case with another dtype, or with other sizes."""
    if rng.random() < 0.5 and case.keeps != BOUND:
        return replace(case, dtype=str(rng.choice(DTYPES[1:])))
    shape = [case.shape[int(k)] for k in rng.permutation(len(case.shape))]
    if shape and rng.random() < 0.7:
        shape[int(rng.integers(len(shape)))] = int(rng.choice([0, 1, 2, 3, 4]))
    return replace(case, shape=tuple(shape))


def is_legal(op: ops.Literal) -> bool:
    """Whether a number is one of its dtype."""
    try:
        with np.errstate(all="ignore"):
            op.evaluate()
    except OverflowError:
        return False
    return True


def dtype_of(name: str) -> Any:
    """A dtype by its name."""
    return find_dtype(name)


# ----------------------------------------------------------------------------- one rule alone


def alone(rule: Rule, graph: Graph) -> Graph:
    """The graph after one rule."""
    table = tuple((cls, (rule,)) for cls in TABLE_OF[rule])
    return rewrite.apply_rules(graph, table)


def check_alone(rule: Rule, rng: np.random.Generator) -> str:
    """Compare bits before and after a rule on one of its graphs, often changed a little."""
    case = CASES[rule][int(rng.integers(len(CASES[rule])))]
    return check_case(varied(case, rng) if rng.random() < 0.4 else case, rng, rng.random() < 0.6)


def check_case(case: Case, rng: np.random.Generator, change: bool) -> str:
    """Compare bits before and after a rule, as far as it promises them."""
    rule = case.rule
    try:
        inputs, tensor = case.make()
    except (GraphcError, OverflowError, ValueError):
        return "refused"
    node = tensor.node
    if any(isinstance(n.op, ops.Literal) and not is_legal(n.op) for n in topological([node])):
        return "refused"
    if change:
        with origins.inherit(step_part=case.part):
            node = changed(node, inputs, rng)
    graph = Graph(tuple(t.node for t in inputs), (("y", node),))
    after = alone(rule, graph)
    if after.roots == graph.roots:
        return "near miss"
    keeps = max((c.keeps for c in CASES[rule]), key=LOOSENESS.index)
    for _ in range(3):
        sizes = {"batch": int(rng.choice([0, 1, 3])), "few": int(rng.choice([1, 5]))}
        sizes["n"] = int(rng.integers(1, 4))
        if keeps == BOUND:
            compare_bound(graph, after, inputs, sizes, rng)
        else:
            compare_bits(graph, after, inputs, sizes, keeps, rng)
    return "fires"


def compare_bits(
    graph: Graph, after: Graph, inputs: list[Tensor], sizes: dict[str, int], keeps: str, rng: Any
) -> None:
    """Compare on special numbers."""
    shapes = [tuple(evaluate(s, sizes) for s in t.shape) for t in inputs]
    arrays = [given.special(t.dtype.name, s, rng) for t, s in zip(inputs, shapes)]
    if keeps == given.NORMAL:  # nor may anything on the way be subnormal
        arrays = [np.where(np.abs(a) < 1e-30, a.dtype.type(0), a) for a in arrays]
    fed = dict(zip(graph.inputs, arrays))
    try:
        (expected,) = Interpreter(sizes, (0, 0)).run(graph.roots, fed)
    except RuntimeCheckError:
        with suppress(RuntimeCheckError):
            Interpreter(sizes, (0, 0)).run(after.roots, fed)
            raise AssertionError("a check has gone") from None
        return
    except GraphcError:
        return  # the largest of nothing
    (found,) = Interpreter(sizes, (0, 0)).run(after.roots, fed)
    whole = np.asarray(expected).dtype.kind in "biu"
    given.compare(np.asarray(expected), np.asarray(found), given.EXACT if whole else keeps)


def compare_bound(
    graph: Graph, after: Graph, inputs: list[Tensor], sizes: dict[str, int], rng: Any
) -> None:
    """Compare within what roundings may do, on moderate numbers."""
    arrays = [moderate(t, sizes, rng) for t in inputs]
    sample = RandomGraph(inputs, [], arrays, sizes)
    problem = differs(graph, after, sample)
    assert problem is None, problem


def moderate(t: Tensor, sizes: dict[str, int], rng: np.random.Generator) -> Array:
    """Numbers that are neither large nor small."""
    shape = tuple(evaluate(s, sizes) for s in t.shape)
    if t.dtype.kind == "b":
        return rng.random(shape) < 0.5
    if t.dtype.is_integer:
        return rng.integers(0, 4, shape).astype(t.dtype.numpy)
    return rng.uniform(-1.5, 1.5, shape).astype(t.dtype.numpy)


def differs(graph: Graph, after: Graph, sample: RandomGraph) -> str | None:
    """Where a graph does not mean the same as another one."""
    try:
        expected = Expected.of(graph, sample)
    except GraphcError:
        return None
    expected.ignore_infinite()
    fed = dict(zip(after.inputs, sample.arrays))
    return expected.differs(Interpreter(sample.dims, (7, 0)).run(after.roots, fed))


# ------------------------------------------------------------------------------ among others


@contextmanager
def without(rule: Rule | None, fired: set[str]) -> Iterator[None]:
    """All rules but one; notes which fire."""
    kept = rewrite.first_result

    def first_result(old: Node, node: Node, rules: tuple[Rule, ...]) -> Node | None:
        for r in rules:
            result = None if r is rule else kept(old, node, (r,))
            if result is not None:
                fired.add(r.__name__)
                return result
        return None

    rewrite.first_result = first_result
    try:
        yield
    finally:
        rewrite.first_result = kept


def surrounded(rule: Rule, rng: np.random.Generator) -> tuple[list[Tensor], Graph]:
    """A graph that a rule applies to inside a larger one, with gradients."""
    case = CASES[rule][int(rng.integers(len(CASES[rule])))]
    inputs, tensor = case.make()
    outputs = [tensor]
    if tensor.dtype.is_float and inputs[0].dtype.is_float:
        moved = gx.sin(tensor) * 0.5 + gx.tanh(tensor)
        loss = gx.sum(gx.square(moved - 0.25))
        outputs += [moved, gx.grad(loss, inputs[0], unreachable="zero")]
        outputs += [gx.concat([tensor, tensor], axis=0)[::-1]] if tensor.ndim else []
    named = tuple((f"y{i}", t.node) for i, t in enumerate(outputs))
    return inputs, Graph(tuple(t.node for t in inputs), named)


def check_among(rule: Rule, rng: np.random.Generator) -> str:
    """Compare a graph with what all passes, all rules but one, all passes but one make of it."""
    inputs, graph = surrounded(rule, rng)
    sizes = {"batch": int(rng.choice([1, 3])), "few": 5, "n": 2}
    sample = RandomGraph(inputs, [], [moderate(t, sizes, rng) for t in inputs], sizes)
    fired: set[str] = set()
    left_out = PASSES[int(rng.integers(len(PASSES)))]
    ways: list[tuple[str, Rule | None, Any]] = [
        ("all passes", None, GRAPH_PASSES), (f"without {rule.__name__}", rule, GRAPH_PASSES),
        (f"without {left_out.__name__}", None, [p for p in GRAPH_PASSES if p is not left_out]),
    ]  # fmt: skip
    for label, off, passes in ways:
        with without(off, fired if off is None else set()):
            after, _ = run_passes(graph, passes)
        problem = differs(graph, after, sample)
        assert problem is None, f"{rule.__name__}, {label}: {problem}"
    return "fires" if rule.__name__ in fired else "another fires first"


def check(seed: int) -> str:
    """Check the rule whose turn it is."""
    rng = np.random.default_rng(seed)
    rule = RULES[seed % len(RULES)]
    try:
        for _ in range(4):
            check_alone(rule, rng)
    except AssertionError as error:
        raise AssertionError(f"{rule.__name__} alone: {error}") from None
    return check_among(rule, rng)
