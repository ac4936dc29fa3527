"""Which converter an operator has: tables of the families, by name and version."""

from __future__ import annotations

from onnx import NodeProto

from graphc.onnx import (
    ops_arithmetic,
    ops_control,
    ops_conv,
    ops_features,
    ops_index,
    ops_logic,
    ops_math,
    ops_normal,
    ops_pad,
    ops_product,
    ops_quantize,
    ops_random,
    ops_recurrent,
    ops_reduce,
    ops_resize,
    ops_sample,
    ops_sequence,
    ops_shape,
    ops_signal,
    ops_training,
)
from graphc.onnx.call import Converter, Table

TABLES: tuple[Table, ...] = (
    ops_arithmetic.TABLE,
    ops_control.TABLE,
    ops_conv.TABLE,
    ops_features.TABLE,
    ops_index.TABLE,
    ops_logic.TABLE,
    ops_math.TABLE,
    ops_normal.TABLE,
    ops_pad.TABLE,
    ops_product.TABLE,
    ops_quantize.TABLE,
    ops_random.TABLE,
    ops_recurrent.TABLE,
    ops_reduce.TABLE,
    ops_resize.TABLE,
    ops_sample.TABLE,
    ops_sequence.TABLE,
    ops_shape.TABLE,
    ops_signal.TABLE,
    ops_training.TABLE,
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
