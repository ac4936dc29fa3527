"""Count the contractions whose operands mixed precision rounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from graphc.compiler.precision import rounded_to
from graphc.inspect.widening import with_bodies
from graphc.ir.graph import Node
from graphc.ir.ops.base import Contract


def rounding_lines(nodes: Iterable[Node]) -> list[str]:
    """A note for each precision that operands are rounded to; none where none is."""
    found = [n for n in with_bodies(nodes) if isinstance(n.op, Contract)]
    names = Counter(name for n in found if (name := rounded_to(n.inputs[0])) is not None)
    return [
        f"{name}: {count} of {len(found)} contractions round their operands"
        for name, count in sorted(names.items())
    ]
