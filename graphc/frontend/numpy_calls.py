"""numpy's protocols on tensors: ufuncs of operators are lifted, other functions raise with a
hint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.ir import graph as graphs

OPERATORS = {  # numpy's name for an operator between an array and a tensor, and ours
    "add": "add", "subtract": "subtract", "multiply": "multiply", "divide": "divide",
    "floor_divide": "floor_divide", "remainder": "remainder", "power": "pow", "matmul": "matmul",
    "bitwise_and": "bitwise_and", "bitwise_or": "bitwise_or", "bitwise_xor": "bitwise_xor",
    "left_shift": "bitwise_left_shift", "right_shift": "bitwise_right_shift",
    "equal": "equal", "not_equal": "not_equal", "less": "less", "less_equal": "less_equal",
    "greater": "greater", "greater_equal": "greater_equal",
}  # fmt: skip
OURS = {"concatenate": "concat", "transpose": "permute_dims", "power": "pow", "cumsum":
        "cumulative_sum", "cumprod": "cumulative_prod", "arctan2": "atan2", "absolute": "abs",
        "amax": "max", "amin": "min", "norm": "linalg.vector_norm", "dot": "matmul"}  # fmt: skip


def apply_ufunc(
    functions: Any,
    tensor: Any,
    ufunc: Any,
    method: str,
    inputs: Sequence[Any],
    options: Mapping[str, Any],
) -> Any:
    """An operator of an array and a tensor, one of `functions`; anything else is an error."""
    name = OPERATORS.get(ufunc.__name__)
    targets = options.get("out", ())
    in_place = len(targets) == 1 and targets[0] is inputs[0]  # a += x gives a new a
    if name is None or method != "__call__" or set(options) - {"out"} or (targets and not in_place):
        refuse(functions, tensor, ufunc.__name__)
    return getattr(functions, name)(*inputs)


def apply_function(functions: Any, tensor: Any, function: Any, args: Sequence[Any]) -> Any:
    """The shape, the rank or the size; any other function of numpy's is an error."""
    if function.__name__ not in ("shape", "ndim", "size") or len(args) != 1:
        refuse(functions, tensor, function.__name__)
    return getattr(tensor, function.__name__)


def refuse(functions: Any, tensor: Any, name: str) -> NoReturn:
    """Raise with a hint at the equivalent graphc function."""
    found = OURS.get(name, name.replace("arc", "a") if name.startswith("arc") else name)
    known = name in OURS or hasattr(functions, found)
    label = tensor.name or tensor.node.op.name
    raise ArgumentError(
        f"numpy.{name} cannot compute with {label} {tensor.type}: it is symbolic",
        operands=graphs.describe((tensor.node,)),
        origin=origins.find_origin(),
        hint=f"gx.{found} does it inside the graph" if known else "use functions of gx",
    )
