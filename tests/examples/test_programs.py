"""examples/: every program is in the index, has help, runs, and reaches what it says."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from graphc import models

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples"
INDEX = (EXAMPLES / "README.md").read_text(encoding="utf-8")
NAMES = sorted(p.stem for p in EXAMPLES.glob("*.py") if p.stem != "common")
WITHOUT_OPTIONS = {"digits_mlp"}  # the program of the README, as it stands there
WITHOUT_THREADS = {"resnet"}

# Program, arguments, and what it prints: a pattern with a number, and the least or greatest.
LEAST, MOST = "least", "most"
Checks = list[tuple[str, str, float]]
QUICK: list[tuple[str, str, Checks]] = [
    ("board_formulas", "", [("largest relative difference", MOST, 1e-5)]),
    ("playground", "--epochs 150", [("test accuracy", LEAST, 0.95)]),
    (
        "playground",
        "--kind circle --hidden 0 --features x1^2 x2^2 --epochs 50",
        [("test accuracy", LEAST, 0.98)],
    ),
    ("playground", "--kind circle --hidden 0 --epochs 20", [("test accuracy", MOST, 0.75)]),
    ("regressors", "--epochs 20", [("differs by at most", MOST, 1e-5), ("cats.*", LEAST, 0.85)]),
    (
        "ranking",
        "--epochs 20",
        [("NDCG@5 of chance", MOST, 0.7), ("learnt from pairs", LEAST, 0.9)],
    ),
    (
        "checkpoint_ensemble",
        "--epochs 10 --last 5",
        [("of the mean answer", LEAST, 0.97), ("of the mean weights", LEAST, 0.97)],
    ),
    (
        "optimiser_race",
        "",
        [
            ("SGD .*", LEAST, 0.5),
            ("momentum .*", MOST, 0.1),
            ("Nesterov .*", MOST, 1e-3),
            ("Adam  .*", MOST, 0.1),
        ],
    ),
    ("leaderboard", "", [("public", LEAST, 0.6), ("private", MOST, 0.53)]),
    ("standardise", "", [("steps of raw", LEAST, 1000), ("steps of standardised", MOST, 60)]),
    ("ensemble", "--epochs 10", [("together", LEAST, 0.94)]),
]
SLOW: list[tuple[str, str, Checks]] = [
    ("dcgan", "--filters 16 --epochs 2", [("told", LEAST, 0.5), ("fooled", MOST, 0.5)]),
    ("full_batch", "", [("L-BFGS  +[-+.e0-9]+", LEAST, 1e-2), ("L-BFGS", MOST, 5e-3)]),
    ("autoencoders", "", [("the autoencoder", MOST, 0.017), ("variational one", MOST, 0.035)]),
    ("catch_dqn", "", [("games won before", MOST, 0.4), ("games won", LEAST, 0.95)]),
    ("cifar10", "--epochs 3 --depth 8", [("test accuracy", LEAST, 0.3)]),
    (
        "cyclegan",
        "--epochs 6",
        [("error of there.*", MOST, 0.3), ("contrast of made", LEAST, 30.0)],
    ),
    ("detection", "", [("largest difference", MOST, 1e-5), ("recall", LEAST, 0.9)]),
    ("diffusion", "", [("from new points to the shape", MOST, 0.1)]),
    ("dreams", "--units 2", [("unit .* made", LEAST, 10.0), ("dream excites", LEAST, 2.0)]),
    ("faces", "", [("test accuracy", LEAST, 0.95)]),
    ("gans", "--model cogan --epochs 6", [("variety", LEAST, 0.2), ("nearest.*", MOST, 0.2)]),
    (
        "gans",
        "--model progressive --epochs 6",
        [("variety", LEAST, 0.2), ("nearest.*", MOST, 0.2)],
    ),
    ("gans", "--model stylegan --epochs 4", [("nearest.*", MOST, 0.3)]),
    ("house_numbers", "", [("places that are right", LEAST, 0.8)]),
    ("neocognitron", "", [("Gabor filters: accuracy", LEAST, 0.7), ("both.*", LEAST, 0.8)]),
    ("pipeline", "", [("sums of the chain.*", MOST, 0.7), ("sums of the pipeline", LEAST, 0.7)]),
    ("pix2pix", "--epochs 8", [("one colour.*", LEAST, 0.09), ("maps drawn", MOST, 0.07)]),
    ("pose", "--epochs 6", [("on average: off by", LEAST, 2.0), ("found: off by", MOST, 1.0)]),
    ("segmentation", "--set tissue --epochs 6", [("over union", LEAST, 0.85)]),
    ("speech", "", [("digits that are wrong", MOST, 0.05)]),
    ("style_transfer", "", [("that is left", MOST, 0.3)]),
    ("video", "", [("one picture", MOST, 0.4), ("on films", LEAST, 0.95)]),
    ("wide_and_deep", "--epochs 100", [("4 layers .* accuracy", LEAST, 0.98)]),
]


def run(name: str, arguments: str, monkeypatch: Any) -> None:
    """Run a program in this process."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    alone = [] if name in WITHOUT_THREADS else ["--threads", "1"]
    monkeypatch.setattr(sys, "argv", [name, *arguments.split(), *alone])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")


def check(printed: str, checks: Checks) -> None:
    """The last number behind each pattern is in its range."""
    for pattern, kind, bound in checks:
        found = re.findall(pattern + r"[ :]+(-?[\d.]+(?:e-?\d+)?)", printed)
        assert found, (pattern, printed)
        value = float(found[-1].rstrip("."))
        assert value >= bound if kind == LEAST else value <= bound, (pattern, value, printed)


@pytest.mark.parametrize("case", QUICK, ids=lambda case: " ".join(case[:2]))
def test_a_quick_program(case: Any, capsys: Any, monkeypatch: Any) -> None:
    run(case[0], case[1], monkeypatch)
    check(capsys.readouterr().out, case[2])


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW, ids=lambda case: " ".join(case[:2]))
def test_a_slow_program(case: Any, capsys: Any, monkeypatch: Any) -> None:
    run(case[0], case[1], monkeypatch)
    check(capsys.readouterr().out, case[2])


@pytest.mark.parametrize("name", sorted(set(NAMES) - WITHOUT_OPTIONS))
def test_every_program_has_help(name: str, capsys: Any, monkeypatch: Any) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(name, "--help", monkeypatch)
    assert stopped.value.code == 0
    assert "--help" in capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_every_program_is_in_the_index_and_is_run(name: str) -> None:
    assert f"`python examples/{name}.py" in INDEX
    tests = [p.read_text(encoding="utf-8") for p in ROOT.glob("tests/**/test_*.py")]
    assert any(f'"{name}"' in text or f'"{name}.py"' in text for text in tests)


def test_the_index_names_what_is_there() -> None:
    commands = re.findall(r"`python examples/(\w+)\.py", INDEX)
    assert commands
    assert set(commands) <= set(NAMES)
    for place in re.findall(r"`((?:tests|examples)/[\w./]+)`", INDEX):
        assert (ROOT / place).exists(), place


def test_the_index_has_a_row_for_every_family() -> None:
    rows = re.findall(r"^\| M(\d\d) \|", INDEX, re.MULTILINE)
    assert [int(row) for row in rows] == list(range(1, 48))


def test_models_of_the_index_exist() -> None:

    for name in re.findall(r"`gx\.models\.(\w+)`", INDEX):
        assert hasattr(models, name), name
