"""Arrays of any strides and alignment reach native code as the elements that they show."""

from __future__ import annotations

import numpy as np

import graphc as gx


def test_any_strides() -> None:
    x = gx.input("x", (4, 3))
    copy = gx.compile([x], x * 1.0)
    rows = np.arange(24, dtype=np.float32).reshape(8, 3)
    odd = np.zeros(4 * 12 + 1, np.uint8)[1:].view(np.float32).reshape(4, 3)
    odd[...] = 5.0
    views = (
        rows[::2], rows[::-2], np.asfortranarray(rows)[:4], np.broadcast_to(rows[:1], (4, 3)),
        np.repeat(rows[:4], 2, 1)[:, ::2], odd,
    )  # fmt: skip
    for _ in range(2):  # the first call binds
        for view in views:
            np.testing.assert_array_equal(copy(view), view)


def test_strides_in_an_epoch() -> None:
    x = gx.input("x", ("batch", 3))
    total = gx.compile([x], gx.sum(x))
    rows = np.arange(48, dtype=np.float32).reshape(16, 3)[::2]
    found = total.run_epoch([rows], 4, shuffle=False)
    np.testing.assert_array_equal(found, [rows[:4].sum(), rows[4:].sum()])
