"""StopOnNaN names the node that made the first value that is not finite, with the user's line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx

TARGETS = ["interpret", "cpu"]
DATA = [np.linspace(1, 2, 8, dtype="float32")]


def note(loss: Any, x: Any, updates: Any = None, target: str = "interpret", **outputs: Any) -> str:
    """Why a run of a loss ended."""
    updates = updates or gx.optim.SGD(0.1).minimize(loss)
    step = gx.compile([x], {"loss": loss, **outputs}, updates, target=target)
    stop = gx.callbacks.StopOnNaN()
    history = gx.fit(step, DATA, 3, 4, callbacks=[stop], shuffle=False, verbose=False)
    found: str = history.note
    return found


def start(value: float = 1.0) -> tuple[Any, Any]:
    return gx.input("x", ("batch",)), gx.parameter("w", value=np.float32(value))


@pytest.mark.parametrize("target", TARGETS)
def test_the_node_and_its_line(target: str) -> None:
    x, w = start(200.0)
    hidden = gx.exp(x * w)  # the culprit
    loss = (hidden - hidden).mean()
    assert re.fullmatch(
        r"loss is nan at step 1 of epoch 1 \(taken back\): its inputs are finite, the first inf is"
        r" made by exp in test_first_bad_node.py:\d+ `hidden = gx.exp\(x \* w\)  # the culprit`:"
        " lower the learning rate first",
        note(loss, x, target=target),
    )


def in_backward_half(x: Any, w: Any) -> Any:
    return gx.sqrt(w * 0 * x).mean()  # sqrt(0) has no gradient


def not_a_mask(x: Any, w: Any) -> Any:
    masked = gx.where(x > 0, -np.inf, w)
    return (masked - gx.max(masked)).mean()  # inf - inf


def beside_a_mask(x: Any, w: Any) -> Any:
    kept = gx.exp(gx.where(x > 1.5, -np.inf, w))  # a mask in use: fine
    return (kept + gx.log(w - 200)).mean()  # of a negative number


def in_a_loop(x: Any, w: Any) -> Any:
    def body(carry: Any, _: Any) -> Any:
        grown = carry * 1e20  # overflows in the second round
        return grown, grown + 1

    last, _ = gx.scan(body, w, None, length=4)
    return (last * x).mean() * 0


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (in_backward_half, "is not finite at step 1 .* made by .* in the backward pass .*sqrt"),
        (not_a_mask, "the first nan is made by subtract in .*gx.max.masked"),
        (beside_a_mask, "the first nan is made by log in .*gx.log.w - 200"),
        (in_a_loop, "the first inf is made by multiply in .*grown = carry"),
    ],
)
def test_where_badness_begins(make: Callable[[Any, Any], Any], wanted: str) -> None:
    x, w = start(100.0)
    loss = make(x, w)
    updates = None if make is not in_a_loop else {w: w + loss}
    assert re.search(wanted, note(loss, x, updates)), note(loss, x, updates)


def test_an_update_that_overflows() -> None:
    x, w = start()
    text = note(x.mean(), x, {w: w * 1e30})
    assert "w is not finite at step 2 of epoch 1" in text
    assert "the first inf is made by multiply in test_first_bad_node.py" in text


def test_what_takes_too_long_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphc.runtime.bad_values.MAX_SECONDS", -1.0)
    x, w = start(200.0)
    assert note(gx.exp(x * w).mean(), x).endswith(
        "its inputs are finite: lower the learning rate first"
    )
