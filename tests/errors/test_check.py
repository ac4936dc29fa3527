"""gx.check: its message with the value that was found, wherever a function runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import RuntimeCheckError

TARGETS = ["interpret", "cpu"]
ROWS = np.arange(12, dtype="float32").reshape(4, 3)


def guarded(message: str, target: str) -> Any:
    x = gx.input("x", ("n", 3))
    return gx.compile([x], gx.exp(gx.check(x, x < 7.0, message)) + 1.0, target=target)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("x is {x}", "x is 7.0 at [2, 1]"),
        ("x is {x:.2f}", "x is 7.00 at [2, 1]"),
        ("row and column {index}: {x} is too much", "row and column [2, 1]: 7.0 is too much"),
        ("look at {index}", "look at [2, 1]"),
        ("no field", "no field"),
        ("{y} and {} and {x!r} {{", "{y} and {} and {x!r} {{"),  # other braces are text
        ("x is {x:nonsense}", "x is 7.0 at [2, 1]"),
    ],
)
def test_fields(message: str, text: str, target: str) -> None:
    function = guarded(message, target)
    for _ in range(2):  # the entry's fast path, too
        with pytest.raises(RuntimeCheckError) as error:
            function(ROWS)
        assert text in error.value.message
        assert "test_check.py" in str(error.value.origin)
    assert np.isfinite(function(ROWS[:2])).all()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("dtype", "value", "text"),
    [
        ("int32", -3, "got -3"), ("bool", False, "got False"), ("uint8", 200, "got 200"),
        ("float64", 0.1, "got 0.1"), ("float16", 0.5, "got 0.5"), ("float32", np.nan, "got nan"),
    ],
)  # fmt: skip
def test_values_of_every_type(dtype: str, value: Any, text: str, target: str) -> None:
    x, good = gx.input("x", (), dtype), gx.input("good", (), "bool")
    function = gx.compile([x, good], gx.check(x, good, "got {x}"), target=target)
    with pytest.raises(RuntimeCheckError) as error:
        function(np.asarray(value, dtype), False)
    assert error.value.message.removesuffix("; nothing was updated").endswith(text)


def loop(x: Any) -> Any:
    def body(carry: Any, row: Any) -> Any:
        return gx.check(carry + row, carry + row < 10.0, "sum is {x}"), None

    return gx.scan(body, 0.0, x)[0]


PLACES: dict[str, Callable[[Any], Any]] = {
    "intermediate": lambda x: gx.sum(gx.check(x * 2.0, x < 5.0, "twice is {x}")),
    "broadcast": lambda x: gx.check(x, gx.max(x) < 5.0, "first is {x}"),
    "loop": loop,
    "after other work": lambda x: gx.check(gx.cumulative_sum(x), x < 5.0, "so far {x}") * 2.0,
    "vmap": lambda x: gx.vmap(lambda r: gx.check(r, r < 5.0, "r is {x}"))(x),
}
TEXTS = {
    "intermediate": "twice is 10.0 at [5]", "broadcast": "first is 0.0 at [0]",
    "loop": "sum is 10.0", "after other work": "so far 15.0 at [5]", "vmap": "r is 5.0 at [5]",
}  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("place", PLACES)
def test_places(place: str, target: str) -> None:
    x = gx.input("x", ("n",))
    function = gx.compile([x], PLACES[place](x), target=target)
    with pytest.raises(RuntimeCheckError, match=r"\bis\b|far") as error:
        function(np.arange(6, dtype="float32"))
    assert TEXTS[place] in error.value.message


def test_eval_says_it_too() -> None:
    x = gx.constant(np.array([1.0, -2.0], "float32"))
    with pytest.raises(RuntimeCheckError, match=r"x is -2\.0 at \[1\]"):
        gx.check(x, x > 0.0, "x is {x}").eval()


@pytest.mark.parametrize("target", TARGETS)
def test_parameters_stay_and_the_value_is_that_of_the_step(target: str) -> None:
    """In a run of many steps the value is the one that the failing step had."""
    x, w = gx.input("x", ("batch",)), gx.parameter("w", value=np.float32(1))
    new = gx.check(w * 2.0, w * 2.0 + 0 * gx.mean(x) < 100.0, "w becomes {x}")
    step = gx.compile([x], gx.mean(x), {w: new}, target=target)
    data = np.ones(40, "float32")
    with pytest.raises(RuntimeCheckError, match=r"w becomes 128\.0"):
        step.run_epoch([data], 4)
    assert float(w.value) == 64.0
    rows = gx.input("rows", ("batch",))
    guard = gx.compile([rows], gx.sum(gx.check(rows, rows < 25.0, "row {x}")), target=target)
    with pytest.raises(RuntimeCheckError, match=r"row 25\.0 at \[1\]"):
        guard.run_epoch([np.arange(40, dtype="float32")], 4, shuffle=False)


def test_random_values_are_those_of_the_step() -> None:
    noise = gx.random.uniform((5,), name="noise")
    count = gx.parameter("count", value=np.int64(0))
    output = gx.check(noise, noise + 0.2 * count < 1.0, "drew {x:.9f}")
    found = []
    for target in TARGETS:
        gx.seed(3)
        count.value = 0
        step = gx.compile([], output, {count: count + 1}, target=target)
        with pytest.raises(RuntimeCheckError, match="drew") as error:
            [step() for _ in range(9)]
        found.append(error.value.message.partition("drew")[2].partition(";")[0])
    assert found[0] == found[1]


def test_a_library_has_no_braces(tmp_path: Path) -> None:
    function = guarded("x is {x:.2f} at {index}", "cpu")
    library = function.export(tmp_path, name="guarded", dims={"n": (1, 8)}).load()
    with pytest.raises(RuntimeCheckError, match="x is <x> at <index>"):
        library(ROWS)
