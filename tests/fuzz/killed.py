"""Training runs that are killed (SIGKILL) at random moments and go on from their checkpoints.

By seed: a run of the net of training runs in a process of its own, with a file of the last epoch,
one of the best, a log and rates that are lowered. It is killed one to three times, at any moment
between its first line and its last, also while a file is written; every process after that goes on
from what lies in the folder. At the end the parameters, the state, the best file and the log are,
bit for bit, those of a run that nobody killed, and nothing else lies in the folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import graphc as gx
from tests.fuzz import training

EPOCHS = 12


def check(seed: int) -> str:
    """Draw one run and the moments; compare the run that goes on with one that was left alone."""
    rng = np.random.default_rng((seed, 53))
    with tempfile.TemporaryDirectory() as folder:
        whole, part = Path(folder, "whole"), Path(folder, "part")
        whole.mkdir()
        part.mkdir()
        seconds = _run(seed, whole, None)
        assert seconds is not None, "the run that nobody kills did not end"
        moments = rng.uniform(0.0, seconds, int(rng.integers(1, 4)))
        kills = 0
        for moment in moments:
            kills += _run(seed, part, float(moment)) is None
        assert _run(seed, part, None) is not None, "the last process did not end"
        _compare(whole, part, f"killed {kills} times, of {moments.round(3)} s")
    return f"killed {kills} times"


def _run(seed: int, folder: Path, moment: float | None) -> float | None:
    """One process of the run, killed some seconds after its start; the seconds that it took, or
    None if the kill came first."""
    command = [sys.executable, "-m", "tests.fuzz.killed", str(folder), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begin\n"
        begin = time.perf_counter()
        if moment is not None:
            time.sleep(moment)
            process.kill()
        ended = process.stdout.readline() == "end\n"
        seconds = time.perf_counter() - begin
    return seconds if ended else None


def _compare(whole: Path, part: Path, where: str) -> None:
    names = sorted(p.name for p in part.iterdir())
    assert names == ["best", "final", "last", "lines"], f"{where}: {names} are left"
    for name in ("final", "best", "last"):
        one, other = gx.load(whole / name), gx.load(part / name)
        assert one.keys() == other.keys(), f"{where}: {name} has {sorted(other)}"
        for key, array in one.items():
            same = array.tobytes() == other[key].tobytes()
            assert same, f"{where}: {key} differs in {name}"
    one_log, other_log = (_log(folder / "lines") for folder in (whole, part))
    assert one_log == other_log, f"{where}: the log differs"


def _log(path: Path) -> list[tuple[int, float]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [(row["epoch"], row["loss"]) for row in rows]


def run(folder: Path, seed: int) -> None:
    """The process: begin, or go on, and train to the end."""
    rng = np.random.default_rng((seed, 54))
    step, data = training.drawn_step(seed)("cpu"), training.samples(rng)
    batch, order = int(rng.integers(4, 12)), int(rng.integers(0, 2)) or None
    last = gx.callbacks.Checkpoint(folder / "last", every_steps=[None, 1, 2][int(rng.integers(3))])
    others: list[gx.callbacks.Callback] = [
        gx.callbacks.Checkpoint(folder / "best", "loss"),
        gx.callbacks.JSONLogger(folder / "lines"),
    ]
    for rows in {min(batch, training.SAMPLES), training.SAMPLES % batch} - {0}:
        step.specialize(batch=rows)  # compiled before the clock starts
    others += training.watchers(step)
    callbacks = [last, *others] if rng.integers(2) else [*others, last]
    sys.stdout.write("begin\n")
    sys.stdout.flush()
    if last.path.exists():
        last.restore(step)
    gx.fit(
        step, data, EPOCHS - step.epochs, batch, callbacks=callbacks, seed=order, verbose=False
    )  # fmt: skip
    gx.save(folder / "final", step)
    sys.stdout.write("end\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(Path(sys.argv[1]), int(sys.argv[2]))
