"""Rebuild graphs together with the bodies of their loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from graphc.ir.graph import Node
from graphc.ir.ops.loop import Body, Scan
from graphc.ir.rebuild import rebuild


@dataclass(eq=False)
class DeepRebuild:
    """Rewrites graphs, also inside loops; `check` sees every body before.

    Bodies of one loop share nodes, also afterwards: else its results would be several loops.
    """

    rewrite: Callable[[Node], Node | None]
    check: Callable[[Body], None] | None = None
    done: dict[Node, Node] = field(default_factory=dict)
    bodies: dict[Body, Body] = field(default_factory=dict)

    def run(self, roots: Sequence[Node]) -> dict[Node, Node]:
        """Map every node of the roots to its rebuilt self."""
        return rebuild(roots, self._rewrite, self.done)

    def _rewrite(self, node: Node) -> Node | None:
        return self._loop(node, node.op) if isinstance(node.op, Scan) else self.rewrite(node)

    def _loop(self, node: Node, op: Scan) -> Node | None:
        body = op.body
        if body not in self.bodies:
            if self.check is not None:
                self.check(body)
            new = self.run(body.outputs)
            outputs = tuple(new[n] for n in body.outputs)
            same = outputs == body.outputs
            self.bodies[body] = body if same else Body(body.inputs, outputs)
        if self.bodies[body] is body:
            return None
        kept = (node.type, node.origin, node.step_part, node.name)
        return Node(replace(op, body=self.bodies[body]), node.inputs, *kept)
