"""Measured times of kernels, beside what is the least possible."""

from types import SimpleNamespace

import numpy as np
import pytest

from graphc.errors import UnsupportedError
from graphc.inspect.profile import profile
from tests.inspect.programs import program, scaled_sum


class Runner:
    """Code that says how long its kernels took."""

    threads = machine = None

    def launches(self):
        return ()

    def __init__(self, seconds):
        self.seconds = seconds

    def profile(self, arrays, rng):
        return None if self.seconds is None else [self.seconds] * 2


def function(run):
    made = program(scaled_sum())
    variants = []

    def specialize(**dims):
        variants.append(SimpleNamespace(dims=tuple(dims.items()), runner=run))

    binding = SimpleNamespace(bind=lambda args, kwargs: (list(args), {"batch": 4}))
    return SimpleNamespace(
        program=made, variants=variants, specialize=specialize, binding=binding,
        name="step", target="cpu", rng=None,
    )  # fmt: skip


def test_profile_pairs_kernels_with_their_times():
    found = profile(function(Runner(2e-6)), [np.zeros((4, 3), "float32")], {})
    assert found.seconds == (2e-6, 2e-6)
    lines = str(found).splitlines()
    assert lines[1].split()[1:3] == ["2.00", "50.0%"]
    for k, share in zip(found.kernels, found.shares):
        compute, memory = k.cost.flops / 112e9, k.cost.bytes / 25e9  # one thread of `TYPICAL`
        assert share == pytest.approx(max(compute, memory) / 2e-6)
    assert lines[1].split()[-1] == f"{found.shares[0]:.1%}"
    assert lines[-1].split() == ["total", "4.00"]
    assert len(lines) == 4


def test_profile_without_code_that_can_be_timed():
    with pytest.raises(UnsupportedError, match="step: kernels on target cpu cannot be timed"):
        profile(function(Runner(None)), [], {})
