"""Which stored arrays of a model are trained: weights, and not what is beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import graphc as gx
from graphc.errors import ArgumentError, NameError

HEAD = '<ir_version: 10, opset_import: ["" : 20, "own" : 1]>\n'
RNG = np.random.default_rng(0)


def model(text: str, **arrays: Any) -> Any:
    """A model in the format's text, with arrays stored."""
    proto = onnx.parser.parse_model(HEAD + text)
    for name, array in arrays.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(array, "f4"), name))
    return proto


def trained(proto: Any, **options: Any) -> list[str]:
    """The names of the trainable parameters."""
    found = gx.onnx.load(proto, **options).parameters
    return [name for name, p in found.items() if isinstance(p, gx.Parameter) and p.trainable]


NORMED = """g (float[N, 3, 8, 8] x) => (float[N, 2] y) {
    c = Conv <pads = [1, 1, 1, 1]> (x, kernel)
    n = BatchNormalization (c, scale, bias, running_mean, running_var)
    r = Clip (n, low, high)
    k = Constant <value = float[4] {1.0, 2.0, 3.0, 4.0}> ()
    p = GlobalAveragePool (r)
    f = Flatten (p)
    s = Mul (f, k)
    y = Gemm <transB = 1> (s, head, offset)
}"""


def normed() -> Any:
    """A convolution, a normalisation by running statistics, and a last layer."""
    return model(
        NORMED, kernel=RNG.normal(size=(4, 3, 3, 3)), scale=np.ones(4), bias=np.zeros(4),
        running_mean=RNG.normal(size=4), running_var=np.ones(4) * 2, low=-9.0, high=[9.0],
        head=RNG.normal(size=(2, 4)), offset=np.zeros(2),
    )  # fmt: skip


def test_running_statistics_and_constants_stay_when_weights_are_trained() -> None:
    loaded = gx.onnx.load(normed())
    assert "high" not in loaded.parameters  # a bound that is read while loading
    x = loaded.inputs["x"]
    loss = gx.mean(gx.square(loaded.outputs["y"] - 1.0))
    step = gx.compile([x], loss, gx.optim.SGD(0.1).minimize(loss))
    before = {name: p.value.copy() for name, p in loaded.parameters.items()}
    step(RNG.normal(size=(5, 3, 8, 8)).astype(np.float32))
    moved = [name for name, p in loaded.parameters.items() if (p.value != before[name]).any()]
    assert moved == ["kernel", "scale", "bias", "head", "offset"]
    assert [n for n in loaded.parameters if n not in moved] == ["running_mean", "running_var"]


def test_an_array_stored_for_a_bias_and_a_mean_is_two_parameters() -> None:
    proto = normed()
    proto.graph.node[1].input[3] = "bias"
    loaded = gx.onnx.load(proto)
    assert list(loaded.parameters) == [
        "kernel", "scale", "bias", "bias_1", "running_var", "head", "offset",
    ]  # fmt: skip
    assert [p.trainable for p in list(loaded.parameters.values())[2:5]] == [True, False, False]


def test_the_choice_of_the_caller() -> None:
    proto = normed()
    assert trained(proto, trainable=False) == []
    assert trained(proto, trainable=True) == [
        "kernel", "scale", "bias", "running_mean", "running_var", "head", "offset",
    ]  # fmt: skip
    assert trained(proto, trainable=["head", "running_mean"]) == ["running_mean", "head"]
    assert trained(proto, trainable=lambda name: name in ("k", "head")) == ["head", "k"]
    with pytest.raises(NameError, match="the file stores no floats called hat"):
        gx.onnx.load(proto, trainable=["hat"])
    with pytest.raises(ArgumentError, match="trainable is a bool, names, or a function"):
        gx.onnx.load(proto, trainable="head")


def test_what_an_exporter_notes_decides() -> None:
    proto = normed()
    for name, kind in (("head", "BUFFER"), ("running_var", "PARAMETER"), ("bias", "PARAMETER")):
        info = proto.graph.value_info.add(name=name)
        key = "pkg.torch.export.graph_signature.InputSpec.kind"
        info.metadata_props.add(key=key, value=kind)
    assert trained(proto) == ["kernel", "scale", "bias", "offset"]


READ: list[tuple[str, Any, bool]] = [
    # embeddings, also scaled, positions, scales and biases, queries that are learnt
    ("e = Gather (w, i) y = Add (e, x)", np.ones((9, 4)), True),
    ("e = Gather (w, i) s = Mul (e, two) y = Add (s, x)", np.ones((9, 4)), True),
    ("y = Add (x, w)", np.ones((3, 4)), True),
    ("y = Mul (x, w)", np.ones((1, 4)), True),
    ("t = Transpose (w) y = MatMul (x, t)", np.ones((4, 4)), True),
    ("y = MatMul (x, w)", np.ones((4, 1)), True),
    ("y = PRelu (x, w)", np.ones((3, 4)), True),
    ("t = LayerNormalization (w, one) y = Add (x, t)", np.ones((3, 4)), True),
    ("y = own.scaled (x, w)", np.ones(4), True),
    # angles, frequencies, masks, windows, settings
    ("a = Gather (w, i) y = Mul (a, x)", np.ones((9, 4)), False),
    ("a = Slice (w, zero, end) b = Unsqueeze (a, zero) y = Mul (x, b)", np.ones((9, 4)), False),
    ("y = Mul (x, w)", np.ones(1), False),
    ("f = Expand (w, shape) y = MatMul (f, q)", np.ones((1, 4, 1)), False),
    ("f = Unsqueeze (w, ends) y = MatMul (f, q)", np.ones(4), False),
    ("y = Add (x, w)", np.triu(np.full((3, 4), -np.inf), 1), False),
    ("c = Cast <to = 1> (w) y = own.scaled (x, c)", np.ones((3, 4)), False),
    ("y = Pow (x, w)", np.full(4, 2.0), False),
    ("b = Less (x, w) y = Cast <to = 1> (b)", np.ones(4), False),
    ("y = QuantizeLinear (x, w)", np.ones(1), False),
]


@pytest.mark.parametrize("case", READ, ids=lambda case: case[0])
def test_how_an_array_is_read(case: Any) -> None:
    text, array, wanted = case
    body = "\n".join(part.strip() for part in text.replace(") ", ")\n").split("\n"))
    proto = model(
        f"""g (float[3, 4] x, int64[3] i, float[3, 1, 4] q) => (float[?] y) {{
            two = Constant <value = float {{2.0}}> ()
            zero = Constant <value = int64[1] {{0}}> ()
            end = Constant <value = int64[1] {{3}}> ()
            ends = Constant <value = int64[2] {{0, -1}}> ()
            shape = Constant <value = int64[3] {{3, 4, 1}}> ()
            {body}
        }}
        <domain: "own", opset_import: ["" : 20]>
        scaled (a, b) => (c) {{ c = Mul (a, b) }}""",
        w=array,
    )
    proto.graph.initializer.append(numpy_helper.from_array(np.ones(4, "f4"), "one"))
    assert ("w" in trained(proto)) == wanted


def test_an_array_read_inside_a_loop() -> None:
    text = """g (float[3] x) => (float[3] y) {
        n = Constant <value = int64 {4}> ()
        yes = Constant <value = bool {1}> ()
        y = Loop (n, yes, w) <body = step (int64 i, bool c, float[3] s) => (bool d, float[3] t) {
            d = Identity (c)
            a = Mul (s, v)
            t = Add (a, x)
        }>
    }"""
    assert trained(model(text, w=np.ones(3), v=np.ones(3))) == ["w", "v"]
    assert trained(model(text, w=np.ones(3), v=np.ones((3, 3))[:, :1])) == ["w", "v"]
