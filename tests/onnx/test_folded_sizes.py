"""What a model computes of sizes while it is loaded, against the package's own evaluator."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import graphc as gx
from graphc.errors import RuntimeCheckError
from graphc.onnx.importer import Scope
from graphc.onnx.stored import StoredArrays
from graphc.onnx.values import OnnxValue
from graphc.onnx.weights import Uses
from graphc.origin import Origin

OPSET = 18
INTS = ("int64", "int32", "int8", "uint8", "uint32", "uint64", "int16", "uint16")


def node_model(node: Any, inputs: dict[str, Any]) -> Any:
    """A model of one node whose inputs are stored, and all of whose results are outputs."""
    stored = [numpy_helper.from_array(np.asarray(a), name) for name, a in inputs.items()]
    outputs = [helper.make_value_info(name, onnx.TypeProto()) for name in node.output]
    graph = helper.make_graph([node], "g", [], outputs, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def folded(model: Any) -> list[OnnxValue]:
    """What the importer makes of a model without inputs."""
    scope = Scope({"": OPSET}, {}, StoredArrays(Uses(model), None, Origin("g", 0)))
    return scope.run_graph(model.graph, ())


A, B = [[7, -3, 2], [0, -8, 5]], [[2, 2, -3], [1, -3, -5]]
SIZES = [5, 0, 3, 1]
CASES: list[tuple[str, dict[str, Any], list[Any]]] = [
    *((name, {}, [A, B]) for name in ("Add", "Sub", "Mul", "Div", "Max", "Min")),
    *((name, {}, [A, B]) for name in ("Equal", "Less", "Greater", "LessOrEqual")),
    ("GreaterOrEqual", {}, [A, B]),
    ("Mod", {}, [A, B]),
    ("Mod", {"fmod": 1}, [A, B]),
    ("Neg", {}, [A]),
    ("Abs", {}, [A]),
    ("Sign", {}, [A]),
    ("Identity", {}, [A]),
    ("Where", {}, [np.array([True, False, True]), A, B]),
    ("Where", {}, [np.array(True), np.array([7]), np.array(3)]),
    ("Gather", {"axis": 1}, [A, np.array([0, -1])]),
    ("Gather", {"axis": 0}, [SIZES, np.array(-1)]),
    ("GatherElements", {"axis": 1}, [A, np.array([[0, -1], [1, 1]])]),
    ("Concat", {"axis": 0}, [SIZES, [8], SIZES]),
    ("Concat", {"axis": -1}, [A, B]),
    ("Squeeze", {}, [np.array([[4]]), np.array([0])]),
    ("Squeeze", {}, [np.array([[[4], [5]]])]),
    ("Unsqueeze", {}, [SIZES, np.array([0, -1])]),
    ("Slice", {}, [SIZES, np.array([-1]), np.array([-(2**60)]), np.array([0]), np.array([-2])]),
    ("Slice", {}, [A, np.array([0, 1]), np.array([1, 2**60]), np.array([0, 1])]),
    ("Reshape", {}, [A, np.array([3, -1])]),
    ("Reshape", {}, [A, np.array([0, 3, 1])]),
    ("Transpose", {}, [A]),
    ("Flatten", {"axis": 1}, [A]),
    ("Expand", {}, [SIZES, np.array([2, 1])]),
    ("Tile", {}, [SIZES, np.array([2])]),
    ("Split", {"axis": 0, "num_outputs": 2}, [SIZES]),
    ("ScatterElements", {}, [SIZES, np.array([1, -1]), [9, 8]]),
    ("ScatterND", {}, [SIZES, np.array([[1], [-1]]), [9, 8]]),
    ("ReduceProd", {"keepdims": 0}, [[3, 4, 5]]),
    ("ReduceProd", {"noop_with_empty_axes": 1}, [[3, 4, 5]]),
    ("ReduceSum", {"keepdims": 1}, [A, np.array([1])]),
    ("ReduceMax", {}, [A]),
    ("ReduceMin", {}, [A, np.array([0])]),
    ("CumSum", {}, [SIZES, np.array(0)]),
    ("Size", {}, [A]),
    ("Shape", {"start": 1}, [A]),
    ("ArgMax", {}, [A]),
    ("Clip", {}, [SIZES, np.array(1), np.array(3)]),
    *(("Cast", {"to": int(kind)}, [A]) for kind in (TensorProto.INT32, TensorProto.INT64)),
    *(("Cast", {"to": int(kind)}, [A]) for kind in (TensorProto.BOOL, TensorProto.FLOAT)),
    ("Cast", {"to": int(TensorProto.UINT8)}, [A]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_constants_are_folded_as_numpy_does(case: Any) -> None:
    """In every dtype that the operator takes, with the dtype of the result."""
    name, attributes, operands = case
    schema = onnx.defs.get_schema(name, OPSET)
    tried = 0
    for dtype in INTS:
        arrays = [np.asarray(a).astype(dtype) if isinstance(a, list) else a for a in operands]
        if name == "Clip":
            arrays = [a.astype(dtype) for a in arrays]
        if name == "Where" and not isinstance(operands[1], list):
            arrays[1:] = [a.astype(dtype) for a in arrays[1:]]
        inputs = {f"x{i}": a for i, a in enumerate(arrays)}
        count = 2 if name == "Split" else 1
        node = helper.make_node(name, list(inputs), [f"y{i}" for i in range(count)], **attributes)
        model = node_model(node, inputs)
        kind = f"tensor({dtype})"
        taken = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
        places = [min(i, len(schema.inputs) - 1) for i, a in enumerate(arrays) if a.dtype == dtype]
        letters = [schema.inputs[i].type_str for i in places]
        if any(kind not in taken.get(letter, [letter]) for letter in letters):
            continue
        if dtype.startswith("u") and name in ("Neg", "Abs", "Sign"):
            continue
        tried += 1
        with np.errstate(all="ignore"):
            wanted = ReferenceEvaluator(model).run(None, {})
        for want, got in zip(wanted, folded(model)):  # type: ignore[call-overload]
            assert got.array is not None, "it is not folded"
            np.testing.assert_array_equal(got.array, want)
            assert (got.array.dtype, got.array.shape) == (want.dtype, want.shape)
    assert tried


# ------------------------------------------------------------------------- symbolic sizes

EXPAND = """g (float[N, 4] x) => (float[?, ?, ?] y) {
    axis = Constant <value = int64[1] {1}> ()
    wide = Unsqueeze (x, axis)
    wanted = Constant <value = int64[3] {-1, 5, -1}> ()
    count = Constant <value = int64[1] {3}> ()
    ones = ConstantOfShape <value = int64[1] {1}> (count)
    minus = Constant <value = int64 {-1}> ()
    marks = Mul (ones, minus)
    open = Equal (wanted, marks)
    sizes = Where (open, ones, wanted)
    y = Expand (wide, sizes)
}"""


def loaded(text: str) -> Any:
    """A model in the format's text, and what is loaded of it."""
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {OPSET}]>\n{text}')
    return proto, gx.onnx.load(proto)


def test_sizes_chosen_by_a_condition() -> None:
    """As exporters write `x[:, None].expand(-1, 5, -1)`."""
    _, model = loaded(EXPAND)
    assert str(model.outputs["y"].type) == "f32[N,5,4]"


def test_heads_of_attention_with_an_open_batch() -> None:
    """Sizes divided with a check of what is left over, and one counted backwards."""
    text = """g (float[N, T, 16] x) => (float[?, ?, ?, ?] y) {
        shape = Shape (x)
        zero = Constant <value = int64 {0}> ()
        two = Constant <value = int64 {2}> ()
        four = Constant <value = int64[1] {4}> ()
        axes = Constant <value = int64[1] {0}> ()
        n = Gather (shape, zero)
        width = Gather (shape, two)
        row = Unsqueeze (n, axes)
        last = Unsqueeze (width, axes)
        each = Div (last, four)
        over = Mod (last, four)
        rest = Neg (row)
        back = Neg (rest)
        many = Mul (back, four)
        head = Sub (each, over)
        minus = Constant <value = int64[1] {-1}> ()
        sizes = Concat <axis = 0> (row, minus, four, head)
        y = Reshape (x, sizes)
    }"""
    _, model = loaded(text)
    assert str(model.outputs["y"].type) == "f32[N,T,4,4]"


def test_remainders_and_quotients_of_symbolic_sizes() -> None:
    text = """g (float[N, T] x) => (float[?] y) {
        shape = Shape <start = 1> (x)
        four = Constant <value = int64[1] {4}> ()
        three = Constant <value = int64[1] {3}> ()
        over = Mod (shape, four)
        missing = Sub (four, over)
        some = Mod (missing, four)
        small = Cast <to = 6> (some)
        wide = Cast <to = 7> (small)
        y = ConstantOfShape (wide)
    }"""
    proto, model = loaded(text)
    f = gx.compile(list(model.inputs.values()), model.outputs["y"])
    for t in (1, 4, 6, 7):
        x = np.random.default_rng(t).standard_normal((2, t)).astype(np.float32)
        (want,) = ReferenceEvaluator(proto).run(None, {"x": x})
        np.testing.assert_array_equal(f(x), want)
    assert str(model.outputs["y"].type) == "f32[-4*((-T+4)//4)-T+4]"


UNARY = ("Neg", "Abs", "Identity", "Cast 6", "Cast 7", "Squeeze", "Slice", "Gather", "ReduceProd")
BINARY = ("Add", "Sub", "Mul", "Div", "Mod", "Max", "Min", "Concat", "Where")


def program(seed: int) -> str:
    """A random program on the sizes of x, in one element type."""
    rng = np.random.default_rng(seed)
    lines = ["shape = Shape (x)"]
    known = {"shape": 2}
    for i in range(3):
        numbers = rng.integers(-3, 6, 2)
        lines.append(f"c{i} = Constant <value = int64[2] {{{numbers[0]}, {numbers[1] or 2}}}> ()")
        known[f"c{i}"] = 2
    lines.append("i = Constant <value = int64[2] {1, -2}> ()")
    for i in range(10):
        a, b = rng.choice(list(known), 2)
        name, y = str(rng.choice(UNARY + BINARY)), f"v{i}"
        if name in BINARY and name != "Concat" and known[a] != known[b]:
            continue
        size = known[a]
        match name:
            case "Concat":
                lines.append(f"{y} = Concat <axis = 0> ({a}, {b})")
                size = known[a] + known[b]
            case "Where":
                lines += [f"{y}_c = Less ({a}, {b})", f"{y} = Where ({y}_c, {a}, {b})"]
            case "Gather" | "Slice" if size < 2:
                continue
            case "Gather":
                lines.append(f"{y} = Gather ({a}, i)")
                size = 2
            case "Slice":
                lines.append(f"{y} = Slice ({a}, one, far)")
                size -= 1
            case "Squeeze":
                lines += [f"{y}_u = Unsqueeze ({a}, one)", f"{y} = Squeeze ({y}_u, one)"]
            case "ReduceProd":
                lines.append(f"{y} = ReduceProd ({a})")
                size = 1
            case "Cast 6" | "Cast 7":  # there and back
                lines += [f"{y}_c = Cast <to = 6> ({a})", f"{y} = Cast <to = 7> ({y}_c)"]
            case _ if name in BINARY:
                lines.append(f"{y} = {name} ({a}, {b})")
            case _:
                lines.append(f"{y} = {name} ({a})")
        known[y] = size
    lines[:0] = [
        "one = Constant <value = int64[1] {1}> ()",
        "far = Constant <value = int64[1] {9223372036854775807}> ()",
    ]
    body = "\n".join(lines)
    return f"g (float[N, T] x) => (int64[?] {list(known)[-1]}) {{\n{body}\n}}"


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_on_sizes(seed: int) -> None:
    text = program(seed)
    proto, model = loaded(text)
    (y,) = model.outputs.values()
    f = gx.compile(list(model.inputs.values()), y, target="interpret")
    for shape in ((1, 1), (2, 5), (7, 3)):
        x = np.zeros(shape, np.float32)
        try:
            with np.errstate(all="raise"):
                (want,) = expected(proto, x)
        except FloatingPointError:  # a division by 0
            with suppress(RuntimeCheckError):  # the evaluator also runs what nothing needs
                assert f(x).dtype == np.int64
            continue
        np.testing.assert_array_equal(f(x), want, err_msg=text)
        assert f(x).dtype == want.dtype


def expected(proto: Any, x: Any) -> Any:
    """The evaluator's result; its Div rounds down, the format's towards 0."""
    from onnx.reference.op_run import OpRun

    class Div(OpRun):  # type: ignore[misc]
        """Rounded towards 0."""

        op_domain = ""

        def _run(self, a: Any, b: Any) -> Any:
            quotient = a // b
            return (quotient + ((quotient * b != a) & ((a < 0) != (b < 0))),)

    return ReferenceEvaluator(proto, new_ops=[Div]).run(None, {"x": x})
