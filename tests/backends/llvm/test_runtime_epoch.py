"""Steps over minibatches in native code, against one call a step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc.errors import ArgumentError, RuntimeCheckError
from graphc.ir import types as t
from graphc.testing import assert_close
from graphc_llvm.runtime.bound_code import BoundCode
from graphc_llvm.runtime.description import Description, InputSlot, OutputSlot, ResultStructure
from graphc_llvm.runtime.epoch import EpochPlan, run_epoch
from graphc_llvm.runtime.native import NativeFunction
from graphc_llvm.runtime.session import compile_text, host, session
from tests.backends.llvm.runtime_parts import BARRIER_IR, mirror

ROOT = Path(__file__).parents[3]

# y[b] = scale * sum of row b of x; total = y[0] + ... ; ctx 4 x, 5 scale, 6 y, 7 total
# Threads take shares of the rows. sizes {rows, columns}. A row whose first element is < 0 fails.
SUMS = """
define void @sums(ptr %ctx, i64 %thread, i64 %threads) {
entry:
  %sizes = load ptr, ptr %ctx
  %n = load i64, ptr %sizes
  %m.p = getelementptr i64, ptr %sizes, i64 1
  %m = load i64, ptr %m.p
  %team.p = getelementptr ptr, ptr %ctx, i64 3
  %team = load ptr, ptr %team.p
  %x.p = getelementptr ptr, ptr %ctx, i64 4
  %x = load ptr, ptr %x.p
  %scale.p = getelementptr ptr, ptr %ctx, i64 5
  %scale.q = load ptr, ptr %scale.p
  %scale = load double, ptr %scale.q
  %y.p = getelementptr ptr, ptr %ctx, i64 6
  %y = load ptr, ptr %y.p
  %total.p = getelementptr ptr, ptr %ctx, i64 7
  %total = load ptr, ptr %total.p
  %a = mul i64 %n, %thread
  %from = udiv i64 %a, %threads
  %t1 = add i64 %thread, 1
  %b = mul i64 %n, %t1
  %to = udiv i64 %b, %threads
  br label %rows
rows:
  %i = phi i64 [ %from, %entry ], [ %i1, %row.end ]
  %go = icmp ult i64 %i, %to
  br i1 %go, label %row, label %meet
row:
  %start = mul i64 %i, %m
  %base = getelementptr double, ptr %x, i64 %start
  %first = load double, ptr %base
  %bad = fcmp olt double %first, 0.0
  br i1 %bad, label %fail, label %columns
fail:
  store i32 3, ptr %team
  br label %columns
columns:
  %j = phi i64 [ 0, %row ], [ 0, %fail ], [ %j1, %column ]
  %acc = phi double [ 0.0, %row ], [ 0.0, %fail ], [ %acc1, %column ]
  %on = icmp ult i64 %j, %m
  br i1 %on, label %column, label %row.end
column:
  %e.p = getelementptr double, ptr %base, i64 %j
  %e = load double, ptr %e.p
  %acc1 = fadd double %acc, %e
  %j1 = add i64 %j, 1
  br label %columns
row.end:
  %scaled = fmul double %acc, %scale
  %yi = getelementptr double, ptr %y, i64 %i
  store double %scaled, ptr %yi
  %i1 = add i64 %i, 1
  br label %rows
meet:
  call void @graphc_barrier(ptr %team, i64 %threads)
  %leads = icmp eq i64 %thread, 0
  br i1 %leads, label %add, label %end
add:
  %k = phi i64 [ 0, %meet ], [ %k1, %add.body ]
  %s = phi double [ 0.0, %meet ], [ %s1, %add.body ]
  %more = icmp ult i64 %k, %n
  br i1 %more, label %add.body, label %store
add.body:
  %yk.p = getelementptr double, ptr %y, i64 %k
  %yk = load double, ptr %yk.p
  %s1 = fadd double %s, %yk
  %k1 = add i64 %k, 1
  br label %add
store:
  store double %s, ptr %total
  br label %end
end:
  ret void
}
"""


def sums(batch: int, columns: int, threads: int, **options: Any) -> NativeFunction:
    loaded = session().load_object(compile_text(BARRIER_IR + SUMS, host()), ["sums"])
    body = Description(
        name="sums",
        symbol="sums",
        slots=9,
        inputs=(
            InputSlot("x", 4, t.float64, (batch, columns)),
            InputSlot("scale", 5, t.float64, ()),
        ),
        outputs=(OutputSlot(6, t.float64, (batch,)), OutputSlot(7, t.float64, ())),
        structure=ResultStructure("tuple"),
        sizes=(batch, columns),
        threads=threads,
        seconds=1e-6,
    )
    function = NativeFunction("sums", native=options.pop("native", True))
    function.bind(BoundCode(loaded, body, **options))
    return function


def plan_for(data: np.ndarray[Any, Any], order: np.ndarray[Any, Any], batch: int) -> EpochPlan:
    steps = len(order) // batch
    return EpochPlan(
        order=order,
        batch=batch,
        steps=steps,
        rows=(data, None),
        whole=(None, np.array(0.5)),
        results=(np.zeros((steps, batch)), np.zeros(steps)),
    )


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("shuffled", [True, False])
@pytest.mark.parametrize(
    ("rows", "batch", "columns"), [(1, 1, 1), (41, 5, 3), (64, 16, 7), (9, 9, 2)]
)
def test_equals_one_call_a_step(
    rows: int, batch: int, columns: int, shuffled: bool, threads: int, native: bool
) -> None:
    generator = np.random.default_rng(rows)
    data = generator.random((rows, columns))
    order = generator.permutation(rows) if shuffled else np.arange(rows)
    order = order.astype(np.int64)
    random = np.zeros(4, np.uint32)
    version = np.zeros(1, np.int64)
    function = sums(batch, columns, threads, native=native, random=(8, random), bumps=(version,))
    plan = plan_for(data, order, batch)
    done = list(run_epoch(function, function.variants[0], plan))
    assert done[-1] == plan.steps == rows // batch
    assert done == sorted(set(done))
    assert random.tolist() == [0, 0, plan.steps, 0]
    assert version[0] == plan.steps
    ys, totals = plan.results
    assert ys is not None
    assert totals is not None
    for step in range(plan.steps):
        taken = order[step * batch : (step + 1) * batch]
        y, total = function.entry(data[taken], np.array(0.5))
        assert np.array_equal(ys[step], y)
        assert totals[step] == total
        assert_close(y, data[taken].sum(1) * 0.5, tolerance="ulps", each=True)


def test_results_can_be_dropped() -> None:
    data = np.random.default_rng(1).random((12, 4))
    function = sums(3, 4, 2)
    plan = plan_for(data, np.arange(12)[::-1].copy(), 3)
    want = replace(plan)
    list(run_epoch(function, function.variants[0], want))
    totals = np.zeros(4)
    list(run_epoch(function, function.variants[0], replace(plan, results=(None, totals))))
    assert np.array_equal(totals, want.results[1])  # type: ignore[arg-type]


def test_repeated_and_consecutive_rows_mix() -> None:
    data = np.random.default_rng(2).random((10, 2))
    order = np.array([3, 4, 5, 5, 5, 5, 9, 0, 1, 7, 8, 9], np.int64)
    function = sums(3, 2, 2)
    plan = plan_for(data, order, 3)
    list(run_epoch(function, function.variants[0], plan))
    assert plan.results[1] is not None
    wanted = data[order].reshape(4, -1).sum(1) * 0.5
    assert_close(plan.results[1], wanted, tolerance="ulps", each=True)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("where", [0, 7, 19])
def test_stops_at_a_failure(where: int, threads: int, native: bool) -> None:
    data = np.ones((40, 2))
    data[where * 2] = -1
    random = np.zeros(4, np.uint32)
    function = sums(2, 2, threads, native=native, random=(8, random))
    plan = plan_for(data, np.arange(40), 2)
    with pytest.raises(RuntimeCheckError, match="check 3") as caught:
        list(run_epoch(function, function.variants[0], plan))
    assert caught.value.step == where  # type: ignore[attr-defined]
    assert random[2] == where
    assert plan.results[1] is not None
    assert np.array_equal(plan.results[1][:where], np.full(where, 2.0))
    data[where * 2] = 1
    assert list(run_epoch(function, function.variants[0], plan))[-1] == 20


def test_no_steps() -> None:
    function = sums(2, 2, 1)
    plan = plan_for(np.ones((4, 2)), np.arange(0), 2)
    assert list(run_epoch(function, function.variants[0], plan)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": np.array([0, 1, 2, 40])}, "order: 0 to 40, but x has 4 rows"),
        ({"order": np.array([-1, 1, 2, 3])}, "order: -1 to 3, but x has 4 rows"),
        ({"order": np.arange(3)}, "order: fewer than 4 rows"),
        ({"rows": (np.ones((4, 3)), None)}, r"x: has rows of \(3,\), not \(2,\)"),
        ({"rows": (np.ones((4, 2), np.float32), None)}, "x: is float32"),
        ({"rows": (np.ones((8, 2))[::2], None)}, "x: is not contiguous"),
        ({"rows": (np.ones((4, 2)),)}, "not one array an input"),
        ({"whole": (None, None)}, "scale: missing"),
        ({"results": (None,)}, "not one result an output"),
        ({"results": (None, np.zeros(3))}, r"result: is \(3,\)"),
        ({"results": (None, np.zeros(2, np.float32))}, "result: is float32"),
        ({"batch": 1, "steps": 4, "results": (None, None)}, "x: takes 2 rows"),
    ],
)
def test_plans_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    function = sums(2, 2, 1)
    plan = replace(plan_for(np.ones((4, 2)), np.arange(4), 2), **change)
    with pytest.raises(ArgumentError, match=f"run_epoch: {message}"):
        list(run_epoch(function, function.variants[0], plan))


def test_python_is_heard_between_chunks() -> None:
    """A million steps come back about every 40 ms."""
    function = sums(1, 1, 1)
    function.activate()
    steps = 2_000_000
    data, order = np.ones((1, 1)), np.zeros(steps, np.int64)
    plan = EpochPlan(order, 1, steps, (data, None), (None, np.array(1.0)), (None, None))
    gaps, last = [], time.perf_counter()
    for _ in run_epoch(function, function.variants[0], plan):
        now = time.perf_counter()
        gaps.append(now - last)
        last = now
    assert sorted(gaps)[len(gaps) // 2] < 0.1
    assert len(gaps) > 2


@pytest.mark.parametrize("threads", [1, 2])
def test_control_c(threads: int) -> None:
    script = f"""
    import sys
    import numpy as np
    from graphc_llvm.runtime.epoch import EpochPlan, run_epoch
    from tests.backends.llvm.test_runtime_epoch import sums
    function = sums(4, 50, {threads})
    data = np.ones((8, 50))
    order = np.zeros(1_000_000, np.int64)
    plan = EpochPlan(order, 4, 250_000, (data, None), (None, np.array(1.0)), (None, None))
    print("ready", flush=True)
    done = 0
    try:
        while True:
            for done in run_epoch(function, function.variants[0], plan):
                pass
    except KeyboardInterrupt:
        y, total = function.entry(data[:4], np.array(1.0))
        print("interrupted", total, flush=True)
    """
    path = os.pathsep.join((str(ROOT), str(ROOT / "backends")))
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.3)
        begin = time.perf_counter()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
        assert (child.returncode, out, err) == (0, "interrupted 200.0\n", "")
        assert time.perf_counter() - begin < 5
    finally:
        child.kill()
        child.wait()


def test_mirror_in_an_epoch_updates_parameters() -> None:
    """Rank-1 inputs: rows are elements."""
    function, weights = mirror(4, 2)
    data = np.arange(12, dtype=np.float32)
    plan = EpochPlan(np.arange(12), 4, 3, (data,), (None,), (None, np.zeros(3, np.float32)))
    list(run_epoch(function, function.variants[0], plan))
    assert np.array_equal(weights, (2 * data.reshape(3, 4)).sum(0)[::-1])
