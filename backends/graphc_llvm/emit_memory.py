"""Loads and stores of scalars and of lanes, by how far apart the lanes are in memory."""

from __future__ import annotations

from graphc.ir.dims import product
from graphc.ir.loops.contraction.index import flat_offset
from graphc.ir.loops.ir import Buffer, Load, Store
from graphc.ir.types import DType, bool_, uint8
from graphc_llvm.emit_address import Address, Evaluate, address
from graphc_llvm.emit_context import EmitContext
from graphc_llvm.emit_width import MAX_SHUFFLED_STRIDE
from graphc_llvm.ir_builder import Operand, elements, vector
from graphc_llvm.values import Value, element_type, memory_type

ALL = Value("true", bool_, literal=True)


def load(c: EmitContext, expr: Load, evaluate: Evaluate) -> Value:
    """The element, for all lanes; 0 where the condition is false."""
    where = None if expr.where is None else evaluate(c, expr.where)
    at = address(c, expr.buffer, expr.index, evaluate)
    reader = _BufferReader(c, expr.buffer, where is not None or _exists(c, expr))
    if at.offsets is None and at.stride == 0:
        value = reader.single(at.pointer, where)
    elif at.offsets is None and at.stride == 1:
        value = reader.contiguous(at.pointer, _existing(c, where))
    elif at.offsets is None and where is None and c.lane and c.lane.existing is not None:
        value = reader.strided(at, c.lane.existing)
    else:
        value = reader.gather(at, _existing(c, where))
    if expr.dtype.kind != "b":
        return Value(value.text, expr.dtype, value.width)
    return c.emit.op("icmp ne", (value, c.emit.const(0, uint8)), bool_)


def _exists(c: EmitContext, expr: Load) -> bool:
    """Whether the element may be loaded speculatively."""
    size, form = c.size(product(expr.buffer.shape)), flat_offset(expr.buffer, expr.index)
    place = c.size(form.constant)
    known = isinstance(size, int) and isinstance(place, int) and form.is_constant
    return known and 0 <= place < size  # type: ignore[operator]


def pinned(c: EmitContext, buffer: Buffer) -> int:
    """The outermost level to which a read of the buffer may be hoisted from here."""
    return max(c.pins.get(buffer, 0), c.builder.speculation_level)


def _existing(c: EmitContext, where: Value | None) -> Value | None:
    """The lanes to touch; None for all."""
    mask = None if c.lane is None else c.lane.mask
    if where is None or mask is None:
        return where if mask is None else mask
    return c.emit.logical_and(where, mask)


def stored_dtype(dtype: DType) -> DType:
    """The dtype of a register with the bits as they are in memory."""
    return uint8 if dtype.kind == "b" else dtype


class _BufferReader:
    """Reads one buffer; equal reads between two writes are one read."""

    def __init__(self, c: EmitContext, buffer: Buffer, certain: bool) -> None:
        self.c, self.f = c, c.builder
        self.dtype = stored_dtype(buffer.dtype)
        self.type, self.align = memory_type(buffer.dtype), buffer.dtype.itemsize
        self.hint = buffer.name
        self.version = c.versions.get(buffer, 0)
        self.pin = c.pins.get(buffer, 0) if certain else pinned(c, buffer)

    def _define(self, expression: str, operands: tuple[Operand, ...]) -> str:
        key = (expression, self.version)
        return self.f.define(self.hint, expression, operands, key, self.pin)

    def single(self, pointer: str, where: Value | None) -> Value:
        """One element, the same for all lanes."""
        if where is None:
            return self._scalar(pointer)
        some = any_lane(self.c, where)
        dummy_memory = self.c.dummy_memory()
        chosen = f"select i1 {some.text}, ptr {pointer}, ptr {dummy_memory}"
        place = self.f.define(self.hint, chosen, (some.text, pointer))
        return self.c.emit.select(where, self._scalar(place), self._zero())

    def _scalar(self, pointer: str) -> Value:
        text = f"load {self.type}, ptr {pointer}, align {self.align}"
        return Value(self._define(text, (pointer,)), self.dtype)

    def _zero(self) -> Value:
        return self.c.emit.const(0, self.dtype)

    def contiguous(self, pointer: str, mask: Value | None) -> Value:
        """Contiguous elements."""
        width = lane_width(self.c)
        type = vector(self.type, width)
        if mask is None:
            text = f"load {type}, ptr {pointer}, align {self.align}"
            return Value(self._define(text, (pointer,)), self.dtype, width)
        lanes = self.c.emit.operand(mask, width)
        name = f"@llvm.masked.load.v{width}{mangled_type(self.type)}.p0"
        self.f.module.declare(name, type, ["ptr", vector("i1", width), type])
        text = (
            f"call {type} {name}(ptr align {self.align} {pointer}, "
            f"{vector('i1', width)} {lanes}, {type} zeroinitializer)"
        )
        return Value(self._define(text, (pointer, lanes)), self.dtype, width)

    def strided(self, at: Address, count: int) -> Value:
        """The first `count` elements a constant distance apart."""
        width = lane_width(self.c)
        if at.stride == -1 and count == width:
            return self._load_shuffled(at.pointer, list(range(0, -width, -1)), 1 - width)
        if isinstance(at.stride, int) and 1 < at.stride <= MAX_SHUFFLED_STRIDE:
            offsets = [at.stride * lane for lane in range(count)]
            if offsets[-1] + 1 >= width:
                return self._load_shuffled(at.pointer, offsets, 0)
        type, text = vector(self.type, width), "zeroinitializer"
        for lane in range(count):
            place = self.f.gep(at.pointer, self.type, self.f.mul(at.stride, lane), self.hint)
            one = self._scalar(place).text
            inserted = f"insertelement {type} {text}, {self.type} {one}, i64 {lane}"
            text = self.f.define(f"{self.hint}.lanes", inserted, (text, one))
        return Value(text, self.dtype, width)

    def _load_shuffled(self, pointer: str, offsets: list[int], first: int) -> Value:
        """Elements near each other: load whole vectors from `first` on, then shuffle."""
        width, type = lane_width(self.c), vector(self.type, lane_width(self.c))
        # the last vector ends with the last element, so that nothing behind it is read
        final = max(offsets) + 1 - width
        starts = [*range(first, final, width), final]
        source = [min((o - first) // width, len(starts) - 1) for o in offsets]
        result = "poison"
        for number, start in enumerate(starts):
            text = f"load {type}, ptr {self.f.gep(pointer, self.type, start, self.hint)}"
            more = self._define(f"{text}, align {self.align}", (pointer,))
            chosen = [lane if source[lane] < number else 0 for lane in range(len(offsets))]
            for lane, offset in enumerate(offsets):
                if source[lane] == number:
                    chosen[lane] = width + offset - start
            chosen += [0] * (width - len(chosen))
            mask = f"<{width} x i32> {elements('i32', chosen)}"
            woven = f"shufflevector {type} {result}, {type} {more}, {mask}"
            result = self.f.define(f"{self.hint}.lanes", woven, (result, more))
        return Value(result, self.dtype, width)

    def gather(self, at: Address, mask: Value | None) -> Value:
        """Gather elements at any addresses."""
        width = lane_width(self.c)
        places, type = lane_pointers(self.c, at, self.type), vector(self.type, width)
        lanes = self.c.emit.operand(ALL if mask is None else mask, width)
        name = f"@llvm.masked.gather.v{width}{mangled_type(self.type)}.v{width}p0"
        pointers, bools = vector("ptr", width), vector("i1", width)
        self.f.module.declare(name, type, [pointers, bools, type])
        text = (
            f"call {type} {name}({pointers} align {self.align} {places}, "
            f"{bools} {lanes}, {type} zeroinitializer)"
        )
        return Value(self._define(text, (places, lanes)), self.dtype, width)


def store(c: EmitContext, stmt: Store, evaluate: Evaluate) -> None:
    """Write the value of all lanes, where the condition holds."""
    where = None if stmt.where is None else evaluate(c, stmt.where)
    value = evaluate(c, stmt.value)
    at = address(c, stmt.buffer, stmt.index, evaluate)
    if stmt.buffer.dtype.kind == "b":
        value = c.emit.cast(value, uint8)
    if c.lane is None:
        _store_single(c, value, at.pointer, where)
    elif at.offsets is None and at.stride == 1:
        if where is None and c.lane.existing == 1:
            # LLVM 22 turns a masked store of one lane into one of the untruncated number
            _store_single(c, c.emit.lanes(value, 0, 1), at.pointer, None)
        else:
            _store_contiguous(c, value, at.pointer, _existing(c, where))
    elif at.offsets is None and at.stride != 0 and where is None and c.lane.mask is None:
        _store_strided(c, value, at)
    else:
        _scatter(c, value, at, _existing(c, where))
    c.touch((stmt.buffer,))


def _store_single(c: EmitContext, value: Value, pointer: str, where: Value | None) -> None:
    type, align = element_type(value.dtype), value.dtype.itemsize
    if where is None or where.text == "true":
        c.builder.store(type, value.text, pointer, align)
        return

    def write() -> list[str]:
        c.builder.store(type, value.text, pointer, align)
        return []

    c.builder.when(where.text, [], write, "store")


def _store_contiguous(c: EmitContext, value: Value, pointer: str, mask: Value | None) -> None:
    width, f, align = lane_width(c), c.builder, value.dtype.itemsize
    type = vector(element_type(value.dtype), width)
    text = c.emit.operand(value, width)
    if mask is None:
        f.store(type, text, pointer, align)
        return
    lanes, bools = c.emit.operand(mask, width), vector("i1", width)
    name = f"@llvm.masked.store.v{width}{mangled_type(element_type(value.dtype))}.p0"
    f.module.declare(name, "void", [type, "ptr", bools])
    f.effect(f"call void {name}({type} {text}, ptr align {align} {pointer}, {bools} {lanes})")


def _store_strided(c: EmitContext, value: Value, at: Address) -> None:
    type, f = element_type(value.dtype), c.builder
    for lane in range(lane_width(c)):
        place = f.gep(at.pointer, type, f.mul(at.stride, lane))
        f.store(type, c.emit.lanes(value, lane, 1).text, place, value.dtype.itemsize)


def _scatter(c: EmitContext, value: Value, at: Address, mask: Value | None) -> None:
    width, f, element = lane_width(c), c.builder, element_type(value.dtype)
    places, lanes = lane_pointers(c, at, element), c.emit.operand(mask or ALL, width)
    type, pointers, bools = vector(element, width), vector("ptr", width), vector("i1", width)
    name = f"@llvm.masked.scatter.v{width}{mangled_type(element)}.v{width}p0"
    f.module.declare(name, "void", [type, pointers, bools])
    align = value.dtype.itemsize
    f.effect(
        f"call void {name}({type} {c.emit.operand(value, width)}, "
        f"{pointers} align {align} {places}, {bools} {lanes})"
    )


# ------------------------------------------------------------------ lanes


def lane_width(c: EmitContext) -> int:
    """How many lanes are worked on at once here."""
    return 1 if c.lane is None else c.lane.width


def lane_pointers(c: EmitContext, at: Address, element: str) -> str:
    """The address of every lane's element."""
    width = lane_width(c)
    offsets = at.offsets
    if offsets is None:
        offsets = c.emit.mul(c.lane_numbers(), c.number(at.stride))
    many = c.emit.operand(offsets, width)
    text = f"getelementptr {element}, ptr {at.pointer}, {vector('i64', width)} {many}"
    return c.builder.define("places", text, (at.pointer, many))


def any_lane(c: EmitContext, condition: Value) -> Value:
    """True where any existing lane's condition is true."""
    if condition.width == 1:
        return condition
    existing = _existing(c, condition)
    assert existing is not None
    f, width = c.builder, condition.width
    name = f"@llvm.vector.reduce.or.v{width}i1"
    return Value(f.call("any", "i1", name, [(vector("i1", width), existing.text)]), bool_)


def mangled_type(type: str) -> str:
    """A type as it stands in the names of intrinsics."""
    return {"float": "f32", "double": "f64"}.get(type, type)
