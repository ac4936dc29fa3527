"""Measure one system in this process; prints one line of JSON.

    python -m tests.benchmarks.gpu.one SYSTEM SETTING DEVICE SECONDS [tiny]

SYSTEM is "graphc", "torch eager", "torch compile" or "jax"; DEVICE "cuda", or "cpu" to try it.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module

from tests.benchmarks.gpu.settings import SETTINGS, tiny
from tests.benchmarks.gpu.timing import measure

MODULES = {"graphc": "graphc_step", "torch": "torch_step", "jax": "jax_step"}


def main() -> None:
    """Measure what the command line says."""
    _, system, name, device, seconds, *small = sys.argv
    setting = tiny(SETTINGS[name]) if small else SETTINGS[name]
    kind, _, variant = system.partition(" ")
    step = import_module(f"tests.benchmarks.gpu.{MODULES[kind]}").make(setting, variant, device)
    found = measure(step, setting.batches(), float(seconds))
    if kind == "graphc":
        found |= import_module("tests.benchmarks.gpu.graphc_step").bound(setting)
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
