; Locks that native code takes without waiting; guard.py waits.

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
  %was = atomicrmw xchg ptr %guard, i32 0 acq_rel
  %waited = icmp eq i32 %was, 2
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

; Take a guard for Python, which waits for its bell where this fails. The thread holds the turn.
define i32 @graphc_take(ptr %guard) nounwind {
entry:
  %was = atomicrmw xchg ptr %guard, i32 2 acq_rel
  %free = icmp eq i32 %was, 0
  br i1 %free, label %mine, label %no
mine:
  %held.p = getelementptr %Guard, ptr %guard, i64 0, i32 1
  store i32 1, ptr %held.p
  ret i32 1
no:
  ret i32 0
}

; Give back what @graphc_take took; nothing happens if it took nothing.
define void @graphc_leave(ptr %guard) nounwind {
entry:
  %held.p = getelementptr %Guard, ptr %guard, i64 0, i32 1
  %held = load i32, ptr %held.p
  %none = icmp eq i32 %held, 0
  br i1 %none, label %done, label %give
give:
  store i32 0, ptr %held.p
  store atomic i32 0, ptr %guard release, align 4
  br label %done
done:
  ret void
}

; Ask for the bell of a guard that is taken; false if it is free by now.
define i32 @graphc_wait_for(ptr %guard) nounwind {
  %pair = cmpxchg ptr %guard, i32 1, i32 2 acq_rel monotonic
  %was = extractvalue { i32, i1 } %pair, 0
  %taken = icmp ne i32 %was, 0
  %result = zext i1 %taken to i32
  ret i32 %result
}
