"""Build kernels: statements, buffers, and single elements of nodes as expressions.

`KernelBuilder.at(node, index)` is the value of an element as an expression of a kernel under
construction. Stored values become loads, views become index arithmetic, elementwise nodes
become applications; what a group binds beforehand (a reduction's result) is found by its index.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc.compiler.fusion.checks import Checks
from graphc.errors import VerifyError
from graphc.ir.dims import Size, product
from graphc.ir.graph import Node
from graphc.ir.loops.expression import ExprEmitter
from graphc.ir.loops.ir import (
    Apply,
    Buffer,
    Check,
    Const,
    Expr,
    Kernel,
    Let,
    Load,
    Ref,
    Scratch,
    Spread,
    Stmt,
    Store,
    exprs_in,
    walk,
)  # fmt: skip
from graphc.ir.naming import numbered
from graphc.ir.ops.base import Elementwise, Leaf, Reduce, View
from graphc.ir.ops.gather import Guard, Take
from graphc.ir.ops.indexing import TakeAlong
from graphc.ir.ops.leaf import Iota, Literal, RandomBits, SizeOf
from graphc.ir.schedule import Storage
from graphc.ir.types import bool_, int64, uint32, uint64

At = tuple[Expr, ...]
Element = tuple[Node, At, Expr | None]  # of a node, at an index, where a condition holds
MAX_RECURSION = 25  # elements computed each for the one before; from here on without recursion


class KernelBuilder:
    """Builds one kernel: its buffers, the statements of the open block, the values known there."""

    def __init__(
        self,
        storage_of: Callable[[Node], Storage | None],
        rng: Storage,
        checks: Checks,
        computed: frozenset[Node] = frozenset(),
        flat: Size | None = None,
    ) -> None:
        self.e = ExprEmitter()
        self._storage_of = storage_of
        self._rng = rng
        self._checks = checks
        self._computed = computed  # nodes of this kernel: computed here even if stored
        self._flat = flat  # set: one loop runs over all elements, indices are linear
        self._frames: list[dict[object, Expr]] = [{}]
        self._blocks: list[list[Stmt]] = [[]]
        self._later: list[list[Stmt]] = [[]]  # stores at the end of each open block
        self._names: dict[str, int] = {}
        self._depth = 0  # elements being computed, each for the one before
        self.buffers: dict[Storage, Buffer] = {}
        self.shared: frozenset[Node] = frozenset()  # worth a name when computed
        self.spread: Spread | None = None  # of the kernel

    def again(self) -> KernelBuilder:
        """A builder of another body of the same kernel."""
        other = KernelBuilder(self._storage_of, self._rng, self._checks, self._computed, self._flat)
        other.buffers, other._names = dict(self.buffers), dict(self._names)
        return other

    # -- statements -----------------------------------------------------------------

    def emit(self, statement: Stmt) -> None:
        """Append to the open block."""
        self._blocks[-1].append(statement)

    def open(self) -> None:
        """Begin a nested block."""
        self._blocks.append([])
        self._frames.append({})
        self._later.append([])

    def close(self) -> tuple[Stmt, ...]:
        """End the nested block and return its statements."""
        self._frames.pop()
        return (*self._blocks.pop(), *self._later.pop())

    @property
    def open_block(self) -> list[Stmt]:
        """The statements of the open block."""
        return self._blocks[-1]

    def body(self) -> tuple[Stmt, ...]:
        """The statements of the outermost block."""
        return (*self._blocks[0], *self._later[0])

    def name(self, wanted: str) -> str:
        """A name that is unique in the kernel."""
        return numbered(self._names, wanted)

    # -- buffers --------------------------------------------------------------------

    def buffer(self, storage: Storage) -> Buffer:
        """The kernel's argument for a storage."""
        found = self.buffers.get(storage)
        if found is None:
            shape = storage.type.shape
            if self._flat is not None and product(shape) == self._flat:
                shape = (self._flat,)
            name = self.name(storage.name)
            found = self.buffers[storage] = Buffer(name, storage.type.dtype, shape)
        return found

    def bind(self, node: Node, at: At, value: Expr) -> None:
        """Bind a value in the open block and the blocks inside it."""
        self._frames[-1][node, at] = value

    def store(self, storage: Storage, at: At, value: Expr) -> None:
        """Store an element."""
        self.emit(Store(self.buffer(storage), at, value))

    def store_later(self, node: Node, targets: tuple[Storage, ...], at: At, value: Expr) -> None:
        """Store an element when the block is closed, after all its loads: a parameter that is
        updated is read before it is written."""
        value = self.named(node, value)
        self._later[-1] += [Store(self.buffer(s), at, value) for s in targets]

    def named(self, node: Node, value: Expr) -> Expr:
        """Bind a value that is used more than once to a name."""
        if not isinstance(value, Apply):
            return value
        ref = Ref(value.dtype, self.name(node.name.rpartition("/")[2] or node.op.name))
        self.emit(Let(ref, value))
        return ref

    # -- elements -------------------------------------------------------------------

    def at(self, node: Node, at: At, where: Expr | None = None) -> Expr:
        """The element of a node at an index; 0, and nothing is read, where `where` is false."""
        known = self._known(node, at, where)
        if known is not None:
            return known
        if self._depth >= MAX_RECURSION:
            self._make_needed(node, at, where)
        return self._make(node, at, where)

    def _known(self, node: Node, at: At, where: Expr | None) -> Expr | None:
        key = (node, at) if where is None else (node, at, where)
        for frame in reversed(self._frames):
            if key in frame:
                return frame[key]
            if where is not None and isinstance(frame.get((node, at)), Ref):
                return frame[node, at]  # computed anyway; the reader chooses
        return None

    def _make(self, node: Node, at: At, where: Expr | None) -> Expr:
        self._depth += 1
        value = self._compute(node, at, where)
        self._depth -= 1
        if node in self.shared and where is None:
            value = self.named(node, value)
        self._frames[-1][(node, at) if where is None else (node, at, where)] = value
        return value

    def _make_needed(self, node: Node, at: At, where: Expr | None) -> None:
        """Compute what an element needs, in the same order as without this, but step by step."""
        waiting = list(reversed(self._needs(node, at, where)))
        while waiting:
            element = waiting[-1]
            missing = []
            if self._known(*element) is None:
                missing = [e for e in self._needs(*element) if self._known(*e) is None]
                if not missing:
                    self._make(*element)
            if missing:
                waiting.extend(reversed(missing))
            else:
                waiting.pop()

    def _needs(self, node: Node, at: At, where: Expr | None) -> list[Element]:
        """The elements that one certainly needs."""
        if self.stored_at(node) is not None:
            return []
        match node.op:
            case View():
                index, inside = self._shown(node, at)
                if inside is not None and where is not None:
                    inside = self.e.apply("logical_and", where, inside)
                return [(node.inputs[0], index, where if inside is None else inside)]
            case Take():
                rows = node.inputs[1]
                return [(rows, at[: rows.type.ndim], where)]
            case TakeAlong():
                return [(node.inputs[1], at, where)]
            case Elementwise():
                return [(i, at, where) for i in node.inputs]
        return []

    def stored_at(self, node: Node) -> Storage | None:
        """The storage from which a node is read; None if it is computed here."""
        return None if node in self._computed else self._storage_of(node)

    def _compute(self, node: Node, at: At, where: Expr | None) -> Expr:
        op = node.op
        storage = self.stored_at(node)
        if storage is not None:
            return self._load(storage, at, where)
        match op:
            case Literal(value=value, dtype=dtype):
                return self.e.const(value, dtype)
            case SizeOf(size=size):
                return self.e.extent(size)
            case Iota(axis=axis, dtype=dtype):
                return self.e.cast(at[axis], dtype)
            case RandomBits():
                return self._random(op, node, at)
            case View():
                return self._view(node, at, where)
            case Take():
                return self._take(node, at, where)
            case TakeAlong(axis=axis):
                return self._take_along(node, axis, at, where)
            case Guard():
                condition = self.at(node.inputs[1], at, where)
                self.check(node, condition, where)
                return self.at(node.inputs[0], at, where)
            case Elementwise():
                return op.emit(self.e, *(self.at(i, at, where) for i in node.inputs))  # type: ignore[no-any-return]
            case Reduce():
                return self._single(node, op, at, where)
            case Leaf():
                raise VerifyError(f"{node} has no storage")
        raise VerifyError(f"{node} is not computed element by element")

    def _load(self, storage: Storage, at: At, where: Expr | None) -> Expr:
        buffer = self.buffer(storage)
        if self._flat is not None and len(at) != len(buffer.shape):
            at = tuple(self.e.const(0, int64) for _ in buffer.shape)
        key = ("load", buffer, at, where)
        return self.e.unique(key, lambda: Load(buffer.dtype, buffer, at, where))

    def _view(self, node: Node, at: At, where: Expr | None) -> Expr:
        index, inside = self._shown(node, at)
        return self.inside(node.inputs[0], index, inside, where)

    def _shown(self, node: Node, at: At) -> tuple[At, Expr | None]:
        """The source index of a view's element, and the condition under which it exists."""
        (source,) = node.inputs
        if self._flat is not None:
            if product(source.type.shape) == self._flat:
                return at, None
            return tuple(self.e.const(0, int64) for _ in source.type.shape), None  # one number
        index, inside = node.op.source_index(self.e, at, source.type, node.type)  # type: ignore[attr-defined]
        sizes = source.type.shape
        return tuple(self._plain(i, size) for i, size in zip(index, sizes, strict=True)), inside

    def _plain(self, index: Expr, size: Size) -> Expr:
        """An index in the form in which it is known; there is one in an axis of size 1."""
        if size == 1:
            return self.e.const(0, int64)
        return self.e.const(index.value, index.dtype) if isinstance(index, Const) else index

    def inside(self, node: Node, at: At, inside: Expr | None, where: Expr | None = None) -> Expr:
        """The element where `inside` is true, else 0; nothing is read where `where` is false."""
        if inside is None:
            return self.at(node, at, where)
        both = inside if where is None else self.e.apply("logical_and", where, inside)
        value = self.at(node, at, both)
        zero = self.e.const(False if value.dtype == bool_ else 0, value.dtype)
        if isinstance(value, Load):
            return value  # a guarded load is 0 outside by itself
        return self.e.apply("select", inside, value, zero)

    def _take(self, node: Node, at: At, where: Expr | None) -> Expr:
        table, rows = node.inputs
        row = self.at(rows, at[: rows.type.ndim], where)
        row, inside = self._in_range(node, row, table.type.shape[0], where)
        return self.at(table, (row, *at[rows.type.ndim :]), inside)

    def _take_along(self, node: Node, axis: int, at: At, where: Expr | None) -> Expr:
        table, indices = node.inputs
        place = self.at(indices, at, where)
        place, inside = self._in_range(node, place, table.type.shape[axis], where)
        return self.at(table, (*at[:axis], place, *at[axis + 1 :]), inside)

    def _in_range(
        self, node: Node, index: Expr, size: Size, where: Expr | None
    ) -> tuple[Expr, Expr]:
        """An index counted from the front, and whether there is such an element (checked)."""
        e = self.e
        count, zero, index = e.extent(size), e.const(0, int64), e.cast(index, int64)
        index = e.apply("select", e.apply("lt", index, zero), e.apply("add", index, count), index)
        inside = e.apply("logical_and", e.apply("le", zero, index), e.apply("lt", index, count))
        self.check(node, inside, where)
        return index, inside if where is None else e.apply("logical_and", where, inside)

    def check(self, node: Node, condition: Expr, where: Expr | None) -> None:
        """Record the node's failure where the condition is false."""
        if where is not None:
            outside = self.e.apply("logical_not", where)
            condition = self.e.apply("logical_or", outside, condition)
        self.emit(Check(condition, self._checks.code(node)))

    def _random(self, op: RandomBits, node: Node, at: At) -> Expr:
        e = self.e
        words = [self._load(self._rng, (e.const(i, int64),), None) for i in range(3)]
        low, high = op.stream & 0xFFFFFFFF, op.stream >> 32
        key_low = e.apply("bit_xor", words[0], e.const(low, uint32))
        key_high = e.apply("bit_xor", words[1], e.const(high, uint32))
        position = at[0] if self._flat is not None and at else linear(e, at, node.type.shape)
        return e.apply("philox", key_low, key_high, words[2], e.cast(position, uint64))

    def _single(self, node: Node, op: Reduce, at: At, where: Expr | None) -> Expr:
        """A reduction over axes of size 1, or one without elements."""
        (source,) = node.inputs
        if any(size == 0 for size in node.type.shape):
            return self.e.const(False if node.type.dtype == bool_ else 0, node.type.dtype)
        if any(source.type.shape[axis] != 1 for axis in op.axes):
            raise VerifyError(f"{node} is asked for outside of its loop")
        zero, kept = self.e.const(0, int64), iter(at)
        index = tuple(zero if a in op.axes else next(kept) for a in range(source.type.ndim))
        fed = op.emit(self.e, self.at(source, index, where), zero)
        return narrowed(self.e, node, op.finish(self.e, fed))

    # -- result ---------------------------------------------------------------------

    def kernel(self, name: str) -> tuple[Kernel, tuple[Storage, ...]]:
        """The kernel of all statements, and the storages of its arguments."""
        body = self.body()
        loaded, written = touched(body)
        reads = tuple(b for b in self.buffers.values() if b in loaded)
        writes = tuple(b for b in self.buffers.values() if b in written)
        kernel = Kernel(name, reads, writes, body, spread=self.spread)
        storage = {b: s for s, b in self.buffers.items()}
        return kernel, tuple(storage[b] for b in kernel.arguments)


def linear(e: ExprEmitter, at: At, shape: tuple[Size, ...]) -> Expr:
    """The row-major position of an element."""
    position: Expr = e.const(0, int64)
    for i, size in zip(at, shape):
        position = e.add(e.times(position, size), i)
    return position


def narrowed(e: ExprEmitter, node: Node, value: Expr) -> Expr:
    """A finished reduction in the dtype of its node; 16-bit floats are combined in float32."""
    dtype = node.type.dtype
    return value if value.dtype == dtype else e.cast(value, dtype)


def touched(body: tuple[Stmt, ...]) -> tuple[set[Buffer], set[Buffer]]:
    """The argument buffers that statements load, and those they store."""
    statements = list(walk(body))
    local = {s.buffer for s in statements if isinstance(s, Scratch)}
    loaded = {x.buffer for x in exprs_in(body) if isinstance(x, Load)}
    written = {s.buffer for s in statements if isinstance(s, Store)}
    return loaded - local, written - local


__all__ = ["At", "KernelBuilder", "linear", "narrowed", "touched"]
