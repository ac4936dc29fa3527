"""Launch plans that are wrong are found out, each for its own mistake."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphc.errors import VerifyError
from graphc_cuda.accesses import Access, accesses
from graphc_cuda.check_plan import check_plan
from graphc_cuda.launch import DynamicLoop, FillNode, KernelNode, LaunchPlan, Place, Region
from tests.backends.cuda import plans
from tests.backends.cuda.networks import NETWORKS, plan_for
from tests.backends.cuda.plans import OUT, REGIONS, S, T, W, X, Y, launch, plan_of, word


def test_a_plan_that_is_right() -> None:
    check_plan(plans.training())


def test_accesses_are_found_in_the_statements() -> None:
    kernel = plans.update("w")
    assert list(accesses(kernel).values()) == [
        Access.READ, Access.READ, Access.READ | Access.WRITE,
    ]  # fmt: skip
    assert list(accesses(plans.check("t")).values()) == [Access.READ, Access.LOWER]


def changed_node(i: int, **changes: object) -> LaunchPlan:
    """The training plan with one node changed."""
    plan = plans.training()
    nodes = list(plan.nodes)
    nodes[i] = replace(nodes[i], **changes)  # type: ignore[arg-type]
    return replace(plan, nodes=tuple(nodes))


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (changed_node(1, place=Place(T, 60, 8)), "arena+60:8 is not inside its region of 64"),
        (changed_node(1, place=Place(Region("work"), 0, 8)), "is in no region"),
        (changed_node(3, grid=0), "a grid of 0 blocks"),
        (changed_node(3, arguments=(word(X),)), "1 places for 2 arrays"),
        (changed_node(3, arguments=(word(X), Place(T, 0, 4))), "b has more bytes than arena+0:4"),
        (changed_node(3, arguments=(word(X), Place(T, 12, 8))), "not aligned at arena+12:8"),
        (replace(plans.training(), commit=8), "node 7 writes what lasts before 8"),
        (
            replace(plans.training(), program=replace(plans.training().program, kernels=())),
            "the program has no such kernel",
        ),
    ],
)  # fmt: skip
def test_nodes_that_no_device_can_run(plan: LaunchPlan, message: str) -> None:
    with pytest.raises(VerifyError, match=message.replace("+", r"\+")):
        check_plan(plan)


def test_a_kernel_that_writes_more_than_it_says() -> None:
    kernel = replace(plans.move("x"), written=frozenset())
    with pytest.raises(VerifyError, match="writes b untold"):
        check_plan(plan_of(launch(kernel, word(X), word(OUT))))


def test_a_commit_that_does_not_ask_for_failures() -> None:
    plan = plan_of(
        FillNode(Place(S, 0, 4), 0xFFFFFFFF),
        launch(plans.check("x"), word(X), Place(S, 0, 4)),
        launch(plans.accumulate("w"), word(X), word(W)),
        edges=((0, 1), (1, 2)),
        commit=2,
    )
    with pytest.raises(VerifyError, match="node 2 does not ask whether a check failed"):
        check_plan(plan)


@pytest.mark.parametrize("edge", plans.training().edges, ids=str)
def test_every_edge_is_needed(edge: tuple[int, int]) -> None:
    plan = plans.training()
    with pytest.raises(VerifyError, match=f"no path from node . to {edge[1]}"):
        check_plan(replace(plan, edges=tuple(e for e in plan.edges if e != edge)))


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        (((1, 5),), r"edge \(1, 5\) follows from others"),
        (((1, 3),), "an edge stands there twice"),
        (((5, 1),), r"edge \(5, 1\) is none"),
        (((5, 9),), r"edge \(5, 9\) is none"),
    ],
)
def test_edges_that_are_wrong(edges: tuple[tuple[int, int], ...], message: str) -> None:
    plan = plans.training()
    with pytest.raises(VerifyError, match=message):
        check_plan(replace(plan, edges=plan.edges + edges))


def test_checks_may_lower_the_status_in_any_order() -> None:
    nodes = (
        FillNode(Place(S, 0, 4), 0xFFFFFFFF),
        launch(plans.check("x"), word(X), Place(S, 0, 4)),
        launch(plans.check("y"), word(Y), Place(S, 0, 4)),
    )
    check_plan(plan_of(*nodes, edges=((0, 1), (0, 2))))


@pytest.mark.parametrize(
    ("nodes", "edges"),
    [
        ((launch(plans.move("t"), word(T), word(OUT)),), ()),
        (
            (FillNode(Place(T, 0, 4), 0), launch(plans.move("t"), word(T), word(OUT))),
            ((0, 1),),
        ),
    ],
    ids=["nothing", "half"],
)
def test_bytes_that_nobody_has_written(
    nodes: tuple[KernelNode | FillNode, ...], edges: tuple[tuple[int, int], ...]
) -> None:
    with pytest.raises(VerifyError, match=r"reads arena\+0:8, which nobody has written"):
        check_plan(plan_of(*nodes, edges=edges))


def test_two_halves_are_a_whole() -> None:
    halves = [FillNode(Place(T, 4 * i, 4), 0) for i in (1, 0)]
    check_plan(
        plan_of(*halves, launch(plans.move("t"), word(T), word(OUT)), edges=((0, 2), (1, 2)))
    )


def loop_plan(after: bool, count: bool) -> LaunchPlan:
    """Two iterations write t1 and t2, `after` what was left out, the last node reads t2."""
    steps = [launch(plans.move(f"s{i}"), word(X), word(T, i)) for i in (1, 2)]
    rest = [launch(plans.move(f"r{i}"), word(X), word(T, i)) for i in (1, 2)]
    loop = DynamicLoop(
        before=(),
        iterations=tuple((s,) for s in steps),
        after=tuple(tuple(rest[i:]) if after else () for i in range(3)),
        count=word(Y) if count else None,
    )
    last = launch(plans.move("last"), word(T, 2), word(OUT))
    return plan_of(loop, last, edges=((0, 1),), regions=REGIONS)


def test_loops_that_stop_early_leave_bytes_unwritten() -> None:
    check_plan(loop_plan(after=True, count=True))
    check_plan(loop_plan(after=False, count=False))
    with pytest.raises(VerifyError, match=r"reads arena\+16:8"):
        check_plan(loop_plan(after=False, count=True))


@pytest.mark.parametrize("name", NETWORKS)
def test_plans_of_networks(name: str) -> None:
    plan = plan_for(name)
    check_plan(plan)
    assert len(plan.nodes) > 3
    for i in {0, len(plan.edges) // 2, len(plan.edges) - 1}:
        edges = plan.edges[:i] + plan.edges[i + 1 :]
        with pytest.raises(VerifyError, match="no path from node"):
            check_plan(replace(plan, edges=edges))
