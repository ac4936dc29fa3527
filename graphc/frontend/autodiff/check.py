"""Gradients against central differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend.autodiff.precision import widen
from graphc.frontend.autodiff.reverse import grad
from graphc.frontend.parameter import Parameter
from graphc.frontend.seed import generator
from graphc.frontend.tensor import Tensor
from graphc.ir import graph as graphs
from graphc.ir.arrays import convert, label
from graphc.ir.graph import Node
from graphc.ir.interpret import Interpreter
from graphc.ir.ops import leaf
from graphc.ir.sizes import bind_dims
from graphc.ir.structure import flatten
from graphc.ir.types import Array


@dataclass(frozen=True)
class GradientRow:
    """One tensor's comparison.

    `error` is the largest difference of the elements looked at, relative to the largest of their
    derivatives (absolute below 1e-6); `worst` is where it is; `kinks` are elements at which the
    loss has no derivative, where any value between the one-sided slopes is right.
    """

    name: str
    checked: int
    error: float
    worst: tuple[int, ...]
    analytic: float
    numeric: float
    kinks: int
    passed: bool

    def __str__(self) -> str:
        verdict = "ok" if self.passed else "WRONG"
        text = f"{self.name:<24} {verdict:<6} error {self.error:.2e} of {self.checked} elements"
        if not self.passed:
            text += f"; at {list(self.worst)}: {self.analytic:.9g}, differences {self.numeric:.9g}"
        return text + (f"; {self.kinks} kinks" if self.kinks else "")


@dataclass(frozen=True)
class GradientReport:
    """The comparison of every tensor; true when all passed."""

    rows: tuple[GradientRow, ...]
    tolerance: float
    dtype: str

    @property
    def passed(self) -> bool:
        """Whether every tensor's gradient is within the tolerance."""
        return all(row.passed for row in self.rows)

    @property
    def errors(self) -> dict[str, float]:
        """The largest error of every tensor."""
        return {row.name: row.error for row in self.rows}

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        head = f"gradients in {self.dtype}, tolerance {self.tolerance:g}"
        return "\n".join([head, *map(str, self.rows)])

    __repr__ = __str__


def check_gradients(
    loss: Tensor,
    wrt: Any = None,
    feeds: Mapping[Tensor, Any] | None = None,
    samples: int = 16,
    tolerance: float | None = None,
    step: float | None = None,
    rng: tuple[int, int] = (0, 0),
) -> GradientReport:
    """Compare `grad(loss, wrt)` with central differences, at the inputs `feeds`.

    `wrt` are inputs or parameters (default: the trainable parameters that the loss uses). All is
    computed in float64 where the graph allows it. At most `samples` elements of each tensor are
    moved by `step` (times their size, if that is more than 1).
    """
    if samples < 1 or (step is not None and not step > 0):
        raise ArgumentError(
            f"check_gradients: samples and step must be positive, got {samples} and {step}",
            origin=origins.find_origin(),
        )
    targets = _targets(loss, wrt)
    gradients = grad(loss, targets)
    values = _values([loss, *gradients], feeds or {}, targets)
    wide, replaced, dtype = widen([loss.node, *(g.node for g in gradients)])
    point = LossAt(
        wide[0], {replaced.get(n, n): _as(n, replaced, a) for n, a in values.items()}, rng
    )
    analytic = point.run(wide[1:])
    single = dtype != "float64"
    h = step if step is not None else (1e-2 if single else 1e-5)
    limit = tolerance if tolerance is not None else (2e-2 if single else 1e-5)
    rows = [
        point.row(label(t.node), replaced.get(t.node, t.node), g, samples, h, limit)
        for t, g in zip(targets, analytic)
    ]
    return GradientReport(tuple(rows), limit, dtype)


class LossAt:
    """A loss at one choice of inputs and parameters, which can be moved element by element."""

    def __init__(self, loss: Node, values: dict[Node, Array], rng: tuple[int, int]) -> None:
        inputs = [n for n in values if isinstance(n.op, leaf.Input)]
        dims = bind_dims("check_gradients", inputs, [values[n].shape for n in inputs])
        self.loss, self.values = loss, values
        self.interpreter = Interpreter(dims, rng)

    def run(self, nodes: Sequence[Node]) -> list[Array]:
        """The values of nodes here."""
        return self.interpreter.run(nodes, self.values)

    def moved(self, node: Node, index: tuple[int, ...], by: float) -> float:
        """The loss with one element moved."""
        array = np.array(self.values[node])
        array[index] += by
        values = {**self.values, node: array}
        return float(self.interpreter.run([self.loss], values)[0])

    def row(
        self, name: str, node: Node, analytic: Array, samples: int, h: float, limit: float
    ) -> GradientRow:
        """Compare one tensor's gradient."""
        chosen = _chosen(name, analytic.shape, samples)
        slopes = [self.slopes(node, index, h) for index in chosen]
        mine = [float(analytic[index]) for index in chosen]
        central = [(low + high) / 2 for low, high in slopes]
        scale = max([1e-6, *map(abs, mine), *map(abs, central)])
        errors = [abs(a - n) / scale for a, n in zip(mine, central)]
        kinks = 0
        for i, (low, high) in enumerate(slopes):
            if errors[i] > limit and _is_kink(low, high, mine[i], scale * limit):
                kinks, errors[i] = kinks + 1, 0.0
        errors = [e if np.isfinite(e) else np.inf for e in errors]
        at = int(np.argmax(errors)) if errors else -1
        if at < 0:
            return GradientRow(name, 0, 0.0, (), 0.0, 0.0, 0, True)
        worst = errors[at]
        found = (chosen[at], mine[at], central[at], kinks, worst <= limit)
        return GradientRow(name, len(chosen), worst, *found)

    def slopes(self, node: Node, index: tuple[int, ...], h: float) -> tuple[float, float]:
        """The slopes to the left and to the right of an element."""
        by = h * max(1.0, abs(float(self.values[node][index])))
        here = self.moved(node, index, 0.0)
        below, above = self.moved(node, index, -by), self.moved(node, index, by)
        return (here - below) / by, (above - here) / by


def _is_kink(low: float, high: float, mine: float, slack: float) -> bool:
    """Whether the one-sided slopes differ and the gradient lies between them."""
    jump = abs(high - low) > 4 * slack
    return jump and min(low, high) - slack <= mine <= max(low, high) + slack


def _chosen(name: str, shape: tuple[int, ...], samples: int) -> list[tuple[int, ...]]:
    """The elements looked at: all of them if they are few."""
    size = int(np.prod(shape, dtype=np.int64))
    rng = generator(0, f"check {name}")
    flat = range(size) if size <= samples else sorted(rng.choice(size, samples, replace=False))
    return [tuple(int(i) for i in np.unravel_index(k, shape)) for k in flat]


def _targets(loss: Tensor, wrt: Any) -> list[Tensor]:
    if wrt is None:
        nodes = graphs.topological([loss.node])
        found = [n.handle for n in nodes if isinstance(n.op, leaf.Parameter) and n.handle.trainable]
    else:
        found = flatten(wrt)[0]
    for t in found:
        if not isinstance(t, Tensor) or not isinstance(t.node.op, (leaf.Input, leaf.Parameter)):
            raise ArgumentError(
                f"check_gradients: wrt must be inputs or parameters, got {t!r}",
                origin=origins.find_origin(),
            )
    return found


def _values(
    roots: Sequence[Tensor], feeds: Mapping[Tensor, Any], targets: Sequence[Tensor]
) -> dict[Node, Array]:
    """The arrays of inputs and of the parameters in use."""
    values = {t.node: convert("check_gradients", t.node, a) for t, a in feeds.items()}
    used = graphs.topological([t.node for t in (*roots, *targets)])
    for node in used:
        if isinstance(node.handle, Parameter):
            values[node] = node.handle.memory
    return values


def _as(node: Node, replaced: Mapping[Node, Node], array: Array) -> Array:
    return array.astype(replaced.get(node, node).type.dtype.numpy)
