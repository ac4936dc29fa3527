; Locks that native code takes without waiting; native_lock.py waits.

; Take all guards and return 0; or none, and -1 - i where guard i was taken.
define internal i64 @graphc_lock(ptr %function) nounwind {
entry:
  %count.p = getelementptr %Function, ptr %function, i64 0, i32 5
  %count = load i64, ptr %count.p
  %guards.p = getelementptr %Function, ptr %function, i64 0, i32 6
  %guards = load ptr, ptr %guards.p
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %took ]
  %go = icmp ult i64 %i, %count
  br i1 %go, label %body, label %all
body:
  %guard.p = getelementptr ptr, ptr %guards, i64 %i
  %guard = load ptr, ptr %guard.p
  %pair = cmpxchg ptr %guard, i32 0, i32 1 acq_rel monotonic
  %taken = extractvalue { i32, i1 } %pair, 1
  br i1 %taken, label %took, label %busy
took:
  %next = add i64 %i, 1
  br label %head
busy:
  call void @graphc_unlock_some(ptr %guards, i64 %i)
  %which = xor i64 %i, -1
  ret i64 %which
all:
  ret i64 0
}

define internal void @graphc_unlock(ptr %function) nounwind {
  %count.p = getelementptr %Function, ptr %function, i64 0, i32 5
  %count = load i64, ptr %count.p
  %guards.p = getelementptr %Function, ptr %function, i64 0, i32 6
  %guards = load ptr, ptr %guards.p
  call void @graphc_unlock_some(ptr %guards, i64 %count)
  ret void
}

define internal void @graphc_unlock_some(ptr %guards, i64 %count) nounwind {
entry:
  br label %head
head:
  %i = phi i64 [ %count, %entry ], [ %next, %tail ]
  %done = icmp eq i64 %i, 0
  br i1 %done, label %end, label %body
body:
  %next = sub i64 %i, 1
  %guard.p = getelementptr ptr, ptr %guards, i64 %next
  %guard = load ptr, ptr %guard.p
  ; Promised to Python: it has the guard from here on.
  %pair = cmpxchg ptr %guard, i32 3, i32 2 acq_rel acquire
  %promised = extractvalue { i32, i1 } %pair, 1
  br i1 %promised, label %give, label %free
give:
  %held.p = getelementptr %Guard, ptr %guard, i64 0, i32 1
  store atomic i32 1, ptr %held.p release, align 4
  br label %call
free:
  %was = atomicrmw xchg ptr %guard, i32 0 acq_rel
  %waited = icmp uge i32 %was, 2
  br i1 %waited, label %call, label %tail
call:
  %rouse.p = getelementptr %Guard, ptr %guard, i64 0, i32 2
  call void @graphc_rouse(ptr %rouse.p)
  br label %tail
tail:
  br label %head
end:
  ret void
}

; Take a guard for Python, which waits for its bell where this fails: then the guard is promised to
; it, and given by whoever has it. The thread holds the turn.
define i32 @graphc_take(ptr %guard) nounwind {
entry:
  %held.p = getelementptr %Guard, ptr %guard, i64 0, i32 1
  %held = load atomic i32, ptr %held.p acquire, align 4
  %given = icmp eq i32 %held, 1
  br i1 %given, label %ours, label %ask
ask:
  %was = atomicrmw xchg ptr %guard, i32 3 acq_rel
  %free = icmp eq i32 %was, 0
  br i1 %free, label %mine, label %again
mine:
  store atomic i32 2, ptr %guard release, align 4
  store atomic i32 1, ptr %held.p release, align 4
  ret i32 1
again:
  ; It may have been given after the first look; then it is promised to nobody.
  %held.now = load atomic i32, ptr %held.p acquire, align 4
  %given.now = icmp eq i32 %held.now, 1
  br i1 %given.now, label %settle, label %no
settle:
  store atomic i32 2, ptr %guard release, align 4
  br label %ours
ours:
  ret i32 1
no:
  ret i32 0
}

; Give back what @graphc_take took or was promised.
define void @graphc_leave(ptr %guard) nounwind {
entry:
  %held.p = getelementptr %Guard, ptr %guard, i64 0, i32 1
  %held = load atomic i32, ptr %held.p acquire, align 4
  %ours = icmp eq i32 %held, 1
  br i1 %ours, label %give, label %retract
retract:
  ; An interrupt came while Python waited.
  %pair = cmpxchg ptr %guard, i32 3, i32 2 acq_rel acquire
  %was = extractvalue { i32, i1 } %pair, 0
  %done = extractvalue { i32, i1 } %pair, 1
  br i1 %done, label %end, label %late
late:
  ; Taken and not promised: it is being given at this moment, or there was nothing to give back.
  %taken = icmp eq i32 %was, 2
  br i1 %taken, label %look, label %end
look:
  %turns = phi i64 [ 0, %late ], [ %more, %wait ]
  %now = load atomic i32, ptr %held.p acquire, align 4
  %arrived = icmp eq i32 %now, 1
  br i1 %arrived, label %give, label %wait
wait:
  call void @graphc_idle(i64 %turns)
  %more = add i64 %turns, 1
  %patient = icmp ult i64 %turns, 1000
  br i1 %patient, label %look, label %end
give:
  store atomic i32 0, ptr %held.p release, align 4
  store atomic i32 0, ptr %guard release, align 4
  br label %end
end:
  ret void
}
