"""What this machine has: the GPU, its driver, tools, packages; fails where graphc cannot use it.

python -m tests.gpu_check.facts FILE [--rehearse]
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "numpy", "llvmlite", "cuda-bindings", "ml_dtypes", "networkx", "safetensors", "rich", "click",
    "greenlet", "pytest", "pytest-xdist",
)  # fmt: skip
PEERS = ("torch", "jax", "optax")
TOOLS = ("nvidia-smi", "ptxas", "nvdisasm", "compute-sanitizer")
QUERY = "name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit"
PEER_CODE = """
import json, importlib
found = {}
for name in ("torch", "jax", "optax"):
    try:
        module = importlib.import_module(name)
        found[name] = module.__version__
        if name == "torch":
            found["torch sees a GPU"] = module.cuda.is_available()
        if name == "jax":
            found["jax sees"] = str(module.devices())
    except Exception as error:
        found[name] = f"missing: {type(error).__name__}: {error}"[:300]
print(json.dumps(found))
"""


def installed() -> dict[str, str | None]:
    """Versions of packages; None where one is missing."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def peers() -> dict[str, Any]:
    """What the Python of the peers has."""
    python = os.environ.get("GRAPHC_PEERS", sys.executable)
    command = [python, "-c", PEER_CODE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=40, check=True)
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return found
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return {"error": str(error)[:500]}


def said(*command: str) -> str | None:
    """What a program says; None where it is not there or fails."""
    path = shutil.which(command[0])
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, *command[1:]], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"fails: {error}"[:300]
    return done.stdout.strip()[:1000]


def device(target: str) -> dict[str, Any]:
    """What graphc sees, or why it sees nothing."""
    try:
        from graphc_cuda.targets import open_target

        return {"device": asdict(open_target(target).device.facts)}
    except Exception as error:  # whatever it is, it is what has to be known
        hint = getattr(error, "hint", None)
        text = f"{getattr(error, 'message', error)}" + (f" ({hint})" if hint else "")
        return {"error": f"{type(error).__name__}: {text}"}


def main() -> int:
    """Write the facts."""
    _, path, *more = sys.argv
    facts: dict[str, Any] = {"system": platform.platform(), "processors": os.cpu_count()}
    facts |= {"python": platform.python_version(), "packages": installed()}
    facts |= {"tools": {name: shutil.which(name) for name in TOOLS}, "peers": peers()}
    facts["nvidia-smi"] = said("nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader")
    facts |= device("cuda-simulate" if more else "cuda")
    missing = [n for n, v in facts["packages"].items() if v is None and n != "greenlet"]
    notes = [f"missing: {', '.join(missing)}"] * bool(missing)
    notes += [f"no {n}: {v}" for n, v in facts["peers"].items() if str(v).startswith("missing")]
    notes += ["no ptxas: the driver assembles"] * (facts["tools"]["ptxas"] is None)
    seen = facts.get("device")
    facts["message"] = "; ".join([str(seen["name"]) if seen else facts["error"], *notes])
    Path(path).write_text(json.dumps(facts, indent=1))
    return int(seen is None)


if __name__ == "__main__":
    sys.exit(main())
