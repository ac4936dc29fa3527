"""What became of a tensor: its line, the rules of the passes, its kernel and its bytes."""

import re

import pytest

import graphc as gx
from graphc.errors import ArgumentError
from tests.inspect.programs import line


def made(mode=None):
    """A product, scaled by 1, and a loss with an update."""
    with line(1):
        x = gx.input("x", ("batch", 3))
    with line(2):
        w = gx.parameter("w", (3,))
    with line(3):
        y = x * w
    with line(4):
        z = y * 1.0
    with line(5):
        loss = gx.exp(z).sum()
    updates = gx.optim.SGD(0.1).minimize(loss) if mode is None else None
    return gx.compile([x], loss, updates=updates, mode=mode), (x, w, y, z, loss)


def test_line_rules_and_kernel():
    step, (_, _, y, z, _) = made()
    text = gx.explain(z, step)
    assert text.splitlines()[0] == "multiply f32[batch,3], forward"
    assert re.search(r"^  line +model\.py:4", text, re.MULTILINE)
    assert re.search(r"^  pass +simplify: mul_by_one: becomes multiply f32\[batch,3\]$", text, re.M)
    kernel = next(k for k in step.kernels if "exp" in k.ops)
    assert f"{kernel.name}: phase {kernel.phase}, {kernel.cost}, computes" in text
    own = gx.explain(y, step)
    assert "mul_by_one" not in own
    assert f"  kernel  {kernel.name}" in own


def test_inputs_and_parameters_are_read():
    step, (x, w, *_) = made()
    for leaf in (x, w):
        text = gx.explain(leaf, step)
        assert f"read by {step.kernels[0].name}" in text
        assert "kernel  " not in text


def test_bytes_of_a_value_that_is_stored():
    x, w, v = gx.input("x", (4, 8)), gx.parameter("w", (8, 8)), gx.parameter("v", (8, 8))
    h = gx.tanh(x @ w)
    run = gx.compile([x], h @ v)
    text = gx.explain(h, run)
    plan = run.program.plan({})
    (storage,) = [s for s in plan.offsets if s.node.op.name == "tanh"]
    first, last = plan.lifetimes[storage]
    assert f"128 B at {plan.offsets[storage]:,} in the arena, phases {first} to {last}" in text


def test_values_that_are_left_out_and_numbers():
    x = gx.input("x", (3,))
    y, two = x * 2.0, gx.exp(gx.constant(0.0)) + 1.0
    run = gx.compile([x], gx.where(two > 5.0, y, x))
    assert re.search(r"^  pass +.*: left out$", gx.explain(y, run), re.MULTILINE)
    doubled = gx.compile([x], x * two)
    assert "number  2.0, written where it is used" in gx.explain(two, doubled)


def test_tensors_that_a_mode_builds_anew():
    x = gx.input("x", (4, 8))
    h = gx.nn.Dropout(0.5)(x) + 1.0
    with line(7):
        y = gx.tanh(h)
    run = gx.compile([x], y, mode="inference")
    assert y.node not in run.graph.nodes
    text = gx.explain(y, run)
    assert "model.py:7" in text
    assert "kernel  k00_" in text


def test_what_cannot_be_explained():
    step, (x, *_) = made()
    other = gx.exp(x) * 3.0
    with pytest.raises(ArgumentError, match="explain: step does not compute multiply") as caught:
        gx.explain(other, step)
    assert "no output and no update" in caught.value.hint
    for wrong in ((3.0, step), (x, x), (x, None)):
        with pytest.raises(ArgumentError, match="explain"):
            gx.explain(*wrong)
