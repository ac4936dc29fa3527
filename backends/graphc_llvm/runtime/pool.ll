; Threads that wait for work. @graphc_wait and @graphc_barrier come from barrier.py.

declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare ptr @PyObject_CallNoArgs(ptr)
declare void @Py_DecRef(ptr)
declare void @PyErr_Clear()

; Stay until there was nothing to do for a while (0) or for good (1).
define i64 @graphc_worker(ptr %pool, i64 %index) nounwind {
entry:
  %slots.p = getelementptr %Pool, ptr %pool, i64 0, i32 5
  %slots = load ptr, ptr %slots.p
  %slot = getelementptr %Slot, ptr %slots, i64 %index
  %stop.p = getelementptr %Pool, ptr %pool, i64 0, i32 1
  %patience.p = getelementptr %Pool, ptr %pool, i64 0, i32 4
  %patience = load i64, ptr %patience.p
  %awake = cmpxchg ptr %slot, i32 2, i32 0 acq_rel monotonic
  br label %look
look:
  %turns = phi i64 [ 0, %entry ], [ %more, %idle ], [ 0, %work ], [ 0, %tired ]
  %word = load atomic i32, ptr %slot acquire, align 4
  %job = icmp eq i32 %word, 1
  br i1 %job, label %work, label %quiet
quiet:
  %stop = load atomic i32, ptr %stop.p acquire, align 4
  %stopped = icmp ne i32 %stop, 0
  br i1 %stopped, label %leave, label %patient
patient:
  %long = icmp ugt i64 %turns, %patience
  br i1 %long, label %tired, label %idle
idle:
  call void @graphc_idle(i64 %turns)
  %more = add i64 %turns, 1
  br label %look
tired:
  %slept = cmpxchg ptr %slot, i32 0, i32 2 acq_rel acquire
  %asleep = extractvalue { i32, i1 } %slept, 1
  br i1 %asleep, label %sleep, label %look
work:
  call void @graphc_job(ptr %slot, i64 %index)
  store atomic i32 0, ptr %slot release, align 4
  br label %look
sleep:
  ret i64 0
leave:
  ret i64 1
}

define internal void @graphc_job(ptr %slot, i64 %thread) nounwind {
  %part.p = getelementptr %Slot, ptr %slot, i64 0, i32 3
  %part = load ptr, ptr %part.p
  %ctx.p = getelementptr %Slot, ptr %slot, i64 0, i32 4
  %ctx = load ptr, ptr %ctx.p
  %threads.p = getelementptr %Slot, ptr %slot, i64 0, i32 5
  %threads = load i64, ptr %threads.p
  call void %part(ptr %ctx, i64 %thread, i64 %threads)
  ret void
}

; Look `turns` times at nothing: what a worker's patience costs is measured with it.
define void @graphc_idle_for(i64 %turns) nounwind {
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %go = icmp ult i64 %i, %turns
  br i1 %go, label %body, label %done
body:
  call void @graphc_idle(i64 %i)
  %next = add i64 %i, 1
  br label %head
done:
  ret void
}

; Put a value into a word and return what was there.
define i32 @graphc_swap(ptr %word, i32 %value) nounwind {
  %old = atomicrmw xchg ptr %word, i32 %value seq_cst
  ret i32 %old
}

; Run a part on up to `threads` threads, the caller being thread 0. The GIL is held on entry.
; With a busy pool, or sleepers that are not worth waiting for, the caller runs alone.
define void @graphc_run(ptr %pool, ptr %part, ptr %ctx, i64 %threads, i64 %flags) nounwind {
entry:
  %several = icmp ugt i64 %threads, 1
  br i1 %several, label %own, label %alone
own:
  %owned = cmpxchg ptr %pool, i32 0, i32 1 acq_rel monotonic
  %mine = extractvalue { i32, i1 } %owned, 1
  br i1 %mine, label %count, label %alone
count:
  %workers.p = getelementptr %Pool, ptr %pool, i64 0, i32 2
  %workers = load i64, ptr %workers.p
  %most = add i64 %workers, 1
  %fewer = icmp ult i64 %most, %threads
  %n = select i1 %fewer, i64 %most, i64 %threads
  %any = icmp ugt i64 %n, 1
  br i1 %any, label %awake, label %disown
awake:
  %waits = and i64 %flags, 2
  %worth = icmp ne i64 %waits, 0
  br i1 %worth, label %together, label %ask
ask:
  %ready = call i1 @graphc_rouse_sleepers(ptr %pool, i64 %n)
  br i1 %ready, label %together, label %disown
together:
  call void @graphc_run_together(ptr %pool, ptr %part, ptr %ctx, i64 %n, i64 %flags)
  store atomic i32 0, ptr %pool release, align 4
  ret void
disown:
  store atomic i32 0, ptr %pool release, align 4
  br label %alone
alone:
  %long = and i64 %flags, 1
  %free = icmp ne i64 %long, 0
  br i1 %free, label %release, label %keep
release:
  %state = call ptr @PyEval_SaveThread()
  call void %part(ptr %ctx, i64 0, i64 1)
  call void @PyEval_RestoreThread(ptr %state)
  ret void
keep:
  call void %part(ptr %ctx, i64 0, i64 1)
  ret void
}

define internal void @graphc_run_together(
    ptr %pool, ptr %part, ptr %ctx, i64 %n, i64 %flags) nounwind {
entry:
  %roused = call i1 @graphc_post(ptr %pool, ptr %part, ptr %ctx, i64 %n)
  ; A worker that was asleep needs the GIL to come back: the caller must not keep it.
  %long = and i64 %flags, 1
  %wants = icmp ne i64 %long, 0
  %free = or i1 %wants, %roused
  br i1 %free, label %release, label %keep
release:
  %state = call ptr @PyEval_SaveThread()
  call void %part(ptr %ctx, i64 0, i64 %n)
  call void @graphc_collect(ptr %pool, i64 %n)
  call void @PyEval_RestoreThread(ptr %state)
  ret void
keep:
  call void %part(ptr %ctx, i64 0, i64 %n)
  call void @graphc_collect(ptr %pool, i64 %n)
  ret void
}

; Post the job to workers 1 to n - 1; true if one of them was asleep and has been called.
define internal i1 @graphc_post(ptr %pool, ptr %part, ptr %ctx, i64 %n) nounwind {
entry:
  %slots.p = getelementptr %Pool, ptr %pool, i64 0, i32 5
  %slots = load ptr, ptr %slots.p
  br label %head
head:
  %i = phi i64 [ 1, %entry ], [ %next, %tail ]
  %roused = phi i1 [ false, %entry ], [ %roused.next, %tail ]
  %go = icmp ult i64 %i, %n
  br i1 %go, label %body, label %end
body:
  %slot = getelementptr %Slot, ptr %slots, i64 %i
  %part.p = getelementptr %Slot, ptr %slot, i64 0, i32 3
  store ptr %part, ptr %part.p
  %ctx.p = getelementptr %Slot, ptr %slot, i64 0, i32 4
  store ptr %ctx, ptr %ctx.p
  %n.p = getelementptr %Slot, ptr %slot, i64 0, i32 5
  store i64 %n, ptr %n.p
  %was = atomicrmw xchg ptr %slot, i32 1 acq_rel
  %asleep = icmp eq i32 %was, 2
  br i1 %asleep, label %call, label %tail
call:
  %rouse.p = getelementptr %Slot, ptr %slot, i64 0, i32 2
  call void @graphc_rouse(ptr %rouse.p)
  br label %tail
tail:
  %roused.next = or i1 %roused, %asleep
  %next = add i64 %i, 1
  br label %head
end:
  ret i1 %roused
}

; Wait until workers 1 to n - 1 have done their share.
define internal void @graphc_collect(ptr %pool, i64 %n) nounwind {
entry:
  %slots.p = getelementptr %Pool, ptr %pool, i64 0, i32 5
  %slots = load ptr, ptr %slots.p
  br label %head
head:
  %i = phi i64 [ 1, %entry ], [ %next, %body ]
  %go = icmp ult i64 %i, %n
  br i1 %go, label %body, label %end
body:
  %slot = getelementptr %Slot, ptr %slots, i64 %i
  call void @graphc_wait(ptr %slot, i32 1)
  %next = add i64 %i, 1
  br label %head
end:
  ret void
}

; Call the sleepers among workers 1 to n - 1; true if there were none.
define internal i1 @graphc_rouse_sleepers(ptr %pool, i64 %n) nounwind {
entry:
  %slots.p = getelementptr %Pool, ptr %pool, i64 0, i32 5
  %slots = load ptr, ptr %slots.p
  br label %head
head:
  %i = phi i64 [ 1, %entry ], [ %next, %tail ]
  %ready = phi i1 [ true, %entry ], [ %ready.next, %tail ]
  %go = icmp ult i64 %i, %n
  br i1 %go, label %body, label %end
body:
  %slot = getelementptr %Slot, ptr %slots, i64 %i
  %word = load atomic i32, ptr %slot acquire, align 4
  %awake = icmp ne i32 %word, 2
  br i1 %awake, label %tail, label %call
call:
  %rouse.p = getelementptr %Slot, ptr %slot, i64 0, i32 2
  call void @graphc_rouse(ptr %rouse.p)
  br label %tail
tail:
  %ready.next = and i1 %ready, %awake
  %next = add i64 %i, 1
  br label %head
end:
  ret i1 %ready
}

; Call a lock's `release`; one that is free already says so by an exception, which means nothing.
define internal void @graphc_rouse(ptr %rouse.p) nounwind {
entry:
  %rouse = load ptr, ptr %rouse.p
  %result = call ptr @PyObject_CallNoArgs(ptr %rouse)
  %failed = icmp eq ptr %result, null
  br i1 %failed, label %clear, label %drop
clear:
  call void @PyErr_Clear()
  ret void
drop:
  call void @Py_DecRef(ptr %result)
  ret void
}
