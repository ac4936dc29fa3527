"""Models beside onnxruntime: processes in turn, several rounds.

    python -m tests.benchmarks.onnx_models [--rounds 3] [--threads 2] [NAME ...]
    python -m tests.benchmarks.onnx_models graphc|onnxruntime THREADS NAME ...    one round, as JSON

Models inside packages are measured where their packages are installed.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

from tests.benchmarks.ops import time_of
from tests.onnx import packaged

SYSTEMS = ("graphc", "onnxruntime")
SIZES = {  # as they are used
    "PP-OCRv6_det_small": (1, 3, 320, 320),
    "PP-OCRv6_rec_small": (1, 3, 48, 320),
    "ch_PP-OCRv4_det_infer": (1, 3, 320, 320),
    "ch_PP-OCRv4_rec_infer": (1, 3, 48, 320),
}


def all_models() -> dict[str, tuple[Path, tuple[int, ...]]]:
    """Files and input shapes by name."""
    found = {p.stem.removeprefix("light_"): (p, packaged.IMAGE) for p in packaged.light_models()}
    for package, files in packaged.PACKAGES.items():
        for path, shape in files:
            file = packaged.find_file(package, path)
            name = Path(path).stem if Path(path).stem != "model" else package
            if file is not None:
                found[name] = (file, SIZES.get(name, shape))
    return found


def graphc_call(data: bytes, name: str, x: Any, threads: int) -> Any:
    """A compiled function for one size."""
    import graphc as gx

    loaded = gx.onnx.load(data, shapes={name: x.shape})
    step = gx.compile(list(loaded.inputs.values()), list(loaded.outputs.values()), threads=threads)
    return lambda: step(x)


def runtime_call(data: bytes, name: str, x: Any, threads: int) -> Any:
    """A session of onnxruntime with all its optimisations."""
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {name: x})


def one_round(system: str, threads: int, names: list[str]) -> dict[str, float]:
    """Milliseconds by model."""
    warnings.simplefilter("ignore")
    make = graphc_call if system == "graphc" else runtime_call
    result = {}
    for label in names:
        path, shape = all_models()[label]
        model = packaged.read(path)
        x = packaged.some_input(model, shape)
        name, data = packaged.input_of(model).name, packaged.typed(model)
        result[label] = time_of(make(data, name, x, threads)) / 1e3
    return result


def run_round(system: str, threads: int, names: list[str]) -> dict[str, float]:
    """One round in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.onnx_models", system, str(threads), *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def option(name: str, default: int) -> int:
    """Take a number out of the arguments."""
    if name not in sys.argv:
        return default
    at = sys.argv.index(name)
    _, value = sys.argv.pop(at), sys.argv.pop(at)
    return int(value)


def main() -> None:
    """One round of one system, or all rounds as a table."""
    if sys.argv[1:2] and sys.argv[1] in SYSTEMS:
        found = one_round(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
        sys.stdout.write("\n" + json.dumps(found) + "\n")
        return
    rounds, threads = option("--rounds", 3), option("--threads", 2)
    names = sys.argv[1:] or list(all_models())
    results = [{s: run_round(s, threads, names) for s in SYSTEMS} for _ in range(rounds)]
    sys.stdout.write(f"threads {threads}, medians of {rounds} rounds (min-max)\n\n")
    sys.stdout.write(
        "| model | graphc ms | onnxruntime ms | onnxruntime / graphc |\n|---|---|---|---|\n"
    )
    for name in names:
        times = [sorted(r[s][name] for r in results) for s in SYSTEMS]
        ours, peer = (statistics.median(t) for t in times)
        cells = [f"{statistics.median(t):.2f} ({t[0]:.2f}-{t[-1]:.2f})" for t in times]
        sys.stdout.write(f"| {name} | {cells[0]} | {cells[1]} | {peer / ours:.2f} |\n")


if __name__ == "__main__":
    main()
