"""Names in kernels: no two values of one kernel share one, whatever the user calls them."""

from __future__ import annotations

import numpy as np

import graphc as gx
from graphc.ir.loops.ir import Let, walk
from graphc.ir.naming import numbered
from graphc.testing import assert_close


def test_numbers_do_not_meet_names_that_look_numbered() -> None:
    given: dict[str, int] = {}
    wanted = ["x", "x_1", "x", "x", "x_1", "x_2", "y_1", "y", "y"]
    names = [numbered(given, name) for name in wanted]
    assert len(set(names)) == len(names)
    assert names[:3] == ["x", "x_1", "x_2"]


def test_kernels_with_such_names() -> None:
    x, other = gx.input("multiply", ("n",)), gx.input("multiply_1", ("n",))
    y = gx.sum((x * other) * (x * 2.0) + gx.exp(x * other) * other)
    step = gx.compile([x, other], [y, x * other])
    for call in step.program.schedule.calls:
        names = [b.name for b in call.kernel.arguments]
        names += [s.ref.name for s in walk(call.kernel.body) if isinstance(s, Let)]
        assert len(set(names)) == len(names)
    a, b = np.linspace(0, 1, 7, dtype=np.float32), np.linspace(1, 2, 7, dtype=np.float32)
    assert_close(step(a, b)[0], (a * b * a * 2 + np.exp(a * b) * b).sum(), tolerance="ulps")
