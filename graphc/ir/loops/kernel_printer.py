"""Print kernels as text: indented loops, one statement per line.

An expression that a statement uses several times gets a line of its own above it (t0 = ...), so
that a text never grows beyond the graph of its expressions.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphc.ir.loops.ir import (
    Accumulate,
    Apply,
    Axis,
    Check,
    Const,
    Expr,
    Extent,
    Index,
    Kernel,
    Let,
    Load,
    Loop,
    Ref,
    Scratch,
    Stmt,
    Store,
    expressions,
    operands,
)  # fmt: skip

# functions that are written between their operands, and how tightly they bind
INFIX = {
    "logical_or": ("or", 1), "logical_and": ("and", 2),
    "lt": ("<", 3), "le": ("<=", 3), "eq": ("==", 3), "ne": ("!=", 3),
    "bit_or": ("|", 4), "bit_xor": ("^", 5), "bit_and": ("&", 6), "shl": ("<<", 7),
    "shr": (">>", 7),
    "add": ("+", 8), "sub": ("-", 8), "mul": ("*", 9), "div": ("/", 9),
}  # fmt: skip


def kernel_text(kernel: Kernel) -> str:
    """The whole kernel."""
    reads, writes = ", ".join(map(str, kernel.reads)), ", ".join(map(str, kernel.writes))
    lines = [f"kernel {kernel.name}({reads}) -> {writes}"]
    if kernel.note:
        lines.append(f"  # {kernel.note}")
    return "\n".join([*lines, *_Printer().block(kernel.body, 1)]) + "\n"


MAX_CALL_DEPTH = 32  # calls within calls that may stand on one line


class _Printer:
    """Prints statements; holds the names of axes in scope and of shared subexpressions."""

    def __init__(self) -> None:
        self.axes: dict[Axis, str] = {}
        self.named: dict[Expr, str] = {}

    def block(self, body: tuple[Stmt, ...], depth: int) -> list[str]:
        """The lines of a block."""
        return [line for stmt in body for line in self.statement(stmt, depth)]

    def statement(self, stmt: Stmt, depth: int) -> list[str]:
        """The lines of a statement, after those that name what it uses several times."""
        margin = "  " * depth
        lines = []
        self.named = {}
        for expr in _shared(stmt):
            name = f"t{len(self.named)}"
            lines.append(f"{margin}{name} = {self.expression(expr)}")
            self.named[expr] = name
        if isinstance(stmt, Loop):
            return [*lines, *self.loop(stmt, depth)]
        return [*lines, margin + self.line(stmt)]

    def line(self, stmt: Stmt) -> str:
        """A statement that is no loop."""
        match stmt:
            case Scratch(buffer=buffer):
                return f"scratch {buffer}"
            case Let(ref=ref, value=value):
                return f"{ref.name} = {self.expression(value)}"
            case Accumulate(accumulator=accumulator, values=values):
                names = ", ".join(ref.name for ref in accumulator.refs)
                return f"{names} {accumulator.combine}= {self.listed(values)}"
            case Store(buffer=buffer, index=at, value=value, where=where):
                target = f"{buffer.name}[{self.listed(at)}]"
                return f"{target} = {self.expression(value)}{self.condition(where)}"
            case Check(condition=condition, code=code):
                return f"check {code}: {self.expression(condition)}"
        raise AssertionError(f"unknown statement {stmt}")

    def loop(self, loop: Loop, depth: int) -> list[str]:
        """A loop with its accumulators and its body."""
        size = self.expression(loop.extent)
        names = set(self.axes.values())
        name = loop.axis.name
        while name in names:
            name += "_"
        self.axes[loop.axis] = name
        kind = loop.kind + (" lanes" if loop.lanes else "")
        starts = "".join(
            f"; {', '.join(ref.name for ref in a.refs)}: {a.combine}" for a in loop.accumulators
        )
        lines = [f"{'  ' * depth}{kind} {name} < {size}{starts}", *self.block(loop.body, depth + 1)]
        del self.axes[loop.axis]
        return lines

    def condition(self, where: Expr | None) -> str:
        """The condition of a load or a store, if there is one."""
        return "" if where is None else f" where {self.expression(where)}"

    def listed(self, exprs: tuple[Expr, ...]) -> str:
        """Expressions between commas."""
        return ", ".join(self.expression(e) for e in exprs)

    def expression(self, expr: Expr, least: int = 0) -> str:
        """An expression, in parentheses if it binds less tightly than asked."""
        if expr in self.named:
            return self.named[expr]
        match expr:
            case Const(value=value):
                return str(value).lower() if isinstance(value, bool) else repr(value)
            case Index(axis=axis):
                return self.axes.get(axis, axis.name)
            case Extent(size=size):
                return str(size)
            case Ref(name=name):
                return name
            case Load(buffer=buffer, index=at, where=where):
                loaded = f"{buffer.name}[{self.listed(at)}]"
                return loaded if where is None else f"({loaded}{self.condition(where)} else 0)"
            case Apply():
                return self.apply(expr, least)
        raise AssertionError(f"unknown expression {expr}")

    def apply(self, expr: Apply, least: int) -> str:
        """An application, infix where that is usual."""
        if expr.function in INFIX and len(expr.args) == 2:
            sign, tight = INFIX[expr.function]
            left, right = expr.args
            text = f"{self.expression(left, tight)} {sign} {self.expression(right, tight + 1)}"
            return f"({text})" if tight < least else text
        name = expr.function
        if name == "cast":
            name = str(expr.dtype)
        elif name == "bitcast":
            name = f"bits.{expr.dtype}"
        return f"{name}({self.listed(expr.args)})"


def _shared(stmt: Stmt) -> list[Expr]:
    """What is computed or loaded once and used several times in a statement, or is too deep to
    be read on one line; operands first."""
    uses: dict[Expr, int] = {}
    order: list[Expr] = []
    for root in expressions(stmt):
        _count(root, uses, order)
    height: dict[Expr, int] = {}  # calls within calls on a line
    named: list[Expr] = []
    for e in order:
        height[e] = 1 + max((height[x] for x in operands(e)), default=0)
        if isinstance(e, (Apply, Load)) and (uses[e] > 1 or height[e] >= MAX_CALL_DEPTH):
            height[e] = 0
            named.append(e)
    return named


def _count(root: Expr, uses: dict[Expr, int], order: list[Expr]) -> None:
    """Count how often each expression is an operand; append new ones after their operands."""
    uses[root] = uses.get(root, 0) + 1
    if uses[root] > 1:
        return
    stack: list[tuple[Expr, Iterator[Expr]]] = [(root, iter(operands(root)))]
    while stack:
        expr, left = stack[-1]
        operand = next(left, None)
        if operand is None:
            order.append(expr)
            stack.pop()
            continue
        uses[operand] = uses.get(operand, 0) + 1
        if uses[operand] == 1:
            stack.append((operand, iter(operands(operand))))
