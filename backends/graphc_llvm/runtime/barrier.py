"""The thread barrier: LLVM text that every parallel module includes.

A team is 192 bytes at a multiple of 64, one cache line a word:

    i32 status      @0     the lowest failure number, NO_FAILURE where there was none,
                           -2 where an exception of Python's waits to be raised
    ptr ask         @8     i32 (): not 0 when Python wants the step to end; null for none
    i32 stop, stop  @16    what was answered at even and at odd questions of the loop at hand
    i32 arrivals    @64    threads that wait at the current barrier
    i32 generation  @128   barriers passed
"""

from __future__ import annotations

from graphc_llvm.target import CACHE_LINE

TEAM_BYTES = 3 * CACHE_LINE
NO_FAILURE = 0xFFFFFFFF  # the status word, unsigned: larger than every failure number
NO_FAILURE_I32 = NO_FAILURE - (1 << 32)  # the same bits as LLVM's text has them
ASK_OFFSET = 8  # bytes from the team's beginning

# Tells the processor that this is a waiting loop. Not riscv64's: LLVM aborts where the extension
# that has it is switched off.
_RELAX = {
    "x86_64": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "aarch64": ("declare void @llvm.aarch64.isb(i32)", "call void @llvm.aarch64.isb(i32 15)"),
}
_SAME = {"amd64": "x86_64", "arm64": "aarch64", "i686": "x86_64"}

_YIELD = "declare i32 @sched_yield()"

_WAIT = """\
; Pass the time: a short spin, then the processor is left to others.
define internal void @graphc_idle(i64 %turns) nounwind {{
entry:
  %hot = icmp ult i64 %turns, 100
  br i1 %hot, label %relax, label %yield
relax:
  {relax}
  ret void
yield:
  {leave}
  ret void
}}

; Return when *word is no longer `old`.
define internal void @graphc_wait(ptr %word, i32 %old) noinline nounwind {{
entry:
  br label %look
look:
  %turns = phi i64 [ 0, %entry ], [ %more, %idle ]
  %now = load atomic i32, ptr %word acquire, align 4
  %changed = icmp ne i32 %now, %old
  br i1 %changed, label %done, label %idle
idle:
  call void @graphc_idle(i64 %turns)
  %more = add i64 %turns, 1
  br label %look
done:
  ret void
}}
"""

_BARRIER = """\
; All `threads` threads of the team arrive before any of them leaves.
define internal void @graphc_barrier(ptr %team, i64 %threads) noinline nounwind {
entry:
  %alone = icmp ule i64 %threads, 1
  br i1 %alone, label %done, label %arrive
arrive:
  %arrivals = getelementptr i8, ptr %team, i64 64
  %generation = getelementptr i8, ptr %team, i64 128
  %old = load atomic i32, ptr %generation monotonic, align 4
  %before = atomicrmw add ptr %arrivals, i32 1 acq_rel
  %count = add i32 %before, 1
  %wanted = trunc i64 %threads to i32
  %last = icmp eq i32 %count, %wanted
  br i1 %last, label %open, label %wait
open:
  store atomic i32 0, ptr %arrivals monotonic, align 4
  %next = add i32 %old, 1
  store atomic i32 %next, ptr %generation release, align 4
  br label %done
wait:
  call void @graphc_wait(ptr %generation, i32 %old)
  br label %done
done:
  ret void
}
"""

# Thread 0 asks before a barrier, all read the answer behind it: they leave the loop together. By
# then thread 0 may be asking again, so questions take two words in turn.
INTERRUPT_IR = """\
; Ask Python whether the step has to end.
define internal void @graphc_ask(ptr %team, i64 %thread, i64 %turn) noinline nounwind {
entry:
  %leads = icmp eq i64 %thread, 0
  br i1 %leads, label %look, label %done
look:
  %ask.p = getelementptr i8, ptr %team, i64 8
  %ask = load ptr, ptr %ask.p
  %nobody = icmp eq ptr %ask, null
  br i1 %nobody, label %done, label %call
call:
  %answer = call i32 %ask()
  %goes.on = icmp eq i32 %answer, 0
  br i1 %goes.on, label %done, label %stop
stop:
  %odd = and i64 %turn, 1
  %words = getelementptr i8, ptr %team, i64 16
  %word = getelementptr i32, ptr %words, i64 %odd
  store atomic i32 1, ptr %word monotonic, align 4
  store atomic i32 -2, ptr %team monotonic, align 4
  br label %done
done:
  ret void
}

; Whether the answer was yes.
define internal i1 @graphc_stops(ptr %team, i64 %turn) noinline nounwind {
  %odd = and i64 %turn, 1
  %words = getelementptr i8, ptr %team, i64 16
  %word = getelementptr i32, ptr %words, i64 %odd
  %answer = load atomic i32, ptr %word monotonic, align 4
  %stops = icmp ne i32 %answer, 0
  ret i1 %stops
}
"""


def barrier_ir(triple: str, freestanding: bool = False) -> str:
    """Text that defines ``void @graphc_barrier(ptr team, i64 threads)`` for a target.

    It also defines ``@graphc_wait(ptr word, i32 old)`` and ``@graphc_idle(i64 turns)``; all are
    internal to the module.
    Waiting calls libc's ``sched_yield`` unless the text has to stand alone (`freestanding`).
    """
    architecture = triple.split("-")[0]
    declare, relax = _RELAX.get(_SAME.get(architecture, architecture), ("", ""))
    declares = [line for line in (declare, "" if freestanding else _YIELD) if line]
    leave = relax if freestanding else "call i32 @sched_yield()"
    return "\n".join((*declares, _WAIT.format(relax=relax, leave=leave), _BARRIER))
