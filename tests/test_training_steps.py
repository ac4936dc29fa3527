"""Whole training steps: against the interpreter, and the same bits however they are run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphc.errors import RuntimeCheckError, ShapeError
from graphc.testing import assert_close
from tests.networks import data, mlp_step, run

MIXED = [32, 5, 64, 1, 33, 32]


def equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))


def test_agrees_with_the_interpreter() -> None:
    native, oracle = run(mlp_step(), MIXED), run(mlp_step("interpret"), MIXED)
    for a, b in zip(native, oracle, strict=True):
        assert_close(a, b)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(threads: int) -> None:
    batches = [256, 256, 100]
    one, more = (run(mlp_step(threads=n, hidden=160), batches) for n in (1, threads))
    assert equal(one, more)


def test_the_generic_variant_has_the_bits_of_the_specialised_ones() -> None:
    generic, special = mlp_step(), mlp_step()
    for batch in dict.fromkeys(MIXED):
        special.specialize(batch=batch)
    assert equal(run(generic, MIXED), run(special, MIXED))
    assert [v.dims is None for v in generic.variants] == [False, True]
    assert not any(v.dims is None for v in special.variants)


def test_fifty_sizes_compile_twice() -> None:
    step = mlp_step()
    for batch in range(1, 51):
        assert np.isfinite(step(*data(batch))["loss"])
    assert len(step.variants) == 2


def test_the_same_bits_twice() -> None:
    assert equal(run(mlp_step(), MIXED), run(mlp_step(), MIXED))


def test_an_epoch_is_its_steps() -> None:
    x, t = data(96)
    one, other = mlp_step(), mlp_step()
    losses = one.run_epoch([x, t], 32, shuffle=False)["loss"]
    singly = [other(x[i : i + 32], t[i : i + 32])["loss"] for i in (0, 32, 64)]
    assert losses.tolist() == [float(v) for v in singly]
    assert equal(run(one, [8]), run(other, [8]))


@pytest.mark.parametrize("label", [-1, 7, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("size", [32, 20])
def test_a_bad_label_updates_nothing(label: int, size: int) -> None:
    step = mlp_step()
    step(*data(32))
    before = {name: p.value for name, p in step.parameters.items()}
    state = step.rng.copy()
    x, t = data(size)
    t[size // 2] = label
    with pytest.raises(RuntimeCheckError, match="label") as caught:
        step(x, t)
    assert caught.value.origin is not None
    assert Path(caught.value.origin.filename).name == "networks.py"
    for name, p in step.parameters.items():
        assert p.value.tobytes() == before[name].tobytes(), name
    assert (step.rng == state).all()


def test_a_bad_label_in_an_epoch_keeps_the_steps_before_it() -> None:
    x, t = data(96)
    t[70] = 99
    one, other = mlp_step(), mlp_step()
    with pytest.raises(RuntimeCheckError):
        one.run_epoch([x, t], 32, shuffle=False)
    for i in (0, 32):
        other(x[i : i + 32], t[i : i + 32])
    names = sorted(one.parameters)
    mine = [one.parameters[n].value for n in names]
    assert equal(mine, [other.parameters[n].value for n in names])


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(ShapeError, match="batch is 0"):
        mlp_step()(*data(0))
