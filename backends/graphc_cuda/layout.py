"""Expressions on lines of at most 100 columns, broken as `ruff format` breaks them.

node ::= str                                 a name or a number
       | Brackets(head, opening, items, closing)    f(a, b), x[i], (a + b)
       | Chain(operands, operators, level)          a + b - c: operators of one precedence
       | Prefix(sign, operand)                      -a, not a
"""

from __future__ import annotations

from dataclasses import dataclass

COLUMNS = 100
STEP = "    "


@dataclass(frozen=True)
class Brackets:
    """Items between brackets, behind a head that may be empty."""

    head: str
    opening: str
    items: tuple[Node, ...]
    closing: str


@dataclass(frozen=True)
class Chain:
    """Operands with signs of one precedence between them; `level` grows with what binds tighter."""

    operands: tuple[Node, ...]
    operators: tuple[str, ...]
    level: int


@dataclass(frozen=True)
class Prefix:
    """A sign before its operand."""

    sign: str
    operand: Node


Node = str | Brackets | Chain | Prefix


def flat(node: Node) -> str:
    """The expression on one line."""
    match node:
        case Brackets(head, opening, items, closing):
            return f"{head}{opening}{', '.join(map(flat, items))}{closing}"
        case Chain(operands, operators):
            rest = (f" {sign} {flat(x)}" for sign, x in zip(operators, operands[1:]))
            return flat(operands[0]) + "".join(rest)
        case Prefix(sign, operand):
            return sign + flat(operand)
        case _:
            return node


def statement(before: str, node: Node, after: str, indent: int) -> list[str]:
    """The lines of `before node after`, all of them indented by so many steps."""
    margin = STEP * indent
    line = f"{margin}{before}{flat(node)}{after}"
    if len(line) <= COLUMNS or isinstance(node, str):
        return [line]
    if _opens_by_itself(node):
        lines = _broken(node, margin + before, after, indent)
        if isinstance(node, Brackets) or max(map(len, lines)) <= COLUMNS:
            return lines
    inside = _fill(node, STEP * (indent + 1), "", indent + 1)
    return [f"{margin}{before}(", *inside, f"{margin}){after}"]


def _fill(node: Node, start: str, end: str, indent: int) -> list[str]:
    """Lines inside of brackets, where a chain may break at its signs."""
    line = f"{start}{flat(node)}{end}"
    if len(line) <= COLUMNS or isinstance(node, str):
        return [line]
    if isinstance(node, Prefix):
        return _fill(node.operand, start + node.sign, end, indent)
    if isinstance(node, Brackets):
        return _open(node, start, end, indent)
    signs = [start, *(f"{STEP * indent}{sign} " for sign in node.operators)]
    ends = [""] * len(node.operators) + [end]
    parts = zip(node.operands, signs, ends)
    return [line for x, sign, last in parts for line in _fill(x, sign, last, indent)]


def _open(node: Brackets, start: str, end: str, indent: int) -> list[str]:
    """The lines of brackets whose items stand on lines of their own."""
    inner = STEP * (indent + 1)
    row = inner + ", ".join(map(flat, node.items))
    if len(node.items) == 1:
        body = _fill(node.items[0], inner, "", indent + 1)
    elif len(row) <= COLUMNS:
        body = [row]
    else:
        body = [line for x in node.items for line in _fill(x, inner, ",", indent + 1)]
    return [f"{start}{node.head}{node.opening}", *body, f"{STEP * indent}{node.closing}{end}"]


def _broken(node: Node, start: str, end: str, indent: int) -> list[str]:
    """Lines without brackets around the whole: only brackets inside may break, the last first."""
    if isinstance(node, Brackets):
        return _open(node, start, end, indent)
    if isinstance(node, Chain):
        *kept, last = node.operands
        signs = node.operators
        front = "".join(f"{flat(x)} {sign} " for x, sign in zip(kept, signs))
        return _broken(last, start + front, end, indent)
    return [f"{start}{flat(node)}{end}"]


def _opens_by_itself(node: Node) -> bool:
    """Whether a statement breaks in the brackets at its end rather than around the whole."""
    if isinstance(node, Brackets):
        return True
    return isinstance(node, Chain) and _loosest(node)[1] == 1 and _ends_in_brackets(node)


def _ends_in_brackets(node: Node) -> bool:
    last = node.operands[-1] if isinstance(node, Chain) else node
    if isinstance(last, Chain):
        return _ends_in_brackets(last)
    return isinstance(last, Brackets) and bool(last.items)


def _loosest(node: Node) -> tuple[int, int]:
    """The precedence that binds least in a chain, outside of brackets, and how often it occurs."""
    if isinstance(node, Prefix):
        return _loosest(node.operand)
    if not isinstance(node, Chain):
        return 99, 0
    found = [(node.level, len(node.operators)), *map(_loosest, node.operands)]
    level = min(level for level, _ in found)
    return level, sum(count for at, count in found if at == level)
