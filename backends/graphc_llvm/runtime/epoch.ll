; Many steps in one call: gather the rows of a batch, run the part, go on. All threads run this;
; thread 0 decides between barriers.

declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

; Do steps [next, end) of an epoch; `next` tells how far it came. Returns as @graphc_call does.
define i64 @graphc_epoch(ptr %function, ptr %epoch) nounwind {
entry:
  %variant = load ptr, ptr %epoch
  %busy = call i64 @graphc_enter(ptr %function, ptr %variant)
  %mine = icmp eq i64 %busy, 0
  br i1 %mine, label %run, label %leave
run:
  %status = call i64 @graphc_epoch_steps(ptr %function, ptr %epoch)
  call void @graphc_unlock(ptr %function)
  ret i64 %status
leave:
  ret i64 %busy
}

; The same for a caller that holds the guards.
define i64 @graphc_epoch_held(ptr %function, ptr %epoch) nounwind {
entry:
  %variant = load ptr, ptr %epoch
  %unready = call i64 @graphc_unready(ptr %function, ptr %variant)
  %fine = icmp eq i64 %unready, 0
  br i1 %fine, label %run, label %leave
run:
  %status = call i64 @graphc_epoch_steps(ptr %function, ptr %epoch)
  ret i64 %status
leave:
  ret i64 %unready
}

define internal i64 @graphc_epoch_steps(ptr %function, ptr %epoch) nounwind {
  %pool.p = getelementptr %Function, ptr %function, i64 0, i32 4
  %pool = load ptr, ptr %pool.p
  %variant = load ptr, ptr %epoch
  %threads.p = getelementptr %Variant, ptr %variant, i64 0, i32 4
  %threads = load i64, ptr %threads.p
  call void @graphc_run(ptr %pool, ptr @graphc_epoch_part, ptr %epoch, i64 %threads, i64 3)
  %team.p = getelementptr %Variant, ptr %variant, i64 0, i32 3
  %team = load ptr, ptr %team.p
  %status = load i32, ptr %team
  %wide = zext i32 %status to i64
  ret i64 %wide
}

define internal void @graphc_epoch_part(ptr %epoch, i64 %thread, i64 %threads) nounwind {
entry:
  %variant = load ptr, ptr %epoch
  %part.p = getelementptr %Variant, ptr %variant, i64 0, i32 1
  %part = load ptr, ptr %part.p
  %ctx.p = getelementptr %Variant, ptr %variant, i64 0, i32 2
  %ctx = load ptr, ptr %ctx.p
  %team.p = getelementptr %Variant, ptr %variant, i64 0, i32 3
  %team = load ptr, ptr %team.p
  %state.p = getelementptr %Epoch, ptr %epoch, i64 0, i32 9
  %leads = icmp eq i64 %thread, 0
  br i1 %leads, label %first, label %meet
first:
  store i32 -1, ptr %team
  call void @graphc_go_on(ptr %team)
  call void @graphc_epoch_aim(ptr %epoch, ptr %ctx)
  br label %meet
meet:
  call void @graphc_barrier(ptr %team, i64 %threads)
  %state = load i32, ptr %state.p
  switch i32 %state, label %gather [ i32 0, label %end  i32 1, label %run ]
gather:
  call void @graphc_epoch_gather(ptr %epoch, i64 %thread, i64 %threads)
  call void @graphc_barrier(ptr %team, i64 %threads)
  br label %run
run:
  call void %part(ptr %ctx, i64 %thread, i64 %threads)
  call void @graphc_barrier(ptr %team, i64 %threads)
  br i1 %leads, label %conclude, label %meet
conclude:
  call void @graphc_epoch_conclude(ptr %epoch, ptr %variant, ptr %team)
  call void @graphc_epoch_aim(ptr %epoch, ptr %ctx)
  br label %meet
end:
  ret void
}

; Count a step that went well; end the epoch at one that did not.
define internal void @graphc_epoch_conclude(ptr %epoch, ptr %variant, ptr %team) nounwind {
entry:
  %status = load i32, ptr %team
  %fine = icmp eq i32 %status, -1
  br i1 %fine, label %count, label %stop
count:
  call void @graphc_count_step(ptr %variant)
  %next.p = getelementptr %Epoch, ptr %epoch, i64 0, i32 3
  %was = load i64, ptr %next.p
  %now = add i64 %was, 1
  store i64 %now, ptr %next.p
  ret void
stop:
  %next.q = getelementptr %Epoch, ptr %epoch, i64 0, i32 3
  %here = load i64, ptr %next.q
  %end.p = getelementptr %Epoch, ptr %epoch, i64 0, i32 4
  store i64 %here, ptr %end.p
  ret void
}

; Point ctx at the rows and outputs of the next step and set `state`.
define internal void @graphc_epoch_aim(ptr %epoch, ptr %ctx) nounwind {
entry:
  %next.p = getelementptr %Epoch, ptr %epoch, i64 0, i32 3
  %step = load i64, ptr %next.p
  %end.p = getelementptr %Epoch, ptr %epoch, i64 0, i32 4
  %end = load i64, ptr %end.p
  %state.p = getelementptr %Epoch, ptr %epoch, i64 0, i32 9
  %over = icmp uge i64 %step, %end
  br i1 %over, label %stop, label %aim
stop:
  store i32 0, ptr %state.p
  ret void
aim:
  %rows = call ptr @graphc_epoch_rows(ptr %epoch)
  %in.place = call i1 @graphc_epoch_consecutive(ptr %epoch, ptr %rows)
  %state = select i1 %in.place, i32 1, i32 2
  store i32 %state, ptr %state.p
  %first = load i64, ptr %rows
  %sources.n.p = getelementptr %Epoch, ptr %epoch, i64 0, i32 5
  %sources.n = load i64, ptr %sources.n.p
  %sources.p = getelementptr %Epoch, ptr %epoch, i64 0, i32 6
  %sources = load ptr, ptr %sources.p
  br label %in.head
in.head:
  %i = phi i64 [ 0, %aim ], [ %i.next, %in.body ]
  %i.go = icmp ult i64 %i, %sources.n
  br i1 %i.go, label %in.body, label %outputs
in.body:
  %source = getelementptr %Source, ptr %sources, i64 %i
  %base.p = getelementptr %Source, ptr %source, i64 0, i32 1
  %base = load ptr, ptr %base.p
  %bytes.p = getelementptr %Source, ptr %source, i64 0, i32 2
  %bytes = load i64, ptr %bytes.p
  %gathered.p = getelementptr %Source, ptr %source, i64 0, i32 3
  %gathered = load ptr, ptr %gathered.p
  %offset = mul i64 %first, %bytes
  %there = getelementptr i8, ptr %base, i64 %offset
  %data = select i1 %in.place, ptr %there, ptr %gathered
  %in.slot = load i64, ptr %source
  %in.cell = getelementptr ptr, ptr %ctx, i64 %in.slot
  store ptr %data, ptr %in.cell
  %i.next = add i64 %i, 1
  br label %in.head
outputs:
  %sinks.n.p = getelementptr %Epoch, ptr %epoch, i64 0, i32 7
  %sinks.n = load i64, ptr %sinks.n.p
  %sinks.p = getelementptr %Epoch, ptr %epoch, i64 0, i32 8
  %sinks = load ptr, ptr %sinks.p
  br label %out.head
out.head:
  %o = phi i64 [ 0, %outputs ], [ %o.next, %out.body ]
  %o.go = icmp ult i64 %o, %sinks.n
  br i1 %o.go, label %out.body, label %done
out.body:
  %sink = getelementptr %Sink, ptr %sinks, i64 %o
  %out.base.p = getelementptr %Sink, ptr %sink, i64 0, i32 1
  %out.base = load ptr, ptr %out.base.p
  %out.bytes.p = getelementptr %Sink, ptr %sink, i64 0, i32 2
  %out.bytes = load i64, ptr %out.bytes.p
  %out.offset = mul i64 %step, %out.bytes
  %out.there = getelementptr i8, ptr %out.base, i64 %out.offset
  %out.slot = load i64, ptr %sink
  %out.cell = getelementptr ptr, ptr %ctx, i64 %out.slot
  store ptr %out.there, ptr %out.cell
  %o.next = add i64 %o, 1
  br label %out.head
done:
  ret void
}

; The row numbers of the step at hand.
define internal ptr @graphc_epoch_rows(ptr %epoch) nounwind {
  %order.p = getelementptr %Epoch, ptr %epoch, i64 0, i32 1
  %order = load ptr, ptr %order.p
  %batch.p = getelementptr %Epoch, ptr %epoch, i64 0, i32 2
  %batch = load i64, ptr %batch.p
  %next.p = getelementptr %Epoch, ptr %epoch, i64 0, i32 3
  %step = load i64, ptr %next.p
  %at = mul i64 %step, %batch
  %rows = getelementptr i64, ptr %order, i64 %at
  ret ptr %rows
}

define internal i1 @graphc_epoch_consecutive(ptr %epoch, ptr %rows) nounwind {
entry:
  %batch.p = getelementptr %Epoch, ptr %epoch, i64 0, i32 2
  %batch = load i64, ptr %batch.p
  %first = load i64, ptr %rows
  br label %head
head:
  %i = phi i64 [ 1, %entry ], [ %next, %body ]
  %go = icmp ult i64 %i, %batch
  br i1 %go, label %body, label %yes
body:
  %row.p = getelementptr i64, ptr %rows, i64 %i
  %row = load i64, ptr %row.p
  %wanted = add i64 %first, %i
  %same = icmp eq i64 %row, %wanted
  %next = add i64 %i, 1
  br i1 %same, label %head, label %no
yes:
  ret i1 true
no:
  ret i1 false
}

; Copy this thread's share of the batch: a run of rows, of every source.
define internal void @graphc_epoch_gather(ptr %epoch, i64 %thread, i64 %threads) nounwind {
entry:
  %rows = call ptr @graphc_epoch_rows(ptr %epoch)
  %batch.p = getelementptr %Epoch, ptr %epoch, i64 0, i32 2
  %batch = load i64, ptr %batch.p
  %from.part = mul i64 %batch, %thread
  %from = udiv i64 %from.part, %threads
  %after = add i64 %thread, 1
  %to.part = mul i64 %batch, %after
  %to = udiv i64 %to.part, %threads
  %sources.n.p = getelementptr %Epoch, ptr %epoch, i64 0, i32 5
  %sources.n = load i64, ptr %sources.n.p
  %sources.p = getelementptr %Epoch, ptr %epoch, i64 0, i32 6
  %sources = load ptr, ptr %sources.p
  br label %head
head:
  %s = phi i64 [ 0, %entry ], [ %s.next, %tail ]
  %s.go = icmp ult i64 %s, %sources.n
  br i1 %s.go, label %body, label %done
body:
  %source = getelementptr %Source, ptr %sources, i64 %s
  %base.p = getelementptr %Source, ptr %source, i64 0, i32 1
  %base = load ptr, ptr %base.p
  %bytes.p = getelementptr %Source, ptr %source, i64 0, i32 2
  %bytes = load i64, ptr %bytes.p
  %gathered.p = getelementptr %Source, ptr %source, i64 0, i32 3
  %gathered = load ptr, ptr %gathered.p
  br label %row.head
row.head:
  %i = phi i64 [ %from, %body ], [ %i.next, %row.body ]
  %i.go = icmp ult i64 %i, %to
  br i1 %i.go, label %row.body, label %tail
row.body:
  %row.p = getelementptr i64, ptr %rows, i64 %i
  %row = load i64, ptr %row.p
  %row.offset = mul i64 %row, %bytes
  %here = getelementptr i8, ptr %base, i64 %row.offset
  %place.offset = mul i64 %i, %bytes
  %place = getelementptr i8, ptr %gathered, i64 %place.offset
  call void @llvm.memcpy.p0.p0.i64(ptr %place, ptr %here, i64 %bytes, i1 false)
  %i.next = add i64 %i, 1
  br label %row.head
tail:
  %s.next = add i64 %s, 1
  br label %head
done:
  ret void
}
