; From output values to what the user gets. All values are used up, whatever happens.

declare ptr @PyObject_CallOneArg(ptr, ptr)
declare ptr @PyTuple_New(i64)
declare i32 @PyTuple_SetItem(ptr, i64, ptr)
declare ptr @PyList_New(i64)
declare i32 @PyList_SetItem(ptr, i64, ptr)
declare ptr @PyDict_New()
declare i32 @PyDict_SetItem(ptr, ptr, ptr)
declare void @Py_IncRef(ptr)

define internal ptr @graphc_build(ptr %variant, ptr %values, ptr %nothing) nounwind {
entry:
  %count.p = getelementptr %Variant, ptr %variant, i64 0, i32 7
  %count = load i64, ptr %count.p
  %structure.p = getelementptr %Variant, ptr %variant, i64 0, i32 9
  %structure = load i64, ptr %structure.p
  %extra.p = getelementptr %Variant, ptr %variant, i64 0, i32 10
  %extra = load ptr, ptr %extra.p
  switch i64 %structure, label %none [
    i64 1, label %single  i64 2, label %tuple  i64 3, label %list
    i64 4, label %dict    i64 5, label %custom
  ]
none:
  call void @graphc_drop(ptr %values, i64 %count)
  call void @Py_IncRef(ptr %nothing)
  ret ptr %nothing
single:
  %value = load ptr, ptr %values
  ret ptr %value
tuple:
  %as.tuple = call ptr @graphc_build_tuple(ptr %values, i64 %count)
  ret ptr %as.tuple
list:
  %as.list = call ptr @graphc_build_list(ptr %values, i64 %count)
  ret ptr %as.list
dict:
  %as.dict = call ptr @graphc_build_dict(ptr %values, i64 %count, ptr %extra)
  ret ptr %as.dict
custom:
  %flat = call ptr @graphc_build_tuple(ptr %values, i64 %count)
  %failed = icmp eq ptr %flat, null
  br i1 %failed, label %no, label %call
call:
  %as.custom = call ptr @PyObject_CallOneArg(ptr %extra, ptr %flat)
  call void @Py_DecRef(ptr %flat)
  ret ptr %as.custom
no:
  ret ptr null
}

define internal ptr @graphc_build_tuple(ptr %values, i64 %count) nounwind {
entry:
  %tuple = call ptr @PyTuple_New(i64 %count)
  %failed = icmp eq ptr %tuple, null
  br i1 %failed, label %no, label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %go = icmp ult i64 %i, %count
  br i1 %go, label %body, label %done
body:
  %value.p = getelementptr ptr, ptr %values, i64 %i
  %value = load ptr, ptr %value.p
  %ignored = call i32 @PyTuple_SetItem(ptr %tuple, i64 %i, ptr %value)
  %next = add i64 %i, 1
  br label %head
done:
  ret ptr %tuple
no:
  call void @graphc_drop(ptr %values, i64 %count)
  ret ptr null
}

define internal ptr @graphc_build_list(ptr %values, i64 %count) nounwind {
entry:
  %list = call ptr @PyList_New(i64 %count)
  %failed = icmp eq ptr %list, null
  br i1 %failed, label %no, label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %go = icmp ult i64 %i, %count
  br i1 %go, label %body, label %done
body:
  %value.p = getelementptr ptr, ptr %values, i64 %i
  %value = load ptr, ptr %value.p
  %ignored = call i32 @PyList_SetItem(ptr %list, i64 %i, ptr %value)
  %next = add i64 %i, 1
  br label %head
done:
  ret ptr %list
no:
  call void @graphc_drop(ptr %values, i64 %count)
  ret ptr null
}

define internal ptr @graphc_build_dict(ptr %values, i64 %count, ptr %keys) nounwind {
entry:
  %dict = call ptr @PyDict_New()
  %failed = icmp eq ptr %dict, null
  br i1 %failed, label %no, label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %go = icmp ult i64 %i, %count
  br i1 %go, label %body, label %done
body:
  %value.p = getelementptr ptr, ptr %values, i64 %i
  %value = load ptr, ptr %value.p
  %key.p = getelementptr ptr, ptr %keys, i64 %i
  %key = load ptr, ptr %key.p
  %status = call i32 @PyDict_SetItem(ptr %dict, ptr %key, ptr %value)
  %refused = icmp ne i32 %status, 0
  %next = add i64 %i, 1
  br i1 %refused, label %undo, label %head
done:
  call void @graphc_drop(ptr %values, i64 %count)
  ret ptr %dict
undo:
  call void @Py_DecRef(ptr %dict)
  br label %no
no:
  call void @graphc_drop(ptr %values, i64 %count)
  ret ptr null
}
