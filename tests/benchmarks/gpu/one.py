"""Measure one system in this process, whenever it is asked to.

    python -m tests.benchmarks.gpu.one SYSTEM SETTING DEVICE [tiny]

SYSTEM is "graphc", "torch eager", "torch compile" or "jax"; DEVICE "cuda", or "cpu" to try it.
Compiles and says so with a line of JSON; then each line of input, a number of seconds, is answered
by a line of JSON with what was measured in that time.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import Any

from tests.benchmarks.gpu.settings import SETTINGS, tiny
from tests.benchmarks.gpu.timing import measure, prepare

MODULES = {"graphc": "graphc_step", "torch": "torch_step", "jax": "jax_step"}


def main() -> None:
    """Serve what the command line says."""
    _, system, name, device, *small = sys.argv
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what others print is no answer
    setting = tiny(SETTINGS[name]) if small else SETTINGS[name]
    kind, _, variant = system.partition(" ")
    step = import_module(f"tests.benchmarks.gpu.{MODULES[kind]}").make(setting, variant, device)
    batches = setting.batches()

    def answer(found: dict[str, Any]) -> None:
        answers.write(json.dumps(found) + "\n")
        answers.flush()

    known = prepare(step, batches)
    if kind == "graphc":
        known |= import_module("tests.benchmarks.gpu.graphc_step").bound(setting)
    answer(known)
    for line in sys.stdin:
        answer(measure(step, batches, float(line)))


if __name__ == "__main__":
    main()
