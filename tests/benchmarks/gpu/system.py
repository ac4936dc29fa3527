"""A system that is measured, in a process of its own that stays until all rounds are done."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PEERS = os.environ.get("GRAPHC_PEERS", sys.executable)
Result = dict[str, Any]


class System:
    """A process of `one`: compiles when it is made, measures when it is asked to.

    `known` is what it said when it was ready, with "error" where it failed; then it is asked no
    more.
    """

    def __init__(self, system: str, name: str, rehearse: bool) -> None:
        python = sys.executable if system == "graphc" else PEERS
        paths = [str(ROOT), str(ROOT / "backends"), os.environ.get("PYTHONPATH", "")]
        env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in paths if p)}
        env |= {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        command = [python, "-m", "tests.benchmarks.gpu.one", system, name]
        command += ["cpu", "tiny"] if rehearse else ["cuda"]
        self.known: Result = {}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
        )  # fmt: skip
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def wait(self, end: float) -> None:
        """Until it is ready."""
        self.known = self._answer(end)

    def measure(self, seconds: float, end: float) -> Result:
        """A round."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{seconds}\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has ended, which is found next
        found = self._answer(end)
        if "error" in found:
            self.known |= found
        return found

    def _answer(self, end: float) -> Result:
        try:
            line = self._lines.get(timeout=max(0.1, end - time.time()))
        except queue.Empty:
            self.close()
            return {"error": "no time left"}
        if line:
            found: Result = json.loads(line)
            return found
        self._process.wait()
        self._errors.seek(0)
        text = self._errors.read().decode(errors="replace").strip()
        return {"error": text[-1500:] or f"ended with {self._process.returncode}"}

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
