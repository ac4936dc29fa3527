"""The node cases of the onnx package through compiled code: a sample, and all on demand."""

from __future__ import annotations

import pytest

from tests.onnx.generate import listed
from tests.onnx.node_cases import node_cases, operator_of, run_case

LISTED = listed()
CASES = node_cases()
EVERY = 20  # of the cases that pass, besides one for every operator


def sample() -> list[str]:
    """One case per operator that passes, and every so many of the others."""
    passing = [name for name in CASES if name not in LISTED]
    first = {operator_of(CASES[name]): name for name in reversed(passing)}
    return sorted({*first.values(), *passing[::EVERY]})


def check(name: str) -> None:
    """A case that is not on the list passes; one that is has the listed outcome."""
    outcome = run_case(CASES[name])
    expected = LISTED.get(name)
    assert outcome.status == (expected.status if expected else "passed"), outcome.reason
    if expected is not None:
        assert outcome.reason == expected.reason


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sample())
def test_sample_of_node_cases(name: str) -> None:
    check(name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [n for n in sorted(LISTED) if LISTED[n].status == "unsupported"])
def test_unsupported_cases_say_why(name: str) -> None:
    check(name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(set(CASES) - set(sample())))
def test_every_node_case(name: str) -> None:
    check(name)


def test_most_cases_pass() -> None:
    assert len(CASES) - len(LISTED) >= 1300
