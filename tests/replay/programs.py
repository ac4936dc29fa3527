"""Programs that others wrote: benchmarks, examples, pages of the documentation."""

from __future__ import annotations

import ast
import contextlib
import io
import linecache
import re
import sys
import types
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import graphc as gx

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```python([^\n`]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
QUICK_EXAMPLES = (
    "digits_mlp",
    "language_model",
    "lstm_five_lines",
    "mnist",
    "pca",
    "retrieval",
    "tsne",
)
PRODUCTS = ((128, 512, 512), (512, 512, 512), (64, 64, 64), (128, 784, 512), (128, 512, 10))
Cases = Iterator[tuple[str, Callable[[], None]]]


# ------------------------------------------------------------------------------- benchmarks


def benchmark_cases(quick: bool) -> Cases:
    """What the benchmarks measure."""
    ours, workloads = module("benchmarks/ours.py"), module("benchmarks/workloads.py")
    for name, workload in workloads.WORKLOADS.items():
        yield f"benchmarks/{name}", partial(ours.build, workload, 2)
    yield "benchmarks/micro", micro
    yield "benchmarks/embedding", partial(module("benchmarks/embedding.py").graphc_step, 2)
    depths = {"fusable": 100, "reductions": 100, "products": 100, "mlp": 16, "scan": 100}
    for kind, depth in (depths | ({} if quick else {"residual": 20})).items():
        yield f"benchmarks/growth_{kind}", partial(grow, kind, depth)
    if quick:
        return
    for case in module("benchmarks/convs.py").CASES:
        yield f"benchmarks/conv_{'_'.join(map(str, case))}", partial(convolve, case)
    yield "benchmarks/ops", partial(measured, "benchmarks/ops.py")
    yield "benchmarks/rows", partial(measured, "benchmarks/rows.py")
    yield "benchmarks/reductions", partial(measured, "benchmarks/reductions.py", 2)
    for name in ("mlp", "cnn"):
        yield f"benchmarks/ship_{name}", partial(shipped, name)
    for path in module("onnx/packaged.py").light_models():
        yield f"benchmarks/{path.stem}", partial(light, path)


def module(name: str) -> Any:
    """A module of the benchmarks or the tests, wherever it lies."""
    found = sys.modules.get(f"replayed_{name}")
    if found is not None:
        return found
    path = next((ROOT / "tests").rglob(name))
    made = types.ModuleType(f"replayed_{name}")
    made.__file__ = str(path)
    sys.modules[made.__name__] = made
    exec(code_of(path), vars(made))
    return made


def code_of(path: Path) -> types.CodeType:
    """A program, in which the lines of a function count from a number that its name gives.

    So an edit elsewhere in the file moves no line that the texts name.
    """
    tree = ast.parse(path.read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            first = 1000 * (zlib.crc32(node.name.encode()) % 10000 + 1)
            ast.increment_lineno(node, first - node.lineno)
    return compile(tree, str(path), "exec")


def micro() -> None:
    """What `micro.py` measures, which itself needs the compiler's insides."""
    for m, k, n in PRODUCTS:
        a, b = gx.input("a", (m, k)), gx.input("b", (k, n))
        gx.compile([a, b], a @ b, threads=1)
    x, y = gx.input("x", (4,)), gx.input("y", (4,))
    w = gx.parameter("w", value=np.zeros(4, np.float32))
    loss = ((x * y + w) ** 2).sum()
    gx.compile([x, y], {"loss": loss}, {w: w - 0.1 * gx.grad(loss, w)})


def grow(kind: str, depth: int) -> None:
    """A deep model, forward and trained."""
    growth = module("benchmarks/growth.py")
    for train in growth.KINDS[kind][2]:
        growth.compiled(kind, depth, train)


def convolve(case: tuple[int, ...]) -> None:
    """A convolution and both gradients."""
    module("benchmarks/convs.py").graphc_calls(case)


def measured(name: str, *args: int) -> None:
    """All functions of a benchmark, which are not timed."""
    benchmark = module(name)
    with (
        mock.patch.object(benchmark, "time_of", return_value=1.0),
        mock.patch.object(benchmark, "bandwidths", dict, create=True),
    ):
        benchmark.graphc_round(*args)


def shipped(name: str) -> None:
    """A small model from ONNX."""
    load_onnx(module("benchmarks/ship.py").onnx_file(name))


def light(path: Path) -> None:
    """A convolutional network with random weights."""
    models = module("onnx/packaged.py")
    load_onnx(models.typed(models.read(path)))


def load_onnx(data: bytes) -> None:
    """Compile what is in an ONNX file."""
    loaded = gx.onnx.load(data)
    gx.compile(list(loaded.inputs.values()), list(loaded.outputs.values()))


# ------------------------------------------------------------------------------- examples


def example_cases(quick: bool) -> Cases:
    """The programs in examples/; `quick` takes those of a few seconds."""
    for path in sorted((ROOT / "examples").glob("*.py")):
        if path.stem != "common" and (not quick or path.stem in QUICK_EXAMPLES):
            yield f"examples/{path.stem}", partial(script, path)


def script(path: Path) -> None:
    """Run a program as the main one."""
    with (
        mock.patch.object(sys, "argv", [path.name]),
        mock.patch.object(sys, "path", [str(path.parent), *sys.path]),
        silence(),
    ):
        exec(code_of(path), {"__name__": "__main__", "__file__": str(path)})


# ------------------------------------------------------------------------------- documentation


def page_cases(quick: bool) -> Cases:
    """The programs of README.md and of docs/."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for page in pages:
        if FENCE.search(page.read_text("utf-8")) and (not quick or page.stem in QUICK_PAGES):
            yield f"pages/{page.stem}", partial(run_page, page)


QUICK_PAGES = ("README", "quickstart")


def run_page(page: Path) -> None:
    """Run the blocks of a page; one that fails, as calls give zeros, ends where it fails."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, (words, text) in enumerate(FENCE.findall(page.read_text("utf-8"))):
        if "no-run" in words:
            continue
        if "file=" in words:
            names = {"__name__": "__main__"}
        name = f"{page.stem}_{number}.py"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        with silence(), contextlib.suppress(Exception):
            exec(compile(text, name, "exec"), names)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """What a program prints is not shown."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
