; One step: take the guards, fill ctx, run, count.

declare i32 @PyGILState_Ensure()
declare void @PyGILState_Release(i32)
declare i32 @PyErr_CheckSignals()
declare void @PyErr_Fetch(ptr, ptr, ptr)
declare void @PyErr_Restore(ptr, ptr, ptr)

; Run a variant on given arrays: the slow path's call, and it waits for nobody.
; Returns the failure (u32, all ones for none), or -1 - i where guard i was taken; i is the number
; of guards where the variants have no memory, and one more where a watched number has changed.
define i64 @graphc_call(ptr %function, ptr %variant, ptr %inputs, ptr %outputs) nounwind {
entry:
  %busy = call i64 @graphc_enter(ptr %function, ptr %variant)
  %free = icmp eq i64 %busy, 0
  br i1 %free, label %run, label %leave
run:
  %pool.p = getelementptr %Function, ptr %function, i64 0, i32 4
  %pool = load ptr, ptr %pool.p
  %status = call i32 @graphc_step(ptr %pool, ptr %variant, ptr %inputs, ptr %outputs)
  call void @graphc_unlock(ptr %function)
  %wide = zext i32 %status to i64
  ret i64 %wide
leave:
  ret i64 %busy
}

; The same for a caller that holds the guards.
define i64 @graphc_call_held(ptr %function, ptr %variant, ptr %inputs, ptr %outputs) nounwind {
entry:
  %unready = call i64 @graphc_unready(ptr %function, ptr %variant)
  %fine = icmp eq i64 %unready, 0
  br i1 %fine, label %run, label %leave
run:
  %pool.p = getelementptr %Function, ptr %function, i64 0, i32 4
  %pool = load ptr, ptr %pool.p
  %status = call i32 @graphc_step(ptr %pool, ptr %variant, ptr %inputs, ptr %outputs)
  %wide = zext i32 %status to i64
  ret i64 %wide
leave:
  ret i64 %unready
}

; Take the guards of a function that can run: 0, or what @graphc_call returns.
define internal i64 @graphc_enter(ptr %function, ptr %variant) nounwind {
entry:
  %busy = call i64 @graphc_lock(ptr %function)
  %mine = icmp eq i64 %busy, 0
  br i1 %mine, label %look, label %leave
look:
  %unready = call i64 @graphc_unready(ptr %function, ptr %variant)
  %fine = icmp eq i64 %unready, 0
  br i1 %fine, label %leave, label %undo
undo:
  call void @graphc_unlock(ptr %function)
  ret i64 %unready
leave:
  ret i64 %busy
}

; 0 where a variant can run; else what @graphc_call returns. The guards are held.
define internal i64 @graphc_unready(ptr %function, ptr %variant) nounwind {
entry:
  %first = load ptr, ptr %function
  %unplaced = icmp eq ptr %first, null
  br i1 %unplaced, label %no, label %watch
watch:
  %same = call i1 @graphc_unchanged(ptr %variant)
  br i1 %same, label %yes, label %no
yes:
  ret i64 0
no:
  %more = phi i64 [ 0, %entry ], [ 1, %watch ]
  %guards.p = getelementptr %Function, ptr %function, i64 0, i32 5
  %guards = load i64, ptr %guards.p
  %place = add i64 %guards, %more
  %which = xor i64 %place, -1
  ret i64 %which
}

; Fill ctx, run, and on success (-1) count the step. The GIL and the guards are held.
define internal i32 @graphc_step(
    ptr %pool, ptr %variant, ptr %inputs, ptr %outputs) nounwind {
entry:
  %part.p = getelementptr %Variant, ptr %variant, i64 0, i32 1
  %part = load ptr, ptr %part.p
  %ctx.p = getelementptr %Variant, ptr %variant, i64 0, i32 2
  %ctx = load ptr, ptr %ctx.p
  %team.p = getelementptr %Variant, ptr %variant, i64 0, i32 3
  %team = load ptr, ptr %team.p
  %threads.p = getelementptr %Variant, ptr %variant, i64 0, i32 4
  %threads = load i64, ptr %threads.p
  %flags.p = getelementptr %Variant, ptr %variant, i64 0, i32 5
  %flags = load i64, ptr %flags.p
  call void @graphc_fill(ptr %variant, ptr %ctx, ptr %inputs, ptr %outputs)
  store i32 -1, ptr %team
  call void @graphc_go_on(ptr %team)
  call void @graphc_run(ptr %pool, ptr %part, ptr %ctx, i64 %threads, i64 %flags)
  %status = load i32, ptr %team
  %fine = icmp eq i32 %status, -1
  br i1 %fine, label %count, label %done
count:
  call void @graphc_count_step(ptr %variant)
  br label %done
done:
  ret i32 %status
}

; Forget what was answered to loops that asked whether to go on.
define internal void @graphc_go_on(ptr %team) nounwind {
  %words = getelementptr i8, ptr %team, i64 16
  store i64 0, ptr %words
  ret void
}

; What loops ask: let Python handle its signals. An exception is kept for @graphc_reraise.
define i32 @graphc_signals() nounwind {
entry:
  %state = call i32 @PyGILState_Ensure()
  store i32 1, ptr @graphc_handling
  %result = call i32 @PyErr_CheckSignals()
  store i32 0, ptr @graphc_handling
  %fine = icmp eq i32 %result, 0
  br i1 %fine, label %done, label %keep
keep:
  %value = getelementptr [3 x ptr], ptr @graphc_raised, i64 0, i64 1
  %trace = getelementptr [3 x ptr], ptr @graphc_raised, i64 0, i64 2
  call void @PyErr_Fetch(ptr @graphc_raised, ptr %value, ptr %trace)
  br label %done
done:
  call void @PyGILState_Release(i32 %state)
  ret i32 %result
}

; Not 0 while a loop lets Python handle signals: the main thread is inside a step that has written
; nothing persistent yet.
@graphc_handling = global i32 0

; Only Python's main thread handles signals, and it is in one step at a time.
@graphc_raised = internal global [3 x ptr] zeroinitializer

; Raise what a signal's handler has raised in a loop; false if there was nothing.
define i32 @graphc_reraise() nounwind {
entry:
  %type = load ptr, ptr @graphc_raised
  %none = icmp eq ptr %type, null
  br i1 %none, label %nothing, label %raise
raise:
  %value.p = getelementptr [3 x ptr], ptr @graphc_raised, i64 0, i64 1
  %value = load ptr, ptr %value.p
  %trace.p = getelementptr [3 x ptr], ptr @graphc_raised, i64 0, i64 2
  %trace = load ptr, ptr %trace.p
  store [3 x ptr] zeroinitializer, ptr @graphc_raised
  call void @PyErr_Restore(ptr %type, ptr %value, ptr %trace)
  ret i32 1
nothing:
  ret i32 0
}

; Put the addresses of inputs and outputs where the part looks for them.
define internal void @graphc_fill(
    ptr %variant, ptr %ctx, ptr %inputs, ptr %outputs) nounwind {
entry:
  %in.count.p = getelementptr %Variant, ptr %variant, i64 0, i32 16
  %in.count = load i64, ptr %in.count.p
  %in.table.p = getelementptr %Variant, ptr %variant, i64 0, i32 6
  %in.table = load ptr, ptr %in.table.p
  %out.count.p = getelementptr %Variant, ptr %variant, i64 0, i32 7
  %out.count = load i64, ptr %out.count.p
  %out.table.p = getelementptr %Variant, ptr %variant, i64 0, i32 8
  %out.table = load ptr, ptr %out.table.p
  br label %in.head
in.head:
  %i = phi i64 [ 0, %entry ], [ %i.next, %in.body ]
  %i.go = icmp ult i64 %i, %in.count
  br i1 %i.go, label %in.body, label %out.head
in.body:
  %in.p = getelementptr ptr, ptr %inputs, i64 %i
  %in = load ptr, ptr %in.p
  %input = getelementptr %Input, ptr %in.table, i64 %i
  %in.slot = load i64, ptr %input
  %in.cell = getelementptr ptr, ptr %ctx, i64 %in.slot
  store ptr %in, ptr %in.cell
  %i.next = add i64 %i, 1
  br label %in.head
out.head:
  %o = phi i64 [ 0, %in.head ], [ %o.next, %out.body ]
  %o.go = icmp ult i64 %o, %out.count
  br i1 %o.go, label %out.body, label %done
out.body:
  %out.p = getelementptr ptr, ptr %outputs, i64 %o
  %out = load ptr, ptr %out.p
  %output = getelementptr %Output, ptr %out.table, i64 %o
  %out.slot = load i64, ptr %output
  %out.cell = getelementptr ptr, ptr %ctx, i64 %out.slot
  store ptr %out, ptr %out.cell
  %o.next = add i64 %o, 1
  br label %out.head
done:
  ret void
}

; After a step: the random stream moves on, and what was written has a new version.
define internal void @graphc_count_step(ptr %variant) nounwind {
entry:
  %random.p = getelementptr %Variant, ptr %variant, i64 0, i32 11
  %random = load ptr, ptr %random.p
  %plain = icmp eq ptr %random, null
  br i1 %plain, label %bumps, label %advance
advance:
  %low.p = getelementptr i32, ptr %random, i64 2
  %high.p = getelementptr i32, ptr %random, i64 3
  %low = load i32, ptr %low.p
  %high = load i32, ptr %high.p
  %low.next = add i32 %low, 1
  %wrapped = icmp eq i32 %low.next, 0
  %carry = zext i1 %wrapped to i32
  %high.next = add i32 %high, %carry
  store i32 %low.next, ptr %low.p
  store i32 %high.next, ptr %high.p
  br label %bumps
bumps:
  %count.p = getelementptr %Variant, ptr %variant, i64 0, i32 14
  %count = load i64, ptr %count.p
  %table.p = getelementptr %Variant, ptr %variant, i64 0, i32 15
  %table = load ptr, ptr %table.p
  br label %head
head:
  %i = phi i64 [ 0, %bumps ], [ %next, %body ]
  %go = icmp ult i64 %i, %count
  br i1 %go, label %body, label %done
body:
  %word.p = getelementptr ptr, ptr %table, i64 %i
  %word = load ptr, ptr %word.p
  %was = load i64, ptr %word
  %now = add i64 %was, 1
  store i64 %now, ptr %word
  %next = add i64 %i, 1
  br label %head
done:
  ret void
}
