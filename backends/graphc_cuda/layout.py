"""Expressions on lines of at most 100 columns, broken as `ruff format` breaks them.

node ::= str                                 a name or a number
       | Brackets(head, opening, items, closing)    f(a, b), x[i], (a + b)
       | Chain(operands, operators, level)          a + b - c: operators of one precedence
       | Prefix(sign, operand)                      -a, not a
"""

from __future__ import annotations

from collections.abc import Iterator
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
    if len(line) <= COLUMNS:
        return [line]
    if _breaks_inside(node):
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
    """Lines without brackets around the whole: those inside open from the left, where they must."""
    lines: list[str] = []
    line, pieces = start, [*_pieces(node), end]
    for number, piece in enumerate(pieces):
        if isinstance(piece, str):
            line += piece
            continue
        if len(line + flat(piece) + _unbreakable(pieces[number + 1 :])) <= COLUMNS:
            line += flat(piece)
            continue
        *opened, line = _open(piece, line, "", indent)
        lines += opened
    return [*lines, line]


def _pieces(node: Node) -> Iterator[str | Brackets]:
    """The parts of an expression outside of brackets, from left to right."""
    match node:
        case Chain(operands, operators):
            yield from _pieces(operands[0])
            for sign, operand in zip(operators, operands[1:]):
                yield f" {sign} "
                yield from _pieces(operand)
        case Prefix(sign, operand):
            yield sign
            yield from _pieces(operand)
        case _:
            yield node


def _unbreakable(pieces: list[str | Brackets]) -> str:
    """What must stand on the same line: the text up to where brackets may open."""
    text = ""
    for piece in pieces:
        if isinstance(piece, Brackets) and piece.items:
            return text + piece.head + piece.opening
        text += flat(piece)
    return text


def _breaks_inside(node: Node) -> bool:
    """Whether a statement breaks in brackets that it has rather than around the whole."""
    if isinstance(node, Brackets):
        return True
    parts = list(_pieces(node))
    return _loosest(node)[1] == 1 and (_is_call(parts[-1]) or _is_call(parts[0]))


def _is_call(node: Node) -> bool:
    return isinstance(node, Brackets) and bool(node.items) and node.opening == "("


def _loosest(node: Node) -> tuple[int, int]:
    """The precedence that binds least in a chain, outside of brackets, and how often it occurs."""
    if isinstance(node, Prefix):
        return _loosest(node.operand)
    if not isinstance(node, Chain):
        return 99, 0
    found = [(node.level, len(node.operators)), *map(_loosest, node.operands)]
    level = min(level for level, _ in found)
    return level, sum(count for at, count in found if at == level)
