"""Small hand-written part functions for the tests of the runtime."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc.ir import types as t
from graphc_llvm.runtime.barrier import barrier_ir
from graphc_llvm.runtime.bound_code import BoundCode
from graphc_llvm.runtime.description import Description, InputSlot, OutputSlot, ResultStructure
from graphc_llvm.runtime.native import NativeFunction
from graphc_llvm.runtime.session import LoadedCode, compile_text, host, session

Array = NDArray[Any]
BARRIER_IR = barrier_ir(host().triple)

# mirror: arena = 2 x; barrier; y = reversed arena; weights += y; total = sum of the arena.
# x[0] < 0 is failure 7, found before anything is written.
# ctx: 0 sizes {n}, 1 arena, 3 team, 4 x, 5 y, 6 total, 7 weights
MIRROR = """
define void @mirror(ptr %ctx, i64 %thread, i64 %threads) {
entry:
  %sizes = load ptr, ptr %ctx
  %n = load i64, ptr %sizes
  %arena.p = getelementptr ptr, ptr %ctx, i64 1
  %arena = load ptr, ptr %arena.p
  %team.p = getelementptr ptr, ptr %ctx, i64 3
  %team = load ptr, ptr %team.p
  %x.p = getelementptr ptr, ptr %ctx, i64 4
  %x = load ptr, ptr %x.p
  %y.p = getelementptr ptr, ptr %ctx, i64 5
  %y = load ptr, ptr %y.p
  %total.p = getelementptr ptr, ptr %ctx, i64 6
  %total = load ptr, ptr %total.p
  %w.p = getelementptr ptr, ptr %ctx, i64 7
  %w = load ptr, ptr %w.p
  %a = mul i64 %n, %thread
  %from = udiv i64 %a, %threads
  %t1 = add i64 %thread, 1
  %b = mul i64 %n, %t1
  %to = udiv i64 %b, %threads
  %first = load float, ptr %x
  %bad = fcmp olt float %first, 0.0
  %any = icmp ne i64 %n, 0
  %fails = and i1 %bad, %any
  br i1 %fails, label %fail, label %double
fail:
  store i32 7, ptr %team
  br label %meet
double:
  %i = phi i64 [ %from, %entry ], [ %i1, %double.body ]
  %go = icmp ult i64 %i, %to
  br i1 %go, label %double.body, label %meet
double.body:
  %xi.p = getelementptr float, ptr %x, i64 %i
  %xi = load float, ptr %xi.p
  %d = fmul float %xi, 2.0
  %ai.p = getelementptr float, ptr %arena, i64 %i
  store float %d, ptr %ai.p
  %i1 = add i64 %i, 1
  br label %double
meet:
  call void @graphc_barrier(ptr %team, i64 %threads)
  %status = load i32, ptr %team
  %fine = icmp eq i32 %status, -1
  br i1 %fine, label %turn, label %end
turn:
  %j = phi i64 [ %from, %meet ], [ %j1, %turn.body ]
  %more = icmp ult i64 %j, %to
  br i1 %more, label %turn.body, label %sums
turn.body:
  %n1 = sub i64 %n, 1
  %k = sub i64 %n1, %j
  %ak.p = getelementptr float, ptr %arena, i64 %k
  %ak = load float, ptr %ak.p
  %yj.p = getelementptr float, ptr %y, i64 %j
  store float %ak, ptr %yj.p
  %wj.p = getelementptr float, ptr %w, i64 %j
  %wj = load float, ptr %wj.p
  %wn = fadd float %wj, %ak
  store float %wn, ptr %wj.p
  %j1 = add i64 %j, 1
  br label %turn
sums:
  %leads = icmp eq i64 %thread, 0
  br i1 %leads, label %sum, label %end
sum:
  %s = phi i64 [ 0, %sums ], [ %s1, %sum.body ]
  %acc = phi float [ 0.0, %sums ], [ %acc1, %sum.body ]
  %on = icmp ult i64 %s, %n
  br i1 %on, label %sum.body, label %store
sum.body:
  %as.p = getelementptr float, ptr %arena, i64 %s
  %as = load float, ptr %as.p
  %acc1 = fadd float %acc, %as
  %s1 = add i64 %s, 1
  br label %sum
store:
  store float %acc, ptr %total
  br label %end
end:
  ret void
}
"""

# stay: thread 0 stays until the i64 in slot 4 is not 0; the i64 in slot 5 counts the threads.
STAY = """
define void @stay(ptr %ctx, i64 %thread, i64 %threads) {
entry:
  %gate.p = getelementptr ptr, ptr %ctx, i64 4
  %gate = load ptr, ptr %gate.p
  %seen.p = getelementptr ptr, ptr %ctx, i64 5
  %seen = load ptr, ptr %seen.p
  %old = atomicrmw add ptr %seen, i64 1 seq_cst
  br label %look
look:
  %open = load atomic i64, ptr %gate seq_cst, align 8
  %go = icmp ne i64 %open, 0
  br i1 %go, label %end, label %look
end:
  ret void
}
"""

# copy: out = in, both of the type of i64 words; ctx: 4 in, 5 out; sizes {bytes}
COPY = """
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
define void @copy(ptr %ctx, i64 %thread, i64 %threads) {
  %sizes = load ptr, ptr %ctx
  %n = load i64, ptr %sizes
  %in.p = getelementptr ptr, ptr %ctx, i64 4
  %in = load ptr, ptr %in.p
  %out.p = getelementptr ptr, ptr %ctx, i64 5
  %out = load ptr, ptr %out.p
  %leads = icmp eq i64 %thread, 0
  %m = select i1 %leads, i64 %n, i64 0
  call void @llvm.memcpy.p0.p0.i64(ptr %out, ptr %in, i64 %m, i1 false)
  ret void
}
"""


@cache
def library() -> LoadedCode:
    image = compile_text(BARRIER_IR + MIRROR + STAY + COPY, host())
    return session().load_object(image, ["mirror", "stay", "copy"])


def mirror_variant(
    n: int,
    weights: Array,
    *,
    threads: int = 1,
    structure: ResultStructure | None = None,
    **options: Any,
) -> BoundCode:
    seconds = options.pop("seconds", 1e-3)
    description = Description(
        name="mirror",
        symbol="mirror",
        slots=9,
        inputs=(InputSlot("x", 4, t.float32, (n,)),),
        outputs=(OutputSlot(5, t.float32, (n,)), OutputSlot(6, t.float32, ())),
        structure=structure or ResultStructure("tuple"),
        sizes=(n,),
        arena_bytes=4 * n,
        threads=threads,
        seconds=seconds,
    )
    return BoundCode(library(), description, {7: weights}, **options)


def mirror(n: int, threads: int = 1, **options: Any) -> tuple[NativeFunction, Array]:
    """A bound function and its weights."""
    native = options.pop("native", True)
    slow = options.pop("slow", None)
    weights = np.zeros(n, np.float32)
    function = NativeFunction("mirror", native=native, slow=slow)
    function.bind(mirror_variant(n, weights, threads=threads, **options))
    return function, weights


def expected(x: Array) -> tuple[Array, np.float32]:
    doubled = x * np.float32(2)
    total = np.float32(0)
    for value in doubled:
        total = np.float32(total + value)
    return doubled[::-1].copy(), total


def copy_function(dtype: t.DType, shape: tuple[int, ...], **options: Any) -> NativeFunction:
    """A function that returns its input."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    description = Description(
        name="copy",
        symbol="copy",
        slots=6,
        inputs=(InputSlot("x", 4, dtype, shape),),
        outputs=(OutputSlot(5, dtype, shape),),
        sizes=(size,),
        seconds=1e-6,
    )
    function = NativeFunction("copy", **options)
    function.bind(BoundCode(library(), description))
    return function


def stay_function(threads: int = 1) -> tuple[NativeFunction, Mapping[str, Array]]:
    """A function that runs until ``gate[0]`` is set; ``seen[0]`` counts the threads in it."""
    cells = {"gate": np.zeros(1, np.int64), "seen": np.zeros(1, np.int64)}
    description = Description(
        name="stay",
        symbol="stay",
        slots=6,
        structure=ResultStructure("none"),
        threads=threads,
        seconds=1.0,
    )
    function = NativeFunction("stay")
    function.bind(BoundCode(library(), description, {4: cells["gate"], 5: cells["seen"]}))
    return function, cells
