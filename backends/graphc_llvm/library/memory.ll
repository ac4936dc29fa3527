; memcpy and memset, 32 bytes a turn, then byte by byte. No loop here is made a call of itself:
; the module is compiled without passes.
define ptr @memcpy(ptr %to, ptr %from, i64 %count) nounwind {
entry:
  %whole = and i64 %count, -32
  %any = icmp ne i64 %whole, 0
  br i1 %any, label %block, label %rest
block:
  %i = phi i64 [ 0, %entry ], [ %i.next, %block ]
  %source = getelementptr i8, ptr %from, i64 %i
  %place = getelementptr i8, ptr %to, i64 %i
  %part = load <32 x i8>, ptr %source, align 1
  store <32 x i8> %part, ptr %place, align 1
  %i.next = add i64 %i, 32
  %more = icmp ult i64 %i.next, %whole
  br i1 %more, label %block, label %rest
rest:
  %left = icmp ult i64 %whole, %count
  br i1 %left, label %byte, label %done
byte:
  %j = phi i64 [ %whole, %rest ], [ %j.next, %byte ]
  %source.j = getelementptr i8, ptr %from, i64 %j
  %place.j = getelementptr i8, ptr %to, i64 %j
  %value = load i8, ptr %source.j
  store i8 %value, ptr %place.j
  %j.next = add i64 %j, 1
  %again = icmp ult i64 %j.next, %count
  br i1 %again, label %byte, label %done
done:
  ret ptr %to
}

define ptr @memset(ptr %to, i32 %value, i64 %count) nounwind {
entry:
  %byte.0 = trunc i32 %value to i8
  %one = insertelement <32 x i8> poison, i8 %byte.0, i32 0
  %part = shufflevector <32 x i8> %one, <32 x i8> poison, <32 x i32> zeroinitializer
  %whole = and i64 %count, -32
  %any = icmp ne i64 %whole, 0
  br i1 %any, label %block, label %rest
block:
  %i = phi i64 [ 0, %entry ], [ %i.next, %block ]
  %place = getelementptr i8, ptr %to, i64 %i
  store <32 x i8> %part, ptr %place, align 1
  %i.next = add i64 %i, 32
  %more = icmp ult i64 %i.next, %whole
  br i1 %more, label %block, label %rest
rest:
  %left = icmp ult i64 %whole, %count
  br i1 %left, label %byte, label %done
byte:
  %j = phi i64 [ %whole, %rest ], [ %j.next, %byte ]
  %place.j = getelementptr i8, ptr %to, i64 %j
  store i8 %byte.0, ptr %place.j
  %j.next = add i64 %j, 1
  %again = icmp ult i64 %j.next, %count
  br i1 %again, label %byte, label %done
done:
  ret ptr %to
}
