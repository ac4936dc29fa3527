; The square root of a double, rounded to the nearest, by whole numbers: for processors without it.
; What LLVM calls by this name is found here, so no mathematical library is needed.
define internal double @sqrt(double %x) noinline nounwind {
entry:
  %bits = bitcast double %x to i64
  %positive = fcmp ogt double %x, 0.0
  %finite = fcmp olt double %x, 0x7FF0000000000000
  %usual = and i1 %positive, %finite
  br i1 %usual, label %split, label %special
special:                          ; NaN of what is negative; zeros, infinity and NaN as they are
  %negative = fcmp olt double %x, 0.0
  %itself = select i1 %negative, double 0x7FF8000000000000, double %x
  ret double %itself
split:                            ; x = m * 2^(e - 52) with m of 53 bits
  %field = lshr i64 %bits, 52
  %fraction = and i64 %bits, 4503599627370495
  %subnormal = icmp eq i64 %field, 0
  %hidden = or i64 %fraction, 4503599627370496
  %zeros = call i64 @llvm.ctlz.i64(i64 %fraction, i1 false)
  %missing = sub i64 %zeros, 11
  %shifted = shl i64 %fraction, %missing
  %m.0 = select i1 %subnormal, i64 %shifted, i64 %hidden
  %least = sub i64 1, %missing
  %biased = select i1 %subnormal, i64 %least, i64 %field
  %e.0 = sub i64 %biased, 1023
  %odd = and i64 %e.0, 1
  %m = shl i64 %m.0, %odd
  %e = sub i64 %e.0, %odd
  br label %digit
digit:                            ; q = floor(sqrt(m * 2^56)), a binary digit a turn
  %i = phi i64 [ 0, %split ], [ %i.next, %digit ]
  %q = phi i64 [ 0, %split ], [ %q.next, %digit ]
  %rest = phi i64 [ 0, %split ], [ %rest.next, %digit ]
  %down = mul i64 %i, 2
  %place = sub i64 52, %down
  %given = icmp ult i64 %i, 27
  %safe = select i1 %given, i64 %place, i64 0
  %high = lshr i64 %m, %safe
  %two = and i64 %high, 3
  %pair = select i1 %given, i64 %two, i64 0
  %wider = shl i64 %rest, 2
  %dividend = or i64 %wider, %pair
  %fourfold = shl i64 %q, 2
  %trial = or i64 %fourfold, 1
  %fits = icmp uge i64 %dividend, %trial
  %less = sub i64 %dividend, %trial
  %rest.next = select i1 %fits, i64 %less, i64 %dividend
  %twice = shl i64 %q, 1
  %one = zext i1 %fits to i64
  %q.next = or i64 %twice, %one
  %i.next = add i64 %i, 1
  %more = icmp ult i64 %i.next, 55
  br i1 %more, label %digit, label %round
round:                            ; 55 bits to 53; a root is never half way between two numbers
  %half = add i64 %q.next, 2
  %root = lshr i64 %half, 2
  %halved = ashr i64 %e, 1
  %exponent = add i64 %halved, 1022
  %field.new = shl i64 %exponent, 52
  %result = add i64 %field.new, %root
  %value = bitcast i64 %result to double
  ret double %value
}
declare i64 @llvm.ctlz.i64(i64, i1)
@llvm.used = appending global [1 x ptr] [ptr @sqrt], section "llvm.metadata"
