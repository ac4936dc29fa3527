"""Run one stage in a process group of its own, and read what it left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from tests.gpu_check.stages import ROOT, Stage

Result = dict[str, Any]
LISTED = 20  # failures of a stage that are told


def run_stage(stage: Stage, env: dict[str, str], seconds: float, out: Path) -> Result:
    """How a stage ended, its seconds, what it measured or which tests failed."""
    log = out / f"{stage.name.replace(' ', '_')}.log"
    for stale in (stage.output, stage.report):
        if stale is not None:
            stale.unlink(missing_ok=True)
    begin = time.time()
    with log.open("wb") as file:
        process = subprocess.Popen(
            stage.command, cwd=ROOT, env=env, stdout=file, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            code: int | None = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = None
    result: Result = {"stage": stage.name, "seconds": round(time.time() - begin, 1)}
    result |= _ending(stage, code, seconds, log)
    if stage.output is not None and stage.output.exists():
        try:
            result["result"] = json.loads(stage.output.read_text())
        except ValueError:  # it was stopped while it wrote
            return result
        result["message"] = _message(result["result"]) or result["message"]
    return result


def _ending(stage: Stage, code: int | None, seconds: float, log: Path) -> Result:
    if code is None:
        message = f"stopped after {seconds:.0f} s; what it wrote is kept"
        return {"status": "timeout", "message": message}
    tests = read_tests(stage.report) if stage.report is not None else {}
    if tests:
        passed = not tests["failed"] and tests["passed"]
        skipped = tests["skips"][0] if tests["skips"] else ""
        message = f"{tests['passed']} passed, {len(tests['failed'])} failed, {len(tests['skips'])}"
        message += f" skipped{': ' if skipped else ''}{skipped}"
        message += "".join(f"; {f['test']}: {f['message'][:150]}" for f in tests["failed"][:3])
        status = "passed" if passed else "failed" if tests["failed"] else "skipped"
        return {"status": status, "message": message, "tests": tests}
    if code == 0:
        return {"status": "passed", "message": ""}
    text = log.read_text(errors="replace").strip().splitlines()
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return {"status": "failed", "message": f"{how}: {text[-1] if text else 'no output'}"}


def read_tests(report: Path) -> Result:
    """What pytest reported; nothing where it did not come so far."""
    if not report.exists():
        return {}
    passed, failed, skips = 0, [], []
    for case in ElementTree.parse(report).iter("testcase"):
        problem = next((c for c in case if c.tag in ("failure", "error")), None)
        skip = case.find("skipped")
        if problem is not None:
            text = (problem.get("message") or problem.text or "").strip()
            failed.append({"test": case.get("name"), "message": text[:1500]})
        elif skip is not None:
            skips.append(f"{case.get('name')}: {skip.get('message')}")
        else:
            passed += 1
    return {"passed": passed, "failed": failed[:LISTED], "skips": skips[:LISTED]}


def _message(found: Any) -> str:
    """What a stage says of itself, or what it measured, in a line."""
    if isinstance(found, list):
        return "; ".join(map(_row, found))
    if not isinstance(found, dict):
        return ""
    if isinstance(found.get("message"), str):
        return str(found["message"])
    steps = [f"{name} {_times(row)}" for each in found.values() for name, row in each.items()]
    return "; ".join(steps)


def _times(row: Result) -> str:
    """Milliseconds of a step on the device, and of a call, or the end of an error."""
    if "error" in row:
        return f"fails ({row['error'].splitlines()[-1][:100]})"
    device = row.get("device_ms")
    return f"{device or float('nan'):.4g} ms (call {row['call_ms']:.4g})"


def _row(row: Result) -> str:
    """A single kernel with its share of the bound, or a compiled step."""
    if "case" in row:
        share = row.get("share_of_bound")
        return f"{row['case']} " + ("fails" if share is None else f"{share:.1%} of the bound")
    return f"{row['step']} " + ("fails" if "error" in row else f"{row['cold_s']:.1f} s")
