"""Groups never wait for each other: by construction, and by a check of every graph."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.compiler import prepare
from graphc.compiler.fusion.fuse import fuse
from graphc.compiler.fusion.group import ROWS, Group
from graphc.compiler.fusion.grouping import Grouping
from graphc.compiler.fusion.precedence import Precedence, verify_acyclic
from graphc.compiler.order.order import order
from graphc.errors import VerifyError
from graphc.testing import assert_close


def early_and_late() -> tuple[list[Any], list[Any]]:
    """A group whose late node needs a group that starts after a reader of its early node."""
    x, y = gx.input("x", (4, 4)), gx.input("y", (4, 5))
    early = gx.tanh(x)
    ordered = gx.sort(early)
    sums = gx.sum(gx.exp(y), axis=1)
    return [x, y], [ordered, early * sums[:, None], sums + ordered[:, 0]]


def agrees(inputs: list[Any], outputs: list[Any]) -> None:
    rng = np.random.default_rng(0)
    given = [rng.normal(size=t.shape).astype(t.dtype.numpy) for t in inputs]
    expected = gx.compile(inputs, outputs, target="interpret")(*given)
    for a, b in zip(gx.compile(inputs, outputs)(*given), expected, strict=True):
        assert_close(a, b, each=True, floor=1.0)


def test_a_reader_of_an_early_node_and_what_a_late_node_needs() -> None:
    agrees(*early_and_late())


def sorted_rows(x: Any) -> Any:
    return gx.sort(x)[:, 0]


def solved(x: Any) -> Any:
    return gx.linalg.solve(x @ x.T + 5 * gx.eye(4), x)[:, 0]


def scattered(x: Any) -> Any:
    return gx.scatter_add(x, gx.constant(np.array([0, 2, 2, 1])), x)[:, 0]


def looped(x: Any) -> Any:
    return gx.scan(lambda h, row: (gx.tanh(h + row), None), gx.zeros(4), x)[0]


def joined(x: Any) -> Any:
    return gx.concat([x, x], axis=0)[:4, 0]


def multiplied(x: Any) -> Any:
    return (x @ x)[:, 0]


def summed(x: Any) -> Any:
    return gx.cumulative_sum(x, axis=1)[:, 2]


@pytest.mark.parametrize(
    "apart", [sorted_rows, solved, scattered, looped, joined, multiplied, summed]
)
def test_kernels_of_every_family_between_two_nodes_of_a_group(apart: Any) -> None:
    x, y = gx.input("x", (4, 4)), gx.input("y", (4, 5))
    early = gx.tanh(x)
    between = apart(early)
    sums = gx.sum(gx.exp(y), axis=1)
    agrees([x, y], [between, early * sums[:, None], sums + between])


def test_parameters_updated_where_they_are() -> None:
    x, y = gx.input("x", (4, 4)), gx.input("y", (4, 5))
    w = gx.parameter("w", value=np.ones((4, 4), np.float32))
    v = gx.parameter("v", value=np.ones(4, np.float32))
    early = gx.tanh(x * w)
    ordered = gx.sort(early)
    sums = gx.sum(gx.exp(y), axis=1) + v
    updates = {w: w - 0.1 * early * sums[:, None], v: v - 0.1 * (sums + ordered[:, 0])}
    rng = np.random.default_rng(0)
    given = [rng.normal(size=t.shape).astype(np.float32) for t in (x, y)]
    wanted = gx.compile([x, y], list(updates.values()), target="interpret")(*given)
    gx.compile([x, y], ordered, updates)(*given)
    for p, b in zip((w, v), wanted):
        assert_close(p.value, b, tolerance="ulps")


@pytest.mark.parametrize("known", ["inputs", "parameters"])
def test_value_gradient_and_hessian_vector_product_of_a_newton_step(known: str) -> None:
    x, v = gx.input("x", (6, 4), "float64"), gx.input("v", 4, "float64")
    w = gx.input("w", 4, "float64")
    if known == "parameters":
        w = gx.parameter("w", value=np.linspace(-1, 1, 4))
    p = gx.sigmoid(x @ w)
    h = x.T @ ((p * (1 - p))[:, None] * x) + gx.eye(4, dtype="float64")
    loss = gx.sum(gx.square(w - gx.linalg.solve(h, (x.T @ p)[:, None])[:, 0]))
    gradient = gx.grad(loss, w)
    inputs = [x, w, v] if known == "inputs" else [x, v]
    agrees(inputs, [loss, gradient, gx.grad(gx.sum(gradient * v), w)])
    agrees(inputs, [loss, gradient, gx.hvp(loss, w, v)])


# ------------------------------------------------------------------------------ the order


def needs(group: Group, other: Group) -> bool:
    """By a search through everything."""
    stack, seen = [group], {group}
    while stack:
        for g in stack.pop().before - seen:
            seen.add(g)
            stack.append(g)
    return other in seen


def through_a_third(group: Group, other: Group) -> bool:
    return any(g is not other and needs(g, other) for g in group.before)


@pytest.mark.parametrize("seed", range(60))
def test_answers_are_those_of_a_full_search(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if seed % 2:
        monkeypatch.setattr("graphc.compiler.fusion.precedence.RANK_GAP_BITS", 2)
    rng, order, groups = random.Random(seed), Precedence(), []
    for _ in range(60):
        choice = rng.random()
        if choice < 0.4 or len(groups) < 3:
            groups.append(Group(ROWS))
            order.append(groups[-1])
        a, b = rng.sample(groups, 2) if len(groups) > 1 else (groups[0], groups[0])
        assert order.needs(a, b) == needs(a, b)
        if a is not b and choice < 0.8 and not needs(a, b):
            order.put_before(a, b)
        elif a is not b:
            can = not through_a_third(a, b) and not through_a_third(b, a)
            assert order.can_merge(a, b) == can
            if can:
                order.merge(a, b)
                a.absorb(b, ROWS, {})
                groups.remove(b)
        ranks = order._rank
        assert all(ranks[g] < ranks[h] for h in groups for g in h.before)


def test_an_edge_that_would_close_a_circle_is_refused() -> None:
    order, groups = Precedence(), [Group(ROWS) for _ in range(3)]
    graph = Grouping(gx.compile([x := gx.input("x", 3)], gx.exp(x)).graph)
    for group in groups:
        group.nodes = list(graph.group_of)
        order.append(group)
    order.put_before(groups[0], groups[1])
    order.put_before(groups[1], groups[2])
    with pytest.raises(VerifyError, match=r"two kernels wait for each other: exp .*exp"):
        order.put_before(groups[2], groups[0])
    with pytest.raises(VerifyError, match="a kernel between two that became one"):
        order.merge(groups[2], groups[0])


# ------------------------------------------------------------------------------ the checks


def test_a_circle_of_groups_is_an_error_that_names_ops_and_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Precedence, "needs", lambda *_: False)
    monkeypatch.setattr(Precedence, "put_before", unchecked)
    inputs, outputs = early_and_late()
    with pytest.raises(VerifyError, match="kernels wait for each other: ") as found:
        _ = gx.compile(inputs, outputs).program
    assert all(name in str(found.value) for name in ("tanh", "sort", "test_precedence.py"))


def unchecked(_: Precedence, first: Group, second: Group) -> None:
    second.before.add(first)
    first.after.add(second)


def test_groups_that_wait_without_reading_are_checked_too() -> None:
    grouping = Grouping(gx.compile(*early_and_late()).graph)
    groups = list(dict.fromkeys(grouping.group_of.values()))
    verify_acyclic(grouping.group_of)
    reader = next(g for g in groups if g.before)
    grouping.put_before(reader, next(iter(reader.before)))
    with pytest.raises(VerifyError, match="kernels wait for each other"):
        verify_acyclic(grouping.group_of)


def test_a_circle_of_calls_is_named_when_they_are_ordered() -> None:
    graph = gx.compile(*early_and_late()).graph
    calls = list(fuse(graph).calls)
    k, maker = next((k, c) for k, c in enumerate(calls) if c.kernel.name == "tanh_multiply")
    made = next(s for c in calls if c.kernel.name == "sort" for s in c.writes)
    (read,) = [i for i, s in enumerate(maker.arguments) if s.name == "sum"]
    calls[k] = replace(
        maker, arguments=tuple(made if i == read else s for i, s in enumerate(maker.arguments))
    )
    early, late = prepare.split_prepare(graph, calls)
    assert not early
    with pytest.raises(VerifyError, match=r"wait for each other: .*sort.*tanh"):
        order(late)
