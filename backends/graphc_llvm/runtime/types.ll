; The tables that Python fills and native code reads; structs.py says the same in ctypes.

; Who waits for work. One caller at a time owns `busy`.
%Pool = type {
  i32,          ;  0 busy: 1 while somebody runs on the workers
  i32,          ;  1 stop: workers return for good
  i64,          ;  2 workers: how many live
  i64,          ;  3 wanted: how many Python has tried to start
  i64,          ;  4 patience: looks at an idle slot before the worker goes to sleep
  ptr           ;  5 slots: one %Slot a thread, the caller's own unused
}

; A worker's letter box, two cache lines wide. The word is 0 = awake and idle, 1 = the job is to
; be done, 2 = asleep in Python.
%Slot = type {
  i32,          ; 0 word
  i32,
  ptr,          ; 2 rouse: Python callable that lets the worker return to its loop
  ptr,          ; 3 part   \
  ptr,          ; 4 ctx     } the job
  i64,          ; 5 threads /
  [88 x i8]
}

; A lock that native code takes without waiting: 0 = free, 1 = taken, 2 = taken and waited for,
; 3 = taken and promised to Python.
%Guard = type {
  i32,          ; 0 word
  i32,          ; 1 held: 1 while Python has it
  ptr           ; 2 rouse: Python callable that lets the waiter look again
}

%Function = type {
  ptr,          ; 0 first %Variant, null before the first call
  i64,          ; 1 version: changes whenever the variants do
  i64,          ; 2 arguments
  ptr,          ; 3 slow: Python callable with the same arguments
  ptr,          ; 4 pool
  i64,          ; 5 guards
  ptr,          ; 6 array of ptr to %Guard, in the order in which they are taken
  ptr,          ; 7 the empty tuple
  ptr,          ; 8 None
  ptr,          ; 9 array of the arguments' names, interned strings
  ptr           ; 10 where there are many variants: 256 ptrs to chains of %Variants (lookup.py)
}

%Variant = type {
  ptr,          ;  0 next %Variant, of its bucket where there are buckets
  ptr,          ;  1 part: void (ptr ctx, i64 thread, i64 threads)
  ptr,          ;  2 ctx
  ptr,          ;  3 team
  i64,          ;  4 threads
  i64,          ;  5 flags: 1 = let other Python threads run, 2 = worth waiting for sleepers
  ptr,          ;  6 array of %Input, one an argument
  i64,          ;  7 outputs
  ptr,          ;  8 array of %Output
  i64,          ;  9 structure: 0 none, 1 single, 2 tuple, 3 list, 4 dict, 5 built by a callable
  ptr,          ; 10 array of keys, or the callable
  ptr,          ; 11 random state: u32 seed, seed, step, step; or null
  i64,          ; 12 watches
  ptr,          ; 13 array of %Watch
  i64,          ; 14 bumps
  ptr,          ; 15 array of ptr to i64, each one higher after every step
  i64,          ; 16 inputs
  i64           ; 17 used: 1 after a call found it
}

; 1 float, 2 signed, 3 unsigned, 4 bool
%Input = type {
  i64,          ; 0 slot in ctx
  i64,          ; 1 kind
  i64,          ; 2 itemsize
  i64,          ; 3 axes
  ptr           ; 4 array of i64 sizes
}

; An output of rank 0 is read from an array of ours; others are made for every call.
%Output = type {
  i64,          ; 0 slot in ctx
  ptr,          ; 1 scalar: array of rank 0 over `storage`, or null
  ptr,          ; 2 make: Python callable that returns a new array
  ptr           ; 3 storage of the scalar
}

; A number that must still be what it was; if not, the slow path prepares something again.
%Watch = type {
  ptr,          ; 0 where
  i64           ; 1 what it was
}

; Python's Py_buffer (stable since 3.11).
%View = type {
  ptr,          ;  0 buf
  ptr,          ;  1 obj
  i64,          ;  2 len
  i64,          ;  3 itemsize
  i32,          ;  4 readonly
  i32,          ;  5 ndim
  ptr,          ;  6 format
  ptr,          ;  7 shape
  ptr,          ;  8 strides
  ptr,          ;  9 suboffsets
  ptr           ; 10 internal
}

; Many steps over rows of arrays.
%Epoch = type {
  ptr,          ; 0 variant
  ptr,          ; 1 order: i64 row numbers
  i64,          ; 2 batch: rows a step
  i64,          ; 3 next: the step to do
  i64,          ; 4 end: the step to stop before
  i64,          ; 5 inputs
  ptr,          ; 6 array of %Source
  i64,          ; 7 outputs
  ptr,          ; 8 array of %Sink
  i32,          ; 9 state of the step at hand: 0 stop, 1 rows are read in place, 2 rows are copied
  i32
}

%Source = type {
  i64,          ; 0 slot in ctx
  ptr,          ; 1 first row of the source
  i64,          ; 2 bytes a row
  ptr           ; 3 where the rows of a batch are gathered
}

%Sink = type {
  i64,          ; 0 slot in ctx
  ptr,          ; 1 where step 0 writes
  i64           ; 2 bytes a step
}
