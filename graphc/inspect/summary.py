"""A table of the parameters of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.inspect.names import bytes_text
from graphc.inspect.widening import widening_lines
from graphc.ir.dims import Size, dims_of, evaluate
from graphc.ir.graph import topological
from graphc.ir.ops import leaf
from graphc.ir.structure import flatten
from graphc.ir.types import TensorType


@dataclass(frozen=True)
class LayerRow:
    """A layer: its name, what it is, and its parameters."""

    name: str
    kind: str
    parameters: tuple[Parameter, ...]
    output: TensorType | None = None  # of its last call
    flops: int | None = None  # of that call, each open dim counted as 1

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

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self)}</pre>"


def summary(what: object) -> Summary:
    """The parameters of a model, a layer, a compiled function or of what outputs depend on.

    Of layers that were called it shows what they gave, its bytes, and their arithmetic, for one
    example (each open dim counts as 1). The result is text; it also has `rows`, `total` and
    `trainable`. Raises ArgumentError for other things.
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
    rows = rows or [LayerRow(str(name), _kind(layer), ())]
    last = getattr(getattr(layer, "_record", None), "last", None)
    if last is None or len(last.results) != 1:
        return rows
    return [replace(rows[0], output=last.results[0].type, flops=_of_one(last.flops)), *rows[1:]]


def _of_one(size: Size) -> int:
    """A count with every open dim 1."""
    return evaluate(size, {dim.name: 1 for dim in dims_of(size)})


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
    rows = list(rows)
    shown = any(row.output is not None for row in rows)
    kinds = "output, type" if shown else "type"
    cells = [("layer", kinds, "numbers", "bytes", "output" * shown, "FLOPs" * shown)]
    for row in rows:
        title = row.name or "(no layer)"
        kind = f" ({row.kind})" if row.kind and row.kind != row.name else ""
        cells.append((title + kind, *_figures(row)))
        for p in row.parameters:
            own = p.name.rpartition("/")[2]
            fixed = "" if p.trainable else ", not trained"
            cells.append((f"  {own}", f"{p.type}{fixed}", f"{size_of(p):,}", "", "", ""))
    total = sum(map(size_of, parameters))
    fixed_count = sum(size_of(p) for p in parameters if not p.trainable)
    work = sum(row.flops or 0 for row in rows)
    kept = bytes_text(sum(_output_bytes(row) for row in rows)) * shown
    ends = [("total", "", f"{total:,}", bytes_text(_bytes(parameters)), kept, f"{work:,}" * shown)]
    if fixed_count:
        ends += [
            ("trained", "", f"{total - fixed_count:,}", "", "", ""),
            ("not trained", "", f"{fixed_count:,}", "", "", ""),
        ]
    widths = [max(len(c[i]) for c in cells + ends) for i in range(6)]
    rule = "-" * (sum(widths) + 6 + 4 * shown)
    lines = [_line(cells[0], widths), rule, *(_line(c, widths) for c in cells[1:]), rule]
    return "\n".join([*lines, *(_line(c, widths) for c in ends)])


def _figures(row: LayerRow) -> tuple[str, str, str, str, str]:
    """What a layer gave, how many numbers it has, their bytes, those of its output, and its
    arithmetic."""
    count, size = f"{row.count:,}", bytes_text(_bytes(row.parameters))
    if row.output is None:
        return "", count, size, "", ""
    return str(row.output), count, size, bytes_text(_output_bytes(row)), f"{row.flops or 0:,}"


def _output_bytes(row: LayerRow) -> int:
    """The bytes of what a layer gave, each open dim counted as 1."""
    if row.output is None:
        return 0
    return _of_one(row.output.size) * row.output.dtype.itemsize


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    layer, kind, *figures = cells
    left = f"{layer:<{widths[0]}}  {kind:<{widths[1]}}"
    return "  ".join([left, *(f"{f:>{w}}" for f, w in zip(figures, widths[2:]))]).rstrip()


def _bytes(parameters: Iterable[Parameter]) -> int:
    return sum(size_of(p) * p.dtype.itemsize for p in parameters)
