"""Which converter an operator has: tables of the families, by name and version."""

from __future__ import annotations

from onnx import NodeProto

from graphc.onnx import (
    ops_arithmetic,
    ops_logic,
    ops_math,
    ops_reduce,
    ops_shape,
)
from graphc.onnx.call import Converter, Table

TABLES: tuple[Table, ...] = (
    ops_arithmetic.TABLE,
    ops_math.TABLE,
    ops_logic.TABLE,
    ops_reduce.TABLE,
    ops_shape.TABLE,
)

CONVERTERS: Table = {key: converter for table in TABLES for key, converter in table.items()}

VERSIONS: dict[str, tuple[int, ...]] = {
    name: tuple(sorted(v for n, v in CONVERTERS if n == name)) for name, _ in CONVERTERS
}


def find_converter(node: NodeProto, since: int) -> Converter | None:
    """The newest converter that is not newer than a node's definition."""
    domain = "" if node.domain in ("", "ai.onnx") else f"{node.domain}."
    name = domain + node.op_type
    fitting = [v for v in VERSIONS.get(name, ()) if v <= since]
    return CONVERTERS[name, fitting[-1]] if fitting else None
