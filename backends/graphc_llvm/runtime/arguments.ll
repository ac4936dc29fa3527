; Whether the arguments of a call are what a variant takes.

declare i32 @PyObject_CheckBuffer(ptr)
declare i32 @PyObject_GetBuffer(ptr, ptr, i32)
declare void @PyBuffer_Release(ptr)

; C-contiguous views with formats, of all arguments or (false) of none.
define internal i1 @graphc_get_views(ptr %args, ptr %views, i64 %count) nounwind {
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %got ]
  %go = icmp ult i64 %i, %count
  br i1 %go, label %body, label %all
body:
  %arg.p = getelementptr ptr, ptr %args, i64 %i
  %arg = load ptr, ptr %arg.p
  %can = call i32 @PyObject_CheckBuffer(ptr %arg)
  %cannot = icmp eq i32 %can, 0
  br i1 %cannot, label %undo, label %get
get:
  %view = getelementptr %View, ptr %views, i64 %i
  ; PyBUF_C_CONTIGUOUS | PyBUF_FORMAT
  %status = call i32 @PyObject_GetBuffer(ptr %arg, ptr %view, i32 60)
  %failed = icmp ne i32 %status, 0
  br i1 %failed, label %forget, label %got
got:
  %next = add i64 %i, 1
  br label %head
forget:
  call void @PyErr_Clear()
  br label %undo
undo:
  call void @graphc_release_views(ptr %views, i64 %i)
  ret i1 false
all:
  ret i1 true
}

define internal void @graphc_release_views(ptr %views, i64 %count) nounwind {
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %go = icmp ult i64 %i, %count
  br i1 %go, label %body, label %done
body:
  %view = getelementptr %View, ptr %views, i64 %i
  call void @PyBuffer_Release(ptr %view)
  %next = add i64 %i, 1
  br label %head
done:
  ret void
}

; The first variant that fits the views, or null.
define internal ptr @graphc_choose(ptr %function, ptr %views, i64 %count) nounwind {
entry:
  %buckets.p = getelementptr %Function, ptr %function, i64 0, i32 10
  %buckets = load ptr, ptr %buckets.p
  %few = icmp eq ptr %buckets, null
  br i1 %few, label %start, label %hash
hash:
  %place = call i64 @graphc_bucket(ptr %views, i64 %count)
  %bucket = getelementptr ptr, ptr %buckets, i64 %place
  br label %start
start:
  %head = phi ptr [ %function, %entry ], [ %bucket, %hash ]
  br label %look
look:
  %link = phi ptr [ %head, %start ], [ %variant, %other ]
  %variant = load ptr, ptr %link
  %end = icmp eq ptr %variant, null
  br i1 %end, label %done, label %compare
compare:
  %fits = call i1 @graphc_fits(ptr %variant, ptr %views, i64 %count)
  br i1 %fits, label %watch, label %other
other:
  br label %look
watch:
  %used.p = getelementptr %Variant, ptr %variant, i64 0, i32 17
  store i64 1, ptr %used.p
  %same = call i1 @graphc_unchanged(ptr %variant)
  %chosen = select i1 %same, ptr %variant, ptr null
  ret ptr %chosen
done:
  ret ptr null
}

; The bucket for the sizes of the views: the upper eight bits of a product (lookup.py).
define internal i64 @graphc_bucket(ptr %views, i64 %count) nounwind {
entry:
  br label %view.head
view.head:
  %i = phi i64 [ 0, %entry ], [ %i.next, %view.tail ]
  %code = phi i64 [ 0, %entry ], [ %code.now, %view.tail ]
  %i.go = icmp ult i64 %i, %count
  br i1 %i.go, label %view, label %done
view:
  %view.p = getelementptr %View, ptr %views, i64 %i
  %axes.p = getelementptr %View, ptr %view.p, i64 0, i32 5
  %axes.narrow = load i32, ptr %axes.p
  %axes = sext i32 %axes.narrow to i64
  %shape.p = getelementptr %View, ptr %view.p, i64 0, i32 7
  %shape = load ptr, ptr %shape.p
  br label %size.head
size.head:
  %k = phi i64 [ 0, %view ], [ %k.next, %size ]
  %code.now = phi i64 [ %code, %view ], [ %code.next, %size ]
  %k.go = icmp slt i64 %k, %axes
  br i1 %k.go, label %size, label %view.tail
size:
  %size.p = getelementptr i64, ptr %shape, i64 %k
  %one = load i64, ptr %size.p
  %sum = add i64 %code.now, %one
  %code.next = mul i64 %sum, -7046029254386353131
  %k.next = add i64 %k, 1
  br label %size.head
view.tail:
  %i.next = add i64 %i, 1
  br label %view.head
done:
  %place = lshr i64 %code, 56
  ret i64 %place
}

define internal i1 @graphc_fits(ptr %variant, ptr %views, i64 %count) nounwind {
entry:
  %inputs.p = getelementptr %Variant, ptr %variant, i64 0, i32 6
  %inputs = load ptr, ptr %inputs.p
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %go = icmp ult i64 %i, %count
  br i1 %go, label %body, label %yes
body:
  %view = getelementptr %View, ptr %views, i64 %i
  %input = getelementptr %Input, ptr %inputs, i64 %i
  %fits = call i1 @graphc_fits_one(ptr %input, ptr %view)
  %next = add i64 %i, 1
  br i1 %fits, label %head, label %no
yes:
  ret i1 true
no:
  ret i1 false
}

define internal i1 @graphc_fits_one(ptr %input, ptr %view) nounwind {
entry:
  %itemsize.p = getelementptr %Input, ptr %input, i64 0, i32 2
  %itemsize = load i64, ptr %itemsize.p
  %has.itemsize.p = getelementptr %View, ptr %view, i64 0, i32 3
  %has.itemsize = load i64, ptr %has.itemsize.p
  %same.itemsize = icmp eq i64 %itemsize, %has.itemsize
  %axes.p = getelementptr %Input, ptr %input, i64 0, i32 3
  %axes = load i64, ptr %axes.p
  %has.axes.p = getelementptr %View, ptr %view, i64 0, i32 5
  %has.axes.narrow = load i32, ptr %has.axes.p
  %has.axes = sext i32 %has.axes.narrow to i64
  %same.axes = icmp eq i64 %axes, %has.axes
  %data = load ptr, ptr %view
  %address = ptrtoint ptr %data to i64
  %mask = sub i64 %itemsize, 1
  %rest = and i64 %address, %mask
  %aligned = icmp eq i64 %rest, 0
  %format.p = getelementptr %View, ptr %view, i64 0, i32 6
  %format = load ptr, ptr %format.p
  %has.kind = call i64 @graphc_kind(ptr %format)
  %kind.p = getelementptr %Input, ptr %input, i64 0, i32 1
  %kind = load i64, ptr %kind.p
  %same.kind = icmp eq i64 %kind, %has.kind
  %a = and i1 %same.itemsize, %same.axes
  %b = and i1 %aligned, %same.kind
  %ok = and i1 %a, %b
  br i1 %ok, label %sizes, label %no
sizes:
  %shape.p = getelementptr %Input, ptr %input, i64 0, i32 4
  %shape = load ptr, ptr %shape.p
  %has.shape.p = getelementptr %View, ptr %view, i64 0, i32 7
  %has.shape = load ptr, ptr %has.shape.p
  br label %head
head:
  %i = phi i64 [ 0, %sizes ], [ %next, %body ]
  %go = icmp ult i64 %i, %axes
  br i1 %go, label %body, label %yes
body:
  %size.p = getelementptr i64, ptr %shape, i64 %i
  %size = load i64, ptr %size.p
  %has.size.p = getelementptr i64, ptr %has.shape, i64 %i
  %has.size = load i64, ptr %has.size.p
  %same = icmp eq i64 %size, %has.size
  %next = add i64 %i, 1
  br i1 %same, label %head, label %no
yes:
  ret i1 true
no:
  ret i1 false
}

; Its first byte is the mark of this machine's byte order: < or >.
@graphc_order = private constant i16 15932

; What a one-letter format of native byte order stands for (the sizes are compared elsewhere).
define internal i64 @graphc_kind(ptr %format) nounwind {
entry:
  %none = icmp eq ptr %format, null
  br i1 %none, label %unsigned, label %prefix
prefix:
  %mark = load i8, ptr %format
  %native = icmp eq i8 %mark, 64
  %standard = icmp eq i8 %mark, 61
  %order = load i8, ptr @graphc_order
  %ordered = icmp eq i8 %mark, %order
  %either = or i1 %native, %standard
  %marked = or i1 %either, %ordered
  %skip = zext i1 %marked to i64
  %letter.p = getelementptr i8, ptr %format, i64 %skip
  %letter = load i8, ptr %letter.p
  switch i8 %letter, label %other [
    i8 101, label %float      i8 102, label %float      i8 100, label %float    ; e f d
    i8 98,  label %signed     i8 104, label %signed     i8 105, label %signed   ; b h i
    i8 108, label %signed     i8 113, label %signed                             ; l q
    i8 66,  label %unsigned.1 i8 72,  label %unsigned.1 i8 73,  label %unsigned.1  ; B H I
    i8 76,  label %unsigned.1 i8 81,  label %unsigned.1                         ; L Q
    i8 63,  label %bool                                                         ; ?
  ]
float:
  br label %ends
signed:
  br label %ends
unsigned.1:
  br label %ends
bool:
  br label %ends
ends:
  %kind = phi i64 [ 1, %float ], [ 2, %signed ], [ 3, %unsigned.1 ], [ 4, %bool ]
  %end.p = getelementptr i8, ptr %letter.p, i64 1
  %end = load i8, ptr %end.p
  %whole = icmp eq i8 %end, 0
  %result = select i1 %whole, i64 %kind, i64 0
  ret i64 %result
unsigned:
  ret i64 3
other:
  ret i64 0
}

define internal i1 @graphc_unchanged(ptr %variant) nounwind {
entry:
  %count.p = getelementptr %Variant, ptr %variant, i64 0, i32 12
  %count = load i64, ptr %count.p
  %watches.p = getelementptr %Variant, ptr %variant, i64 0, i32 13
  %watches = load ptr, ptr %watches.p
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %go = icmp ult i64 %i, %count
  br i1 %go, label %body, label %yes
body:
  %watch = getelementptr %Watch, ptr %watches, i64 %i
  %where = load ptr, ptr %watch
  %seen.p = getelementptr %Watch, ptr %watch, i64 0, i32 1
  %seen = load i64, ptr %seen.p
  %now = load i64, ptr %where
  %same = icmp eq i64 %seen, %now
  %next = add i64 %i, 1
  br i1 %same, label %head, label %no
yes:
  ret i1 true
no:
  ret i1 false
}
