"""Small launches that become one: what is merged, that bits stay, and that faults are noticed."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import VerifyError
from graphc.ir.types import int64
from graphc_cuda import simulated_device
from graphc_cuda.check_plan import check_order, check_plan
from graphc_cuda.dependencies import find_edges
from graphc_cuda.device.program import Assign, DeviceKernel, Get, If, Put, Variable, literal
from graphc_cuda.launch import FillNode, KernelNode, LaunchPlan, Node
from graphc_cuda.lower.merged import Part, groups_of
from graphc_cuda.merge_launches import merge_launches, merged_positions
from graphc_cuda.plan_launches import plan_launches
from graphc_cuda.print_numba import kernel_texts
from tests.backends.cuda.executors import executors
from tests.backends.cuda.networks import NETWORKS
from tests.backends.cuda.plans import (
    S,
    T,
    array,
    first_thread,
    launch,
    move,
    plan_of,
    training,
    word,
)
from tests.backends.cuda.stepwise import same_bits

nn = gx.nn
STEPS = 20
OPTIMIZERS = {
    "adam_clipped": lambda loss: gx.optim.Adam(1e-2).minimize(loss, clip_norm=1.0),
    "sgd": lambda loss: gx.optim.SGD(0.1, momentum=0.9).minimize(loss),
}


def _step(name: str, target: str) -> gx.CompiledFunction:
    """Layers of many sizes, so that the updates of all are small and differ in size."""
    gx.seed(3)
    x, labels = gx.input("x", (2, 6)), gx.input("labels", (2,), dtype="int32")
    h = x
    for width in (5, 9, 3):
        h = nn.Dense(width, activation="relu")(h)
    loss = nn.softmax_cross_entropy(nn.Dense(4)(nn.LayerNorm()(h)), labels).mean()
    updates = OPTIMIZERS[name](loss)
    return gx.compile([x, labels], loss, updates, name=name, target=target)


def _train(name: str, target: str) -> dict[str, Any]:
    step = _step(name, target)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 6)).astype("float32")
    labels = rng.integers(0, 4, 2).astype("int32")
    losses = np.array([step(x, labels) for _ in range(STEPS)])
    return {"losses": losses, **{n: p.value for n, p in sorted(step.parameters.items())}}


def _merged(plan: LaunchPlan) -> list[KernelNode]:
    return [n for n in plan.nodes if isinstance(n, KernelNode) and n.parts]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_share_a_launch_and_a_body(name: str) -> None:
    program = _step(name, "cpu").program
    single, plan = plan_launches(program, {}, merge=False), plan_launches(program, {})
    check_plan(plan)
    assert len(plan.nodes) < len(single.nodes)
    largest = max(_merged(plan), key=lambda n: len(n.parts))
    assert len(largest.parts) >= 4
    (bodies,) = re.findall(r"(\d+) bodies", largest.kernel.form)
    assert int(bodies) < len(largest.parts)
    text = kernel_texts(plan.program)[largest.kernel.name]
    assert all(part.kernel.name in text for part in largest.parts)


@executors
def test_twenty_steps(executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "adam_clipped"
    real, ran = simulated_device.simulate, []

    def by_executor(text: str, kernel: str, *args: Any, **options: Any) -> None:
        ran.append(kernel)
        real(text, kernel, *args, **options | {"executor": executor})

    monkeypatch.setattr(simulated_device, "simulate", by_executor)
    simulated, native = _train(name, "cuda-simulate"), _train(name, "cpu")
    assert any(kernel.startswith("m0") for kernel in ran)
    for what, value in native.items():
        same_bits(np.asarray(simulated[what]), np.asarray(value), f"{name}: {what}")


@pytest.mark.parametrize("name", NETWORKS)
def test_small_steps_are_right(name: str) -> None:
    program = NETWORKS[name]().program
    single, plan = plan_launches(program, {}, merge=False), plan_launches(program, {})
    check_plan(plan)
    assert plan.regions == single.regions
    parts = [p for n in plan.nodes if isinstance(n, KernelNode) for p in n.single]
    before = [n for n in single.nodes if isinstance(n, KernelNode)]
    assert sorted(p.kernel.name for p in parts) == sorted(n.kernel.name for n in before)


def test_a_check_stays_alone() -> None:
    plan = training()
    checks = {i for i, n in enumerate(plan.nodes) if any(p.region == S for p in n.writes)}
    assert not checks & {i for group in merged_positions(plan) for i in group}
    merged = merge_launches(plan)
    check_plan(merged)
    assert merged.commit == len(merged.nodes) - 1


def _random_plan(seed: int) -> LaunchPlan:
    """Copies between words of the arena, in an order that edges keep."""
    rng = random.Random(seed)
    kernel = move("word")
    nodes: list[Node] = [FillNode(word(T, i), i) for i in range(8)]
    for _ in range(14):
        source, target = rng.sample(range(8), 2)
        nodes.append(launch(kernel, word(T, source), word(T, target), grid=rng.randint(1, 3)))
    edges = find_edges(nodes)
    regions = {T: 64, S: 4}
    return plan_of(*nodes, edges=edges, regions=regions)


@pytest.mark.parametrize("seed", range(12))
def test_random_plans_and_planted_faults(seed: int) -> None:
    plan = _random_plan(seed)
    check_plan(plan)
    merged = merge_launches(plan)
    check_plan(merged)
    assert len(merged.nodes) <= len(plan.nodes)
    for edge in merged.edges:
        kept = tuple(e for e in merged.edges if e != edge)
        with pytest.raises(VerifyError, match="no path"):
            check_plan(replace(merged, edges=kept))
    untold = merge_launches(replace(plan, edges=()))  # what depends on each other is merged
    with pytest.raises(VerifyError, match=r"parts \d+ and \d+ meet at arena"):
        check_plan(replace(untold, edges=find_edges(untold.nodes)))


def test_dependent_launches_stay_apart() -> None:
    chain = [launch(move("word"), word(T, i), word(T, i + 1)) for i in range(4)]
    nodes = [FillNode(word(T, 0), 0), *chain]
    assert merged_positions(plan_of(*nodes, edges=find_edges(nodes), regions={T: 64})) == ()


def test_parts_that_meet_are_a_fault() -> None:
    nodes = [launch(move("word"), word(T, i), word(T, i + 1)) for i in range(2)]
    merged = merge_launches(plan_of(FillNode(word(T, 0), 0), *nodes, regions={T: 64}))
    with pytest.raises(VerifyError, match="parts 0 and 1 meet"):
        check_order(replace(merged, edges=find_edges(merged.nodes)))


@pytest.mark.parametrize("others", [(0.0, -0.0), (float("nan"), 1.0), (2.0, float("nan"))])
def test_numbers_differ_by_their_bits(others: tuple[float, float]) -> None:
    x, y = gx.input("x", (8,)), gx.input("y", (12,))
    arrays = [-np.ones(t.shape, "float32") for t in (x, y)]
    outputs = [gx.where(t > 0.0, t, other) for t, other in zip((x, y), others)]
    assert (
        "1 bodies" in _merged(plan_launches(gx.compile([x, y], outputs).program, {}))[0].kernel.form
    )
    made = gx.compile([x, y], outputs, target="cuda-simulate")(*arrays)
    for found, expected in zip(made, gx.compile([x, y], outputs)(*arrays)):
        same_bits(found, expected, "where")


def _two_variables(second: str) -> DeviceKernel:
    """b = a, by way of one variable or of two."""
    a, b = array("a"), array("b")
    t, u = Variable(int64, "t"), Variable(int64, second)
    body = (
        Assign(t, Get(int64, a, literal(0))),
        Assign(u, literal(7, int64)),
        If(first_thread(), (Put(b, literal(0), t),)),
    )
    return DeviceKernel(f"by_{second}", (a, b), body, 32, frozenset({b}))


def test_variables_of_one_body_are_one_each() -> None:
    places = [tuple(word(T, i) for i in pair) for pair in ((0, 1), (2, 3))]
    parts = [Part(_two_variables(n), 1, p) for n, p in zip(("u", "t"), places)]
    assert groups_of(parts) == [[0], [1]]
