; The Python-callable entry of every compiled function, driven by %Function and its %Variants.

declare ptr @PyTuple_GetItem(ptr, i64)
declare i64 @PyTuple_Size(ptr)
declare ptr @PyLong_AsVoidPtr(ptr)
declare ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr)
declare ptr @PyObject_GetItem(ptr, ptr)

; METH_FASTCALL | METH_KEYWORDS. `self` is a tuple whose first item is the address of a %Function;
; the others keep alive what the tables point at. Whatever is unusual goes to the slow path with
; the same arguments; nothing has been updated then.
define ptr @graphc_entry(ptr %self, ptr %args, i64 %count, ptr %names) nounwind {
entry:
  %number = call ptr @PyTuple_GetItem(ptr %self, i64 0)
  %function = call ptr @PyLong_AsVoidPtr(ptr %number)
  %first = load ptr, ptr %function
  %unready = icmp eq ptr %first, null
  %named = call i64 @graphc_count_named(ptr %function, i64 %count, ptr %names)
  %all = add i64 %count, %named
  %wanted.p = getelementptr %Function, ptr %function, i64 0, i32 2
  %wanted = load i64, ptr %wanted.p
  %miscounted = icmp ne i64 %all, %wanted
  %unusual = or i1 %unready, %miscounted
  br i1 %unusual, label %slow, label %buffers
buffers:
  %views = alloca %View, i64 %all, align 8
  %viewed = call i1 @graphc_get_views(ptr %args, ptr %views, i64 %all)
  br i1 %viewed, label %try, label %slow
try:
  %result = call ptr @graphc_try(ptr %function, ptr %views)
  call void @graphc_release_views(ptr %views, i64 %all)
  %refused = icmp eq ptr %result, inttoptr (i64 1 to ptr)
  br i1 %refused, label %slow, label %done
done:
  ret ptr %result
slow:
  %slow.p = getelementptr %Function, ptr %function, i64 0, i32 3
  %callable = load ptr, ptr %slow.p
  %answer = call ptr @PyObject_Vectorcall(ptr %callable, ptr %args, i64 %count, ptr %names)
  ret ptr %answer
}

; How many arguments are given by name, if they stand in the order of the inputs and are spelled
; with the same (interned) strings; -1 if not. Their values follow the others in `args`.
define internal i64 @graphc_count_named(ptr %function, i64 %count, ptr %names) nounwind {
entry:
  %none = icmp eq ptr %names, null
  br i1 %none, label %positional, label %measure
positional:
  ret i64 0
measure:
  %named = call i64 @PyTuple_Size(ptr %names)
  %all = add i64 %count, %named
  %wanted.p = getelementptr %Function, ptr %function, i64 0, i32 2
  %wanted = load i64, ptr %wanted.p
  %fits = icmp eq i64 %all, %wanted
  br i1 %fits, label %compare, label %odd
compare:
  %table.p = getelementptr %Function, ptr %function, i64 0, i32 9
  %table = load ptr, ptr %table.p
  br label %head
head:
  %i = phi i64 [ 0, %compare ], [ %next, %body ]
  %go = icmp ult i64 %i, %named
  br i1 %go, label %body, label %done
body:
  %name = call ptr @PyTuple_GetItem(ptr %names, i64 %i)
  %at = add i64 %count, %i
  %known.p = getelementptr ptr, ptr %table, i64 %at
  %known = load ptr, ptr %known.p
  %same = icmp eq ptr %name, %known
  %next = add i64 %i, 1
  br i1 %same, label %head, label %odd
done:
  ret i64 %named
odd:
  ret i64 -1
}

; The step's result; 1 where the slow path has to answer; null with an exception.
define internal ptr @graphc_try(ptr %function, ptr %views) nounwind {
entry:
  %version.p = getelementptr %Function, ptr %function, i64 0, i32 1
  %version = load i64, ptr %version.p
  %count.p = getelementptr %Function, ptr %function, i64 0, i32 2
  %count = load i64, ptr %count.p
  %variant = call ptr @graphc_choose(ptr %function, ptr %views, i64 %count)
  %none = icmp eq ptr %variant, null
  br i1 %none, label %refuse, label %crew
crew:
  ; Python starts the workers.
  %pool.p = getelementptr %Function, ptr %function, i64 0, i32 4
  %pool = load ptr, ptr %pool.p
  %threads.p = getelementptr %Variant, ptr %variant, i64 0, i32 4
  %threads = load i64, ptr %threads.p
  %started.p = getelementptr %Pool, ptr %pool, i64 0, i32 3
  %started = load i64, ptr %started.p
  %most = add i64 %started, 1
  %unstarted = icmp ult i64 %most, %threads
  br i1 %unstarted, label %refuse, label %make
make:
  %outputs.p = getelementptr %Variant, ptr %variant, i64 0, i32 7
  %outputs = load i64, ptr %outputs.p
  %values = alloca ptr, i64 %outputs, align 8
  %pointers = alloca ptr, i64 %outputs, align 8
  %made = call i1 @graphc_make_outputs(ptr %variant, ptr %values, ptr %pointers)
  br i1 %made, label %lock, label %refuse
lock:
  %busy = call i64 @graphc_lock(ptr %function)
  %locked = icmp eq i64 %busy, 0
  br i1 %locked, label %recheck, label %drop
recheck:
  ; Making an object may run a finaliser, which may have rebound the function.
  %version.now = load i64, ptr %version.p
  %current = icmp eq i64 %version, %version.now
  br i1 %current, label %watch, label %unlock
watch:
  ; Another function may have changed a parameter before the lock was ours.
  %same = call i1 @graphc_unchanged(ptr %variant)
  br i1 %same, label %run, label %unlock
run:
  %inputs = alloca ptr, i64 %count, align 8
  call void @graphc_addresses(ptr %views, ptr %inputs, i64 %count)
  %status = call i32 @graphc_step(ptr %pool, ptr %variant, ptr %inputs, ptr %pointers)
  %fine = icmp eq i32 %status, -1
  br i1 %fine, label %finish, label %unlock
unlock:
  call void @graphc_unlock(ptr %function)
  br label %drop
drop:
  call void @graphc_drop(ptr %values, i64 %outputs)
  %raised = call i32 @graphc_reraise()
  %quiet = icmp eq i32 %raised, 0
  br i1 %quiet, label %refuse, label %interrupted
interrupted:
  ret ptr null
refuse:
  ret ptr inttoptr (i64 1 to ptr)
finish:
  %empty.p = getelementptr %Function, ptr %function, i64 0, i32 7
  %empty = load ptr, ptr %empty.p
  %read = call i1 @graphc_read_scalars(ptr %variant, ptr %values, ptr %empty)
  call void @graphc_unlock(ptr %function)
  br i1 %read, label %build, label %fail
build:
  %nothing.p = getelementptr %Function, ptr %function, i64 0, i32 8
  %nothing = load ptr, ptr %nothing.p
  %result = call ptr @graphc_build(ptr %variant, ptr %values, ptr %nothing)
  ret ptr %result
fail:
  call void @graphc_drop(ptr %values, i64 %outputs)
  ret ptr null
}

define internal void @graphc_addresses(ptr %views, ptr %inputs, i64 %count) nounwind {
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %go = icmp ult i64 %i, %count
  br i1 %go, label %body, label %done
body:
  %view = getelementptr %View, ptr %views, i64 %i
  %data = load ptr, ptr %view
  %input = getelementptr ptr, ptr %inputs, i64 %i
  store ptr %data, ptr %input
  %next = add i64 %i, 1
  br label %head
done:
  ret void
}

; New arrays for the outputs (null for scalars) and where they begin. False: none was kept.
define internal i1 @graphc_make_outputs(ptr %variant, ptr %values, ptr %pointers) nounwind {
entry:
  %view = alloca %View, align 8
  %count.p = getelementptr %Variant, ptr %variant, i64 0, i32 7
  %count = load i64, ptr %count.p
  %outputs.p = getelementptr %Variant, ptr %variant, i64 0, i32 8
  %outputs = load ptr, ptr %outputs.p
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %tail ]
  %go = icmp ult i64 %i, %count
  br i1 %go, label %body, label %all
body:
  %output = getelementptr %Output, ptr %outputs, i64 %i
  %value.p = getelementptr ptr, ptr %values, i64 %i
  %pointer.p = getelementptr ptr, ptr %pointers, i64 %i
  store ptr null, ptr %value.p
  %storage.p = getelementptr %Output, ptr %output, i64 0, i32 3
  %storage = load ptr, ptr %storage.p
  store ptr %storage, ptr %pointer.p
  %scalar.p = getelementptr %Output, ptr %output, i64 0, i32 1
  %scalar = load ptr, ptr %scalar.p
  %ours = icmp ne ptr %scalar, null
  br i1 %ours, label %tail, label %make
make:
  %make.p = getelementptr %Output, ptr %output, i64 0, i32 2
  %callable = load ptr, ptr %make.p
  %array = call ptr @PyObject_CallNoArgs(ptr %callable)
  %failed = icmp eq ptr %array, null
  br i1 %failed, label %undo, label %look
look:
  store ptr %array, ptr %value.p
  ; PyBUF_WRITABLE
  %status = call i32 @PyObject_GetBuffer(ptr %array, ptr %view, i32 1)
  %unseen = icmp ne i32 %status, 0
  br i1 %unseen, label %undo.one, label %keep
keep:
  %data = load ptr, ptr %view
  store ptr %data, ptr %pointer.p
  call void @PyBuffer_Release(ptr %view)
  br label %tail
tail:
  %next = add i64 %i, 1
  br label %head
undo.one:
  %one.more = add i64 %i, 1
  br label %undo
undo:
  %kept = phi i64 [ %i, %make ], [ %one.more, %undo.one ]
  call void @PyErr_Clear()
  call void @graphc_drop(ptr %values, i64 %kept)
  ret i1 false
all:
  ret i1 true
}

define internal void @graphc_drop(ptr %values, i64 %count) nounwind {
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %go = icmp ult i64 %i, %count
  br i1 %go, label %body, label %done
body:
  %value.p = getelementptr ptr, ptr %values, i64 %i
  %value = load ptr, ptr %value.p
  call void @Py_DecRef(ptr %value)
  %next = add i64 %i, 1
  br label %head
done:
  ret void
}

; Numpy scalars of the outputs of rank 0; false with an exception. Missing values stay null.
define internal i1 @graphc_read_scalars(ptr %variant, ptr %values, ptr %empty) nounwind {
entry:
  %count.p = getelementptr %Variant, ptr %variant, i64 0, i32 7
  %count = load i64, ptr %count.p
  %outputs.p = getelementptr %Variant, ptr %variant, i64 0, i32 8
  %outputs = load ptr, ptr %outputs.p
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %tail ]
  %go = icmp ult i64 %i, %count
  br i1 %go, label %body, label %yes
body:
  %output = getelementptr %Output, ptr %outputs, i64 %i
  %scalar.p = getelementptr %Output, ptr %output, i64 0, i32 1
  %scalar = load ptr, ptr %scalar.p
  %array = icmp eq ptr %scalar, null
  br i1 %array, label %tail, label %read
read:
  %value = call ptr @PyObject_GetItem(ptr %scalar, ptr %empty)
  %value.p = getelementptr ptr, ptr %values, i64 %i
  store ptr %value, ptr %value.p
  %failed = icmp eq ptr %value, null
  br i1 %failed, label %no, label %tail
tail:
  %next = add i64 %i, 1
  br label %head
yes:
  ret i1 true
no:
  ret i1 false
}
