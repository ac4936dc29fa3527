"""Products by cuBLASLt: which they are, what they mean, and which calls a GPU would get."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, BackendError, VerifyError
from graphc.ir.types import float32
from graphc_cuda.check_plan import check_plan
from graphc_cuda.driver import Driver
from graphc_cuda.gpu_graph import Bound, Graph
from graphc_cuda.launch import ARENA, INPUT, FillNode, LibraryNode, Place, Region
from graphc_cuda.library import choice
from graphc_cuda.library.cublaslt import CublasLt, find_library, version
from graphc_cuda.library.epilogue import GELU, NONE, RELU, Epilogue
from graphc_cuda.library.product import F32, TF32, WORKSPACE_BYTES, Matrix, Product
from graphc_cuda.plan_data import plan_from_data, plan_to_data
from graphc_cuda.plan_launches import plan_launches

nn = gx.nn
N = 256


def _calls(outputs: Any, *inputs: Any, **options: Any) -> list[LibraryNode]:
    """The calls that a function makes, with a plan that is right."""
    function = gx.compile(list(inputs), outputs, target="cuda-simulate", **options)
    plan = plan_launches(function.program, {}, True)
    check_plan(plan)
    again = plan_from_data(plan_to_data(plan))
    calls = [n for n in plan.nodes if isinstance(n, LibraryNode)]
    assert [n.product for n in again.nodes if isinstance(n, LibraryNode)] == [
        n.product for n in calls
    ]
    assert not any(isinstance(n, LibraryNode) for n in plan_launches(function.program, {}).nodes)
    return calls


Make = Callable[[gx.Tensor, gx.Tensor], gx.Tensor]
LAYOUTS: dict[str, tuple[Make, str]] = {
    "plain": (lambda x, y: x @ y, "nn"),
    "left turned": (lambda x, y: gx.matrix_transpose(x) @ y, "nt"),
    "right turned": (lambda x, y: x @ gx.matrix_transpose(y), "tn"),
    "epilogue": (lambda x, y: nn.relu(x @ y + y[0]), "nn"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_results(name: str) -> None:
    make, turned = LAYOUTS[name]
    x, y = gx.input("x", (N, N)), gx.input("y", (N, N))
    (call,) = _calls(make(x, y), x, y)
    assert f" {turned} " in str(call.product)
    rng = np.random.default_rng(0)
    values = [rng.integers(-4, 5, (N, N)).astype("float32") for _ in range(2)]  # exact sums
    options = {"target": "cuda-simulate", "gpu_libraries": "require"}
    found = gx.compile([x, y], make(x, y), **options)(*values)
    np.testing.assert_array_equal(found, gx.compile([x, y], make(x, y))(*values))


AFTER: dict[str, Callable[[gx.Tensor, gx.Tensor], gx.Tensor]] = {
    "bias": lambda sums, bias: sums + bias,
    "relu": lambda sums, bias: nn.relu(sums),
    "bias relu": lambda sums, bias: nn.relu(bias + sums),
    "gelu": lambda sums, bias: nn.gelu(sums, approximate=True),
    "bias gelu": lambda sums, bias: nn.gelu(sums + bias, approximate=True),
}


def _after(name: str) -> tuple[list[gx.Tensor], gx.Tensor]:
    """Dense inputs with a bias, if it is wanted, and what follows their product."""
    x, y, bias = (gx.input(n, s) for n, s in (("x", (N, 352)), ("y", (352, N)), ("bias", (N,))))
    return [x, y, bias][: 2 + ("bias" in name)], AFTER[name](x @ y, bias)


@pytest.mark.parametrize("name", AFTER)
def test_epilogues_are_in_the_call(name: str) -> None:
    inputs, result = _after(name)
    (call,) = _calls(result, *inputs)
    assert str(call.product).endswith(f" by f32, {name}")
    assert len(call.arguments) == 4 + ("bias" in name)
    function = gx.compile(inputs, result, target="cuda-simulate", gpu_libraries="require")
    assert len(plan_launches(function.program, {}, True).nodes) == 1
    rng = np.random.default_rng(0)
    values = [rng.integers(-2, 3, x.shape).astype("float32") * 0.25 for x in inputs]  # exact sums
    mine, theirs = function(*values), gx.compile(inputs, result)(*values)
    if "gelu" in name:
        gx.testing.assert_close(mine, theirs)
    else:
        np.testing.assert_array_equal(mine, theirs)


def test_epilogues_that_are_left_to_kernels() -> None:
    x, y, bias = (gx.input(n, s) for n, s in (("x", (N, N)), ("y", (N, N)), ("bias", (N, 1))))
    sums, wide = x @ y, gx.input("wide", (2, N, N))
    others = {"rows": sums + bias, "scale": sums * y[0], "exact": nn.gelu(sums), "all": sums + y}
    others |= {"after": nn.relu(sums) + y[0], "number": sums + y[0, 0], "batch": wide @ wide + y[0]}
    for name, result in others.items():
        inputs = {"rows": (x, y, bias), "batch": (wide, y)}.get(name, (x, y))
        assert [str(c.product.epilogue) for c in _calls(result, *inputs)] == [""], name


def test_a_bias_in_the_wrong_place() -> None:
    inputs, result = _after("bias")
    plan = plan_launches(gx.compile(inputs, result, target="cuda-simulate").program, {}, True)
    (call,) = plan.nodes
    assert isinstance(call, LibraryNode)
    a, b, c, space, bias = call.arguments
    for places, message in (
        ((a, b, c, space), "3 places for 4 arrays"),
        ((a, b, c, space, replace(bias, size=4)), "a matrix of 1024 bytes at"),
        ((a, b, c, space, replace(c, size=1024)), "writes over what it reads"),
    ):
        with pytest.raises(VerifyError, match=message):
            check_plan(replace(plan, nodes=(replace(call, arguments=places),)))


def test_batches_and_strides() -> None:
    x, y = gx.input("x", (4, 128, 272)), gx.input("y", (4, 256, 160))
    product = x[:, :, 16:] @ y
    (call,) = _calls(product, x, y)
    assert call.product.batch == 4
    assert (call.product.b.leading, call.product.b.stride) == (272, 128 * 272)
    assert call.arguments[1].offset == 16 * 4
    rng = np.random.default_rng(0)
    values = [rng.integers(-4, 5, n.shape).astype("float32") for n in (x, y)]
    function = gx.compile([x, y], product, target="cuda-simulate", gpu_libraries="require")
    np.testing.assert_array_equal(function(*values), values[0][:, :, 16:] @ values[1])


def test_what_is_left_to_kernels() -> None:
    x, y = gx.input("x", (N, N)), gx.input("y", (N, N))
    assert not _calls(x[:, :128] @ y[:128], x, y)  # small
    assert not _calls(x[:, ::2] @ gx.concat([y, y], axis=1)[:128], x, y)  # no neighbours


def test_precision() -> None:
    x, y = gx.input("x", (N, N)), gx.input("y", (N, N))
    assert [c.product.compute for c in _calls(x @ y, x, y)] == [F32]
    assert [c.product.compute for c in _calls(x @ y, x, y, precision="tf32")] == [TF32]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_types(dtype: str) -> None:
    x, y = (gx.input(n, (N, N), dtype=dtype) for n in ("x", "y"))
    (call,) = _calls(x @ y, x, y)
    assert call.product.a.dtype.name == dtype
    rng = np.random.default_rng(0)
    values = [rng.integers(-4, 5, (N, N)).astype(x.type.dtype.numpy) for _ in range(2)]
    found = [
        gx.compile([x, y], x @ y, target="cuda-simulate", gpu_libraries=how)(*values)
        for how in ("require", "off")
    ]
    np.testing.assert_array_equal(found[0], found[1])


def test_plans_that_are_wrong() -> None:
    x, y = gx.input("x", (N, N)), gx.input("y", (N, N))
    function = gx.compile([x, y], x @ y, target="cuda-simulate")
    plan = plan_launches(function.program, {}, True)
    (call,) = plan.nodes
    assert isinstance(call, LibraryNode)
    for which, place in ((2, call.arguments[0]), (0, Place(Region(ARENA), 0, 4))):
        places = list(call.arguments)
        places[which] = place
        object.__setattr__(call, "arguments", tuple(places))
        with pytest.raises(VerifyError):
            check_plan(plan)


def test_the_report_names_calls() -> None:
    x, y = gx.input("x", (N, N)), gx.input("y", (N, N))
    step = gx.compile([x, y], x @ y, target="cuda-simulate", gpu_libraries="require")
    step(np.zeros((N, N), "float32"), np.zeros((N, N), "float32"))
    assert "cuBLASLt 1x256x256x256 nn float32 to float32 by f32" in str(step.report())


def test_options(monkeypatch: pytest.MonkeyPatch) -> None:
    x = gx.input("x", (2,))
    with pytest.raises(ArgumentError, match="gpu_libraries must be one of off, auto, require"):
        gx.compile([x], x, gpu_libraries="always")
    monkeypatch.setattr(choice, "find_library", lambda: None)
    asked = {w: gx.compile([x], x + 1.0, gpu_libraries=w).options for w in ("off", "auto")}
    assert [choice.library_of(o) for o in asked.values()] == ["", ""]
    options = gx.compile([x], x + 1.0, gpu_libraries="require").options
    with pytest.raises(BackendError, match=r"libcublasLt\.so"):
        choice.library_of(options)


class FakeDriver:
    """Records calls; every call makes a numbered thing."""

    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_RELAXED=2)

    CUDA_MEMSET_NODE_PARAMS = SimpleNamespace

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., tuple[int, int]]:
        def call(*arguments: Any) -> tuple[int, int]:
            self.calls.append((name, arguments))
            return 0, 13000 if name == "cuDriverGetVersion" else len(self.calls)

        return call

    def named(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of every call of a name."""
        return [arguments for each, arguments in self.calls if each == name]


class FakeQueue:
    """A stream, and a library that the driver's record knows of."""

    def __init__(self, fake: FakeDriver) -> None:
        self.driver, self.stream, self.context = Driver(lambda: fake), 80, 0
        self.products = FakeLibrary()

    def library(self, make: Callable[..., CublasLt]) -> CublasLt:
        """The recording library."""
        return CublasLt(lambda: self.products)


def test_calls_in_a_graph() -> None:
    """A call is captured into a child of the graph with the plan's edges; again when it moves."""
    places = [Place(Region(INPUT, i), 16, 64) for i in range(4)]
    call = LibraryNode("product", PRODUCT, (places[0], places[1], places[2], places[3]))
    fill = FillNode(places[0], 0)
    fake = FakeDriver()
    queue: Any = FakeQueue(fake)
    memories: Any = {p.region: SimpleNamespace(address=1000 * i, nbytes=80)
                     for i, p in enumerate(places)}  # fmt: skip
    bound = Bound(queue, {}, memories)
    graph = Graph(queue, bound, [fill, call, call], [(0, 1), (1, 2)])
    order = [n for n, _ in fake.calls if n.startswith(("cuStream", "cuGraph"))]
    child = ["cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphAddChildGraphNode"]
    child += ["cuGraphDestroy"]
    assert order == ["cuGraphCreate", "cuGraphAddMemsetNode", *child, *child, "cuGraphInstantiate"]
    numbers = [i + 1 for i, (n, _) in enumerate(fake.calls) if n.startswith("cuGraphAdd")]
    after = [arguments[1] for arguments in fake.named("cuGraphAddChildGraphNode")]
    assert after == [[numbers[0]], [numbers[1]]]
    memories = {places[2].region: SimpleNamespace(address=5000, nbytes=80)}
    bound.move(memories)
    graph.move(frozenset(memories))
    changed = [a[1] for a in fake.named("cuGraphExecChildGraphNodeSetParams")]
    assert changed == numbers[1:]
    last = [a for n, a in queue.products.calls if n == "cublasLtMatmul"][-1]
    assert [last[i].value for i in (3, 5, 10, 13)] == [16, 1016, 5016, 3016]
    graph.release()


class FakeLibrary:
    """Records what is asked; operands and results of a product are memory of the host."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., int]:
        def call(*arguments: Any) -> int:
            self.calls.append((name, arguments))
            if name == "cublasLtMatmulAlgoGetHeuristic":
                arguments[-1]._obj.value = 1
            return 0

        return call

    def attributes(self, what: str) -> dict[int, list[int]]:
        """What was set, by the number of the attribute."""
        found: dict[int, list[int]] = {}
        for name, arguments in self.calls:
            if name == f"cublasLt{what}SetAttribute":
                assert arguments[3].value == ctypes.sizeof(arguments[2]._obj)
                found.setdefault(arguments[1].value, []).append(arguments[2]._obj.value)
        return found


PRODUCT = Product(
    2, 5, Matrix(float32, 3, 5, 4, 20), Matrix(float32, 7, 5, 7, 35, True),
    Matrix(float32, 3, 7, 3, 21), F32,
)  # fmt: skip


def test_calls_of_the_library() -> None:
    fake = FakeLibrary()
    made = CublasLt(lambda: fake).prepare(PRODUCT)
    made.run((16, 32, 48, 64), 80)
    assert fake.attributes("MatmulDesc") == {3: [0], 4: [1]}
    assert fake.attributes("MatrixLayout") == {5: [2, 2, 2], 6: [20, 35, 21]}
    assert fake.attributes("MatmulPreference")[3] == [0]  # sums in one piece
    name, arguments = fake.calls[-1]
    assert name == "cublasLtMatmul"
    addresses = [arguments[i].value for i in (3, 5, 8, 10, 13, 15)]
    assert addresses == [16, 32, 48, 48, 64, 80]
    assert arguments[14].value == WORKSPACE_BYTES


@pytest.mark.parametrize(
    ("epilogue", "number"),
    [
        (Epilogue(RELU), 2), (Epilogue(NONE, True), 4), (Epilogue(RELU, True), 6),
        (Epilogue(GELU), 32), (Epilogue(GELU, True), 36),
    ],
    ids=str,
)  # fmt: skip
def test_calls_with_an_epilogue(epilogue: Epilogue, number: int) -> None:
    fake = FakeLibrary()
    product = replace(PRODUCT, batch=1, epilogue=epilogue)
    made = CublasLt(lambda: fake).prepare(product)
    asked = [name for name, _ in fake.calls]
    last = max(i for i, name in enumerate(asked) if name == "cublasLtMatmulDescSetAttribute")
    assert last < asked.index("cublasLtMatmulAlgoGetHeuristic")  # it is chosen for the epilogue
    made.run((16, 32, 48, 64, 160)[: 4 + epilogue.has_bias], 80)
    biases = {8: [16, 160]} if epilogue.has_bias else {}
    assert fake.attributes("MatmulDesc") == {3: [0], 4: [1], 7: [number]} | biases


def test_the_real_library_takes_descriptions() -> None:
    path = find_library()
    if path is None:
        pytest.skip("needs libcublasLt (pip install nvidia-cublas)")
    assert version(path) >= 120000
    library = ctypes.CDLL(path)

    class WithoutGpu(FakeLibrary):
        """The library, but for what needs a GPU."""

        def __getattr__(self, name: str) -> Callable[..., int]:
            if name in ("cublasLtCreate", "cublasLtMatmulAlgoGetHeuristic", "cublasLtMatmul"):
                return super().__getattr__(name)
            found: Callable[..., int] = getattr(library, name)
            return found

    described = CublasLt(WithoutGpu).prepare(replace(PRODUCT, epilogue=Epilogue(RELU, True)))
    number, bias, length = ctypes.c_int32(), ctypes.c_uint64(), ctypes.c_size_t()
    for word, value, into in ((7, 6, number), (8, 16, bias)):
        width = ctypes.c_size_t(ctypes.sizeof(into))
        ask = library.cublasLtMatmulDescGetAttribute
        assert not ask(described.description, word, ctypes.byref(into), width, ctypes.byref(length))
        assert into.value == value
    made = CublasLt(WithoutGpu).prepare(PRODUCT)
    read, size = ctypes.c_int64(), ctypes.c_size_t()
    get = library.cublasLtMatrixLayoutGetAttribute
    wanted = {2: 3, 3: 5, 4: 4, 5: 2, 6: 20}  # rows, columns, leading, batch, stride
    for word, value in wanted.items():
        read.value = 0
        width = ctypes.c_size_t(4 if word == 5 else 8)
        assert not get(made.layouts[0], word, ctypes.byref(read), width, ctypes.byref(size))
        assert read.value == value
