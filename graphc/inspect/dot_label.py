"""Labels and colours of the boxes in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from graphc.frontend.parameter import is_trainable
from graphc.inspect.names import NodeNames, folds, number_text
from graphc.ir.graph import Node
from graphc.ir.ops import leaf
from graphc.ir.ops.base import Leaf, View
from graphc.origin import BACKWARD, FORWARD, UPDATE


@dataclass(frozen=True)
class Paint:
    """Colours of a part: of nodes, of the ground below them, of lines and titles."""

    fill: str
    ground: str
    line: str


PAINT = {
    FORWARD: Paint("#d9e9fa", "#f3f8fe", "#2a6db0"),
    BACKWARD: Paint("#fde0ca", "#fef6f0", "#c2601a"),
    UPDATE: Paint("#d8efd8", "#f3faf3", "#3a8a3f"),
}
GREY, PLACE, KEPT, STATE, STATE_LINE = "#66717c", "#1f5f5b", "#9b1fb0", "#fff3c4", "#b8860b"


def op_label(node: Node, names: NodeNames, kept: str = "", place: str = "") -> str:
    """The op with its attributes and folded numbers, its type, its name and line, and notes."""
    name = f"{node.name}  {names[node]}" if node.name and not is_leaf(node) else names[node]
    title = f"<B>{text(node.op.name)}</B>{small(arguments(node))}"
    view = isinstance(node.op, View)
    rows = [
        f"{title}  {small(str(node.type), GREY)}" if view else title,
        "" if view else small(str(node.type)),
        small(f"{name}  {node.origin}", GREY),
        small(kept, KEPT),
        small(place, PLACE),
    ]
    return f"<{'<BR/>'.join(row for row in rows if row)}>"


def is_leaf(node: Node) -> bool:
    """Whether its name is its op's."""
    return isinstance(node.op, Leaf)


def bound_label(node: Node, names: NodeNames, first: bool) -> str:
    """The name of an input, parameter or array; where it is made, also what it is."""
    title = f"<B>{text(names[node])}</B>"
    if not first:
        return f"<{title}>"
    fixed = isinstance(node.op, leaf.Parameter) and not is_trainable(node)
    kind = f"{node.op.name}, not trained" if fixed else node.op.name
    rows = [title, small(str(node.type)), small(f"{kind}  {node.origin}", GREY)]
    return f"<{'<BR/>'.join(rows)}>"


def arguments(node: Node) -> str:
    """Attributes and numbers, in parentheses; a dot stands for an operand that has an edge."""
    given = [shown_number(number_text(i)) if folds(i) else "·" for i in node.inputs]
    attributes = node.op.attributes()
    if isinstance(node.op, View):
        # its shape is the type
        attributes = "" if attributes.startswith("shape=") else attributes
    shown = given if any(folds(i) for i in node.inputs) else []
    inside = ", ".join([*shown, *([attributes] if attributes else [])])
    return f" ({shorten(inside)})" if inside else ""


def shown_number(words: str) -> str:
    """A number with six digits at most: pictures are no listings."""
    try:
        return words if len(words) <= 8 else f"{float(words):.6g}"
    except ValueError:
        return words


def shorten(words: str, longest: int = 44) -> str:
    """The beginning of a long text."""
    return words if len(words) <= longest else f"{words[: longest - 1]}…"


def small(words: str, color: str = "black") -> str:
    """Smaller text in an HTML-like label; nothing for nothing."""
    return f'<FONT POINT-SIZE="9" COLOR="{color}">{text(words)}</FONT>' if words else ""


def text(words: str) -> str:
    """Words for an HTML-like label: markup escaped, control characters made visible."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)
    return escape(shown, quote=True)


def quoted(words: str) -> str:
    """A string of the DOT language that means these words."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'


def attributes(**given: str) -> str:
    """An attribute list; values that start with < are HTML-like, others are quoted."""
    return ", ".join(f"{k}={v if v.startswith('<') else quoted(v)}" for k, v in given.items())
