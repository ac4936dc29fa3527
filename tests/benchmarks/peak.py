"""The multiply-add peak of one core and single kernels, timed by loops of generated code."""

from __future__ import annotations

import ctypes
import time
from functools import cache
from typing import Any

from graphc.ir.types import float32
from graphc_llvm.runtime.session import compile_text, session
from graphc_llvm.stepwise import StepwiseProgram
from graphc_llvm.target import Target, host_target

ROUNDS = 200_000
CHAINS = 12  # independent accumulators: latency times throughput of every current core


def peak_text(target: Target) -> str:
    """A loop of multiply-adds that live in registers."""
    lanes = target.lanes(float32)
    vector = f"<{lanes} x float>"
    chains = range(CHAINS)
    phis = "\n".join(
        f"  %a{i} = phi {vector} [ zeroinitializer, %entry ], [ %b{i}, %loop ]" for i in chains
    )
    steps = "\n".join(
        f"  %b{i} = call {vector} @llvm.fma.v{lanes}f32({vector} %a{i}, {vector} %x, {vector} %y)"
        for i in chains
    )
    sums = ["  %s0 = fadd " + f"{vector} %b0, %b1"] + [
        f"  %s{i - 1} = fadd {vector} %s{i - 2}, %b{i}" for i in range(2, CHAINS)
    ]
    return f"""
declare {vector} @llvm.fma.v{lanes}f32({vector}, {vector}, {vector})
define void @peak(ptr %values, i64 %rounds) {{
entry:
  %x = load {vector}, ptr %values, align 4
  %next = getelementptr i8, ptr %values, i64 {lanes * 4}
  %y = load {vector}, ptr %next, align 4
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %j, %loop ]
{phis}
{steps}
  %j = add i64 %i, 1
  %more = icmp ult i64 %j, %rounds
  br i1 %more, label %loop, label %done
done:
{chr(10).join(sums)}
  store {vector} %s{CHAINS - 2}, ptr %values, align 4
  ret void
}}
"""


@cache
def _peak() -> tuple[Any, Any, int]:
    target = host_target()
    library = session().load_object(compile_text(peak_text(target), target), ["peak"])
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(library["peak"])
    return library, function, target.lanes(float32)


def peak_gflops() -> float:
    """GFLOP/s of one core in one short run."""
    _, function, lanes = _peak()
    values = (ctypes.c_float * (2 * lanes))(*([0.5] * (2 * lanes)))
    start = time.perf_counter()
    function(ctypes.addressof(values), ROUNDS)
    seconds = time.perf_counter() - start
    return 2.0 * lanes * CHAINS * ROUNDS / seconds / 1e9


_REPEAT = """
define void @repeat(ptr %part, ptr %ctx, i64 %rounds) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %j, %loop ]
  call void %part(ptr %ctx, i64 0, i64 1)
  %j = add i64 %i, 1
  %more = icmp ult i64 %j, %rounds
  br i1 %more, label %loop, label %done
done:
  ret void
}
"""


@cache
def _repeat() -> tuple[Any, Any]:
    library = session().load_object(compile_text(_REPEAT, host_target()), ["repeat"])
    arguments = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    return library, ctypes.CFUNCTYPE(None, *arguments)(library["repeat"])


class Kernel:
    """The one kernel of a compiled function of known sizes, called in a native loop."""

    def __init__(self, function: Any, *arrays: Any) -> None:
        self.steps = StepwiseProgram(function.program, host_target(), {})
        self.steps.bind(arrays, function.rng)
        (part,) = self.steps.parts
        self.part = ctypes.cast(part, ctypes.c_void_p).value
        self.rounds = max(1, int(5e-3 / self.seconds(3)))

    def seconds(self, rounds: int | None = None) -> float:
        """Seconds of one call, in a few milliseconds of calls."""
        count = rounds or self.rounds
        start = time.perf_counter()
        _repeat()[1](self.part, self.steps.ctx.ctypes.data, count)
        return (time.perf_counter() - start) / count
