"""Order-preserving unsigned keys of elements, and the words that carry key and index."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.compiler.fusion.loop_writer import Scalar
from graphc.ir.loops.expression import ExprEmitter
from graphc.ir.loops.ir import Expr
from graphc.ir.types import UNSIGNED, DType, int32, int64, uint32, uint64

DIGIT_BITS = 8  # more would move words to more places than the L1 cache holds


@dataclass(frozen=True)
class WordLayout:
    """How the words of a sort are made up.

    A word is a key; with indices, a uint64 with the key above the index, or, of 64-bit keys, two
    columns. `digits` are (shift, bits) of the key, the lowest first.
    """

    key: DType
    columns: tuple[DType, ...]
    packed: bool
    digits: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, dtype: DType, indices: bool) -> WordLayout:
        """The layout for elements of a dtype."""
        bits = 1 if dtype.kind == "b" else dtype.bits
        key = uint64 if bits == 64 else uint32
        digits = tuple((s, min(DIGIT_BITS, bits - s)) for s in range(0, bits, DIGIT_BITS))
        packed = indices and bits < 64
        columns = (uint64,) if packed else (key, int32) if indices else (key,)
        return cls(key, columns, packed, digits)

    @property
    def buckets(self) -> int:
        """The values that a digit can have."""
        return 1 << max(bits for _, bits in self.digits)

    def words(self, e: ExprEmitter, key: Expr, index: Expr) -> list[Scalar]:
        """The word of a key."""
        if self.packed:
            high = e.apply("shl", e.cast(key, uint64), e.const(32, uint64))
            return [Scalar(e, e.apply("bit_or", high, e.cast(index, uint64)))]
        if len(self.columns) == 2:
            return [Scalar(e, key), Scalar(e, e.cast(index, int32))]
        return [Scalar(e, key)]

    def digit(self, e: ExprEmitter, word: Scalar, d: int) -> Scalar:
        """A digit of a word's key as an index."""
        shift, bits = self.digits[d]
        shift += 32 if self.packed else 0
        dtype = word.expr.dtype
        moved = e.apply("shr", word.expr, e.const(shift, dtype)) if shift else word.expr
        if shift + bits < dtype.bits:
            moved = e.apply("bit_and", moved, e.const((1 << bits) - 1, dtype))
        return Scalar(e, e.cast(moved, int64))

    def key_of(self, e: ExprEmitter, words: list[Scalar]) -> Expr:
        """The key in a word."""
        if self.packed:
            return e.cast(e.apply("shr", words[0].expr, e.const(32, uint64)), uint32)
        return words[0].expr

    def index(self, e: ExprEmitter, words: list[Scalar]) -> Expr:
        """The index in a word."""
        if self.packed:
            low = e.apply("bit_and", words[0].expr, e.const(0xFFFFFFFF, uint64))
            return e.cast(low, int64)
        return e.cast(words[1].expr, int64)


def encode_key(e: ExprEmitter, x: Expr, descending: bool, one_zero: bool) -> Expr:
    """The key of an element, uint32 or uint64: larger for what comes later.

    NaN counts as larger than every number. `one_zero` gives 0.0 and -0.0 one key.
    """
    dtype = x.dtype
    if dtype.kind == "b":
        key = e.cast(x, uint32)
        return e.apply("bit_xor", key, e.const(1, uint32)) if descending else key
    wide = uint64 if dtype.bits == 64 else uint32
    unsigned = UNSIGNED[dtype.bits]
    last, sign = (1 << dtype.bits) - 1, 1 << (dtype.bits - 1)
    if one_zero and dtype.is_float:
        zero = e.const(0.0, dtype)
        x = e.apply("select", e.apply("eq", x, zero), zero, x)
    bits = e.bitcast(x, unsigned)
    if dtype.kind == "i":
        key = e.apply("bit_xor", bits, e.const(sign, unsigned))
    elif dtype.is_float:
        below = e.apply("le", e.const(sign, unsigned), bits)
        flipped = e.apply("select", below, e.const(last, unsigned), e.const(sign, unsigned))
        key = e.apply("bit_xor", bits, flipped)
    else:
        key = bits
    if descending:
        key = e.apply("bit_xor", key, e.const(last, unsigned))
    if dtype.is_float:
        nan = e.const(0 if descending else last, unsigned)
        key = e.apply("select", e.apply("ne", x, x), nan, key)
    return e.cast(key, wide)


def decode_key(e: ExprEmitter, key: Expr, dtype: DType, descending: bool) -> Expr:
    """The element of a key; every NaN is the same one."""
    if dtype.kind == "b":
        return e.apply("ne", key, e.const(1 if descending else 0, key.dtype))
    unsigned = UNSIGNED[dtype.bits]
    last, sign = (1 << dtype.bits) - 1, 1 << (dtype.bits - 1)
    key = e.cast(key, unsigned)
    bits = e.apply("bit_xor", key, e.const(last, unsigned)) if descending else key
    if dtype.kind == "i":
        bits = e.apply("bit_xor", bits, e.const(sign, unsigned))
    if not dtype.is_float:
        return e.bitcast(bits, dtype)
    above = e.apply("le", e.const(sign, unsigned), bits)
    flipped = e.apply("select", above, e.const(sign, unsigned), e.const(last, unsigned))
    value = e.bitcast(e.apply("bit_xor", bits, flipped), dtype)
    nan = e.apply("eq", key, e.const(0 if descending else last, unsigned))
    return e.apply("select", nan, e.const(float("nan"), dtype), value)
