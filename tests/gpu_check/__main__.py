"""Build, check and measure everything on a machine with a GPU, in minutes, and write JSON.

    python -m tests.gpu_check --out DIR [--bundle DIR] [--seconds 520] [--only STAGE ...]
    python -m tests.gpu_check --out DIR --rehearse

Every stage is a process of its own with a limit of its own: what hangs or crashes loses that stage
alone. DIR/results.json is written after each of them, and DIR holds their logs. Nothing is fetched:
packages that are missing come from the bundle that `python -m tests.gpu_bundle` made elsewhere.
GRAPHC_PEERS names another Python for PyTorch and JAX. `--rehearse` runs every stage in the
simulator at tiny sizes: to try it all where there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

from tests.gpu_check.run_stage import Result, run_stage
from tests.gpu_check.stages import ROOT, Stage, stages

RESERVE = 5.0  # seconds to end in
OPENING = ("facts", "one kernel")  # stages that tell whether a GPU works


def unpack(bundle: Path, into: Path) -> Path:
    """The packages of a bundle, as a folder to import from."""
    for wheel in sorted(bundle.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(into)
    return into


def environment(options: argparse.Namespace) -> dict[str, str]:
    """What all stages see: this checkout, the bundle, a cache of their own."""
    paths = [str(ROOT), str(ROOT / "backends")]
    if options.bundle:
        paths.append(str(unpack(options.bundle, options.out / "packages")))
    if os.environ.get("PYTHONPATH"):
        paths.append(os.environ["PYTHONPATH"])
    found = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    return os.environ | found | {"GRAPHC_CACHE": str((options.out / "cache").resolve())}


def main() -> int:
    """Run the stages; 0 where nothing is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--seconds", type=float, default=520.0, help="for everything")
    parser.add_argument("--only", nargs="+", metavar="STAGE")
    parser.add_argument("--jobs", type=int, default=min(8, os.cpu_count() or 1))
    parser.add_argument("--rehearse", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    begin = time.time()
    env = environment(options)
    chosen = stages(options.out.resolve(), options.rehearse, options.jobs)
    if options.only:
        chosen = [s for s in chosen if s.name in options.only]
    results = run_all(chosen, env, begin + options.seconds - RESERVE, options)
    failed = [r["stage"] for r in results if not is_good(r)]
    good = len(results) - len(failed)
    say(f"{good} of {len(results)} stages are as wanted; {options.out}/results.json")
    return int(bool(failed))


def run_all(
    chosen: list[Stage], env: dict[str, str], end: float, options: argparse.Namespace
) -> list[Result]:
    """All stages in order; what needs a GPU is left out once it is known that there is none."""
    results: list[Result] = []
    broken = ""
    begin = time.time()
    for stage in chosen:
        left = end - time.time()
        why = broken if stage.needs_gpu else ""
        why = why or ("no time left" if left < stage.least else "")
        if why:
            results.append({"stage": stage.name, "status": "left out", "message": why})
        else:
            results.append(run_stage(stage, env, min(stage.seconds, left), options.out))
        last = results[-1]
        if stage.name in OPENING and not broken and last["status"] != "passed":
            broken = f"{stage.name} did not pass"
        say(line_of(last))
        write(options, results, time.time() - begin)
    return results


def is_good(result: Result) -> bool:
    """Whether a stage passed, or could not say anything here, as it is allowed to."""
    status = result["status"]
    return status == "passed" or (status == "skipped" and result["stage"] not in OPENING)


def write(options: argparse.Namespace, results: list[Result], seconds: float) -> None:
    """Everything that is known so far, replaced as a whole."""
    known: dict[str, Any] = {"rehearsal": options.rehearse, "seconds": round(seconds, 1)}
    known["python"] = sys.version.split()[0]
    stopped = [r for r in results if r["stage"] in OPENING and r["status"] != "passed"]
    known["gpu_works"] = not stopped
    if stopped:
        known["why"] = stopped[0]["message"]
    path = options.out / "results.json"
    path.with_suffix(".new").write_text(json.dumps(known | {"stages": results}, indent=1))
    path.with_suffix(".new").replace(path)


def line_of(result: Result) -> str:
    """A stage in a line."""
    seconds = f"{result['seconds']:6.1f} s" if "seconds" in result else " " * 8
    return f"{result['stage']:18} {result['status']:9} {seconds}  {result['message'][:300]}"


def say(line: str) -> None:
    """Show progress."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
