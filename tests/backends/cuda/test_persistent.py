"""Loops of known length as one launch: what is chosen, that bits stay, that it assembles."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import GraphcError, VerifyError
from graphc_cuda import loop_kernel, one_block, simulated_device
from graphc_cuda.check_plan import check_plan
from graphc_cuda.cuda_tools import find_tool
from graphc_cuda.device.program import Declare, Intrinsic, Shuffle, walk
from graphc_cuda.launch import ARENA, STATUS, KernelNode, LaunchPlan, Place, Region
from graphc_cuda.one_block import saving
from graphc_cuda.persistent import find_repeats, loop_launches
from graphc_cuda.plan_launches import plan_launches
from tests.backends.cuda.all_kernels import table
from tests.backends.cuda.executors import executors
from tests.backends.cuda.fake_cuda import c_compiler, run_program
from tests.backends.cuda.stepwise import same_bits

MOST_REGISTERS = 128  # more, and 512 threads are no block


def _scan(target: str, steps: int, reverse: bool = False, rows: int = 3) -> gx.CompiledFunction:
    """A recurrent layer with its gradient; from 4 rows on its products are tiles."""
    x, h0, w = gx.input("x", (steps, rows, 8)), gx.input("h0", (rows, 8)), gx.input("w", (8, 8))

    def body(h: gx.Tensor, row: gx.Tensor) -> tuple[gx.Tensor, gx.Tensor]:
        h = gx.tanh(gx.matmul(h, w) + row)
        return h, h

    last, ys = gx.scan(body, h0, x, reverse=reverse)
    loss = (ys * ys).sum()
    results = [loss, last, ys, *gx.grad(loss, [w, h0, x])]
    return gx.compile([x, h0, w], results, name="recurrent", target=target)


def _loops(plan: LaunchPlan) -> list[KernelNode]:
    nodes = [n for n in plan.nodes if isinstance(n, KernelNode)]
    return [n for n in nodes if n.kernel.form.startswith("loop")]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_and_its_gradient_are_few_launches(reverse: bool) -> None:
    plan = plan_launches(_scan("cpu", 21, reverse).program, {})
    check_plan(plan)
    assert len(plan.nodes) < 25
    assert len(_loops(plan)) == 2


def test_more_steps_are_no_more_launches() -> None:
    counts = {n: len(plan_launches(_scan("cpu", n).program, {}).nodes) for n in (20, 60)}
    assert counts[20] == counts[60]


@pytest.fixture
def ran(executor: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Kernels that have run, on each executor."""
    real, found = simulated_device.simulate, []

    def by_executor(text: str, kernel: str, *args: Any, **options: Any) -> None:
        found.append(kernel)
        real(text, kernel, *args, **options | {"executor": executor})

    monkeypatch.setattr(simulated_device, "simulate", by_executor)
    return found


@executors
@pytest.mark.parametrize(("reverse", "rows"), [(False, 3), (True, 3), (True, 5)])
def test_same_bits(reverse: bool, rows: int, ran: list[str]) -> None:
    rng = np.random.default_rng(1)
    shapes = ((9, rows, 8), (rows, 8), (8, 8))
    values = [rng.standard_normal(s).astype("float32") for s in shapes]
    simulated = _scan("cuda-simulate", 9, reverse, rows)(*values)
    assert {k for k in ran if k.startswith("loop")}
    for i, (a, b) in enumerate(zip(simulated, _scan("cpu", 9, reverse, rows)(*values))):
        same_bits(np.asarray(a), np.asarray(b), f"result {i}")


def test_tiles_are_in_a_loop() -> None:
    plan = plan_launches(_scan("cpu", 20, rows=8).program, {})
    check_plan(plan)
    assert len(plan.nodes) < 25
    for loop in _loops(plan):
        statements = list(walk(loop.kernel.body))
        assert any(isinstance(s, Declare) for s in loop.kernel.body)
        assert any(isinstance(s, Intrinsic) and s.function == "copy_async" for s in statements)
        assert len({p.kernel.block for p in loop.parts if p.kernel.shared_bytes}) == 1
        assert 0 < loop.kernel.shared_bytes <= one_block.SHARED_BYTES


def test_too_much_memory_of_a_block_stays_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    program = _scan("cpu", 20, rows=8).program
    for place in (loop_kernel, one_block):
        monkeypatch.setattr(place, "SHARED_BYTES", 1024)
    assert _loops(plan_launches(program, {})) == []


def test_launches_share_the_memory_of_a_block() -> None:
    plan = plan_launches(_scan("cpu", 20, rows=8).program, {})
    for loop in _loops(plan):
        each = {p.kernel: p.kernel.shared_bytes for p in loop.parts}
        assert loop.kernel.shared_bytes == max(each.values())


def _decoding(target: str) -> gx.CompiledFunction:
    """The most likely tokens, each after the one before; a token that does not exist is told."""
    table, first = gx.input("table", (20, 20)), gx.input("first", (4,), dtype="int32")
    results = gx.decode.greedy(lambda t: gx.take(table, t, axis=0), first, length=10)
    return gx.compile([table, first], list(results), name="decoding", target=target)


@executors
def test_rows_and_checks_are_in_a_loop(ran: list[str]) -> None:
    plan = plan_launches(_decoding("cpu").program, {})
    check_plan(plan)
    (loop,) = _loops(plan)
    statements = list(walk(loop.kernel.body))
    assert any(isinstance(s, Shuffle) for s in statements)
    assert any(isinstance(s, Intrinsic) and s.function == "atomic_min" for s in statements)
    table = np.random.default_rng(4).standard_normal((20, 20)).astype("float32")
    first = np.array([3, 1, 4, 1], "int32")
    simulated = _decoding("cuda-simulate")
    for mine, theirs in zip(simulated(table, first), _decoding("cpu")(table, first)):
        same_bits(np.asarray(mine), np.asarray(theirs), "decoding")
    assert loop.kernel.name in ran
    with pytest.raises(GraphcError):
        simulated(table, np.array([3, 1, 20, 1], "int32"))


def _layer(kind: str, target: str, batch: int = 1) -> gx.CompiledFunction:
    """A step that trains a recurrent layer, and updates nothing where a label does not exist."""
    gx.seed(2)
    x, labels = gx.input("x", (batch, 12, 16)), gx.input("labels", (batch,), dtype="int32")
    h = getattr(gx.nn, kind)(16)(x)
    loss = gx.nn.softmax_cross_entropy(gx.nn.Dense(4)(h), labels).mean()
    updates = gx.optim.SGD(0.1).minimize(loss)
    return gx.compile([x, labels], loss, updates, name=kind, target=target)


@pytest.mark.parametrize(("kind", "batch"), [("LSTM", 1), ("GRU", 1), ("LSTM", 8)])
def test_layers_train_and_fail_as_on_a_cpu(kind: str, batch: int) -> None:
    x = np.random.default_rng(3).standard_normal((batch, 12, 16)).astype("float32")
    steps = [_layer(kind, target, batch) for target in ("cuda-simulate", "cpu")]
    plan = plan_launches(steps[0].program, {})
    check_plan(plan)
    backward = _loops(plan)[-1]
    assert any(p.region.role == STATUS for p in backward.reads)
    for _ in range(3 if batch == 1 else 1):
        mine, theirs = (step(x, np.full(batch, 2, "int32")) for step in steps)
        same_bits(np.asarray(mine), np.asarray(theirs), "loss")
    before = {n: p.value.copy() for n, p in steps[0].parameters.items()}
    with pytest.raises(GraphcError, match="label"):
        steps[0](x, np.full(batch, 9, "int32"))
    for name, value in before.items():
        same_bits(steps[0].parameters[name].value, value, name)
        same_bits(value, steps[1].parameters[name].value, name)


def test_large_bodies_stay_launches() -> None:
    assert saving(1, 256, 64) > 0
    assert saving(4, 256, 8) > 0
    assert saving(64, 256, 1) < 0
    assert saving(4, 256, 1000) < 0


def test_places_that_do_not_move_evenly_stay_launches() -> None:
    plan = plan_launches(_scan("cpu", 20).program, {}, merge=False)
    (first, *_) = find_repeats(plan)
    nodes = list(plan.nodes)
    middle = first.start + first.period * 2
    node = nodes[middle]
    assert isinstance(node, KernelNode)
    places = (replace(node.arguments[0], offset=node.arguments[0].offset + 4), *node.arguments[1:])
    nodes[middle] = replace(node, arguments=places)
    changed = find_repeats(replace(plan, nodes=tuple(nodes)))
    assert all(r.start > middle or r.start + r.period * r.steps <= middle for r in changed)
    assert len(loop_launches(plan).nodes) < len(plan.nodes)


def test_kernels_that_are_in_a_loop_leave_the_program() -> None:
    plan = plan_launches(_scan("cpu", 20).program, {})
    launched = {n.kernel for n in plan.nodes if isinstance(n, KernelNode)}
    assert set(plan.program.kernels) == launched


def test_a_loop_that_stands_for_other_bytes_is_noticed() -> None:
    plan = plan_launches(_scan("cpu", 20).program, {})
    (loop, *_) = _loops(plan)
    for elsewhere in (Place(Region(ARENA), 1 << 30, 4), Place(Region("input", 9), 0, 4)):
        part = loop.parts[7]
        moved = replace(part, arguments=(elsewhere, *part.arguments[1:]))
        parts = (*loop.parts[:7], moved, *loop.parts[8:])
        nodes = tuple(replace(n, parts=parts) if n is loop else n for n in plan.nodes)
        with pytest.raises(VerifyError, match="of a part"):
            check_plan(replace(plan, nodes=nodes))


def test_a_loop_whose_first_steps_read_what_later_ones_write_is_noticed() -> None:
    plan = plan_launches(_scan("cpu", 20).program, {})
    (loop, *_) = _loops(plan)
    nodes = tuple(
        replace(n, parts=tuple(reversed(loop.parts))) if n is loop else n for n in plan.nodes
    )
    with pytest.raises(VerifyError, match="nobody has written"):
        check_plan(replace(plan, nodes=nodes))


@pytest.mark.skipif(find_tool("ptxas") is None, reason="ptxas is not here")
@pytest.mark.parametrize("count", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_machine_code_by_both_routes(count: int) -> None:
    def loops() -> Any:
        plan = plan_launches(_scan("cpu", 20, rows=count).program, {})
        return replace(plan.program, kernels=tuple(n.kernel for n in _loops(plan)))

    rows = table([("loops", loops)])
    assert [row for row in rows if "error" in row] == []
    assert len({row["kernel"] for row in rows}) == 2
    most = {"nvptx": 0, "numba": 8 if count > 3 else 0}  # bytes of what numba made of tiles
    assert all(row["spill_stores"] + row["spill_loads"] <= most[row["route"]] for row in rows)
    assert max(row["registers"] for row in rows) <= MOST_REGISTERS


MAIN = r"""
#include "recurrent.h"

int main(int count, char **words) {
    struct recurrent *recurrent;
    static float x[480], h0[24], w[64], loss[1], last[24], ys[480], dw[64], dh[24], dx[480];
    int32_t status;
    if (count != 2 || recurrent_init(&recurrent, words[1], 0)) return 1;
    status = recurrent_run(recurrent, x, h0, w, loss, last, ys, dw, dh, dx);
    recurrent_free(recurrent);
    return status;
}
"""


@pytest.mark.skipif(find_spec("safetensors") is None, reason="needs safetensors")
def test_an_exported_loop_in_c(fake_cuda: Path, tmp_path: Path) -> None:
    function = _scan("cpu", 20)
    function.export(tmp_path, target="cuda")
    (tmp_path / "main.c").write_text(MAIN)
    (tmp_path / "libcuda.so").symlink_to(fake_cuda / "libcuda.so.1")
    words = ["-std=c99", "-Wall", "-Wextra", "-Werror", "main.c", "recurrent.c", "-L.", "-lcuda"]
    subprocess.run([c_compiler(), *words, "-o", "main"], cwd=tmp_path, check=True)
    run = run_program([str(tmp_path / "main"), str(tmp_path)], fake_cuda, tmp_path / "log")
    run.check_clean()
    found = [line.split("kernel=")[1].split()[0] for line in run.starting("node ")]
    plan = plan_launches(function.program, {})
    assert found == [n.kernel.name for n in plan.nodes if isinstance(n, KernelNode)]
    assert sum(name.startswith("loop") for name in found) == 2
