"""Size, start-up time and speed of compiled networks outside of the framework.

    python -m tests.benchmarks.ship [--rounds 5] [--folder DIR] [SYSTEM ...]     everything, in turn
    python -m tests.benchmarks.ship call SYSTEM MODEL DIR CALLS                  one process

Needs onnx and a C compiler; systems whose packages are missing are left out. All run the same
ONNX file or its weights, one thread, batch 1, on the inputs of `images`; results are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
CALLS = {"mlp": 3000, "cnn": 1000}
PACKAGES = {
    "graphc-c": "onnx", "graphc-python": "onnx", "emx-c": "emx_onnx_cgen",
    "onnxruntime": "onnxruntime", "aoti-python": "torch", "aoti-c++": "torch", "jax": "jax",
}  # fmt: skip

C_MAIN = r"""
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
%s
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}
static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
int main(int count, char **words) {
  static float x[784], y[10];
  static double times[100000];
  FILE *file = fopen(words[1], "rb");
  if (count < 3 || !file || fread(x, 4, 784, file) != 784) return 1;
  start();
  infer(x, y);
  int calls = atoi(words[2]);
  for (int i = 0; i < calls; i++) {
    double begin = now();
    infer(x, y);
    times[i] = now() - begin;
  }
  qsort(times, (size_t)calls, sizeof *times, by_size);
  printf("{\"us\": %%g, \"y\": [", calls ? times[calls / 2] : 0.0);
  for (int i = 0; i < 10; i++) printf("%%s%%.9g", i ? ", " : "", y[i]);
  printf("]}\n");
  return 0;
}
"""
GRAPHC = r"""
#include "net.h"
_Alignas(64) static unsigned char workspace[NET_WORKSPACE_BYTES];
static void start(void) { if (net_init(workspace, sizeof workspace)) exit(2); }
static void infer(const float *x, float *y) { if (net_run(workspace, x, y)) exit(3); }
"""
EMX = r"""
void net(const float *x, float *y);
static void start(void) {}
static void infer(const float *x, float *y) { net(x, y); }
"""
AOTI = r"""
#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <cstring>
#include <memory>
static std::unique_ptr<torch::inductor::AOTIModelPackageLoader> model;
static void start(void) {
  at::set_num_threads(1);
  model = std::make_unique<torch::inductor::AOTIModelPackageLoader>("model.pt2");
}
static void infer(const float *x, float *y) {
  c10::InferenceMode guard;
  std::vector<at::Tensor> given = {at::from_blob((void *)x, {SHAPE})};
  std::memcpy(y, model->run(given)[0].const_data_ptr<float>(), 40);
}
"""


# -- the networks -------------------------------------------------------------------------


def weights(model: str) -> dict[str, np.ndarray[Any, Any]]:
    """Parameters, the same every time."""
    rng = np.random.default_rng(0)
    shapes = {
        "mlp": {"w0": (784, 256), "b0": (256,), "w1": (256, 10), "b1": (10,)},
        "cnn": {"k0": (8, 1, 5, 5), "c0": (8,), "k1": (16, 8, 5, 5), "c1": (16,),
                "w0": (256, 10), "b0": (10,)},
    }[model]  # fmt: skip
    return {
        name: (rng.standard_normal(shape) / np.sqrt(max(1, np.prod(shape[:-1]) ** 0.5))).astype(
            np.float32
        )
        for name, shape in shapes.items()
    }


def shape_of(model: str) -> tuple[int, ...]:
    """The input: one picture."""
    return (1, 784) if model == "mlp" else (1, 1, 28, 28)


def onnx_file(model: str) -> bytes:
    """The network as an ONNX file."""
    from onnx import TensorProto, helper, numpy_helper

    def node(op: str, given: str, **attributes: Any) -> Any:
        *inputs, output = given.split()
        return helper.make_node(op, inputs, [output], **attributes)

    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = {
        "mlp": [node("Gemm", "x w0 b0 h"), node("Relu", "h r"), node("Gemm", "r w1 b1 y")],
        "cnn": [
            node("Conv", "x k0 c0 h0"), node("Relu", "h0 r0"), node("MaxPool", "r0 p0", **pool),
            node("Conv", "p0 k1 c1 h1"), node("Relu", "h1 r1"), node("MaxPool", "r1 p1", **pool),
            node("Flatten", "p1 f"), node("Gemm", "f w0 b0 y"),
        ],
    }[model]  # fmt: skip
    kinds = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", shape_of(model)), ("y", (1, 10)))
    ]
    constants = [numpy_helper.from_array(v, name) for name, v in weights(model).items()]
    graph = helper.make_graph(nodes, model, kinds[:1], kinds[1:], constants)
    opset = [helper.make_opsetid("", 13)]
    made: bytes = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    return made


def torch_model(model: str) -> Any:
    """The same in torch."""
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, value in weights(model).items():
                setattr(self, name, torch.nn.Parameter(torch.from_numpy(value)))

        def forward(self, x: Any) -> Any:
            f = torch.nn.functional
            if model == "mlp":
                return f.relu(x @ self.w0 + self.b0) @ self.w1 + self.b1
            x = f.max_pool2d(f.relu(f.conv2d(x, self.k0, self.c0)), 2)
            x = f.max_pool2d(f.relu(f.conv2d(x, self.k1, self.c1)), 2)
            return x.flatten(1) @ self.w0 + self.b0

    return Network().eval()


def jax_model(model: str) -> Any:
    """The same in jax."""
    import jax
    from jax import lax, nn

    p = weights(model)

    def stage(x: Any, kernel: Any, bias: Any) -> Any:
        y = nn.relu(lax.conv(x, kernel, (1, 1), "VALID") + bias[:, None, None])
        return lax.reduce_window(y, -np.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def mlp(x: Any) -> Any:
        return nn.relu(x @ p["w0"] + p["b0"]) @ p["w1"] + p["b1"]

    def cnn(x: Any) -> Any:
        x = stage(stage(x, p["k0"], p["c0"]), p["k1"], p["c1"])
        return x.reshape(1, -1) @ p["w0"] + p["b0"]

    return jax.jit({"mlp": mlp, "cnn": cnn}[model])


# -- made once ----------------------------------------------------------------------------


def run(*command: Any, cwd: Path) -> None:
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stdout[-2000:]}{done.stderr[-3000:]}")


def code_bytes(path: Path) -> int:
    """Code and constants of a program or library, less the weights."""
    text = subprocess.run(["size", path], capture_output=True, text=True, check=True).stdout
    return int(text.splitlines()[1].split()[0])


def compile_c(folder: Path, source: str, *more: str) -> None:
    (folder / "main.c").write_text(C_MAIN % source)
    options = ["-O3", "-march=native", "-ffast-math"] if "net.c" in more else ["-O2"]
    run("cc", *options, "main.c", *more, "-lm", "-o", "main", cwd=folder)
    run("strip", "main", cwd=folder)


def make(system: str, model: str, folder: Path) -> None:
    """Everything that a system needs to run a model, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(onnx_file(model))
    if system.startswith("graphc"):
        import graphc as gx

        loaded = gx.onnx.load(folder / "model.onnx")
        f = gx.compile(
            list(loaded.inputs.values()), next(iter(loaded.outputs.values())), mode="inference"
        )
        f.export(folder, name="net", frozen=True, selftest=False, threads=1)
        compile_c(folder, GRAPHC, "net.a")
    elif system == "emx-c":
        tool = Path(sys.executable).parent / "emx-onnx-cgen"
        inside = ["--large-weight-threshold", 0, "--large-temp-threshold", 0]
        named = ["--restrict-arrays", "--model-name", "net", "model.onnx", "net.c"]
        run(tool, "compile", *inside, *named, cwd=folder)
        compile_c(folder, EMX, "net.c")
    elif system == "aoti-python":
        import torch

        x = torch.zeros(shape_of(model))
        with torch.no_grad():
            program = torch.export.export(torch_model(model), (x,))
            place = str(folder / "model.pt2")
            torch._inductor.aoti_compile_and_package(program, package_path=place)
    elif system == "aoti-c++":
        make_aoti_program(model, folder)
    elif system == "jax":
        from jax import export

        x = np.zeros(shape_of(model), np.float32)
        (folder / "model.jax").write_bytes(export.export(jax_model(model))(x).serialize())


def make_aoti_program(model: str, folder: Path) -> None:
    """A C++ program that loads the package which the Python process loads."""
    import torch
    from torch.utils import cpp_extension

    made = folder.parent / "aoti-python" / "model.pt2"
    (folder / "model.pt2").write_bytes(made.read_bytes())
    source = AOTI.replace("SHAPE", ", ".join(map(str, shape_of(model))))
    (folder / "main.cpp").write_text(C_MAIN % source)
    places = [f"-I{path}" for path in cpp_extension.include_paths()]
    lib = Path(torch.__file__).parent / "lib"
    abi = f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"
    linked = [f"-L{lib}", f"-Wl,-rpath,{lib}", "-Wl,--no-as-needed"]
    linked += ["-ltorch", "-ltorch_cpu", "-lc10"]
    run("c++", "-std=c++20", "-O2", abi, *places, "main.cpp", *linked, "-o", "main", cwd=folder)


# -- one process --------------------------------------------------------------------------


def picture(model: str) -> np.ndarray[Any, Any]:
    """An input."""
    return np.random.default_rng(1).random(shape_of(model), np.float32)


def loaded(system: str, model: str, folder: Path) -> Any:
    """A function from an array to an array; only what the system needs is imported."""
    if system == "graphc-python":
        from graphc.export.library import load_library

        return load_library(folder / "net.json")
    if system == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        return lambda x: session.run(None, {"x": x})[0]
    if system == "aoti-python":
        import torch

        torch.set_num_threads(1)
        packaged = torch._inductor.aoti_load_package(str(folder / "model.pt2"))
        return lambda x: packaged(torch.from_numpy(x)).numpy()
    assert system == "jax"
    import jax
    from jax import export

    call = jax.jit(export.deserialize((folder / "model.jax").read_bytes()).call)
    return lambda x: np.asarray(call(x))


def call(system: str, model: str, folder: Path, calls: int) -> None:
    """Answer once, then time calls; one line of JSON."""
    x = picture(model)
    f = loaded(system, model, folder)
    y, times = f(x), []
    for _ in range(calls):
        begin = time.perf_counter()
        f(x)
        times.append(time.perf_counter() - begin)
    us = 1e6 * statistics.median(times) if times else 0
    print(json.dumps({"us": us, "y": np.asarray(y).reshape(-1).tolist()}))


# -- all of it ----------------------------------------------------------------------------


def one_run(system: str, model: str, folder: Path, calls: int) -> tuple[float, dict[str, Any]]:
    """Milliseconds of a whole process, and what it told."""
    picture(model).tofile(folder / "picture")
    command: list[Any] = [folder / "main", "picture", calls]
    if not system.endswith(("-c", "-c++")):
        program = [sys.executable, "-m", "tests.benchmarks.ship"]
        command = [*program, "call", system, model, folder, calls]
    alone = {
        "OMP_NUM_THREADS": "1",
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "backends")]),
    }
    begin = time.perf_counter()
    done = subprocess.run(
        [str(c) for c in command],
        cwd=folder,
        env=os.environ | alone,
        capture_output=True,
        text=True,
    )
    took = 1e3 * (time.perf_counter() - begin)
    if done.returncode:
        raise RuntimeError(f"{system} {model}: {done.stderr[-2000:]}")
    return took, json.loads(done.stdout.splitlines()[-1])


def shipped(system: str, model: str, folder: Path) -> tuple[float, float]:
    """kB of code besides weights; MB of all that a machine with libc (and Python) must get."""
    raw = sum(v.nbytes for v in weights(model).values())
    if system.endswith("-c"):
        code = {"graphc-c": "net.o", "emx-c": "main"}[system]
        if system == "emx-c":
            run("cc", "-O3", "-march=native", "-ffast-math", "-c", "net.c", cwd=folder)
            code = "net.o"
        return (code_bytes(folder / code) - raw) / 1e3, (folder / "main").stat().st_size / 1e6
    file = {"graphc-python": "net.so", "onnxruntime": "model.onnx", "jax": "model.jax"}.get(
        system, "model.pt2"
    )
    size = (folder / file).stat().st_size
    names = {
        "graphc-python": ("numpy",), "onnxruntime": ("onnxruntime", "numpy"),
        "aoti-python": ("torch", "numpy"), "aoti-c++": (),
        "jax": ("jax", "jaxlib", "numpy", "scipy", "ml_dtypes"),
    }[system]  # fmt: skip
    runtime = sum(package_bytes(name) for name in names)
    if system == "graphc-python":
        runtime += sum(p.stat().st_size for p in (ROOT / "graphc").rglob("*.py"))
    if system == "aoti-c++":
        spec = find_spec("torch")
        assert spec is not None
        lib = Path(str(spec.origin)).parent / "lib"
        needed = subprocess.run(["ldd", folder / "main"], capture_output=True, text=True).stdout
        runtime = sum(p.stat().st_size for p in lib.iterdir() if p.name in needed)
        runtime += (folder / "main").stat().st_size
    return (size - raw) / 1e3, (size + runtime) / 1e6


def package_bytes(name: str) -> int:
    """Bytes of an installed package, without byte code."""
    spec = find_spec(name)
    assert spec is not None
    place = Path(str(spec.origin)).parent
    beside = place.parent / f"{name}.libs"
    files = [*place.rglob("*"), *(beside.rglob("*") if beside.exists() else ())]
    return sum(f.stat().st_size for f in files if f.is_file() and f.suffix != ".pyc")


def main() -> None:
    if sys.argv[1:2] == ["call"]:
        system, model, folder, calls = sys.argv[2:]
        call(system, model, Path(folder), int(calls))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("systems", nargs="*", default=list(PACKAGES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("ship"))
    parser.add_argument("--made", action="store_true", help="use what an earlier run has made")
    options = parser.parse_args()
    systems = [s for s in options.systems if find_spec(PACKAGES[s])]
    folders = {(m, s): (options.folder / m / s).resolve() for m in CALLS for s in systems}
    for (model, system), folder in folders.items():
        if not options.made:
            make(system, model, folder)
            print(f"made {model} {system}", file=sys.stderr)
    if options.rounds:
        report(folders, options.rounds)


def report(folders: dict[tuple[str, str], Path], rounds: int) -> None:
    """Measure in turn and print the table."""
    starts: dict[Any, list[float]] = {key: [] for key in folders}
    latencies: dict[Any, list[float]] = {key: [] for key in folders}
    answers: dict[str, Any] = {}
    for _ in range(rounds):
        for (model, system), folder in folders.items():
            took, told = one_run(system, model, folder, 0)
            starts[model, system].append(took)
            again = one_run(system, model, folder, CALLS[model])[1]
            latencies[model, system].append(again["us"])
            wanted = answers.setdefault(model, told["y"])
            np.testing.assert_allclose(told["y"], wanted, rtol=1e-3, atol=1e-3, err_msg=system)
    print(f"{platform.machine()}, {rounds} rounds, medians")
    print("| network | system | code kB | shipped MB | start to answer ms | call us |")
    print("|---|---|---|---|---|---|")
    for (model, system), folder in folders.items():
        code, whole = shipped(system, model, folder)
        start = statistics.median(starts[model, system])
        us = statistics.median(latencies[model, system])
        print(f"| {model} | {system} | {code:.1f} | {whole:.2f} | {start:.1f} | {us:.1f} |")


if __name__ == "__main__":
    main()
