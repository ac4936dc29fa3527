"""The stages in order of importance, with their limits."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.gpu.names import PRIORITY

ROOT = Path(__file__).resolve().parents[2]
TESTS = "tests/backends/cuda/test_gpu.py"
STEPS = {"resnet50_bf16": 75.0, "resnet50_tf32": 60.0, "gpt_12x768_bf16": 75.0}


@dataclass(frozen=True)
class Stage:
    """A process: `output` is the JSON that it writes (none: JUnit's report, if it is pytest).

    `seconds` is its limit; with less than `least` left it is not begun.
    """

    name: str
    command: tuple[str, ...]
    seconds: float
    output: Path | None = None
    least: float = 10.0
    needs_gpu: bool = True

    @property
    def report(self) -> Path | None:
        """Where pytest says how tests ended."""
        found = [a.partition("=")[2] for a in self.command if a.startswith("--junitxml=")]
        return Path(found[0]) if found else None


def stages(out: Path, rehearse: bool, jobs: int) -> list[Stage]:
    """All of them."""
    return [*_facts(out, rehearse), *_tests(out, rehearse, jobs), *_measured(out, rehearse)]


def _facts(out: Path, rehearse: bool) -> list[Stage]:
    command = (sys.executable, "-m", "tests.gpu_check.facts", str(out / "facts.json"))
    facts = Stage(
        "facts", command + ("--rehearse",) * rehearse, 60, out / "facts.json",
        needs_gpu=False,
    )  # fmt: skip
    return [facts]


def _tests(out: Path, rehearse: bool, jobs: int) -> list[Stage]:
    def stage(name: str, which: str, seconds: float, path: str = TESTS) -> Stage:
        report = out / f"{name.replace(' ', '_')}.xml"
        command = [sys.executable, "-m", "pytest", path, "-k", which, f"--junitxml={report}"]
        command += ["-n", "0" if rehearse else str(jobs), "-p", "no:cacheprovider"]
        command += ["--gpu-target=cuda-simulate"] * rehearse
        return Stage(name, tuple(command), seconds)

    rest = "not one_kernel and not ops and not training and not sanitizer"
    found = [
        stage("one kernel", "one_kernel", 60),
        stage("training", "training", 100),
        stage("ops", "ops", 90),
        stage("other tests", rest, 60),
    ]
    if rehearse:
        found.append(stage("driver", "steps or loops", 60, "tests/backends/cuda/test_driver.py"))
    return found


def _measured(out: Path, rehearse: bool) -> list[Stage]:
    small = ("--rehearse",) * rehearse
    python = (sys.executable, "-m")

    def micro(group: str) -> Stage:
        to = out / f"micro_{group}.json"
        module = (*python, "tests.benchmarks.gpu.micro", group, "--json", str(to))
        rounds = ("--rounds", "1" if rehearse else "2", "--seconds", "0.02" if rehearse else "0.1")
        return Stage(f"micro {group}", module + rounds + small, 40, to)

    def step(name: str) -> Stage:
        to, limit = out / f"step_{name}.json", STEPS.get(name, 45.0)
        module = (*python, "tests.benchmarks.gpu.run", name, "--json", str(to))
        times = ("--rounds", "1") if rehearse else ("--rounds", "2")
        times += ("--seconds", "0.02" if rehearse else "0.8", "--budget", str(limit - 8))
        if rehearse and name != "mlp":
            times += ("--systems", "graphc")
        return Stage(f"step {name}", module + times + small, limit, to, least=25)

    compiled = (*python, "tests.benchmarks.gpu_compile", "mlp", "gpt", "resnet50_bf16")
    to = out / "compile.json"
    tiny = ("--tiny",) * rehearse
    return [
        *(step(name) for name in PRIORITY[:2]),
        *(micro(g) for g in ("copy", "matmul", "rows", "elementwise", "transpose")),
        *(step(name) for name in PRIORITY[2:]),
        Stage("compile", (*compiled, "--json", str(to), *tiny), 60, to),
        _sanitizer(out, rehearse),
    ]


def _sanitizer(out: Path, rehearse: bool) -> Stage:
    report = out / "sanitizer.xml"
    command = (sys.executable, "-m", "pytest", TESTS, "-k", "sanitizer", "-n", "0")
    command += (f"--junitxml={report}", "-p", "no:cacheprovider")
    return Stage("sanitizer", command + ("--gpu-target=cuda-simulate",) * rehearse, 120)
