"""A table of the parameters of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.inspect.names import bytes_text
from graphc.inspect.widening import widening_lines
from graphc.ir.graph import topological
from graphc.ir.ops import leaf
from graphc.ir.structure import flatten


@dataclass(frozen=True)
class LayerRow:
    """A layer: its name, what it is, and its parameters."""

    name: str
    kind: str
    parameters: tuple[Parameter, ...]

    @property
    def count(self) -> int:
        """Numbers in its parameters."""
        return sum(size_of(p) for p in self.parameters)


class Summary(str):
    """A table as text, and the figures in it."""

    __slots__ = ("rows", "total", "trainable")

    rows: tuple[LayerRow, ...]
    total: int
    trainable: int

    def __repr__(self) -> str:
        return str(self)


def summary(what: object) -> Summary:
    """The parameters of a model, a layer, a compiled function or of what outputs depend on.

    The result is text; it also has `rows`, `total` and `trainable`. Raises ArgumentError for
    other things.
    """
    rows = tuple(find_rows(what))
    parameters = list(dict.fromkeys(p for row in rows for p in row.parameters))
    made = Summary("\n".join([_table(rows, parameters), *_notes(what)]))
    made.rows = rows
    made.total = sum(size_of(p) for p in parameters)
    made.trainable = sum(size_of(p) for p in parameters if p.trainable)
    return made


def find_rows(what: object) -> list[LayerRow]:
    """The layers of a model, or the parameters of tensors by the scope in their names."""
    if hasattr(what, "_parts"):
        return _layer_rows(what, set())
    layers = getattr(what, "layers", None)
    if layers is not None:
        seen: set[int] = set()
        return [row for layer in layers for row in _layer_rows(layer, seen)]
    given = getattr(what, "parameters", None)
    if given is not None:
        listed = given.values() if isinstance(given, Mapping) else given
        return _by_scope(listed, "")
    return _by_scope(_reached(what), "")


def size_of(parameter: Parameter) -> int:
    """How many numbers a parameter has."""
    size = parameter.size
    assert isinstance(size, int)
    return size


def _layer_rows(layer: Any, seen: set[int]) -> list[LayerRow]:
    """Rows of a layer's own parameters, then of the layers in it, each once."""
    seen.add(id(layer))
    parts = getattr(layer, "_parts", None)
    if parts is None:  # an object with parameters, or a function without
        given = getattr(layer, "parameters", ())
        own = list(given.values() if isinstance(given, Mapping) else given)
        return _named_rows(layer, [p for p in own if id(p) not in seen])
    inner = [part for part in _in_order(layer, parts) if not isinstance(part, Parameter)]
    below = [row for part in inner if id(part) not in seen for row in _layer_rows(part, seen)]
    theirs = {id(p) for row in below for p in row.parameters}
    own = [p for p in parts if isinstance(p, Parameter) and id(p) not in theirs | seen]
    seen.update(id(p) for p in own)
    return [*(_named_rows(layer, own) if own or not inner else ()), *below]


def _in_order(layer: Any, parts: list[object]) -> list[object]:
    """The parts, with the functions of a model in their places."""
    functions = [f for f in getattr(layer, "layers", ()) if not hasattr(f, "_parts")]
    if not functions or not isinstance(layer.layers, (list, tuple)):
        return parts
    left, found = list(parts), []
    for one in layer.layers:
        places = [i for i, part in enumerate(left) if part is one]
        if places:  # before it stand the layers of functions
            found += left[: places[0]]
            del left[: places[0] + 1]
        found.append(one)
    return found + left


def _named_rows(layer: Any, parameters: Iterable[Parameter]) -> list[LayerRow]:
    rows = _by_scope(parameters, _kind(layer))
    name = getattr(layer, "name", None) or getattr(layer, "__name__", "") or _kind(layer)
    return rows or [LayerRow(str(name), _kind(layer), ())]


def _kind(layer: Any) -> str:
    return "function" if hasattr(layer, "__name__") else type(layer).__name__


def _by_scope(parameters: Iterable[Parameter], kind: str) -> list[LayerRow]:
    """Rows by what comes before the last slash of the names, in order of first appearance."""
    groups: dict[str, list[Parameter]] = {}
    for p in dict.fromkeys(parameters):
        groups.setdefault(p.name.rpartition("/")[0], []).append(p)
    return [LayerRow(scope, kind, tuple(mine)) for scope, mine in groups.items()]


def _notes(what: object) -> list[str]:
    """Where outputs become float64."""
    if hasattr(what, "parameters") or hasattr(what, "layers"):
        return []
    return widening_lines(topological(t.node for t in flatten(what)[0]))


def _reached(what: object) -> list[Parameter]:
    leaves, _ = flatten(what)
    for tensor in leaves:
        if not isinstance(tensor, Tensor):
            raise ArgumentError(
                f"summary: needs a model or tensors, got {type(tensor).__name__}",
                origin=origins.find_origin(),
            )
    nodes = topological(t.node for t in leaves)
    return [n.handle for n in nodes if isinstance(n.op, leaf.Parameter)]


# ------------------------------------------------------------------------ the table


def _table(rows: Iterable[LayerRow], parameters: list[Parameter]) -> str:
    """Layers with their parameters below, then the totals."""
    cells = [("layer", "type", "numbers", "bytes")]
    for row in rows:
        title = row.name or "(no layer)"
        kind = f" ({row.kind})" if row.kind and row.kind != row.name else ""
        cells.append((title + kind, "", f"{row.count:,}", bytes_text(_bytes(row.parameters))))
        for p in row.parameters:
            own = p.name.rpartition("/")[2]
            fixed = "" if p.trainable else ", not trained"
            cells.append((f"  {own}", f"{p.type}{fixed}", f"{size_of(p):,}", ""))
    total = sum(map(size_of, parameters))
    fixed_count = sum(size_of(p) for p in parameters if not p.trainable)
    ends = [("total", "", f"{total:,}", bytes_text(_bytes(parameters)))]
    if fixed_count:
        ends += [
            ("trained", "", f"{total - fixed_count:,}", ""),
            ("not trained", "", f"{fixed_count:,}", ""),
        ]
    widths = [max(len(c[i]) for c in cells + ends) for i in range(4)]
    rule = "-" * (sum(widths) + 6)
    lines = [_line(cells[0], widths), rule, *(_line(c, widths) for c in cells[1:]), rule]
    return "\n".join([*lines, *(_line(c, widths) for c in ends)])


def _line(cells: tuple[str, str, str, str], widths: list[int]) -> str:
    layer, kind, numbers, size = cells
    left = f"{layer:<{widths[0]}}  {kind:<{widths[1]}}"
    return f"{left}  {numbers:>{widths[2]}}  {size:>{widths[3]}}".rstrip()


def _bytes(parameters: Iterable[Parameter]) -> int:
    return sum(size_of(p) * p.dtype.itemsize for p in parameters)
